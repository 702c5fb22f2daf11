//! Messages and what becomes of them. Shapes are Meta's, with Kapso's additions.

use alloc::vec::Vec;

use crate::event::Span;
use crate::json::JsonStr;
use crate::record::record;
use crate::write::{Write, Writer, written};

written! {
    /// A message.
    pub struct Message<'a> {
        /// WhatsApp's message id.
        pub id: Option<JsonStr<'a>>,
        /// Unix seconds in v2, ISO 8601 in v1.
        pub timestamp: Option<JsonStr<'a>>,
        /// Digits, sometimes with a `+`.
        pub from: Option<JsonStr<'a>>,
        /// Digits, sometimes with a `+`.
        pub to: Option<JsonStr<'a>>,
        /// The business-scoped user id.
        pub from_user_id: Option<JsonStr<'a>>,
        /// That of the portfolio's parent, where there is one.
        pub from_parent_user_id: Option<JsonStr<'a>>,
        /// Includes the `@`.
        pub username: Option<JsonStr<'a>>,
        /// The group that it was sent in.
        pub group_id: Option<JsonStr<'a>>,
        /// The id of the message that this one answers.
        pub context_id: Option<JsonStr<'a>>,
        /// Click-to-WhatsApp advertisement data: the raw JSON.
        pub referral: Option<Span>,
        /// `inbound` or `outbound`.
        pub direction: Option<JsonStr<'a>>,
        /// `received`, `sent`, `delivered`, `read` or `failed`.
        pub status: Option<JsonStr<'a>>,
        /// `pending`, `completed` …
        pub processing_status: Option<JsonStr<'a>>,
        /// `cloud_api`, `business_app` or `history_sync`.
        pub origin: Option<JsonStr<'a>>,
        /// Whether there is a media file.
        pub has_media: Option<bool>,
        /// Kapso's rendering of any message as text.
        pub rendered: Option<JsonStr<'a>>,
        /// What was said in a voice note.
        pub transcript: Option<JsonStr<'a>>,
        /// Kapso's stored copy: readable without credentials, so treat it as a secret.
        pub media_url: Option<JsonStr<'a>>,
        /// What else is known of the stored copy.
        pub media_data: Option<MediaData<'a>>,
        /// The contact's name.
        pub contact_name: Option<JsonStr<'a>>,
        /// The content by type.
        pub content: Content<'a>,
        /// The history so far, oldest first.
        pub statuses: Vec<Status<'a>>,
        /// Why it could not be shown or sent.
        pub errors: Vec<MessageError<'a>>,
        /// The conversation it belongs to.
        pub conversation: Option<Conversation<'a>>,
    }
}

/// A message's content by type.
#[derive(Clone, Debug, PartialEq)]
pub enum Content<'a> {
    /// Text.
    Text(JsonStr<'a>),
    /// An image.
    Image(Media<'a>),
    /// A video.
    Video(Media<'a>),
    /// A voice note or other sound.
    Audio(Media<'a>),
    /// A document.
    Document(Media<'a>),
    /// A sticker.
    Sticker(Media<'a>),
    /// A place.
    Location(Location<'a>),
    /// Contact cards.
    Contacts(Vec<ContactCard<'a>>),
    /// A reply button was pressed.
    ButtonReply(Reply<'a>),
    /// A list row was chosen.
    ListReply(Reply<'a>),
    /// A WhatsApp Flow was completed.
    FlowReply(FlowReply<'a>),
    /// A template's quick reply was pressed.
    Button(Button<'a>),
    /// A reaction to another message.
    Reaction(Reaction<'a>),
    /// A catalogue order.
    Order(Order<'a>),
    /// A template was sent.
    Template(Template<'a>),
    /// WhatsApp's own notice.
    System(SystemMessage<'a>),
    /// WhatsApp could not show the message.
    Unsupported,
    /// A type that this version does not know, by name.
    Other(Option<JsonStr<'a>>),
}

impl Write for Content<'_> {
    fn write(&self, writer: &mut Writer) {
        let (name, value): (_, &dyn Write) = match self {
            Self::Text(text) => ("text", text),
            Self::Image(media) => ("image", media),
            Self::Video(media) => ("video", media),
            Self::Audio(media) => ("audio", media),
            Self::Document(media) => ("document", media),
            Self::Sticker(media) => ("sticker", media),
            Self::Location(location) => ("location", location),
            Self::Contacts(cards) => ("contacts", cards),
            Self::ButtonReply(reply) => ("button_reply", reply),
            Self::ListReply(reply) => ("list_reply", reply),
            Self::FlowReply(reply) => ("flow_reply", reply),
            Self::Button(button) => ("button", button),
            Self::Reaction(reaction) => ("reaction", reaction),
            Self::Order(order) => ("order", order),
            Self::Template(template) => ("template", template),
            Self::System(message) => ("system", message),
            Self::Unsupported => return "unsupported".write(writer),
            Self::Other(name) => ("other", name),
        };
        writer.object(|writer| writer.member(name, value));
    }
}

impl Default for Content<'_> {
    fn default() -> Self {
        Self::Other(None)
    }
}

record! {
    /// A media file.
    pub struct Media<'a> {
        /// Meta's id.
        pub id: Option<JsonStr<'a>> = "id",
        /// The media type.
        pub mime_type: Option<JsonStr<'a>> = "mime_type",
        /// Base64 of the digest.
        pub sha256: Option<JsonStr<'a>> = "sha256",
        /// Meta's URL.
        pub url: Option<JsonStr<'a>> = "url",
        /// Kapso's stored copy.
        pub link: Option<JsonStr<'a>> = "link",
        /// The caption.
        pub caption: Option<JsonStr<'a>> = "caption",
        /// The file's name.
        pub filename: Option<JsonStr<'a>> = "filename",
        /// A voice note.
        pub voice: Option<bool> = "voice",
        /// An animated sticker.
        pub animated: Option<bool> = "animated",
    }
}

record! {
    /// What Kapso knows of a file that it stored.
    pub struct MediaData<'a> {
        /// The file's name.
        pub filename: Option<JsonStr<'a>> = "filename",
        /// The media type.
        pub content_type: Option<JsonStr<'a>> = "content_type",
        /// Its size in bytes.
        pub byte_size: Option<u64> = "byte_size",
    }
}

record! {
    /// A place.
    pub struct Location<'a> {
        /// Degrees north, as written.
        pub latitude: Option<JsonStr<'a>> = "latitude",
        /// Degrees east, as written.
        pub longitude: Option<JsonStr<'a>> = "longitude",
        /// The place's name.
        pub name: Option<JsonStr<'a>> = "name",
        /// The place's address.
        pub address: Option<JsonStr<'a>> = "address",
        /// The place's page.
        pub url: Option<JsonStr<'a>> = "url",
    }
}

record! {
    /// A shared contact.
    pub struct ContactCard<'a> {
        /// The formatted name.
        pub name: Option<JsonStr<'a>> = "name" . "formatted_name",
        /// The contact's numbers.
        pub phones: Vec<ContactPhone<'a>> = "phones",
    }
}

record! {
    /// A contact's number.
    pub struct ContactPhone<'a> {
        /// The number as written.
        pub phone: Option<JsonStr<'a>> = "phone",
        /// The WhatsApp id.
        pub wa_id: Option<JsonStr<'a>> = "wa_id",
        /// `HOME`, `WORK` …
        pub r#type: Option<JsonStr<'a>> = "type",
    }
}

record! {
    /// A button or list row that was chosen.
    pub struct Reply<'a> {
        /// Its id.
        pub id: Option<JsonStr<'a>> = "id",
        /// Its title.
        pub title: Option<JsonStr<'a>> = "title",
        /// Its description.
        pub description: Option<JsonStr<'a>> = "description",
    }
}

record! {
    /// A completed WhatsApp Flow.
    pub struct FlowReply<'a> {
        /// `flow`.
        pub name: Option<JsonStr<'a>> = "name",
        /// What WhatsApp shows.
        pub body: Option<JsonStr<'a>> = "body",
        /// The answers: JSON inside a string.
        pub response_json: Option<JsonStr<'a>> = "response_json",
    }
}

record! {
    /// A template's quick reply.
    pub struct Button<'a> {
        /// What the business put behind it.
        pub payload: Option<JsonStr<'a>> = "payload",
        /// What stands on it.
        pub text: Option<JsonStr<'a>> = "text",
    }
}

record! {
    /// A reaction.
    pub struct Reaction<'a> {
        /// The message reacted to.
        pub message_id: Option<JsonStr<'a>> = "message_id",
        /// None or empty: the reaction was taken back.
        pub emoji: Option<JsonStr<'a>> = "emoji",
    }
}

record! {
    /// A catalogue order.
    pub struct Order<'a> {
        /// The catalogue.
        pub catalog_id: Option<JsonStr<'a>> = "catalog_id",
        /// The customer's note.
        pub text: Option<JsonStr<'a>> = "text",
        /// What is ordered.
        pub items: Vec<OrderItem<'a>> = "product_items",
    }
}

record! {
    /// One line of an order.
    pub struct OrderItem<'a> {
        /// The product.
        pub product_retailer_id: Option<JsonStr<'a>> = "product_retailer_id",
        /// As text, since bodies carry numbers and strings alike.
        pub quantity: Option<JsonStr<'a>> = "quantity",
        /// As text, in the currency's main unit.
        pub item_price: Option<JsonStr<'a>> = "item_price",
        /// ISO 4217.
        pub currency: Option<JsonStr<'a>> = "currency",
    }
}

record! {
    /// A template.
    pub struct Template<'a> {
        /// Its name.
        pub name: Option<JsonStr<'a>> = "name",
        /// Its language's code.
        pub language: Option<JsonStr<'a>> = "language" . "code",
        /// The raw JSON of what it was filled with.
        pub components: Option<Span> = "components",
    }
}

record! {
    /// WhatsApp's own notice.
    pub struct SystemMessage<'a> {
        /// The notice.
        pub body: Option<JsonStr<'a>> = "body",
        /// The new WhatsApp id.
        pub wa_id: Option<JsonStr<'a>> = "wa_id",
        /// `user_changed_number` …
        pub r#type: Option<JsonStr<'a>> = "type",
    }
}

record! {
    /// Why a message failed.
    #[derive(Copy)]
    pub struct MessageError<'a> {
        /// Meta's code.
        pub code: Option<i64> = "code",
        /// In a few words.
        pub title: Option<JsonStr<'a>> = "title",
        /// In a sentence.
        pub message: Option<JsonStr<'a>> = "message",
        /// In more sentences.
        pub details: Option<JsonStr<'a>> = "error_data" . "details",
        /// Where Meta explains it.
        pub href: Option<JsonStr<'a>> = "href",
    }
}

record! {
    /// One step in a message's life.
    pub struct Status<'a> {
        /// WhatsApp's message id.
        pub id: Option<JsonStr<'a>> = "id",
        /// `sent`, `delivered`, `read`, `failed`, `played`.
        pub status: Option<JsonStr<'a>> = "status",
        /// Unix seconds.
        pub timestamp: Option<JsonStr<'a>> = "timestamp",
        /// Whom it was sent to.
        pub recipient_id: Option<JsonStr<'a>> = "recipient_id",
        /// Whose status it is, of a message to a group, which is the recipient.
        pub participant_id: Option<JsonStr<'a>> = "recipient_participant_id" | "participant_recipient_id"
            | "recipient_participant_user_id",
        /// Why it failed.
        pub errors: Vec<MessageError<'a>> = "errors",
        /// The raw JSON of what it costs.
        pub pricing: Option<Span> = "pricing",
    }
}

record! {
    /// A conversation.
    pub struct Conversation<'a> {
        /// Rotates when a session ends, so it is no key for a contact.
        pub id: Option<JsonStr<'a>> = "id",
        /// As written; compare digits only.
        pub phone_number: Option<JsonStr<'a>> = "phone_number",
        /// `active` or `ended`.
        pub status: Option<JsonStr<'a>> = "status",
        /// The contact's name.
        pub contact_name: Option<JsonStr<'a>> = "contact_name",
        /// Includes the `@`.
        pub username: Option<JsonStr<'a>> = "username",
        /// The business-scoped user id.
        pub business_scoped_user_id: Option<JsonStr<'a>> = "business_scoped_user_id",
        /// That of the portfolio's parent, where there is one.
        pub parent_business_scoped_user_id: Option<JsonStr<'a>> = "parent_business_scoped_user_id",
        /// ISO 8601.
        pub last_active_at: Option<JsonStr<'a>> = "last_active_at",
        /// ISO 8601.
        pub created_at: Option<JsonStr<'a>> = "created_at",
        /// ISO 8601.
        pub updated_at: Option<JsonStr<'a>> = "updated_at",
        /// How it goes.
        pub activity: Option<Activity<'a>> = "kapso",
    }
}

record! {
    /// What Kapso counts of a conversation.
    pub struct Activity<'a> {
        /// Where some bodies have the contact's name.
        pub contact_name: Option<JsonStr<'a>> = "contact_name",
        /// How many messages there were.
        pub messages_count: Option<u64> = "messages_count",
        /// ISO 8601: when the customer last wrote, from when on WhatsApp allows free messages for 24 hours.
        pub last_inbound_at: Option<JsonStr<'a>> = "last_inbound_at",
        /// ISO 8601: when the business last wrote.
        pub last_outbound_at: Option<JsonStr<'a>> = "last_outbound_at",
    }
}

impl<'a> Conversation<'a> {
    /// The contact's name, wherever it stands.
    pub(super) fn contact_name(&self) -> Option<JsonStr<'a>> {
        self.contact_name.or(self.activity.as_ref().and_then(|activity| activity.contact_name))
    }
}

impl Message<'_> {
    /// A message of a Meta forward's `messages`, in Kapso's words.
    pub(super) fn received(&mut self) {
        self.direction = Some("inbound".into());
        self.status = Some("received".into());
    }

    /// A message of a Meta forward's `message_echoes`, in Kapso's words.
    pub(super) fn echoed(&mut self) {
        self.direction = Some("outbound".into());
        self.status = Some("sent".into());
        self.origin = Some("business_app".into());
    }
}
