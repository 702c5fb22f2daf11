//! Kapso's pause rule, watched from the receiving side.
//!
//! Kapso switches a webhook off for good when, within 15 minutes, at least 85 % of at least 20 deliveries failed and at
//! least 10 did. Whatever is not 200 counts. This keeps the same count for one source, so that an alarm can ring
//! before the webhook is gone.

use std::collections::VecDeque;
use std::time::Duration;

pub(crate) const SPAN: Duration = Duration::from_secs(15 * 60);
const SLOT: Duration = Duration::from_secs(10);
const SLOTS: u64 = SPAN.as_secs() / SLOT.as_secs();

const SHARE: f64 = 0.85;
const FAILURES: u64 = 10;
const ANSWERS: u64 = 20;

/// The answers of the last 15 minutes, to within 10 seconds. Time is an argument: the time since any fixed moment.
#[derive(Debug, Default)]
pub(crate) struct Window {
    slots: VecDeque<Slot>,
}

#[derive(Debug)]
struct Slot {
    index: u64,
    counted: Standing,
}

/// What Kapso would have counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) answers: u64,
    pub(crate) failures: u64,
}

impl Window {
    pub(crate) fn record(&mut self, now: Duration, failed: bool) {
        let index = self.forget(now);
        if self.slots.back().is_none_or(|last| last.index < index) {
            self.slots.push_back(Slot { index, counted: Standing::default() });
        }
        if let Some(last) = self.slots.back_mut() {
            last.counted.answers += 1;
            last.counted.failures += u64::from(failed);
        }
    }

    pub(crate) fn standing(&mut self, now: Duration) -> Standing {
        self.forget(now);
        self.slots.iter().fold(Standing::default(), |sum, slot| Standing {
            answers: sum.answers + slot.counted.answers,
            failures: sum.failures + slot.counted.failures,
        })
    }

    fn forget(&mut self, now: Duration) -> u64 {
        let index = now.as_secs() / SLOT.as_secs();
        while self.slots.front().is_some_and(|first| first.index + SLOTS <= index) {
            self.slots.pop_front();
        }
        index
    }
}

impl Standing {
    /// Failures among answers, from 0 to 1; 0 when there was no answer.
    pub(crate) fn share(self) -> f64 {
        if self.answers == 0 { 0.0 } else { self.failures as f64 / self.answers as f64 }
    }

    /// Whether the rule is met.
    pub(crate) fn would_pause(self) -> bool {
        self.would_pause_from(ANSWERS)
    }

    /// Whether the rule is met, if it takes so many deliveries: sources say 20 or 40.
    pub(crate) fn would_pause_from(self, answers: u64) -> bool {
        self.answers >= answers && self.failures >= FAILURES && self.share() >= SHARE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn window(failed: u64, fine: u64) -> Window {
        let mut window = Window::default();
        (0..failed).for_each(|_| window.record(at(0), true));
        (0..fine).for_each(|_| window.record(at(0), false));
        window
    }

    #[test]
    fn nothing_answered_is_no_failure() {
        let standing = Window::default().standing(at(5));
        assert_eq!(standing, Standing { answers: 0, failures: 0 });
        assert_eq!(standing.share(), 0.0);
        assert!(!standing.would_pause());
    }

    #[test]
    fn all_three_conditions_are_needed() {
        assert!(window(17, 3).standing(at(0)).would_pause());
        assert!(!window(16, 4).standing(at(0)).would_pause(), "80 %");
        assert!(!window(19, 0).standing(at(0)).would_pause(), "19 answers");
        assert!(window(20, 0).standing(at(0)).would_pause());
    }

    #[test]
    fn what_is_older_than_the_window_is_forgotten() {
        let mut window = window(20, 0);
        assert!(window.standing(at(15 * 60 - 1)).would_pause());
        assert_eq!(window.standing(at(15 * 60)), Standing { answers: 0, failures: 0 });
    }

    #[test]
    fn the_window_slides() {
        let mut window = Window::default();
        (0..1800).for_each(|second| window.record(at(second), second < 900));
        assert_eq!(window.standing(at(1799)), Standing { answers: 900, failures: 0 });
        (1800..2250).for_each(|second| window.record(at(second), true));
        assert_eq!(window.standing(at(2249)).share(), 0.5);
        assert!(window.slots.len() as u64 <= SLOTS);
    }

    #[test]
    fn a_clock_that_steps_back_loses_nothing() {
        let mut window = Window::default();
        window.record(at(100), true);
        window.record(at(50), true);
        assert_eq!(window.standing(at(100)), Standing { answers: 2, failures: 2 });
    }
}
