//! The bound on what an instance may allocate.

use thiserror::Error;
use wasmtime::ResourceLimiter;

/// A component like ours has one table of functions, of a few hundred entries.
const MAX_TABLE_ELEMENTS: usize = 100_000;

pub(crate) struct Limiter {
    memory: usize,
    used: usize,
}

impl Limiter {
    /// At most so many bytes in all of the instance's memories together.
    pub(crate) fn new(memory: usize) -> Self {
        Self { memory, used: 0 }
    }
}

/// The plugin asked for more than it may have. Told apart from a trap by its type.
#[derive(Debug, Error)]
#[error("over the memory limit")]
pub(crate) struct MemoryExceeded;

impl ResourceLimiter for Limiter {
    fn memory_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        self.used = self.used.saturating_sub(current).saturating_add(desired);
        within(self.used, self.memory)
    }

    fn table_growing(&mut self, _current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        within(desired, MAX_TABLE_ELEMENTS)
    }
}

/// Traps instead of answering the plugin that there is no more: an allocator told so would only trap in its own way.
fn within(desired: usize, limit: usize) -> wasmtime::Result<bool> {
    if desired > limit { Err(MemoryExceeded.into()) } else { Ok(true) }
}
