//! The life of simulated containers: created, started, ending by themselves, restarted, stopped, removed.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::Instant;

use super::container::{Phase, SimContainer};
use super::image::certain;
use super::world::{Refusal, World};
use crate::engine::{CreateContainer, UpdateContainer};
use crate::model::label;
use crate::model::live::{ContainerState, Health, LiveContainer, Status};
use crate::model::name::{ContainerId, ContainerName, NetworkId};
use crate::model::spec::{Attachment, MountSource, Peer, Resources, VolumeSpec};

/// Docker's first pause before it restarts a container; it doubles with each restart.
const RESTART_PAUSE: Duration = Duration::from_millis(100);
/// Docker's longest pause.
const RESTART_PAUSE_MAX: Duration = Duration::from_secs(60);
/// Status of a process that was killed.
pub(super) const KILLED: i64 = 137;

impl World {
    pub(super) fn create(&mut self, request: &CreateContainer) -> Result<ContainerId, Refusal> {
        self.check_disk()?;
        self.check_name_is_free(&request.name)?;
        let image = self.image(&request.spec.image.to_string()).cloned();
        let image =
            image.ok_or_else(|| Refusal::NotFound(format!("No such image: {}", request.spec.image)))?;
        if let Some(wanted) = request.spec.platform.as_ref().filter(|wanted| !image.is_for(Some(wanted))) {
            let message = format!(
                "image with reference {} was found but does not match the specified platform: wanted {wanted}",
                request.spec.image
            );
            return Err(Refusal::NotFound(message));
        }
        if let Some(missing) = request.spec.images().find(|image| self.image(&image.to_string()).is_none()) {
            return Err(Refusal::NotFound(format!("No such image: {missing}")));
        }
        for name in request.spec.networks.keys() {
            let known = request.networks.get(name).is_some_and(|id| self.networks.contains_key(id));
            if !known {
                return Err(Refusal::NotFound(format!("network {name} not found")));
            }
        }
        let laid_down = |mount: &crate::model::spec::Mount| {
            !matches!(mount.source, MountSource::Repository(_) | MountSource::Grant(_))
        };
        if !request.spec.mounts.values().all(laid_down) {
            return Err(Refusal::Rejected("a file of the repository was not laid down".to_owned()));
        }
        for peer in request.spec.namespaces.peers() {
            if !matches!(peer, Peer::Id(id) if self.containers.contains_key(id)) {
                return Err(Refusal::NotFound(format!("No such container: {peer}")));
            }
        }
        let id: ContainerId = certain(&self.new_id());
        let container = SimContainer::new(id.clone(), request, &image);
        // Docker makes the volumes that aren't there.
        for name in container.volumes() {
            if !self.volumes.contains_key(&name) {
                self.create_volume(&VolumeSpec {
                    name,
                    external: false,
                    driver: None,
                    options: std::collections::BTreeMap::new(),
                    labels: std::collections::BTreeMap::new(),
                })?;
            }
        }
        self.insert(container);
        self.tell("container", "create", request.name.as_str());
        Ok(id)
    }

    /// Starts a container. Returns whether it didn't run before.
    pub(super) fn start(&mut self, id: &ContainerId, now: Instant) -> Result<bool, Refusal> {
        let container = self.container(id)?;
        container.check_alive()?;
        if container.is_running() {
            return Ok(false);
        }
        let container = self.container_mut(id)?;
        container.restarts = 0;
        container.is_stopped_by_hand = false;
        container.generation += 1;
        self.run(id, now)?;
        Ok(true)
    }

    fn run(&mut self, id: &ContainerId, now: Instant) -> Result<(), Refusal> {
        let container = self.container(id)?;
        if let Some(error) = &container.behaviour.start_error {
            return Err(Refusal::Rejected(error.clone()));
        }
        let peers = container.spec.namespaces.peers().filter_map(|peer| match peer {
            Peer::Id(id) => Some(id),
            Peer::Service(_) | Peer::Container(_) => None,
        });
        for peer in peers {
            if !self.containers.get(peer).is_some_and(SimContainer::is_running) {
                let message = format!("cannot join the namespace of a non running container: {peer}");
                return Err(Refusal::Rejected(message));
            }
        }
        let gone = container.networks.values().find(|network| !self.networks.contains_key(*network));
        if let Some(network) = gone {
            return Err(Refusal::Rejected(format!("network {network} not found")));
        }
        let ports = if container.behaviour.unbound { BTreeSet::new() } else { self.ports_for(container)? };
        let started_at = self.timestamp(now);
        let container = self.container_mut(id)?;
        container.ports = ports;
        container.phase = Phase::Running { since: now };
        container.started_at = started_at;
        container.probed_since = None;
        container.told_health = None;
        container.logs_before = container.logs.len();
        container.written_later = 0;
        container.logs.extend(container.behaviour.writes.clone());
        let name = container.name.to_string();
        self.schedule(id, now);
        self.tell("container", "start", &name);
        Ok(())
    }

    /// What a stop takes, and the exit status that it ends with.
    pub(super) fn stopping(
        &self,
        id: &ContainerId,
        grace: Option<Duration>,
    ) -> Result<(Duration, i64), Refusal> {
        let container = self.container(id)?;
        if !container.is_running() {
            return Ok((Duration::ZERO, 0));
        }
        let grace = grace.or(container.spec.stop_grace).unwrap_or(Duration::from_secs(10));
        let takes = container.behaviour.stop_takes;
        Ok(if takes > grace { (grace, KILLED) } else { (takes, 0) })
    }

    /// Ends a container that was asked to end: it isn't restarted.
    pub(super) fn stopped(&mut self, id: &ContainerId, code: i64) -> Result<(), Refusal> {
        let container = self.container_mut(id)?;
        if !container.is_active() {
            return Ok(());
        }
        container.is_stopped_by_hand = true;
        container.generation += 1;
        container.phase = Phase::Exited { code };
        container.ports.clear();
        let name = container.name.to_string();
        self.tell("container", "die", &name);
        self.tell("container", "stop", &name);
        Ok(())
    }

    /// Ends the process of a container by itself, and restarts it as its policy says.
    pub(super) fn exit(&mut self, id: &ContainerId, code: i64, now: Instant) -> Result<(), Refusal> {
        let container = self.container_mut(id)?;
        let pause = RESTART_PAUSE.saturating_mul(2_u32.saturating_pow(container.restarts));
        container.phase = if container.restarts_after(code) {
            Phase::Restarting { until: now + pause.min(RESTART_PAUSE_MAX) }
        } else {
            Phase::Exited { code }
        };
        container.ports.clear();
        let name = container.name.to_string();
        self.schedule(id, now);
        self.tell("container", "die", &name);
        Ok(())
    }

    pub(super) fn remove(&mut self, id: &ContainerId) -> Result<(), Refusal> {
        let Some(container) = self.containers.get(id) else { return Ok(()) };
        if container.is_active() {
            let message = format!("You cannot remove a running container {id}. Stop the container first");
            return Err(Refusal::Conflict(message));
        }
        let name = container.name.to_string();
        self.tell("container", "destroy", &name);
        self.containers.remove(id);
        self.names.remove(&name);
        Ok(())
    }

    pub(super) fn rename(&mut self, id: &ContainerId, name: &ContainerName) -> Result<(), Refusal> {
        if self.container(id)?.name == *name {
            return Ok(());
        }
        self.check_name_is_free(name)?;
        let container = self.container_mut(id)?;
        let old = std::mem::replace(&mut container.name, name.clone());
        self.names.remove(old.as_str());
        self.names.insert(name.to_string(), id.clone());
        self.tell("container", "rename", name.as_str());
        Ok(())
    }

    pub(super) fn update(&mut self, id: &ContainerId, update: &UpdateContainer) -> Result<(), Refusal> {
        let container = self.container_mut(id)?;
        container.check_alive()?;
        let UpdateContainer { restart, resources } = update;
        change(&mut container.spec.resources, resources);
        container.spec.restart = restart.unwrap_or(container.spec.restart);
        let name = container.name.to_string();
        self.tell("container", "update", &name);
        Ok(())
    }

    pub(super) fn connect(
        &mut self,
        network: &NetworkId,
        id: &ContainerId,
        attachment: &Attachment,
    ) -> Result<(), Refusal> {
        let missing = || Refusal::NotFound(format!("network {network} not found"));
        let name = self.networks.get(network).ok_or_else(missing)?.spec.name.clone();
        let container = self.container_mut(id)?;
        container.check_alive()?;
        // While it doesn't run this only changes what a start will do.
        if container.is_running() && container.networks.contains_key(&name) {
            let message = format!("endpoint with name {} already exists in network {name}", container.name);
            return Err(Refusal::Conflict(message));
        }
        container.networks.insert(name.clone(), network.clone());
        container.spec.networks.insert(name.clone(), attachment.clone());
        self.publish_again(id)?;
        self.tell("network", "connect", name.as_str());
        Ok(())
    }

    pub(super) fn disconnect(&mut self, network: &NetworkId, id: &ContainerId) -> Result<(), Refusal> {
        let missing = || Refusal::NotFound(format!("network {network} not found"));
        let name = self.networks.get(network).ok_or_else(missing)?.spec.name.clone();
        let container = self.container_mut(id)?;
        container.spec.networks.remove(&name);
        if container.networks.remove(&name).is_some() {
            self.publish_again(id)?;
            self.tell("network", "disconnect", name.as_str());
        }
        Ok(())
    }

    /// Notes when the container next does something by itself.
    pub(super) fn schedule(&mut self, id: &ContainerId, now: Instant) {
        if let Some(turn) = self.containers.get(id).and_then(|container| container.next_turn(now)) {
            self.turns.insert((turn, id.clone()));
        }
    }

    /// Lets everything happen that was due by `now`, in the order of time.
    pub(super) fn settle(&mut self, now: Instant) {
        // Nobody restarts and probes without the daemon.
        if self.daemon.is_down {
            return;
        }
        while self.turns.first().is_some_and(|(at, _)| *at <= now) {
            if let Some((at, id)) = self.turns.pop_first() {
                self.settle_one(&id, at);
                self.schedule(&id, at);
            }
        }
    }

    fn settle_one(&mut self, id: &ContainerId, now: Instant) {
        let Some(container) = self.containers.get(id) else { return };
        match container.phase {
            Phase::Restarting { until } if until <= now => self.restart(id, now),
            Phase::Created | Phase::Exited { .. } | Phase::Restarting { .. } | Phase::Dead => {}
            Phase::Running { since } => {
                self.write_later(id, now.duration_since(since));
                self.settle_running(id, since, now);
            }
        }
    }

    /// Writes the lines that are due by now.
    fn write_later(&mut self, id: &ContainerId, after: Duration) {
        let Some(container) = self.containers.get_mut(id) else { return };
        while let Some((_, line)) =
            container.behaviour.writes_later.get(container.written_later).filter(|(due, _)| *due <= after)
        {
            container.logs.push(line.clone());
            container.written_later += 1;
        }
    }

    fn settle_running(&mut self, id: &ContainerId, since: Instant, now: Instant) {
        let exits = self.containers.get(id).and_then(|container| container.behaviour.exits);
        match exits {
            // The container is there, so this can't be refused.
            Some((after, code)) if now.duration_since(since) >= after => drop(self.exit(id, code, now)),
            Some(_) | None => self.tell_health(id, now),
        }
    }

    fn restart(&mut self, id: &ContainerId, now: Instant) {
        if let Some(container) = self.containers.get_mut(id) {
            container.restarts += 1;
        }
        if self.run(id, now).is_err()
            && let Some(container) = self.containers.get_mut(id)
        {
            container.phase = Phase::Exited { code: 128 };
        }
    }

    fn tell_health(&mut self, id: &ContainerId, now: Instant) {
        let Some(container) = self.containers.get_mut(id) else { return };
        let health = container.health(now).filter(|health| *health != Health::Starting);
        if !container.is_running() || health.is_none() || health == container.told_health {
            return;
        }
        container.told_health = health;
        let name = container.name.to_string();
        let action = health.map(|health| format!("health_status: {health}")).unwrap_or_default();
        self.tell("container", &action, &name);
    }

    pub(super) fn inspect(&self, id: &ContainerId, now: Instant) -> Result<LiveContainer, String> {
        let Some(container) = self.containers.get(id) else { return Err(format!("No such container: {id}")) };
        let identity = label::identity(&container.labels, (id, &container.name))?;
        let address = self.address.filter(|_| container.is_running());
        let addresses = container.spec.networks.keys().map(|name| (name.clone(), address)).collect();
        let status = match container.phase {
            Phase::Created => Status::Created,
            Phase::Running { .. } => Status::Running,
            Phase::Restarting { .. } => Status::Restarting,
            Phase::Exited { code } => Status::Exited { code, out_of_memory: false },
            Phase::Dead => Status::Dead,
        };
        let mut spec = container.spec.clone();
        for (name, attachment) in &mut spec.networks {
            attachment.first = container.first.as_ref() == Some(name);
        }
        Ok(LiveContainer {
            id: id.clone(),
            name: container.name.clone(),
            instance: identity.0,
            deploy: identity.1,
            image: container.image.clone(),
            mounted: label::mounted(&container.labels),
            state: ContainerState {
                status,
                restarts: container.restarts,
                started_at: container.started_at.clone(),
                health: container.health(now),
                health_output: container.health_output(now),
            },
            spec,
            addresses,
            endpoints: container.networks.clone(),
            bound: container.ports.clone(),
            beyond: BTreeSet::new(),
        })
    }
}

/// Sets the limits that are there.
fn change(now: &mut Resources, wanted: &Resources) {
    fn set<T: Clone>(now: &mut Option<T>, wanted: Option<&T>) {
        if wanted.is_some() {
            *now = wanted.cloned();
        }
    }
    let Resources {
        memory,
        memory_swap,
        memory_reservation,
        nano_cpus,
        cpu_shares,
        cpu_period,
        cpu_quota,
        cpu_rt_period,
        cpu_rt_runtime,
        cpuset,
        block_io_weight,
        pids,
    } = wanted;
    set(&mut now.memory, memory.as_ref());
    set(&mut now.memory_swap, memory_swap.or(wanted.default_swap()).as_ref());
    set(&mut now.memory_reservation, memory_reservation.as_ref());
    set(&mut now.nano_cpus, nano_cpus.as_ref());
    set(&mut now.cpu_shares, cpu_shares.as_ref());
    set(&mut now.cpu_period, cpu_period.as_ref());
    set(&mut now.cpu_quota, cpu_quota.as_ref());
    set(&mut now.cpu_rt_period, cpu_rt_period.as_ref());
    set(&mut now.cpu_rt_runtime, cpu_rt_runtime.as_ref());
    set(&mut now.cpuset, cpuset.as_ref());
    set(&mut now.block_io_weight, block_io_weight.as_ref());
    set(&mut now.pids, pids.as_ref());
}
