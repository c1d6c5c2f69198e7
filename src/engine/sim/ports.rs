//! Ports of the simulated host: who holds which, and which are free.

use std::collections::BTreeSet;

use super::container::SimContainer;
use super::world::{Refusal, World};
use crate::model::name::ContainerId;
use crate::model::spec::{HostPort, PublishedPort};

/// The first port that is given to who wants any.
const ANY_FIRST: u16 = 32_768;

impl World {
    /// The ports that `container` would hold if it were started now.
    pub(super) fn ports_for(&self, container: &SimContainer) -> Result<BTreeSet<PublishedPort>, Refusal> {
        let mut chosen = BTreeSet::new();
        // Without a network nothing leads to the container, and Docker publishes nothing.
        if container.networks.is_empty() {
            return Ok(chosen);
        }
        for wanted in &container.spec.ports {
            let candidates = match wanted.host {
                HostPort::One(port) => port..=port,
                HostPort::OneOf(first, last) => first..=last,
                HostPort::Any => ANY_FIRST..=u16::MAX,
            };
            let free = candidates
                .map(|port| PublishedPort { host: HostPort::One(port), ..wanted.clone() })
                .find(|port| !self.holds(port) && !chosen.iter().any(|taken| collide(taken, port)));
            let port = free.ok_or_else(|| refused(container, wanted))?;
            chosen.insert(port);
        }
        Ok(chosen)
    }

    /// Publishes the ports of a running container that has just joined its first network, and takes back those of one
    /// that has left its last.
    pub(super) fn publish_again(&mut self, id: &ContainerId) -> Result<(), Refusal> {
        let container = self.container(id)?;
        if !container.is_running() || container.behaviour.unbound {
            return Ok(());
        }
        let ports = match (container.networks.is_empty(), container.ports.is_empty()) {
            (true, _) => BTreeSet::new(),
            (false, true) => self.ports_for(container)?,
            (false, false) => return Ok(()),
        };
        self.container_mut(id)?.ports = ports;
        Ok(())
    }

    fn holds(&self, port: &PublishedPort) -> bool {
        let running = self.containers.values().filter(|container| container.is_running());
        running.flat_map(|container| &container.ports).any(|held| collide(held, port))
    }
}

/// Whether two containers can't hold these at the same time. A port on every address collides with all of its number.
fn collide(one: &PublishedPort, other: &PublishedPort) -> bool {
    let every = |port: &PublishedPort| port.host_ip.is_none_or(|ip| ip.is_unspecified());
    let same_address = every(one) || every(other) || one.host_ip == other.host_ip;
    one.host == other.host && one.container.protocol == other.container.protocol && same_address
}

fn refused(container: &SimContainer, port: &PublishedPort) -> Refusal {
    let address = port.host_ip.map_or_else(|| "0.0.0.0".to_owned(), |ip| ip.to_string());
    let number = match port.host {
        HostPort::One(port) | HostPort::OneOf(port, _) => port,
        HostPort::Any => ANY_FIRST,
    };
    Refusal::Rejected(format!(
        "driver failed programming external connectivity on endpoint {}: Bind for {address}:{number} failed: port is \
         already allocated",
        container.name
    ))
}
