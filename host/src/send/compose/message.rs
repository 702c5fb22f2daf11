//! v2 events of messages: what came in, what went out, and what became of that.

use super::content::{self, Content};
use super::conversation;
use super::world::{Conversation, Sent, World};
use crate::send::dice::Dice;
use crate::send::json::{Json, Members, object};

/// A message that came in, with its conversation: the body of a delivery, or an item of a batch.
pub(super) fn received(world: &mut World, conversation: &Conversation, dice: &mut Dice) -> Json {
    let content = content::inbound(conversation, dice);
    let id = world.wamid();
    let origin = dice.pick(&["cloud_api", "cloud_api", "cloud_api", "history_sync"]);
    let message = Message { id: &id, inbound: true, status: "received", origin: Some(origin), statuses: None };
    let message = message.of(content, world, conversation, dice);
    whole(world, conversation, message, dice)
}

/// A message that WhatsApp took from the business.
pub(super) fn sent(world: &mut World, conversation: &Conversation, dice: &mut Dice) -> Json {
    let content = content::outbound(conversation, dice);
    let id = world.wamid();
    let origin = dice.pick(&[Some("cloud_api"), Some("cloud_api"), Some("business_app"), None]);
    if let ("text", Some(words)) = (content.kind, &content.words) {
        world.sent(id.clone(), conversation.index, words.clone(), vec!["sent"]);
    }
    let statuses = Some(vec![status(&id, "sent", conversation, world)]);
    let message = Message { id: &id, inbound: false, status: "sent", origin, statuses };
    let message = message.of(content, world, conversation, dice);
    whole(world, conversation, message, dice)
}

/// What became of a message of the business: `delivered`, `read` or `failed`.
pub(super) fn told(world: &mut World, now: &'static str, dice: &mut Dice) -> (Conversation, Json) {
    let (Sent { id, conversation, text, .. }, before) = world.told(now, dice);
    let conversation = world.conversation(conversation);
    let statuses = before.into_iter().chain([now]).map(|told| status(&id, told, &conversation, world)).collect();
    let content = Content::said(text);
    let message = Message { id: &id, inbound: false, status: now, origin: Some("cloud_api"), statuses: Some(statuses) };
    let message = message.of(content, world, &conversation, dice);
    let body = whole(world, &conversation, message, dice);
    (conversation, body)
}

/// What the dashboard's test button sends. Kapso's own says `wamid.TEST`; here each has its number behind that, because two
/// messages of one id are one message.
pub(super) fn test(world: &mut World, dice: &mut Dice) -> (u32, Json) {
    let number = world.any_number(dice);
    let phone_number_id = super::world::phone_number_id(number);
    let item = world.item();
    let now = world.now();
    let id = format!("wamid.TEST{}", item.rsplit('-').next().unwrap_or_default());
    let said = "This is a test message";
    let message = object! {
        "id": id,
        "timestamp": now.to_string(),
        "type": "text",
        "from": "+15551234567",
        "username": "kapso_test_user",
        "text": object! {"body": said},
        "kapso": object! {
            "direction": "inbound",
            "status": "received",
            "processing_status": "pending",
            "origin": "cloud_api",
            "has_media": false,
            "content": said,
        },
    };
    let conversation = object! {
        "id": "test-conv",
        "contact_name": "Test User",
        "phone_number": "+15551234567",
        "username": "kapso_test_user",
        "status": "active",
        "last_active_at": super::world::utc(now),
        "metadata": object! {"item": item},
        "phone_number_id": phone_number_id.clone(),
    };
    let body = object! {
        "test": true,
        "message": message,
        "conversation": conversation,
        "is_new_conversation": true,
        "phone_number_id": phone_number_id,
    };
    (number, body)
}

struct Message<'a> {
    id: &'a str,
    inbound: bool,
    status: &'static str,
    origin: Option<&'static str>,
    statuses: Option<Vec<Json>>,
}

impl Message<'_> {
    fn of(self, content: Content, world: &World, conversation: &Conversation, dice: &mut Dice) -> Json {
        let Content { kind, object, beside, words, file, kapso } = content;
        let object = match (object, &file) {
            (Some(object), Some(file)) => Some(object.with("link", file.url.clone())),
            (object, _) => object,
        };
        let mut more: Members = Vec::new();
        if let Some(file) = file {
            let data = object! {
                "url": file.url.clone(),
                "filename": file.name,
                "content_type": file.mime,
                "byte_size": file.bytes,
            };
            more = vec![("media_url", file.url.into()), ("media_data", data)];
        }
        let processing = if self.inbound { "pending" } else { "completed" };
        let kapso = object! {"direction": if self.inbound { "inbound" } else { "outbound" }, "status": self.status}
            .with("processing_status", processing)
            .with_some("origin", self.origin)
            .with("has_media", !more.is_empty())
            .with_some("content", words)
            .and(more)
            .and(kapso)
            .with_some("statuses", self.statuses);
        let side = if self.inbound { "from" } else { "to" };
        // Of a customer who hides the number, Kapso knows the business-scoped id alone.
        let hidden = conversation.scoped_id.is_some() && dice.is(1, 4);
        object! {"id": self.id.to_owned(), "timestamp": world.now().to_string(), "type": kind}
            .with_some(side, (!hidden).then(|| conversation.customer.clone()))
            .with_some("from_user_id", conversation.scoped_id.clone().filter(|_| self.inbound))
            .with_some("username", (hidden && self.inbound).then_some(conversation.person.2))
            .and(object.map(|object| (kind, object)).into_iter().collect())
            .and(beside)
            .with("kapso", kapso)
    }
}

/// One of Meta's statuses.
fn status(id: &str, status: &'static str, conversation: &Conversation, world: &World) -> Json {
    let told = object! {
        "id": id.to_owned(),
        "status": status,
        "timestamp": world.now().to_string(),
        "recipient_id": conversation.customer.clone(),
    };
    match status {
        "failed" => told.with("errors", vec![failure()]),
        "delivered" => told.with("pricing", pricing()),
        _ => told,
    }
}

pub(super) fn pricing() -> Json {
    object! {"billable": false, "pricing_model": "PMP", "type": "free_customer_service", "category": "service"}
}

pub(super) fn failure() -> Json {
    object! {
        "code": 131_047_u64,
        "title": "Re-engagement message",
        "message": "More than 24 hours have passed since the recipient last replied",
        "error_data": object! {"details": "Message failed to send because more than 24 hours have passed."},
        "href": "https://developers.facebook.com/docs/whatsapp/cloud-api/support/error-codes/",
    }
}

fn whole(world: &mut World, conversation: &Conversation, message: Json, dice: &mut Dice) -> Json {
    let count = world.spoken(conversation.index);
    object! {
        "message": message,
        "conversation": conversation::v2(world, conversation, "active", dice),
        "is_new_conversation": count == 1,
        "phone_number_id": conversation.phone_number_id(),
    }
}
