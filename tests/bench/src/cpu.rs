//! Clocks that stand still while nothing runs: what another program does on the machine does not count.

use std::time::Duration;

use cpu_time::{ProcessTime, ThreadTime};

/// The CPU time of the calling thread so far.
pub(crate) fn of_this_thread() -> anyhow::Result<Duration> {
    Ok(ThreadTime::try_now()?.as_duration())
}

/// The CPU time of all threads of this process so far, those that have ended included.
pub(crate) fn of_this_process() -> anyhow::Result<Duration> {
    Ok(ProcessTime::try_now()?.as_duration())
}
