//! What each event says in full.

use hookgate_core::detail as core;

use crate::convert::{records, variants};
use crate::wit;

variants! {
    core::Detail<'_> => wit::Detail {
        Message(message), Status(status), Conversation(event), Contact(event), PhoneNumber(event), Account(event),
        Workflow(event), Project(event), AgentRun(run), Config(event), MetaChange(change), Other,
    }

    core::Content<'_> => wit::MessageContent {
        Text(text), Image(media), Video(media), Audio(media), Document(media), Sticker(media), Location(location),
        Contacts(cards), ButtonReply(reply), ListReply(reply), FlowReply(reply), Button(button), Reaction(reaction),
        Order(order), Template(template), System(message), Unsupported, Other(name),
    }
}

records! {
    core::Message<'_> => wit::Message {
        id, timestamp, from, to, from_user_id, username, group_id, context_id, referral, direction, status,
        processing_status, origin, has_media, rendered, transcript, media_url, content, statuses, errors, conversation,
    }

    core::Media<'_> => wit::Media { id, mime_type, sha256, url, link, caption, filename, voice, animated }

    core::Location<'_> => wit::Location { latitude, longitude, name, address, url }

    core::ContactCard<'_> => wit::ContactCard { name, phones }

    core::ContactPhone<'_> => wit::ContactPhone { phone, wa_id, type_ = r#type }

    core::Reply<'_> => wit::Reply { id, title, description }

    core::FlowReply<'_> => wit::FlowReply { name, body, response_json }

    core::Button<'_> => wit::Button { payload, text }

    core::Reaction<'_> => wit::Reaction { message_id, emoji }

    core::Order<'_> => wit::Order { catalog_id, text, items }

    core::OrderItem<'_> => wit::OrderItem { product_retailer_id, quantity, item_price, currency }

    core::Template<'_> => wit::Template { name, language }

    core::SystemMessage<'_> => wit::SystemMessage { body, wa_id, type_ = r#type }

    core::MessageError<'_> => wit::MessageError { code, title, message, details }

    core::Status<'_> => wit::Status { id, status, timestamp, recipient_id, errors }

    core::Conversation<'_> => wit::Conversation {
        id, phone_number, status, contact_name, username, business_scoped_user_id, last_active_at, created_at, updated_at,
    }

    core::ConversationEvent<'_> => wit::ConversationEvent { conversation, inactive_minutes, since_message_id }

    core::ContactEvent<'_> => wit::ContactEvent {
        id, customer_id, wa_id, profile_name, display_name, username, business_scoped_user_id,
        previous_business_scoped_user_id, marketing,
    }

    core::MarketingPreference<'_> => wit::MarketingPreference { status, previous_status, detail, occurred_at, sequence }

    core::PhoneNumberEvent<'_> => wit::PhoneNumberEvent {
        id, occurred_at, project_id, external_customer_id, connection_type, disconnection_reason, initiated_by,
    }

    core::AccountEvent<'_> => wit::AccountEvent {
        id, occurred_at, project_id, phone_number_ids, restrictions, violation_type, ban_state,
    }

    core::Restriction<'_> => wit::Restriction { type_ = r#type, expires_at }

    core::WorkflowEvent<'_> => wit::WorkflowEvent {
        execution_id, workflow_id, project_id, status, tracking_id, channel, occurred_at, handoff_reason, handoff_source,
        error_message,
    }

    core::ProjectEvent<'_> => wit::ProjectEvent { id, name, project_id, occurred_at, properties }

    core::AgentRun<'_> => wit::AgentRun {
        id, run_id, session_id, agent, status, error_code, error_message, created_at, finished_at, result,
    }

    core::ConfigEvent<'_> => wit::ConfigEvent {
        config_id, name, display_phone_number, project_id, external_customer_id, setup_link_id, is_coexistence,
    }

    core::MetaChange<'_> => wit::MetaChange { field, value }
}
