//! Keys in this process's memory and in a file, so that they outlive the process.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::memory::MemoryStore;
use super::{Begun, Held, Key, Owner, Store, StoreError};
use crate::server::unix_time;
use crate::types::DedupeSettings;

/// Key to the Unix second in which it was committed.
const DELIVERED: TableDefinition<'_, [u8; 32], u64> = TableDefinition::new("delivered");
/// What is older than the window is thrown out of the file at the first commit, and then after so many.
const SWEEP: usize = 10_000;

/// Remembers in this process and writes what was delivered into a file, which one process has open at a time. A restart
/// forgets nothing but what was in flight, which is then delivered again.
pub struct FileStore {
    memory: MemoryStore,
    database: Arc<Database>,
    window: Arc<AtomicU64>,
    recalled: std::sync::Once,
    writer: mpsc::UnboundedSender<Commit>,
}

struct Commit {
    keys: Vec<Key>,
    at: u64,
    done: oneshot::Sender<Result<(), StoreError>>,
}

impl FileStore {
    /// Opens the file, or makes it.
    ///
    /// # Errors
    /// It cannot be opened: another process has it, or it is not a store.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        let path: PathBuf = path.as_ref().into();
        let database = Database::create(&path).map_err(|error| failed(&path, error))?;
        let database = Arc::new(database);
        let window = Arc::new(AtomicU64::new(0));
        let (writer, commits) = mpsc::unbounded_channel();
        let work = Writer { database: database.clone(), window: window.clone(), path, written: SWEEP };
        std::thread::Builder::new()
            .name("hookgate-store".into())
            .spawn(move || work.run(commits))
            .map_err(|error| StoreError(error.to_string()))?;
        Ok(FileStore { memory: MemoryStore::new(), database, window, recalled: std::sync::Once::new(), writer })
    }

    /// Takes what the file remembers into memory, oldest first.
    fn recall(&self) -> Result<(), redb::Error> {
        let reading = self.database.begin_read()?;
        let table = match reading.open_table(DELIVERED) {
            Ok(table) => table,
            Err(redb::TableError::TableDoesNotExist(_)) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let mut delivered = Vec::new();
        for entry in table.iter()? {
            let (key, at) = entry?;
            delivered.push((at.value(), Key::from_bytes(key.value())));
        }
        delivered.sort_unstable();
        let (now, unix_now) = (Instant::now(), unix_time());
        for (at, key) in delivered {
            let age = Duration::from_secs(unix_now.saturating_sub(at));
            // Where the clock does not reach back so far, the key is remembered longer than asked, never shorter.
            self.memory.recall(key, now.checked_sub(age).unwrap_or(now));
        }
        Ok(())
    }
}

impl Store for FileStore {
    fn configure(&self, dedupe: DedupeSettings) {
        self.window.store(dedupe.window_s.into(), Ordering::Relaxed);
        self.memory.configure(dedupe);
        self.recalled.call_once(|| {
            if let Err(error) = self.recall() {
                tracing::error!(%error, "what was delivered before this start could not be read");
            }
            self.memory.configure(dedupe);
        });
    }

    fn begin<'a>(&'a self, owner: Owner, keys: &'a [Key]) -> BoxFuture<'a, Result<Vec<Begun>, StoreError>> {
        self.memory.begin(owner, keys)
    }

    fn commit<'a>(&'a self, owner: Owner, keys: &'a [Key]) -> BoxFuture<'a, Result<(), StoreError>> {
        async move {
            self.memory.commit(owner, keys).await?;
            if keys.is_empty() {
                return Ok(());
            }
            let gone = || StoreError("the writer of the file has ended".into());
            let (done, written) = oneshot::channel();
            let commit = Commit { keys: keys.to_vec(), at: unix_time(), done };
            self.writer.send(commit).map_err(|_| gone())?;
            written.await.map_err(|_| gone())?
        }
        .boxed()
    }

    fn release<'a>(&'a self, owner: Owner, keys: &'a [Key]) -> BoxFuture<'a, Result<(), StoreError>> {
        self.memory.release(owner, keys)
    }

    fn held(&self) -> Held {
        self.memory.held()
    }
}

struct Writer {
    database: Arc<Database>,
    window: Arc<AtomicU64>,
    path: PathBuf,
    written: usize,
}

impl Writer {
    /// Writes whatever waits in one transaction, again and again, until the store is dropped.
    fn run(mut self, mut commits: mpsc::UnboundedReceiver<Commit>) {
        while let Some(first) = commits.blocking_recv() {
            let mut together = vec![first];
            while let Ok(more) = commits.try_recv() {
                together.push(more);
            }
            let written = self.write(&together).map_err(|error| failed(&self.path, error));
            for commit in together {
                // Its delivery may have been broken off.
                let _ = commit.done.send(written.clone());
            }
        }
    }

    fn write(&mut self, commits: &[Commit]) -> Result<(), redb::Error> {
        let writing = self.database.begin_write()?;
        {
            let mut table = writing.open_table(DELIVERED)?;
            for commit in commits {
                for key in &commit.keys {
                    table.insert(key.as_bytes(), commit.at)?;
                    self.written += 1;
                }
            }
            if self.written >= SWEEP {
                self.written = 0;
                let oldest = unix_time().saturating_sub(self.window.load(Ordering::Relaxed));
                table.retain(|_, at| at > oldest)?;
            }
        }
        writing.commit()?;
        Ok(())
    }
}

fn failed(path: &Path, error: impl std::fmt::Display) -> StoreError {
    StoreError(format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use redb::ReadableTableMetadata;

    use super::*;

    #[tokio::test]
    async fn a_server_that_is_often_restarted_sweeps_too() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("delivered");
        let old = Database::create(&path).unwrap();
        let writing = old.begin_write().unwrap();
        writing.open_table(DELIVERED).unwrap().insert([7; 32], 1).unwrap();
        writing.commit().unwrap();
        drop(old);

        let store = FileStore::open(&path).unwrap();
        store.configure(DedupeSettings { window_s: 900, max_keys: 10 });
        let (owner, key) = (Owner::unique(), [Key::new("bot", "a")]);
        store.begin(owner, &key).await.unwrap();
        store.commit(owner, &key).await.unwrap();
        let left = store.database.begin_read().unwrap().open_table(DELIVERED).unwrap().len().unwrap();
        assert_eq!(left, 1, "the one that is new");
    }
}
