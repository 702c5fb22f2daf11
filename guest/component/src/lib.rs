//! The WIT component: `hookgate_core` behind `wit/gate.wit`. It translates between the two and has no opinion of its own.
//!
//! Answers are written into memory as the canonical ABI has them, straight from the core's types and without a copy of any
//! text: generated bindings would make a second set of types of them, which took a seventh of the time and a fifth of the
//! component. That what is written is what the contract says is a test here (`shape`) and, on whole deliveries, the
//! business of the tests that compare every build.
//!
//! Built for WebAssembly it leaves the standard library out, which there has nothing to offer but weight.
#![cfg_attr(target_family = "wasm", no_std)]
#![deny(
    unsafe_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::unreachable,
    clippy::arithmetic_side_effects,
    clippy::as_conversions
)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing))]

extern crate alloc;

mod answer;
mod detail;
mod event;
mod exports;
mod layout;
mod lift;
mod lower;
mod memory;
#[cfg(test)]
mod shape;

use hookgate_core as core;
