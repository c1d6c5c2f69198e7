//! Who holds which port of the host or writes to which volume, and who must give it up first.

use std::collections::BTreeSet;

use super::decide::{Decision, Decisions, Verdict};
use super::refusal::Refusal;
use crate::model::live::{Live, LiveContainer, Status};
use crate::model::name::{ContainerId, VolumeName};
use crate::model::spec::{ContainerSpec, HostPort, MountSource, PublishedPort};

/// The containers of the stack that must stop before anything starts, since another one needs a port of theirs, or takes
/// over a volume from one that no manifest wants any more: two services may share a volume, but two databases that follow
/// each other may not.
///
/// # Errors
/// Ports that a container outside of the stack holds, or one of the stack that stays.
pub(super) fn vacating<'a>(
    decisions: &Decisions<'a>,
    live: &'a Live,
) -> Result<BTreeSet<&'a ContainerId>, Vec<Refusal>> {
    let leaving: BTreeSet<&ContainerId> = decisions
        .wanted
        .iter()
        .filter(|decision| matches!(decision.verdict, Verdict::Replace(_) | Verdict::Revive(..)))
        .filter_map(|decision| decision.current)
        .chain(decisions.unwanted.iter().copied())
        .map(|container| &container.id)
        .collect();
    let mut vacating = BTreeSet::new();
    let mut refusals = Vec::new();
    for decision in decisions.wanted.iter().filter(|decision| starts(decision)) {
        let former = decisions.unwanted.iter().filter(|container| shares_volume(container, &decision.spec));
        vacating.extend(former.map(|container| &container.id));
        for port in &decision.spec.ports {
            if let Some(other) =
                live.others.values().find(|other| other.ports.iter().any(|held| overlap(held, port)))
            {
                refusals.push(taken(decision, port, other.name.as_str()));
            }
            for holder in live.containers.values().filter(|holder| holds(holder, port, decision)) {
                if leaving.contains(&holder.id) {
                    vacating.insert(&holder.id);
                } else {
                    refusals.push(taken(decision, port, holder.name.as_str()));
                }
            }
        }
    }
    if refusals.is_empty() { Ok(vacating) } else { Err(refusals) }
}

fn starts(decision: &Decision<'_>) -> bool {
    match &decision.verdict {
        Verdict::Keep | Verdict::Absent(_) | Verdict::Mend { start: None, .. } => false,
        Verdict::Create(_)
        | Verdict::Replace(_)
        | Verdict::Revive(..)
        | Verdict::Mend { start: Some(_), .. } => true,
    }
}

fn holds(holder: &LiveContainer, port: &PublishedPort, decision: &Decision<'_>) -> bool {
    let is_own = decision.current.is_some_and(|current| current.id == holder.id);
    matches!(holder.state.status, Status::Running | Status::Paused | Status::Restarting)
        && !is_own
        && holder.spec.ports.iter().any(|held| overlap(held, port))
}

/// Whether both publish one port of the host.
pub(super) fn share_port(one: &ContainerSpec, other: &ContainerSpec) -> bool {
    one.ports.iter().any(|held| other.ports.iter().any(|port| overlap(held, port)))
}

/// Whether both mount a volume that one of them may write to.
pub(super) fn shares_volume(container: &LiveContainer, spec: &ContainerSpec) -> bool {
    let mounts = |spec: &ContainerSpec| -> Vec<(VolumeName, bool)> {
        let named = spec.mounts.values().filter_map(|mount| match &mount.source {
            MountSource::Volume(name) => Some((name.clone(), mount.read_only)),
            _ => None,
        });
        named.collect()
    };
    let held = mounts(&container.spec);
    mounts(spec).iter().any(|(name, read_only)| {
        held.iter().any(|(other, other_reads)| name == other && !(*read_only && *other_reads))
    })
}

fn taken(decision: &Decision<'_>, port: &PublishedPort, holder: &str) -> Refusal {
    Refusal::new(
        format!(
            "service `{}` publishes {port}, but the container `{holder}` holds that port",
            decision.service.name
        ),
        format!("stop `{holder}`, or publish another port"),
    )
}

/// Whether two containers can't have both. A port of a range leaves Docker a choice and is no conflict here.
fn overlap(a: &PublishedPort, b: &PublishedPort) -> bool {
    let same_number = match (a.host, b.host) {
        (HostPort::One(a), HostPort::One(b)) => a == b,
        (HostPort::Any | HostPort::OneOf(..), _) | (_, HostPort::Any | HostPort::OneOf(..)) => false,
    };
    let everywhere = |port: &PublishedPort| port.host_ip.is_none_or(|ip| ip.is_unspecified());
    same_number
        && a.container.protocol == b.container.protocol
        && (everywhere(a) || everywhere(b) || a.host_ip == b.host_ip)
}
