//! A body's strings.

use alloc::borrow::Cow;
use alloc::string::String;

use crate::event::Text;

/// A string of the body as it is written there, or a number where a string was expected: nothing is copied before somebody
/// asks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JsonStr<'a> {
    raw: &'a str,
    escaped: bool,
}

/// The most bytes of a name or an id that all events of a delivery have: with escapes in it, each gets a copy of its own. Real ones
/// have a tenth of that.
const SHORT: usize = 256;

impl<'a> JsonStr<'a> {
    /// What stands between the quotes, and whether there is an escape in it.
    pub(super) fn new(raw: &'a str, escaped: bool) -> Self {
        Self { raw, escaped }
    }

    /// As it is written.
    pub(crate) fn raw(self) -> &'a str {
        self.raw
    }

    /// The text, if it has no escapes.
    pub fn plain(self) -> Option<&'a str> {
        (!self.escaped).then_some(self.raw)
    }

    /// This, if it is short enough for each event to have a copy of its own.
    pub(crate) fn short(self) -> Option<Self> {
        (self.raw.len() <= SHORT).then_some(self)
    }

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
