//! Mounts, networks and volumes, as they are written.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;

use serde_yaml::{Mapping, Value};

use super::{Names, Out};
use crate::model::name::NetworkName;
use crate::model::spec::{
    AddressPool, Attachment, ContainerSpec, Mount, MountOptions, MountSource, NetworkSpec, VolumeSpec,
};
use crate::model::update::{Batches, RollbackConfig, UpdateConfig, UpdateOrder};

/// How containers are replaced, as far as it isn't as usual.
pub(super) fn deploy(update: &UpdateConfig, way_back: &RollbackConfig) -> Out {
    let batches = |out: &mut Out, found: &Batches, usual: Batches| {
        let Batches { parallelism, delay, monitor } = found;
        if *parallelism != usual.parallelism {
            out.put("parallelism", parallelism.map_or(0, NonZeroU32::get));
        }
        out.duration("delay", Some(*delay).filter(|delay| *delay != usual.delay));
        out.duration("monitor", Some(*monitor).filter(|monitor| *monitor != usual.monitor));
    };
    let mut out = Out::default();
    let UpdateConfig { order, batches: found } = update;
    let mut part = Out::default();
    batches(&mut part, found, UpdateConfig::default().batches);
    if *order != UpdateOrder::default() {
        part.put("order", order.to_string());
    }
    out.part("update_config", part);
    let RollbackConfig { batches: found } = way_back;
    let mut part = Out::default();
    batches(&mut part, found, RollbackConfig::default().batches);
    out.part("rollback_config", part);
    out
}

pub(super) fn joined(names: &Names<'_>, networks: &BTreeMap<NetworkName, Attachment>) -> Out {
    let mut out = Out::default();
    for (name, attachment) in networks {
        let key = names.networks.get(name).copied();
        let Attachment {
            first,
            aliases,
            ipv4,
            ipv6,
            link_local,
            mac,
            options,
            gateway_priority,
            // They are the service's own.
            links: _,
        } = attachment;
        let mut one = Out::default();
        one.texts("aliases", aliases);
        one.text("ipv4_address", ipv4.as_ref());
        one.text("ipv6_address", ipv6.as_ref());
        one.texts("link_local_ips", link_local);
        one.text("mac_address", mac.as_ref());
        one.map("driver_opts", options);
        if *first {
            one.put("priority", 1);
        }
        if *gateway_priority != 0 {
            one.put("gw_priority", *gateway_priority);
        }
        let value = if one.0.is_empty() { Value::Null } else { Value::Mapping(one.0) };
        out.put(key.unwrap_or(name.as_str()), value);
    }
    out
}

/// Writes what a container mounts, and the names that it has for others.
pub(super) fn put_mounts(out: &mut Out, names: &Names<'_>, spec: &ContainerSpec) {
    // Only the short form has options of the kernel.
    let (short, long): (Vec<_>, Vec<_>) = spec
        .mounts
        .iter()
        .filter(|(_, mount)| !matches!(mount.source, MountSource::Grant(_)))
        .partition(|(_, mount)| !mount.options.kernel.is_empty());
    let long: Vec<Value> =
        long.into_iter().map(|(target, found)| Value::Mapping(mount(names, target, found))).collect();
    if !long.is_empty() {
        out.put("volumes", long);
    }
    out.texts("tmpfs", short.into_iter().map(|(target, mount)| short_tmpfs(target, mount)));
    let links: BTreeSet<_> = spec.networks.values().flat_map(|attachment| &attachment.links).collect();
    out.texts("external_links", links.into_iter().map(|(target, name)| format!("{target}:{name}")));
}

pub(super) fn short_tmpfs(target: &str, mount: &Mount) -> String {
    let mut options: Vec<String> = mount.options.kernel.iter().cloned().collect();
    if let MountSource::Tmpfs { size, mode } = &mount.source {
        options.extend(size.map(|size| format!("size={size}")));
        options.extend(mode.map(|mode| format!("mode={mode:o}")));
    }
    options.extend(mount.read_only.then(|| "ro".to_owned()));
    format!("{target}:{}", options.join(","))
}

pub(super) fn mount(names: &Names<'_>, target: &str, mount: &Mount) -> Mapping {
    let Mount { source, read_only, options: how } = mount;
    let mut out = Out::default();
    let mut tmpfs = Out::default();
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
        // Those are written under `configs` and `secrets`.
        MountSource::Grant(_) => {}
        MountSource::Image(image) => {
            out.put("type", "image");
            out.put("source", image.to_string());
        }
        MountSource::Tmpfs { size, mode } => {
            out.put("type", "tmpfs");
            tmpfs.text("size", *size);
            if let Some(mode) = mode {
                tmpfs.put("mode", *mode);
            }
        }
    }
    out.put("target", target);
    out.flag("read_only", *read_only);
    out.part("tmpfs", tmpfs);
    put_how(&mut out, source, how);
    out.0
}

/// The parts of a mount that say how it is mounted.
fn put_how(out: &mut Out, source: &MountSource, how: &MountOptions) {
    let MountOptions { create_source, relabel, propagation, recursive, no_copy, subpath, labels, kernel: _ } =
        how;
    let (mut bind, mut other) = (Out::default(), Out::default());
    if matches!(source, MountSource::Bind(_)) {
        bind.put("create_host_path", *create_source);
    }
    bind.text("selinux", relabel.as_ref());
    bind.text("propagation", propagation.as_ref());
    bind.text("recursive", recursive.as_ref());
    other.flag("nocopy", *no_copy);
    other.text("subpath", subpath.as_ref());
    other.map("labels", labels);
    out.part("bind", bind);
    out.part(if matches!(source, MountSource::Image(_)) { "image" } else { "volume" }, other);
}

pub(super) fn network(spec: &NetworkSpec) -> Mapping {
    let NetworkSpec {
        name,
        external,
        driver,
        options,
        ipam_driver,
        ipam_options,
        pools,
        internal,
        attachable,
        ipv4,
        ipv6,
        labels,
    } = spec;
    let mut out = Out::default();
    out.put("name", name.as_str());
    out.flag("external", *external);
    out.text("driver", driver.as_ref());
    out.map("driver_opts", options);
    let pools: Vec<Value> = pools
        .iter()
        .map(|pool| {
            let mut one = Out::default();
            let AddressPool { subnet, gateway, ip_range, reserved } = pool;
            one.put("subnet", subnet.to_string());
            one.text("gateway", gateway.map(|ip| ip.to_string()).as_ref());
            one.text("ip_range", ip_range.map(|range| range.to_string()).as_ref());
            let reserved: BTreeMap<_, _> =
                reserved.iter().map(|(name, ip)| (name.clone(), ip.to_string())).collect();
            one.map("aux_addresses", &reserved);
            Value::Mapping(one.0)
        })
        .collect();
    let mut ipam = Out::default();
    ipam.text("driver", ipam_driver.as_ref());
    ipam.map("options", ipam_options);
    if !pools.is_empty() {
        ipam.put("config", pools);
    }
    out.part("ipam", ipam);
    out.flag("internal", *internal);
    out.flag("attachable", *attachable);
    if let Some(ipv4) = ipv4 {
        out.put("enable_ipv4", *ipv4);
    }
    out.flag("enable_ipv6", *ipv6);
    out.map("labels", labels);
    out.0
}

pub(super) fn volume(spec: &VolumeSpec) -> Mapping {
    let VolumeSpec { name, external, driver, options, labels } = spec;
    let mut out = Out::default();
    out.put("name", name.as_str());
    out.flag("external", *external);
    out.text("driver", driver.as_ref());
    out.map("driver_opts", options);
    out.map("labels", labels);
    out.0
}
