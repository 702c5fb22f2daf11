//! A checked policy, joined to its secrets.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::index::Lists;
use crate::policy::{self, BodyForm, PolicyError, Scheme};
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

impl Secret<'_> {
    /// Whether what stands where a policy names a secret may well be a value, pasted there by mistake: then no message shows it.
    /// Names are short, or have digits only among words in capitals.
    pub fn is_like_a_value(name: &str) -> bool {
        let has = |kind: fn(&u8) -> bool| name.as_bytes().iter().any(kind);
        let is_random = has(u8::is_ascii_digit) && (has(u8::is_ascii_lowercase) || !name.contains('_'));
        name.len() >= 16 && is_random || name.contains('=')
    }
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
    setup_links: Vec<policy::SetupLink>,
    /// Indices into `paths`.
    by_path: Lists,
    paths: Vec<Path>,
    pub(crate) rules: Rules,
    pub(crate) targets: Vec<Target>,
    pub(crate) dedupe: Dedupe,
    pub(crate) limits: Limits,
}

/// Whose a path is, by index.
#[derive(Clone, Copy, Debug)]
enum Path {
    Source(usize),
    SetupLink(usize, End),
}

/// What a path belongs to.
pub(crate) enum Place<'g> {
    /// A source, and its index.
    Source(usize, &'g Source),
    /// An end of a setup link.
    SetupLink(&'g policy::SetupLink, End),
}

/// How Kapso says that a setup ended, by the path that it sends the browser to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Success,
    Failure,
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
    fn new(source: policy::Source) -> Self {
        Self {
            name: source.name.0,
            path: source.path.0,
            scheme: source.scheme.unwrap_or_default(),
            keys: Keys::new(
                source.secrets.unwrap_or_default(),
                source.secrets_by_phone_number.map(|tenants| tenants.0).unwrap_or_default(),
            ),
            verify_token: source.verify_token.map(|secret| secret.value),
            max_age_s: source.max_age_s.map(|age| age.0.into()),
            accept_x_kapso_signature: source.accept_x_kapso_signature.unwrap_or_default(),
        }
    }

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
    fn new((name, target): (String, policy::Target)) -> Self {
        Self {
            name,
            url: target.url.map(|url| url.0),
            cluster: target.cluster.map(|cluster| cluster.0),
            timeout_ms: target.timeout_ms.map_or(policy::TIMEOUT_MS, |timeout| timeout.0),
            sign_with: target.sign_with.map(|secret| secret.value),
            body: target.body.unwrap_or_default(),
            give_up_on: target.give_up_on.unwrap_or_default().into_iter().map(|status| status.0).collect(),
        }
    }

    /// The policy's name for it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its place in the policy, as a JSON Pointer.
    pub fn pointer(&self) -> String {
        format!("/targets/{}", policy::segment(&self.name))
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

impl Dedupe {
    fn new(dedupe: policy::Dedupe) -> Self {
        Self {
            window_s: dedupe.window_s.map_or(policy::WINDOW_S, |seconds| seconds.0),
            max_keys: dedupe.max_keys.map_or(policy::MAX_KEYS, |keys| keys.0),
        }
    }
}

impl Limits {
    fn new(limits: policy::Limits) -> Self {
        Self {
            body_bytes: limits.body_bytes.map_or(policy::BODY_BYTES, |bytes| bytes.0),
            events: limits.events.map_or(policy::EVENTS, |events| events.0),
        }
    }
}

impl Gate {
    /// Names every secret that a policy needs, without repetition, in the order of the document.
    ///
    /// # Errors
    /// Everything that is wrong with the document.
    pub fn secret_names(policy: &str) -> Result<Vec<String>, Vec<PolicyError>> {
        policy::secret_names(policy)
    }

    /// Checks a JSON policy and joins it to the secrets it names. Secrets that it does not name are ignored.
    ///
    /// # Errors
    /// Everything that is wrong with the document; a secret that is missing or empty is wrong.
    pub fn compile(policy: &str, secrets: &[Secret<'_>]) -> Result<Self, Vec<PolicyError>> {
        let policy = policy::read(policy, secrets)?;
        let sources: Vec<Source> = policy.sources.0.into_iter().map(Source::new).collect();
        let setup_links = policy.setup_links.unwrap_or_default();
        let (mut by_path, mut paths) = (Lists::default(), Vec::new());
        let mut put = |path: &str, whose| {
            by_path.push(path, paths.len());
            paths.push(whose);
        };
        for (index, source) in sources.iter().enumerate() {
            put(&source.path, Path::Source(index));
        }
        for (index, link) in setup_links.iter().enumerate() {
            put(&link.success_path.0, Path::SetupLink(index, End::Success));
            put(&link.failure_path.0, Path::SetupLink(index, End::Failure));
        }
        Ok(Self {
            by_path,
            paths,
            sources,
            setup_links,
            rules: Rules::new(policy.rules.unwrap_or_default(), policy.otherwise),
            targets: policy.targets.into_iter().flat_map(|targets| targets.0).map(Target::new).collect(),
            dedupe: Dedupe::new(policy.dedupe.unwrap_or_default()),
            limits: Limits::new(policy.limits.unwrap_or_default()),
        })
    }

    /// The webhook URLs, in the order of the policy.
    pub fn sources(&self) -> &[Source] {
        &self.sources
    }

    /// Where events go, in the order of the policy.
    pub fn targets(&self) -> &[Target] {
        &self.targets
    }

    /// The target of this name.
    pub fn target(&self, name: &str) -> Option<&Target> {
        self.targets.iter().find(|target| target.name == name)
    }

    /// How long and how many delivered keys are remembered.
    pub fn dedupe(&self) -> Dedupe {
        self.dedupe
    }

    /// What is too large.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// What belongs to a path, which is compared exactly and without its query.
    pub(crate) fn place(&self, path: &str) -> Option<Place<'_>> {
        let path = self.by_path.get(path)?.first()?;
        match *self.paths.get(*path)? {
            Path::Source(index) => Some(Place::Source(index, self.sources.get(index)?)),
            Path::SetupLink(index, end) => Some(Place::SetupLink(self.setup_links.get(index)?, end)),
        }
    }

    /// The source that belongs to a path.
    pub(crate) fn source(&self, path: &str) -> Option<&Source> {
        match self.place(path)? {
            Place::Source(_, source) => Some(source),
            Place::SetupLink(..) => None,
        }
    }
}
