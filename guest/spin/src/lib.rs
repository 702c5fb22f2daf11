//! The Spin component: the gate behind `wasi:http`.
//!
//! This shell reads the request, asks the core, sends what it says and remembers what was taken. What a webhook means
//! is the core's business.
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

mod answer;
mod claims;
mod config;
mod deliver;
mod forward;
mod log;
mod reactor;
mod receive;
mod redirect;
mod store;
mod url;

#[allow(missing_docs, clippy::all, clippy::pedantic)]
mod bindings {
    wit_bindgen::generate!({
        path: "wit",
        world: "component",
        generate_all,
    });
    use super::Component;
    export!(Component with_types_in self);
}

use bindings::exports::wasi::http::incoming_handler::Guest;
use bindings::wasi::http::types::{IncomingRequest, ResponseOutparam};

struct Component;

impl Guest for Component {
    fn handle(request: IncomingRequest, response_out: ResponseOutparam) {
        let answer = reactor::block_on(answer::answer(&request));
        receive::respond(response_out, &answer);
    }
}
