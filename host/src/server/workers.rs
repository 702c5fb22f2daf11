//! The threads that serve.

use std::io;
use std::num::NonZeroUsize;
use std::sync::{Arc, mpsc};
use std::thread;

use tokio::runtime::{Builder, Handle};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::forward::Forwarder;

/// A thread with connections of its own, to senders and to targets, so that a request stays on one thread where it can: another
/// would have to be woken, and would find its memory in another core's cache.
pub(crate) struct Worker {
    pub(crate) runtime: Handle,
    pub(crate) forwarder: Forwarder,
    /// Held by each connection, so that they can be counted.
    census: Arc<()>,
}

/// A connection's place at a worker.
pub(crate) struct Seat {
    pub(crate) worker: Arc<Worker>,
    _census: Arc<()>,
}

/// All workers. When this is dropped they finish the tasks that are still under way, and end.
pub(crate) struct Workers {
    all: Vec<Arc<Worker>>,
    _stop: DropGuard,
}

impl Workers {
    pub(crate) fn start(
        count: NonZeroUsize,
        tasks: &TaskTracker,
        forwarder: impl Fn() -> Forwarder,
    ) -> io::Result<Self> {
        let stop = CancellationToken::new();
        let guard = stop.clone().drop_guard();
        let worker = |_| {
            let runtime = start(stop.clone(), tasks.clone())?;
            Ok(Arc::new(Worker { runtime, forwarder: forwarder(), census: Arc::new(()) }))
        };
        let all = (0..count.get()).map(worker).collect::<io::Result<_>>()?;
        Ok(Workers { all, _stop: guard })
    }

    /// A place at the worker that has the fewest connections.
    pub(crate) fn seat(&self) -> Seat {
        let fewest = self.all.iter().min_by_key(|worker| Arc::strong_count(&worker.census));
        let worker = fewest.expect("there is one at least");
        Seat { worker: worker.clone(), _census: worker.census.clone() }
    }
}

/// Starts a thread that runs what it is given, until `stop`, and `tasks` to their end.
fn start(stop: CancellationToken, tasks: TaskTracker) -> io::Result<Handle> {
    let (tell, told) = mpsc::channel();
    let run = move || {
        let runtime = match Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => return drop(tell.send(Err(error))),
        };
        let _ = tell.send(Ok(runtime.handle().clone()));
        runtime.block_on(async {
            stop.cancelled().await;
            tasks.close();
            // A task that was added meanwhile does not keep `wait` from ending.
            while !tasks.is_empty() {
                tasks.wait().await;
            }
        });
    };
    thread::Builder::new().name("hookgate-worker".into()).spawn(run)?;
    told.recv().map_err(io::Error::other)?
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::sync::mpsc::RecvTimeoutError;
    use std::time::Duration;

    use super::*;
    use crate::server::resolve::Resolver;
    use crate::server::tls;

    fn workers(count: usize, tasks: &TaskTracker) -> Workers {
        let tls = tls::client(None).expect("there are roots");
        let forwarder = || Forwarder::new(tls.clone(), Resolver::new());
        Workers::start(NonZeroUsize::new(count).unwrap(), tasks, forwarder).expect("there are threads")
    }

    #[test]
    fn a_connection_goes_where_the_fewest_are() {
        let workers = workers(3, &TaskTracker::new());
        let mut seats: Vec<_> = (0..6).map(|_| workers.seat()).collect();
        let of = |seat: &Seat| workers.all.iter().position(|worker| Arc::ptr_eq(worker, &seat.worker));
        let taken: Vec<_> = seats.iter().map(of).collect();
        assert_eq!(taken, [0, 1, 2, 0, 1, 2].map(Some));
        drop(seats.remove(1));
        assert_eq!(of(&workers.seat()), Some(1));
    }

    #[test]
    fn what_is_under_way_is_finished_before_a_worker_ends() {
        let tasks = TaskTracker::new();
        let workers = workers(1, &tasks);
        let runtime = workers.all[0].runtime.clone();
        let (tell, told) = mpsc::channel();
        let (go, goes) = tokio::sync::oneshot::channel();
        let work = async move {
            let _ = goes.await;
            tell.send(thread::current().name().map(str::to_owned))
        };
        tasks.spawn_on(work, &runtime);
        drop(workers);
        while !tasks.is_closed() {
            thread::yield_now();
        }
        go.send(()).expect("somebody waits");
        assert_eq!(told.recv().unwrap().as_deref(), Some("hookgate-worker"));
    }

    #[test]
    fn a_worker_ends_with_whatever_is_not_waited_for() {
        let workers = workers(1, &TaskTracker::new());
        let (held, released) = mpsc::channel::<()>();
        workers.all[0].runtime.spawn(async move {
            let _held = held;
            pending::<()>().await;
        });
        drop(workers);
        assert_eq!(released.recv_timeout(Duration::from_secs(60)), Err(RecvTimeoutError::Disconnected));
    }
}
