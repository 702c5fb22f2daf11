//! When Kapso would have switched a webhook off.
//!
//! In a window of 15 minutes, at least 85 % of the answers are failures, at least 10 of them, and there are at least 20 answers
//! (one source) or 40 (another). The webhook then stays off until somebody switches it on again.

use std::collections::BTreeMap;
use std::time::Duration;

use super::compose::Webhook;
use crate::server::pause::Window;

/// The answers to each webhook's deliveries. No larger than the number of webhooks.
#[derive(Debug)]
pub(crate) struct Pauses {
    /// How many answers the rule takes.
    from: u64,
    webhooks: BTreeMap<Webhook, Watched>,
}

#[derive(Debug, Default)]
struct Watched {
    window: Window,
    paused: Option<Paused>,
}

/// What was so when a webhook would have been paused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Paused {
    /// Since the first delivery, in Kapso's time: what `--speed` shortens counts in full.
    pub(crate) after: Duration,
    /// The answers in the window then.
    pub(crate) answers: u64,
    /// How many of them were failures.
    pub(crate) failures: u64,
}

impl Pauses {
    pub(crate) fn new(from: u64) -> Self {
        Self { from, webhooks: BTreeMap::new() }
    }

    /// Counts an answer at a moment, in Kapso's time. Says whether it was the one that paused the webhook.
    pub(crate) fn record(&mut self, webhook: Webhook, at: Duration, failed: bool) -> bool {
        let watched = self.webhooks.entry(webhook).or_default();
        watched.window.record(at, failed);
        if watched.paused.is_some() {
            return false;
        }
        let standing = watched.window.standing(at);
        if standing.would_pause_from(self.from) {
            watched.paused = Some(Paused { after: at, answers: standing.answers, failures: standing.failures });
        }
        watched.paused.is_some()
    }

    /// Whether a webhook would have been paused by now.
    pub(crate) fn is_paused(&self, webhook: Webhook) -> bool {
        self.webhooks.get(&webhook).is_some_and(|watched| watched.paused.is_some())
    }

    /// Whether every webhook that has sent anything would have been paused.
    pub(crate) fn all_paused(&self) -> bool {
        !self.webhooks.is_empty() && self.webhooks.values().all(|watched| watched.paused.is_some())
    }

    /// Those that would have been paused.
    pub(crate) fn paused(&self) -> impl Iterator<Item = (Webhook, Paused)> {
        self.webhooks.iter().filter_map(|(webhook, watched)| Some((*webhook, watched.paused?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WEBHOOK: Webhook = Webhook::Number(0);

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn twenty_or_forty_failures_pause_a_webhook() {
        for from in [20, 40] {
            let mut pauses = Pauses::new(from);
            for answer in 1..=50 {
                assert_eq!(pauses.record(WEBHOOK, at(answer), true), answer == from);
                assert_eq!(pauses.is_paused(WEBHOOK), answer >= from);
            }
            let paused: Vec<_> = pauses.paused().collect();
            assert_eq!(paused, [(WEBHOOK, Paused { after: at(from), answers: from, failures: from })]);
        }
    }

    #[test]
    fn each_webhook_counts_by_itself() {
        let mut pauses = Pauses::new(20);
        for second in 0..100 {
            pauses.record(Webhook::Project, at(second), true);
            pauses.record(WEBHOOK, at(second), second % 5 == 0);
        }
        assert!(pauses.is_paused(Webhook::Project) && !pauses.is_paused(WEBHOOK));
        assert!(!pauses.all_paused());
    }

    /// 15 % of the answers are good ones: 85 % is just enough; with one more it is not.
    #[test]
    fn the_share_counts() {
        let mut pauses = Pauses::new(20);
        (0..3).for_each(|_| {
            pauses.record(WEBHOOK, at(0), false);
        });
        (0..17).for_each(|_| {
            pauses.record(WEBHOOK, at(0), true);
        });
        assert!(pauses.is_paused(WEBHOOK));
        let mut pauses = Pauses::new(20);
        (0..4).for_each(|_| {
            pauses.record(WEBHOOK, at(0), false);
        });
        (0..17).for_each(|_| {
            pauses.record(WEBHOOK, at(0), true);
        });
        assert!(!pauses.is_paused(WEBHOOK));
    }

    #[test]
    fn what_is_older_than_the_window_does_not_count() {
        let mut pauses = Pauses::new(20);
        (0..19).for_each(|_| {
            pauses.record(WEBHOOK, at(0), true);
        });
        assert!(!pauses.record(WEBHOOK, at(15 * 60 + 10), true));
    }
}
