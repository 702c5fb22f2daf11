//! A checked policy, joined to its secrets.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

use hashbrown::HashMap;

use crate::policy::{BodyForm, PolicyError, Scheme};
use crate::route::Rules;
use crate::verify::{Key, Keys, Token};

/// A secret's value under the name that the policy uses. The value is the HMAC key as it stands, never decoded.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Secret<'a> {
    /// The name.
    pub name: &'a str,
    /// The value.
    pub value: &'a str,
}

impl fmt::Debug for Secret<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({:?})", self.name)
    }
}

/// A checked policy, joined to its secrets: what every question is asked of.
#[derive(Debug)]
pub struct Gate {
    pub(crate) sources: Vec<Source>,
    /// Indices into `sources`.
    pub(crate) by_path: HashMap<String, usize>,
    pub(crate) rules: Rules,
    pub(crate) targets: Vec<Target>,
    pub(crate) dedupe: Dedupe,
    pub(crate) limits: Limits,
}

/// One webhook URL.
#[derive(Debug)]
pub struct Source {
    pub(crate) name: String,
    pub(crate) path: String,
    pub(crate) scheme: Scheme,
    pub(crate) keys: Keys,
    pub(crate) verify_token: Option<Token>,
    pub(crate) max_age_s: Option<u64>,
    pub(crate) accept_x_kapso_signature: bool,
}

impl Source {
    /// The policy's name for it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The path that it answers at, compared exactly.
    pub fn path(&self) -> &str {
        &self.path
    }
}

/// Somewhere to send events.
#[derive(Debug)]
pub struct Target {
    pub(crate) name: String,
    pub(crate) url: Option<String>,
    pub(crate) cluster: Option<String>,
    pub(crate) timeout_ms: u32,
    pub(crate) sign_with: Option<Key>,
    pub(crate) body: BodyForm,
    pub(crate) give_up_on: Vec<u16>,
}

impl Target {
    /// The policy's name for it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where the host and Spin send it.
    pub fn url(&self) -> Option<&str> {
        self.url.as_deref()
    }

    /// Where Envoy sends it.
    pub fn cluster(&self) -> Option<&str> {
        self.cluster.as_deref()
    }

    /// How long it may take for one message, in milliseconds. Always below 10,000.
    pub fn timeout_ms(&self) -> u32 {
        self.timeout_ms
    }

    /// The status codes with which it refuses a message for good.
    pub fn give_up_on(&self) -> &[u16] {
        &self.give_up_on
    }
}

/// How long and how many delivered keys are remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dedupe {
    /// How long a delivered key is remembered, in seconds.
    pub window_s: u32,
    /// How many keys are remembered at the most.
    pub max_keys: u32,
}

/// What is too large.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The largest body accepted, in bytes.
    pub body_bytes: u32,
    /// The most events that one delivery may hold.
    pub events: u32,
}

impl Gate {
    /// Names every secret that a policy needs, without repetition, in the order of the document.
    ///
    /// # Errors
    /// Everything that is wrong with the document.
    pub fn secret_names(policy: &str) -> Result<Vec<String>, Vec<PolicyError>> {
        let _ = policy;
        Ok(Vec::new())
    }

    /// Checks a JSON policy and joins it to the secrets it names. Secrets that it does not name are ignored.
    ///
    /// # Errors
    /// Everything that is wrong with the document; a secret that is missing or empty is wrong.
    pub fn compile(policy: &str, secrets: &[Secret<'_>]) -> Result<Self, Vec<PolicyError>> {
        let _ = (policy, secrets);
        Err(vec![PolicyError { pointer: String::new(), message: String::from("cannot be read yet") }])
    }

    /// The webhook URLs, in the order of the policy.
    pub fn sources(&self) -> &[Source] {
        &self.sources
    }

    /// Where events go, in the order of the policy.
    pub fn targets(&self) -> &[Target] {
        &self.targets
    }

    /// How long and how many delivered keys are remembered.
    pub fn dedupe(&self) -> Dedupe {
        self.dedupe
    }

    /// What is too large.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// The source at a path, which is compared exactly and without its query.
    pub(crate) fn source(&self, path: &str) -> Option<&Source> {
        self.by_path.get(path).and_then(|index| self.sources.get(*index))
    }
}
