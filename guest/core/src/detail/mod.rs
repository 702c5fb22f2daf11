//! What an event says in full, typed by family.

mod message;
mod project;
mod raw;

use alloc::boxed::Box;
use alloc::vec::Vec;

pub use message::{
    Activity, Button, ContactCard, ContactPhone, Content, Conversation, FlowReply, Location, Media, MediaData, Message,
    MessageError, Order, OrderItem, Reaction, Reply, Status, SystemMessage, Template,
};
pub use project::{
    AccountEvent, AgentRun, ConfigEvent, ContactEvent, ConversationEvent, MarketingPreference, PhoneNumberEvent,
    ProjectEvent, Restriction, WorkflowEvent,
};

use crate::event::{Delivery, Event, Kind, Span};
use crate::json::{self, JsonStr, Reader, Result};
use crate::record::{self, record};
use crate::write::{Write, Writer};

/// An event's own content, typed by family. Values keep Kapso's own text: times are not converted.
#[derive(Clone, Debug, PartialEq)]
pub enum Detail<'a> {
    /// A message, or what became of one.
    Message(Box<Message<'a>>),
    /// A status update of a Meta forward.
    Status(Status<'a>),
    /// `whatsapp.conversation.*`.
    Conversation(ConversationEvent<'a>),
    /// `whatsapp.contact.*`.
    Contact(ContactEvent<'a>),
    /// `whatsapp.phone_number.*`.
    PhoneNumber(PhoneNumberEvent<'a>),
    /// `whatsapp.account.*`.
    Account(AccountEvent<'a>),
    /// `workflow.*`.
    Workflow(WorkflowEvent<'a>),
    /// `project.event`.
    Project(ProjectEvent<'a>),
    /// `kapso_agent.run.*`, and the older agents' `agent.execution.*`.
    AgentRun(AgentRun<'a>),
    /// v1's `whatsapp.config.*`.
    Config(ConfigEvent<'a>),
    /// A change of a Meta forward that is neither a message nor a status.
    MetaChange(MetaChange<'a>),
    /// A family that this version has no type for.
    Other,
}

impl Write for Detail<'_> {
    fn write(&self, writer: &mut Writer) {
        let (name, value): (_, &dyn Write) = match self {
            Self::Message(message) => ("message", &**message),
            Self::Status(status) => ("status", status),
            Self::Conversation(event) => ("conversation", event),
            Self::Contact(event) => ("contact", event),
            Self::PhoneNumber(event) => ("phone_number", event),
            Self::Account(event) => ("account", event),
            Self::Workflow(event) => ("workflow", event),
            Self::Project(event) => ("project", event),
            Self::AgentRun(run) => ("agent_run", run),
            Self::Config(event) => ("config", event),
            Self::MetaChange(change) => ("meta_change", change),
            Self::Other => return "other".write(writer),
        };
        writer.object(|writer| writer.member(name, value));
    }
}

/// A delivery with what each of its events says in full.
#[derive(Clone, Debug, PartialEq)]
pub struct Parsed<'a> {
    /// The delivery.
    pub delivery: Delivery<'a>,
    /// One for each of its events, in the same order.
    pub details: Vec<Detail<'a>>,
}

record! {
    /// A change of a Meta forward.
    pub struct MetaChange<'a> {
        /// `changes[].field`.
        pub field: Option<JsonStr<'a>> = "field",
        /// The raw JSON of `value`.
        pub value: Option<Span> = "value",
    }
}

/// Reads the details of every event of a delivery that was read from `body`.
pub(crate) fn of_delivery<'a>(delivery: &Delivery<'a>, body: &'a [u8]) -> Vec<Detail<'a>> {
    let body = json::text(body).unwrap_or_default();
    delivery.events.iter().map(|event| of_event(event, body)).collect()
}

/// Reads the detail of one event that was read from `body`.
pub(crate) fn of_event<'a>(event: &Event<'a>, body: &'a str) -> Detail<'a> {
    read(event, &mut Reader::at(body, event.span)).unwrap_or(Detail::Other)
}

fn read<'a>(event: &Event<'a>, reader: &mut Reader<'a>) -> Result<Detail<'a>> {
    if event.kind == Kind::Meta {
        return of_meta(event, reader);
    }
    let mut payload = project::Payload::read(reader)?;
    Ok(match event.kind {
        Kind::Project => payload.by_family(event.name.as_deref().unwrap_or_default()),
        _ => payload.by_shape(),
    })
}

fn of_meta<'a>(event: &Event<'a>, reader: &mut Reader<'a>) -> Result<Detail<'a>> {
    Ok(match (event.direction.as_deref(), &event.origin) {
        (None, _) => Detail::MetaChange(record::read(reader)?),
        (Some("outbound"), None) => Detail::Status(record::read(reader)?),
        (Some(_), origin) => {
            let mut message = record::read::<Option<Box<Message<'a>>>>(reader)?.unwrap_or_default();
            message.contact_name = event.contact_name;
            if origin.is_some() {
                message.echoed();
            } else {
                message.received();
            }
            Detail::Message(message)
        }
    })
}
