//! Ports in the short form: `[address:][host port:]container port[/protocol]`, each of which may be many.

use std::net::IpAddr;

use super::super::node::{Node, Scalar, Value};
use super::super::problem::Problem;
use super::super::read as node_read;
use super::long::Reading;
use super::scalars::{self, Plain};
use super::short::{entry, map_node, plain_node, text_node};

/// One published port.
#[derive(Debug, PartialEq, Eq)]
struct Port {
    address: String,
    published: String,
    target: u16,
    protocol: String,
}

const FORM: &str =
    "`[address:][host port:]container port[/protocol]`, as in `8080:80` or `127.0.0.1:53:53/udp`";

/// Replaces every short form in a list of ports by the long one.
pub(crate) fn expand(reading: &mut Reading<'_>, node: Node) -> Option<Node> {
    node_read::list(reading.problems, &node)?;
    let Node { span, tag, value } = node;
    let Value::List(items) = value else { return None };
    let mut long = Vec::with_capacity(items.len());
    for item in items {
        match &item.value {
            Value::Scalar(scalar) => match expand_one(scalar) {
                Ok(ports) => long.extend(ports.into_iter().map(|port| port_node(&port, &item, scalar))),
                Err(message) => {
                    if reading.problems.is_spoiled(item.span) {
                        // The list lacks something that nobody here knows.
                        reading.problems.spoil(span);
                    }
                    reading.problems.add(Problem::error("bad-port", item.span, message).hint(FORM));
                }
            },
            Value::Map(map) => {
                if map.get("target").is_none() && item.tag.is_none() {
                    let message = "the port has no `target`, the port of the container";
                    reading.problems.add(Problem::error("bad-port", item.span, message));
                    continue;
                }
                if let Some(node) = map.get("host_ip")
                    && let Some(scalar) = node.as_scalar()
                    && scalar.text.parse::<IpAddr>().is_err()
                {
                    let message = format!("{} is not an IP address", scalar.shown());
                    reading.problems.add(Problem::error("bad-address", node.span, message));
                    continue;
                }
                long.push(with_defaults(item));
            }
            Value::Null | Value::List(_) => {
                reading.problems.add(node_read::wrong_type(&item, "a port").hint(FORM));
            }
        }
    }
    Some(Node { span, tag, value: Value::List(long) })
}

fn with_defaults(mut item: Node) -> Node {
    let span = item.span;
    if let Some(map) = item.as_map_mut() {
        for (key, value) in [("protocol", "tcp"), ("mode", "ingress")] {
            if map.entry(key).is_none() {
                map.entries.push(entry(key, text_node(value, span, None)));
            }
        }
    }
    item
}

fn port_node(port: &Port, item: &Node, scalar: &Scalar) -> Node {
    let Port { address, published, target, protocol } = port;
    let text = |key: &str, text: &str| entry(key, text_node(text, item.span, Some(scalar)));
    let mut entries = vec![entry("mode", text_node("ingress", item.span, None))];
    if !address.is_empty() {
        entries.push(text("host_ip", address));
    }
    entries.push(entry("target", plain_node(&target.to_string(), item.span)));
    if !published.is_empty() {
        entries.push(text("published", published));
    }
    entries.push(text("protocol", protocol));
    Node { tag: item.tag, ..map_node(item.span, entries) }
}

fn expand_one(scalar: &Scalar) -> Result<Vec<Port>, String> {
    match if scalar.plain { scalars::plain(&scalar.text) } else { Plain::Text } {
        Plain::Text => parse(&scalar.text).map_err(str::to_owned),
        Plain::Whole(number) => u16::try_from(number)
            .ok()
            .filter(|number| *number > 0)
            .map(|target| {
                let (address, published) = (String::new(), String::new());
                vec![Port { address, published, target, protocol: "tcp".to_owned() }]
            })
            .ok_or_else(|| NO_PORT.to_owned()),
        Plain::Flag(_) | Plain::Decimal(_) | Plain::Date => {
            Err(format!("a port is wanted here, and this is {}", scalar.kind()))
        }
    }
}

const NO_PORT: &str = "this is not a port: a number up to 65535, or a range of them";

fn parse(text: &str) -> Result<Vec<Port>, &'static str> {
    let (host, container) = text.rsplit_once(':').map_or(("", text), |(host, container)| (host, container));
    let (address, published) = host.rsplit_once(':').unwrap_or(("", host));
    let (container, protocol) = match container.split_once('/') {
        None | Some((_, "")) => (container.trim_end_matches('/'), "tcp".to_owned()),
        Some((container, protocol)) => (container, protocol.to_lowercase()),
    };
    if !matches!(protocol.as_str(), "tcp" | "udp" | "sctp") {
        return Err("the protocol of a port is `tcp`, `udp` or `sctp`");
    }
    let address = ip(address)?;
    let (first, last) = range(container)?;
    let published = if published.is_empty() { None } else { Some(range(published)?) };
    let port = |target: u16, published: String| Port {
        address: address.clone(),
        published,
        target,
        protocol: protocol.clone(),
    };
    let mut ports: Vec<Port> = match published {
        None => (first..=last).map(|target| port(target, String::new())).collect(),
        Some((from, to)) if first == last && from != to => vec![port(first, format!("{from}-{to}"))],
        Some((from, to)) if to - from == last - first => {
            (first..=last).zip(from..=to).map(|(target, from)| port(target, from.to_string())).collect()
        }
        Some(_) => return Err("the two ranges of ports have different lengths"),
    };
    // Compose sorts the ports of a range as texts.
    ports.sort_by_key(|port| format!("{}/{}", port.target, port.protocol));
    Ok(ports)
}

fn ip(text: &str) -> Result<String, &'static str> {
    if text.is_empty() {
        return Ok(String::new());
    }
    let inner = match text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(inner) => inner,
        None if text.contains(':') => {
            return Err("an IPv6 address before a port stands in brackets: `[::1]:80:80`");
        }
        None => text,
    };
    match inner.parse::<IpAddr>() {
        Ok(_) => Ok(inner.to_owned()),
        Err(_) => Err("what stands before the host port is not an IP address"),
    }
}

fn range(text: &str) -> Result<(u16, u16), &'static str> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let number = |text: &str| if text.starts_with('+') { None } else { text.parse::<u16>().ok() };
    match (number(first), number(last)) {
        (Some(first), Some(last)) if first <= last => Ok((first, last)),
        (Some(_), Some(_)) => Err("the range of ports ends before it begins"),
        _ => Err(NO_PORT),
    }
}

#[cfg(test)]
mod tests {
    use super::{Port, parse};

    fn shown(text: &str) -> String {
        let one = |Port { address, published, target, protocol }: &Port| {
            format!("{address}|{published}|{target}/{protocol}")
        };
        match parse(text) {
            Ok(ports) => ports.iter().map(one).collect::<Vec<_>>().join(" "),
            Err(message) => format!("error: {message}"),
        }
    }

    #[test]
    fn the_short_form_is_read() {
        for (text, ports) in [
            ("80", "||80/tcp"),
            ("8080:80", "|8080|80/tcp"),
            ("53:53/UDP", "|53|53/udp"),
            ("127.0.0.1:8080:80", "127.0.0.1|8080|80/tcp"),
            ("127.0.0.1::80", "127.0.0.1||80/tcp"),
            ("[::1]:8080:80", "::1|8080|80/tcp"),
            ("8000-8001:9000-9001", "|8000|9000/tcp |8001|9001/tcp"),
            ("8-11", "||10/tcp ||11/tcp ||8/tcp ||9/tcp"),
            ("8000-8010:80", "|8000-8010|80/tcp"),
            ("0:80", "|0|80/tcp"),
            (":80", "||80/tcp"),
        ] {
            assert_eq!(shown(text), ports, "{text}");
        }
        for text in
            ["", ":", "a", "80:", "70000", "9-8", "1-2:1-3", "x:1:2", "80/icmp", "-1", "+80", "::1:1:2"]
        {
            assert!(parse(text).is_err(), "{text}: {}", shown(text));
        }
    }
}
