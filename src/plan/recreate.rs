//! Networks that are made anew, because Docker can't change one: what that means for others, and what stands in the way.

use std::borrow::Cow;

use super::change::Kind;
use super::decide::{Decision, Decisions};
use super::refusal::Refusal;
use super::requires;
use super::shared::{Recreated, unchangeable};
use crate::model::label;
use crate::model::live::{Live, LiveContainer, Status};
use crate::model::name::{NetworkName, StackName};
use crate::model::spec::NetworkSpec;

impl Recreated<'_> {
    /// What it was, for the way back. Made again it is the stack's own, also where it had been adopted.
    pub(super) fn former(&self, stack: &StackName) -> NetworkSpec {
        let mut spec = self.old.spec.clone();
        spec.labels.extend(label::of_network(stack, self.key.as_str()));
        spec
    }

    /// What people should know of it.
    pub(super) fn note(&self, live: &Live) -> Option<String> {
        let name = &self.old.spec.name;
        let running = live.containers.values().filter(|of| of.state.status == Status::Running);
        let attached = running.filter(|container| container.spec.networks.contains_key(name));
        let attached: Vec<&str> = attached.map(|container| container.name.as_str()).collect();
        (!attached.is_empty()).then(|| {
            let (key, attached) = (self.key, attached.join(", "));
            format!(
                "network {key} is made anew: connections break for a moment, without a restart, of {attached}"
            )
        })
    }
}

/// The host as those see it who come to a network after it was made anew: the old one is not there.
pub(super) fn without<'a>(live: &'a Live, recreated: &[Recreated<'_>]) -> Cow<'a, Live> {
    if recreated.is_empty() {
        return Cow::Borrowed(live);
    }
    let mut live = live.clone();
    for network in recreated {
        live.networks.remove(&network.old.id);
    }
    Cow::Owned(live)
}

/// What stands in the way of making each of them anew.
pub(super) fn hindrances(
    recreated: &[Recreated<'_>],
    decisions: &Decisions<'_>,
    live: &Live,
) -> Vec<Refusal> {
    recreated.iter().flat_map(|network| hindrances_of(network, decisions, live)).collect()
}

fn hindrances_of(network: &Recreated<'_>, decisions: &Decisions<'_>, live: &Live) -> Vec<Refusal> {
    let Recreated { key, old, new: _, fields } = network;
    let name = &old.spec.name;
    if requires::ties_to_first_network(&live.server) {
        let is_tied =
            |container: &LiveContainer| container.spec.networks.get(name).is_some_and(|of| of.first);
        let tied = live.containers.values().filter(|container| is_tied(container));
        let tied: Vec<&str> = tied.map(|container| container.name.as_str()).collect();
        if !tied.is_empty() {
            let hint = format!(
                "from Docker 25 on a container can't outlive the first network that it joined, and none of these could \
                 return: {}; declare a new network under another key and move the services to it",
                tied.join(", ")
            );
            return vec![unchangeable((Kind::Network, key.as_str()), fields, hint)];
        }
    }
    let others = live.others.values().filter(|other| other.networks.contains(name));
    let others: Vec<&str> = others.map(|other| other.name.as_str()).collect();
    let mut found = Vec::new();
    if !others.is_empty() {
        found.push(Refusal::new(
            format!("network `{key}` must be made anew, and others are attached to it: {}", others.join(", ")),
            format!("detach them with `docker network disconnect {name} CONTAINER`, or move them to another network"),
        ));
    }
    for decision in decisions.wanted.iter().filter(|decision| stays_with_address(decision, name)) {
        found.push(Refusal::new(
            format!(
                "network `{key}` must be made anew, and Docker can't give {} its `mac_address` there again",
                decision.instance
            ),
            "take `mac_address` out first, or declare a new network under another key and move the service to it",
        ));
    }
    found
}

/// Whether the container stays and has a hardware address of its own on that network.
fn stays_with_address(decision: &Decision<'_>, name: &NetworkName) -> bool {
    let is_attached = decision.current.is_some_and(|current| current.spec.networks.contains_key(name));
    let wanted = decision.spec.networks.get(name);
    is_attached && !decision.verdict.is_new() && wanted.is_some_and(|wanted| wanted.mac.is_some())
}
