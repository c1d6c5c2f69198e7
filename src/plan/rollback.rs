//! The way back: from whatever a broken-off deploy left to what was there before it began.
//!
//! It needs neither Git nor a registry, only the checkpoint from the ledger and a look at the host, so that it serves
//! a failed gate and a crash alike.
//!
//! Where a service is not to be rolled back and its new container has run, what the deploy reached stays, and only what
//! it left half done returns.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use super::assemble;
use super::grants;
use super::step::{Action, Phase, Step, Target, Turn};
use super::{Checkpoint, DesiredDigest, Kept, OpenDeploy, Plan};
use crate::model::desired::Revision;
use crate::model::live::{Live, LiveContainer, LiveNetwork, Status};
use crate::model::name::{ContainerId, Instance, NetworkName};
use crate::model::spec::Peer;

mod give_back;
mod networks;

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
        container.deploy == open.id
            && !is_kept(container, open)
            && container.state.status != Status::Created
            && standing_by(&container.instance, &open.checkpoint, live).is_none()
    };
    let created = live.containers.values().filter(has_run);
    let mut reached: BTreeMap<Instance, ContainerId> =
        created.map(|container| (container.instance.clone(), container.id.clone())).collect();
    if !open.checkpoint.hold.iter().any(|instance| reached.contains_key(instance)) {
        return None;
    }
    for kept in open.checkpoint.containers.iter().filter(|kept| !kept.ran) {
        // One that was revived.
        let replaces = standing_by(&kept.instance, &open.checkpoint, live).is_none();
        if replaces && live.containers.get(&kept.container).is_some_and(runs) {
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

/// The container that served as `instance` and still runs beside the one that was to take over: it only needs its names.
fn standing_by<'c>(instance: &Instance, checkpoint: &'c Checkpoint, live: &Live) -> Option<&'c Kept> {
    checkpoint.containers.iter().find(|kept| {
        let still = live.containers.get(&kept.container).is_some_and(runs);
        kept.instance == *instance && kept.ran && kept.networks.is_some() && still
    })
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
    let mut way = Back::default();
    // Where something stays that the deploy has reached, so do the networks that it is attached to.
    let as_left = if reached.is_empty() { way.remake_networks(open, live) } else { Cow::Borrowed(live) };
    let live = &*as_left;
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
    way.containers(&returning, &leaving, (&open.checkpoint, live));
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

#[derive(Default)]
struct Back {
    steps: Vec<Step>,
    notes: Vec<String>,
    /// The steps by which containers leave networks where they have a fixed address, or are to have one.
    left: BTreeMap<(ContainerId, NetworkName), usize>,
    /// The steps after which all fixed addresses are free.
    freed: Vec<usize>,
    /// Networks that the way back makes anew, as they were.
    remade: BTreeSet<NetworkName>,
}

fn is_kept(container: &LiveContainer, open: &OpenDeploy) -> bool {
    open.checkpoint.containers.iter().any(|kept| kept.container == container.id)
}

impl Back {
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
