//! `api` of agent.yaml: where the agent is to be asked over the network, and who may ask. It says how tokens may be
//! recognised, never what they are.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use jiff::Timestamp;

use super::credential::{Credential, credential};
use super::{absolute, said};
use crate::manifest::keys;
use crate::manifest::node::{Map, Node};
use crate::manifest::problem::{Problem, Problems};
use crate::manifest::read;
use crate::model::name::StackName;

/// Where the agent is to be asked, and who may ask.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Api {
    /// The address to listen at; absent for none. Without [`Api::tls`] it is of this host only.
    pub listen: Option<SocketAddr>,
    /// How connections are encrypted.
    pub tls: Option<Tls>,
    /// Who may ask.
    pub tokens: Vec<Token>,
}

/// How connections are encrypted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// The certificate with those that it follows from, PEM: an absolute path.
    pub certificate: String,
    /// Its key, PEM.
    pub key: Credential,
}

/// Somebody who may ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// What it is called in the audit log.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// The SHA-256 of the token.
    pub hash: [u8; 32],
    /// The stacks that it is for; empty for all.
    pub stacks: BTreeSet<StackName>,
    /// When it ends; absent for never.
    pub expires: Option<Timestamp>,
}

/// What somebody may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Look.
    Read,
    /// Look, and ask for changes.
    Operate,
}

impl Role {
    /// The word in agent.yaml.
    pub fn code(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Operate => "operate",
        }
    }
}

/// What a hash begins with, so that another kind may come one day.
pub const HASH_PREFIX: &str = "sha256:";

const HASH_HINT: &str = "`evenkeel token new --name NAME --role read` makes a token and prints this line";

/// Reads `api`.
pub(super) fn api(problems: &mut Problems, node: &Node) -> Option<Api> {
    let map = read::checked_map(problems, node, &keys::API)?;
    let listen = said(map, "listen");
    let address = listen.and_then(|node| address(problems, node));
    let tls = said(map, "tls").map(|node| tls(problems, node));
    if let (Some(address), Some(node), None) = (address, listen, &tls)
        && !is_loopback(address)
    {
        let message = "beyond this host only encrypted connections are taken, and `tls` is missing";
        let hint = "add `tls: {certificate: /etc/evenkeel/tls.pem, key: {file: /etc/evenkeel/tls.key}}`, or listen at 127.0.0.1";
        problems.add(Problem::error("insecure-listen", node.span, message).hint(hint));
    }
    let tokens = said(map, "tokens").map(|node| tokens(problems, node)).unwrap_or_default();
    Some(Api { listen: address, tls: tls.flatten(), tokens })
}

/// Whether only this host can reach an address.
pub fn is_loopback(address: SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}

fn address(problems: &mut Problems, node: &Node) -> Option<SocketAddr> {
    let found = read::text(problems, node)?;
    let address = found.text.parse().ok();
    if address.is_none() {
        let problem = Problem::error("bad-address", node.span, "this is no address to listen at");
        problems.add(problem.hint("an IP address and a port, as in `127.0.0.1:7070` or `[::1]:7070`"));
    }
    address
}

fn tls(problems: &mut Problems, node: &Node) -> Option<Tls> {
    let map = read::checked_map(problems, node, &keys::TLS)?;
    let certificate = required(problems, (map, node), "certificate").map(|node| absolute(problems, node));
    let key = required(problems, (map, node), "key").map(|node| credential(problems, node));
    Some(Tls { certificate: certificate??, key: key?? })
}

fn tokens(problems: &mut Problems, node: &Node) -> Vec<Token> {
    let mut names = Names::default();
    let items = read::list(problems, node).unwrap_or_default();
    let found: Vec<_> = items.iter().map(|item| token(problems, item, &mut names)).collect();
    found.into_iter().flatten().collect()
}

fn token(problems: &mut Problems, node: &Node, names: &mut Names) -> Option<Token> {
    const ROLES: [(&str, Role); 2] = [("read", Role::Read), ("operate", Role::Operate)];
    let map = read::checked_map(problems, node, &keys::TOKEN)?;
    let name = required(problems, (map, node), "name").and_then(|node| names.read(problems, node));
    let role = required(problems, (map, node), "role").and_then(|node| read::word(problems, node, &ROLES));
    let hash = required(problems, (map, node), "hash").and_then(|node| hash(problems, node));
    let stacks = said(map, "stacks").map(|node| stacks(problems, node)).unwrap_or_default();
    let expires = said(map, "expires").map(|node| moment(problems, node));
    let expires = match expires {
        Some(read) => Some(read?),
        None => None,
    };
    Some(Token { name: name?, role: role?, hash: hash?, stacks, expires })
}

fn hash(problems: &mut Problems, node: &Node) -> Option<[u8; 32]> {
    let found = read::text(problems, node)?;
    let mut hash = [0; 32];
    let is_hash = found.text.strip_prefix(HASH_PREFIX).is_some_and(|digits| {
        !digits.contains(|c: char| c.is_ascii_uppercase()) && hex::decode_to_slice(digits, &mut hash).is_ok()
    });
    if !is_hash {
        // Not repeated: it may be the token itself.
        let message = "`sha256:` and 64 digits of 0 to 9 and a to f are wanted here";
        problems.add(Problem::error("bad-hash", node.span, message).hint(HASH_HINT));
    }
    is_hash.then_some(hash)
}

fn stacks(problems: &mut Problems, node: &Node) -> BTreeSet<StackName> {
    let items = read::list(problems, node).unwrap_or_default();
    if items.is_empty() {
        // An empty list may mean none or all; which one must not be a guess.
        let message = "an empty list of stacks says nothing";
        let hint = "name the stacks, or leave `stacks` out for all of them";
        problems.add(Problem::error("missing-value", node.span, message).hint(hint));
    }
    let mut found = BTreeSet::new();
    for item in items {
        found.extend(read::parsed::<StackName>(problems, item, "bad-name", "a stack"));
    }
    found
}

fn moment(problems: &mut Problems, node: &Node) -> Option<Timestamp> {
    // Without quotes it is a date for YAML, and written in the same way.
    let found = read::scalar(problems, node, "a moment")?;
    let moment = found.text.parse().ok();
    if moment.is_none() {
        let problem = Problem::error("bad-time", node.span, "this is no moment");
        problems.add(problem.hint("a date, a time and its zone, as in `2027-01-01T00:00:00Z`"));
    }
    moment
}

/// The value of a key that must be there.
pub(super) fn required<'n>(
    problems: &mut Problems,
    (map, node): (&'n Map, &Node),
    key: &str,
) -> Option<&'n Node> {
    let found = said(map, key);
    if found.is_none() {
        problems.add(Problem::error("missing-key", node.span, format!("`{key}` is missing here")));
    }
    found
}

/// The longest name.
const NAME_MAX: usize = 63;

/// Names of which none may be there twice.
#[derive(Default)]
pub(super) struct Names(BTreeSet<String>);

impl Names {
    /// Reads one more. It may stand in an address, in a log and in a line of a terminal as it is.
    pub(super) fn read(&mut self, problems: &mut Problems, node: &Node) -> Option<String> {
        let name = &read::text(problems, node)?.text;
        let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
        if name.is_empty() || name.len() > NAME_MAX || !name.chars().all(is_plain) {
            let message = "a name here is of 1 to 63 lower-case letters, digits, `-` and `_`";
            problems.add(Problem::error("bad-name", node.span, message));
            return None;
        }
        if !self.0.insert(name.clone()) {
            problems.add(Problem::error("declared-twice", node.span, format!("`{name}` is there twice")));
            return None;
        }
        Some(name.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{read, section};
    use super::*;

    const HASH: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn everything_may_be_said() {
        let text = format!(
            "api:\n  listen: 0.0.0.0:7070\n  tls: {{certificate: /etc/tls.pem, key: {{systemd: tls}}}}\n  tokens:\n  \
             - {{name: ci, role: operate, hash: '{HASH}', stacks: [shop-prod], expires: 2027-01-01T00:00:00Z}}\n  \
             - {{name: watch, role: read, hash: '{HASH}'}}\n"
        );
        let api = read(&section(&text)).unwrap().api.unwrap();
        assert_eq!(api.listen, Some("0.0.0.0:7070".parse().unwrap()));
        let key = Credential::Systemd("tls".to_owned());
        assert_eq!(api.tls, Some(Tls { certificate: "/etc/tls.pem".to_owned(), key }));
        let [ci, watch] = api.tokens.try_into().unwrap();
        assert_eq!((ci.name.as_str(), ci.role, ci.hash[0]), ("ci", Role::Operate, 0xe3));
        assert_eq!(ci.stacks, BTreeSet::from(["shop-prod".parse().unwrap()]));
        assert_eq!(ci.expires, Some("2027-01-01T00:00:00Z".parse().unwrap()));
        assert_eq!((watch.role, watch.stacks.len(), watch.expires), (Role::Read, 0, None));
    }

    #[test]
    fn this_host_needs_no_tls() {
        for address in ["127.0.0.1:7070", "'[::1]:7070'", "127.9.9.9:0", "'[::ffff:127.0.0.1]:1'"] {
            assert!(read(&section(&format!("api: {{listen: {address}}}\n"))).is_ok(), "{address}");
        }
        assert_eq!(read(&section("")).unwrap().api, None);
        assert_eq!(read(&section("api: {}\n")).unwrap().api, Some(Api::default()));
    }

    #[test]
    fn everything_wrong_is_told_where_it_stands() {
        let insecure = "2:7 insecure-listen: beyond this host only encrypted connections are taken, and `tls` is missing";
        let token = |said: &str| format!("api: {{tokens: [{{{said}}}]}}");
        for (text, expected) in [
            ("api:\n  listen: 0.0.0.0:7070".to_owned(), insecure.replace("2:7", "2:11")),
            ("api:\n  listen: '[::]:70'".to_owned(), insecure.replace("2:7", "2:11")),
            ("api:\n  listen: 10.0.0.1:70".to_owned(), insecure.replace("2:7", "2:11")),
            (
                "api: {listen: localhost:7070}".to_owned(),
                "1:15 bad-address: this is no address to listen at".to_owned(),
            ),
            ("api: {port: 1}".to_owned(), "1:7 unknown-key: `api` has no key `port`".to_owned()),
            ("api: [1]".to_owned(), "1:6 wrong-type: a mapping is wanted here, and this is a list".to_owned()),
            (
                "api: {tls: {key: secret}}".to_owned(),
                "1:12 missing-key: `certificate` is missing here\n1:18 inline-secret: a secret is not written into \
                 agent.yaml"
                    .to_owned(),
            ),
            (
                "api: {tls: {certificate: tls.pem}}".to_owned(),
                "1:12 missing-key: `key` is missing here\n1:26 relative-path: an absolute path is wanted here".to_owned(),
            ),
            (
                token(&format!("name: a, role: admin, hash: '{HASH}'")),
                "1:32 unknown-value: `admin` is not one of the words known here".to_owned(),
            ),
            (
                token("name: a, role: read, hash: ek_mistaken"),
                "1:44 bad-hash: `sha256:` and 64 digits of 0 to 9 and a to f are wanted here".to_owned(),
            ),
            (
                token(&format!("name: a, role: read, hash: '{}'", HASH.replace("e3b", "E3B"))),
                "1:44 bad-hash: `sha256:` and 64 digits of 0 to 9 and a to f are wanted here".to_owned(),
            ),
            (
                token(&format!("name: A b, role: read, hash: '{HASH}'")),
                "1:23 bad-name: a name here is of 1 to 63 lower-case letters, digits, `-` and `_`".to_owned(),
            ),
            (
                token(&format!("name: a, role: read, hash: '{HASH}', stacks: []")),
                "1:127 missing-value: an empty list of stacks says nothing".to_owned(),
            ),
            (
                token(&format!("name: a, role: read, hash: '{HASH}', expires: soon")),
                "1:128 bad-time: this is no moment".to_owned(),
            ),
            (
                token(&format!("name: a, role: read, hash: '{HASH}'}}, {{name: a, role: read, hash: '{HASH}'")),
                "1:127 declared-twice: `a` is there twice".to_owned(),
            ),
            (token("role: read"), "1:16 missing-key: `name` is missing here\n1:16 missing-key: `hash` is missing here".to_owned()),
        ] {
            assert_eq!(read(&section(&text)).unwrap_err(), expected, "{text}");
        }
    }
}
