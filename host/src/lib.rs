//! Verifies, parses and routes the webhooks that [Kapso](https://kapso.ai) sends for WhatsApp, inside your own process and
//! outside its trust: the logic is a WebAssembly component that imports nothing, or this crate's SHA-256 alone. It can compute,
//! within a bound of time and memory, and that is all it can do.
//!
//! The component comes with the crate. From nothing to a decision it takes five steps.
//!
//! 1. **Load the plugin**, once: [`Plugin::new`]. The first start on a machine compiles it; later ones find the machine
//!    code in a cache ([`Options::cache`]).
//! 2. **Write a policy**: which paths are webhooks, which secrets make a delivery genuine, which events go to which targets.
//!    It is JSON; [`policy::Document`] reads TOML and YAML as well, and says on which line an error is.
//! 3. **Bring the secrets** that the policy names: [`Secrets`], from the environment, from files, or from wherever yours are.
//! 4. **Compile** both to a [`Gate`]: [`Plugin::compile`]. All that is wrong is said at once. A gate may be shared by all
//!    threads; a [`SharedGate`] holds one that can be replaced while it is used.
//! 5. **Decide** each request: [`Gate::decide`]. Answer what it says, or send its messages to their targets and let
//!    [`Gate::settle`] say the answer.
//!
//! ```
//! use hookgate::types::{Attempt, Decision, Head, Header, Outcome, Request};
//! use hookgate::{Options, Plugin, Secrets};
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let plugin = Plugin::new(&Options::default())?;
//!     let policy = r#"{
//!         "sources": [{"name": "whatsapp", "path": "/webhooks/whatsapp", "secrets": ["KAPSO_SECRET"]}],
//!         "rules": [{"name": "inbound", "when": {"event": "whatsapp.message.received"}, "to": ["bot"]}],
//!         "targets": {"bot": {"url": "http://127.0.0.1:3000/hook"}}
//!     }"#;
//!     let secrets = Secrets::from([("KAPSO_SECRET", "whsec_of_your_webhook")]);
//!     let gate = plugin.compile(policy, &secrets)?;
//!
//!     // What your HTTP server received: the body's bytes as they came.
//!     let body = br#"{"message":{"id":"wamid.A1","timestamp":"1789395901","type":"text","from":"16315551181",
//!         "text":{"body":"Hola"},"kapso":{"direction":"inbound","status":"received","origin":"cloud_api"}},
//!         "phone_number_id":"123456789012345"}"#;
//!     let signature = hookgate::sign("whsec_of_your_webhook", body);
//!     let headers = [
//!         Header { name: "X-Webhook-Event", value: b"whatsapp.message.received" },
//!         Header { name: "X-Webhook-Signature", value: signature.as_bytes() },
//!     ];
//!     let head = Head { method: "POST", path: "/webhooks/whatsapp", headers: &headers };
//!     let now = 1_789_395_902; // Unix seconds
//!
//!     let status = match gate.decide(&Request { head, body }, now)? {
//!         Decision::NotOurs => 404,
//!         Decision::Respond(refusal) => refusal.response.status,
//!         Decision::Redirect(_) => unreachable!("the policy has no `setup_links`"),
//!         Decision::Deliver(deliver) => {
//!             let event = &deliver.delivery.events[0];
//!             println!("{} genuine by {}", event.name.as_deref().unwrap_or("unnamed"), deliver.proof.secret);
//!             let mut attempts = Vec::new();
//!             for dispatch in &deliver.dispatches {
//!                 for message in &dispatch.messages {
//!                     println!("{} gets {} event", dispatch.target, message.events.len());
//!                     // Here you send it. Say that the target answered 204.
//!                     attempts.push(Attempt { target: &dispatch.target, outcome: Outcome::Answered(204) });
//!                 }
//!             }
//!             gate.settle(&attempts)?.response.status
//!         }
//!     };
//!     println!("answer {status}");
//!     assert_eq!(status, 200);
//!     Ok(())
//! }
//! ```
//!
//! It prints
//!
//! ```text
//! whatsapp.message.received genuine by KAPSO_SECRET
//! bot gets 1 event
//! answer 200
//! ```
//!
//! # What is yours to do
//!
//! - **Send.** A message goes out as POST with the received headers except hop-by-hop headers, `host` and `content-length`,
//!   without [`MessageOut::drop_headers`] and with [`MessageOut::set_headers`]. Kapso waits 10 s for the whole answer.
//! - **Remember what was delivered**, if nothing may reach a target twice. An event is known by its target's name and its
//!   [`Event::item_key`]. Claim the keys of a dispatch before sending; those that were delivered before are
//!   [`Outcome::Duplicate`], those that somebody else is sending [`Outcome::InFlight`], and where only some are free
//!   [`Gate::narrow`] gives the messages for these. [`Settlement::verdicts`] says which to keep and which to release.
//! - **Answer 500 when a call fails** ([`CallError`]) and forward nothing. The next call is served by a new instance.
//!
//! - **Send browsers on**, if the policy has `setup_links`: [`Decision::Redirect`] is somebody's browser that Kapso sent back from a
//!   setup link. Answer with its page, or send the request to its target and answer as that does. Nothing there is signed: it
//!   is a hint for what to show, and never proof that a number is connected.
//!
//! The server in this crate, `hookgate serve`, does all that.
//!
//! # Instances
//!
//! A call takes microseconds, so nothing is asynchronous. On a runtime, call from its threads; give bodies of megabytes to a
//! blocking thread. [`Options::instances`] chooses between reusing instances, which is the default, and a fresh one for
//! each call, which isolates calls from each other at the price of some ten microseconds. [`Gate::warm`] makes reused instances
//! ahead of the calls that need them.
//!
//! # Features
//!
//! - `program` (default): the program `hookgate`, that is the server and the command line. Leave it out
//!   (`default-features = false`) to embed the library alone.
//!
//! [`MessageOut::drop_headers`]: types::MessageOut::drop_headers
//! [`MessageOut::set_headers`]: types::MessageOut::set_headers
//! [`Event::item_key`]: types::Event::item_key
//! [`Outcome::Duplicate`]: types::Outcome::Duplicate
//! [`Outcome::InFlight`]: types::Outcome::InFlight
//! [`Settlement::verdicts`]: types::Settlement::verdicts
//! [`Decision::Redirect`]: types::Decision::Redirect
#![deny(missing_docs)]
#![forbid(unsafe_code)]

mod bindings;
#[cfg(feature = "program")]
#[doc(hidden)]
pub mod cli;
#[cfg(feature = "program")]
mod client;
mod engine;
mod error;
mod exports;
mod gate;
mod instance;
#[cfg(feature = "program")]
pub mod kapso;
mod limiter;
mod lower;
mod options;
mod plugin;
pub mod policy;
#[cfg(feature = "program")]
mod printable;
pub mod secrets;
#[cfg(feature = "program")]
mod send;
#[cfg(feature = "program")]
pub mod server;
mod settled;
mod sha256;
mod shared;
mod sign;
mod slots;
mod snapshot;
pub mod types;
#[cfg(feature = "program")]
mod unrepeated;

pub use error::{CallError, CompileError, LoadError};
pub use gate::Gate;
pub use options::{Cache, Instances, Options, Sha256};
pub use plugin::Plugin;
pub use secrets::Secrets;
pub use shared::SharedGate;
pub use sign::sign;
