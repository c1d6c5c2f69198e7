//! Judges where the decision stands among the steps, and that nobody is stopped whom a daemon would start again.

use super::super::Plan;
use super::super::step::{Action, Phase, Target};
use super::before_in;
use crate::model::live::Live;
use crate::model::spec::RestartPolicy;

/// The decision comes after everything that may still fail, and before everything that can't be taken back.
pub(super) fn judge(plan: &Plan, found: &mut Vec<String>) {
    let Some(commit) = plan.steps.iter().find(|step| step.action == Action::Commit) else { return };
    for step in &plan.steps {
        let (is_before, is_after) = (step.turn < commit.turn, step.turn > commit.turn);
        let is_early = match step.action {
            Action::Release { .. } | Action::TagImage { .. } | Action::Remove(_) | Action::Discard(_) => true,
            _ => step.turn.phase > Phase::Commit,
        };
        if is_early && !is_after {
            found.push(format!("{} comes before the decision", word(&step.action)));
        }
        let is_late = match step.action {
            Action::PullImage { .. }
            | Action::CreateNetwork(_)
            | Action::CreateVolume(_)
            | Action::LayDown(_)
            | Action::Grant { .. }
            | Action::Create { .. }
            | Action::Start(_)
            | Action::Await { .. } => true,
            _ => step.turn.phase < Phase::Commit,
        };
        if is_late && !is_before {
            found.push(format!("{} comes after the decision", word(&step.action)));
        }
    }
}

/// Whoever has a restart policy loses it before it is stopped.
pub(super) fn fences(plan: &Plan, live: &Live, found: &mut Vec<String>) {
    for (at, step) in plan.steps.iter().enumerate() {
        let Action::Stop { target: Target::Existing(id), .. } = &step.action else { continue };
        let Some(container) = live.containers.get(id) else { continue };
        let fences = |before: usize| {
            plan.steps.get(before).is_some_and(|step| matches!(&step.action, Action::Fence(of) if of == id))
        };
        let is_fenced = (0..plan.steps.len()).any(|before| fences(before) && before_in(plan, before, at));
        if container.spec.restart != RestartPolicy::No && !is_fenced {
            found.push(format!("{} is stopped and the daemon may start it again", container.name));
        }
    }
}

/// What a step is, in a word.
fn word(action: &Action) -> &'static str {
    match action {
        Action::PullImage { .. } => "a pull",
        Action::TagImage { .. } => "the name of an image",
        Action::CreateNetwork(_) => "a new network",
        Action::CreateVolume(_) => "a new volume",
        Action::LayDown(_) | Action::Grant { .. } => "a file",
        Action::Create { .. } => "a new container",
        Action::Fence(_) => "a fence",
        Action::Stop { .. } => "a stop",
        Action::Start(_) => "a start",
        Action::Await { .. } => "a gate",
        Action::Update { .. } => "a change of a container",
        Action::Delay(_) => "a pause",
        Action::Disconnect { .. } => "the leaving of a network",
        Action::Connect { .. } => "the joining of a network",
        Action::Commit => "the decision",
        Action::Release { .. } => "a restart policy",
        Action::Rename { .. } => "a new name",
        Action::Remove(_) => "the removal of a container",
        Action::RemoveNetwork(_) => "the removal of a network",
        Action::Discard(_) => "the removal of files",
    }
}
