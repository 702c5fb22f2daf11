//! How plugins are run.

use std::num::{NonZeroU64, NonZeroUsize};
use std::path::PathBuf;
use std::thread::available_parallelism;
use std::time::Duration;

/// How a plugin is run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Whether instances are reused.
    pub instances: Instances,
    /// Who hashes.
    pub sha256: Sha256,
    /// How many calls run at the same time at the most; further callers wait. Each may hold `memory_per_instance`.
    pub max_concurrency: NonZeroUsize,
    /// How long one call may take before it is broken off. A call takes microseconds: this is for a plugin gone wrong.
    pub time_per_call: Duration,
    /// How long compiling a policy may take.
    pub time_per_compile: Duration,
    /// How many bytes an instance may have in all its linear memories together. Where instances are fresh, 64 KiB for each memory
    /// must be left of it when a policy is compiled.
    pub memory_per_instance: usize,
    /// Where machine code is kept from one start to the next.
    pub cache: Cache,
}

impl Options {
    /// For a server with so many workers: none of its deliveries waits for another's call.
    pub fn for_workers(workers: NonZeroUsize) -> Self {
        Self {
            instances: Instances::default(),
            sha256: Sha256::default(),
            // A call for each worker, one for each large body that is decided beside them, and one that compiles a new policy.
            max_concurrency: workers.saturating_mul(TWO).saturating_add(1),
            time_per_call: Duration::from_secs(1),
            time_per_compile: Duration::from_secs(10),
            memory_per_instance: 64 << 20,
            cache: Cache::default(),
        }
    }
}

/// For as many workers as there are cores.
impl Default for Options {
    fn default() -> Self {
        Self::for_workers(available_parallelism().unwrap_or(NonZeroUsize::MIN))
    }
}

const TWO: NonZeroUsize = NonZeroUsize::new(2).unwrap();

/// Whether an instance of the plugin serves one call or many.
///
/// Reuse is the default: a plugin that imports no state can carry over to the next call only its own memory, which is
/// bounded and replaced periodically. Fresh instances cost some ten microseconds more a call (`cargo xtask bench` measures it).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Instances {
    /// A new instance for every call: nothing that a call leaves behind can reach another one. The policy is compiled once:
    /// each instance begins with a copy of the memory as it was then. Making that copy takes some tenths of a second more when
    /// a policy is compiled. It holds secrets, so it stays in this process' memory and no cache on disk gets it. A plugin that
    /// cannot be copied, because it nests components or changes its tables, compiles the policy for each call.
    Fresh,
    /// An instance serves one call after another. One that trapped, ran out of time or out of memory is thrown away.
    Reuse {
        /// An instance is replaced after so many calls.
        max_calls: NonZeroU64,
    },
}

/// Reuse for a million calls.
impl Default for Instances {
    fn default() -> Self {
        const MAX_CALLS: NonZeroU64 = NonZeroU64::new(1_000_000).unwrap();
        Self::Reuse { max_calls: MAX_CALLS }
    }
}

/// Whose SHA-256 a delivery's signature is verified with: a choice between the two components that come with this crate, which
/// answer alike. A component that somebody else brings hashes by itself or not as it was built.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "program", derive(clap::ValueEnum))]
pub enum Sha256 {
    /// This host's. It has the processor's own instructions for it, which take a fifth of the time that WebAssembly does. All
    /// that crosses is hash values and bytes to hash.
    #[default]
    #[cfg_attr(feature = "program", value(help = "This program's, with the processor's instructions for it"))]
    Host,
    /// The plugin's: then it imports nothing at all.
    #[cfg_attr(feature = "program", value(help = "The plugin's: slower, and then it imports nothing at all"))]
    Plugin,
}

/// Where the machine code made from a plugin is kept, so that the next start does not compile it again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Cache {
    /// Nowhere: every start compiles.
    Off,
    /// In the user's cache directory; nowhere if there is none or it cannot be written.
    #[default]
    User,
    /// In this directory, which is made if missing. Whoever can write to it can run code as this process.
    Directory(PathBuf),
}
