//! The networks and volumes of a draft: the stack's own as they are made, those of others by their name alone.

use std::collections::BTreeMap;

use crate::model::draft::Draft;
use crate::model::label;
use crate::model::live::{Live, LiveNetwork, LiveVolume};
use crate::model::name::{NetworkKey, NetworkName, StackName, VolumeKey, VolumeName};
use crate::model::spec::{AddressPool, MountSource, NetworkSpec, VolumeSpec};

/// The driver of a network, and that of a volume, where none is declared.
const DRIVERS: [&str; 2] = ["bridge", "local"];

/// Adds what the services of `draft` use.
pub(super) fn fill(draft: &mut Draft, live: &Live) {
    let services = draft.services.values();
    let attached = services.clone().flat_map(|service| &service.spec.networks);
    let mut networks: BTreeMap<NetworkName, bool> = BTreeMap::new();
    for (name, attachment) in attached {
        let has_address = attachment.ipv4.is_some() || attachment.ipv6.is_some();
        *networks.entry(name.clone()).or_default() |= has_address;
    }
    let mounts = services.flat_map(|service| service.spec.mounts.values());
    let volumes: Vec<VolumeName> = mounts
        .filter_map(|mount| match &mount.source {
            MountSource::Volume(name) => Some(name.clone()),
            MountSource::Anonymous
            | MountSource::Bind(_)
            | MountSource::Repository(_)
            | MountSource::Grant(_)
            | MountSource::Image(_)
            | MountSource::Tmpfs { .. } => None,
        })
        .collect();
    for (name, has_address) in networks {
        let found: Option<&LiveNetwork> = live.networks.values().find(|network| network.spec.name == name);
        let spec = network(&name, found, &draft.stack, has_address);
        if let Some(key) = network_key(draft, &name, found) {
            draft.networks.insert(key, spec);
        }
    }
    for name in volumes {
        let found: Option<&LiveVolume> = live.volumes.get(&name);
        let spec = volume(&name, found, &draft.stack);
        if let Some(key) = volume_key(draft, &name, found) {
            draft.volumes.insert(key, spec);
        }
    }
}

fn is_own(labels: &BTreeMap<String, String>, stack: &StackName) -> bool {
    labels.get(label::COMPOSE_PROJECT).is_some_and(|project| project == stack.as_str())
}

fn network(
    name: &NetworkName,
    found: Option<&LiveNetwork>,
    stack: &StackName,
    has_address: bool,
) -> NetworkSpec {
    let Some(found) = found.filter(|found| found.stack.is_none() && is_own(&found.spec.labels, stack)) else {
        return NetworkSpec { external: true, ..NetworkSpec::named(name.clone()) };
    };
    let spec = &found.spec;
    let is_chosen = has_address || !spec.pools.iter().all(is_dockers);
    NetworkSpec {
        driver: spec.driver.clone().filter(|driver| !DRIVERS.contains(&driver.as_str())),
        pools: if is_chosen { spec.pools.clone() } else { Vec::new() },
        ipv4: spec.ipv4.filter(|on| !on),
        labels: super::own_labels(&spec.labels),
        ..spec.clone()
    }
}

/// Whether Docker would choose such addresses by itself, as far as it was not configured otherwise.
fn is_dockers(pool: &AddressPool) -> bool {
    let AddressPool { subnet, gateway: _, ip_range, reserved } = pool;
    let subnet = subnet.to_string();
    let mut parts = subnet.split(['.', '/']);
    let mut number = || parts.next().and_then(|part| part.parse::<u8>().ok());
    let in_pools = match (number(), number(), number(), number(), number()) {
        (Some(172), Some(17..=31), Some(0), Some(0), Some(16)) => true,
        (Some(192), Some(168), Some(third), Some(0), Some(20)) => third % 16 == 0,
        _ => false,
    };
    in_pools && ip_range.is_none() && reserved.is_empty()
}

fn volume(name: &VolumeName, found: Option<&LiveVolume>, stack: &StackName) -> VolumeSpec {
    let found = found.filter(|found| found.stack.is_none() && is_own(&found.spec.labels, stack));
    match found {
        None => VolumeSpec {
            name: name.clone(),
            external: true,
            driver: None,
            options: BTreeMap::new(),
            labels: BTreeMap::new(),
        },
        Some(LiveVolume { spec, .. }) => VolumeSpec {
            driver: spec.driver.clone().filter(|driver| !DRIVERS.contains(&driver.as_str())),
            labels: super::own_labels(&spec.labels),
            ..spec.clone()
        },
    }
}

/// The key of a network: its maker's, else its name without the stack's, else its name.
fn network_key(draft: &Draft, name: &NetworkName, found: Option<&LiveNetwork>) -> Option<NetworkKey> {
    let labels = found.map(|found| &found.spec.labels);
    let names = keys(labels, "com.docker.compose.network", name.as_str(), &draft.stack);
    names.into_iter().filter_map(|key| key.parse().ok()).find(|key| {
        // Services that name no network join `default`, so that no other one may be called that.
        let is_free = draft.networks.get(key).is_none_or(|known| known.name == *name);
        is_free && (key.as_str() != "default" || labels.is_some_and(|labels| is_own(labels, &draft.stack)))
    })
}

fn volume_key(draft: &Draft, name: &VolumeName, found: Option<&LiveVolume>) -> Option<VolumeKey> {
    let labels = found.map(|found| &found.spec.labels);
    let names = keys(labels, "com.docker.compose.volume", name.as_str(), &draft.stack);
    let free = |key: &VolumeKey| draft.volumes.get(key).is_none_or(|known| known.name == *name);
    names.into_iter().filter_map(|key| key.parse().ok()).find(free)
}

/// What may be the key, the best first.
fn keys(labels: Option<&BTreeMap<String, String>>, of: &str, name: &str, stack: &StackName) -> Vec<String> {
    let own = labels.filter(|labels| is_own(labels, stack));
    let said = own.and_then(|labels| labels.get(of)).cloned();
    let short = own.and_then(|_| name.strip_prefix(&format!("{stack}_"))).map(str::to_owned);
    said.into_iter().chain(short).chain([name.to_owned(), format!("{name}-external")]).collect()
}
