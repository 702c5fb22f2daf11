//! What is sent: genuine deliveries, some of them twice, and forged ones among them.

use super::compose::{Composed, Composer, Scene, Webhook};
use super::dice::{Dice, Purpose};
use super::duplicate::Duplicate;
use super::forge::Forgery;
use super::sign::Signers;
use super::written::Written;

/// How many of the deliveries are not what they seem.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shares {
    /// Forged ones, from 0 to 1.
    pub(crate) forged: f64,
    /// Genuine ones that are sent again, from 0 to 1.
    pub(crate) duplicate: f64,
}

/// One delivery and what is done with it.
pub(crate) enum Parcel {
    /// Sent as Kapso sends it, and perhaps again.
    Genuine(Composed, Option<Duplicate>),
    /// Sent once, as this forgery.
    Forged(Composed, Forgery),
}

/// Parcels, one after the other, the same for the same scene and shares.
pub(crate) struct Parcels {
    composer: Composer,
    seed: u64,
    shares: Shares,
}

impl Parcels {
    pub(crate) fn new(scene: Scene, shares: Shares) -> Self {
        Self { seed: scene.seed, composer: Composer::new(scene), shares }
    }

    /// The next one.
    pub(crate) fn pack(&mut self, signers: &Signers) -> Parcel {
        let composed = self.composer.compose();
        let mut dice = Dice::new(self.seed, composed.number, Purpose::Forge);
        if dice.chance(self.shares.forged) {
            let forgery = Forgery::any(&composed, signers, &mut dice);
            return Parcel::Forged(composed, forgery);
        }
        let mut dice = Dice::new(self.seed, composed.number, Purpose::Duplicate);
        let again = dice.chance(self.shares.duplicate).then(|| Duplicate::any(&mut dice));
        Parcel::Genuine(composed, again)
    }
}

impl Parcel {
    /// Whose it is.
    pub(crate) fn webhook(&self) -> Webhook {
        match self {
            Self::Genuine(composed, _) | Self::Forged(composed, _) => composed.webhook,
        }
    }

    /// Everything that goes over the wire of it if all goes well.
    pub(crate) fn written(&self, seed: u64, signers: &Signers) -> Vec<Written> {
        match self {
            Self::Genuine(composed, again) => {
                let first = Written::signed(composed, signers);
                let again = again.map(|again| again.of(&first, &mut again_dice(seed, composed)));
                [Some(first), again].into_iter().flatten().collect()
            }
            Self::Forged(composed, forgery) => vec![forged(*forgery, composed, seed, signers)],
        }
    }
}

/// What is sent in place of a genuine delivery.
pub(crate) fn forged(forgery: Forgery, composed: &Composed, seed: u64, signers: &Signers) -> Written {
    // Not the numbers that chose the forgery.
    let mut dice = Dice::new(seed ^ u64::from(u32::MAX), composed.number, Purpose::Forge);
    forgery.of(composed, signers, &mut dice)
}

/// What the second sending is made with.
pub(crate) fn again_dice(seed: u64, composed: &Composed) -> Dice {
    Dice::new(seed ^ u64::from(u32::MAX), composed.number, Purpose::Duplicate)
}
