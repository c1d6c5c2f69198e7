//! Published and exposed ports, in the short form (`127.0.0.1:8000-8002:80-82/udp`) and the long one.

use std::net::IpAddr;

use super::super::keys;
use super::super::node::{Map, Node, Value};
use super::super::problem::{Problem, Problems};
use super::super::read;
use super::super::source::Span;
use super::Context;
use crate::model::spec::{ContainerPort, ContainerSpec, HostPort, Protocol, PublishedPort};

/// A first and a last port.
type Range = (u16, u16);

/// Reads `ports` and `expose` into `spec`, and gives the place of each port.
pub(super) fn read(cx: &mut Context<'_>, map: &Map, spec: &mut ContainerSpec) -> Vec<(PublishedPort, Span)> {
    let mut places = Vec::new();
    for node in map.get("ports").and_then(|node| read::list(cx.problems, node)).unwrap_or_default() {
        let ports = match &node.value {
            Value::Map(_) => long(cx.problems, node),
            Value::Null | Value::Scalar(_) | Value::List(_) => short(cx.problems, node),
        };
        for port in ports.unwrap_or_default() {
            // The same port twice, in whatever form, is one port.
            if spec.ports.insert(port.clone()) {
                places.push((port, node.span));
            }
        }
    }
    for node in map.get("expose").and_then(|node| read::list(cx.problems, node)).unwrap_or_default() {
        let Some(found) = read::scalar(cx.problems, node, "a port") else { continue };
        let read = with_protocol(&found.text)
            .and_then(|(ports, protocol)| range(ports).map(|(first, last)| (first..=last, protocol)));
        match read {
            Ok((numbers, protocol)) => {
                spec.expose.extend(numbers.map(|number| ContainerPort { number, protocol }));
            }
            Err(message) => {
                cx.note(Problem::error("bad-port", node.span, message).hint("`8000`, `8000-8010`, `53/udp`"));
            }
        }
    }
    places
}

fn short(problems: &mut Problems, node: &Node) -> Option<Vec<PublishedPort>> {
    let found = read::scalar(problems, node, "a port")?;
    match parse_short(&found.text) {
        Ok(ports) => Some(ports),
        Err(message) => {
            problems.add(Problem::error("bad-port", node.span, message).hint(
                "`[address:][host port:]container port[/protocol]`, as in `8080:80` or `127.0.0.1:53:53/udp`",
            ));
            None
        }
    }
}

fn parse_short(text: &str) -> Result<Vec<PublishedPort>, &'static str> {
    let (text, protocol) = with_protocol(text)?;
    let (host, container) =
        text.rsplit_once(':').map_or((None, text), |(host, container)| (Some(host), container));
    let container = range(container)?;
    let (host_ip, published) = match host {
        None => (None, None),
        Some(host) => match host.rsplit_once(':') {
            Some((address, port)) => (Some(ip(address)?), Some(port)),
            None => (None, Some(host)),
        },
    };
    let published = published.filter(|port| !port.is_empty()).map(range_from_zero).transpose()?;
    spread(host_ip, published, container, protocol)
}

fn long(problems: &mut Problems, node: &Node) -> Option<Vec<PublishedPort>> {
    let map = read::checked_map(problems, node, &keys::PORT)?;
    let Some(target) = map.get("target") else {
        problems.add(Problem::error(
            "bad-port",
            node.span,
            "the port has no `target`, the port of the container",
        ));
        return None;
    };
    let target: u16 = read::integer(problems, target, "a port from 1 to 65535").filter(|port| *port > 0)?;
    let mut published = None;
    if let Some(node) = map.get("published") {
        let found = read::scalar(problems, node, "a port")?;
        match range_from_zero(&found.text) {
            Ok(range) => published = Some(range),
            Err(message) => {
                problems.add(Problem::error("bad-port", node.span, message));
                return None;
            }
        }
    }
    let host_ip = match map.get("host_ip") {
        Some(node) => Some(read::parsed::<IpAddr>(problems, node, "bad-address", "an IP address")?),
        None => None,
    };
    let protocol = match map.get("protocol") {
        Some(node) => {
            let words = [("tcp", Protocol::Tcp), ("udp", Protocol::Udp), ("sctp", Protocol::Sctp)];
            read::word(problems, node, &words)?
        }
        None => Protocol::Tcp,
    };
    if let Some(node) = map.get("mode") {
        // On a single host both publish the port on the host.
        read::word(problems, node, &[("ingress", ()), ("host", ())])?;
    }
    match spread(host_ip, published, (target, target), protocol) {
        Ok(ports) => Some(ports),
        Err(message) => {
            problems.add(Problem::error("bad-port", node.span, message));
            None
        }
    }
}

/// Pairs the ports of two ranges of the same length; of several host ports for one of the container any may be taken.
fn spread(
    host_ip: Option<IpAddr>,
    published: Option<Range>,
    container: Range,
    protocol: Protocol,
) -> Result<Vec<PublishedPort>, &'static str> {
    let length = |range: Range| range.1 - range.0;
    let port = |number, host| PublishedPort { container: ContainerPort { number, protocol }, host_ip, host };
    match published {
        None | Some((0, 0)) => {
            Ok((container.0..=container.1).map(|number| port(number, HostPort::Any)).collect())
        }
        Some((0, _)) => Err("port 0 can't begin a range"),
        Some((first, last)) if length(container) == 0 && first != last => {
            Ok(vec![port(container.0, HostPort::OneOf(first, last))])
        }
        Some(range) if length(range) == length(container) => Ok((container.0..=container.1)
            .zip(range.0..=range.1)
            .map(|(number, host)| port(number, HostPort::One(host)))
            .collect()),
        Some(_) => Err("the two ranges of ports have different lengths"),
    }
}

fn with_protocol(text: &str) -> Result<(&str, Protocol), &'static str> {
    match text.split_once('/') {
        None => Ok((text, Protocol::Tcp)),
        Some((ports, "tcp")) => Ok((ports, Protocol::Tcp)),
        Some((ports, "udp")) => Ok((ports, Protocol::Udp)),
        Some((ports, "sctp")) => Ok((ports, Protocol::Sctp)),
        Some(_) => Err("the protocol of a port is `tcp`, `udp` or `sctp`"),
    }
}

fn ip(text: &str) -> Result<IpAddr, &'static str> {
    let inner = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    inner.parse().map_err(|_| "what stands before the host port is not an IP address")
}

fn range(text: &str) -> Result<Range, &'static str> {
    range_from_zero(text).and_then(|range| if range.0 == 0 { Err(NO_PORT) } else { Ok(range) })
}

const NO_PORT: &str = "this is not a port: a number from 1 to 65535, or a range of them";

fn range_from_zero(text: &str) -> Result<Range, &'static str> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let number = |text: &str| {
        if text.starts_with('+') { None } else { text.parse::<u16>().ok() }
    };
    match (number(first), number(last)) {
        (Some(first), Some(last)) if first <= last => Ok((first, last)),
        (Some(_), Some(_)) => Err("the range of ports ends before it begins"),
        _ => Err(NO_PORT),
    }
}

#[cfg(test)]
mod tests {
    use super::parse_short;

    fn shown(text: &str) -> String {
        match parse_short(text) {
            Ok(ports) => ports.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
            Err(message) => format!("error: {message}"),
        }
    }

    #[test]
    fn the_short_form_is_read() {
        for (text, ports) in [
            ("80", "(any):80/tcp"),
            ("8080:80", "8080:80/tcp"),
            ("53:53/udp", "53:53/udp"),
            ("127.0.0.1:8080:80", "127.0.0.1:8080:80/tcp"),
            ("127.0.0.1::80", "127.0.0.1:(any):80/tcp"),
            ("[::1]:8080:80", "[::1]:8080:80/tcp"),
            ("8000-8001:9000-9001", "8000:9000/tcp 8001:9001/tcp"),
            ("8000-8010:80", "8000-8010:80/tcp"),
            ("3000-3001", "(any):3000/tcp (any):3001/tcp"),
            ("0:80", "(any):80/tcp"),
        ] {
            assert_eq!(shown(text), ports, "{text}");
        }
        for text in ["", ":", "a", "80:", "70000", "80:0", "9-8", "1-2:1-3", "x:1:2", "80/icmp", "-1", "+80"]
        {
            assert!(parse_short(text).is_err(), "{text}: {}", shown(text));
        }
    }
}
