//! What takes over start-first is found under its names at every moment, there and back.

use std::collections::{BTreeMap, BTreeSet};

use evenkeel::model::live::Status;
use evenkeel::model::name::{Instance, NetworkName};
use evenkeel::model::update::UpdateOrder;
use evenkeel::plan::step::Action;
use evenkeel::plan::{Plan, rollback};
use proptest::prelude::*;

use super::planned;
use super::stacks::stack;
use crate::paper::Paper;

/// The networks on which a container that runs is found by the name of its service, for each that takes over start-first.
fn named(paper: &Paper, plan: &Plan) -> BTreeMap<Instance, BTreeSet<NetworkName>> {
    let started_first = |service| {
        let mut changes = plan.changes.iter().filter(|change| change.service.as_ref() == Some(service));
        changes.any(|change| change.operation.order() == Some(UpdateOrder::StartFirst))
    };
    let mut found: BTreeMap<Instance, BTreeSet<NetworkName>> = BTreeMap::new();
    let running =
        paper.live.containers.values().filter(|container| container.state.status == Status::Running);
    for container in running.filter(|container| started_first(&container.instance.service)) {
        let name = container.instance.service.as_str();
        let joined =
            container.spec.networks.iter().filter(|(_, attachment)| attachment.aliases.contains(name));
        found.entry(container.instance.clone()).or_default().extend(joined.map(|(name, _)| name.clone()));
    }
    found
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_takes_over_start_first_is_found_at_every_moment(
        before in stack(),
        image in 2..4_u8,
        steps in any::<prop::sample::Index>(),
    ) {
        let mut old = Paper::empty();
        let first = planned(&old, &before);
        old.carry_out(&first, usize::MAX);
        let mut after = before.clone();
        for service in after.services.values_mut() {
            service.spec.image = format!("image:{image}").parse().unwrap();
            service.update.order = UpdateOrder::StartFirst;
        }
        let plan = planned(&old, &after);
        let expected = named(&old, &plan);
        for steps in 0..=plan.steps.len() {
            let mut paper = old.clone();
            paper.carry_out(&plan, steps);
            prop_assert_eq!(&named(&paper, &plan), &expected, "after {} steps", steps);
        }
        let committed = plan.steps.iter().position(|step| step.action == Action::Commit).unwrap();
        let mut half = old.clone();
        let open = half.carry_out(&plan, steps.index(committed + 1));
        let back = rollback::rollback(&open, &half.live, "/state/files");
        for steps in 0..=back.steps.len() {
            let mut paper = half.clone();
            paper.carry_out(&back, steps);
            prop_assert_eq!(&named(&paper, &plan), &expected, "after {} steps of the way back", steps);
            // Cut off there, the way back begins anew and ends at the same.
            let again = rollback::rollback(&open, &paper.live, "/state/files");
            paper.carry_out(&again, usize::MAX);
            prop_assert_eq!(&paper.live.containers, &old.live.containers, "cut off after {} steps", steps);
        }
    }
}
