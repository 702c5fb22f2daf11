//! `decide`: verify, parse and route as one answer. Shells that see a body in pieces keep an [`Intake`] between them; the others
//! hand everything over at once, and it goes the same way.

use alloc::vec::Vec;

use crate::answer;
use crate::compose::{Dispatch, Envelope};
use crate::detail::{self, Detail, Parsed};
use crate::event::{Delivery, Event, Kind, Text};
use crate::gate::{Gate, Place, Source};
use crate::http::{Head, Header, Response, values};
use crate::json::{self, ParseError};
use crate::parse::{self, Named};
use crate::redirect::Redirect;
use crate::route::Matched;
use crate::verify::{Rejection, Signatures, Verifier, Whose};

/// A whole request.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Everything before the body.
    pub head: Head<'a>,
    /// The bytes as received, before any decoding.
    pub body: &'a [u8],
}

/// An answer that needs no target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal<'g> {
    /// What to answer the sender.
    pub response: Response,
    /// The name of the source or setup link that the path belongs to, if there is one.
    pub source: Option<&'g str>,
    /// Why, for the log. None for a handshake that succeeded.
    pub rejection: Option<Rejection>,
}

/// What the head alone decides.
pub enum Admission<'g> {
    /// The path is no source and no setup link's.
    NotOurs,
    /// Answer this without reading the body.
    Respond(Refusal<'g>),
    /// Read the body into this.
    Read(Intake),
    /// A browser came back from a setup link: send it on, without reading a body.
    Redirect(Redirect<'g>),
}

/// A request on its way in. It owns what it needs, so that a shell can keep it between callbacks.
pub struct Intake {
    source: usize,
    verifier: Verifier,
    received: usize,
}

/// Why a request is known to be genuine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proof<'g> {
    /// The source's name.
    pub source: &'g str,
    /// The name of the secret that matched.
    pub secret: &'g str,
}

/// Who gets an event, and which rule said so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route<'g> {
    /// The rule's name; none when `otherwise` decided.
    pub rule: Option<&'g str>,
    /// Names of targets; empty when the event is dropped.
    pub targets: Vec<&'g str>,
}

/// What to do with a genuine delivery.
#[derive(Clone, Debug, PartialEq)]
pub struct Deliver<'a> {
    /// Why it is genuine.
    pub proof: Proof<'a>,
    /// Why the body could not be read, if so; it then goes whole to `otherwise`.
    pub unreadable: Option<ParseError>,
    /// What it says.
    pub delivery: Delivery<'a>,
    /// One for each event, in the same order.
    pub routes: Vec<Route<'a>>,
    /// One for each target that gets anything, in the policy's order of targets.
    pub dispatches: Vec<Dispatch<'a>>,
}

/// What to do with a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision<'a> {
    /// The path is no source and no setup link's: let it pass, or answer 404.
    NotOurs,
    /// Answer this.
    Respond(Refusal<'a>),
    /// Genuine: send every message of every dispatch, then ask `settle` what to answer.
    Deliver(Deliver<'a>),
    /// A browser came back from a setup link, which nobody has signed: send it on.
    Redirect(Redirect<'a>),
}

impl Gate {
    /// What can be said before the body is read.
    pub fn admit(&self, head: &Head<'_>) -> Admission<'_> {
        match self.place(head.path_only()) {
            Some(Place::Source(index, source)) => match (head.method, &source.verify_token) {
                ("GET", Some(token)) => Admission::Respond(answer::handshake(source, token, head.query())),
                _ => match self.intake(index, source, head) {
                    Ok(intake) => Admission::Read(intake),
                    Err(rejection) => Admission::Respond(refuse(Some(source), rejection)),
                },
            },
            Some(Place::SetupLink(link, end)) => match link.redirect(end, head) {
                Ok(redirect) => Admission::Redirect(redirect),
                Err(refusal) => Admission::Respond(refusal),
            },
            None => Admission::NotOurs,
        }
    }

    /// The answer for a body longer than the policy's `limits.body_bytes`.
    pub fn too_large(&self, head: &Head<'_>) -> Refusal<'_> {
        refuse(self.source(head.path_only()), Rejection::TooLarge)
    }

    /// Is this request genuine, as of `now` (Unix seconds)?
    ///
    /// # Errors
    /// Why not. For the log only: the sender must not learn it.
    pub fn verify<'a>(&'a self, request: &Request<'a>, now: u64) -> Result<Proof<'a>, Rejection> {
        let Some(Place::Source(index, source)) = self.place(request.head.path_only()) else {
            return Err(Rejection::UnknownSource);
        };
        let mut intake = self.intake(index, source, &request.head)?;
        intake.take(self, request.body)?;
        let (secret, _) = self.examine(source, intake.verifier, request, now)?;
        Ok(Proof { source: &source.name, secret })
    }

    /// What does it say? Answers for forged requests too: `verify` first.
    ///
    /// # Errors
    /// Why the body cannot be read at all.
    pub fn parse<'a>(&self, headers: &[Header<'a>], body: &'a [u8]) -> Result<Parsed<'a>, ParseError> {
        let delivery = self.delivery(headers, body)?;
        let details = detail::of_delivery(&delivery, body);
        Ok(Parsed { delivery, details })
    }

    /// The same without the details.
    ///
    /// # Errors
    /// Why the body cannot be read at all.
    pub fn delivery<'a>(&self, headers: &[Header<'a>], body: &'a [u8]) -> Result<Delivery<'a>, ParseError> {
        parse::delivery(headers, body, self.limits.events)
    }

    /// The same, of whatever body: one that cannot be read is one event.
    pub fn contents<'a>(&self, request: &Request<'a>) -> Delivery<'a> {
        self.read(request).delivery
    }

    /// Which targets get this event, which came by the source named `source`, and which rule said so?
    pub fn route(&self, event: &Event<'_>, source: Option<&str>) -> Route<'_> {
        self.named(&self.rules.route(event, source))
    }

    pub(crate) fn named<'g>(&'g self, matched: &Matched<'g>) -> Route<'g> {
        let targets = matched.targets.iter().filter_map(|index| self.targets.get(*index));
        Route { rule: matched.rule, targets: targets.map(|target| target.name.as_str()).collect() }
    }

    /// Verify, parse and route as one answer, in one pass over the body. Never delivers what `verify` rejects. `now` is in
    /// Unix seconds.
    pub fn decide<'a>(&'a self, request: &Request<'a>, now: u64) -> Decision<'a> {
        match self.admit(&request.head) {
            Admission::NotOurs => Decision::NotOurs,
            Admission::Respond(refusal) => Decision::Respond(refusal),
            Admission::Redirect(redirect) => Decision::Redirect(redirect),
            Admission::Read(mut intake) => match intake.feed(self, request.body) {
                Ok(()) => intake.finish(self, request, now),
                Err(refusal) => Decision::Respond(refusal),
            },
        }
    }

    /// What a source's body is read into, if method, declared size and the form of the signature are a delivery's.
    fn intake(&self, index: usize, source: &Source, head: &Head<'_>) -> Result<Intake, Rejection> {
        if head.method != "POST" {
            return Err(Rejection::WrongMethod);
        }
        let declared = values(head.headers, "content-length").next().and_then(|value| core::str::from_utf8(value).ok());
        let limit = u64::from(self.limits.body_bytes);
        if declared.and_then(|value| value.trim().parse::<u64>().ok()).is_some_and(|declared| declared > limit) {
            return Err(Rejection::TooLarge);
        }
        let signatures = Signatures::read(source.scheme, source.accept_x_kapso_signature, head.headers)?;
        Ok(Intake { source: index, verifier: Verifier::new(&source.keys, signatures), received: 0 })
    }

    /// Verifies: the name of the secret that matched, with what the body says where that was needed for it.
    fn examine<'a>(
        &'a self,
        source: &'a Source,
        verifier: Verifier,
        request: &Request<'a>,
        now: u64,
    ) -> Result<(&'a str, Option<Said<'a>>), Rejection> {
        let mut said = source.keys.by_phone_number().then(|| self.read(request));
        let whose = said.as_ref().map(|said| said.whose(request.body)).unwrap_or_default();
        let secret = verifier.finish(&source.keys, request.body, &whose)?;
        if let Some(max_age_s) = source.max_age_s {
            let said = said.get_or_insert_with(|| self.read(request));
            if too_old(&said.delivery, request.body, now, max_age_s) {
                return Err(Rejection::TooOld);
            }
        }
        Ok((secret, said))
    }

    fn read<'a>(&self, request: &Request<'a>) -> Said<'a> {
        match self.delivery(request.head.headers, request.body) {
            Ok(delivery) => Said { delivery, unreadable: None },
            Err(error) => {
                Said { delivery: parse::unreadable(request.head.headers, request.body), unreadable: Some(error) }
            }
        }
    }
}

/// A delivery as far as it can be read.
struct Said<'a> {
    delivery: Delivery<'a>,
    unreadable: Option<ParseError>,
}

impl Said<'_> {
    /// Whose it says that it is. No tenant's secret speaks for a message that does not say which number it is for, nor for a body
    /// that cannot be read.
    fn whose<'b>(&self, body: &'b [u8]) -> Whose<'b> {
        if !self.delivery.readable {
            return Whose::default();
        }
        let Named { mut phone_numbers, messages, .. } = Named::read(body);
        let is_message = |event: &Event<'_>| {
            event.direction.is_some()
                || event.message_id.is_some()
                || event.message_type.is_some()
                || event.text.is_some()
        };
        let events = &self.delivery.events;
        if events.iter().any(|event| event.phone_number_id.is_none() && is_message(event)) {
            phone_numbers.push(Text::Borrowed(""));
        }
        let of_project = !messages && matches!(&**events, [event] if event.kind == Kind::Project && !is_message(event));
        Whose { phone_numbers, of_project }
    }
}

impl Intake {
    /// The name of the source that it came by, given the gate that admitted it.
    pub fn source<'g>(&self, gate: &'g Gate) -> Option<&'g str> {
        gate.sources.get(self.source).map(Source::name)
    }

    /// Takes the next bytes of the body, and hashes them where that can be done before the whole body is there.
    ///
    /// # Errors
    /// The 413 to answer once the body is over the policy's limit.
    pub fn feed<'g>(&mut self, gate: &'g Gate, chunk: &[u8]) -> Result<(), Refusal<'g>> {
        self.take(gate, chunk).map_err(|rejection| refuse(gate.sources.get(self.source), rejection))
    }

    fn take(&mut self, gate: &Gate, chunk: &[u8]) -> Result<(), Rejection> {
        self.received = self.received.saturating_add(chunk.len());
        if u64::try_from(self.received).unwrap_or(u64::MAX) > u64::from(gate.limits.body_bytes) {
            return Err(Rejection::TooLarge);
        }
        self.verifier.feed(chunk);
        Ok(())
    }

    /// Decides. `request` is the one admitted by the same gate, its body all that was fed.
    pub fn finish<'a>(self, gate: &'a Gate, request: &Request<'a>, now: u64) -> Decision<'a> {
        let Some(source) = gate.sources.get(self.source) else { return Decision::NotOurs };
        let (secret, said) = match gate.examine(source, self.verifier, request, now) {
            Ok(examined) => examined,
            Err(rejection) => return Decision::Respond(refuse(Some(source), rejection)),
        };
        let Said { delivery, unreadable } = said.unwrap_or_else(|| gate.read(request));
        let (routes, dispatches) = Envelope { gate, source, request, delivery: &delivery }.dispatch();
        let proof = Proof { source: &source.name, secret };
        Decision::Deliver(Deliver { proof, unreadable, delivery, routes, dispatches })
    }
}

pub(crate) fn refuse(source: Option<&Source>, rejection: Rejection) -> Refusal<'_> {
    let handshake = source.is_some_and(|source| source.verify_token.is_some());
    Refusal {
        response: answer::refusal(rejection, if handshake { "GET, POST" } else { "POST" }),
        source: source.map(|source| source.name.as_str()),
        rejection: Some(rejection),
    }
}

/// Whether the delivery is a replay by its age: everything in it that tells its time happened longer ago than allowed. What
/// Kapso imports from a phone's history is old by nature.
fn too_old(delivery: &Delivery<'_>, body: &[u8], now: u64, max_age_s: u64) -> bool {
    let body = json::text(body).unwrap_or_default();
    let mut times = delivery
        .events
        .iter()
        .filter(|event| event.origin.as_deref() != Some("history_sync"))
        .filter_map(|event| happened(event, body))
        .peekable();
    times.peek().is_some() && times.all(|time| time.saturating_add(max_age_s) < now)
}

/// When an event happened. A message of the business that was delivered, read, played or found to have failed keeps the time when it was
/// sent, which may be days ago: its last status tells. A customer's has no statuses, whatever its own says.
fn happened(event: &Event<'_>, body: &str) -> Option<u64> {
    let is_sent = event.kind != Kind::Meta && event.direction.as_deref() != Some("inbound");
    let changed = is_sent && !matches!(event.status.as_deref(), None | Some("sent" | "received"));
    if !changed {
        return event.timestamp;
    }
    let Detail::Message(message) = detail::of_event(event, body) else { return None };
    message.statuses.iter().filter_map(|status| status.timestamp?.text().parse().ok()).max()
}
