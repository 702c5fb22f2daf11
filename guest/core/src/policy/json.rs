//! JSON as it stands in a policy document: members in their order, repeated names and all.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::json::{Reader, Result};
use crate::write::Quoted;

pub(super) enum Json {
    Null,
    Bool(bool),
    /// As it is written.
    Number(String),
    String(String),
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl Json {
    /// The value that stands at a reader.
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self> {
        match reader.peek() {
            b'{' => {
                let mut members = Vec::new();
                reader.object(&mut |reader, name| {
                    members.push((String::from_utf8_lossy(name).into_owned(), Self::read(reader)?));
                    Ok(())
                })?;
                Ok(Self::Object(members))
            }
            b'[' => {
                let mut values = Vec::new();
                reader.array(|reader| {
                    values.push(Self::read(reader)?);
                    Ok(())
                })?;
                Ok(Self::List(values))
            }
            b'"' => reader.quoted().map(|string| Self::String(string.text().into_owned())),
            _ => Ok(match reader.raw()? {
                "null" => Self::Null,
                "true" => Self::Bool(true),
                "false" => Self::Bool(false),
                number => Self::Number(number.to_owned()),
            }),
        }
    }

    /// The number, if it is a whole one, however it is written: the `google.protobuf.Struct` of a proxy makes `8000.0` of
    /// `8000`.
    pub(super) fn whole(&self) -> Option<u32> {
        let Self::Number(text) = self else { return None };
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = [whole, fraction].concat();
        let significant = digits.trim_end_matches('0');
        if significant.is_empty() {
            return Some(0);
        }
        // How many zeros stand between the significant digits and the point.
        let zeros = digits.len().checked_sub(significant.len())?.checked_signed_diff(fraction.len())?;
        let zeros = zeros.checked_add(exponent.parse().ok()?)?.try_into().ok()?;
        significant.parse::<u32>().ok()?.checked_mul(10_u32.checked_pow(zeros)?)
    }

    /// The value of an object's member; none when this is no object or has no such member.
    pub(super) fn member(&self, name: &str) -> Option<&Self> {
        self.members().iter().find(|(found, _)| found == name).map(|(_, value)| value)
    }

    /// The values of a list; empty when this is no list.
    pub(super) fn items(&self) -> &[Self] {
        match self {
            Self::List(values) => values,
            _ => &[],
        }
    }

    /// The members of an object; empty when this is no object.
    pub(super) fn members(&self) -> &[(String, Self)] {
        match self {
            Self::Object(members) => members,
            _ => &[],
        }
    }

    pub(super) fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }
}

/// The value as a message may quote it.
impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const QUOTED: usize = 48;
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(value) => value.fmt(f),
            Self::Number(value) => f.write_str(value),
            Self::String(text) if text.is_empty() => f.write_str("an empty string"),
            // Not quoted: it may be a URL with a password.
            Self::String(text) if text.contains('@') && text.contains(':') => f.write_str("a string with `@` in it"),
            Self::String(text) if text.chars().count() > QUOTED => {
                write!(f, "{}…", Quoted(&text.chars().take(QUOTED).collect::<String>()))
            }
            Self::String(text) => Quoted(text).fmt(f),
            Self::List(values) if values.is_empty() => f.write_str("an empty list"),
            Self::List(_) => f.write_str("a list"),
            Self::Object(members) if members.is_empty() => f.write_str("an empty object"),
            Self::Object(_) => f.write_str("an object"),
        }
    }
}
