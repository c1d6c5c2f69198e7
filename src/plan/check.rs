//! Judges finished plans by rules of its own, in tests and before every apply.
//!
//! It shares no code with the planner on purpose: the two are a pair, and a mistake in one is seen by the other. A
//! violation is a bug of Evenkeel, never of its user.

use std::collections::{BTreeMap, BTreeSet};

use super::Plan;
use super::step::{Action, NetworkRef, Phase, Step, Target};
use crate::model::live::{Live, Status};
use crate::model::name::{ContainerId, Instance};

mod beside;
mod decision;
mod needs;

pub use needs::dependencies;

/// Judges `plan` against the observation that it was made from. An empty list means that it may be carried out.
///
/// The rules:
/// - steps are sorted by turn, and wait only for earlier steps of the same turn;
/// - every container and network that is written to is the stack's own;
/// - who shares something with a new container is created after it;
/// - nothing is stopped before everything new has been created;
/// - a container that is stopped while wanted has a successor that is started after it in the same plan;
/// - one that runs beside its successor shares nothing with it that only one can have, keeps its names until the other one
///   is up and has them, and is stopped after the decision;
/// - whoever has a restart policy is fenced before it is stopped;
/// - whatever is started is awaited, and the decision comes after all that;
/// - restart policies, tags and removals come after the decision;
/// - nothing that runs is removed without having been stopped, and nothing is removed before the decision;
/// - what is stopped or changed is in the checkpoint;
/// - a network is removed before the decision only to be made anew, after everybody has left it, and the checkpoint knows
///   what it was and how each was attached.
pub fn check(plan: &Plan, live: &Live) -> Vec<String> {
    let mut found = Vec::new();
    order(plan, &mut found);
    ownership(plan, live, &mut found);
    stops(plan, live, &mut found);
    starts(plan, &mut found);
    removals(plan, live, &mut found);
    networks(plan, live, &mut found);
    decision::judge(plan, &mut found);
    decision::fences(plan, live, &mut found);
    beside::judge(plan, live, &mut found);
    found
}

fn order(plan: &Plan, found: &mut Vec<String>) {
    for (at, pair) in plan.steps.windows(2).enumerate() {
        if let [first, second] = pair
            && second.turn < first.turn
        {
            found.push(format!("step {} comes after a step of a later turn", at + 1));
        }
    }
    for (at, step) in plan.steps.iter().enumerate() {
        let good = |other: &usize| {
            *other < at && plan.steps.get(*other).is_some_and(|other| other.turn == step.turn)
        };
        if !step.after.iter().all(good) {
            found.push(format!("step {at} waits for a step that isn't an earlier one of its turn"));
        }
    }
    let commits = plan.steps.iter().filter(|step| step.action == Action::Commit).count();
    if commits != usize::from(!plan.steps.is_empty()) {
        found.push(format!("the plan decides {commits} times"));
    }
}

/// The existing container that a step works on, and the network that it changes.
fn existing(action: &Action) -> Option<&ContainerId> {
    match action {
        Action::Fence(id) | Action::Remove(id) => Some(id),
        Action::Stop { target, .. }
        | Action::Start(target)
        | Action::Await { target, .. }
        | Action::Update { target, .. }
        | Action::Release { target, .. }
        | Action::Rename { target, .. }
        | Action::Disconnect { container: target, .. }
        | Action::Connect { container: target, .. } => match target {
            Target::Existing(id) => Some(id),
            Target::New(_) => None,
        },
        Action::PullImage { .. }
        | Action::TagImage { .. }
        | Action::CreateNetwork(_)
        | Action::CreateVolume(_)
        | Action::LayDown(_)
        | Action::Grant { .. }
        | Action::Discard(_)
        | Action::Create { .. }
        | Action::Delay(_)
        | Action::Commit
        | Action::RemoveNetwork(_) => None,
    }
}

fn ownership(plan: &Plan, live: &Live, found: &mut Vec<String>) {
    for step in &plan.steps {
        if let Some(id) = existing(&step.action)
            && !live.containers.contains_key(id)
        {
            found.push(format!("container {} is not the stack's", id.short()));
        }
        if let Action::RemoveNetwork(id) = &step.action
            && live.networks.get(id).is_none_or(|network| network.stack.as_ref() != Some(&plan.stack))
        {
            found.push("a network that is not the stack's would be removed".to_owned());
        }
        if let Action::Create { spec, networks, .. } = &step.action
            && !spec.networks.keys().all(|name| networks.contains_key(name))
        {
            found.push("a new container names a network that nobody resolved".to_owned());
        }
        if let Action::Create { spec, peers, .. } = &step.action {
            let created = |instance: &Instance| {
                step.after.iter().filter_map(|at| plan.steps.get(*at)).any(
                    |before| matches!(&before.action, Action::Create { instance: made, .. } if made == instance),
                )
            };
            for peer in spec.namespaces.peers() {
                match peers.get(peer) {
                    None => found.push(format!("{peer} is shared with and not resolved")),
                    Some(Target::New(instance)) if !created(instance) => {
                        found.push(format!("{instance} is shared with before it is created"));
                    }
                    Some(Target::New(_) | Target::Existing(_)) => {}
                }
            }
        }
        if let Action::Create { networks, .. } = &step.action {
            for (name, network) in networks {
                let created =
                    |step: &Step| matches!(&step.action, Action::CreateNetwork(spec) if spec.name == *name);
                if *network == NetworkRef::New && !plan.steps.iter().any(created) {
                    found.push(format!("network {name} is joined but not created"));
                }
            }
        }
    }
}

fn stops(plan: &Plan, live: &Live, found: &mut Vec<String>) {
    let wanted: BTreeMap<&Instance, &Target> =
        plan.outcome.iter().map(|(instance, applied)| (instance, &applied.target)).collect();
    let kept: BTreeSet<&ContainerId> =
        plan.checkpoint.containers.iter().map(|kept| &kept.container).collect();
    for (at, step) in plan.steps.iter().enumerate() {
        let Action::Stop { target: Target::Existing(id), .. } = &step.action else { continue };
        let of_checkpoint = plan.checkpoint.containers.iter().find(|kept| kept.container == *id);
        let instance = of_checkpoint.map(|kept| &kept.instance);
        let successor = instance.and_then(|instance| wanted.get(instance));
        let starts = |step: &Step, of: &Target| matches!(&step.action, Action::Start(target) if target == of);
        match step.turn.phase {
            Phase::Switch => {}
            // Who ran beside its successor until the decision.
            Phase::Finish
                if plan.steps.iter().take(at).any(|step| successor.is_some_and(|of| starts(step, of))) =>
            {
                continue;
            }
            _ => found.push(format!("{} is stopped outside of the switch", id.short())),
        }
        if !kept.contains(id) {
            found.push(format!("{} is stopped and not in the checkpoint", id.short()));
        }
        if let Some(successor) = successor {
            let serves = matches!(successor, Target::Existing(other) if other != id && live.containers.get(other)
                .is_some_and(|other| other.state.status == Status::Running));
            if !serves && !plan.steps.iter().skip(at + 1).any(|later| starts(later, successor)) {
                found.push(format!("{} is stopped and nothing is started in its place", id.short()));
            }
        }
    }
    for step in &plan.steps {
        if let Action::Fence(id) | Action::Update { target: Target::Existing(id), .. } = &step.action
            && !kept.contains(id)
        {
            found.push(format!("{} is changed and not in the checkpoint", id.short()));
        }
        if let Action::Disconnect { container: Target::Existing(container), .. }
        | Action::Connect { container: Target::Existing(container), .. } = &step.action
            && !plan
                .checkpoint
                .containers
                .iter()
                .any(|kept| kept.container == *container && kept.networks.is_some())
        {
            found.push(format!("the networks of {} change and are not in the checkpoint", container.short()));
        }
    }
}

fn starts(plan: &Plan, found: &mut Vec<String>) {
    let created: BTreeSet<&Instance> = plan
        .steps
        .iter()
        .filter_map(|step| match &step.action {
            Action::Create { instance, .. } => Some(instance),
            _ => None,
        })
        .collect();
    for (at, step) in plan.steps.iter().enumerate() {
        let Action::Start(target) = &step.action else { continue };
        let awaits = |later: &Step| {
            later.turn == step.turn
                && later.after.contains(&at)
                && matches!(&later.action, Action::Await { target: awaited, .. } if awaited == target)
        };
        if !plan.steps.iter().any(awaits) {
            found.push("a container is started and not awaited".to_owned());
        }
        if let Target::New(instance) = target
            && !created.contains(instance)
        {
            found.push(format!("{instance} is started and not created"));
        }
    }
}

fn removals(plan: &Plan, live: &Live, found: &mut Vec<String>) {
    let stopped: BTreeSet<&ContainerId> = plan
        .steps
        .iter()
        .filter_map(|step| match &step.action {
            Action::Stop { target: Target::Existing(id), .. } => Some(id),
            _ => None,
        })
        .collect();
    let serving: BTreeSet<&Target> = plan.outcome.values().map(|applied| &applied.target).collect();
    for step in &plan.steps {
        if matches!(step.action, Action::Discard(_)) && step.turn.phase != Phase::Cleanup {
            found.push("files are discarded before the decision".to_owned());
        }
        let Action::Remove(id) = &step.action else { continue };
        if step.turn.phase != Phase::Cleanup {
            found.push(format!("{} is removed before the decision", id.short()));
        }
        let runs = live.containers.get(id).is_some_and(|container| container.state.status == Status::Running);
        if runs || stopped.contains(id) || serving.contains(&Target::Existing(id.clone())) {
            found.push(format!("{} is removed although it serves or is kept for a rollback", id.short()));
        }
    }
}

fn networks(plan: &Plan, live: &Live, found: &mut Vec<String>) {
    for (at, step) in plan.steps.iter().enumerate() {
        let Action::RemoveNetwork(id) = &step.action else { continue };
        let Some(network) = live.networks.get(id).filter(|_| step.turn.phase < Phase::Commit) else {
            continue;
        };
        let name = &network.spec.name;
        let makes = |later: &Step| matches!(&later.action, Action::CreateNetwork(spec) if spec.name == *name);
        if !plan.steps.iter().skip(at).any(makes) {
            found.push(format!("network {name} is removed before the decision and not made anew"));
        }
        if !plan.checkpoint.recreated.iter().any(|old| old.name == *name) {
            found.push(format!("network {name} is removed and not in the checkpoint"));
        }
        for container in live.containers.values().filter(|of| of.spec.networks.contains_key(name)) {
            let own = Target::Existing(container.id.clone());
            let leaves = |before: &Step| matches!(&before.action, Action::Disconnect { container, name: left, .. } if *container == own && left == name);
            let kept = plan.checkpoint.containers.iter().find(|kept| kept.container == container.id);
            if !plan.steps.iter().take(at).any(leaves) {
                found
                    .push(format!("network {name} is removed although {} is attached to it", container.name));
            }
            if !kept.and_then(|kept| kept.networks.as_ref()).is_some_and(|kept| kept.contains_key(name)) {
                found.push(format!("how {} was attached to {name} is not in the checkpoint", container.name));
            }
        }
    }
}

/// As which instance the container serves once the plan is carried out.
fn instance<'a>(plan: &'a Plan, target: &'a Target) -> Option<&'a Instance> {
    let outcome = || plan.outcome.iter().find(|(_, applied)| applied.target == *target);
    match target {
        Target::New(instance) => Some(instance),
        Target::Existing(_) => outcome().map(|(instance, _)| instance),
    }
}

/// Whether the step at `first` has surely ended when the one at `second` begins.
fn before_in(plan: &Plan, first: usize, second: usize) -> bool {
    let (Some(one), Some(other)) = (plan.steps.get(first), plan.steps.get(second)) else { return false };
    if one.turn != other.turn {
        return one.turn < other.turn;
    }
    let mut open = other.after.clone();
    let mut seen = BTreeSet::new();
    while let Some(at) = open.pop() {
        if at == first {
            return true;
        }
        if at > first && seen.insert(at) {
            open.extend(plan.steps.get(at).into_iter().flat_map(|step| &step.after));
        }
    }
    false
}
