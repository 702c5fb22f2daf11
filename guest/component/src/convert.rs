//! From one side's types to the other's.

use alloc::borrow::{Cow, ToOwned};
use alloc::string::String;
use alloc::vec::Vec;

use crate::{core, wit};

/// What `From` would be, if either side's types were ours.
pub(crate) trait Convert<T>: Sized {
    fn convert(self) -> T;

    fn convert_option(option: Option<Self>) -> Option<T> {
        option.map(Self::convert)
    }
}

/// Records with the same fields on both sides; `ours = theirs` where the names differ.
macro_rules! records {
    ($($from:ty => $to:path { $($field:ident $(= $theirs:ident)?),* $(,)? })*) => { $(
        impl $crate::convert::Convert<$to> for $from {
            #[inline(never)]
            fn convert(self) -> $to {
                $to { $($field: $crate::convert::records!(@ self, $field $(, $theirs)?).convert()),* }
            }
        }
    )* };
    (@ $record:ident, $field:ident) => { $record.$field };
    (@ $record:ident, $field:ident, $theirs:ident) => { $record.$theirs };
}

/// Enums and variants with the same cases on both sides, each with at most one value.
macro_rules! variants {
    ($($from:ty => $to:path { $($case:ident $(($value:ident))?),* $(,)? })*) => { $(
        impl $crate::convert::Convert<$to> for $from {
            #[inline(never)]
            fn convert(self) -> $to {
                use $to as To;
                match self { $(Self::$case $(($value))? => To::$case $(($value.convert()))?),* }
            }
        }
    )* };
}

pub(crate) use {records, variants};

/// Types that are the same on both sides.
macro_rules! same {
    ($($type:ty),*) => { $(
        impl Convert<$type> for $type {
            fn convert(self) -> $type {
                self
            }
        }
    )* };
}

same!(bool, u16, u32, u64, i64, String, Vec<u8>, core::Gate);

impl Convert<String> for &str {
    fn convert(self) -> String {
        self.to_owned()
    }
}

impl Convert<String> for Cow<'_, str> {
    fn convert(self) -> String {
        self.into_owned()
    }
}

impl Convert<String> for core::JsonStr<'_> {
    #[inline(never)]
    fn convert(self) -> String {
        self.text().into_owned()
    }

    // Two hundred fields are optional text: one piece of code for all.
    #[inline(never)]
    fn convert_option(option: Option<Self>) -> Option<String> {
        option.map(Self::convert)
    }
}

impl Convert<Cow<'static, str>> for String {
    fn convert(self) -> Cow<'static, str> {
        Cow::Owned(self)
    }
}

/// A position or a count. The body that it belongs to came through the same 32 bits.
impl Convert<u32> for usize {
    fn convert(self) -> u32 {
        u32::try_from(self).unwrap_or(u32::MAX)
    }
}

impl Convert<usize> for u32 {
    fn convert(self) -> usize {
        usize::try_from(self).unwrap_or(usize::MAX)
    }
}

impl<A: Convert<B>, B> Convert<Option<B>> for Option<A> {
    fn convert(self) -> Option<B> {
        A::convert_option(self)
    }
}

impl<A: Convert<B>, B> Convert<Vec<B>> for Vec<A> {
    fn convert(self) -> Vec<B> {
        // `collect` would try to do it in place, which takes much more code.
        let mut converted = Vec::with_capacity(self.len());
        self.into_iter().for_each(|value| converted.push(value.convert()));
        converted
    }
}

impl<A: Convert<B>, B, E: Convert<F>, F> Convert<Result<B, F>> for Result<A, E> {
    fn convert(self) -> Result<B, F> {
        self.map(Convert::convert).map_err(Convert::convert)
    }
}

impl Convert<wit::Span> for core::Span {
    fn convert(self) -> wit::Span {
        wit::Span { start: self.start.convert(), len: self.end.saturating_sub(self.start).convert() }
    }
}

impl Convert<core::Span> for wit::Span {
    fn convert(self) -> core::Span {
        let start: usize = self.start.convert();
        core::Span { start, end: start.saturating_add(self.len.convert()) }
    }
}
