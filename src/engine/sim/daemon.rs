//! What happens to the host of a simulated engine as a whole: its daemon goes and comes back, the power is lost, the
//! disk is full, others clean up.

use tokio::time::Instant;

use super::Sim;
use super::container::{Phase, SimContainer};
use super::world::{Refusal, World};
use crate::model::name::{ContainerId, ContainerName};
use crate::model::spec::RestartPolicy;

/// How a daemon ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ending {
    /// It is told to end, and ends every process before.
    Stopped,
    /// The same with `live-restore`: every process goes on.
    LiveRestore,
    /// The machine has no power any more: every process ends as if it had been killed.
    PowerLost,
}

/// The daemon of a host.
#[derive(Debug, Clone, Default)]
pub(super) struct Daemon {
    pub(super) is_down: bool,
    /// Counts its ends: a call that began before one gets no answer after it.
    pub(super) ends: u64,
    /// What it starts when it comes back.
    returning: Vec<ContainerId>,
}

impl World {
    pub(super) fn stop_daemon(&mut self, ending: Ending) {
        if self.daemon.is_down {
            return;
        }
        let returns = |container: &&SimContainer| container.returns_with_the_daemon(ending);
        let returning =
            self.containers.values().filter(returns).map(|container| container.id.clone()).collect();
        self.daemon = Daemon { is_down: true, ends: self.daemon.ends + 1, returning };
        // Whoever listens to events hears the end of them.
        self.events = tokio::sync::broadcast::Sender::new(super::world::EVENTS_MAX);
        let code = match ending {
            Ending::LiveRestore => return,
            Ending::Stopped => 0,
            Ending::PowerLost => super::life::KILLED,
        };
        for container in self.containers.values_mut().filter(|container| container.is_active()) {
            container.generation += 1;
            container.phase = Phase::Exited { code };
            container.ports.clear();
        }
    }

    /// Lets the daemon come back. Returns the containers that it attends to from then on.
    pub(super) fn start_daemon(&mut self, now: Instant) -> Vec<ContainerId> {
        if !std::mem::take(&mut self.daemon.is_down) {
            return Vec::new();
        }
        // It probes from the beginning.
        for container in self.containers.values_mut().filter(|container| container.is_running()) {
            container.probed_since = Some(now);
            container.told_health = None;
        }
        let returning = std::mem::take(&mut self.daemon.returning);
        for id in returning {
            // What can't start stays as it is.
            let _ = self.start(&id, now);
        }
        let active = self.containers.values().filter(|container| container.is_active());
        active.map(|container| container.id.clone()).collect()
    }

    /// Refuses what needs room on the disk.
    pub(super) fn check_disk(&self) -> Result<(), Refusal> {
        if self.is_full {
            return Err(Refusal::Failed("no space left on device".to_owned()));
        }
        Ok(())
    }
}

impl SimContainer {
    /// Whether a daemon that comes back after such an end would start it.
    fn returns_with_the_daemon(&self, ending: Ending) -> bool {
        match self.spec.restart {
            _ if self.phase == Phase::Dead => false,
            RestartPolicy::No => false,
            RestartPolicy::Always => true,
            RestartPolicy::UnlessStopped => self.is_active() && !self.is_stopped_by_hand,
            RestartPolicy::OnFailure(_) => match (self.phase, ending) {
                (Phase::Restarting { .. }, _) => true,
                // It was killed, and that is a failure.
                (Phase::Running { .. }, Ending::PowerLost) => self.restarts_after(super::life::KILLED),
                // It ends well when the daemon asks it to.
                _ => false,
            },
        }
    }

    /// Refuses what is not done to a container that is half removed.
    pub(super) fn check_alive(&self) -> Result<(), Refusal> {
        if self.phase == Phase::Dead {
            return Err(Refusal::Conflict(format!("container {} is marked for removal", self.id)));
        }
        Ok(())
    }
}

impl Sim {
    /// Lets the daemon end. Calls that are under way, and all later ones, get no answer until it comes back.
    pub fn stop_daemon(&self, ending: Ending) {
        self.world().stop_daemon(ending);
    }

    /// Lets the daemon come back, with what its restart policy brings back.
    pub fn start_daemon(&self) {
        let active = self.world().start_daemon(Instant::now());
        for id in active {
            self.attend(&id);
        }
    }

    /// Restarts the daemon at once: every process ends, and what its restart policy brings back runs again.
    pub fn restart_daemon(&self) {
        self.stop_daemon(Ending::Stopped);
        self.start_daemon();
    }

    /// Lets the disk of the daemon be full, or have room again: nothing can be pulled or created without.
    pub fn fill_disk(&self, is_full: bool) {
        self.world().is_full = is_full;
    }

    /// Removes what doesn't run and the networks that nobody who runs is attached to, as `docker system prune` does.
    pub fn prune(&self) {
        let mut world = self.world();
        let stopped = world.containers.values().filter(|container| !container.is_active());
        let stopped: Vec<ContainerId> = stopped.map(|container| container.id.clone()).collect();
        for id in stopped {
            // It doesn't run, so this can't be refused.
            let _ = world.remove(&id);
        }
        let networks: Vec<_> = world.networks.keys().cloned().collect();
        for network in networks {
            // Those that are in use stay.
            let _ = world.remove_network(&network);
        }
    }

    /// Removes a container only half: it holds its name and never runs again. Returns whether it was there.
    pub fn half_remove(&self, name: &ContainerName) -> bool {
        self.by_hand(name, |world, id| {
            world.stopped(id, super::life::KILLED)?;
            world.container_mut(id)?.phase = Phase::Dead;
            Ok(())
        })
    }

    /// The same host once more: what happens to the one doesn't happen to the other. No call is on record there, and
    /// none goes wrong.
    pub fn copy(&self) -> Self {
        let mut world = self.world().clone();
        world.events = tokio::sync::broadcast::Sender::new(super::world::EVENTS_MAX);
        let active: Vec<ContainerId> =
            world.containers.values().filter(|one| one.is_active()).map(|one| one.id.clone()).collect();
        let copy = Self { world: std::sync::Arc::new(std::sync::Mutex::new(world)), ..Self::new() };
        for id in active {
            copy.attend(&id);
        }
        copy
    }

    /// Everything on the host but moments: two hosts of one shape behave alike.
    pub fn shape(&self) -> String {
        let mut world = self.world().clone();
        world.forget_moments();
        format!("{world:?}")
    }
}
