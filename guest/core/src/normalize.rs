//! The `normalized` body: one shape for v1, v2, batch items and Meta forwards alike.

use alloc::vec::Vec;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::detail::{self, Detail};
use crate::event::{Delivery, Event};

#[derive(Serialize)]
struct Body<'b> {
    delivery: Envelope<'b>,
    events: Vec<Item<'b>>,
}

#[derive(Serialize)]
struct Envelope<'b> {
    source: &'b str,
    kind: &'static str,
    event: Option<&'b str>,
    payload_version: Option<&'b str>,
    batch: bool,
    test: bool,
    idempotency_key: Option<&'b str>,
}

#[derive(Serialize)]
struct Item<'b> {
    event: Option<&'b str>,
    key: &'b str,
    phone_number_id: Option<&'b str>,
    business_account_id: Option<&'b str>,
    customer_id: Option<&'b str>,
    conversation_id: Option<&'b str>,
    message_id: Option<&'b str>,
    direction: Option<&'b str>,
    status: Option<&'b str>,
    origin: Option<&'b str>,
    message_type: Option<&'b str>,
    new_conversation: Option<bool>,
    test: bool,
    text: Option<&'b str>,
    timestamp: Option<u64>,
    detail: Detail<'b>,
    /// The item as received, so that nothing is lost.
    raw: Option<&'b RawValue>,
}

/// The normalised body for the events named by `events`.
pub(crate) fn body(source: &str, delivery: &Delivery<'_>, events: &[usize], body: &[u8]) -> Vec<u8> {
    let events = events.iter().filter_map(|index| delivery.events.get(*index));
    let normalized = Body {
        delivery: Envelope {
            source,
            kind: delivery.kind.as_str(),
            event: delivery.name.as_deref(),
            payload_version: delivery.payload_version.as_deref(),
            batch: delivery.batch.is_some(),
            test: delivery.test,
            idempotency_key: delivery.idempotency_key.as_deref(),
        },
        events: events.map(|event| item(event, body)).collect(),
    };
    // Strings, numbers and spans that were checked: there is nothing that cannot be written.
    serde_json::to_vec(&normalized).unwrap_or_default()
}

fn item<'b>(event: &'b Event<'b>, body: &'b [u8]) -> Item<'b> {
    Item {
        event: event.name.as_deref(),
        key: &event.item_key,
        phone_number_id: event.phone_number_id.as_deref(),
        business_account_id: event.business_account_id.as_deref(),
        customer_id: event.customer_id.as_deref(),
        conversation_id: event.conversation_id.as_deref(),
        message_id: event.message_id.as_deref(),
        direction: event.direction.as_deref(),
        status: event.status.as_deref(),
        origin: event.origin.as_deref(),
        message_type: event.message_type.as_deref(),
        new_conversation: event.new_conversation,
        test: event.test,
        text: event.text.as_deref(),
        timestamp: event.timestamp,
        detail: detail::of_event(event, body).unwrap_or(Detail::Other),
        raw: serde_json::from_slice(event.span.of(body)).ok(),
    }
}
