//! Looks for everything that would stop a deploy later, before anything is touched. All of it is told at once.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};

use super::{Host, Run, off_the_loop, words};
use crate::engine::{Engine, ListedContainer};
use crate::model::name::{Instance, StackName};
use crate::model::spec::{ContainerSpec, HostPort, MountSource, Protocol, PublishedPort};
use crate::plan::step::Action;

/// Something that stands in the way of a deploy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What it is.
    pub what: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Finding {
    pub(super) fn of_error(error: &dyn std::error::Error) -> Self {
        Self { what: words::chain(error), hint: None }
    }
}

/// Looks at everything that can be known beforehand. Returns the containers of the host, or what was found wrong.
pub(super) async fn preflight<E: Engine>(
    engine: &E,
    run: Run<'_>,
) -> Result<Vec<ListedContainer>, Vec<Finding>> {
    let mut listed = engine.list_containers().await.map_err(|error| vec![Finding::of_error(&error)])?;
    let adopted = off_the_loop(|| run.tools.ledger.adopted(&run.plan.stack));
    let adopted = adopted.map_err(|error| vec![Finding::of_error(&error)])?;
    for own in listed.iter_mut().filter(|listed| adopted.containers.contains_key(&listed.id)) {
        own.summary.stack = Some(run.plan.stack.clone());
    }
    let mut findings = Vec::new();
    for (instance, spec) in created(run) {
        for port in &spec.ports {
            if let Some(holder) = holder(port, &listed, &run.plan.stack, run.host) {
                findings.push(taken(instance, port, &holder));
            }
        }
        findings.extend(missing_contents(instance, spec, run));
    }
    if findings.is_empty() { Ok(listed) } else { Err(findings) }
}

fn created(run: Run<'_>) -> impl Iterator<Item = (&Instance, &ContainerSpec)> {
    run.plan.steps.iter().filter_map(|step| match &step.action {
        Action::Create { instance, spec, .. } => Some((instance, &**spec)),
        _ => None,
    })
}

fn taken(instance: &Instance, port: &PublishedPort, holder: &str) -> Finding {
    Finding {
        what: format!("service `{}`: the port {port} of the host is held by {holder}", instance.service),
        hint: Some("publish another port of the host, or stop what holds this one".to_owned()),
    }
}

fn missing_contents(instance: &Instance, spec: &ContainerSpec, run: Run<'_>) -> Vec<Finding> {
    let digests = spec.mounts.values().filter_map(|mount| match &mount.source {
        MountSource::Repository(digest) => Some(digest),
        MountSource::Volume(_)
        | MountSource::Anonymous
        | MountSource::Bind(_)
        | MountSource::Grant(_)
        | MountSource::Image(_)
        | MountSource::Tmpfs { .. } => None,
    });
    digests
        .filter(|digest| !run.contents.contains_key(*digest))
        .collect::<BTreeSet<_>>()
        .into_iter()
        .map(|digest| Finding {
            what: format!(
                "service `{}`: content {digest} of the repository is not at hand",
                instance.service
            ),
            hint: None,
        })
        .collect()
}

/// Who of the containers that are `listed`, or of the processes of the host, holds `port` and won't give it away to
/// `stack`: a container of the stack will, by the plan.
pub fn holder(
    port: &PublishedPort,
    listed: &[ListedContainer],
    stack: &StackName,
    host: Host,
) -> Option<String> {
    let HostPort::One(number) = port.host else { return None };
    let mut holders =
        listed.iter().filter(|other| other.summary.ports.iter().any(|held| collide(held, port)));
    if let Some(other) = holders.next() {
        return (other.summary.stack.as_ref() != Some(stack))
            .then(|| format!("the container `{}`", other.summary.name));
    }
    match host {
        Host::Other => None,
        Host::This => is_held_by_a_process(port, number).then(|| "another process".to_owned()),
    }
}

fn collide(held: &PublishedPort, wanted: &PublishedPort) -> bool {
    let is_any = |ip: Option<IpAddr>| ip.is_none_or(|ip| ip.is_unspecified());
    held.container.protocol == wanted.container.protocol
        && held.host == wanted.host
        && (is_any(held.host_ip) || is_any(wanted.host_ip) || held.host_ip == wanted.host_ip)
}

/// Tries to take the port for a moment. Only "in use" says something: a port that this process may not take, or an
/// address that it can't, is left to Docker.
fn is_held_by_a_process(port: &PublishedPort, number: u16) -> bool {
    let at = SocketAddr::new(port.host_ip.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)), number);
    let tried = match port.container.protocol {
        Protocol::Tcp => TcpListener::bind(at).map(drop),
        Protocol::Udp => UdpSocket::bind(at).map(drop),
        Protocol::Sctp => return false,
    };
    tried.is_err_and(|error| error.kind() == ErrorKind::AddrInUse)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::live::OtherContainer;
    use crate::model::spec::ContainerPort;

    fn port(host_ip: Option<&str>, host: u16, protocol: Protocol) -> PublishedPort {
        PublishedPort {
            container: ContainerPort { number: 80, protocol },
            host_ip: host_ip.map(|ip| ip.parse().unwrap()),
            host: HostPort::One(host),
        }
    }

    fn listed(stack: Option<&str>, held: PublishedPort) -> Vec<ListedContainer> {
        let summary = OtherContainer {
            name: "other".parse().unwrap(),
            stack: stack.map(|stack| stack.parse().unwrap()),
            origin: None,
            ports: BTreeSet::from([held]),
            binds: BTreeSet::new(),
            networks: BTreeSet::new(),
        };
        vec![ListedContainer { id: "0a".parse().unwrap(), runs: true, summary }]
    }

    fn found(wanted: &PublishedPort, listed: &[ListedContainer], host: Host) -> Option<String> {
        holder(wanted, listed, &"auren-dev".parse().unwrap(), host)
    }

    #[test]
    fn a_container_of_another_stack_is_in_the_way_and_one_of_ours_is_not() {
        let wanted = port(None, 8000, Protocol::Tcp);
        let held = |ip, host, protocol| port(ip, host, protocol);
        let theirs = listed(Some("other"), held(None, 8000, Protocol::Tcp));
        assert_eq!(found(&wanted, &theirs, Host::Other).unwrap(), "the container `other`");
        let theirs = listed(None, held(Some("127.0.0.1"), 8000, Protocol::Tcp));
        assert!(found(&wanted, &theirs, Host::Other).is_some());
        let ours = listed(Some("auren-dev"), held(None, 8000, Protocol::Tcp));
        assert_eq!(found(&wanted, &ours, Host::This), None);
        for other in [held(None, 8001, Protocol::Tcp), held(None, 8000, Protocol::Udp)] {
            assert_eq!(found(&wanted, &listed(None, other), Host::Other), None);
        }
        let here = port(Some("127.0.0.1"), 8000, Protocol::Tcp);
        let there = listed(None, held(Some("127.0.0.2"), 8000, Protocol::Tcp));
        assert_eq!(found(&here, &there, Host::Other), None);
    }

    #[test]
    fn a_process_that_holds_the_port_is_in_the_way_on_this_host() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let number = listener.local_addr().unwrap().port();
        let wanted = port(Some("127.0.0.1"), number, Protocol::Tcp);
        assert_eq!(found(&wanted, &[], Host::This).unwrap(), "another process");
        assert_eq!(found(&wanted, &[], Host::Other), None);
    }
}
