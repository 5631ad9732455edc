//! Who sent a webhook: whether it proves that it knows the secret.
//!
//! GitHub signs the raw body; other registries send a fixed `Authorization` header. Both are compared in a time that
//! does not depend on how much of them is right.
//!
//! Source: <https://docs.github.com/webhooks/using-webhooks/validating-webhook-deliveries>

use ring::hmac::{HMAC_SHA256, Key, sign, verify};

/// What a webhook shows for the secret.
#[derive(Clone, Copy, Default)]
#[expect(missing_debug_implementations, reason = "the header may be the secret")]
pub struct Proof<'a> {
    /// The header `X-Hub-Signature-256`.
    pub signature: Option<&'a str>,
    /// The header `Authorization`.
    pub authorization: Option<&'a str>,
}

/// Whether a webhook with this body knows the secret. A signature that is there has to be right.
#[must_use]
pub fn is_authentic(secret: &[u8], proof: Proof<'_>, body: &[u8]) -> bool {
    let key = Key::new(HMAC_SHA256, secret);
    if let Some(signature) = proof.signature {
        let digits = signature.trim().strip_prefix("sha256=");
        return digits.and_then(hex).is_some_and(|given| verify(&key, body, &given).is_ok());
    }
    // The authentication codes of both texts are compared: their length says nothing about the secret.
    let expected = sign(&key, secret);
    proof.authorization.is_some_and(|given| verify(&key, given.trim().as_bytes(), expected.as_ref()).is_ok())
}

fn hex(digits: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let bytes = pairs.iter().map(|[high, low]| Some(digit(*high)? * 16 + digit(*low)?));
    bytes.collect::<Option<Vec<u8>>>().filter(|_| rest.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of GitHub's documentation.
    const SECRET: &[u8] = b"It's a Secret to Everybody";
    const BODY: &[u8] = b"Hello, World!";
    const SIGNATURE: &str = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";

    fn signed(signature: &str, body: &[u8]) -> bool {
        is_authentic(SECRET, Proof { signature: Some(signature), authorization: None }, body)
    }

    #[test]
    fn a_signature_of_the_raw_body_is_accepted() {
        assert!(signed(SIGNATURE, BODY));
        assert!(signed(&SIGNATURE.to_uppercase().replace("SHA", "sha"), BODY));
    }

    #[test]
    fn any_other_signature_or_body_is_refused() {
        assert!(!signed(SIGNATURE, b"Hello, World! "));
        assert!(!signed(&SIGNATURE.replace('7', "8"), BODY));
        for signature in
            ["", "sha256=", "sha256=7", "sha256=zz", "sha1=757107ea", &SIGNATURE[7..], &SIGNATURE[..70]]
        {
            assert!(!signed(signature, BODY), "{signature}");
        }
        let authorization = std::str::from_utf8(SECRET).ok();
        let both = Proof { signature: Some("sha256=00"), authorization };
        assert!(!is_authentic(SECRET, both, BODY), "a wrong signature is not made good by a header");
    }

    #[test]
    fn an_authorization_header_has_to_be_the_secret() {
        let with =
            |given| is_authentic(b"Basic c2VjcmV0", Proof { signature: None, authorization: given }, BODY);
        assert!(with(Some("Basic c2VjcmV0")));
        for given in [None, Some(""), Some("Basic"), Some("Basic c2VjcmV0x"), Some("c2VjcmV0")] {
            assert!(!with(given), "{given:?}");
        }
    }
}
