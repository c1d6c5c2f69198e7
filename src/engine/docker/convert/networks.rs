//! How a container joins networks.

use std::collections::BTreeMap;
use std::net::IpAddr;

use bollard::models::{EndpointIpamConfig, EndpointSettings};

use super::{Unreadable, filled};
use crate::model::name::{ContainerId, NetworkName};
use crate::model::spec::Attachment;

/// The network of Docker's that means none.
const NONE: &str = "none";

/// The API's form of an attachment.
pub(in crate::engine::docker) fn endpoint(attachment: &Attachment) -> EndpointSettings {
    let Attachment { aliases, ipv4, ipv6 } = attachment;
    let ipam = EndpointIpamConfig {
        ipv4_address: ipv4.map(|ip| ip.to_string()),
        ipv6_address: ipv6.map(|ip| ip.to_string()),
        link_local_ips: None,
    };
    EndpointSettings {
        aliases: Some(aliases.iter().cloned().collect()),
        ipam_config: (ipv4.is_some() || ipv6.is_some()).then_some(ipam),
        ..EndpointSettings::default()
    }
}

/// What is read of a container's networks: how it joins them, and its addresses there at the moment.
#[derive(Debug, Default)]
pub(super) struct Joined {
    pub(super) networks: BTreeMap<NetworkName, Attachment>,
    pub(super) addresses: BTreeMap<NetworkName, Option<IpAddr>>,
}

/// Reads the networks of container `id`.
pub(super) fn joined(
    endpoints: impl IntoIterator<Item = (String, EndpointSettings)>,
    id: &ContainerId,
) -> Result<Joined, Unreadable> {
    let mut joined = Joined::default();
    for (name, endpoint) in endpoints {
        if name == NONE {
            continue;
        }
        let name: NetworkName = name.parse().map_err(|error| format!("{error}"))?;
        joined.addresses.insert(name.clone(), address(&endpoint));
        joined.networks.insert(name, attachment(endpoint, id)?);
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
    let wrong = |text: &str| format!("`{text}` is no address of a network");
    Ok(Attachment {
        aliases,
        ipv4: filled(ipam.ipv4_address).map(|ip| ip.parse().map_err(|_| wrong(&ip))).transpose()?,
        ipv6: filled(ipam.ipv6_address).map(|ip| ip.parse().map_err(|_| wrong(&ip))).transpose()?,
    })
}
