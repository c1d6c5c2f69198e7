//! The networks and volumes of the stack, and how a service joins a network.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use super::super::keys::{self, Keys};
use super::super::node::{Entry, Map, Node, Value};
use super::super::problem::{Problem, Problems, nearest};
use super::super::read;
use super::{Context, process};
use crate::model::name::{NetworkKey, NetworkName, VolumeKey, VolumeName};
use crate::model::spec::{AddressPool, Attachment, ContainerSpec, NetworkSpec, VolumeSpec};

/// The network of services that name none.
const DEFAULT: &str = "default";

/// Reads a network of the stack.
pub(super) fn network(cx: &mut Context<'_>, entry: &Entry) {
    let nothing = Map::default();
    let Some((key, map)) = declared::<NetworkKey>(cx, entry, &nothing, &keys::NETWORK) else { return };
    let external = external(cx, map);
    let Some(name) = name::<NetworkName>(cx, entry, map, external) else { return };
    let ipam = map.get("ipam").and_then(|node| read::honoured_map(cx.problems, node, &keys::IPAM));
    if let Some(node) = ipam.and_then(|ipam| ipam.get("driver")) {
        // The default one may be named; others are not made here.
        read::word(cx.problems, node, &[("default", ())]);
    }
    let pools = ipam
        .and_then(|ipam| ipam.get("config"))
        .and_then(|node| read::list(cx.problems, node))
        .unwrap_or_default();
    let spec = NetworkSpec {
        name,
        external,
        driver: cx.optional(map, "driver", driver),
        options: map.get("driver_opts").map(|node| process::plain_map(cx.problems, node)).unwrap_or_default(),
        pools: pools.iter().filter_map(|node| pool(cx, node)).collect(),
        internal: cx.optional(map, "internal", read::boolean).unwrap_or_default(),
        attachable: cx.optional(map, "attachable", read::boolean).unwrap_or_default(),
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
    if let Some(node) = map.get("name") {
        return read::parsed(cx.problems, node, "bad-name", "a name");
    }
    let key = &entry.key.text;
    let name = if external { key.clone() } else { format!("{}_{key}", cx.stack) };
    match name.parse() {
        Ok(name) => Some(name),
        Err(error) => {
            cx.note(Problem::error("bad-name", entry.key.span, format!("{error}")).hint("give it a `name`"));
            None
        }
    }
}

/// The options of a volume's driver. A folder of the repository is mounted as such, not through a volume.
fn options(cx: &mut Context<'_>, map: &Map) -> std::collections::BTreeMap<String, String> {
    let Some(node) = map.get("driver_opts") else { return std::collections::BTreeMap::new() };
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
        gateway: cx.optional(map, "gateway", |problems, node| {
            read::parsed::<std::net::IpAddr>(problems, node, "bad-address", "an IP address")
                .map(|ip| ip.to_string())
        }),
        ip_range: cx.optional(map, "ip_range", cidr),
    })
}

fn cidr(problems: &mut Problems, node: &Node) -> Option<String> {
    let found = read::text(problems, node)?;
    let parts = found.text.split_once('/').and_then(|(address, bits)| {
        let address: std::net::IpAddr = address.parse().ok()?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        bits.parse::<u8>().ok().filter(|bits| *bits <= most)
    });
    if parts.is_none() {
        let message = format!("{} is not a subnet", found.shown());
        problems.add(
            Problem::error("bad-address", node.span, message)
                .hint("an address and its bits: `172.18.0.0/16`"),
        );
        return None;
    }
    Some(found.text.clone())
}

/// Reads the networks that a service joins into `spec`; the default one where it names none.
pub(super) fn attach(cx: &mut Context<'_>, map: &Map, spec: &mut ContainerSpec) {
    let Some(node) = map.get("networks") else {
        // With another network mode, which is refused by its key, there is nothing to join.
        if map.get("network_mode").is_none()
            && let Some(name) = default_network(cx)
        {
            spec.networks.insert(name, Attachment::default());
        }
        return;
    };
    let Some(joined) = read::map(cx.problems, node) else { return };
    for entry in &joined.entries {
        let name = joined_name(cx, entry);
        let attachment = match &entry.value.value {
            Value::Null => Some(Attachment::default()),
            Value::Scalar(_) | Value::List(_) | Value::Map(_) => attachment(cx, &entry.value),
        };
        if let (Some(name), Some(attachment)) = (name, attachment) {
            spec.networks.insert(name, attachment);
        }
    }
}

fn joined_name(cx: &mut Context<'_>, entry: &Entry) -> Option<NetworkName> {
    let key = &entry.key.text;
    if key == DEFAULT {
        return default_network(cx);
    }
    if let Some((spec, _)) = key.parse().ok().and_then(|key: NetworkKey| cx.networks.get(&key)) {
        return Some(spec.name.clone());
    }
    let hint = match nearest(key, cx.networks.keys().map(NetworkKey::as_str)) {
        Some(candidate) => format!("did you mean `{candidate}`?"),
        None => "declare it under `networks` at the top of the file".to_owned(),
    };
    let message = format!("the network `{key}` is not declared");
    cx.note(Problem::error("undeclared-network", entry.key.span, message).hint(hint));
    None
}

fn default_network(cx: &mut Context<'_>) -> Option<NetworkName> {
    let key: NetworkKey = DEFAULT.parse().ok()?;
    if let Some((spec, _)) = cx.networks.get(&key) {
        return Some(spec.name.clone());
    }
    let name: NetworkName = format!("{}_{DEFAULT}", cx.stack).parse().ok()?;
    let spec = NetworkSpec {
        name: name.clone(),
        external: false,
        driver: None,
        options: std::collections::BTreeMap::new(),
        pools: Vec::new(),
        internal: false,
        attachable: false,
        ipv6: false,
        labels: std::collections::BTreeMap::new(),
    };
    let nowhere = super::super::source::Span { source: u32::MAX, start: 0, end: 0 };
    cx.networks.insert(key, (spec, nowhere));
    Some(name)
}

fn attachment(cx: &mut Context<'_>, node: &Node) -> Option<Attachment> {
    let map = read::honoured_map(cx.problems, node, &keys::ATTACHMENT)?;
    let aliases = map.get("aliases").and_then(|node| read::list(cx.problems, node)).unwrap_or_default();
    Some(Attachment {
        aliases: aliases
            .iter()
            .filter_map(|node| read::text(cx.problems, node).map(|scalar| scalar.text.clone()))
            .collect(),
        ipv4: cx.optional(map, "ipv4_address", |problems, node| {
            read::parsed::<Ipv4Addr>(problems, node, "bad-address", "an IPv4 address")
        }),
        ipv6: cx.optional(map, "ipv6_address", |problems, node| {
            read::parsed::<Ipv6Addr>(problems, node, "bad-address", "an IPv6 address")
        }),
    })
}
