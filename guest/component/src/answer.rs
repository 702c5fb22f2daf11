//! What the core answers.

#[cfg(test)]
use alloc::string::String;
use alloc::vec::Vec;

use crate::core;
use crate::layout::{Layout, Place};
use crate::lower::{Lower, records, variants};
#[cfg(test)]
use crate::shape::Types;

records! {
    "policy-error": core::PolicyError { pointer, message }

    "settings": Settings<'_> { sources, targets, dedupe, body_bytes }

    "source-settings": SourceSettings<'_> { name, path }

    "target-settings": TargetSettings<'_> { name, url, cluster, timeout_ms }

    "dedupe-settings": core::Dedupe { window_s, max_keys }

    "proof": core::Proof<'_> { source, secret }

    "response": core::Response { status, headers, body }

    "refusal": core::Refusal<'_> { response, source, rejection }

    "route": core::Route<'_> { rule, targets }

    "deliver": core::Deliver<'_> { proof, unreadable, delivery, routes, dispatches }

    "dispatch": core::Dispatch<'_> { target, events, messages }

    "message-out": core::Message { events, body, drop_headers, set_headers }

    "redirect": core::Redirect<'_> { setup_link, setup_link_id, outcome, onward }

    "connection": core::Connection {
        phone_number_id, business_account_id, provisioned_phone_number_id, display_phone_number, whatsapp_config_id,
    }

    "relay": core::Relay<'_> { target, drop_headers, set_headers, answer_headers }

    "settlement": core::Settlement { response, result, verdicts }
}

variants! {
    "rejection": core::Rejection {
        UnknownSource, WrongMethod, TooLarge, MissingSignature, RepeatedSignature, MalformedSignature, WrongSignature,
        UnknownTenant, TooOld, WrongVerifyToken, BadRedirect,
    }

    "admission": Admission<'_> { NotOurs, Respond(refusal), Read(limit), Redirect }

    "redirect-outcome": core::RedirectOutcome { Completed(connection), Failed(error) }

    "setup-error": core::SetupError {
        FacebookAuthFailed, PhoneVerificationFailed, WabaLimitReached, TokenExchangeFailed, LinkExpired, AlreadyUsed,
        Other(code),
    }

    "onward": core::Onward<'_> { Page(response), Target(relay) }

    "decision": core::Decision<'_> { NotOurs, Respond(refusal), Deliver(deliver), Redirect(redirect) }

    "body-out": core::BodyOut { AsReceived, Part(span), Rewritten(body) }

    "delivery-result": core::DeliveryResult { Delivered, GivenUp, Duplicate, Dropped, InFlight, TimedOut, Failed }

    "verdict": core::Verdict { Delivered, Rejected, Failed, Untouched }
}

/// A gate, by the number that the host's table has for it.
pub(crate) struct Handle(pub(crate) u32);

impl Lower for Handle {
    const LAYOUT: Layout = u32::LAYOUT;

    fn lower(&self, place: Place) {
        self.0.lower(place);
    }

    #[cfg(test)]
    fn shape(_: &mut Types) -> String {
        "own<gate>".into()
    }
}

/// What a caller needs to know of a gate's policy.
pub(crate) struct Settings<'g> {
    sources: Vec<SourceSettings<'g>>,
    targets: Vec<TargetSettings<'g>>,
    dedupe: core::Dedupe,
    body_bytes: u64,
}

struct SourceSettings<'g> {
    name: &'g str,
    path: &'g str,
}

struct TargetSettings<'g> {
    name: &'g str,
    url: Option<&'g str>,
    cluster: Option<&'g str>,
    timeout_ms: u32,
}

impl<'g> Settings<'g> {
    pub(crate) fn of(gate: &'g core::Gate) -> Self {
        let source = |source: &'g core::Source| SourceSettings { name: source.name(), path: source.path() };
        let target = |target: &'g core::Target| TargetSettings {
            name: target.name(),
            url: target.url(),
            cluster: target.cluster(),
            timeout_ms: target.timeout_ms(),
        };
        Self {
            sources: gate.sources().iter().map(source).collect(),
            targets: gate.targets().iter().map(target).collect(),
            dedupe: gate.dedupe(),
            body_bytes: gate.limits().body_bytes.into(),
        }
    }
}

/// What the head alone decides, with the most bytes of body to read.
pub(crate) enum Admission<'g> {
    NotOurs,
    Respond(core::Refusal<'g>),
    Read(u64),
    Redirect,
}

/// A value that is text here and bytes in the contract, which are the same in memory.
impl Lower for core::HeaderOut {
    const LAYOUT: Layout = Layout::RUN.then(Layout::RUN).whole();

    fn lower(&self, place: Place) {
        self.name.lower(place);
        self.value.lower(place.at(Layout::RUN.size));
    }

    #[cfg(test)]
    fn shape(types: &mut Types) -> String {
        types.record("header", &[("name", <&str>::shape), ("value", Vec::<u8>::shape)])
    }
}
