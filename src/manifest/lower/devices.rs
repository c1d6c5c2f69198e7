//! Devices of the host, and requests for devices that a driver chooses.

use super::super::keys;
use super::super::node::{Map, Node};
use super::super::problem::{Problem, Problems};
use super::super::read;
use super::{Context, process};
use crate::model::spec::{ContainerSpec, Device, DeviceRequest};

/// Reads `devices`, `device_cgroup_rules`, `gpus` and the reservations of devices into `spec`.
pub(super) fn read(cx: &mut Context<'_>, map: &Map, reservations: &Map, spec: &mut ContainerSpec) {
    let items = |problems: &mut Problems, map: &Map, key: &str| -> Vec<Node> {
        map.get(key).and_then(|node| read::list(problems, node)).unwrap_or_default().to_vec()
    };
    let problems = &mut *cx.problems;
    for node in items(problems, map, "devices") {
        device(problems, &node, spec);
    }
    for node in items(problems, map, "device_cgroup_rules") {
        if let Some(rule) = read::text(problems, &node) {
            spec.devices.rules.insert(rule.text.clone());
        }
    }
    for node in items(problems, reservations, "devices") {
        spec.devices.requests.extend(request(problems, &node, &[]));
    }
    for node in items(problems, map, "gpus") {
        spec.devices.requests.extend(request(problems, &node, &["gpu"]));
    }
}

fn device(problems: &mut Problems, node: &Node, spec: &mut ContainerSpec) {
    let Some(map) = read::honoured_map(problems, node, &keys::DEVICE) else { return };
    let mut said =
        |key: &str| map.get(key).and_then(|node| read::text(problems, node)).map(|text| text.text.clone());
    let (Some(source), Some(target)) = (said("source"), said("target")) else { return };
    let permissions = said("permissions").filter(|said| !said.is_empty()).unwrap_or_else(|| "rwm".to_owned());
    if is_qualified(&source) {
        // A device by its name in the Container Device Interface, which only the driver finds.
        let ids = [source].into();
        let driver = Some("cdi".to_owned());
        spec.devices.requests.push(DeviceRequest { driver, ids, ..DeviceRequest::default() });
        return;
    }
    if !source.starts_with('/') || !target.starts_with('/') {
        let problem = Problem::error("bad-path", node.span, "the path of a device must be absolute");
        problems
            .add(problem.hint("`/dev/ttyUSB0:/dev/ttyUSB0:rw`, or the name of a device: `vendor.com/gpu=0`"));
        return;
    }
    if permissions.is_empty() || permissions.contains(|letter| !"rwm".contains(letter)) {
        let at = map.get("permissions").map_or(node.span, |node| node.span);
        let problem = Problem::error("unknown-value", at, "the permissions of a device are letters of `rwm`");
        problems.add(problem.hint("`r` to read, `w` to write, `m` to make it"));
        return;
    }
    let permissions = "rwm".chars().filter(|letter| permissions.contains(*letter)).collect();
    spec.devices.paths.insert(target, Device { source, permissions });
}

/// `vendor.com/class=name`
fn is_qualified(name: &str) -> bool {
    let Some((kind, name)) = name.split_once('=') else { return false };
    kind.split_once('/').is_some_and(|(vendor, class)| !vendor.is_empty() && !class.is_empty())
        && !name.is_empty()
}

fn request(problems: &mut Problems, node: &Node, able: &[&str]) -> Option<DeviceRequest> {
    let map = read::honoured_map(problems, node, &keys::DEVICE_REQUEST)?;
    let texts = |problems: &mut Problems, key: &str| process::texts(problems, map, key).into_iter().collect();
    let mut capabilities: std::collections::BTreeSet<String> = texts(problems, "capabilities");
    capabilities.extend(able.iter().map(|word| (*word).to_owned()));
    let driver = map.get("driver").and_then(|node| read::text(problems, node)).map(|text| text.text.clone());
    let count = map.get("count").and_then(|node| read::integer(problems, node, "a number of devices"));
    Some(DeviceRequest {
        driver: driver.filter(|driver| !driver.is_empty()),
        count: count.unwrap_or_default(),
        ids: texts(problems, "device_ids"),
        capabilities,
        options: map.get("options").map(|node| process::plain_map(problems, node)).unwrap_or_default(),
    })
}
