//! Puts a plan together from its parts.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};

use super::change::{Cause, Change, FieldChange, Kind, Operation, Reason};
use super::decide::{self, Decision, Decisions, Verdict};
use super::fields::{FieldPath, FieldValue};
use super::normal::Host;
use super::refusal::{Refusal, Refused};
use super::sequence::Sequence;
use super::step::{Action, Phase, Step, Turn};
use super::{Applied, Consent, DesiredDigest, LastApplied, Plan, PlanId, ports, shared};
use super::{Checkpoint, order};
use crate::model::desired::Desired;
use crate::model::live::{Live, LiveContainer, Status};
use crate::model::name::ServiceName;

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
    let decisions = decide::decide(desired, live, last, host);
    refusals.extend(shared.refusals.iter().chain(&decisions.refusals).cloned());
    let vacating = ports::vacating(&decisions, live).unwrap_or_else(|taken| {
        refusals.extend(taken);
        BTreeSet::new()
    });
    let order = order::services(desired).unwrap_or_else(|cycle| {
        refusals.push(cycle);
        Vec::new()
    });
    if !refusals.is_empty() {
        return Err(Refused(refusals));
    }
    let mut sequence = Sequence::new(desired, live, vacating);
    sequence.containers(&decisions, &order);
    let Sequence { mut steps, checkpoint, .. } = sequence;
    let touched: usize =
        decisions.wanted.iter().filter(|decision| decision.verdict.operation().is_some()).count();
    let mut changes = shared.changes;
    changes.extend(decisions.wanted.iter().filter_map(|decision| wanted_change(decision)));
    changes.extend(decisions.unwanted.iter().map(|container| unwanted_change(container, desired)));
    let shared_steps = shared.steps.len();
    steps.extend(shared.steps);
    let busy = shared_steps > 0 || touched > 0 || !decisions.unwanted.is_empty();
    cleanup(desired, live, &decisions, (last, busy), (&mut steps, &mut changes));
    if !steps.is_empty() {
        steps.push(Step {
            turn: Turn { phase: Phase::Commit, wave: 0 },
            after: Vec::new(),
            action: Action::Commit,
        });
    }
    let steps = sorted(steps);
    let digest = desired_digest(desired, host);
    Ok(Plan {
        id: plan_id(&digest, &steps, &changes),
        stack: desired.stack.clone(),
        revision: desired.revision.clone(),
        desired: digest,
        tiers: desired.tiers.clone(),
        changes,
        unchanged: shared.unchanged + decisions.wanted.len() - touched,
        notes: shared.notes.into_iter().chain(decisions.notes.iter().cloned()).collect(),
        consent: consent(desired, live, last),
        steps,
        checkpoint: Checkpoint { networks: shared.created, ..checkpoint },
        outcome: decisions
            .wanted
            .iter()
            .map(|decision| {
                let applied = Applied { target: decision.target(), fields: decision.fields.clone() };
                (decision.instance.clone(), applied)
            })
            .collect(),
    })
}

fn wanted_change(decision: &Decision<'_>) -> Option<Change> {
    let operation = decision.verdict.operation()?;
    let (reason, fields) = match &decision.verdict {
        Verdict::Keep => return None,
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
    let service = decision.service;
    let name = if service.replicas > 1 { decision.instance.to_string() } else { service.name.to_string() };
    Some(Change {
        tier: Some(service.tier.clone()),
        kind: Kind::Service,
        name,
        service: Some(service.name.clone()),
        operation,
        reason,
        fields,
    })
}

fn unwanted_change(container: &LiveContainer, desired: &Desired) -> Change {
    let service = &container.instance.service;
    let known = desired.services.get(service);
    Change {
        tier: known.map(|known| known.tier.clone()),
        kind: Kind::Service,
        name: if known.is_some() { container.instance.to_string() } else { service.to_string() },
        service: Some(service.clone()),
        operation: Operation::Remove,
        reason: Reason::NotWanted,
        fields: Vec::new(),
    }
}

/// Removes what earlier deploys retired. What this one retires stays, for a rollback in the time of a start.
fn cleanup(
    desired: &Desired,
    live: &Live,
    decisions: &Decisions<'_>,
    (last, busy): (&LastApplied, bool),
    (steps, changes): (&mut Vec<Step>, &mut Vec<Change>),
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
            && matches!(container.state.status, Status::Created | Status::Exited { .. } | Status::Dead)
    };
    let (gone, staying): (Vec<_>, Vec<_>) =
        live.containers.values().partition(|container| retired(container));
    for container in gone {
        steps.push(Step { turn: turn(0), after: Vec::new(), action: Action::Remove(container.id.clone()) });
    }
    let wanted: BTreeSet<_> = desired.networks.values().map(|spec| &spec.name).collect();
    let used: BTreeSet<_> = staying.iter().flat_map(|container| container.spec.networks.keys()).collect();
    for network in live.networks.values().filter(|network| network.stack.as_ref() == Some(&desired.stack)) {
        if !wanted.contains(&network.spec.name) && !used.contains(&network.spec.name) {
            steps.push(Step {
                turn: turn(1),
                after: Vec::new(),
                action: Action::RemoveNetwork(network.id.clone()),
            });
            changes.push(Change {
                tier: None,
                kind: Kind::Network,
                name: network.spec.name.to_string(),
                service: None,
                operation: Operation::Remove,
                reason: Reason::NotWanted,
                fields: Vec::new(),
            });
        }
    }
}

impl<'a> Verdict<'a> {
    fn parked(&self) -> Option<&'a LiveContainer> {
        match self {
            Self::Revive(parked, _) => Some(parked),
            Self::Keep | Self::Create(_) | Self::Replace(_) | Self::Mend { .. } => None,
        }
    }
}

/// More than one service and more than three in ten: that may be a mistake rather than a wish.
fn consent(desired: &Desired, live: &Live, last: &LastApplied) -> Option<Consent> {
    let running = live
        .containers
        .values()
        .filter(|container| {
            matches!(container.state.status, Status::Running | Status::Restarting | Status::Paused)
        })
        .map(|container| &container.instance.service);
    let known: BTreeSet<&ServiceName> =
        running.chain(last.current.keys().map(|instance| &instance.service)).collect();
    let removed: Vec<String> =
        known.iter().filter(|name| !desired.services.contains_key(**name)).map(ToString::to_string).collect();
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

/// The digest of everything desired, sensitive values by their keyed digest.
///
/// The encoding is Rust's own `Debug` of values in which texts redact themselves. A new version of Evenkeel may
/// encode otherwise: then a quarantined revision is tried once more, and nothing else happens.
fn desired_digest(desired: &Desired, host: Host<'_>) -> DesiredDigest {
    let Desired { stack, environment, revision: _, tiers, networks, volumes, services, contents } = desired;
    let mut digest = Sha256::new();
    digest.update(format!("{stack:?}{environment:?}{tiers:?}{networks:?}{volumes:?}"));
    for content in contents.keys() {
        digest.update(format!("{content:?}"));
    }
    for service in services.values() {
        let super::Service { name, tier, container_name, replicas, depends_on, gate, spec } = service;
        let fields = super::normal::of_spec(spec, host);
        digest
            .update(format!("{name:?}{tier:?}{container_name:?}{replicas}{depends_on:?}{gate:?}{fields:?}"));
    }
    DesiredDigest(hex::encode(digest.finalize()))
}

pub(super) fn plan_id(desired: &DesiredDigest, steps: &[Step], changes: &[Change]) -> PlanId {
    let mut digest = Sha256::new();
    digest.update(format!("{desired:?}{steps:?}{changes:?}"));
    let mut id = hex::encode(digest.finalize());
    id.truncate(12);
    PlanId(id)
}
