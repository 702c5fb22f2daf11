//! Keys in a Redis server that several processes share.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Client, RedisError, cmd, pipe};
use tokio::runtime::Handle;
use tokio_util::context::TokioContext;

use super::{Begun, Held, Key, Owner, PATIENCE, Store, StoreError};
use crate::types::DedupeSettings;

/// How long a key may be in flight. Longer than an answer may take, so that only the keys of a process that died run out.
const LEASE: Duration = Duration::from_secs(30);
const DELIVERED: &str = "delivered";
const RELEASE: &str = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0";

/// Remembers in Redis, or what speaks like it: for several processes behind one address, and across restarts.
///
/// Each key expires by itself, so the memory is bounded in time. The policy's number of keys is not looked at: Redis' own
/// `maxmemory` bounds the size. While Redis cannot be asked, everything is sent: an event may then reach a target twice.
pub struct RedisStore {
    client: Client,
    config: ConnectionManagerConfig,
    connection: ArcSwap<ConnectionManager>,
    /// Where the connection is kept up, also one that is made anew: whoever asks may be on a thread that ends before.
    runtime: Handle,
    window_ms: AtomicU64,
}

impl RedisStore {
    /// Connects. The address is `redis://[user:password@]host[:port][/database]`, or `rediss://` for TLS.
    ///
    /// # Errors
    /// The address cannot be read, or nobody answers there.
    pub async fn connect(url: &str) -> Result<Self, StoreError> {
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE))
            // Whoever asks next tries again: all wait while one does.
            .set_number_of_retries(0);
        // The error is cut to its kind: the address may hold a password.
        let client = Client::open(url).map_err(|error| StoreError(format!("{:?}", error.kind())))?;
        let connection = ConnectionManager::new_with_config(client.clone(), config.clone());
        let mut connection = connection.await.map_err(failed)?;
        cmd("PING").query_async::<()>(&mut connection).await.map_err(failed)?;
        let connection = ArcSwap::from_pointee(connection);
        Ok(RedisStore { client, config, connection, runtime: Handle::current(), window_ms: AtomicU64::new(0) })
    }

    /// Asks over the connection. One that fails is left for a new one: a silent one TCP would hold on to for a quarter of an hour, a
    /// login that was refused is remembered as long as the connection, and a server that only reads now may have a successor. What
    /// else Redis says of a command, that there is no room for one, another connection would be told too.
    async fn ask<R>(
        &self,
        question: impl AsyncFnOnce(ConnectionManager) -> Result<R, RedisError>,
    ) -> Result<R, StoreError> {
        let connection = self.connection.load_full();
        let question = question(ConnectionManager::clone(&connection));
        let answer = TokioContext::new(question, self.runtime.clone()).await;
        let is_spent = |error: &RedisError| {
            let said = error.clone().into_server_errors();
            let elsewhere = |code: &str| matches!(code, "NOAUTH" | "READONLY" | "WRONGPASS");
            said.is_none_or(|said| said.iter().any(|(_, error)| elsewhere(error.code())))
        };
        if answer.as_ref().is_err_and(is_spent)
            && Arc::ptr_eq(&connection, &self.connection.load())
            && let Ok(new) = ConnectionManager::new_lazy_with_config(self.client.clone(), self.config.clone())
        {
            self.connection.store(Arc::new(new));
        }
        answer.map_err(failed)
    }

    async fn begin(
        &self,
        mut connection: ConnectionManager,
        owner: Owner,
        keys: &[Key],
    ) -> Result<Vec<Begun>, RedisError> {
        let mut set = pipe();
        for key in keys {
            set.cmd("SET").arg(name(key)).arg(value(owner)).arg("NX").arg("PX").arg(millis(LEASE));
        }
        let set: Vec<Option<String>> = set.query_async(&mut connection).await?;
        let taken: Vec<&Key> = keys.iter().zip(&set).filter(|(_, set)| set.is_none()).map(|(key, _)| key).collect();
        if taken.is_empty() {
            return Ok(vec![Begun::Ours; keys.len()]);
        }
        let mut get = pipe();
        for key in taken {
            get.cmd("GET").arg(name(key));
        }
        let mut held = get.query_async::<Vec<Option<String>>>(&mut connection).await?.into_iter();
        let begun = set.iter().map(|set| match set {
            Some(_) => Begun::Ours,
            // Gone in between is as good as in flight: the sender comes back.
            None if held.next().flatten().as_deref() == Some(DELIVERED) => Begun::Delivered,
            None => Begun::InFlight,
        });
        Ok(begun.collect())
    }

    async fn commit(&self, mut connection: ConnectionManager, keys: &[Key]) -> Result<(), RedisError> {
        if keys.is_empty() {
            return Ok(());
        }
        let window = self.window_ms.load(Ordering::Relaxed);
        let mut set = pipe();
        for key in keys {
            set.cmd("SET").arg(name(key)).arg(DELIVERED).arg("PX").arg(window).ignore();
        }
        set.query_async(&mut connection).await
    }

    async fn release(&self, mut connection: ConnectionManager, owner: Owner, keys: &[Key]) -> Result<(), RedisError> {
        if keys.is_empty() {
            return Ok(());
        }
        let mut release = pipe();
        for key in keys {
            release.cmd("EVAL").arg(RELEASE).arg(1).arg(name(key)).arg(value(owner)).ignore();
        }
        release.query_async(&mut connection).await
    }
}

impl Store for RedisStore {
    fn configure(&self, dedupe: DedupeSettings) {
        self.window_ms.store(millis(Duration::from_secs(dedupe.window_s.into())), Ordering::Relaxed);
    }

    fn begin<'a>(&'a self, owner: Owner, keys: &'a [Key]) -> BoxFuture<'a, Result<Vec<Begun>, StoreError>> {
        self.ask(async move |connection| self.begin(connection, owner, keys).await).boxed()
    }

    fn commit<'a>(&'a self, _owner: Owner, keys: &'a [Key]) -> BoxFuture<'a, Result<(), StoreError>> {
        self.ask(async move |connection| self.commit(connection, keys).await).boxed()
    }

    fn release<'a>(&'a self, owner: Owner, keys: &'a [Key]) -> BoxFuture<'a, Result<(), StoreError>> {
        self.ask(async move |connection| self.release(connection, owner, keys).await).boxed()
    }

    /// Nothing: Redis counts its keys itself.
    fn held(&self) -> Held {
        Held::default()
    }
}

fn failed(error: RedisError) -> StoreError {
    StoreError(error.to_string())
}

fn name(key: &Key) -> String {
    format!("hookgate:{}", hex::encode(key.as_bytes()))
}

fn value(owner: Owner) -> String {
    format!("{:032x}", owner.get())
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
