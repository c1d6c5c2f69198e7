//! Ports and addresses of the host that nobody uses.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, TcpListener};

use anyhow::bail;

use crate::engine::{Engine, EngineError};
use crate::model::spec::HostPort;

/// Where ports are looked for: below those that systems give to outgoing connections.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// As many free ports as are wanted. `luck` says where the search begins.
pub(super) async fn ports<E: Engine>(engine: &E, count: usize, luck: u16) -> anyhow::Result<Vec<u16>> {
    let listed = engine.list_containers().await?;
    let held: BTreeSet<u16> = listed
        .iter()
        .flat_map(|container| &container.summary.ports)
        .filter_map(|port| match port.host {
            HostPort::One(number) => Some(number),
            _ => None,
        })
        .collect();
    let start = luck % (PORTS.end - PORTS.start);
    let candidates = (PORTS.start + start..PORTS.end).chain(PORTS.start..PORTS.start + start);
    let is_free =
        |port: &u16| !held.contains(port) && TcpListener::bind((Ipv4Addr::UNSPECIFIED, *port)).is_ok();
    let found: Vec<u16> = candidates.filter(is_free).take(count).collect();
    if found.len() < count {
        bail!("this host has no {count} free ports between {} and {}", PORTS.start, PORTS.end);
    }
    Ok(found)
}

/// A range of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Subnet {
    address: u32,
    mask: u32,
}

impl Subnet {
    fn parse(cidr: &str) -> Option<Self> {
        let (address, length) = cidr.split_once('/')?;
        let (address, length): (Ipv4Addr, u32) = (address.parse().ok()?, length.parse().ok()?);
        let mask = u32::MAX.checked_shl(32_u32.checked_sub(length)?).unwrap_or(0);
        Some(Self { address: u32::from(address) & mask, mask })
    }

    fn overlaps(self, other: Self) -> bool {
        let wider = self.mask & other.mask;
        self.address & wider == other.address & wider
    }
}

/// A subnet that overlaps with no network of the engine and with no route of this host.
pub(super) async fn subnet<E: Engine>(engine: &E, luck: u16) -> anyhow::Result<String> {
    let routes = std::fs::read_to_string("/proc/net/route").unwrap_or_default();
    Ok(find_subnet(&taken(engine, &routes).await?, luck)?)
}

async fn taken<E: Engine>(engine: &E, routes: &str) -> Result<Vec<Subnet>, EngineError> {
    let networks = engine.list_networks().await?;
    let pools = networks.iter().flat_map(|network| &network.spec.pools);
    let mut taken: Vec<Subnet> = pools.filter_map(|pool| Subnet::parse(&pool.subnet.to_string())).collect();
    taken.extend(routed(routes));
    Ok(taken)
}

/// The destinations of a routing table as Linux shows it. The default route is none.
fn routed(table: &str) -> impl Iterator<Item = Subnet> + '_ {
    let number = |text: Option<&str>| u32::from_str_radix(text?, 16).ok().map(u32::swap_bytes);
    table.lines().skip(1).filter_map(move |line| {
        let mut columns = line.split_whitespace();
        let (address, mask) = (number(columns.nth(1))?, number(columns.nth(5))?);
        (mask != 0).then_some(Subnet { address, mask })
    })
}

#[derive(Debug, thiserror::Error)]
#[error("this host has no free subnet below 10.0.0.0/8")]
struct NoSubnet;

fn find_subnet(taken: &[Subnet], luck: u16) -> Result<String, NoSubnet> {
    for step in 0..u16::MAX {
        let [high, low] = luck.wrapping_add(step).to_be_bytes();
        let candidate = format!("10.{high}.{low}.0/24");
        let is_free = |subnet: &Subnet| taken.iter().all(|other| !subnet.overlaps(*other));
        if Subnet::parse(&candidate).is_some_and(|subnet| is_free(&subnet)) {
            return Ok(candidate);
        }
    }
    Err(NoSubnet)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subnet_that_overlaps_is_not_taken() {
        let taken =
            |cidrs: &[&str]| cidrs.iter().map(|cidr| Subnet::parse(cidr).unwrap()).collect::<Vec<_>>();
        let luck = u16::from_be_bytes([7, 254]);
        assert_eq!(find_subnet(&[], luck).unwrap(), "10.7.254.0/24");
        assert_eq!(find_subnet(&taken(&["10.7.254.128/25"]), luck).unwrap(), "10.7.255.0/24");
        assert_eq!(find_subnet(&taken(&["10.7.0.0/16", "172.17.0.0/16"]), luck).unwrap(), "10.8.0.0/24");
        assert!(find_subnet(&taken(&["10.0.0.0/8"]), luck).is_err());
        assert!(find_subnet(&taken(&["0.0.0.0/0"]), luck).is_err());
        assert_eq!(Subnet::parse("10.0.0.0/33"), None);
        assert_eq!(Subnet::parse("fd00::/8"), None);
    }

    #[test]
    fn routes_are_read_as_linux_writes_them() {
        let table = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\n\
                     eth0\t00000000\t010011AC\t0003\t0\t0\t0\t00000000\n\
                     eth0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\n\
                     broken\n";
        let found: Vec<_> = routed(table).collect();
        assert_eq!(found, [Subnet::parse("172.17.0.0/16").unwrap()]);
    }
}
