//! Meta's own body, forwarded: entries, their changes, and the messages and statuses in those.

use alloc::vec::Vec;

use super::item::Message;
use super::name::{Claims, check_batch, contradiction};
use super::{Layout, Member, blank, idempotency_key, key};
use crate::event::{Delivery, Event, Kind, NameOrigin, Span, Text};
use crate::http::{self, Header};
use crate::json::{JsonStr, ParseError, Reader, Result};
use crate::record::{self, Read, record};

/// The `entry` array.
pub(super) struct Entries<'a> {
    events: Vec<Event<'a>>,
    layout: Layout,
    room: Room,
}

/// For how many more events there is room. What a key said before it was said again has taken its place too.
struct Room {
    left: usize,
    exceeded: bool,
}

impl Room {
    /// Whether there is room for one more.
    fn take(&mut self) -> bool {
        let left = self.left.checked_sub(1);
        self.exceeded |= left.is_none();
        self.left = left.unwrap_or_default();
        left.is_some()
    }
}

/// What a change says before it is known which number and field it belongs to.
#[derive(Default)]
struct Change<'a> {
    field: Option<JsonStr<'a>>,
    phone_number_id: Option<JsonStr<'a>>,
    happenings: Vec<(Happening<'a>, Span)>,
    arrays: Vec<Vec<Span>>,
}

enum Happening<'a> {
    Received(Message<'a>),
    Echoed(Message<'a>),
    Changed(Status<'a>),
    /// Neither of these.
    Other,
}

record! {
    struct Status<'a> {
        id: Option<JsonStr<'a>> = "id",
        status: Option<JsonStr<'a>> = "status",
        timestamp: Option<u64> = "timestamp",
        /// `payment` where it is about what the message asks to be paid.
        r#type: Option<JsonStr<'a>> = "type",
        recipient: Option<JsonStr<'a>> = "recipient_id",
        /// Whose number the business does not know.
        recipient_user: Option<JsonStr<'a>> = "recipient_user_id",
        /// Of a message to a group, which is the recipient: whose status this is.
        participant: Option<JsonStr<'a>> = "recipient_participant_id" | "participant_recipient_id"
            | "recipient_participant_user_id",
    }
}

record! {
    /// One of the `contacts`, which stand beside the messages.
    #[derive(Copy)]
    struct Contact<'a> {
        wa_id: Option<JsonStr<'a>> = "wa_id",
        name: Option<JsonStr<'a>> = "profile" . "name",
    }
}

impl<'a> Entries<'a> {
    /// The entries that stand here; none if it is no array. Events beyond `limit` are not read.
    pub(super) fn read(reader: &mut Reader<'a>, body: &'a [u8], limit: usize) -> Result<Option<Self>> {
        let mut entries =
            Self { events: Vec::new(), layout: Layout::default(), room: Room { left: limit, exceeded: false } };
        let mut members = Vec::new();
        let is_array = reader.array(|reader| {
            if members.len() > limit {
                entries.room.exceeded = true;
                return reader.pass();
            }
            let first = entries.events.len();
            let (_, span) = reader.spanned(|reader| entries.entry(reader, body))?;
            members.push(Member { span, events: first..entries.events.len() });
            Ok(())
        })?;
        entries.layout.arrays.push(members);
        Ok(is_array.then_some(entries))
    }

    /// For how many more events there is room.
    pub(super) fn room(&self) -> usize {
        self.room.left
    }

    fn entry(&mut self, reader: &mut Reader<'a>, body: &'a [u8]) -> Result<()> {
        let (mut id, mut time) = (None, None);
        let mut changes = Vec::new();
        let room = &mut self.room;
        reader.object(&mut |reader, key| {
            match key {
                b"id" => reader.scalar(&mut id)?,
                b"time" => reader.scalar(&mut time)?,
                b"changes" => {
                    changes.clear();
                    reader.array(|reader| {
                        let (change, span) = reader.spanned(|reader| Change::read(reader, room))?;
                        // That nothing known happened is an event too.
                        if !change.happenings.is_empty() || room.take() {
                            changes.push((change, span));
                        }
                        Ok(())
                    })?;
                }
                _ => reader.pass()?,
            }
            Ok(())
        })?;
        let mut members = Vec::new();
        let entry = [id, time].map(|text: Option<JsonStr<'_>>| text.and_then(JsonStr::short));
        for (change, span) in changes {
            let first = self.events.len();
            self.change(change, entry, span, body);
            members.push(Member { span, events: first..self.events.len() });
        }
        self.layout.arrays.push(members);
        Ok(())
    }

    /// `entry` is the id and the time of the entry that it is in.
    fn change(&mut self, change: Change<'a>, entry: [Option<JsonStr<'a>>; 2], span: Span, body: &'a [u8]) {
        let mut next = self.events.len();
        for array in change.arrays {
            let members = array.into_iter().map(|span| {
                let events = next..next.saturating_add(1);
                next = events.end;
                Member { span, events }
            });
            self.layout.arrays.push(members.collect());
        }
        let text = |text: Option<JsonStr<'a>>| text.and_then(JsonStr::short).map(JsonStr::text);
        let [id, time] = entry;
        let mut happened = change.happenings;
        if happened.is_empty() {
            happened.push((Happening::Other, span));
        }
        for (happening, span) in happened {
            let mut event = Event {
                phone_number_id: text(change.phone_number_id),
                business_account_id: text(id),
                ..blank(Kind::Meta, text(change.field), span)
            };
            let recipients = happening.fill(&mut event);
            let entry = [id, time].map(|text| text.map_or("", JsonStr::raw));
            event.item_key = key::of_meta(&event, recipients, entry, span.of(body));
            self.events.push(event);
        }
    }

    pub(super) fn into_delivery(
        self,
        headers: &[Header<'a>],
        claims: &Claims<'a>,
        body: &'a [u8],
        span: Span,
        max_events: u32,
    ) -> core::result::Result<Delivery<'a>, ParseError> {
        if self.room.exceeded {
            return Err(ParseError::TooManyEvents(max_events));
        }
        let mut contradictions = Vec::new();
        for (header, claimed) in [(http::EVENT, claims.event), (http::PAYLOAD_VERSION, claims.version)] {
            if let Some(claimed) = claimed {
                contradictions.push(contradiction(header, claimed, "a Meta forward"));
            }
        }
        check_batch(&mut contradictions, claims, None);
        let mut events = self.events;
        if events.is_empty() {
            let mut event = blank(Kind::Meta, None, span);
            event.item_key = key::of_bytes(span.of(body));
            events.push(event);
        }
        Ok(Delivery {
            readable: true,
            kind: Kind::Meta,
            name: None,
            name_origin: NameOrigin::None,
            payload_version: None,
            batch: None,
            test: false,
            idempotency_key: idempotency_key(headers),
            contradictions,
            events,
            layout: self.layout,
        })
    }
}

impl<'a> Change<'a> {
    fn read(reader: &mut Reader<'a>, room: &mut Room) -> Result<Self> {
        let mut change = Self::default();
        reader.object(&mut |reader, key| {
            match key {
                b"field" => reader.string(&mut change.field)?,
                b"value" => {
                    let field = change.field.take();
                    change = Self { field, ..Self::default() };
                    change.value(reader, room)?;
                }
                _ => reader.pass()?,
            }
            Ok(())
        })?;
        Ok(change)
    }

    fn value(&mut self, reader: &mut Reader<'a>, room: &mut Room) -> Result<()> {
        // In the order of the body, which becomes the order of the events.
        let mut lists = Vec::new();
        let mut contacts: Vec<Contact<'a>> = Vec::new();
        reader.object(&mut |reader, key| {
            let (which, read): (_, fn(&mut Reader<'a>) -> _) = match key {
                b"metadata" => return reader.member("phone_number_id", &mut self.phone_number_id),
                b"contacts" => return contacts.read(reader),
                b"messages" => (0, |reader| record::read(reader).map(Happening::Received)),
                b"message_echoes" => (1, |reader| record::read(reader).map(Happening::Echoed)),
                b"statuses" => (2, |reader| record::read(reader).map(Happening::Changed)),
                _ => return reader.pass(),
            };
            lists.retain(|(known, _)| *known != which);
            lists.push((which, list(reader, room, read)?));
            Ok(())
        })?;
        let contacts = by_number(&contacts);
        for (_, mut list) in lists {
            for (happening, _) in &mut list {
                if let Happening::Received(message) = happening {
                    message.contact_name = name(&contacts, message.from).and_then(JsonStr::short);
                }
            }
            self.arrays.push(list.iter().map(|(_, span)| *span).collect());
            self.happenings.extend(list);
        }
        Ok(())
    }
}

/// Contacts in the order of their numbers, so that many messages beside many contacts take no longer than they should: nobody has
/// verified them yet. Of several with one number the first stays the first. The sort of the standard library would be larger than all
/// that is read here.
fn by_number<'c, 'a>(contacts: &'c [Contact<'a>]) -> Vec<&'c Contact<'a>> {
    let mut ordered: Vec<&Contact<'_>> = Vec::with_capacity(contacts.len());
    for contact in contacts {
        ordered.insert(ordered.partition_point(|other| other.number() <= contact.number()), contact);
    }
    ordered
}

/// The name of the contact that a message is from: the one with its number, or the only one there is.
fn name<'a>(contacts: &[&Contact<'a>], from: Option<JsonStr<'a>>) -> Option<JsonStr<'a>> {
    if let [contact] = contacts {
        return contact.name;
    }
    let from = from.map(JsonStr::raw)?;
    let place = contacts.partition_point(|contact| contact.number() < Some(from));
    contacts.get(place).filter(|contact| contact.number() == Some(from))?.name
}

impl<'a> Contact<'a> {
    fn number(&self) -> Option<&'a str> {
        self.wa_id.map(JsonStr::raw)
    }
}

/// The elements of the array that stands here, as many as there is room for.
fn list<'a>(
    reader: &mut Reader<'a>,
    room: &mut Room,
    read: fn(&mut Reader<'a>) -> Result<Happening<'a>>,
) -> Result<Vec<(Happening<'a>, Span)>> {
    let mut list = Vec::new();
    reader.array(|reader| {
        if !room.take() {
            return reader.pass();
        }
        list.push(reader.spanned(read)?);
        Ok(())
    })?;
    Ok(list)
}

impl<'a> Happening<'a> {
    /// Writes what happened into the event, in Kapso's words, and returns what tells a message's statuses apart: its recipient, and
    /// which participant of a group that is. None if that is not enough: a payment can be tried, and fail, more than once.
    fn fill(self, event: &mut Event<'a>) -> Option<[Option<Text<'a>>; 2]> {
        let (message, direction, status) = match self {
            Self::Changed(status) => {
                event.message_id = status.id.map(JsonStr::text);
                event.direction = Some(Text::Borrowed("outbound"));
                event.status = status.status.map(JsonStr::text);
                event.timestamp = status.timestamp;
                let is_payment = status.r#type.is_some_and(|kind| kind.plain() == Some("payment"));
                let recipient = status.recipient.or(status.recipient_user);
                return (!is_payment).then(|| [recipient, status.participant].map(|id| id.map(JsonStr::text)));
            }
            Self::Other => return None,
            Self::Received(message) => (message, "inbound", "received"),
            Self::Echoed(message) => {
                event.origin = Some(Text::Borrowed("business_app"));
                (message, "outbound", "sent")
            }
        };
        event.contact_name = message.contact_name;
        event.text = message.spoken().map(JsonStr::text);
        event.message_id = message.id.map(JsonStr::text);
        event.timestamp = message.timestamp;
        event.message_type = message.r#type.map(JsonStr::text);
        event.direction = Some(Text::Borrowed(direction));
        event.status = Some(Text::Borrowed(status));
        Some([None, None])
    }
}
