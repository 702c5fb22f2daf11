//! What is aimed at.

use serde::Serialize;

/// A number that must not be above, or below, another.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Goal {
    /// Which target of the list it is: `T1`.
    pub(crate) target: &'static str,
    pub(crate) what: String,
    pub(crate) unit: &'static str,
    pub(crate) must: f64,
    pub(crate) stretch: f64,
    pub(crate) direction: Direction,
    /// None where this run did not measure it.
    pub(crate) measured: Option<f64>,
    /// What is to be known about the number.
    pub(crate) note: Option<String>,
}

/// Which numbers are good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Direction {
    AtMost,
    AtLeast,
}

/// How a goal fared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Verdict {
    Stretch,
    Met,
    Missed,
    NotMeasured,
}

impl Goal {
    /// A goal to stay at or below.
    pub(crate) fn at_most(target: &'static str, what: impl Into<String>, must: f64, stretch: f64) -> Self {
        Goal {
            target,
            what: what.into(),
            unit: "x",
            must,
            stretch,
            direction: Direction::AtMost,
            measured: None,
            note: None,
        }
    }

    /// A goal to stay at or above.
    pub(crate) fn at_least(target: &'static str, what: impl Into<String>, must: f64, stretch: f64) -> Self {
        Goal { direction: Direction::AtLeast, ..Self::at_most(target, what, must, stretch) }
    }

    pub(crate) fn unit(mut self, unit: &'static str) -> Self {
        self.unit = unit;
        self
    }

    pub(crate) fn measured(mut self, measured: f64) -> Self {
        self.measured = (!measured.is_nan()).then_some(measured);
        self
    }

    pub(crate) fn note(mut self, note: impl Into<String>) -> Self {
        self.note = Some(note.into());
        self
    }

    pub(crate) fn verdict(&self) -> Verdict {
        let meets = |measured: f64, bound: f64| match self.direction {
            Direction::AtMost => measured <= bound,
            Direction::AtLeast => measured >= bound,
        };
        match self.measured {
            None => Verdict::NotMeasured,
            Some(measured) if meets(measured, self.stretch) => Verdict::Stretch,
            Some(measured) if meets(measured, self.must) => Verdict::Met,
            Some(_) => Verdict::Missed,
        }
    }
}

impl Verdict {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Stretch => "met, stretch too",
            Self::Met => "met",
            Self::Missed => "MISSED",
            Self::NotMeasured => "not measured",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Goal, Verdict};

    #[test]
    fn a_goal_is_missed_by_the_least() {
        let goal = |measured| Goal::at_most("T1", "a ratio", 3.5, 2.5).measured(measured).verdict();
        assert_eq!(goal(3.501), Verdict::Missed);
        assert_eq!(goal(3.5), Verdict::Met);
        assert_eq!(goal(2.5), Verdict::Stretch);
    }

    #[test]
    fn some_goals_are_better_above() {
        let goal = |measured| Goal::at_least("T8", "a rate", 5.0, 8.0).measured(measured).verdict();
        assert_eq!(goal(4.9), Verdict::Missed);
        assert_eq!(goal(5.0), Verdict::Met);
        assert_eq!(goal(8.0), Verdict::Stretch);
    }

    #[test]
    fn what_was_not_measured_is_not_met() {
        assert_eq!(Goal::at_most("T1", "a ratio", 3.5, 2.5).measured(f64::NAN).verdict(), Verdict::NotMeasured);
    }
}
