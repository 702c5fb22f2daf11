//! The little of HTTP that a decision needs: bytes in, bytes out.

use alloc::string::String;
use alloc::vec::Vec;

use crate::json::same;
use crate::verify::SIGNATURE_HEADERS;

/// A received header field. Names compare without regard to case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    /// The field's name.
    pub name: &'a str,
    /// The field's value, as received.
    pub value: &'a [u8],
}

/// A header field to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderOut {
    /// The field's name, in lower case.
    pub name: &'static str,
    /// The field's value: visible ASCII and spaces only.
    pub value: String,
}

/// What is known of a request before its body.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    /// The method, as received.
    pub method: &'a str,
    /// Path and query, as they stand in the request line.
    pub path: &'a str,
    /// The header fields in the order received.
    pub headers: &'a [Header<'a>],
}

impl<'a> Head<'a> {
    /// The path without its query.
    pub fn path_only(&self) -> &'a str {
        self.path.split_once('?').map_or(self.path, |(path, _)| path)
    }

    /// The query, without its question mark; empty when there is none.
    pub fn query(&self) -> &'a str {
        self.path.split_once('?').map_or("", |(_, query)| query)
    }
}

/// The beginning of the names of Hookgate's own headers.
const OWN_PREFIX: &str = "x-hookgate-";

/// Fields that HTTP says are for one hop (RFC 9110, section 7.6.1), and those that describe the connection or this very body.
const ONE_HOP: [&str; 13] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Whether a header says what Hookgate found out: none of such a name that was received goes on. Where a service gets headers as
/// variables, `_` is as good as `-`.
pub fn is_own_header(name: &[u8]) -> bool {
    begins_like(name, OWN_PREFIX)
}

/// Kapso's header with the event's name.
pub(crate) const EVENT: &str = "x-webhook-event";
/// Kapso's header with the payload version.
pub(crate) const PAYLOAD_VERSION: &str = "x-webhook-payload-version";
/// Kapso's header that marks a batch.
pub(crate) const BATCH: &str = "x-webhook-batch";
/// Kapso's header with the number of a batch's events.
pub(crate) const BATCH_SIZE: &str = "x-batch-size";
/// Kapso's header with the delivery's own key.
pub(crate) const IDEMPOTENCY_KEY: &str = "x-idempotency-key";

/// Headers of Kapso's that say what a body is.
const KAPSOS: [&str; 5] = [EVENT, PAYLOAD_VERSION, BATCH, BATCH_SIZE, IDEMPOTENCY_KEY];

/// Whether a header is none of these and no signature's, and would be taken for one where `_` is as good as `-`.
pub(crate) fn is_look_alike(name: &[u8]) -> bool {
    let mut known = KAPSOS.iter().chain(&SIGNATURE_HEADERS);
    name.contains(&b'_') && known.any(|known| known.len() == name.len() && begins_like(name, known))
}

/// Whether a name begins with another, in any case, and `_` is as good as `-`.
fn begins_like(name: &[u8], other: &str) -> bool {
    let is = |(byte, other): (&u8, u8)| byte.eq_ignore_ascii_case(&other) || (*byte == b'_' && other == b'-');
    name.len() >= other.len() && name.iter().zip(other.bytes()).all(is)
}

/// Whether a header is the business of who sends a message and not of whom it came from.
pub fn is_one_hop_header(name: &[u8]) -> bool {
    ONE_HOP.iter().any(|one_hop| name.eq_ignore_ascii_case(one_hop.as_bytes()))
}

/// All values of a header, in the order received.
pub(crate) fn values<'h, 'a>(headers: &'h [Header<'a>], name: &'h str) -> impl Iterator<Item = &'a [u8]> + 'h {
    let is = move |other: &str| same(other, name) || other.eq_ignore_ascii_case(name);
    headers.iter().filter(move |header| is(header.name)).map(|header| header.value)
}

/// What stands for a header that was sent several times, each time with another value, or whose value is not UTF-8: nobody knows what
/// a service makes of it.
pub(crate) const UNCLEAR: &str = "several values, or no text";

/// A header's value, without surrounding blanks, if it is not empty.
pub(crate) fn text<'a>(headers: &[Header<'a>], name: &str) -> Option<&'a str> {
    let mut values = values(headers, name);
    let value = values.next()?;
    if values.any(|other| other != value) {
        return Some(UNCLEAR);
    }
    let value = core::str::from_utf8(value).map_or(UNCLEAR, str::trim);
    (!value.is_empty()).then_some(value)
}

/// The same, but none where that is unclear.
pub(crate) fn only_text<'a>(headers: &[Header<'a>], name: &str) -> Option<&'a str> {
    text(headers, name).filter(|value| *value != UNCLEAR)
}

/// What to answer the sender.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The header fields, without `content-length`.
    pub headers: Vec<HeaderOut>,
    /// The body.
    pub body: Vec<u8>,
}

#[cfg(test)]
mod tests {
    use super::{is_look_alike, is_one_hop_header, is_own_header};

    #[test]
    fn headers_are_known_in_any_case() {
        assert!(is_own_header(b"x-hookgate-source") && is_own_header(b"X-Hookgate-Target"));
        assert!(is_own_header(b"X_Hookgate_Signed") && is_own_header(b"x-hookgate_signed"));
        assert!(!is_own_header(b"x-hookgat") && !is_own_header(b"x-hookgates"));
        assert!(is_look_alike(b"X_Webhook_Event") && is_look_alike(b"x-batch_size") && !is_look_alike(b"x-batch-size"));
        assert!(!is_look_alike(b"x_webhook_events") && !is_look_alike(b"x_webhook_even"));
        assert!(is_one_hop_header(b"Connection") && is_one_hop_header(b"te") && !is_one_hop_header(b"tea"));
    }
}
