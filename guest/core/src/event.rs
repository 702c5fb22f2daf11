//! What a delivery says, as far as rules and deduplication need it.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

use crate::json::JsonStr;
use crate::parse::Layout;

/// A string of the body: borrowed unless it had escapes.
pub(crate) type Text<'a> = Cow<'a, str>;

/// A run of bytes of the received body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// Offset of the first byte.
    pub start: usize,
    /// Offset behind the last byte.
    pub end: usize,
}

impl Span {
    /// The bytes themselves; empty if `body` is not the body that the span was read from and is too short.
    pub fn of<'a>(&self, body: &'a [u8]) -> &'a [u8] {
        body.get(self.start..self.end).unwrap_or_default()
    }
}

/// Kapso's kinds of webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A phone-number webhook: messages, conversations, contacts.
    Whatsapp,
    /// A project webhook: connection lifecycle, enforcement, workflows, agents.
    Project,
    /// Meta's own body, forwarded.
    Meta,
    /// A name and shape that this version does not know.
    Unknown,
}

impl Kind {
    /// The kind as policies and logs write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Whatsapp => "whatsapp",
            Self::Project => "project",
            Self::Meta => "meta",
            Self::Unknown => "unknown",
        }
    }
}

/// Where an event's name was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameOrigin {
    /// `X-Webhook-Event`, which is not signed, and the signed body says nothing against it.
    Header,
    /// The signed body.
    Body,
    /// Nowhere.
    None,
}

impl NameOrigin {
    /// The origin as a normalised body writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Header => "header",
            Self::Body => "body",
            Self::None => "none",
        }
    }
}

/// A header and the signed body say different things. The body won.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contradiction {
    /// The header's name, in lower case.
    pub header: &'static str,
    /// What the header said, cut to 128 characters, control characters replaced.
    pub claimed: String,
    /// What the body says.
    pub actual: String,
}

/// What a batch envelope says of itself in `batch_info`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch<'a> {
    /// `size`.
    pub size: Option<u32>,
    /// `window_ms`, in milliseconds.
    pub window_ms: Option<u64>,
    /// `first_sequence`.
    pub first_sequence: Option<u64>,
    /// `last_sequence`.
    pub last_sequence: Option<u64>,
    /// `conversation_id`.
    pub conversation_id: Option<Text<'a>>,
}

/// What one webhook request says.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery<'a> {
    /// Whether the body could be read. If not, the delivery is one event that is all of it.
    pub readable: bool,
    /// The kind of webhook it came from.
    pub kind: Kind,
    /// The event's name.
    pub name: Option<Text<'a>>,
    /// Where the name was read.
    pub name_origin: NameOrigin,
    /// `v1` or `v2`; none for Meta forwards.
    pub payload_version: Option<Text<'a>>,
    /// There when the body is a batch envelope.
    pub batch: Option<Batch<'a>>,
    /// A test sent from Kapso's dashboard or API.
    pub test: bool,
    /// `X-Idempotency-Key`: not signed, never an identity.
    pub idempotency_key: Option<Text<'a>>,
    /// Where headers and body disagree.
    pub contradictions: Vec<Contradiction>,
    /// In the order of the body. At least one.
    pub events: Vec<Event<'a>>,
    /// Where in the body the events stand, for cutting some of them out.
    pub(crate) layout: Layout,
}

/// One thing that happened, with the keys that rules are written over.
#[derive(Clone, Debug, PartialEq)]
pub struct Event<'a> {
    /// The event's name.
    pub name: Option<Text<'a>>,
    /// The kind of webhook it came from.
    pub kind: Kind,
    /// `v1` or `v2`.
    pub payload_version: Option<Text<'a>>,
    /// The phone number's id.
    pub phone_number_id: Option<Text<'a>>,
    /// The WhatsApp business account's id.
    pub business_account_id: Option<Text<'a>>,
    /// The Kapso customer's id.
    pub customer_id: Option<Text<'a>>,
    /// The conversation's id.
    pub conversation_id: Option<Text<'a>>,
    /// WhatsApp's message id.
    pub message_id: Option<Text<'a>>,
    /// `inbound` or `outbound`.
    pub direction: Option<Text<'a>>,
    /// The message's status, or what the body of another family calls its status, of an agent's run in `data`.
    pub status: Option<Text<'a>>,
    /// `cloud_api`, `business_app` or `history_sync`.
    pub origin: Option<Text<'a>>,
    /// The message's type.
    pub message_type: Option<Text<'a>>,
    /// Whether this message opens its conversation.
    pub new_conversation: Option<bool>,
    /// A test sent from Kapso's dashboard or API.
    pub test: bool,
    /// The name of a Meta forward's contact, which stands beside the message.
    pub contact_name: Option<JsonStr<'a>>,
    /// The message's text.
    pub text: Option<Text<'a>>,
    /// When the message was sent, in Unix seconds; for a status of a Meta forward, when it changed.
    pub timestamp: Option<u64>,
    /// What this event is the same as: made from signed bytes only, at most 200 visible ASCII characters.
    pub item_key: String,
    /// The item's exact bytes in the body.
    pub span: Span,
}
