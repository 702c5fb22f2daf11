//! Keeps deliveries as they came, to be read by `hookgate verify` and its like, and sent again by `hookgate replay`.
//!
//! A delivery never waits for this: it is put into a queue, and where that is full it is counted and not kept. One
//! thread of its own writes.

mod line;
mod redact;
mod segments;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use self::line::{Entry, Form};
use self::redact::Redactor;
use self::segments::{Segments, Unwritten};
use super::Error;
use super::metrics::Records;
use super::report::Report;

/// What is kept of deliveries, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recording {
    /// A folder of its own, made if it is not there, that nobody else can read. Its files are `deliveries-NUMBER.jsonl`, the
    /// oldest with the lowest number, of one JSON object a line.
    pub folder: PathBuf,
    /// Bytes that all files together may have: before there would be more the oldest file is removed.
    pub bytes: u64,
    /// Keeps what the gate refused as well, if it was read so far: a signature that is missing or malformed is refused without
    /// waiting for the body.
    pub forged: bool,
    /// Keeps the signatures, so that a delivery can be verified again.
    pub signatures: bool,
    /// Keeps all headers. Otherwise those are left out that carry credentials, or that proxies add.
    pub all_headers: bool,
    /// Blanks texts, names and addresses of media in the bodies, and puts pseudonyms in the place of numbers and ids.
    pub redact: bool,
    /// Bytes of deliveries that may wait to be written; what goes beyond is counted and not kept.
    pub queue_bytes: usize,
}

impl Recording {
    /// Genuine deliveries with their signatures, 256 MiB of them at the most.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Recording {
            folder: folder.into(),
            bytes: 256 << 20,
            forged: false,
            signatures: true,
            all_headers: false,
            redact: false,
            queue_bytes: 64 << 20,
        }
    }

    /// Makes the folder ours, and begins to write what is handed in.
    pub(crate) fn start(&self, records: Records) -> Result<Recorder, Error> {
        let refused = |message: String| Error::Recording { folder: self.folder.clone(), message };
        let segments = Segments::open(&self.folder, self.bytes).map_err(refused)?;
        let redactor = match self.redact {
            true => Some(Redactor::new().map_err(|error| refused(format!("there is no randomness: {error}")))?),
            false => None,
        };
        let form = Form { signatures: self.signatures, all_headers: self.all_headers, redactor };
        let (queue, messages) = channel(QUEUE);
        let writer = Writer { segments, form, records: records.clone(), failing: false };
        // Not one of the runtime's threads: where the disk hangs, it keeps nobody from ending.
        let thread = thread::Builder::new().name("record".to_owned()).spawn(move || writer.run(messages));
        thread.map_err(|error| refused(error.to_string()))?;
        let queue_bytes = self.queue_bytes.min(Semaphore::MAX_PERMITS).min(u32::MAX as usize);
        let room = Arc::new(Semaphore::new(queue_bytes));
        Ok(Recorder { queue, room, queue_bytes, forged: self.forged, records, full: AtomicBool::new(false) })
    }
}

/// Deliveries that may wait to be written.
const QUEUE: usize = 4096;
/// What a delivery takes of the queue besides its headers and its body.
const REST: usize = 1024;

/// Where deliveries are handed in.
pub(crate) struct Recorder {
    queue: Sender<Message>,
    room: Arc<Semaphore>,
    queue_bytes: usize,
    forged: bool,
    records: Records,
    /// Whether the last one found no room: that too is one line in the log.
    full: AtomicBool,
}

enum Message {
    Keep(Box<Entry>, OwnedSemaphorePermit),
    /// Everything that was handed in before is written, and the folder is free, when this is answered.
    Finish(oneshot::Sender<()>),
}

impl Recorder {
    /// Hands in the delivery that a report is about, if it is one to keep. Never waits.
    pub(crate) fn keep(&self, report: &Report<'_>) {
        let Some(entry) = Entry::of(report, self.forged) else { return };
        let size = entry.size().saturating_add(REST).min(self.queue_bytes);
        let room = self.room.clone().try_acquire_many_owned(u32::try_from(size).unwrap_or(u32::MAX));
        let sent = room.is_ok_and(|room| self.queue.try_send(Message::Keep(Box::new(entry), room)).is_ok());
        if !sent {
            self.records.count("queue-full");
        }
        if !self.full.swap(!sent, Ordering::Relaxed) && !sent {
            tracing::warn!("deliveries are not recorded: as many wait to be written as may");
        }
    }

    /// Waits until everything that was handed in is written. Nothing is taken any more.
    pub(crate) async fn finish(&self) {
        let (finished, wait) = oneshot::channel();
        if self.queue.send(Message::Finish(finished)).await.is_ok() {
            let _ = wait.await;
        }
    }
}

struct Writer {
    segments: Segments,
    form: Form,
    records: Records,
    /// Whether the last write failed: a full disk is one line in the log, not thousands.
    failing: bool,
}

impl Writer {
    fn run(mut self, mut messages: Receiver<Message>) {
        self.records.bytes(self.segments.bytes());
        while let Some(message) = messages.blocking_recv() {
            match message {
                Message::Keep(entry, _room) => self.write(&entry),
                Message::Finish(finished) => {
                    drop(self);
                    let _ = finished.send(());
                    return;
                }
            }
        }
    }

    fn write(&mut self, entry: &Entry) {
        let result = match self.segments.append(&entry.line(&self.form)) {
            Ok(()) => {
                if std::mem::take(&mut self.failing) {
                    tracing::info!("deliveries are recorded again");
                }
                "written"
            }
            Err(Unwritten::TooLarge) => {
                tracing::warn!("a delivery was not recorded: it is larger than all together may be");
                "too-large"
            }
            Err(Unwritten::Failed(error)) => {
                if !std::mem::replace(&mut self.failing, true) {
                    tracing::error!(%error, "deliveries cannot be recorded");
                }
                "failed"
            }
        };
        self.records.count(result);
        self.records.bytes(self.segments.bytes());
    }
}
