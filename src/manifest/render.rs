//! The resolved stack as a Compose model, for people and tools.
//!
//! It is written from [`Desired`](crate::model::desired::Desired) itself, so it shows what is deployed and not what was read. What is sensitive is
//! shown as `(sensitive)`; everything that Compose cannot say is under `x-evenkeel`.

pub(super) mod draft;
mod gate;
mod grants;
mod parts;
mod machine;

use std::collections::BTreeMap;
use std::fmt::Display;
use std::time::Duration;

use serde_json::Value as Json;
use serde_yaml::{Mapping, Value};

use super::{Resolved, units};
use crate::model::desired::{Condition, Desired, Prune, Service};
use crate::model::image::PullPolicy;
use crate::model::name::{NetworkName, VolumeName};
use crate::model::policy::Rollback;
use crate::model::spec::{
    ContainerSpec, ContentDigest, HealthTest, Healthcheck, HostPort, PublishedPort, RestartPolicy,
};
use crate::model::window::{Admission, Approval, Window, WindowKind};

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

    fn values(&mut self, key: &str, values: Vec<Value>) {
        if !values.is_empty() {
            self.put(key, values);
        }
    }

    /// Several may speak of the same part, each of other keys.
    fn part(&mut self, key: &str, part: Self) {
        match self.0.get_mut(key) {
            Some(Value::Mapping(known)) => known.extend(part.0),
            Some(_) | None if part.0.is_empty() => {}
            Some(_) | None => self.put(key, part.0),
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
    let Desired {
        stack,
        environment,
        revision: _,
        tiers,
        networks,
        volumes,
        services,
        contents,
        hosts,
        prune,
        admission,
    } = desired;
    let names = Names {
        networks: networks.iter().map(|(key, spec)| (&spec.name, key.as_str())).collect(),
        volumes: volumes.iter().map(|(key, spec)| (&spec.name, key.as_str())).collect(),
        contents: contents.iter().map(|(digest, content)| (digest, content.path.as_str())).collect(),
    };
    let mut out = Out::default();
    out.put("name", stack.as_str());
    out.text("x-evenkeel-environment", environment.as_ref());
    out.texts("x-evenkeel-tiers", tiers);
    out.texts("x-evenkeel-hosts", hosts);
    if *prune == Prune::Report {
        out.put("x-evenkeel-prune", false);
    }
    admitted(&mut out, admission);
    let mut part = Out::default();
    for (name, found) in services {
        part.put(name.as_str(), service(&names, found));
    }
    out.part("services", part);
    let mut part = Out::default();
    for (key, spec) in networks {
        part.put(key.as_str(), parts::network(spec));
    }
    out.part("networks", part);
    let mut part = Out::default();
    for (key, spec) in volumes {
        part.put(key.as_str(), parts::volume(spec));
    }
    out.part("volumes", part);
    let mut whole = Value::Mapping(out.0);
    escape(&mut whole);
    whole
}

fn admitted(out: &mut Out, admission: &Admission) {
    let Admission { windows, approval } = admission;
    let window = |window: &Window| {
        let Window { kind, begins, duration, reason } = window;
        let mut out = Out::default();
        out.put("kind", word(&WindowKind::WORDS, *kind));
        out.put("cron", begins.cron());
        out.put("timezone", begins.zone());
        out.duration("duration", Some(*duration));
        out.text("reason", reason.as_ref());
        Value::Mapping(out.0)
    };
    if !windows.is_empty() {
        out.put("x-evenkeel-windows", Value::Sequence(windows.iter().map(window).collect()));
    }
    if *approval == Approval::Required {
        out.put("x-evenkeel-approval", word(&Approval::WORDS, *approval));
    }
}

/// The word for a value.
fn word<T: Copy + PartialEq>(words: &[(&'static str, T)], value: T) -> &'static str {
    words.iter().find(|(_, known)| *known == value).map_or("", |(word, _)| word)
}

/// Lets no text be read as a variable.
fn escape(value: &mut Value) {
    match value {
        Value::String(text) => *text = text.replace('$', "$$"),
        Value::Sequence(items) => items.iter_mut().for_each(escape),
        Value::Mapping(map) => map.iter_mut().for_each(|(_, value)| escape(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Tagged(_) => {}
    }
}

fn service(names: &Names<'_>, service: &Service) -> Mapping {
    let Service {
        name: _,
        tier,
        container_name,
        replicas,
        depends_on,
        gate: behind,
        update,
        way_back,
        drift,
        rollback,
        watch,
        moved_from,
        pull,
        spec,
    } = service;
    let mut out = Out::default();
    let mut own = Out::default();
    own.put("tier", tier.as_str());
    own.part("gate", gate::written(behind));
    let mut rules = Out::default();
    for (path, treatment) in drift.rules() {
        rules.put(path, treatment.word());
    }
    own.part("drift", rules);
    match rollback {
        Rollback::Automatic => {}
        Rollback::Hold => own.put("rollback", "hold"),
    }
    own.duration("watch", *watch);
    own.text("moved_from", moved_from.as_ref());
    out.part("x-evenkeel", own);
    out.text("container_name", container_name.as_ref());
    if *replicas != 1 {
        out.put("scale", *replicas);
    }
    match pull {
        PullPolicy::Missing => {}
        PullPolicy::Always => out.put("pull_policy", "always"),
        PullPolicy::Never => out.put("pull_policy", "never"),
        PullPolicy::Every(age) => out.put("pull_policy", format!("every_{}s", age.as_secs())),
    }
    out.part("deploy", parts::deploy(update, way_back));
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
        one.flag("restart", dependency.restart);
        waits.put(name.as_str(), one.0);
    }
    out.part("depends_on", waits);
    container(names, spec, &mut out);
    out.0
}

fn container(names: &Names<'_>, spec: &ContainerSpec, out: &mut Out) {
    let ContainerSpec {
        image,
        platform,
        command,
        entrypoint,
        environment,
        labels,
        ports,
        expose,
        networks,
        ..
    } = spec;
    out.put("image", image.to_string());
    out.text("platform", platform.as_ref());
    for (key, words) in [("entrypoint", entrypoint), ("command", command)] {
        if let Some(words) = words {
            out.put(key, words.iter().map(|word| Value::from(word.to_string())).collect::<Vec<_>>());
        }
    }
    out.map("environment", environment);
    out.map("labels", labels);
    out.values("ports", ports.iter().map(|written| Value::Mapping(port(written))).collect());
    out.texts("expose", expose);
    out.part("networks", parts::joined(names, networks));
    grants::put(out, spec);
    parts::put_mounts(out, names, spec);
    if let Some(found) = &spec.healthcheck {
        out.put("healthcheck", healthcheck(found).0);
    }
    settings(spec, out);
    limits(spec, out);
    machine::written(spec, out);
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

fn healthcheck(found: &Healthcheck) -> Out {
    let Healthcheck { test, interval, timeout, start_period, start_interval, retries } = found;
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
    out.duration("start_interval", *start_interval);
    if let Some(retries) = retries {
        out.put("retries", *retries);
    }
    out
}
