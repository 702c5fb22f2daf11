//! How many calls run at the same time.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

pub(crate) struct Slots {
    count: Mutex<Count>,
    freed: Condvar,
}

struct Count {
    free: usize,
    /// Nobody is woken up where nobody waits: that would ask the kernel at each call's end.
    waiting: usize,
}

/// The right to run one call, given back when dropped.
pub(crate) struct Slot<'a>(&'a Slots);

impl Slots {
    pub(crate) fn new(count: usize) -> Self {
        Self { count: Mutex::new(Count { free: count, waiting: 0 }), freed: Condvar::new() }
    }

    /// Waits for a free slot.
    pub(crate) fn take(&self) -> Slot<'_> {
        let mut count = self.count();
        while count.free == 0 {
            count.waiting += 1;
            count = self.freed.wait(count).unwrap_or_else(PoisonError::into_inner);
            count.waiting -= 1;
        }
        count.free -= 1;
        Slot(self)
    }

    fn count(&self) -> MutexGuard<'_, Count> {
        self.count.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        let mut count = self.0.count();
        count.free += 1;
        let somebody_waits = count.waiting > 0;
        drop(count);
        if somebody_waits {
            self.0.freed.notify_one();
        }
    }
}
