//! A port of the host is published once.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::super::lower::{Lowered, LoweredService};
use super::super::problem::{Problem, Problems};
use super::super::source::Span;
use super::active;
use crate::model::name::ServiceName;
use crate::model::spec::{HostPort, Protocol};

/// Who publishes a port, on which address, and where that is said.
type Holder<'l> = (&'l ServiceName, Option<IpAddr>, Span);

/// Finds host ports that two containers want.
pub(super) fn conflicts(problems: &mut Problems, lowered: &Lowered) {
    let mut taken: BTreeMap<(u16, Protocol), Vec<Holder<'_>>> = BTreeMap::new();
    for LoweredService { service, places, .. } in active(lowered) {
        for (port, span) in &places.ports {
            let number = match port.host {
                HostPort::One(number) => number,
                HostPort::OneOf(first, last) => {
                    if u32::from(last - first) + 1 < service.replicas {
                        let message =
                            format!("{} containers need more host ports than this", service.replicas);
                        problems.add(Problem::error("port-conflict", *span, message).hint("widen the range"));
                    }
                    continue;
                }
                HostPort::Any => continue,
            };
            if service.replicas > 1 {
                let message = format!("{} containers can't publish one host port", service.replicas);
                let mut problem = Problem::error("port-conflict", *span, message)
                    .hint("leave the host port out, give a range, or run a single container");
                if let Some(replicas) = places.replicas {
                    problem = problem.related(replicas, format!("{} containers", service.replicas));
                }
                problems.add(problem);
            }
            let holders = taken.entry((number, port.container.protocol)).or_default();
            if let Some((other, _, first)) = holders.iter().find(|(_, ip, _)| overlap(*ip, port.host_ip)) {
                problems.add(conflict(service.name.as_str(), other.as_str(), *span, *first));
            }
            holders.push((&service.name, port.host_ip, *span));
        }
    }
}

fn conflict(service: &str, other: &str, span: Span, first: Span) -> Problem {
    if service == other {
        return Problem::error("port-conflict", span, format!("`{service}` publishes one host port twice"))
            .label("again here")
            .related(first, "first here")
            .hint("change one of the two, or bind them to different addresses");
    }
    let message = format!("`{other}` and `{service}` publish the same host port");
    Problem::error("port-conflict", span, message)
        .label(format!("`{service}` here"))
        .related(first, format!("`{other}` here"))
        .hint("change one of the two, or bind them to different addresses")
}

/// Whether two addresses can't both hold a port. No address means all, and so do `0.0.0.0` and `::`.
fn overlap(one: Option<IpAddr>, other: Option<IpAddr>) -> bool {
    match (one, other) {
        (None, _) | (_, None) => true,
        (Some(one), Some(other)) => {
            one == other
                || (one.is_ipv4() == other.is_ipv4() && (one.is_unspecified() || other.is_unspecified()))
        }
    }
}
