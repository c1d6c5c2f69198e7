//! Who has which fixed address of a network, and who must give it up before another one gets it.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::decide::{Decision, Decisions, Verdict, is_active};
use crate::model::live::{Live, LiveContainer};
use crate::model::name::{ContainerId, NetworkName};
use crate::model::spec::Attachment;

/// The containers that hold an address which another one is to get.
#[derive(Debug, Default)]
pub(super) struct Yielding<'a> {
    /// Those that give way to others: they must stop before anything starts.
    pub(super) stopping: BTreeSet<&'a ContainerId>,
    /// Those that stay, with the network that they must leave before anybody joins it.
    pub(super) leaving: BTreeSet<(&'a ContainerId, &'a NetworkName)>,
}

pub(super) fn yielding<'a>(decisions: &Decisions<'a>, live: &'a Live) -> Yielding<'a> {
    let mut yielding = Yielding::default();
    for decision in &decisions.wanted {
        for (name, attachment) in joined(decision) {
            for address in fixed(attachment) {
                let own = decision.current.map(|current| &current.id);
                let others = live.containers.values().filter(|other| Some(&other.id) != own);
                for holder in others.filter(|other| holds(other, name, address)) {
                    yielding.add(decisions, holder, name);
                }
            }
        }
    }
    yielding
}

impl<'a> Yielding<'a> {
    fn add(&mut self, decisions: &Decisions<'a>, holder: &'a LiveContainer, name: &NetworkName) {
        let of =
            decisions.wanted.iter().find(|decision| decision.current.is_some_and(|own| own.id == holder.id));
        match of.map(|decision| &decision.verdict) {
            // What nobody wants any more goes last, unless it is in the way.
            None | Some(Verdict::Replace(_) | Verdict::Revive(..)) => {
                self.stopping.insert(&holder.id);
            }
            Some(Verdict::Mend { changes, .. }) => {
                let group = format!("networks.{name}");
                let held = holder.spec.networks.keys().find(|held| *held == name);
                if changes.iter().any(|change| change.path.is_in(&group)) {
                    self.leaving.extend(held.map(|held| (&holder.id, held)));
                }
            }
            // The engine will say that the address is taken.
            Some(Verdict::Keep | Verdict::Absent(_) | Verdict::Create(_)) => {}
        }
    }
}

/// The networks that the container of a decision joins, or joins again.
fn joined<'d>(decision: &'d Decision<'_>) -> impl Iterator<Item = (&'d NetworkName, &'d Attachment)> {
    let joins = |name: &NetworkName| match &decision.verdict {
        Verdict::Keep | Verdict::Absent(_) => false,
        Verdict::Create(_)
        | Verdict::Replace(_)
        | Verdict::Revive(..)
        | Verdict::Mend { start: Some(_), .. } => true,
        Verdict::Mend { changes, start: None } => {
            let group = format!("networks.{name}");
            changes.iter().any(|change| change.path.is_in(&group))
        }
    };
    decision.spec.networks.iter().filter(move |(name, _)| joins(name))
}

fn holds(container: &LiveContainer, name: &NetworkName, address: IpAddr) -> bool {
    let is_fixed =
        || container.spec.networks.get(name).is_some_and(|held| fixed(held).any(|held| held == address));
    let has_it = || container.addresses.get(name) == Some(&Some(address));
    is_active(container.state.status) && (is_fixed() || has_it())
}

fn fixed(attachment: &Attachment) -> impl Iterator<Item = IpAddr> {
    let four = attachment.ipv4.map(IpAddr::V4);
    four.into_iter().chain(attachment.ipv6.map(IpAddr::V6))
}

/// Whether it has an address that another container may have to give up first.
pub(super) fn is_fixed(attachment: &Attachment) -> bool {
    fixed(attachment).next().is_some()
}
