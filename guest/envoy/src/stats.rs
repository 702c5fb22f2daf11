//! What Envoy's statistics show. Names are made of the policy's own names and of fixed words, so their number is bounded.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::RefCell;

use crate::host::{self, Metric};

/// Metrics in the order of what they are about: Envoy knows them by number, each VM its own, and forgets none while the VM lives.
#[derive(Default)]
pub(crate) struct Stats(RefCell<Vec<Known>>);

/// A metric. Its name is not put together each time: that would cost more than counting.
struct Known {
    about: About,
    /// The name of a source or target.
    of: String,
    what: &'static str,
    metric: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum About {
    Requests,
    AnswerMs,
    Messages,
    TargetMs,
    Notices,
}

impl Stats {
    /// A request was answered.
    pub(crate) fn request(&self, source: &str, result: &'static str) {
        self.count(About::Requests, source, result);
    }

    /// How long answering a genuine delivery took, targets and all.
    pub(crate) fn answered_in(&self, source: &str, milliseconds: u64) {
        self.record(About::AnswerMs, source, milliseconds);
    }

    /// A message came to an end, or an event was not sent because it was, or is, by somebody else.
    pub(crate) fn message(&self, target: &str, result: &'static str) {
        self.count(About::Messages, target, result);
    }

    /// How long a target took for a message.
    pub(crate) fn target_took(&self, target: &str, milliseconds: u64) {
        self.record(About::TargetMs, target, milliseconds);
    }

    /// Something worth a look, though the delivery went on.
    pub(crate) fn notice(&self, source: &str, what: &'static str) {
        self.count(About::Notices, source, what);
    }

    fn count(&self, about: About, of: &str, what: &'static str) {
        if let Some(metric) = self.metric(Metric::Counter, about, of, what) {
            // A host without statistics is no reason to fail a delivery, here and below.
            let _ = host::count(metric);
        }
    }

    fn record(&self, about: About, of: &str, value: u64) {
        if let Some(metric) = self.metric(Metric::Histogram, about, of, "") {
            let _ = host::record(metric, value);
        }
    }

    fn metric(&self, kind: Metric, about: About, of: &str, what: &'static str) -> Option<u32> {
        let mut known = self.0.borrow_mut();
        match known.binary_search_by(|known| (known.about, &*known.of, known.what).cmp(&(about, of, what))) {
            Ok(place) => known.get(place).map(|known| known.metric),
            Err(place) => {
                let metric = host::define_metric(kind, &about.name(&word(of), what)).ok()?;
                known.insert(place, Known { about, of: of.to_owned(), what, metric });
                Some(metric)
            }
        }
    }
}

impl About {
    fn name(self, of: &str, what: &str) -> String {
        match self {
            Self::Requests => format!("hookgate.requests.source.{of}.result.{what}"),
            Self::AnswerMs => format!("hookgate.answer_ms.source.{of}"),
            Self::Messages => format!("hookgate.messages.target.{of}.result.{what}"),
            Self::TargetMs => format!("hookgate.target_ms.target.{of}"),
            Self::Notices => format!("hookgate.notices.source.{of}.what.{what}"),
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
