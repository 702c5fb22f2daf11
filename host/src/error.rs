//! What can go wrong, one type for each question.

use std::path::PathBuf;

use thiserror::Error;
use wasmtime::Trap;

use crate::limiter::MemoryExceeded;
use crate::types::PolicyError;

/// Why there is no [`Plugin`](crate::Plugin).
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The file could not be read.
    #[error("cannot read the component {}: {error}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The bytes are not a component that exports the gate of this version's contract and imports nothing, or SHA-256 alone.
    #[error("not a Hookgate component: {0}")]
    NotAPlugin(String),
    /// The cache directory that the options name cannot be used.
    #[error("cannot use the cache directory {}: {reason}", path.display())]
    Cache {
        /// The directory.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// This machine, or what the options leave of it, is too small for the engine: no address space, no thread, no memory.
    #[error("cannot start the WebAssembly engine: {0}")]
    Engine(String),
}

/// Why there is no [`Gate`](crate::Gate).
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum CompileError {
    /// The policy is wrong: everything that is wrong with it, at least one thing.
    #[error("the policy is wrong: {}", summary(.0))]
    Policy(Vec<PolicyError>),
    /// The plugin failed.
    #[error(transparent)]
    Call(#[from] CallError),
}

/// Why a call has no result. The instance that failed is gone, and the next call is served by a new one.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CallError {
    /// The plugin trapped, or returned what the contract does not allow.
    #[error("the plugin failed: {0}")]
    Trapped(String),
    /// The call took longer than [`Options`](crate::Options) allow.
    #[error("the plugin took too long")]
    TimedOut,
    /// The call needed more memory than [`Options`](crate::Options) allow.
    #[error("the plugin ran out of memory")]
    OutOfMemory,
    /// There was no memory or address space for a new instance.
    #[error("no instance of the plugin could be made: {0}")]
    Unavailable(String),
}

impl CallError {
    pub(crate) fn of(error: wasmtime::Error) -> Self {
        if error.is::<MemoryExceeded>() {
            return Self::OutOfMemory;
        }
        match error.downcast_ref::<Trap>() {
            Some(Trap::Interrupt) => Self::TimedOut,
            Some(trap) => Self::Trapped(trap.to_string()),
            None => Self::Trapped(error.root_cause().to_string()),
        }
    }

    pub(crate) fn of_instantiation(error: wasmtime::Error) -> Self {
        if error.is::<MemoryExceeded>() || error.is::<Trap>() {
            Self::of(error)
        } else {
            Self::Unavailable(error.root_cause().to_string())
        }
    }
}

fn summary(errors: &[PolicyError]) -> String {
    let lines: Vec<_> = errors.iter().map(PolicyError::to_string).collect();
    lines.join("; ")
}
