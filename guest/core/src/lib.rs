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

mod answer;
mod compose;
mod cut;
mod decide;
pub mod detail;
mod event;
mod gate;
mod http;
mod index;
mod json;
mod normalize;
mod parse;
mod policy;
mod query;
mod record;
mod redirect;
mod route;
mod verify;
mod write;

pub use answer::{Attempt, DeliveryResult, Outcome, Settlement, Verdict};
pub use compose::{BodyOut, Dispatch, Message};
pub use decide::{Admission, Decision, Deliver, Intake, Proof, Refusal, Request, Route};
pub use event::{Batch, Contradiction, Delivery, Event, Kind, NameOrigin, Span};
pub use gate::{Dedupe, Gate, Limits, Secret, Source, Target};
pub use http::{Head, Header, HeaderOut, Response, is_one_hop_header, is_own_header};
pub use json::{JsonStr, ParseError};
pub use parse::printable;
pub use policy::PolicyError;
#[cfg(feature = "schema")]
pub use policy::schema as policy_schema;
pub use redirect::{Connection, Onward, Redirect, RedirectOutcome, Relay, SetupError};
pub use verify::Rejection;
pub use write::Quoted;
