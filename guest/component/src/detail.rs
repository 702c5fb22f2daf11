//! What each event says in full.

use hookgate_core::detail as core;

use crate::lower::{records, variants};

variants! {
    "detail": core::Detail<'_> {
        Message(message), Status(status), Conversation(event), Contact(event), PhoneNumber(event), Account(event),
        Workflow(event), Project(event), AgentRun(run), Config(event), MetaChange(change), Other,
    }

    "message-content": core::Content<'_> {
        Text(text), Image(media), Video(media), Audio(media), Document(media), Sticker(media), Location(location),
        Contacts(cards), ButtonReply(reply), ListReply(reply), FlowReply(reply), Button(button), Reaction(reaction),
        Order(order), Template(template), System(message), Unsupported, Other(name),
    }
}

records! {
    "message": core::Message<'_> {
        id, timestamp, from, to, from_user_id, from_parent_user_id, username, group_id, context_id, referral, direction,
        status, processing_status, origin, has_media, rendered, transcript, media_url, media_data, contact_name, content,
        statuses, errors, conversation,
    }

    "media": core::Media<'_> { id, mime_type, sha256, url, link, caption, filename, voice, animated }

    "media-data": core::MediaData<'_> { filename, content_type, byte_size }

    "location": core::Location<'_> { latitude, longitude, name, address, url }

    "contact-card": core::ContactCard<'_> { name, phones }

    "contact-phone": core::ContactPhone<'_> { phone, wa_id, r#type }

    "reply": core::Reply<'_> { id, title, description }

    "flow-reply": core::FlowReply<'_> { name, body, response_json }

    "button": core::Button<'_> { payload, text }

    "reaction": core::Reaction<'_> { message_id, emoji }

    "order": core::Order<'_> { catalog_id, text, items }

    "order-item": core::OrderItem<'_> { product_retailer_id, quantity, item_price, currency }

    "template": core::Template<'_> { name, language, components }

    "system-message": core::SystemMessage<'_> { body, wa_id, r#type }

    "message-error": core::MessageError<'_> { code, title, message, details, href }

    "status": core::Status<'_> { id, status, timestamp, recipient_id, participant_id, errors, pricing }

    "conversation": core::Conversation<'_> {
        id, phone_number, status, contact_name, username, business_scoped_user_id, parent_business_scoped_user_id,
        last_active_at, created_at, updated_at, activity,
    }

    "activity": core::Activity<'_> { contact_name, messages_count, last_inbound_at, last_outbound_at }

    "conversation-event": core::ConversationEvent<'_> { conversation, inactive_minutes, since_message_id }

    "contact-event": core::ContactEvent<'_> {
        id, customer_id, wa_id, profile_name, display_name, username, business_scoped_user_id, parent_business_scoped_user_id,
        previous_business_scoped_user_id, previous_parent_business_scoped_user_id, marketing,
    }

    "marketing-preference": core::MarketingPreference<'_> { status, previous_status, detail, occurred_at, sequence }

    "phone-number-event": core::PhoneNumberEvent<'_> {
        id, occurred_at, project_id, external_customer_id, connection_type, disconnection_reason, initiated_by,
    }

    "account-event": core::AccountEvent<'_> {
        id, occurred_at, project_id, phone_number_ids, restrictions, violation_type, violation_remediation, ban_state,
    }

    "restriction": core::Restriction<'_> { r#type, expires_at }

    "workflow-event": core::WorkflowEvent<'_> {
        execution_id, workflow_id, project_id, status, tracking_id, channel, occurred_at, handoff_reason, handoff_source,
        error_message,
    }

    "project-event": core::ProjectEvent<'_> { id, name, project_id, occurred_at, properties }

    "agent-run": core::AgentRun<'_> {
        id, run_id, session_id, agent, status, error_code, error_message, created_at, started_at, finished_at,
        status_url, result, pending_approval, metadata,
    }

    "config-event": core::ConfigEvent<'_> {
        config_id, name, display_phone_number, project_id, external_customer_id, setup_link_id, is_coexistence,
    }

    "meta-change": core::MetaChange<'_> { field, value }
}
