//! The laws that host and ledger obey after each act. The numbers are those of the invariants in `docs/ARCHITECTURE.md`.

use std::collections::BTreeMap;

use evenkeel::apply::Outcome;
use evenkeel::engine::sim::Verb;
use evenkeel::model::desired::{Condition, Desired};
use evenkeel::model::live::LiveContainer;
use evenkeel::model::name::Instance;
use evenkeel::model::spec::RestartPolicy;
use evenkeel::plan::Plan;
use evenkeel::plan::step::Action;

use super::acts::{Hand, Harm};
use super::play::{Broken, Ended};
use super::scene::{Scene, is_up};
use super::stacks::behaviour;
use super::watched::Moment;

/// What a deploy began with and ended with.
pub struct Scenes<'a> {
    pub before: &'a Scene,
    pub after: &'a Scene,
    /// Whether recovery has still to end it.
    pub is_open: bool,
    pub harm: Harm,
}

fn hold(law: bool, words: impl FnOnce() -> String) -> Result<(), Broken> {
    if law { Ok(()) } else { Err(words()) }
}

/// I3, I14 and I7: what is others' is as it was, and no volume is gone.
pub fn always(first: &Scene, before: &Scene, now: &Scene) -> Result<(), Broken> {
    hold(now.others == first.others, || format!("I3: others' containers are {:?}", now.others))?;
    hold(now.volumes.is_superset(&before.volumes), || format!("I7: the volumes are {:?}", now.volumes))
}

/// I10: a way back asks neither a registry nor makes anything.
pub fn recovery_needs_no_registry(moments: &[Moment]) -> Result<(), Broken> {
    let forbidden = |moment: &&Moment| {
        matches!(
            moment.call.verb,
            Verb::PullImage
                | Verb::RegistryDigest
                | Verb::TagImage
                | Verb::CreateContainer
                | Verb::CreateNetwork
                | Verb::CreateVolume
        )
    };
    moments
        .iter()
        .find(forbidden)
        .map_or(Ok(()), |moment| Err(format!("I10: recovery calls {}", moment.call)))
}

/// What holds after a deploy, however it ended; nothing means that the controller was killed.
pub fn deployed(
    scenes: &Scenes<'_>,
    desired: &Desired,
    ended: Option<&Ended>,
    moments: &[Moment],
) -> Result<(), Broken> {
    let Scenes { before, after, is_open, harm } = *scenes;
    let by_hand = matches!(harm, Harm::Meanwhile(..));
    let writes = moments.iter().filter(|moment| moment.call.verb.writes()).count();
    if writes > 0 {
        hold(after.latest != before.latest, || "I27: it wrote, and nothing is on record".to_owned())?;
    }
    if !by_hand {
        nothing_is_lost(before, after)?;
    }
    nothing_stops_before_all_is_created(moments)?;
    let (plan, outcome) = match ended {
        None => return Ok(()),
        Some(Ended::Unseen | Ended::NotPlanned) => {
            return hold(writes == 0, || "I21: it wrote without a plan".to_owned());
        }
        Some(Ended::Ran(plan, outcome)) => (plan.as_ref(), outcome),
    };
    match outcome {
        Outcome::Unchanged => hold(writes == 0, || "I22: it wrote with nothing to do".to_owned()),
        Outcome::Refused(findings) => {
            hold(writes == 0, || "I5: refused, and something was written".to_owned())?;
            hold(harm != Harm::Nothing, || format!("refused for no reason: {findings:?}"))
        }
        Outcome::Applied(report) => {
            let stable = after.stable.as_ref().map(|stable| &stable.desired);
            hold(stable == Some(&plan.desired), || "I20: applied, and not committed".to_owned())?;
            if !by_hand {
                runs_as_declared(desired, after)?;
            }
            if harm == Harm::Nothing {
                hold(report.warnings.is_empty(), || format!("warnings: {:?}", report.warnings))?;
                does_what_was_planned(plan, moments)?;
                starts_after_what_it_needs(desired, moments)?;
            }
            Ok(())
        }
        Outcome::Failed { .. } | Outcome::RolledBack { .. } | Outcome::Interrupted(_) => {
            went_back(scenes, outcome)
        }
        Outcome::RollbackFailed { rollback, .. } => {
            let may_fail = by_hand || is_open && matches!(harm, Harm::FromThenOn(..));
            hold(may_fail, || format!("I1: the way back failed: {rollback:?}"))
        }
        Outcome::Held { .. } => Err("nothing was to be held".to_owned()),
    }
}

/// I1 and I35: whatever ran is still on the host, so that it can be started again.
fn nothing_is_lost(before: &Scene, after: &Scene) -> Result<(), Broken> {
    let ran = before.containers.values().filter(|container| is_up(container));
    let lost = ran.into_iter().find(|container| !after.containers.contains_key(&container.id));
    lost.map_or(Ok(()), |lost| Err(format!("I1: {} ran and is gone", lost.name)))
}

/// I5: nothing old is stopped before everything new has been created.
fn nothing_stops_before_all_is_created(moments: &[Moment]) -> Result<(), Broken> {
    let at = |verb: Verb| moments.iter().position(|moment| moment.call.verb == verb);
    let last = moments.iter().rposition(|moment| moment.call.verb == Verb::CreateContainer);
    match (at(Verb::StopContainer), last) {
        (Some(stop), Some(create)) if stop < create => {
            Err(format!("I5: {} before {}", moments[stop].call, moments[create].call))
        }
        _ => Ok(()),
    }
}

/// I20 and I6: each instance runs exactly once, and is what the manifests say. Judged without the planner.
fn runs_as_declared(desired: &Desired, after: &Scene) -> Result<(), Broken> {
    let running = after.running();
    for service in desired.services.values() {
        for instance in service.instances() {
            let [container] = running.get(&instance).map_or(&[] as &[&LiveContainer], Vec::as_slice) else {
                return Err(format!("I20: applied, and {instance} does not run once"));
            };
            let is_as_declared = container.spec.image.repository() == service.spec.image.repository()
                && container.spec.image.tag() == service.spec.image.tag()
                && container.spec.resources.memory == service.spec.resources.memory
                && container.spec.environment.contains_key("MODE")
                    == service.spec.environment.contains_key("MODE");
            hold(is_as_declared, || format!("I20: applied, and {instance} is {:?}", container.spec))?;
        }
    }
    let wanted: Vec<Instance> =
        desired.services.values().flat_map(|one| one.instances().collect::<Vec<_>>()).collect();
    let further = running.keys().find(|instance| !wanted.contains(instance));
    further.map_or(Ok(()), |further| Err(format!("I20: applied, and {further} runs still")))
}

/// I19 and I20: a deploy that didn't come to its end leaves host and ledger as they were.
fn went_back(scenes: &Scenes<'_>, outcome: &Outcome) -> Result<(), Broken> {
    let Scenes { before, after, is_open, harm } = *scenes;
    hold(after.stable == before.stable && after.last == before.last, || {
        format!("I20: {outcome:?}, and the ledger has another state")
    })?;
    match harm {
        Harm::Meanwhile(_, Hand::RestartDaemon) if !is_open => {
            let restarts =
                |container: &&LiveContainer| is_up(container) && container.spec.restart != RestartPolicy::No;
            let down = before
                .containers
                .values()
                .filter(restarts)
                .find(|was| after.containers.get(&was.id).is_none_or(|now| !is_up(now)));
            down.map_or(Ok(()), |down| Err(format!("I19: back, and {} doesn't run: {outcome:?}", down.name)))
        }
        Harm::Meanwhile(..) => Ok(()),
        Harm::Nothing | Harm::Killed(..) | Harm::Once(..) | Harm::FromThenOn(..) | Harm::Stopped(_) => {
            match after.difference(before) {
                Some(difference) if !is_open => Err(format!("I19: {difference}, after {outcome:?}")),
                Some(_) if !matches!(harm, Harm::FromThenOn(..)) => {
                    Err(format!("I19: a single fault left it open, after {outcome:?}"))
                }
                Some(_) | None => Ok(()),
            }
        }
    }
}

/// What a plan does, without what it does it with.
pub fn words(plan: &Plan) -> Vec<String> {
    let first = |step: String| step.split(['(', '{']).next().unwrap_or_default().trim().to_owned();
    plan.steps.iter().map(|step| first(format!("{:?}", step.action))).collect()
}

/// I22: no call was made that the plan doesn't have.
fn does_what_was_planned(plan: &Plan, moments: &[Moment]) -> Result<(), Broken> {
    let mut planned: BTreeMap<Verb, usize> = BTreeMap::new();
    for verb in plan.steps.iter().filter_map(|step| verb(&step.action)) {
        *planned.entry(verb).or_default() += 1;
    }
    for moment in moments.iter().filter(|moment| moment.call.verb.writes() && moment.call.verb != Verb::Exec)
    {
        let left = planned.get_mut(&moment.call.verb).filter(|left| **left > 0);
        let Some(left) = left else { return Err(format!("I22: {} is not in the plan", moment.call)) };
        *left -= 1;
    }
    Ok(())
}

/// The call that an action makes.
fn verb(action: &Action) -> Option<Verb> {
    Some(match action {
        Action::PullImage { .. } => Verb::PullImage,
        Action::TagImage { .. } => Verb::TagImage,
        Action::CreateNetwork(_) => Verb::CreateNetwork,
        Action::CreateVolume(_) => Verb::CreateVolume,
        Action::Create { .. } => Verb::CreateContainer,
        Action::Fence(_) | Action::Update { .. } | Action::Release { .. } => Verb::UpdateContainer,
        Action::Stop { .. } => Verb::StopContainer,
        Action::Start(_) => Verb::StartContainer,
        Action::Disconnect { .. } => Verb::DisconnectNetwork,
        Action::Connect { .. } => Verb::ConnectNetwork,
        Action::Rename { .. } => Verb::RenameContainer,
        Action::Remove(_) => Verb::RemoveContainer,
        Action::RemoveNetwork(_) => Verb::RemoveNetwork,
        Action::LayDown(_)
        | Action::Grant { .. }
        | Action::Discard(_)
        | Action::Await { .. }
        | Action::Delay(_)
        | Action::Commit => return None,
    })
}

/// I23: what is started has what it needs: it was there already, or was started and has become ready.
fn starts_after_what_it_needs(desired: &Desired, moments: &[Moment]) -> Result<(), Broken> {
    let starts: Vec<(&Instance, &Moment)> = moments
        .iter()
        .filter(|moment| moment.call.verb == Verb::StartContainer)
        .filter_map(|moment| Some((moment.instance.as_ref()?, moment)))
        .collect();
    for (place, (instance, start)) in starts.iter().enumerate() {
        let Some(service) = desired.services.get(&instance.service) else { continue };
        for (needed, dependency) in &service.depends_on {
            let other = &desired.services[needed];
            let is_slow = other.spec.healthcheck.is_some() && dependency.condition == Condition::Healthy;
            let takes = behaviour(&other.spec.image.to_string()).healthy_after;
            let late = starts.iter().enumerate().find(|(its_place, (of, its))| {
                of.service == *needed && (*its_place > place || is_slow && its.at + takes > start.at)
            });
            hold(late.is_none(), || format!("I23: {instance} is started before {needed} is ready"))?;
        }
    }
    Ok(())
}
