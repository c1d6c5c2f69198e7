//! Limits that only Docker itself knows: swap, shares and quotas of the scheduler, block devices.

use std::collections::BTreeMap;

use super::super::keys;
use super::super::node::{Map, Node};
use super::super::problem::{Problem, Problems};
use super::super::read;
use super::Context;
use crate::model::spec::{ContainerSpec, Swap};

/// What Docker takes as the least and the longest period of the scheduler, in microseconds.
const PERIOD: std::ops::RangeInclusive<u64> = 1_000..=1_000_000;
/// What the kernel takes as a weight of block devices.
const WEIGHT: std::ops::RangeInclusive<u16> = 10..=1_000;

/// Reads these keys into `spec`, whose other limits have been read.
pub(super) fn read(cx: &mut Context<'_>, map: &Map, spec: &mut ContainerSpec) {
    let out = &mut spec.resources;
    out.memory_swap = cx.optional(map, "memswap_limit", swap);
    if let (Some(Swap::Bytes(both)), Some(node)) = (out.memory_swap, map.get("memswap_limit")) {
        let wrong = match out.memory {
            None => Some("a limit of memory and swap together needs `mem_limit`"),
            Some(memory) if both < memory => Some("memory and swap together are less than the memory alone"),
            Some(_) => None,
        };
        if let Some(wrong) = wrong {
            cx.note(
                Problem::error("bad-size", node.span, wrong).hint("it includes the memory: see `mem_limit`"),
            );
        }
    }
    out.cpu_shares = cx.optional(map, "cpu_shares", positive);
    out.cpu_period = cx.optional(map, "cpu_period", period);
    out.cpu_quota = cx.optional(map, "cpu_quota", quota);
    out.cpu_rt_period = cx.optional(map, "cpu_rt_period", positive);
    out.cpu_rt_runtime = cx.optional(map, "cpu_rt_runtime", positive);
    out.cpuset = cx.optional(map, "cpuset", cpuset);
    let shared = map.entry("cpu_quota").or(map.entry("cpu_period"));
    if let (Some(_), true, Some(entry)) =
        (out.nano_cpus, out.cpu_period.is_some() || out.cpu_quota.is_some(), shared)
    {
        let message = format!("`{}` and `cpus` say one thing in two ways", entry.key.text);
        cx.note(Problem::error("said-twice", entry.key.span, message).hint("keep one of the two"));
    }
    if let Some(found) =
        map.get("blkio_config").and_then(|node| read::honoured_map(cx.problems, node, &keys::BLKIO))
    {
        block_io(cx.problems, found, spec);
    }
}

fn swap(problems: &mut Problems, node: &Node) -> Option<Swap> {
    let found = read::scalar(problems, node, "a size")?;
    if found.text.trim() == "-1" {
        return Some(Swap::Unlimited);
    }
    // To Docker 0 means that nothing is said.
    read::size(problems, node).filter(|bytes| *bytes > 0).map(Swap::Bytes)
}

/// A number of which 0 means that nothing is said.
fn positive(problems: &mut Problems, node: &Node) -> Option<u64> {
    read::integer(problems, node, "a whole number that is not negative").filter(|number| *number > 0)
}

fn period(problems: &mut Problems, node: &Node) -> Option<u64> {
    let microseconds = positive(problems, node)?;
    if !PERIOD.contains(&microseconds) {
        let message = "a period of the scheduler is from 1000 to 1000000 microseconds";
        problems.add(Problem::error("bad-number", node.span, message));
        return None;
    }
    Some(microseconds)
}

fn quota(problems: &mut Problems, node: &Node) -> Option<u64> {
    let number: i64 = read::integer(problems, node, "a whole number")?;
    // To Docker 0 and less mean that there is no limit.
    let microseconds = u64::try_from(number).ok().filter(|number| *number > 0)?;
    if microseconds < *PERIOD.start() {
        problems.add(Problem::error("bad-number", node.span, "a quota is at least 1000 microseconds"));
        return None;
    }
    Some(microseconds)
}

fn cpuset(problems: &mut Problems, node: &Node) -> Option<String> {
    let found = read::text(problems, node)?;
    let is_number = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
    let is_range = |part: &str| match part.split_once('-') {
        Some((first, last)) => is_number(first) && is_number(last),
        None => is_number(part),
    };
    if !found.text.split(',').all(is_range) {
        let message = format!("{} is no set of processors", found.shown());
        problems.add(Problem::error("bad-number", node.span, message).hint("their numbers: `0-3,7`"));
        return None;
    }
    Some(found.text.clone())
}

fn block_io(problems: &mut Problems, map: &Map, spec: &mut ContainerSpec) {
    spec.resources.block_io_weight = map.get("weight").and_then(|node| weight(problems, node));
    let out = &mut spec.block_io;
    out.weights = devices(problems, map, ("weight_device", "weight", &keys::WEIGHT_DEVICE), weight);
    let bytes = |problems: &mut Problems, node: &Node| read::size(problems, node).filter(|rate| *rate > 0);
    for (key, rates) in [("device_read_bps", &mut out.read_bps), ("device_write_bps", &mut out.write_bps)] {
        *rates = devices(problems, map, (key, "rate", &keys::THROTTLE), bytes);
    }
    for (key, rates) in [("device_read_iops", &mut out.read_iops), ("device_write_iops", &mut out.write_iops)]
    {
        *rates = devices(problems, map, (key, "rate", &keys::THROTTLE), positive);
    }
}

/// A value for each device. `(list, key, keys)`: where the devices are, which key has the value, which keys there are.
fn devices<T>(
    problems: &mut Problems,
    map: &Map,
    (list, key, keys): (&str, &str, &keys::Keys),
    read: impl Fn(&mut Problems, &Node) -> Option<T>,
) -> BTreeMap<String, T> {
    let items = map.get(list).and_then(|node| read::list(problems, node)).unwrap_or_default();
    let mut found = BTreeMap::new();
    for item in items {
        let Some(device) = read::honoured_map(problems, item, keys) else { continue };
        let path = device.get("path").and_then(|node| read::text(problems, node));
        let (Some(path), Some(value)) = (path, device.get(key)) else {
            let message = format!("a device and its limit need `path` and `{key}`");
            problems.add(Problem::error("missing-key", item.span, message));
            continue;
        };
        if let Some(value) = read(problems, value) {
            found.insert(path.text.clone(), value);
        }
    }
    found
}

fn weight(problems: &mut Problems, node: &Node) -> Option<u16> {
    let number: u16 = read::integer(problems, node, "a weight from 10 to 1000")?;
    if number != 0 && !WEIGHT.contains(&number) {
        let message = "a weight of block devices is from 10 to 1000";
        problems.add(Problem::error("bad-number", node.span, message));
        return None;
    }
    Some(number).filter(|number| *number > 0)
}
