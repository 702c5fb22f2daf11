//! Records that are read field by field from a JSON object: what is missing or of another type than expected is none.

use alloc::vec::Vec;

use crate::event::Span;
use crate::json::{JsonStr, Reader, Result};

/// The most elements that are read of a list inside an event.
const MAX_ELEMENTS: usize = 1000;

/// A slot that takes the value at which a reader stands, and forgets what it held before.
pub(crate) trait Read<'a> {
    fn read(&mut self, reader: &mut Reader<'a>) -> Result<()>;
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

/// Declares a struct whose fields are read from the keys named behind them, by a function where one is named; a field without
/// a key is filled in elsewhere.
macro_rules! record {
    (@read $slot:expr, $reader:ident) => { $crate::record::Read::read(&mut $slot, $reader) };
    (@read $slot:expr, $reader:ident $with:ident) => { $with($reader, &mut $slot) };
    (
        $(#[$attribute:meta])*
        $visibility:vis struct $name:ident<'a> {
            $(
                $(#[$field_attribute:meta])*
                $field_visibility:vis $field:ident: $type:ty $(= $key:literal $(| $other_key:literal)* $(with $with:ident)?)?,
            )*
        }
    ) => {
        $(#[$attribute])*
        #[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
        $visibility struct $name<'a> {
            $($(#[$field_attribute])* $field_visibility $field: $type,)*
        }

        impl<'a> $name<'a> {
            /// Takes what stands under `key`.
            pub(crate) fn member(
                &mut self,
                reader: &mut $crate::json::Reader<'a>,
                key: &str,
            ) -> $crate::json::Result<()> {
                match key {
                    $($($key $(| $other_key)* => $crate::record::record!(@read self.$field, reader $($with)?),)?)*
                    _ => reader.pass(),
                }
            }
        }

        impl<'a> $crate::record::Read<'a> for $name<'a> {
            fn read(&mut self, reader: &mut $crate::json::Reader<'a>) -> $crate::json::Result<()> {
                *self = Self::default();
                reader.object(|reader, key| self.member(reader, key)).map(drop)
            }
        }

        impl<'a> $crate::record::Read<'a> for Option<$name<'a>> {
            fn read(&mut self, reader: &mut $crate::json::Reader<'a>) -> $crate::json::Result<()> {
                let mut record = $name::default();
                let found = reader.object(|reader, key| record.member(reader, key))?;
                *self = found.then_some(record);
                Ok(())
            }
        }
    };
}

pub(crate) use record;
