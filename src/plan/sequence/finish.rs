//! What comes after the commit: the names and restart policies of what serves from now on, and the tags of its images.

use std::collections::BTreeSet;

use super::super::decide::{Decision, Decisions, Verdict};
use super::super::step::{Action, Phase, Target};
use super::{Sequence, free_name};
use crate::model::image::ImageRef;
use crate::model::live::LiveContainer;
use crate::model::name::ContainerName;
use crate::model::policy::NAME;
use crate::model::spec::RestartPolicy;
use crate::model::update::UpdateOrder;

impl Sequence<'_> {
    /// Restart policy and name of what serves from now on.
    pub(super) fn finish(&mut self, decision: &Decision<'_>) {
        let target = decision.target();
        let leaving = decision.current.filter(|_| self.order(decision) == UpdateOrder::StartFirst);
        if let Some(current) = leaving {
            self.leave(current);
        }
        // What is new has none; what was retired has the one that it was left with.
        let found = match &decision.verdict {
            Verdict::Create(_) | Verdict::Replace(_) => Some(RestartPolicy::No),
            Verdict::Revive(parked, _) => Some(parked.spec.restart),
            Verdict::Keep | Verdict::Absent(_) | Verdict::Mend { .. } => None,
        };
        if found.is_some_and(|found| found != decision.spec.restart) {
            let action = Action::Release { target: target.clone(), restart: decision.spec.restart };
            self.add(Phase::Finish, 0, Vec::new(), action);
        }
        let is_named = match &decision.verdict {
            Verdict::Keep | Verdict::Absent(_) => false,
            Verdict::Mend { changes, .. } => changes.iter().any(|change| change.path.is_in(NAME)),
            Verdict::Create(_) | Verdict::Replace(_) | Verdict::Revive(..) => true,
        };
        if !is_named {
            return;
        }
        let serving = match &target {
            Target::Existing(id) => self.live.containers.get(id),
            Target::New(_) => None,
        };
        let holder = self.live.containers.values().find(|container| {
            container.name == decision.name && serving.is_none_or(|serving| serving.id != container.id)
        });
        let mut after = Vec::new();
        // Who was left its names has another one by now.
        let still = holder.filter(|holder| leaving.is_none_or(|leaving| leaving.id != holder.id));
        if let Some(holder) = still {
            let name = self.retired_name(decision, holder);
            let action = Action::Rename { target: Target::Existing(holder.id.clone()), name };
            after.push(self.add(Phase::Finish, 0, Vec::new(), action));
        }
        let has_name = serving.map_or(holder.is_none(), |serving| serving.name == decision.name);
        if !has_name {
            // Later than all that make way: two containers may swap their names.
            self.add(Phase::Finish, 1, after, Action::Rename { target, name: decision.name.clone() });
        }
    }

    /// What a container is called that had the name of `decision`.
    pub(super) fn retired_name(&self, decision: &Decision<'_>, holder: &LiveContainer) -> ContainerName {
        let taken: BTreeSet<ContainerName> =
            self.live.containers.values().map(|container| container.name.clone()).collect();
        free_name(&decision.name, &format!("retired-{}", holder.deploy), &taken)
    }

    /// What was pulled by its digest gets its tag, so that people find it and no clean-up takes it for waste. Not before
    /// the commit: a deploy that fails leaves the tag where it was.
    pub(super) fn name_images(&mut self, decisions: &Decisions<'_>) {
        let new = decisions.wanted.iter().filter(|decision| decision.verdict.is_new());
        let named: BTreeSet<(&ImageRef, &ImageRef)> =
            new.flat_map(|decision| decision.images.untagged(&decision.spec, self.live)).collect();
        for (image, name) in named {
            let action = Action::TagImage { image: image.clone(), name: name.clone() };
            self.add(Phase::Finish, 0, Vec::new(), action);
        }
    }
}
