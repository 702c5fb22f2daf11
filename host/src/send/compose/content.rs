//! What a message holds: one function for each type that WhatsApp has.

use super::words;
use super::world::Conversation;
use crate::send::dice::Dice;
use crate::send::json::{Json, Members, object};

/// The content of one message.
pub(super) struct Content {
    /// The message's `type`, which is also the name of the member that `object` stands under.
    pub(super) kind: &'static str,
    /// None where the type has none.
    pub(super) object: Option<Json>,
    /// What else the message has: `context`, `referral`, `errors`.
    pub(super) beside: Members,
    /// How Kapso puts it in words; none where it does not.
    pub(super) words: Option<String>,
    /// Kapso's copy of a file.
    pub(super) file: Option<File>,
    /// What else Kapso adds under `message.kapso`.
    pub(super) kapso: Members,
}

/// A file that Kapso has stored.
pub(super) struct File {
    pub(super) url: String,
    pub(super) name: String,
    pub(super) mime: &'static str,
    pub(super) bytes: u64,
}

type Make = fn(&Conversation, &mut Dice) -> Content;

/// What customers send.
pub(super) const INBOUND: [(&str, Make); 18] = [
    ("text", text),
    ("text", text_in_context),
    ("text", text_after_an_ad),
    ("text", text_in_a_group),
    ("image", image),
    ("video", video),
    ("audio", audio),
    ("document", document),
    ("sticker", sticker),
    ("location", location),
    ("contacts", contacts),
    ("interactive", button_reply),
    ("interactive", list_reply),
    ("interactive", flow_reply),
    ("button", button),
    ("reaction", reaction),
    ("order", order),
    ("system", system),
];

/// What WhatsApp could not read.
pub(super) const UNSUPPORTED: (&str, Make) = ("unsupported", unsupported);

/// What businesses send.
pub(super) const OUTBOUND: [(&str, Make); 10] = [
    ("text", text),
    ("template", template),
    ("image", image),
    ("video", video),
    ("audio", audio),
    ("document", document),
    ("location", location),
    ("contacts", contacts),
    ("interactive", buttons),
    ("reaction", reaction),
];

/// Half of all messages are plain text, as they are in life.
pub(super) fn inbound(conversation: &Conversation, dice: &mut Dice) -> Content {
    if dice.is(1, 2) {
        return text(conversation, dice);
    }
    let make = if dice.is(1, 19) { UNSUPPORTED.1 } else { dice.pick(&INBOUND).1 };
    make(conversation, dice)
}

pub(super) fn outbound(conversation: &Conversation, dice: &mut Dice) -> Content {
    if dice.is(1, 2) { text(conversation, dice) } else { dice.pick(&OUTBOUND).1(conversation, dice) }
}

impl Content {
    fn new(kind: &'static str, object: Json, words: impl Into<String>) -> Self {
        Self::silent(kind, object).in_words(words)
    }

    /// A text message that says this.
    pub(super) fn said(text: impl Into<String>) -> Self {
        let text = text.into();
        Self::new("text", object! {"body": text.clone()}, text)
    }

    fn silent(kind: &'static str, object: Json) -> Self {
        Self { kind, object: Some(object), beside: Vec::new(), words: None, file: None, kapso: Vec::new() }
    }

    fn in_words(self, words: impl Into<String>) -> Self {
        Self { words: Some(words.into()), ..self }
    }

    fn beside(mut self, name: &'static str, value: Json) -> Self {
        self.beside.push((name, value));
        self
    }

    fn kapso(mut self, name: &'static str, value: impl Into<Json>) -> Self {
        self.kapso.push((name, value.into()));
        self
    }
}

fn text(_: &Conversation, dice: &mut Dice) -> Content {
    Content::said(dice.pick(&words::TEXTS))
}

fn text_in_context(conversation: &Conversation, dice: &mut Dice) -> Content {
    text(conversation, dice).beside("context", context(dice))
}

fn context(dice: &mut Dice) -> Json {
    object! {"from": "15550783881", "id": format!("wamid.HBgL{}", dice.hex(16))}
}

fn text_after_an_ad(conversation: &Conversation, dice: &mut Dice) -> Content {
    let referral = object! {
        "source_url": "https://fb.me/3cr4Wqqkv",
        "source_id": dice.digits(15),
        "source_type": "ad",
        "headline": "Chat with us & win",
        "ctwa_clid": format!("Aff-{}", dice.hex(16)),
    };
    text(conversation, dice).beside("referral", referral)
}

fn text_in_a_group(conversation: &Conversation, dice: &mut Dice) -> Content {
    text(conversation, dice).beside("group_id", format!("HBgL{}", dice.hex(16)).into())
}

/// A file at Meta, and Kapso's copy of it.
fn media(kind: &'static str, mime: &'static str, name: String, more: Members, dice: &mut Dice) -> Content {
    let id = dice.digits(15);
    let blob = dice.hex(16);
    let object = object! {
        "id": id.clone(),
        "mime_type": mime,
        "sha256": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
        "url": format!(
            "https://lookaside.fbsbx.com/whatsapp_business/attachments/?mid={id}&source=webhook&ext=1789396201&hash={blob}"
        ),
    };
    let url = format!("https://app.kapso.ai/rails/active_storage/blobs/redirect/eyJfcmFpbHMiOnt9fQ--{blob}/{name}");
    let bytes = 1_000 + u64::from(dice.below(3_000_000));
    let words = format!("({name}) [Size: {} KB | Type: {mime}] URL: {url}", bytes / 1024);
    let file = File { url, name, mime, bytes };
    Content { file: Some(file), ..Content::new(kind, object.and(more), words) }
}

fn image(_: &Conversation, dice: &mut Dice) -> Content {
    let caption = dice.pick(&words::CAPTIONS);
    let name = format!("image_{}.jpeg", dice.hex(12));
    let image = media("image", "image/jpeg", name, vec![("caption", caption.into())], dice);
    let words = format!("{caption} Image attached {}", image.words.as_deref().unwrap_or_default());
    image.in_words(words).kapso("message_type_data", object! {"caption": caption})
}

fn video(_: &Conversation, dice: &mut Dice) -> Content {
    let caption = dice.pick(&words::CAPTIONS);
    let name = format!("video_{}.mp4", dice.hex(12));
    media("video", "video/mp4", name, vec![("caption", caption.into())], dice)
}

fn audio(_: &Conversation, dice: &mut Dice) -> Content {
    let said = dice.pick(&words::TEXTS);
    let audio = media("audio", "audio/ogg; codecs=opus", "voice.ogg".into(), vec![("voice", true.into())], dice);
    let words = format!("[Audio attached] {}\nTranscript: {said}", audio.words.as_deref().unwrap_or_default());
    let audio = audio.in_words(words).kapso("message_type_data", object! {});
    // Most sources have an object here; one has the text alone.
    if dice.is(1, 5) { audio.kapso("transcript", said) } else { audio.kapso("transcript", object! {"text": said}) }
}

fn document(_: &Conversation, dice: &mut Dice) -> Content {
    let name = format!("presupuesto_año_{}.pdf", dice.hex(4));
    media("document", "application/pdf", name.clone(), vec![("filename", name.into())], dice)
}

fn sticker(_: &Conversation, dice: &mut Dice) -> Content {
    media("sticker", "image/webp", "sticker.webp".into(), vec![("animated", dice.is(1, 2).into())], dice)
}

fn location(_: &Conversation, dice: &mut Dice) -> Content {
    let (latitude, longitude, name, address) = dice.pick(&words::PLACES);
    Content::new(
        "location",
        object! {"latitude": latitude, "longitude": longitude, "name": name, "address": address},
        name,
    )
}

fn contacts(_: &Conversation, dice: &mut Dice) -> Content {
    let (first, whole, _) = dice.pick(&words::PEOPLE);
    let digits = format!("1{}", dice.digits(10));
    let card = object! {
        "name": object! {"first_name": first, "formatted_name": whole},
        "org": object! {"company": "Acme"},
        "phones": vec![object! {"phone": format!("+{digits}"), "wa_id": digits, "type": "MOBILE"}],
    };
    Content::silent("contacts", vec![card].into())
}

fn button_reply(_: &Conversation, dice: &mut Dice) -> Content {
    let (id, title, _) = dice.pick(&words::CHOICES);
    let reply = object! {"type": "button_reply", "button_reply": object! {"id": id, "title": title}};
    Content::new("interactive", reply, title).beside("context", context(dice))
}

fn list_reply(_: &Conversation, dice: &mut Dice) -> Content {
    let (id, title, description) = dice.pick(&words::CHOICES);
    let reply = object! {"id": id, "title": title, "description": description};
    Content::new("interactive", object! {"type": "list_reply", "list_reply": reply}, title)
        .beside("context", context(dice))
}

fn flow_reply(_: &Conversation, dice: &mut Dice) -> Content {
    let token = dice.hex(16);
    let answer = object! {"screen_0_name": dice.pick(&words::PEOPLE).1, "flow_token": token.clone()};
    let written = String::from_utf8_lossy(&crate::send::json::Style::Plain.write(&answer)).into_owned();
    let reply = object! {"name": "flow", "body": "Sent", "response_json": written};
    Content::new("interactive", object! {"type": "nfm_reply", "nfm_reply": reply}, "Sent")
        .kapso("flow_response", answer)
        .kapso("flow_token", token)
        .kapso("flow_name", "flow")
}

/// What a business asks with.
fn buttons(_: &Conversation, dice: &mut Dice) -> Content {
    let (id, title, _) = dice.pick(&words::CHOICES);
    let said = dice.pick(&words::TEXTS);
    let reply = object! {"type": "reply", "reply": object! {"id": id, "title": title}};
    let object = object! {
        "type": "button",
        "body": object! {"text": said},
        "action": object! {"buttons": vec![reply]},
    };
    Content::new("interactive", object, said)
}

fn button(_: &Conversation, dice: &mut Dice) -> Content {
    let (_, title, _) = dice.pick(&words::CHOICES);
    Content::new("button", object! {"payload": title, "text": title}, title).beside("context", context(dice))
}

fn reaction(_: &Conversation, dice: &mut Dice) -> Content {
    let emoji = dice.pick(&words::EMOJI);
    let to = object! {"message_id": format!("wamid.HBgL{}", dice.hex(16))};
    if emoji.is_empty() && dice.is(1, 2) {
        return Content::silent("reaction", to);
    }
    Content::new("reaction", to.with("emoji", emoji), emoji)
}

fn order(_: &Conversation, dice: &mut Dice) -> Content {
    let quantity = 1 + u64::from(dice.below(9));
    // Some say it in digits, some as a string.
    let quantity = if dice.is(1, 2) { Json::from(quantity) } else { quantity.to_string().into() };
    let item = object! {
        "product_retailer_id": dice.hex(10),
        "quantity": quantity,
        "item_price": 30.5,
        "currency": "USD",
    };
    let order = object! {"catalog_id": dice.digits(15), "text": "¡Gracias!", "product_items": vec![item]};
    Content::silent("order", order).kapso("order_text", "¡Gracias!")
}

fn system(conversation: &Conversation, dice: &mut Dice) -> Content {
    let digits = format!("1{}", dice.digits(10));
    let body = format!("User {} changed from {} to {digits}", conversation.person.0, conversation.customer);
    Content::silent("system", object! {"body": body, "wa_id": digits, "type": "user_changed_number"})
}

fn unsupported(_: &Conversation, dice: &mut Dice) -> Content {
    let error = object! {
        "code": 131_051_u64,
        "title": "Message type unknown",
        "message": "Message type unknown",
        "error_data": object! {"details": "Message type is currently not supported."},
    };
    let mut content = Content::silent("unsupported", object! {"type": dice.pick(&["poll_creation", "edit"])});
    if dice.is(1, 2) {
        content.object = None;
    }
    content.beside("errors", vec![error].into())
}

fn template(_: &Conversation, dice: &mut Dice) -> Content {
    let name = dice.pick(&words::TEMPLATES);
    let parameter = object! {"type": "text", "text": dice.pick(&words::PEOPLE).1};
    let component = object! {"type": "body", "parameters": vec![parameter]};
    let components = if dice.is(1, 3) { Vec::new() } else { vec![component] };
    Content::new(
        "template",
        object! {"name": name, "language": object! {"code": "en_US"}, "components": components},
        format!("[plantilla: {name}]"),
    )
}
