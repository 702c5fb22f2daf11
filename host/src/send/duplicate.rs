//! Sending again what was taken: a lost answer, a second webhook on the same number, somebody who replays a capture.

use super::dice::Dice;
use super::written::{EVENT, KEY, Written};

/// How a delivery is sent again. Its body and signature are the same, byte for byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Duplicate {
    /// Under the same key.
    SameKey,
    /// Under a new key.
    NewKey,
    /// Under a new key and the name of another event.
    OtherEvent,
    /// Without the headers that are not signed.
    Bare,
}

impl Duplicate {
    const ALL: [Self; 4] = [Self::SameKey, Self::NewKey, Self::OtherEvent, Self::Bare];

    pub(crate) fn any(dice: &mut Dice) -> Self {
        dice.pick(&Self::ALL)
    }

    pub(crate) fn of(self, written: &Written, dice: &mut Dice) -> Written {
        let written = written.clone();
        match self {
            Self::SameKey => written,
            Self::NewKey => written.with(KEY, dice.uuid()),
            Self::OtherEvent => {
                let other =
                    dice.pick(&["whatsapp.message.sent", "whatsapp.conversation.ended", "workflow.execution.failed"]);
                written.with(KEY, dice.uuid()).with(EVENT, other)
            }
            Self::Bare => {
                let headers = written.headers.into_iter();
                let signed = |name: &str| name.contains("Signature") || name == "Content-Type";
                Written { headers: headers.filter(|(name, _)| signed(name)).collect(), body: written.body }
            }
        }
    }
}
