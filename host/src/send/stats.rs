//! What is counted. Its size does not depend on how much is sent.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;

use super::forge::Forgery;
use super::transport::Answer;

/// Counts of everything, and the times of answers.
#[derive(Debug, Default)]
pub(crate) struct Stats {
    /// Genuine deliveries that were composed, batches counting once.
    pub(crate) deliveries: u64,
    /// The events in them.
    pub(crate) items: u64,
    /// Genuine deliveries that were answered 200.
    pub(crate) accepted: u64,
    /// The events in those, and in what was sent one by one.
    pub(crate) items_accepted: u64,
    /// Deliveries that Kapso would have given up for good.
    pub(crate) given_up: u64,
    /// Deliveries that were not sent, or not sent again, because their webhook was paused.
    pub(crate) held_back: u64,
    /// Deliveries that were not sent to their end because the run was interrupted.
    pub(crate) interrupted: u64,
    /// Attempts after the first one of a delivery.
    pub(crate) retries: u64,
    /// Batches that were given up.
    pub(crate) batches_given_up: u64,
    /// Deliveries of one item each, after that.
    pub(crate) fall_backs: u64,
    /// Those of them that were answered 200.
    pub(crate) fall_backs_accepted: u64,
    /// Items that went before their predecessor was done with.
    pub(crate) out_of_order: u64,
    /// Deliveries that were sent again although they were taken.
    pub(crate) duplicates: u64,
    /// Those of them that were answered 200.
    pub(crate) duplicates_accepted: u64,
    /// Forged deliveries.
    pub(crate) forged: u64,
    /// Those that were answered 401.
    pub(crate) forged_refused: u64,
    /// Those that were answered anything else, by kind.
    pub(crate) forged_accepted: BTreeMap<Forgery, u64>,
    /// Those that got no answer.
    pub(crate) forged_unanswered: u64,
    /// The answers to genuine deliveries.
    pub(crate) answers: BTreeMap<Answer, u64>,
    /// Microseconds from a genuine delivery to its answer.
    times: Option<Histogram<u64>>,
    /// Everything that is done with, forged or not.
    pub(crate) done: u64,
}

impl Stats {
    pub(crate) fn new() -> Self {
        // From 1 µs to a minute, to three digits.
        Self { times: Histogram::new_with_bounds(1, 60_000_000, 3).ok(), ..Self::default() }
    }

    /// Counts the answer to a genuine delivery.
    pub(crate) fn answered(&mut self, answer: Answer, took: Duration) {
        *self.answers.entry(answer).or_default() += 1;
        if let Some(times) = &mut self.times {
            times.saturating_record(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
        }
    }

    /// Counts the answer to a forged delivery.
    pub(crate) fn refused(&mut self, forgery: Forgery, answer: Answer) {
        match answer {
            Answer::Status(401) => self.forged_refused += 1,
            Answer::Status(_) => *self.forged_accepted.entry(forgery).or_default() += 1,
            Answer::TimedOut | Answer::Unreachable => self.forged_unanswered += 1,
        }
    }

    /// The time within which this share of the answers came, in milliseconds; 0 if none came.
    pub(crate) fn within_ms(&self, share: f64) -> f64 {
        let micros = self.times.as_ref().map_or(0, |times| times.value_at_quantile(share));
        micros as f64 / 1000.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_kept_to_three_digits_and_nothing_is_too_long() {
        let mut stats = Stats::new();
        assert_eq!(stats.within_ms(0.5), 0.0);
        (1..=100).for_each(|ms| stats.answered(Answer::Status(200), Duration::from_millis(ms)));
        assert!((49.9..50.2).contains(&stats.within_ms(0.5)), "{}", stats.within_ms(0.5));
        assert!((98.9..99.2).contains(&stats.within_ms(0.99)), "{}", stats.within_ms(0.99));
        stats.answered(Answer::TimedOut, Duration::from_secs(3600));
        assert!(stats.within_ms(1.0) >= 59_000.0);
        assert_eq!(stats.answers[&Answer::Status(200)], 100);
    }
}
