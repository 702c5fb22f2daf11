//! A browser that came back from a setup link, relayed to a target whose answer it gets. Nothing about it is signed, so nothing
//! is claimed and nothing is remembered.

use std::time::Duration;

use http::{HeaderName, HeaderValue};
use http_body_util::Full;
use tokio::time::Instant;

use super::body::{Arriving, Unread, read};
use super::forward;
use super::receive::{Answer, Exchange, respond};
use crate::CallError;
use crate::types::{Attempt, Outcome, Relay};

/// The longest body of a target's answer that a browser gets, in bytes.
pub(crate) const RELAYED_BYTES: usize = 4 << 20;

/// What became of a request to a target.
#[derive(Debug)]
pub(crate) struct Relayed {
    pub(crate) target: String,
    pub(crate) outcome: Outcome,
    pub(crate) took: Duration,
}

/// Asks the target, and answers as it does: with its status, headers and body, all of it by the deadline. Where it has no
/// answer, the gate says what to answer.
pub(crate) async fn relay(
    exchange: &Exchange,
    relay: &Relay,
    deadline: Instant,
) -> (Relayed, Result<Answer, CallError>) {
    let started = Instant::now();
    let asked = ask(exchange, relay, deadline).await;
    let outcome = asked.as_ref().map_or_else(Clone::clone, |answer| Outcome::Answered(answer.status().as_u16()));
    let attempt = Attempt { target: &relay.target, outcome };
    let relayed = Relayed { target: relay.target.clone(), outcome, took: started.elapsed() };
    let settle = |_| exchange.active.gate.settle(&[attempt]).map(|settlement| respond(settlement.response));
    (relayed, asked.or_else(settle))
}

async fn ask(exchange: &Exchange, relay: &Relay, deadline: Instant) -> Result<Answer, Outcome> {
    let target = exchange.active.targets.get(&relay.target).ok_or(Outcome::Unreachable)?;
    let deadline = deadline.min(Instant::now() + target.timeout);
    let request = forward::relayed(target, &exchange.received, relay).map_err(|error| {
        tracing::error!(%error, "the plugin composed a request that HTTP does not allow");
        Outcome::Unreachable
    })?;
    let (mut parts, body) = exchange.worker.forwarder.ask(request, deadline).await?.into_parts();
    if parts.status.is_informational() {
        return Err(Outcome::Unreachable);
    }
    let mut body = Arriving::unread(body);
    let read = read(&mut body, RELAYED_BYTES as u64, deadline, 0, &exchange.state.browsers.room).await;
    let body = read.map_err(|unread| match unread {
        Unread::TooSlow => Outcome::TimedOut,
        Unread::TooLarge | Unread::Broken | Unread::NoRoom => Outcome::Unreachable,
    })?;
    forward::strip_one_hop(&mut parts.headers);
    for header in &relay.answer_headers {
        if let (Ok(name), Ok(value)) =
            (HeaderName::try_from(&header.name), HeaderValue::try_from(header.value.as_slice()))
        {
            parts.headers.entry(name).or_insert(value);
        }
    }
    Ok(Answer::from_parts(parts, Full::new(body.into_bytes())))
}
