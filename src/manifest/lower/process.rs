//! What the process of a service is: its command, its environment, and what the container says about itself.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::super::keys;
use super::super::node::{Map, Node, Value};
use super::super::problem::{Problem, Problems};
use super::super::read;
use super::Context;
use crate::model::label;
use crate::model::spec::{ContainerSpec, Logging};
use crate::model::text::Text;

/// Reads these keys into `spec`.
pub(super) fn read(cx: &mut Context<'_>, map: &Map, spec: &mut ContainerSpec) {
    // To Docker an empty command is the image's own.
    let declared = map.get("command").and_then(|node| command(cx.problems, node));
    spec.command = declared.filter(|words| !words.is_empty());
    spec.entrypoint = map.get("entrypoint").and_then(|node| command(cx.problems, node));
    if let Some(node) = map.get("environment") {
        spec.environment = environment(cx, node);
    }
    if let Some(node) = map.get("labels") {
        spec.labels = labels(cx.problems, node);
    }
    for (key, set) in [("cap_add", &mut spec.cap_add), ("cap_drop", &mut spec.cap_drop)] {
        for name in texts(cx.problems, map, key) {
            let upper = name.to_uppercase();
            set.insert(upper.strip_prefix("CAP_").unwrap_or(&upper).to_owned());
        }
    }
    spec.security_opt = texts(cx.problems, map, "security_opt").into_iter().collect();
    spec.dns = dns(cx.problems, map);
    if let Some(node) = map.get("sysctls") {
        spec.sysctls = plain_map(cx.problems, node);
    }
    if let Some(node) = map.get("extra_hosts") {
        extra_hosts(cx.problems, node, spec);
    }
    spec.logging = map.get("logging").and_then(|node| logging(cx.problems, node));
}

/// The words of a command.
fn command(problems: &mut Problems, node: &Node) -> Option<Vec<Text>> {
    read::list(problems, node)?.iter().map(|item| read::marked(problems, item)).collect()
}

fn environment(cx: &mut Context<'_>, node: &Node) -> BTreeMap<String, Text> {
    let mut environment = BTreeMap::new();
    let strict = cx.strict;
    let problems = &mut *cx.problems;
    let Some(map) = read::map(problems, node) else { return environment };
    for entry in &map.entries {
        let name = &entry.key.text;
        if name.is_empty() || name.contains(['=', '\0']) {
            problems.add(Problem::error("bad-name", entry.key.span, "this is not a variable's name"));
            continue;
        }
        if matches!(entry.value.value, Value::Null) {
            // Nobody outside has a value for it: then the container has no such variable.
            if strict {
                let message = format!("the variable `{name}` has no value");
                problems.add(
                    Problem::error("missing-variable", entry.key.span, message)
                        .hint("declare it under `variables` of the environment, or give it a value here"),
                );
            }
            continue;
        }
        if let Some(text) = read::textual(problems, &entry.value) {
            environment.insert(name.clone(), text);
        }
    }
    environment
}

/// Labels: neither reserved nor sensitive, for everybody who reaches Docker reads them.
pub(super) fn labels(problems: &mut Problems, node: &Node) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::new();
    let Some(map) = read::map(problems, node) else { return labels };
    for entry in &map.entries {
        let name = &entry.key.text;
        if label::is_reserved(name) {
            let message = format!("the label `{name}` is reserved");
            problems.add(
                Problem::error("reserved-label", entry.key.span, message)
                    .hint("labels that begin with `evenkeel.` or `com.docker.compose.` say who owns an object; remove it"),
            );
            continue;
        }
        if matches!(entry.value.value, Value::Null) {
            labels.insert(name.clone(), String::new());
            continue;
        }
        let Some(text) = read::textual(problems, &entry.value) else { continue };
        if text.is_sensitive() {
            problems.add(
                Problem::error("sensitive-label", entry.value.span, "a value from outside of the repository would be in a label")
                    .hint("labels are visible to everybody: declare the variable with its value, or move it to `environment`"),
            );
            continue;
        }
        labels.insert(name.clone(), text.expose().to_owned());
    }
    labels
}

/// Texts by name, where Docker shows them anyway.
pub(super) fn plain_map(problems: &mut Problems, node: &Node) -> BTreeMap<String, String> {
    let mut texts = BTreeMap::new();
    let Some(map) = read::map(problems, node) else { return texts };
    for entry in &map.entries {
        if let Some(text) = read::textual(problems, &entry.value) {
            texts.insert(entry.key.text.clone(), text.expose().to_owned());
        }
    }
    texts
}

/// The texts of a list.
pub(super) fn texts(problems: &mut Problems, map: &Map, key: &str) -> Vec<String> {
    let items = map.get(key).and_then(|node| read::list(problems, node)).unwrap_or_default();
    items.iter().filter_map(|item| read::text(problems, item).map(|scalar| scalar.text.clone())).collect()
}

fn dns(problems: &mut Problems, map: &Map) -> Vec<String> {
    let items = map.get("dns").map(|node| read::one_or_list(problems, node)).unwrap_or_default();
    let address = |problems: &mut Problems, node: &Node| {
        read::parsed::<IpAddr>(problems, node, "bad-address", "an IP address").map(|ip| ip.to_string())
    };
    items.iter().filter_map(|node| address(problems, node)).collect()
}

fn extra_hosts(problems: &mut Problems, node: &Node, spec: &mut ContainerSpec) {
    let mut add = |problems: &mut Problems, node: &Node, name: &str, address: &str| {
        let address = address.trim().trim_start_matches('[').trim_end_matches(']');
        let known = address == "host-gateway" || address.parse::<IpAddr>().is_ok();
        if name.trim().is_empty() || !known {
            problems.add(
                Problem::error("bad-address", node.span, "a name and an IP address are wanted here")
                    .hint("`name=192.0.2.1`, or `name=host-gateway` for the host itself"),
            );
            return;
        }
        spec.extra_hosts.insert((name.trim().to_owned(), address.to_owned()));
    };
    for item in read::list(problems, node).unwrap_or_default() {
        let Some(scalar) = read::text(problems, item) else { continue };
        let text = scalar.text.clone();
        let (name, address) = text.split_once('=').unwrap_or((&text, ""));
        add(problems, item, name, address);
    }
}

fn logging(problems: &mut Problems, node: &Node) -> Option<Logging> {
    let map = read::honoured_map(problems, node, &keys::LOGGING)?;
    let options = map.get("options").map(|node| plain_map(problems, node)).unwrap_or_default();
    match map.get("driver") {
        Some(driver) => {
            let driver = read::text(problems, driver)?.text.clone();
            Some(Logging { driver, options })
        }
        None if options.is_empty() => None,
        None => {
            problems.add(
                Problem::error("no-driver", node.span, "logging options need a `driver`")
                    .hint("name the daemon's own, mostly `driver: json-file`"),
            );
            None
        }
    }
}
