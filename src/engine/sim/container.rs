//! A simulated container: made of a specification and its image, with a process that may run.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

use super::image::{Behaviour, SimImage};
use crate::engine::CreateContainer;
use crate::engine::clean::clean;
use crate::model::label;
use crate::model::live::{Health, LiveImage};
use crate::model::name::{ContainerId, ContainerName, ImageId, NetworkId, NetworkName};
use crate::model::spec::{
    ContainerSpec, HealthTest, Healthcheck, Logging, Mount, MountSource, Namespace, PublishedPort,
    RestartPolicy,
};
use crate::model::text::Text;

/// Docker's time between two probes where none is declared.
const PROBE_INTERVAL: Duration = Duration::from_secs(30);
/// Docker's number of failed probes that make a container unhealthy where none is declared.
const PROBE_RETRIES: u32 = 3;
/// Docker's size of `/dev/shm`.
const SHM_BYTES: u64 = 64 << 20;

#[derive(Debug, Clone)]
pub(super) struct SimContainer {
    pub(super) id: ContainerId,
    pub(super) name: ContainerName,
    pub(super) image: ImageId,
    /// With all that image and daemon filled in.
    pub(super) spec: ContainerSpec,
    /// All of them, those of Evenkeel too.
    pub(super) labels: BTreeMap<String, String>,
    pub(super) networks: BTreeMap<NetworkName, NetworkId>,
    /// The network mode: it stays what it was, whatever is joined or left later.
    pub(super) first: Option<NetworkName>,
    pub(super) behaviour: Behaviour,
    pub(super) phase: Phase,
    /// What it holds while it runs, with the numbers that were chosen.
    pub(super) ports: BTreeSet<PublishedPort>,
    pub(super) restarts: u32,
    /// Whether somebody stopped it since it was last started: a daemon that starts remembers that.
    pub(super) is_stopped_by_hand: bool,
    pub(super) started_at: String,
    pub(super) logs: Vec<String>,
    /// How many lines of the log are of the runs before.
    pub(super) logs_before: usize,
    /// How many of the lines that it writes later in this run it has written.
    pub(super) written_later: usize,
    /// What the last event about its health said.
    pub(super) told_health: Option<Health>,
    /// Counts starts and stops by hand, so that a timer knows when it is out of date.
    pub(super) generation: u64,
    /// Since when the daemon probes it, if that is not since its start.
    pub(super) probed_since: Option<Instant>,
}

/// What the process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Created,
    Running {
        since: Instant,
    },
    Restarting {
        until: Instant,
    },
    Exited {
        code: i64,
    },
    /// Half removed.
    Dead,
}

impl SimContainer {
    pub(super) fn new(id: ContainerId, request: &CreateContainer, image: &SimImage) -> Self {
        let mut labels = image.defaults.labels.clone();
        labels.extend(request.spec.labels.clone());
        labels.extend(request.labels.clone());
        let mut spec = filled(&request.spec, &image.defaults, &id);
        let own = labels.iter().filter(|(name, _)| !label::is_reserved(name));
        spec.labels = own.map(|(name, value)| (name.clone(), value.clone())).collect();
        let joined = request.networks.iter().filter(|(name, _)| request.spec.networks.contains_key(*name));
        let chosen = spec.networks.iter().find(|(_, attachment)| attachment.first);
        let first = chosen.or_else(|| spec.networks.iter().next()).map(|(name, _)| name.clone());
        Self {
            first,
            name: request.name.clone(),
            image: image.defaults.id.clone(),
            networks: joined.map(|(name, network)| (name.clone(), network.clone())).collect(),
            behaviour: image.behaviour.clone(),
            phase: Phase::Created,
            ports: BTreeSet::new(),
            restarts: 0,
            is_stopped_by_hand: false,
            started_at: String::new(),
            logs: Vec::new(),
            logs_before: 0,
            written_later: 0,
            told_health: None,
            generation: 0,
            probed_since: None,
            labels,
            spec,
            id,
        }
    }

    pub(super) fn is_running(&self) -> bool {
        matches!(self.phase, Phase::Running { .. })
    }

    /// Whether it holds its name, ports and networks as a running one does.
    pub(super) fn is_active(&self) -> bool {
        matches!(self.phase, Phase::Running { .. } | Phase::Restarting { .. })
    }

    /// What its health check says at `now`.
    pub(super) fn health(&self, now: Instant) -> Option<Health> {
        let check = self.spec.healthcheck.as_ref().filter(|check| is_probing(check))?;
        let since = match self.phase {
            Phase::Created => return None,
            Phase::Running { since } => since,
            Phase::Restarting { .. } | Phase::Exited { .. } | Phase::Dead => return Some(Health::Unhealthy),
        };
        let turns = self.health_turns(check, since);
        let due = turns.into_iter().flatten().rfind(|(after, _)| now.duration_since(since) >= *after);
        Some(due.map_or(Health::Starting, |(_, health)| health))
    }

    /// What its health check wrote when it last failed. Only of an unhealthy one that is known.
    pub(super) fn health_output(&self, now: Instant) -> String {
        let words = match self.spec.healthcheck.as_ref().and_then(|check| check.test.as_ref()) {
            Some(HealthTest::Exec(words)) if self.health(now) == Some(Health::Unhealthy) => words,
            Some(HealthTest::Exec(_) | HealthTest::Shell(_) | HealthTest::Disabled) | None => {
                return String::new();
            }
        };
        let words: Vec<String> = words.iter().map(|word| word.expose().to_owned()).collect();
        let said = self.behaviour.commands.get(&words).map(|reply| reply.output.as_str());
        said.unwrap_or_default().trim().lines().map(clean).collect::<Vec<_>>().join(" ")
    }

    /// When it next does something by itself after `now`.
    pub(super) fn next_turn(&self, now: Instant) -> Option<Instant> {
        match self.phase {
            Phase::Created | Phase::Exited { .. } | Phase::Dead => None,
            Phase::Restarting { until } => Some(until),
            Phase::Running { since } => {
                let exit = self.behaviour.exits.and_then(|(after, _)| since.checked_add(after));
                let check = self.spec.healthcheck.as_ref().filter(|check| is_probing(check));
                let turns = check.map(|check| self.health_turns(check, since)).unwrap_or_default();
                let turns = turns.into_iter().flatten().filter_map(|(after, _)| since.checked_add(after));
                let line = self.behaviour.writes_later.get(self.written_later);
                let line = line.and_then(|(after, _)| since.checked_add(*after));
                turns.filter(|turn| *turn > now).chain(exit).chain(line).min()
            }
        }
    }

    /// Whether Docker would start it again after it ended with `code`.
    pub(super) fn restarts_after(&self, code: i64) -> bool {
        match self.spec.restart {
            RestartPolicy::No => false,
            RestartPolicy::Always | RestartPolicy::UnlessStopped => true,
            RestartPolicy::OnFailure(most) => code != 0 && most.is_none_or(|most| self.restarts < most),
        }
    }

    /// Whether `command` is its health check.
    pub(super) fn is_probe(&self, command: &[Text]) -> bool {
        let words = command.iter().map(Text::expose);
        match self.spec.healthcheck.as_ref().and_then(|check| check.test.as_ref()) {
            None | Some(HealthTest::Disabled) => false,
            Some(HealthTest::Exec(test)) => words.eq(test.iter().map(Text::expose)),
            Some(HealthTest::Shell(line)) => words.eq(["/bin/sh", "-c", line.expose()]),
        }
    }

    /// When Docker's probes turn it, from its start: first unhealthy, if at all, then healthy, if ever.
    fn health_turns(&self, check: &Healthcheck, start: Instant) -> [Option<(Duration, Health)>; 2] {
        // A daemon that came back begins with the first probe, of a process that is no longer new.
        let age = self.probed_since.map_or(Duration::ZERO, |since| since.duration_since(start));
        let interval = check.interval.unwrap_or(PROBE_INTERVAL).max(Duration::from_millis(1));
        let start_period = check.start_period.unwrap_or_default();
        let retries = check.retries.unwrap_or(PROBE_RETRIES).max(1);
        let never = self.behaviour.healthy_after == Duration::MAX;
        let good =
            (!never).then(|| probes_until(self.behaviour.healthy_after.saturating_sub(age), interval).max(1));
        let first_counted = probes_within(start_period, interval) + 1;
        let bad = first_counted.saturating_add(retries - 1);
        let after = |probes: u32| age.saturating_add(interval.saturating_mul(probes));
        [
            good.is_none_or(|good| bad < good).then(|| (after(bad), Health::Unhealthy)),
            good.map(|good| (after(good), Health::Healthy)),
        ]
    }
}

fn is_probing(check: &Healthcheck) -> bool {
    check.test.as_ref().is_some_and(|test| *test != HealthTest::Disabled)
}

fn probes_within(period: Duration, interval: Duration) -> u32 {
    u32::try_from(period.as_nanos() / interval.as_nanos()).unwrap_or(u32::MAX - 1)
}

fn probes_until(period: Duration, interval: Duration) -> u32 {
    u32::try_from(period.as_nanos().div_ceil(interval.as_nanos())).unwrap_or(u32::MAX - 1)
}

/// The specification as Docker stores it: the image's defaults and the daemon's own merged in.
fn filled(spec: &ContainerSpec, image: &LiveImage, id: &ContainerId) -> ContainerSpec {
    let mut spec = unknown_origin(spec.clone());
    let texts = |words: &[String]| words.iter().map(Text::sensitive).collect::<Vec<_>>();
    let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    // An entrypoint drops the image's arguments, even where it is empty.
    if spec.entrypoint.as_ref().is_none_or(Vec::is_empty) && spec.command.as_ref().is_none_or(Vec::is_empty) {
        spec.command = (!image.command.is_empty()).then(|| texts(&image.command));
    }
    if spec.entrypoint.is_none() && !image.entrypoint.is_empty() {
        spec.entrypoint = Some(texts(&image.entrypoint));
    }
    for (key, value) in &image.environment {
        spec.environment.entry(key.clone()).or_insert_with(|| Text::sensitive(value));
    }
    let published: BTreeSet<_> = spec.ports.iter().map(|port| port.container).collect();
    let exposed = image.exposed_ports.iter().filter_map(|port| super::world::container_port(port));
    spec.expose.extend(exposed);
    spec.expose.retain(|port| !published.contains(port));
    for target in &image.volumes {
        let mount = Mount::of(MountSource::Anonymous);
        spec.mounts.entry(target.clone()).or_insert(mount);
    }
    spec.healthcheck = merged_health(spec.healthcheck, image.healthcheck.as_ref());
    spec.platform.clone_from(&image.platform);
    spec.user = spec.user.or_else(|| given(&image.user));
    spec.working_dir = spec.working_dir.or_else(|| given(&image.working_dir));
    spec.stop_signal = spec.stop_signal.or_else(|| image.stop_signal.clone());
    spec.hostname = spec.hostname.or_else(|| Some(id.short().to_owned()));
    spec.shm_size = spec.shm_size.or(Some(SHM_BYTES));
    if spec.networks.is_empty() {
        spec.namespaces.network.get_or_insert(Namespace::None);
    }
    spec.namespaces.ipc.get_or_insert(Namespace::Private);
    spec.namespaces.cgroup.get_or_insert(Namespace::Host);
    spec.runtime.name.get_or_insert_with(|| "runc".to_owned());
    spec.resources.memory_swap = spec.resources.memory_swap.or(spec.resources.default_swap());
    let daemon_logging = || Logging { driver: "json-file".to_owned(), options: BTreeMap::new() };
    spec.logging = spec.logging.or_else(|| Some(daemon_logging()));
    spec
}

fn merged_health(own: Option<Healthcheck>, image: Option<&Healthcheck>) -> Option<Healthcheck> {
    let (Some(own), Some(image)) = (own.clone(), image) else { return own.or_else(|| image.cloned()) };
    Some(Healthcheck {
        test: own.test.or_else(|| image.test.clone()),
        interval: own.interval.or(image.interval),
        timeout: own.timeout.or(image.timeout),
        start_period: own.start_period.or(image.start_period),
        start_interval: own.start_interval.or(image.start_interval),
        retries: own.retries.or(image.retries),
    })
}

/// Docker doesn't know which text is sensitive; what is read back all is, as from the real one.
fn unknown_origin(mut spec: ContainerSpec) -> ContainerSpec {
    let hide = |text: &mut Text| *text = Text::sensitive(text.expose());
    spec.command.iter_mut().chain(&mut spec.entrypoint).flatten().for_each(hide);
    spec.environment.values_mut().for_each(hide);
    match spec.healthcheck.as_mut().and_then(|check| check.test.as_mut()) {
        Some(HealthTest::Exec(words)) => words.iter_mut().for_each(hide),
        Some(HealthTest::Shell(line)) => hide(line),
        Some(HealthTest::Disabled) | None => {}
    }
    spec
}
