//! Laws that every plan obeys, tried on random stacks, changes and drift.

use std::collections::BTreeSet;

use evenkeel::model::desired::Desired;
use evenkeel::model::live::Status;
use evenkeel::model::name::NetworkName;
use evenkeel::model::policy::{Drift, Treatment};
use evenkeel::model::spec::{Attachment, NetworkSpec, RestartPolicy};
use evenkeel::model::update::{UpdateConfig, UpdateOrder};
use evenkeel::plan::change::{Change, Operation};
use evenkeel::plan::check::{check, dependencies};
use evenkeel::plan::compare::compare;
use evenkeel::plan::fields::FieldValue;
use evenkeel::plan::observation::{self, Observation, Seen, Sides};
use evenkeel::plan::step::Action;
use evenkeel::plan::{Plan, plan, rollback};
use proptest::prelude::*;

use self::stacks::{rich_stack, stack};
use crate::paper::{Order, Paper, host, key, service};

mod stacks;
mod start_first;

fn planned(paper: &Paper, desired: &Desired) -> Plan {
    let plan = plan(desired, &paper.live, &paper.last, host(&key())).unwrap();
    assert_eq!(check(&plan, &paper.live), Vec::<String>::new());
    assert_eq!(dependencies(&plan, desired), Vec::<String>::new());
    plan
}

/// Something that a person may do to one of the containers.
fn drift(paper: &mut Paper, kind: u8, which: prop::sample::Index) {
    let ids: Vec<_> = paper.live.containers.keys().cloned().collect();
    let container = paper.live.containers.get_mut(which.get(&ids)).unwrap();
    match kind {
        0 => container.state.status = Status::Exited { code: 0, out_of_memory: false },
        1 => container.spec.restart = RestartPolicy::OnFailure(Some(3)),
        2 => container.spec.resources.memory = Some(1 << 20),
        3 => container.name = format!("{}-moved", container.name).parse().unwrap(),
        _ => {
            paper.live.containers.remove(which.get(&ids));
        }
    }
}

#[test]
fn who_leaves_its_only_network_is_replaced_in_a_comparison_too() {
    let base = crate::apply::bench::stack_with("app:1");
    let mut head = base.clone();
    let other: NetworkName = "auren-dev_other".parse().unwrap();
    head.networks = [("other".parse().unwrap(), NetworkSpec::named(other.clone()))].into();
    for service in head.services.values_mut() {
        service.spec.networks = [(other.clone(), Attachment::default())].into();
    }
    let compared = compare(Some(&base), &head).unwrap();
    let services = compared.plan.changes.iter().filter(|change| change.service.is_some());
    let operations: Vec<_> = services.map(|change| change.operation).collect();
    assert_eq!(operations, [Operation::Replace(UpdateOrder::StopFirst); 3]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_plan_that_was_carried_out_leaves_nothing_to_do(
        stacks in prop::collection::vec(stack(), 1..4),
        drifts in prop::collection::vec((0..5_u8, any::<prop::sample::Index>()), 0..3),
    ) {
        let mut paper = Paper::empty();
        for desired in &stacks {
            let plan = planned(&paper, desired);
            paper.carry_out(&plan, usize::MAX);
            prop_assert!(planned(&paper, desired).is_empty());
            for (kind, which) in &drifts {
                if !paper.live.containers.is_empty() {
                    drift(&mut paper, *kind, *which);
                }
            }
            let repair = planned(&paper, desired);
            paper.carry_out(&repair, usize::MAX);
            prop_assert!(planned(&paper, desired).is_empty(), "{:#?}", planned(&paper, desired).changes);
            let running = paper.live.containers.values().filter(|container| container.state.status == Status::Running);
            let wanted: u32 = desired.services.values().map(|service| service.replicas).sum();
            prop_assert_eq!(running.count(), wanted as usize);
        }
    }

    #[test]
    fn the_way_back_leads_to_where_it_began(before in rich_stack(), after in rich_stack(), steps in any::<prop::sample::Index>()) {
        let mut old = Paper::empty();
        let first = planned(&old, &before);
        old.carry_out(&first, usize::MAX);
        let plan = planned(&old, &after);
        if let Some(committed) = plan.steps.iter().position(|step| step.action == Action::Commit) {
            let mut paper = old.clone();
            let open = paper.carry_out(&plan, steps.index(committed + 1));
            let back = rollback::rollback(&open, &paper.live, "/state/files");
            paper.carry_out(&back, usize::MAX);
            prop_assert_eq!(&paper.live.containers, &old.live.containers);
            prop_assert_eq!(&paper.last, &old.last);
        }
    }

    #[test]
    fn no_order_that_the_steps_allow_is_wrong(
        stacks in prop::collection::vec(rich_stack(), 2..4),
        steps in any::<prop::sample::Index>(),
    ) {
        let mut paper = Paper::empty();
        for desired in &stacks {
            let plan = planned(&paper, desired);
            if let Some(committed) = plan.steps.iter().position(|step| step.action == Action::Commit) {
                let mut half = paper.clone();
                let open = half.carry_out_in(Order::Backwards, &plan, steps.index(committed + 1));
                let back = rollback::rollback(&open, &half.live, "/state/files");
                half.carry_out_in(Order::Backwards, &back, usize::MAX);
                prop_assert_eq!(&half.live.containers, &paper.live.containers);
            }
            paper.carry_out_in(Order::Backwards, &plan, usize::MAX);
            prop_assert!(planned(&paper, desired).is_empty());
        }
    }

    #[test]
    fn drift_that_policy_leaves_is_told_or_not_and_never_touched(
        stack in stack(),
        drifts in prop::collection::vec((0..5_u8, any::<prop::sample::Index>()), 1..3),
        told in any::<bool>(),
    ) {
        let mut paper = Paper::empty();
        let first = planned(&paper, &stack);
        paper.carry_out(&first, usize::MAX);
        for (kind, which) in drifts {
            if !paper.live.containers.is_empty() {
                drift(&mut paper, kind, which);
            }
        }
        let repairs = planned(&paper, &stack).changes.len();
        let mut lenient = stack.clone();
        for service in lenient.services.values_mut() {
            service.drift = Drift::all(if told { Treatment::Report } else { Treatment::Ignore });
        }
        let plan = planned(&paper, &lenient);
        prop_assert!(plan.is_empty(), "{:#?}", plan.changes);
        prop_assert_eq!(plan.reported.len(), if told { repairs } else { 0 });
        prop_assert_eq!(plan.ignored > 0, !told && repairs > 0);
        // What is left is left as long as nothing else changes, whatever is deployed beside it.
        lenient.services.insert("extra".parse().unwrap(), service("extra", "apps"));
        let beside = planned(&paper, &lenient);
        prop_assert_eq!(beside.changes.len(), 1);
        paper.carry_out(&beside, usize::MAX);
        let after = planned(&paper, &lenient);
        prop_assert!(after.is_empty() && after.reported.len() == plan.reported.len());
    }

    #[test]
    fn a_service_with_a_new_name_takes_turns_with_its_old_one(
        before in stack(),
        which in any::<prop::sample::Index>(),
        steps in any::<prop::sample::Index>(),
    ) {
        let mut old = Paper::empty();
        let first = planned(&old, &before);
        old.carry_out(&first, usize::MAX);
        let mut after = before.clone();
        let names: Vec<_> = after.services.keys().cloned().collect();
        let name = which.get(&names);
        let mut moved = after.services.remove(name).unwrap();
        moved.name = "renamed".parse().unwrap();
        moved.update = UpdateConfig::default();
        moved.moved_from = Some(name.clone());
        for service in after.services.values_mut() {
            if let Some(dependency) = service.depends_on.remove(name) {
                service.depends_on.insert(moved.name.clone(), dependency);
            }
        }
        after.services.insert(moved.name.clone(), moved);
        let plan = planned(&old, &after);
        prop_assert!(plan.consent.is_none());
        let mut paper = old.clone();
        paper.carry_out(&plan, usize::MAX);
        prop_assert!(planned(&paper, &after).is_empty());
        for steps in 0..plan.steps.len() {
            let mut half = old.clone();
            half.carry_out(&plan, steps);
            let mut numbers: Vec<u32> = half.live.containers.values()
                .filter(|container| container.state.status == Status::Running)
                .filter(|container| container.instance.service == *name || container.instance.service.as_str() == "renamed")
                .map(|container| container.instance.number)
                .collect();
            numbers.sort_unstable();
            let count = numbers.len();
            numbers.dedup();
            prop_assert_eq!(count, numbers.len(), "both run after {} steps", steps);
        }
        let committed = plan.steps.iter().position(|step| step.action == Action::Commit).unwrap();
        let mut half = old.clone();
        let open = half.carry_out(&plan, steps.index(committed + 1));
        let back = rollback::rollback(&open, &half.live, "/state/files");
        half.carry_out(&back, usize::MAX);
        prop_assert_eq!(&half.live.containers, &old.live.containers);
    }

    #[test]
    fn a_comparison_without_a_host_says_what_the_plan_on_one_does(base in rich_stack(), head in rich_stack()) {
        let mut paper = Paper::empty();
        let first = planned(&paper, &base);
        paper.carry_out(&first, usize::MAX);
        let compared = compare(Some(&base), &head).unwrap();
        let plan = planned(&paper, &head);
        // What is removed comes in the order of ids, which are another host's.
        let sorted = |plan: &Plan| {
            let told = |change: Change| format!("{change:?}");
            // Digests of secrets are made with another key there.
            let digest = |change: &Change| {
                let mut change = change.clone();
                for value in change.fields.iter_mut().flat_map(|field| [&mut field.before, &mut field.after]).flatten() {
                    if let FieldValue::Sensitive(digest) = value {
                        digest.clear();
                    }
                }
                change
            };
            let mut changes: Vec<String> = plan.changes.iter().map(digest).map(told).collect();
            changes.sort();
            changes
        };
        prop_assert_eq!(sorted(&compared.plan), sorted(&plan));
        prop_assert_eq!(compared.plan.consent, plan.consent);
        prop_assert_eq!(compared.refusals, vec![]);
        prop_assert!(compare(Some(&head), &head).unwrap().plan.changes.is_empty());
    }

    #[test]
    fn an_observed_host_differs_in_nothing_from_what_it_runs(base in rich_stack(), head in rich_stack()) {
        let mut paper = Paper::empty();
        let first = planned(&paper, &base);
        paper.carry_out(&first, usize::MAX);
        let (stack, key, none) = (base.stack.clone(), key(), BTreeSet::new());
        let seen = Seen { stack: &stack, environment: None, revision: None, at: "now".to_owned() };
        let observation = Observation::of(seen, &paper.live, &paper.last, host(&key));
        let on_host = |head| observation::compare(Sides { base: Some(&base), head, stand_ins: &none }, &observation);
        prop_assert_eq!(on_host(&base).changes, vec![]);
        // It can't see everything; what it says, the plan on the host says too.
        let plan = planned(&paper, &head);
        for change in on_host(&head).changes {
            let known = plan.changes.iter().find(|known| known.service == change.service);
            prop_assert!(known.is_some(), "{change:#?}");
            for field in &change.fields {
                prop_assert!(known.unwrap().fields.iter().any(|known| known.path == field.path), "{field:#?} {known:#?}");
            }
        }
    }

    #[test]
    fn a_plan_touches_only_what_differs(before in stack(), image in 2..4_u8, which in any::<prop::sample::Index>()) {
        let mut paper = Paper::empty();
        let first = planned(&paper, &before);
        paper.carry_out(&first, usize::MAX);
        let mut after = before.clone();
        let names: Vec<_> = after.services.keys().cloned().collect();
        let service = after.services.get_mut(which.get(&names)).unwrap();
        service.spec.image = format!("image:{image}").parse().unwrap();
        let plan = planned(&paper, &after);
        prop_assert!(plan.changes.iter().all(|change| change.service.as_ref() == Some(which.get(&names))));
        prop_assert_eq!(plan.changes.len() as u64, u64::from(after.services[which.get(&names)].replicas));
    }
}
