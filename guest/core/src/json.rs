//! A JSON reader made for one pass over a body that is somebody else's.
//!
//! It checks the whole grammar (RFC 8259), borrows what it can, knows where every value stands, and never fails over a value
//! of an unexpected type: asking for a string where there is a number skips the number. Of duplicate keys the last one wins, as
//! in JavaScript, Python, Ruby, Go and `serde_json`, because every reader here is asked again and replaces what it said before.

mod scan;
#[cfg(test)]
mod tests;
mod text;

use crate::event::Span;
pub(crate) use scan::{is_visible_without, plain_run, same, same_here};
pub use text::JsonStr;

/// What is read where a text has ended: a byte that stands in no JSON text.
const END: u8 = 0;

/// How deep objects and arrays may be nested.
pub(crate) const MAX_DEPTH: u32 = 64;

/// Why a body cannot be read at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParseError {
    /// Not UTF-8 or not JSON, from this byte on.
    NotJson(usize),
    /// JSON, but not an object.
    NotAnObject,
    /// Nested deeper than 64 levels at this byte.
    TooDeep(usize),
    /// More events than this.
    TooManyEvents(u32),
}

impl core::fmt::Display for ParseError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::NotJson(at) => write!(f, "not JSON at byte {at}"),
            Self::NotAnObject => write!(f, "not a JSON object"),
            Self::TooDeep(at) => write!(f, "nested deeper than {MAX_DEPTH} levels at byte {at}"),
            Self::TooManyEvents(limit) => write!(f, "more than {limit} events"),
        }
    }
}

impl core::error::Error for ParseError {}

/// That a text cannot be read on. Why is known to the reader, so that what every value returns is small.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fault;

pub(crate) type Result<T> = core::result::Result<T, Fault>;

/// What comes next inside an object or array.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    /// There is no such thing here.
    NotThere,
    Element,
    End,
}

/// A body as text.
pub(crate) fn text(body: &[u8]) -> core::result::Result<&str, ParseError> {
    let text = simdutf8::basic::from_utf8(body).or_else(|_| core::str::from_utf8(body));
    text.map_err(|error| ParseError::NotJson(error.valid_up_to()))
}

/// A cursor over a JSON text.
pub(crate) struct Reader<'a> {
    text: &'a str,
    at: usize,
    /// Where in the body the text begins.
    base: usize,
    depth: u32,
    /// Why there was a fault, if there was one.
    reason: ParseError,
}

impl<'a> Reader<'a> {
    /// A reader at the start of a text.
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text, at: 0, base: 0, depth: 0, reason: ParseError::NotJson(0) }
    }

    /// A reader at a value that was found in this text before.
    pub(crate) fn at(text: &'a str, span: Span) -> Self {
        Self { base: span.start, ..Self::new(text.get(span.start..span.end).unwrap_or_default()) }
    }

    /// Reads a whole text with `read`, behind which only blanks may be left.
    pub(crate) fn whole<T>(
        text: &'a str,
        read: impl FnOnce(&mut Self) -> Result<T>,
    ) -> core::result::Result<T, ParseError> {
        let mut reader = Self::new(text);
        let value = read(&mut reader).and_then(|value| match reader.peek() {
            END if reader.rest().is_empty() => Ok(value),
            _ => reader.fault(),
        });
        value.map_err(|Fault| reader.reason)
    }

    /// Calls `member` with each key of the object that stands here, the reader at the key's value, which `member` must
    /// consume. Anything else than an object is skipped, and false returned.
    #[inline(never)]
    pub(crate) fn object(&mut self, member: &mut dyn FnMut(&mut Self, &[u8]) -> Result<()>) -> Result<bool> {
        self.object_here(member)
    }

    /// The same, part of who calls it.
    #[inline(always)]
    pub(crate) fn object_here(&mut self, mut member: impl FnMut(&mut Self, &[u8]) -> Result<()>) -> Result<bool> {
        let next = self.enter(b'{', b'}')?;
        let mut more = next == Next::Element;
        while more {
            let (start, end, escaped) = self.key()?;
            let resolved;
            let key = if escaped {
                resolved = JsonStr::new(self.text.get(start..end).unwrap_or_default(), true).text();
                resolved.as_bytes()
            } else {
                self.text.as_bytes().get(start..end).unwrap_or_default()
            };
            member(self, key)?;
            more = self.behind_member()?;
        }
        Ok(next != Next::NotThere)
    }

    /// Calls `element` at each element of the array that stands here, which `element` must consume. Anything else than an
    /// array is skipped, and false returned.
    pub(crate) fn array(&mut self, mut element: impl FnMut(&mut Self) -> Result<()>) -> Result<bool> {
        let next = self.enter(b'[', b']')?;
        let mut more = next == Next::Element;
        while more {
            element(self)?;
            more = self.behind_element(b']')?;
        }
        Ok(next != Next::NotThere)
    }

    /// Whether a string stands here.
    pub(crate) fn at_string(&mut self) -> bool {
        self.peek() == b'"'
    }

    /// Whether a null stands here.
    pub(crate) fn at_null(&mut self) -> bool {
        self.peek() == b'n'
    }

    /// Whether an object stands here.
    pub(crate) fn at_object(&mut self) -> bool {
        self.peek() == b'{'
    }

    // What reads into a slot stays out of line: it is called for every field of every record.

    /// Puts the string that stands here into `slot`.
    #[inline(never)]
    pub(crate) fn string(&mut self, slot: &mut Option<JsonStr<'a>>) -> Result<()> {
        *slot = self.text_here(false)?;
        Ok(())
    }

    /// Puts the string that stands here into `slot`, or the number as it is written.
    #[inline(never)]
    pub(crate) fn scalar(&mut self, slot: &mut Option<JsonStr<'a>>) -> Result<()> {
        *slot = self.text_here(true)?;
        Ok(())
    }

    /// The string that stands here, or the number if `numbers` are wanted too; past anything else.
    #[inline(always)]
    fn text_here(&mut self, numbers: bool) -> Result<Option<JsonStr<'a>>> {
        match self.peek() {
            b'"' => self.quoted_here().map(Some),
            b'-' | b'0'..=b'9' if numbers => self.raw().map(|number| Some(number.into())),
            _ => self.pass().map(|()| None),
        }
    }

    /// Puts one scalar member of the object that stands here into `slot`.
    #[inline(never)]
    pub(crate) fn member(&mut self, name: &str, slot: &mut Option<JsonStr<'a>>) -> Result<()> {
        *slot = None;
        self.object(&mut |reader, key| if key == name.as_bytes() { reader.scalar(slot) } else { reader.pass() })?;
        Ok(())
    }

    /// Puts the string that stands here into `slot`, or one scalar member of the object that does.
    #[inline(never)]
    pub(crate) fn string_or_member(&mut self, name: &str, slot: &mut Option<JsonStr<'a>>) -> Result<()> {
        if self.at_string() { self.string(slot) } else { self.member(name, slot) }
    }

    /// Puts the boolean that stands here into `slot`.
    #[inline(never)]
    pub(crate) fn boolean(&mut self, slot: &mut Option<bool>) -> Result<()> {
        *slot = match self.raw()? {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        };
        Ok(())
    }

    /// Puts the number that stands here into `slot`, or the one that the string which stands here spells.
    #[inline(never)]
    pub(crate) fn number<T: core::str::FromStr>(&mut self, slot: &mut Option<T>) -> Result<()> {
        let mut text = None;
        self.scalar(&mut text)?;
        *slot = text.and_then(|text| text.raw().parse().ok());
        Ok(())
    }

    /// Passes over the value that stands here and says where in the body it stood.
    #[inline(never)]
    pub(crate) fn skip(&mut self) -> Result<Span> {
        self.spanned(Self::pass).map(|((), span)| span)
    }

    /// Reads the value that stands here with `read` and says where it stood.
    pub(crate) fn spanned<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T>) -> Result<(T, Span)> {
        self.peek();
        let start = self.position();
        let value = read(self)?;
        Ok((value, Span { start, end: self.position() }))
    }

    /// The value that stands here, as it is written.
    pub(crate) fn raw(&mut self) -> Result<&'a str> {
        self.peek();
        let start = self.at;
        self.pass()?;
        Ok(self.text.get(start..self.at).unwrap_or_default())
    }

    /// Passes over the value that stands here.
    #[inline(never)]
    pub(crate) fn pass(&mut self) -> Result<()> {
        match self.peek() {
            b'"' => self.pass_quoted_here().map(drop),
            b'{' => self.pass_object(),
            b'[' => self.array(Self::pass).map(drop),
            b't' => self.literal("true"),
            b'f' => self.literal("false"),
            b'n' => self.literal("null"),
            b'-' | b'0'..=b'9' => self.digits(),
            _ => self.fault(),
        }
    }

    /// Past the object that stands here.
    fn pass_object(&mut self) -> Result<()> {
        let mut more = self.enter(b'{', b'}')? == Next::Element;
        while more {
            self.key()?;
            self.pass()?;
            more = self.behind_member()?;
        }
        Ok(())
    }

    // Positions are within the text, so no sum of them wraps.

    fn position(&self) -> usize {
        self.base.wrapping_add(self.at)
    }

    #[cold]
    fn fault<T>(&mut self) -> Result<T> {
        self.reason = ParseError::NotJson(self.position());
        Err(Fault)
    }

    fn rest(&self) -> &'a [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }

    fn advance(&mut self, by: usize) {
        self.at = self.at.wrapping_add(by);
    }

    /// The next byte that is not a blank, or `END`. Few bodies have blanks.
    #[inline(always)]
    pub(crate) fn peek(&mut self) -> u8 {
        match self.here() {
            ..=b' ' => self.behind_blanks(),
            byte => byte,
        }
    }

    /// The next byte, or `END`.
    fn here(&self) -> u8 {
        self.text.as_bytes().get(self.at).copied().unwrap_or(END)
    }

    #[inline(never)]
    fn behind_blanks(&mut self) -> u8 {
        self.advance(self.rest().iter().take_while(|byte| matches!(byte, b' ' | b'\n' | b'\r' | b'\t')).count());
        self.here()
    }

    /// Goes inside the object or array that stands here, or past anything else.
    #[inline(never)]
    fn enter(&mut self, open: u8, close: u8) -> Result<Next> {
        if self.peek() != open {
            self.pass()?;
            return Ok(Next::NotThere);
        }
        self.descend()?;
        if self.peek() == close {
            self.ascend();
            return Ok(Next::End);
        }
        Ok(Next::Element)
    }

    // A member's key and comma are part of who reads the object, of which there are three: calls would cost as much as they do.

    /// Where the key that stands here begins and ends, and whether there is an escape in it; past its colon.
    #[inline(always)]
    fn key(&mut self) -> Result<(usize, usize, bool)> {
        if self.peek() != b'"' {
            return self.fault();
        }
        let key = self.pass_quoted_here()?;
        if self.peek() != b':' {
            return self.fault();
        }
        self.advance(1);
        Ok(key)
    }

    /// Past the comma behind a member, or out of the object: whether there is one more.
    #[inline(always)]
    fn behind_member(&mut self) -> Result<bool> {
        if self.peek() == b',' {
            self.advance(1);
            return Ok(true);
        }
        self.behind_element(b'}')
    }

    /// Past the comma behind an element, or out of the object or array: whether there is one more.
    #[inline(never)]
    fn behind_element(&mut self, close: u8) -> Result<bool> {
        match self.peek() {
            b',' => {
                self.advance(1);
                Ok(true)
            }
            byte if byte == close => {
                self.ascend();
                Ok(false)
            }
            _ => self.fault(),
        }
    }

    fn descend(&mut self) -> Result<()> {
        if self.depth >= MAX_DEPTH {
            self.reason = ParseError::TooDeep(self.position());
            return Err(Fault);
        }
        self.depth = self.depth.saturating_add(1);
        self.advance(1);
        Ok(())
    }

    fn ascend(&mut self) {
        self.depth = self.depth.saturating_sub(1);
        self.advance(1);
    }

    fn literal(&mut self, word: &str) -> Result<()> {
        if !self.text.get(self.at..self.at.wrapping_add(word.len())).is_some_and(|text| same(text, word)) {
            return self.fault();
        }
        self.advance(word.len());
        Ok(())
    }

    fn digits(&mut self) -> Result<()> {
        if self.here() == b'-' {
            self.advance(1);
        }
        match self.here() {
            b'0' => self.advance(1),
            _ => self.digit_run()?,
        }
        if self.here() == b'.' {
            self.advance(1);
            self.digit_run()?;
        }
        if let b'e' | b'E' = self.here() {
            self.advance(1);
            if let b'+' | b'-' = self.here() {
                self.advance(1);
            }
            self.digit_run()?;
        }
        Ok(())
    }

    fn digit_run(&mut self) -> Result<()> {
        let run = self.rest().iter().take_while(|byte| byte.is_ascii_digit()).count();
        if run == 0 {
            return self.fault();
        }
        self.advance(run);
        Ok(())
    }

    /// The string that stands here, the reader at its first quote.
    #[inline(never)]
    pub(crate) fn quoted(&mut self) -> Result<JsonStr<'a>> {
        self.quoted_here()
    }

    /// The same, part of who calls it: every second string is a key.
    #[inline(always)]
    fn quoted_here(&mut self) -> Result<JsonStr<'a>> {
        let (start, end, escaped) = self.pass_quoted_here()?;
        Ok(JsonStr::new(self.text.get(start..end).unwrap_or_default(), escaped))
    }

    /// Past the string that stands here: where it begins and ends, and whether there is an escape in it.
    #[inline(always)]
    fn pass_quoted_here(&mut self) -> Result<(usize, usize, bool)> {
        self.advance(1);
        let start = self.at;
        self.advance(plain_run(self.rest()));
        let escaped = self.here() != b'"';
        if escaped {
            self.pass_escapes()?;
        }
        let end = self.at;
        self.advance(1);
        Ok((start, end, escaped))
    }

    /// Past the rest of a string that has an escape here, as few have.
    #[cold]
    fn pass_escapes(&mut self) -> Result<()> {
        while self.here() != b'"' {
            self.escape()?;
            self.advance(plain_run(self.rest()));
        }
        Ok(())
    }

    fn escape(&mut self) -> Result<()> {
        match self.rest() {
            [b'\\', b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', ..] => self.advance(2),
            [b'\\', b'u', a, b, c, d, ..] if [a, b, c, d].iter().all(|digit| digit.is_ascii_hexdigit()) => {
                self.advance(6)
            }
            _ => return self.fault(),
        }
        Ok(())
    }
}
