//! A JSON reader made for one pass over a body that is somebody else's.
//!
//! It checks the whole grammar (RFC 8259), borrows what it can, knows where every value stands, and never fails over a value
//! of an unexpected type: asking for a string where there is a number skips the number. Of duplicate keys the last one wins, as
//! in JavaScript, Python, Ruby, Go and `serde_json`, because every reader here is asked again and replaces what it said before.

use alloc::borrow::Cow;
use alloc::string::String;

use crate::event::{Span, Text};

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

pub(crate) type Result<T> = core::result::Result<T, ParseError>;

/// A string of the body as it is written there, or a number where a string was expected: nothing is copied before somebody
/// asks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JsonStr<'a> {
    raw: &'a str,
    escaped: bool,
}

impl<'a> JsonStr<'a> {
    /// The text, its escapes resolved.
    #[inline(never)]
    pub fn text(self) -> Text<'a> {
        if self.escaped { Cow::Owned(unescape(self.raw)) } else { Cow::Borrowed(self.raw) }
    }
}

impl<'a> From<&'a str> for JsonStr<'a> {
    fn from(raw: &'a str) -> Self {
        Self { raw, escaped: false }
    }
}

/// What comes next inside an object or array.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    /// There is no such thing here.
    NotThere,
    Element,
    End,
}

/// A cursor over a JSON text.
pub(crate) struct Reader<'a> {
    text: &'a str,
    at: usize,
    /// Where in the body the text begins.
    base: usize,
    depth: u32,
}

impl<'a> Reader<'a> {
    /// A reader at the start of a body.
    pub(crate) fn new(body: &'a [u8]) -> Result<Self> {
        let text = core::str::from_utf8(body).map_err(|error| ParseError::NotJson(error.valid_up_to()))?;
        Ok(Self::of(text))
    }

    /// A reader at the start of a text.
    pub(crate) fn of(text: &'a str) -> Self {
        Self { text, at: 0, base: 0, depth: 0 }
    }

    /// A reader at a value that was found before.
    pub(crate) fn at(body: &'a [u8], span: Span) -> Result<Self> {
        let reader = Self::new(span.of(body))?;
        Ok(Self { base: span.start, ..reader })
    }

    /// Fails unless only blanks are left.
    pub(crate) fn finish(mut self) -> Result<()> {
        match self.peek() {
            None => Ok(()),
            Some(_) => self.fault(),
        }
    }

    /// Calls `member` with each key of the object that stands here, the reader at the key's value, which `member` must
    /// consume. Anything else than an object is skipped, and false returned.
    pub(crate) fn object(&mut self, mut member: impl FnMut(&mut Self, &str) -> Result<()>) -> Result<bool> {
        let mut more = self.enter(b'{', b'}')?;
        let found = more != Next::NotThere;
        while more == Next::Element {
            let key = self.key()?;
            member(self, &key)?;
            more = self.behind_element(b'}')?;
        }
        Ok(found)
    }

    /// Calls `element` at each element of the array that stands here, which `element` must consume. Anything else than an
    /// array is skipped, and false returned.
    pub(crate) fn array(&mut self, mut element: impl FnMut(&mut Self) -> Result<()>) -> Result<bool> {
        let mut more = self.enter(b'[', b']')?;
        let found = more != Next::NotThere;
        while more == Next::Element {
            element(self)?;
            more = self.behind_element(b']')?;
        }
        Ok(found)
    }

    /// Whether a string stands here.
    pub(crate) fn at_string(&mut self) -> bool {
        self.peek() == Some(b'"')
    }

    /// Whether an object stands here.
    pub(crate) fn at_object(&mut self) -> bool {
        self.peek() == Some(b'{')
    }

    // What reads into a slot stays out of line: it is called for every field of every record, and the old value must go.

    /// Puts the string that stands here into `slot`.
    #[inline(never)]
    pub(crate) fn string(&mut self, slot: &mut Option<JsonStr<'a>>) -> Result<()> {
        *slot = match self.peek() {
            Some(b'"') => {
                let (raw, escaped) = self.quoted_raw()?;
                Some(JsonStr { raw, escaped })
            }
            _ => {
                self.pass()?;
                None
            }
        };
        Ok(())
    }

    /// Puts the string that stands here into `slot`, or the number as it is written.
    #[inline(never)]
    pub(crate) fn scalar(&mut self, slot: &mut Option<JsonStr<'a>>) -> Result<()> {
        match self.peek() {
            Some(b'-' | b'0'..=b'9') => *slot = Some(JsonStr { raw: self.raw()?, escaped: false }),
            _ => self.string(slot)?,
        }
        Ok(())
    }

    /// Puts one scalar member of the object that stands here into `slot`.
    #[inline(never)]
    pub(crate) fn member(&mut self, name: &str, slot: &mut Option<JsonStr<'a>>) -> Result<()> {
        *slot = None;
        self.object(|reader, key| if key == name { reader.scalar(slot) } else { reader.pass() })?;
        Ok(())
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
        *slot = text.and_then(|text| text.raw.parse().ok());
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
            Some(b'"') => self.quoted_raw().map(drop),
            Some(b'{') => self.object(|reader, _| reader.pass()).map(drop),
            Some(b'[') => self.array(Self::pass).map(drop),
            Some(b't') => self.literal("true"),
            Some(b'f') => self.literal("false"),
            Some(b'n') => self.literal("null"),
            Some(b'-' | b'0'..=b'9') => self.digits(),
            _ => self.fault(),
        }
    }

    fn position(&self) -> usize {
        self.base.saturating_add(self.at)
    }

    fn fault<T>(&self) -> Result<T> {
        Err(ParseError::NotJson(self.position()))
    }

    fn rest(&self) -> &'a [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }

    fn advance(&mut self, by: usize) {
        self.at = self.at.saturating_add(by);
    }

    /// The next byte that is not a blank.
    pub(crate) fn peek(&mut self) -> Option<u8> {
        loop {
            match self.text.as_bytes().get(self.at) {
                Some(b' ' | b'\n' | b'\r' | b'\t') => self.advance(1),
                byte => return byte.copied(),
            }
        }
    }

    // What follows up to `pass` is called from every reader of every record: kept out of line, or the guests double in size.

    /// Goes inside the object or array that stands here, or past anything else.
    #[inline(never)]
    fn enter(&mut self, open: u8, close: u8) -> Result<Next> {
        if self.peek() != Some(open) {
            self.pass()?;
            return Ok(Next::NotThere);
        }
        self.descend()?;
        if self.peek() == Some(close) {
            self.ascend();
            return Ok(Next::End);
        }
        Ok(Next::Element)
    }

    /// The key that stands here, and past its colon.
    #[inline(never)]
    fn key(&mut self) -> Result<Text<'a>> {
        if self.peek() != Some(b'"') {
            return self.fault();
        }
        let key = self.quoted()?;
        if self.peek() != Some(b':') {
            return self.fault();
        }
        self.advance(1);
        Ok(key)
    }

    /// Past the comma behind an element, or out of the object or array.
    #[inline(never)]
    fn behind_element(&mut self, close: u8) -> Result<Next> {
        match self.peek() {
            Some(b',') => {
                self.advance(1);
                Ok(Next::Element)
            }
            Some(byte) if byte == close => {
                self.ascend();
                Ok(Next::End)
            }
            _ => self.fault(),
        }
    }

    fn descend(&mut self) -> Result<()> {
        if self.depth >= MAX_DEPTH {
            return Err(ParseError::TooDeep(self.position()));
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
        if !self.rest().starts_with(word.as_bytes()) {
            return self.fault();
        }
        self.advance(word.len());
        Ok(())
    }

    fn digits(&mut self) -> Result<()> {
        if self.rest().first() == Some(&b'-') {
            self.advance(1);
        }
        match self.rest().first() {
            Some(b'0') => self.advance(1),
            _ => self.digit_run()?,
        }
        if self.rest().first() == Some(&b'.') {
            self.advance(1);
            self.digit_run()?;
        }
        if let Some(b'e' | b'E') = self.rest().first() {
            self.advance(1);
            if let Some(b'+' | b'-') = self.rest().first() {
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

    /// The string that stands here, its escapes resolved.
    #[inline(never)]
    pub(crate) fn quoted(&mut self) -> Result<Text<'a>> {
        let (raw, escaped) = self.quoted_raw()?;
        Ok(JsonStr { raw, escaped }.text())
    }

    /// What stands between the quotes, and whether there is an escape in it.
    #[inline(never)]
    fn quoted_raw(&mut self) -> Result<(&'a str, bool)> {
        self.advance(1);
        let start = self.at;
        let mut escaped = false;
        loop {
            self.advance(plain_run(self.rest()));
            match self.rest() {
                [b'"', ..] => {
                    let raw = self.text.get(start..self.at).unwrap_or_default();
                    self.advance(1);
                    return Ok((raw, escaped));
                }
                [b'\\', b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', ..] => self.advance(2),
                [b'\\', b'u', a, b, c, d, ..] if [a, b, c, d].iter().all(|digit| digit.is_ascii_hexdigit()) => {
                    self.advance(6)
                }
                _ => return self.fault(),
            }
            escaped = true;
        }
    }
}

/// How many bytes from the start on need no second look inside a string. A block at a time, since most of a body is strings.
#[inline]
pub(crate) fn plain_run(bytes: &[u8]) -> usize {
    let (blocks, rest) = bytes.as_chunks();
    let mut run = 0_usize;
    for block in blocks {
        let plain = block::plain(block);
        run = run.saturating_add(plain);
        if plain < block.len() {
            return run;
        }
    }
    let is_special = |byte: &u8| matches!(byte, 0..0x20 | b'"' | b'\\');
    run.saturating_add(rest.iter().position(is_special).unwrap_or(rest.len()))
}

/// Blocks of bytes, for which instructions of WebAssembly's look at sixteen together.
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
mod block {
    use core::arch::wasm32::{u8x16_bitmask, u8x16_eq, u8x16_lt, u8x16_splat, u64x2, v128_or};

    /// How many bytes stand before the first that is a quote, a backslash or a control character.
    #[inline]
    pub(super) fn plain(block: &[u8; 16]) -> usize {
        let &[a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = block;
        let bytes = u64x2(u64::from_le_bytes([a, b, c, d, e, f, g, h]), u64::from_le_bytes([i, j, k, l, m, n, o, p]));
        let is = |byte| u8x16_eq(bytes, u8x16_splat(byte));
        let special = v128_or(v128_or(is(b'"'), is(b'\\')), u8x16_lt(bytes, u8x16_splat(0x20)));
        usize::try_from(u32::from(u8x16_bitmask(special)).trailing_zeros()).unwrap_or_default().min(block.len())
    }
}

/// Blocks of bytes, of which a word holds eight.
#[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
mod block {
    /// How many bytes stand before the first that is a quote, a backslash or a control character.
    #[inline]
    pub(super) fn plain(block: &[u8; 8]) -> usize {
        usize::try_from(special(u64::from_le_bytes(*block)).trailing_zeros() >> 3).unwrap_or_default()
    }

    /// The high bits of bytes that are special. Only of the lowest of them is it certain.
    #[inline]
    fn special(bytes: u64) -> u64 {
        const EACH: u64 = u64::from_le_bytes([1; 8]);
        const HIGH: u64 = u64::from_le_bytes([0x80; 8]);
        let below = |bytes: u64, least: u64| bytes.wrapping_sub(least) & !bytes;
        let is = |byte: u8| below(bytes ^ u64::from_le_bytes([byte; 8]), EACH);
        (is(b'"') | is(b'\\') | below(bytes, u64::from_le_bytes([0x20; 8]))) & HIGH
    }
}

/// Resolves the escapes of a string that was checked. Half a surrogate pair becomes U+FFFD.
#[cold]
fn unescape(raw: &str) -> String {
    let mut text = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some((plain, escape)) = rest.split_once('\\') {
        text.push_str(plain);
        let mut characters = escape.chars();
        match characters.next() {
            Some('b') => text.push('\u{8}'),
            Some('f') => text.push('\u{c}'),
            Some('n') => text.push('\n'),
            Some('r') => text.push('\r'),
            Some('t') => text.push('\t'),
            Some('u') => {
                let (unit, behind) = code_unit(characters.as_str());
                characters = behind.chars();
                let low = behind.strip_prefix("\\u").map(code_unit);
                match (unit, low) {
                    (0xd800..=0xdbff, Some((low @ 0xdc00..=0xdfff, behind))) => {
                        text.extend(char::decode_utf16([unit, low]).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)));
                        characters = behind.chars();
                    }
                    _ => text.push(char::from_u32(u32::from(unit)).unwrap_or(char::REPLACEMENT_CHARACTER)),
                }
            }
            Some(character) => text.push(character),
            None => {}
        }
        rest = characters.as_str();
    }
    text.push_str(rest);
    text
}

/// The UTF-16 code unit that four hexadecimal digits spell, and what stands behind them.
fn code_unit(digits: &str) -> (u16, &str) {
    let (digits, behind) = digits.split_at_checked(4).unwrap_or((digits, ""));
    (u16::from_str_radix(digits, 16).unwrap_or(0xfffd), behind)
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::string::ToString;
    use alloc::vec::Vec;

    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn check(text: &str) -> Result<()> {
        let mut reader = Reader::new(text.as_bytes())?;
        reader.skip()?;
        reader.finish()
    }

    fn string(text: &str) -> Option<String> {
        let mut slot = None;
        Reader::new(text.as_bytes()).unwrap().string(&mut slot).unwrap();
        slot.map(|found| found.text().into_owned())
    }

    #[test]
    fn the_grammar_is_checked_to_the_letter() {
        for good in
            ["{}", "[]", " [1, -0.5e+10 ,\"\\u00e9\\/\"]\n", "{\"a\":{\"b\":[null,true,false]}}", "0", "\"\\ud800\""]
        {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            "{",
            "{]",
            "[1,]",
            "{\"a\":1,}",
            "{\"a\"}",
            "{a:1}",
            "01",
            "1.",
            ".5",
            "-",
            "1e",
            "+1",
            "tru",
            "nul",
            "\"",
            "\"\\x\"",
            "\"\\u12g4\"",
            "\"\u{1}\"",
            "'a'",
            "[1 2]",
            "{} {}",
            "\u{feff}{}",
            "NaN",
            "{\"a\":1 \"b\":2}",
        ] {
            assert!(matches!(check(bad), Err(ParseError::NotJson(_))), "{bad}");
        }
        assert_eq!(check("[1,x]"), Err(ParseError::NotJson(3)));
        assert_eq!(Reader::new(b"\"\xff\"").err(), Some(ParseError::NotJson(1)));
    }

    #[test]
    fn escapes_are_resolved() {
        assert_eq!(string(r#""a\"\\\/\b\f\n\r\tz""#).as_deref(), Some("a\"\\/\u{8}\u{c}\n\r\tz"));
        assert_eq!(string(r#""\u00e9\ud83d\ude00 \u0026""#).as_deref(), Some("é😀 &"));
        assert_eq!(string(r#""\ud83dx\ude00""#).as_deref(), Some("\u{fffd}x\u{fffd}"));
        assert_eq!(string(r#""\ud83d\u0041""#).as_deref(), Some("\u{fffd}A"));
    }

    #[test]
    fn nesting_is_limited() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert_eq!(check(&nested(64)), Ok(()));
        assert_eq!(check(&nested(65)), Err(ParseError::TooDeep(64)));
        assert_eq!(check(&"[".repeat(1_000_000)), Err(ParseError::TooDeep(64)));
    }

    #[test]
    fn another_type_than_asked_for_is_skipped() {
        let mut reader = Reader::new(br#"{"a":[1,{"b":2}],"c":"d"}"#).unwrap();
        let mut seen = Vec::new();
        let found = reader.object(|reader, key| {
            let mut slot = None;
            reader.string(&mut slot)?;
            seen.push((key.to_string(), slot.map(|found| found.text().into_owned())));
            Ok(())
        });
        assert_eq!(found, Ok(true));
        assert_eq!(seen, [("a".to_string(), None), ("c".to_string(), Some("d".to_string()))]);
    }

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 64, 8, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
                prop::collection::vec((any::<String>(), inner), 0..8).prop_map(|members| members.into_iter().collect()),
            ]
        })
    }

    proptest! {
        #[test]
        fn whatever_serde_json_writes_is_read(value in json(), pretty in any::<bool>()) {
            let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
            prop_assert_eq!(check(&text), Ok(()));
        }

        #[test]
        fn damaged_text_is_judged_as_serde_json_judges_it(value in json(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
            let mut bytes = serde_json::to_vec(&value).unwrap();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            let ours = core::str::from_utf8(&bytes).is_ok_and(|text| check(text).is_ok());
            let theirs = core::str::from_utf8(&bytes).is_ok()
                && serde_json::from_slice::<serde::de::IgnoredAny>(&bytes).is_ok();
            // serde_json lets control characters pass in values that it ignores.
            let controls = bytes.iter().any(|byte| *byte < 0x20);
            prop_assert!(ours == theirs || controls, "{ours} {theirs} {}", String::from_utf8_lossy(&bytes));
        }

        #[test]
        fn a_run_ends_at_the_first_special_byte(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let first = bytes.iter().position(|byte| matches!(byte, 0..0x20 | b'"' | b'\\'));
            prop_assert_eq!(plain_run(&bytes), first.unwrap_or(bytes.len()));
        }

        #[test]
        fn strings_come_back_as_they_were(text in any::<String>()) {
            prop_assert_eq!(string(&serde_json::to_string(&text).unwrap()), Some(text));
        }
    }
}
