//! Networks, and how a container joins them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use super::super::name::NetworkName;
use super::subnet::Subnet;

/// How a container joins a network.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attachment {
    /// Whether it is the container's first network, which Docker keeps as its network mode. A manifest says so only
    /// where it matters; without any that does, the first by name is.
    pub first: bool,
    /// Further names under which others on the network find the container. The engine adds the service's and the
    /// container's own.
    pub aliases: BTreeSet<String>,
    /// A fixed IPv4 address.
    pub ipv4: Option<Ipv4Addr>,
    /// A fixed IPv6 address.
    pub ipv6: Option<Ipv6Addr>,
    /// Further addresses that are valid on the link only.
    pub link_local: BTreeSet<IpAddr>,
    /// A fixed hardware address. On the live side it may be one that Docker chose: nobody can tell.
    pub mac: Option<MacAddress>,
    /// Options for the network's driver, about this container.
    pub options: BTreeMap<String, String>,
    /// Of several networks the one with the highest gives the default gateway; 0 is Docker's default.
    pub gateway_priority: i64,
    /// Names that only this container knows, as pairs of a container of the network and the name for it.
    pub links: BTreeSet<(String, String)>,
}

/// The option under which Docker takes the name of the interface in the container.
pub const INTERFACE_NAME: &str = "com.docker.network.endpoint.ifname";

/// A hardware address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct MacAddress([u8; 6]);

/// A text that is no hardware address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a hardware address")]
pub struct MacError(String);

impl FromStr for MacAddress {
    type Err = MacError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || MacError(text.to_owned());
        let mut bytes = [0; 6];
        let mut parts = text.split([':', '-']);
        for byte in &mut bytes {
            let digits = parts.next().filter(|digits| digits.len() == 2).ok_or_else(wrong)?;
            *byte = u8::from_str_radix(digits, 16).map_err(|_| wrong())?;
        }
        if parts.next().is_some() { Err(wrong()) } else { Ok(Self(bytes)) }
    }
}

impl fmt::Display for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, byte) in self.0.iter().enumerate() {
            let colon = if at == 0 { "" } else { ":" };
            write!(f, "{colon}{byte:02x}")?;
        }
        Ok(())
    }
}

/// A network of the stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkSpec {
    /// Docker's name of it.
    pub name: NetworkName,
    /// Whether it exists outside of the stack and is only used.
    pub external: bool,
    /// The driver; absent means the daemon's default, `bridge`.
    pub driver: Option<String>,
    /// The driver's options.
    pub options: BTreeMap<String, String>,
    /// The driver that gives out addresses; absent means Docker's own.
    pub ipam_driver: Option<String>,
    /// That driver's options.
    pub ipam_options: BTreeMap<String, String>,
    /// Address ranges; empty means that the daemon chooses.
    pub pools: Vec<AddressPool>,
    /// Whether the network has no way out.
    pub internal: bool,
    /// Whether single containers may join it, for drivers that forbid it otherwise.
    pub attachable: bool,
    /// Whether it has IPv4; absent means the daemon's default, which is yes.
    pub ipv4: Option<bool>,
    /// Whether it has IPv6.
    pub ipv6: bool,
    /// Labels that the manifest declares.
    pub labels: BTreeMap<String, String>,
}

impl NetworkSpec {
    /// A network of the stack that declares nothing.
    pub fn named(name: NetworkName) -> Self {
        Self {
            name,
            external: false,
            driver: None,
            options: BTreeMap::new(),
            ipam_driver: None,
            ipam_options: BTreeMap::new(),
            pools: Vec::new(),
            internal: false,
            attachable: false,
            ipv4: None,
            ipv6: false,
            labels: BTreeMap::new(),
        }
    }
}

/// An address range of a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressPool {
    /// The subnet.
    pub subnet: Subnet,
    /// The gateway's address.
    pub gateway: Option<IpAddr>,
    /// The part of the subnet from which containers get addresses.
    pub ip_range: Option<Subnet>,
    /// Addresses that containers don't get, by the name of who has them.
    pub reserved: BTreeMap<String, IpAddr>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hardware_address_is_read_in_the_usual_forms() {
        let address: MacAddress = "02:42:AC:11-00-99".parse().unwrap();
        assert_eq!(address.to_string(), "02:42:ac:11:00:99");
        for text in ["", "02:42:ac:11:00", "02:42:ac:11:00:99:00", "2:42:ac:11:00:99", "02:42:ac:11:00:9g"] {
            assert!(text.parse::<MacAddress>().is_err(), "{text}");
        }
    }
}
