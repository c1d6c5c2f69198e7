//! The section `notify` of agent.yaml: who is told what happens, of which stacks, and how.
//!
//! Nothing is sent here and no secret is read. An address that holds a key, as those of chats do, is a secret itself.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::manifest::agent_file::credential::{Credential, credential};
use crate::manifest::keys;
use crate::manifest::node::{Map, Node, Scalar};
use crate::manifest::problem::{Problem, Problems};
use crate::manifest::read;
use crate::model::name::{EnvironmentName, StackName};

/// A receiver of notifications.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notify {
    /// Its name, which no other one has.
    pub name: String,
    /// What it is told.
    pub routing: Routing,
    /// Where it is.
    pub receiver: Receiver,
    /// A file with certificates that it may prove itself by, besides those that browsers trust. An absolute path.
    pub ca: Option<String>,
}

/// What a receiver is told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Routing {
    /// Only what is at least so urgent.
    pub least: Urgency,
    /// Only of these environments; none means of all.
    pub environments: BTreeSet<EnvironmentName>,
    /// Only of these stacks; none means of all.
    pub stacks: BTreeSet<StackName>,
    /// The hour and minute, in the time of the host, at which it gets a summary of the day.
    pub digest: Option<(i8, i8)>,
}

/// How urgent an event is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Urgency {
    /// Good to know.
    #[default]
    Info,
    /// Somebody should look at it soon.
    Warning,
    /// Somebody must look at it now.
    Critical,
}

impl Urgency {
    /// The word in agent.yaml and in messages.
    pub fn code(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

impl Notify {
    /// Where each secret of it is.
    pub fn secrets(&self) -> Vec<&Credential> {
        match &self.receiver {
            Receiver::Chat { chat: _, url } => vec![url],
            Receiver::Ntfy { url, token } => std::iter::once(url).chain(token).collect(),
            Receiver::Webhook { url, secret } => vec![url, secret],
            Receiver::Email(email) => email.login.iter().map(|(_, password)| password).collect(),
            Receiver::CommitStatus { token, .. } => vec![token],
        }
    }
}

/// Where messages go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Receiver {
    /// A channel of a chat, by its incoming webhook.
    Chat {
        /// Which chat.
        chat: Chat,
        /// The webhook's address.
        url: Credential,
    },
    /// A topic of ntfy.
    Ntfy {
        /// The topic's address.
        url: Credential,
        /// The access token, where the topic needs one.
        token: Option<Credential>,
    },
    /// Anything that takes JSON by `POST`. Every message is signed.
    Webhook {
        /// Its address.
        url: Credential,
        /// What messages are signed with.
        secret: Credential,
    },
    /// Mail.
    Email(Email),
    /// The status of commits on a forge.
    CommitStatus {
        /// Which forge.
        forge: Forge,
        /// The address of its API, without a slash at the end.
        api: String,
        /// The repository: `owner/name`.
        repository: String,
        /// A token that may set statuses.
        token: Credential,
    },
}

/// Mail by a server that takes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Email {
    /// The server's name or address.
    pub server: String,
    /// Its port.
    pub port: u16,
    /// How the connection is encrypted.
    pub tls: EmailTls,
    /// Name and password, where it asks for them.
    pub login: Option<(String, Credential)>,
    /// Who sends.
    pub from: String,
    /// Who gets it.
    pub to: Vec<String>,
}

/// How a connection to a mail server is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EmailTls {
    /// From the beginning.
    Tls,
    /// After a greeting; a server that can't is refused.
    Starttls,
    /// Not at all, which only a server on this host may.
    None,
}

/// The chats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "their own names")]
pub enum Chat {
    Slack,
    Discord,
    Mattermost,
    Teams,
}

/// The forges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "their own names; Gitea is Forgejo too")]
pub enum Forge {
    Github,
    Gitlab,
    Gitea,
}

#[derive(Clone, Copy)]
enum Kind {
    Chat(Chat),
    Ntfy,
    Webhook,
    Email,
    Forge(Forge),
}

const KINDS: [(&str, Kind); 10] = [
    ("slack", Kind::Chat(Chat::Slack)),
    ("discord", Kind::Chat(Chat::Discord)),
    ("mattermost", Kind::Chat(Chat::Mattermost)),
    ("teams", Kind::Chat(Chat::Teams)),
    ("ntfy", Kind::Ntfy),
    ("webhook", Kind::Webhook),
    ("email", Kind::Email),
    ("github", Kind::Forge(Forge::Github)),
    ("gitlab", Kind::Forge(Forge::Gitlab)),
    ("gitea", Kind::Forge(Forge::Gitea)),
];

/// What every receiver may say.
const COMMON: [&str; 7] = ["name", "kind", "severity", "environments", "stacks", "digest", "ca"];

impl Kind {
    fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Chat(_) => &["url"],
            Self::Ntfy => &["url", "token"],
            Self::Webhook => &["url", "secret"],
            Self::Email => &["server", "tls", "username", "password", "from", "to"],
            Self::Forge(_) => &["api", "repository", "token"],
        }
    }
}

/// Reads who is told what happens.
pub(super) fn notify(problems: &mut Problems, node: &Node) -> Vec<Notify> {
    let mut names = BTreeSet::new();
    let Some(items) = read::list(problems, node) else { return Vec::new() };
    let mut all = Vec::new();
    for item in items {
        let Some(one) = one(problems, item) else { continue };
        if names.insert(one.name.clone()) {
            all.push(one);
        } else {
            let message = format!("two receivers are called `{}`", one.name);
            problems.add(Problem::error("duplicate-name", item.span, message));
        }
    }
    all
}

fn one(problems: &mut Problems, node: &Node) -> Option<Notify> {
    let map = read::checked_map(problems, node, &keys::NOTIFY)?;
    let entry = Entry { map, node };
    let name = entry.wanted(problems, "name").and_then(|node| name(problems, node));
    let (word, kind) = entry.wanted(problems, "kind").and_then(|node| {
        let kind = read::word(problems, node, &KINDS)?;
        node.as_scalar().map(|scalar| (scalar.text.clone(), kind))
    })?;
    for entry in &map.entries {
        let key = entry.key.text.as_str();
        if keys::NOTIFY.known.contains(&key) && !COMMON.contains(&key) && !kind.keys().contains(&key) {
            let message = format!("a receiver of the kind `{word}` has no `{key}`");
            let hint = format!("it has: {}", [&COMMON[..], kind.keys()].concat().join(", "));
            problems.add(Problem::error("unknown-key", entry.key.span, message).hint(hint));
        }
    }
    let routing = routing(problems, map);
    let ca = super::said(map, "ca").and_then(|node| super::absolute(problems, node));
    let receiver = match kind {
        Kind::Chat(chat) => Receiver::Chat { chat, url: entry.secret(problems, "url")? },
        Kind::Ntfy => {
            let url = entry.secret(problems, "url");
            let token = super::said(map, "token").and_then(|node| credential(problems, node));
            Receiver::Ntfy { url: url?, token }
        }
        Kind::Webhook => {
            let (url, secret) = (entry.secret(problems, "url"), entry.secret(problems, "secret"));
            Receiver::Webhook { url: url?, secret: secret? }
        }
        Kind::Email => Receiver::Email(email::email(problems, &entry)?),
        Kind::Forge(forge) => commit_status(problems, &entry, forge)?,
    };
    Some(Notify { name: name?, routing, receiver, ca })
}

/// One entry of the list.
struct Entry<'n> {
    map: &'n Map,
    node: &'n Node,
}

impl<'n> Entry<'n> {
    fn wanted(&self, problems: &mut Problems, key: &str) -> Option<&'n Node> {
        let found = super::said(self.map, key);
        if found.is_none() {
            let message = format!("this receiver has no `{key}`");
            problems.add(Problem::error("missing-key", self.node.span, message));
        }
        found
    }

    fn secret(&self, problems: &mut Problems, key: &str) -> Option<Credential> {
        self.wanted(problems, key).and_then(|node| credential(problems, node))
    }
}

fn name(problems: &mut Problems, node: &Node) -> Option<String> {
    let found = read::text(problems, node)?;
    let is_name = !found.text.is_empty()
        && found.text.len() <= 63
        && found.text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'));
    if is_name {
        return Some(found.text.clone());
    }
    let message = "the name of a receiver is of at most 63 letters, digits, `.`, `_` and `-`";
    problems.add(Problem::error("bad-name", node.span, message));
    None
}

fn routing(problems: &mut Problems, map: &Map) -> Routing {
    const WORDS: [(&str, Urgency); 3] =
        [("info", Urgency::Info), ("warning", Urgency::Warning), ("critical", Urgency::Critical)];
    let least = super::said(map, "severity").and_then(|node| read::word(problems, node, &WORDS));
    let mut names = |key: &str, what| {
        super::said(map, key).map(|node| (read::one_or_list(problems, node).to_vec(), what))
    };
    let (environments, stacks) = (names("environments", "an environment"), names("stacks", "a stack"));
    let environments = environments.map(|(nodes, what)| {
        nodes.iter().filter_map(|node| read::parsed(problems, node, "bad-name", what)).collect()
    });
    let stacks = stacks.map(|(nodes, what)| {
        nodes.iter().filter_map(|node| read::parsed(problems, node, "bad-name", what)).collect()
    });
    let digest = super::said(map, "digest").and_then(|node| time_of_day(problems, node));
    Routing {
        least: least.unwrap_or_default(),
        environments: environments.unwrap_or_default(),
        stacks: stacks.unwrap_or_default(),
        digest,
    }
}

/// `08:00`, which must be quoted: YAML reads some of these as numbers.
fn time_of_day(problems: &mut Problems, node: &Node) -> Option<(i8, i8)> {
    let found = read::scalar(problems, node, "a time of day")?;
    let read = found.text.split_once(':').filter(|(hour, minute)| hour.len() == 2 && minute.len() == 2);
    let read = read.and_then(|(hour, minute)| Some((hour.parse().ok()?, minute.parse().ok()?)));
    let read = read.filter(|(hour, minute)| (0..24).contains(hour) && (0..60).contains(minute));
    if read.is_none() {
        let problem = Problem::error("bad-time", node.span, "a time of day is wanted here");
        problems.add(problem.hint("write it as `\"08:00\"`, in the time of the host"));
    }
    read
}

fn commit_status(problems: &mut Problems, entry: &Entry<'_>, forge: Forge) -> Option<Receiver> {
    let usual = match forge {
        Forge::Github => Some("https://api.github.com"),
        Forge::Gitlab => Some("https://gitlab.com/api/v4"),
        Forge::Gitea => None,
    };
    let api = match (super::said(entry.map, "api"), usual) {
        (None, Some(usual)) => Some(usual.to_owned()),
        _ => entry.wanted(problems, "api").and_then(|node| api(problems, node)),
    };
    let repository = entry.wanted(problems, "repository").and_then(|node| repository(problems, node));
    let token = entry.secret(problems, "token");
    Some(Receiver::CommitStatus { forge, api: api?, repository: repository?, token: token? })
}

fn api(problems: &mut Problems, node: &Node) -> Option<String> {
    let found = read::text(problems, node)?;
    if let Some(rest) = found.text.strip_prefix("https://").or_else(|| plain_to_loopback(found))
        && !rest.is_empty()
        && !rest.contains(['@', '?', '#', ' '])
    {
        return Some(found.text.trim_end_matches('/').to_owned());
    }
    let message = "the address of an API is wanted here, by https, or by http on this host only";
    let problem = Problem::error("bad-address", node.span, message);
    problems.add(problem.hint("as in `https://git.example.com/api/v1`, without a name or password"));
    None
}

fn plain_to_loopback(found: &Scalar) -> Option<&str> {
    let rest = found.text.strip_prefix("http://")?;
    let host = rest.split('/').next()?;
    let host = match host.rsplit_once(':') {
        Some((host, port)) if port.chars().all(|c| c.is_ascii_digit()) => host,
        _ => host,
    };
    is_loopback(host.trim_start_matches('[').trim_end_matches(']')).then_some(rest)
}

/// Whether a host that is written so is this one, whatever a resolver says.
fn is_loopback(host: &str) -> bool {
    let is_address = host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    host == "localhost" || is_address
}

/// `owner/name`; on GitLab there may be groups in between.
fn repository(problems: &mut Problems, node: &Node) -> Option<String> {
    let found = read::text(problems, node)?;
    let is_part = |part: &str| {
        !part.is_empty()
            && part != "."
            && part != ".."
            && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
    };
    if found.text.contains('/') && found.text.split('/').all(is_part) {
        return Some(found.text.clone());
    }
    let problem = Problem::error("bad-name", node.span, "a repository of a forge is wanted here");
    problems.add(problem.hint("as in `owner/name`"));
    None
}

mod email;
#[cfg(test)]
mod tests;
