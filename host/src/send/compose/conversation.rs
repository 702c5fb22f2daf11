//! v2 events of conversations and contacts, and the conversation that stands beside every message.

use super::words;
use super::world::{Conversation, World, local, utc, utc_fraction};
use crate::send::dice::Dice;
use crate::send::json::{Json, object};

/// A conversation as v2 has it, which carries the item's id in its metadata.
pub(super) fn v2(world: &mut World, conversation: &Conversation, status: &'static str, dice: &mut Dice) -> Json {
    let now = world.now();
    let item = world.item();
    let (_, name, username) = conversation.person;
    // Newer deliveries have the name at the top, older ones under `kapso`, and some have both.
    let (top, below) = dice.pick(&[(true, false), (true, false), (false, true), (true, true)]);
    let kapso = (below || dice.is(2, 3)).then(|| {
        object! {}
            .with_some("contact_name", below.then_some(name))
            .with("messages_count", conversation.messages)
            .with("last_message_id", format!("wamid.HBgL{}", dice.hex(16)))
            .with("last_message_type", "text")
            .with("last_message_timestamp", utc_fraction(now))
            .with("last_message_text", dice.pick(&words::TEXTS))
            .with("last_inbound_at", utc_fraction(now))
            .with("last_outbound_at", dice.is(1, 2).then(|| utc_fraction(now.saturating_sub(60))))
    });
    object! {"id": conversation.id.clone()}
        .with_some("contact_name", top.then_some(name))
        .with_some("phone_number", (!dice.is(1, 20)).then(|| conversation.spelt()))
        .with_some("business_scoped_user_id", conversation.scoped_id.clone())
        .with_some("username", conversation.scoped_id.is_some().then_some(username))
        .with("status", status)
        .with("last_active_at", local(now))
        .with("created_at", local(now.saturating_sub(2_701)))
        .with("updated_at", local(now))
        .with("metadata", object! {"item": item})
        .with("phone_number_id", conversation.phone_number_id())
        .with_some("kapso", kapso)
}

/// `whatsapp.conversation.created`, `.ended`, `.inactive`, and the handover, whose payload is documented nowhere.
pub(super) fn event(world: &mut World, name: &str, conversation: &Conversation, dice: &mut Dice) -> Json {
    let status = if name.ends_with(".ended") { "ended" } else { "active" };
    let body = object! {
        "conversation": v2(world, conversation, status, dice),
        "phone_number_id": conversation.phone_number_id(),
    };
    if !name.ends_with(".inactive") {
        return body;
    }
    let since = object! {
        "id": dice.uuid(),
        "whatsapp_message_id": format!("wamid.HBgL{}", dice.hex(16)),
        "direction": dice.pick(&["inbound", "outbound"]),
        "created_at": utc(world.now()),
    };
    body.with("since_message", since).with("inactivity", object! {"minutes": dice.pick(&[1_u64, 60, 1440])})
}

/// `whatsapp.contact.identity_changed` and `.marketing_preference_changed`.
pub(super) fn contact(world: &mut World, name: &str, conversation: &Conversation, dice: &mut Dice) -> Json {
    let item = world.item();
    let now = world.now();
    let (first, whole, username) = conversation.person;
    let scoped = format!("US.{}", dice.digits(15));
    let contact = object! {
        "id": format!("contact_{}", dice.hex(12)),
        "customer_id": dice.is(1, 2).then(|| dice.uuid()),
        "wa_id": conversation.customer.clone(),
        "profile_name": first,
        "display_name": whole,
        "business_scoped_user_id": scoped,
        "parent_business_scoped_user_id": dice.is(1, 2).then(|| format!("US.ENT.{}", dice.digits(15))),
        "username": username,
        "sandbox": false,
        "metadata": object! {"item": item},
        "created_at": local(now.saturating_sub(1_501)),
        "updated_at": local(now),
    };
    let body = object! {"contact": contact};
    let body = if name.ends_with(".identity_changed") {
        let previous = object! {
            "business_scoped_user_id": dice.is(2, 3).then(|| format!("US.OLD.{}", dice.digits(15))),
            "parent_business_scoped_user_id": dice.is(1, 3).then(|| format!("US.ENT.{}", dice.digits(15))),
        };
        body.with("previous", previous)
    } else {
        let (status, previous) =
            dice.pick(&[("stopped", None), ("stopped", Some("resumed")), ("resumed", Some("stopped"))]);
        let preference = object! {
            "status": status,
            "previous_status": previous,
            "detail": dice.is(1, 2).then_some("user_preference"),
            "occurred_at": utc(now),
            "sequence": 1 + u64::from(dice.below(1000)),
        };
        body.with("marketing_preference", preference)
    };
    body.with("phone_number_id", conversation.phone_number_id())
}
