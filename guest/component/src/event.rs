//! What a delivery says.

#[cfg(test)]
use alloc::string::String;

use crate::core;
use crate::layout::{Fields, Layout, Place};
use crate::lift::{Lift, take};
use crate::lower::{Lower, records, variants};
#[cfg(test)]
use crate::shape::Types;

records! {
    "parsed": core::detail::Parsed<'_> { delivery, details }

    "delivery": core::Delivery<'_> {
        kind, name, name_origin, payload_version, batch, test, idempotency_key, contradictions, events,
    }

    "contradiction": core::Contradiction { header, claimed, actual }

    "batch": core::Batch<'_> { size, window_ms, first_sequence, last_sequence, conversation_id }
}

variants! {
    "kind": core::Kind { Whatsapp, Project, Meta, Unknown }

    "name-origin": core::NameOrigin { Header, Body, None }

    "parse-error": core::ParseError { NotJson(offset), NotAnObject, TooDeep(offset), TooManyEvents(limit) }
}

/// An event goes both ways: `route` takes one.
macro_rules! event {
    ($($field:ident),* $(,)?) => {
        records! { "event": core::Event<'_> { $($field),* } }

        impl Lift for core::Event<'static> {
            fn lift(place: Place) -> Self {
                let mut fields = Fields::of(place);
                // In this order.
                Self { $($field: take(&mut fields),)* contact_name: None }
            }
        }
    };
}

event! {
    name, kind, payload_version, phone_number_id, business_account_id, customer_id, conversation_id, message_id,
    direction, status, origin, message_type, new_conversation, test, text, timestamp, item_key, span,
}

impl Lower for core::Span {
    const LAYOUT: Layout = u32::LAYOUT.then(u32::LAYOUT).whole();

    fn lower(&self, place: Place) {
        self.start.lower(place);
        self.end.saturating_sub(self.start).lower(place.at(4));
    }

    #[cfg(test)]
    fn shape(types: &mut Types) -> String {
        types.record("span", &[("start", u32::shape), ("len", u32::shape)])
    }
}
