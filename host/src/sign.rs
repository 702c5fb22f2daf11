//! Signing as Kapso does.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// The headers that carry a signature over the body, in lower case: Kapso's, its former name, and Meta's two.
#[cfg(feature = "program")]
pub(crate) const SIGNATURES: [&str; 4] =
    ["x-webhook-signature", "x-kapso-signature", "x-hub-signature-256", "x-hub-signature"];

/// The signature of a body, as Kapso puts it into `X-Webhook-Signature`: HMAC-SHA256 over the body's bytes, with the secret's
/// bytes as the key, in 64 hexadecimal digits. For tests and tools; what is received is verified by
/// [`Gate::verify`](crate::Gate::verify).
pub fn sign(secret: &str, body: &[u8]) -> String {
    let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of any length");
    hex::encode(mac.chain_update(body).finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::sign;

    /// RFC 4231, test case 2.
    #[test]
    fn signs_as_the_standard_says() {
        let expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(sign("Jefe", b"what do ya want for nothing?"), expected);
    }
}
