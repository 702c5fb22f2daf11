//! `parse`: what a delivery says. One pass over the body finds every item and its routing keys; the items' full content is
//! read by `detail`, when somebody asks.

mod item;
pub(crate) mod key;
mod meta;
mod name;

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;

use crate::event::{Batch, Delivery, Event, Kind, NameOrigin, Span, Text};
use crate::http::{self, Header};
use crate::json::{self, JsonStr, ParseError, Reader};
use crate::record::{self, Read};
use item::Item;
use name::Claims;
pub use name::printable;

/// The arrays of a body that hold its events: what a sub-batch is cut out of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) arrays: Vec<Vec<Member>>,
    /// The number in `batch_info.size`.
    pub(crate) batch_size: Option<Span>,
}

/// An element of such an array, and the events inside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) span: Span,
    pub(crate) events: Range<usize>,
}

/// What stands under the root's `data`.
#[derive(Default)]
enum Data<'a> {
    #[default]
    Other,
    Object(Box<Item<'a>>),
    /// As many elements as there may be events become events at once: an item is nearly three times as large.
    Array {
        first: Option<Box<Item<'a>>>,
        events: Vec<Event<'a>>,
        count: usize,
    },
}

/// The root object.
#[derive(Default)]
struct Root<'a> {
    item: Item<'a>,
    data: Data<'a>,
    batch: Option<bool>,
    batch_info: Batch<'a>,
    batch_size: Option<Span>,
    object: Option<JsonStr<'a>>,
    entries: Option<meta::Entries<'a>>,
    /// How many events were read of `data`, and for how many more of `entry` there is room. What a key said before it was said again
    /// has taken its place too.
    read: usize,
    room: Option<usize>,
}

/// Reads a delivery of at most `max_events` events.
pub(crate) fn delivery<'a>(
    headers: &[Header<'a>],
    body: &'a [u8],
    max_events: u32,
) -> Result<Delivery<'a>, ParseError> {
    let limit = usize::try_from(max_events).unwrap_or(usize::MAX);
    let mut root = Root::default();
    let (is_object, span) = Reader::whole(json::text(body)?, |reader| {
        reader.spanned(|reader| reader.object(&mut |reader, key| root.member(reader, key, body, limit)))
    })?;
    if !is_object {
        return Err(ParseError::NotAnObject);
    }
    root.into_delivery(headers, body, span, max_events)
}

/// Under what messages stand, and what became of them, in Kapso's bodies and Meta's.
const MESSAGES: [&[u8]; 4] = [b"message", b"messages", b"message_echoes", b"statuses"];

/// Whose a body may be taken to be by somebody behind, who may read what events are not read from.
#[derive(Default)]
pub(crate) struct Named<'a> {
    /// Every phone number id that it names, in its order. What an end user's own client may have written names nobody: it could make
    /// genuine deliveries be refused. None where the body cannot be read, and where nothing but an account's list names numbers.
    pub(crate) phone_numbers: Vec<Text<'a>>,
    /// Something in it may be a message, or what became of one.
    pub(crate) messages: bool,
    /// The `id` of what stands in a list of `phone_numbers`.
    listed: Vec<Text<'a>>,
}

impl<'a> Named<'a> {
    pub(crate) fn read(body: &'a [u8]) -> Self {
        let mut named = Self::default();
        if json::text(body).and_then(|text| Reader::whole(text, |reader| named.collect(reader, false))).is_err() {
            return Self::default();
        }
        // An account's own event lists its numbers and names none: it is not a tenant's.
        if !named.phone_numbers.is_empty() {
            named.phone_numbers.append(&mut named.listed);
        }
        named
    }

    /// `listed` says that this stands in a list of `phone_numbers`.
    fn collect(&mut self, reader: &mut Reader<'a>, listed: bool) -> json::Result<()> {
        if !reader.at_object() {
            return reader.array(|reader| self.collect(reader, listed)).map(drop);
        }
        let member = &mut |reader: &mut Reader<'a>, key: &[u8]| {
            // Readers of other languages take a key in any case.
            let is = |name: &[u8]| key.eq_ignore_ascii_case(name);
            if key == b"flow_response" {
                return reader.pass();
            }
            let holds_more = matches!(reader.peek(), b'{' | b'[');
            self.messages |= holds_more && MESSAGES.into_iter().any(is);
            let found = if is(b"phone_number_id") {
                &mut self.phone_numbers
            } else if listed && is(b"id") {
                &mut self.listed
            } else {
                // A list's elements may be named by their places, as readers of PHP's take it.
                return self.collect(reader, is(b"phone_numbers") || listed && key.iter().all(u8::is_ascii_digit));
            };
            // They make a number of a list, too. It stands for one that nobody has.
            let mut id = None;
            reader.scalar(&mut id)?;
            found.extend(id.map(JsonStr::text).or(holds_more.then_some(Text::Borrowed(""))));
            Ok(())
        };
        reader.object(member).map(drop)
    }
}

/// What stands for a genuine delivery that cannot be read: one event that is the whole body.
pub(crate) fn unreadable<'a>(headers: &[Header<'a>], body: &'a [u8]) -> Delivery<'a> {
    let name = http::only_text(headers, http::EVENT).map(Text::Borrowed);
    let mut event = blank(Kind::Unknown, name.clone(), Span { start: 0, end: body.len() });
    event.item_key = key::of_bytes(body);
    Delivery {
        readable: false,
        kind: Kind::Unknown,
        name_origin: if name.is_some() { NameOrigin::Header } else { NameOrigin::None },
        name,
        payload_version: None,
        batch: None,
        test: false,
        idempotency_key: idempotency_key(headers),
        contradictions: Vec::new(),
        events: Vec::from([event]),
        layout: Layout::default(),
    }
}

/// An event of which nothing is known but where it stands.
fn blank<'a>(kind: Kind, name: Option<Text<'a>>, span: Span) -> Event<'a> {
    Event {
        name,
        kind,
        payload_version: None,
        phone_number_id: None,
        business_account_id: None,
        customer_id: None,
        conversation_id: None,
        message_id: None,
        direction: None,
        status: None,
        origin: None,
        message_type: None,
        new_conversation: None,
        test: false,
        contact_name: None,
        text: None,
        timestamp: None,
        item_key: String::new(),
        span,
    }
}

fn idempotency_key<'a>(headers: &[Header<'a>]) -> Option<Text<'a>> {
    http::only_text(headers, http::IDEMPOTENCY_KEY).map(Text::Borrowed)
}

impl<'a> Root<'a> {
    fn member(&mut self, reader: &mut Reader<'a>, key: &[u8], body: &'a [u8], limit: usize) -> json::Result<()> {
        match key {
            b"data" => {
                self.data = Data::read(reader, body, limit.saturating_sub(self.read))?;
                if let Data::Array { events, .. } = &self.data {
                    self.read = self.read.saturating_add(events.len());
                }
            }
            b"batch" => reader.boolean(&mut self.batch)?,
            b"batch_info" => (self.batch_info, self.batch_size) = batch_info(reader)?,
            b"object" => reader.string(&mut self.object)?,
            b"entry" => {
                self.entries = meta::Entries::read(reader, body, self.room.unwrap_or(limit))?;
                self.room = self.entries.as_ref().map(meta::Entries::room).or(self.room);
            }
            _ => record::member(&mut self.item, Item::KEYS, key, reader)?,
        }
        Ok(())
    }

    fn into_delivery(
        self,
        headers: &[Header<'a>],
        body: &'a [u8],
        span: Span,
        max_events: u32,
    ) -> Result<Delivery<'a>, ParseError> {
        let claims = Claims::read(headers);
        if let (Some("whatsapp_business_account"), Some(entries)) =
            (self.object.map(JsonStr::text).as_deref(), self.entries)
        {
            return entries.into_delivery(headers, &claims, body, span, max_events);
        }
        let flagged = self.batch.unwrap_or(claims.is_batch());
        let signed = self.item.signed_name().and_then(JsonStr::short).map(JsonStr::text);
        let mut layout = Layout { arrays: Vec::new(), batch_size: self.batch_size };
        let (first, mut events, batch) = match self.data {
            Data::Array { ref events, count, .. } if flagged && count > events.len() => {
                return Err(ParseError::TooManyEvents(max_events));
            }
            Data::Array { first: Some(first), events, .. } if flagged => {
                let members = events.iter().enumerate();
                let members = members.map(|(i, event)| Member { span: event.span, events: i..i.saturating_add(1) });
                layout.arrays.push(members.collect());
                (*first, events, Some(self.batch_info))
            }
            Data::Object(mut item) if item.is_v1_payload() => {
                item.unwrap_from(&self.item);
                (*item, Vec::from([item.event(span, body)]), None)
            }
            data => {
                let mut item = self.item;
                if let Data::Object(data) = data {
                    item.fill(&data);
                }
                (item, Vec::from([item.event(span, body)]), None)
            }
        };
        let mut resolved = name::resolve(&claims, signed, &first);
        resolved.check_version(&claims, first.version().or(batch.as_ref().map(|_| "v2")));
        name::check_batch(&mut resolved.contradictions, &claims, batch.is_some().then_some(events.len()));
        for event in &mut events {
            event.name.clone_from(&resolved.name);
            event.kind = resolved.kind;
            event.payload_version.clone_from(&resolved.version);
            if self.item.test() && !event.test {
                event.test = true;
                event.item_key = key::of_bytes(event.span.of(body));
            }
        }
        Ok(Delivery {
            readable: true,
            kind: resolved.kind,
            name: resolved.name,
            name_origin: resolved.origin,
            payload_version: resolved.version,
            batch,
            test: events.iter().any(|event| event.test),
            idempotency_key: idempotency_key(headers),
            contradictions: resolved.contradictions,
            events,
            layout,
        })
    }
}

impl<'a> Data<'a> {
    fn read(reader: &mut Reader<'a>, body: &'a [u8], limit: usize) -> json::Result<Self> {
        if reader.at_object() {
            return record::read(reader).map(|item| Self::Object(Box::new(item)));
        }
        let (mut item, mut first, mut events, mut count) = (Item::default(), None, Vec::new(), 0_usize);
        let is_array = reader.array(|reader| {
            count = count.saturating_add(1);
            if count > limit {
                return reader.pass();
            }
            let ((), span) = reader.spanned(|reader| item.read(reader))?;
            events.push(item.event(span, body));
            first.get_or_insert_with(|| Box::new(item));
            Ok(())
        })?;
        Ok(if is_array { Self::Array { first, events, count } } else { Self::Other })
    }
}

fn batch_info<'a>(reader: &mut Reader<'a>) -> json::Result<(Batch<'a>, Option<Span>)> {
    let mut batch = Batch::default();
    let (mut size_span, mut conversation_id) = (None, None);
    reader.object(&mut |reader, key| {
        match key {
            b"size" => {
                let ((), span) = reader.spanned(|reader| reader.number(&mut batch.size))?;
                size_span = Some(span);
            }
            b"window_ms" => reader.number(&mut batch.window_ms)?,
            b"first_sequence" => reader.number(&mut batch.first_sequence)?,
            b"last_sequence" => reader.number(&mut batch.last_sequence)?,
            b"conversation_id" => reader.scalar(&mut conversation_id)?,
            _ => reader.pass()?,
        }
        Ok(())
    })?;
    batch.conversation_id = conversation_id.map(JsonStr::text);
    Ok((batch, size_span))
}
