//! When Docker starts a container again by itself: `restart`, or what `deploy` says in Swarm's words.

use super::super::keys;
use super::super::node::{Map, Node};
use super::super::problem::{Problem, Problems};
use super::super::read;
use super::Context;
use crate::model::spec::RestartPolicy;

/// The policy of a service. What `deploy` says comes before `restart`, as the Compose Specification has it.
pub(super) fn read(cx: &mut Context<'_>, map: &Map) -> RestartPolicy {
    let own = cx.optional(map, "restart", restart);
    let deploy = map.get("deploy").and_then(Node::as_map);
    let of_deploy = deploy.and_then(|deploy| cx.optional(deploy, "restart_policy", of_deploy));
    of_deploy.or(own).unwrap_or(RestartPolicy::No)
}

fn restart(problems: &mut Problems, node: &Node) -> Option<RestartPolicy> {
    let found = read::text(problems, node)?;
    if let Some(most) = found.text.strip_prefix("on-failure:") {
        if let Ok(most) = most.parse() {
            return Some(RestartPolicy::OnFailure(Some(most)));
        }
        let message = "after `on-failure:` a whole number is wanted";
        problems.add(Problem::error("unknown-value", node.span, message));
        return None;
    }
    read::word(
        problems,
        node,
        &[
            ("no", RestartPolicy::No),
            ("always", RestartPolicy::Always),
            ("unless-stopped", RestartPolicy::UnlessStopped),
            ("on-failure", RestartPolicy::OnFailure(None)),
        ],
    )
}

fn of_deploy(problems: &mut Problems, node: &Node) -> Option<RestartPolicy> {
    let map = read::honoured_map(problems, node, &keys::RESTART)?;
    let most = match map.get("max_attempts") {
        Some(node) => {
            Some((read::integer::<u32>(problems, node, "a whole number that is not negative")?, node.span))
        }
        None => None,
    };
    let policy = match map.get("condition") {
        // The specification's default.
        None => RestartPolicy::Always,
        Some(node) => read::word(
            problems,
            node,
            &[
                ("none", RestartPolicy::No),
                ("no", RestartPolicy::No),
                ("on-failure", RestartPolicy::OnFailure(None)),
                ("any", RestartPolicy::Always),
                ("always", RestartPolicy::Always),
                ("unless-stopped", RestartPolicy::UnlessStopped),
            ],
        )?,
    };
    match (policy, most) {
        (policy, None | Some((0, _))) => Some(policy),
        (RestartPolicy::OnFailure(_), Some((most, _))) => Some(RestartPolicy::OnFailure(Some(most))),
        (RestartPolicy::No | RestartPolicy::Always | RestartPolicy::UnlessStopped, Some((_, span))) => {
            let message = "Docker counts attempts only after a failure";
            problems.add(
                Problem::error("unknown-value", span, message)
                    .hint("say `condition: on-failure`, or remove `max_attempts`"),
            );
            None
        }
    }
}
