//! Puts a plan together from its parts.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::change::{Cause, Change, FieldChange, Kind, Operation, Reason};
use super::decide::{self, Decision, Decisions, Verdict};
use super::fields::{FieldPath, FieldValue};
use super::grants;
use super::normal::Host;
use super::refusal::{Refusal, Refused};
use super::sequence::Sequence;
use super::step::{Action, Phase, Step, Target, Turn};
use super::strategy::{self, Orders};
use super::{Applied, Consent, LastApplied, Plan, Unchanged, addresses, ports, recreate, requires, shared};
use super::{Checkpoint, order};
use crate::model::desired::{Desired, Expect, Prune};
use crate::model::live::{Live, LiveContainer, Status};
use crate::model::name::{Instance, ServiceName};

mod digest;

use digest::desired_digest;
pub(super) use digest::{Veil, plan_id};

/// Plans how `live` becomes `desired`.
///
/// # Guarantees
/// - Pure: the same input always gives the same plan.
/// - Planning again after the plan was carried out gives an empty plan.
/// - Nothing that doesn't bear the stack's label is written to, no volume is removed.
///
/// # Errors
/// Everything that stands in the way, at once.
pub fn plan(desired: &Desired, live: &Live, last: &LastApplied, host: Host<'_>) -> Result<Plan, Refused> {
    if desired.services.is_empty() {
        return Err(Refused(vec![Refusal::new(
            format!(
                "nothing is desired for the stack `{}`, and nothing is removed because of that",
                desired.stack
            ),
            "check that the manifests are where they should be",
        )]));
    }
    let mut refusals = Vec::new();
    let shared = shared::decide(desired, live);
    let order = order::services(desired).unwrap_or_else(|cycle| {
        refusals.push(cycle);
        Vec::new()
    });
    let decisions = decide::decide(desired, &order, live, last, host);
    refusals.extend(requires::unmet(desired, &live.server));
    refusals.extend(shared.refusals.iter().chain(&decisions.refusals).cloned());
    refusals.extend(recreate::hindrances(&shared.recreated, &decisions, live));
    let vacating = ports::vacating(&decisions, live).unwrap_or_else(|taken| {
        refusals.extend(taken);
        BTreeSet::new()
    });
    if !refusals.is_empty() {
        return Err(Refused(refusals));
    }
    let addresses::Yielding { stopping, leaving } = addresses::yielding(&decisions, live);
    let vacating = &vacating | &stopping;
    let orders = strategy::choose(&decisions, desired, &vacating);
    let without = recreate::without(live, &shared.recreated);
    let mut sequence = Sequence::new(desired, &without, (vacating, leaving, &orders), host);
    sequence.containers(&decisions, &order);
    sequence.recreate(&shared.recreated, &decisions);
    let Sequence { mut steps, checkpoint, .. } = sequence;
    let remade: Vec<String> = shared.recreated.iter().filter_map(|network| network.note(live)).collect();
    let recreated = shared.recreated.iter().map(|network| network.former(&desired.stack)).collect();
    let mut changes = shared.changes;
    changes.extend(decisions.wanted.iter().filter_map(|decision| wanted_change(decision, &orders)));
    changes.extend(removed(desired, &decisions));
    let mut reported = reported(desired, &decisions);
    steps.extend(shared.steps);
    let busy = !changes.is_empty();
    cleanup(desired, live, &decisions, (last, busy, host), (&mut steps, &mut changes, &mut reported));
    if !steps.is_empty() {
        steps.push(Step {
            turn: Turn { phase: Phase::Commit, wave: 0 },
            after: Vec::new(),
            action: Action::Commit,
        });
    }
    let steps = sorted(steps);
    let digest = |veil: &Veil| desired_digest(desired, &decisions, host, veil);
    let veil = if last.current.is_empty() { Veil::of(&decisions, &changes, host) } else { Veil::none() };
    Ok(Plan {
        id: plan_id(&digest(&veil), (&steps, &changes), &veil),
        stack: desired.stack.clone(),
        revision: desired.revision.clone(),
        desired: digest(&Veil::none()),
        tiers: desired.tiers.clone(),
        changes,
        reported,
        ignored: decisions.wanted.iter().map(|decision| decision.left.ignored).sum(),
        unchanged: shared.unchanged.into_iter().chain(kept(&decisions)).collect(),
        notes: shared.notes.into_iter().chain(remade).chain(decisions.notes.iter().cloned()).collect(),
        consent: consent(desired, live, last),
        steps,
        checkpoint: Checkpoint { networks: shared.created, recreated, ..checkpoint },
        watch: watch(&decisions),
        outcome: outcome(&decisions),
    })
}

/// What every instance is made of once the plan is carried out.
fn outcome(decisions: &Decisions<'_>) -> BTreeMap<Instance, Applied> {
    let applied = |decision: &Decision<'_>| {
        let applied = Applied { target: decision.target(), fields: decision.fields.clone() };
        (decision.instance.clone(), applied)
    };
    decisions.wanted.iter().map(applied).collect()
}

/// What is started and to be watched.
fn watch(decisions: &Decisions<'_>) -> BTreeMap<Instance, (Duration, Expect)> {
    let starts = |decision: &&Decision<'_>| match &decision.verdict {
        Verdict::Create(_) | Verdict::Replace(_) | Verdict::Revive(..) => !decision.has_done(),
        Verdict::Mend { changes: _, start } => start.is_some(),
        Verdict::Keep | Verdict::Absent(_) => false,
    };
    let started = decisions.wanted.iter().filter(starts);
    let watched = started.filter_map(|decision| {
        let service = decision.service;
        Some((decision.instance.clone(), (service.watch?, service.gate.expect)))
    });
    watched.collect()
}

/// The containers that are as they should be.
fn kept<'a>(decisions: &'a Decisions<'_>) -> impl Iterator<Item = Unchanged> + 'a {
    let is_same = |decision: &&Decision<'_>| !decision.verdict.acts() && !decision.left.is_told();
    let kept = decisions.wanted.iter().filter(is_same);
    kept.map(|decision| Unchanged {
        tier: Some(decision.service.tier.clone()),
        kind: Kind::Service,
        name: name(decision),
    })
}

/// A service's name for people, with the number where there are several containers.
fn name(decision: &Decision<'_>) -> String {
    let service = decision.service;
    if service.replicas > 1 { decision.instance.to_string() } else { service.name.to_string() }
}

fn wanted_change(decision: &Decision<'_>, orders: &Orders) -> Option<Change> {
    let chosen = orders.get(&decision.instance);
    let operation = decision.verdict.operation(chosen.map(|chosen| chosen.order).unwrap_or_default())?;
    let (reason, fields) = match &decision.verdict {
        Verdict::Keep | Verdict::Absent(_) => return None,
        Verdict::Create(reason) => {
            let image = FieldChange {
                path: FieldPath::new("image"),
                before: None,
                after: Some(FieldValue::word(&decision.spec.image)),
                cause: Cause::Git,
                diff: None,
            };
            (reason.clone(), if *reason == Reason::New { vec![image] } else { Vec::new() })
        }
        Verdict::Replace(fields) | Verdict::Revive(_, fields) => (Reason::Differs, fields.clone()),
        Verdict::Mend { changes, start: Some(status) } => (Reason::NotRunning(*status), changes.clone()),
        Verdict::Mend { changes, start: None } => (Reason::Differs, changes.clone()),
    };
    let not_start_first = chosen.map(|chosen| chosen.not_start_first.clone()).unwrap_or_default();
    Some(Change { not_start_first, ..change_of(decision, operation, reason, fields) })
}

fn change_of(
    decision: &Decision<'_>,
    operation: Operation,
    reason: Reason,
    fields: Vec<FieldChange>,
) -> Change {
    let service = decision.service;
    Change {
        tier: Some(service.tier.clone()),
        kind: Kind::Service,
        name: name(decision),
        service: Some(service.name.clone()),
        was: decision.was.cloned(),
        operation,
        reason,
        not_start_first: Vec::new(),
        fields,
    }
}

/// What differs and stays as it is, as far as policy lets it be told.
fn reported(desired: &Desired, decisions: &Decisions<'_>) -> Vec<Change> {
    let told = decisions.wanted.iter().filter(|decision| decision.left.is_told());
    let of_wanted = told.map(|decision| {
        let reason = decision.left.reason.clone().unwrap_or(Reason::Differs);
        change_of(decision, Operation::Report, reason, decision.left.fields.clone())
    });
    let of_stray = decisions
        .stray
        .iter()
        .map(|container| unwanted_change(container, (desired, decisions), Operation::Report));
    of_wanted.chain(of_stray).collect()
}

/// What no manifest wants any more, and goes.
fn removed<'a>(desired: &'a Desired, decisions: &'a Decisions<'_>) -> impl Iterator<Item = Change> + 'a {
    let change =
        move |container: &&LiveContainer| unwanted_change(container, (desired, decisions), Operation::Remove);
    decisions.unwanted.iter().map(change)
}

fn unwanted_change(
    container: &LiveContainer,
    (desired, decisions): (&Desired, &Decisions<'_>),
    operation: Operation,
) -> Change {
    let service = &container.instance.service;
    let known = desired.services.get(service);
    let all = decisions.unwanted.iter().chain(&decisions.stray);
    let is_one_of_several =
        known.is_some() || all.filter(|other| other.instance.service == *service).count() > 1;
    Change {
        tier: known.map(|known| known.tier.clone()),
        kind: Kind::Service,
        name: if is_one_of_several { container.instance.to_string() } else { service.to_string() },
        service: Some(service.clone()),
        was: None,
        operation,
        reason: Reason::NotWanted,
        not_start_first: Vec::new(),
        fields: Vec::new(),
    }
}

/// Removes what earlier deploys retired. What this one retires stays, for a rollback in the time of a start.
fn cleanup(
    desired: &Desired,
    live: &Live,
    decisions: &Decisions<'_>,
    (last, busy, host): (&LastApplied, bool, Host<'_>),
    (steps, changes, reported): (&mut Vec<Step>, &mut Vec<Change>, &mut Vec<Change>),
) {
    let turn = |wave| Turn { phase: Phase::Cleanup, wave };
    let serving: BTreeSet<_> = decisions
        .wanted
        .iter()
        .flat_map(|decision| decision.current.into_iter().chain(decision.verdict.parked()))
        .map(|container| &container.id)
        .collect();
    // Without a record nobody can say which of several containers is the one to keep.
    let retired = |container: &LiveContainer| {
        busy && !last.current.is_empty()
            && !serving.contains(&container.id)
            && !last.kept.contains(&container.id)
            && !decide::is_spared(&container.instance.service, desired)
            && matches!(container.state.status, Status::Created | Status::Exited { .. } | Status::Dead)
    };
    let (gone, staying): (Vec<_>, Vec<_>) =
        live.containers.values().partition(|container| retired(container));
    let kept = &grants::mounted(staying.iter().copied(), host.files) | &grants::wanted(desired, host);
    let discarded = &grants::mounted(gone.iter().copied(), host.files) - &kept;
    if !discarded.is_empty() {
        steps.push(Step { turn: turn(1), after: Vec::new(), action: Action::Discard(discarded) });
    }
    for container in gone {
        steps.push(Step { turn: turn(0), after: Vec::new(), action: Action::Remove(container.id.clone()) });
    }
    let wanted: BTreeSet<_> = desired.networks.values().map(|spec| &spec.name).collect();
    // Who goes on as it is will have what is wanted, although it may still be attached to something else.
    let stays = |container: &LiveContainer| {
        decisions.wanted.iter().find(|decision| decision.target() == Target::Existing(container.id.clone()))
    };
    let used: BTreeSet<_> = staying
        .iter()
        .flat_map(|container| {
            stays(container).map_or(&container.spec, |decision| &decision.spec).networks.keys()
        })
        .collect();
    for network in live.networks.values().filter(|network| network.stack.as_ref() == Some(&desired.stack)) {
        if !wanted.contains(&network.spec.name) && !used.contains(&network.spec.name) {
            let change = |operation| Change {
                tier: None,
                kind: Kind::Network,
                name: network.spec.name.to_string(),
                service: None,
                was: None,
                operation,
                reason: Reason::NotWanted,
                not_start_first: Vec::new(),
                fields: Vec::new(),
            };
            match desired.prune {
                Prune::Remove => {
                    let action = Action::RemoveNetwork(network.id.clone());
                    steps.push(Step { turn: turn(1), after: Vec::new(), action });
                    changes.push(change(Operation::Remove));
                }
                Prune::Report => reported.push(change(Operation::Report)),
            }
        }
    }
}

impl<'a> Verdict<'a> {
    /// Whether its container is to run or mount another image under the same name.
    fn moves_image(&self) -> bool {
        match self {
            Self::Replace(changes) | Self::Revive(_, changes) => {
                changes.iter().any(|change| change.cause == Cause::Image)
            }
            Self::Keep | Self::Absent(_) | Self::Create(_) | Self::Mend { .. } => false,
        }
    }

    pub(super) fn parked(&self) -> Option<&'a LiveContainer> {
        match self {
            Self::Revive(parked, _) => Some(parked),
            Self::Keep | Self::Absent(_) | Self::Create(_) | Self::Replace(_) | Self::Mend { .. } => None,
        }
    }
}

/// More than one service and more than three in ten: that may be a mistake rather than a wish.
fn consent(desired: &Desired, live: &Live, last: &LastApplied) -> Option<Consent> {
    if desired.prune == Prune::Report {
        return None;
    }
    let running = live
        .containers
        .values()
        .filter(|container| {
            matches!(container.state.status, Status::Running | Status::Restarting | Status::Paused)
        })
        .map(|container| &container.instance.service);
    let known: BTreeSet<&ServiceName> =
        running.chain(last.current.keys().map(|instance| &instance.service)).collect();
    // What has a new name is not removed.
    let moved: BTreeSet<&ServiceName> =
        desired.services.values().filter_map(|service| service.moved_from.as_ref()).collect();
    let removed: Vec<String> = known
        .iter()
        .filter(|name| !desired.services.contains_key(**name) && !moved.contains(*name))
        .map(ToString::to_string)
        .collect();
    (removed.len() > 1 && removed.len() * 10 > known.len() * 3)
        .then_some(Consent { removed, of: known.len() })
}

/// Sorts steps by turn and lets `after` follow.
pub(super) fn sorted(steps: Vec<Step>) -> Vec<Step> {
    let mut order: Vec<usize> = (0..steps.len()).collect();
    order.sort_by_key(|at| steps.get(*at).map(|step| step.turn));
    let place: BTreeMap<usize, usize> = order.iter().enumerate().map(|(new, old)| (*old, new)).collect();
    let mut steps: Vec<Option<Step>> = steps.into_iter().map(Some).collect();
    order
        .into_iter()
        .filter_map(|at| steps.get_mut(at).and_then(Option::take))
        .map(|step| {
            let mut after: Vec<usize> = step.after.iter().filter_map(|at| place.get(at).copied()).collect();
            after.sort_unstable();
            after.dedup();
            Step { after, ..step }
        })
        .collect()
}
