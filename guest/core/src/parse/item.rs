//! One item of Kapso's own: a whole single delivery, an element of a batch, or what v1 wraps in `data`.

use crate::event::{Event, Kind, Span};
use crate::json::JsonStr;
use crate::parse::key;
use crate::parse::name;
use crate::record::record;

record! {
    /// What an item says that rules, names or keys are made of.
    #[derive(Copy)]
    pub(super) struct Item<'a> {
        event: Option<JsonStr<'a>> = "event",
        r#type: Option<JsonStr<'a>> = "type",
        id: Option<JsonStr<'a>> = "id",
        occurred_at: Option<JsonStr<'a>> = "occurred_at" | "timestamp" | "created_at",
        execution_id: Option<JsonStr<'a>> = "workflow_execution_id",
        sequence: Option<JsonStr<'a>> = "marketing_preference" . "sequence",
        status: Option<JsonStr<'a>> = "status",
        phone_number_id: Option<JsonStr<'a>> = "phone_number_id",
        business_account_id: Option<JsonStr<'a>> = "business_account_id",
        conversation_id: Option<JsonStr<'a>> = "conversation_id" | "whatsapp_conversation_id",
        customer_id: Option<JsonStr<'a>> = "customer" . "id",
        source_account: Option<JsonStr<'a>> = "source" . "business_account_id",
        new_conversation: Option<bool> = "is_new_conversation",
        test: Option<bool> = "test",
        message: Option<Message<'a>> = "message",
        conversation: Option<Conversation<'a>> = "conversation",
        contact: Option<Contact<'a>> = "contact",
        config: Option<Config<'a>> = "whatsapp_config",
        project: Option<JsonStr<'a>> = "project" . "id",
        bare_project: Option<JsonStr<'a>> = "project_id",
    }
}

record! {
    #[derive(Copy)]
    pub(super) struct Message<'a> {
        pub(super) id: Option<JsonStr<'a>> = "id",
        pub(super) from: Option<JsonStr<'a>> = "from",
        /// Of a Meta forward, which has it beside its messages.
        pub(super) contact_name: Option<JsonStr<'a>>,
        whatsapp_id: Option<JsonStr<'a>> = "whatsapp_message_id",
        pub(super) timestamp: Option<u64> = "timestamp",
        pub(super) r#type: Option<JsonStr<'a>> = "type",
        v1_type: Option<JsonStr<'a>> = "message_type",
        v1_content: Option<JsonStr<'a>> = "content",
        direction: Option<JsonStr<'a>> = "direction",
        status: Option<JsonStr<'a>> = "status",
        origin: Option<JsonStr<'a>> = "origin",
        text: Option<JsonStr<'a>> = "text" . "body",
        caption: Option<JsonStr<'a>> = "image" | "video" | "audio" | "document" . "caption",
        choice: Option<JsonStr<'a>> = "button" . "text",
        interactive: Interactive<'a> = "interactive",
        kapso: Option<Kapso<'a>> = "kapso",
    }
}

record! {
    #[derive(Copy)]
    struct Interactive<'a> {
        title: Option<JsonStr<'a>> = "button_reply" | "list_reply" . "title",
    }
}

record! {
    #[derive(Copy)]
    struct Kapso<'a> {
        direction: Option<JsonStr<'a>> = "direction",
        status: Option<JsonStr<'a>> = "status",
        origin: Option<JsonStr<'a>> = "origin",
        transcript: Option<JsonStr<'a>> = "transcript" | "transcription" or "text",
        phone_number_id: Option<JsonStr<'a>> = "phone_number_id",
        conversation_id: Option<JsonStr<'a>> = "whatsapp_conversation_id",
    }
}

record! {
    #[derive(Copy)]
    struct Conversation<'a> {
        id: Option<JsonStr<'a>> = "id",
        phone_number_id: Option<JsonStr<'a>> = "phone_number_id",
        status: Option<JsonStr<'a>> = "status",
    }
}

record! {
    #[derive(Copy)]
    struct Contact<'a> {
        id: Option<JsonStr<'a>> = "id",
        customer_id: Option<JsonStr<'a>> = "customer_id",
    }
}

record! {
    #[derive(Copy)]
    struct Config<'a> {
        phone_number_id: Option<JsonStr<'a>> = "phone_number_id",
        business_account_id: Option<JsonStr<'a>> = "business_account_id",
        customer_id: Option<JsonStr<'a>> = "customer_id",
    }
}

impl<'a> Item<'a> {
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
        match (&*message.direction()?.text(), message.status().map(JsonStr::text).as_deref()) {
            ("inbound", _) => Some("whatsapp.message.received"),
            ("outbound", Some("sent")) => Some("whatsapp.message.sent"),
            ("outbound", Some("delivered")) => Some("whatsapp.message.delivered"),
            ("outbound", Some("read")) => Some("whatsapp.message.read"),
            ("outbound", Some("failed")) => Some("whatsapp.message.failed"),
            _ => None,
        }
    }

    /// Whether an item that implies no name cannot be an event of this name, which is one of `kind`.
    pub(super) fn contradicts(&self, name: &str, kind: Kind) -> bool {
        match &self.message {
            Some(message) => {
                name::is_without_message(name)
                    || name == "whatsapp.message.received"
                        && message.direction().is_some_and(|direction| direction.plain() == Some("outbound"))
            }
            None if self.conversation.is_some() || self.contact.is_some() => {
                kind == Kind::Project
                    || name.starts_with("whatsapp.message.")
                    || self.conversation.is_none() && name.starts_with("whatsapp.conversation.")
                    || self.contact.is_none() && name.starts_with("whatsapp.contact.")
            }
            // What a hand-over holds is documented nowhere.
            None => {
                kind == Kind::Whatsapp && !name.starts_with("whatsapp.meta_business_agent.") && self.is_of_project()
            }
        }
    }

    /// Whether it says which project it is about, as everything that is not about a conversation or contact does.
    fn is_of_project(&self) -> bool {
        self.config.is_some() || self.project.or(self.bare_project).is_some()
    }

    /// The kind of webhook that sends such items, where the shape tells.
    pub(super) fn implied_kind(&self) -> Option<Kind> {
        if self.message.is_some() || self.conversation.is_some() || self.contact.is_some() {
            Some(Kind::Whatsapp)
        } else if self.is_of_project() {
            Some(Kind::Project)
        } else {
            None
        }
    }

    /// The name that the body states.
    pub(super) fn signed_name(&self) -> Option<JsonStr<'a>> {
        [self.event, self.r#type].into_iter().flatten().find(|name| !name.raw().is_empty())
    }

    pub(super) fn test(&self) -> bool {
        self.test == Some(true)
    }

    /// Makes this payload, which v1 wrapped in `data`, say what stands beside `data`.
    pub(super) fn unwrap_from(&mut self, outer: &Self) {
        (self.event, self.r#type, self.test) = (outer.event, outer.r#type, outer.test.or(self.test));
        self.fill(outer);
    }

    /// Fills in the fields that rules match on and this item lacks, from the object around it or from its `data`.
    #[inline(never)]
    pub(super) fn fill(&mut self, other: &Self) {
        for (slot, other) in [
            (&mut self.status, other.status),
            (&mut self.phone_number_id, other.phone_number_id),
            (&mut self.business_account_id, other.business_account_id),
            (&mut self.conversation_id, other.conversation_id),
            (&mut self.customer_id, other.customer_id),
            (&mut self.source_account, other.source_account),
        ] {
            *slot = slot.or(other);
        }
        self.new_conversation = self.new_conversation.or(other.new_conversation);
        self.config = self.config.or(other.config);
    }

    /// The event that this is, but for what all events of a delivery share. `span` is where in `body` it stands.
    pub(super) fn event(&self, span: Span, body: &[u8]) -> Event<'a> {
        let conversation = self.conversation.unwrap_or_default();
        let contact = self.contact.unwrap_or_default();
        let config = self.config.unwrap_or_default();
        let is_message = self.message.is_some();
        let message = self.message.unwrap_or_default();
        let kapso = message.kapso.unwrap_or_default();
        let text = |found: Option<JsonStr<'a>>| found.map(JsonStr::text);
        let number =
            self.phone_number_id.or(kapso.phone_number_id).or(conversation.phone_number_id).or(config.phone_number_id);
        let mut event = Event {
            phone_number_id: text(number),
            business_account_id: text(self.business_account_id.or(self.source_account).or(config.business_account_id)),
            customer_id: text(self.customer_id.or(contact.customer_id).or(config.customer_id)),
            conversation_id: text(conversation.id.or(self.conversation_id).or(kapso.conversation_id)),
            message_id: text(message.whatsapp_id.or(message.id)),
            direction: text(message.direction()),
            status: text(if is_message { message.status() } else { self.status.or(conversation.status) }),
            origin: text(kapso.origin.or(message.origin)),
            message_type: text(message.r#type.or(message.v1_type)),
            new_conversation: self.new_conversation,
            test: self.test(),
            text: text(message.spoken()),
            timestamp: message.timestamp,
            ..super::blank(Kind::Unknown, None, span)
        };
        let parts = key::Parts {
            id: text(self.id.or(self.execution_id)),
            occurred_at: text(self.occurred_at),
            contact_id: text(contact.id),
            sequence: text(self.sequence),
            signed_name: text(self.signed_name()),
        };
        event.item_key = key::of_item(&event, &parts, span.of(body));
        event
    }
}

impl<'a> Message<'a> {
    fn direction(&self) -> Option<JsonStr<'a>> {
        self.kapso.and_then(|kapso| kapso.direction).or(self.direction)
    }

    fn status(&self) -> Option<JsonStr<'a>> {
        self.kapso.and_then(|kapso| kapso.status).or(self.status)
    }

    /// What the customer or the business said in words.
    pub(super) fn spoken(&self) -> Option<JsonStr<'a>> {
        let transcript = self.kapso.and_then(|kapso| kapso.transcript);
        self.text.or(self.caption).or(self.choice).or(self.interactive.title).or(self.v1_content).or(transcript)
    }
}
