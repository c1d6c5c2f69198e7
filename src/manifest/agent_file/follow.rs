//! `follow` of agent.yaml: one environment of a repository, and how it is followed.

use std::time::Duration;

use crate::manifest::keys;
use crate::manifest::node::Node;
use crate::manifest::problem::{Problem, Problems};
use crate::manifest::read;
use crate::model::name::EnvironmentName;

/// The longest time between two looks at a repository.
const POLL_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// What `follow` looks like.
pub(super) const HINT: &str =
    "say what to follow: `follow: [{repository: /srv/infra.git, environment: prod}]`";

/// An environment of a repository that an agent follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Followed {
    /// Where the repository is, an absolute path.
    pub repository: String,
    /// The environment; absent where the repository has only one.
    pub environment: Option<EnvironmentName>,
    /// The branch; absent for the repository's `HEAD`.
    pub branch: Option<String>,
    /// Time between two looks where no event told before.
    pub poll: Option<Duration>,
}

/// Reads one entry of `follow`.
pub(super) fn followed(problems: &mut Problems, node: &Node) -> Option<Followed> {
    let map = read::checked_map(problems, node, &keys::FOLLOW)?;
    let text = |problems: &mut Problems, key: &str| {
        super::said(map, key).and_then(|node| read::text(problems, node)).map(|found| found.text.clone())
    };
    let branch = text(problems, "branch");
    let environment = super::said(map, "environment")
        .and_then(|node| read::parsed(problems, node, "bad-name", "an environment"));
    let poll = super::said(map, "poll").and_then(|node| poll(problems, node));
    let Some(repository) = super::said(map, "repository") else {
        let message = "this doesn't say which `repository` to follow";
        problems.add(Problem::error("missing-key", node.span, message).hint(HINT));
        return None;
    };
    let repository = super::absolute(problems, repository)?;
    Some(Followed { repository, environment, branch, poll })
}

fn poll(problems: &mut Problems, node: &Node) -> Option<Duration> {
    let poll = read::duration(problems, node)?;
    if (Duration::from_secs(1)..=POLL_MAX).contains(&poll) {
        return Some(poll);
    }
    problems.add(Problem::error("out-of-range", node.span, "between `1s` and `24h` is wanted here"));
    None
}
