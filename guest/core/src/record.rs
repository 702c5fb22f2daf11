//! Records that are read member by member from a JSON object: what is missing or of another type than expected is none.
//!
//! There are dozens of them, and guests are to be small: a record only says where the value under a key goes, the rest is the
//! same code for all.

use alloc::vec::Vec;

use crate::event::Span;
use crate::json::{JsonStr, Reader, Result, same};

/// The most elements that are read of a list inside an event.
const MAX_ELEMENTS: usize = 1000;

/// A value that takes what a reader stands at, and forgets what it held before.
pub(crate) trait Read<'a> {
    fn read(&mut self, reader: &mut Reader<'a>) -> Result<()>;
}

/// Where the value under a key goes.
pub(crate) enum Slot<'s, 'a> {
    /// All of it.
    Value(&'s mut dyn Read<'a>),
    /// One member of the object that it is.
    Member(&'static str, &'s mut Option<JsonStr<'a>>),
    /// All of it, or one member of the object that it is.
    ValueOrMember(&'static str, &'s mut Option<JsonStr<'a>>),
}

/// A struct whose fields are members of an object.
pub(crate) trait Record<'a> {
    /// Where the value under `key` goes.
    fn slot(&mut self, key: &str) -> Option<Slot<'_, 'a>>;
}

/// Takes the member that a reader stands at.
pub(crate) fn member<'a>(record: &mut dyn Record<'a>, reader: &mut Reader<'a>, key: &str) -> Result<()> {
    match record.slot(key) {
        Some(Slot::Value(value)) => value.read(reader),
        Some(Slot::ValueOrMember(_, value)) if reader.at_string() => reader.string(value),
        Some(Slot::Member(name, value) | Slot::ValueOrMember(name, value)) => reader.member(name, value),
        None => reader.pass(),
    }
}

/// Takes every member of the object that a reader stands at. Anything else than an object is skipped, and false returned.
pub(crate) fn members<'a>(record: &mut dyn Record<'a>, reader: &mut Reader<'a>) -> Result<bool> {
    reader.object(|reader, key| member(record, reader, key))
}

/// A key that a record knows.
pub(crate) struct Key {
    name: &'static str,
    print: u32,
}

impl Key {
    pub(crate) const fn new(name: &'static str) -> Self {
        Self { name, print: print(name) }
    }
}

/// A number that few keys share: the length, and the letters at the ends and in the middle.
const fn print(key: &str) -> u32 {
    match key.as_bytes() {
        [] => 0,
        [first, ..] => {
            let bytes = key.as_bytes();
            let (_, behind) = bytes.split_at(bytes.len() / 2);
            let (middle, last) = match behind {
                [middle, .., last] => (*middle, *last),
                [only] => (*only, *only),
                [] => (0, 0),
            };
            u32::from_le_bytes([*first, middle, last, bytes.len() as u8])
        }
    }
}

/// Where `key` stands among the keys of a record.
#[inline(never)]
pub(crate) fn place(keys: &[Key], key: &str) -> Option<usize> {
    let print = print(key);
    keys.iter().position(|known| known.print == print && same(known.name, key))
}

/// The value at which a reader stands.
pub(crate) fn read<'a, T: Read<'a> + Default>(reader: &mut Reader<'a>) -> Result<T> {
    let mut value = T::default();
    value.read(reader)?;
    Ok(value)
}

impl<'a> Read<'a> for Option<JsonStr<'a>> {
    fn read(&mut self, reader: &mut Reader<'a>) -> Result<()> {
        reader.scalar(self)
    }
}

impl<'a> Read<'a> for Option<bool> {
    fn read(&mut self, reader: &mut Reader<'a>) -> Result<()> {
        reader.boolean(self)
    }
}

impl<'a> Read<'a> for Option<Span> {
    fn read(&mut self, reader: &mut Reader<'a>) -> Result<()> {
        *self = Some(reader.skip()?);
        Ok(())
    }
}

impl<'a, T: Read<'a> + Default> Read<'a> for Vec<T> {
    fn read(&mut self, reader: &mut Reader<'a>) -> Result<()> {
        self.clear();
        reader.array(|reader| {
            if self.len() >= MAX_ELEMENTS {
                return reader.pass();
            }
            self.push(read(reader)?);
            Ok(())
        })?;
        Ok(())
    }
}

macro_rules! numbers {
    ($($number:ty),*) => {$(
        impl<'a> Read<'a> for Option<$number> {
            fn read(&mut self, reader: &mut Reader<'a>) -> Result<()> {
                reader.number(self)
            }
        }
    )*};
}

numbers!(u64, i64);

/// Declares a struct whose fields are read from the keys named behind them: from the value there, or with `.` from a member of
/// it, or with `or` from either. A field without a key is filled in elsewhere.
macro_rules! record {
    (@field $field:ident $key:literal) => { Field::$field };
    (@slot $field:expr, $key:literal) => { $crate::record::Slot::Value(&mut $field) };
    (@slot $field:expr, $key:literal, . $member:literal) => { $crate::record::Slot::Member($member, &mut $field) };
    (@slot $field:expr, $key:literal, or $member:literal) => {
        $crate::record::Slot::ValueOrMember($member, &mut $field)
    };
    (
        $(#[$attribute:meta])*
        $visibility:vis struct $name:ident<'a> {
            $(
                $(#[$field_attribute:meta])*
                $field_visibility:vis $field:ident: $type:ty
                $(= $key:literal $(| $other_key:literal)* $(. $member:literal)? $(or $either:literal)?)?,
            )*
        }
    ) => {
        $crate::write::written! {
            $(#[$attribute])*
            $visibility struct $name<'a> {
                $($(#[$field_attribute])* $field_visibility $field: $type,)*
            }
        }

        impl<'a> $crate::record::Record<'a> for $name<'a> {
            fn slot(&mut self, key: &str) -> Option<$crate::record::Slot<'_, 'a>> {
                #[allow(non_camel_case_types, reason = "variants are the names of fields")]
                enum Field { $($(#[doc = $key] $field,)?)* }
                const KEYS: &[$crate::record::Key] =
                    &[$($($crate::record::Key::new($key), $($crate::record::Key::new($other_key),)*)?)*];
                const FIELDS: &[Field] = &[$($(
                    $crate::record::record!(@field $field $key),
                    $($crate::record::record!(@field $field $other_key),)*
                )?)*];
                Some(match FIELDS.get($crate::record::place(KEYS, key)?)? {
                    $($(Field::$field => $crate::record::record!(
                        @slot self.$field, $key $(, . $member)? $(, or $either)?
                    ),)?)*
                })
            }
        }

        impl<'a> $crate::record::Read<'a> for $name<'a> {
            fn read(&mut self, reader: &mut $crate::json::Reader<'a>) -> $crate::json::Result<()> {
                *self = Self::default();
                $crate::record::members(self, reader).map(drop)
            }
        }

        impl<'a> $crate::record::Read<'a> for Option<$name<'a>> {
            fn read(&mut self, reader: &mut $crate::json::Reader<'a>) -> $crate::json::Result<()> {
                if !$crate::record::members(self.insert(Default::default()), reader)? {
                    *self = None;
                }
                Ok(())
            }
        }
    };
}

pub(crate) use record;
