//! What Envoy's statistics show. Names are made of the policy's own names and of fixed words, so their number is bounded.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::RefCell;

use crate::host::{self, Metric};

/// Metrics by their name, in its order: Envoy knows them by number, each VM its own.
#[derive(Default)]
pub(crate) struct Stats(RefCell<Vec<(String, u32)>>);

impl Stats {
    /// A request was answered.
    pub(crate) fn request(&self, source: &str, result: &str) {
        self.count(&format!("hookgate.requests.source.{}.result.{result}", word(source)));
    }

    /// How long answering a genuine delivery took, targets and all.
    pub(crate) fn answered_in(&self, source: &str, milliseconds: u64) {
        self.record(&format!("hookgate.answer_ms.source.{}", word(source)), milliseconds);
    }

    /// A message came to an end, or an event was not sent because it was, or is, by somebody else.
    pub(crate) fn message(&self, target: &str, result: &str) {
        self.count(&format!("hookgate.messages.target.{}.result.{result}", word(target)));
    }

    /// How long a target took for a message.
    pub(crate) fn target_took(&self, target: &str, milliseconds: u64) {
        self.record(&format!("hookgate.target_ms.target.{}", word(target)), milliseconds);
    }

    /// Something worth a look, though the delivery went on.
    pub(crate) fn notice(&self, source: &str, what: &str) {
        self.count(&format!("hookgate.notices.source.{}.what.{what}", word(source)));
    }

    fn count(&self, name: &str) {
        if let Some(metric) = self.metric(Metric::Counter, name) {
            // A host without statistics is no reason to fail a delivery, here and below.
            let _ = host::count(metric);
        }
    }

    fn record(&self, name: &str, value: u64) {
        if let Some(metric) = self.metric(Metric::Histogram, name) {
            let _ = host::record(metric, value);
        }
    }

    fn metric(&self, kind: Metric, name: &str) -> Option<u32> {
        let mut metrics = self.0.borrow_mut();
        match metrics.binary_search_by(|(known, _)| known.as_str().cmp(name)) {
            Ok(place) => metrics.get(place).map(|(_, metric)| *metric),
            Err(place) => {
                let metric = host::define_metric(kind, name).ok()?;
                metrics.insert(place, (name.to_owned(), metric));
                Some(metric)
            }
        }
    }
}

/// A name as one part of a metric's: dots would be taken for the next part.
fn word(name: &str) -> String {
    let keep = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-');
    name.chars().map(|letter| if keep(letter) { letter } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use super::word;

    #[test]
    fn a_name_is_one_part() {
        assert_eq!(word("a.b c/ü-1_x"), "a_b_c__-1_x");
    }
}
