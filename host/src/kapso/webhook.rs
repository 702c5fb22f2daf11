//! Webhooks: what is registered, and what can be asked for.

use std::collections::BTreeMap;
use std::fmt;

use http::{HeaderName, HeaderValue, Method};
use reqwest::Url;
use serde_json::{Map, Value, json};

use super::catalogue::{self, PayloadVersion};
use super::client::{Api, Call, Client};
use super::error::Error;
use super::key::SecretKey;
use crate::client::is_here;

/// What takes the place of a value that is not shown.
pub const HIDDEN: &str = "(hidden)";

/// Whose events a webhook gets.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// The project's: connections, enforcement, workflows, agents.
    Project,
    /// One number's: messages, conversations, contacts. Known by the id that Meta gave it; to the legacy API, by the
    /// `whatsapp_config_id`.
    Number(String),
}

impl Scope {
    /// The number, if it is one's.
    pub fn number(&self) -> Option<&str> {
        match self {
            Self::Project => None,
            Self::Number(number) => Some(number),
        }
    }
}

/// Of a number, or of none.
impl From<Option<String>> for Scope {
    fn from(number: Option<String>) -> Self {
        number.map_or(Self::Project, Self::Number)
    }
}

/// What is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, clap::ValueEnum)]
pub enum Kind {
    /// The events asked for, in Kapso's own shape.
    #[default]
    Kapso,
    /// Everything that Meta sends for a number, in Meta's shape.
    Meta,
}

impl Kind {
    /// As Kapso writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kapso => "kapso",
            Self::Meta => "meta",
        }
    }
}

/// A webhook as Kapso has it, with all fields that it sent, known or not. `Debug` shows no secret.
///
/// Fields: "Webhooks" in the reference of Kapso's Platform API.
#[derive(Clone, PartialEq)]
pub struct Webhook {
    fields: Map<String, Value>,
}

impl Webhook {
    /// The webhook that these fields are of.
    pub fn new(fields: Map<String, Value>) -> Self {
        Self { fields }
    }

    /// Its id; empty if Kapso sent none.
    pub fn id(&self) -> &str {
        self.text("id").unwrap_or_default()
    }

    /// Where deliveries go.
    pub fn url(&self) -> &str {
        self.text("url").unwrap_or_default()
    }

    /// Its kind as Kapso wrote it. Old answers do not have it: then it is `kapso`.
    pub fn kind(&self) -> &str {
        self.text("kind").unwrap_or(Kind::Kapso.name())
    }

    /// The events that it asks for; none of a Meta webhook.
    pub fn events(&self) -> Vec<&str> {
        let events = self.fields.get("events").and_then(Value::as_array);
        events.into_iter().flatten().filter_map(Value::as_str).collect()
    }

    /// Whether deliveries are sent. Kapso pauses a webhook that fails too often, and does not resume it by itself.
    pub fn is_active(&self) -> bool {
        self.fields.get("active").and_then(Value::as_bool).unwrap_or(true)
    }

    /// Whose events it gets.
    pub fn scope(&self) -> Scope {
        self.text("phone_number_id").or_else(|| self.text("whatsapp_config_id")).map(str::to_owned).into()
    }

    /// What deliveries are signed with.
    pub fn secret_key(&self) -> Option<SecretKey> {
        self.text("secret_key").map(SecretKey::from)
    }

    /// A field's text.
    pub fn text(&self, field: &str) -> Option<&str> {
        self.fields.get(field).and_then(Value::as_str).filter(|text| !text.is_empty())
    }

    /// All fields, secret and all.
    pub fn fields(&self) -> &Map<String, Value> {
        &self.fields
    }

    /// All fields, with [`HIDDEN`] for the secret and the values of custom headers, which are often tokens.
    pub fn without_secrets(&self) -> Map<String, Value> {
        let mut fields = self.fields.clone();
        if let Some(secret) = fields.get_mut("secret_key").filter(|secret| !secret.is_null()) {
            *secret = HIDDEN.into();
        }
        match fields.get_mut("headers") {
            Some(Value::Object(headers)) => headers.values_mut().for_each(|value| *value = HIDDEN.into()),
            Some(headers) if !headers.is_null() => *headers = HIDDEN.into(),
            _ => {}
        }
        fields
    }
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Webhook").field(&self.without_secrets()).finish()
    }
}

/// How received messages are collected into batches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Buffer {
    /// Whether they are.
    pub enabled: Option<bool>,
    /// How long a batch waits for more, in seconds: 1 to 60; Kapso's default is 5.
    pub window_seconds: Option<u32>,
    /// The most messages in a batch: 1 to 100; Kapso's default is 50.
    pub max_size: Option<u32>,
    /// The events collected; only `whatsapp.message.received` can be.
    pub events: Option<Vec<String>>,
}

/// What a webhook is to be. At creation `url` and `secret_key` are needed, and `events` unless it forwards Meta's; in a change,
/// what is none stays as it is. `Debug` shows no secret.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// Where deliveries go: HTTPS.
    pub url: Option<String>,
    /// What is sent; fixed at creation.
    pub kind: Option<Kind>,
    /// The events asked for.
    pub events: Option<Vec<String>>,
    /// What deliveries are signed with.
    pub secret_key: Option<SecretKey>,
    /// Whether deliveries are sent.
    pub active: Option<bool>,
    /// Headers that each delivery has besides Kapso's own; they are not signed.
    pub headers: Option<BTreeMap<String, String>>,
    /// Batches.
    pub buffer: Buffer,
    /// After how many minutes without a message `whatsapp.conversation.inactive` is sent: 1 to 1440; Kapso's default is 60.
    pub inactivity_minutes: Option<u32>,
    /// The shape of bodies.
    pub payload_version: Option<PayloadVersion>,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Settings").field(&Webhook::new(self.fields()).without_secrets()).finish()
    }
}

impl Settings {
    /// The fields as Kapso names them, those that are there.
    pub fn fields(&self) -> Map<String, Value> {
        let buffer = &self.buffer;
        let fields = [
            ("url", self.url.as_ref().map(|url| json!(url))),
            ("kind", self.kind.filter(|kind| *kind != Kind::Kapso).map(|kind| json!(kind.name()))),
            ("events", self.events.as_ref().map(|events| json!(events))),
            ("secret_key", self.secret_key.as_ref().map(|secret| json!(secret.expose()))),
            ("active", self.active.map(Value::from)),
            ("headers", self.headers.as_ref().map(|headers| json!(headers))),
            ("buffer_enabled", buffer.enabled.map(Value::from)),
            ("buffer_window_seconds", buffer.window_seconds.map(Value::from)),
            ("max_buffer_size", buffer.max_size.map(Value::from)),
            ("buffer_events", buffer.events.as_ref().map(|events| json!(events))),
            ("inactivity_minutes", self.inactivity_minutes.map(Value::from)),
            ("payload_version", self.payload_version.map(|version| json!(version.name()))),
        ];
        fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
    }

    /// What is wrong with a new webhook of this scope, as sentences; Kapso would refuse it.
    pub fn problems(&self, scope: &Scope, names: Names) -> Vec<String> {
        let kind = self.kind.unwrap_or_default();
        let mut problems = self.problems_of_change(scope, kind.name(), names);
        if self.url.is_none() {
            problems.push("a webhook needs a URL".into());
        }
        if self.secret_key.is_none() {
            problems.push("a webhook needs a secret: Kapso makes none".into());
        }
        if kind == Kind::Kapso && self.events.as_ref().is_none_or(Vec::is_empty) {
            problems.push("a webhook needs at least one event".into());
        }
        if kind == Kind::Meta && *scope == Scope::Project {
            problems.push("a webhook of kind meta belongs to a phone number: say which".into());
        }
        problems
    }

    /// What is wrong with changing a webhook of this scope and kind so, as sentences.
    pub fn problems_of_change(&self, scope: &Scope, kind: &str, names: Names) -> Vec<String> {
        let meta = kind == Kind::Meta.name();
        let mut problems = Vec::new();
        problems.extend(self.url.as_deref().and_then(url_problem));
        for event in self.events.iter().flatten() {
            problems.extend(if meta {
                Some(format!("{event}: a webhook of kind meta gets whatever Meta sends and takes no events"))
            } else {
                event_problem(event, scope, names)
            });
        }
        if self.secret_key.as_ref().is_some_and(|secret| secret.expose().is_empty()) {
            problems.push("the secret is empty".into());
        }
        for (name, value) in self.headers.iter().flatten() {
            if HeaderName::try_from(name).is_err() || HeaderValue::try_from(value).is_err() {
                problems.push(format!("{name:?} cannot be a header, or its value not a header's"));
            }
        }
        problems.extend(self.buffer.problems(meta));
        if let Some(minutes) = self.inactivity_minutes.filter(|minutes| !(1..=1440).contains(minutes)) {
            problems.push(format!("inactivity minutes are 1 to 1440, not {minutes}"));
        }
        if meta && self.payload_version.is_some() {
            problems.push("a webhook of kind meta has Meta's payload, which has no version".into());
        }
        problems
    }
}

impl Buffer {
    fn problems(&self, meta: bool) -> Vec<String> {
        let mut problems = Vec::new();
        let wanted = Self { enabled: self.enabled.filter(|enabled| *enabled), ..self.clone() };
        if meta && wanted != Self::default() {
            problems.push("a webhook of kind meta cannot buffer".into());
        }
        if let Some(seconds) = self.window_seconds.filter(|seconds| !(1..=60).contains(seconds)) {
            problems.push(format!("the buffer's window is 1 to 60 seconds, not {seconds}"));
        }
        if let Some(size) = self.max_size.filter(|size| !(1..=100).contains(size)) {
            problems.push(format!("the buffer's size is 1 to 100 messages, not {size}"));
        }
        let bufferable = |event: &str| catalogue::find(event).is_some_and(|event| event.bufferable);
        for event in self.events.iter().flatten().filter(|event| !bufferable(event)) {
            problems.push(format!("{event} cannot be buffered: only whatsapp.message.received can"));
        }
        problems
    }
}

/// Which names of events are taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Names {
    /// Those of the [`catalogue`].
    #[default]
    Known,
    /// Any, for events younger than the catalogue.
    Any,
}

fn event_problem(name: &str, scope: &Scope, names: Names) -> Option<String> {
    let Some(event) = catalogue::find(name) else {
        if names == Names::Any {
            return None;
        }
        let hint = match catalogue::suggest(name) {
            Some(meant) => format!(". Did you mean {meant}?"),
            None => "; `hookgate webhooks events` lists those there are".into(),
        };
        return Some(format!("{name:?} is no event{hint}"));
    };
    match (event.scope, scope) {
        (catalogue::Scope::PhoneNumber, Scope::Project) => {
            Some(format!("{name} is sent to webhooks of a phone number, not of the project: say which number"))
        }
        (catalogue::Scope::Project, Scope::Number(_)) => {
            Some(format!("{name} is sent to webhooks of the project, not of a phone number"))
        }
        _ => None,
    }
}

fn url_problem(text: &str) -> Option<String> {
    let url = Url::parse(text);
    if url.as_ref().is_ok_and(|url| !url.username().is_empty() || url.password().is_some()) {
        return Some("the URL holds user information: use a custom header".into());
    }
    let problem = match url {
        Err(error) => format!("is no URL: {error}"),
        Ok(url) if url.scheme() != "https" => "is not HTTPS, and Kapso sends nowhere else".into(),
        Ok(url) if url.host_str().is_none_or(is_here) => "is this machine, which Kapso cannot reach".into(),
        Ok(url) if url.fragment().is_some() => "has a fragment, which is never sent".into(),
        Ok(_) => return None,
    };
    Some(format!("{text} {problem}"))
}

/// The calls. "Webhooks" in the reference of Kapso's Platform API.
impl Client {
    /// All webhooks of a scope. [`Scope::Project`] has those of its numbers as well: the [`Webhook::scope`] of each tells.
    ///
    /// # Errors
    /// The call failed.
    pub async fn webhooks(&self, scope: &Scope) -> Result<Vec<Webhook>, Error> {
        let found = self.pages(&self.collection(scope), &[]).await?;
        Ok(found.into_iter().map(Webhook::new).collect())
    }

    /// One webhook.
    ///
    /// # Errors
    /// The call failed.
    pub async fn webhook(&self, scope: &Scope, id: &str) -> Result<Webhook, Error> {
        let path = self.item(scope, id);
        let call = Call::get(&path, &[]);
        self.data(&call).await.map(Webhook::new)
    }

    /// Registers a webhook. [`Settings::problems`] says beforehand what Kapso would refuse.
    ///
    /// # Errors
    /// The call failed.
    pub async fn create_webhook(&self, scope: &Scope, settings: &Settings) -> Result<Webhook, Error> {
        let mut fields = settings.fields();
        let mut path = self.collection(scope);
        if let (Api::Legacy, Scope::Number(id)) = (self.api(), scope) {
            fields.insert("whatsapp_config_id".into(), json!(id));
            path = self.collection(&Scope::Project);
        }
        let body = json!({"whatsapp_webhook": fields});
        let call = Call::with_body(Method::POST, &path, &body);
        self.data(&call).await.map(Webhook::new)
    }

    /// Changes a webhook. None where Kapso answers without saying what became of it, which is a success too.
    ///
    /// # Errors
    /// The call failed.
    pub async fn update_webhook(&self, scope: &Scope, id: &str, settings: &Settings) -> Result<Option<Webhook>, Error> {
        let body = json!({"whatsapp_webhook": settings.fields()});
        let changed = self.data_if_any(&Call::with_body(Method::PATCH, &self.item(scope, id), &body)).await?;
        Ok(changed.map(Webhook::new))
    }

    /// Removes a webhook.
    ///
    /// # Errors
    /// The call failed.
    pub async fn delete_webhook(&self, scope: &Scope, id: &str) -> Result<(), Error> {
        self.call(&Call::delete(&self.item(scope, id))).await.map(drop)
    }

    /// Has Kapso send a test delivery: of this event, which the webhook must ask for, or of one that Kapso chooses.
    ///
    /// # Errors
    /// The call failed.
    pub async fn test_webhook(&self, id: &str, event: Option<&str>) -> Result<(), Error> {
        let mut path = self.item(&Scope::Project, id);
        path.push("test");
        let body = event.map_or_else(|| json!({}), |event| json!({"event_type": event}));
        self.call(&Call::with_body(Method::POST, &path, &body)).await.map(drop)
    }

    fn collection<'a>(&self, scope: &'a Scope) -> Vec<&'a str> {
        match (self.api(), scope) {
            (Api::Platform, Scope::Project) => vec!["whatsapp", "webhooks"],
            (Api::Platform, Scope::Number(id)) => vec!["whatsapp", "phone_numbers", id, "webhooks"],
            (Api::Legacy, Scope::Project) => vec!["whatsapp_webhooks"],
            (Api::Legacy, Scope::Number(id)) => vec!["whatsapp_configs", id, "whatsapp_webhooks"],
        }
    }

    fn item<'a>(&self, scope: &'a Scope, id: &'a str) -> Vec<&'a str> {
        let mut path = self.collection(scope);
        path.push(id);
        path
    }
}

#[cfg(test)]
mod tests;
