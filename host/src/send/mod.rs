//! A Kapso simulator: composes deliveries, signs them with a different implementation than the gate's, and delivers
//! them as Kapso's documentation describes, including its retry schedule, the fallback from batches to single messages,
//! ordering within conversations, and the rule for pausing a webhook.
//!
//! `compose` says what is sent, `parcel` what is done with it, `courier` how it is delivered, `report` what came of it.

mod compose;
mod courier;
mod dice;
mod duplicate;
mod forge;
mod json;
mod ladder;
mod mix;
mod order;
mod parcel;
mod pause;
mod report;
mod sign;
mod stats;
mod transport;
mod written;

use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use indicatif::ProgressBar;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::courier::Courier;
use self::order::Order;
use self::parcel::{Parcel, Parcels};
use self::pause::Pauses;
use self::stats::Stats;
use self::written::Line;

pub(crate) use self::compose::{FAMILIES, GROUPS, Scene, Webhook};
pub(crate) use self::courier::Manner;
pub(crate) use self::ladder::Ladder;
pub(crate) use self::mix::Mix;
pub(crate) use self::parcel::Shares;
pub(crate) use self::report::Report;
pub(crate) use self::sign::{Signer, Signers};
pub(crate) use self::transport::{Http, Transport};

/// What is to be sent, and how.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) scene: Scene,
    pub(crate) shares: Shares,
    pub(crate) manner: Manner,
    /// How many deliveries are composed.
    pub(crate) count: u64,
    /// How many begin in a second; as many as can be if none.
    pub(crate) rate: Option<f64>,
    /// The most requests under way at a time.
    pub(crate) concurrency: usize,
    /// The most deliveries begun and not done with. What they hold is all that is held.
    pub(crate) backlog: usize,
}

/// A delivery that begins later than this after it was due is late.
const LATE: Duration = Duration::from_millis(100);

/// Sends everything and waits until all of it is done with. When `stop` is cancelled nothing more is begun or tried again.
pub(crate) async fn run(
    plan: Plan,
    signers: Signers,
    transport: impl Transport,
    stop: CancellationToken,
    progress: ProgressBar,
) -> Report {
    let Plan { scene, shares, manner, count, rate, concurrency, backlog } = plan;
    let (seed, now) = (scene.seed, scene.now);
    let stop_when_paused = manner.stop_when_paused;
    let mut parcels = Parcels::new(scene, shares);
    let courier = Arc::new(Courier {
        transport,
        signers,
        seed,
        requests: Semaphore::new(concurrency),
        started: Instant::now(),
        stats: Mutex::new(Stats::new()),
        pauses: Mutex::new(Pauses::new(manner.pause_from)),
        manner,
        stop: stop.clone(),
        progress,
    });
    let places = Arc::new(Semaphore::new(backlog));
    let under_way = TaskTracker::new();
    let mut order = Order::default();
    let mut late = 0;
    for number in 0..count {
        let due = rate.map(|rate| courier.started + Duration::from_secs_f64(number as f64 / rate));
        let place = async {
            if let Some(due) = due {
                sleep_until(due).await;
            }
            places.clone().acquire_owned().await
        };
        let place = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            place = place => place,
        };
        if stop_when_paused && courier.pauses().all_paused() {
            break;
        }
        late += u64::from(due.is_some_and(|due| due.elapsed() > LATE));
        let parcel = parcels.pack(&courier.signers);
        let turn = match &parcel {
            Parcel::Genuine(composed, _) => composed.ordered.map(|conversation| order.queue(conversation)),
            Parcel::Forged(..) => None,
        };
        let courier = courier.clone();
        under_way.spawn(async move {
            courier.deliver(parcel, turn.unwrap_or_default()).await;
            drop(place);
        });
    }
    under_way.close();
    under_way.wait().await;
    courier.progress.finish_and_clear();
    let stats = std::mem::take(&mut *courier.stats());
    let paused = courier.pauses().paused().collect();
    Report { seed, now, took: courier.started.elapsed(), count, late, stats, paused }
}

/// Writes everything that would be sent if all went well, one JSON object a line, in the form that `hookgate verify` reads.
///
/// # Errors
/// `out` cannot be written to.
pub(crate) fn print<'a>(
    plan: Plan,
    signers: &Signers,
    path: impl Fn(Webhook) -> Option<&'a str>,
    mut out: impl Write,
) -> io::Result<()> {
    let seed = plan.scene.seed;
    let mut parcels = Parcels::new(plan.scene, plan.shares);
    for _ in 0..plan.count {
        let parcel = parcels.pack(signers);
        for written in parcel.written(seed, signers) {
            if let Some(line) = Line::new(&written, path(parcel.webhook())) {
                serde_json::to_writer(&mut out, &line)?;
                out.write_all(b"\n")?;
            }
        }
    }
    out.flush()
}

#[cfg(test)]
mod tests;
