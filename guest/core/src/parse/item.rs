//! One item of Kapso's own: a whole single delivery, an element of a batch, or what v1 wraps in `data`.

use core::result::Result as CoreResult;

use crate::event::{Event, Kind, Span, Text};
use crate::json::{ParseError, Reader};
use crate::parse::key;

type Result<T> = CoreResult<T, ParseError>;

/// What an item says that rules, names or keys are made of.
#[derive(Default)]
pub(super) struct Item<'a> {
    pub(super) event: Option<Text<'a>>,
    pub(super) r#type: Option<Text<'a>>,
    pub(super) id: Option<Text<'a>>,
    pub(super) occurred_at: Option<Text<'a>>,
    pub(super) execution_id: Option<Text<'a>>,
    pub(super) sequence: Option<u64>,
    pub(super) message: Option<Message<'a>>,
    status: Option<Text<'a>>,
    phone_number_id: Option<Text<'a>>,
    business_account_id: Option<Text<'a>>,
    conversation_id: Option<Text<'a>>,
    conversation: Option<Conversation<'a>>,
    contact: Option<Contact<'a>>,
    config: Option<Config<'a>>,
    customer_id: Option<Text<'a>>,
    source_account: Option<Text<'a>>,
    new_conversation: Option<bool>,
    test: Option<bool>,
}

#[derive(Default)]
pub(super) struct Message<'a> {
    id: Option<Text<'a>>,
    whatsapp_id: Option<Text<'a>>,
    timestamp: Option<u64>,
    r#type: Option<Text<'a>>,
    v1_type: Option<Text<'a>>,
    v1_content: Option<Text<'a>>,
    direction: Option<Text<'a>>,
    status: Option<Text<'a>>,
    origin: Option<Text<'a>>,
    text: Option<Text<'a>>,
    caption: Option<Text<'a>>,
    choice: Option<Text<'a>>,
    kapso: Option<Kapso<'a>>,
}

#[derive(Default)]
struct Kapso<'a> {
    direction: Option<Text<'a>>,
    status: Option<Text<'a>>,
    origin: Option<Text<'a>>,
    transcript: Option<Text<'a>>,
    phone_number_id: Option<Text<'a>>,
}

#[derive(Default)]
struct Conversation<'a> {
    id: Option<Text<'a>>,
    phone_number_id: Option<Text<'a>>,
    status: Option<Text<'a>>,
}

#[derive(Default)]
struct Contact<'a> {
    id: Option<Text<'a>>,
    customer_id: Option<Text<'a>>,
}

#[derive(Default)]
struct Config<'a> {
    phone_number_id: Option<Text<'a>>,
    business_account_id: Option<Text<'a>>,
    customer_id: Option<Text<'a>>,
}

impl<'a> Item<'a> {
    /// The item that stands here; an empty one if it is no object.
    pub(super) fn read(reader: &mut Reader<'a>) -> Result<Self> {
        let mut item = Self::default();
        reader.object(|reader, key| item.member(reader, key))?;
        Ok(item)
    }

    /// Takes what stands under `key`.
    pub(super) fn member(&mut self, reader: &mut Reader<'a>, key: &str) -> Result<()> {
        match key {
            "event" => self.event = reader.string()?,
            "type" => self.r#type = reader.string()?,
            "id" => self.id = reader.scalar()?,
            "occurred_at" | "timestamp" | "created_at" => self.occurred_at = reader.scalar()?,
            "workflow_execution_id" => self.execution_id = reader.scalar()?,
            "status" => self.status = reader.string()?,
            "phone_number_id" => self.phone_number_id = reader.scalar()?,
            "business_account_id" => self.business_account_id = reader.scalar()?,
            "conversation_id" | "whatsapp_conversation_id" => self.conversation_id = reader.scalar()?,
            "is_new_conversation" => self.new_conversation = reader.boolean()?,
            "test" => self.test = reader.boolean()?,
            "message" => self.message = Message::read(reader)?,
            "conversation" => self.conversation = Conversation::read(reader)?,
            "contact" => self.contact = Contact::read(reader)?,
            "whatsapp_config" => self.config = Config::read(reader)?,
            "customer" => self.customer_id = reader.member("id")?,
            "source" => self.source_account = reader.member("business_account_id")?,
            "marketing_preference" => self.sequence = reader.member("sequence")?.and_then(|text| text.parse().ok()),
            _ => drop(reader.skip()?),
        }
        Ok(())
    }

    /// Whether this is what v1 wraps in `data`, rather than the `data` of an agent run.
    pub(super) fn is_v1_payload(&self) -> bool {
        self.message.is_some() || self.conversation.is_some() || self.config.is_some()
    }

    /// The payload version, where the shape tells.
    pub(super) fn version(&self) -> Option<&'static str> {
        let message = self.message.as_ref();
        if self.config.is_some() || message.is_some_and(|message| message.v1_type.is_some()) {
            Some("v1")
        } else if message.is_some_and(|message| message.kapso.is_some()) {
            Some("v2")
        } else {
            None
        }
    }

    /// The name that the signed body implies: a message's direction and status say what happened to it.
    pub(super) fn implied_name(&self) -> Option<&'static str> {
        let message = self.message.as_ref()?;
        match (message.direction()?, message.status()) {
            ("inbound", _) => Some("whatsapp.message.received"),
            ("outbound", Some("sent")) => Some("whatsapp.message.sent"),
            ("outbound", Some("delivered")) => Some("whatsapp.message.delivered"),
            ("outbound", Some("read")) => Some("whatsapp.message.read"),
            ("outbound", Some("failed")) => Some("whatsapp.message.failed"),
            _ => None,
        }
    }

    /// The kind of webhook that sends such items, where the shape tells.
    pub(super) fn implied_kind(&self) -> Option<Kind> {
        if self.message.is_some() || self.conversation.is_some() || self.contact.is_some() {
            Some(Kind::Whatsapp)
        } else if self.config.is_some() {
            Some(Kind::Project)
        } else {
            None
        }
    }

    pub(super) fn test(&self) -> bool {
        self.test == Some(true)
    }

    /// This payload, which v1 wrapped in `data`, with what stands beside `data`.
    pub(super) fn wrapped_in(self, outer: Self) -> Self {
        Self { event: outer.event, r#type: outer.r#type, test: outer.test.or(self.test), ..self }
    }

    pub(super) fn into_event(self, common: &super::Common<'a>, span: Span, bytes: &[u8]) -> Event<'a> {
        let key_parts = key::Parts {
            id: self.id.clone(),
            execution_id: self.execution_id.clone(),
            occurred_at: self.occurred_at.clone(),
            contact_id: self.contact.as_ref().and_then(|contact| contact.id.clone()),
            sequence: self.sequence,
            signed_name: self.event.clone().or_else(|| self.r#type.clone()),
        };
        let test = self.test() || common.test;
        let conversation = self.conversation.unwrap_or_default();
        let contact = self.contact.unwrap_or_default();
        let config = self.config.unwrap_or_default();
        let is_message = self.message.is_some();
        let message = self.message.unwrap_or_default();
        let text = message.spoken();
        let kapso = message.kapso.unwrap_or_default();
        let mut event = Event {
            name: common.name.clone(),
            kind: common.kind,
            payload_version: common.version.clone(),
            phone_number_id: self
                .phone_number_id
                .or(kapso.phone_number_id)
                .or(conversation.phone_number_id)
                .or(config.phone_number_id),
            business_account_id: self.business_account_id.or(self.source_account).or(config.business_account_id),
            customer_id: self.customer_id.or(contact.customer_id).or(config.customer_id),
            conversation_id: conversation.id.or(self.conversation_id),
            message_id: message.whatsapp_id.or(message.id),
            direction: kapso.direction.or(message.direction),
            status: kapso.status.or(message.status).or(if is_message {
                None
            } else {
                self.status.or(conversation.status)
            }),
            origin: kapso.origin.or(message.origin),
            message_type: message.r#type.or(message.v1_type),
            new_conversation: self.new_conversation,
            test,
            text,
            timestamp: message.timestamp,
            item_key: alloc::string::String::new(),
            span,
        };
        event.item_key = key::of_item(&event, key_parts, bytes);
        event
    }
}

impl<'a> Message<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Option<Self>> {
        let mut message = Self::default();
        let found = reader.object(|reader, key| {
            match key {
                "id" => message.id = reader.scalar()?,
                "whatsapp_message_id" => message.whatsapp_id = reader.scalar()?,
                "timestamp" => message.timestamp = reader.number()?,
                "type" => message.r#type = reader.string()?,
                "message_type" => message.v1_type = reader.string()?,
                "content" => message.v1_content = reader.string()?,
                "direction" => message.direction = reader.string()?,
                "status" => message.status = reader.string()?,
                "origin" => message.origin = reader.string()?,
                "text" => message.text = reader.member("body")?,
                "image" | "video" | "audio" | "document" => message.caption = reader.member("caption")?,
                "button" => message.choice = reader.member("text")?,
                "interactive" => message.choice = choice(reader)?,
                "kapso" => message.kapso = Kapso::read(reader)?,
                _ => drop(reader.skip()?),
            }
            Ok(())
        })?;
        Ok(found.then_some(message))
    }

    fn direction(&self) -> Option<&str> {
        self.kapso.as_ref().and_then(|kapso| kapso.direction.as_deref()).or(self.direction.as_deref())
    }

    fn status(&self) -> Option<&str> {
        self.kapso.as_ref().and_then(|kapso| kapso.status.as_deref()).or(self.status.as_deref())
    }

    /// What the customer or the business said in words.
    fn spoken(&self) -> Option<Text<'a>> {
        let transcript = || self.kapso.as_ref().and_then(|kapso| kapso.transcript.clone());
        self.text
            .clone()
            .or_else(|| self.caption.clone())
            .or_else(|| self.choice.clone())
            .or_else(|| self.v1_content.clone())
            .or_else(transcript)
    }

    /// The facts of a message in Meta's own shape.
    pub(super) fn of_meta(reader: &mut Reader<'a>) -> Result<MetaMessage<'a>> {
        let message = Self::read(reader)?.unwrap_or_default();
        let text = message.spoken();
        Ok(MetaMessage { id: message.id, timestamp: message.timestamp, r#type: message.r#type, text })
    }
}

/// A message of a Meta forward.
pub(super) struct MetaMessage<'a> {
    pub(super) id: Option<Text<'a>>,
    pub(super) timestamp: Option<u64>,
    pub(super) r#type: Option<Text<'a>>,
    pub(super) text: Option<Text<'a>>,
}

impl<'a> Kapso<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Option<Self>> {
        let mut kapso = Self::default();
        let found = reader.object(|reader, key| {
            match key {
                "direction" => kapso.direction = reader.string()?,
                "status" => kapso.status = reader.string()?,
                "origin" => kapso.origin = reader.string()?,
                "phone_number_id" => kapso.phone_number_id = reader.scalar()?,
                "transcript" => kapso.transcript = transcript(reader)?,
                _ => drop(reader.skip()?),
            }
            Ok(())
        })?;
        Ok(found.then_some(kapso))
    }
}

impl<'a> Conversation<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Option<Self>> {
        let mut conversation = Self::default();
        let found = reader.object(|reader, key| {
            match key {
                "id" => conversation.id = reader.scalar()?,
                "phone_number_id" => conversation.phone_number_id = reader.scalar()?,
                "status" => conversation.status = reader.string()?,
                _ => drop(reader.skip()?),
            }
            Ok(())
        })?;
        Ok(found.then_some(conversation))
    }
}

impl<'a> Contact<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Option<Self>> {
        let mut contact = Self::default();
        let found = reader.object(|reader, key| {
            match key {
                "id" => contact.id = reader.scalar()?,
                "customer_id" => contact.customer_id = reader.scalar()?,
                _ => drop(reader.skip()?),
            }
            Ok(())
        })?;
        Ok(found.then_some(contact))
    }
}

impl<'a> Config<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Option<Self>> {
        let mut config = Self::default();
        let found = reader.object(|reader, key| {
            match key {
                "phone_number_id" => config.phone_number_id = reader.scalar()?,
                "business_account_id" => config.business_account_id = reader.scalar()?,
                "customer_id" => config.customer_id = reader.scalar()?,
                _ => drop(reader.skip()?),
            }
            Ok(())
        })?;
        Ok(found.then_some(config))
    }
}

/// The title of the reply button or list row that was chosen.
fn choice<'a>(reader: &mut Reader<'a>) -> Result<Option<Text<'a>>> {
    let mut title = None;
    reader.object(|reader, key| {
        match key {
            "button_reply" | "list_reply" => title = reader.member("title")?,
            _ => drop(reader.skip()?),
        }
        Ok(())
    })?;
    Ok(title)
}

/// A transcript: an object with a `text`, or the text itself.
pub(crate) fn transcript<'a>(reader: &mut Reader<'a>) -> Result<Option<Text<'a>>> {
    if reader.at_string() { reader.string() } else { reader.member("text") }
}
