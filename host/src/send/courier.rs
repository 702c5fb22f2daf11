//! The life of a delivery, as Kapso's documentation tells it: attempts, the ladder, and what comes after the last one.

use std::io::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::join_all;
use http::HeaderMap;
use indicatif::ProgressBar;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::compose::{Composed, Form, Webhook};
use super::dice::{Dice, Purpose};
use super::duplicate::Duplicate;
use super::forge::Forgery;
use super::ladder::Ladder;
use super::order::{self, Order, Turn};
use super::parcel::{Parcel, again_dice, forged};
use super::pause::Pauses;
use super::sign::Signers;
use super::stats::Stats;
use super::transport::{Answer, LIMIT, Transport};
use super::written::Written;

/// How Kapso behaves.
#[derive(Clone, Debug)]
pub(crate) struct Manner {
    pub(crate) ladder: Ladder,
    /// By this every wait is divided.
    pub(crate) speed: f64,
    /// From how many answers on the pause rule holds.
    pub(crate) pause_from: u64,
    /// Whether a paused webhook really sends no more.
    pub(crate) stop_when_paused: bool,
}

/// Delivers.
pub(crate) struct Courier<T> {
    pub(crate) transport: T,
    pub(crate) signers: Signers,
    pub(crate) seed: u64,
    pub(crate) manner: Manner,
    /// The requests that may be under way at a time.
    pub(crate) requests: Semaphore,
    pub(crate) started: Instant,
    pub(crate) stats: Mutex<Stats>,
    pub(crate) pauses: Mutex<Pauses>,
    pub(crate) stop: CancellationToken,
    pub(crate) progress: ProgressBar,
}

/// What became of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Accepted,
    GivenUp,
    HeldBack,
    Interrupted,
}

impl<T: Transport> Courier<T> {
    /// Does all that is to be done with one parcel.
    pub(crate) async fn deliver(&self, parcel: Parcel, turn: Turn) {
        match parcel {
            Parcel::Genuine(composed, again) => self.genuine(composed, again, turn).await,
            Parcel::Forged(composed, forgery) => self.forged(&composed, forgery).await,
        }
        self.stats().done += 1;
        self.progress.inc(1);
    }

    pub(crate) fn stats(&self) -> MutexGuard<'_, Stats> {
        self.stats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn pauses(&self) -> MutexGuard<'_, Pauses> {
        self.pauses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn genuine(&self, composed: Composed, again: Option<Duplicate>, mut turn: Turn) {
        {
            let mut stats = self.stats();
            stats.deliveries += 1;
            stats.items += u64::from(composed.items);
        }
        self.wait_for(&mut turn).await;
        let written = Written::signed(&composed, &self.signers);
        let copy = again.map(|again| (again, again.of(&written, &mut again_dice(self.seed, &composed))));
        let first = async {
            let ending = self.climb(composed.webhook, &written).await;
            self.settle(&composed, ending).await;
            // The next of the conversation need not wait for a copy.
            drop(turn);
            ending
        };
        match copy {
            // A second webhook on the same number sends at the same time.
            Some((Duplicate::NewKey, copy)) => {
                tokio::join!(first, self.again(&composed, &copy));
            }
            Some((_, copy)) => {
                if first.await == Ending::Accepted {
                    self.again(&composed, &copy).await;
                }
            }
            None => {
                first.await;
            }
        }
    }

    /// Waits until the predecessor in the conversation is done with.
    async fn wait_for(&self, turn: &mut Turn) {
        let patience = self.scaled(order::PATIENCE);
        let in_order = tokio::select! {
            in_order = turn.come(patience) => in_order,
            () = self.stop.cancelled() => true,
        };
        self.stats().out_of_order += u64::from(!in_order);
    }

    async fn settle(&self, composed: &Composed, ending: Ending) {
        match (ending, composed.form) {
            (Ending::Accepted, _) => {
                let mut stats = self.stats();
                stats.accepted += 1;
                stats.items_accepted += u64::from(composed.items);
            }
            (Ending::GivenUp, Form::Batch(_)) => {
                self.stats().batches_given_up += 1;
                self.fall_back(composed).await;
            }
            (ending, _) => self.failed(ending),
        }
    }

    fn failed(&self, ending: Ending) {
        let mut stats = self.stats();
        match ending {
            Ending::Accepted => {}
            Ending::GivenUp => stats.given_up += 1,
            Ending::HeldBack => stats.held_back += 1,
            Ending::Interrupted => stats.interrupted += 1,
        }
    }

    /// Sends the items of a batch one by one, in their order, each under a key of its own and with a ladder of its own.
    async fn fall_back(&self, composed: &Composed) {
        let mut dice = Dice::new(self.seed, composed.number, Purpose::FallBack);
        let mut order = Order::default();
        let singles = items(&composed.body).into_iter().map(|item| {
            let written = Written::single(composed, item, dice.uuid(), &self.signers);
            (written, order.queue(0))
        });
        let singles: Vec<_> = singles.collect();
        join_all(singles.into_iter().map(async |(written, mut turn)| {
            self.wait_for(&mut turn).await;
            self.stats().fall_backs += 1;
            let ending = self.climb(composed.webhook, &written).await;
            if ending == Ending::Accepted {
                let mut stats = self.stats();
                stats.fall_backs_accepted += 1;
                stats.items_accepted += 1;
            }
            self.failed(ending);
        }))
        .await;
    }

    /// Sends what was sent before.
    async fn again(&self, composed: &Composed, copy: &Written) {
        self.stats().duplicates += 1;
        let ending = self.climb(composed.webhook, copy).await;
        self.stats().duplicates_accepted += u64::from(ending == Ending::Accepted);
        self.failed(ending);
    }

    /// Attempts as the ladder says.
    async fn climb(&self, webhook: Webhook, written: &Written) -> Ending {
        let headers = written.header_map();
        for (attempt, wait) in self.manner.ladder.waits().iter().enumerate() {
            tokio::select! {
                biased;
                ending = self.barred(webhook) => return ending,
                () = pass(self.scaled(*wait)) => {}
            }
            // Never closed.
            let _permit = self.requests.acquire().await;
            if let Some(ending) = self.barred(webhook).now_or_never() {
                return ending;
            }
            self.stats().retries += u64::from(attempt > 0);
            if self.attempt(webhook, headers.clone(), written.body.clone()).await.is_success() {
                return Ending::Accepted;
            }
        }
        Ending::GivenUp
    }

    /// Ends when there is a reason why nothing more may be sent.
    async fn barred(&self, webhook: Webhook) -> Ending {
        if self.manner.stop_when_paused && self.pauses().is_paused(webhook) {
            return Ending::HeldBack;
        }
        self.stop.cancelled().await;
        Ending::Interrupted
    }

    async fn attempt(&self, webhook: Webhook, headers: HeaderMap, body: Bytes) -> Answer {
        let (answer, took) = self.post(webhook, headers, body).await;
        self.stats().answered(answer, took);
        let now = self.started.elapsed().mul_f64(self.manner.speed);
        if self.pauses().record(webhook, now, !answer.is_success()) {
            self.progress.suspend(|| {
                let _ = writeln!(anstream::stderr(), "Kapso would now pause {webhook}");
            });
        }
        answer
    }

    async fn forged(&self, composed: &Composed, forgery: Forgery) {
        let written = forged(forgery, composed, self.seed, &self.signers);
        let _permit = self.requests.acquire().await;
        if self.stop.is_cancelled() {
            return self.failed(Ending::Interrupted);
        }
        let (answer, _) = self.post(composed.webhook, written.header_map(), written.body).await;
        let mut stats = self.stats();
        stats.forged += 1;
        stats.refused(forgery, answer);
    }

    async fn post(&self, webhook: Webhook, headers: HeaderMap, body: Bytes) -> (Answer, Duration) {
        let sent = Instant::now();
        let answer = timeout(LIMIT, self.transport.post(webhook, headers, body)).await;
        (answer.unwrap_or(Answer::TimedOut), sent.elapsed())
    }

    fn scaled(&self, wait: Duration) -> Duration {
        wait.div_f64(self.manner.speed)
    }
}

/// No time is no wait at all, not even a turn of the clock.
async fn pass(wait: Duration) {
    if !wait.is_zero() {
        sleep(wait).await;
    }
}

/// The items of a batch, each as it stands in the envelope.
fn items(body: &Bytes) -> Vec<Bytes> {
    #[derive(Deserialize)]
    struct Envelope<'a> {
        #[serde(borrow)]
        data: Vec<&'a RawValue>,
    }
    let envelope = serde_json::from_slice::<Envelope<'_>>(body);
    let items = envelope.into_iter().flat_map(|envelope| envelope.data);
    items.map(|item| body.slice_ref(item.get().as_bytes())).collect()
}
