//! What is changed on a container while it stays: limits, restart policy and networks.

use std::collections::BTreeSet;

use super::super::attached;
use super::super::change::FieldChange;
use super::super::decide::Decision;
use super::super::diff;
use super::super::normal::machine::is_limit;
use super::super::step::{Action, NetworkRef, Phase, Target};
use super::Sequence;
use crate::model::live::LiveContainer;
use crate::model::name::{Instance, NetworkName};
use crate::model::spec::Attachment;

impl Sequence<'_> {
    pub(super) fn mend(
        &mut self,
        decision: &Decision<'_>,
        current: &LiveContainer,
        changes: &[FieldChange],
        after: &[usize],
    ) -> Vec<usize> {
        let wave = self.wave(decision);
        let concerns = |group: &str| changes.iter().any(|change| change.path.is_in(group));
        let mut added = Vec::new();
        if concerns("restart") || changes.iter().any(|change| is_limit(&change.path)) {
            self.keep(&decision.instance, current, wave);
            let action = Action::Update {
                target: Target::Existing(current.id.clone()),
                restart: concerns("restart").then_some(decision.spec.restart),
                resources: diff::limits_of(changes, &decision.spec.resources, &current.spec.resources),
            };
            added.push(self.add(Phase::Switch, wave, after.to_vec(), action));
        }
        if concerns("networks") {
            self.keep_attached(&decision.instance, current, wave);
            added.extend(self.reconnect(decision, current, (changes, wave), after));
        }
        added
    }

    fn reconnect(
        &mut self,
        decision: &Decision<'_>,
        current: &LiveContainer,
        (changes, wave): (&[FieldChange], u16),
        after: &[usize],
    ) -> Vec<usize> {
        let spec = &decision.spec;
        let mut added = Vec::new();
        let names: BTreeSet<&NetworkName> =
            spec.networks.keys().chain(current.spec.networks.keys()).collect();
        let differs = |name: &NetworkName| {
            let group = format!("networks.{name}");
            changes.iter().any(|change| change.path.is_in(&group))
        };
        // Whoever is attached to a network that is made anew is attached to that as it should be.
        let is_remade = |name: &NetworkName| {
            current.spec.networks.contains_key(name) && self.network(name) == NetworkRef::New
        };
        let names: Vec<&NetworkName> =
            names.into_iter().filter(|name| differs(name) && !is_remade(name)).collect();
        for name in names {
            let (wanted, found) = (spec.networks.get(name), current.spec.networks.get(name));
            let is_right = match (wanted, found) {
                (Some(wanted), Some(found)) => attached::is_attached(wanted, found),
                (wanted, found) => wanted.is_none() && found.is_none(),
            };
            if is_right {
                continue;
            }
            let container = Target::Existing(current.id.clone());
            let mut after = after.to_vec();
            if let (Some(_), network @ NetworkRef::Existing(_)) = (found, self.network(name)) {
                let action = Action::Disconnect { container: container.clone(), name: name.clone(), network };
                let yields = self.leaving.contains(&(&current.id, name));
                let (wave, before) = if yields { (0, Vec::new()) } else { (wave, after) };
                let left = self.add(Phase::Switch, wave, before, action);
                added.push(left);
                after = vec![left];
            }
            if let Some(attachment) = wanted {
                let (name, network, attachment) = (name.clone(), self.network(name), attachment.clone());
                added.push(self.add(
                    Phase::Switch,
                    wave,
                    after,
                    Action::Connect { container, name, network, attachment },
                ));
            }
        }
        added
    }

    /// Keeps how a container is attached, too. Its hardware addresses can't be given back, so none is touched where
    /// one was declared.
    pub(super) fn keep_attached(&mut self, instance: &Instance, container: &LiveContainer, wave: u16) {
        if !self.checkpoint.containers.iter().any(|kept| kept.container == container.id) {
            self.keep(instance, container, wave);
        }
        let without_mac = |(name, attachment): (&NetworkName, &Attachment)| {
            (name.clone(), Attachment { mac: None, ..attachment.clone() })
        };
        let mut kept = self.checkpoint.containers.iter_mut();
        if let Some(kept) = kept.find(|kept| kept.container == container.id) {
            kept.networks = Some(container.spec.networks.iter().map(without_mac).collect());
        }
    }
}
