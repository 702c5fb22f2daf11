//! Structs read member by member from a JSON object. A member that is missing or has an unexpected type becomes `None`.
//!
//! There are dozens of them and guests must be small, so each record only maps keys to fields; all share the code that
//! does the rest.

use alloc::vec::Vec;

use crate::event::Span;
use crate::json::{JsonStr, Reader, Result, same_here};

/// The most elements that are read of a list inside an event.
const MAX_ELEMENTS: usize = 1000;

/// A value that takes what a reader stands at, and forgets what it held before.
pub(crate) trait Read<'a> {
    fn read(&mut self, reader: &mut Reader<'a>) -> Result<()>;
}

/// A struct whose fields are members of an object.
pub(crate) trait Record<'a> {
    /// Takes the value at which a reader stands into the field whose key stands at `place` among them.
    fn take(&mut self, place: usize, reader: &mut Reader<'a>) -> Result<()>;
}

/// Takes the value under `key`, at which a reader stands, or passes over it.
#[inline(always)]
pub(crate) fn member<'a>(record: &mut dyn Record<'a>, keys: &Keys, key: &[u8], reader: &mut Reader<'a>) -> Result<()> {
    match keys.place(key) {
        Some(place) => record.take(place, reader),
        None => reader.pass(),
    }
}

/// Takes every member of the object that a reader stands at. Anything else than an object is skipped, and false returned.
#[inline(never)]
pub(crate) fn members<'a>(record: &mut dyn Record<'a>, keys: &Keys, reader: &mut Reader<'a>) -> Result<bool> {
    reader.object_here(|reader, key| member(record, keys, key, reader))
}

/// The keys that a record knows, and where each stands among them: a hash table that is made when this is compiled.
pub(crate) struct Keys {
    names: &'static [&'static str],
    table: Table,
}

/// Where the name stands whose hash is the place in the table, or one before it.
type Table = [u8; PLACES];

const PLACES: usize = 64;

/// As many names as leave enough places free for a search to be short.
const MOST: usize = 48;

/// No name stands there.
const FREE: u8 = u8::MAX;

impl Keys {
    #[allow(
        clippy::arithmetic_side_effects,
        clippy::as_conversions,
        clippy::indexing_slicing,
        reason = "it runs in the compiler"
    )]
    pub(crate) const fn new(names: &'static [&'static str]) -> Self {
        assert!(names.len() <= MOST);
        let mut table = [FREE; PLACES];
        let mut index = 0;
        while index < names.len() {
            let mut place = home(names[index].as_bytes());
            while table[place] != FREE {
                place = next(place);
            }
            table[place] = index as u8;
            index += 1;
        }
        Self { names, table }
    }

    /// Where `key` stands among them.
    #[inline(always)]
    fn place(&self, key: &[u8]) -> Option<usize> {
        let home = home(key);
        let index = usize::from(*self.table.get(home)?);
        // None stands where it is free.
        if same_here(self.names.get(index)?.as_bytes(), key) { Some(index) } else { self.place_behind(home, key) }
    }

    /// Where it stands if another name has its home.
    #[cold]
    fn place_behind(&self, home: usize, key: &[u8]) -> Option<usize> {
        let mut place = home;
        loop {
            place = next(place);
            let index = usize::from(*self.table.get(place)?);
            if same_here(self.names.get(index)?.as_bytes(), key) {
                return Some(index);
            }
        }
    }
}

/// Where to look for a key first: by its length, and the letters at its ends and in its middle.
#[allow(clippy::as_conversions, reason = "only the lowest bits of a length count")]
#[inline(always)]
const fn home(key: &[u8]) -> usize {
    let (before, behind) = key.split_at(key.len() / 2);
    let first = if let [first, ..] = before { *first } else { 0 };
    let (middle, last) = if let [middle, .., last] = behind { (*middle, *last) } else { (0, 0) };
    let mixed = u32::from_le_bytes([first, middle, last, key.len() as u8]).wrapping_mul(0x9e37_79b1);
    (mixed >> 26) as usize
}

const fn next(place: usize) -> usize {
    match place.wrapping_add(1) {
        PLACES => 0,
        next => next,
    }
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
        let is_null = reader.at_null();
        let span = reader.skip()?;
        *self = (!is_null).then_some(span);
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
    (@take $reader:ident, $field:expr, $key:literal) => { $crate::record::Read::read(&mut $field, $reader) };
    (@take $reader:ident, $field:expr, $key:literal $(| $other_key:literal)+ $(, . $member:literal)? $(, or $either:literal)?) => {
        // What one key said, a null under another does not take back.
        if $reader.at_null() {
            $reader.pass()
        } else {
            $crate::record::record!(@take $reader, $field, $key $(, . $member)? $(, or $either)?)
        }
    };
    (@take $reader:ident, $field:expr, $key:literal, . $member:literal) => { $reader.member($member, &mut $field) };
    (@take $reader:ident, $field:expr, $key:literal, or $member:literal) => {
        $reader.string_or_member($member, &mut $field)
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

        impl $name<'_> {
            /// The keys of its fields.
            pub(crate) const KEYS: &'static $crate::record::Keys =
                &$crate::record::Keys::new(&[$($($key, $($other_key,)*)?)*]);
        }

        impl<'a> $crate::record::Record<'a> for $name<'a> {
            fn take(&mut self, place: usize, reader: &mut $crate::json::Reader<'a>) -> $crate::json::Result<()> {
                #[allow(non_camel_case_types, reason = "variants are the names of fields")]
                enum Field { $($(#[doc = $key] $field,)?)* }
                const FIELDS: &[Field] = &[$($(
                    $crate::record::record!(@field $field $key),
                    $($crate::record::record!(@field $field $other_key),)*
                )?)*];
                match FIELDS.get(place) {
                    $($(Some(Field::$field) => $crate::record::record!(
                        @take reader, self.$field, $key $(| $other_key)* $(, . $member)? $(, or $either)?
                    ),)?)*
                    None => reader.pass(),
                }
            }
        }

        impl<'a> $crate::record::Read<'a> for $name<'a> {
            fn read(&mut self, reader: &mut $crate::json::Reader<'a>) -> $crate::json::Result<()> {
                *self = Self::default();
                $crate::record::members(self, Self::KEYS, reader).map(drop)
            }
        }

        impl<'a> $crate::record::Read<'a> for Option<$name<'a>> {
            fn read(&mut self, reader: &mut $crate::json::Reader<'a>) -> $crate::json::Result<()> {
                if !$crate::record::members(self.insert(Default::default()), $name::KEYS, reader)? {
                    *self = None;
                }
                Ok(())
            }
        }
    };
}

pub(crate) use record;

#[cfg(test)]
mod tests {
    use super::{Keys, home};

    #[test]
    fn every_key_is_found_and_no_other() {
        // The second has the hash of the first.
        const NAMES: &[&str] = &["message_id", "massage_jd", "id", ""];
        assert_eq!(home(NAMES[0].as_bytes()), home(NAMES[1].as_bytes()));
        let keys = Keys::new(NAMES);
        for (place, name) in NAMES.iter().enumerate() {
            assert_eq!(keys.place(name.as_bytes()), Some(place));
        }
        for other in ["messags_id", "message_ix", "message", "i", "da", "type"] {
            assert_eq!(keys.place(other.as_bytes()), None, "{other}");
        }
    }
}
