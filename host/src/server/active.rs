//! The policy in force.

use std::collections::HashMap;
use std::env;
use std::path::PathBuf;
use std::time::Duration;

use http::Uri;

use super::Error;
use super::forward::Target;
use super::stamped::Stamped;
use crate::policy::{Document, Format, ReadError};
use crate::types::TargetSettings;
use crate::{CompileError, Gate, Plugin, Secrets};

/// Where the policy and its secrets come from.
#[derive(Clone, Debug)]
pub struct Policy {
    origin: Origin,
    secrets: Secrets,
}

#[derive(Clone, Debug)]
enum Origin {
    File(PathBuf),
    Json(String),
}

impl Policy {
    /// A file in JSON, TOML or YAML, told apart by its ending. It is read again when it changes.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Policy { origin: Origin::File(path.into()), secrets: Secrets::new() }
    }

    /// A document in JSON.
    pub fn json(text: impl Into<String>) -> Self {
        Policy { origin: Origin::Json(text.into()), secrets: Secrets::new() }
    }

    /// Values of secrets. The others come from the environment: `NAME`, or the file that `NAME_FILE` names.
    #[must_use]
    pub fn with_secrets(mut self, secrets: Secrets) -> Self {
        self.secrets = secrets;
        self
    }

    /// Reads the policy and compiles it, once for each call that may run at a time, so that no delivery waits for that. `files` gets
    /// those that it is made of, as they were before they were read, also if it is refused.
    pub(crate) fn load(&self, plugin: &Plugin, files: &mut Stamped) -> Result<Active, Error> {
        files.extend(self.file_path().cloned());
        let document = self.document()?;
        let names = plugin.secret_names(document.json()).map_err(|error| Self::refused(&document, error))?;
        files.extend(names.iter().filter_map(|name| env::var_os(format!("{name}_FILE"))).map(PathBuf::from));
        let mut secrets = self.secrets.clone();
        secrets.add_from_env(&names)?;
        let gate = plugin.compile(document.json(), &secrets).map_err(|error| Self::refused(&document, error))?;
        let active = Active::new(gate)?;
        while active.gate.warm()? {}
        Ok(active)
    }

    fn document(&self) -> Result<Document, ReadError> {
        match &self.origin {
            Origin::File(path) => Document::read(path),
            Origin::Json(text) => Document::parse(text, Format::Json)
                .map_err(|error| ReadError::Syntax { path: PathBuf::from("policy"), error }),
        }
    }

    fn refused(document: &Document, error: CompileError) -> Error {
        match error {
            CompileError::Policy(errors) => Error::Policy(document.explain_all(&errors)),
            CompileError::Call(error) => Error::Call(error),
        }
    }

    fn file_path(&self) -> Option<&PathBuf> {
        match &self.origin {
            Origin::File(path) => Some(path),
            Origin::Json(_) => None,
        }
    }
}

/// A compiled policy with what it takes to carry its decisions out.
pub(crate) struct Active {
    pub(crate) gate: Gate,
    pub(crate) targets: HashMap<String, Target>,
    /// Names of sources by path.
    sources: HashMap<String, String>,
}

impl Active {
    fn new(gate: Gate) -> Result<Self, Error> {
        let targets = gate.settings().targets.iter().map(target).collect::<Result<_, _>>()?;
        let sources = gate.settings().sources.iter().map(|source| (source.path.clone(), source.name.clone())).collect();
        Ok(Active { gate, targets, sources })
    }

    /// The name of the source at this path.
    pub(crate) fn source(&self, path: &str) -> Option<&str> {
        self.sources.get(path).map(String::as_str)
    }
}

fn target(settings: &TargetSettings) -> Result<(String, Target), Error> {
    let refused = |message: &str| Error::Target { target: settings.name.clone(), message: message.to_owned() };
    let url = settings.url.as_ref().ok_or_else(|| refused("it has no `url`, and this server sends nowhere else"))?;
    let uri: Uri = url.parse().map_err(|_| refused("its `url` is not a URL"))?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err(refused("its `url` must begin with http:// or https://"));
    }
    let authority = uri.authority().ok_or_else(|| refused("its `url` names no host"))?;
    if authority.as_str().contains('@') {
        return Err(refused("its `url` holds a user name or password, which would not be sent"));
    }
    let timeout = Duration::from_millis(settings.timeout_ms.into());
    Ok((settings.name.clone(), Target { uri, timeout }))
}
