//! Waiting for several things at once: futures over `wasi:io/poll`.
//!
//! Nothing is woken alone. When anything that is waited for becomes ready, everything is polled again and says anew
//! what it waits for; with a handful of targets that costs less than keeping books.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::bindings::wasi::clocks::monotonic_clock;
use crate::bindings::wasi::io::poll::{Pollable, poll};

thread_local! {
    static WAITED_FOR: RefCell<Vec<Rc<Pollable>>> = const { RefCell::new(Vec::new()) };
}

/// Runs a future to its end.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        let waited_for = WAITED_FOR.take();
        let borrowed: Vec<&Pollable> = waited_for.iter().map(Rc::as_ref).collect();
        poll(&borrowed);
    }
}

/// Runs futures side by side; what they give, in their order.
pub(crate) async fn join_all<F: Future>(futures: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    let mut branches: Vec<Branch<F>> = futures.into_iter().map(|future| Branch::Running(Box::pin(future))).collect();
    poll_fn(|context| {
        let mut all_done = true;
        for branch in &mut branches {
            if let Branch::Running(future) = branch {
                match future.as_mut().poll(context) {
                    Poll::Ready(output) => *branch = Branch::Done(output),
                    Poll::Pending => all_done = false,
                }
            }
        }
        if all_done { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    let done = |branch| if let Branch::Done(output) = branch { Some(output) } else { None };
    branches.into_iter().filter_map(done).collect()
}

enum Branch<F: Future> {
    Running(Pin<Box<F>>),
    Done(F::Output),
}

/// What the first future gives; the second runs beside it, as long as it does.
pub(crate) async fn beside<F: Future>(first: F, second: impl Future<Output = ()>) -> F::Output {
    let mut first = pin!(first);
    let mut second = pin!(second);
    let mut second_done = false;
    poll_fn(|context| {
        if !second_done {
            second_done = second.as_mut().poll(context).is_ready();
        }
        first.as_mut().poll(context)
    })
    .await
}

/// Resolves when a pollable is ready.
pub(crate) struct Ready(Rc<Pollable>);

impl Ready {
    pub(crate) fn new(pollable: Pollable) -> Self {
        Ready(Rc::new(pollable))
    }
}

impl Future for Ready {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if self.0.ready() {
            return Poll::Ready(());
        }
        WAITED_FOR.with_borrow_mut(|waited_for| waited_for.push(self.0.clone()));
        Poll::Pending
    }
}

impl Drop for Ready {
    /// A pollable is a child of what it stands for, and hosts trap when a parent goes first.
    fn drop(&mut self) {
        WAITED_FOR.with_borrow_mut(|waited_for| waited_for.retain(|waiting| !Rc::ptr_eq(waiting, &self.0)));
    }
}

/// A moment on the monotonic clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Instant(u64);

impl Instant {
    pub(crate) fn now() -> Self {
        Instant(monotonic_clock::now())
    }

    pub(crate) fn after(self, duration: Duration) -> Self {
        Instant(self.0.saturating_add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)))
    }

    /// How long until then; nothing when it has passed.
    pub(crate) fn remaining(self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(monotonic_clock::now()))
    }
}

/// What a future gives, if it gives it before the deadline.
pub(crate) async fn before<F: Future>(deadline: Instant, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut alarm = pin!(Ready::new(monotonic_clock::subscribe_instant(deadline.0)));
    poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => alarm.as_mut().poll(context).map(|()| None),
    })
    .await
}
