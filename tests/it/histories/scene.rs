//! The host and the ledger at one moment, to be compared with another one.

use std::collections::{BTreeMap, BTreeSet};

use evenkeel::apply::ledger::memory::Stable;
use evenkeel::engine::Engine;
use evenkeel::model::live::{LiveContainer, Status};
use evenkeel::model::name::{ContainerId, DeployId, Instance, NetworkName, VolumeName};
use evenkeel::plan::LastApplied;

use super::canaries::Canaried;
use crate::apply::bench::{Bench, stack};

/// A host and its ledger.
#[derive(Clone, Debug)]
pub struct Scene {
    pub containers: BTreeMap<ContainerId, LiveContainer>,
    pub networks: BTreeSet<NetworkName>,
    pub volumes: BTreeSet<VolumeName>,
    /// Every container of the host that isn't the stack's.
    pub others: BTreeSet<ContainerId>,
    pub last: LastApplied,
    pub stable: Option<Stable>,
    /// The last deploy on record.
    pub latest: Option<DeployId>,
}

impl Scene {
    /// What is there now. Asks the engine, so nothing may be wrong with that.
    pub async fn of(bench: &Bench<Canaried>) -> Self {
        let sim = &bench.host.sim;
        let containers: BTreeMap<_, _> = sim
            .containers_of(&stack())
            .into_iter()
            .map(|container| (container.id.clone(), container))
            .collect();
        let listed = sim.list_containers().await.unwrap();
        let others = listed.into_iter().map(|listed| listed.id).filter(|id| !containers.contains_key(id));
        Self {
            others: others.collect(),
            containers,
            networks: sim.list_networks().await.unwrap().into_iter().map(|live| live.spec.name).collect(),
            volumes: sim.list_volumes().await.unwrap().into_iter().map(|live| live.spec.name).collect(),
            last: bench.ledger.last_applied(&stack()).unwrap(),
            stable: bench.ledger.last_stable(&stack()).unwrap(),
            latest: bench.ledger.history(&stack(), 1).unwrap().pop().map(|record| record.id),
        }
    }

    /// The containers that serve by the ledger, and run.
    pub fn serving(&self) -> BTreeSet<ContainerId> {
        let known = self.last.current.values().map(|(id, _)| id);
        known.filter(|id| self.containers.get(*id).is_some_and(is_up)).cloned().collect()
    }

    /// The containers that run, by what they run as.
    pub fn running(&self) -> BTreeMap<&Instance, Vec<&LiveContainer>> {
        let mut running: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for container in self.containers.values().filter(|container| is_up(container)) {
            running.entry(&container.instance).or_default().push(container);
        }
        running
    }

    /// In what `self` differs from what was `before`: containers, whether they run, what they are made of, networks.
    pub fn difference(&self, before: &Self) -> Option<String> {
        for (id, was) in &before.containers {
            let Some(now) = self.containers.get(id) else { return Some(format!("{} is gone", was.name)) };
            // A repair that only started what serves by the ledger stays done: no checkpoint has such a container.
            let is_repaired = is_up(now) && before.last.current.values().any(|(known, _)| known == id);
            if is_up(was) != is_up(now) && !is_repaired {
                return Some(format!("{} was {:?}, now {:?}", was.name, was.state.status, now.state.status));
            }
            if was.name != now.name {
                return Some(format!("{} is called {}", was.name, now.name));
            }
            if was.spec != now.spec {
                return Some(format!("{} was made of {:?}, now of {:?}", was.name, was.spec, now.spec));
            }
        }
        let new = self.containers.values().find(|container| !before.containers.contains_key(&container.id));
        if let Some(new) = new {
            return Some(format!("{} is left", new.name));
        }
        (self.networks != before.networks)
            .then(|| format!("the networks were {:?}, now {:?}", before.networks, self.networks))
    }

    /// What the containers that run are made of, whatever they are called by their ids.
    pub fn essence(&self) -> BTreeMap<Instance, String> {
        let essence = |container: &LiveContainer| {
            let mut spec = container.spec.clone();
            // An image that was pulled is pinned, one that was there is not.
            spec.image = spec.image.name();
            spec.hostname = None;
            // Which network was joined first shows what a container was before.
            spec.networks.values_mut().for_each(|attachment| attachment.first = false);
            format!("{} {:?} {:?} {spec:?}", container.name, container.image, container.bound)
        };
        let running = self.containers.values().filter(|container| is_up(container));
        running.map(|container| (container.instance.clone(), essence(container))).collect()
    }
}

/// Whether it runs, or is about to again.
pub fn is_up(container: &LiveContainer) -> bool {
    matches!(container.state.status, Status::Running | Status::Restarting)
}
