//! Kapso's side of the wire: which events it sends.

pub mod catalogue;
