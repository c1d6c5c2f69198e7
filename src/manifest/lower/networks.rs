//! The networks and volumes of the stack.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::str::FromStr;

use super::super::keys::{self, Keys};
use super::super::node::{Entry, Map, Node, Value};
use super::super::problem::{Problem, Problems};
use super::super::read;
use super::{Context, process};
use crate::model::name::{NetworkKey, NetworkName, VolumeKey, VolumeName};
use crate::model::spec::{AddressPool, NetworkSpec, Subnet, VolumeSpec};

/// The name of Docker's own driver for addresses.
const DEFAULT_IPAM: &str = "default";

/// Reads a network of the stack.
pub(super) fn network(cx: &mut Context<'_>, entry: &Entry) {
    let nothing = Map::default();
    let Some((key, map)) = declared::<NetworkKey>(cx, entry, &nothing, &keys::NETWORK) else { return };
    let external = external(cx, map);
    let Some(name) = name::<NetworkName>(cx, entry, map, external) else { return };
    let ipam = map.get("ipam").and_then(|node| read::honoured_map(cx.problems, node, &keys::IPAM));
    let pools = ipam
        .and_then(|ipam| ipam.get("config"))
        .and_then(|node| read::list(cx.problems, node))
        .unwrap_or_default();
    let spec = NetworkSpec {
        name,
        external,
        driver: cx.optional(map, "driver", driver),
        options: map.get("driver_opts").map(|node| process::plain_map(cx.problems, node)).unwrap_or_default(),
        ipam_driver: ipam
            .and_then(|ipam| cx.optional(ipam, "driver", driver))
            .filter(|driver| driver != DEFAULT_IPAM),
        ipam_options: ipam
            .and_then(|ipam| ipam.get("options"))
            .map(|node| process::plain_map(cx.problems, node))
            .unwrap_or_default(),
        pools: pools.iter().filter_map(|node| pool(cx, node)).collect(),
        internal: cx.optional(map, "internal", read::boolean).unwrap_or_default(),
        attachable: cx.optional(map, "attachable", read::boolean).unwrap_or_default(),
        ipv4: cx.optional(map, "enable_ipv4", read::boolean),
        ipv6: cx.optional(map, "enable_ipv6", read::boolean).unwrap_or_default(),
        labels: map.get("labels").map(|node| process::labels(cx.problems, node)).unwrap_or_default(),
    };
    cx.networks.insert(key, (spec, entry.key.span));
}

/// Reads a volume of the stack.
pub(super) fn volume(cx: &mut Context<'_>, entry: &Entry) {
    let nothing = Map::default();
    let Some((key, map)) = declared::<VolumeKey>(cx, entry, &nothing, &keys::VOLUME) else { return };
    let external = external(cx, map);
    let Some(name) = name::<VolumeName>(cx, entry, map, external) else { return };
    let spec = VolumeSpec {
        name,
        external,
        driver: cx.optional(map, "driver", driver),
        options: options(cx, map),
        labels: map.get("labels").map(|node| process::labels(cx.problems, node)).unwrap_or_default(),
    };
    cx.volumes.insert(key, (spec, entry.key.span));
}

fn declared<'n, K: FromStr>(
    cx: &mut Context<'_>,
    entry: &'n Entry,
    nothing: &'n Map,
    keys: &Keys,
) -> Option<(K, &'n Map)>
where
    K::Err: std::fmt::Display,
{
    let map = match &entry.value.value {
        Value::Null => nothing,
        Value::Scalar(_) | Value::List(_) | Value::Map(_) => {
            read::honoured_map(cx.problems, &entry.value, keys)?
        }
    };
    match entry.key.text.parse() {
        Ok(key) => Some((key, map)),
        Err(error) => {
            cx.note(Problem::error("bad-name", entry.key.span, format!("{error}")));
            None
        }
    }
}

/// Whether the object is only used. What else is said about such a one would be ignored, so it is refused.
fn external(cx: &mut Context<'_>, map: &Map) -> bool {
    let external = cx.optional(map, "external", read::boolean).unwrap_or_default();
    if external {
        for entry in &map.entries {
            if !matches!(entry.key.text.as_str(), "external" | "name") && !entry.key.text.starts_with("x-") {
                let message =
                    format!("what is external is only used, so `{}` can't be said about it", entry.key.text);
                cx.note(
                    Problem::error("external", entry.key.span, message)
                        .hint("keep only `external` and `name`"),
                );
            }
        }
    }
    external
}

fn name<N: FromStr>(cx: &mut Context<'_>, entry: &Entry, map: &Map, external: bool) -> Option<N>
where
    N::Err: std::fmt::Display,
{
    let said = map.get("name");
    let found = said.and_then(|node| read::parsed(cx.problems, node, "bad-name", "a name"));
    if found.is_some() {
        return found;
    }
    let key = &entry.key.text;
    let name = if external { key.clone() } else { format!("{}_{key}", cx.stack) };
    match name.parse() {
        // For one that can't be read it stands in, so that the services that use the object aren't blamed.
        Ok(name) => Some(name),
        Err(_) if said.is_some() => None,
        Err(error) => {
            cx.note(Problem::error("bad-name", entry.key.span, format!("{error}")).hint("give it a `name`"));
            None
        }
    }
}

/// The options of a volume's driver. A folder of the repository is mounted as such, not through a volume.
fn options(cx: &mut Context<'_>, map: &Map) -> BTreeMap<String, String> {
    let Some(node) = map.get("driver_opts") else { return BTreeMap::new() };
    if let Some(device) = node.as_map().and_then(|options| options.get("device"))
        && device.as_scalar().is_some_and(|scalar| scalar.text.starts_with('.'))
    {
        let message = "a folder of the repository can't be the device of a volume";
        cx.note(Problem::error("not-honoured", device.span, message).hint(
            "mount it as it is: `volumes: [\"./folder:/path\"]`; for one of the host write its absolute path",
        ));
    }
    process::plain_map(cx.problems, node)
}

fn driver(problems: &mut Problems, node: &Node) -> Option<String> {
    read::text(problems, node).map(|scalar| scalar.text.clone())
}

fn pool(cx: &mut Context<'_>, node: &Node) -> Option<AddressPool> {
    let map = read::honoured_map(cx.problems, node, &keys::POOL)?;
    let Some(subnet) = map.get("subnet") else {
        cx.note(
            Problem::error("bad-address", node.span, "the address range has no `subnet`")
                .hint("as in `172.18.0.0/16`"),
        );
        return None;
    };
    Some(AddressPool {
        subnet: cidr(cx.problems, subnet)?,
        gateway: cx.optional(map, "gateway", address),
        ip_range: cx.optional(map, "ip_range", cidr),
        reserved: reserved(cx, map),
    })
}

fn address(problems: &mut Problems, node: &Node) -> Option<IpAddr> {
    read::parsed(problems, node, "bad-address", "an IP address")
}

fn reserved(cx: &mut Context<'_>, map: &Map) -> BTreeMap<String, IpAddr> {
    let Some(map) = map.get("aux_addresses").and_then(|node| read::map(cx.problems, node)) else {
        return BTreeMap::new();
    };
    let one = |entry: &Entry| Some((entry.key.text.clone(), address(cx.problems, &entry.value)?));
    map.entries.iter().filter_map(one).collect()
}

fn cidr(problems: &mut Problems, node: &Node) -> Option<Subnet> {
    let found = read::text(problems, node)?;
    let subnet = found.text.parse().ok();
    if subnet.is_none() {
        let message = format!("{} is not a subnet", found.shown());
        problems.add(
            Problem::error("bad-address", node.span, message)
                .hint("an address and its bits: `172.18.0.0/16`"),
        );
    }
    subnet
}
