//! Judges that whoever is started has what it depends on.

use super::super::Plan;
use super::super::step::Action;
use super::{before_in, instance};
use crate::model::desired::{Condition, Desired};
use crate::model::name::Instance;

/// Judges `plan` against the `depends_on` of what it was made for: what a service depends on is started before, and as
/// far as it is to be ready it has been waited for. An empty list means that the plan may be carried out.
pub fn dependencies(plan: &Plan, desired: &Desired) -> Vec<String> {
    let mut found = Vec::new();
    for (start, of) in starts(plan) {
        let Some(service) = desired.services.get(&of.service) else { continue };
        for (needed, dependency) in &service.depends_on {
            for (its_start, its) in starts(plan).filter(|(_, its)| its.service == *needed) {
                let is_there = match dependency.condition {
                    Condition::Started => before_in(plan, its_start, start),
                    Condition::Healthy | Condition::Completed => is_awaited(plan, its_start, start),
                };
                if !is_there {
                    found.push(format!("{of} is started and doesn't wait for {its}"));
                }
            }
        }
    }
    found
}

/// The steps that start something, and as which instance.
fn starts(plan: &Plan) -> impl Iterator<Item = (usize, &Instance)> {
    plan.steps.iter().enumerate().filter_map(|(at, step)| match &step.action {
        Action::Start(target) => Some((at, instance(plan, target)?)),
        _ => None,
    })
}

/// Whether what `start` starts has been waited for when the step at `later` begins.
fn is_awaited(plan: &Plan, start: usize, later: usize) -> bool {
    let Some(Action::Start(started)) = plan.steps.get(start).map(|step| &step.action) else { return false };
    let gates = plan
        .steps
        .iter()
        .enumerate()
        .filter(|(_, step)| matches!(&step.action, Action::Await { target, .. } if target == started));
    gates.map(|(at, _)| at).any(|at| before_in(plan, start, at) && before_in(plan, at, later))
}
