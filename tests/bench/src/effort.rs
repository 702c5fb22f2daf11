//! How much is done for a number.

use std::time::Duration;

/// How much is done for a number.
#[derive(Clone, Debug)]
pub(crate) struct Effort {
    /// How often everything is measured in turn.
    pub(crate) rounds: usize,
    /// How long a row runs in process in each round.
    pub(crate) slice: Duration,
}

impl Effort {
    /// What is usual, or just enough to see that everything works.
    pub(crate) fn new(quick: bool, rounds: Option<usize>) -> Self {
        let (usual, slice) = if quick { (3, Duration::from_millis(2)) } else { (15, Duration::from_millis(15)) };
        Effort { rounds: rounds.unwrap_or(usual).max(1), slice }
    }
}
