//! How much is done for a number.

use std::fmt;
use std::time::Duration;

/// How much is done for a number.
#[derive(Clone, Debug)]
pub(crate) struct Effort {
    /// How often everything is measured in turn, in process.
    pub(crate) rounds: usize,
    /// How long a row runs in process in each round.
    pub(crate) slice: Duration,
    /// How often every server is measured in turn.
    pub(crate) load_rounds: usize,
    /// How long a server is under load in each round.
    pub(crate) loaded: Duration,
    /// How long a server is under load before it is measured.
    pub(crate) warming: Duration,
    /// How long the load at 80 % lasts.
    pub(crate) sustained: Duration,
    /// How many keys go through the store.
    pub(crate) keys: u64,
}

impl Effort {
    /// What is usual, or just enough to see that everything works.
    pub(crate) fn new(quick: bool, rounds: Option<usize>, seconds: Option<u64>) -> Self {
        let millis = Duration::from_millis;
        let effort = if quick {
            Effort {
                rounds: 3,
                slice: millis(2),
                load_rounds: 2,
                loaded: millis(60),
                warming: millis(60),
                sustained: millis(2000),
                keys: 100_000,
            }
        } else {
            Effort {
                rounds: 15,
                slice: millis(15),
                load_rounds: 7,
                loaded: millis(400),
                warming: millis(800),
                sustained: Duration::from_secs(60),
                keys: 10_000_000,
            }
        };
        Effort {
            rounds: rounds.unwrap_or(effort.rounds).max(1),
            load_rounds: rounds.unwrap_or(effort.load_rounds).max(1),
            sustained: seconds.map_or(effort.sustained, Duration::from_secs),
            ..effort
        }
    }
}

impl fmt::Display for Effort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} rounds in process of {:?} a row, {} rounds under load of {:?} a server, {:?} at 80 % load, {} keys.",
            self.rounds, self.slice, self.load_rounds, self.loaded, self.sustained, self.keys
        )
    }
}
