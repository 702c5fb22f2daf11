//! The Hookgate component on wasmtime.
#![deny(missing_docs)]
#![forbid(unsafe_code)]

mod bindings;
#[cfg(feature = "program")]
#[doc(hidden)]
pub mod cli;
mod engine;
mod error;
mod gate;
mod instance;
mod limiter;
mod lower;
mod options;
mod plugin;
pub mod policy;
pub mod secrets;
#[cfg(feature = "program")]
pub mod server;
mod shared;
mod sign;
mod slots;
pub mod types;

pub use error::{CallError, CompileError, LoadError};
pub use gate::Gate;
pub use options::{Cache, Instances, Options};
pub use plugin::Plugin;
pub use secrets::Secrets;
pub use shared::SharedGate;
pub use sign::sign;
