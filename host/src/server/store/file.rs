//! Keys in this process's memory and in a file, so that they outlive the process.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use redb::{Database, ReadableDatabase, ReadableTable, ReadableTableMetadata, Table, TableDefinition};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout};

use super::memory::MemoryStore;
use super::{Begun, Held, Key, Owner, PATIENCE, Store, StoreError};
use crate::server::unix_time;
use crate::types::DedupeSettings;

/// Key to the Unix second in which it was committed.
const DELIVERED: TableDefinition<'_, [u8; 32], u64> = TableDefinition::new("delivered");
/// What is older than the window or too much is thrown out of the file at the first commit, and then after so many, or a quarter of
/// what is there.
const SWEEP: u64 = 10_000;
/// Messages that may wait for the writer.
const WAITING: usize = 16_384;

/// Remembers in this process and writes what was delivered into a file, which one process has open at a time. A restart
/// forgets nothing but what was in flight, which is then delivered again; after a crash, without [`Store::close`], also what the disk
/// was slow to take.
pub struct FileStore {
    memory: MemoryStore,
    /// Until it has been recalled what is in it.
    database: Mutex<Option<Arc<Database>>>,
    dedupe: Arc<Mutex<DedupeSettings>>,
    writer: mpsc::Sender<Message>,
}

enum Message {
    Commit(Commit),
    /// When this is answered, everything that was handed in before has been written, or has failed, and the file is free.
    Close(oneshot::Sender<()>),
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
        let dedupe = Arc::new(Mutex::new(DedupeSettings { window_s: 0, max_keys: 0 }));
        let (writer, messages) = mpsc::channel(WAITING);
        let work = Writer { database: Some(database.clone()), dedupe: dedupe.clone(), path, written: u64::MAX };
        std::thread::Builder::new()
            .name("hookgate-store".into())
            .spawn(move || work.run(messages))
            .map_err(|error| StoreError(error.to_string()))?;
        Ok(FileStore { memory: MemoryStore::new(), database: Mutex::new(Some(database)), dedupe, writer })
    }

    /// Takes what the file remembers into memory, oldest first.
    fn recall(&self, database: &Database, dedupe: DedupeSettings) -> Result<(), redb::Error> {
        let reading = database.begin_read()?;
        let table = match reading.open_table(DELIVERED) {
            Ok(table) => table,
            Err(redb::TableError::TableDoesNotExist(_)) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let (now, unix_now) = (Instant::now(), unix_time());
        let oldest = unix_now.saturating_sub(dedupe.window_s.into());
        // The newest, of which the oldest is on top.
        let mut newest = BinaryHeap::new();
        for entry in table.iter()? {
            let (key, at) = entry?;
            if at.value() > oldest {
                newest.push(Reverse((at.value(), Key::from_bytes(key.value()))));
            }
            if newest.len() > usize::try_from(dedupe.max_keys).unwrap_or(usize::MAX) {
                newest.pop();
            }
        }
        while let Some(Reverse((at, key))) = newest.pop() {
            let age = Duration::from_secs(unix_now.saturating_sub(at));
            // Where the clock does not reach back so far, the key is remembered longer than asked, never shorter.
            self.memory.recall(key, now.checked_sub(age).unwrap_or(now));
        }
        Ok(())
    }
}

impl Store for FileStore {
    fn configure(&self, dedupe: DedupeSettings) {
        *lock(&self.dedupe) = dedupe;
        self.memory.configure(dedupe);
        let Some(database) = lock(&self.database).take() else { return };
        if let Err(error) = self.recall(&database, dedupe) {
            tracing::error!(%error, "what was delivered before this start could not be read");
        }
        self.memory.configure(dedupe);
    }

    fn begin<'a>(&'a self, owner: Owner, keys: &'a [Key]) -> BoxFuture<'a, Result<Vec<Begun>, StoreError>> {
        self.memory.begin(owner, keys)
    }

    /// A disk that hangs keeps nobody waiting for long: what is not written yet is in memory.
    fn commit<'a>(&'a self, owner: Owner, keys: &'a [Key]) -> BoxFuture<'a, Result<(), StoreError>> {
        async move {
            self.memory.commit(owner, keys).await?;
            if keys.is_empty() {
                return Ok(());
            }
            let (done, written) = oneshot::channel();
            let commit = Commit { keys: keys.to_vec(), at: unix_time(), done };
            let handed_in = self.writer.try_send(Message::Commit(commit));
            handed_in.map_err(|error| StoreError(format!("nothing can be written: {error}")))?;
            let written = timeout(PATIENCE, written).await;
            let written = written.map_err(|_| StoreError(format!("not written within {} ms", PATIENCE.as_millis())))?;
            written.map_err(|_| StoreError("the writer of the file has ended".into()))?
        }
        .boxed()
    }

    fn release<'a>(&'a self, owner: Owner, keys: &'a [Key]) -> BoxFuture<'a, Result<(), StoreError>> {
        self.memory.release(owner, keys)
    }

    fn held(&self) -> Held {
        self.memory.held()
    }

    /// What is committed later opens the file again.
    fn close(&self) -> BoxFuture<'_, ()> {
        async move {
            drop(lock(&self.database).take());
            let (closed, wait) = oneshot::channel();
            if self.writer.send(Message::Close(closed)).await.is_ok() {
                let _ = wait.await;
            }
        }
        .boxed()
    }
}

struct Writer {
    /// None when closed, and after a failure: one that failed once fails for good. Opened anew when there is something to write.
    database: Option<Arc<Database>>,
    dedupe: Arc<Mutex<DedupeSettings>>,
    path: PathBuf,
    /// Since the last sweep.
    written: u64,
}

impl Writer {
    /// Writes whatever waits in one transaction, again and again, until the store is dropped.
    fn run(mut self, mut messages: mpsc::Receiver<Message>) {
        let mut waiting = Vec::new();
        while messages.blocking_recv_many(&mut waiting, WAITING) > 0 {
            let (mut commits, mut closing) = (Vec::new(), Vec::new());
            for message in waiting.drain(..) {
                match message {
                    Message::Commit(commit) => commits.push(commit),
                    Message::Close(closed) => closing.push(closed),
                }
            }
            if !commits.is_empty() {
                self.commit(commits);
            }
            if !closing.is_empty() {
                self.database = None;
            }
            for closed in closing {
                let _ = closed.send(());
            }
        }
    }

    /// Writes, answers, and sweeps where there is enough to.
    fn commit(&mut self, commits: Vec<Commit>) {
        let keys = self.write(&commits).map_err(|error| failed(&self.path, error));
        let mut unheard = false;
        for commit in commits {
            // Its delivery may have been broken off, or have waited long enough.
            unheard |= commit.done.send(keys.clone().map(|_| ())).is_err();
        }
        let keys = match keys {
            Ok(keys) => keys,
            Err(error) => {
                self.database = None;
                if unheard {
                    tracing::error!(%error, "delivered events could not be written");
                }
                return;
            }
        };
        if self.written >= SWEEP.max(keys / 4)
            && let Err(error) = self.sweep()
        {
            tracing::error!(%error, "what is not remembered any more could not be thrown out of the file");
            self.database = None;
        }
    }

    /// How many keys are in the file then.
    fn write(&mut self, commits: &[Commit]) -> Result<u64, redb::Error> {
        let database = match &self.database {
            Some(database) => database,
            None => self.database.insert(Arc::new(Database::create(&self.path)?)),
        };
        let writing = database.begin_write()?;
        let keys = {
            let mut table = writing.open_table(DELIVERED)?;
            for commit in commits {
                for key in &commit.keys {
                    table.insert(key.as_bytes(), commit.at)?;
                    self.written = self.written.saturating_add(1);
                }
            }
            table.len()?
        };
        writing.commit()?;
        Ok(keys)
    }

    /// In a transaction of its own: it takes long, and what was written is answered before.
    fn sweep(&mut self) -> Result<(), redb::Error> {
        let Some(database) = &self.database else { return Ok(()) };
        let writing = database.begin_write()?;
        {
            let mut table = writing.open_table(DELIVERED)?;
            throw_out(&mut table, *lock(&self.dedupe))?;
        }
        writing.commit()?;
        self.written = 0;
        Ok(())
    }
}

/// Throws out what is older than the window, and the oldest of what is too much.
fn throw_out(table: &mut Table<'_, [u8; 32], u64>, dedupe: DedupeSettings) -> Result<(), redb::Error> {
    let mut oldest = unix_time().saturating_sub(dedupe.window_s.into()).saturating_add(1);
    let most = usize::try_from(dedupe.max_keys).unwrap_or(usize::MAX);
    if table.len()? > u64::from(dedupe.max_keys) {
        let mut times = table.iter()?.map(|entry| entry.map(|(_, at)| at.value())).collect::<Result<Vec<_>, _>>()?;
        times.sort_unstable();
        let first_kept = times.get(times.len().saturating_sub(most)).copied();
        oldest = oldest.max(first_kept.unwrap_or(u64::MAX));
    }
    table.retain(|_, at| at >= oldest)?;
    Ok(())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn failed(path: &Path, error: impl std::fmt::Display) -> StoreError {
    StoreError(format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEDUPE: DedupeSettings = DedupeSettings { window_s: 900, max_keys: 10 };

    /// A file with keys of these times in it.
    fn file(folder: &tempfile::TempDir, times: &[u64]) -> PathBuf {
        let path = folder.path().join("delivered");
        let old = Database::create(&path).unwrap();
        let writing = old.begin_write().unwrap();
        {
            let mut table = writing.open_table(DELIVERED).unwrap();
            for (number, at) in times.iter().enumerate() {
                table.insert(Key::new("bot", &number.to_string()).as_bytes(), at).unwrap();
            }
        }
        writing.commit().unwrap();
        path
    }

    async fn deliver(store: &FileStore, item: &str) {
        let (owner, key) = (Owner::unique(), [Key::new("bot", item)]);
        store.begin(owner, &key).await.unwrap();
        // A disk may take longer than a delivery waits for it: it is written all the same.
        let _ = store.commit(owner, &key).await;
    }

    /// How many keys are in the file when the store has let go of it.
    fn left(path: &Path) -> u64 {
        let database = loop {
            match Database::create(path) {
                Ok(database) => break database,
                Err(_) => std::thread::yield_now(),
            }
        };
        let reading = database.begin_read().unwrap();
        reading.open_table(DELIVERED).unwrap().len().unwrap()
    }

    fn opened(path: &Path) -> FileStore {
        let store = FileStore::open(path).unwrap();
        store.configure(DEDUPE);
        store
    }

    #[tokio::test]
    async fn a_server_that_is_often_restarted_sweeps_too() {
        let folder = tempfile::tempdir().unwrap();
        let path = file(&folder, &[1]);
        let store = opened(&path);
        deliver(&store, "a").await;
        drop(store);
        assert_eq!(left(&path), 1, "the one that is new");
    }

    #[tokio::test]
    async fn neither_file_nor_memory_holds_more_than_it_may() {
        let folder = tempfile::tempdir().unwrap();
        let times: Vec<u64> = (0..100).map(|number| unix_time() - 100 + number).collect();
        let path = file(&folder, &times);
        let store = opened(&path);
        assert_eq!(store.held().delivered, 10);
        let newest: Vec<_> = (90..100).map(|number| Key::new("bot", &number.to_string())).collect();
        assert_eq!(store.begin(Owner::unique(), &newest).await.unwrap(), [Begun::Delivered; 10]);
        deliver(&store, "a").await;
        drop(store);
        assert_eq!(left(&path), 10);
    }

    #[test]
    fn what_is_written_is_answered_before_the_file_is_swept() {
        let folder = tempfile::tempdir().unwrap();
        let path = file(&folder, &[1]);
        let store = opened(&path);
        // The sweep waits for this.
        let dedupe = lock(&store.dedupe);
        let (done, written) = oneshot::channel();
        let commit = Commit { keys: vec![Key::new("bot", "a")], at: unix_time(), done };
        store.writer.blocking_send(Message::Commit(commit)).expect("somebody writes");
        written.blocking_recv().expect("an answer").expect("it is written");
        drop(dedupe);
        drop(store);
        assert_eq!(left(&path), 1, "it is swept all the same");
    }

    #[tokio::test]
    async fn one_that_is_closed_has_written_what_waited_and_lets_go_of_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = file(&folder, &[]);
        let store = opened(&path);
        for item in ["a", "b", "c"] {
            // Nobody waits until it is written.
            let _ = store.commit(Owner::unique(), &[Key::new("bot", item)]).now_or_never();
        }
        store.close().await;
        assert!(Database::create(&path).is_ok(), "the file is free");
        assert_eq!(left(&path), 3);
        deliver(&store, "d").await;
        drop(store);
        assert_eq!(left(&path), 4, "it was opened again");
    }

    #[tokio::test]
    async fn after_a_failure_the_file_is_written_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = file(&folder, &[]);
        let store = opened(&path);
        deliver(&store, "a").await;
        // As if the writer had met an error: the file is to be opened, and cannot be.
        let mut writer = Writer { database: None, dedupe: store.dedupe.clone(), path: path.clone(), written: 0 };
        let commit = |item: &str| {
            let (done, _) = oneshot::channel();
            [Commit { keys: vec![Key::new("bot", item)], at: unix_time(), done }]
        };
        assert!(writer.write(&commit("b")).is_err(), "another has it open");
        drop(store);
        while writer.write(&commit("b")).is_err() {
            std::thread::yield_now();
        }
        drop(writer);
        assert_eq!(left(&path), 2);
    }
}
