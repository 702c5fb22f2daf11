//! A delivery as it goes over the wire.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use super::compose::Webhook;
use super::compose::{Composed, Form, Signature};
use super::sign::{Signer, Signers};
use crate::kapso::catalogue::PayloadVersion;

pub(crate) const SIGNATURE: &str = "X-Webhook-Signature";
pub(crate) const HUB_SIGNATURE: &str = "X-Hub-Signature-256";
pub(crate) const EVENT: &str = "X-Webhook-Event";
pub(crate) const KEY: &str = "X-Idempotency-Key";

/// Headers in order, and the body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Bytes,
}

impl Written {
    /// A composed delivery with its headers and its signature.
    pub(crate) fn signed(composed: &Composed, signers: &Signers) -> Self {
        let (name, value) = signature(composed, signer(composed, signers), &composed.body);
        let mut written = Self::unsigned(composed);
        written.headers.insert(1, (name, value));
        written
    }

    /// One item of a batch by itself, under a key of its own, as Kapso sends it when it has given the batch up.
    pub(crate) fn single(composed: &Composed, item: Bytes, key: String, signers: &Signers) -> Self {
        let single = Composed { body: item, key, items: 1, ..composed.clone() };
        let mut written = Self::signed(&single, signers);
        written.headers.retain(|(name, _)| !matches!(*name, "X-Webhook-Batch" | "X-Batch-Size"));
        written
    }

    pub(crate) fn unsigned(composed: &Composed) -> Self {
        let mut headers = vec![("Content-Type", "application/json".to_owned())];
        headers.extend(composed.form.name().map(|name| (EVENT, name.to_owned())));
        headers.push((KEY, composed.key.clone()));
        headers.extend(version(composed.form).map(|version| ("X-Webhook-Payload-Version", version.name().to_owned())));
        if let Form::Batch(_) = composed.form {
            headers.push(("X-Webhook-Batch", "true".to_owned()));
            headers.push(("X-Batch-Size", composed.items.to_string()));
        }
        Self { headers, body: composed.body.clone() }
    }

    /// With another value for a header that is there.
    #[must_use]
    pub(crate) fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        if let Some((_, old)) = self.headers.iter_mut().find(|(header, _)| *header == name) {
            *old = value.into();
        }
        self
    }

    /// The headers, for an HTTP client. A value that HTTP cannot carry is left out; none that is made here is such.
    pub(crate) fn header_map(&self) -> HeaderMap {
        let headers = self.headers.iter();
        headers
            .filter_map(|(name, value)| Some((name.parse::<HeaderName>().ok()?, HeaderValue::try_from(value).ok()?)))
            .fold(HeaderMap::new(), |mut headers, (name, value)| {
                headers.append(name, value);
                headers
            })
    }
}

/// The old agents product said no version.
fn version(form: Form) -> Option<PayloadVersion> {
    match form {
        Form::Event(_, version) => Some(version),
        Form::Batch(_) | Form::Test(_) => Some(PayloadVersion::V2),
        Form::LegacyAgent(_) | Form::Meta(_) => None,
    }
}

/// Whose secret signs a delivery.
pub(crate) fn signer<'s>(composed: &Composed, signers: &'s Signers) -> &'s Signer {
    match (composed.webhook, composed.form) {
        (Webhook::Meta(number), Form::Meta(Signature::Hub)) => signers.app(number),
        (Webhook::Number(number) | Webhook::Meta(number), _) => signers.number(number),
        (Webhook::Project, _) => signers.project(),
    }
}

/// The header that carries a signature, and the signature of `body` in it.
pub(crate) fn signature(composed: &Composed, signer: &Signer, body: &[u8]) -> (&'static str, String) {
    spelt(composed, &signer.sign(body))
}

/// The header that carries a signature, and these digits as it spells them.
pub(crate) fn spelt(composed: &Composed, digits: &str) -> (&'static str, String) {
    match composed.form {
        Form::Meta(Signature::Hub) => (HUB_SIGNATURE, format!("sha256={digits}")),
        _ => (SIGNATURE, digits.to_owned()),
    }
}

/// A line for `--dry-run`, in the form that the other commands read.
#[derive(Serialize)]
pub(crate) struct Line<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<&'a str>,
    #[serde(serialize_with = "by_name")]
    headers: &'a [(&'static str, String)],
    body: &'a str,
}

impl<'a> Line<'a> {
    /// None of a body that is no text; every body that is made here is text.
    pub(crate) fn new(written: &'a Written, path: Option<&'a str>) -> Option<Self> {
        let body = std::str::from_utf8(&written.body).ok()?;
        Some(Self { path, headers: &written.headers, body })
    }
}

/// A header that is there twice has a list.
fn by_name<S: Serializer>(headers: &[(&'static str, String)], serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(None)?;
    for (at, (name, value)) in headers.iter().enumerate() {
        let values: Vec<_> = headers.iter().filter(|(other, _)| other == name).map(|(_, value)| value).collect();
        if values.len() == 1 {
            map.serialize_entry(name, value)?;
        } else if headers.iter().position(|(other, _)| other == name) == Some(at) {
            map.serialize_entry(name, &values)?;
        }
    }
    map.end()
}
