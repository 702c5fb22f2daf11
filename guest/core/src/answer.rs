//! What the sender is answered. Kapso counts every status but 200 as a failure and pauses a webhook that fails too often, so
//! each line here is a decision.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use crate::decide::{Refusal, refuse};
use crate::gate::{Gate, Source};
use crate::http::{HeaderOut, Response};
use crate::query::pairs;
use crate::verify::{Rejection, Token};

/// The longest `hub.challenge` that is echoed, in bytes.
const MAX_CHALLENGE: usize = 1024;

/// What became of one message, or of one event that was not sent because it was delivered before or somebody else is sending it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The target answered this status.
    Answered(u16),
    /// The target did not answer in time.
    TimedOut,
    /// No connection, or it broke before the answer.
    Unreachable,
    /// Another delivery of the same event is on its way to the same target.
    InFlight,
    /// It was delivered before.
    Duplicate,
}

/// What became of one message, and where it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt<'a> {
    /// The target's name.
    pub target: &'a str,
    /// What became of it.
    pub outcome: Outcome,
}

/// What an outcome means for the keys of the events it carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The target took it: commit the keys.
    Delivered,
    /// The target refused it for good: commit the keys.
    Rejected,
    /// To be tried again: release the keys.
    Failed,
    /// Nothing was sent, so there is nothing to commit or release.
    Untouched,
}

/// What a delivery came to, in one word for logs and metrics. It decides what the sender is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryResult {
    /// The targets took everything, now or before.
    Delivered,
    /// At least one target refused its part for good, and nothing is left to send.
    GivenUp,
    /// All of it was delivered before.
    Duplicate,
    /// There was nothing to send: every event was dropped.
    Dropped,
    /// Another delivery of an event is on its way, and nothing else is left to send.
    InFlight,
    /// At least one target did not answer in time, and nothing else failed.
    TimedOut,
    /// At least one target was unreachable, or refused its part.
    Failed,
}

/// What every attempt together comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settlement {
    /// What to answer the sender.
    pub response: Response,
    /// Why.
    pub result: DeliveryResult,
    /// One for each attempt, in the same order.
    pub verdicts: Vec<Verdict>,
}

impl Gate {
    /// What to answer when every message has been tried: 200 if nothing is left to do, else the status that makes Kapso try
    /// again. An attempt on a target that the policy does not have failed.
    pub fn settle(&self, attempts: &[Attempt<'_>]) -> Settlement {
        let verdicts: Vec<_> = attempts.iter().map(|attempt| self.verdict(attempt)).collect();
        let left = attempts.iter().zip(&verdicts).filter(|(_, verdict)| **verdict == Verdict::Failed);
        let left = left.map(|(attempt, _)| attempt.outcome);
        let result = match left.reduce(|worst, next| if worst == Outcome::TimedOut { next } else { worst }) {
            Some(Outcome::TimedOut) => DeliveryResult::TimedOut,
            Some(_) => DeliveryResult::Failed,
            None if attempts.iter().any(|attempt| attempt.outcome == Outcome::InFlight) => DeliveryResult::InFlight,
            None if verdicts.contains(&Verdict::Rejected) => DeliveryResult::GivenUp,
            None if verdicts.contains(&Verdict::Delivered) => DeliveryResult::Delivered,
            None if verdicts.is_empty() => DeliveryResult::Dropped,
            None => DeliveryResult::Duplicate,
        };
        Settlement { response: Response::plain(result.status()), result, verdicts }
    }

    /// What one attempt's outcome means for the keys of the events that it carried.
    pub fn verdict(&self, attempt: &Attempt<'_>) -> Verdict {
        let Some(target) = self.target(attempt.target) else { return Verdict::Failed };
        match attempt.outcome {
            Outcome::Answered(200..=299) => Verdict::Delivered,
            Outcome::Answered(status) if target.give_up_on.contains(&status) => Verdict::Rejected,
            Outcome::Answered(_) | Outcome::TimedOut | Outcome::Unreachable => Verdict::Failed,
            Outcome::InFlight | Outcome::Duplicate => Verdict::Untouched,
        }
    }
}

impl DeliveryResult {
    /// The result as logs and metrics write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::GivenUp => "given-up",
            Self::Duplicate => "duplicate",
            Self::Dropped => "dropped",
            Self::InFlight => "in-flight",
            Self::TimedOut => "timed-out",
            Self::Failed => "failed",
        }
    }

    /// What the sender is answered.
    fn status(self) -> u16 {
        match self {
            Self::Delivered | Self::GivenUp | Self::Duplicate | Self::Dropped => 200,
            Self::Failed => 502,
            Self::InFlight => 503,
            Self::TimedOut => 504,
        }
    }
}

/// The answer to a request that is not taken. Everything about a signature gets the very same 401. `methods` are those
/// that are allowed.
pub(crate) fn refusal(rejection: Rejection, methods: &str) -> Response {
    match rejection {
        Rejection::UnknownSource => Response::plain(404),
        Rejection::TooLarge => Response::plain(413),
        Rejection::BadRedirect => Response::plain(400),
        Rejection::WrongMethod => {
            let mut response = Response::plain(405);
            response.headers.push(header("allow", methods));
            response
        }
        Rejection::MissingSignature
        | Rejection::RepeatedSignature
        | Rejection::MalformedSignature
        | Rejection::WrongSignature
        | Rejection::UnknownTenant
        | Rejection::TooOld
        | Rejection::WrongVerifyToken => Response::plain(401),
    }
}

/// Answers Meta's GET handshake: the bare challenge if the token is right.
pub(crate) fn handshake<'g>(source: &'g Source, token: &Token, query: &str) -> Refusal<'g> {
    let query = &pairs(query).unwrap_or_default();
    let right_token = one(query, "hub.verify_token").is_some_and(|given| token.is(given.as_bytes()));
    let subscribes = one(query, "hub.mode").is_some_and(|mode| mode == "subscribe");
    match one(query, "hub.challenge") {
        Some(challenge) if right_token && subscribes && challenge.len() <= MAX_CHALLENGE => {
            let body = Vec::from(challenge);
            let response = Response { status: 200, headers: text_headers(), body };
            Refusal { response, source: Some(&source.name), rejection: None }
        }
        _ => refuse(Some(source), Rejection::WrongVerifyToken),
    }
}

/// The value of a parameter that stands in the query exactly once.
fn one<'q>(query: &'q [(String, String)], name: &str) -> Option<&'q str> {
    let mut found = query.iter().filter(|(key, _)| key == name);
    let (_, value) = found.next()?;
    found.next().is_none().then_some(value)
}

impl Response {
    /// One whose body is the status's reason phrase.
    pub fn plain(status: u16) -> Self {
        let reason = match status {
            200 => "ok",
            303 => "see other",
            400 => "bad request",
            401 => "unauthorized",
            404 => "not found",
            405 => "method not allowed",
            408 => "request timeout",
            413 => "content too large",
            500 => "internal server error",
            502 => "bad gateway",
            503 => "service unavailable",
            504 => "gateway timeout",
            _ => "",
        };
        let mut body = Vec::from(reason);
        body.push(b'\n');
        Self { status, headers: text_headers(), body }
    }
}

fn text_headers() -> Vec<HeaderOut> {
    vec![header("content-type", "text/plain; charset=utf-8"), header("x-content-type-options", "nosniff")]
}

pub(crate) fn header(name: &'static str, value: &str) -> HeaderOut {
    HeaderOut { name, value: String::from(value) }
}
