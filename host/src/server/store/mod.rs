//! Where the keys of delivered events live.

pub mod file;
pub mod memory;
pub mod redis;

use std::fmt;
use std::future::ready;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use sha2::{Digest, Sha256};

use crate::types::DedupeSettings;

/// What a store elsewhere may take for one answer: one that hangs must not use up the time for the targets.
const PATIENCE: Duration = Duration::from_millis(500);

/// The key of one event at one target: SHA-256 over both names. Message ids carry phone numbers, a digest does not.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key([u8; 32]);

impl Key {
    /// The key of the event that `item_key` stands for, at `target`.
    #[must_use]
    pub fn new(target: &str, item_key: &str) -> Self {
        let mut hash = Sha256::new();
        hash.update((target.len() as u64).to_be_bytes());
        hash.update(target);
        hash.update(item_key);
        Key(hash.finalize().into())
    }

    pub(crate) fn from_bytes(digest: [u8; 32]) -> Self {
        Key(digest)
    }

    /// The digest.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// Who began a key: one dispatch of one delivery, in one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Owner(u128);

impl Owner {
    /// An owner that no other is equal to, in this process or another.
    #[must_use]
    pub fn unique() -> Self {
        static PROCESS: LazyLock<u64> = LazyLock::new(|| getrandom::u64().unwrap_or(u64::from(std::process::id())));
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Owner((u128::from(*PROCESS) << 64) | u128::from(NEXT.fetch_add(1, Ordering::Relaxed)))
    }

    /// The owner as a number.
    #[must_use]
    pub fn get(self) -> u128 {
        self.0
    }
}

/// What `begin` found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begun {
    /// Nobody had it: it is the caller's now, until `commit` or `release`.
    Ours,
    /// Somebody else began it and has not finished.
    InFlight,
    /// It was committed within the window.
    Delivered,
}

/// Which store to use, as an argument says it.
#[derive(Clone, PartialEq, Eq)]
pub enum Choice {
    /// `memory`: a [`MemoryStore`](memory::MemoryStore).
    Memory,
    /// `file:PATH`: a [`FileStore`](file::FileStore).
    File(PathBuf),
    /// `redis://…` or `rediss://…`: a [`RedisStore`](redis::RedisStore).
    Redis(String),
}

/// Without the address of a Redis server, which may hold a password.
impl fmt::Debug for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Choice::Memory => f.write_str("Memory"),
            Choice::File(path) => f.debug_tuple("File").field(path).finish(),
            Choice::Redis(_) => f.write_str("Redis"),
        }
    }
}

impl FromStr for Choice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':') {
            None if text == "memory" => Ok(Choice::Memory),
            Some(("file", path)) if !path.is_empty() => Ok(Choice::File(path.into())),
            Some(("redis" | "rediss", _)) => Ok(Choice::Redis(text.to_owned())),
            _ => Err("expected \"memory\", \"file:PATH\", \"redis://HOST\" or \"rediss://HOST\"".to_owned()),
        }
    }
}

impl Choice {
    /// Opens the store.
    ///
    /// # Errors
    /// It cannot be opened.
    pub async fn open(&self) -> Result<Arc<dyn Store>, StoreError> {
        match self {
            Choice::Memory => Ok(Arc::new(memory::MemoryStore::new())),
            Choice::File(path) => Ok(Arc::new(file::FileStore::open(path)?)),
            Choice::Redis(url) => Ok(Arc::new(redis::RedisStore::connect(url).await?)),
        }
    }
}

/// What a store holds in this process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Keys begun and not finished.
    pub in_flight: usize,
    /// Keys committed and remembered.
    pub delivered: usize,
}

/// The memory of what was delivered. A key is begun, then committed when the target took the event, or released when it
/// did not; `begin` gives a key to one caller only, however many ask at once.
///
/// A store must remember a committed key for the window and may forget the oldest beyond the number of keys it is told. It
/// must not forget a key in flight while its caller lives, and must not keep it for good when its caller is gone.
pub trait Store: Send + Sync + 'static {
    /// Sets the window and the number of keys. Called at the start and whenever the policy changes; what is remembered
    /// stays.
    fn configure(&self, dedupe: DedupeSettings);

    /// Begins each of `keys`, all different, for `owner`; says what it found, in the same order.
    fn begin<'a>(&'a self, owner: Owner, keys: &'a [Key]) -> BoxFuture<'a, Result<Vec<Begun>, StoreError>>;

    /// Remembers keys that `owner` began.
    fn commit<'a>(&'a self, owner: Owner, keys: &'a [Key]) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Gives back those of `keys` that `owner` began and did not commit; leaves the others alone.
    fn release<'a>(&'a self, owner: Owner, keys: &'a [Key]) -> BoxFuture<'a, Result<(), StoreError>>;

    /// What is held in this process, for the metrics.
    fn held(&self) -> Held;

    /// Waits until what was committed is where it outlives the process, if it does, and lets go of what others may wait for. Called
    /// when a server has stopped; the store goes on where it is used again, as by another server.
    fn close(&self) -> BoxFuture<'_, ()> {
        ready(()).boxed()
    }
}

/// The store could not be asked or did not answer.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct StoreError(pub String);
