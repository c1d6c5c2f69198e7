//! The way back: from whatever a broken-off deploy left to what was there before it began.
//!
//! It needs neither Git nor a registry, only the checkpoint from the ledger and a look at the host, so that it serves
//! a failed gate and a crash alike.
//!
//! Where a service is not to be rolled back and its new container has run, what the deploy reached stays, and only what
//! it left half done returns.

use std::collections::{BTreeMap, BTreeSet};

use super::addresses;
use super::assemble;
use super::attached;
use super::diff;
use super::grants;
use super::ports;
use super::step::{Action, NetworkRef, Phase, Step, Target, Turn};
use super::{Checkpoint, DesiredDigest, Kept, OpenDeploy, Plan};
use crate::model::desired::{Expect, Gate, Ports, Revision};
use crate::model::live::{Live, LiveContainer, LiveNetwork, Status};
use crate::model::name::{ContainerId, Instance, NetworkId, NetworkName};
use crate::model::spec::{Attachment, Peer, Resources, RestartPolicy};

/// The way of a deploy that has failed or was cut off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Way {
    /// What to do.
    pub plan: Plan,
    /// What stays as it is; absent where everything returns.
    pub held: Option<Held>,
}

/// What a deploy that holds has reached.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Held {
    /// The containers that serve from now on.
    pub reached: BTreeMap<Instance, ContainerId>,
    /// The containers that they have replaced.
    pub retired: BTreeSet<ContainerId>,
}

/// Plans what becomes of `open`, which has not committed. `files` is the folder below which files are laid down.
///
/// # Guarantees
/// Those of [`rollback`], for everything that returns. Where something is held:
/// - No container that has run is stopped, and none that it has replaced is started again.
/// - Whose new container has not run yet runs as before.
pub fn way(open: &OpenDeploy, live: &Live, files: &str) -> Way {
    let held = held(open, live);
    let nothing = BTreeMap::new();
    let plan = back(open, live, files, held.as_ref().map_or(&nothing, |held| &held.reached));
    Way { plan, held }
}

/// What stays, if the deploy is not rolled back. Whether a container has run is Docker's word: nothing that happened to
/// us, not even a loss of power, lets it be forgotten.
fn held(open: &OpenDeploy, live: &Live) -> Option<Held> {
    let has_run = |container: &&LiveContainer| {
        container.deploy == open.id && !is_kept(container, open) && container.state.status != Status::Created
    };
    let created = live.containers.values().filter(has_run);
    let mut reached: BTreeMap<Instance, ContainerId> =
        created.map(|container| (container.instance.clone(), container.id.clone())).collect();
    if !open.checkpoint.hold.iter().any(|instance| reached.contains_key(instance)) {
        return None;
    }
    for kept in open.checkpoint.containers.iter().filter(|kept| !kept.ran) {
        // One that was revived.
        if live.containers.get(&kept.container).is_some_and(runs) {
            reached.entry(kept.instance.clone()).or_insert_with(|| kept.container.clone());
        }
    }
    let replaced = open
        .checkpoint
        .containers
        .iter()
        .filter(|kept| reached.get(&kept.instance).is_some_and(|container| *container != kept.container));
    let retired = replaced.map(|kept| kept.container.clone()).collect();
    Some(Held { reached, retired })
}

fn runs(container: &LiveContainer) -> bool {
    matches!(container.state.status, Status::Running | Status::Paused | Status::Restarting)
}

/// Plans the return to the checkpoint of `open`. `files` is the folder below which files are laid down.
///
/// # Guarantees
/// - What the deploy created is stopped only where what ran before can be started again, or nothing ran before.
/// - A container that ran before runs again, under its name, with its restart policy, limits and networks.
/// - Run again after a crash in its middle, it ends at the same state.
/// - No volume is touched.
pub fn rollback(open: &OpenDeploy, live: &Live, files: &str) -> Plan {
    back(open, live, files, &BTreeMap::new())
}

/// The return of everything but what was `reached`.
fn back(open: &OpenDeploy, live: &Live, files: &str, reached: &BTreeMap<Instance, ContainerId>) -> Plan {
    let mut way = Steps { steps: Vec::new(), notes: Vec::new() };
    let returning: Vec<Kept> = open
        .checkpoint
        .containers
        .iter()
        .filter(|kept| !reached.contains_key(&kept.instance))
        .cloned()
        .collect();
    let lost = way.lost(&returning, live);
    let created: Vec<&LiveContainer> = live
        .containers
        .values()
        .filter(|container| container.deploy == open.id && !is_kept(container, open))
        .filter(|container| !reached.values().any(|stays| *stays == container.id))
        .collect();
    let (stranded, leaving): (Vec<_>, Vec<_>) =
        created.into_iter().partition(|container| lost.contains(&container.instance));
    for container in stranded {
        way.notes.push(format!("{} stays: what ran before it is gone from the host", container.name));
        way.run(container);
    }
    way.bring_back(&returning, &leaving, live);
    for container in &leaving {
        way.add(Phase::Cleanup, 0, Vec::new(), Action::Remove(container.id.clone()));
    }
    let is_staying = |container: &&LiveContainer| !leaving.iter().any(|other| other.id == container.id);
    let staying: Vec<&LiveContainer> = live.containers.values().filter(is_staying).collect();
    let discarded =
        &grants::mounted(leaving.iter().copied(), files) - &grants::mounted(staying.iter().copied(), files);
    if !discarded.is_empty() {
        way.add(Phase::Cleanup, 1, Vec::new(), Action::Discard(discarded));
    }
    let in_use = staying.iter().filter(|container| reached.contains_key(&container.instance));
    way.remove_networks(open, live, &in_use.flat_map(|container| container.spec.networks.keys()).collect());
    let steps = assemble::sorted(way.steps);
    let desired = DesiredDigest(String::new());
    Plan {
        id: assemble::plan_id(&desired, (&steps, &[]), &assemble::Veil::none()),
        stack: open.stack.clone(),
        revision: Revision::Files,
        desired,
        tiers: Vec::new(),
        changes: Vec::new(),
        reported: Vec::new(),
        ignored: 0,
        unchanged: Vec::new(),
        notes: way.notes,
        consent: None,
        steps,
        checkpoint: Checkpoint::default(),
        outcome: BTreeMap::new(),
        watch: BTreeMap::new(),
    }
}

/// The steps by which containers leave networks.
type Left<'k> = BTreeMap<(&'k ContainerId, &'k NetworkName), usize>;

struct Steps {
    steps: Vec<Step>,
    notes: Vec<String>,
}

fn is_kept(container: &LiveContainer, open: &OpenDeploy) -> bool {
    open.checkpoint.containers.iter().any(|kept| kept.container == container.id)
}

impl Steps {
    /// Removes the networks that the deploy made, but for those `in_use`.
    fn remove_networks(&mut self, open: &OpenDeploy, live: &Live, in_use: &BTreeSet<&NetworkName>) {
        for name in open.checkpoint.networks.iter().filter(|name| !in_use.contains(name)) {
            let stack = Some(&open.stack);
            let is_own =
                |network: &&LiveNetwork| network.spec.name == *name && network.stack.as_ref() == stack;
            if let Some(network) = live.networks.values().find(is_own) {
                self.add(Phase::Cleanup, 1, Vec::new(), Action::RemoveNetwork(network.id.clone()));
            }
        }
    }

    fn add(&mut self, phase: Phase, wave: u16, after: Vec<usize>, action: Action) -> usize {
        self.steps.push(Step { turn: Turn { phase, wave }, after, action });
        self.steps.len() - 1
    }

    /// The instances whose former container is gone, so that the new one is all that is left.
    fn lost(&mut self, returning: &[Kept], live: &Live) -> BTreeSet<Instance> {
        let gone: Vec<&Kept> = returning
            .iter()
            .filter(|kept| kept.ran && !live.containers.contains_key(&kept.container))
            .collect();
        for kept in &gone {
            self.notes.push(format!("{} is gone from the host and can't be started again", kept.name));
        }
        gone.into_iter().map(|kept| kept.instance.clone()).collect()
    }

    /// Starts what the deploy created, where nothing else is left.
    fn run(&mut self, container: &LiveContainer) {
        if matches!(container.state.status, Status::Created | Status::Exited { .. }) {
            let target = Target::Existing(container.id.clone());
            self.add(Phase::Switch, 0, Vec::new(), Action::Start(target));
        }
    }

    /// Stops what the deploy started, and brings every container of the checkpoint back.
    fn bring_back(&mut self, returning: &[Kept], leaving: &[&LiveContainer], live: &Live) {
        let mut stopped: BTreeMap<&ContainerId, usize> = BTreeMap::new();
        for container in leaving.iter().copied().chain(revived(returning, live)) {
            if let Some(at) = self.stop(container, 0) {
                stopped.insert(&container.id, at);
            }
        }
        let left: Left<'_> = returning.iter().flat_map(|kept| self.leave(kept, live)).collect();
        let freed: Vec<usize> = stopped.values().chain(left.values()).copied().collect();
        let mut started: BTreeMap<&ContainerId, usize> = BTreeMap::new();
        for kept in peers_first(returning, live) {
            let Some(container) = live.containers.get(&kept.container) else { continue };
            let has_fixed = container.spec.networks.values().any(addresses::is_fixed);
            let in_the_way = |(id, at): (&&ContainerId, &usize)| {
                live.containers.get(*id).filter(|other| is_in_the_way(other, kept, container)).map(|_| *at)
            };
            let mut after: Vec<usize> =
                if has_fixed { freed.clone() } else { stopped.iter().filter_map(in_the_way).collect() };
            after.extend(peers(kept, live).filter_map(|peer| started.get(peer).copied()));
            if let Some(at) = self.restore(kept, live, after) {
                started.insert(&kept.container, at);
            }
            self.join(kept, live, (&left, &freed));
        }
    }

    /// Stops a container that was not there, or did not run, before the deploy.
    fn stop(&mut self, container: &LiveContainer, wave: u16) -> Option<usize> {
        let mut after = Vec::new();
        if container.spec.restart != RestartPolicy::No {
            after.push(self.add(Phase::Switch, wave, Vec::new(), Action::Fence(container.id.clone())));
        }
        match container.state.status {
            Status::Running | Status::Paused | Status::Restarting => {
                let target = Target::Existing(container.id.clone());
                let grace = container.spec.stop_grace;
                Some(self.add(Phase::Switch, wave, after, Action::Stop { target, grace }))
            }
            Status::Created | Status::Exited { .. } | Status::Dead => after.pop(),
        }
    }

    /// Brings a container of the checkpoint back to what it was.
    ///
    /// Every old container may start as soon as its own successor has stopped, and whoever else has what was its own: a
    /// port, an address, a volume. They ran together before, so none needs to wait for another, unless it lives in that
    /// one's namespaces, and the shortest outage is the best one.
    fn restore(&mut self, kept: &Kept, live: &Live, after: Vec<usize>) -> Option<usize> {
        let container = live.containers.get(&kept.container)?;
        let mut begun = None;
        let target = Target::Existing(kept.container.clone());
        let runs = runs(container);
        if kept.ran && !runs {
            let started = self.add(Phase::Switch, 0, after, Action::Start(target.clone()));
            begun = Some(started);
            let gate = Gate { expect: Expect::Running, ports: Ports::AsBefore, ..Gate::default() };
            let instance = kept.instance.clone();
            self.add(
                Phase::Switch,
                0,
                vec![started],
                Action::Await { instance, target: target.clone(), gate },
            );
        }
        let restart = (container.spec.restart != kept.restart || !kept.ran && runs).then_some(kept.restart);
        let resources = diff::changed_limits(&kept.resources, &container.spec.resources);
        if restart.is_some() || resources != Resources::default() {
            self.add(
                Phase::Finish,
                0,
                Vec::new(),
                Action::Update { target: target.clone(), restart, resources },
            );
        }
        if container.name != kept.name {
            self.add(Phase::Finish, 1, Vec::new(), Action::Rename { target, name: kept.name.clone() });
        }
        begun
    }

    /// Takes a container out of the networks to which the deploy attached it otherwise.
    fn leave<'k>(&mut self, kept: &'k Kept, live: &'k Live) -> Left<'k> {
        let mut left = Left::new();
        for (name, _, found) in otherwise_attached(kept, live) {
            if let (Some(_), Some(network)) = (found, named(name, live)) {
                let action = Action::Disconnect { container: kept.container.clone(), network };
                left.insert((&kept.container, name), self.add(Phase::Switch, 0, Vec::new(), action));
            }
        }
        left
    }

    /// Attaches a container as it was, where the deploy changed that. One with a fixed address waits until all that may
    /// hold it have given theirs up, for two may have swapped them.
    fn join(&mut self, kept: &Kept, live: &Live, (left, freed): (&Left<'_>, &[usize])) {
        for (name, wanted, _) in otherwise_attached(kept, live) {
            let Some(network) = named(name, live) else {
                self.notes.push(format!("the network {name} is gone, so {} can't join it again", kept.name));
                continue;
            };
            if let Some(attachment) = wanted {
                let own = left.get(&(&kept.container, name)).copied();
                let after =
                    if addresses::is_fixed(attachment) { freed.to_vec() } else { own.into_iter().collect() };
                let network = NetworkRef::Existing(network);
                let (container, name, attachment) =
                    (kept.container.clone(), name.clone(), attachment.clone());
                self.add(Phase::Switch, 0, after, Action::Connect { container, name, network, attachment });
            }
        }
    }
}

/// The networks to which a container is not attached as it was: how it was, and how it is.
fn otherwise_attached<'k>(
    kept: &'k Kept,
    live: &'k Live,
) -> impl Iterator<Item = (&'k NetworkName, Option<&'k Attachment>, Option<&'k Attachment>)> {
    let sides = kept.networks.as_ref().zip(live.containers.get(&kept.container));
    sides.into_iter().flat_map(|(networks, container)| {
        let found = &container.spec.networks;
        let names: BTreeSet<&NetworkName> = networks.keys().chain(found.keys()).collect();
        let sides = names.into_iter().map(|name| (name, networks.get(name), found.get(name)));
        sides.filter(|(_, wanted, found)| {
            wanted.zip(*found).is_none_or(|(wanted, found)| !attached::is_attached(wanted, found))
        })
    })
}

fn named(name: &NetworkName, live: &Live) -> Option<NetworkId> {
    live.networks.values().find(|network| network.spec.name == *name).map(|network| network.id.clone())
}

/// The containers that were revived: they did not run before.
fn revived<'l>(returning: &[Kept], live: &'l Live) -> impl Iterator<Item = &'l LiveContainer> {
    let parked = returning.iter().filter(|kept| !kept.ran);
    parked.filter_map(|kept| live.containers.get(&kept.container)).filter(|container| runs(container))
}

/// Whether `other` must have stopped before the container of the checkpoint starts: it took its place, or what only one
/// of them can have.
fn is_in_the_way(other: &LiveContainer, kept: &Kept, container: &LiveContainer) -> bool {
    other.instance == kept.instance
        || ports::share_port(&other.spec, &container.spec)
        || ports::shares_volume(other, &container.spec)
}

/// The containers whose namespaces `kept` uses.
fn peers<'l>(kept: &Kept, live: &'l Live) -> impl Iterator<Item = &'l ContainerId> {
    let container = live.containers.get(&kept.container);
    container.into_iter().flat_map(|container| container.spec.namespaces.peers()).filter_map(
        |peer| match peer {
            Peer::Id(id) => Some(id),
            Peer::Service(_) | Peer::Container(_) => None,
        },
    )
}

/// The same, each after those whose namespaces it uses.
fn peers_first<'k>(all: &'k [Kept], live: &Live) -> Vec<&'k Kept> {
    let mut sorted: Vec<&Kept> = Vec::with_capacity(all.len());
    let mut waiting: Vec<&Kept> = all.iter().collect();
    while !waiting.is_empty() {
        let open: BTreeSet<&ContainerId> = waiting.iter().map(|kept| &kept.container).collect();
        let (ready, later): (Vec<&Kept>, Vec<&Kept>) =
            waiting.iter().partition(|kept| !peers(kept, live).any(|peer| open.contains(peer)));
        if ready.is_empty() {
            // No engine makes a circle of these.
            sorted.extend(later);
            break;
        }
        sorted.extend(ready);
        waiting = later;
    }
    sorted
}
