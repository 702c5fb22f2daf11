//! Carrying a decision out: claim, send, settle, remember.

use std::borrow::Cow;
use std::time::Duration;

use hookgate_core::{Attempt, Deliver, Gate, Message, Outcome, Request, Response, Settlement, Target, Verdict};

use crate::claims::{Claims, Found, Id, StoreError};
use crate::forward::Original;
use crate::log;
use crate::reactor::{Instant, join_all};
use crate::store::Store;
use crate::url::Url;

/// What of the time for the whole answer is left for the targets, however long claiming takes.
const FOR_SENDING: Duration = Duration::from_secs(4);

/// A genuine request on its way to its targets.
pub(crate) struct Carrier<'a> {
    pub(crate) gate: &'a Gate,
    pub(crate) request: Request<'a>,
    pub(crate) original: Original<'a>,
    /// When everything has to be answered.
    pub(crate) deadline: Instant,
    /// Unix seconds.
    pub(crate) clock: fn() -> u64,
}

/// What became of one message, or of an event that was not sent.
struct Tried<'a> {
    target: &'a str,
    events: Vec<usize>,
    outcome: Outcome,
}

/// What is still to be sent to one target.
struct Share<'a> {
    target: &'a str,
    messages: Cow<'a, [Message]>,
}

/// What needs not be sent, and what is still to be.
type Claimed<'a> = (Vec<Tried<'a>>, Vec<Share<'a>>);

impl<'a> Carrier<'a> {
    /// Sends what is still to be sent, and says what to answer.
    ///
    /// # Errors
    /// The store failed, and nothing was sent.
    pub(crate) async fn carry(&self, deliver: &Deliver<'a>) -> Result<Response, StoreError> {
        if deliver.dispatches.is_empty() {
            let settlement = self.gate.settle(&[]);
            report(deliver, &[], &settlement);
            return Ok(settlement.response);
        }
        let deadline = self.deadline;
        let claims = Claims::new(Store::open()?, self.gate.dedupe(), self.clock);
        let mut claims = claims.until(move || deadline.remaining() < FOR_SENDING);
        let (mut tried, shares) = match self.claim(deliver, &mut claims) {
            Ok(claimed) => claimed,
            Err(error) => {
                // What is not given back here frees itself when its lease is over.
                let _ = claims.finish(&[]);
                return Err(error);
            }
        };
        tried.extend(join_all(shares.iter().map(|share| self.send(share))).await.into_iter().flatten());
        let attempts: Vec<Attempt<'_>> =
            tried.iter().map(|tried| Attempt { target: tried.target, outcome: tried.outcome }).collect();
        let settlement = self.gate.settle(&attempts);
        let delivered: Vec<Id> = tried
            .iter()
            .zip(&settlement.verdicts)
            .filter(|(_, verdict)| matches!(verdict, Verdict::Delivered | Verdict::Rejected))
            .flat_map(|(tried, _)| ids(deliver, tried.target, &tried.events))
            .collect();
        // The targets have it: to answer anything else because of the store would only send it to them once more.
        if let Err(StoreError(reason)) = claims.finish(&delivered) {
            let what = if delivered.is_empty() { "claims not given back" } else { "delivered, but not remembered" };
            log::line(&format!("{what}: {reason}"));
        }
        report(deliver, &tried, &settlement);
        Ok(settlement.response)
    }

    /// Finds out which events of each dispatch are still to be sent.
    fn claim<'d>(&self, deliver: &'d Deliver<'a>, claims: &mut Claims<Store>) -> Result<Claimed<'d>, StoreError> {
        let mut tried = Vec::new();
        let mut shares = Vec::new();
        for dispatch in &deliver.dispatches {
            let ids: Vec<Id> = ids(deliver, dispatch.target, &dispatch.events).collect();
            let mut free = Vec::new();
            for (&event, found) in dispatch.events.iter().zip(claims.begin(&ids)?) {
                let outcome = match found {
                    Found::Ours => {
                        free.push(event);
                        continue;
                    }
                    Found::InFlight => Outcome::InFlight,
                    Found::Duplicate => Outcome::Duplicate,
                };
                tried.push(Tried { target: dispatch.target, events: vec![event], outcome });
            }
            let messages = if free.len() == dispatch.events.len() {
                Cow::Borrowed(dispatch.messages.as_slice())
            } else {
                Cow::Owned(self.gate.narrow(&self.request, &deliver.delivery, dispatch.target, &free))
            };
            shares.push(Share { target: dispatch.target, messages });
        }
        Ok((tried, shares))
    }

    /// Sends one target its messages, one after the other, so that they arrive in their order.
    async fn send<'s>(&self, share: &'s Share<'_>) -> Vec<Tried<'s>> {
        let target = self.gate.target(share.target);
        let url = target.and_then(Target::url).and_then(Url::parse);
        let timeout = Duration::from_millis(target.map_or(0, Target::timeout_ms).into());
        let mut tried = Vec::with_capacity(share.messages.len());
        for message in share.messages.iter() {
            let deadline = self.deadline.min(Instant::now().after(timeout));
            let outcome = match &url {
                Some(url) => self.original.send(message, url, deadline).await,
                None => Outcome::Unreachable,
            };
            tried.push(Tried { target: share.target, events: message.events.clone(), outcome });
        }
        tried
    }
}

/// The names in the store of events at a target.
fn ids<'d>(deliver: &'d Deliver<'_>, target: &'d str, events: &'d [usize]) -> impl Iterator<Item = Id> + 'd {
    events
        .iter()
        .filter_map(|&index| deliver.delivery.events.get(index))
        .map(move |event| Id::new(target, &event.item_key))
}

/// One line in the log, of names and numbers only.
fn report(deliver: &Deliver<'_>, tried: &[Tried<'_>], settlement: &Settlement) {
    let mut rules: Vec<&str> = deliver.routes.iter().map(|route| route.rule.unwrap_or("otherwise")).collect();
    rules.dedup();
    let mut line = format!(
        "{} source={} secret={} events={} rules={}",
        settlement.response.status,
        deliver.proof.source,
        deliver.proof.secret,
        deliver.delivery.events.len(),
        rules.join(",")
    );
    if deliver.dispatches.is_empty() {
        line.push_str(" dropped");
    }
    if deliver.unreadable.is_some() {
        line.push_str(" unreadable");
    }
    for contradiction in &deliver.delivery.contradictions {
        line.push_str(&format!(" contradicts={}", contradiction.header));
    }
    for (tried, verdict) in tried.iter().zip(&settlement.verdicts) {
        let outcome = match tried.outcome {
            Outcome::Answered(status) => status.to_string(),
            Outcome::TimedOut => "timed-out".to_owned(),
            Outcome::Unreachable => "unreachable".to_owned(),
            Outcome::InFlight => "in-flight".to_owned(),
            Outcome::Duplicate => "duplicate".to_owned(),
        };
        let given_up = if *verdict == Verdict::Rejected { "(given-up)" } else { "" };
        line.push_str(&format!(" {}={outcome}{given_up}", tried.target));
    }
    log::line(&line);
}
