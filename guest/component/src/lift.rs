//! From memory into the core's types: what callers hand over, borrowed until the call ends.
#![allow(unsafe_code)] // Arguments are as the canonical ABI has them, and nothing frees them before the call ends.

use ::core::slice;
use ::core::str;
use alloc::string::String;
use alloc::vec::Vec;

use crate::core;
use crate::layout::{Fields, Place};
use crate::lower::Lower;

/// A list, or a string, as an argument.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct Run<T> {
    start: *const T,
    len: usize,
}

impl<T> Run<T> {
    pub(crate) fn new(start: *const T, len: usize) -> Self {
        Self { start, len }
    }

    pub(crate) fn list(self) -> &'static [T] {
        if self.len == 0 { &[] } else { unsafe { slice::from_raw_parts(self.start, self.len) } }
    }
}

impl Run<u8> {
    pub(crate) fn text(self) -> &'static str {
        // The host has checked that it is UTF-8.
        unsafe { str::from_utf8_unchecked(self.list()) }
    }
}

/// `header`, and `secret`: a name and a value.
#[repr(C)]
pub(crate) struct Named {
    name: Run<u8>,
    value: Run<u8>,
}

pub(crate) fn headers(headers: Run<Named>) -> Vec<core::Header<'static>> {
    let header = |header: &Named| core::Header { name: header.name.text(), value: header.value.list() };
    headers.list().iter().map(header).collect()
}

pub(crate) fn secrets(secrets: Run<Named>) -> Vec<core::Secret<'static>> {
    let secret = |secret: &Named| core::Secret { name: secret.name.text(), value: secret.value.text() };
    secrets.list().iter().map(secret).collect()
}

/// `attempt`: a target's name and an outcome, which is a tag and with the first case a status.
#[repr(C)]
pub(crate) struct Attempt {
    target: Run<u8>,
    outcome: u8,
    status: u16,
}

pub(crate) fn attempts(attempts: Run<Attempt>) -> Vec<core::Attempt<'static>> {
    let attempt = |attempt: &Attempt| core::Attempt {
        target: attempt.target.text(),
        outcome: match attempt.outcome {
            0 => core::Outcome::Answered(attempt.status),
            1 => core::Outcome::TimedOut,
            2 => core::Outcome::Unreachable,
            3 => core::Outcome::InFlight,
            _ => core::Outcome::Duplicate,
        },
    };
    attempts.list().iter().map(attempt).collect()
}

pub(crate) fn indices(indices: Run<u32>) -> Vec<usize> {
    indices.list().iter().map(|index| usize::try_from(*index).unwrap_or(usize::MAX)).collect()
}

/// A type of the contract that is read from memory as well.
pub(crate) trait Lift: Lower {
    fn lift(place: Place) -> Self;
}

/// Reads a record's next field.
pub(crate) fn take<T: Lift>(fields: &mut Fields) -> T {
    T::lift(fields.next(T::LAYOUT))
}

/// A text, read as it stands.
pub(crate) fn text(place: Place) -> &'static str {
    Run::new(::core::ptr::with_exposed_provenance(word(place)), word(place.at(4))).text()
}

fn word(place: Place) -> usize {
    usize::try_from(place.take::<u32>()).unwrap_or(usize::MAX)
}

macro_rules! numbers {
    ($($type:ty),*) => { $(
        impl Lift for $type {
            fn lift(place: Place) -> Self {
                place.take()
            }
        }
    )* };
}

numbers!(bool, u64);

impl Lift for String {
    fn lift(place: Place) -> Self {
        text(place).into()
    }
}

impl Lift for alloc::borrow::Cow<'static, str> {
    fn lift(place: Place) -> Self {
        Self::Borrowed(text(place))
    }
}

impl<T: Lift> Lift for Option<T> {
    fn lift(place: Place) -> Self {
        place.take::<bool>().then(|| T::lift(place.at(T::LAYOUT.behind_tag())))
    }
}

impl Lift for core::Span {
    fn lift(place: Place) -> Self {
        let start = word(place);
        Self { start, end: start.saturating_add(word(place.at(4))) }
    }
}

impl Lift for core::Kind {
    fn lift(place: Place) -> Self {
        match place.take::<u8>() {
            0 => Self::Whatsapp,
            1 => Self::Project,
            2 => Self::Meta,
            _ => Self::Unknown,
        }
    }
}

/// Where the parameters of `route` stand, which are too many to be handed over one by one: the gate, the event, the source.
pub(crate) fn route(parameters: Place) -> (&'static core::Gate, core::Event<'static>, Option<&'static str>) {
    let mut fields = Fields::of(parameters);
    // The host hands over a gate that it has not dropped.
    let gate = unsafe { &*::core::ptr::with_exposed_provenance(word(fields.next(u32::LAYOUT))) };
    let event = take(&mut fields);
    let source: Option<alloc::borrow::Cow<'static, str>> = take(&mut fields);
    let source = match source {
        Some(alloc::borrow::Cow::Borrowed(source)) => Some(source),
        _ => None,
    };
    (gate, event, source)
}
