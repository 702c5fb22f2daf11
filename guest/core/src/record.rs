//! Records that are read field by field from a JSON object: what is missing or of another type than expected is none.

use alloc::vec::Vec;

use crate::event::{Span, Text};
use crate::json::{ParseError, Reader};

/// The most elements that are read of a list inside an event.
const MAX_ELEMENTS: usize = 1000;

/// A value that is read where a reader stands.
pub(crate) trait Read<'a>: Sized {
    fn read(reader: &mut Reader<'a>) -> Result<Self, ParseError>;
}

impl<'a> Read<'a> for Option<Text<'a>> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, ParseError> {
        reader.scalar()
    }
}

impl<'a> Read<'a> for Option<bool> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, ParseError> {
        reader.boolean()
    }
}

impl<'a> Read<'a> for Option<Span> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, ParseError> {
        reader.skip().map(Some)
    }
}

macro_rules! numbers {
    ($($number:ty),*) => {$(
        impl<'a> Read<'a> for Option<$number> {
            fn read(reader: &mut Reader<'a>) -> Result<Self, ParseError> {
                reader.number()
            }
        }
    )*};
}

numbers!(u32, u64, i64, f64);

impl<'a, T: Read<'a>> Read<'a> for Vec<T> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, ParseError> {
        let mut elements = Self::new();
        reader.array(|reader| {
            if elements.len() >= MAX_ELEMENTS {
                return reader.skip().map(drop);
            }
            elements.push(T::read(reader)?);
            Ok(())
        })?;
        Ok(elements)
    }
}

/// Declares a struct whose fields are read from the keys named behind them, by a function where one is named; a field without
/// a key is filled in elsewhere.
macro_rules! record {
    (@read $reader:ident) => { $crate::record::Read::read($reader)? };
    (@read $reader:ident $with:ident) => { $with($reader)? };
    (
        $(#[$attribute:meta])*
        $visibility:vis struct $name:ident<'a> {
            $($(#[$field_attribute:meta])* $field_visibility:vis $field:ident: $type:ty $(= $key:literal $(with $with:ident)?)?,)*
        }
    ) => {
        $(#[$attribute])*
        #[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
        $visibility struct $name<'a> {
            $($(#[$field_attribute])* $field_visibility $field: $type,)*
        }

        impl<'a> $name<'a> {
            #[allow(unused_variables, clippy::needless_pass_by_ref_mut)]
            fn member(
                &mut self,
                reader: &mut $crate::json::Reader<'a>,
                key: &str,
            ) -> Result<(), $crate::json::ParseError> {
                match key {
                    $($($key => self.$field = $crate::record::record!(@read reader $($with)?),)?)*
                    _ => drop(reader.skip()?),
                }
                Ok(())
            }
        }

        impl<'a> $crate::record::Read<'a> for $name<'a> {
            fn read(reader: &mut $crate::json::Reader<'a>) -> Result<Self, $crate::json::ParseError> {
                let mut record = Self::default();
                reader.object(|reader, key| record.member(reader, key))?;
                Ok(record)
            }
        }

        impl<'a> $crate::record::Read<'a> for Option<$name<'a>> {
            fn read(reader: &mut $crate::json::Reader<'a>) -> Result<Self, $crate::json::ParseError> {
                let mut record = $name::default();
                Ok(reader.object(|reader, key| record.member(reader, key))?.then_some(record))
            }
        }
    };
}

pub(crate) use record;
