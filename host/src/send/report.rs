//! What came of it, for people and for programs.

use std::fmt::{self, Display};
use std::io::{self, Write};
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use serde_json::{Map, Value, json};

use super::compose::Webhook;
use super::pause::Paused;
use super::stats::Stats;
use super::transport::Answer;

const GOOD: Style = AnsiColor::Green.on_default().bold();
const BAD: Style = AnsiColor::Red.on_default().bold();
const NAME: Style = Style::new().bold();

/// What came of sending.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) seed: u64,
    pub(crate) now: u64,
    pub(crate) took: Duration,
    /// How many deliveries were asked for.
    pub(crate) count: u64,
    /// How many began later than the rate asked for.
    pub(crate) late: u64,
    pub(crate) stats: Stats,
    pub(crate) paused: Vec<(Webhook, Paused)>,
}

impl Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => status.fmt(f),
            Self::TimedOut => f.write_str("timed out"),
            Self::Unreachable => f.write_str("unreachable"),
        }
    }
}

impl Report {
    /// Whether everything genuine was taken and everything forged refused.
    pub(crate) fn is_good(&self) -> bool {
        let stats = &self.stats;
        let lost = stats.given_up + stats.held_back + stats.interrupted;
        lost == 0 && stats.done == self.count && stats.forged_accepted.is_empty() && stats.forged_unanswered == 0
    }

    /// Deliveries a second.
    fn rate(&self) -> f64 {
        let seconds = self.took.as_secs_f64();
        if seconds > 0.0 { self.stats.done as f64 / seconds } else { 0.0 }
    }

    /// For programs. The names are an interface.
    pub(crate) fn json(&self) -> Value {
        let stats = &self.stats;
        let answers: Map<_, _> =
            stats.answers.iter().map(|(answer, count)| (answer.to_string(), json!(count))).collect();
        let forged: Map<_, _> =
            stats.forged_accepted.iter().map(|(kind, count)| (kind.name().to_owned(), json!(count))).collect();
        let paused = self.paused.iter().map(|(webhook, paused)| {
            json!({
                "webhook": webhook.to_string(),
                "after_s": paused.after.as_secs_f64(),
                "answers": paused.answers,
                "failures": paused.failures,
            })
        });
        json!({
            "good": self.is_good(),
            "seed": self.seed,
            "now": self.now,
            "seconds": self.took.as_secs_f64(),
            "late": self.late,
            "deliveries": {
                "sent": stats.deliveries,
                "accepted": stats.accepted,
                "given_up": stats.given_up,
                "held_back": stats.held_back,
                "interrupted": stats.interrupted,
                "out_of_order": stats.out_of_order,
            },
            "events": {"sent": stats.items, "accepted": stats.items_accepted},
            "answers": answers,
            "latency_ms": {"p50": stats.within_ms(0.5), "p95": stats.within_ms(0.95), "p99": stats.within_ms(0.99)},
            "retries": stats.retries,
            "fall_back": {
                "batches": stats.batches_given_up,
                "sent": stats.fall_backs,
                "accepted": stats.fall_backs_accepted,
            },
            "duplicates": {"sent": stats.duplicates, "accepted": stats.duplicates_accepted},
            "forged": {
                "sent": stats.forged,
                "refused": stats.forged_refused,
                "accepted": forged,
                "unanswered": stats.forged_unanswered,
            },
            "paused": paused.collect::<Vec<_>>(),
        })
    }

    /// For people.
    pub(crate) fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let stats = &self.stats;
        let (seconds, rate) = (self.took.as_secs_f64(), self.rate());
        writeln!(out, "{NAME}{}{NAME:#} deliveries in {seconds:.1} s, {rate:.0} a second", stats.done)?;
        if self.late > 0 {
            writeln!(out, "  late         {} began later than the rate asked for", self.late)?;
        }
        let (taken, lost) = (stats.items_accepted, stats.items - stats.items_accepted);
        let style = if lost == 0 { GOOD } else { BAD };
        writeln!(
            out,
            "  genuine      {} with {} events; {style}{taken} events accepted{style:#}",
            stats.deliveries, stats.items
        )?;
        for (count, what) in [
            (stats.given_up, "given up: Kapso would not have tried again"),
            (stats.held_back, "held back: their webhook was paused"),
            (stats.interrupted, "interrupted"),
        ] {
            if count > 0 {
                writeln!(out, "               {BAD}{count} {what}{BAD:#}")?;
            }
        }
        let answers: Vec<_> = stats.answers.iter().map(|(answer, count)| format!("{answer}: {count}")).collect();
        writeln!(out, "  answers      {}", if answers.is_empty() { "none".into() } else { answers.join(", ") })?;
        if stats.answers.contains_key(&Answer::Unreachable) {
            writeln!(
                out,
                "               `curl -v` of the same URL says why it is; --ca FILE trusts a certificate of your own"
            )?;
        }
        let [p50, p95, p99] = [0.5, 0.95, 0.99].map(|share| stats.within_ms(share));
        writeln!(out, "  latency      p50 {p50:.1} ms, p95 {p95:.1} ms, p99 {p99:.1} ms")?;
        writeln!(out, "  retries      {}", stats.retries)?;
        if stats.batches_given_up > 0 {
            let Stats { batches_given_up, fall_backs, fall_backs_accepted, .. } = stats;
            writeln!(
                out,
                "  fall-back    {batches_given_up} batches were given up; of their {fall_backs} events sent one by one, \
                 {fall_backs_accepted} were accepted"
            )?;
        }
        if stats.out_of_order > 0 {
            writeln!(out, "  order        {} did not wait any longer for the one before them", stats.out_of_order)?;
        }
        if stats.duplicates > 0 {
            writeln!(out, "  duplicates   {}, {} answered 200", stats.duplicates, stats.duplicates_accepted)?;
        }
        self.write_forged(out)?;
        self.write_paused(out)?;
        writeln!(out, "  again        --seed {} --now {}", self.seed, self.now)
    }

    fn write_forged(&self, out: &mut impl Write) -> io::Result<()> {
        let stats = &self.stats;
        if stats.forged == 0 {
            return Ok(());
        }
        let style = if stats.forged_refused == stats.forged { GOOD } else { BAD };
        writeln!(out, "  forged       {}, {style}{} refused with 401{style:#}", stats.forged, stats.forged_refused)?;
        for (forgery, count) in &stats.forged_accepted {
            writeln!(out, "               {BAD}{count} not refused: {}{BAD:#}", forgery.name())?;
        }
        if stats.forged_unanswered > 0 {
            writeln!(out, "               {BAD}{} not answered{BAD:#}", stats.forged_unanswered)?;
        }
        Ok(())
    }

    fn write_paused(&self, out: &mut impl Write) -> io::Result<()> {
        if self.paused.is_empty() {
            return writeln!(out, "  paused       Kapso would have paused no webhook");
        }
        for (webhook, Paused { after, answers, failures }) in &self.paused {
            writeln!(
                out,
                "  paused       {BAD}Kapso would have paused {webhook}{BAD:#} after {:.0} s of its time: {failures} of {answers} \
                 answers were failures",
                after.as_secs_f64()
            )?;
        }
        Ok(())
    }
}
