//! The event's name and kind, from the header, which is not signed, and the body, which is.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::item::Item;
use crate::event::{Contradiction, Kind, NameOrigin, Text};
use crate::http::{self, Header, UNCLEAR};
use crate::json::same;

/// What the headers say; none of it is signed.
pub(super) struct Claims<'a> {
    pub(super) event: Option<&'a str>,
    pub(super) version: Option<&'a str>,
    batch: Option<&'a str>,
    batch_size: Option<&'a str>,
}

impl<'a> Claims<'a> {
    pub(super) fn read(headers: &[Header<'a>]) -> Self {
        Self {
            event: http::text(headers, http::EVENT),
            version: http::text(headers, http::PAYLOAD_VERSION),
            batch: http::text(headers, http::BATCH),
            batch_size: http::text(headers, http::BATCH_SIZE),
        }
    }

    pub(super) fn is_batch(&self) -> bool {
        self.batch.is_some_and(|flag| flag.eq_ignore_ascii_case("true"))
    }
}

/// What the headers and the body say together.
pub(super) struct Resolved<'a> {
    pub(super) name: Option<Text<'a>>,
    pub(super) origin: NameOrigin,
    pub(super) kind: Kind,
    pub(super) version: Option<Text<'a>>,
    pub(super) contradictions: Vec<Contradiction>,
}

/// The names of message events, whose meaning the body repeats as direction and status.
const MESSAGE_EVENTS: [&str; 5] = [
    "whatsapp.message.received",
    "whatsapp.message.sent",
    "whatsapp.message.delivered",
    "whatsapp.message.read",
    "whatsapp.message.failed",
];

/// Names a delivery of Kapso's own. `signed` is the name that the body states, `first` its first item.
pub(super) fn resolve<'a>(claims: &Claims<'a>, signed: Option<Text<'a>>, first: &Item<'a>) -> Resolved<'a> {
    let mut contradictions = Vec::new();
    let implied = first.implied_name();
    // Events' names have dots. A word without one says less than the direction and status of a message, which are signed as well.
    let signed = signed.filter(|signed| implied.is_none() || signed.as_bytes().contains(&b'.'));
    let (name, origin) = match (claims.event, signed, implied) {
        (claimed, Some(signed), _) => {
            if let Some(claimed) = claimed.filter(|claimed| *claimed != signed) {
                contradictions.push(contradiction(http::EVENT, claimed, &signed));
            }
            (Some(signed), NameOrigin::Body)
        }
        (Some(claimed), None, Some(implied)) if !same(claimed, implied) && body_repeats(claimed) => {
            contradictions.push(contradiction(http::EVENT, claimed, implied));
            (Some(Text::Borrowed(implied)), NameOrigin::Body)
        }
        (Some(claimed), None, None) if claimed == UNCLEAR || denies(first, claimed) => {
            contradictions.push(contradiction(http::EVENT, claimed, "another kind of event"));
            (None, NameOrigin::None)
        }
        (Some(claimed), None, _) => (Some(Text::Borrowed(claimed)), NameOrigin::Header),
        (None, None, Some(implied)) => (Some(Text::Borrowed(implied)), NameOrigin::Body),
        (None, None, None) => (None, NameOrigin::None),
    };
    let kind = name.as_deref().map_or_else(|| first.implied_kind().unwrap_or(Kind::Unknown), kind_of);
    Resolved { name, origin, kind, version: None, contradictions }
}

/// Whether a body that implies no name cannot be of this one. Who reads the header may not ask for its case.
fn denies(first: &Item<'_>, name: &str) -> bool {
    let name = &*name.to_ascii_lowercase();
    first.contradicts(name, kind_of(name))
}

/// Whether a body with a message in it would bear the name out.
fn body_repeats(name: &str) -> bool {
    let name = &*name.to_ascii_lowercase();
    name == UNCLEAR || MESSAGE_EVENTS.contains(&name) || is_without_message(name)
}

/// Whether payloads of this name hold no message.
pub(super) fn is_without_message(name: &str) -> bool {
    kind_of(name) == Kind::Project
        || ["whatsapp.conversation.", "whatsapp.contact."].iter().any(|family| name.starts_with(family))
}

/// The kind of webhook that sends events of this name: by prefix, never by a closed list.
fn kind_of(name: &str) -> Kind {
    const WHATSAPP: [&str; 4] =
        ["whatsapp.message.", "whatsapp.conversation.", "whatsapp.contact.", "whatsapp.meta_business_agent."];
    const PROJECT: [&str; 8] = [
        "whatsapp.phone_number.",
        "whatsapp.config.",
        "whatsapp.account.",
        "workflow.",
        "project.",
        "kapso_agent.",
        "agent.",
        "agent_execution_",
    ];
    if WHATSAPP.iter().any(|prefix| name.starts_with(prefix)) {
        Kind::Whatsapp
    } else if PROJECT.iter().any(|prefix| name.starts_with(prefix)) {
        Kind::Project
    } else {
        Kind::Unknown
    }
}

impl<'a> Resolved<'a> {
    /// Takes the version that the shape shows, else the one that the header claims.
    pub(super) fn check_version(&mut self, claims: &Claims<'a>, shape: Option<&'static str>) {
        if let Some(claimed) = claims.version
            && shape.map_or(claimed == UNCLEAR, |shape| claimed != shape)
        {
            self.contradictions.push(contradiction(http::PAYLOAD_VERSION, claimed, shape.unwrap_or("nothing of it")));
        }
        self.version = shape.or(claims.version.filter(|claimed| *claimed != UNCLEAR)).map(Text::Borrowed);
    }
}

/// Compares the batch headers with the number of items, none if the body is no batch.
pub(super) fn check_batch(contradictions: &mut Vec<Contradiction>, claims: &Claims<'_>, items: Option<usize>) {
    let (flag, size) = match items {
        Some(items) => ("true", items.to_string()),
        None => ("not a batch", "not a batch".to_string()),
    };
    let is_right = |claimed| claimed != UNCLEAR && claims.is_batch() == items.is_some();
    if let Some(claimed) = claims.batch.filter(|claimed| !is_right(*claimed)) {
        contradictions.push(contradiction(http::BATCH, claimed, flag));
    }
    if let Some(claimed) = claims.batch_size.filter(|claimed| *claimed != size) {
        contradictions.push(contradiction(http::BATCH_SIZE, claimed, &size));
    }
}

pub(super) fn contradiction(header: &'static str, claimed: &str, actual: &str) -> Contradiction {
    Contradiction { header, claimed: printable(claimed), actual: printable(actual) }
}

/// Text that can stand in a log line: cut to 128 characters, control characters replaced.
pub fn printable(text: &str) -> String {
    text.chars().take(128).map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}
