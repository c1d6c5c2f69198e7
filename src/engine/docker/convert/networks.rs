//! How a container joins networks.

use std::collections::BTreeMap;
use std::net::IpAddr;

use bollard::models::{EndpointIpamConfig, EndpointSettings};

use super::{Unreadable, filled, sorted};
use crate::model::name::{ContainerId, NetworkId, NetworkName};
use crate::model::spec::Attachment;

/// The networks of Docker's that mean none and the host's.
const NO_NETWORKS: [&str; 2] = ["none", "host"];
/// Docker's default network, which is joined by a mode.
const BRIDGE: &str = "bridge";

/// The API's form of an attachment.
pub(in crate::engine::docker) fn endpoint(attachment: &Attachment) -> EndpointSettings {
    let Attachment { first: _, aliases, ipv4, ipv6, link_local, mac, options, gateway_priority, links } =
        attachment;
    let ipam = EndpointIpamConfig {
        ipv4_address: ipv4.map(|ip| ip.to_string()),
        ipv6_address: ipv6.map(|ip| ip.to_string()),
        link_local_ips: Some(link_local.iter().map(ToString::to_string).collect::<Vec<_>>())
            .filter(|addresses| !addresses.is_empty()),
    };
    EndpointSettings {
        aliases: Some(aliases.iter().cloned().collect()),
        ipam_config: (ipam != EndpointIpamConfig::default()).then_some(ipam),
        mac_address: mac.map(|mac| mac.to_string()),
        driver_opts: (!options.is_empty()).then(|| options.clone().into_iter().collect()),
        gw_priority: (*gateway_priority != 0).then_some(*gateway_priority),
        links: (!links.is_empty())
            .then(|| links.iter().map(|(target, name)| format!("{target}:{name}")).collect()),
        ..EndpointSettings::default()
    }
}

/// What is read of a container's networks: how it joins them, and its addresses there at the moment.
#[derive(Debug, Default)]
pub(super) struct Joined {
    pub(super) networks: BTreeMap<NetworkName, Attachment>,
    pub(super) addresses: BTreeMap<NetworkName, Option<IpAddr>>,
    pub(super) endpoints: BTreeMap<NetworkName, NetworkId>,
}

/// Reads the networks of container `id`. `mode` is its network mode: the name of the first of them, or a word.
pub(super) fn joined(
    endpoints: impl IntoIterator<Item = (String, EndpointSettings)>,
    id: &ContainerId,
    mode: Option<&str>,
) -> Result<Joined, Unreadable> {
    let mut joined = Joined::default();
    for (name, endpoint) in endpoints {
        if NO_NETWORKS.contains(&name.as_str()) {
            continue;
        }
        // Engines before 26.1 call the default network so.
        let by_mode = name == BRIDGE && mode.is_some_and(|mode| mode == BRIDGE || mode == "default");
        let first = mode.is_some_and(|mode| mode == name);
        let name: NetworkName = name.parse().map_err(|error| format!("{error}"))?;
        joined.addresses.insert(name.clone(), address(&endpoint));
        if let Some(network) = filled(endpoint.network_id.clone()) {
            joined.endpoints.insert(name.clone(), read(&network)?);
        }
        if !by_mode {
            joined.networks.insert(name, Attachment { first, ..attachment(endpoint, id)? });
        }
    }
    Ok(joined)
}

fn address(endpoint: &EndpointSettings) -> Option<IpAddr> {
    let parse = |text: &Option<String>| text.as_deref().and_then(|text| text.parse().ok());
    parse(&endpoint.ip_address).or_else(|| parse(&endpoint.global_ipv6_address))
}

fn attachment(endpoint: EndpointSettings, id: &ContainerId) -> Result<Attachment, Unreadable> {
    // Before API 1.45 Docker adds the short id to the aliases by itself.
    let aliases = endpoint.aliases.into_iter().flatten().filter(|alias| alias != id.short()).collect();
    let ipam = endpoint.ipam_config.unwrap_or_default();
    Ok(Attachment {
        first: false,
        aliases,
        ipv4: filled(ipam.ipv4_address).map(|text| read(&text)).transpose()?,
        ipv6: filled(ipam.ipv6_address).map(|text| read(&text)).transpose()?,
        link_local: ipam
            .link_local_ips
            .into_iter()
            .flatten()
            .map(|text| read(&text))
            .collect::<Result<_, _>>()?,
        mac: filled(endpoint.mac_address).map(|text| read(&text)).transpose()?,
        options: sorted(endpoint.driver_opts),
        gateway_priority: endpoint.gw_priority.unwrap_or_default(),
        links: endpoint.links.iter().flatten().filter_map(|link| pair(link)).collect(),
    })
}

fn read<T: std::str::FromStr>(text: &str) -> Result<T, Unreadable> {
    text.parse().map_err(|_| format!("`{text}` is no address of a network"))
}

fn pair(link: &str) -> Option<(String, String)> {
    link.split_once(':').map(|(target, name)| (target.to_owned(), name.to_owned()))
}
