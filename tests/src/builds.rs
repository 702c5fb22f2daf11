//! The builds that must give the same answer, behind one door.

use hookgate::{Sha256, types};
use hookgate_core as core;
use serde_json::{Value, json};

use crate::hooked::plugin_on;

/// A question for `decide`.
pub struct Question {
    /// The policy document.
    pub policy: String,
    /// Names and values.
    pub secrets: Vec<(String, String)>,
    /// The method.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// Header fields in order.
    pub headers: Vec<(String, String)>,
    /// The body's bytes.
    pub body: Vec<u8>,
    /// Unix seconds.
    pub now: u64,
}

/// A build of the gate.
#[derive(Clone, Copy, Debug)]
pub enum Build {
    /// The core, compiled for this machine.
    Native,
    /// The core, compiled for this machine, fed in pieces of this many bytes.
    Pieces(usize),
    /// The component in wasmtime.
    Component(Sha256),
}

impl Build {
    /// The decision as JSON, in the words of the contract.
    ///
    /// # Panics
    /// When the policy does not compile or the component fails.
    pub fn decide(self, question: &Question) -> Value {
        match self {
            Self::Native => natively(question, None),
            Self::Pieces(size) => natively(question, Some(size)),
            Self::Component(sha256) => in_the_component(question, sha256),
        }
    }
}

fn in_the_component(question: &Question, sha256: Sha256) -> Value {
    let secrets = question.secrets.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let gate = plugin_on(sha256).compile(&question.policy, &secrets).expect("the policy compiles");
    let headers: Vec<_> =
        question.headers.iter().map(|(name, value)| types::Header { name, value: value.as_bytes() }).collect();
    let head = types::Head { method: &question.method, path: &question.path, headers: &headers };
    let request = types::Request { head, body: &question.body };
    let decision = gate.decide(&request, question.now).expect("the component answers");
    readable(serde_json::to_value(decision).expect("a decision is JSON"))
}

fn natively(question: &Question, pieces: Option<usize>) -> Value {
    let secrets: Vec<_> = question.secrets.iter().map(|(name, value)| core::Secret { name, value }).collect();
    let gate = core::Gate::compile(&question.policy, &secrets).expect("the policy compiles");
    let headers: Vec<_> =
        question.headers.iter().map(|(name, value)| core::Header { name, value: value.as_bytes() }).collect();
    let head = core::Head { method: &question.method, path: &question.path, headers: &headers };
    let request = core::Request { head, body: &question.body };
    let decision = match pieces {
        None => gate.decide(&request, question.now),
        Some(size) => match gate.admit(&head) {
            core::Admission::NotOurs => core::Decision::NotOurs,
            core::Admission::Respond(refusal) => core::Decision::Respond(refusal),
            core::Admission::Redirect(redirect) => core::Decision::Redirect(redirect),
            core::Admission::Read(mut intake) => {
                let fed = question.body.chunks(size).try_for_each(|piece| intake.feed(&gate, piece));
                fed.map_or_else(core::Decision::Respond, |()| intake.finish(&gate, &request, question.now))
            }
        },
    };
    readable(match &decision {
        core::Decision::NotOurs => json!("NotOurs"),
        core::Decision::Respond(refusal) => json!({ "Respond": {
            "response": response(&refusal.response),
            "source": refusal.source,
            "rejection": refusal.rejection.map(|rejection| format!("{rejection:?}")),
        }}),
        core::Decision::Redirect(redirect) => json!({ "Redirect": {
            "setup_link": redirect.setup_link,
            "setup_link_id": redirect.setup_link_id,
            "outcome": match &redirect.outcome {
                core::RedirectOutcome::Completed(connection) => json!({ "Completed": {
                    "phone_number_id": connection.phone_number_id,
                    "business_account_id": connection.business_account_id,
                    "provisioned_phone_number_id": connection.provisioned_phone_number_id,
                    "display_phone_number": connection.display_phone_number,
                    "whatsapp_config_id": connection.whatsapp_config_id,
                }}),
                core::RedirectOutcome::Failed(core::SetupError::Other(code)) => json!({ "Failed": { "Other": code } }),
                core::RedirectOutcome::Failed(error) => json!({ "Failed": format!("{error:?}") }),
            },
            "onward": match &redirect.onward {
                core::Onward::Page(page) => json!({ "Page": response(page) }),
                core::Onward::Target(relay) => json!({ "Target": {
                    "target": relay.target,
                    "drop_headers": relay.drop_headers,
                    "set_headers": headers_out(&relay.set_headers),
                    "answer_headers": headers_out(&relay.answer_headers),
                }}),
            },
        }}),
        core::Decision::Deliver(deliver) => json!({ "Deliver": {
            "proof": { "source": deliver.proof.source, "secret": deliver.proof.secret },
            "unreadable": deliver.unreadable.as_ref().map(unreadable),
            "delivery": delivery(&deliver.delivery),
            "routes": deliver.routes.iter().map(|route| json!({
                "rule": route.rule,
                "targets": route.targets,
            })).collect::<Vec<_>>(),
            "dispatches": deliver.dispatches.iter().map(|dispatch| json!({
                "target": dispatch.target,
                "events": dispatch.events,
                "messages": dispatch.messages.iter().map(message).collect::<Vec<_>>(),
            })).collect::<Vec<_>>(),
        }}),
    })
}

fn response(response: &core::Response) -> Value {
    json!({
        "status": response.status,
        "headers": headers_out(&response.headers),
        "body": response.body,
    })
}

fn unreadable(error: &core::ParseError) -> Value {
    match error {
        core::ParseError::NotJson(at) => json!({ "NotJson": at }),
        core::ParseError::NotAnObject => json!("NotAnObject"),
        core::ParseError::TooDeep(at) => json!({ "TooDeep": at }),
        core::ParseError::TooManyEvents(limit) => json!({ "TooManyEvents": limit }),
    }
}

fn delivery(delivery: &core::Delivery<'_>) -> Value {
    json!({
        "kind": format!("{:?}", delivery.kind),
        "name": delivery.name,
        "name_origin": format!("{:?}", delivery.name_origin),
        "payload_version": delivery.payload_version,
        "batch": delivery.batch.as_ref().map(|batch| json!({
            "size": batch.size,
            "window_ms": batch.window_ms,
            "first_sequence": batch.first_sequence,
            "last_sequence": batch.last_sequence,
            "conversation_id": batch.conversation_id,
        })),
        "test": delivery.test,
        "idempotency_key": delivery.idempotency_key,
        "contradictions": delivery.contradictions.iter().map(|contradiction| json!({
            "header": contradiction.header,
            "claimed": contradiction.claimed,
            "actual": contradiction.actual,
        })).collect::<Vec<_>>(),
        "events": delivery.events.iter().map(event).collect::<Vec<_>>(),
    })
}

fn event(event: &core::Event<'_>) -> Value {
    json!({
        "name": event.name,
        "kind": format!("{:?}", event.kind),
        "payload_version": event.payload_version,
        "phone_number_id": event.phone_number_id,
        "business_account_id": event.business_account_id,
        "customer_id": event.customer_id,
        "conversation_id": event.conversation_id,
        "message_id": event.message_id,
        "direction": event.direction,
        "status": event.status,
        "origin": event.origin,
        "message_type": event.message_type,
        "new_conversation": event.new_conversation,
        "test": event.test,
        "text": event.text,
        "timestamp": event.timestamp,
        "item_key": event.item_key,
        "span": span(event.span),
    })
}

fn message(message: &core::Message) -> Value {
    json!({
        "events": message.events,
        "body": match &message.body {
            core::BodyOut::AsReceived => json!("AsReceived"),
            core::BodyOut::Part(part) => json!({ "Part": span(*part) }),
            core::BodyOut::Rewritten(body) => json!({ "Rewritten": body }),
        },
        "drop_headers": message.drop_headers,
        "set_headers": headers_out(&message.set_headers),
    })
}

fn span(span: core::Span) -> Value {
    json!({ "start": span.start, "len": span.end - span.start })
}

fn headers_out(headers: &[core::HeaderOut]) -> Value {
    headers.iter().map(|header| json!({ "name": header.name, "value": header.value })).collect()
}

/// The same with bodies and header values as text, so that a stored decision can be read and compared by people.
fn readable(value: Value) -> Value {
    match value {
        Value::Object(members) => members
            .into_iter()
            .map(|(key, value)| match key.as_str() {
                "body" | "Rewritten" | "value" => (key, text(value)),
                _ => (key, readable(value)),
            })
            .collect(),
        Value::Array(elements) => elements.into_iter().map(readable).collect(),
        other => other,
    }
}

/// The text that an array of bytes spells; anything else as it is.
fn text(value: Value) -> Value {
    let byte = |element: &Value| u8::try_from(element.as_u64()?).ok();
    let bytes = value.as_array().and_then(|elements| elements.iter().map(byte).collect());
    bytes.and_then(|bytes| String::from_utf8(bytes).ok()).map_or_else(|| readable(value), Value::String)
}
