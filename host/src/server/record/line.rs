//! One delivery as it is kept: a line of JSON, in the form that the commands read.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{AUTHORIZATION, COOKIE, FORWARDED, SET_COOKIE, VIA};
use http::{HeaderMap, HeaderName, Method};
use jiff::Timestamp;
use serde::{Serialize, Serializer};

use super::redact::Redactor;
use crate::server::report::{Report, Story, Trouble};
use crate::sign::SIGNATURES;

/// What is kept of each delivery.
pub(super) struct Form {
    pub(super) signatures: bool,
    pub(super) all_headers: bool,
    pub(super) redactor: Option<Redactor>,
}

/// A delivery on its way to the file.
pub(super) struct Entry {
    received_at: SystemTime,
    source: Option<String>,
    /// The name of the secret that it is genuine by.
    secret_name: Option<String>,
    genuine: Option<bool>,
    rejection: Option<&'static str>,
    status: u16,
    took: Duration,
    method: Method,
    path: String,
    headers: HeaderMap,
    body: Bytes,
}

impl Entry {
    /// The delivery that a report is about: a genuine one, or by choice one whose body was read and that is not.
    pub(super) fn of(report: &Report<'_>, forged: bool) -> Option<Self> {
        let (genuine, rejection, secret_name) = match &report.story {
            Story::Genuine { delivery, .. } => (Some(true), None, Some(delivery.proof.secret.clone())),
            Story::Refused(Some(rejection)) if forged => (Some(false), Some(rejection.name()), None),
            Story::Trouble(Trouble::Gate(_)) if forged => (None, None, None),
            _ => return None,
        };
        let received = report.received;
        if genuine != Some(true) && received.body.is_empty() {
            return None;
        }
        Some(Entry {
            received_at: SystemTime::now().checked_sub(report.took)?,
            source: report.place.map(|place| place.name().to_owned()),
            secret_name,
            genuine,
            rejection,
            status: report.status.as_u16(),
            took: report.took,
            method: received.method.clone(),
            path: received.path().to_owned(),
            headers: received.headers.clone(),
            body: received.body.clone(),
        })
    }

    /// Bytes that it holds: of its body, and of its headers as they were sent.
    pub(super) fn size(&self) -> usize {
        let headers = self.headers.iter().map(|(name, value)| name.as_str().len().saturating_add(value.len()));
        headers.fold(self.body.len(), usize::saturating_add)
    }

    /// The line, with its end.
    pub(super) fn line(&self, form: &Form) -> Vec<u8> {
        let redacted = form.redactor.as_ref().map(|redactor| redactor.body(&self.body).unwrap_or_default());
        let keep_signatures = form.signatures && redacted.is_none();
        let left_out = SIGNATURES.into_iter().filter(|name| !keep_signatures && self.headers.contains_key(*name));
        let body = redacted.as_deref().unwrap_or(&self.body);
        let (body, body_base64) = match std::str::from_utf8(body) {
            Ok(text) => (Some(text), None),
            Err(_) => (None, Some(STANDARD.encode(body))),
        };
        let line = Line {
            received_at: Timestamp::try_from(self.received_at).ok(),
            source: self.source.as_deref(),
            secret_name: self.secret_name.as_deref(),
            genuine: self.genuine,
            rejection: self.rejection,
            status: self.status,
            took_ms: self.took.as_micros() as f64 / 1000.0,
            method: self.method.as_str(),
            path: &self.path,
            headers: Headers { of: &self.headers, form, keep_signatures },
            signatures_left_out: left_out.collect(),
            redacted: redacted.is_some(),
            body,
            body_base64,
        };
        // Writing to memory cannot fail, and nothing here is no JSON.
        let mut line = serde_json::to_vec(&line).unwrap_or_default();
        line.push(b'\n');
        line
    }
}

#[derive(Serialize)]
struct Line<'a> {
    received_at: Option<Timestamp>,
    source: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret_name: Option<&'a str>,
    genuine: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rejection: Option<&'static str>,
    status: u16,
    took_ms: f64,
    method: &'a str,
    path: &'a str,
    headers: Headers<'a>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    signatures_left_out: Vec<&'static str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    redacted: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body_base64: Option<String>,
}

/// A map from each name to its value, or to a list of its values.
struct Headers<'a> {
    of: &'a HeaderMap,
    form: &'a Form,
    keep_signatures: bool,
}

impl Headers<'_> {
    fn keeps(&self, name: &HeaderName) -> bool {
        if SIGNATURES.contains(&name.as_str()) {
            return self.keep_signatures;
        }
        if self.form.redactor.is_some() {
            WEBHOOK.contains(&name.as_str())
        } else {
            self.form.all_headers || !is_private(name)
        }
    }

    fn value(&self, name: &HeaderName, value: &[u8]) -> Value {
        let text = std::str::from_utf8(value);
        match (text, &self.form.redactor) {
            (Ok(text), Some(redactor)) if name == IDEMPOTENCY_KEY => Value::Text(redactor.key(text).into_owned()),
            (Ok(text), _) => Value::Text(text.to_owned()),
            (Err(_), _) => Value::Bytes { base64: STANDARD.encode(value) },
        }
    }
}

impl Serialize for Headers<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let names = self.of.keys().filter(|name| self.keeps(name));
        serializer.collect_map(names.map(|name| {
            let mut values: Vec<_> =
                self.of.get_all(name).iter().map(|value| self.value(name, value.as_bytes())).collect();
            let only = if values.len() == 1 { values.pop() } else { None };
            (name.as_str(), only.map_or(Values::Many(values), Values::One))
        }))
    }
}

#[derive(Serialize)]
#[serde(untagged)]
enum Values {
    One(Value),
    Many(Vec<Value>),
}

/// Text, or what is none.
#[derive(Serialize)]
#[serde(untagged)]
enum Value {
    Text(String),
    Bytes { base64: String },
}

const IDEMPOTENCY_KEY: &str = "x-idempotency-key";

/// The headers of a webhook, as Kapso's documentation lists them; all others are the receiver's own or of proxies.
const WEBHOOK: [&str; 6] = [
    "content-type",
    "x-webhook-event",
    "x-webhook-payload-version",
    "x-webhook-batch",
    "x-batch-size",
    IDEMPOTENCY_KEY,
];

/// Whether a header carries credentials, by what it is called, or was added by a proxy.
fn is_private(name: &HeaderName) -> bool {
    const PARTS: [&str; 7] = ["auth", "token", "secret", "password", "api-key", "apikey", "credential"];
    const BEGINNINGS: [&str; 4] = ["proxy-", "x-forwarded-", "x-real-ip", "cf-"];
    [AUTHORIZATION, COOKIE, SET_COOKIE, FORWARDED, VIA].contains(name)
        || PARTS.iter().any(|part| name.as_str().contains(part))
        || BEGINNINGS.iter().any(|beginning| name.as_str().starts_with(beginning))
}

impl Redactor {
    /// An idempotency key: Kapso makes them at random, but that of a Meta forward is a digest of its body.
    fn key<'a>(&self, key: &'a str) -> Cow<'a, str> {
        if uuid::Uuid::try_parse(key).is_ok() { Cow::Borrowed(key) } else { Cow::Owned(self.pseudonym(key)) }
    }
}
