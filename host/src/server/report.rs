//! What became of one request: one account of it, for the log, the metrics and the try-it screen.

use std::time::Duration;

use http::StatusCode;

use super::deliver::Try;
use super::received::Received;
use super::redirect::Relayed;
use crate::CallError;
use crate::types::{Deliver, DeliveryResult, Outcome, Redirect, RedirectOutcome, Rejection, SetupError};

pub(crate) struct Report<'a> {
    /// The request, without a body if none was read.
    pub(crate) received: &'a Received,
    /// What the path belongs to.
    pub(crate) place: Option<Place<'a>>,
    pub(crate) status: StatusCode,
    pub(crate) took: Duration,
    pub(crate) story: Story<'a>,
}

/// What a path belongs to, by its name in the policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place<'a> {
    /// Kapso sends deliveries there.
    Source(&'a str),
    /// Browsers come there, back from a setup link.
    SetupLink(&'a str),
}

impl<'a> Place<'a> {
    pub(crate) fn name(self) -> &'a str {
        match self {
            Place::Source(name) | Place::SetupLink(name) => name,
        }
    }
}

pub(crate) enum Story<'a> {
    /// The path is no source and no setup link's.
    NotOurs,
    /// The gate answered at once; without a rejection it was a handshake that succeeded.
    Refused(Option<Rejection>),
    /// This server could not have it decided.
    Trouble(Trouble),
    Genuine {
        delivery: &'a Deliver,
        result: DeliveryResult,
        tries: &'a [Try],
    },
    /// A browser was sent on, to a page or to a target.
    Redirect {
        redirect: &'a Redirect,
        relayed: Option<&'a Relayed>,
    },
}

/// Why there was no decision.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// As many requests were under way, or as many bytes held, as are allowed.
    Overloaded,
    /// The body did not come in time.
    SlowBody,
    /// The body broke off before its declared end, or was badly framed.
    BrokenBody,
    /// The plugin failed.
    Gate(CallError),
    /// This server has a fault.
    Panicked,
}

impl Trouble {
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Trouble::Overloaded => StatusCode::SERVICE_UNAVAILABLE,
            Trouble::SlowBody => StatusCode::REQUEST_TIMEOUT,
            Trouble::BrokenBody => StatusCode::BAD_REQUEST,
            Trouble::Gate(_) | Trouble::Panicked => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    pub(crate) fn name(&self) -> &'static str {
        match self {
            Trouble::Overloaded => "overloaded",
            Trouble::SlowBody => "slow-body",
            Trouble::BrokenBody => "broken-body",
            Trouble::Gate(CallError::TimedOut) => "plugin-timed-out",
            Trouble::Gate(CallError::OutOfMemory) => "plugin-out-of-memory",
            Trouble::Gate(_) => "plugin-failed",
            Trouble::Panicked => "server-panicked",
        }
    }
}

/// How a setup ended, as a label: codes that are not known share one.
pub(crate) fn setup_class(outcome: &RedirectOutcome) -> &str {
    match outcome {
        RedirectOutcome::Failed(SetupError::Other(_)) => "other",
        known => known.name(),
    }
}

/// What a redirect came to, for the log and as a label.
pub(crate) fn redirect_result(relayed: Option<&Relayed>) -> &'static str {
    match relayed.map(|relayed| &relayed.outcome) {
        None => "redirected",
        Some(Outcome::Answered(_)) => "relayed",
        Some(Outcome::TimedOut) => "timed-out",
        Some(_) => "failed",
    }
}

/// An outcome as logs and labels write it; an answer by its class.
pub(crate) fn outcome_class(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Answered(200..=299) => "2xx",
        Outcome::Answered(300..=399) => "3xx",
        Outcome::Answered(400..=499) => "4xx",
        Outcome::Answered(500..=599) => "5xx",
        Outcome::Answered(_) => "other",
        Outcome::TimedOut => "timed-out",
        Outcome::Unreachable => "unreachable",
        Outcome::InFlight => "in-flight",
        Outcome::Duplicate => "duplicate",
    }
}
