//! Arguments that may hold a password.

use std::ffi::OsStr;
use std::fmt::Display;
use std::marker::PhantomData;
use std::str::FromStr;

use clap::builder::TypedValueParser;
use clap::error::ErrorKind;
use clap::{Arg, Command};

/// Parses an argument with [`FromStr`], without echoing a rejected value in the error message as clap does.
#[derive(Clone)]
pub(crate) struct Unrepeated<T>(PhantomData<fn() -> T>);

impl<T> Unrepeated<T> {
    pub(crate) const fn new() -> Self {
        Self(PhantomData)
    }
}

impl<T> TypedValueParser for Unrepeated<T>
where
    T: FromStr<Err: Display> + Clone + Send + Sync + 'static,
{
    type Value = T;

    fn parse_ref(&self, command: &Command, arg: Option<&Arg>, value: &OsStr) -> Result<T, clap::Error> {
        value.to_str().unwrap_or_default().parse().map_err(|expected| {
            let arg = arg.map(Arg::to_string).unwrap_or_default();
            clap::Error::raw(ErrorKind::ValueValidation, format!("{arg}: {expected}\n")).with_cmd(command)
        })
    }
}
