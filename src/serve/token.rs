//! Tokens: made here, known to the agent only by their hash, and compared in a time that tells nothing.

use getrandom::fill;
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::manifest::{HASH_PREFIX, Token};

/// What a token begins with, so that people and scanners know it where it doesn't belong.
const PREFIX: &str = "ek_";

/// Longer ones are not even hashed.
const LONGEST: usize = 256;

/// A new token, and the hash of it that agent.yaml wants. The token itself is kept nowhere.
///
/// # Errors
/// The system gives no random bytes.
pub fn new_token() -> Result<(String, String), getrandom::Error> {
    let mut bytes = [0; 32];
    fill(&mut bytes)?;
    let token = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes));
    let hash = hash_text(&token);
    Ok((token, hash))
}

/// The hash of a token as agent.yaml has it.
pub fn hash_text(token: &str) -> String {
    format!("{HASH_PREFIX}{}", hex::encode(hash(token)))
}

fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token).into()
}

/// The token that was presented, if it is one of these and has not expired. Every one is compared, whichever it is.
pub(super) fn find<'t>(tokens: &'t [Token], presented: &str, now: Timestamp) -> Option<&'t Token> {
    if presented.len() > LONGEST {
        return None;
    }
    let hash = hash(presented);
    let mut found = None;
    for token in tokens {
        if bool::from(token.hash.ct_eq(&hash)) {
            found = Some(token);
        }
    }
    found.filter(|token| token.expires.is_none_or(|expires| now < expires))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::manifest::Role;

    #[test]
    fn a_token_is_long_and_never_the_same() {
        let (one, hash) = new_token().unwrap();
        let (other, _) = new_token().unwrap();
        assert_ne!(one, other);
        assert_eq!((one.len(), &one[..3]), (46, "ek_"));
        assert_eq!((hash.len(), hash_text(&one)), (71, hash));
    }

    #[test]
    fn a_token_is_found_until_it_expires() {
        let expires: Timestamp = "2027-01-01T00:00:00Z".parse().unwrap();
        let named = |name: &str, token: &str, expires| Token {
            name: name.to_owned(),
            role: Role::Read,
            hash: hash(token),
            stacks: BTreeSet::new(),
            expires,
        };
        let tokens = [named("a", "ek_a", None), named("b", "ek_b", Some(expires))];
        let before: Timestamp = "2026-12-31T23:59:59Z".parse().unwrap();
        let found = |presented: &str, now| find(&tokens, presented, now).map(|token| token.name.as_str());
        assert_eq!(found("ek_a", expires), Some("a"));
        assert_eq!((found("ek_b", before), found("ek_b", expires)), (Some("b"), None));
        for wrong in ["", "ek_", "ek_A", "ek_a ", &"x".repeat(10_000)] {
            assert_eq!(found(wrong, before), None, "{wrong}");
        }
    }
}
