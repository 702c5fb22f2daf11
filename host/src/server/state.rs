//! What all requests share.

use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::active::Active;
use super::metrics::Metrics;
use super::record::Recorder;
use super::redirect::RELAYED_BYTES;
use super::report::Report;
use super::store::{Store, StoreError};
use super::{Limits, log};

/// Browsers have this part of what deliveries have.
const BROWSERS: usize = 8;

/// What may be under way at a time.
pub(crate) struct Share {
    /// One for each request whose body is whole.
    pub(crate) slots: Arc<Semaphore>,
    /// One for each byte that is held: of deliveries, or of answers on their way to browsers.
    pub(crate) room: Arc<Semaphore>,
}

impl Share {
    fn new(requests: usize, bytes: usize) -> Self {
        Share { slots: semaphore(requests), room: semaphore(bytes) }
    }
}

pub(crate) struct State {
    pub(crate) active: ArcSwap<Active>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) metrics: Metrics,
    pub(crate) recorder: Option<Recorder>,
    pub(crate) limits: Limits,
    pub(crate) deliveries: Share,
    /// Anybody may come back from a setup link, or say so: that must take nothing from what Kapso sends.
    pub(crate) browsers: Share,
    /// One for each byte that is held of requests that come to no source's path.
    pub(crate) strangers: Arc<Semaphore>,
    /// One for each large body that may be decided at a time. Together with one call a worker this stays
    /// within what the plugin serves at once, so that nobody waits for an instance.
    pub(crate) large_bodies: Arc<Semaphore>,
    /// What goes on when its sender has hung up.
    pub(crate) tasks: TaskTracker,
    pub(crate) stopping: CancellationToken,
    /// Shows requests in place of logging them.
    pub(crate) show: Option<fn(&Report<'_>)>,
}

impl State {
    pub(crate) fn new(
        active: Active,
        store: Arc<dyn Store>,
        metrics: Metrics,
        recorder: Option<Recorder>,
        limits: Limits,
        workers: usize,
        show: Option<fn(&Report<'_>)>,
    ) -> Self {
        State {
            active: ArcSwap::from_pointee(active),
            store,
            metrics,
            recorder,
            deliveries: Share::new(limits.requests, limits.bytes),
            browsers: Share::new(limits.requests.div_ceil(BROWSERS), RELAYED_BYTES.max(limits.bytes / BROWSERS)),
            strangers: semaphore(limits.bytes.div_ceil(BROWSERS)),
            large_bodies: semaphore(workers),
            limits,
            tasks: TaskTracker::new(),
            stopping: CancellationToken::new(),
            show,
        }
    }

    /// Tells everybody who listens what became of a request.
    pub(crate) fn tell(&self, report: &Report<'_>) {
        self.metrics.record(report);
        match self.show {
            Some(show) => show(report),
            None => log::line(report),
        }
        if let Some(recorder) = &self.recorder {
            recorder.keep(report);
        }
    }

    pub(crate) fn store_failed(&self, operation: &'static str, error: &StoreError) {
        tracing::error!(operation, %error, "the store of event keys failed");
        self.metrics.store_failed(operation);
    }
}

fn semaphore(permits: usize) -> Arc<Semaphore> {
    Arc::new(Semaphore::new(permits.min(Semaphore::MAX_PERMITS)))
}
