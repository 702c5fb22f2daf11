//! What was measured on.

use std::{fmt, fs, thread};

use serde::Serialize;

/// A machine, as far as it matters.
#[derive(Debug, Serialize)]
pub(crate) struct Machine {
    processor: String,
    cores: usize,
    sha_ni: bool,
    /// How many programs wanted to run in the minute before.
    load: f64,
}

impl Machine {
    pub(crate) fn this() -> Self {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let field = |name: &str| {
            let line = cpuinfo.lines().find(|line| line.starts_with(name));
            line.and_then(|line| line.split_once(": ")).map(|(_, value)| value).unwrap_or_default()
        };
        let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        Machine {
            processor: field("model name").to_owned(),
            cores: thread::available_parallelism().map_or(0, usize::from),
            sha_ni: field("flags").split(' ').any(|flag| flag == "sha_ni"),
            load: load.split(' ').next().and_then(|load| load.parse().ok()).unwrap_or(f64::NAN),
        }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sha = if self.sha_ni { "with SHA-NI" } else { "without SHA-NI" };
        let Machine { processor, cores, load, .. } = self;
        write!(f, "{processor}, {cores} cores, {sha}; load {load} when it began.")
    }
}
