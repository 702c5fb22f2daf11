//! A cache of settlements: nearly every delivery ends like the one before it, and a lookup is cheaper than a call into
//! the plugin.

use std::sync::{PoisonError, RwLock};

use crate::types::{Attempt, Outcome, Settlement};

/// How many lists of attempts are remembered at the most. Targets choose the statuses in them, so there may be any number.
const MOST: usize = 64;
/// A list with more attempts is not remembered.
const LONGEST: usize = 8;

#[derive(Default)]
pub(crate) struct Settled(RwLock<Vec<Known>>);

struct Known {
    attempts: Vec<(String, Outcome)>,
    settlement: Settlement,
}

impl Settled {
    pub(crate) fn get(&self, attempts: &[Attempt<'_>]) -> Option<Settlement> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        known.iter().find(|known| known.is_about(attempts)).map(|known| known.settlement.clone())
    }

    pub(crate) fn keep(&self, attempts: &[Attempt<'_>], settlement: &Settlement) {
        if attempts.len() > LONGEST || self.0.read().unwrap_or_else(PoisonError::into_inner).len() >= MOST {
            return;
        }
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() < MOST && !known.iter().any(|known| known.is_about(attempts)) {
            let attempts = attempts.iter().map(|attempt| (attempt.target.to_owned(), attempt.outcome)).collect();
            known.push(Known { attempts, settlement: settlement.clone() });
        }
    }
}

impl Known {
    fn is_about(&self, attempts: &[Attempt<'_>]) -> bool {
        let known = self.attempts.iter().map(|(target, outcome)| (target.as_str(), *outcome));
        known.eq(attempts.iter().map(|attempt| (attempt.target, attempt.outcome)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{DeliveryResult, Response, Verdict};

    fn settlement(status: u16) -> Settlement {
        let response = Response { status, headers: vec![], body: vec![] };
        Settlement { response, result: DeliveryResult::Delivered, verdicts: vec![Verdict::Delivered] }
    }

    fn answered(target: &str, status: u16) -> Attempt<'_> {
        Attempt { target, outcome: Outcome::Answered(status) }
    }

    #[test]
    fn the_same_attempts_are_known_and_no_others() {
        let settled = Settled::default();
        let both = [answered("bot", 200), answered("crm", 500)];
        settled.keep(&both, &settlement(502));
        settled.keep(&[], &settlement(200));
        assert_eq!(settled.get(&both), Some(settlement(502)));
        assert_eq!(settled.get(&[]), Some(settlement(200)));
        let others: [&[_]; 4] = [
            &[answered("crm", 500), answered("bot", 200)],
            &[answered("bot", 200), answered("crm", 200)],
            &[answered("bot", 200)],
            &[answered("bot", 200), answered("crm", 500), answered("crm", 500)],
        ];
        for other in others {
            assert_eq!(settled.get(other), None);
        }
    }

    #[test]
    fn memory_is_bounded() {
        let settled = Settled::default();
        let long: [_; LONGEST + 1] = std::array::from_fn(|_| answered("bot", 200));
        settled.keep(&long, &settlement(200));
        assert_eq!(settled.get(&long), None);
        for status in 0..1000 {
            settled.keep(&[answered("bot", status)], &settlement(status));
            settled.keep(&[answered("bot", status)], &settlement(status));
        }
        let known = (0..1000).filter(|status| settled.get(&[answered("bot", *status)]).is_some()).count();
        assert_eq!(known, MOST);
    }
}
