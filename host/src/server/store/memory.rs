//! Keys in this process's memory: the default.

use std::collections::{HashMap, VecDeque};
use std::future::ready;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::time::Instant;

use super::{Begun, Held, Key, Owner, Store, StoreError};
use crate::types::DedupeSettings;

/// Remembers in this process, as long as it runs. Bounded: beyond the number of keys the oldest committed one is
/// forgotten first. Keys in flight come on top; the server's limit on concurrent requests bounds those.
#[derive(Debug, Default)]
pub struct MemoryStore {
    keys: Mutex<Keys>,
}

#[derive(Debug, Default)]
struct Keys {
    state: HashMap<Key, State>,
    /// The committed keys, oldest first.
    delivered: VecDeque<(Key, Instant)>,
    window: Duration,
    max: usize,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    InFlight(Owner),
    Delivered,
}

impl MemoryStore {
    /// An empty store. It remembers nothing until it is configured.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn keys(&self) -> MutexGuard<'_, Keys> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a key as committed at `at`, as a store that outlives the process does when it starts. Oldest first.
    pub(crate) fn recall(&self, key: Key, at: Instant) {
        self.keys().remember(key, at);
    }
}

impl Store for MemoryStore {
    fn configure(&self, dedupe: DedupeSettings) {
        let mut keys = self.keys();
        keys.window = Duration::from_secs(dedupe.window_s.into());
        keys.max = usize::try_from(dedupe.max_keys).unwrap_or(usize::MAX);
        keys.forget(Instant::now());
    }

    fn begin<'a>(&'a self, owner: Owner, wanted: &'a [Key]) -> BoxFuture<'a, Result<Vec<Begun>, StoreError>> {
        let mut keys = self.keys();
        keys.forget(Instant::now());
        let begun = wanted.iter().map(|key| keys.begin(owner, *key)).collect();
        ready(Ok(begun)).boxed()
    }

    fn commit<'a>(&'a self, _owner: Owner, done: &'a [Key]) -> BoxFuture<'a, Result<(), StoreError>> {
        let now = Instant::now();
        let mut keys = self.keys();
        done.iter().for_each(|key| keys.remember(*key, now));
        keys.forget(now);
        ready(Ok(())).boxed()
    }

    fn release<'a>(&'a self, owner: Owner, failed: &'a [Key]) -> BoxFuture<'a, Result<(), StoreError>> {
        let mut keys = self.keys();
        for key in failed {
            if keys.state.get(key) == Some(&State::InFlight(owner)) {
                keys.state.remove(key);
            }
        }
        ready(Ok(())).boxed()
    }

    fn held(&self) -> Held {
        let keys = self.keys();
        Held { in_flight: keys.state.len() - keys.delivered.len(), delivered: keys.delivered.len() }
    }
}

impl Keys {
    fn begin(&mut self, owner: Owner, key: Key) -> Begun {
        match self.state.get(&key) {
            Some(State::InFlight(_)) => Begun::InFlight,
            Some(State::Delivered) => Begun::Delivered,
            None => {
                self.state.insert(key, State::InFlight(owner));
                Begun::Ours
            }
        }
    }

    fn remember(&mut self, key: Key, at: Instant) {
        if self.state.insert(key, State::Delivered) != Some(State::Delivered) {
            self.delivered.push_back((key, at));
        }
    }

    fn forget(&mut self, now: Instant) {
        while let Some((key, at)) = self.delivered.front() {
            if self.delivered.len() <= self.max && now.saturating_duration_since(*at) < self.window {
                break;
            }
            self.state.remove(key);
            self.delivered.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(window_s: u32, max_keys: u32) -> MemoryStore {
        let store = MemoryStore::new();
        store.configure(DedupeSettings { window_s, max_keys });
        store
    }

    fn key(name: &str) -> Key {
        Key::new("bot", name)
    }

    async fn begin(store: &MemoryStore, name: &str) -> Begun {
        store.begin(Owner::unique(), &[key(name)]).await.expect("memory cannot fail")[0]
    }

    async fn deliver(store: &MemoryStore, name: &str) {
        assert_eq!(begin(store, name).await, Begun::Ours);
        store.commit(Owner::unique(), &[key(name)]).await.expect("memory cannot fail");
    }

    #[test]
    fn the_target_is_part_of_the_key_and_does_not_run_into_it() {
        assert_ne!(Key::new("bot", "a"), Key::new("crm", "a"));
        assert_ne!(Key::new("bot", "xa"), Key::new("botx", "a"));
    }

    #[tokio::test(start_paused = true)]
    async fn begun_then_committed_then_forgotten_after_the_window() {
        let store = store(900, 10);
        assert_eq!(begin(&store, "a").await, Begun::Ours);
        assert_eq!(begin(&store, "a").await, Begun::InFlight);
        store.commit(Owner::unique(), &[key("a")]).await.unwrap();
        assert_eq!(begin(&store, "a").await, Begun::Delivered);
        tokio::time::advance(Duration::from_secs(899)).await;
        assert_eq!(begin(&store, "a").await, Begun::Delivered);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(begin(&store, "a").await, Begun::Ours);
    }

    #[tokio::test(start_paused = true)]
    async fn released_is_free_again() {
        let store = store(900, 10);
        let owner = Owner::unique();
        store.begin(owner, &[key("a")]).await.unwrap();
        store.release(owner, &[key("a")]).await.unwrap();
        assert_eq!(begin(&store, "a").await, Begun::Ours);
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_releases_what_another_began() {
        let store = store(900, 10);
        begin(&store, "a").await;
        store.release(Owner::unique(), &[key("a")]).await.unwrap();
        assert_eq!(begin(&store, "a").await, Begun::InFlight);
    }

    #[tokio::test(start_paused = true)]
    async fn releasing_cannot_undo_a_commit() {
        let store = store(900, 10);
        let owner = Owner::unique();
        store.begin(owner, &[key("a")]).await.unwrap();
        store.commit(owner, &[key("a")]).await.unwrap();
        store.release(owner, &[key("a")]).await.unwrap();
        assert_eq!(begin(&store, "a").await, Begun::Delivered);
    }

    #[tokio::test(start_paused = true)]
    async fn the_oldest_committed_goes_first_and_what_is_in_flight_stays() {
        let store = store(900, 2);
        assert_eq!(begin(&store, "flying").await, Begun::Ours);
        for name in ["a", "b", "c"] {
            deliver(&store, name).await;
        }
        assert_eq!(store.held(), Held { in_flight: 1, delivered: 2 });
        assert_eq!(begin(&store, "flying").await, Begun::InFlight);
        assert_eq!(begin(&store, "b").await, Begun::Delivered);
        assert_eq!(begin(&store, "c").await, Begun::Delivered);
        assert_eq!(begin(&store, "a").await, Begun::Ours);
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_window_counts_for_what_is_remembered_already() {
        let store = store(900, 10);
        deliver(&store, "a").await;
        tokio::time::advance(Duration::from_secs(60)).await;
        store.configure(DedupeSettings { window_s: 60, max_keys: 10 });
        assert_eq!(begin(&store, "a").await, Begun::Ours);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn one_winner_among_many() {
        let store = std::sync::Arc::new(store(900, 10));
        for round in 0..200 {
            let name = round.to_string();
            let racers: Vec<_> = (0..8)
                .map(|_| {
                    let (store, name) = (store.clone(), name.clone());
                    tokio::spawn(async move { begin(&store, &name).await })
                })
                .collect();
            let mut winners = 0;
            for racer in racers {
                winners += usize::from(racer.await.unwrap() == Begun::Ours);
            }
            assert_eq!(winners, 1);
        }
    }
}
