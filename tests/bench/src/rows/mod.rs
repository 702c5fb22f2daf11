//! What is called in process, once for each iteration.

#[cfg(feature = "full")]
mod component;
mod native;
mod policy;

use std::fmt;
use std::path::Path;
use std::str::FromStr;

#[cfg(not(feature = "full"))]
use anyhow::bail;
use anyhow::{Context, ensure};

use crate::delivery::Size;

pub(crate) use policy::Policy;

/// A row: one question, asked of one build.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Row {
    pub(crate) ask: Ask,
    pub(crate) size: Size,
    pub(crate) policy: Policy,
    pub(crate) build: Build,
}

/// The question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Ask {
    Verify,
    Parse,
    Route,
    Decide,
    /// Compiling the policy.
    Compile,
    /// From nothing to the first decision, compiling the component.
    Start,
    /// The same with the component's machine code from the cache.
    StartCached,
}

/// Who is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Build {
    /// The core, compiled for this machine.
    Native,
    /// The component that imports nothing, an instance serving one call after another.
    Reused,
    /// The same, a new instance for each call.
    Fresh,
    /// The component on its host's SHA-256, an instance serving one call after another.
    HostSha256,
}

/// One iteration.
pub(crate) type Call = Box<dyn FnMut()>;

impl Row {
    pub(crate) fn new(ask: Ask, size: Size, build: Build) -> Self {
        Row { ask, size, policy: Policy::Usual, build }
    }

    /// Makes everything ready, so that calling does what is measured and nothing else. `cache` is where machine code is kept.
    pub(crate) fn prepare(self, cache: Option<&Path>) -> anyhow::Result<Call> {
        match self.build {
            Build::Native => native::prepare(self),
            #[cfg(feature = "full")]
            Build::Reused | Build::Fresh | Build::HostSha256 => component::prepare(self, cache),
            #[cfg(not(feature = "full"))]
            Build::Reused | Build::Fresh | Build::HostSha256 => {
                bail!("this build has no component, nor a cache at {cache:?}")
            }
        }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}/{}", self.ask.name(), self.size, self.policy, self.build.name())
    }
}

impl FromStr for Row {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let parts: Vec<_> = text.split('/').collect();
        ensure!(parts.len() == 4, "a row is QUESTION/SIZE/POLICY/BUILD, not {text:?}");
        let no = |what: &str| format!("no {what} of that name in {text:?}");
        Ok(Row {
            ask: Ask::ALL.into_iter().find(|ask| ask.name() == parts[0]).with_context(|| no("question"))?,
            size: Size::ALL.into_iter().find(|size| size.name() == parts[1]).with_context(|| no("size"))?,
            policy: parts[2].parse()?,
            build: Build::ALL.into_iter().find(|build| build.name() == parts[3]).with_context(|| no("build"))?,
        })
    }
}

impl Ask {
    const ALL: [Self; 7] =
        [Self::Verify, Self::Parse, Self::Route, Self::Decide, Self::Compile, Self::Start, Self::StartCached];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Verify => "verify",
            Self::Parse => "parse",
            Self::Route => "route",
            Self::Decide => "decide",
            Self::Compile => "compile",
            Self::Start => "start",
            Self::StartCached => "start-cached",
        }
    }
}

impl Build {
    const ALL: [Self; 4] = [Self::Native, Self::Reused, Self::Fresh, Self::HostSha256];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Reused => "reused",
            Self::Fresh => "fresh",
            Self::HostSha256 => "host-sha256",
        }
    }
}
