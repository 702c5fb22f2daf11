//! What each target gets: which events in which messages, the body as received, a part of it or a new one, and the headers.

use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use crate::cut::{self, Scratch};
use crate::decide::{Request, Route};
use crate::event::{Delivery, Event, Kind, Span};
use crate::gate::{Gate, Source, Target};
use crate::http::{
    BATCH, BATCH_SIZE, EVENT, Head, HeaderOut, IDEMPOTENCY_KEY, PAYLOAD_VERSION, is_look_alike, is_own_header,
};
use crate::index::Index;
use crate::json::{is_visible_without, same};
use crate::normalize;
use crate::parse::key;
use crate::policy::BodyForm;
use crate::route::Matched;
use crate::verify::{SIGNATURE_HEADERS, SignatureHeader};

/// The longest value that is set as a header, in bytes before encoding. A longer one is left out.
const MAX_VALUE: usize = 1024;

/// The events of a Meta forward go one by one if that makes no more of it than so many times the policy's `limits.body_bytes`.
const ALONE: usize = 2;

/// What one target gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dispatch<'g> {
    /// The target's name.
    pub target: &'g str,
    /// Indices into the delivery's events. Of those with the same item key only the first is here.
    pub events: Vec<usize>,
    /// The requests to make, in this order. Together they carry each of those events once, in the same order.
    pub messages: Vec<Message>,
}

/// One HTTP request to a target: a POST with the received headers, less those for one hop, `host` and `content-length`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Indices into the delivery's events.
    pub events: Vec<usize>,
    /// The body.
    pub body: BodyOut,
    /// Names, in lower case, of received headers to leave out.
    pub drop_headers: Vec<String>,
    /// Headers to set after that, replacing any of the same name.
    pub set_headers: Vec<HeaderOut>,
}

/// The body of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BodyOut {
    /// As received, byte for byte.
    AsReceived,
    /// A part of the body as received.
    Part(Span),
    /// A new body.
    Rewritten(Vec<u8>),
}

impl BodyOut {
    /// The bytes to send, given the body as received.
    pub fn bytes<'a>(&'a self, received: &'a [u8]) -> &'a [u8] {
        match self {
            Self::AsReceived => received,
            Self::Part(span) => span.of(received),
            Self::Rewritten(body) => body,
        }
    }
}

impl Gate {
    /// The messages for a target when only some of its events are still to be delivered: `events` is a part of what `decide`
    /// said for that target and this request, and `delivery` what it read.
    pub fn narrow(
        &self,
        request: &Request<'_>,
        delivery: &Delivery<'_>,
        target: &str,
        events: &[usize],
    ) -> Vec<Message> {
        let source = self.source(request.head.path_only());
        let (Some(source), Some(target)) = (source, self.target(target)) else { return Vec::new() };
        let envelope = Envelope { gate: self, source, request, delivery };
        let routes: Vec<_> = delivery.events.iter().map(|event| self.named(&envelope.matched(event))).collect();
        let events: Vec<_> = events.iter().copied().filter(|index| *index < delivery.events.len()).collect();
        let whole = events.len() == delivery.events.len();
        envelope.messages(target, &events, whole, &routes)
    }
}

/// All that composing a message can draw on.
pub(crate) struct Envelope<'e, 'a> {
    pub(crate) gate: &'a Gate,
    pub(crate) source: &'a Source,
    pub(crate) request: &'e Request<'a>,
    pub(crate) delivery: &'e Delivery<'a>,
}

impl<'a> Envelope<'_, 'a> {
    /// Where an event goes. What cannot be read goes to `otherwise`.
    fn matched(&self, event: &Event<'_>) -> Matched<'a> {
        let rules = &self.gate.rules;
        if self.delivery.readable { rules.route(event, Some(&self.source.name)) } else { rules.otherwise() }
    }

    /// Routes every event and composes what each target gets.
    pub(crate) fn dispatch(&self) -> (Vec<Route<'a>>, Vec<Dispatch<'a>>) {
        let mut shares = vec![Vec::new(); self.gate.targets.len()];
        let mut routes = Vec::with_capacity(self.delivery.events.len());
        for (index, event) in self.delivery.events.iter().enumerate() {
            let matched = self.matched(event);
            let mut targets = Vec::with_capacity(matched.targets.len());
            for &target in matched.targets {
                if let (Some(target), Some(share)) = (self.gate.targets.get(target), shares.get_mut(target)) {
                    targets.push(target.name.as_str());
                    share.push(index);
                }
            }
            routes.push(Route { rule: matched.rule, targets });
        }
        let dispatches = self.gate.targets.iter().zip(shares).filter(|(_, events)| !events.is_empty());
        let dispatches = dispatches.map(|(target, share)| {
            let whole = share.len() == self.delivery.events.len();
            let events = self.distinct(share);
            let messages = self.messages(target, &events, whole, &routes);
            Dispatch { target: &target.name, events, messages }
        });
        let dispatches = dispatches.collect();
        (routes, dispatches)
    }

    /// What stands in a delivery twice is one event, the first.
    fn distinct(&self, mut share: Vec<usize>) -> Vec<usize> {
        if share.len() > 1 {
            let mut seen = Index::with_capacity_and_hasher(share.len(), Default::default());
            let events = &self.delivery.events;
            share.retain(|&index| events.get(index).is_some_and(|event| seen.insert(&event.item_key, index).is_none()));
        }
        share
    }

    /// The messages that bring `events` to `target`. `whole` says that with what repeats them they are all of the delivery.
    fn messages(&self, target: &Target, events: &[usize], whole: bool, routes: &[Route<'_>]) -> Vec<Message> {
        if events.is_empty() {
            return Vec::new();
        }
        if target.body == BodyForm::OnePerEvent
            && let Some(bodies) = self.alone(events)
        {
            let alone = events.iter().zip(bodies);
            return alone.map(|(&event, body)| self.message(target, vec![event], body, routes)).collect();
        }
        let body = self.request.body;
        let body = match target.body {
            BodyForm::Normalized if self.delivery.readable => {
                BodyOut::Rewritten(normalize::body(&self.source.name, self.delivery, events, body))
            }
            _ if whole => BodyOut::AsReceived,
            _ => BodyOut::Rewritten(cut::keep(body, &self.delivery.layout, events, &mut Scratch::default())),
        };
        vec![self.message(target, events.to_vec(), body, routes)]
    }

    /// Each event as a body of its own: a batch's item as Kapso would have sent it singly, an item of a Meta forward in the
    /// envelope that makes it readable. None if that would be too much: every such body repeats what stands around the events.
    fn alone(&self, events: &[usize]) -> Option<Vec<BodyOut>> {
        let Delivery { batch, events: all, layout, .. } = self.delivery;
        let mut room = usize::try_from(self.gate.limits.body_bytes).unwrap_or(usize::MAX).saturating_mul(ALONE);
        let mut bodies = Vec::with_capacity(events.len());
        let mut scratch = Scratch::default();
        for &event in events {
            bodies.push(match all.get(event) {
                Some(item) if batch.is_some() => BodyOut::Part(item.span),
                Some(_) if all.len() > 1 => {
                    let body = cut::keep(self.request.body, layout, &[event], &mut scratch);
                    // Each of the others is cut out, which takes time.
                    room = room.checked_sub(body.len().saturating_add(all.len()))?;
                    BodyOut::Rewritten(body)
                }
                _ => BodyOut::AsReceived,
            });
        }
        Some(bodies)
    }

    fn message(&self, target: &Target, events: Vec<usize>, body: BodyOut, routes: &[Route<'_>]) -> Message {
        let rewritten = body != BodyOut::AsReceived;
        let mut headers = Headers::default();
        drop_forgeable(&self.request.head, &mut headers);
        self.describe(&mut headers, &events, routes);
        for contradiction in &self.delivery.contradictions {
            self.correct(&mut headers, contradiction.header, &events);
        }
        if rewritten {
            self.describe_rewritten(&mut headers, target, &events, &body);
        }
        if rewritten || target.sign_with.is_some() {
            for name in SIGNATURE_HEADERS {
                headers.replace(name, None);
            }
        }
        if let Some(key) = &target.sign_with {
            let header = SignatureHeader::of(self.source, self.request.head.headers);
            let signature = key.sign(body.bytes(self.request.body));
            headers.replace(header.name(), Some(&header.spell(&signature)));
        }
        Message { events, body, drop_headers: headers.drop, set_headers: headers.set }
    }

    /// One of Kapso's headers that the body contradicts says what the body says, or goes.
    fn correct(&self, headers: &mut Headers, header: &'static str, events: &[usize]) {
        let size = self.delivery.events.len().to_string();
        let said = match header {
            EVENT if self.delivery.kind != Kind::Meta => self.common(events, |event| event.name.as_deref()),
            PAYLOAD_VERSION => self.delivery.payload_version.as_deref(),
            BATCH if self.delivery.batch.is_some() => Some("true"),
            BATCH_SIZE if self.delivery.batch.is_some() => Some(size.as_str()),
            _ => None,
        };
        headers.replace(header, said);
    }

    /// What a message is, in Hookgate's own headers.
    fn describe(&self, headers: &mut Headers, events: &[usize], routes: &[Route<'_>]) {
        headers.set("x-hookgate-source", Some(&self.source.name));
        headers.set("x-hookgate-event", self.common(events, |event| event.name.as_deref()));
        headers
            .set("x-hookgate-rule", shared(events.iter().map(|index| routes.get(*index).and_then(|route| route.rule))));
        headers.set("x-hookgate-phone-number-id", self.common(events, |event| event.phone_number_id.as_deref()));
        headers.set("x-hookgate-conversation-id", self.common(events, |event| event.conversation_id.as_deref()));
        headers.set("x-hookgate-item-key", self.common(events, |event| Some(&event.item_key)));
    }

    /// Kapso's headers for a body that is not the one they came with.
    fn describe_rewritten(&self, headers: &mut Headers, target: &Target, events: &[usize], body: &BodyOut) {
        if target.body == BodyForm::Normalized {
            headers.replace("content-type", Some("application/json"));
            // It is of no version of Kapso's.
            headers.replace(PAYLOAD_VERSION, None);
        }
        if self.delivery.kind != Kind::Meta {
            headers.replace(EVENT, self.common(events, |event| event.name.as_deref()));
        }
        let batch =
            self.delivery.batch.is_some() && !matches!(body, BodyOut::Part(_)) && target.body != BodyForm::Normalized;
        headers.replace(BATCH, batch.then_some("true"));
        headers.replace(BATCH_SIZE, batch.then(|| events.len().to_string()).as_deref());
        // The received key is that of the whole delivery: another part of it may have gone with it already.
        let keys =
            events.iter().filter_map(|index| self.delivery.events.get(*index)).map(|event| event.item_key.as_str());
        let keys = keys.collect::<Vec<_>>().join("\n");
        let key = if events.len() == 1 { keys } else { key::of_bytes(keys.as_bytes()) };
        headers.replace(IDEMPOTENCY_KEY, Some(&key));
    }

    /// What `read` says of every one of the events, if it is the same of all.
    fn common<'s>(&'s self, events: &[usize], read: impl Fn(&'s Event<'a>) -> Option<&'s str>) -> Option<&'s str> {
        shared(events.iter().map(|index| self.delivery.events.get(*index).and_then(&read)))
    }
}

/// Whatever the sender put under Hookgate's own names, or under what services may take for Kapso's.
pub(crate) fn drop_forgeable(head: &Head<'_>, headers: &mut Headers) {
    let is_forgeable = |name: &[u8]| is_own_header(name) || is_look_alike(name);
    for header in head.headers.iter().filter(|header| is_forgeable(header.name.as_bytes())) {
        let name = header.name.to_ascii_lowercase();
        if !headers.drop.contains(&name) {
            headers.drop.push(name);
        }
    }
}

/// The one value that all have.
fn shared<'v>(mut values: impl Iterator<Item = Option<&'v str>>) -> Option<&'v str> {
    let first = values.next()??;
    values.all(|value| value.is_some_and(|value| same(value, first))).then_some(first)
}

/// With what may not stand in a header as RFC 3986, section 2.1, has it, and `%` itself.
fn percent_encoded(value: &str) -> String {
    let digit = |digit: u8| b"0123456789ABCDEF".get(usize::from(digit)).copied().unwrap_or_default();
    let mut encoded = Vec::with_capacity(value.len().saturating_mul(3));
    for byte in value.bytes() {
        if byte.is_ascii_graphic() && byte != b'%' {
            encoded.push(byte);
        } else {
            encoded.extend_from_slice(&[b'%', digit(byte >> 4), digit(byte & 15)]);
        }
    }
    // It is ASCII.
    String::from_utf8(encoded).unwrap_or_default()
}

/// What becomes of a received request's headers.
#[derive(Default)]
pub(crate) struct Headers {
    pub(crate) drop: Vec<String>,
    pub(crate) set: Vec<HeaderOut>,
}

impl Headers {
    /// Sets a header of our own, made visible.
    pub(crate) fn set(&mut self, name: &'static str, value: Option<&str>) {
        if let Some(value) = value.filter(|value| value.len() <= MAX_VALUE) {
            let value = if is_visible_without(value, b'%') { value.into() } else { percent_encoded(value) };
            self.set.push(HeaderOut { name, value });
        }
    }

    /// Drops a received header and sets it anew, if there is something to set.
    pub(crate) fn replace(&mut self, name: &'static str, value: Option<&str>) {
        self.set.retain(|header| header.name != name);
        self.drop.retain(|dropped| dropped != name);
        self.drop.push(String::from(name));
        self.set(name, value);
    }
}
