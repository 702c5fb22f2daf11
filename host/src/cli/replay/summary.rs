//! What came of it all.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::io::Write;
use std::time::Instant;

use hdrhistogram::Histogram;
use serde_json::json;

use super::send::{Outcome, Ready, Sent};
use crate::cli::delivery::Malformed;
use crate::cli::{FAILED, WRONG};

/// Failures that are told one by one.
const TOLD: usize = 20;

pub(super) struct Summary {
    started: Instant,
    dry_run: bool,
    pub(super) interrupted: bool,
    read: usize,
    matched: usize,
    sent: usize,
    /// Those that could not be.
    unsent: usize,
    /// Whether one of these is malformed.
    malformed: bool,
    unsigned: usize,
    bytes: usize,
    answers: BTreeMap<u16, usize>,
    unanswered: BTreeMap<&'static str, usize>,
    /// In microseconds.
    latencies: Option<Histogram<u64>>,
}

impl Summary {
    pub(super) fn new(dry_run: bool) -> Self {
        Summary {
            started: Instant::now(),
            dry_run,
            interrupted: false,
            read: 0,
            matched: 0,
            sent: 0,
            unsent: 0,
            malformed: false,
            unsigned: 0,
            bytes: 0,
            answers: BTreeMap::new(),
            unanswered: BTreeMap::new(),
            latencies: Histogram::new(3).ok(),
        }
    }

    pub(super) fn would_send(&mut self, ready: &Ready) {
        self.sent += 1;
        self.unsigned += usize::from(ready.unsigned);
        self.bytes += ready.body.len();
    }

    /// Counts one; gives what to tell of it, if it failed and not too many have.
    pub(super) fn sent(&mut self, sent: &Sent) -> Option<String> {
        self.sent += 1;
        self.unsigned += usize::from(sent.unsigned);
        self.bytes += sent.bytes;
        match &sent.outcome {
            Outcome::Answered(status) => {
                *self.answers.entry(*status).or_default() += 1;
                if let Some(latencies) = &mut self.latencies {
                    latencies.saturating_record(u64::try_from(sent.took.as_micros()).unwrap_or(u64::MAX));
                }
                if *status == 200 {
                    return None;
                }
            }
            Outcome::TimedOut => *self.unanswered.entry("timed-out").or_default() += 1,
            Outcome::Unreachable(_) => *self.unanswered.entry("unreachable").or_default() += 1,
        }
        self.told(sent)
    }

    /// The same of one that cannot be sent.
    pub(super) fn unsent(&mut self, error: &anyhow::Error) -> Option<String> {
        self.unsent += 1;
        self.malformed |= error.is::<Malformed>();
        self.told(format_args!("{error:#}"))
    }

    fn told(&self, trouble: impl Display) -> Option<String> {
        match self.failed() {
            ..=TOLD => Some(trouble.to_string()),
            failed if failed == TOLD + 1 => Some("more failed, which are only counted".to_owned()),
            _ => None,
        }
    }

    pub(super) fn read(&mut self, read: usize, matched: usize) {
        (self.read, self.matched) = (read, matched);
    }

    fn ok(&self) -> usize {
        self.answers.get(&200).copied().unwrap_or_default()
    }

    fn failed(&self) -> usize {
        let not_ok = if self.dry_run { 0 } else { self.sent - self.ok() };
        not_ok + self.unsent
    }

    /// The exit status.
    pub(super) fn status(&self) -> u8 {
        if self.malformed {
            return WRONG;
        }
        if self.interrupted || self.failed() > 0 { FAILED } else { 0 }
    }

    /// For the progress bar.
    pub(super) fn message(&self) -> String {
        format!("{} sent, {} failed", self.sent, self.failed())
    }

    pub(super) fn print(&self, json: bool) -> std::io::Result<()> {
        let mut out = anstream::stdout().lock();
        let seconds = self.started.elapsed().as_secs_f64();
        if json {
            return writeln!(out, "{}", self.json(seconds));
        }
        let verb = if self.dry_run { "would be sent" } else { "sent" };
        writeln!(
            out,
            "{} read, {} chosen, {} {verb}, {} bytes in {seconds:.1} s",
            self.read, self.matched, self.sent, self.bytes
        )?;
        for (status, count) in &self.answers {
            writeln!(out, "  {count} answered {status}")?;
        }
        for (why, count) in &self.unanswered {
            writeln!(out, "  {count} {why}")?;
        }
        if self.unsent > 0 {
            writeln!(out, "  {} could not be sent", self.unsent)?;
        }
        if let Some([p50, p95, p99, max]) = self.latencies_ms() {
            writeln!(out, "  answers within {p50:.1} ms (half), {p95:.1} (95 %), {p99:.1} (99 %), {max:.1} (all)")?;
        }
        if self.unsigned > 0 {
            writeln!(out, "  {} were recorded without their signatures: sign them anew with --secret", self.unsigned)?;
        }
        if self.interrupted {
            writeln!(out, "  interrupted: what was left was not sent")?;
        }
        Ok(())
    }

    fn json(&self, seconds: f64) -> serde_json::Value {
        let latencies = self.latencies_ms();
        json!({
            "read": self.read,
            "matched": self.matched,
            "sent": if self.dry_run { 0 } else { self.sent },
            "ok": self.ok(),
            "answers": self.answers.iter().map(|(status, count)| (status.to_string(), count)).collect::<BTreeMap<_, _>>(),
            "unanswered": self.unanswered,
            "unsent": self.unsent,
            "unsigned": self.unsigned,
            "bytes": self.bytes,
            "seconds": seconds,
            "latency_ms": latencies.map(|[p50, p95, p99, max]| json!({"p50": p50, "p95": p95, "p99": p99, "max": max})),
            "interrupted": self.interrupted,
            "dry_run": self.dry_run,
        })
    }

    fn latencies_ms(&self) -> Option<[f64; 4]> {
        let latencies = self.latencies.as_ref().filter(|latencies| !latencies.is_empty())?;
        Some([0.5, 0.95, 0.99, 1.0].map(|quantile| latencies.value_at_quantile(quantile) as f64 / 1000.0))
    }
}
