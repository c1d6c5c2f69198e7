//! Whether a message comes from who knows the secret. Pure. What the message says is never looked at.

use axum::http::{HeaderMap, HeaderName};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::manifest::WebhookKind;

/// The shortest secret, in bytes.
pub(super) const SHORTEST: usize = 32;

/// The shortest key that GitLab makes for its signatures, in bytes.
const SHORTEST_KEY: usize = 24;

/// What a secret begins with that GitLab signs with.
const SIGNING: &str = "whsec_";

/// How far a sender's clock may be off, and how old a message may be, in seconds.
const WINDOW: i64 = 5 * 60;

/// Signatures of one message that are looked at: two while a secret is being changed.
const SIGNATURES: usize = 4;

/// The longest id of a delivery that is remembered.
const ID_LONGEST: usize = 200;

/// How a sender proves that it knows the secret.
pub(super) enum Key {
    /// It signs the body, in hexadecimal digits.
    Signs { kind: Signing, key: Vec<u8> },
    /// It sends the secret itself, as GitLab does. The hash of it.
    Sends([u8; 32]),
    /// It signs id, time and body, as newer releases of GitLab do.
    SignsAll(Vec<u8>),
}

/// Who signs the body, and where the signature is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Signing {
    Github,
    Gitea,
    Bitbucket,
    Generic,
}

/// Why a secret can't be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// It can be guessed.
    #[error("is shorter than {SHORTEST} bytes; make one with `openssl rand -hex 32`")]
    Short,
    /// It begins like one of GitLab's, and isn't.
    #[error("begins with `whsec_` and is no signing token of GitLab; copy the whole token")]
    Damaged,
}

impl Key {
    pub(super) fn new(kind: WebhookKind, secret: &str) -> Result<Self, Unfit> {
        if kind == WebhookKind::Gitlab
            && let Some(encoded) = secret.strip_prefix(SIGNING)
        {
            let key = STANDARD.decode(encoded).map_err(|_| Unfit::Damaged)?;
            return if key.len() < SHORTEST_KEY { Err(Unfit::Damaged) } else { Ok(Self::SignsAll(key)) };
        }
        if secret.len() < SHORTEST {
            return Err(Unfit::Short);
        }
        let signs = |kind| Self::Signs { kind, key: secret.as_bytes().to_vec() };
        Ok(match kind {
            WebhookKind::Gitlab => Self::Sends(Sha256::digest(secret).into()),
            WebhookKind::Github => signs(Signing::Github),
            WebhookKind::Gitea => signs(Signing::Gitea),
            WebhookKind::Bitbucket => signs(Signing::Bitbucket),
            WebhookKind::Generic => signs(Signing::Generic),
        })
    }
}

/// What the headers of a message claim. It is proven by the body.
pub(super) struct Claim {
    proof: Proof,
    /// What tells this delivery from every other one, where the sender says so.
    pub(super) delivery: Option<String>,
}

enum Proof {
    /// The headers have proven it already.
    Proven,
    /// One of these must come out.
    Signature { mac: Box<Hmac<Sha256>>, any_of: Vec<[u8; 32]> },
}

/// Reads the claim, without the body. Gives none where nothing of the right form is claimed, or where it is wrong already.
pub(super) fn claim(key: &Key, headers: &HeaderMap, now: Timestamp) -> Option<Claim> {
    match key {
        Key::Sends(hash) => {
            let sent = one(headers, "x-gitlab-token")?;
            let is_right = bool::from(Sha256::digest(sent).as_slice().ct_eq(hash));
            is_right.then(|| Claim { proof: Proof::Proven, delivery: id(headers, &["idempotency-key"]) })
        }
        Key::SignsAll(key) => {
            let (id, time) = (one(headers, "webhook-id")?, one(headers, "webhook-timestamp")?);
            if id.len() > ID_LONGEST || !is_recent(time, now) {
                return None;
            }
            let signatures = one(headers, "webhook-signature")?.split(' ').take(SIGNATURES);
            let any_of: Vec<_> = signatures.filter_map(encoded).collect();
            let mac = begun(key, &[id, ".", time, "."])?;
            signature(mac, any_of, Some(id.to_owned()))
        }
        Key::Signs { kind, key } => {
            let (tag, delivery, before) = match kind {
                Signing::Github => {
                    let tag = prefixed(one(headers, "x-hub-signature-256")?)?;
                    (tag, id(headers, &["x-github-delivery"]), None)
                }
                Signing::Gitea => {
                    let tag = match one(headers, "x-hub-signature-256") {
                        Some(signature) => prefixed(signature)?,
                        None => digits(one(headers, "x-gitea-signature")?)?,
                    };
                    (tag, id(headers, &["x-gitea-delivery", "x-forgejo-delivery"]), None)
                }
                Signing::Bitbucket => {
                    let tag = prefixed(one(headers, "x-hub-signature")?)?;
                    (tag, id(headers, &["x-request-uuid"]), None)
                }
                Signing::Generic => {
                    let signature = one(headers, "x-evenkeel-signature")?;
                    let time = one(headers, "x-evenkeel-timestamp").filter(|time| is_recent(time, now))?;
                    // It signs the time, so that it is another one each time.
                    (prefixed(signature)?, Some(signature.to_owned()), Some(time))
                }
            };
            let mac = match before {
                Some(time) => begun(key, &[time, "."])?,
                None => begun(key, &[])?,
            };
            signature(mac, vec![tag], delivery)
        }
    }
}

fn signature(mac: Box<Hmac<Sha256>>, any_of: Vec<[u8; 32]>, delivery: Option<String>) -> Option<Claim> {
    (!any_of.is_empty()).then_some(Claim { proof: Proof::Signature { mac, any_of }, delivery })
}

fn begun(key: &[u8], before: &[&str]) -> Option<Box<Hmac<Sha256>>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
    for part in before {
        mac.update(part.as_bytes());
    }
    Some(Box::new(mac))
}

impl Claim {
    /// Takes a further piece of the body.
    pub(super) fn take(&mut self, piece: &[u8]) {
        if let Proof::Signature { mac, .. } = &mut self.proof {
            mac.update(piece);
        }
    }

    /// Whether the claim is true, when all of the body was taken. Compares in a time that doesn't depend on the bytes.
    pub(super) fn holds(self) -> bool {
        match self.proof {
            Proof::Proven => true,
            Proof::Signature { mac, any_of } => {
                let right = mac.finalize().into_bytes();
                any_of.iter().fold(false, |found, tag| found | bool::from(right.as_slice().ct_eq(tag)))
            }
        }
    }
}

/// The value of a header that is there once.
fn one<'h>(headers: &'h HeaderMap, name: &'static str) -> Option<&'h str> {
    let mut values = headers.get_all(HeaderName::from_static(name)).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok(),
        (Some(_) | None, _) => None,
    }
}

fn id(headers: &HeaderMap, names: &[&'static str]) -> Option<String> {
    let mut found = names.iter().filter_map(|name| one(headers, name));
    found.next().filter(|id| (1..=ID_LONGEST).contains(&id.len())).map(str::to_owned)
}

fn prefixed(signature: &str) -> Option<[u8; 32]> {
    digits(signature.strip_prefix("sha256=")?)
}

/// Only as every sender writes it: two spellings of one signature would be two deliveries.
fn digits(text: &str) -> Option<[u8; 32]> {
    let mut tag = [0; 32];
    let is_lower = !text.contains(|c: char| c.is_ascii_uppercase());
    (is_lower && hex::decode_to_slice(text, &mut tag).is_ok()).then_some(tag)
}

fn encoded(signature: &str) -> Option<[u8; 32]> {
    STANDARD.decode(signature.strip_prefix("v1,")?).ok()?.try_into().ok()
}

fn is_recent(time: &str, now: Timestamp) -> bool {
    let is_plain = (1..=12).contains(&time.len()) && time.chars().all(|c| c.is_ascii_digit());
    is_plain && time.parse::<i64>().is_ok_and(|time| (now.as_second() - time).abs() <= WINDOW)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "0123456789abcdef0123456789abcdef";
    const BODY: &[u8] = b"{\"ref\": \"refs/heads/main\"}";
    const NOW: i64 = 1_800_000_000;

    fn tag(secret: &[u8], text: &[u8]) -> Vec<u8> {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret).unwrap();
        mac.update(text);
        mac.finalize().into_bytes().to_vec()
    }

    fn hex_tag(text: &[u8]) -> String {
        hex::encode(tag(SECRET.as_bytes(), text))
    }

    fn told(kind: WebhookKind, secret: &str, said: &[(&'static str, &str)]) -> bool {
        let mut headers = HeaderMap::new();
        for (name, value) in said {
            headers.append(*name, value.parse().unwrap());
        }
        let key = Key::new(kind, secret).unwrap();
        let now = Timestamp::from_second(NOW).unwrap();
        claim(&key, &headers, now).is_some_and(|mut claim| {
            BODY.chunks(7).for_each(|piece| claim.take(piece));
            claim.holds()
        })
    }

    #[test]
    fn the_vector_that_github_documents() {
        let mut headers = HeaderMap::new();
        let signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
        headers.insert("x-hub-signature-256", signature.parse().unwrap());
        // Its secret is shorter than what is taken here.
        let key = Key::Signs { kind: Signing::Github, key: b"It's a Secret to Everybody".to_vec() };
        let mut claim = claim(&key, &headers, Timestamp::UNIX_EPOCH).unwrap();
        claim.take(b"Hello, World!");
        assert!(claim.holds());
    }

    #[test]
    fn every_sender_is_believed_for_its_own_signature_only() {
        let right = hex_tag(BODY);
        let (signed, wrong) = (format!("sha256={right}"), format!("sha256={}", hex_tag(b"other")));
        let all = [WebhookKind::Github, WebhookKind::Gitea, WebhookKind::Bitbucket];
        for (said, believed) in [
            (&[("x-hub-signature-256", signed.as_str())][..], &all[..2]),
            (&[("x-gitea-signature", right.as_str())], &all[1..2]),
            (&[("x-hub-signature", signed.as_str())], &all[2..]),
            (&[("x-hub-signature-256", wrong.as_str())], &[]),
            (&[("x-hub-signature-256", wrong.as_str()), ("x-gitea-signature", right.as_str())], &[]),
            (&[("x-hub-signature-256", signed.as_str()), ("x-hub-signature-256", wrong.as_str())], &[]),
            (&[("x-hub-signature", "sha1=7d38cdd689735b008b3c702edd92eea23791c5f6")], &[]),
            (&[("x-hub-signature-256", "sha1=7d38cdd689735b008b3c702edd92eea23791c5f6")], &[]),
            (&[("x-hub-signature-256", signed.to_uppercase().as_str())], &[]),
            (&[("x-hub-signature-256", signed.replace("sha256=", "sha256= ").as_str())], &[]),
            (&[("x-hub-signature-256", &signed[..70])], &[]),
            (&[("x-hub-signature-256", "sha256=")], &[]),
            (&[("x-hub-signature-256", "")], &[]),
            (&[], &[]),
        ] {
            for kind in all {
                assert_eq!(told(kind, SECRET, said), believed.contains(&kind), "{kind:?} {said:?}");
            }
        }
    }

    #[test]
    fn gitlab_sends_its_secret_or_signs() {
        let (kind, token) = (WebhookKind::Gitlab, "x-gitlab-token");
        assert!(told(kind, SECRET, &[(token, SECRET)]));
        for wrong in ["", "0123", &SECRET.to_uppercase(), &format!("{SECRET}x")] {
            assert!(!told(kind, SECRET, &[(token, wrong)]), "{wrong}");
        }
        let key = [7; 32];
        let secret = format!("whsec_{}", STANDARD.encode(key));
        let signed = |time: i64| {
            let text = [format!("msg_1.{time}.").as_bytes(), BODY].concat();
            format!("v1,{}", STANDARD.encode(tag(&key, &text)))
        };
        let right = signed(NOW);
        for (time, signature, believed) in [
            (NOW, right.clone(), true),
            (NOW, format!("v1,AAAA {right}"), true),
            (NOW - 300, signed(NOW - 300), true),
            (NOW - 301, signed(NOW - 301), false),
            (NOW + 301, signed(NOW + 301), false),
            (NOW + 1, right.clone(), false),
            (NOW, right.replace("v1,", "v2,"), false),
            (NOW, String::new(), false),
        ] {
            let time = time.to_string();
            let said =
                [("webhook-id", "msg_1"), ("webhook-timestamp", &time), ("webhook-signature", &signature)];
            assert_eq!(told(kind, &secret, &said), believed, "{said:?}");
        }
        // Whoever has said that messages are signed takes no token.
        assert!(!told(kind, &secret, &[(token, &secret)]));
    }

    #[test]
    fn a_script_signs_the_time_too() {
        let signed = |time: &str| format!("sha256={}", hex_tag(&[time.as_bytes(), b".", BODY].concat()));
        let (now, old) = (NOW.to_string(), (NOW - 301).to_string());
        for (time, signature, believed) in [
            (now.as_str(), signed(&now), true),
            (&old, signed(&old), false),
            (&now, signed(&old), false),
            ("-1", signed("-1"), false),
            ("99999999999999999999", signed("99999999999999999999"), false),
            ("", signed(""), false),
        ] {
            let said = [("x-evenkeel-timestamp", time), ("x-evenkeel-signature", &signature)];
            assert_eq!(told(WebhookKind::Generic, SECRET, &said), believed, "{said:?}");
        }
        let plain = format!("sha256={}", hex_tag(BODY));
        assert!(!told(WebhookKind::Generic, SECRET, &[("x-evenkeel-signature", &plain)]));
    }

    #[test]
    fn a_secret_that_can_be_guessed_is_refused() {
        for (_, kind) in WebhookKind::ALL {
            for secret in ["", "hunter2", &SECRET[1..]] {
                assert_eq!(Key::new(kind, secret).err(), Some(Unfit::Short), "{kind:?}");
            }
        }
        for secret in ["whsec_", "whsec_AAAA", "whsec_!!!!"] {
            assert_eq!(Key::new(WebhookKind::Gitlab, secret).err(), Some(Unfit::Damaged), "{secret}");
        }
    }
}
