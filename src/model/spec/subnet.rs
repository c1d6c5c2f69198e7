//! Ranges of addresses.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A range of addresses, in CIDR form: `10.0.0.0/24`. However it was written, the same range is the same value: bits of
/// a host in it are cleared, which newer engines ask for and older ones do for themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Subnet {
    first: IpAddr,
    bits: u8,
}

/// A text that is no range of addresses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a subnet")]
pub struct SubnetError(String);

impl FromStr for Subnet {
    type Err = SubnetError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || SubnetError(text.to_owned());
        let (address, bits) = text.split_once('/').ok_or_else(wrong)?;
        let bits: u8 = bits.parse().map_err(|_| wrong())?;
        let most = |most: u32| most.checked_sub(u32::from(bits)).ok_or_else(wrong);
        let first = match address.parse().map_err(|_| wrong())? {
            IpAddr::V4(ip) => {
                let mask = u32::MAX.checked_shl(most(32)?).unwrap_or(0);
                IpAddr::V4(Ipv4Addr::from(u32::from(ip) & mask))
            }
            IpAddr::V6(ip) => {
                let mask = u128::MAX.checked_shl(most(128)?).unwrap_or(0);
                IpAddr::V6(Ipv6Addr::from(u128::from(ip) & mask))
            }
        };
        Ok(Self { first, bits })
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}/{}", self.first, self.bits))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_range_is_the_same_value() {
        for (text, expected) in [
            ("10.0.0.0/24", "10.0.0.0/24"),
            ("10.0.0.5/24", "10.0.0.0/24"),
            ("10.0.0.5/32", "10.0.0.5/32"),
            ("10.0.0.5/0", "0.0.0.0/0"),
            ("FD00:0:0::1:0/64", "fd00::/64"),
            ("fd00:1:2:3::/56", "fd00:1:2::/56"),
            ("fd00::1/128", "fd00::1/128"),
            ("::/0", "::/0"),
        ] {
            assert_eq!(text.parse::<Subnet>().unwrap().to_string(), expected);
        }
        for text in ["", "10.0.0.0", "10.0.0.0/33", "10.0.0.0/-1", "fd00::/129", "x/8", "10.0.0/8"] {
            assert!(text.parse::<Subnet>().is_err(), "{text}");
        }
    }
}
