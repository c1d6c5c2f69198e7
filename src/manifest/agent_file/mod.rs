//! `agent.yaml`: what an agent follows, as its host says it. It lies on the host and never in a repository.

use std::collections::BTreeMap;

use crate::manifest::diagnostic::Report;
use crate::manifest::keys;
use crate::manifest::node::{Map, Node, Value};
use crate::manifest::problem::{Problem, Problems};
use crate::manifest::project;
use crate::manifest::read;
use crate::model::place::HostSelector;
use crate::model::tree::RepoPath;

// One module for each section of the file.
mod credential;
mod api;
mod follow;
mod git;
mod notify;
mod webhooks;

mod changes;
mod several;

pub use api::{Api, HASH_PREFIX, Role, Tls, Token, is_loopback};
pub use changes::AgentChanges;
pub use credential::Credential;
pub use follow::{Followed, Verify};
pub use git::{GitCredential, GitSettings, SshKey};
pub use notify::{Chat, Email, EmailTls, Forge, Notify, Receiver, Routing, Urgency};
pub use webhooks::{Webhook, WebhookKind};

/// What `agent.yaml` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentFile {
    /// What the host is called.
    pub host: Option<String>,
    /// What it is besides.
    pub labels: BTreeMap<String, String>,
    /// The address of Docker, as in `unix:///var/run/docker.sock`.
    pub docker: Option<String>,
    /// The folder for the ledger and laid down files, an absolute path.
    pub state: Option<String>,
    /// What is followed: at least one, and no stack twice.
    pub follow: Vec<Followed>,
    /// With what servers are asked, by name.
    pub credentials: BTreeMap<String, GitCredential>,
    /// How servers are reached, and how much is taken from them.
    pub git: GitSettings,
    /// Where the agent is to be asked; absent for its socket only.
    pub api: Option<Api>,
    /// Who may tell that there is something new.
    pub webhooks: Vec<Webhook>,
    /// Who is told what happens.
    pub notify: Vec<Notify>,
}

impl AgentFile {
    /// Where each secret is that agent.yaml speaks of.
    pub fn secrets(&self) -> Vec<&Credential> {
        // A new section must say whether it has any.
        let Self {
            host: _,
            labels: _,
            docker: _,
            state: _,
            follow: _,
            credentials,
            git: _,
            api,
            webhooks,
            notify,
        } = self;
        let keys = api.iter().flat_map(|api| &api.tls).map(|tls| &tls.key);
        keys.chain(webhooks.iter().map(|webhook| &webhook.secret))
            .chain(notify.iter().flat_map(Notify::secrets))
            .chain(credentials.values().filter_map(GitCredential::secrets))
            .collect()
    }
}

/// Reads `agent.yaml`, which lies at `path` as seen from the root of the host.
///
/// # Errors
/// Everything that is wrong with it, by line and column and without the lines themselves: a secret that somebody wrote
/// there must not get into a log.
pub fn agent_file(path: &RepoPath, bytes: Vec<u8>) -> Result<AgentFile, Report> {
    let mut problems = Problems::default();
    let file = read_file(&mut problems, path, bytes);
    match (file, problems.finish()) {
        (_, Err(report)) => Err(report.concealed()),
        (Some(file), Ok(_)) => Ok(file),
        // Whoever gives nothing has noted why, so this says only that it was forgotten.
        (None, Ok(_)) => Err(Report::internal("nothing was read, and no reason was noted")),
    }
}

fn read_file(problems: &mut Problems, path: &RepoPath, bytes: Vec<u8>) -> Option<AgentFile> {
    let root = project::scanned(problems, path, bytes, &keys::AGENT)?;
    let map = root.as_map()?;
    let host = said(map, "host").and_then(|node| {
        let found = read::parsed::<HostSelector>(problems, node, "bad-name", "a host's name")?;
        match found {
            HostSelector::Name(name) => Some(name),
            HostSelector::Label(..) => {
                let problem = Problem::error("bad-name", node.span, "a host's name has no `=`");
                problems.add(problem.hint("say it under `labels`: `labels: {role: web}`"));
                None
            }
        }
    });
    let docker =
        said(map, "docker").and_then(|node| read::text(problems, node)).map(|found| found.text.clone());
    let state = said(map, "state").and_then(|node| absolute(problems, node));
    let labels = said(map, "labels").map(|node| labels(problems, node)).unwrap_or_default();
    let api = said(map, "api").map(|node| api::api(problems, node));
    let webhooks = said(map, "webhooks").map(|node| webhooks::webhooks(problems, node)).unwrap_or_default();
    let notify = said(map, "notify").map(|node| notify::notify(problems, node)).unwrap_or_default();
    let (git, credentials) = (git::git(problems, map), git::credentials(problems, map));
    git::check(problems, map, (&git, &credentials));
    let follow = several::follow(problems, map, &root)?;
    let api = api.flatten();
    Some(AgentFile { host, labels, docker, state, follow, credentials, git, api, webhooks, notify })
}

fn said<'n>(map: &'n Map, key: &str) -> Option<&'n Node> {
    map.get(key).filter(|node| !matches!(node.value, Value::Null))
}

fn absolute(problems: &mut Problems, node: &Node) -> Option<String> {
    let found = read::text(problems, node)?;
    if found.text.starts_with('/') {
        return Some(found.text.clone());
    }
    let problem = Problem::error("relative-path", node.span, "an absolute path is wanted here");
    problems.add(problem.hint("an agent may be started anywhere, so begin at `/`"));
    None
}

fn labels(problems: &mut Problems, node: &Node) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::new();
    let Some(map) = read::map(problems, node) else { return labels };
    for entry in &map.entries {
        let Some(value) = read::text(problems, &entry.value) else { continue };
        match format!("{}={}", entry.key.text, value.text).parse() {
            Ok(HostSelector::Label(key, value)) => drop(labels.insert(key, value)),
            Ok(HostSelector::Name(_)) | Err(_) => {
                let message = "a label and its value are of letters, digits, `.`, `_` and `-`";
                problems.add(Problem::error("bad-name", entry.key.span, message));
            }
        }
    }
    labels
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// An agent.yaml that says nothing but `text` and what it must.
    pub(super) fn section(text: &str) -> String {
        format!("{}\nfollow: [{{repository: /srv/infra.git}}]\n", text.trim_end())
    }

    pub(super) fn read(text: &str) -> Result<AgentFile, String> {
        let path = RepoPath::root().join("agent.yaml").unwrap();
        agent_file(&path, text.as_bytes().to_vec()).map_err(|report| {
            let lines = report.diagnostics().iter().map(|one| {
                let spot = one.place.spot.as_ref().map_or((0, 0), |spot| (spot.line, spot.column));
                assert!(one.hint.as_ref().is_none_or(|hint| !hint.is_empty()), "{}", one.message);
                format!("{}:{} {}: {}", spot.0, spot.1, one.code, one.message)
            });
            lines.collect::<Vec<_>>().join("\n")
        })
    }

    #[test]
    fn everything_may_be_said() {
        let text = "host: web-1\nlabels: {role: web}\ndocker: unix:///run/docker.sock\nstate: /var/lib/ek\n\
                    follow:\n- {repository: /srv/infra.git, environment: prod, branch: main, poll: 30s}\n\
                    - {repository: /srv/infra.git, environment: staging}\n- {repository: /srv/shop.git}\n";
        let file = read(text).unwrap();
        assert_eq!(file.host.as_deref(), Some("web-1"));
        assert_eq!(file.labels, BTreeMap::from([("role".to_owned(), "web".to_owned())]));
        assert_eq!(file.docker.as_deref(), Some("unix:///run/docker.sock"));
        assert_eq!(file.state.as_deref(), Some("/var/lib/ek"));
        let [Followed { repository, environment, branch, poll, .. }, staging, shop] = file.follow.as_slice()
        else {
            panic!("{:?}", file.follow)
        };
        assert_eq!(repository.to_string(), "/srv/infra.git");
        assert_eq!(environment.as_ref().unwrap().as_str(), "prod");
        assert_eq!((branch.as_deref(), *poll), (Some("main"), Some(Duration::from_secs(30))));
        assert_eq!(staging.environment.as_ref().unwrap().as_str(), "staging");
        assert_eq!((shop.repository.to_string().as_str(), &shop.environment), ("/srv/shop.git", &None));
    }

    #[test]
    fn only_what_is_followed_must_be_said() {
        let file = read("follow: [{repository: /srv/infra.git}]").unwrap();
        assert_eq!((file.host, file.docker, file.follow[0].branch.as_deref()), (None, None, None));
    }

    #[test]
    fn everything_wrong_is_told_where_it_stands() {
        for (text, expected) in [
            ("", "1:1 missing-key: agent.yaml has no `follow`"),
            ("follow: []", "1:1 missing-value: `follow` is empty"),
            ("follow: /a", "1:9 wrong-type: a list is wanted here, and this is a text"),
            ("follow: [/a]", "1:10 wrong-type: a mapping is wanted here, and this is a text"),
            ("follow: [{branch: main}]", "1:10 missing-key: this doesn't say which `repository` to follow"),
            (
                "follow: [{repository: infra.git}]",
                "1:23 relative-path: this is neither an absolute path nor an address",
            ),
            ("follow: [{repository: /a, poll: soon}]", "1:33 bad-duration: `soon` is not a duration"),
            (
                "follow: [{repository: /a, poll: 2d}]",
                "1:33 out-of-range: between `1s` and `24h` is wanted here",
            ),
            (
                "follow: [{repository: /a, environment: A B}]",
                "1:40 bad-name: `A B` is not a valid environment name: lower-case letters, digits, `_` and `-`, \
                 beginning with a letter or digit, at most 63",
            ),
            ("hosts: a\nfollow: [{repository: /a}]", "1:1 unknown-key: agent.yaml has no key `hosts`"),
            (
                "follow: [{repository: /a, branchs: main}]",
                "1:27 unknown-key: what an agent follows has no key `branchs`",
            ),
            (
                "host: role=web\nstate: here\nfollow: [{repository: /a}]",
                "1:7 bad-name: a host's name has no `=`\n2:8 relative-path: an absolute path is wanted here",
            ),
            (
                "labels: {a b: c}\nfollow: [{repository: /a}]",
                "1:10 bad-name: a label and its value are of letters, digits, `.`, `_` and `-`",
            ),
            (
                "host: a\nhost: b\nfollow: [{repository: /a}]",
                "2:1 duplicate-key: the key `host` is there twice",
            ),
        ] {
            assert_eq!(read(text).unwrap_err(), expected, "{text}");
        }
    }

    #[test]
    fn a_stack_is_followed_once() {
        let twice = "this environment of this repository is followed already";
        let unsaid =
            "this repository is followed already, and one of the two doesn't say which `environment`";
        for (first, second, expected) in [
            ("repository: /a", "repository: /b", None),
            ("repository: /a, environment: x", "repository: /a, environment: y", None),
            ("repository: /a, environment: x", "repository: /b, environment: x", None),
            ("repository: /a, environment: x", "repository: /a, environment: x, branch: b", Some(twice)),
            ("repository: /a, environment: x", "repository: /a/, environment: x", Some(twice)),
            ("repository: /a", "repository: /a", Some(unsaid)),
            ("repository: /a, environment: x", "repository: /a", Some(unsaid)),
        ] {
            let text = format!("follow:\n- {{{first}}}\n- {{{second}}}\n");
            let told = read(&text).err();
            assert_eq!(told, expected.map(|message| format!("3:3 followed-twice: {message}")), "{text}");
        }
    }

    #[test]
    fn no_line_of_the_file_is_shown() {
        let path = RepoPath::root().join("agent.yaml").unwrap();
        for text in [
            "tokens: hunter2",
            "follow: [{repository: /a, token: hunter2}]",
            "follow: [hunter2",
            "a: {b: hunter2",
        ] {
            let report = agent_file(&path, text.as_bytes().to_vec()).unwrap_err();
            for told in [report.render(true), report.to_json().to_string(), format!("{report:?}")] {
                assert!(!told.contains("hunter2"), "{told}");
            }
            assert!(report.render(false).contains("agent.yaml:1:"), "{}", report.render(false));
        }
    }

    #[test]
    fn all_entries_are_read_whatever_is_wrong_with_one() {
        let told = read("follow:\n- {repository: a}\n- {repository: /b}\n- {repository: c}\n").unwrap_err();
        let wanted = "this is neither an absolute path nor an address";
        assert_eq!(told, format!("2:16 relative-path: {wanted}\n4:16 relative-path: {wanted}"));
    }
}
