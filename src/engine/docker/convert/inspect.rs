//! The answer to an inspect → a live container.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bollard::models::{
    ContainerConfig, ContainerInspectResponse, ContainerState as ApiState, ContainerStateStatusEnum,
    HealthStatusEnum, HostConfig, RestartPolicy as ApiRestartPolicy, RestartPolicyNameEnum,
};

use super::networks::{Joined, joined};
use super::{Unreadable, filled, health, key_and_value, limit, mounts, ports, sorted};
use crate::model::label;
use crate::model::live::{ContainerState, Health, LiveContainer, Status};
use crate::model::name::{ContainerId, Instance};
use crate::model::spec::{ContainerSpec, Logging, Resources, RestartPolicy, Ulimit};
use crate::model::text::Text;

/// Reads a container of Evenkeel.
///
/// # Errors
/// Says which part of the answer is missing or makes no sense, or that the labels of Evenkeel are missing.
pub(in crate::engine::docker) fn container(
    answer: ContainerInspectResponse,
) -> Result<LiveContainer, Unreadable> {
    let id: ContainerId = parsed(answer.id, "id")?;
    let config = answer.config.ok_or("the answer has no configuration")?;
    let host = answer.host_config.ok_or("the answer has no host configuration")?;
    let labels = sorted(config.labels.clone());
    let endpoints = answer.network_settings.and_then(|settings| settings.networks).unwrap_or_default();
    let Joined { networks, addresses } = joined(endpoints, &id)?;
    let mut spec = spec(config, &host)?;
    spec.networks = networks;
    spec.mounts = mounts::from_api(answer.mounts.unwrap_or_default(), &host)?;
    Ok(LiveContainer {
        name: parsed(answer.name.map(|name| name.trim_start_matches('/').to_owned()), "name")?,
        instance: instance(&labels)?,
        deploy: parsed(labels.get(label::DEPLOY).cloned(), label::DEPLOY)?,
        image: parsed(answer.image, "image id")?,
        state: state(answer.state.ok_or("the answer has no state")?, answer.restart_count),
        id,
        spec,
        addresses,
    })
}

fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(
    text: Option<String>,
    what: &str,
) -> Result<T, Unreadable> {
    let text = text.ok_or_else(|| format!("the container has no {what}"))?;
    text.parse().map_err(|error| format!("{error}"))
}

fn instance(labels: &BTreeMap<String, String>) -> Result<Instance, Unreadable> {
    let number = labels.get(label::INSTANCE).and_then(|number| number.parse().ok());
    Ok(Instance {
        service: parsed(labels.get(label::SERVICE).cloned(), label::SERVICE)?,
        number: number.ok_or_else(|| format!("the label {} is no number", label::INSTANCE))?,
    })
}

fn state(state: ApiState, restarts: Option<i64>) -> ContainerState {
    let status = match state.status {
        Some(ContainerStateStatusEnum::RUNNING | ContainerStateStatusEnum::STOPPING) => Status::Running,
        Some(ContainerStateStatusEnum::PAUSED) => Status::Paused,
        Some(ContainerStateStatusEnum::RESTARTING) => Status::Restarting,
        Some(ContainerStateStatusEnum::EXITED) => Status::Exited {
            code: state.exit_code.unwrap_or_default(),
            out_of_memory: state.oom_killed == Some(true),
        },
        Some(ContainerStateStatusEnum::DEAD | ContainerStateStatusEnum::REMOVING) => Status::Dead,
        Some(ContainerStateStatusEnum::CREATED | ContainerStateStatusEnum::EMPTY) | None => Status::Created,
    };
    let health = state.health.and_then(|health| match health.status? {
        HealthStatusEnum::STARTING => Some(Health::Starting),
        HealthStatusEnum::HEALTHY => Some(Health::Healthy),
        HealthStatusEnum::UNHEALTHY => Some(Health::Unhealthy),
        HealthStatusEnum::NONE | HealthStatusEnum::EMPTY => None,
    });
    // Go's zero time means never.
    let started_at = filled(state.started_at).filter(|time| !time.starts_with("0001-")).unwrap_or_default();
    let restarts = restarts.and_then(|restarts| u32::try_from(restarts).ok()).unwrap_or_default();
    ContainerState { status, restarts, started_at, health }
}

/// Everything but networks and mounts. Texts came from outside of the repository as far as we know here, so they
/// are sensitive: only who knows the manifest can tell that one may be shown.
fn spec(config: ContainerConfig, host: &HostConfig) -> Result<ContainerSpec, Unreadable> {
    let published = ports::published(host.port_bindings.clone().unwrap_or_default())?;
    let exposed = config.exposed_ports.into_iter().flatten().map(|port| ports::container_port(&port));
    let mut expose = exposed.collect::<Result<BTreeSet<_>, _>>()?;
    // Docker exposes what is published; what remains was declared, by the manifest or the image.
    expose.retain(|port| !published.iter().any(|published| published.container == *port));
    let environment = config.env.into_iter().flatten().map(|entry| {
        let (key, value) = key_and_value(&entry);
        (key.to_owned(), Text::sensitive(value))
    });
    let labels = config.labels.into_iter().flatten().filter(|(name, _)| !label::is_reserved(name));
    let image = config.image.ok_or("the container has no image")?;
    Ok(ContainerSpec {
        command: config.cmd.map(texts),
        entrypoint: config.entrypoint.map(texts),
        environment: environment.collect(),
        labels: labels.collect(),
        ports: published,
        expose,
        healthcheck: config.healthcheck.and_then(health::from_api),
        user: filled(config.user),
        working_dir: filled(config.working_dir),
        hostname: filled(config.hostname),
        stop_signal: filled(config.stop_signal),
        stop_grace: limit(config.stop_timeout).map(Duration::from_secs),
        tty: config.tty == Some(true),
        stdin_open: config.open_stdin == Some(true),
        ..host_part(image.parse().map_err(|error| format!("{error}"))?, host)
    })
}

fn host_part(image: crate::model::image::ImageRef, host: &HostConfig) -> ContainerSpec {
    let set = |list: &Option<Vec<String>>| list.iter().flatten().cloned().collect();
    ContainerSpec {
        restart: restart(host.restart_policy.as_ref()),
        init: host.init,
        read_only: host.readonly_rootfs == Some(true),
        privileged: host.privileged == Some(true),
        cap_add: host.cap_add.iter().flatten().map(|name| capability(name)).collect(),
        cap_drop: host.cap_drop.iter().flatten().map(|name| capability(name)).collect(),
        security_opt: set(&host.security_opt),
        extra_hosts: host.extra_hosts.iter().flatten().filter_map(|line| extra_host(line)).collect(),
        dns: host.dns.clone().unwrap_or_default(),
        sysctls: sorted(host.sysctls.clone()),
        ulimits: ulimits(host),
        shm_size: limit(host.shm_size),
        logging: logging(host),
        resources: Resources {
            memory: limit(host.memory),
            memory_reservation: limit(host.memory_reservation),
            nano_cpus: limit(host.nano_cpus),
            pids: limit(host.pids_limit),
        },
        ..ContainerSpec::of_image(image)
    }
}

fn texts(words: Vec<String>) -> Vec<Text> {
    words.into_iter().map(Text::sensitive).collect()
}

fn capability(name: &str) -> String {
    let name = name.to_ascii_uppercase();
    name.strip_prefix("CAP_").map(str::to_owned).unwrap_or(name)
}

/// `name:address`, or `name=address` as newer tools write it.
fn extra_host(line: &str) -> Option<(String, String)> {
    line.split_once([':', '=']).map(|(name, address)| (name.to_owned(), address.to_owned()))
}

fn ulimits(host: &HostConfig) -> BTreeMap<String, Ulimit> {
    let one = |limit: &bollard::models::ResourcesUlimits| {
        Some((limit.name.clone()?, Ulimit { soft: limit.soft?, hard: limit.hard? }))
    };
    host.ulimits.iter().flatten().filter_map(one).collect()
}

fn logging(host: &HostConfig) -> Option<Logging> {
    let config = host.log_config.clone()?;
    Some(Logging { driver: filled(config.typ)?, options: sorted(config.config) })
}

fn restart(policy: Option<&ApiRestartPolicy>) -> RestartPolicy {
    let most = || limit(policy?.maximum_retry_count).and_then(|most| u32::try_from(most).ok());
    match policy.and_then(|policy| policy.name) {
        Some(RestartPolicyNameEnum::ALWAYS) => RestartPolicy::Always,
        Some(RestartPolicyNameEnum::UNLESS_STOPPED) => RestartPolicy::UnlessStopped,
        Some(RestartPolicyNameEnum::ON_FAILURE) => RestartPolicy::OnFailure(most()),
        Some(RestartPolicyNameEnum::NO | RestartPolicyNameEnum::EMPTY) | None => RestartPolicy::No,
    }
}
