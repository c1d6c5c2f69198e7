//! `follow` of agent.yaml: one environment of a repository, and how it is followed.

use std::time::Duration;

use crate::manifest::keys;
use crate::manifest::node::{Map, Node};
use crate::manifest::problem::{Problem, Problems};
use crate::manifest::read;
use crate::model::address::{Address, AddressError};
use crate::model::name::EnvironmentName;
use crate::model::release::TagPattern;

/// The longest time between two looks at a repository.
const POLL_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// What `follow` looks like.
pub(super) const HINT: &str =
    "say what to follow: `follow: [{repository: /srv/infra.git, environment: prod}]`";

/// An environment of a repository that an agent follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Followed {
    /// Where the repository is.
    pub repository: Address,
    /// The environment; absent where the repository has only one.
    pub environment: Option<EnvironmentName>,
    /// The branch; absent for the repository's `HEAD`, or where tags are followed.
    pub branch: Option<String>,
    /// The tags of which the highest version is followed. Never together with `branch`.
    pub tag: Option<TagPattern>,
    /// Time between two looks where no event told before.
    pub poll: Option<Duration>,
    /// With what the server is asked: a name under `credentials`.
    pub credential: Option<String>,
    /// Whose commits may be deployed; absent for everybody's who may push.
    pub verify: Option<Verify>,
}

/// Whose commits may be deployed. At least one of the two files is said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verify {
    /// Whether each commit since the last deployed one must be signed; else only the newest.
    pub every_commit: bool,
    /// The file with those who may sign with SSH, an absolute path.
    pub signers: Option<String>,
    /// The file with the keys of those who may sign with GPG, an absolute path.
    pub keyring: Option<String>,
}

/// Reads one entry of `follow`.
pub(super) fn followed(problems: &mut Problems, node: &Node) -> Option<Followed> {
    let map = read::checked_map(problems, node, &keys::FOLLOW)?;
    let text = |problems: &mut Problems, key: &str| {
        super::said(map, key).and_then(|node| read::text(problems, node)).map(|found| found.text.clone())
    };
    let branch = text(problems, "branch");
    let tag = tag(problems, map);
    let credential = text(problems, "credential");
    let environment = super::said(map, "environment")
        .and_then(|node| read::parsed(problems, node, "bad-name", "an environment"));
    let poll = super::said(map, "poll").and_then(|node| poll(problems, node));
    let verify = super::said(map, "verify").map(|node| verify(problems, node));
    let Some(repository) = super::said(map, "repository") else {
        let message = "this doesn't say which `repository` to follow";
        problems.add(Problem::error("missing-key", node.span, message).hint(HINT));
        return None;
    };
    let repository = address(problems, repository)?;
    // What is wrong in `verify` must never come out as nothing to verify.
    let verify = match verify {
        None => None,
        Some(verify) => Some(verify?),
    };
    Some(Followed { repository, environment, branch, tag, poll, credential, verify })
}

/// Reads where a repository is. A text that is none is never repeated.
fn address(problems: &mut Problems, node: &Node) -> Option<Address> {
    let found = read::text(problems, node)?;
    let error = match found.text.parse() {
        Ok(address) => return Some(address),
        Err(error) => error,
    };
    let (code, hint) = match error {
        AddressError::Unknown => (
            "relative-path",
            "begin at `/`, or say a server: `https://git.example.com/infra.git`, `git@git.example.com:infra.git`",
        ),
        AddressError::Secret => {
            ("inline-secret", "put it under `credentials`, and say its name: `credential: forge`")
        }
        AddressError::Helper | AddressError::Scheme | AddressError::Part(_) => {
            ("bad-address", "as in `https://git.example.com/infra.git` or `git@git.example.com:infra.git`")
        }
    };
    problems.add(Problem::error(code, node.span, error.to_string()).hint(hint));
    None
}

fn tag(problems: &mut Problems, map: &Map) -> Option<TagPattern> {
    let node = super::said(map, "tag")?;
    if super::said(map, "branch").is_some() {
        let problem = Problem::error("not-together", node.span, "either a `branch` or a `tag` is followed");
        problems.add(problem.hint("keep one of the two"));
        return None;
    }
    read::parsed(problems, node, "bad-pattern", "a pattern for tags")
}

fn poll(problems: &mut Problems, node: &Node) -> Option<Duration> {
    let poll = read::duration(problems, node)?;
    if (Duration::from_secs(1)..=POLL_MAX).contains(&poll) {
        return Some(poll);
    }
    problems.add(Problem::error("out-of-range", node.span, "between `1s` and `24h` is wanted here"));
    None
}

fn verify(problems: &mut Problems, node: &Node) -> Option<Verify> {
    let map = read::checked_map(problems, node, &keys::VERIFY)?;
    let every_commit = match super::said(map, "commits") {
        None => false,
        Some(node) => read::word(problems, node, &[("head", false), ("all", true)])?,
    };
    let file = |problems: &mut Problems, key: &str| match super::said(map, key) {
        None => Some(None),
        Some(node) => super::absolute(problems, node).map(Some),
    };
    let (signers, keyring) = (file(problems, "signers")?, file(problems, "keyring")?);
    if signers.is_none() && keyring.is_none() {
        let problem = Problem::error("missing-key", node.span, "this doesn't say who may sign");
        problems
            .add(problem.hint("say `signers: /etc/evenkeel/allowed_signers`, or `keyring: FILE` for GPG"));
        return None;
    }
    Some(Verify { every_commit, signers, keyring })
}
