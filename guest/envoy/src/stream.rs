//! One request, from its headers to the end of its answer.

use alloc::boxed::Box;
use alloc::format;
use alloc::rc::Rc;
use alloc::vec::Vec;

use hookgate_core::{Admission, Decision, Intake, Refusal, Request, Response};

use crate::callout::{self, Calls};
use crate::delivery::{self, Delivery, Remainder};
use crate::exports::Action;
use crate::headers::{self, Received};
use crate::host::{self, Buffer, Fault, Level, Map, Result, Side};
use crate::pairs::Pairs;
use crate::policy::Policy;
use crate::relay::{self, Relaying};
use crate::seen::{count, describe, note, report};

/// How long a request's body may take to begin before the switch is taken to be missing, in nanoseconds.
const SWITCH_WAIT: u64 = 3_000_000_000;

/// The largest first piece of a body that is kept, in bytes; a larger one is fetched again. What was begun, and nobody has verified, may
/// not fill the VM's memory, which never shrinks.
const KEPT: usize = 64 * 1024;

/// A request.
pub(crate) struct Stream {
    /// The numbers that the host knows it by, and its plugin's configuration.
    id: u32,
    pub(crate) root: u32,
    policy: Rc<Policy>,
    state: State,
    /// Envoy has forgotten it: only what it sent is still followed.
    gone: bool,
}

enum State {
    /// Nothing is known of it yet.
    Fresh,
    /// The path is no source: it passes.
    Passing,
    /// Its body is coming in.
    Reading(Box<Reading>),
    /// It is genuine, and on its way.
    Delivering(Box<Delivery>),
    /// It is a browser's that came back from a setup link, on its way to a target whose answer it gets.
    Relaying(Relaying),
    /// It is answered with a target's response, whose body is being replaced.
    Replacing { remainder: Remainder, deadline: u64 },
    /// It is answered.
    Answered,
    /// Its answer was broken off: nothing of a target's goes out.
    Broken,
}

struct Reading {
    intake: Intake,
    received: Pairs,
    /// Bytes of the body that the intake has.
    fed: usize,
    /// The body's first piece, until there is a second.
    only: Vec<u8>,
    /// When the headers came, in nanoseconds.
    started: u64,
    begun: bool,
}

impl Reading {
    /// The body that has come so far. What came in one piece is not fetched again: over HTTP/1 the end comes by itself.
    fn body(&mut self) -> Result<Vec<u8>> {
        let body = core::mem::take(&mut self.only);
        if body.len() == self.fed { Ok(body) } else { host::buffer(Buffer::RequestBody, 0, self.fed) }
    }
}

impl Stream {
    pub(crate) fn new(id: u32, root: u32, policy: Rc<Policy>) -> Self {
        Self { id, root, policy, state: State::Fresh, gone: false }
    }

    /// Whether its headers are held and its body is awaited.
    pub(crate) fn is_reading(&self) -> bool {
        matches!(self.state, State::Reading(_))
    }

    /// Whether it is genuine, and on its way.
    pub(crate) fn is_delivering(&self) -> bool {
        matches!(self.state, State::Delivering(_))
    }

    /// Whether nothing of it is left to follow.
    pub(crate) fn is_over(&self) -> bool {
        self.gone && !matches!(self.state, State::Delivering(_))
    }

    pub(crate) fn request_headers(&mut self, end: bool, calls: &mut Calls) -> Action {
        let action = self.admit(end, calls);
        self.or_refuse(action)
    }

    fn admit(&mut self, end: bool, calls: &mut Calls) -> Result<Action> {
        let map = host::headers(Map::RequestHeaders)?;
        if map.is_empty() {
            return Err(Fault::nonsense("get_header_map_pairs"));
        }
        let policy = Rc::clone(&self.policy);
        let received = Received::new(&map);
        match policy.gate.admit(&received.head()) {
            Admission::NotOurs => {
                // The route may have been chosen by them.
                if headers::remove_forged(Map::RequestHeaders, &map)? {
                    host::clear_route_cache()?;
                }
                self.state = State::Passing;
                Ok(Action::Continue)
            }
            Admission::Respond(refusal) => self.refuse(&refusal),
            Admission::Redirect(redirect) => {
                let relaying = relay::send_on(&policy, redirect, received.head().query())?;
                self.state = relaying.map_or(State::Answered, State::Relaying);
                Ok(if matches!(self.state, State::Relaying(_)) { Action::Continue } else { Action::Pause })
            }
            Admission::Read(intake) => {
                drop(received);
                let reading =
                    Reading { intake, received: map, fed: 0, only: Vec::new(), started: host::now()?, begun: false };
                if end {
                    return self.decide(reading, calls);
                }
                self.state = State::Reading(Box::new(reading));
                Ok(Action::Pause)
            }
        }
    }

    /// `size` is that of all the body that has come so far.
    pub(crate) fn request_body(&mut self, size: usize, end: bool, calls: &mut Calls) -> Action {
        let action = match &self.state {
            State::Passing => Ok(Action::Continue),
            State::Reading(_) => self.read(size, end, calls),
            State::Relaying(_) => host::replace_buffer(Buffer::RequestBody, b"").map(|()| Action::Continue),
            _ => Ok(Action::Pause),
        };
        self.or_refuse(action)
    }

    fn read(&mut self, size: usize, end: bool, calls: &mut Calls) -> Result<Action> {
        let State::Reading(reading) = &mut self.state else { return Ok(Action::Pause) };
        let length = size.checked_sub(reading.fed).ok_or(Fault::nonsense("on_request_body"))?;
        let piece = if length == 0 { Vec::new() } else { host::buffer(Buffer::RequestBody, reading.fed, length)? };
        if piece.len() != length {
            return Err(Fault::nonsense("get_buffer_bytes"));
        }
        let policy = Rc::clone(&self.policy);
        if let Err(refusal) = reading.intake.feed(&policy.gate, &piece) {
            return self.refuse(&refusal);
        }
        if length > 0 {
            reading.only = if reading.fed == 0 && (end || length <= KEPT) { piece } else { Vec::new() };
        }
        reading.fed = size;
        reading.begun = true;
        if end { self.decide_read(calls) } else { Ok(Action::Pause) }
    }

    /// Trailers end a body that never said so.
    pub(crate) fn request_trailers(&mut self, calls: &mut Calls) -> Action {
        let action = match &self.state {
            State::Passing | State::Relaying(_) => without_forged_trailers().map(|()| Action::Continue),
            State::Reading(_) => without_forged_trailers().and_then(|()| self.decide_read(calls)),
            _ => Ok(Action::Pause),
        };
        self.or_refuse(action)
    }

    /// The whole body is there that was being read.
    fn decide_read(&mut self, calls: &mut Calls) -> Result<Action> {
        match core::mem::replace(&mut self.state, State::Answered) {
            State::Reading(reading) => self.decide(*reading, calls),
            _ => Ok(Action::Pause),
        }
    }

    fn decide(&mut self, mut reading: Reading, calls: &mut Calls) -> Result<Action> {
        let body = reading.body()?;
        let Reading { intake, received, fed, started, .. } = reading;
        if body.len() != fed {
            return Err(Fault::nonsense("get_buffer_bytes"));
        }
        let now = host::now()?;
        let policy = Rc::clone(&self.policy);
        let seen = Received::new(&received);
        let request = Request { head: seen.head(), body: &body };
        let plan = match intake.finish(&policy.gate, &request, now / 1_000_000_000) {
            Decision::NotOurs | Decision::Redirect(_) => return Err(Fault::nonsense("get_header_map_pairs")),
            Decision::Respond(refusal) => return self.refuse(&refusal),
            Decision::Deliver(deliver) => {
                describe(&policy, &deliver);
                delivery::plan(&policy, &request, deliver, now, number(self.id, now))
            }
        };
        if plan.is_empty() {
            let response = plan.settle(&policy);
            headers::answer(&response, "hookgate_settled")?;
            self.state = State::Answered;
            return Ok(Action::Pause);
        }
        drop(seen);
        let mut delivery = Box::new(Delivery::new(self.id, policy, plan, received, body, started));
        let proxied = delivery.begin(now, fed > 0, calls)?;
        self.state = State::Delivering(delivery);
        if proxied {
            return Ok(Action::Continue);
        }
        self.finish(now)?;
        Ok(Action::Pause)
    }

    /// The response's headers. Only a delivery's response is a target's: any other is an answer of our own, of Envoy's or of
    /// another filter's, and goes on untouched.
    pub(crate) fn response_headers(&mut self, end: bool, now: u64, calls: &mut Calls) -> Action {
        match &mut self.state {
            State::Delivering(delivery) => {
                delivery.response_came(end, callout::of_response(), now, calls);
                if !delivery.is_done() {
                    return Action::Pause;
                }
                match self.answer(now) {
                    Ok(()) => Action::Continue,
                    Err(fault) => self.break_off(fault),
                }
            }
            State::Reading(reading) => {
                if callout::status(Map::ResponseHeaders) == Some(413) {
                    let received = Received::new(&reading.received);
                    report(&self.policy, &self.policy.gate.too_large(&received.head()));
                }
                self.state = State::Answered;
                Action::Continue
            }
            State::Relaying(relaying) => match relaying.answered(&self.policy, end) {
                Ok(Some((remainder, deadline))) => {
                    self.state = State::Replacing { remainder, deadline };
                    Action::Continue
                }
                Ok(None) => {
                    self.state = State::Answered;
                    Action::Continue
                }
                Err(fault) => self.break_off(fault),
            },
            State::Broken => Action::Pause,
            _ => Action::Continue,
        }
    }

    /// A piece of the response's body: a target's goes to nobody.
    pub(crate) fn response_body(&mut self) -> Action {
        let (replaced, action) = match &mut self.state {
            State::Delivering(delivery) => {
                delivery.response_body_came();
                (host::replace_buffer(Buffer::ResponseBody, b""), Action::Pause)
            }
            State::Replacing { remainder, .. } => {
                let body = core::mem::take(&mut remainder.0);
                (host::replace_buffer(Buffer::ResponseBody, &body), Action::Continue)
            }
            State::Broken => return Action::Pause,
            _ => return Action::Continue,
        };
        match replaced {
            Ok(()) => action,
            Err(fault) => self.break_off(fault),
        }
    }

    /// The response's trailers, which are its end: a target's go to nobody, and let nothing go that is held.
    pub(crate) fn response_trailers(&mut self) -> Action {
        let action = match &mut self.state {
            State::Delivering(delivery) => {
                delivery.response_ended();
                Action::Pause
            }
            State::Replacing { remainder, .. } if remainder.0.is_empty() => Action::Continue,
            // There is no body any more to put the answer's into.
            State::Replacing { .. } => return self.break_off(Fault::nonsense("on_response_trailers")),
            State::Broken => return Action::Pause,
            _ => return Action::Continue,
        };
        match host::replace_headers(Map::ResponseTrailers, &Pairs::default()) {
            Ok(()) => action,
            Err(fault) => self.break_off(fault),
        }
    }

    /// A call of this delivery's was answered. The host acts for the root context here.
    pub(crate) fn call_answered(&mut self, lane: usize, token: u32, now: u64, has_headers: bool, calls: &mut Calls) {
        if let State::Delivering(delivery) = &mut self.state {
            delivery.call_answered(lane, token, callout::of_call(has_headers), now, calls);
            self.finish_for(now);
        }
    }

    /// Time has passed. The host acts for the root context here. `switched` says whether a body has ever come while its headers
    /// were held.
    pub(crate) fn tick(&mut self, now: u64, switched: bool, calls: &mut Calls) {
        match &mut self.state {
            State::Reading(reading)
                if !reading.begun && !switched && now.saturating_sub(reading.started) >= SWITCH_WAIT =>
            {
                self.refuse_for_switch();
            }
            State::Delivering(delivery) => {
                delivery.expire(now, calls);
                self.finish_for(now);
            }
            State::Relaying(relaying) if relaying.until() <= now && !self.gone => {
                let late = host::act_for(self.id).and_then(|()| relaying.late(&self.policy));
                self.state = State::Answered;
                if let Err(fault) = late {
                    self.break_off(fault);
                }
            }
            State::Replacing { deadline, .. } if *deadline <= now && !self.gone => {
                // The target's body does not end, and with it neither does our answer.
                self.state = State::Answered;
                if host::act_for(self.id).and_then(|()| host::close(Side::Response)).is_err() {
                    host::log(Level::Error, "hookgate: cannot close a response that does not end");
                }
            }
            _ => {}
        }
    }

    /// Envoy forgets the stream.
    pub(crate) fn delete(&mut self, now: u64, calls: &mut Calls) {
        self.gone = true;
        if let State::Delivering(delivery) = &mut self.state {
            delivery.sender_left(now, calls);
            self.finish_for(now);
        }
    }

    /// The policy goes, and with it the calls that were all that was still followed.
    pub(crate) fn break_calls_off(&mut self, now: u64) {
        if let State::Delivering(delivery) = &mut self.state
            && self.gone
        {
            delivery.break_calls_off(now);
            self.forget(now);
        }
    }

    /// Answers, if that is possible now, from a callback that is about something else.
    fn finish_for(&mut self, now: u64) {
        let State::Delivering(delivery) = &self.state else { return };
        if !delivery.is_done() {
            return;
        }
        if self.gone {
            self.forget(now);
        } else if let Err(fault) = host::act_for(self.id).and_then(|()| self.finish(now)) {
            self.break_off(fault);
        }
    }

    /// Settles a delivery that nobody waits for.
    fn forget(&mut self, now: u64) {
        // The access log of whomever the host acted for last is not this one's.
        let _ = host::act_for(self.root);
        if let State::Delivering(delivery) = core::mem::replace(&mut self.state, State::Answered) {
            delivery.settle(now);
        }
    }

    /// Answers, if every message has come to its end, and lets a held response go.
    fn finish(&mut self, now: u64) -> Result<()> {
        if !matches!(&self.state, State::Delivering(delivery) if delivery.is_done()) {
            return Ok(());
        }
        self.answer(now)?;
        if matches!(self.state, State::Replacing { .. }) { host::resume(Side::Response) } else { Ok(()) }
    }

    fn answer(&mut self, now: u64) -> Result<()> {
        let State::Delivering(delivery) = core::mem::replace(&mut self.state, State::Answered) else { return Ok(()) };
        let response = delivery.settle(now);
        if let Some(remainder) = delivery.answer(response)? {
            self.state = State::Replacing { remainder, deadline: delivery.deadline() };
        }
        Ok(())
    }

    fn refuse(&mut self, refusal: &Refusal<'_>) -> Result<Action> {
        report(&self.policy, refusal);
        self.state = State::Answered;
        let Refusal { response, rejection, .. } = refusal;
        let details = format!("hookgate_{}", rejection.map_or("handshake", |rejection| rejection.as_str()));
        headers::answer(response, &details)?;
        Ok(Action::Pause)
    }

    fn refuse_for_switch(&mut self) {
        const REASON: &str = "missing-switch";
        const STATUS: u16 = 503;
        let State::Reading(reading) = core::mem::replace(&mut self.state, State::Answered) else { return };
        let source = reading.intake.source(&self.policy.gate).unwrap_or_default();
        if self.policy.refusals.add(source, REASON, STATUS) {
            host::log(
                Level::Error,
                "hookgate: a delivery was refused because its body never came: set allow_on_headers_stop_iteration: true in \
                 the filter's configuration (beside vm_config), without which Envoy holds bodies back together with headers",
            );
        }
        let refused = host::act_for(self.id).and_then(|()| {
            note("hookgate.source", source);
            count(&self.policy, source, REASON);
            headers::answer(&Response::plain(STATUS), "hookgate_missing-switch")
        });
        if let Err(fault) = refused {
            self.break_off(fault);
        }
    }

    /// A failure of the host before the request went on is a refusal.
    fn or_refuse(&mut self, action: Result<Action>) -> Action {
        action.unwrap_or_else(|fault| {
            self.state = State::Answered;
            refuse_for_fault(fault)
        })
    }

    /// A failure of the host after the request went on: no answer is better than a wrong one.
    fn break_off(&mut self, fault: Fault) -> Action {
        host::log(Level::Error, &format!("hookgate: an answer was broken off: {fault}"));
        self.state = State::Broken;
        // There is nothing left to try.
        let _ = host::close(Side::Response);
        Action::Pause
    }
}

/// Refuses the request at hand because the host failed.
pub(crate) fn refuse_for_fault(fault: Fault) -> Action {
    host::log(Level::Error, &format!("hookgate: a request was refused: {fault}"));
    if headers::answer(&Response::plain(500), "hookgate_host_failure").is_err() {
        // There is nothing left to try: the request stays where it is.
        let _ = host::close(Side::Request);
    }
    Action::Pause
}

/// Only headers are checked by the gate, and only bodies are signed.
fn without_forged_trailers() -> Result<()> {
    let trailers = host::headers(Map::RequestTrailers)?;
    headers::remove_forged(Map::RequestTrailers, &trailers).map(drop)
}

/// A number that this delivery shares with no other that is on its way.
fn number(id: u32, now: u64) -> u32 {
    let [a, b, c, d, ..] = now.to_le_bytes();
    u32::from_le_bytes([a, b, c, d]) ^ id.rotate_left(16)
}
