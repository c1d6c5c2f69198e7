//! What becomes of each container on the way back: who was started stops, who was stopped starts, and who still runs
//! beside its successor gets its names back first.

use std::collections::{BTreeMap, BTreeSet};

use super::super::addresses::is_fixed;
use super::super::ports;
use super::super::sequence::take_over::{DRAIN, monitored, nameless};
use super::super::step::{Action, NetworkRef, Phase, Target};
use super::super::turns::Turns;
use super::super::{Checkpoint, Kept, attached, diff};
use super::{Back, peers, peers_first, runs};
use crate::model::desired::{Expect, Gate, Ports};
use crate::model::live::{Live, LiveContainer, Status};
use crate::model::name::{ContainerId, Instance, NetworkName, ServiceName};
use crate::model::spec::{Attachment, HostPort, Resources, RestartPolicy};
use crate::model::update::{Batches, RollbackConfig};

/// A container that was not there, or did not run, before the deploy.
struct Guest<'a> {
    container: &'a LiveContainer,
    /// How it was before, where it was there.
    kept: Option<&'a Kept>,
}

/// What returns, and how.
struct Return<'a> {
    returning: &'a [Kept],
    checkpoint: &'a Checkpoint,
    live: &'a Live,
}

impl Return<'_> {
    fn batches(&self, service: &ServiceName) -> Batches {
        self.checkpoint.batches.get(service).copied().unwrap_or(RollbackConfig::default().batches)
    }

    /// Whether there are more containers of `service` than return at a time.
    fn takes_turns(&self, service: &ServiceName) -> bool {
        let returning =
            self.returning.iter().filter(|kept| kept.ran && kept.instance.service == *service).count();
        let most = self.batches(service).parallelism;
        most.and_then(|most| usize::try_from(most.get()).ok()).is_some_and(|most| returning > most)
    }
}

impl Back {
    /// Every old container may start as soon as its own successor has stopped, and whoever else has what was its own: a
    /// port, an address, a volume. They ran together before, so none needs to wait for another, unless it lives in that
    /// one's namespaces or its service says how many return at a time. The shortest outage is the best one.
    pub(super) fn containers(
        &mut self,
        returning: &[Kept],
        leaving: &[&LiveContainer],
        (checkpoint, live): (&Checkpoint, &Live),
    ) {
        let back = Return { returning, checkpoint, live };
        let mut guests = guests(returning, leaving, live);
        let mut stopped = self.stops(&guests, &back);
        self.give_up_addresses(returning, live);
        self.freed = stopped.iter().map(|(_, at)| *at).chain(self.left.values().copied()).collect();
        let mut turns: BTreeMap<&ServiceName, Turns> = BTreeMap::new();
        let mut started: BTreeMap<&ContainerId, usize> = BTreeMap::new();
        for kept in peers_first(returning, live).into_iter().filter(|kept| kept.ran) {
            let Some(container) = live.containers.get(&kept.container) else { continue };
            let own = guests.remove(&kept.instance).unwrap_or_default();
            let batches = back.batches(&kept.instance.service);
            let turns = turns.entry(&kept.instance.service).or_default();
            let mut after = Vec::new();
            if !runs(container) || own.iter().any(|guest| runs(guest.container)) {
                after =
                    turns.next(batches, |after, time| self.add(Phase::Switch, 0, after, Action::Delay(time)));
            }
            if runs(container) {
                let given = self.reattach(kept, container, live, after);
                let is_left =
                    |guest: &&Guest<'_>| !stopped.iter().any(|(other, _)| other.id == guest.container.id);
                let handed =
                    own.iter().filter(is_left).filter_map(|guest| self.hand_back(guest, live, given.clone()));
                let last = handed.last().or(given.last().copied());
                if let Some(end) = last {
                    turns.end(end);
                }
                continue;
            }
            let is_left =
                |guest: &&Guest<'_>| !stopped.iter().any(|(other, _)| other.id == guest.container.id);
            for guest in own.iter().filter(is_left).collect::<Vec<_>>() {
                let at = self.stop(guest, live, after.clone());
                stopped.extend(at.map(|at| (guest.container, at)));
            }
            let is_in_the_way = |guest: &LiveContainer| is_in_the_way(guest, kept, container);
            after.extend(stopped.iter().filter(|(guest, _)| is_in_the_way(guest)).map(|(_, at)| *at));
            if container.spec.networks.values().any(is_fixed) {
                after.extend(&self.freed);
            }
            after.extend(peers(kept, live).filter_map(|peer| started.get(peer).copied()));
            let after = self.reattach(kept, container, live, after);
            let (begun, up) = self.start((kept, container), batches, after);
            started.insert(&kept.container, begun);
            turns.end(up);
        }
        for kept in returning {
            if let Some(container) = live.containers.get(&kept.container) {
                if !kept.ran && !runs(container) {
                    self.reattach(kept, container, live, Vec::new());
                }
                self.settle(kept, container);
            }
        }
    }

    /// Takes every container that stays out of the networks where it has an address that it did not have before, or lacks
    /// one: two may have swapped theirs, so nobody joins before all have left.
    fn give_up_addresses(&mut self, returning: &[Kept], live: &Live) {
        for kept in returning {
            let Some(container) = live.containers.get(&kept.container) else { continue };
            for (name, wanted, found) in otherwise_attached(kept, container) {
                let is_fixed = wanted.is_some_and(is_fixed) || found.is_some_and(is_fixed);
                if let (true, Some(_), Some(network)) = (is_fixed, found, named(name, live)) {
                    let target = Target::Existing(container.id.clone());
                    let action = Action::Disconnect { container: target, name: name.clone(), network };
                    let at = self.add(Phase::Switch, 0, Vec::new(), action);
                    self.left.insert((container.id.clone(), name.clone()), at);
                }
            }
        }
    }

    /// Stops every guest that needs not wait: neither for names to be given back nor for its turn.
    fn stops<'a>(
        &mut self,
        guests: &BTreeMap<&'a Instance, Vec<Guest<'a>>>,
        back: &Return<'a>,
    ) -> Vec<(&'a LiveContainer, usize)> {
        let mut stopped = Vec::new();
        for (instance, guests) in guests {
            let host = back.returning.iter().find(|kept| kept.ran && kept.instance == **instance);
            let host = host.and_then(|kept| back.live.containers.get(&kept.container));
            let waits = host.is_some_and(|host| runs(host) || back.takes_turns(&instance.service));
            // Whoever has a port of the host may have it from another service, which has no turns to wait for.
            let has_port = |guest: &Guest<'_>| {
                guest.container.spec.ports.iter().any(|port| matches!(port.host, HostPort::One(_)))
            };
            let is_due = |guest: &&Guest<'_>| !waits || has_port(guest);
            for guest in guests.iter().filter(is_due) {
                let at = self.stop(guest, back.live, Vec::new());
                stopped.extend(at.map(|at| (guest.container, at)));
            }
        }
        stopped
    }

    /// Stops a container that is no longer found under the names that its predecessor has again.
    fn hand_back(&mut self, guest: &Guest<'_>, live: &Live, mut after: Vec<usize>) -> Option<usize> {
        let Guest { container, kept: _ } = guest;
        let named = container.spec.networks.iter().filter(|(_, attachment)| has_names(attachment, container));
        let named: Vec<(&NetworkName, &Attachment)> = named.collect();
        if runs(container) && !named.is_empty() {
            for (name, attachment) in named {
                after = self.attach(container, (name, Some(&nameless(attachment))), live, after);
            }
            after = vec![self.add(Phase::Switch, 0, after, Action::Delay(DRAIN))];
        }
        self.stop(guest, live, after)
    }

    /// Stops a guest, and lets one that was there before be attached as it was.
    fn stop(&mut self, guest: &Guest<'_>, live: &Live, mut after: Vec<usize>) -> Option<usize> {
        let Guest { container, kept } = guest;
        let mut last = None;
        if container.spec.restart != RestartPolicy::No {
            let fenced = self.add(Phase::Switch, 0, after, Action::Fence(container.id.clone()));
            (last, after) = (Some(fenced), vec![fenced]);
        }
        match container.state.status {
            Status::Running | Status::Paused | Status::Restarting => {
                let target = Target::Existing(container.id.clone());
                let grace = container.spec.stop_grace;
                last = Some(self.add(Phase::Switch, 0, after, Action::Stop { target, grace }));
            }
            Status::Created | Status::Exited { .. } | Status::Dead => {}
        }
        for (name, attachment) in kept.iter().filter_map(|kept| kept.networks.as_ref()).flatten() {
            let after = last.into_iter().collect();
            last = self.attach(container, (name, Some(attachment)), live, after).pop();
        }
        last
    }

    /// Starts a container of the checkpoint and waits for it. Returns both steps. It has its restart policy before, so that
    /// Docker sees to it from then on: a daemon that ends before the rest is done brings it back.
    fn start(
        &mut self,
        (kept, container): (&Kept, &LiveContainer),
        batches: Batches,
        mut after: Vec<usize>,
    ) -> (usize, usize) {
        let target = Target::Existing(kept.container.clone());
        if container.spec.restart != kept.restart {
            let (target, restart) = (target.clone(), Some(kept.restart));
            let action = Action::Update { target, restart, resources: Resources::default() };
            after.push(self.add(Phase::Switch, 0, after.clone(), action));
        }
        let started = self.add(Phase::Switch, 0, after, Action::Start(target.clone()));
        let mut gate = Gate { expect: Expect::Running, ports: Ports::AsBefore, ..Gate::default() };
        if !batches.monitor.is_zero() {
            gate = monitored(&gate, batches.monitor);
        }
        let instance = kept.instance.clone();
        (started, self.add(Phase::Switch, 0, vec![started], Action::Await { instance, target, gate }))
    }

    /// Gives a container of the checkpoint its limits, restart policy and name again.
    fn settle(&mut self, kept: &Kept, container: &LiveContainer) {
        let target = Target::Existing(kept.container.clone());
        // One that is stopped is fenced before.
        let is_stopped = !kept.ran && runs(container);
        let is_started = kept.ran && !runs(container);
        let lacks_it = container.spec.restart != kept.restart && !is_started;
        let restart = (lacks_it || is_stopped).then_some(kept.restart);
        let resources = diff::changed_limits(&kept.resources, &container.spec.resources);
        if restart.is_some() || resources != Resources::default() {
            let action = Action::Update { target: target.clone(), restart, resources };
            self.add(Phase::Finish, 0, Vec::new(), action);
        }
        if container.name != kept.name {
            self.add(Phase::Finish, 1, Vec::new(), Action::Rename { target, name: kept.name.clone() });
        }
    }

    /// Attaches a container as it was, where the deploy changed that. Returns the last step, or `after` where there is
    /// none.
    fn reattach(
        &mut self,
        kept: &Kept,
        container: &LiveContainer,
        live: &Live,
        mut after: Vec<usize>,
    ) -> Vec<usize> {
        for (name, wanted, _) in otherwise_attached(kept, container) {
            after = self.attach(container, (name, wanted), live, after);
        }
        after
    }

    /// Attaches a container to a network in this way, or not at all. Returns the last step, or `after` where there is
    /// none.
    fn attach(
        &mut self,
        container: &LiveContainer,
        (name, wanted): (&NetworkName, Option<&Attachment>),
        live: &Live,
        mut after: Vec<usize>,
    ) -> Vec<usize> {
        let remade = self.remade.contains(name).then_some(NetworkRef::New);
        let Some(network) = named(name, live).or(remade) else {
            let text = format!("the network {name} is gone, so {} can't join it again", container.name);
            self.notes.push(text);
            return after;
        };
        let target = || Target::Existing(container.id.clone());
        if let Some(left) = self.left.get(&(container.id.clone(), name.clone())) {
            after.push(*left);
        } else if container.spec.networks.contains_key(name) {
            let (container, name, network) = (target(), name.clone(), network.clone());
            let action = Action::Disconnect { container, name, network };
            after = vec![self.add(Phase::Switch, 0, after, action)];
        }
        if wanted.is_some_and(is_fixed) {
            after.extend(&self.freed);
        }
        if let Some(attachment) = wanted.cloned() {
            let action = Action::Connect { container: target(), name: name.clone(), network, attachment };
            after = vec![self.add(Phase::Switch, 0, after, action)];
        }
        after
    }
}

fn guests<'a>(
    returning: &'a [Kept],
    leaving: &[&'a LiveContainer],
    live: &'a Live,
) -> BTreeMap<&'a Instance, Vec<Guest<'a>>> {
    let revived = returning.iter().filter(|kept| !kept.ran).filter_map(|kept| {
        let container = live.containers.get(&kept.container).filter(|container| runs(container))?;
        Some((&kept.instance, Guest { container, kept: Some(kept) }))
    });
    let new = leaving.iter().map(|container| (&container.instance, Guest { container, kept: None }));
    let mut guests: BTreeMap<&Instance, Vec<Guest<'_>>> = BTreeMap::new();
    for (instance, guest) in new.chain(revived) {
        guests.entry(instance).or_default().push(guest);
    }
    guests
}

/// Whether others find the container by a name of this attachment. Engines add names that nobody asks for.
fn has_names(attachment: &Attachment, container: &LiveContainer) -> bool {
    let own = [container.spec.hostname.as_deref(), Some(container.id.short())];
    attachment.aliases.iter().any(|alias| !own.contains(&Some(alias.as_str())))
}

/// The networks to which a container is not attached as it was: how it was, and how it is.
fn otherwise_attached<'k>(
    kept: &'k Kept,
    container: &'k LiveContainer,
) -> impl Iterator<Item = (&'k NetworkName, Option<&'k Attachment>, Option<&'k Attachment>)> {
    kept.networks.iter().flat_map(|networks| {
        let found = &container.spec.networks;
        let names: BTreeSet<&NetworkName> = networks.keys().chain(found.keys()).collect();
        let sides = names.into_iter().map(|name| (name, networks.get(name), found.get(name)));
        sides.filter(|(_, wanted, found)| {
            wanted.zip(*found).is_none_or(|(wanted, found)| !attached::is_attached(wanted, found))
        })
    })
}

fn named(name: &NetworkName, live: &Live) -> Option<NetworkRef> {
    let found = live.networks.values().find(|network| network.spec.name == *name);
    found.map(|network| NetworkRef::Existing(network.id.clone()))
}

/// Whether `other` must have stopped before the container of the checkpoint starts: it took its place, or what only one
/// of them can have.
fn is_in_the_way(other: &LiveContainer, kept: &Kept, container: &LiveContainer) -> bool {
    other.instance == kept.instance
        || ports::share_port(&other.spec, &container.spec)
        || ports::shares_volume(other, &container.spec)
}
