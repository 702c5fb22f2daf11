//! From the core's types into memory.
//!
//! What is written there points at text wherever it stands: in the arguments, in the gate, in the answer. All of it stays
//! until the host has read the answer and says so.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use crate::core;
use crate::layout::{Fields, Layout, Place};
use crate::memory;
#[cfg(test)]
use crate::shape::Types;

/// A type of the contract.
pub(crate) trait Lower {
    const LAYOUT: Layout;

    /// Writes the value.
    fn lower(&self, place: Place);

    /// Writes a list of such values.
    fn lower_list(list: &[Self], place: Place)
    where
        Self: Sized,
    {
        let size = Self::LAYOUT.size;
        let start = memory::room(size.saturating_mul(list.len()), Self::LAYOUT.align);
        let mut next = Place::new(start);
        for element in list {
            element.lower(next);
            next = next.at(size);
        }
        place.put_run(start, list.len());
    }

    /// What the contract calls the type; its definition is left in `types`.
    #[cfg(test)]
    fn shape(types: &mut Types) -> String;
}

/// The layout of a field, by the function that reads it.
pub(crate) const fn of_field<R, T: Lower>(_: fn(&R) -> &T) -> Layout {
    T::LAYOUT
}

/// The layout of a case's value, by the function that reads it.
pub(crate) const fn of_case<V, T: Lower>(_: fn(&V) -> Option<&T>) -> Layout {
    T::LAYOUT
}

/// Records that have the fields of the contract, under the same names and in the same order.
macro_rules! records {
    ($($wit:literal: $type:ty { $($field:ident),* $(,)? })*) => { $(
        impl $crate::lower::Lower for $type {
            const LAYOUT: $crate::layout::Layout = $crate::layout::Layout::EMPTY
                $(.then($crate::lower::of_field(|record: &Self| &record.$field)))*
                .whole();

            fn lower(&self, place: $crate::layout::Place) {
                let mut fields = $crate::layout::Fields::of(place);
                $($crate::lower::put(&self.$field, &mut fields);)*
            }

            #[cfg(test)]
            fn shape(types: &mut $crate::shape::Types) -> alloc::string::String {
                types.record($wit, &[$((
                    stringify!($field),
                    $crate::shape::of_field(|record: &Self| &record.$field),
                )),*])
            }
        }
    )* };
}

/// Variants and enums that have the cases of the contract, under the same names and in the same order.
macro_rules! variants {
    ($($wit:literal: $type:ty { $($case:ident $(($value:ident))?),* $(,)? })*) => { $(
        impl $crate::lower::Lower for $type {
            const LAYOUT: $crate::layout::Layout = <Self as $crate::lower::Cases>::VALUE.tagged();

            fn lower(&self, place: $crate::layout::Place) {
                #[repr(u8)]
                #[derive(Clone, Copy)]
                enum Tag { $($case),* }
                match self { $(Self::$case $(($value))? => {
                    place.put(Tag::$case);
                    $($value.lower(place.at(<Self as $crate::lower::Cases>::VALUE.behind_tag()));)?
                })* }
            }

            #[cfg(test)]
            fn shape(types: &mut $crate::shape::Types) -> alloc::string::String {
                types.variant($wit, &[$((
                    stringify!($case),
                    $crate::lower::variants!(@shape $case $(($value))?),
                )),*])
            }
        }

        impl $crate::lower::Cases for $type {
            const VALUE: $crate::layout::Layout = $crate::layout::Layout::EMPTY
                $($(.or($crate::lower::of_case(|variant: &Self| match variant {
                    Self::$case($value) => Some($value),
                    #[allow(unreachable_patterns, reason = "a variant may have one case")]
                    _ => None,
                })))?)*;
        }
    )* };
    (@shape $case:ident ($value:ident)) => {
        Some($crate::shape::of_case(|variant: &Self| match variant {
            Self::$case($value) => Some($value),
            #[allow(unreachable_patterns, reason = "a variant may have one case")]
            _ => None,
        }))
    };
    (@shape $case:ident) => { None };
}

pub(crate) use {records, variants};

/// What the cases of a variant hold.
pub(crate) trait Cases {
    const VALUE: Layout;
}

/// Writes a record's next field.
pub(crate) fn put<T: Lower>(field: &T, fields: &mut Fields) {
    field.lower(fields.next(T::LAYOUT));
}

macro_rules! numbers {
    ($($type:ty: $wit:literal),*) => { $(
        impl Lower for $type {
            const LAYOUT: Layout = Layout::number(size_of::<$type>());

            fn lower(&self, place: Place) {
                place.put(*self);
            }

            #[cfg(test)]
            fn shape(_: &mut Types) -> String {
                String::from($wit)
            }
        }
    )* };
}

numbers!(bool: "bool", u16: "u16", u32: "u32", u64: "u64", i64: "s64");

/// A byte: lists of them are written where they stand.
impl Lower for u8 {
    const LAYOUT: Layout = Layout::number(1);

    fn lower(&self, place: Place) {
        place.put(*self);
    }

    fn lower_list(list: &[Self], place: Place) {
        place.put_run(list.as_ptr(), list.len());
    }

    #[cfg(test)]
    fn shape(_: &mut Types) -> String {
        String::from("u8")
    }
}

/// A position or a count. The body that it belongs to came through the same 32 bits.
impl Lower for usize {
    const LAYOUT: Layout = u32::LAYOUT;

    fn lower(&self, place: Place) {
        place.put(u32::try_from(*self).unwrap_or(u32::MAX));
    }

    #[cfg(test)]
    fn shape(_: &mut Types) -> String {
        String::from("u32")
    }
}

impl Lower for &str {
    const LAYOUT: Layout = Layout::RUN;

    fn lower(&self, place: Place) {
        place.put_run(self.as_ptr(), self.len());
    }

    #[cfg(test)]
    fn shape(_: &mut Types) -> String {
        String::from("string")
    }
}

macro_rules! texts {
    ($($type:ty),*) => { $(
        impl Lower for $type {
            const LAYOUT: Layout = Layout::RUN;

            fn lower(&self, place: Place) {
                (&**self).lower(place);
            }

            #[cfg(test)]
            fn shape(types: &mut Types) -> String {
                <&str>::shape(types)
            }
        }
    )* };
}

texts!(String, Cow<'_, str>);

impl Lower for core::JsonStr<'_> {
    const LAYOUT: Layout = Layout::RUN;

    fn lower(&self, place: Place) {
        match self.plain() {
            Some(plain) => plain.lower(place),
            None => {
                let text = self.text();
                text.lower(place);
                ::core::mem::forget(text);
            }
        }
    }

    #[cfg(test)]
    fn shape(types: &mut Types) -> String {
        <&str>::shape(types)
    }
}

impl<T: Lower> Lower for Box<T> {
    const LAYOUT: Layout = T::LAYOUT;

    fn lower(&self, place: Place) {
        T::lower(self, place);
    }

    #[cfg(test)]
    fn shape(types: &mut Types) -> String {
        T::shape(types)
    }
}

impl<T: Lower> Lower for Vec<T> {
    const LAYOUT: Layout = Layout::RUN;

    fn lower(&self, place: Place) {
        T::lower_list(self, place);
    }

    #[cfg(test)]
    fn shape(types: &mut Types) -> String {
        alloc::format!("list<{}>", T::shape(types))
    }
}

/// Two hundred fields are optional text: one piece of code for all.
#[inline(never)]
fn some<T: Lower>(value: &T, place: Place) {
    place.put(true);
    value.lower(place.at(T::LAYOUT.behind_tag()));
}

impl<T: Lower> Lower for Option<T> {
    const LAYOUT: Layout = T::LAYOUT.tagged();

    #[inline(always)]
    fn lower(&self, place: Place) {
        match self {
            Some(value) => some(value, place),
            None => place.put(false),
        }
    }

    #[cfg(test)]
    fn shape(types: &mut Types) -> String {
        alloc::format!("option<{}>", T::shape(types))
    }
}

impl<T: Lower, E: Lower> Lower for Result<T, E> {
    const LAYOUT: Layout = T::LAYOUT.or(E::LAYOUT).tagged();

    fn lower(&self, place: Place) {
        let value = place.at(T::LAYOUT.or(E::LAYOUT).behind_tag());
        place.put(self.is_err());
        match self {
            Ok(answer) => answer.lower(value),
            Err(error) => error.lower(value),
        }
    }

    #[cfg(test)]
    fn shape(types: &mut Types) -> String {
        alloc::format!("result<{}, {}>", T::shape(types), E::shape(types))
    }
}
