//! What holds on the host and in the ledger, whatever went wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use evenkeel::apply::ledger::history::Unfinished;
use evenkeel::apply::machine::Machine;
use evenkeel::engine::Engine;
use evenkeel::engine::observe::observe;
use evenkeel::engine::sim::Sim;
use evenkeel::model::desired::Desired;
use evenkeel::model::live::{LiveContainer, Status};
use evenkeel::model::name::{
    ContainerId, ContainerName, Instance, NetworkId, NetworkName, StackName, VolumeName,
};
use evenkeel::model::spec::{MountSource, NetworkSpec};
use evenkeel::plan::LastApplied;

use super::site::Site;

/// A law that was broken.
pub type Broken = String;

/// A host and its ledger at one moment.
#[derive(Clone, Debug)]
pub struct Scene {
    pub containers: BTreeMap<ContainerId, LiveContainer>,
    pub networks: BTreeMap<NetworkName, NetworkSpec>,
    network_ids: BTreeSet<NetworkId>,
    pub volumes: BTreeSet<VolumeName>,
    /// The containers of others.
    pub others: BTreeMap<ContainerId, ContainerName>,
    pub last: LastApplied,
    pub open: Option<Unfinished>,
}

fn hold(law: bool, words: impl FnOnce() -> String) -> Result<(), Broken> {
    if law { Ok(()) } else { Err(words()) }
}

/// Whether it runs, or is about to again.
fn is_up(container: &LiveContainer) -> bool {
    matches!(container.state.status, Status::Running | Status::Restarting)
}

impl Scene {
    /// What is there now. Nothing may be wrong with the engine.
    pub async fn of(site: &Site, stack: &StackName) -> Self {
        Self::seen(&site.sim, &site.machine(), stack).await
    }

    async fn seen(sim: &Sim, machine: &Machine<Sim>, stack: &StackName) -> Self {
        let ledger = machine.ledger();
        let adopted = ledger.adopted(stack).unwrap();
        let live = observe(sim, stack, &adopted, &BTreeSet::new()).await.unwrap();
        let volumes = sim.list_volumes().await.unwrap();
        Self {
            network_ids: live.networks.keys().cloned().collect(),
            containers: live.containers,
            networks: live.networks.into_values().map(|live| (live.spec.name.clone(), live.spec)).collect(),
            volumes: volumes.into_iter().map(|live| live.spec.name).collect(),
            others: live.others.into_iter().map(|(id, other)| (id, other.name)).collect(),
            last: ledger.last_applied(stack).unwrap(),
            open: ledger.open_deploy(stack).unwrap(),
        }
    }

    /// The containers that run, by what they run as.
    fn running(&self) -> BTreeMap<&Instance, Vec<&LiveContainer>> {
        let mut running: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for container in self.containers.values().filter(|container| is_up(container)) {
            running.entry(&container.instance).or_default().push(container);
        }
        running
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

/// Each of these services that ran runs, in whatever container.
pub fn serves(before: &Scene, now: &Scene, wanted: &Desired) -> Result<(), Broken> {
    let running = now.running();
    let down = before
        .running()
        .into_keys()
        .find(|instance| wanted.services.contains_key(&instance.service) && !running.contains_key(*instance));
    down.map_or(Ok(()), |down| Err(format!("{down} ran and doesn't, though it could")))
}

/// At every moment: no volume is gone, and what is others' is there.
pub fn always(before: &Scene, now: &Scene) -> Result<(), Broken> {
    hold(now.volumes.is_superset(&before.volumes), || format!("the volumes are {:?}", now.volumes))?;
    // What was another's may have been taken over.
    let stays = |(id, name): (&ContainerId, &ContainerName)| {
        now.others.get(id).or(now.containers.get(id).map(|own| &own.name)) == Some(name)
    };
    hold(before.others.iter().all(stays), || format!("others' containers are {:?}", now.others))
}

/// No instance runs twice, also by no doing of the daemon.
pub fn nobody_runs_twice(now: &Scene) -> Result<(), Broken> {
    let twice = now.running().into_iter().find(|(_, all)| all.len() > 1);
    twice.map_or(Ok(()), |(instance, _)| Err(format!("{instance} runs twice")))
}

/// Whatever ran, by the ledger, is still there.
pub fn nothing_is_gone(before: &Scene, now: &Scene) -> Result<(), Broken> {
    let ran = before.containers.values().filter(|container| is_up(container));
    let gone = ran.into_iter().find(|container| !now.containers.contains_key(&container.id));
    gone.map_or(Ok(()), |gone| Err(format!("{} ran and is gone", gone.name)))
}

/// The same containers serve as before, as they were; or, where the ledger says so, those of the new state.
pub fn whole(before: &Scene, now: &Scene) -> Result<(), Broken> {
    nothing_is_gone(before, now)?;
    if now.last.current == before.last.current {
        return as_before(before, now);
    }
    for (instance, (id, _)) in &now.last.current {
        let found = now.containers.get(id);
        let was_down = before.containers.get(id).is_some_and(|was| !is_up(was));
        let is_task = instance.service.as_str() == super::stacks::TASK;
        hold(found.is_some_and(is_up) || was_down || is_task, || {
            format!("{instance} is on record as new, and is {:?}", found.map(|one| &one.state))
        })?;
    }
    Ok(())
}

fn as_before(before: &Scene, now: &Scene) -> Result<(), Broken> {
    for (id, was) in &before.containers {
        let Some(now) = now.containers.get(id) else { return Err(format!("{} is gone", was.name)) };
        // What serves by the ledger and was down may have been started.
        let is_repaired = is_up(now) && before.last.current.values().any(|(known, _)| known == id);
        hold(is_up(was) == is_up(now) || is_repaired, || {
            format!("{} was {:?}, now {:?}", was.name, was.state.status, now.state.status)
        })?;
        hold(was.name == now.name, || format!("{} is called {}", was.name, now.name))?;
        hold(was.spec == now.spec, || {
            format!("{} was made of {:?}, now of {:?}", was.name, was.spec, now.spec)
        })?;
    }
    let new = now.containers.values().find(|container| !before.containers.contains_key(&container.id));
    hold(new.is_none(), || format!("{} is left", new.map(|new| new.name.to_string()).unwrap_or_default()))?;
    hold(now.networks == before.networks, || {
        format!("the networks were {:?}, now {:?}", before.networks, now.networks)
    })
}

/// What containers mount of the state folder is there.
pub fn files_are_there(now: &Scene, folder: &Path) -> Result<(), Broken> {
    for container in now.containers.values() {
        for mount in container.spec.mounts.values() {
            if let MountSource::Bind(path) = &mount.source
                && Path::new(path).starts_with(folder)
                && !Path::new(path).exists()
            {
                return Err(format!("{} mounts {path}, which is gone", container.name));
            }
        }
    }
    Ok(())
}

/// Nobody is attached to a network that is gone.
pub fn networks_are_there(now: &Scene) -> Result<(), Broken> {
    for container in now.containers.values().filter(|container| is_up(container)) {
        let gone = container.endpoints.iter().find(|(_, id)| !now.network_ids.contains(id));
        if let Some((name, _)) = gone {
            return Err(format!("{} is attached to a {name} that is gone", container.name));
        }
    }
    Ok(())
}

/// A restart of the daemon brings back just what runs.
pub fn a_restart_brings_back_what_runs(before: &Scene, after: &Scene) -> Result<(), Broken> {
    let up = |scene: &Scene| -> BTreeMap<ContainerId, ContainerName> {
        let up = scene.containers.values().filter(|one| is_up(one));
        up.map(|one| (one.id.clone(), one.name.clone())).collect()
    };
    hold(up(before) == up(after), || {
        format!("a restart of the daemon brought back {:?} of {:?}", up(after), up(before))
    })
}
