//! A writer of JSON, for the bodies that Hookgate composes.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::{self, Display, Formatter};

use crate::event::{Span, Text};
use crate::json::{JsonStr, plain_run};

/// Text in quotes, as JSON has it: shown so, nothing in it can be taken for something around it.
pub struct Quoted<'a>(pub &'a str);

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut writer = Writer::default();
        writer.string(self.0);
        f.write_str(&String::from_utf8(writer.finish()).unwrap_or_default())
    }
}

/// A value that can be written as JSON. What writes nothing is no member of its object.
pub(crate) trait Write {
    fn write(&self, writer: &mut Writer);

    /// Writes that there is none.
    fn write_none(writer: &mut Writer)
    where
        Self: Sized,
    {
        writer.raw(b"null");
    }
}

/// Writes a JSON text.
#[derive(Default)]
pub(crate) struct Writer(Vec<u8>);

impl Writer {
    /// With room for so many bytes.
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        Self(Vec::with_capacity(bytes))
    }

    /// What was written.
    pub(crate) fn finish(self) -> Vec<u8> {
        self.0
    }

    /// An object; `members` writes what is in it.
    pub(crate) fn object(&mut self, members: impl FnOnce(&mut Self)) {
        self.0.push(b'{');
        members(self);
        self.0.push(b'}');
    }

    /// An array; `elements` writes what is in it.
    pub(crate) fn array(&mut self, elements: impl FnOnce(&mut Self)) {
        self.0.push(b'[');
        elements(self);
        self.0.push(b']');
    }

    /// A member of an object; none if the value writes nothing.
    #[inline(never)]
    pub(crate) fn member(&mut self, name: &str, value: &dyn Write) {
        let before = self.0.len();
        self.comma();
        self.string(name.strip_prefix("r#").unwrap_or(name));
        self.0.push(b':');
        let empty = self.0.len();
        value.write(self);
        if self.0.len() == empty {
            self.0.truncate(before);
        }
    }

    /// An element of an array.
    pub(crate) fn element(&mut self, value: &dyn Write) {
        self.comma();
        value.write(self);
    }

    /// `true`, `false`, `null`, or a whole value that is JSON already.
    pub(crate) fn raw(&mut self, json: &[u8]) {
        self.0.extend_from_slice(json);
    }

    fn comma(&mut self) {
        if !matches!(self.0.last(), Some(b'{' | b'[')) {
            self.0.push(b',');
        }
    }

    fn number(&mut self, number: &dyn Display) {
        self.raw(number.to_string().as_bytes());
    }

    #[inline(never)]
    fn string(&mut self, text: &str) {
        self.0.push(b'"');
        let mut rest = text.as_bytes();
        while let Some((plain, [special, behind @ ..])) = rest.split_at_checked(plain_run(rest)) {
            self.raw(plain);
            match special {
                b'"' | b'\\' => self.raw(&[b'\\', *special]),
                b'\n' => self.raw(b"\\n"),
                control => self.raw(format!("\\u{control:04x}").as_bytes()),
            }
            rest = behind;
        }
        self.raw(rest);
        self.0.push(b'"');
    }
}

impl<T: Write> Write for Vec<T> {
    fn write(&self, writer: &mut Writer) {
        writer.array(|writer| self.iter().for_each(|element| writer.element(element)));
    }
}

impl<T: Write> Write for Box<T> {
    fn write(&self, writer: &mut Writer) {
        T::write(self, writer);
    }
}

macro_rules! numbers {
    ($($number:ty),*) => {$(
        impl Write for $number {
            fn write(&self, writer: &mut Writer) {
                writer.number(self);
            }
        }
    )*};
}

numbers!(u32, u64, i64);

impl Write for JsonStr<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.string(&self.text());
    }
}

impl Write for &str {
    fn write(&self, writer: &mut Writer) {
        writer.string(self);
    }
}

impl Write for Text<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.string(self);
    }
}

impl Write for bool {
    fn write(&self, writer: &mut Writer) {
        writer.raw(if *self { b"true" } else { b"false" });
    }
}

/// Nothing: a message that is rewritten has no place for where something stood in the received one.
impl Write for Span {
    fn write(&self, _writer: &mut Writer) {}

    fn write_none(_writer: &mut Writer) {}
}

impl<T: Write> Write for Option<T> {
    fn write(&self, writer: &mut Writer) {
        match self {
            Some(value) => value.write(writer),
            None => T::write_none(writer),
        }
    }
}

/// Declares a struct that is written as an object, each field under its own name.
macro_rules! written {
    (
        $(#[$attribute:meta])*
        $visibility:vis struct $name:ident<'a> {
            $($(#[$field_attribute:meta])* $field_visibility:vis $field:ident: $type:ty,)*
        }
    ) => {
        $(#[$attribute])*
        #[derive(Clone, Debug, Default, PartialEq)]
        $visibility struct $name<'a> {
            $($(#[$field_attribute])* $field_visibility $field: $type,)*
        }

        impl $crate::write::Write for $name<'_> {
            fn write(&self, writer: &mut $crate::write::Writer) {
                writer.object(|writer| {
                    $(writer.member(stringify!($field), &self.$field);)*
                });
            }
        }
    };
}

pub(crate) use written;
