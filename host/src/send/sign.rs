//! Signatures by another hand than the gate's: `ring` here, `hmac` and `sha2` there. What one of them gets wrong, the other does
//! not repeat.

use ring::hmac;

/// A webhook's secret, ready to sign with.
pub(crate) struct Signer {
    sha256: hmac::Key,
    /// For forgeries alone.
    sha1: hmac::Key,
}

impl Signer {
    /// The secret's bytes are the key as they stand, never decoded.
    pub(crate) fn new(secret: &str) -> Self {
        let key = |algorithm| hmac::Key::new(algorithm, secret.as_bytes());
        Self { sha256: key(hmac::HMAC_SHA256), sha1: key(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY) }
    }

    /// The signature of a body, in 64 hexadecimal digits.
    pub(crate) fn sign(&self, body: &[u8]) -> String {
        hex::encode(hmac::sign(&self.sha256, body))
    }

    /// What Meta once signed with, in 40 hexadecimal digits. Nobody takes it any more.
    pub(crate) fn sign_sha1(&self, body: &[u8]) -> String {
        hex::encode(hmac::sign(&self.sha1, body))
    }
}

/// Who signs for whom.
pub(crate) struct Signers {
    /// The webhooks of phone numbers, in turn.
    numbers: Vec<Signer>,
    project: Option<Signer>,
    /// Meta's own signature, made with the secret of the app.
    app: Option<Signer>,
}

impl Signers {
    /// `numbers` are the secrets of the phone numbers' webhooks: the first number has the first, and so on in turn. The
    /// project's webhook and Meta's app have the first of them if they have none of their own.
    ///
    /// None if there is no secret at all.
    pub(crate) fn new(numbers: Vec<Signer>, project: Option<Signer>, app: Option<Signer>) -> Option<Self> {
        (!numbers.is_empty()).then_some(Self { numbers, project, app })
    }

    /// The signer of a phone number, counted from 0.
    pub(crate) fn number(&self, number: u32) -> &Signer {
        &self.numbers[number as usize % self.numbers.len()]
    }

    /// The signer of the project's webhook.
    pub(crate) fn project(&self) -> &Signer {
        self.project.as_ref().unwrap_or(&self.numbers[0])
    }

    /// The signer of Meta's app.
    pub(crate) fn app(&self, number: u32) -> &Signer {
        self.app.as_ref().unwrap_or_else(|| self.number(number))
    }

    /// The signer of another tenant than this number's, if there is one.
    pub(crate) fn another(&self, number: u32) -> Option<&Signer> {
        (self.numbers.len() > 1).then(|| self.number(number + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4231, test case 2, and against the other hand.
    #[test]
    fn signs_as_the_standard_and_the_gate_say() {
        let expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(Signer::new("Jefe").sign(b"what do ya want for nothing?"), expected);
        let long = "k".repeat(200);
        assert_eq!(Signer::new(&long).sign("é".as_bytes()), crate::sign(&long, "é".as_bytes()));
    }

    #[test]
    fn numbers_take_the_secrets_in_turn() {
        let signers = Signers::new(vec![Signer::new("a"), Signer::new("b")], None, None).unwrap();
        let of = |signer: &Signer| signer.sign(b"x");
        assert_eq!(of(signers.number(0)), of(signers.number(2)));
        assert_ne!(of(signers.number(0)), of(signers.number(1)));
        assert_eq!(of(signers.project()), of(signers.number(0)));
        assert_eq!(signers.another(1).map(of), Some(of(signers.number(0))));
        assert!(Signers::new(Vec::new(), None, None).is_none());
    }
}
