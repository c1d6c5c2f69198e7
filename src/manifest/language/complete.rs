//! What is left unsaid and what follows from what is said: defaults, names, implied dependencies.

use std::collections::BTreeSet;

use super::super::node::{Entry, Key, Map, Node, Value};
use super::super::source::Span;
use super::mounts;
use super::places::{self, Base};
use super::short::{entry, map_node, plain_node, text_node};
use super::typed::text_of;
use super::unique;

/// Completes the merged tree of the project `name`.
pub(crate) fn complete(root: &mut Map, name: &str, base: &Base) {
    if let Some(services) = section(root, "services") {
        for entry in &mut services.entries {
            let span = entry.key.span;
            if let Some(map) = entry.value.as_map_mut() {
                service(map, span, base);
            }
        }
    }
    default_network(root);
    for name_of in ["networks", "volumes", "secrets", "configs"] {
        for entry in section(root, name_of).into_iter().flat_map(|map| &mut map.entries) {
            named(entry, name);
        }
    }
}

/// A section of the file, as a mapping.
pub(crate) fn section<'m>(root: &'m mut Map, name: &str) -> Option<&'m mut Map> {
    root.get_mut(name).and_then(Node::as_map_mut)
}

fn put(map: &mut Map, key: &str, value: Node) {
    if map.entry(key).is_none() {
        map.entries.push(entry(key, value));
    }
}

fn said<'m>(map: &'m Map, key: &str) -> Option<&'m str> {
    map.get(key).and_then(Node::as_scalar).map(|scalar| scalar.text.as_str())
}

fn service(map: &mut Map, span: Span, base: &Base) {
    if said(map, "pull_policy") == Some("if_not_present")
        && let Some(Value::Scalar(scalar)) = map.get_mut("pull_policy").map(|node| &mut node.value)
    {
        "missing".clone_into(&mut scalar.text);
    }
    if let Some(build) = map.get_mut("build").and_then(Node::as_map_mut) {
        build_defaults(build, span, base);
    }
    for list in ["devices", "gpus"] {
        requests(map.get_mut(list));
    }
    let reservations = ["deploy", "resources", "reservations"];
    let found =
        reservations.iter().try_fold(&mut *map, |map, key| map.get_mut(key).and_then(Node::as_map_mut));
    requests(found.and_then(|map| map.get_mut("devices")));
    mount_targets(map);
    secret_targets(map);
    if let Some(scale) = map.get("scale").cloned()
        && let Some(deploy) = map.get_mut("deploy").and_then(Node::as_map_mut)
    {
        put(deploy, "replicas", scale);
    }
    // Of servers only those that are named count.
    if let Some(Value::List(items)) = map.get_mut("dns").map(|node| &mut node.value) {
        items.retain(|item| item.as_scalar().is_none_or(|scalar| !scalar.text.is_empty()));
    }
    dependencies(map, span);
    let own_network = map.get("network_mode").is_some() || map.get("provider").is_some();
    let joined = map.get("networks").and_then(Node::as_map).is_some_and(|map| !map.entries.is_empty());
    if !joined {
        map.remove("networks");
    }
    if !own_network && !joined {
        let nothing = Node { span, tag: None, value: Value::Null };
        map.entries.push(entry("networks", map_node(span, vec![entry("default", nothing)])));
    }
}

fn build_defaults(build: &mut Map, span: Span, base: &Base) {
    put(build, "context", text_node(&places::join(&base.folder, "."), span, None));
    if said(build, "dockerfile").is_none() && said(build, "dockerfile_inline").is_none() {
        put(build, "dockerfile", text_node("Dockerfile", span, None));
    }
    if let Some(args) = build.get_mut("args").and_then(Node::as_map_mut) {
        args.entries.retain(|entry| !matches!(entry.value.value, Value::Null));
    }
}

/// A request that says neither how many devices nor which means all.
fn requests(list: Option<&mut Node>) {
    let Some(Value::List(items)) = list.map(|node| &mut node.value) else { return };
    for item in items {
        let span = item.span;
        let Some(map) = item.as_map_mut() else { continue };
        // A mapping of a device of the host has a source; this is none.
        if map.entry("source").is_none() && map.get("count").is_none() && map.get("device_ids").is_none() {
            put(map, "count", plain_node("-1", span));
        }
    }
}

fn mount_targets(map: &mut Map) {
    let Some(Value::List(items)) = map.get_mut("volumes").map(|node| &mut node.value) else { return };
    for item in items {
        let Some(map) = item.as_map_mut() else { continue };
        if let Some(Value::Scalar(scalar)) = map.get_mut("target").map(|node| &mut node.value) {
            scalar.text = cleaned(&scalar.text);
        }
    }
}

/// A path without what leads nowhere.
pub(crate) fn cleaned(path: &str) -> String {
    if mounts::is_path(path) && !path.starts_with('/') && !path.starts_with('.') {
        return path.to_owned();
    }
    let joined = places::join(if path.starts_with('/') { "/" } else { "." }, path);
    match joined.strip_prefix("./") {
        Some(rest) => rest.to_owned(),
        None => joined,
    }
}

fn secret_targets(map: &mut Map) {
    let Some(Value::List(items)) = map.get_mut("secrets").map(|node| &mut node.value) else { return };
    for item in items {
        let span = item.span;
        let Some(map) = item.as_map_mut() else { continue };
        if let Some(source) = said(map, "source") {
            let target = format!("/run/secrets/{source}");
            put(map, "target", text_node(&target, span, None));
        }
    }
}

/// Whoever shares something with another service depends on it.
fn dependencies(map: &mut Map, span: Span) {
    let mut implied: Vec<(String, bool, Span)> = Vec::new();
    for link in map.get("links").map(unique::items).unwrap_or_default() {
        let Some(scalar) = link.as_scalar() else { continue };
        let parts: Vec<&str> = scalar.text.split(':').collect();
        let name = if parts.len() == 2 { parts.first().copied().unwrap_or_default() } else { &scalar.text };
        implied.push((name.to_owned(), true, link.span));
    }
    for key in ["network_mode", "ipc", "pid", "uts", "cgroup"] {
        let shared = said(map, key).and_then(|text| text.strip_prefix("service:"));
        if let Some(name) = shared {
            implied.push((name.to_owned(), true, map.get(key).map_or(span, |node| node.span)));
        }
    }
    for from in map.get("volumes_from").map(unique::items).unwrap_or_default() {
        let Some(scalar) = from.as_scalar() else { continue };
        if !scalar.text.starts_with("container:") {
            let name = scalar.text.split(':').next().unwrap_or_default();
            implied.push((name.to_owned(), false, from.span));
        }
    }
    if !implied.is_empty() {
        put(map, "depends_on", map_node(span, Vec::new()));
    }
    let Some(depends_on) = map.get_mut("depends_on").and_then(Node::as_map_mut) else { return };
    for entry in &mut depends_on.entries {
        let span = entry.key.span;
        if let Some(dependency) = entry.value.as_map_mut() {
            put(dependency, "required", plain_node("true", span));
        }
    }
    for (name, restart, span) in implied {
        if depends_on.entry(&name).is_some() {
            continue;
        }
        let mut said = vec![entry("condition", text_node("service_started", span, None))];
        if restart {
            said.push(entry("restart", plain_node("true", span)));
        }
        said.push(entry("required", plain_node("true", span)));
        depends_on.entries.push(Entry { key: Key { text: name, span }, value: map_node(span, said) });
    }
}

/// The network of services that name none.
fn default_network(root: &mut Map) {
    let joined = |entry: &Entry| {
        let networks = entry.value.as_map().and_then(|map| map.get("networks")).and_then(Node::as_map);
        networks.is_some_and(|map| map.entry("default").is_some())
    };
    let services = root.get("services").and_then(Node::as_map);
    let user = services.and_then(|map| map.entries.iter().find(|entry| joined(entry)));
    let Some(span) = user.map(|entry| entry.key.span) else { return };
    if !matches!(root.entry("networks").map(|entry| &entry.value.value), Some(Value::Map(_))) {
        root.remove("networks");
        root.entries.push(entry("networks", map_node(span, Vec::new())));
    }
    if let Some(networks) = section(root, "networks")
        && networks.entry("default").is_none()
    {
        networks.entries.push(entry("default", map_node(span, Vec::new())));
    }
}

/// What has no name is called by the project and its key; what is external by its key alone.
fn named(entry: &mut Entry, project: &str) {
    if matches!(entry.value.value, Value::Null) {
        entry.value.value = Value::Map(Map::default());
    }
    let key = entry.key.text.clone();
    let span = entry.key.span;
    let Some(map) = entry.value.as_map_mut() else { return };
    if said(map, "name").is_some() {
        return;
    }
    let external = said(map, "external") == Some("true");
    let name = if external { key } else { format!("{project}_{key}") };
    map.remove("name");
    let value = Node { span, tag: None, value: Value::Scalar(text_of(name, None)) };
    map.entries.insert(0, super::short::entry("name", value));
}

/// The names of the services that are active: those without profiles, and those of which one is on.
pub(crate) fn active(root: &Map, profiles: &BTreeSet<String>) -> BTreeSet<String> {
    let services = root.get("services").and_then(Node::as_map);
    let on = |entry: &&Entry| {
        let of =
            entry.value.as_map().and_then(|map| map.get("profiles")).map(unique::items).unwrap_or_default();
        of.is_empty()
            || profiles.contains("*")
            // A profile without a name is one that is always on.
            || of
                .iter()
                .filter_map(Node::as_scalar)
                .any(|scalar| scalar.text.is_empty() || profiles.contains(&scalar.text))
    };
    services.into_iter().flat_map(|map| &map.entries).filter(on).map(|entry| entry.key.text.clone()).collect()
}
