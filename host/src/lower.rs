//! From the types that face people to those that the component takes: references all along, no bytes are copied.

use crate::bindings::exports::hookgate::kapso::gate as wit;
use crate::types::{Event, Head, Header};

pub(crate) fn headers<'a>(headers: &'a [Header<'a>]) -> Vec<wit::HeaderParam<'a>> {
    headers.iter().map(|header| wit::HeaderParam { name: header.name, value: header.value }).collect()
}

pub(crate) fn head<'a>(head: &Head<'a>, headers: &'a [wit::HeaderParam<'a>]) -> wit::Head<'a> {
    wit::Head { method: head.method, path: head.path, headers }
}

pub(crate) fn event(event: &Event) -> wit::EventParam<'_> {
    wit::EventParam {
        name: event.name.as_deref(),
        kind: event.kind,
        payload_version: event.payload_version.as_deref(),
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
        item_key: &event.item_key,
        span: event.span,
    }
}
