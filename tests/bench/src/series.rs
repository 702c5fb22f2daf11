//! What many short rounds gave.

use serde::{Serialize, Serializer};

/// One number a round, in the order of the rounds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Series(Vec<f64>);

impl Series {
    pub(crate) fn push(&mut self, value: f64) {
        self.0.push(value);
    }

    pub(crate) fn rounds(&self) -> usize {
        self.0.len()
    }

    /// The middle one.
    pub(crate) fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    /// How far the middle half of the rounds lies apart, as a share of the median.
    pub(crate) fn spread(&self) -> f64 {
        (self.quantile(0.75) - self.quantile(0.25)) / self.median()
    }

    /// Round by round, how many times the other. What else the machine did in a round weighs on both.
    pub(crate) fn over(&self, other: &Self) -> Self {
        self.with(other, |this, other| this / other)
    }

    /// Round by round, the sum with the other.
    pub(crate) fn plus(&self, other: &Self) -> Self {
        self.with(other, |this, other| this + other)
    }

    /// Round by round, by how much it is above the other.
    pub(crate) fn minus(&self, other: &Self) -> Self {
        self.with(other, |this, other| this - other)
    }

    /// Every number times a factor.
    pub(crate) fn times(&self, factor: f64) -> Self {
        Series(self.0.iter().map(|value| value * factor).collect())
    }

    fn with(&self, other: &Self, combine: impl Fn(f64, f64) -> f64) -> Self {
        Series(self.0.iter().zip(&other.0).map(|(this, other)| combine(*this, *other)).collect())
    }

    fn quantile(&self, part: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
        let place = part * last as f64;
        let (below, above) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
        below + (above - below) * place.fract()
    }
}

/// As what one wants to know of it.
impl Serialize for Series {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Summary {
            median: f64,
            lower_quartile: f64,
            upper_quartile: f64,
            rounds: usize,
        }
        let (lower_quartile, upper_quartile) = (self.quantile(0.25), self.quantile(0.75));
        Summary { median: self.median(), lower_quartile, upper_quartile, rounds: self.rounds() }.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::Series;

    fn series(values: &[f64]) -> Series {
        Series(values.to_vec())
    }

    #[test]
    fn one_wild_round_moves_the_median_little() {
        assert_eq!(series(&[1.0, 2.0, 900.0, 3.0]).median(), 2.5);
        assert_eq!(series(&[900.0, 2.0, 3.0]).median(), 3.0);
    }

    #[test]
    fn the_spread_is_that_of_the_middle_half() {
        assert_eq!(series(&[8.0, 9.0, 10.0, 11.0, 1000.0]).spread(), 0.2);
    }

    #[test]
    fn a_ratio_is_taken_round_by_round() {
        let slow_machine_in_round_two = series(&[2.0, 20.0, 2.0]);
        assert_eq!(slow_machine_in_round_two.over(&series(&[1.0, 10.0, 1.0])).median(), 2.0);
    }

    #[test]
    fn nothing_measured_is_no_number() {
        assert!(Series::default().median().is_nan());
    }
}
