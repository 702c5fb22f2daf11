//! v1: everything around a `whatsapp_config`, flat or wrapped in `{event, data}`.

use super::project::PROJECT;
use super::words;
use super::world::{ACCOUNT, Conversation, World, utc};
use crate::send::dice::Dice;
use crate::send::json::{Json, object};

const CONFIG: &str = "770e8400-e29b-41d4-a716-446655440002";

/// A message or conversation event.
pub(super) fn event(world: &mut World, name: &'static str, conversation: &Conversation, dice: &mut Dice) -> Json {
    let payload = match name.rsplit_once('.') {
        Some(("whatsapp.message", status)) => message(world, status, conversation, dice),
        Some((_, what)) => {
            let item = world.item();
            let status = if what == "ended" { "ended" } else { "active" };
            object! {"conversation": v1(world, conversation, status, object! {"item": item})}
        }
        None => object! {},
    };
    let config = config(world, CONFIG.to_owned(), conversation.phone_number_id());
    let payload = payload.with("whatsapp_config", config);
    // The oldest guides read `data`; later bodies are flat.
    if dice.is(1, 2) {
        object! {"event": name, "data": payload}
    } else {
        payload
    }
}

fn message(world: &mut World, status: &'static str, conversation: &Conversation, dice: &mut Dice) -> Json {
    let item = world.item();
    let count = world.spoken(conversation.index);
    let inbound = status == "received";
    let message = object! {
        "id": item,
        "message_type": "text",
        "content": dice.pick(&words::TEXTS),
        "direction": if inbound { "inbound" } else { "outbound" },
        "status": status,
        "origin": "cloud_api",
    };
    let message = message
        .with(if inbound { "from" } else { "to" }, conversation.customer.clone())
        .with("whatsapp_message_id", world.wamid())
        .with_some("error", (status == "failed").then(super::message::failure))
        .with("created_at", utc(world.now()));
    object! {
        "message": message,
        "conversation": v1(world, conversation, "active", object! {}),
        "is_new_conversation": count == 1,
    }
}

fn v1(world: &World, conversation: &Conversation, status: &'static str, metadata: Json) -> Json {
    object! {
        "id": conversation.id.clone(),
        "phone_number": conversation.spelt(),
        "status": status,
        "metadata": metadata,
        "last_active_at": utc(world.now()),
        "whatsapp_config_id": CONFIG,
    }
}

fn config(world: &World, id: String, number: String) -> Json {
    let before = utc(world.now().saturating_sub(86_400));
    object! {
        "id": id,
        "name": "Production WhatsApp",
        "phone_number_id": number,
        "business_account_id": ACCOUNT,
        "is_coexistence": false,
        "inbound_processing_enabled": true,
        "calls_enabled": false,
        "webhook_verified_at": before.clone(),
        "created_at": before,
        "updated_at": utc(world.now()),
        "customer_id": "880e8400-e29b-41d4-a716-446655440003",
        "display_name": "Production WhatsApp",
        "display_phone_number": "+1 (555) 123-4567",
        "display_phone_number_normalized": "15551234567",
    }
}

/// `whatsapp.config.created`: a customer connected a number.
pub(super) fn config_created(world: &mut World, dice: &mut Dice) -> Json {
    let item = world.item();
    let number = world.connected_number(dice);
    let now = utc(world.now());
    object! {
        "whatsapp_config": config(world, item, number),
        "project": object! {
            "id": PROJECT,
            "name": "My SaaS Platform",
            "description": "Customer communications platform",
            "created_at": "2024-01-01T00:00:00Z",
            "updated_at": now.clone(),
        },
        "customer": object! {
            "id": "880e8400-e29b-41d4-a716-446655440003",
            "name": "Acme Corporation & Sons",
            "external_customer_id": "acme-corp-123",
            "created_at": "2024-01-08T10:00:00Z",
            "updated_at": now.clone(),
        },
        "setup_link": object! {
            "id": dice.uuid(),
            "status": "used",
            "created_at": now.clone(),
            "expires_at": utc(world.now() + 2_592_000),
            "success_redirect_url": "https://your-app.example/onboarding/success?a=1&b=2",
            "failure_redirect_url": "https://your-app.example/onboarding/error",
            "allowed_connection_types": vec!["coexistence", "dedicated"],
            "theme_config": Json::Null,
            "provision_phone_number": false,
            "phone_number_area_code": Json::Null,
            "phone_number_country_isos": vec!["US"],
            "whatsapp_setup_status": "completed",
            "whatsapp_setup_error": Json::Null,
            "url": "https://setup.kapso.ai/s/abc123",
        },
        "phone_number": object! {
            "id": dice.uuid(),
            "phone_number": "+15551234567",
            "status": "active",
            "area_code": "555",
            "country_iso": "US",
            "country_dial_code": "1",
            "provisioned_at": now,
            "released_at": Json::Null,
            "display_number": "+1 (555) 123-4567",
        },
        "creation_context": object! {"sandbox": false, "coexistence": false},
    }
}
