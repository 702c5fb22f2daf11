//! Messages and what becomes of them. Shapes are Meta's, with Kapso's additions.

use alloc::vec::Vec;

use serde::Serialize;

use crate::event::{Span, Text};
use crate::json::{ParseError, Reader};
use crate::parse::transcript;
use crate::record::{Read, record};

/// A message.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Message<'a> {
    /// WhatsApp's message id.
    pub id: Option<Text<'a>>,
    /// Unix seconds in v2, ISO 8601 in v1.
    pub timestamp: Option<Text<'a>>,
    /// Digits, sometimes with a `+`.
    pub from: Option<Text<'a>>,
    /// Digits, sometimes with a `+`.
    pub to: Option<Text<'a>>,
    /// The business-scoped user id.
    pub from_user_id: Option<Text<'a>>,
    /// Includes the `@`.
    pub username: Option<Text<'a>>,
    /// The group that it was sent in.
    pub group_id: Option<Text<'a>>,
    /// The id of the message that this one answers.
    pub context_id: Option<Text<'a>>,
    /// Click-to-WhatsApp advertisement data: the raw JSON.
    #[serde(skip)]
    pub referral: Option<Span>,
    /// `inbound` or `outbound`.
    pub direction: Option<Text<'a>>,
    /// `received`, `sent`, `delivered`, `read` or `failed`.
    pub status: Option<Text<'a>>,
    /// `pending`, `completed` …
    pub processing_status: Option<Text<'a>>,
    /// `cloud_api`, `business_app` or `history_sync`.
    pub origin: Option<Text<'a>>,
    /// Whether there is a media file.
    pub has_media: Option<bool>,
    /// Kapso's rendering of any message as text.
    pub rendered: Option<Text<'a>>,
    /// What was said in a voice note.
    pub transcript: Option<Text<'a>>,
    /// Kapso's stored copy: readable without credentials, so treat it as a secret.
    pub media_url: Option<Text<'a>>,
    /// The content by type.
    pub content: Content<'a>,
    /// The history so far, oldest first.
    pub statuses: Vec<Status<'a>>,
    /// Why it could not be shown or sent.
    pub errors: Vec<MessageError<'a>>,
    /// The conversation it belongs to.
    pub conversation: Option<Conversation<'a>>,
}

/// A message's content by type.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Content<'a> {
    /// Text.
    Text(Text<'a>),
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
    Other(Option<Text<'a>>),
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
        pub id: Option<Text<'a>> = "id",
        /// The media type.
        pub mime_type: Option<Text<'a>> = "mime_type",
        /// Base64 of the digest.
        pub sha256: Option<Text<'a>> = "sha256",
        /// Meta's URL.
        pub url: Option<Text<'a>> = "url",
        /// Kapso's stored copy.
        pub link: Option<Text<'a>> = "link",
        /// The caption.
        pub caption: Option<Text<'a>> = "caption",
        /// The file's name.
        pub filename: Option<Text<'a>> = "filename",
        /// A voice note.
        pub voice: Option<bool> = "voice",
        /// An animated sticker.
        pub animated: Option<bool> = "animated",
    }
}

record! {
    /// A place.
    pub struct Location<'a> {
        /// Degrees north.
        pub latitude: Option<f64> = "latitude",
        /// Degrees east.
        pub longitude: Option<f64> = "longitude",
        /// The place's name.
        pub name: Option<Text<'a>> = "name",
        /// The place's address.
        pub address: Option<Text<'a>> = "address",
        /// The place's page.
        pub url: Option<Text<'a>> = "url",
    }
}

record! {
    /// A shared contact.
    pub struct ContactCard<'a> {
        /// The formatted name.
        pub name: Option<Text<'a>> = "name" with contact_name,
        /// The contact's numbers.
        pub phones: Vec<ContactPhone<'a>> = "phones",
    }
}

record! {
    /// A contact's number.
    pub struct ContactPhone<'a> {
        /// The number as written.
        pub phone: Option<Text<'a>> = "phone",
        /// The WhatsApp id.
        pub wa_id: Option<Text<'a>> = "wa_id",
        /// `HOME`, `WORK` …
        pub r#type: Option<Text<'a>> = "type",
    }
}

record! {
    /// A button or list row that was chosen.
    pub struct Reply<'a> {
        /// Its id.
        pub id: Option<Text<'a>> = "id",
        /// Its title.
        pub title: Option<Text<'a>> = "title",
        /// Its description.
        pub description: Option<Text<'a>> = "description",
    }
}

record! {
    /// A completed WhatsApp Flow.
    pub struct FlowReply<'a> {
        /// `flow`.
        pub name: Option<Text<'a>> = "name",
        /// What WhatsApp shows.
        pub body: Option<Text<'a>> = "body",
        /// The answers: JSON inside a string.
        pub response_json: Option<Text<'a>> = "response_json",
    }
}

record! {
    /// A template's quick reply.
    pub struct Button<'a> {
        /// What the business put behind it.
        pub payload: Option<Text<'a>> = "payload",
        /// What stands on it.
        pub text: Option<Text<'a>> = "text",
    }
}

record! {
    /// A reaction.
    pub struct Reaction<'a> {
        /// The message reacted to.
        pub message_id: Option<Text<'a>> = "message_id",
        /// None or empty: the reaction was taken back.
        pub emoji: Option<Text<'a>> = "emoji",
    }
}

record! {
    /// A catalogue order.
    pub struct Order<'a> {
        /// The catalogue.
        pub catalog_id: Option<Text<'a>> = "catalog_id",
        /// The customer's note.
        pub text: Option<Text<'a>> = "text",
        /// What is ordered.
        pub items: Vec<OrderItem<'a>> = "product_items",
    }
}

record! {
    /// One line of an order.
    pub struct OrderItem<'a> {
        /// The product.
        pub product_retailer_id: Option<Text<'a>> = "product_retailer_id",
        /// As text, since bodies carry numbers and strings alike.
        pub quantity: Option<Text<'a>> = "quantity",
        /// As text, in the currency's main unit.
        pub item_price: Option<Text<'a>> = "item_price",
        /// ISO 4217.
        pub currency: Option<Text<'a>> = "currency",
    }
}

record! {
    /// A template.
    pub struct Template<'a> {
        /// Its name.
        pub name: Option<Text<'a>> = "name",
        /// Its language's code.
        pub language: Option<Text<'a>> = "language" with language_code,
    }
}

record! {
    /// WhatsApp's own notice.
    pub struct SystemMessage<'a> {
        /// The notice.
        pub body: Option<Text<'a>> = "body",
        /// The new WhatsApp id.
        pub wa_id: Option<Text<'a>> = "wa_id",
        /// `user_changed_number` …
        pub r#type: Option<Text<'a>> = "type",
    }
}

record! {
    /// Why a message failed.
    pub struct MessageError<'a> {
        /// Meta's code.
        pub code: Option<i64> = "code",
        /// In a few words.
        pub title: Option<Text<'a>> = "title",
        /// In a sentence.
        pub message: Option<Text<'a>> = "message",
        /// In more sentences.
        pub details: Option<Text<'a>> = "error_data" with error_details,
    }
}

record! {
    /// One step in a message's life.
    pub struct Status<'a> {
        /// WhatsApp's message id.
        pub id: Option<Text<'a>> = "id",
        /// `sent`, `delivered`, `read`, `failed`, `played`.
        pub status: Option<Text<'a>> = "status",
        /// Unix seconds.
        pub timestamp: Option<Text<'a>> = "timestamp",
        /// Whom it was sent to.
        pub recipient_id: Option<Text<'a>> = "recipient_id",
        /// Why it failed.
        pub errors: Vec<MessageError<'a>> = "errors",
    }
}

record! {
    /// A conversation.
    pub struct Conversation<'a> {
        /// Rotates when a session ends, so it is no key for a contact.
        pub id: Option<Text<'a>> = "id",
        /// As written; compare digits only.
        pub phone_number: Option<Text<'a>> = "phone_number",
        /// `active` or `ended`.
        pub status: Option<Text<'a>> = "status",
        /// The contact's name.
        pub contact_name: Option<Text<'a>> = "contact_name",
        /// Includes the `@`.
        pub username: Option<Text<'a>> = "username",
        /// The business-scoped user id.
        pub business_scoped_user_id: Option<Text<'a>> = "business_scoped_user_id",
        /// ISO 8601.
        pub last_active_at: Option<Text<'a>> = "last_active_at",
        /// ISO 8601.
        pub created_at: Option<Text<'a>> = "created_at",
        /// ISO 8601.
        pub updated_at: Option<Text<'a>> = "updated_at",
    }
}

record! {
    /// A message as bodies have it.
    struct Raw<'a> {
        id: Option<Text<'a>> = "id",
        whatsapp_message_id: Option<Text<'a>> = "whatsapp_message_id",
        timestamp: Option<Text<'a>> = "timestamp",
        created_at: Option<Text<'a>> = "created_at",
        r#type: Option<Text<'a>> = "type",
        message_type: Option<Text<'a>> = "message_type",
        from: Option<Text<'a>> = "from",
        to: Option<Text<'a>> = "to",
        from_user_id: Option<Text<'a>> = "from_user_id",
        username: Option<Text<'a>> = "username",
        group_id: Option<Text<'a>> = "group_id",
        context_id: Option<Text<'a>> = "context" with context_id,
        #[serde(skip)]
        referral: Option<Span> = "referral",
        direction: Option<Text<'a>> = "direction",
        status: Option<Text<'a>> = "status",
        origin: Option<Text<'a>> = "origin",
        content: Option<Text<'a>> = "content",
        errors: Vec<MessageError<'a>> = "errors",
        error: Option<MessageError<'a>> = "error",
        kapso: Kapso<'a> = "kapso",
        text: Option<Text<'a>> = "text" with text_body,
        image: Media<'a> = "image",
        video: Media<'a> = "video",
        audio: Media<'a> = "audio",
        document: Media<'a> = "document",
        sticker: Media<'a> = "sticker",
        location: Location<'a> = "location",
        contacts: Vec<ContactCard<'a>> = "contacts",
        interactive: Interactive<'a> = "interactive",
        button: Button<'a> = "button",
        reaction: Reaction<'a> = "reaction",
        order: Order<'a> = "order",
        template: Template<'a> = "template",
        system: SystemMessage<'a> = "system",
    }
}

record! {
    struct Kapso<'a> {
        direction: Option<Text<'a>> = "direction",
        status: Option<Text<'a>> = "status",
        processing_status: Option<Text<'a>> = "processing_status",
        origin: Option<Text<'a>> = "origin",
        has_media: Option<bool> = "has_media",
        content: Option<Text<'a>> = "content",
        transcript: Option<Text<'a>> = "transcript" with transcript,
        media_url: Option<Text<'a>> = "media_url",
        statuses: Vec<Status<'a>> = "statuses",
    }
}

record! {
    struct Interactive<'a> {
        button: Option<Reply<'a>> = "button_reply",
        list: Option<Reply<'a>> = "list_reply",
        flow: Option<FlowReply<'a>> = "nfm_reply",
    }
}

type Member<'a> = Result<Option<Text<'a>>, ParseError>;

fn text_body<'a>(reader: &mut Reader<'a>) -> Member<'a> {
    reader.member("body")
}

fn context_id<'a>(reader: &mut Reader<'a>) -> Member<'a> {
    reader.member("id")
}

fn language_code<'a>(reader: &mut Reader<'a>) -> Member<'a> {
    reader.member("code")
}

fn contact_name<'a>(reader: &mut Reader<'a>) -> Member<'a> {
    reader.member("formatted_name")
}

fn error_details<'a>(reader: &mut Reader<'a>) -> Member<'a> {
    reader.member("details")
}

impl<'a> Read<'a> for Message<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, ParseError> {
        Raw::read(reader).map(Self::from)
    }
}

impl<'a> Read<'a> for Option<Message<'a>> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, ParseError> {
        Ok(Option::<Raw<'a>>::read(reader)?.map(Message::from))
    }
}

impl<'a> From<Raw<'a>> for Message<'a> {
    fn from(mut raw: Raw<'a>) -> Self {
        let kapso = core::mem::take(&mut raw.kapso);
        let mut errors = core::mem::take(&mut raw.errors);
        errors.extend(raw.error.take());
        Self {
            id: raw.whatsapp_message_id.take().or(raw.id.take()),
            timestamp: raw.timestamp.take().or(raw.created_at.take()),
            from: raw.from.take(),
            to: raw.to.take(),
            from_user_id: raw.from_user_id.take(),
            username: raw.username.take(),
            group_id: raw.group_id.take(),
            context_id: raw.context_id.take(),
            referral: raw.referral.take(),
            direction: kapso.direction.or(raw.direction.take()),
            status: kapso.status.or(raw.status.take()),
            processing_status: kapso.processing_status,
            origin: kapso.origin.or(raw.origin.take()),
            has_media: kapso.has_media,
            rendered: kapso.content.or_else(|| raw.content.clone()),
            transcript: kapso.transcript,
            media_url: kapso.media_url,
            content: raw.into_content(),
            statuses: kapso.statuses,
            errors,
            conversation: None,
        }
    }
}

impl<'a> Raw<'a> {
    fn into_content(self) -> Content<'a> {
        let Some(r#type) = self.r#type.or(self.message_type) else { return Content::Other(None) };
        match &*r#type {
            "text" => Content::Text(self.text.or(self.content).unwrap_or_default()),
            "image" => Content::Image(self.image),
            "video" => Content::Video(self.video),
            "audio" => Content::Audio(self.audio),
            "document" => Content::Document(self.document),
            "sticker" => Content::Sticker(self.sticker),
            "location" => Content::Location(self.location),
            "contacts" => Content::Contacts(self.contacts),
            "interactive" => match self.interactive {
                Interactive { button: Some(reply), .. } => Content::ButtonReply(reply),
                Interactive { list: Some(reply), .. } => Content::ListReply(reply),
                Interactive { flow: Some(reply), .. } => Content::FlowReply(reply),
                _ => Content::Other(Some(r#type)),
            },
            "button" => Content::Button(self.button),
            "reaction" => Content::Reaction(self.reaction),
            "order" => Content::Order(self.order),
            "template" => Content::Template(self.template),
            "system" => Content::System(self.system),
            "unsupported" => Content::Unsupported,
            _ => Content::Other(Some(r#type)),
        }
    }
}
