//! Calls.

use std::collections::HashSet;
use std::fmt;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use http::{HeaderMap, Method, StatusCode, header};
use reqwest::{Response, Url};
use serde_json::{Map, Value};

use super::error::{ConfigError, Error, Reason};
use super::key::ApiKey;
use super::retry::retried;
use crate::client::is_here;
use crate::printable::clean_to;

/// What is read of an answer at the most.
const ANSWER_BYTES: usize = 32 << 20;
/// What is shown of what the other side says of an error.
const MESSAGE_CHARS: usize = 600;
/// The largest page there is.
const PER_PAGE: u32 = 100;
/// A list of more than this is a list gone wrong.
const MAX_PAGES: u32 = 1000;
/// The shape of most answers.
const DATA: &str = r#"{"data": {…}}"#;

/// Which of Kapso's APIs is called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Api {
    /// The Platform API: `https://api.kapso.ai/platform/v1`.
    #[default]
    Platform,
    /// The API before it, `https://app.kapso.ai/api/v1`, where numbers are known by a `whatsapp_config_id`.
    Legacy,
}

impl Api {
    /// Where it is, unless told otherwise.
    pub fn url(self) -> &'static str {
        match self {
            Self::Platform => "https://api.kapso.ai/platform/v1",
            Self::Legacy => "https://app.kapso.ai/api/v1",
        }
    }

    /// The path that a URL without one gets.
    fn path(self) -> &'static str {
        match self {
            Self::Platform => "/platform/v1",
            Self::Legacy => "/api/v1",
        }
    }
}

/// How Kapso is called.
#[derive(Clone, Debug)]
pub struct Options {
    /// Which API.
    pub api: Api,
    /// Where it is; with a host alone, the API's path is added. HTTPS, or HTTP on this machine. None: where Kapso has it.
    pub url: Option<String>,
    /// How long one try of a call may take, answer included.
    pub timeout: Duration,
    /// A PEM file of authorities that the API's certificate is checked against besides the system's.
    pub extra_ca: Option<PathBuf>,
    /// Is told before a failed call is tried again, and after how long.
    pub waiting: fn(&Error, Duration),
}

impl Default for Options {
    fn default() -> Self {
        Self {
            api: Api::default(),
            url: None,
            timeout: Duration::from_secs(30),
            extra_ca: None,
            waiting: |error, wait| tracing::warn!(%error, wait_ms = wait.as_millis(), "trying again"),
        }
    }
}

/// A client of one project. Clones share its connections. `Debug` does not show the key.
///
/// Calls that only look are tried again after a failure that may pass (no connection, no answer, 429, 5xx), up to four times
/// in all; calls that change something only where Kapso surely did not carry them out (no connection, 429). `Retry-After` is
/// kept to. Redirects are not followed.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    base: Url,
    key: ApiKey,
    api: Api,
    timeout: Duration,
    waiting: fn(&Error, Duration),
}

impl Client {
    /// SHA-256 of its API key in hexadecimal, by which programs can tell keys apart without keeping them.
    pub fn key_sha256(&self) -> String {
        self.key.sha256()
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("base", &self.base.as_str()).field("api", &self.api).finish_non_exhaustive()
    }
}

/// One call.
pub(super) struct Call<'a> {
    pub(super) method: Method,
    pub(super) path: &'a [&'a str],
    pub(super) query: &'a [(&'a str, String)],
    pub(super) body: Option<&'a Value>,
}

impl<'a> Call<'a> {
    pub(super) fn get(path: &'a [&'a str], query: &'a [(&'a str, String)]) -> Self {
        Self { method: Method::GET, path, query, body: None }
    }

    pub(super) fn with_body(method: Method, path: &'a [&'a str], body: &'a Value) -> Self {
        Self { method, path, query: &[], body: Some(body) }
    }

    pub(super) fn delete(path: &'a [&'a str]) -> Self {
        Self { method: Method::DELETE, path, query: &[], body: None }
    }

    pub(super) fn failed(&self, reason: Reason) -> Error {
        // An answer of success that cannot be read is one of success.
        let unclear = matches!(
            reason,
            Reason::TimedOut(_)
                | Reason::BrokenOff(_)
                | Reason::Failed { .. }
                | Reason::NotJson(_)
                | Reason::Shape(_)
                | Reason::TooLong(_)
        );
        let unsure = unclear && !self.method.is_safe();
        Error { call: format!("{} /{}", self.method, self.path.join("/")), reason, unsure }
    }
}

impl Client {
    /// A client with this key.
    ///
    /// # Errors
    /// The URL is none that a key may be sent to, or the file of authorities cannot be used.
    pub fn new(key: ApiKey, options: &Options) -> Result<Self, ConfigError> {
        let base = base(options.url.as_deref().unwrap_or(options.api.url()), options.api)?;
        let mut http = crate::client::builder(options.extra_ca.as_ref())?.timeout(options.timeout);
        if base.scheme() == "http" {
            // What is on this machine stays on it.
            http = http.no_proxy();
        }
        let http = http.build().map_err(|error| ConfigError::Http(causes(&error)))?;
        Ok(Self { http, base, key, api: options.api, timeout: options.timeout, waiting: options.waiting })
    }

    /// Which API it calls.
    pub fn api(&self) -> Api {
        self.api
    }

    /// Makes a call, with tries as the type's documentation says. None is an answer without a body.
    pub(super) async fn call(&self, call: &Call<'_>) -> Result<Option<Value>, Error> {
        retried(call.method.is_safe(), self.waiting, || self.attempt(call)).await
    }

    /// Makes a call whose answer is `{"data": …}`.
    pub(super) async fn data(&self, call: &Call<'_>) -> Result<Map<String, Value>, Error> {
        self.data_if_any(call).await?.ok_or_else(|| call.failed(Reason::Shape(DATA)))
    }

    /// Makes a call whose answer is `{"data": …}`, or has no body.
    pub(super) async fn data_if_any(&self, call: &Call<'_>) -> Result<Option<Map<String, Value>>, Error> {
        let Some(mut answer) = self.call(call).await? else { return Ok(None) };
        match answer.get_mut("data").map(Value::take) {
            Some(Value::Object(data)) => Ok(Some(data)),
            _ => Err(call.failed(Reason::Shape(DATA))),
        }
    }

    /// All items of a list, page by page, each once.
    pub(super) async fn pages(
        &self,
        path: &[&str],
        query: &[(&str, String)],
    ) -> Result<Vec<Map<String, Value>>, Error> {
        let (mut items, mut seen) = (Vec::new(), HashSet::new());
        for page in 1..=MAX_PAGES {
            let mut query = query.to_vec();
            query.push(("page", page.to_string()));
            query.push(("per_page", PER_PAGE.to_string()));
            let call = Call::get(path, &query);
            let (found, answer) = self.list(&call).await?;
            let last = answer.get("meta").and_then(|meta| meta.get("total_pages")).and_then(Value::as_u64);
            let (is_empty, before) = (found.is_empty(), items.len());
            // What is made meanwhile moves others on to the next page, where they come again.
            items.extend(found.into_iter().filter(|item| seen.insert(identity(item))));
            // Where nobody says how many pages there are, one with nothing new is behind the last, or the whole list again: it
            // has no pages.
            let ends = last.map_or(items.len() == before, |last| is_empty || u64::from(page) >= last);
            if ends {
                return Ok(items);
            }
        }
        Err(Call::get(path, query).failed(Reason::TooManyPages(MAX_PAGES)))
    }

    /// One page of a list: the objects of `data`, and what stands beside it.
    pub(super) async fn list(&self, call: &Call<'_>) -> Result<(Vec<Map<String, Value>>, Map<String, Value>), Error> {
        let wrong = || call.failed(Reason::Shape(r#"{"data": [{…}, …]}"#));
        let Some(Value::Object(mut answer)) = self.call(call).await? else { return Err(wrong()) };
        let Some(Value::Array(data)) = answer.remove("data") else { return Err(wrong()) };
        let objects = data.into_iter().map(|item| match item {
            Value::Object(item) => Ok(item),
            _ => Err(wrong()),
        });
        Ok((objects.collect::<Result<_, _>>()?, answer))
    }

    async fn attempt(&self, call: &Call<'_>) -> Result<Option<Value>, Error> {
        let url = self.url(call.path).map_err(|id| call.failed(Reason::NotAnId(id)))?;
        let mut request = self
            .http
            .request(call.method.clone(), url)
            .header("X-API-Key", self.key.header())
            .header(header::ACCEPT, "application/json");
        if !call.query.is_empty() {
            request = request.query(call.query);
        }
        if let Some(body) = call.body {
            request = request.json(body);
        }
        let answer = request.send().await.map_err(|error| call.failed(self.reason(&error)))?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        // Of an error, what it says of itself is worth having, but no error of its own.
        let body = self.body(answer).await;
        if !status.is_success() {
            return Err(call.failed(self.refusal(status, &headers, &body.unwrap_or_default())));
        }
        let body = body.map_err(|reason| call.failed(reason))?;
        if body.is_empty() {
            return Ok(None);
        }
        let json = serde_json::from_slice(&body).map_err(|error| call.failed(Reason::NotJson(error.to_string())))?;
        Ok(Some(json))
    }

    /// The base with these segments, each of which is a word of ours or an id.
    fn url(&self, path: &[&str]) -> Result<Url, String> {
        if let Some(odd) = path.iter().find(|segment| !is_id(segment)) {
            return Err(clean_to(odd, 64));
        }
        let mut url = self.base.clone();
        match url.path_segments_mut() {
            Ok(mut segments) => drop(segments.pop_if_empty().extend(path)),
            Err(()) => return Err(self.base.to_string()),
        }
        Ok(url)
    }

    async fn body(&self, mut answer: Response) -> Result<Vec<u8>, Reason> {
        let mut body = Vec::new();
        while let Some(piece) = answer.chunk().await.map_err(|error| self.reason(&error))? {
            if body.len() + piece.len() > ANSWER_BYTES {
                return Err(Reason::TooLong(ANSWER_BYTES));
            }
            body.extend_from_slice(&piece);
        }
        Ok(body)
    }

    fn reason(&self, error: &reqwest::Error) -> Reason {
        // A connection that is not made in time is one that is not made.
        if error.is_connect() {
            Reason::Unreachable(self.shown(&causes(error)))
        } else if error.is_timeout() {
            Reason::TimedOut(self.timeout)
        } else {
            Reason::BrokenOff(self.shown(&causes(error)))
        }
    }

    fn refusal(&self, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Reason {
        let message = message(body).map(|message| self.shown(&message));
        let wait = headers.get(header::RETRY_AFTER).and_then(|value| wait(value.to_str().ok()?, SystemTime::now()));
        match status.as_u16() {
            401 => Reason::KeyRefused(message),
            402 => Reason::Unpaid(message),
            403 => Reason::Forbidden(message),
            404 => Reason::NotFound(message),
            status @ (400 | 409 | 422) => Reason::Refused(status, message),
            429 => Reason::TooMany { wait },
            status @ 300..400 => Reason::Redirected(status),
            status @ 500.. => Reason::Failed { status, message, wait },
            status => Reason::Unexpected(status, message),
        }
    }

    /// Text from the other side, fit to be shown.
    fn shown(&self, text: &str) -> String {
        clean_to(&self.key.hidden_in(text), MESSAGE_CHARS)
    }
}

/// Kapso's ids are UUIDs, numbers and words.
fn is_id(text: &str) -> bool {
    (1..=128).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

/// What tells an item of a list from the others.
fn identity(item: &Map<String, Value>) -> Value {
    item.get("id").filter(|id| !id.is_null()).cloned().unwrap_or_else(|| item.clone().into())
}

fn base(text: &str, api: Api) -> Result<Url, ConfigError> {
    let refused = |reason| Err(ConfigError::Url(reason));
    let Ok(mut url) = Url::parse(text) else { return refused("it is no URL") };
    match (url.scheme(), url.host_str()) {
        (_, None) => return refused("it has no host"),
        ("https", _) => {}
        ("http", Some(host)) if is_here(host) => {}
        _ => return refused("the API key goes over HTTPS only"),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return refused("user information does not belong into it");
    }
    if url.query().is_some() || url.fragment().is_some() {
        return refused("a query or fragment does not belong into it");
    }
    if url.path() == "/" {
        url.set_path(api.path());
    }
    Ok(url)
}

/// What an error's body says: `{"error": "…"}` as documented, or one of the forms that frameworks have.
fn message(body: &[u8]) -> Option<String> {
    let answer: Value = serde_json::from_slice(body).ok()?;
    ["error", "errors", "message", "detail"].iter().find_map(|name| text(answer.get(name)?))
}

fn text(value: &Value) -> Option<String> {
    let joined = |texts: Vec<String>, between: &str| Some(texts.join(between)).filter(|text| !text.is_empty());
    match value {
        Value::String(text) => Some(text.clone()).filter(|text| !text.is_empty()),
        Value::Array(items) => joined(items.iter().filter_map(text).collect(), "; "),
        Value::Object(fields) => match fields.get("message").and_then(text) {
            Some(message) => Some(message),
            None => {
                let named = |(name, value)| text(value).map(|text| format!("{name}: {text}"));
                joined(fields.iter().filter_map(named).collect(), "; ")
            }
        },
        _ => None,
    }
}

/// RFC 9110, section 10.2.3: seconds or a date.
fn wait(value: &str, now: SystemTime) -> Option<Duration> {
    if let Ok(seconds) = value.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(value.trim()).ok()?;
    let date = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(date.as_second().try_into().ok()?))?;
    Some(date.duration_since(now).unwrap_or_default())
}

/// An error with what lies below it, without the URL, which is said elsewhere.
fn causes(error: &reqwest::Error) -> String {
    let mut below = std::error::Error::source(error);
    let mut texts = Vec::new();
    while let Some(cause) = below {
        texts.push(cause.to_string());
        below = cause.source();
    }
    texts.dedup();
    if texts.is_empty() { error.to_string() } else { texts.join(": ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(url: &str) -> Result<Client, ConfigError> {
        let options = Options { url: Some(url.into()), ..Options::default() };
        Client::new(ApiKey::new("k3y").unwrap(), &options)
    }

    #[test]
    fn the_key_goes_over_https_or_stays_on_this_machine() {
        for (url, base) in [
            ("https://api.kapso.ai/platform/v1", "https://api.kapso.ai/platform/v1"),
            ("https://api.kapso.ai", "https://api.kapso.ai/platform/v1"),
            ("http://127.0.0.1:1/x/", "http://127.0.0.1:1/x/"),
            ("http://[::1]:1/", "http://[::1]:1/platform/v1"),
            ("http://localhost", "http://localhost/platform/v1"),
        ] {
            assert_eq!(client(url).unwrap().base.as_str(), base);
        }
        for url in [
            "http://api.kapso.ai",
            "http://127.0.0.1.example.com",
            "ftp://localhost",
            "api.kapso.ai",
            "https://k3y@api.kapso.ai",
            "https://api.kapso.ai/?key=k3y",
            "data:text/plain,x",
        ] {
            assert!(matches!(client(url), Err(ConfigError::Url(_))), "{url}");
        }
    }

    #[test]
    fn ids_cannot_leave_their_place_in_the_path() {
        let client = client("https://api.kapso.ai").unwrap();
        let url = client.url(&["whatsapp", "webhooks", "9e8d-7c"]).unwrap();
        assert_eq!(url.path(), "/platform/v1/whatsapp/webhooks/9e8d-7c");
        for id in ["", ".", "..", "a/b", "a%2fb", "a?b", "é", &"1".repeat(129)] {
            assert!(client.url(&["whatsapp", "webhooks", id]).is_err(), "{id}");
        }
    }

    #[test]
    fn nothing_shows_the_key() {
        let client = client("https://api.kapso.ai").unwrap();
        assert!(!format!("{client:?}").contains("k3y"));
        let reason = client.refusal(StatusCode::UNAUTHORIZED, &HeaderMap::new(), br#"{"error": "k3y is wrong"}"#);
        assert_eq!(reason, Reason::KeyRefused(Some("(the API key) is wrong".into())));
    }

    #[test]
    fn errors_say_what_they_say_in_many_shapes() {
        for (body, said) in [
            (
                r#"{"error": "Events contains unsupported events: \"x\""}"#,
                Some(r#"Events contains unsupported events: "x""#),
            ),
            (r#"{"error": {"message": "no", "code": 1}}"#, Some("no")),
            (r#"{"error": {"url": ["is invalid", "is too long"]}}"#, Some("url: is invalid; is too long")),
            (r#"{"errors": ["a", "b"]}"#, Some("a; b")),
            (r#"{"message": "m"}"#, Some("m")),
            (r#"{"error": ""}"#, None),
            (r#"{"error": null}"#, None),
            ("[1]", None),
            ("<html>", None),
            ("", None),
        ] {
            assert_eq!(message(body.as_bytes()).as_deref(), said, "{body}");
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_445_412_470);
        for (value, seconds) in [
            ("7", Some(7)),
            (" 0 ", Some(0)),
            ("Wed, 21 Oct 2015 07:28:00 GMT", Some(10)),
            ("Wed, 21 Oct 2015 07:27:00 GMT", Some(0)),
            ("soon", None),
            ("-1", None),
        ] {
            assert_eq!(wait(value, now), seconds.map(Duration::from_secs), "{value}");
        }
    }
}
