//! When Kapso tries again.

use std::str::FromStr;
use std::time::Duration;

/// The readings of Kapso's documentation, which disagrees with itself. Seconds to wait before each attempt, the first included.
const NAMED: [(&str, &[u64]); 5] = [
    // "Delivery", 2025: at once, then after 10, 40 and 90 s, "3 retry attempts".
    ("documented", &[0, 10, 40, 90]),
    // The newest page, as a receiver in production reads it: three attempts in all, gone after 50 s.
    ("newer", &[0, 10, 40]),
    // The oldest page: "3 attempts total; 10 s, 40 s, 90 s".
    ("oldest", &[10, 40, 90]),
    // Webhooks of the first API had `retry_config: {max_attempts: 3, backoff_seconds: 60}`.
    ("legacy", &[0, 60, 60]),
    ("none", &[0]),
];

/// What a ladder may be, for people.
pub(crate) const EXPECTED: &str =
    "expected documented, newer, oldest, legacy, none, or seconds before each attempt such as 0,5,30";

/// The longest ladder that anybody may ask for.
const MOST: usize = 100;
/// The longest wait: a day.
const LONGEST: u64 = 86_400;

/// The waits before each attempt, at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ladder(Vec<Duration>);

impl Ladder {
    /// The waits before each attempt, the first one included.
    pub(crate) fn waits(&self) -> &[Duration] {
        &self.0
    }
}

impl FromStr for Ladder {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let seconds: Vec<u64> = match NAMED.iter().find(|(name, _)| *name == text) {
            Some((_, seconds)) => seconds.to_vec(),
            None => {
                let seconds = text.split(',').map(|part| part.trim().parse());
                seconds.collect::<Result<_, _>>().map_err(|_| EXPECTED.to_owned())?
            }
        };
        if seconds.len() > MOST || seconds.iter().any(|wait| *wait > LONGEST) {
            return Err(format!("at most {MOST} attempts, each after at most {LONGEST} s"));
        }
        Ok(Self(seconds.into_iter().map(Duration::from_secs).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(text: &str) -> Vec<u64> {
        text.parse::<Ladder>().unwrap().waits().iter().map(Duration::as_secs).collect()
    }

    #[test]
    fn each_reading_has_a_name() {
        assert_eq!(seconds("documented"), [0, 10, 40, 90]);
        assert_eq!(seconds("newer"), [0, 10, 40]);
        assert_eq!(seconds("oldest"), [10, 40, 90]);
        assert_eq!(seconds("legacy"), [0, 60, 60]);
        assert_eq!(seconds("none"), [0]);
        assert!(NAMED.iter().all(|(name, _)| EXPECTED.contains(name)));
    }

    #[test]
    fn anybody_may_have_a_ladder_of_their_own() {
        assert_eq!(seconds("0, 5,30"), [0, 5, 30]);
        for wrong in ["", "newest", "0,-1", "0,,1", "0,86401", &"0,".repeat(200)] {
            assert!(wrong.parse::<Ladder>().is_err(), "{wrong:?}");
        }
    }
}
