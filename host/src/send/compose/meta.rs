//! Meta's own bodies, which Kapso forwards as they are. One may hold several entries, changes, messages and statuses.

use super::content;
use super::message::{failure, pricing};
use super::world::{ACCOUNT, Conversation, World};
use crate::send::dice::Dice;
use crate::send::json::{Json, object};

/// The largest number of items in the first change of a forward.
const MOST: u32 = 4;

/// A forward about one conversation's number, and how many items are in it.
pub(super) fn forward(world: &mut World, conversation: &Conversation, dice: &mut Dice) -> (Json, u32) {
    let mut items = if dice.is(3, 4) { 1 } else { 2 + dice.below(MOST - 1) };
    let mut changes = match dice.below(5) {
        0 | 1 => vec![messages(world, conversation, items, dice)],
        2 => vec![statuses(world, conversation, items, dice)],
        3 => vec![echoes(world, conversation, items, dice)],
        // Each of these is a change by itself.
        _ => (0..items).map(|_| template(world, dice)).collect(),
    };
    if dice.is(1, 10) {
        changes.push(statuses(world, conversation, 1, dice));
        items += 1;
    }
    let mut entries = vec![object! {"id": ACCOUNT, "time": world.now()}.with("changes", changes)];
    if dice.is(1, 10) {
        let more = vec![statuses(world, conversation, 1, dice)];
        entries.push(object! {"id": ACCOUNT}.with("changes", more));
        items += 1;
    }
    // Meta puts `object` before or behind.
    let body = if dice.is(1, 5) {
        object! {"entry": entries, "object": "whatsapp_business_account"}
    } else {
        object! {"object": "whatsapp_business_account", "entry": entries}
    };
    (body, items)
}

fn metadata(conversation: &Conversation) -> Json {
    object! {"display_phone_number": "15550783881", "phone_number_id": conversation.phone_number_id()}
}

fn messages(world: &mut World, conversation: &Conversation, items: u32, dice: &mut Dice) -> Json {
    let contact = object! {"profile": object! {"name": conversation.person.1}, "wa_id": conversation.customer.clone()};
    let messages: Vec<_> = (0..items)
        .map(|_| {
            let content = content::inbound(conversation, dice);
            let item = world.item();
            object! {
                "from": conversation.customer.clone(),
                "id": format!("wamid.HBgL{item}"),
                "timestamp": world.now().to_string(),
                "type": content.kind,
            }
            .and(content.object.map(|object| (content.kind, object)).into_iter().collect())
            .and(content.beside)
        })
        .collect();
    let value = object! {
        "messaging_product": "whatsapp",
        "metadata": metadata(conversation),
        "contacts": vec![contact],
        "messages": messages,
    };
    object! {"value": value, "field": "messages"}
}

fn statuses(world: &mut World, conversation: &Conversation, items: u32, dice: &mut Dice) -> Json {
    let statuses: Vec<_> = (0..items)
        .map(|_| {
            let item = world.item();
            let status = dice.pick(&["sent", "delivered", "read", "failed"]);
            object! {
                "id": world.wamid(),
                "status": status,
                "timestamp": world.now().to_string(),
                "recipient_id": conversation.customer.clone(),
                // What a business may give along with a message, and gets back with each status of it.
                "biz_opaque_callback_data": item,
            }
            .with_some("pricing", (status == "delivered").then(pricing))
            .with_some("errors", (status == "failed").then(|| vec![failure()]))
        })
        .collect();
    let value = object! {
        "messaging_product": "whatsapp",
        "metadata": metadata(conversation),
        "statuses": statuses,
    };
    object! {"value": value, "field": "messages"}
}

/// What was sent from the WhatsApp Business App.
fn echoes(world: &mut World, conversation: &Conversation, items: u32, dice: &mut Dice) -> Json {
    let echoes: Vec<_> = (0..items)
        .map(|_| {
            let content = content::outbound(conversation, dice);
            let item = world.item();
            object! {
                "from": "15550783881",
                "to": conversation.customer.clone(),
                "id": format!("wamid.HBgL{item}"),
                "timestamp": world.now().to_string(),
                "type": content.kind,
            }
            .and(content.object.map(|object| (content.kind, object)).into_iter().collect())
        })
        .collect();
    let value = object! {
        "messaging_product": "whatsapp",
        "metadata": metadata(conversation),
        "message_echoes": echoes,
    };
    object! {"value": value, "field": "smb_message_echoes"}
}

/// A change of the account's, without a phone number.
fn template(world: &mut World, dice: &mut Dice) -> Json {
    let item = world.item();
    let value = object! {
        "event": dice.pick(&["APPROVED", "PAUSED", "REJECTED"]),
        "message_template_id": 1_689_556_908_129_832_u64,
        "message_template_name": "order_confirmation",
        "message_template_language": "en-US",
        "reason": "NONE",
        "other_info": object! {"title": "FIRST_PAUSE", "description": item},
    };
    object! {"value": value, "field": "message_template_status_update"}
}
