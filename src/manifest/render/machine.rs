//! What a container uses of its host: limits, namespaces, devices, the runtime.

use std::collections::BTreeMap;

use serde_yaml::Value;

use super::{Out, cpus};
use crate::model::spec::{BlockIo, ContainerSpec, Device, DeviceRequest, Devices, Resources, Runtime, Swap};

pub(super) fn written(spec: &ContainerSpec, out: &mut Out) {
    out.text("domainname", spec.domainname.as_ref());
    out.texts("dns_search", &spec.dns_search);
    out.texts("dns_opt", &spec.dns_options);
    limits(&spec.resources, out);
    block_io(spec, out);
    for (key, namespace) in spec.namespaces.by_key() {
        out.text(key, namespace);
    }
    devices(&spec.devices, out);
    runtime(&spec.runtime, out);
}

fn limits(resources: &Resources, out: &mut Out) {
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
        block_io_weight: _,
        pids,
    } = resources;
    // Compose writes bytes as texts.
    out.text("mem_limit", *memory);
    match memory_swap {
        // As a text it would be no size.
        Some(Swap::Unlimited) => out.put("memswap_limit", -1),
        Some(Swap::Bytes(bytes)) => out.text("memswap_limit", Some(bytes)),
        None => {}
    }
    out.text("mem_reservation", *memory_reservation);
    out.text("cpus", nano_cpus.map(cpus));
    for (key, number) in [
        ("cpu_shares", cpu_shares),
        ("cpu_period", cpu_period),
        ("cpu_quota", cpu_quota),
        ("cpu_rt_period", cpu_rt_period),
        ("cpu_rt_runtime", cpu_rt_runtime),
        ("pids_limit", pids),
    ] {
        if let Some(number) = number {
            out.put(key, *number);
        }
    }
    out.text("cpuset", cpuset.as_ref());
}

fn block_io(spec: &ContainerSpec, out: &mut Out) {
    let BlockIo { weights, read_bps, write_bps, read_iops, write_iops } = &spec.block_io;
    let mut part = Out::default();
    if let Some(weight) = spec.resources.block_io_weight {
        part.put("weight", weight);
    }
    part.values("weight_device", by_path(weights, "weight", |weight| Value::from(*weight)));
    for (key, rates) in [("device_read_bps", read_bps), ("device_write_bps", write_bps)] {
        part.values(key, by_path(rates, "rate", |rate| Value::from(rate.to_string())));
    }
    for (key, rates) in [("device_read_iops", read_iops), ("device_write_iops", write_iops)] {
        part.values(key, by_path(rates, "rate", |rate| Value::from(*rate)));
    }
    out.part("blkio_config", part);
}

fn by_path<T>(values: &BTreeMap<String, T>, key: &str, shown: impl Fn(&T) -> Value) -> Vec<Value> {
    let one = |(path, value): (&String, &T)| {
        let mut one = Out::default();
        one.put("path", path.as_str());
        one.put(key, shown(value));
        Value::Mapping(one.0)
    };
    values.iter().map(one).collect()
}

fn devices(devices: &Devices, out: &mut Out) {
    let Devices { paths, rules, requests } = devices;
    let device = |(target, device): (&String, &Device)| {
        let mut one = Out::default();
        one.put("source", device.source.as_str());
        one.put("target", target.as_str());
        one.put("permissions", device.permissions.as_str());
        Value::Mapping(one.0)
    };
    out.values("devices", paths.iter().map(device).collect());
    out.texts("device_cgroup_rules", rules);
    let mut reservations = Out::default();
    reservations.values("devices", requests.iter().map(request).collect());
    let mut resources = Out::default();
    resources.part("reservations", reservations);
    let mut deploy = Out::default();
    deploy.part("resources", resources);
    out.part("deploy", deploy);
}

fn request(request: &DeviceRequest) -> Value {
    let DeviceRequest { driver, count, ids, capabilities, options } = request;
    let mut one = Out::default();
    // Even if there are none: they must be said.
    one.put("capabilities", capabilities.iter().map(|word| word.as_str().into()).collect::<Vec<Value>>());
    one.text("driver", driver.as_ref());
    // Without a number and without ids all of them are meant.
    if *count != 0 || ids.is_empty() {
        one.put("count", *count);
    }
    one.texts("device_ids", ids);
    one.map("options", options);
    Value::Mapping(one.0)
}

fn runtime(runtime: &Runtime, out: &mut Out) {
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
    out.text("runtime", name.as_ref());
    out.texts("group_add", groups);
    out.text("cgroup_parent", cgroup_parent.as_ref());
    out.flag("oom_kill_disable", *oom_kill_disable);
    if *oom_score_adj != 0 {
        out.put("oom_score_adj", *oom_score_adj);
    }
    out.text("mem_swappiness", *swappiness);
    out.map("storage_opt", storage);
    out.map("annotations", annotations);
}
