//! Hookgate as a proxy-wasm filter: the gate in Envoy's own process.
//!
//! The filter translates and carries out; every decision about a webhook is [`hookgate_core`]'s. It holds a delivery's headers
//! back, hands its body to the gate in the pieces it comes in, and lets it go on only with a verdict. No verdict means no, in
//! every callback and after every failure of the host.
//!
//! Built for WebAssembly it leaves the standard library out, which would be a quarter of it.
#![cfg_attr(target_family = "wasm", no_std)]
#![deny(unsafe_code, missing_docs)]
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::string_slice,
        clippy::unreachable
    )
)]

extern crate alloc;

mod by_id;
mod callout;
mod claims;
mod configuration;
mod delivery;
mod environment;
mod exports;
mod global;
mod headers;
mod host;
mod pairs;
mod plugin;
mod policy;
mod protobuf;
mod refusals;
mod relay;
#[cfg(target_family = "wasm")]
mod runtime;
mod seen;
mod stats;
mod stream;
mod sys;
