//! The policy document.

mod document;
mod json;
mod read;
#[cfg(feature = "schema")]
mod schema;
mod suggest;
mod terms;

use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

use crate::gate::Secret;
use crate::json::{ParseError, Reader};
pub(crate) use document::{
    BODY_BYTES, Conditions, Dedupe, EVENTS, Limits, MAX_KEYS, Otherwise, Policy, Rule, SetupLink, Source, TIMEOUT_MS,
    Target, WINDOW_S,
};
use json::Json;
pub(crate) use read::segment;
use read::{At, Context, Read};
#[cfg(feature = "schema")]
pub use schema::schema;
pub(crate) use terms::{AnyOf, EventPattern, NamedSecret, NonEmpty, Term};

/// One thing wrong with a policy document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyError {
    /// Where, as a JSON Pointer (RFC 6901); empty for the document as a whole.
    pub pointer: String,
    /// What was found and what was expected. Holds no secret's value, unless one stands where a name is asked for and looks like
    /// one.
    pub message: String,
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.pointer.is_empty() {
            f.write_str(&self.message)
        } else {
            write!(f, "{}: {}", self.pointer, self.message)
        }
    }
}

impl core::error::Error for PolicyError {}

/// Which signature header a source's deliveries carry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Scheme {
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
pub(crate) enum BodyForm {
    /// The body as received, byte for byte, or a batch envelope with just the target's items.
    #[default]
    AsReceived,
    /// One request for each event, with the item's exact bytes.
    OnePerEvent,
    /// One request with one shape for v1, v2, batches and Meta forwards alike.
    Normalized,
}

/// Reads a document and joins it to the secrets that it names.
///
/// # Errors
/// Everything that is wrong with it, in its order; a secret that is missing or empty is wrong.
pub(crate) fn read(text: &str, secrets: &[Secret<'_>]) -> Result<Policy, Vec<PolicyError>> {
    let json = parse(text)?;
    let mut context = Context::new(&json, Some(secrets));
    let policy = Policy::read(&json, &At::Root, &mut context);
    context.finish()?;
    // What cannot be read has left an error, so there is a policy here.
    policy.ok_or_else(Vec::new)
}

/// The names of the secrets that a document needs, each once and in its order.
///
/// # Errors
/// Everything that is wrong with the document.
pub(crate) fn secret_names(text: &str) -> Result<Vec<String>, Vec<PolicyError>> {
    let json = parse(text)?;
    let mut context = Context::new(&json, None);
    Policy::read(&json, &At::Root, &mut context);
    context.finish()
}

fn parse(text: &str) -> Result<Json, Vec<PolicyError>> {
    Reader::whole(text, Json::read)
        .map_err(|error| vec![PolicyError { pointer: String::new(), message: syntax(text, error) }])
}

/// What is wrong with a text that is no JSON, and in which line and column.
fn syntax(text: &str, error: ParseError) -> String {
    let (what, at) = match error {
        ParseError::TooDeep(at) => ("nested too deep", at),
        ParseError::NotJson(at) => ("not JSON", at),
        ParseError::NotAnObject | ParseError::TooManyEvents(_) => ("not JSON", 0),
    };
    let before = text.get(..at).unwrap_or(text);
    let line = before.split('\n').count();
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count().saturating_add(1);
    format!("{what} at line {line} column {column}")
}

#[cfg(test)]
mod tests;
