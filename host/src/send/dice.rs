//! Chance that comes out the same for the same seed, on every machine and however many deliveries are under way.

use rand::rngs::ChaCha8Rng;
use rand::{Rng, RngExt, SeedableRng};
use uuid::Builder;

/// What chance is asked for. Each has its own numbers, so that what is done with one changes nothing in another.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Purpose {
    /// What the delivery says.
    Compose,
    /// The keys of what is sent one by one after a batch was given up.
    FallBack,
    /// Whether it is sent again, and how.
    Duplicate,
    /// Whether it is forged, and how.
    Forge,
    /// Who the two sides of a conversation are.
    Conversation,
}

/// The chance of one delivery.
pub(crate) struct Dice(ChaCha8Rng);

impl Dice {
    pub(crate) fn new(seed: u64, number: u64, purpose: Purpose) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream((number << 3) | purpose as u64);
        Self(rng)
    }

    /// From 0 up to but not `limit`; 0 if that is 0.
    pub(crate) fn below(&mut self, limit: u32) -> u32 {
        if limit == 0 { 0 } else { self.0.random_range(0..limit) }
    }

    /// True in `part` of `whole` cases.
    pub(crate) fn is(&mut self, part: u32, whole: u32) -> bool {
        self.below(whole) < part
    }

    /// True with this probability, from 0 to 1.
    pub(crate) fn chance(&mut self, share: f64) -> bool {
        self.0.random::<f64>() < share
    }

    /// One of these, which must not be none.
    pub(crate) fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(u32::try_from(choices.len()).unwrap_or(u32::MAX)) as usize]
    }

    /// So many hexadecimal digits, at most 16.
    pub(crate) fn hex(&mut self, digits: usize) -> String {
        let mut text = format!("{:016x}", self.0.next_u64());
        text.truncate(digits);
        text
    }

    /// So many decimal digits, at most 15, the first no 0.
    pub(crate) fn digits(&mut self, digits: u32) -> String {
        let low = 10_u64.pow(digits - 1);
        self.0.random_range(low..low * 10).to_string()
    }

    /// A random UUID.
    pub(crate) fn uuid(&mut self) -> String {
        let mut bytes = [0; 16];
        self.0.fill_bytes(&mut bytes);
        Builder::from_random_bytes(bytes).into_uuid().to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_for_ever() {
        let mut dice = Dice::new(1, 7, Purpose::Compose);
        let drawn = (dice.below(1000), dice.hex(8), dice.digits(15), dice.uuid());
        let again = {
            let mut dice = Dice::new(1, 7, Purpose::Compose);
            (dice.below(1000), dice.hex(8), dice.digits(15), dice.uuid())
        };
        assert_eq!(drawn, again);
    }

    #[test]
    fn another_seed_number_or_purpose_gives_something_else() {
        let drawn = |seed, number, purpose| Dice::new(seed, number, purpose).uuid();
        let first = drawn(1, 1, Purpose::Compose);
        assert_ne!(first, drawn(2, 1, Purpose::Compose));
        assert_ne!(first, drawn(1, 2, Purpose::Compose));
        assert_ne!(first, drawn(1, 1, Purpose::Forge));
    }

    #[test]
    fn shares_are_about_what_they_say() {
        let mut dice = Dice::new(3, 3, Purpose::Forge);
        let hits = (0..10_000).filter(|_| dice.chance(0.25)).count();
        assert!((2300..2700).contains(&hits), "{hits}");
        assert!((0..1000).all(|_| !dice.chance(0.0)));
        assert!((0..1000).all(|_| dice.chance(1.0)));
    }
}
