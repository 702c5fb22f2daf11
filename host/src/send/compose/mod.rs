//! Composing deliveries as Kapso does: every event of its catalogue, in every version and spelling that has been seen.
//!
//! Everything comes from the seed and the delivery's number. What must be remembered between deliveries (which conversation
//! has begun, which message waits for a status) is bounded, and composing is done in one place in one order, so that the same
//! seed gives the same bytes.

mod content;
mod conversation;
mod form;
mod legacy;
mod message;
mod meta;
mod project;
mod words;
mod world;

use std::fmt;

use bytes::Bytes;
use ring::digest::{SHA256, digest};

use self::world::{Conversation, World, phone_number_id};
use super::dice::{Dice, Purpose};
use super::json::{Json, Style, object};
use super::mix::Mix;
use crate::kapso::catalogue::PayloadVersion;

pub(crate) use self::form::{FAMILIES, Form, GROUPS, Signature};

/// What is composed of what.
#[derive(Clone, Debug)]
pub(crate) struct Scene {
    pub(crate) seed: u64,
    /// When the first delivery happens, in Unix seconds.
    pub(crate) now: u64,
    pub(crate) phone_numbers: u32,
    pub(crate) conversations: u32,
    pub(crate) mix: Mix,
}

/// Composes one delivery after the other.
pub(crate) struct Composer {
    seed: u64,
    mix: Mix,
    world: World,
    sequences: u64,
    composed: u64,
}

/// A delivery that nobody has signed yet.
#[derive(Clone, Debug)]
pub(crate) struct Composed {
    /// Its number, from 0.
    pub(crate) number: u64,
    pub(crate) form: Form,
    pub(crate) webhook: Webhook,
    /// The conversation that it keeps its order in, if it does.
    pub(crate) ordered: Option<u32>,
    /// How many events are in it.
    pub(crate) items: u32,
    /// `X-Idempotency-Key`.
    pub(crate) key: String,
    pub(crate) body: Bytes,
}

/// Which of Kapso's webhooks sends a delivery. Each is paused by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Webhook {
    /// The webhook of a phone number, counted from 0.
    Number(u32),
    /// The project's webhook.
    Project,
    /// The webhook that forwards what Meta sends about a phone number, counted from 0.
    Meta(u32),
}

impl fmt::Display for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "the webhook of number {}", phone_number_id(*number)),
            Self::Project => f.write_str("the project's webhook"),
            Self::Meta(number) => write!(f, "the Meta forward of number {}", phone_number_id(*number)),
        }
    }
}

/// A body, and what must be known beside it.
struct Draft {
    json: Json,
    webhook: Webhook,
    conversation: Option<u32>,
    items: u32,
}

impl Composer {
    pub(crate) fn new(scene: Scene) -> Self {
        let world = World::new(scene.seed, scene.now, scene.phone_numbers, scene.conversations);
        Self { seed: scene.seed, mix: scene.mix, world, sequences: 100, composed: 0 }
    }

    /// The next delivery.
    pub(crate) fn compose(&mut self) -> Composed {
        let number = self.composed;
        self.composed += 1;
        let mut dice = Dice::new(self.seed, number, Purpose::Compose);
        let form = self.mix.pick(&mut dice);
        let draft = self.draft(form, &mut dice);
        let body = Bytes::from(style(form, &mut dice).write(&draft.json));
        let key = match form {
            Form::Meta(_) => hex::encode(digest(&SHA256, &body)),
            _ => dice.uuid(),
        };
        let ordered = draft.conversation.filter(|_| form.ordered());
        Composed { number, form, webhook: draft.webhook, ordered, items: draft.items, key, body }
    }

    fn draft(&mut self, form: Form, dice: &mut Dice) -> Draft {
        let world = &mut self.world;
        let (event, version) = match form {
            Form::Event(event, version) => (event, version),
            Form::Batch(event) => return self.batch(event.name, dice),
            Form::Test(_) => {
                let (number, json) = message::test(world, dice);
                return Draft { json, webhook: Webhook::Number(number), conversation: None, items: 1 };
            }
            Form::LegacyAgent(name) => return Draft::of_project(project::legacy_agent(world, name, dice)),
            Form::Meta(_) => {
                let conversation = world.any_conversation(dice);
                let (json, items) = meta::forward(world, &conversation, dice);
                return Draft { json, webhook: Webhook::Meta(conversation.number), conversation: None, items };
            }
        };
        let conversation = world.any_conversation(dice);
        let json = match (form.family(), version) {
            (_, PayloadVersion::V1) if event.name.starts_with("whatsapp.config.") => {
                return Draft::of_project(legacy::config_created(world, dice));
            }
            (_, PayloadVersion::V1) => legacy::event(world, event.name, &conversation, dice),
            ("received", _) => message::received(world, &conversation, dice),
            ("sent", _) => message::sent(world, &conversation, dice),
            ("status", _) => {
                let status = event.name.rsplit('.').next().unwrap_or(event.name);
                let (conversation, json) = message::told(world, status, dice);
                return Draft::of(&conversation, json);
            }
            ("conversation" | "handover", _) => conversation::event(world, event.name, &conversation, dice),
            ("contact", _) => conversation::contact(world, event.name, &conversation, dice),
            _ => return Draft::of_project(project::event(world, event.name, dice)),
        };
        Draft::of(&conversation, json)
    }

    /// 1 to 100 messages of one conversation. Small batches are the most frequent ones.
    fn batch(&mut self, name: &'static str, dice: &mut Dice) -> Draft {
        let conversation = self.world.any_conversation(dice);
        let most = dice.pick(&[2, 2, 3, 5, 10, 25, 100]);
        let items = 1 + dice.below(most);
        let data: Vec<_> = (0..items).map(|_| message::received(&mut self.world, &conversation, dice)).collect();
        let first = self.sequences + 1;
        self.sequences += u64::from(items);
        let info = object! {
            "size": u64::from(items),
            "window_ms": 5_000_u64,
            "first_sequence": first,
            "last_sequence": self.sequences,
            "conversation_id": conversation.id.clone(),
        };
        // One SDK's samples have no more than these two.
        let json = if dice.is(1, 10) {
            object! {"batch": true, "data": data}
        } else {
            object! {"type": name, "batch": true, "data": data, "batch_info": info}
        };
        Draft { items, ..Draft::of(&conversation, json) }
    }
}

impl Draft {
    fn of(conversation: &Conversation, json: Json) -> Self {
        let webhook = Webhook::Number(conversation.number);
        Self { json, webhook, conversation: Some(conversation.index), items: 1 }
    }

    fn of_project(json: Json) -> Self {
        Self { json, webhook: Webhook::Project, conversation: None, items: 1 }
    }
}

/// Mostly as Rails writes, now and then otherwise: the exact form of Kapso's bodies is documented nowhere.
fn style(form: Form, dice: &mut Dice) -> Style {
    match form {
        Form::Meta(_) => dice.pick(&[Style::Meta, Style::Meta, Style::Meta, Style::Plain]),
        _ => match dice.below(20) {
            0..13 => Style::Rails,
            13..17 => Style::Plain,
            17 | 18 => Style::Python,
            _ => Style::Pretty,
        },
    }
}

#[cfg(test)]
mod tests;
