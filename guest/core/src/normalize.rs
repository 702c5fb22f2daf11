//! The `normalized` body: one shape for v1, v2, batch items and Meta forwards alike.

use alloc::vec::Vec;

use crate::detail;
use crate::event::{Delivery, Event};
use crate::json;
use crate::write::{Write, Writer};

/// The bytes of an event's members without what they say, and some of that of the delivery.
const EACH: usize = 1024;

/// The normalised body for the events named by `events`.
pub(crate) fn body(source: &str, delivery: &Delivery<'_>, events: &[usize], body: &[u8]) -> Vec<u8> {
    let body = json::text(body).unwrap_or_default();
    let items = || events.iter().filter_map(|index| delivery.events.get(*index));
    let received: usize = items().map(|event| event.span.end.saturating_sub(event.span.start)).sum();
    // What is said in a message stands there three times, and each event has all members. Guessed too low it is only slower: what is
    // outgrown is not freed before the call ends.
    let room = received.saturating_mul(3).saturating_add(events.len().saturating_mul(EACH));
    let mut writer = Writer::with_capacity(room);
    writer.object(|writer| {
        writer.member("delivery", &Envelope { source, delivery });
        writer.member("events", &items().map(|event| Item { event, body }).collect::<Vec<_>>());
    });
    writer.finish()
}

struct Envelope<'b> {
    source: &'b str,
    delivery: &'b Delivery<'b>,
}

impl Write for Envelope<'_> {
    fn write(&self, writer: &mut Writer) {
        let delivery = self.delivery;
        writer.object(|writer| {
            writer.member("source", &self.source);
            writer.member("kind", &delivery.kind.as_str());
            writer.member("event", &delivery.name);
            writer.member("event_from", &delivery.name_origin.as_str());
            writer.member("payload_version", &delivery.payload_version);
            writer.member("batch", &delivery.batch.is_some());
            writer.member("test", &delivery.test);
            writer.member("idempotency_key", &delivery.idempotency_key);
        });
    }
}

struct Item<'b> {
    event: &'b Event<'b>,
    body: &'b str,
}

impl Write for Item<'_> {
    fn write(&self, writer: &mut Writer) {
        let event = self.event;
        writer.object(|writer| {
            writer.member("event", &event.name);
            writer.member("key", &event.item_key.as_str());
            writer.member("phone_number_id", &event.phone_number_id);
            writer.member("business_account_id", &event.business_account_id);
            writer.member("customer_id", &event.customer_id);
            writer.member("conversation_id", &event.conversation_id);
            writer.member("message_id", &event.message_id);
            writer.member("direction", &event.direction);
            writer.member("status", &event.status);
            writer.member("origin", &event.origin);
            writer.member("message_type", &event.message_type);
            writer.member("new_conversation", &event.new_conversation);
            writer.member("test", &event.test);
            writer.member("text", &event.text);
            writer.member("timestamp", &event.timestamp);
            writer.member("detail", &detail::of_event(event, self.body));
            writer.member("raw", &Raw(event.span.of(self.body.as_bytes())));
        });
    }
}

/// The item as received, so that nothing is lost.
struct Raw<'b>(&'b [u8]);

impl Write for Raw<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.raw(self.0);
    }
}
