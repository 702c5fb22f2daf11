//! The values of the secrets that a policy names.

use std::collections::BTreeMap;
use std::env::VarError;
use std::path::PathBuf;
use std::{env, fmt, fs, io};

use thiserror::Error;
use zeroize::Zeroizing;

/// Secrets by name. `Debug` shows the names alone, and the values are wiped from memory when dropped.
#[derive(Clone, Default)]
pub struct Secrets {
    values: BTreeMap<String, Zeroizing<String>>,
}

/// Why a secret's value could not be had.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SecretError {
    /// The environment has both `NAME` and `NAME_FILE`.
    #[error("both {name} and {name}_FILE are set: unset one of them")]
    Ambiguous {
        /// The secret.
        name: String,
    },
    /// The value is not UTF-8.
    #[error("the value of {name} is not UTF-8")]
    NotText {
        /// The variable.
        name: String,
    },
    /// The file that `NAME_FILE` names could not be read.
    #[error("cannot read {}, which {name}_FILE names: {error}", path.display())]
    Unreadable {
        /// The secret.
        name: String,
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

impl Secrets {
    /// None.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a secret, or replaces its value. The value is used as it stands, never decoded.
    pub fn insert(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.values.insert(name.into(), Zeroizing::new(value.into()));
    }

    /// Whether there is a value for this name.
    pub fn contains(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    /// Looks up in the environment every one of these names that has no value yet: `NAME` holds the value, or `NAME_FILE`
    /// names a file that does, whose line end is cut off. A name that is in neither place stays without a value, and
    /// [`Plugin::compile`](crate::Plugin::compile) says so.
    ///
    /// # Errors
    /// Where both are set, the file cannot be read, or the value is not UTF-8.
    pub fn add_from_env<N: AsRef<str>>(&mut self, names: impl IntoIterator<Item = N>) -> Result<(), SecretError> {
        for name in names {
            let name = name.as_ref();
            if self.contains(name) {
                continue;
            }
            if let Some(value) = from_env(name)? {
                self.values.insert(name.to_owned(), value);
            }
        }
        Ok(())
    }

    #[cfg(feature = "program")]
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(|value| value.as_str())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.values.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Secrets {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(secrets: I) -> Self {
        let mut this = Self::new();
        secrets.into_iter().for_each(|(name, value)| this.insert(name, value));
        this
    }
}

impl<N: Into<String>, V: Into<String>, const COUNT: usize> From<[(N, V); COUNT]> for Secrets {
    fn from(secrets: [(N, V); COUNT]) -> Self {
        secrets.into_iter().collect()
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.values.keys()).finish()
    }
}

/// The value of the variable `NAME`, or of the file that `NAME_FILE` names; none if neither is set.
pub(crate) fn from_env(name: &str) -> Result<Option<Zeroizing<String>>, SecretError> {
    match (variable(name)?, env::var_os(format!("{name}_FILE"))) {
        (Some(_), Some(_)) => Err(SecretError::Ambiguous { name: name.to_owned() }),
        (value, None) => Ok(value),
        (None, Some(path)) => from_file(name, path.into()).map(Some),
    }
}

fn variable(name: &str) -> Result<Option<Zeroizing<String>>, SecretError> {
    match env::var(name) {
        Ok(value) => Ok(Some(Zeroizing::new(value))),
        Err(VarError::NotPresent) => Ok(None),
        Err(VarError::NotUnicode(_)) => Err(SecretError::NotText { name: name.to_owned() }),
    }
}

fn from_file(name: &str, path: PathBuf) -> Result<Zeroizing<String>, SecretError> {
    let mut value = match fs::read_to_string(&path) {
        Ok(value) => Zeroizing::new(value),
        Err(error) => return Err(SecretError::Unreadable { name: name.to_owned(), path, error }),
    };
    let end = value.strip_suffix("\r\n").or_else(|| value.strip_suffix('\n')).map_or(value.len(), str::len);
    value.truncate(end);
    Ok(value)
}
