//! Secrets that go to Kapso: the API key, and what webhooks are signed with.

use std::fmt;

use http::HeaderValue;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::error::ConfigError;

/// The API key of a project, as `X-API-Key` has it. `Debug` does not show it.
#[derive(Clone)]
pub struct ApiKey {
    text: Zeroizing<String>,
    header: HeaderValue,
}

impl ApiKey {
    /// A key as Kapso's dashboard shows it.
    ///
    /// # Errors
    /// It is empty, or holds what cannot stand in a header.
    pub fn new(text: impl Into<String>) -> Result<Self, ConfigError> {
        let text = Zeroizing::new(text.into());
        let mut header = HeaderValue::from_str(text.trim()).map_err(|_| ConfigError::Key)?;
        if header.is_empty() {
            return Err(ConfigError::Key);
        }
        header.set_sensitive(true);
        Ok(Self { text, header })
    }

    pub(super) fn header(&self) -> HeaderValue {
        self.header.clone()
    }

    pub(super) fn sha256(&self) -> String {
        hex::encode(Sha256::digest(self.text.trim()))
    }

    /// A text from the other side, without the key if it repeats it.
    pub(super) fn hidden_in(&self, text: &str) -> String {
        text.replace(self.text.trim(), "(the API key)")
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey")
    }
}

/// What a webhook's deliveries are signed with. `Debug` does not show it, and it is wiped from memory when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretKey(Zeroizing<String>);

impl SecretKey {
    /// A new one: 256 random bits.
    ///
    /// # Errors
    /// The system gives no random numbers.
    pub fn generate() -> Result<Self, getrandom::Error> {
        let mut bytes = Zeroizing::new([0; 32]);
        getrandom::fill(bytes.as_mut())?;
        Ok(Self(Zeroizing::new(format!("whsec_{}", hex::encode(bytes.as_ref())))))
    }

    /// The secret itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl<T: Into<String>> From<T> for SecretKey {
    fn from(text: T) -> Self {
        Self(Zeroizing::new(text.into()))
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_is_shown() {
        let key = ApiKey::new(" k3y\n").unwrap();
        assert_eq!(format!("{key:?} {:?} {:?}", key.header(), SecretKey::from("s3cret")), "ApiKey Sensitive SecretKey");
        assert_eq!(key.header(), "k3y");
        assert_eq!(key.hidden_in("bad key k3y."), "bad key (the API key).");
    }

    #[test]
    fn a_key_that_cannot_be_a_header_is_refused() {
        for text in ["", " \n", "a\nb", "a\u{7f}"] {
            assert!(matches!(ApiKey::new(text), Err(ConfigError::Key)), "{text:?}");
        }
    }

    #[test]
    fn generated_secrets_are_long_and_differ() {
        let [one, other] = [(); 2].map(|()| SecretKey::generate().unwrap());
        assert_ne!(one, other);
        assert_eq!(one.expose().len(), "whsec_".len() + 64);
    }
}
