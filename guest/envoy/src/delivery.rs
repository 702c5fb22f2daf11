//! A genuine delivery on its way to its targets.
//!
//! The held request itself becomes the first message to the first target: Envoy proxies it, with all that its routes can do.
//! Every other message is a call of the filter's. Targets are served side by side, so that the answer takes as long as the
//! slowest and not as all together; a target's own messages go one after another, in the body's order. The target's response to the proxied request is
//! held until every call has ended, since the sender may be told 200 only when everything was taken.

use alloc::borrow::ToOwned;
use alloc::collections::VecDeque;
use alloc::format;
use alloc::rc::Rc;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use hookgate_core::{Attempt, BodyOut, Deliver, Message, Outcome, Request, Response, Verdict};

use crate::callout::{Call, Calls};
use crate::claims::{Claim, Claimed};
use crate::headers;
use crate::host::{self, Buffer, Fault, Level};
use crate::pairs::Pairs;
use crate::policy::Policy;
use crate::seen::count;

/// The whole answer comes within this time of the request's headers, in nanoseconds. Kapso waits 10 s.
pub(crate) const ANSWER_WITHIN: u64 = 9_000_000_000;

/// What is to be sent, and what need not or cannot be.
pub(crate) struct Plan {
    source: String,
    lanes: Vec<Lane>,
    attempts: Vec<(usize, Outcome)>,
}

/// The messages to one target, one after another.
struct Lane {
    /// Where in the policy's endpoints.
    target: usize,
    sent: Option<Sent>,
    queue: VecDeque<Outgoing>,
}

struct Outgoing {
    message: Message,
    /// Those of the events that it carries.
    claims: Vec<Claim>,
}

/// A message that has not been answered.
struct Sent {
    claims: Vec<Claim>,
    at: u64,
    /// When waiting for it ends.
    until: u64,
    /// None for the proxied request.
    token: Option<u32>,
}

/// Claims every event for its targets, and so finds out what there is to send. `owner` is this delivery's own
/// number.
pub(crate) fn plan(policy: &Policy, request: &Request<'_>, deliver: Deliver<'_>, now: u64, owner: u32) -> Plan {
    let mut plan = Plan { source: deliver.proof.source.to_owned(), lanes: Vec::new(), attempts: Vec::new() };
    for dispatch in deliver.dispatches {
        let Some(target) = policy.endpoint(dispatch.target) else { continue };
        let mut claims = Vec::new();
        let mut free = Vec::new();
        for &event in &dispatch.events {
            let item = deliver.delivery.events.get(event).map_or("", |event| event.item_key.as_str());
            match claim(policy, dispatch.target, item, now, owner) {
                Ok(claim) => {
                    claims.push(claim);
                    free.push(event);
                }
                Err(outcome) => {
                    policy.stats.message(dispatch.target, result(outcome, Verdict::Untouched));
                    plan.attempts.push((target, outcome));
                }
            }
        }
        let messages = if free.len() == dispatch.events.len() {
            dispatch.messages
        } else {
            policy.gate.narrow(request, &deliver.delivery, dispatch.target, &free)
        };
        let mut claims = claims.into_iter();
        let outgoing = |message: Message| {
            let claims = claims.by_ref().take(message.events.len()).collect();
            Outgoing { message, claims }
        };
        let queue: VecDeque<_> = messages.into_iter().map(outgoing).collect();
        if !queue.is_empty() {
            plan.lanes.push(Lane { target, sent: None, queue });
        }
    }
    plan
}

/// The claim of an event, or why it is not to be sent.
fn claim(policy: &Policy, target: &str, item: &str, now: u64, owner: u32) -> Result<Claim, Outcome> {
    match policy.table.claim(target, item, seconds(now), owner) {
        Ok(Claimed::Free(claim)) => Ok(claim),
        Ok(Claimed::Duplicate) => Err(Outcome::Duplicate),
        Ok(Claimed::InFlight) => Err(Outcome::InFlight),
        Err(fault) => {
            // Not knowing whether it was delivered, neither send it nor say that it was.
            host::log(Level::Error, &format!("hookgate: cannot claim an event: {fault}"));
            Err(Outcome::InFlight)
        }
    }
}

/// A delivery with at least one message to send.
pub(crate) struct Delivery {
    /// The number of its stream.
    stream: u32,
    policy: Rc<Policy>,
    source: String,
    received: Pairs,
    body: Vec<u8>,
    started: u64,
    deadline: u64,
    lanes: Vec<Lane>,
    attempts: Vec<(usize, Outcome)>,
    /// The proxied request's response, held until every call has ended.
    held: Option<Held>,
}

/// A response that is held.
#[derive(Clone, Copy)]
pub(crate) struct Held {
    /// It has no body.
    bare: bool,
    /// Some of its body has come, and stands in the host's buffer.
    buffered: bool,
}

impl Plan {
    /// Whether there is nothing to send.
    pub(crate) fn is_empty(&self) -> bool {
        self.lanes.is_empty()
    }

    /// The answer when there is nothing to send.
    pub(crate) fn settle(self, policy: &Policy) -> Response {
        settle(policy, &self.source, &self.attempts)
    }
}

impl Delivery {
    /// `started` is when the request's headers came, in nanoseconds.
    pub(crate) fn new(
        stream: u32,
        policy: Rc<Policy>,
        plan: Plan,
        received: Pairs,
        body: Vec<u8>,
        started: u64,
    ) -> Self {
        let Plan { source, lanes, attempts } = plan;
        let deadline = started.saturating_add(ANSWER_WITHIN);
        Self { stream, policy, source, received, body, started, deadline, lanes, attempts, held: None }
    }

    /// Makes the held request the first message, then starts the first message of every other target. Says whether the request
    /// may go on: not when the sender's time is over, and another body only in the place of one in the host's buffer, where there is
    /// room for what the policy takes and no more.
    pub(crate) fn begin(&mut self, now: u64, buffered: bool, calls: &mut Calls) -> Result<bool, Fault> {
        let proxied = self.proxy(now, buffered);
        match proxied {
            Ok(_) => self.send(now, calls),
            Err(_) => self.abandon(now),
        }
        proxied
    }

    fn proxy(&mut self, now: u64, buffered: bool) -> Result<bool, Fault> {
        if self.deadline <= now {
            return Ok(false);
        }
        let Some(lane) = self.lanes.first_mut() else { return Ok(false) };
        let Some(endpoint) = self.policy.endpoints.get(lane.target) else { return Ok(false) };
        let Some(next) = lane.queue.front() else { return Ok(false) };
        let as_received = next.message.body == BodyOut::AsReceived;
        let body = next.message.body.bytes(&self.body);
        let fits = u32::try_from(body.len()).is_ok_and(|length| length <= self.policy.gate.limits().body_bytes);
        if !(as_received || buffered && fits) {
            return Ok(false);
        }
        let length = (!as_received).then_some(body.len());
        let Message { drop_headers, set_headers, .. } = &next.message;
        headers::address(drop_headers, set_headers, &endpoint.cluster, endpoint.address.as_ref(), length)?;
        if !as_received {
            host::replace_buffer(Buffer::RequestBody, body)?;
        }
        let until = now.saturating_add(endpoint.timeout).min(self.deadline);
        let claims = lane.queue.pop_front().map(|next| next.claims).unwrap_or_default();
        lane.sent = Some(Sent { claims, at: now, until, token: None });
        Ok(true)
    }

    /// Nothing goes out: every event may be tried again.
    fn abandon(&mut self, now: u64) {
        for outgoing in self.lanes.iter_mut().flat_map(|lane| lane.queue.drain(..)) {
            end(&self.policy, &outgoing.claims, Verdict::Failed, now);
        }
    }

    /// Starts the next message of every target that has none on its way.
    fn send(&mut self, now: u64, calls: &mut Calls) {
        for lane in 0..self.lanes.len() {
            while self.send_one(lane, now, calls) {}
        }
    }

    /// Starts a target's next message. Says whether that ended at once, so that the one after it can be started.
    fn send_one(&mut self, index: usize, now: u64, calls: &mut Calls) -> bool {
        let Some(lane) = self.lanes.get_mut(index).filter(|lane| lane.sent.is_none()) else { return false };
        let Some(endpoint) = self.policy.endpoints.get(lane.target) else { return false };
        let Some(Outgoing { message, claims }) = lane.queue.pop_front() else { return false };
        let until = now.saturating_add(endpoint.timeout).min(self.deadline);
        let timeout = u32::try_from(until.saturating_sub(now) / 1_000_000).unwrap_or(u32::MAX);
        let sent = lane.sent.insert(Sent { claims, at: now, until, token: None });
        if timeout == 0 {
            self.ended(index, Outcome::TimedOut, now, "");
            return true;
        }
        let headers = headers::of_call(&message, &self.received, &endpoint.cluster, endpoint.address.as_ref());
        match host::call(&endpoint.cluster, &headers, message.body.bytes(&self.body), timeout) {
            Ok(token) => {
                sent.token = Some(token);
                calls.insert(token, Call { stream: self.stream, lane: index });
                false
            }
            Err(fault) => {
                self.ended(index, Outcome::Unreachable, now, &fault.to_string());
                true
            }
        }
    }

    /// A target's current message came to an end: commit or release what it carried.
    fn ended(&mut self, index: usize, outcome: Outcome, now: u64, details: &str) {
        let Some(lane) = self.lanes.get_mut(index) else { return };
        let (Some(sent), Some(endpoint)) = (lane.sent.take(), self.policy.endpoints.get(lane.target)) else { return };
        self.attempts.push((lane.target, outcome));
        let verdict = self.policy.gate.verdict(&Attempt { target: &endpoint.target, outcome });
        end(&self.policy, &sent.claims, verdict, now);
        let result = result(outcome, verdict);
        self.policy.stats.message(&endpoint.target, result);
        self.policy.stats.target_took(&endpoint.target, now.saturating_sub(sent.at) / 1_000_000);
        if verdict != Verdict::Delivered {
            let status = if let Outcome::Answered(status) = outcome { status } else { 0 };
            let line = format!(
                "hookgate: message not taken source={} target={} result={result} status={status} details={details}",
                self.source, endpoint.target
            );
            host::log(Level::Warn, &line);
        }
    }

    /// A call was answered.
    pub(crate) fn call_answered(&mut self, lane: usize, token: u32, outcome: Outcome, now: u64, calls: &mut Calls) {
        let sent = self.lanes.get(lane).and_then(|lane| lane.sent.as_ref());
        // What comes after waiting has ended is too late: the events have been released.
        if sent.is_some_and(|sent| sent.token == Some(token)) {
            self.ended(lane, outcome, now, "");
            self.send(now, calls);
        }
    }

    /// The headers of the response to the proxied request have come: the target's, or Envoy's own if there is none.
    pub(crate) fn response_came(
        &mut self,
        bare: bool,
        (outcome, details): (Outcome, String),
        now: u64,
        calls: &mut Calls,
    ) {
        self.held = Some(Held::new(bare));
        if self.is_proxying() {
            self.ended(0, outcome, now, &details);
            self.send(now, calls);
        }
    }

    /// Some of the held response's body stands in the host's buffer.
    pub(crate) fn response_body_came(&mut self) {
        if let Some(held) = &mut self.held {
            held.buffered = true;
        }
    }

    /// No more of the held response's body will come.
    pub(crate) fn response_ended(&mut self) {
        if let Some(held) = &mut self.held {
            held.bare = !held.buffered;
        }
    }

    /// Nobody waits for the answer any more. What has been sent is still followed to its end, so that it is not sent again.
    pub(crate) fn sender_left(&mut self, now: u64, calls: &mut Calls) {
        if self.is_proxying() {
            self.ended(0, Outcome::Unreachable, now, "the sender left");
            self.send(now, calls);
        }
    }

    /// Ends the wait for every message whose time is over.
    pub(crate) fn expire(&mut self, now: u64, calls: &mut Calls) {
        for index in 0..self.lanes.len() {
            let sent = self.lanes.get(index).and_then(|lane| lane.sent.as_ref());
            if let Some(sent) = sent.filter(|sent| sent.until <= now) {
                if let Some(token) = sent.token {
                    calls.remove(token);
                }
                self.ended(index, Outcome::TimedOut, now, "");
            }
        }
        self.send(now, calls);
    }

    /// Ends all that is on its way or was still to be sent: nobody will say any more what became of it.
    pub(crate) fn break_calls_off(&mut self, now: u64) {
        self.abandon(now);
        for index in 0..self.lanes.len() {
            self.ended(index, Outcome::Unreachable, now, "the policy was replaced");
        }
    }

    fn is_proxying(&self) -> bool {
        let sent = self.lanes.first().and_then(|lane| lane.sent.as_ref());
        sent.is_some_and(|sent| sent.token.is_none())
    }

    /// Whether every message has come to its end.
    pub(crate) fn is_done(&self) -> bool {
        self.lanes.iter().all(|lane| lane.sent.is_none() && lane.queue.is_empty())
    }

    /// When the sender is to have its answer.
    pub(crate) fn deadline(&self) -> u64 {
        self.deadline
    }

    /// The answer when every message has come to its end.
    pub(crate) fn settle(&self, now: u64) -> Response {
        self.policy.stats.answered_in(&self.source, now.saturating_sub(self.started) / 1_000_000);
        settle(&self.policy, &self.source, &self.attempts)
    }

    /// Answers the sender, by what is held of a response or else by one of our own. Gives what of the answer's body is still to
    /// be put in the place of the target's, if the response has been let go.
    pub(crate) fn answer(&self, response: Response) -> Result<Option<Remainder>, Fault> {
        let Some(held) = self.held else {
            headers::answer(&response, "hookgate_settled")?;
            return Ok(None);
        };
        held.replace(response).map(Some)
    }
}

impl Held {
    /// A response of which nothing but its headers has come. `bare` says whether that is all of it.
    pub(crate) fn new(bare: bool) -> Self {
        Self { bare, buffered: false }
    }

    /// Puts an answer of our own in its place. Gives what of the answer's body is still to be put in the place of its body.
    pub(crate) fn replace(self, response: Response) -> Result<Remainder, Fault> {
        let length = if self.bare { 0 } else { response.body.len() };
        host::replace_headers(host::Map::ResponseHeaders, &headers::of_replaced_answer(&response, length))?;
        if self.buffered {
            host::replace_buffer(Buffer::ResponseBody, &response.body)?;
        }
        Ok(Remainder(if self.buffered || self.bare { Vec::new() } else { response.body }))
    }
}

/// What is still to be put in the place of a response's body.
pub(crate) struct Remainder(pub(crate) Vec<u8>);

/// Commits or releases claims.
fn end(policy: &Policy, claims: &[Claim], verdict: Verdict, now: u64) {
    for claim in claims {
        let ended = match verdict {
            Verdict::Delivered | Verdict::Rejected => policy.table.commit(claim, seconds(now)),
            Verdict::Failed => policy.table.release(claim, seconds(now)),
            Verdict::Untouched => Ok(()),
        };
        if let Err(fault) = ended {
            host::log(Level::Error, &format!("hookgate: cannot end a claim: {fault}"));
        }
    }
}

fn settle(policy: &Policy, source: &str, attempts: &[(usize, Outcome)]) -> Response {
    let attempts: Vec<_> = attempts
        .iter()
        .filter_map(|(target, outcome)| {
            Some(Attempt { target: &policy.endpoints.get(*target)?.target, outcome: *outcome })
        })
        .collect();
    let settlement = policy.gate.settle(&attempts);
    count(policy, source, settlement.result.as_str());
    settlement.response
}

/// A message's end in one word.
fn result(outcome: Outcome, verdict: Verdict) -> &'static str {
    match (outcome, verdict) {
        (_, Verdict::Delivered) => "delivered",
        (_, Verdict::Rejected) => "given-up",
        (Outcome::Duplicate, _) => "duplicate",
        (Outcome::InFlight, _) => "in-flight",
        (Outcome::TimedOut, _) => "timed-out",
        (Outcome::Unreachable, _) => "unreachable",
        (Outcome::Answered(_), _) => "refused",
    }
}

fn seconds(nanoseconds: u64) -> u32 {
    u32::try_from(nanoseconds / 1_000_000_000).unwrap_or(u32::MAX)
}
