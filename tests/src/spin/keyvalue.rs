//! Key-value stores as Spin has them, and `wasi:keyvalue` over them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use redis::AsyncCommands;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use wasmtime::component::{ComponentType, Lift, Linker, Lower, Resource, ResourceType};

use super::host::State;

/// A store.
#[derive(Clone, Debug)]
pub enum Store {
    /// As Spin's SQLite keeps it: a counter is 8 little-endian bytes.
    Memory(Memory),
    /// A Redis server at this URL, spoken to as Spin does: a counter is text.
    Redis(String),
}

/// What is in a store, for every app that has it.
#[derive(Clone, Debug, Default)]
pub struct Memory(Arc<Mutex<Contents>>);

#[derive(Debug, Default)]
struct Contents {
    values: BTreeMap<String, Vec<u8>>,
    broken: bool,
}

impl Store {
    /// An empty store in memory.
    pub fn memory() -> Self {
        Store::Memory(Memory::default())
    }

    /// The keys in it, where that can be told.
    pub fn keys(&self) -> Vec<String> {
        match self {
            Store::Memory(memory) => memory.with(|contents| contents.values.keys().cloned().collect()),
            Store::Redis(_) => Vec::new(),
        }
    }

    /// Fails from now on, or works again.
    ///
    /// # Panics
    /// When it is not in memory.
    pub fn set_broken(&self, broken: bool) {
        let Store::Memory(memory) = self else { panic!("only a store in memory can be broken") };
        memory.with(|contents| contents.broken = broken);
    }

    pub(super) async fn open(&self) -> anyhow::Result<Open> {
        Ok(match self {
            Store::Memory(memory) => Open::Memory(memory.clone()),
            Store::Redis(url) => {
                // The client's own limit of half a second is not what is tested.
                let patience = Some(Duration::from_secs(20));
                let config =
                    ConnectionManagerConfig::new().set_connection_timeout(patience).set_response_timeout(patience);
                let client = redis::Client::open(url.as_str())?;
                Open::Redis(client.get_connection_manager_with_config(config).await?)
            }
        })
    }
}

impl Memory {
    fn with<T>(&self, f: impl FnOnce(&mut Contents) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn working<T>(&self, f: impl FnOnce(&mut BTreeMap<String, Vec<u8>>) -> Result<T, Error>) -> Result<T, Error> {
        self.with(|contents| {
            if contents.broken { Err(Error::Other("the disk is full".to_owned())) } else { f(&mut contents.values) }
        })
    }
}

/// A connection to a store.
#[derive(Clone)]
pub(super) enum Open {
    Memory(Memory),
    Redis(ConnectionManager),
}

impl Open {
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Error> {
        match self {
            Open::Memory(memory) => memory.working(|values| Ok(values.get(key).cloned())),
            Open::Redis(redis) => Ok(redis.clone().get(key).await?),
        }
    }

    async fn increment(&self, key: String, delta: i64) -> Result<i64, Error> {
        match self {
            Open::Memory(memory) => memory.working(|values| {
                let old = values.get(&key).map_or(Ok([0; 8]), |old| old.as_slice().try_into());
                // Spin panics here.
                let old = old.map_err(|_| Error::Other(format!("{key} is no counter")))?;
                let new = i64::from_le_bytes(old) + delta;
                values.insert(key, new.to_le_bytes().to_vec());
                Ok(new)
            }),
            Open::Redis(redis) => Ok(redis.clone().incr(key, delta).await?),
        }
    }

    async fn set_many(&self, new: Vec<(String, Vec<u8>)>) -> Result<(), Error> {
        match self {
            Open::Memory(memory) => memory.working(|values| {
                values.extend(new);
                Ok(())
            }),
            Open::Redis(redis) => Ok(redis.clone().mset(&new).await?),
        }
    }

    async fn delete_many(&self, keys: Vec<String>) -> Result<(), Error> {
        match self {
            Open::Memory(memory) => memory.working(|values| {
                keys.iter().for_each(|key| drop(values.remove(key)));
                Ok(())
            }),
            Open::Redis(redis) => Ok(redis.clone().del(keys).await?),
        }
    }
}

/// `wasi:keyvalue/store.error`.
#[derive(Clone, Debug, ComponentType, Lift, Lower)]
#[component(variant)]
enum Error {
    #[component(name = "no-such-store")]
    #[allow(dead_code, reason = "a case of the interface that nothing here needs")]
    NoSuchStore,
    #[component(name = "access-denied")]
    AccessDenied,
    #[component(name = "other")]
    Other(String),
}

impl From<redis::RedisError> for Error {
    fn from(error: redis::RedisError) -> Self {
        Error::Other(error.to_string())
    }
}

struct Bucket;

type Many = Vec<(String, Vec<u8>)>;

/// Provides what the component uses of the three interfaces. Only one store can be open, so a bucket needs no number.
pub(super) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    const ONLY: u32 = 0;
    let mut store = linker.instance("wasi:keyvalue/store@0.2.0-draft2")?;
    store.resource("bucket", ResourceType::host::<Bucket>(), |_, _| Ok(()))?;
    store.func_wrap("open", |context, (label,): (String,)| {
        let allowed = context.data().stores.contains(&label);
        Ok((allowed.then(|| Resource::<Bucket>::new_own(ONLY)).ok_or(Error::AccessDenied),))
    })?;
    store.func_wrap_async("[method]bucket.get", |context, (_, key): (Resource<Bucket>, String)| {
        let store = context.data().store.clone();
        Box::new(async move { Ok((store.get(&key).await,)) })
    })?;
    store.func_wrap_async("[method]bucket.exists", |context, (_, key): (Resource<Bucket>, String)| {
        let store = context.data().store.clone();
        Box::new(async move { Ok((store.get(&key).await.map(|value| value.is_some()),)) })
    })?;
    let mut atomics = linker.instance("wasi:keyvalue/atomics@0.2.0-draft2")?;
    atomics.func_wrap_async("increment", |context, (_, key, delta): (Resource<Bucket>, String, i64)| {
        let store = context.data().store.clone();
        Box::new(async move { Ok((store.increment(key, delta).await,)) })
    })?;
    let mut batch = linker.instance("wasi:keyvalue/batch@0.2.0-draft2")?;
    batch.func_wrap_async("set-many", |context, (_, values): (Resource<Bucket>, Many)| {
        let store = context.data().store.clone();
        Box::new(async move { Ok((store.set_many(values).await,)) })
    })?;
    batch.func_wrap_async("delete-many", |context, (_, keys): (Resource<Bucket>, Vec<String>)| {
        let store = context.data().store.clone();
        Box::new(async move { Ok((store.delete_many(keys).await,)) })
    })
}
