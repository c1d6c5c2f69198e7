//! Start-first: the new container starts beside the old one, without a name, and takes over its names once it is up.
//!
//! ```text
//!  new   start ─ gate ─ gets the names ─ gate again ┐
//!  old                                              └ loses the names ─ COMMIT ─ fence ─ drain ─ stop ─ is whole again
//! ```
//!
//! Docker has names of a container on a network only from one attachment to the next. So the new one is attached anew
//! before it has any client, and the old one when none finds it any more; being attached again, it answers whoever found
//! it before. It runs until the commit: the way back only returns its names.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::decide::Decision;
use super::super::step::{Action, NetworkRef, Phase, Target};
use super::{Milestones, Sequence};
use crate::model::desired::{Expect, Gate};
use crate::model::live::LiveContainer;
use crate::model::name::NetworkName;
use crate::model::spec::{Attachment, ContainerSpec, RestartPolicy};

/// The time in which whoever found the old container under its name before it lost that may still come: the kernel tries
/// to connect again after a second.
pub(in crate::plan) const DRAIN: Duration = Duration::from_secs(2);

/// The time beyond its own that a container has to be up again once it was attached anew.
const SLACK: Duration = Duration::from_secs(60);

/// `attachment` without the names under which others find the container.
pub(in crate::plan) fn nameless(attachment: &Attachment) -> Attachment {
    Attachment { aliases: std::collections::BTreeSet::new(), ..attachment.clone() }
}

/// `spec` without the names under which others find the container.
pub(super) fn unnamed(spec: &ContainerSpec) -> ContainerSpec {
    let networks = spec.networks.iter().map(|(name, attachment)| (name.clone(), nameless(attachment)));
    ContainerSpec { networks: networks.collect(), ..spec.clone() }
}

/// What a container that is up already must show for `monitor`.
pub(in crate::plan) fn monitored(gate: &Gate, monitor: Duration) -> Gate {
    let deadline = gate.deadline.unwrap_or(SLACK).saturating_add(monitor);
    Gate { stable_for: Some(monitor), deadline: Some(deadline), ..gate.clone() }
}

impl Sequence<'_> {
    /// Lets the container of `decision` take over from `current`, which goes on running. `parked` is the one that is
    /// started, where that is not a new one. Returns the last step.
    pub(super) fn take_over(
        &mut self,
        decision: &Decision<'_>,
        (current, parked): (&LiveContainer, Option<&LiveContainer>),
        mut after: Vec<usize>,
        own: &mut Milestones,
    ) -> usize {
        let wave = self.wave(decision);
        let target = decision.target();
        self.keep_attached(&decision.instance, current, wave);
        if let Some(parked) = parked {
            self.keep_attached(&decision.instance, parked, wave);
            after =
                self.attach_anew(&target, &unnamed(&decision.spec).networks, (Phase::Switch, wave), after);
        }
        let (started, ready) = self.start(decision, wave, after);
        own.started.push(started);
        let named = self.attach_anew(&target, &decision.spec.networks, (Phase::Switch, wave), vec![ready]);
        let ready = self.again(decision, &target, wave, named);
        own.ready.push(ready);
        let mut last = ready;
        // Its own name is one under which it is found, too.
        if current.name == decision.name {
            let name = self.retired_name(decision, current);
            let action = Action::Rename { target: Target::Existing(current.id.clone()), name };
            last = self.add(Phase::Switch, wave, vec![last], action);
        }
        let old = Target::Existing(current.id.clone());
        let left = self.without_names(current);
        self.attach_anew(&old, &left, (Phase::Switch, wave), vec![last]).pop().unwrap_or(last)
    }

    /// Waits for the gate of a container that was attached anew, and watches it as long as it is to be monitored.
    fn again(&mut self, decision: &Decision<'_>, target: &Target, wave: u16, after: Vec<usize>) -> usize {
        let gate = monitored(&decision.service.gate, decision.service.update.batches.monitor);
        let (instance, target) = (decision.instance.clone(), target.clone());
        self.add(Phase::Switch, wave, after, Action::Await { instance, target, gate })
    }

    /// How the old container is attached while it has no names. Where the network's addresses are declared it can keep
    /// its own, and with it the connections that are open; elsewhere Docker gives it the first one that is free.
    fn without_names(&self, current: &LiveContainer) -> BTreeMap<NetworkName, Attachment> {
        let has_pool = |name: &NetworkName| {
            let mut networks = self.desired.networks.values();
            networks.any(|network| network.name == *name && !network.external && !network.pools.is_empty())
        };
        let attached = self.joined(current).map(|(name, attachment)| {
            let addresses = current.addresses.get(name).into_iter().flatten();
            let own = addresses.copied().find_map(|address| match address {
                std::net::IpAddr::V4(address) => Some(address),
                std::net::IpAddr::V6(_) => None,
            });
            let ipv4 = attachment.ipv4.or(own.filter(|_| has_pool(name)));
            (name.clone(), Attachment { ipv4, mac: None, ..nameless(attachment) })
        });
        attached.collect()
    }

    /// The networks of a container that are still there.
    fn joined<'c>(
        &self,
        container: &'c LiveContainer,
    ) -> impl Iterator<Item = (&'c NetworkName, &'c Attachment)> + use<'c, '_> {
        let networks = container.spec.networks.iter();
        networks.filter(|(name, _)| matches!(self.network(name), NetworkRef::Existing(_)))
    }

    /// Detaches a container from each of these networks and attaches it again. Returns the last step, or `after` where
    /// there is none.
    fn attach_anew(
        &mut self,
        container: &Target,
        networks: &BTreeMap<NetworkName, Attachment>,
        (phase, wave): (Phase, u16),
        mut after: Vec<usize>,
    ) -> Vec<usize> {
        for (name, attachment) in networks {
            let network = self.network(name);
            let (container, name) = (container.clone(), name.clone());
            let action = Action::Disconnect {
                container: container.clone(),
                name: name.clone(),
                network: network.clone(),
            };
            let left = self.add(phase, wave, after, action);
            let action = Action::Connect { container, name, network, attachment: attachment.clone() };
            after = vec![self.add(phase, wave, vec![left], action)];
        }
        after
    }

    /// What becomes of the old container once the deploy has committed: it stops, and is again as it was, for a return in
    /// the time of a start.
    pub(super) fn leave(&mut self, current: &LiveContainer) {
        const WAVE: u16 = 2;
        let id = &current.id;
        let mut after = Vec::new();
        if current.spec.restart != RestartPolicy::No {
            after.push(self.add(Phase::Finish, WAVE, Vec::new(), Action::Fence(id.clone())));
        }
        if !current.spec.networks.is_empty() {
            after = vec![self.add(Phase::Finish, WAVE, after, Action::Delay(DRAIN))];
        }
        let target = Target::Existing(id.clone());
        let stop = Action::Stop { target: target.clone(), grace: current.spec.stop_grace };
        let stopped = self.add(Phase::Finish, WAVE, after, stop);
        let whole = self
            .joined(current)
            .map(|(name, attachment)| (name.clone(), Attachment { mac: None, ..attachment.clone() }))
            .collect();
        self.attach_anew(&target, &whole, (Phase::Finish, WAVE), vec![stopped]);
    }

    /// Watches a container that is up for as long as its service says. Returns the last step.
    pub(super) fn monitor(&mut self, decision: &Decision<'_>, wave: u16, ready: usize) -> usize {
        let monitor = decision.service.update.batches.monitor;
        match decision.service.gate.expect {
            Expect::Running if !monitor.is_zero() => {
                self.again(decision, &decision.target(), wave, vec![ready])
            }
            Expect::Running | Expect::Completed => ready,
        }
    }
}
