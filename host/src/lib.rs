//! The Hookgate component on wasmtime.
