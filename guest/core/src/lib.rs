//! Every decision that Hookgate makes about a Kapso webhook.
//!
//! The crate is a pure function of its arguments: time is passed in, and there is no randomness, environment, file, log or
//! thread here. The shells (the WIT component, the Envoy filter, the Spin component) translate, buffer and carry out.
#![no_std]
#![forbid(unsafe_code)]
#![deny(missing_docs)]
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::string_slice,
        clippy::unreachable,
        clippy::arithmetic_side_effects,
        clippy::as_conversions
    )
)]

extern crate alloc;

mod event;
mod gate;
mod json;
mod http;
mod policy;
mod route;
mod verify;

pub use event::{Batch, Contradiction, Delivery, Event, Kind, NameOrigin, Span};
pub use gate::{Dedupe, Gate, Limits, Secret, Source, Target};
pub use json::ParseError;
pub use http::{Head, Header, HeaderOut, Response};
pub use policy::{BodyForm, PolicyError, Scheme};
pub use verify::Rejection;
