//! A [`Draft`] as the Compose file that a person would write: short forms, usual order, nothing that goes without saying.

mod secrets;

use std::collections::{BTreeMap, BTreeSet};

use serde_yaml::{Mapping, Value};

use super::super::language::yaml;
use super::{Names, Out, container, parts};
use crate::model::desired::{Condition, Dependency};
use crate::model::draft::{Draft, DraftService};
use crate::model::name::ServiceName;
use crate::model::spec::{
    Attachment, ContainerSpec, HealthTest, HostPort, Mount, MountOptions, MountSource, PublishedPort, Swap,
};
use crate::model::text::Text;

pub use secrets::Variable;

/// A Compose file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The file.
    pub text: String,
    /// What it takes from outside, for that is nothing to be written down.
    pub variables: BTreeMap<String, Variable>,
    /// What it doesn't say, and why.
    pub notes: Vec<String>,
}

/// Writes `draft` as a Compose file. Values that look secret are variables in it.
pub fn written(draft: &Draft) -> Written {
    let mut tree = file(draft);
    let mut notes = draft.notes.clone();
    let variables = secrets::take_out(&mut tree, &mut notes);
    let mut text = String::from("# What runs on this host, as `evenkeel adopt --write` found it.\n");
    if !notes.is_empty() {
        text.push_str("#\n# What this file can't say, or nobody can tell from a container:\n");
        text.extend(notes.iter().map(|note| format!("# - {}\n", note.replace(char::is_control, " "))));
    }
    text.push_str(&yaml::written(&Value::Mapping(tree)));
    Written { text, variables, notes }
}

/// The keys of a service in the order in which people write them; the others follow.
const ORDER: [&str; 19] = [
    "image",
    "container_name",
    "hostname",
    "domainname",
    "user",
    "working_dir",
    "entrypoint",
    "command",
    "restart",
    "scale",
    "depends_on",
    "environment",
    "ports",
    "expose",
    "network_mode",
    "networks",
    "volumes",
    "tmpfs",
    "healthcheck",
];

fn file(draft: &Draft) -> Mapping {
    let Draft { stack, services, networks, volumes, notes: _ } = draft;
    let names = Names {
        networks: networks.iter().map(|(key, spec)| (&spec.name, key.as_str())).collect(),
        volumes: volumes.iter().map(|(key, spec)| (&spec.name, key.as_str())).collect(),
        contents: BTreeMap::new(),
    };
    let mut out = Out::default();
    out.put("name", stack.as_str());
    let mut part = Out::default();
    for (name, found) in services {
        part.put(name.as_str(), service(&names, draft, found));
    }
    out.part("services", part);
    let mut part = Out::default();
    for (key, spec) in networks {
        let mut one = parts::network(spec);
        leave_out_name(&mut one, key.as_str(), stack.as_str());
        if !(one.is_empty() && key.as_str() == DEFAULT) {
            part.put(key.as_str(), one);
        }
    }
    out.part("networks", part);
    let mut part = Out::default();
    for (key, spec) in volumes {
        let mut one = parts::volume(spec);
        leave_out_name(&mut one, key.as_str(), stack.as_str());
        part.put(key.as_str(), one);
    }
    out.part("volumes", part);
    out.0
}

/// The network of services that name none.
const DEFAULT: &str = "default";

/// The name goes without saying where it is made of the stack's and the key, or, outside of the stack, is the key.
fn leave_out_name(object: &mut Mapping, key: &str, stack: &str) {
    let usual = if object.contains_key("external") { key.to_owned() } else { format!("{stack}_{key}") };
    if object.get("name").and_then(Value::as_str) == Some(usual.as_str()) {
        object.shift_remove("name");
    }
}

fn service(names: &Names<'_>, draft: &Draft, service: &DraftService) -> Mapping {
    let DraftService { container_name, replicas, depends_on, spec } = service;
    // Whether a value may be shown is asked of the finished tree.
    let spec = &told(spec);
    let mut out = Out::default();
    out.text("container_name", container_name.as_ref());
    if *replicas != 1 {
        out.put("scale", *replicas);
    }
    put_order(&mut out, depends_on);
    container(names, spec, &mut out);
    shorten(&mut out, names, spec);
    put_networks(&mut out, names, draft, spec);
    put_links(&mut out, draft, spec);
    let mut ordered = Mapping::new();
    for key in ORDER {
        if let Some(value) = out.0.shift_remove(key) {
            ordered.insert(key.into(), value);
        }
    }
    ordered.extend(out.0);
    ordered
}

/// The same, with texts that are not hidden from who writes them.
fn told(spec: &ContainerSpec) -> ContainerSpec {
    let plain = |text: &Text| Text::plain(text.expose());
    let all = |texts: &Vec<Text>| texts.iter().map(plain).collect::<Vec<_>>();
    let mut told = spec.clone();
    told.command = spec.command.as_ref().map(all);
    told.entrypoint = spec.entrypoint.as_ref().map(all);
    told.environment = spec.environment.iter().map(|(name, value)| (name.clone(), plain(value))).collect();
    if let Some(healthcheck) = &mut told.healthcheck {
        healthcheck.test = healthcheck.test.take().map(|test| match test {
            HealthTest::Disabled => HealthTest::Disabled,
            HealthTest::Exec(words) => HealthTest::Exec(all(&words)),
            HealthTest::Shell(line) => HealthTest::Shell(plain(&line)),
        });
    }
    told
}

fn put_order(out: &mut Out, depends_on: &BTreeMap<ServiceName, Dependency>) {
    let is_plain =
        |dependency: &Dependency| dependency.condition == Condition::Started && !dependency.restart;
    if depends_on.values().all(is_plain) {
        out.texts("depends_on", depends_on.keys());
        return;
    }
    let mut part = Out::default();
    for (name, Dependency { condition, required: _, restart }) in depends_on {
        let mut one = Out::default();
        one.put(
            "condition",
            match condition {
                Condition::Started => "service_started",
                Condition::Healthy => "service_healthy",
                Condition::Completed => "service_completed_successfully",
            },
        );
        one.flag("restart", *restart);
        part.put(name.as_str(), one.0);
    }
    out.part("depends_on", part);
}

/// Puts short forms in the place of long ones, where they say the same.
fn shorten(out: &mut Out, names: &Names<'_>, spec: &ContainerSpec) {
    out.texts("ports", spec.ports.iter().map(port));
    let (memory, rest): (Vec<_>, Vec<_>) =
        spec.mounts.iter().partition(|(_, mount)| matches!(mount.source, MountSource::Tmpfs { .. }));
    out.0.shift_remove("volumes");
    out.values("volumes", rest.into_iter().map(|(target, found)| mount(names, target, found)).collect());
    out.0.shift_remove("tmpfs");
    out.texts("tmpfs", memory.into_iter().map(|(target, mount)| tmpfs(target, mount)));
    for (key, bytes) in [
        ("mem_limit", spec.resources.memory),
        ("mem_reservation", spec.resources.memory_reservation),
        ("shm_size", spec.shm_size),
    ] {
        out.text(key, bytes.map(size));
    }
    match spec.resources.memory_swap {
        None => {}
        Some(Swap::Unlimited) => out.put("memswap_limit", -1),
        Some(Swap::Bytes(bytes)) => out.put("memswap_limit", size(bytes)),
    }
    let test = spec.healthcheck.as_ref().and_then(|check| check.test.as_ref());
    if let (Some(HealthTest::Disabled), Some(Value::Mapping(part))) = (test, out.0.get_mut("healthcheck")) {
        part.shift_remove("test");
        part.insert("disable".into(), true.into());
    }
}

fn port(port: &PublishedPort) -> String {
    let PublishedPort { container, host_ip, host } = port;
    let address = match host_ip {
        Some(std::net::IpAddr::V6(ip)) => format!("[{ip}]:"),
        Some(std::net::IpAddr::V4(ip)) => format!("{ip}:"),
        None => String::new(),
    };
    let host = match host {
        HostPort::Any if address.is_empty() => String::new(),
        HostPort::Any => ":".to_owned(),
        HostPort::One(port) => format!("{port}:"),
        HostPort::OneOf(first, last) => format!("{first}-{last}:"),
    };
    let container = container.to_string();
    format!("{address}{host}{}", container.strip_suffix("/tcp").unwrap_or(&container))
}

/// `64m`, as exact as it is.
fn size(bytes: u64) -> String {
    let units = [(30, "g"), (20, "m"), (10, "k")];
    let whole = units.iter().find(|(power, _)| bytes > 0 && bytes.is_multiple_of(1 << power));
    whole.map_or_else(|| bytes.to_string(), |(power, unit)| format!("{}{unit}", bytes >> power))
}

fn tmpfs(target: &str, mount: &Mount) -> String {
    let text = parts::short_tmpfs(target, mount);
    text.strip_suffix(':').map(str::to_owned).unwrap_or(text)
}

fn mount(names: &Names<'_>, target: &str, mount: &Mount) -> Value {
    match short(names, target, mount) {
        Some(text) => Value::from(text),
        None => Value::Mapping(parts::mount(names, target, mount)),
    }
}

/// `source:target:ro`, where that says all.
fn short(names: &Names<'_>, target: &str, mount: &Mount) -> Option<String> {
    let Mount { source, read_only, options } = mount;
    let MountOptions { create_source, relabel, propagation, recursive, no_copy, subpath, labels, kernel: _ } =
        options;
    let is_bind = matches!(source, MountSource::Bind(_));
    let source = match source {
        MountSource::Bind(path) => format!("{path}:"),
        MountSource::Volume(name) => format!("{}:", names.volumes.get(name)?),
        MountSource::Anonymous if !read_only && !no_copy => String::new(),
        MountSource::Anonymous
        | MountSource::Repository(_)
        | MountSource::Grant(_)
        | MountSource::Image(_)
        | MountSource::Tmpfs { .. } => return None,
    };
    let is_plain = recursive.is_none() && subpath.is_none() && labels.is_empty();
    let has_colon = target.contains(':') || source.trim_end_matches(':').contains(':');
    if !is_plain || has_colon || *create_source != is_bind || (!is_bind && propagation.is_some()) {
        return None;
    }
    let mut words: Vec<String> = read_only.then(|| "ro".to_owned()).into_iter().collect();
    words.extend(relabel.map(|relabel| relabel.to_string().chars().take(1).collect()));
    words.extend(propagation.map(|propagation| propagation.to_string()));
    words.extend(no_copy.then(|| "nocopy".to_owned()));
    let words = if words.is_empty() { String::new() } else { format!(":{}", words.join(",")) };
    Some(format!("{source}{target}{words}"))
}

/// The networks of a service: nothing where it is only on the default one, a list where their names say all.
fn put_networks(out: &mut Out, names: &Names<'_>, draft: &Draft, spec: &ContainerSpec) {
    out.0.shift_remove("networks");
    let mut spec = spec.clone();
    for attachment in spec.networks.values_mut() {
        attachment.links.clear();
    }
    let keys: Vec<&str> =
        spec.networks.keys().map(|name| names.networks.get(name).copied().unwrap_or(name.as_str())).collect();
    if !spec.networks.values().all(|attachment| *attachment == Attachment::default()) {
        let mut part = parts::joined(names, &spec.networks);
        for value in part.0.values_mut().filter(|value| value.is_null()) {
            *value = Value::Mapping(Mapping::new());
        }
        out.part("networks", part);
    } else if keys != [DEFAULT] || !draft.networks.keys().any(|key| key.as_str() == DEFAULT) {
        out.texts("networks", keys);
    }
}

/// What other containers are called here: by `links` where that is the name of a service of the file.
fn put_links(out: &mut Out, draft: &Draft, spec: &ContainerSpec) {
    let links: BTreeSet<&(String, String)> =
        spec.networks.values().flat_map(|attachment| &attachment.links).collect();
    out.0.shift_remove("external_links");
    let (mut inner, mut outer) = (Vec::new(), Vec::new());
    for (target, name) in links.iter().copied() {
        let service = draft.services.iter().find(|(service, found)| match &found.container_name {
            Some(own) => own.as_str() == target,
            None => format!("{}-{service}-1", draft.stack) == *target,
        });
        let Some((service, _)) = service else {
            outer.push(format!("{target}:{name}"));
            continue;
        };
        // Compose gives these two with every link.
        let usual = [format!("{service}-1"), format!("{}-{service}-1", draft.stack)];
        let is_whole = usual.iter().all(|usual| links.contains(&(target.clone(), usual.clone())));
        match (is_whole, usual.contains(name)) {
            (true, true) => {}
            (true, false) => inner.push(format!("{service}:{name}")),
            (false, _) => outer.push(format!("{target}:{name}")),
        }
    }
    out.texts("links", inner);
    out.texts("external_links", outer);
}
