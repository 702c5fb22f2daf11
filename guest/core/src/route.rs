//! Who gets an event: the first rule that matches.

use alloc::vec::Vec;

use crate::event::Event;

/// The rules of a policy, indexed so that many cost what few do.
#[derive(Debug)]
pub(crate) struct Rules {
    otherwise: Vec<usize>,
}

/// Which rule decided, and for whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Matched<'a> {
    /// The rule's name; none when `otherwise` decided.
    pub(crate) rule: Option<&'a str>,
    /// Indices into the gate's targets; empty when the event is dropped.
    pub(crate) targets: &'a [usize],
}

impl Rules {
    /// What the first rule says that matches `event`, which came by the source named `source`.
    pub(crate) fn route(&self, event: &Event<'_>, source: Option<&str>) -> Matched<'_> {
        let _ = (event, source);
        self.otherwise()
    }

    /// What becomes of events that no rule matches, and of bodies that cannot be read.
    pub(crate) fn otherwise(&self) -> Matched<'_> {
        Matched { rule: None, targets: &self.otherwise }
    }
}
