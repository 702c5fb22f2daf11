//! Is this body genuine? HMAC-SHA256 over the bytes as received.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::hint::black_box;

use ctutils::CtEq;
use hmac::digest::CtOutput;
use hmac::{Hmac, KeyInit, Mac};
use hookgate_sha256::Sha256;

use crate::event::Text;
use crate::gate::Source;
use crate::http::{Header, values};
use crate::index::Lists;
use crate::policy::{NamedSecret, NonEmpty, Scheme};

/// The longest phone number id that is ever looked up, in characters.
pub(crate) const PHONE_NUMBER_ID_LEN: usize = 64;

/// Why a request is not taken for genuine, or not for a delivery. For the log: all that has to do with signatures, tenants, age and
/// tokens is the same 401 to the sender, who never learns which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// The path belongs to no source.
    UnknownSource,
    /// The method is not one that the path takes: POST for a source, GET or HEAD for a setup link.
    WrongMethod,
    /// The body is over the policy's limit.
    TooLarge,
    /// No header that the source's scheme accepts is there.
    MissingSignature,
    /// The signature header is there more than once.
    RepeatedSignature,
    /// The signature is not 64 hexadecimal digits, with an optional `sha256=` before them.
    MalformedSignature,
    /// No secret of the source gives this signature for these bytes.
    WrongSignature,
    /// The source looks up secrets by phone number, but the body does not identify one tenant: it names no known number or
    /// numbers of several tenants, has a message without a number, cannot be read, or has more events than the policy allows.
    UnknownTenant,
    /// Everything in it that tells its time happened longer ago than the source's `max_age_s`.
    TooOld,
    /// A GET that is no handshake as Meta does it, or whose verify token is not the source's.
    WrongVerifyToken,
    /// What came to a setup link's path is no redirect as Kapso makes them.
    BadRedirect,
}

impl Rejection {
    /// The reason as logs and command lines write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UnknownSource => "unknown-source",
            Self::WrongMethod => "wrong-method",
            Self::TooLarge => "too-large",
            Self::MissingSignature => "missing-signature",
            Self::RepeatedSignature => "repeated-signature",
            Self::MalformedSignature => "malformed-signature",
            Self::WrongSignature => "wrong-signature",
            Self::UnknownTenant => "unknown-tenant",
            Self::TooOld => "too-old",
            Self::WrongVerifyToken => "wrong-verify-token",
            Self::BadRedirect => "bad-redirect",
        }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl core::error::Error for Rejection {}

/// An HMAC-SHA256 key whose inner and outer blocks are hashed already.
#[derive(Clone)]
pub(crate) struct Key(Hmac<Sha256>);

/// What a secret's value is made into.
pub(crate) trait FromSecret: Sized {
    /// Of a value that is not empty: that would protect nothing. None when nothing can be made of it.
    fn from_secret(value: &[u8]) -> Option<Self>;
}

impl FromSecret for Key {
    fn from_secret(value: &[u8]) -> Option<Self> {
        Hmac::new_from_slice(value).ok().map(Self)
    }
}

impl Key {
    /// The signature of `body`, as lower-case hexadecimal digits.
    pub(crate) fn sign(&self, body: &[u8]) -> String {
        hex::encode(self.digest(body).into_bytes())
    }

    fn digest(&self, body: &[u8]) -> Digest {
        self.0.clone().chain_update(body).finalize()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

/// What a body and a key give. Compares in constant time.
type Digest = CtOutput<Hmac<Sha256>>;

/// The token of Meta's GET handshake.
pub(crate) struct Token(Box<[u8]>);

impl FromSecret for Token {
    fn from_secret(value: &[u8]) -> Option<Self> {
        Some(Self(value.into()))
    }
}

impl Token {
    /// Compares in constant time; only the lengths show.
    pub(crate) fn is(&self, given: &[u8]) -> bool {
        self.0.ct_eq(given).into()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// Every header that can carry a signature, Meta's old SHA-1 one among them.
pub(crate) const SIGNATURE_HEADERS: [&str; 4] =
    ["x-webhook-signature", "x-kapso-signature", "x-hub-signature-256", "x-hub-signature"];

/// The headers that carry a signature which can be verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SignatureHeader {
    /// Kapso's own.
    Webhook,
    /// What an early page of Kapso's documentation called it.
    Kapso,
    /// Meta's.
    Hub,
}

impl SignatureHeader {
    /// The header's name, in lower case.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Webhook => "x-webhook-signature",
            Self::Kapso => "x-kapso-signature",
            Self::Hub => "x-hub-signature-256",
        }
    }

    /// The headers that a scheme accepts a signature in: Kapso's, the first of which that is there counts, and Meta's.
    fn accepted(scheme: Scheme, accept_x_kapso_signature: bool) -> [&'static [Self]; 2] {
        let kapso: &[Self] = if accept_x_kapso_signature { &[Self::Webhook, Self::Kapso] } else { &[Self::Webhook] };
        match scheme {
            Scheme::Kapso => [kapso, &[]],
            Scheme::Meta => [&[], &[Self::Hub]],
            Scheme::Any => [kapso, &[Self::Hub]],
        }
    }

    /// The header that carries a request's signature: the first one there that the source accepts.
    pub(crate) fn of(source: &Source, headers: &[Header<'_>]) -> Self {
        let accepted = Self::accepted(source.scheme, source.accept_x_kapso_signature);
        let mut there = accepted.into_iter().flatten().filter(|header| values(headers, header.name()).next().is_some());
        there.next().copied().unwrap_or(Self::Webhook)
    }

    /// A signature as this header writes it.
    pub(crate) fn spell(self, digits: &str) -> String {
        match self {
            Self::Webhook | Self::Kapso => String::from(digits),
            Self::Hub => format!("sha256={digits}"),
        }
    }

    fn read(self, headers: &[Header<'_>]) -> Result<Option<Digest>, Rejection> {
        let mut found = values(headers, self.name());
        let Some(value) = found.next() else { return Ok(None) };
        if found.next().is_some() {
            return Err(Rejection::RepeatedSignature);
        }
        decode(value).map(Some).ok_or(Rejection::MalformedSignature)
    }
}

fn decode(value: &[u8]) -> Option<Digest> {
    const PREFIX: &[u8] = b"sha256=";
    let value = value.trim_ascii();
    let digits = match value.split_at_checked(PREFIX.len()) {
        Some((prefix, digits)) if prefix.eq_ignore_ascii_case(PREFIX) => digits,
        _ => value,
    };
    let mut digest = [0; 32];
    hex::decode_to_slice(digits, &mut digest).ok()?;
    Some(CtOutput::new(digest.into()))
}

/// The signatures that a request brought and its source's scheme accepts: one, or with `any` up to two.
#[derive(Clone)]
pub(crate) struct Signatures([Option<Digest>; 2]);

impl Signatures {
    /// # Errors
    /// `MissingSignature`, `RepeatedSignature` or `MalformedSignature`.
    pub(crate) fn read(
        scheme: Scheme,
        accept_x_kapso_signature: bool,
        headers: &[Header<'_>],
    ) -> Result<Self, Rejection> {
        let first = |accepted: &[SignatureHeader]| {
            accepted.iter().find_map(|header| header.read(headers).transpose()).transpose()
        };
        let [kapso, meta] = SignatureHeader::accepted(scheme, accept_x_kapso_signature);
        match [first(kapso)?, first(meta)?] {
            [None, None] => Err(Rejection::MissingSignature),
            signatures => Ok(Self(signatures)),
        }
    }

    fn have(&self, digest: &Digest) -> bool {
        self.0.iter().flatten().any(|signature| signature == digest)
    }
}

/// The secrets of one source.
#[derive(Debug)]
pub(crate) struct Keys {
    /// Each secret once.
    keys: Vec<(String, Key)>,
    /// Indices into `keys`: the source's `secrets`, tried in turn.
    listed: Vec<usize>,
    /// Indices into `keys` by phone number id.
    tenants: Lists,
    /// How many digests of a body a failure costs, whatever its reason.
    rounds: usize,
}

impl Keys {
    pub(crate) fn new(listed: Vec<NamedSecret<Key>>, tenants: Vec<(String, NonEmpty<NamedSecret<Key>>)>) -> Self {
        let (mut keys, mut places) = (Vec::new(), Lists::default());
        let mut place = |secret: NamedSecret<Key>| {
            let place = places.first_or(&secret.name, keys.len());
            if place == keys.len() {
                keys.push((secret.name, secret.value));
            }
            place
        };
        let listed: Vec<usize> = listed.into_iter().map(&mut place).collect();
        let mut by_id = Lists::default();
        for (id, secrets) in tenants {
            secrets.0.into_iter().for_each(|secret| by_id.push(&id, place(secret)));
        }
        // A project's body is tried with both.
        let rounds = by_id.longest().saturating_add(listed.len());
        Self { keys, listed, tenants: by_id, rounds }
    }

    /// Whether the body's phone numbers say which secrets to try.
    pub(crate) fn by_phone_number(&self) -> bool {
        !self.tenants.is_empty()
    }

    fn tenant(&self, id: &str) -> Option<&[usize]> {
        // A string of n bytes has at least n / 4 characters, so a huge one is not even counted.
        let fits = id.len() <= PHONE_NUMBER_ID_LEN.saturating_mul(4) && id.chars().count() <= PHONE_NUMBER_ID_LEN;
        fits.then(|| self.tenants.get(id)).flatten()
    }
}

/// Whose a body says that it is: before it is verified, and only where secrets are looked up by phone number.
#[derive(Default)]
pub(crate) struct Whose<'b> {
    /// The ids of the phone numbers that it names, in its order.
    pub(crate) phone_numbers: Vec<Text<'b>>,
    /// It is no tenant's but the project's, which says something about a number.
    pub(crate) of_project: bool,
}

/// Hashes a body as it comes, where the first secret to try is known before the body.
#[derive(Clone)]
pub(crate) struct Verifier {
    signatures: Signatures,
    /// The digest so far with the first of the listed secrets; none where the body must name the secrets first.
    first: Option<Hmac<Sha256>>,
}

impl Verifier {
    pub(crate) fn new(keys: &Keys, signatures: Signatures) -> Self {
        let first = match keys.listed.first() {
            Some(index) if !keys.by_phone_number() => keys.keys.get(*index).map(|(_, key)| key.0.clone()),
            _ => None,
        };
        Self { signatures, first }
    }

    /// The next bytes of the body.
    pub(crate) fn feed(&mut self, chunk: &[u8]) {
        if let Some(first) = &mut self.first {
            first.update(chunk);
        }
    }

    /// Names the secret that matches. `body` is all that was fed; `whose` is what it says of itself.
    ///
    /// The secrets tried are those of the first id that the source knows, then the listed ones where it knows none or the project
    /// says something about a number. A tenant's secret must be one of every id's in the body: it says nothing about another's
    /// number.
    ///
    /// # Errors
    /// `WrongSignature` or `UnknownTenant`, at the same cost.
    pub(crate) fn finish<'k>(self, keys: &'k Keys, body: &[u8], whose: &Whose<'_>) -> Result<&'k str, Rejection> {
        self.judge(keys, whose, |key| key.digest(black_box(body)))
    }

    fn judge<'k>(
        self,
        keys: &'k Keys,
        whose: &Whose<'_>,
        mut hash: impl FnMut(&Key) -> Digest,
    ) -> Result<&'k str, Rejection> {
        let Whose { phone_numbers, of_project } = whose;
        let theirs = phone_numbers.iter().find_map(|id| keys.tenant(id)).unwrap_or_default();
        let listed = if theirs.is_empty() || *of_project { &*keys.listed } else { &[] };
        let mut streamed = self.first.map(Mac::finalize);
        let tried = theirs.len().saturating_add(listed.len());
        let mut reason = if tried == 0 { Rejection::UnknownTenant } else { Rejection::WrongSignature };
        for (place, index) in theirs.iter().chain(listed).enumerate() {
            let Some((secret, key)) = keys.keys.get(*index) else { continue };
            let digest = streamed.take().unwrap_or_else(|| hash(key));
            if !self.signatures.have(&digest) {
                continue;
            }
            let all_theirs = place >= theirs.len()
                || phone_numbers.iter().all(|id| keys.tenant(id).is_some_and(|secrets| secrets.contains(index)));
            if all_theirs {
                return Ok(secret);
            }
            reason = Rejection::UnknownTenant;
        }
        if let Some((_, decoy)) = keys.keys.first() {
            for _ in tried..keys.rounds {
                black_box(hash(decoy));
            }
        }
        Err(reason)
    }
}

#[cfg(test)]
mod tests;
