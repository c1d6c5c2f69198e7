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

mod credential;
mod follow;
mod git;

pub use credential::Credential;
pub use follow::{Followed, Verify};
pub use git::{GitCredential, GitSettings, SshKey};

use follow::{HINT, followed};

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
    /// What is followed.
    pub follow: Followed,
    /// With what servers are asked, by name.
    pub credentials: BTreeMap<String, GitCredential>,
    /// How servers are reached, and how much is taken from them.
    pub git: GitSettings,
}

/// Reads `agent.yaml`, which lies at `path` as seen from the root of the host.
///
/// # Errors
/// Everything that is wrong with it.
pub fn agent_file(path: &RepoPath, bytes: Vec<u8>) -> Result<AgentFile, Report> {
    let mut problems = Problems::default();
    let file = read_file(&mut problems, path, bytes);
    match (file, problems.finish()) {
        (_, Err(report)) => Err(report),
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
    let (git, credentials) = (git::git(problems, map), git::credentials(problems, map));
    git::check(problems, map, (&git, &credentials));
    let follow = follow(problems, map, &root)?;
    Some(AgentFile { host, labels, docker, state, follow, credentials, git })
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

fn follow(problems: &mut Problems, map: &Map, root: &Node) -> Option<Followed> {
    let Some(entry) = map.entry("follow") else {
        problems.add(Problem::error("missing-key", root.span, "agent.yaml has no `follow`").hint(HINT));
        return None;
    };
    let Some((first, further)) = read::list(problems, &entry.value)?.split_first() else {
        problems.add(Problem::error("missing-value", entry.key.span, "`follow` is empty").hint(HINT));
        return None;
    };
    if let Some(second) = further.first() {
        let message = "an agent follows one environment so far";
        let problem = Problem::error("not-supported", second.span, message);
        problems.add(problem.hint("run another agent, with a state folder of its own"));
    }
    followed(problems, first)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    pub(super) fn read(text: &str) -> Result<AgentFile, String> {
        let path = RepoPath::root().join("agent.yaml").unwrap();
        agent_file(&path, text.as_bytes().to_vec()).map_err(|report| {
            let lines = report.diagnostics().iter().map(|one| {
                let spot = one.place.spot.as_ref().map_or((0, 0), |spot| (spot.line, spot.column));
                format!("{}:{} {}: {}", spot.0, spot.1, one.code, one.message)
            });
            lines.collect::<Vec<_>>().join("\n")
        })
    }

    #[test]
    fn everything_may_be_said() {
        let text = "host: web-1\nlabels: {role: web}\ndocker: unix:///run/docker.sock\nstate: /var/lib/ek\n\
                    follow:\n- {repository: /srv/infra.git, environment: prod, branch: main, poll: 30s}\n";
        let file = read(text).unwrap();
        assert_eq!(file.host.as_deref(), Some("web-1"));
        assert_eq!(file.labels, BTreeMap::from([("role".to_owned(), "web".to_owned())]));
        assert_eq!(file.docker.as_deref(), Some("unix:///run/docker.sock"));
        assert_eq!(file.state.as_deref(), Some("/var/lib/ek"));
        let Followed { repository, environment, branch, poll, .. } = file.follow;
        assert_eq!(repository.to_string(), "/srv/infra.git");
        assert_eq!(environment.unwrap().as_str(), "prod");
        assert_eq!((branch.as_deref(), poll), (Some("main"), Some(Duration::from_secs(30))));
    }

    #[test]
    fn only_what_is_followed_must_be_said() {
        let file = read("follow: [{repository: /srv/infra.git}]").unwrap();
        assert_eq!((file.host, file.docker, file.follow.branch), (None, None, None));
    }

    #[test]
    fn everything_wrong_is_told_where_it_stands() {
        for (text, expected) in [
            ("", "1:1 missing-key: agent.yaml has no `follow`"),
            ("follow: []", "1:1 missing-value: `follow` is empty"),
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
                "follow: [{repository: /a}, {repository: /b}]",
                "1:28 not-supported: an agent follows one environment so far",
            ),
            ("hosts: a\nfollow: [{repository: /a}]", "1:1 unknown-key: agent.yaml has no key `hosts`"),
            (
                "host: role=web\nstate: here\nfollow: [{repository: /a}]",
                "1:7 bad-name: a host's name has no `=`\n2:8 relative-path: an absolute path is wanted here",
            ),
            (
                "labels: {a b: c}\nfollow: [{repository: /a}]",
                "1:10 bad-name: a label and its value are of letters, digits, `.`, `_` and `-`",
            ),
        ] {
            assert_eq!(read(text).unwrap_err(), expected, "{text}");
        }
    }
}
