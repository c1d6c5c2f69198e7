//! Networks, volumes and images.

use std::collections::BTreeMap;
use std::net::IpAddr;

use bollard::models::{
    ImageInspect, Ipam, IpamConfig, Network, NetworkCreateRequest, Volume, VolumeCreateRequest,
};

use super::{Unreadable, filled, health, key_and_value, sorted};
use crate::model::label;
use crate::model::live::{LiveImage, LiveNetwork, LiveVolume};
use crate::model::name::{ImageId, StackName};
use crate::model::platform::Platform;
use crate::model::spec::{AddressPool, NetworkSpec, VolumeSpec};

/// The name of Docker's own driver for addresses.
const DEFAULT_IPAM: &str = "default";

/// The body that creates a network.
pub(in crate::engine::docker) fn network_body(spec: &NetworkSpec) -> NetworkCreateRequest {
    let NetworkSpec {
        name,
        external: _,
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
    let pool = |pool: &AddressPool| IpamConfig {
        subnet: Some(pool.subnet.to_string()),
        gateway: pool.gateway.map(|ip| ip.to_string()),
        ip_range: pool.ip_range.map(|range| range.to_string()),
        auxiliary_addresses: (!pool.reserved.is_empty())
            .then(|| pool.reserved.iter().map(|(name, ip)| (name.clone(), ip.to_string())).collect()),
    };
    let has_ipam = !pools.is_empty() || ipam_driver.is_some() || !ipam_options.is_empty();
    let ipam = Ipam {
        driver: ipam_driver.clone(),
        config: Some(pools.iter().map(pool).collect()),
        options: (!ipam_options.is_empty()).then(|| ipam_options.clone().into_iter().collect()),
    };
    NetworkCreateRequest {
        name: name.to_string(),
        driver: driver.clone(),
        options: Some(options.clone().into_iter().collect()),
        ipam: has_ipam.then_some(ipam),
        internal: Some(*internal),
        attachable: Some(*attachable),
        enable_ipv4: *ipv4,
        enable_ipv6: Some(*ipv6),
        labels: Some(labels.clone().into_iter().collect()),
        ..NetworkCreateRequest::default()
    }
}

/// Reads a network.
pub(in crate::engine::docker) fn network(network: Network) -> Result<LiveNetwork, Unreadable> {
    let labels = sorted(network.labels);
    let ipam = network.ipam.unwrap_or_default();
    Ok(LiveNetwork {
        id: required(network.id, "network id")?,
        stack: stack(&labels),
        spec: NetworkSpec {
            name: required(network.name, "network name")?,
            external: false,
            driver: filled(network.driver),
            options: sorted(network.options),
            ipam_driver: filled(ipam.driver).filter(|driver| driver != DEFAULT_IPAM),
            ipam_options: sorted(ipam.options),
            pools: ipam.config.into_iter().flatten().filter_map(pool).collect(),
            internal: network.internal == Some(true),
            attachable: network.attachable == Some(true),
            ipv4: network.enable_ipv4,
            ipv6: network.enable_ipv6 == Some(true),
            labels,
        },
    })
}

fn pool(config: IpamConfig) -> Option<AddressPool> {
    // Some engines give addresses with the bits of their network.
    let address = |text: &str| text.split('/').next()?.parse::<IpAddr>().ok();
    let reserved = config.auxiliary_addresses.into_iter().flatten();
    Some(AddressPool {
        subnet: config.subnet?.parse().ok()?,
        gateway: config.gateway.and_then(|text| address(&text)),
        ip_range: config.ip_range.and_then(|text| text.parse().ok()),
        reserved: reserved.filter_map(|(name, text)| Some((name, address(&text)?))).collect(),
    })
}

/// The body that creates a volume.
pub(in crate::engine::docker) fn volume_body(spec: &VolumeSpec) -> VolumeCreateRequest {
    let VolumeSpec { name, external: _, driver, options, labels } = spec;
    VolumeCreateRequest {
        name: Some(name.to_string()),
        driver: driver.clone(),
        driver_opts: Some(options.clone().into_iter().collect()),
        labels: Some(labels.clone().into_iter().collect()),
        cluster_volume_spec: None,
    }
}

/// Reads a volume.
pub(in crate::engine::docker) fn volume(volume: Volume) -> Result<LiveVolume, Unreadable> {
    let labels = sorted(Some(volume.labels));
    Ok(LiveVolume {
        stack: stack(&labels),
        spec: VolumeSpec {
            name: required(Some(volume.name), "volume name")?,
            external: false,
            driver: filled(Some(volume.driver)),
            options: sorted(Some(volume.options)),
            labels,
        },
    })
}

/// Reads an image.
pub(in crate::engine::docker) fn image(answer: ImageInspect) -> Result<LiveImage, Unreadable> {
    let id: ImageId = required(answer.id, "image id")?;
    let platform = filled(answer.os).zip(filled(answer.architecture));
    let bare = LiveImage {
        // `<none>@<none>` stands where there is none.
        repo_digests: answer
            .repo_digests
            .into_iter()
            .flatten()
            .filter_map(|text| text.parse().ok())
            .collect(),
        tagged_at: answer
            .metadata
            .and_then(|metadata| filled(metadata.last_tag_time))
            // Go's zero time means never.
            .filter(|time| !time.starts_with("0001-"))
            .unwrap_or_default(),
        platform: platform.map(|(os, of)| Platform::of(&os, &of, filled(answer.variant).as_deref())),
        ..LiveImage::bare(id)
    };
    let Some(config) = answer.config else { return Ok(bare) };
    let environment = config.env.into_iter().flatten().map(|entry| {
        let (key, value) = key_and_value(&entry);
        (key.to_owned(), value.to_owned())
    });
    Ok(LiveImage {
        command: config.cmd.unwrap_or_default(),
        entrypoint: config.entrypoint.unwrap_or_default(),
        environment: environment.collect(),
        labels: sorted(config.labels),
        exposed_ports: config.exposed_ports.into_iter().flatten().collect(),
        volumes: config.volumes.into_iter().flatten().collect(),
        healthcheck: config.healthcheck.and_then(health::from_api),
        user: config.user.unwrap_or_default(),
        working_dir: config.working_dir.unwrap_or_default(),
        stop_signal: filled(config.stop_signal),
        ..bare
    })
}

fn stack(labels: &BTreeMap<String, String>) -> Option<StackName> {
    labels.get(label::STACK).and_then(|stack| stack.parse().ok())
}

fn required<T: std::str::FromStr<Err: std::fmt::Display>>(
    text: Option<String>,
    what: &str,
) -> Result<T, Unreadable> {
    let text = text.ok_or_else(|| format!("the answer has no {what}"))?;
    text.parse().map_err(|error| format!("{error}"))
}
