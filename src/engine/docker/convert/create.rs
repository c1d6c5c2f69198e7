//! Specification → the body of a create call.

use std::collections::BTreeMap;
use std::time::Duration;

use bollard::models::{
    ContainerCreateBody, ContainerUpdateBody, EndpointSettings, HostConfig, HostConfigLogConfig,
    NetworkingConfig, ResourcesUlimits, RestartPolicy as ApiRestartPolicy, RestartPolicyNameEnum,
};

use super::{Unreadable, devices, health, limits, mounts, namespaces, networks, ports, signed};
use crate::engine::{CreateContainer, UpdateContainer};
use crate::model::name::{NetworkId, NetworkName};
use crate::model::spec::{Attachment, ContainerSpec, Logging, RestartPolicy, Runtime};
use crate::model::text::Text;

/// How the networks of a container are given to the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engine::docker) enum Joining {
    /// The first with the create call, the others by a call each: all that engines before API 1.44 can.
    FirstOnly,
    /// All with the create call.
    AllAtOnce,
}

/// The body that creates the container of `request`.
///
/// # Errors
/// Says what in the request can't be said to Docker: a network without an id, a file of the repository.
pub(in crate::engine::docker) fn body(
    request: &CreateContainer,
    joining: Joining,
) -> Result<ContainerCreateBody, Unreadable> {
    let spec = &request.spec;
    let first = first_network(request)?;
    let exposed = spec.expose.iter().chain(spec.ports.iter().map(|port| &port.container));
    Ok(ContainerCreateBody {
        image: Some(spec.image.to_string()),
        cmd: spec.command.as_deref().map(words),
        entrypoint: spec.entrypoint.as_deref().map(words),
        env: Some(spec.environment.iter().map(|(key, value)| format!("{key}={}", value.expose())).collect()),
        labels: Some(spec.labels.clone().into_iter().chain(request.labels.clone()).collect()),
        exposed_ports: Some(exposed.map(ToString::to_string).collect()),
        healthcheck: spec.healthcheck.as_ref().map(health::to_api),
        user: spec.user.clone(),
        working_dir: spec.working_dir.clone(),
        hostname: spec.hostname.clone(),
        domainname: spec.domainname.clone(),
        stop_signal: spec.stop_signal.clone(),
        stop_timeout: spec.stop_grace.map(whole_seconds),
        tty: Some(spec.tty),
        open_stdin: Some(spec.stdin_open),
        host_config: Some(host_config(spec, first.map(|(_, id)| id))?),
        networking_config: networking(spec, first, joining),
        ..ContainerCreateBody::default()
    })
}

/// The networks that [`Joining::FirstOnly`] leaves to be joined by calls of their own.
pub(in crate::engine::docker) fn further_networks(
    request: &CreateContainer,
) -> Result<Vec<(NetworkId, Attachment)>, Unreadable> {
    let first = request.spec.first_network().map(|(name, _)| name);
    let further = request.spec.networks.iter().filter(|(name, _)| Some(*name) != first);
    further.map(|(name, attachment)| Ok((network_id(request, name)?.clone(), attachment.clone()))).collect()
}

/// The body of an update.
pub(in crate::engine::docker) fn update(update: &UpdateContainer) -> ContainerUpdateBody {
    let UpdateContainer { restart, resources } = update;
    ContainerUpdateBody { restart_policy: (*restart).map(restart_policy), ..limits::update(resources) }
}

/// The whole seconds that `duration` needs: the API knows no parts of a second.
pub(in crate::engine::docker) fn whole_seconds(duration: Duration) -> i64 {
    let more = u64::from(duration.subsec_nanos() > 0);
    signed(duration.as_secs().saturating_add(more))
}

/// Whether an engine says with `warning` that it leaves out what was asked for. There is no code for it, only words,
/// which are the same in all engines: `Your kernel does not support … discarded`.
pub(in crate::engine::docker) fn is_refusal(warning: &str) -> bool {
    let warning = warning.to_ascii_lowercase();
    warning.contains("does not support") && warning.contains("discarded")
}

type Named<'a> = (&'a NetworkName, &'a NetworkId);

fn first_network(request: &CreateContainer) -> Result<Option<Named<'_>>, Unreadable> {
    let Some((name, _)) = request.spec.first_network() else { return Ok(None) };
    Ok(Some((name, network_id(request, name)?)))
}

fn network_id<'a>(request: &'a CreateContainer, name: &NetworkName) -> Result<&'a NetworkId, Unreadable> {
    request.networks.get(name).ok_or_else(|| format!("the network {name} has no id"))
}

fn networking(spec: &ContainerSpec, first: Option<Named<'_>>, joining: Joining) -> Option<NetworkingConfig> {
    let (_, first) = first?;
    let endpoints: BTreeMap<String, EndpointSettings> = match joining {
        // Names aren't unique on these engines; Docker replaces the id by the name when it stores this.
        Joining::FirstOnly => {
            let (_, attachment) = spec.first_network()?;
            BTreeMap::from([(first.to_string(), networks::endpoint(attachment))])
        }
        Joining::AllAtOnce => {
            spec.networks.iter().map(|(name, join)| (name.to_string(), networks::endpoint(join))).collect()
        }
    };
    Some(NetworkingConfig { endpoints_config: Some(endpoints.into_iter().collect()) })
}

fn host_config(spec: &ContainerSpec, network: Option<&NetworkId>) -> Result<HostConfig, Unreadable> {
    let mounted = mounts::to_api(&spec.mounts)?;
    let strings = |set: &std::collections::BTreeSet<String>| Some(set.iter().cloned().collect());
    let mut host = HostConfig {
        port_bindings: Some(ports::bindings(&spec.ports)),
        mounts: Some(mounted.mounts),
        binds: Some(mounted.binds),
        tmpfs: Some(mounted.tmpfs.into_iter().collect()),
        restart_policy: Some(restart_policy(spec.restart)),
        init: spec.init,
        readonly_rootfs: Some(spec.read_only),
        privileged: Some(spec.privileged),
        cap_add: strings(&spec.cap_add),
        cap_drop: strings(&spec.cap_drop),
        security_opt: strings(&spec.security_opt),
        extra_hosts: Some(spec.extra_hosts.iter().map(|(name, ip)| format!("{name}:{ip}")).collect()),
        dns: Some(spec.dns.clone()),
        dns_search: Some(spec.dns_search.clone()),
        dns_options: strings(&spec.dns_options),
        sysctls: Some(spec.sysctls.clone().into_iter().collect()),
        ulimits: Some(ulimits(spec)),
        shm_size: spec.shm_size.map(signed),
        log_config: spec.logging.as_ref().map(logging),
        ..HostConfig::default()
    };
    limits::to_api(&spec.resources, &spec.block_io, &mut host);
    namespaces::to_api(&spec.namespaces, network, &mut host)?;
    devices::to_api(&spec.devices, &mut host);
    runtime(&spec.runtime, &mut host);
    Ok(host)
}

fn runtime(runtime: &Runtime, host: &mut HostConfig) {
    let Runtime {
        name,
        groups,
        cgroup_parent,
        oom_kill_disable,
        oom_score_adj,
        swappiness,
        storage,
        annotations,
    } = runtime;
    host.runtime.clone_from(name);
    host.group_add = Some(groups.iter().cloned().collect());
    host.cgroup_parent.clone_from(cgroup_parent);
    // Engines without it warn even of an explicit no.
    host.oom_kill_disable = oom_kill_disable.then_some(true);
    host.oom_score_adj = Some(*oom_score_adj);
    host.memory_swappiness = swappiness.map(signed);
    host.storage_opt = (!storage.is_empty()).then(|| storage.clone().into_iter().collect());
    // Engines before API 1.43 don't know them; the planner has refused them there.
    host.annotations = (!annotations.is_empty()).then(|| annotations.clone().into_iter().collect());
}

fn ulimits(spec: &ContainerSpec) -> Vec<ResourcesUlimits> {
    let one = |(name, limit): (&String, &crate::model::spec::Ulimit)| ResourcesUlimits {
        name: Some(name.clone()),
        soft: Some(limit.soft),
        hard: Some(limit.hard),
    };
    spec.ulimits.iter().map(one).collect()
}

fn logging(logging: &Logging) -> HostConfigLogConfig {
    let Logging { driver, options } = logging;
    HostConfigLogConfig { typ: Some(driver.clone()), config: Some(options.clone().into_iter().collect()) }
}

fn restart_policy(policy: RestartPolicy) -> ApiRestartPolicy {
    let (name, most) = match policy {
        RestartPolicy::No => (RestartPolicyNameEnum::NO, None),
        RestartPolicy::Always => (RestartPolicyNameEnum::ALWAYS, None),
        RestartPolicy::UnlessStopped => (RestartPolicyNameEnum::UNLESS_STOPPED, None),
        RestartPolicy::OnFailure(most) => (RestartPolicyNameEnum::ON_FAILURE, most),
    };
    ApiRestartPolicy { name: Some(name), maximum_retry_count: most.map(i64::from) }
}

fn words(words: &[Text]) -> Vec<String> {
    words.iter().map(|word| word.expose().to_owned()).collect()
}
