//! JSON as Kapso writes it: members in their order, and characters escaped as Rails, or somebody else, escapes them.

use std::borrow::Cow;
use std::io::{self, Write};

use serde::{Serialize, Serializer};
use serde_json::ser::{Formatter, PrettyFormatter};

/// A value whose members keep their order.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Json {
    Null,
    Bool(bool),
    Whole(u64),
    Number(f64),
    Text(Cow<'static, str>),
    List(Vec<Json>),
    Object(Members),
}

/// The members of an object.
pub(crate) type Members = Vec<(&'static str, Json)>;

/// An object with these members.
macro_rules! object {
    ($($name:literal: $value:expr),* $(,)?) => {
        $crate::send::json::Json::Object(vec![$(($name, $crate::send::json::Json::from($value))),*])
    };
}

pub(crate) use object;

impl Json {
    /// With one more member, if this is an object.
    #[must_use]
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<Json>) -> Self {
        if let Self::Object(members) = &mut self {
            members.push((name, value.into()));
        }
        self
    }

    /// With one more member, if there is a value for it.
    #[must_use]
    pub(crate) fn with_some(self, name: &'static str, value: Option<impl Into<Json>>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// With these members after its own.
    #[must_use]
    pub(crate) fn and(mut self, more: Members) -> Self {
        if let Self::Object(members) = &mut self {
            members.extend(more);
        }
        self
    }
}

impl From<bool> for Json {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<u64> for Json {
    fn from(value: u64) -> Self {
        Self::Whole(value)
    }
}

impl From<f64> for Json {
    fn from(value: f64) -> Self {
        Self::Number(value)
    }
}

impl From<&'static str> for Json {
    fn from(value: &'static str) -> Self {
        Self::Text(value.into())
    }
}

impl From<String> for Json {
    fn from(value: String) -> Self {
        Self::Text(value.into())
    }
}

impl<T: Into<Json>> From<Vec<T>> for Json {
    fn from(values: Vec<T>) -> Self {
        Self::List(values.into_iter().map(Into::into).collect())
    }
}

impl<T: Into<Json>> From<Option<T>> for Json {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Whole(value) => serializer.serialize_u64(*value),
            Self::Number(value) => serializer.serialize_f64(*value),
            Self::Text(text) => serializer.serialize_str(text),
            Self::List(values) => serializer.collect_seq(values),
            Self::Object(members) => serializer.collect_map(members.iter().map(|(name, value)| (name, value))),
        }
    }
}

/// How a body is spelt. All of them say the same to whoever reads JSON, and none has the same signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// As Rails writes it: `&`, `<`, `>` and the line separators of JavaScript as `\uXXXX`.
    Rails,
    /// No more escaped than JSON demands.
    Plain,
    /// As Python's `json.dumps` writes it: blanks after commas and colons, nothing but ASCII.
    Python,
    /// Indented, with a line end behind it.
    Pretty,
    /// As Meta writes it: escaped slashes, nothing but ASCII.
    Meta,
}

impl Style {
    /// Writes a body.
    pub(crate) fn write(self, json: &Json) -> Vec<u8> {
        let mut body = Vec::with_capacity(1536);
        // Memory takes whatever is written to it.
        let _ = match self {
            Self::Pretty => {
                let formatter = PrettyFormatter::new();
                let _ = json.serialize(&mut serde_json::Serializer::with_formatter(&mut body, formatter));
                writeln!(body)
            }
            _ => {
                let spelling = Spelling {
                    spaced: self == Self::Python,
                    html: self == Self::Rails,
                    ascii: matches!(self, Self::Python | Self::Meta),
                    slashes: self == Self::Meta,
                };
                json.serialize(&mut serde_json::Serializer::with_formatter(&mut body, spelling)).map_err(Into::into)
            }
        };
        body
    }
}

/// What is done beyond what JSON demands.
struct Spelling {
    spaced: bool,
    html: bool,
    ascii: bool,
    slashes: bool,
}

impl Spelling {
    fn escapes(&self, c: char) -> bool {
        (self.html && matches!(c, '&' | '<' | '>' | '\u{2028}' | '\u{2029}'))
            || (self.ascii && !c.is_ascii())
            || (self.slashes && c == '/')
    }

    fn comma(&self, writer: &mut (impl Write + ?Sized), first: bool) -> io::Result<()> {
        writer.write_all(match (first, self.spaced) {
            (true, _) => b"",
            (false, true) => b", ",
            (false, false) => b",",
        })
    }
}

impl Formatter for Spelling {
    fn begin_array_value<W: Write + ?Sized>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.comma(writer, first)
    }

    fn begin_object_key<W: Write + ?Sized>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.comma(writer, first)
    }

    fn begin_object_value<W: Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(if self.spaced { b": " } else { b":" })
    }

    fn write_string_fragment<W: Write + ?Sized>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let mut rest = fragment;
        while let Some(at) = rest.find(|c| self.escapes(c)) {
            let (before, after) = rest.split_at(at);
            writer.write_all(before.as_bytes())?;
            let mut after = after.chars();
            match after.next() {
                Some('/') => writer.write_all(b"\\/")?,
                Some(c) => {
                    for unit in c.encode_utf16(&mut [0; 2]) {
                        write!(writer, "\\u{unit:04x}")?;
                    }
                }
                None => {}
            }
            rest = after.as_str();
        }
        writer.write_all(rest.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Json {
        object! {"z": "a & b/<c>\u{2028}é🧾\"\n", "a": vec![1_u64, 2], "n": Json::Null, "f": 1.5, "b": true}
    }

    fn written(style: Style) -> String {
        String::from_utf8(style.write(&sample())).unwrap()
    }

    #[test]
    fn each_style_is_spelt_as_its_writer_spells() {
        assert_eq!(
            written(Style::Rails),
            r#"{"z":"a \u0026 b/\u003cc\u003e\u2028é🧾\"\n","a":[1,2],"n":null,"f":1.5,"b":true}"#
        );
        assert_eq!(
            written(Style::Plain),
            "{\"z\":\"a & b/<c>\u{2028}é🧾\\\"\\n\",\"a\":[1,2],\"n\":null,\"f\":1.5,\"b\":true}"
        );
        assert_eq!(
            written(Style::Python),
            r#"{"z": "a & b/<c>\u2028\u00e9\ud83e\uddfe\"\n", "a": [1, 2], "n": null, "f": 1.5, "b": true}"#
        );
        assert_eq!(
            written(Style::Meta),
            r#"{"z":"a & b\/<c>\u2028\u00e9\ud83e\uddfe\"\n","a":[1,2],"n":null,"f":1.5,"b":true}"#
        );
        assert!(written(Style::Pretty).starts_with("{\n  \"z\": \"a & b"));
        assert!(written(Style::Pretty).ends_with("}\n"));
    }

    #[test]
    fn all_styles_say_the_same() {
        let read = |style| serde_json::from_str::<serde_json::Value>(&written(style)).unwrap();
        for style in [Style::Plain, Style::Python, Style::Pretty, Style::Meta] {
            assert_eq!(read(style), read(Style::Rails), "{style:?}");
        }
    }
}
