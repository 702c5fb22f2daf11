//! What goes into a [`Gate`](crate::Gate) and what comes out of it.
//!
//! What goes in borrows, so that nothing is copied on the way; what comes out is owned. The types that come out are made
//! from the contract, `wit/gate.wit`, and carry its documentation. Their `Debug` shows what a delivery holds: message
//! texts, phone numbers, media addresses. Log names and counts, not deliveries.

use std::fmt;

use crate::bindings::exports::hookgate::kapso::gate as wit;

pub use wit::{
    AccountEvent, Admission, AgentRun, Attempt, Batch, BodyOut, Button, ConfigEvent, Connection, ContactCard,
    ContactEvent, ContactPhone, Contradiction, Conversation, ConversationEvent, Decision, DedupeSettings, Deliver,
    Delivery, DeliveryResult, Detail, Dispatch, EventResult as Event, FlowReply, HeaderResult as HeaderOut, Kind,
    Location, MarketingPreference, Media, Message, MessageContent, MessageError, MessageOut, MetaChange, NameOrigin,
    Onward, Order, OrderItem, Outcome, ParseError, Parsed, PhoneNumberEvent, PolicyError, ProjectEvent, Proof,
    Reaction, Redirect, RedirectOutcome, Refusal, Rejection, Relay, Reply, Response, Restriction, Route, Settings,
    Settlement, SetupError, SourceSettings, Span, Status, SystemMessage, TargetSettings, Template, Verdict,
    WorkflowEvent,
};

/// One received header field. A field that was sent twice is two of these, in the order received.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Header<'a> {
    /// The name. Names compare without regard to case.
    pub name: &'a str,
    /// The value: bytes, because HTTP promises no more.
    pub value: &'a [u8],
}

/// What is known of a request before its body.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Head<'a> {
    /// The method in upper case, as received: `POST`.
    pub method: &'a str,
    /// Path and query as they stand in the request line: `/webhooks/whatsapp?a=b`.
    pub path: &'a str,
    /// The header fields in the order received.
    pub headers: &'a [Header<'a>],
}

/// A whole request.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Request<'a> {
    /// Everything before the body.
    pub head: Head<'a>,
    /// The body as received, before any decoding: these bytes are what is signed.
    pub body: &'a [u8],
}

impl<'a> Header<'a> {
    /// The fields of a request that came by the `http` crate's types: hyper's, axum's, tower's.
    pub fn of(headers: &'a http::HeaderMap) -> Vec<Self> {
        headers.iter().map(|(name, value)| Self { name: name.as_str(), value: value.as_bytes() }).collect()
    }
}

/// The value is left out: it may be a signature.
impl fmt::Debug for Header<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Header").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The query is left out: it may hold the verify token of Meta's handshake, or a customer's number.
impl fmt::Debug for Head<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.split_once('?').map_or(self.path, |(path, _)| path);
        let mut head = f.debug_struct("Head");
        head.field("method", &self.method).field("path", &path).field("headers", &self.headers).finish_non_exhaustive()
    }
}

/// The body is left out.
impl fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request").field("head", &self.head).finish_non_exhaustive()
    }
}

impl Span {
    /// The bytes themselves. Empty if `body` is not the body that the span was read from, and too short.
    pub fn of<'a>(&self, body: &'a [u8]) -> &'a [u8] {
        let start = self.start as usize;
        start.checked_add(self.len as usize).and_then(|end| body.get(start..end)).unwrap_or_default()
    }
}

impl Kind {
    /// The kind as policies and logs write it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Whatsapp => "whatsapp",
            Self::Project => "project",
            Self::Meta => "meta",
            Self::Unknown => "unknown",
        }
    }
}

impl DeliveryResult {
    /// The result as logs and metrics write it.
    pub fn name(&self) -> &'static str {
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
}

impl RedirectOutcome {
    /// `completed`, or Kapso's error code.
    pub fn name(&self) -> &str {
        match self {
            Self::Completed(_) => "completed",
            Self::Failed(error) => error.code(),
        }
    }
}

impl SetupError {
    /// Kapso's code, such as `link_expired`.
    pub fn code(&self) -> &str {
        match self {
            Self::FacebookAuthFailed => "facebook_auth_failed",
            Self::PhoneVerificationFailed => "phone_verification_failed",
            Self::WabaLimitReached => "waba_limit_reached",
            Self::TokenExchangeFailed => "token_exchange_failed",
            Self::LinkExpired => "link_expired",
            Self::AlreadyUsed => "already_used",
            Self::Other(code) => code,
        }
    }
}

/// `/rules/0/to: no target is called "bot"`.
impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.pointer.as_str() {
            "" => f.write_str(&self.message),
            pointer => write!(f, "{pointer}: {}", self.message),
        }
    }
}
