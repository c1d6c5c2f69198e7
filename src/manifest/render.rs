//! The resolved stack as a Compose model, for people and tools.
//!
//! It is written from [`Desired`](crate::model::desired::Desired) itself, so it shows what is deployed and not what was read. What is sensitive is
//! shown as `(sensitive)`; everything that Compose cannot say is under `x-evenkeel`.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::time::Duration;

use serde_json::Value as Json;
use serde_yaml::{Mapping, Value};

use super::{Resolved, units};
use crate::model::desired::{Condition, Desired, Gate, Service};
use crate::model::name::{NetworkName, VolumeName};
use crate::model::spec::{
    Attachment, ContainerSpec, ContentDigest, HealthTest, Healthcheck, HostPort, Mount, MountSource,
    NetworkSpec, PublishedPort, RestartPolicy, VolumeSpec,
};

impl Resolved {
    /// What is deployed as Compose YAML.
    pub fn to_yaml(&self) -> String {
        serde_yaml::to_string(&stack(&self.desired)).unwrap_or_default()
    }

    /// What is deployed as JSON, the same model.
    pub fn to_json(&self) -> Json {
        serde_json::to_value(stack(&self.desired)).unwrap_or_default()
    }
}

/// A mapping in the order in which it is written; what is absent or empty is left out.
#[derive(Default)]
struct Out(Mapping);

impl Out {
    fn put(&mut self, key: &str, value: impl Into<Value>) {
        self.0.insert(key.into(), value.into());
    }

    fn text(&mut self, key: &str, value: Option<impl Display>) {
        if let Some(value) = value {
            self.put(key, value.to_string());
        }
    }

    fn flag(&mut self, key: &str, value: bool) {
        if value {
            self.put(key, true);
        }
    }

    fn duration(&mut self, key: &str, value: Option<Duration>) {
        self.text(key, value.map(units::shown_duration));
    }

    fn texts(&mut self, key: &str, values: impl IntoIterator<Item = impl Display>) {
        let values: Vec<Value> = values.into_iter().map(|value| value.to_string().into()).collect();
        if !values.is_empty() {
            self.put(key, values);
        }
    }

    fn map<'a>(&mut self, key: &str, entries: impl IntoIterator<Item = (&'a String, impl Display)>) {
        let mut map = Self::default();
        for (name, value) in entries {
            map.put(name, value.to_string());
        }
        self.part(key, map);
    }

    fn part(&mut self, key: &str, part: Self) {
        if !part.0.is_empty() {
            self.put(key, part.0);
        }
    }
}

/// What Docker's names and digests are called in the manifests.
struct Names<'d> {
    networks: BTreeMap<&'d NetworkName, &'d str>,
    volumes: BTreeMap<&'d VolumeName, &'d str>,
    contents: BTreeMap<&'d ContentDigest, &'d str>,
}

fn stack(desired: &Desired) -> Value {
    let Desired { stack, environment, revision: _, tiers, networks, volumes, services, contents } = desired;
    let names = Names {
        networks: networks.iter().map(|(key, spec)| (&spec.name, key.as_str())).collect(),
        volumes: volumes.iter().map(|(key, spec)| (&spec.name, key.as_str())).collect(),
        contents: contents.iter().map(|(digest, content)| (digest, content.path.as_str())).collect(),
    };
    let mut out = Out::default();
    out.put("name", stack.as_str());
    out.text("x-evenkeel-environment", environment.as_ref());
    out.texts("x-evenkeel-tiers", tiers);
    let mut part = Out::default();
    for (name, found) in services {
        part.put(name.as_str(), service(&names, found));
    }
    out.part("services", part);
    let mut part = Out::default();
    for (key, spec) in networks {
        part.put(key.as_str(), network(spec));
    }
    out.part("networks", part);
    let mut part = Out::default();
    for (key, spec) in volumes {
        part.put(key.as_str(), volume(spec));
    }
    out.part("volumes", part);
    Value::Mapping(out.0)
}

fn service(names: &Names<'_>, service: &Service) -> Mapping {
    let Service { name: _, tier, container_name, replicas, depends_on, gate, spec } = service;
    let mut out = Out::default();
    let mut own = Out::default();
    own.put("tier", tier.as_str());
    own.part("gate", written_gate(gate));
    out.part("x-evenkeel", own);
    out.text("container_name", container_name.as_ref());
    if *replicas != 1 {
        out.put("scale", *replicas);
    }
    let mut waits = Out::default();
    for (name, dependency) in depends_on {
        let mut one = Out::default();
        let condition = match dependency.condition {
            Condition::Started => "service_started",
            Condition::Healthy => "service_healthy",
            Condition::Completed => "service_completed_successfully",
        };
        one.put("condition", condition);
        one.put("required", dependency.required);
        waits.put(name.as_str(), one.0);
    }
    out.part("depends_on", waits);
    container(names, spec, &mut out);
    out.0
}

fn written_gate(gate: &Gate) -> Out {
    // What a service is expected to do follows from who waits for it, so it isn't written.
    let Gate { expect: _, http, tcp, stable_for, deadline } = gate;
    let mut out = Out::default();
    if let Some(http) = http {
        let mut part = Out::default();
        part.put("url", format!("http://localhost:{}{}", http.port, http.path));
        part.put("status", http.status);
        part.map("json", &http.json);
        part.duration("within", http.within);
        out.part("http", part);
    }
    if let Some(port) = tcp {
        out.put("tcp", *port);
    }
    out.duration("stable_for", *stable_for);
    out.duration("deadline", *deadline);
    out
}

fn container(names: &Names<'_>, spec: &ContainerSpec, out: &mut Out) {
    let ContainerSpec { image, command, entrypoint, environment, labels, ports, expose, networks, .. } = spec;
    out.put("image", image.to_string());
    for (key, words) in [("entrypoint", entrypoint), ("command", command)] {
        if let Some(words) = words {
            out.put(key, words.iter().map(|word| Value::from(word.to_string())).collect::<Vec<_>>());
        }
    }
    out.map("environment", environment);
    out.map("labels", labels);
    let ports: Vec<Value> = ports.iter().map(|written| Value::Mapping(port(written))).collect();
    if !ports.is_empty() {
        out.put("ports", ports);
    }
    out.texts("expose", expose);
    out.part("networks", joined(names, networks));
    let mounts: Vec<Value> =
        spec.mounts.iter().map(|(target, found)| Value::Mapping(mount(names, target, found))).collect();
    if !mounts.is_empty() {
        out.put("volumes", mounts);
    }
    if let Some(found) = &spec.healthcheck {
        out.part("healthcheck", healthcheck(found));
    }
    settings(spec, out);
    limits(spec, out);
}

fn settings(spec: &ContainerSpec, out: &mut Out) {
    out.text("user", spec.user.as_ref());
    out.text("working_dir", spec.working_dir.as_ref());
    out.text("hostname", spec.hostname.as_ref());
    if spec.restart != RestartPolicy::No {
        out.put("restart", spec.restart.to_string());
    }
    out.text("stop_signal", spec.stop_signal.as_ref());
    out.duration("stop_grace_period", spec.stop_grace);
    if let Some(init) = spec.init {
        out.put("init", init);
    }
    out.flag("read_only", spec.read_only);
    out.flag("tty", spec.tty);
    out.flag("stdin_open", spec.stdin_open);
    out.flag("privileged", spec.privileged);
    out.texts("cap_add", &spec.cap_add);
    out.texts("cap_drop", &spec.cap_drop);
    out.texts("security_opt", &spec.security_opt);
    out.texts("extra_hosts", spec.extra_hosts.iter().map(|(name, address)| format!("{name}={address}")));
    out.texts("dns", &spec.dns);
    out.map("sysctls", &spec.sysctls);
    if let Some(logging) = &spec.logging {
        let mut part = Out::default();
        part.put("driver", logging.driver.as_str());
        part.map("options", &logging.options);
        out.part("logging", part);
    }
}

fn limits(spec: &ContainerSpec, out: &mut Out) {
    let mut part = Out::default();
    for (name, limit) in &spec.ulimits {
        let mut one = Out::default();
        one.put("soft", limit.soft);
        one.put("hard", limit.hard);
        part.put(name, one.0);
    }
    out.part("ulimits", part);
    // Compose writes bytes as texts.
    out.text("shm_size", spec.shm_size);
    let found = &spec.resources;
    out.text("mem_limit", found.memory);
    out.text("mem_reservation", found.memory_reservation);
    out.text("cpus", found.nano_cpus.map(cpus));
    if let Some(pids) = found.pids {
        out.put("pids_limit", pids);
    }
}

fn cpus(nanos: u64) -> String {
    let text = format!("{}.{:09}", nanos / 1_000_000_000, nanos % 1_000_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn port(port: &PublishedPort) -> Mapping {
    let PublishedPort { container, host_ip, host } = port;
    let mut out = Out::default();
    out.text("host_ip", host_ip.as_ref());
    out.put("target", container.number);
    match host {
        HostPort::Any => {}
        HostPort::One(port) => out.put("published", port.to_string()),
        HostPort::OneOf(first, last) => out.put("published", format!("{first}-{last}")),
    }
    out.put("protocol", container.protocol.to_string());
    out.0
}

fn joined(names: &Names<'_>, networks: &BTreeMap<NetworkName, Attachment>) -> Out {
    let mut out = Out::default();
    for (name, attachment) in networks {
        let key = names.networks.get(name).copied();
        let Attachment { aliases, ipv4, ipv6 } = attachment;
        let mut one = Out::default();
        one.texts("aliases", aliases);
        one.text("ipv4_address", ipv4.as_ref());
        one.text("ipv6_address", ipv6.as_ref());
        let value = if one.0.is_empty() { Value::Null } else { Value::Mapping(one.0) };
        out.put(key.unwrap_or(name.as_str()), value);
    }
    out
}

fn mount(names: &Names<'_>, target: &str, mount: &Mount) -> Mapping {
    let Mount { source, read_only } = mount;
    let mut out = Out::default();
    let mut options = Out::default();
    match source {
        MountSource::Volume(name) => {
            let key = names.volumes.get(name).copied();
            out.put("type", "volume");
            out.put("source", key.unwrap_or(name.as_str()));
        }
        MountSource::Anonymous => out.put("type", "volume"),
        MountSource::Bind(path) => {
            out.put("type", "bind");
            out.put("source", path.as_str());
        }
        MountSource::Repository(digest) => {
            let path = names.contents.get(digest).copied();
            out.put("type", "bind");
            out.put("source", format!("./{}", path.unwrap_or_default()));
            out.put("x-evenkeel-content", digest.to_string());
        }
        MountSource::Tmpfs { size, mode } => {
            out.put("type", "tmpfs");
            options.text("size", *size);
            options.text("mode", mode.map(|mode| format!("0o{mode:o}")));
        }
    }
    out.put("target", target);
    out.flag("read_only", *read_only);
    out.part("tmpfs", options);
    out.0
}

fn healthcheck(found: &Healthcheck) -> Out {
    let Healthcheck { test, interval, timeout, start_period, retries } = found;
    let mut out = Out::default();
    match test {
        None => {}
        Some(HealthTest::Disabled) => out.put("test", vec![Value::from("NONE")]),
        Some(HealthTest::Exec(words)) => {
            let words = words.iter().map(ToString::to_string);
            out.texts("test", ["CMD".to_owned()].into_iter().chain(words));
        }
        Some(HealthTest::Shell(line)) => out.texts("test", ["CMD-SHELL".to_owned(), line.to_string()]),
    }
    out.duration("interval", *interval);
    out.duration("timeout", *timeout);
    out.duration("start_period", *start_period);
    if let Some(retries) = retries {
        out.put("retries", *retries);
    }
    out
}

fn network(spec: &NetworkSpec) -> Mapping {
    let NetworkSpec { name, external, driver, options, pools, internal, attachable, ipv6, labels } = spec;
    let mut out = Out::default();
    out.put("name", name.as_str());
    out.flag("external", *external);
    out.text("driver", driver.as_ref());
    out.map("driver_opts", options);
    let pools: Vec<Value> = pools
        .iter()
        .map(|pool| {
            let mut one = Out::default();
            one.put("subnet", pool.subnet.as_str());
            one.text("gateway", pool.gateway.as_ref());
            one.text("ip_range", pool.ip_range.as_ref());
            Value::Mapping(one.0)
        })
        .collect();
    if !pools.is_empty() {
        let mut ipam = Out::default();
        ipam.put("config", pools);
        out.part("ipam", ipam);
    }
    out.flag("internal", *internal);
    out.flag("attachable", *attachable);
    out.flag("enable_ipv6", *ipv6);
    out.map("labels", labels);
    out.0
}

fn volume(spec: &VolumeSpec) -> Mapping {
    let VolumeSpec { name, external, driver, options, labels } = spec;
    let mut out = Out::default();
    out.put("name", name.as_str());
    out.flag("external", *external);
    out.text("driver", driver.as_ref());
    out.map("driver_opts", options);
    out.map("labels", labels);
    out.0
}
