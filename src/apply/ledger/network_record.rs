//! A network in the ledger: what it was before a deploy made it anew.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::model::name::NameError;
use crate::model::spec::{AddressPool, NetworkSpec, SubnetError};

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct NetworkRecord {
    name: String,
    driver: Option<String>,
    options: BTreeMap<String, String>,
    ipam_driver: Option<String>,
    ipam_options: BTreeMap<String, String>,
    pools: Vec<PoolRecord>,
    internal: bool,
    attachable: bool,
    ipv4: Option<bool>,
    ipv6: bool,
    labels: BTreeMap<String, String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct PoolRecord {
    subnet: String,
    gateway: Option<IpAddr>,
    ip_range: Option<String>,
    reserved: BTreeMap<String, IpAddr>,
}

pub(super) fn of_network(spec: &NetworkSpec) -> NetworkRecord {
    let NetworkSpec {
        name,
        // One of somebody else's is never made anew.
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
    } = spec.clone();
    let of_pool = |AddressPool { subnet, gateway, ip_range, reserved }| PoolRecord {
        subnet: subnet.to_string(),
        gateway,
        ip_range: ip_range.map(|range| range.to_string()),
        reserved,
    };
    NetworkRecord {
        name: name.to_string(),
        driver,
        options,
        ipam_driver,
        ipam_options,
        pools: pools.into_iter().map(of_pool).collect(),
        internal,
        attachable,
        ipv4,
        ipv6,
        labels,
    }
}

pub(super) fn to_network(record: NetworkRecord) -> Result<NetworkSpec, String> {
    let NetworkRecord {
        name,
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
    } = record;
    let wrong = |error: SubnetError| error.to_string();
    let to_pool = |PoolRecord { subnet, gateway, ip_range, reserved }| {
        let ip_range = ip_range.map(|range| range.parse().map_err(wrong)).transpose()?;
        Ok(AddressPool { subnet: subnet.parse().map_err(wrong)?, gateway, ip_range, reserved })
    };
    Ok(NetworkSpec {
        name: name.parse().map_err(|error: NameError| error.to_string())?,
        external: false,
        driver,
        options,
        ipam_driver,
        ipam_options,
        pools: pools.into_iter().map(to_pool).collect::<Result<_, String>>()?,
        internal,
        attachable,
        ipv4,
        ipv6,
        labels,
    })
}
