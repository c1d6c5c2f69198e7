//! Whether published ports are really there.
//!
//! What Docker says of a running container is compared with what it was made with. Whether the host passes connections on
//! is asked of TCP alone: over UDP, silence says nothing. A host that refuses is wrong only if the container itself accepts
//! on that port, for a service may publish a port on which it does not listen (yet).

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::Probed;
use super::probe::Prober;
use crate::model::live::LiveContainer;
use crate::model::spec::{ContainerSpec, HostPort, Namespace, Protocol, PublishedPort};

/// Longest time of one connection.
const WITHIN: Duration = Duration::from_secs(1);

/// The ports that `container` was to publish and does not.
pub(super) fn unbound(container: &LiveContainer) -> Vec<PublishedPort> {
    if !publishes(&container.spec) {
        return Vec::new();
    }
    let missing = |wanted: &&PublishedPort| !container.bound.iter().any(|bound| serves(bound, wanted));
    container.spec.ports.iter().filter(missing).cloned().collect()
}

/// Whether Docker publishes ports of such a container at all: who lives in the network of the host or of another
/// container has none of its own.
fn publishes(spec: &ContainerSpec) -> bool {
    match spec.namespaces.network {
        Some(Namespace::Host | Namespace::None | Namespace::Of(_)) => false,
        Some(_) | None => !spec.networks.is_empty(),
    }
}

fn serves(bound: &PublishedPort, wanted: &PublishedPort) -> bool {
    let HostPort::One(number) = bound.host else { return false };
    let same_number = match wanted.host {
        HostPort::Any => true,
        HostPort::One(port) => port == number,
        HostPort::OneOf(first, last) => (first..=last).contains(&number),
    };
    // Without an address it is for the daemon to choose one: all, or that of its configuration or of the network's.
    let any_address = wanted.host_ip.is_none_or(|ip| ip.is_unspecified());
    let same_address = any_address || bound.host_ip == wanted.host_ip;
    bound.container == wanted.container && same_number && same_address
}

/// The addresses on this host where published ports can be tried, each with the port of the container.
fn on_host(bound: &BTreeSet<PublishedPort>) -> Vec<(SocketAddr, u16)> {
    let of_port = |port: &PublishedPort| {
        let HostPort::One(number) = port.host else { return None };
        let ip = match port.host_ip {
            None => IpAddr::V4(Ipv4Addr::LOCALHOST),
            // Whether the host has the other protocol is not for us to find out.
            Some(ip) if ip.is_unspecified() => return None,
            Some(ip) => ip,
        };
        let is_tcp = port.container.protocol == Protocol::Tcp;
        is_tcp.then(|| (SocketAddr::new(ip, number), port.container.number))
    };
    bound.iter().filter_map(of_port).collect()
}

/// Tries every published port of `container`, which has the address `own`.
pub(super) async fn try_all(prober: &dyn Prober, container: &LiveContainer, own: Option<IpAddr>) -> Probed {
    let mut all = Probed::Passed;
    for (at, port) in on_host(&container.bound) {
        let Err(why) = prober.tcp(at, WITHIN).await else { continue };
        let listens = match own {
            Some(ip) => prober.tcp(SocketAddr::new(ip, port), WITHIN).await.is_ok(),
            None => false,
        };
        if listens {
            return Probed::Failed(format!(
                "the container accepts connections on port {port}, and the host does not on {at}: {why}"
            ));
        }
        all = Probed::NotYet;
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::spec::ContainerPort;

    fn port(host_ip: Option<&str>, host: HostPort, protocol: Protocol) -> PublishedPort {
        let container = ContainerPort { number: 80, protocol };
        PublishedPort { container, host_ip: host_ip.map(|ip| ip.parse().unwrap()), host }
    }

    #[test]
    fn a_port_is_served_by_one_that_it_allows() {
        let bound = |ip, number| port(ip, HostPort::One(number), Protocol::Tcp);
        let wanted = |ip, host| port(ip, host, Protocol::Tcp);
        for (wanted, bound, holds) in [
            (wanted(None, HostPort::One(8080)), bound(None, 8080), true),
            (wanted(None, HostPort::One(8080)), bound(None, 8081), false),
            (wanted(None, HostPort::Any), bound(None, 40_000), true),
            (wanted(None, HostPort::OneOf(8000, 8009)), bound(None, 8009), true),
            (wanted(None, HostPort::OneOf(8000, 8009)), bound(None, 8010), false),
            (wanted(Some("0.0.0.0"), HostPort::One(8080)), bound(None, 8080), true),
            (wanted(Some("::"), HostPort::One(8080)), bound(Some("::"), 8080), true),
            (wanted(Some("127.0.0.1"), HostPort::One(8080)), bound(Some("127.0.0.1"), 8080), true),
            (wanted(Some("127.0.0.1"), HostPort::One(8080)), bound(None, 8080), false),
            (wanted(Some("192.0.2.1"), HostPort::One(8080)), bound(Some("127.0.0.1"), 8080), false),
            (wanted(None, HostPort::One(8080)), bound(Some("127.0.0.1"), 8080), true),
            (port(None, HostPort::One(8080), Protocol::Udp), bound(None, 8080), false),
        ] {
            assert_eq!(serves(&bound, &wanted), holds, "{wanted} by {bound}");
        }
    }

    #[test]
    fn only_tcp_is_tried_and_where_it_can_be() {
        let bound = [
            port(None, HostPort::One(8080), Protocol::Tcp),
            port(Some("192.0.2.1"), HostPort::One(8081), Protocol::Tcp),
            port(Some("::"), HostPort::One(8082), Protocol::Tcp),
            port(None, HostPort::One(8083), Protocol::Udp),
        ];
        let tried: Vec<String> = on_host(&bound.into()).iter().map(|(at, _)| at.to_string()).collect();
        assert_eq!(tried, ["127.0.0.1:8080", "192.0.2.1:8081"]);
    }
}
