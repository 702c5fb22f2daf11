//! Forgeries: what an attacker, a broken proxy or a wrong secret makes of a delivery. Every one must be answered 401.

use bytes::Bytes;

use super::compose::{Composed, Webhook};
use super::dice::Dice;
use super::sign::{Signer, Signers};
use super::written::{self, Written};

/// A way to forge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Forgery {
    /// No signature at all.
    Missing,
    /// An empty signature.
    Empty,
    /// 64 characters that are no hexadecimal digits.
    Malformed,
    /// The right signature without its last digits.
    Truncated,
    /// The right signature with digits behind it.
    Lengthened,
    /// 64 zeros.
    Zeros,
    /// The right signature with one digit changed.
    OneDigit,
    /// Signed with a secret that nobody has.
    WrongSecret,
    /// Signed with an empty secret, as a receiver without one would.
    EmptySecret,
    /// Signed with the secret of another phone number.
    OtherTenant,
    /// The right signature twice.
    Repeated,
    /// The right signature beside a wrong one.
    RightAndWrong,
    /// The right signature of another body.
    OtherBody,
    /// A body that was changed after it was signed.
    ChangedBody,
    /// The right body with something behind it.
    TrailingBytes,
    /// The right body without its end.
    CutOff,
    /// No body.
    NoBody,
    /// The body's hash, without any secret.
    PlainHash,
    /// Meta's old header alone: HMAC-SHA1 with the right secret.
    Sha1,
    /// HMAC-SHA1 with the right secret, where the signature belongs.
    Sha1InPlace,
}

impl Forgery {
    /// All of them.
    pub(crate) const ALL: [Self; 20] = [
        Self::Missing,
        Self::Empty,
        Self::Malformed,
        Self::Truncated,
        Self::Lengthened,
        Self::Zeros,
        Self::OneDigit,
        Self::WrongSecret,
        Self::EmptySecret,
        Self::OtherTenant,
        Self::Repeated,
        Self::RightAndWrong,
        Self::OtherBody,
        Self::ChangedBody,
        Self::TrailingBytes,
        Self::CutOff,
        Self::NoBody,
        Self::PlainHash,
        Self::Sha1,
        Self::Sha1InPlace,
    ];

    /// Its name in reports.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Empty => "empty",
            Self::Malformed => "malformed",
            Self::Truncated => "truncated",
            Self::Lengthened => "lengthened",
            Self::Zeros => "zeros",
            Self::OneDigit => "one-digit",
            Self::WrongSecret => "wrong-secret",
            Self::EmptySecret => "empty-secret",
            Self::OtherTenant => "other-tenant",
            Self::Repeated => "repeated",
            Self::RightAndWrong => "right-and-wrong",
            Self::OtherBody => "other-body",
            Self::ChangedBody => "changed-body",
            Self::TrailingBytes => "trailing-bytes",
            Self::CutOff => "cut-off",
            Self::NoBody => "no-body",
            Self::PlainHash => "plain-hash",
            Self::Sha1 => "sha1",
            Self::Sha1InPlace => "sha1-in-place",
        }
    }

    /// One of those that can be made of this delivery.
    pub(crate) fn any(composed: &Composed, signers: &Signers, dice: &mut Dice) -> Self {
        match dice.pick(&Self::ALL) {
            Self::OtherTenant if other_tenant(composed, signers).is_none() => Self::WrongSecret,
            forgery => forgery,
        }
    }

    /// What is sent in place of the genuine delivery.
    pub(crate) fn of(self, composed: &Composed, signers: &Signers, dice: &mut Dice) -> Written {
        let signer = written::signer(composed, signers);
        let body = &composed.body;
        let right = signer.sign(body);
        let signed = |digits: &str| insert(Written::unsigned(composed), written::spelt(composed, digits));
        let signed_right_with = |body: Bytes| Written { body, ..signed(&right) };
        match self {
            Self::Missing => Written::unsigned(composed),
            Self::Empty => insert(Written::unsigned(composed), (written::spelt(composed, "").0, String::new())),
            Self::Malformed => signed(&right.replace(['0', '1', '2', '3', '4', '5', '6', '7'], "x")),
            Self::Truncated => signed(&right[..right.len() - 1 - dice.below(62) as usize]),
            Self::Lengthened => signed(&format!("{right}00")),
            Self::Zeros => signed(&"0".repeat(64)),
            Self::OneDigit => signed(&one_digit(&right, dice)),
            Self::WrongSecret => signed(&Signer::new("whsec_of_nobody").sign(body)),
            Self::EmptySecret => signed(&Signer::new("").sign(body)),
            Self::OtherTenant => signed(&other_tenant(composed, signers).unwrap_or(&Signer::new("x")).sign(body)),
            Self::Repeated => insert(signed(&right), written::spelt(composed, &right)),
            Self::RightAndWrong => insert(signed(&right), written::spelt(composed, &"0".repeat(64))),
            Self::OtherBody => signed(&signer.sign(b"{}")),
            Self::ChangedBody => signed_right_with(changed(body)),
            Self::TrailingBytes => {
                signed_right_with([body.as_ref(), dice.pick(&[" ", "\n", "{}"]).as_bytes()].concat().into())
            }
            Self::CutOff => signed_right_with(cut_off(body, dice)),
            Self::NoBody => signed_right_with(Bytes::new()),
            Self::PlainHash => signed(&hex::encode(ring::digest::digest(&ring::digest::SHA256, body))),
            Self::Sha1 => {
                let old = format!("sha1={}", signer.sign_sha1(body));
                insert(Written::unsigned(composed), ("X-Hub-Signature", old))
            }
            Self::Sha1InPlace => signed(&signer.sign_sha1(body)),
        }
    }
}

fn insert(mut written: Written, header: (&'static str, String)) -> Written {
    written.headers.insert(1, header);
    written
}

fn other_tenant<'s>(composed: &Composed, signers: &'s Signers) -> Option<&'s Signer> {
    match composed.webhook {
        Webhook::Number(number) => signers.another(number),
        Webhook::Meta(_) | Webhook::Project => None,
    }
}

fn one_digit(right: &str, dice: &mut Dice) -> String {
    let at = dice.below(64) as usize;
    right
        .char_indices()
        .map(|(place, digit)| if place == at { if digit == '0' { '1' } else { '0' } } else { digit })
        .collect()
}

/// Another digit for the last one: every body has digits.
fn changed(body: &[u8]) -> Bytes {
    let mut body = body.to_vec();
    match body.iter().rposition(u8::is_ascii_digit) {
        Some(at) => body[at] = if body[at] == b'9' { b'0' } else { body[at] + 1 },
        None => body.push(b' '),
    }
    body.into()
}

/// Not within a character, so that the rest can be printed.
fn cut_off(body: &Bytes, dice: &mut Dice) -> Bytes {
    let mut end = 1 + dice.below(u32::try_from(body.len()).unwrap_or(u32::MAX).saturating_sub(1)) as usize;
    while end > 0 && body.get(end).is_some_and(|byte| byte & 0xc0 == 0x80) {
        end -= 1;
    }
    body.slice(..end.min(body.len().saturating_sub(1)))
}
