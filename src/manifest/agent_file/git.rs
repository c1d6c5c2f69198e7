//! `git` and `credentials` of agent.yaml: how servers are reached, with what, and how much is taken from them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::credential::{Credential, credential};
use crate::manifest::keys;
use crate::manifest::node::{Entry, Map, Node, Value};
use crate::manifest::problem::{Problem, Problems, suggestion};
use crate::manifest::read;
use crate::model::address::{Address, RemoteAddress, Scheme};

/// How servers are reached, and how much is taken from them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitSettings {
    /// How a repository may be reached.
    pub schemes: BTreeSet<Scheme>,
    /// A file with further authorities whose certificates count, an absolute path.
    pub ca: Option<String>,
    /// The proxy for HTTP and HTTPS, as in `http://proxy:3128`. Never for this host itself.
    pub proxy: Option<String>,
    /// The longest time for one fetch.
    pub timeout: Duration,
    /// The most bytes that one fetch may bring.
    pub max_size: u64,
    /// The most objects that one fetch may bring.
    pub max_objects: u64,
}

impl Default for GitSettings {
    fn default() -> Self {
        Self {
            schemes: [Scheme::File, Scheme::Https, Scheme::Ssh].into(),
            ca: None,
            proxy: None,
            timeout: Duration::from_secs(120),
            max_size: 500 << 20,
            max_objects: 1_000_000,
        }
    }
}

/// With what a server is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GitCredential {
    /// A name and a password or token, over HTTPS.
    Basic {
        /// The name.
        username: String,
        /// Where the password or token is.
        password: Credential,
    },
    /// A key, over SSH.
    Ssh {
        /// Where the key is.
        key: SshKey,
        /// The file with the keys of servers, an absolute path. A server that isn't in it is not spoken to.
        known_hosts: String,
    },
}

impl GitCredential {
    /// Where each secret of it is. A key for SSH is read by `ssh`, which has rules of its own for it.
    pub fn secrets(&self) -> Option<&Credential> {
        match self {
            Self::Basic { username: _, password } => Some(password),
            Self::Ssh { .. } => None,
        }
    }
}

/// Where a key for SSH is. An absolute path in both cases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SshKey {
    /// In a file.
    File(String),
    /// With an agent that listens on this socket.
    Agent(String),
}

/// The name that every forge takes together with a token: it looks only at the token.
const TOKEN_USER: &str = "x-token-auth";

/// The times and amounts that can be said.
const TIMEOUT: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60 * 60));
const SIZE: (u64, u64) = (64 << 10, 16 << 30);
const OBJECTS: (u64, u64) = (10, 100_000_000);

/// Reads `git`.
pub(super) fn git(problems: &mut Problems, map: &Map) -> GitSettings {
    let usual = GitSettings::default();
    let Some(node) = super::said(map, "git") else { return usual };
    let Some(map) = read::checked_map(problems, node, &keys::GIT) else { return usual };
    let said = |key: &str| super::said(map, key);
    let schemes = match said("schemes") {
        None => usual.schemes,
        Some(node) => read::list(problems, node)
            .unwrap_or_default()
            .iter()
            .filter_map(|node| read::word(problems, node, &Scheme::ALL))
            .collect(),
    };
    let ca = said("ca").and_then(|node| super::absolute(problems, node));
    let proxy = said("proxy").and_then(|node| proxy(problems, node));
    let timeout = said("timeout").and_then(|node| {
        let found = read::duration(problems, node)?;
        within(problems, node, found, (TIMEOUT, "between `1s` and `1h` is wanted here"))
    });
    let max_size = said("max_size").and_then(|node| {
        let found = read::size(problems, node)?;
        within(problems, node, found, (SIZE, "between `64kb` and `16gb` is wanted here"))
    });
    let max_objects = said("max_objects").and_then(|node| {
        let found = read::integer(problems, node, "a number of objects")?;
        within(problems, node, found, (OBJECTS, "between 10 and 100000000 is wanted here"))
    });
    GitSettings {
        schemes,
        ca,
        proxy,
        timeout: timeout.unwrap_or(usual.timeout),
        max_size: max_size.unwrap_or(usual.max_size),
        max_objects: max_objects.unwrap_or(usual.max_objects),
    }
}

fn within<T: PartialOrd>(
    problems: &mut Problems,
    node: &Node,
    found: T,
    ((least, most), message): ((T, T), &str),
) -> Option<T> {
    if (least..=most).contains(&found) {
        return Some(found);
    }
    problems.add(Problem::error("out-of-range", node.span, message));
    None
}

fn proxy(problems: &mut Problems, node: &Node) -> Option<String> {
    let found = read::text(problems, node)?;
    let place = found.text.strip_prefix("http://").map(|rest| rest.trim_end_matches('/'));
    if place
        .is_some_and(|place| !place.contains('@') && format!("http://{place}/x").parse::<Address>().is_ok())
    {
        return Some(found.text.clone());
    }
    let problem = Problem::error("bad-address", node.span, "this is not the address of a proxy");
    problems.add(problem.hint("as in `http://proxy.example.com:3128`, without a password"));
    None
}

/// Reads `credentials`.
pub(super) fn credentials(problems: &mut Problems, map: &Map) -> BTreeMap<String, GitCredential> {
    let Some(node) = super::said(map, "credentials") else { return BTreeMap::new() };
    let Some(map) = read::map(problems, node) else { return BTreeMap::new() };
    let read = map.entries.iter().filter_map(|entry| Some((entry.key.text.clone(), one(problems, entry)?)));
    read.collect()
}

fn one(problems: &mut Problems, entry: &Entry) -> Option<GitCredential> {
    let map = read::checked_map(problems, &entry.value, &keys::GIT_CREDENTIAL)?;
    let said = |key: &str| super::said(map, key);
    let is_ssh = ["ssh_key", "ssh_agent", "known_hosts"].iter().any(|key| said(key).is_some());
    let is_basic = ["username", "password", "token"].iter().any(|key| said(key).is_some());
    match (is_ssh, is_basic) {
        (true, true) => {
            let message = "a credential is for SSH or for HTTPS, not for both";
            problems.add(Problem::error("not-together", entry.key.span, message).hint("make two of it"));
            None
        }
        (true, false) => ssh(problems, entry, map),
        (false, _) => basic(problems, entry, map),
    }
}

fn basic(problems: &mut Problems, entry: &Entry, map: &Map) -> Option<GitCredential> {
    let said = |key: &str| super::said(map, key);
    let username = match said("username") {
        None => None,
        Some(node) => {
            let found = read::text(problems, node)?;
            if found.text.is_empty() || found.text.contains(|c: char| c == ':' || c.is_control()) {
                let message = "a name without `:` is wanted here";
                problems.add(Problem::error("bad-name", node.span, message));
                return None;
            }
            Some(found.text.clone())
        }
    };
    match (said("password"), said("token"), username) {
        (Some(password), None, Some(username)) => {
            Some(GitCredential::Basic { username, password: credential(problems, password)? })
        }
        (None, Some(token), username) => Some(GitCredential::Basic {
            username: username.unwrap_or_else(|| TOKEN_USER.to_owned()),
            password: credential(problems, token)?,
        }),
        (Some(_), Some(_), _) => {
            let problem = Problem::error("not-together", entry.key.span, "either a `password` or a `token`");
            problems.add(problem.hint("keep one of the two"));
            None
        }
        (Some(_), None, None) | (None, None, _) => {
            let message = "this is neither a token, nor a name with its password, nor a key for SSH";
            let hint = "`{token: {file: PATH}}`, `{username: NAME, password: {file: PATH}}`, or \
                        `{ssh_key: PATH, known_hosts: PATH}`";
            problems.add(Problem::error("missing-key", entry.key.span, message).hint(hint));
            None
        }
    }
}

fn ssh(problems: &mut Problems, entry: &Entry, map: &Map) -> Option<GitCredential> {
    let path = |problems: &mut Problems, key: &str| match super::said(map, key) {
        None => Some(None),
        Some(node) => plain_path(problems, node).map(Some),
    };
    let key = path(problems, "ssh_key")?;
    let agent = path(problems, "ssh_agent")?;
    let known_hosts = path(problems, "known_hosts")?;
    let key = match (key, agent) {
        (Some(key), None) => SshKey::File(key),
        (None, Some(agent)) => SshKey::Agent(agent),
        (Some(_), Some(_)) | (None, None) => {
            let problem =
                Problem::error("missing-key", entry.key.span, "either `ssh_key` or `ssh_agent` is wanted");
            problems.add(problem.hint("`ssh_key: /etc/evenkeel/id_ed25519`, or the socket of an agent"));
            return None;
        }
    };
    let Some(known_hosts) = known_hosts else {
        let message = "this doesn't say which servers are known";
        let hint = "say `known_hosts: /etc/evenkeel/known_hosts`, and compare what `ssh-keyscan` writes \
                    with what the forge publishes";
        problems.add(Problem::error("missing-key", entry.key.span, message).hint(hint));
        return None;
    };
    Some(GitCredential::Ssh { key, known_hosts })
}

/// A path that becomes an option of `ssh`, which takes some characters for something else.
fn plain_path(problems: &mut Problems, node: &Node) -> Option<String> {
    let path = super::absolute(problems, node)?;
    let is_plain = path.chars().all(|c| c.is_alphanumeric() || "/._-+@,:".contains(c));
    if !is_plain {
        let problem = Problem::error("bad-path", node.span, "`ssh` can't be given such a path");
        problems.add(problem.hint("of letters, digits and `/._-+@,:`"));
    }
    is_plain.then_some(path)
}

/// Checks what `follow` and the two sections, all below `root`, say of each other.
pub(super) fn check(
    problems: &mut Problems,
    root: &Map,
    (settings, credentials): (&GitSettings, &BTreeMap<String, GitCredential>),
) {
    let Some(Value::List(nodes)) = super::said(root, "follow").map(|node| &node.value) else { return };
    for map in nodes.iter().filter_map(Node::as_map) {
        let text = |key: &str| {
            let node = super::said(map, key)?;
            Some((node, node.as_scalar()?.text.as_str()))
        };
        let Some((node, Ok(address))) = text("repository").map(|(node, text)| (node, text.parse())) else {
            continue;
        };
        let address: Address = address;
        if !settings.schemes.contains(&address.scheme()) {
            let message = format!("`{}` is not among the `schemes` of `git`", address.scheme().word());
            let problem = Problem::error("forbidden-scheme", node.span, message);
            problems.add(problem.hint("add it there if that is meant: `git: {schemes: [https, ssh, file]}`"));
        }
        match text("credential") {
            None => fits(problems, node, (&address, None)),
            Some((node, name)) => match credentials.get(name) {
                Some(credential) => fits(problems, node, (&address, Some(credential))),
                // What is wrong with it was told where it stands.
                None if is_named(root, name) => {}
                None => {
                    let message = format!("there is no `{name}` under `credentials`");
                    let problem = Problem::error("unknown-credential", node.span, message);
                    let hint = suggestion(name, credentials.keys().map(String::as_str));
                    problems.add(problem.hint(hint.unwrap_or_else(|| "add it there".to_owned())));
                }
            },
        }
    }
}

fn is_named(root: &Map, name: &str) -> bool {
    let credentials = super::said(root, "credentials").and_then(Node::as_map);
    credentials.is_some_and(|map| map.entry(name).is_some())
}

/// Checks that a server can be asked with a credential.
fn fits(problems: &mut Problems, node: &Node, (address, credential): (&Address, Option<&GitCredential>)) {
    let remote = match address {
        Address::Remote(remote) => remote,
        Address::Local(_) => {
            if credential.is_some() {
                let message = "a repository of this host needs no credential";
                problems.add(Problem::error("not-together", node.span, message).hint("leave it out"));
            }
            return;
        }
    };
    let RemoteAddress { scheme, .. } = remote;
    let wrong = match (scheme, credential) {
        (Scheme::Ssh, Some(GitCredential::Ssh { .. }))
        | (Scheme::Https | Scheme::Http | Scheme::File, None)
        | (Scheme::Https | Scheme::File, Some(GitCredential::Basic { .. })) => None,
        (Scheme::Http, Some(GitCredential::Basic { .. })) if remote.is_loopback() => None,
        (Scheme::Http, Some(GitCredential::Basic { .. })) => Some((
            "over plain HTTP, everybody on the way could read this credential",
            "use `https://`; plain HTTP takes a credential only to this host itself",
        )),
        (Scheme::Ssh, None | Some(GitCredential::Basic { .. })) => Some((
            "over SSH, a key and the keys of known servers are needed",
            "say `credential: NAME`, and `NAME: {ssh_key: PATH, known_hosts: PATH}` under `credentials`",
        )),
        (Scheme::Https | Scheme::Http | Scheme::File, Some(GitCredential::Ssh { .. })) => {
            Some(("a key for SSH is of no use over HTTP", "say one with a `token` or a `password`"))
        }
    };
    if let Some((message, hint)) = wrong {
        problems.add(Problem::error("unfit-credential", node.span, message).hint(hint));
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::read;
    use super::*;

    #[test]
    fn everything_may_be_said() {
        let text = "
follow:
- {repository: 'https://git.example.com/infra.git', environment: prod, tag: 'v*', credential: forge,
   verify: {commits: all, signers: /etc/evenkeel/allowed_signers, keyring: /etc/evenkeel/keys.gpg}}
credentials:
  forge: {username: git, password: {file: /etc/evenkeel/token}}
  token: {token: {systemd: forge}}
  deploy: {ssh_key: /etc/evenkeel/id_ed25519, known_hosts: /etc/evenkeel/known_hosts}
  hand: {ssh_agent: /run/agent.sock, known_hosts: /etc/evenkeel/known_hosts}
git: {schemes: [https, ssh], ca: /etc/ssl/forge.pem, proxy: 'http://proxy:3128', timeout: 2m, max_size: 500mb,
      max_objects: 1000000}
";
        let file = read(text).unwrap();
        let GitSettings { schemes, ca, proxy, timeout, max_size, max_objects } = file.git;
        assert_eq!(schemes, [Scheme::Https, Scheme::Ssh].into());
        assert_eq!(
            (ca.as_deref(), proxy.as_deref()),
            (Some("/etc/ssl/forge.pem"), Some("http://proxy:3128"))
        );
        assert_eq!((timeout, max_size, max_objects), (Duration::from_secs(120), 500 << 20, 1_000_000));
        assert_eq!(file.credentials.len(), 4);
        let token = Credential::Systemd("forge".to_owned());
        let expected = GitCredential::Basic { username: "x-token-auth".to_owned(), password: token };
        assert_eq!(file.credentials["token"], expected);
    }

    #[test]
    fn everything_wrong_is_told_where_it_stands() {
        let follow = "follow: [{repository: 'https://h/a'}]\n";
        for (text, expected) in [
            ("git: {schemes: [git, https]}", "2:17 unknown-value: `git` is not one of the words known here"),
            ("git: {ca: forge.pem}", "2:11 relative-path: an absolute path is wanted here"),
            ("git: {proxy: 'http://a:b@proxy'}", "2:14 bad-address: this is not the address of a proxy"),
            ("git: {timeout: 1ms}", "2:16 out-of-range: between `1s` and `1h` is wanted here"),
            ("git: {max_size: 1k}", "2:17 out-of-range: between `64kb` and `16gb` is wanted here"),
            ("git: {max_objects: 1}", "2:20 out-of-range: between 10 and 100000000 is wanted here"),
            ("git: {schemes: [ssh]}", "1:23 forbidden-scheme: `https` is not among the `schemes` of `git`"),
            (
                "credentials: {a: {token: hunter2}}",
                "2:26 inline-secret: a secret is not written into agent.yaml",
            ),
            (
                "credentials: {a: {username: git}}",
                "2:15 missing-key: this is neither a token, nor a name with its password, nor a key for SSH",
            ),
            (
                "credentials: {a: {token: {file: /a}, password: {file: /a}}}",
                "2:15 not-together: either a `password` or a `token`",
            ),
            (
                "credentials: {a: {token: {file: /a}, ssh_key: /a}}",
                "2:15 not-together: a credential is for SSH or for HTTPS, not for both",
            ),
            (
                "credentials: {a: {username: 'a:b', password: {file: /a}}}",
                "2:29 bad-name: a name without `:` is wanted here",
            ),
            ("credentials: {a: {ssh_key: /a}}", "2:15 missing-key: this doesn't say which servers are known"),
            (
                "credentials: {a: {known_hosts: /a}}",
                "2:15 missing-key: either `ssh_key` or `ssh_agent` is wanted",
            ),
            (
                "credentials: {a: {ssh_key: '/a b', known_hosts: /a}}",
                "2:28 bad-path: `ssh` can't be given such a path",
            ),
        ] {
            assert_eq!(read(&format!("{follow}{text}\n")).unwrap_err(), expected, "{text}");
        }
    }

    #[test]
    fn a_credential_fits_its_server() {
        let rest = "credentials:\n  key: {ssh_key: /k, known_hosts: /h}\n  token: {token: {file: /t}}\n\
                    git: {schemes: [https, http, ssh, file]}\n";
        for (follow, expected) in [
            ("repository: 'https://h/a', credential: token", ""),
            ("repository: 'https://h/a'", ""),
            ("repository: 'http://localhost/a', credential: token", ""),
            ("repository: 'http://h/a'", ""),
            ("repository: 'git@h:a', credential: key", ""),
            ("repository: /a", ""),
            (
                "repository: 'http://h/a', credential: token",
                "unfit-credential: over plain HTTP, everybody on the way could read this credential",
            ),
            (
                "repository: 'https://h/a', credential: key",
                "unfit-credential: a key for SSH is of no use over HTTP",
            ),
            (
                "repository: 'git@h:a'",
                "unfit-credential: over SSH, a key and the keys of known servers are needed",
            ),
            (
                "repository: 'git@h:a', credential: token",
                "unfit-credential: over SSH, a key and the keys of known servers are needed",
            ),
            (
                "repository: /a, credential: token",
                "not-together: a repository of this host needs no credential",
            ),
            (
                "repository: 'https://h/a', credential: tokens",
                "unknown-credential: there is no `tokens` under `credentials`",
            ),
        ] {
            let told = read(&format!("follow: [{{{follow}}}]\n{rest}")).err().unwrap_or_default();
            let told = told.split_once(' ').map_or("", |(_, told)| told);
            assert_eq!(told, expected, "{follow}");
        }
    }

    #[test]
    fn addresses_and_signers_are_checked() {
        for (follow, expected) in [
            ("repository: infra.git", "1:23 relative-path: this is neither an absolute path nor an address"),
            (
                "repository: 'https://ada:hunter2@h/a'",
                "1:23 inline-secret: an address has no user and no password over HTTP",
            ),
            (
                "repository: 'ext::sh -c x'",
                "1:23 bad-address: an address that names a program is never followed",
            ),
            (
                "repository: '--upload-pack=x'",
                "1:23 relative-path: this is neither an absolute path nor an address",
            ),
            (
                "repository: 'git://h/a'",
                "1:23 bad-address: an address begins with `https://`, `ssh://`, `http://` or `file:///`",
            ),
            (
                "repository: /a, tag: 'v*', branch: main",
                "1:32 not-together: either a `branch` or a `tag` is followed",
            ),
            (
                "repository: /a, tag: 'v *'",
                "1:32 bad-pattern: `tag` is a pattern for names of tags, such as `v*` or `v2.*`",
            ),
            ("repository: /a, verify: {}", "1:35 missing-key: this doesn't say who may sign"),
            (
                "repository: /a, verify: {commits: some, signers: /a}",
                "1:45 unknown-value: `some` is not one of the words known here",
            ),
            ("repository: /a, verify: {signers: a}", "1:45 relative-path: an absolute path is wanted here"),
        ] {
            let told = read(&format!("follow: [{{{follow}}}]\n")).unwrap_err();
            assert_eq!(told, expected, "{follow}");
            assert!(!told.contains("hunter2"));
        }
    }
}
