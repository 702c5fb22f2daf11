//! The events of one dispatch that this delivery may send, and nobody else meanwhile.

use std::collections::HashSet;
use std::sync::Arc;

use futures_util::FutureExt;

use super::store::{Begun, Key, Owner, Store, StoreError};

/// Keys begun and not finished. What is neither committed nor released when this is dropped, because its task was
/// cancelled or panicked, is released.
pub(crate) struct Claims {
    store: Arc<dyn Store>,
    owner: Owner,
    /// One for each event of the dispatch.
    keys: Vec<Key>,
    /// The keys among them that are ours and unfinished.
    open: Vec<Key>,
}

impl Claims {
    /// Begins the events that `item_keys` stand for at `target`; says what it found, in the same order.
    pub(crate) async fn begin<'a>(
        store: &Arc<dyn Store>,
        target: &str,
        item_keys: impl Iterator<Item = &'a str>,
    ) -> Result<(Self, Vec<Begun>), StoreError> {
        let keys: Vec<Key> = item_keys.map(|item| Key::new(target, item)).collect();
        // Held before the store is asked: if this task ends within `begin`, the drop still gives everything back.
        let mut claims = Claims { store: store.clone(), owner: Owner::unique(), open: keys.clone(), keys };
        let begun = claims.store.begin(claims.owner, &claims.keys).await?;
        let ours = claims.keys.iter().zip(&begun).filter(|(_, begun)| **begun == Begun::Ours);
        claims.open = ours.map(|(key, _)| *key).collect();
        Ok((claims, begun))
    }

    /// Commits the events at these positions of the dispatch and releases the others.
    pub(crate) async fn finish(mut self, delivered: &[usize]) -> Result<(), StoreError> {
        let done: HashSet<Key> = delivered.iter().filter_map(|position| self.keys.get(*position).copied()).collect();
        let (done, failed): (Vec<Key>, Vec<Key>) = self.open.iter().partition(|key| done.contains(key));
        self.store.commit(self.owner, &done).await?;
        self.open.clone_from(&failed);
        self.store.release(self.owner, &failed).await?;
        self.open.clear();
        Ok(())
    }
}

impl Drop for Claims {
    fn drop(&mut self) {
        if self.open.is_empty() {
            return;
        }
        let (store, owner, open) = (self.store.clone(), self.owner, std::mem::take(&mut self.open));
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let mut release = async move { store.release(owner, &open).await }.boxed();
            // What is in memory is released by that, also when the runtime is about to end. Other stores take time.
            if (&mut release).now_or_never().is_none() {
                runtime.spawn(release);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::store::memory::MemoryStore;
    use crate::types::DedupeSettings;

    fn store() -> Arc<dyn Store> {
        let store = MemoryStore::new();
        store.configure(DedupeSettings { window_s: 900, max_keys: 10 });
        Arc::new(store)
    }

    async fn begin(store: &Arc<dyn Store>, items: &[&str]) -> (Claims, Vec<Begun>) {
        Claims::begin(store, "bot", items.iter().copied()).await.expect("memory cannot fail")
    }

    #[tokio::test]
    async fn what_was_taken_is_committed_and_the_rest_released() {
        let store = store();
        let (claims, begun) = begin(&store, &["a", "b", "c"]).await;
        assert_eq!(begun, [Begun::Ours; 3]);
        claims.finish(&[1]).await.unwrap();
        let (_claims, begun) = begin(&store, &["a", "b", "c"]).await;
        assert_eq!(begun, [Begun::Ours, Begun::Delivered, Begun::Ours]);
    }

    #[tokio::test]
    async fn what_is_never_finished_is_released() {
        let store = store();
        let (claims, _) = begin(&store, &["a"]).await;
        drop(claims);
        assert_eq!(store.held().in_flight, 0, "at once: the runtime may end with its tasks");
        let (_claims, begun) = begin(&store, &["a"]).await;
        assert_eq!(begun, [Begun::Ours]);
    }

    #[tokio::test]
    async fn dropping_does_not_release_what_another_holds() {
        let store = store();
        let (first, _) = begin(&store, &["a"]).await;
        let (second, begun) = begin(&store, &["a"]).await;
        assert_eq!(begun, [Begun::InFlight]);
        drop(second);
        tokio::task::yield_now().await;
        assert_eq!(store.held().in_flight, 1);
        first.finish(&[0]).await.unwrap();
        assert_eq!(begin(&store, &["a"]).await.1, [Begun::Delivered]);
    }
}
