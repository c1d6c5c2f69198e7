//! Who holds which port of the host, and who must give it up first.

use std::collections::BTreeSet;

use super::decide::{Decision, Decisions, Verdict};
use super::refusal::Refusal;
use crate::model::live::{Live, LiveContainer, Status};
use crate::model::name::ContainerId;
use crate::model::spec::{HostPort, PublishedPort};

/// The containers of the stack that must stop before anything starts, since another one needs a port of theirs.
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
        Verdict::Keep | Verdict::Mend { start: None, .. } => false,
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
