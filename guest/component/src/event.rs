//! What a delivery says.

use crate::convert::{records, variants};
use crate::{core, wit};

records! {
    core::detail::Parsed<'_> => wit::Parsed { delivery, details }

    core::Delivery<'_> => wit::Delivery {
        kind, name, name_origin, payload_version, batch, test, idempotency_key, contradictions, events,
    }

    core::Contradiction => wit::Contradiction { header, claimed, actual }

    core::Batch<'_> => wit::Batch { size, window_ms, first_sequence, last_sequence, conversation_id }
}

variants! {
    core::Kind => wit::Kind { Whatsapp, Project, Meta, Unknown }

    wit::Kind => core::Kind { Whatsapp, Project, Meta, Unknown }

    core::NameOrigin => wit::NameOrigin { Header, Body, None }

    core::ParseError => wit::ParseError { NotJson(offset), NotAnObject, TooDeep(offset), TooManyEvents(limit) }
}

/// An event goes both ways: `route` takes one.
macro_rules! events {
    ($($from:ty => $to:path),*) => { records! { $($from => $to {
        name, kind, payload_version, phone_number_id, business_account_id, customer_id, conversation_id, message_id,
        direction, status, origin, message_type, new_conversation, test, text, timestamp, item_key, span,
    })* } };
}

events!(core::Event<'_> => wit::Event, wit::Event => core::Event<'static>);
