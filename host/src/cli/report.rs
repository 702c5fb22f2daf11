//! What a command has found out about a delivery. Its field names are an interface: see the help of `hookgate decide`.

use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use super::delivery::{Delivery, source_at};
use super::explain::Verb;
use super::gate::Loaded;
use super::message::Message;
use super::redirect::Redirected;
use crate::CallError;
use crate::types::{
    Admission, Contradiction, Decision, NameOrigin, ParseError, Proof, Redirect, Rejection, Request, Route,
};
use crate::types::{Delivery as Contents, Event};

#[derive(Default, Serialize)]
pub(super) struct Report {
    pub(super) delivery: String,
    pub(super) genuine: Option<bool>,
    pub(super) source: Option<String>,
    pub(super) secret: Option<String>,
    #[serde(serialize_with = "rejection")]
    pub(super) rejection: Option<Rejection>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "unreadable")]
    pub(super) unreadable: Option<ParseError>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) redirect: Option<Redirected>,
    #[serde(flatten)]
    pub(super) contents: Option<Said>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "by_target")]
    pub(super) targets: Option<Vec<(String, Vec<u32>)>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) messages: Option<Vec<Message>>,
}

/// What a delivery says.
#[derive(Serialize)]
pub(super) struct Said {
    pub(super) kind: &'static str,
    pub(super) event: Option<String>,
    pub(super) event_from: &'static str,
    pub(super) batch: bool,
    batch_info: Value,
    pub(super) test: bool,
    pub(super) payload_version: Option<String>,
    idempotency_key: Option<String>,
    pub(super) contradictions: Vec<Contradiction>,
    pub(super) events: Vec<Line>,
}

/// One event and where it goes.
pub(super) struct Line {
    pub(super) index: usize,
    pub(super) event: Event,
    pub(super) route: Option<Route>,
}

impl Report {
    pub(super) fn of(verb: Verb, loaded: &Loaded, delivery: &Delivery, now: u64) -> Result<Self, CallError> {
        let report = Self { delivery: delivery.found.clone(), ..Self::default() };
        delivery.lend(|request| match verb {
            Verb::Verify => report.verify(loaded, request, now),
            Verb::Parse | Verb::Route => match loaded.gate.admit(&request.head)? {
                Admission::Redirect => report.decide(loaded, request, now),
                Admission::Respond(refusal) if refusal.rejection == Some(Rejection::BadRedirect) => {
                    Ok(Self { source: refusal.source, ..report.rejected(Rejection::BadRedirect) })
                }
                _ if verb == Verb::Parse => report.verify(loaded, request, now)?.parse(loaded, request),
                _ => report.verify(loaded, request, now)?.parse(loaded, request)?.route(loaded, request),
            },
            Verb::Decide => report.decide(loaded, request, now),
        })
    }

    pub(super) fn is_rejected(&self) -> bool {
        self.genuine == Some(false)
    }

    fn verify(self, loaded: &Loaded, request: &Request<'_>, now: u64) -> Result<Self, CallError> {
        if !loaded.missing.is_empty() {
            return Ok(self);
        }
        Ok(match loaded.gate.verify(request, now)? {
            Ok(proof) => self.proven(proof),
            Err(rejection) => {
                let source = source_at(&loaded.gate, request.head.path).map(str::to_owned);
                Self { source, ..self.rejected(rejection) }
            }
        })
    }

    fn proven(self, proof: Proof) -> Self {
        Self { genuine: Some(true), source: Some(proof.source), secret: Some(proof.secret), ..self }
    }

    fn rejected(self, rejection: Rejection) -> Self {
        Self { genuine: Some(false), rejection: Some(rejection), ..self }
    }

    /// Neither genuine nor forged: there is nothing to verify.
    fn redirected(self, loaded: &Loaded, redirect: Redirect) -> Self {
        let redirected = Redirected::of(loaded, redirect);
        Self { status: redirected.status, redirect: Some(redirected), ..self }
    }

    fn parse(self, loaded: &Loaded, request: &Request<'_>) -> Result<Self, CallError> {
        Ok(match loaded.gate.parse(request.head.headers, request.body)? {
            Ok(parsed) => Self { contents: Some(Said::of(parsed.delivery, None)), ..self },
            Err(error) => Self { unreadable: Some(error), ..self },
        })
    }

    fn route(mut self, loaded: &Loaded, request: &Request<'_>) -> Result<Self, CallError> {
        if let Some(contents) = &mut self.contents {
            let source = source_at(&loaded.gate, request.head.path);
            for line in &mut contents.events {
                line.route = Some(loaded.gate.route(&line.event, source)?);
            }
            self.targets = Some(by_rule(loaded, &contents.events));
        }
        Ok(self)
    }

    fn decide(self, loaded: &Loaded, request: &Request<'_>, now: u64) -> Result<Self, CallError> {
        let deliver = match loaded.gate.decide(request, now)? {
            Decision::NotOurs => return Ok(self.rejected(Rejection::UnknownSource)),
            Decision::Respond(refusal) => {
                let status = Some(refusal.response.status);
                let genuine = Some(refusal.rejection.is_none());
                return Ok(Self { status, genuine, source: refusal.source, rejection: refusal.rejection, ..self });
            }
            Decision::Redirect(redirect) => return Ok(self.redirected(loaded, redirect)),
            Decision::Deliver(deliver) => deliver,
        };
        let targets = deliver.dispatches.iter().map(|dispatch| (dispatch.target.clone(), dispatch.events.clone()));
        let targets = targets.collect();
        let status = match deliver.dispatches.as_slice() {
            [] => Some(loaded.gate.settle(&[])?.response.status),
            _ => None,
        };
        let messages = Message::all(loaded, deliver.dispatches, request.body);
        Ok(Self {
            status,
            unreadable: deliver.unreadable,
            contents: Some(Said::of(deliver.delivery, Some(deliver.routes))),
            targets: Some(targets),
            messages: Some(messages),
            ..self.proven(deliver.proof)
        })
    }
}

impl Said {
    fn of(delivery: Contents, routes: Option<Vec<Route>>) -> Self {
        let mut routes = routes.into_iter().flatten();
        Self {
            kind: delivery.kind.name(),
            event: delivery.name,
            event_from: match delivery.name_origin {
                NameOrigin::Header => "header",
                NameOrigin::Body => "body",
                NameOrigin::None => "none",
            },
            batch: delivery.batch.is_some(),
            batch_info: json!(delivery.batch),
            test: delivery.test,
            payload_version: delivery.payload_version,
            idempotency_key: delivery.idempotency_key,
            contradictions: delivery.contradictions,
            events: (0..)
                .zip(delivery.events)
                .map(|(index, event)| Line { index, event, route: routes.next() })
                .collect(),
        }
    }
}

/// The events of each target, in the policy's order of targets.
fn by_rule(loaded: &Loaded, events: &[Line]) -> Vec<(String, Vec<u32>)> {
    let gets =
        |line: &Line, target: &str| line.route.iter().flat_map(|route| &route.targets).any(|name| name == target);
    let targets = loaded.gate.settings().targets.iter();
    let events = targets.map(|target| {
        let mine = (0..).zip(events).filter(|(_, line)| gets(line, &target.name)).map(|(index, _)| index);
        (target.name.clone(), mine.collect::<Vec<_>>())
    });
    events.filter(|(_, events)| !events.is_empty()).collect()
}

impl Serialize for Line {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Flat<'a> {
            index: usize,
            name: &'a Option<String>,
            kind: &'static str,
            payload_version: &'a Option<String>,
            phone_number_id: &'a Option<String>,
            business_account_id: &'a Option<String>,
            customer_id: &'a Option<String>,
            conversation_id: &'a Option<String>,
            message_id: &'a Option<String>,
            direction: &'a Option<String>,
            status: &'a Option<String>,
            origin: &'a Option<String>,
            message_type: &'a Option<String>,
            new_conversation: Option<bool>,
            test: bool,
            text: &'a Option<String>,
            timestamp: Option<u64>,
            item_key: &'a str,
            span: crate::types::Span,
            #[serde(flatten)]
            route: &'a Option<Route>,
        }
        let event = &self.event;
        let flat = Flat {
            index: self.index,
            name: &event.name,
            kind: event.kind.name(),
            payload_version: &event.payload_version,
            phone_number_id: &event.phone_number_id,
            business_account_id: &event.business_account_id,
            customer_id: &event.customer_id,
            conversation_id: &event.conversation_id,
            message_id: &event.message_id,
            direction: &event.direction,
            status: &event.status,
            origin: &event.origin,
            message_type: &event.message_type,
            new_conversation: event.new_conversation,
            test: event.test,
            text: &event.text,
            timestamp: event.timestamp,
            item_key: &event.item_key,
            span: event.span,
            route: &self.route,
        };
        flat.serialize(serializer)
    }
}

fn rejection<S: Serializer>(rejection: &Option<Rejection>, serializer: S) -> Result<S::Ok, S::Error> {
    rejection.as_ref().map(Rejection::name).serialize(serializer)
}

fn unreadable<S: Serializer>(error: &Option<ParseError>, serializer: S) -> Result<S::Ok, S::Error> {
    let said = error.as_ref().map(|error| match error {
        ParseError::NotJson(at) => json!({"reason": "not-json", "at": at}),
        ParseError::NotAnObject => json!({"reason": "not-an-object"}),
        ParseError::TooDeep(at) => json!({"reason": "too-deep", "at": at}),
        ParseError::TooManyEvents(limit) => json!({"reason": "too-many-events", "limit": limit}),
    });
    said.serialize(serializer)
}

fn by_target<S: Serializer>(targets: &Option<Vec<(String, Vec<u32>)>>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(targets.iter().flatten().map(|(target, events)| (target, events)))
}
