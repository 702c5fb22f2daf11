//! SHA-256 for the guests.
//!
//! Processors have instructions for it that WebAssembly cannot reach, with which it takes a fifth of the time. So there is a
//! second build of the component that asks its host to do the compressing; everything around it is the same code.
#![cfg_attr(not(test), no_std)]

#[cfg(any(test, feature = "host"))]
pub mod host;

#[cfg(feature = "host")]
pub use host::Sha256;
#[cfg(not(feature = "host"))]
pub use sha2::Sha256;
