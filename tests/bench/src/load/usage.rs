//! What other processes use, as Linux tells.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use anyhow::Context;

/// The CPU time of every thread of some processes so far.
pub(crate) struct Cpu(BTreeMap<u32, Duration>);

impl Cpu {
    /// Exact to the nanosecond for threads that wait, and to a tick for those that run.
    pub(crate) fn of(processes: &[u32]) -> anyhow::Result<Self> {
        let mut threads = BTreeMap::new();
        for process in processes {
            let folder = format!("/proc/{process}/task");
            for entry in fs::read_dir(&folder).with_context(|| format!("cannot read {folder}"))? {
                let path = entry?.path();
                let thread = path.file_name().and_then(|name| name.to_str()?.parse().ok());
                // A thread may end meanwhile.
                let Ok(text) = fs::read_to_string(path.join("schedstat")) else { continue };
                let nanoseconds = text.split(' ').next().and_then(|number| number.parse().ok());
                let (thread, nanoseconds) = thread.zip(nanoseconds).context("schedstat says how long a thread ran")?;
                threads.insert(thread, Duration::from_nanos(nanoseconds));
            }
        }
        Ok(Cpu(threads))
    }

    /// What they have used since then, all together.
    pub(crate) fn since(&self, before: &Self) -> Duration {
        let used = |(thread, now): (&u32, &Duration)| match before.0.get(thread) {
            Some(before) => now.saturating_sub(*before),
            None => *now,
        };
        self.0.iter().map(used).sum()
    }
}

/// Resident memory of a process, in bytes.
pub(crate) fn memory(process: u32) -> anyhow::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("a process has memory")?;
    let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kilobytes * 1024)
}
