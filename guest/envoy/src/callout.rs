//! What became of a message, as Envoy tells it. A local answer of Envoy's own looks much like a target's; they must not be
//! mistaken for each other, since a target's answer settles a message for good and Envoy's never does.

use alloc::string::String;
use hookgate_core::Outcome;

use crate::by_id::ById;
use crate::host::{self, Map};

/// Envoy's router puts this into every answer that came from an upstream, and into no other.
const FROM_UPSTREAM: &str = "x-envoy-upstream-service-time";

/// What Envoy's `response.code_details` says of an answer that came from an upstream.
const VIA_UPSTREAM: &[u8] = b"via_upstream";

/// Calls that have not been answered, by token.
pub(crate) type Calls = ById<Call>;

/// Who waits for a call's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    /// The stream's context.
    pub(crate) stream: u32,
    /// Where in its delivery.
    pub(crate) lane: usize,
}

/// What the call that was just answered came to. Without headers there was no answer.
pub(crate) fn of_call(has_headers: bool) -> Outcome {
    if !has_headers {
        return Outcome::Unreachable;
    }
    match status(Map::CallHeaders) {
        Some(status) if host::header(Map::CallHeaders, FROM_UPSTREAM).is_ok() => Outcome::Answered(status),
        Some(504) => Outcome::TimedOut,
        _ => Outcome::Unreachable,
    }
}

/// What the response whose headers have just come says of the proxied request, and how Envoy puts it.
pub(crate) fn of_response() -> (Outcome, String) {
    let details = host::property("response\0code_details").unwrap_or_default();
    let outcome = match status(Map::ResponseHeaders) {
        Some(status) if details == VIA_UPSTREAM => Outcome::Answered(status),
        _ if details.windows(7).any(|part| part == b"timeout") => Outcome::TimedOut,
        _ => Outcome::Unreachable,
    };
    (outcome, String::from_utf8(details).unwrap_or_default())
}

/// The status in a map of response headers.
pub(crate) fn status(map: Map) -> Option<u16> {
    let digits: [u8; 3] = host::header(map, ":status").ok()?.try_into().ok()?;
    digits.iter().try_fold(0, |status, digit| digit.is_ascii_digit().then(|| status * 10 + u16::from(digit - b'0')))
}
