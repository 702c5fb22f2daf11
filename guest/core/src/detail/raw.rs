//! Messages as bodies have them: v1's and v2's members side by side, and what Kapso adds.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::message::{
    Button, ContactCard, Content, FlowReply, Location, Media, MediaData, Message, MessageError, Order, Reaction, Reply,
    Status, SystemMessage, Template,
};
use crate::event::Span;
use crate::json::{JsonStr, Reader, Result};
use crate::record::{self, Read, record};

record! {
    /// A message as bodies have it.
    struct Raw<'a> {
        id: Option<JsonStr<'a>> = "id",
        whatsapp_message_id: Option<JsonStr<'a>> = "whatsapp_message_id",
        timestamp: Option<JsonStr<'a>> = "timestamp",
        created_at: Option<JsonStr<'a>> = "created_at",
        r#type: Option<JsonStr<'a>> = "type",
        message_type: Option<JsonStr<'a>> = "message_type",
        from: Option<JsonStr<'a>> = "from",
        to: Option<JsonStr<'a>> = "to",
        from_user_id: Option<JsonStr<'a>> = "from_user_id",
        from_parent_user_id: Option<JsonStr<'a>> = "from_parent_user_id",
        username: Option<JsonStr<'a>> = "username",
        group_id: Option<JsonStr<'a>> = "group_id",
        context_id: Option<JsonStr<'a>> = "context" . "id",
        referral: Option<Span> = "referral",
        direction: Option<JsonStr<'a>> = "direction",
        status: Option<JsonStr<'a>> = "status",
        origin: Option<JsonStr<'a>> = "origin",
        content: Option<JsonStr<'a>> = "content",
        errors: Vec<MessageError<'a>> = "errors",
        error: Option<MessageError<'a>> = "error",
        kapso: Kapso<'a> = "kapso",
        text: Option<JsonStr<'a>> = "text" . "body",
        media: Media<'a> = "image" | "video" | "audio" | "document" | "sticker",
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
        direction: Option<JsonStr<'a>> = "direction",
        status: Option<JsonStr<'a>> = "status",
        processing_status: Option<JsonStr<'a>> = "processing_status",
        origin: Option<JsonStr<'a>> = "origin",
        has_media: Option<bool> = "has_media",
        content: Option<JsonStr<'a>> = "content",
        transcript: Option<JsonStr<'a>> = "transcript" | "transcription" or "text",
        contact_name: Option<JsonStr<'a>> = "contact_name",
        media_data: Option<MediaData<'a>> = "media_data",
        media_url: Option<JsonStr<'a>> = "media_url",
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

impl<'a> Read<'a> for Option<Box<Message<'a>>> {
    fn read(&mut self, reader: &mut Reader<'a>) -> Result<()> {
        *self = record::read::<Option<Raw<'a>>>(reader)?.map(|raw| Box::new(Message::from(raw)));
        Ok(())
    }
}

impl<'a> From<Raw<'a>> for Message<'a> {
    fn from(mut raw: Raw<'a>) -> Self {
        let kapso = core::mem::take(&mut raw.kapso);
        let status = kapso.status.or(raw.status);
        let mut errors = core::mem::take(&mut raw.errors);
        errors.extend(raw.error.take());
        // v2 says it in the history alone.
        if errors.is_empty() && status.is_some_and(|status| status.plain() == Some("failed")) {
            errors = kapso.statuses.last().map(|last| last.errors.clone()).unwrap_or_default();
        }
        Self {
            id: raw.whatsapp_message_id.or(raw.id),
            timestamp: raw.timestamp.or(raw.created_at),
            from: raw.from,
            to: raw.to,
            from_user_id: raw.from_user_id,
            from_parent_user_id: raw.from_parent_user_id,
            username: raw.username,
            group_id: raw.group_id,
            context_id: raw.context_id,
            referral: raw.referral,
            direction: kapso.direction.or(raw.direction),
            status,
            processing_status: kapso.processing_status,
            origin: kapso.origin.or(raw.origin),
            has_media: kapso.has_media,
            rendered: kapso.content.or(raw.content),
            transcript: kapso.transcript,
            media_url: kapso.media_url,
            media_data: kapso.media_data,
            contact_name: kapso.contact_name,
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
        match &*r#type.text() {
            "text" => Content::Text(self.text.or(self.content).unwrap_or_default()),
            "image" => Content::Image(self.media),
            "video" => Content::Video(self.media),
            "audio" => Content::Audio(self.media),
            "document" => Content::Document(self.media),
            "sticker" => Content::Sticker(self.media),
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
