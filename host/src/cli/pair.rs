//! `NAME=VALUE` on the command line.

use std::fmt;
use std::str::FromStr;

use zeroize::Zeroizing;

/// A name, and a value that nobody is shown: it may be a secret or a token.
#[derive(Clone)]
pub(super) struct Pair {
    pub(super) name: String,
    pub(super) value: Zeroizing<String>,
}

impl FromStr for Pair {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('=') {
            Some((name, value)) if !name.is_empty() && !value.is_empty() => {
                Ok(Self { name: name.into(), value: Zeroizing::new(value.into()) })
            }
            _ => Err("expected NAME=VALUE, both not empty"),
        }
    }
}

impl fmt::Debug for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pair").field("name", &self.name).finish_non_exhaustive()
    }
}
