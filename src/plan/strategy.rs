//! Who goes first when a container takes the place of another one, and why not the better one.
//!
//! Start-first costs no outage, but both run at once for a while. It is taken where somebody asks for it and nothing that
//! is known of the two stands against it.

use std::collections::{BTreeMap, BTreeSet};

use super::change::Hindrance;
use super::decide::{Decision, Decisions, Verdict};
use crate::model::desired::{Desired, Expect, Service};
use crate::model::live::{LiveContainer, Status};
use crate::model::name::{ContainerId, Instance};
use crate::model::policy::Rollback;
use crate::model::spec::{ContainerSpec, HostPort, MountSource, Namespace, Peer};
use crate::model::update::UpdateOrder;

/// The order for one container, with everything that stands against the better one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Chosen {
    pub(super) order: UpdateOrder,
    pub(super) not_start_first: Vec<Hindrance>,
}

/// The order for each container that takes the place of another one.
pub(super) type Orders = BTreeMap<Instance, Chosen>;

/// Chooses for all of them. `vacating` are those that must stop before anything starts.
pub(super) fn choose(
    decisions: &Decisions<'_>,
    desired: &Desired,
    vacating: &BTreeSet<&ContainerId>,
) -> Orders {
    let mut orders = Orders::new();
    for decision in &decisions.wanted {
        let (Verdict::Replace(_) | Verdict::Revive(..), Some(current)) =
            (&decision.verdict, decision.current)
        else {
            continue;
        };
        let mut found = of_service(decision.service, desired);
        found.extend(of_current(decision, current));
        if vacating.contains(&current.id) {
            found.push(Hindrance::MakesWay);
        }
        orders.insert(decision.instance.clone(), chosen(found));
    }
    orders
}

/// The order where nothing is known of what runs but that it is much the same.
pub(super) fn expected(service: &Service, desired: &Desired) -> Chosen {
    let mut found = of_service(service, desired);
    found.extend(written_by_both(service, &service.spec, &service.spec));
    chosen(found)
}

fn chosen(not_start_first: Vec<Hindrance>) -> Chosen {
    let order = if not_start_first.is_empty() { UpdateOrder::StartFirst } else { UpdateOrder::StopFirst };
    Chosen { order, not_start_first }
}

/// What the manifests say against start-first.
fn of_service(service: &Service, desired: &Desired) -> Vec<Hindrance> {
    match service.update.order {
        // What nobody asks for needs no further reasons.
        UpdateOrder::StopFirst => return vec![Hindrance::NotAsked],
        UpdateOrder::StartFirst => {}
    }
    let spec = &service.spec;
    let mut found = Vec::new();
    match service.gate.expect {
        Expect::Completed => found.push(Hindrance::Task),
        Expect::Running => {}
    }
    match service.rollback {
        Rollback::Hold => found.push(Hindrance::Held),
        Rollback::Automatic => {}
    }
    found.extend(spec.ports.iter().filter(|port| is_fixed(port.host)).cloned().map(Hindrance::HostPort));
    let fixed = spec.networks.iter().filter(|(_, attachment)| {
        attachment.ipv4.is_some()
            || attachment.ipv6.is_some()
            || attachment.mac.is_some()
            || !attachment.link_local.is_empty()
    });
    found.extend(fixed.map(|(name, _)| Hindrance::Address(name.clone())));
    if !spec.networks.is_empty() {
        found.extend(spec.hostname.clone().map(Hindrance::Hostname));
    }
    if spec.namespaces.network == Some(Namespace::Host) {
        found.push(Hindrance::HostNetwork);
    }
    let shared = spec.namespaces.by_key().into_iter();
    found.extend(shared.filter_map(|(key, namespace)| match namespace {
        Some(Namespace::Of(_)) => Some(Hindrance::Shares(key)),
        None
        | Some(
            Namespace::None | Namespace::Private | Namespace::Shareable | Namespace::Bridge | Namespace::Host,
        ) => None,
    }));
    let own = Peer::Service(service.name.clone());
    let sharing =
        desired.services.values().filter(|other| other.spec.namespaces.peers().any(|peer| *peer == own));
    found.extend(sharing.map(|other| Hindrance::SharedBy(other.name.clone())));
    found
}

/// A port of a range may be the last free one.
fn is_fixed(port: HostPort) -> bool {
    match port {
        HostPort::Any => false,
        HostPort::One(_) | HostPort::OneOf(..) => true,
    }
}

/// What the container that serves now says against it.
fn of_current(decision: &Decision<'_>, current: &LiveContainer) -> Vec<Hindrance> {
    match decision.service.update.order {
        UpdateOrder::StopFirst => return Vec::new(),
        UpdateOrder::StartFirst => {}
    }
    let mut found = written_by_both(decision.service, &current.spec, &decision.spec);
    if current.state.status != Status::Running {
        found.push(Hindrance::NotRunning(current.state.status));
    }
    found
}

fn written_by_both(service: &Service, old: &ContainerSpec, new: &ContainerSpec) -> Vec<Hindrance> {
    // Nobody asks for it, or those of a service that has several do so anyway.
    if service.update.order == UpdateOrder::StopFirst || service.replicas > 1 {
        return Vec::new();
    }
    let others = writes(old);
    writes(new).into_iter().filter(|what| others.contains(what)).map(Hindrance::Writes).collect()
}

/// The volumes and paths of the host that a container may write to.
fn writes(spec: &ContainerSpec) -> BTreeSet<String> {
    let mounts = spec.mounts.values().filter(|mount| !mount.read_only);
    let shared = mounts.filter_map(|mount| match &mount.source {
        MountSource::Volume(name) => Some(format!("the volume {name}")),
        MountSource::Bind(path) => Some(path.clone()),
        MountSource::Anonymous
        | MountSource::Repository(_)
        | MountSource::Grant(_)
        | MountSource::Image(_)
        | MountSource::Tmpfs { .. } => None,
    });
    shared.collect()
}
