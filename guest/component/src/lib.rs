//! The WIT component.
