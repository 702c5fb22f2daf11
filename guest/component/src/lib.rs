//! The WIT component: `hookgate_core` behind `wit/gate.wit`. It translates between the two and has no opinion of its own.
//!
//! Built for WebAssembly it leaves the standard library out, which there has nothing to offer but weight.
#![cfg_attr(target_family = "wasm", no_std)]
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::unreachable,
    clippy::arithmetic_side_effects,
    clippy::as_conversions
)]

extern crate alloc;

#[allow(missing_docs, unreachable_pub, unused_qualifications, clippy::all, clippy::restriction)]
mod bindings {
    wit_bindgen::generate!({ world: "plugin", path: "../../wit" });
}
mod answer;
mod convert;
mod detail;
mod event;
mod request;
#[cfg(target_family = "wasm")]
mod runtime;

use alloc::string::String;
use alloc::vec::Vec;

use bindings::exports::hookgate::kapso::gate as wit;
use hookgate_core as core;

use crate::convert::Convert;

struct Plugin;

bindings::export!(Plugin with_types_in bindings);

impl wit::Guest for Plugin {
    type Gate = Gate;
}

/// The resource.
struct Gate(core::Gate);

impl wit::GuestGate for Gate {
    fn secret_names(policy: String) -> Result<Vec<String>, Vec<wit::PolicyError>> {
        core::Gate::secret_names(&policy).convert()
    }

    fn compile(policy: String, secrets: Vec<wit::Secret>) -> Result<wit::Gate, Vec<wit::PolicyError>> {
        let gate: Result<core::Gate, _> = core::Gate::compile(&policy, &request::secrets(&secrets)).convert();
        gate.map(|gate| wit::Gate::new(Self(gate)))
    }

    fn settings(&self) -> wit::Settings {
        (&self.0).convert()
    }

    fn admit(&self, head: wit::Head) -> wit::Admission {
        self.0.admit(&request::head(&head, &request::headers(&head.headers))).convert()
    }

    fn too_large(&self, head: wit::Head) -> wit::Refusal {
        self.0.too_large(&request::head(&head, &request::headers(&head.headers))).convert()
    }

    fn verify(&self, request: wit::Request, now: wit::Timestamp) -> Result<wit::Proof, wit::Rejection> {
        let headers = request::headers(&request.head.headers);
        self.0.verify(&request::request(&request, &headers), now).convert()
    }

    fn parse(&self, headers: Vec<wit::Header>, body: Vec<u8>) -> Result<wit::Parsed, wit::ParseError> {
        self.0.parse(&request::headers(&headers), &body).convert()
    }

    fn route(&self, event: wit::Event, source: Option<String>) -> wit::Route {
        self.0.route(&event.convert(), source.as_deref()).convert()
    }

    fn decide(&self, request: wit::Request, now: wit::Timestamp) -> wit::Decision {
        let headers = request::headers(&request.head.headers);
        self.0.decide(&request::request(&request, &headers), now).convert()
    }

    fn narrow(&self, request: wit::Request, target: String, events: Vec<u32>) -> Vec<wit::MessageOut> {
        let headers = request::headers(&request.head.headers);
        let request = request::request(&request, &headers);
        let events: Vec<usize> = events.convert();
        let Ok(parsed) = self.0.parse(&headers, request.body) else { return Vec::new() };
        self.0.narrow(&request, &parsed.delivery, &target, &events).convert()
    }

    fn settle(&self, attempts: Vec<wit::Attempt>) -> wit::Settlement {
        self.0.settle(&request::attempts(&attempts)).convert()
    }
}
