//! The list of all that an agent follows. Two entries must never mean the same stack of the host: each would undo what the
//! other does.

use super::follow::{Followed, HINT, followed};
use crate::manifest::node::{Map, Node};
use crate::manifest::problem::{Problem, Problems};
use crate::manifest::read;

/// Reads `follow`. What is given has at least one entry unless something wrong was noted.
pub(super) fn follow(problems: &mut Problems, map: &Map, root: &Node) -> Option<Vec<Followed>> {
    let Some(entry) = map.entry("follow") else {
        problems.add(Problem::error("missing-key", root.span, "agent.yaml has no `follow`").hint(HINT));
        return None;
    };
    let nodes = read::list(problems, &entry.value)?;
    if nodes.is_empty() {
        problems.add(Problem::error("missing-value", entry.key.span, "`follow` is empty").hint(HINT));
        return None;
    }
    let mut found: Vec<(Followed, &Node)> = Vec::new();
    for node in nodes {
        let Some(one) = followed(problems, node) else { continue };
        match found.iter().find_map(|(earlier, at)| why_same(earlier, &one).map(|why| (why, at))) {
            None => found.push((one, node)),
            Some((why, earlier)) => {
                let problem = Problem::error("followed-twice", node.span, why.message());
                problems.add(problem.related(earlier.span, "the first time").hint(why.hint()));
            }
        }
    }
    Some(found.into_iter().map(|(one, _)| one).collect())
}

/// Why two entries may mean the same stack.
#[derive(Clone, Copy)]
enum Same {
    /// They name the same environment.
    Environment,
    /// One of them doesn't say which environment it means.
    Unsaid,
}

impl Same {
    fn message(self) -> &'static str {
        match self {
            Self::Environment => "this environment of this repository is followed already",
            Self::Unsaid => {
                "this repository is followed already, and one of the two doesn't say which `environment`"
            }
        }
    }

    fn hint(self) -> &'static str {
        match self {
            Self::Environment => {
                "an environment is one stack of this host, and follows one branch: keep one of the two"
            }
            Self::Unsaid => "say `environment: NAME` in both",
        }
    }
}

fn why_same(one: &Followed, other: &Followed) -> Option<Same> {
    if place(one) != place(other) {
        return None;
    }
    match (&one.environment, &other.environment) {
        (Some(one), Some(other)) => (one == other).then_some(Same::Environment),
        (None, _) | (_, None) => Some(Same::Unsaid),
    }
}

/// The repository by one of the ways to write it: a `/` at its end says nothing.
fn place(followed: &Followed) -> String {
    followed.repository.to_string().trim_end_matches('/').to_owned()
}
