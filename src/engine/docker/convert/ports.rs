//! Published and exposed ports.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use bollard::models::{PortBinding, PortMap, PortSummary, PortSummaryTypeEnum};

use super::{Unreadable, filled};
use crate::model::spec::{ContainerPort, HostPort, Protocol, PublishedPort};

/// The bindings of `ports`, by container port.
pub(super) fn bindings(ports: &BTreeSet<PublishedPort>) -> PortMap {
    let mut by_port: BTreeMap<String, Vec<PortBinding>> = BTreeMap::new();
    for PublishedPort { container, host_ip, host } in ports {
        let host_port = match host {
            HostPort::Any => String::new(),
            HostPort::One(port) => port.to_string(),
            HostPort::OneOf(first, last) => format!("{first}-{last}"),
        };
        let host_ip = host_ip.map(|ip| ip.to_string()).unwrap_or_default();
        let binding = PortBinding { host_ip: Some(host_ip), host_port: Some(host_port) };
        by_port.entry(container.to_string()).or_default().push(binding);
    }
    by_port.into_iter().map(|(port, bindings)| (port, Some(bindings))).collect()
}

/// The ports of `bindings`, as they were declared.
pub(super) fn published(bindings: PortMap) -> Result<BTreeSet<PublishedPort>, Unreadable> {
    let mut ports = BTreeSet::new();
    for (port, bindings) in bindings {
        let container = container_port(&port)?;
        for binding in bindings.into_iter().flatten() {
            let host_ip = filled(binding.host_ip)
                .map(|ip| ip.parse().map_err(|_| format!("`{ip}` is no address of a port binding")))
                .transpose()?;
            let host = host_port(binding.host_port.as_deref().unwrap_or_default())?;
            ports.insert(PublishedPort { container, host_ip, host });
        }
    }
    Ok(ports)
}

/// Reads `80/tcp`, or `80`, which means TCP.
pub(super) fn container_port(text: &str) -> Result<ContainerPort, Unreadable> {
    let (number, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol = match protocol {
        "tcp" => Protocol::Tcp,
        "udp" => Protocol::Udp,
        "sctp" => Protocol::Sctp,
        _ => return Err(format!("`{text}` is no port")),
    };
    let number = number.parse().map_err(|_| format!("`{text}` is no port"))?;
    Ok(ContainerPort { number, protocol })
}

fn host_port(text: &str) -> Result<HostPort, Unreadable> {
    let number = |text: &str| text.parse::<u16>().map_err(|_| format!("`{text}` is no port of the host"));
    match text.split_once('-') {
        _ if text.is_empty() || text == "0" => Ok(HostPort::Any),
        None => Ok(HostPort::One(number(text)?)),
        Some((first, last)) if first == last => Ok(HostPort::One(number(first)?)),
        Some((first, last)) => Ok(HostPort::OneOf(number(first)?, number(last)?)),
    }
}

/// The ports of the host that a container holds, from the list of containers. Docker tells a port that is open on
/// every address twice, for IPv4 and IPv6; that is one port here.
pub(super) fn held(ports: Vec<PortSummary>) -> BTreeSet<PublishedPort> {
    ports.into_iter().filter_map(held_port).collect()
}

/// The ports of the host that lead to a container, from the answer to an inspect. One that is open on every address is
/// told without one, also where Docker tells it twice.
pub(super) fn bound(bindings: PortMap) -> BTreeSet<PublishedPort> {
    let mut ports = BTreeSet::new();
    for (port, bindings) in bindings {
        let Ok(container) = container_port(&port) else { continue };
        for PortBinding { host_ip, host_port: number } in bindings.into_iter().flatten() {
            let Some(number) = number.and_then(|number| number.parse().ok()) else { continue };
            let host_ip = filled(host_ip).and_then(|ip| ip.parse::<IpAddr>().ok());
            let host_ip = host_ip.filter(|ip| *ip != IpAddr::V4(Ipv4Addr::UNSPECIFIED));
            ports.insert(PublishedPort { container, host_ip, host: HostPort::One(number) });
        }
    }
    let on_every = |port: &PublishedPort| PublishedPort { host_ip: None, ..port.clone() };
    let both = |port: &PublishedPort| port.host_ip.is_some_and(|ip| ip.is_unspecified());
    let told_twice: Vec<_> =
        ports.iter().filter(|port| both(port) && ports.contains(&on_every(port))).cloned().collect();
    ports.retain(|port| !told_twice.contains(port));
    ports
}

fn held_port(port: PortSummary) -> Option<PublishedPort> {
    let protocol = match port.typ? {
        PortSummaryTypeEnum::UDP => Protocol::Udp,
        PortSummaryTypeEnum::SCTP => Protocol::Sctp,
        PortSummaryTypeEnum::TCP | PortSummaryTypeEnum::EMPTY => Protocol::Tcp,
    };
    let host_ip = port.ip.and_then(|ip| ip.parse::<IpAddr>().ok()).filter(|ip| !ip.is_unspecified());
    let container = ContainerPort { number: port.private_port, protocol };
    Some(PublishedPort { container, host_ip, host: HostPort::One(port.public_port?) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_on_every_address_is_held_once() {
        let port = |ip: &str, public_port| PortSummary {
            ip: Some(ip.to_owned()),
            private_port: 80,
            public_port,
            typ: Some(PortSummaryTypeEnum::TCP),
        };
        let ports = held(vec![port("0.0.0.0", Some(8080)), port("::", Some(8080)), port("", None)]);
        assert_eq!(ports.iter().map(ToString::to_string).collect::<Vec<_>>(), ["8080:80/tcp"]);
    }

    #[test]
    fn a_port_that_is_bound_on_every_address_is_told_once() {
        let binding = |ip: &str, port: &str| PortBinding {
            host_ip: Some(ip.to_owned()),
            host_port: Some(port.to_owned()),
        };
        let bindings: PortMap = [
            ("80/tcp".to_owned(), Some(vec![binding("0.0.0.0", "8080"), binding("::", "8080")])),
            ("81/tcp".to_owned(), Some(vec![binding("::", "8081"), binding("127.0.0.1", "8082")])),
            ("82/tcp".to_owned(), None),
        ]
        .into();
        let shown: Vec<_> = bound(bindings).iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["8080:80/tcp", "127.0.0.1:8082:81/tcp", "[::]:8081:81/tcp"]);
    }

    #[test]
    fn what_is_no_port_is_told() {
        assert!(container_port("80/quic").is_err());
        assert!(container_port("0x50").is_err());
        assert!(host_port("70000").is_err());
    }
}
