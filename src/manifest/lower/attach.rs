//! How a service joins networks, and what it sees of others there.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::super::keys;
use super::super::node::{Entry, Map, Node, Value};
use super::super::problem::{Problem, Problems, nearest};
use super::super::read;
use super::super::source::Span;
use super::{Context, LoweredService, process};
use crate::model::desired::Service;
use crate::model::name::{NetworkKey, NetworkName, ServiceName, StackName};
use crate::model::spec::{Attachment, ContainerSpec, INTERFACE_NAME, MacAddress, NetworkSpec};

/// The network of services that name none.
pub(super) const DEFAULT: &str = "default";

/// Reads the networks that a service joins into `spec`; the default one where it names none.
pub(super) fn read(cx: &mut Context<'_>, map: &Map, spec: &mut ContainerSpec) {
    let mut first = None;
    match map.get("networks") {
        // With another network mode there is nothing to join.
        None if map.get("network_mode").is_some() => {}
        None => {
            if let Some(name) = default_network(cx) {
                spec.networks.insert(name.clone(), Attachment::default());
                first = Some(name);
            }
        }
        Some(node) => first = join(cx, node, spec),
    }
    own_mac(cx, map, first, spec);
    external_links(cx, map, spec);
}

/// Reads `networks`, and gives the one that Compose connects first.
fn join(cx: &mut Context<'_>, node: &Node, spec: &mut ContainerSpec) -> Option<NetworkName> {
    // Compose's order: by priority, the highest first, then by key.
    let mut order: BTreeMap<(i64, &str), NetworkName> = BTreeMap::new();
    for entry in &read::map(cx.problems, node)?.entries {
        let name = joined_name(cx, entry);
        let attachment = match &entry.value.value {
            Value::Null => Some((Attachment::default(), 0)),
            Value::Scalar(_) | Value::List(_) | Value::Map(_) => attachment(cx, &entry.value),
        };
        if let (Some(name), Some((attachment, priority))) = (name, attachment) {
            order.insert((-priority, &entry.key.text), name.clone());
            spec.networks.insert(name, attachment);
        }
    }
    let (first, name) = order.first_key_value()?;
    // Without priorities it doesn't matter which is the first.
    let is_chosen = order.keys().any(|(priority, _)| *priority != first.0);
    if let Some(attachment) = spec.networks.get_mut(name).filter(|_| is_chosen) {
        attachment.first = true;
    }
    Some(name.clone())
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
    let nowhere = Span { source: u32::MAX, start: 0, end: 0 };
    cx.networks.insert(key, (NetworkSpec::named(name.clone()), nowhere));
    Some(name)
}

/// An attachment, and its priority.
fn attachment(cx: &mut Context<'_>, node: &Node) -> Option<(Attachment, i64)> {
    let map = read::honoured_map(cx.problems, node, &keys::ATTACHMENT)?;
    let texts = |cx: &mut Context<'_>, key: &str| map.get(key).and_then(|node| read::list(cx.problems, node));
    let aliases = texts(cx, "aliases").unwrap_or_default();
    let link_local = texts(cx, "link_local_ips").unwrap_or_default();
    let number = |problems: &mut Problems, node: &Node| read::integer(problems, node, "a number");
    let attachment = Attachment {
        first: false,
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
        link_local: link_local
            .iter()
            .filter_map(|node| read::parsed::<IpAddr>(cx.problems, node, "bad-address", "an IP address"))
            .collect(),
        mac: cx.optional(map, "mac_address", mac),
        options: options(cx, map),
        gateway_priority: cx.optional(map, "gw_priority", number).unwrap_or_default(),
        links: std::collections::BTreeSet::new(),
    };
    Some((attachment, cx.optional(map, "priority", number).unwrap_or_default()))
}

fn mac(problems: &mut Problems, node: &Node) -> Option<MacAddress> {
    read::parsed(problems, node, "bad-address", "a hardware address")
}

/// `driver_opts`, of which `interface_name` is one.
fn options(cx: &mut Context<'_>, map: &Map) -> BTreeMap<String, String> {
    let mut options =
        map.get("driver_opts").map(|node| process::plain_map(cx.problems, node)).unwrap_or_default();
    if let Some(node) = map.get("interface_name")
        && let Some(name) = read::text(cx.problems, node)
        && options.insert(INTERFACE_NAME.to_owned(), name.text.clone()).is_some()
    {
        let message = format!("`interface_name` and the option `{INTERFACE_NAME}` say the same thing");
        cx.note(Problem::error("said-twice", node.span, message).hint("keep one of the two"));
    }
    options
}

/// `mac_address` of the service itself, which is that of its first network.
fn own_mac(cx: &mut Context<'_>, map: &Map, first: Option<NetworkName>, spec: &mut ContainerSpec) {
    let Some(node) = map.get("mac_address") else { return };
    let Some(address) = mac(cx.problems, node) else { return };
    let several = spec.networks.len() > 1;
    let Some(attachment) = first.and_then(|first| spec.networks.get_mut(&first)) else {
        let message = "a hardware address is one of a network, and the service joins none";
        cx.note(Problem::error("bad-address", node.span, message).hint("remove it, or join a network"));
        return;
    };
    attachment.first |= several;
    if attachment.mac.replace(address).is_some_and(|other| other != address) {
        let message = "the first network of the service says another hardware address";
        cx.note(Problem::error("said-twice", node.span, message).hint("keep one of the two"));
    }
}

/// `container` or `container:name`, of which Docker knows nothing but the names.
fn external_links(cx: &mut Context<'_>, map: &Map, spec: &mut ContainerSpec) {
    for node in map.get("external_links").and_then(|node| read::list(cx.problems, node)).unwrap_or_default() {
        let Some(text) = read::text(cx.problems, node) else { continue };
        let (target, name) = text.text.split_once(':').unwrap_or((&text.text, &text.text));
        if target.is_empty() || name.is_empty() || name.contains(':') {
            cx.note(
                Problem::error("bad-link", node.span, "this is not a link")
                    .hint("`container` or `container:name`"),
            );
        }
        link(cx.problems, node.span, spec, (target, name));
    }
}

/// Gives a name to another container on every network of this one, as Compose does.
fn link(problems: &mut Problems, at: Span, spec: &mut ContainerSpec, (target, name): (&str, &str)) {
    if spec.networks.is_empty() {
        let message = "a link is a name on a network, and the service joins none";
        problems.add(Problem::error("bad-link", at, message).hint("remove it, or join a network"));
    }
    for attachment in spec.networks.values_mut() {
        attachment.links.insert((target.to_owned(), name.to_owned()));
    }
}

/// What a service says about another by `links`, and where.
pub(super) type Link = (ServiceName, String, Span);

/// Reads `links`: `service` or `service:name`.
pub(super) fn links(cx: &mut Context<'_>, map: &Map) -> Vec<Link> {
    let mut links = Vec::new();
    for node in map.get("links").and_then(|node| read::list(cx.problems, node)).unwrap_or_default() {
        let Some(text) = read::text(cx.problems, node) else { continue };
        let (service, name) = text.text.split_once(':').unwrap_or((&text.text, &text.text));
        match service.parse::<ServiceName>() {
            Ok(service) if !name.is_empty() && !name.contains(':') => {
                links.push((service, name.to_owned(), node.span));
            }
            Ok(_) | Err(_) => cx.note(
                Problem::error("bad-link", node.span, "this is not a link")
                    .hint("`service` or `service:name`"),
            ),
        }
    }
    links
}

/// Turns links between services into names of containers, now that all services are known. Compose gives three
/// names to each container of the linked service: that of the link, `service-1` and `project-service-1`.
pub(super) fn resolve_links(
    problems: &mut Problems,
    services: &mut BTreeMap<ServiceName, LoweredService>,
    stack: &StackName,
) {
    let named = |service: &Service| {
        let names = service.instances().map(|one| service.container_name(stack, &one));
        names.filter_map(Result::ok).map(|name| name.to_string()).collect::<Vec<_>>()
    };
    let containers: BTreeMap<ServiceName, Vec<String>> =
        services.iter().map(|(name, lowered)| (name.clone(), named(&lowered.service))).collect();
    for lowered in services.values_mut() {
        for (other, name, at) in std::mem::take(&mut lowered.places.links) {
            for container in containers.get(&other).into_iter().flatten() {
                for name in [name.clone(), format!("{other}-1"), format!("{stack}-{other}-1")] {
                    problems.idle(!lowered.active);
                    link(problems, at, &mut lowered.service.spec, (container, &name));
                }
            }
        }
    }
    problems.idle(false);
}
