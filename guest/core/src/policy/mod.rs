//! The policy document.

use alloc::string::String;
use core::fmt;

/// One thing wrong with a policy document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyError {
    /// Where, as a JSON Pointer (RFC 6901); empty for the document as a whole.
    pub pointer: String,
    /// What was found and what was expected. Never holds a secret's value.
    pub message: String,
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.pointer.is_empty() { f.write_str(&self.message) } else { write!(f, "{}: {}", self.pointer, self.message) }
    }
}

impl core::error::Error for PolicyError {}

/// Which signature header a source's deliveries carry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scheme {
    /// `X-Webhook-Signature`, Kapso's own.
    #[default]
    Kapso,
    /// `X-Hub-Signature-256`, Meta's.
    Meta,
    /// Either.
    Any,
}

/// What a target is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BodyForm {
    /// The body as received, byte for byte, or a batch envelope with just the target's items.
    #[default]
    AsReceived,
    /// One request for each event, with the item's exact bytes.
    OnePerEvent,
    /// One request with one shape for v1, v2, batches and Meta forwards alike.
    Normalized,
}
