//! The normal form of what a container uses of its host: limits, namespaces, devices, the runtime.

use std::collections::BTreeMap;

use super::words;
use crate::model::spec::{BlockIo, Device, DeviceRequest, Devices, Namespaces, Resources, Runtime, Swap};
use crate::plan::fields::{FieldPath, FieldValue, Fields};

/// The fields of [`Resources`]: what Docker changes in place.
const LIMITS: [&str; 12] = [
    "deploy.resources.limits.memory",
    "memswap_limit",
    "deploy.resources.reservations.memory",
    "deploy.resources.limits.cpus",
    "cpu_shares",
    "cpu_period",
    "cpu_quota",
    "cpu_rt_period",
    "cpu_rt_runtime",
    "cpuset",
    "blkio_config.weight",
    "deploy.resources.limits.pids",
];

/// Whether the field is one of [`Resources`].
pub(in crate::plan) fn is_limit(path: &FieldPath) -> bool {
    LIMITS.contains(&path.as_str())
}

pub(super) fn set_resources(fields: &mut Fields, resources: &Resources) {
    let Resources {
        memory,
        memory_swap,
        memory_reservation,
        nano_cpus,
        cpu_shares,
        cpu_period,
        cpu_quota,
        cpu_rt_period,
        cpu_rt_runtime,
        cpuset,
        block_io_weight,
        pids,
    } = resources;
    // What Docker fills in is as good as not said.
    let swap = memory_swap.filter(|swap| Some(*swap) != resources.default_swap());
    let swap = swap.map(FieldValue::from);
    let number = |number: &Option<u64>| number.as_ref().map(FieldValue::word);
    let values = [
        memory.map(FieldValue::Bytes),
        swap,
        memory_reservation.map(FieldValue::Bytes),
        nano_cpus.map(|nano| FieldValue::Word(cpus(nano))),
        number(cpu_shares),
        number(cpu_period),
        number(cpu_quota),
        number(cpu_rt_period),
        number(cpu_rt_runtime),
        cpuset.as_ref().map(FieldValue::word),
        block_io_weight.as_ref().map(FieldValue::word),
        number(pids),
    ];
    for (path, value) in LIMITS.into_iter().zip(values) {
        fields.set_some(path, value);
    }
}

impl From<Swap> for FieldValue {
    fn from(swap: Swap) -> Self {
        match swap {
            Swap::Unlimited => Self::word(&"unlimited"),
            Swap::Bytes(bytes) => Self::Bytes(bytes),
        }
    }
}

pub(super) fn set_block_io(fields: &mut Fields, block_io: &BlockIo) {
    let BlockIo { weights, read_bps, write_bps, read_iops, write_iops } = block_io;
    for (path, weight) in weights {
        fields.set(format!("blkio_config.weight_device.{path}"), FieldValue::word(weight));
    }
    for (group, rates) in [("device_read_bps", read_bps), ("device_write_bps", write_bps)] {
        for (path, rate) in rates {
            fields.set(format!("blkio_config.{group}.{path}"), FieldValue::Bytes(*rate));
        }
    }
    for (group, rates) in [("device_read_iops", read_iops), ("device_write_iops", write_iops)] {
        for (path, rate) in rates {
            fields.set(format!("blkio_config.{group}.{path}"), FieldValue::word(rate));
        }
    }
}

pub(super) fn set_namespaces(fields: &mut Fields, namespaces: &Namespaces) {
    for (key, namespace) in namespaces.by_key() {
        fields.set_some(key, namespace.map(FieldValue::word));
    }
}

pub(super) fn set_devices(fields: &mut Fields, devices: &Devices) {
    let Devices { paths, rules, requests } = devices;
    for (target, Device { source, permissions }) in paths {
        fields.set(format!("devices.{target}"), FieldValue::Word(format!("{source} {permissions}")));
    }
    fields.set_some("device_cgroup_rules", words(rules));
    fields.set_some("deploy.resources.reservations.devices", words(requests.iter().map(request)));
}

fn request(request: &DeviceRequest) -> String {
    let DeviceRequest { driver, count, ids, capabilities, options } = request;
    let which = match (count, ids.is_empty()) {
        (-1, _) => "all".to_owned(),
        (_, false) => joined(ids),
        (count, true) => count.to_string(),
    };
    let driver = driver.as_ref().map(|driver| format!(" of {driver}")).unwrap_or_default();
    let able = if capabilities.is_empty() { String::new() } else { format!(" for {}", joined(capabilities)) };
    let options: Vec<String> = options.iter().map(|(name, value)| format!(" {name}={value}")).collect();
    format!("{which}{driver}{able}{}", options.concat())
}

fn joined<'a>(words: impl IntoIterator<Item = &'a String>) -> String {
    words.into_iter().map(String::as_str).collect::<Vec<_>>().join("+")
}

pub(super) fn set_runtime(fields: &mut Fields, runtime: &Runtime) {
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
    fields.set_some("runtime", name.as_ref().map(FieldValue::word));
    fields.set_some("group_add", words(groups));
    fields.set_some("cgroup_parent", cgroup_parent.as_ref().map(FieldValue::word));
    fields.set_some("oom_kill_disable", oom_kill_disable.then_some(FieldValue::Switch(true)));
    fields.set_some("oom_score_adj", (*oom_score_adj != 0).then(|| FieldValue::word(oom_score_adj)));
    fields.set_some("mem_swappiness", swappiness.as_ref().map(FieldValue::word));
    let texts = |fields: &mut Fields, group: &str, map: &BTreeMap<String, String>| {
        for (name, value) in map {
            fields.set(format!("{group}.{name}"), FieldValue::Quoted(value.clone()));
        }
    };
    texts(fields, "storage_opt", storage);
    texts(fields, "annotations", annotations);
}

/// Billionths of a core as a decimal number, exact.
fn cpus(nano: u64) -> String {
    const BILLION: u64 = 1_000_000_000;
    let text = format!("{}.{:09}", nano / BILLION, nano % BILLION);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(resources: &Resources) -> Fields {
        let mut fields = Fields::default();
        set_resources(&mut fields, resources);
        fields
    }

    #[test]
    fn processor_time_is_exact() {
        assert_eq!(cpus(500_000_000), "0.5");
        assert_eq!(cpus(2_000_000_000), "2");
        assert_eq!(cpus(1), "0.000000001");
    }

    #[test]
    fn trap_17_the_swap_that_docker_fills_in_is_not_said() {
        let limited = Resources { memory: Some(1 << 20), ..Resources::default() };
        let filled = Resources { memory_swap: Some(Swap::Bytes(2 << 20)), ..limited.clone() };
        assert_eq!(of(&limited), of(&filled));
        for swap in [Swap::Bytes(1 << 20), Swap::Unlimited] {
            let other = Resources { memory_swap: Some(swap), ..limited.clone() };
            assert_ne!(of(&limited), of(&other));
        }
    }

    #[test]
    fn every_limit_is_one_that_changes_in_place() {
        let all = Resources {
            memory: Some(1),
            memory_swap: Some(Swap::Unlimited),
            memory_reservation: Some(1),
            nano_cpus: Some(1),
            cpu_shares: Some(1),
            cpu_period: Some(1),
            cpu_quota: Some(1),
            cpu_rt_period: Some(1),
            cpu_rt_runtime: Some(1),
            cpuset: Some("0".to_owned()),
            block_io_weight: Some(10),
            pids: Some(1),
        };
        let fields = of(&all);
        assert_eq!(fields.paths().count(), LIMITS.len());
        assert!(fields.paths().all(is_limit));
    }
}
