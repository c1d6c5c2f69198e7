//! The answer to an inspect → a live container.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bollard::models::{
    ContainerConfig, ContainerInspectResponse, ContainerState as ApiState, ContainerStateStatusEnum,
    HealthStatusEnum, HostConfig, OciPlatform, RestartPolicy as ApiRestartPolicy, RestartPolicyNameEnum,
};

use super::networks::{Joined, joined};
use super::{
    Unreadable, devices, filled, health, key_and_value, limit, limits, mounts, namespaces, ports, sorted,
};
use crate::engine::clean::clean;
use crate::model::label;
use crate::model::live::{Beyond, ContainerState, Health, LiveContainer, Status};
use crate::model::name::ContainerId;
use crate::model::platform::Platform;
use crate::model::spec::{ContainerSpec, Logging, RestartPolicy, Runtime, Ulimit};
use crate::model::text::Text;

/// Reads a container.
///
/// # Errors
/// Says which part of the answer is missing or makes no sense, or that a container of Evenkeel lacks one of its labels.
pub(in crate::engine::docker) fn container(
    answer: ContainerInspectResponse,
) -> Result<LiveContainer, Unreadable> {
    let id: ContainerId = parsed(answer.id, "id")?;
    let config = answer.config.ok_or("the answer has no configuration")?;
    let host = answer.host_config.ok_or("the answer has no host configuration")?;
    let labels = sorted(config.labels.clone());
    let (endpoints, bound) = match answer.network_settings {
        Some(settings) => {
            (settings.networks.unwrap_or_default(), ports::bound(settings.ports.unwrap_or_default()))
        }
        None => Default::default(),
    };
    let namespaces = namespaces::from_api(&host)?;
    let Joined { networks, addresses, endpoints } = joined(endpoints, &id, host.network_mode.as_deref())?;
    let mut spec = spec(config, &host)?;
    spec.networks = networks;
    spec.namespaces = namespaces;
    spec.mounts = mounts::from_api(answer.mounts.unwrap_or_default(), &host)?;
    spec.platform = answer.image_manifest_descriptor.and_then(|image| image.platform).and_then(platform);
    let name = parsed(answer.name.map(|name| name.trim_start_matches('/').to_owned()), "name")?;
    let (instance, deploy) = label::identity(&labels, (&id, &name))?;
    Ok(LiveContainer {
        name,
        instance,
        deploy,
        image: parsed(answer.image, "image id")?,
        mounted: label::mounted(&labels),
        state: state(answer.state.ok_or("the answer has no state")?, answer.restart_count),
        id,
        spec,
        addresses,
        endpoints,
        bound,
        beyond: beyond(&host),
    })
}

fn beyond(host: &HostConfig) -> BTreeSet<Beyond> {
    [
        (Beyond::RemovedOnStop, host.auto_remove == Some(true)),
        (Beyond::AllPorts, host.publish_all_ports == Some(true)),
        (Beyond::Links, host.links.as_ref().is_some_and(|links| !links.is_empty())),
    ]
    .into_iter()
    .filter_map(|(asked, is_asked)| is_asked.then_some(asked))
    .collect()
}

fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(
    text: Option<String>,
    what: &str,
) -> Result<T, Unreadable> {
    let text = text.ok_or_else(|| format!("the container has no {what}"))?;
    text.parse().map_err(|error| format!("{error}"))
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
    let probes = state.health.as_ref().and_then(|health| health.log.as_ref());
    let last_probe = probes.and_then(|log| log.last()).filter(|probe| probe.exit_code != Some(0));
    let health_output =
        last_probe.and_then(|probe| probe.output.as_deref()).map(one_line).unwrap_or_default();
    let health = state.health.and_then(|health| match health.status? {
        HealthStatusEnum::STARTING => Some(Health::Starting),
        HealthStatusEnum::HEALTHY => Some(Health::Healthy),
        HealthStatusEnum::UNHEALTHY => Some(Health::Unhealthy),
        HealthStatusEnum::NONE | HealthStatusEnum::EMPTY => None,
    });
    // Go's zero time means never.
    let started_at = filled(state.started_at).filter(|time| !time.starts_with("0001-")).unwrap_or_default();
    let restarts = restarts.and_then(|restarts| u32::try_from(restarts).ok()).unwrap_or_default();
    ContainerState { status, restarts, started_at, health, health_output }
}

/// Most characters of the output of a health check that are kept.
const HEALTH_OUTPUT_CHARS: usize = 500;

fn one_line(output: &str) -> String {
    let lines: Vec<String> = output.trim().lines().map(clean).collect();
    lines.join(" ").chars().take(HEALTH_OUTPUT_CHARS).collect()
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
        domainname: filled(config.domainname),
        stop_signal: filled(config.stop_signal),
        stop_grace: limit(config.stop_timeout).map(Duration::from_secs),
        tty: config.tty == Some(true),
        stdin_open: config.open_stdin == Some(true),
        ..host_part(image.parse().map_err(|error| format!("{error}"))?, host)
    })
}

/// Only newer engines with images in containerd tell it of a container. Of the others the image tells it.
fn platform(found: OciPlatform) -> Option<Platform> {
    let (os, architecture) = filled(found.os).zip(filled(found.architecture))?;
    Some(Platform::of(&os, &architecture, filled(found.variant).as_deref()))
}

fn host_part(image: crate::model::image::ImageRef, host: &HostConfig) -> ContainerSpec {
    ContainerSpec {
        restart: restart(host.restart_policy.as_ref()),
        init: host.init,
        read_only: host.readonly_rootfs == Some(true),
        privileged: host.privileged == Some(true),
        cap_add: host.cap_add.iter().flatten().map(|name| capability(name)).collect(),
        cap_drop: host.cap_drop.iter().flatten().map(|name| capability(name)).collect(),
        security_opt: set(host.security_opt.as_ref()),
        extra_hosts: host.extra_hosts.iter().flatten().filter_map(|line| extra_host(line)).collect(),
        dns: host.dns.clone().unwrap_or_default(),
        dns_search: host.dns_search.clone().unwrap_or_default(),
        dns_options: set(host.dns_options.as_ref()),
        sysctls: sorted(host.sysctls.clone()),
        ulimits: ulimits(host),
        shm_size: limit(host.shm_size),
        logging: logging(host),
        resources: limits::resources(host),
        block_io: limits::block_io(host),
        devices: devices::from_api(host),
        runtime: runtime(host),
        ..ContainerSpec::of_image(image)
    }
}

fn set(list: Option<&Vec<String>>) -> BTreeSet<String> {
    list.into_iter().flatten().cloned().collect()
}

fn runtime(host: &HostConfig) -> Runtime {
    Runtime {
        name: filled(host.runtime.clone()),
        groups: set(host.group_add.as_ref()),
        cgroup_parent: filled(host.cgroup_parent.clone()),
        oom_kill_disable: host.oom_kill_disable == Some(true),
        oom_score_adj: host.oom_score_adj.unwrap_or_default(),
        swappiness: limit(host.memory_swappiness),
        storage: sorted(host.storage_opt.clone()),
        annotations: sorted(host.annotations.clone()),
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
