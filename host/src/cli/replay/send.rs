//! One delivery, made ready and sent.

use std::fmt;
use std::time::Duration;

use anyhow::{Context, anyhow};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use reqwest::{Client, Response, Url};
use tokio::time::Instant;

use super::signing::Signing;
use crate::CallError;
use crate::cli::delivery::{Delivery, Malformed};
use crate::printable::clean;
use crate::server::forward::strip_one_hop;

/// What is read of an answer, so that its connection can be used again.
const ANSWER_BYTES: usize = 64 * 1024;

/// How and where everything is sent.
pub(super) struct Sending {
    pub(super) client: Client,
    pub(super) url: Url,
    /// Whether the recorded path comes behind the URL.
    pub(super) base: bool,
    pub(super) signing: Signing,
}

/// A request that can go out.
pub(super) struct Ready {
    found: String,
    method: Method,
    url: Url,
    headers: HeaderMap,
    pub(super) body: Vec<u8>,
    /// It has no signature because it was recorded without.
    pub(super) unsigned: bool,
}

/// What became of it.
pub(super) struct Sent {
    pub(super) found: String,
    pub(super) outcome: Outcome,
    pub(super) took: Duration,
    pub(super) bytes: usize,
    pub(super) unsigned: bool,
}

pub(super) enum Outcome {
    Answered(u16),
    TimedOut,
    Unreachable(String),
}

impl Sending {
    /// Puts a delivery together as it will be sent.
    pub(super) fn ready(&self, delivery: Delivery) -> anyhow::Result<Ready> {
        let found = delivery.found.clone();
        let wrong = || format!("{found} cannot be sent");
        let malformed = || Malformed(wrong());
        let mut headers = HeaderMap::new();
        for (name, value) in &delivery.headers {
            let name = HeaderName::try_from(name).with_context(malformed)?;
            headers.append(name, HeaderValue::try_from(value.as_slice()).with_context(malformed)?);
        }
        strip_one_hop(&mut headers);
        let unsigned = self.signing.sign(&delivery, &mut headers).with_context(wrong)?;
        Ok(Ready {
            method: delivery.method.parse().with_context(malformed)?,
            url: self.url(&delivery).with_context(wrong)?,
            headers,
            unsigned,
            body: delivery.body,
            found: delivery.found,
        })
    }

    fn url(&self, delivery: &Delivery) -> anyhow::Result<Url> {
        let mut url = self.url.clone();
        if self.base {
            let recorded = delivery.path.as_deref();
            let recorded = recorded.ok_or_else(|| anyhow!("it does not say its path: give an address with one"))?;
            let (path, query) = recorded.split_once('?').map_or((recorded, None), |(path, query)| (path, Some(query)));
            url.set_path(&format!("{}/{}", url.path().trim_end_matches('/'), path.trim_start_matches('/')));
            if query.is_some() {
                url.set_query(query);
            }
        }
        Ok(url)
    }

    pub(super) async fn send(&self, ready: Ready) -> Sent {
        let Ready { found, method, url, headers, body, unsigned } = ready;
        let bytes = body.len();
        let started = Instant::now();
        let outcome = match self.client.request(method, url).headers(headers).body(body).send().await {
            Ok(answer) => Outcome::Answered(drain(answer).await),
            Err(error) if error.is_timeout() => Outcome::TimedOut,
            Err(error) => Outcome::Unreachable(format!("{:#}", anyhow::Error::from(error.without_url()))),
        };
        Sent { found, outcome, took: started.elapsed(), bytes, unsigned }
    }
}

/// Whether an error keeps one delivery from being sent, and no other.
pub(super) fn is_about_one(error: &anyhow::Error) -> bool {
    error.is::<CallError>() || error.is::<Malformed>()
}

/// The status; of the body nobody wants more than its end.
async fn drain(mut answer: Response) -> u16 {
    let mut bytes = 0;
    while let Ok(Some(chunk)) = answer.chunk().await {
        bytes += chunk.len();
        if bytes > ANSWER_BYTES {
            break;
        }
    }
    answer.status().as_u16()
}

/// `got/deliveries-0000000001.jsonl[7]: POST http://127.0.0.1:8080/hook whatsapp.message.received, 1024 bytes`.
impl fmt::Display for Ready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let event = self.headers.get("x-webhook-event").map(|event| String::from_utf8_lossy(event.as_bytes()));
        let event = event.as_deref().map_or_else(|| "unnamed".to_owned(), clean);
        let unsigned = if self.unsigned { ", unsigned" } else { "" };
        let url = without_secrets(self.url.clone());
        write!(f, "{}: {} {url} {event}, {} bytes{unsigned}", self.found, self.method, self.body.len())
    }
}

/// An address without what may be a password or a token.
fn without_secrets(mut url: Url) -> Url {
    // It has a host: nothing else is sent to.
    let _ = (url.set_username(""), url.set_password(None));
    url.set_query(None);
    url
}

/// `got[7]: answered 502`.
impl fmt::Display for Sent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.outcome {
            Outcome::Answered(status) => write!(f, "{}: answered {status}", self.found),
            Outcome::TimedOut => write!(f, "{}: no answer in time", self.found),
            Outcome::Unreachable(why) => write!(f, "{}: {why}", self.found),
        }
    }
}
