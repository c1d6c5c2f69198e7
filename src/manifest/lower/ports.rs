//! Published and exposed ports.

use std::net::IpAddr;

use super::super::keys;
use super::super::node::{Map, Node};
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
        // The same port twice, in whatever form, is one port.
        if let Some(port) = published(cx.problems, node)
            && spec.ports.insert(port.clone())
        {
            places.push((port, node.span));
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

fn published(problems: &mut Problems, node: &Node) -> Option<PublishedPort> {
    let map = read::honoured_map(problems, node, &keys::PORT)?;
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
    let host = match published {
        None | Some((0, 0)) => HostPort::Any,
        Some((0, _)) => {
            let message = "port 0 can't begin a range";
            problems.add(Problem::error(
                "bad-port",
                map.get("published").map_or(node.span, |node| node.span),
                message,
            ));
            return None;
        }
        Some((first, last)) if first == last => HostPort::One(first),
        Some((first, last)) => HostPort::OneOf(first, last),
    };
    Some(PublishedPort { container: ContainerPort { number: target, protocol }, host_ip, host })
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
