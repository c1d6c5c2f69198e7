//! What would change on a host that was observed, as far as its observation tells.

use std::collections::{BTreeMap, BTreeSet};

use super::super::change::{Cause, Change, FieldChange, Kind, Operation, Reason};
use super::super::compare::FILES;
use super::super::decide::made_of;
use super::super::drift::Left;
use super::super::fields::{DigestKey, FieldPath, FieldValue, Fields};
use super::super::normal::{Host, of_spec};
use super::super::strategy;
use super::super::{Checkpoint, DesiredDigest, Plan, PlanId, Unchanged};
use super::{Glimpse, Observation, Observed};
use crate::model::desired::{Desired, Expect, Prune, Service};
use crate::model::name::Instance;
use crate::model::policy::{Drift, STATE, Treatment};

/// What is compared with an observation.
#[derive(Debug, Clone, Copy)]
pub struct Sides<'a> {
    /// What it is compared with besides: what neither side here declares may come from outside.
    pub base: Option<&'a Desired>,
    /// What would be deployed.
    pub head: &'a Desired,
    /// What stands for values that come from outside of the repository.
    pub stand_ins: &'a BTreeSet<String>,
}

/// What would change on the host that was observed, as far as that can be said. The plan has no steps.
///
/// # Guarantees
/// Nothing is claimed of a value that one of the two sides doesn't tell.
pub fn compare(sides: Sides<'_>, observation: &Observation) -> Plan {
    let Sides { head, .. } = sides;
    let mut plan = Plan {
        id: PlanId(String::new()),
        stack: head.stack.clone(),
        revision: head.revision.clone(),
        desired: DesiredDigest(String::new()),
        tiers: head.tiers.clone(),
        changes: Vec::new(),
        reported: Vec::new(),
        ignored: 0,
        unchanged: Vec::new(),
        notes: Vec::new(),
        consent: None,
        steps: Vec::new(),
        checkpoint: Checkpoint::default(),
        outcome: BTreeMap::new(),
        watch: BTreeMap::new(),
    };
    let mut known = BTreeSet::new();
    for service in head.services.values() {
        for instance in service.instances() {
            let before = service.moved_from.as_ref().map(|old| format!("{old}-{}", instance.number));
            let names = [Some(instance.to_string()), before];
            let found = names.iter().flatten().find_map(|name| observation.containers.get_key_value(name));
            known.extend(found.map(|(name, _)| name));
            one(&mut plan, sides, (service, &instance), found.map(|(_, seen)| seen));
        }
    }
    let gone =
        observation.containers.iter().filter(|(instance, seen)| !known.contains(instance) && seen.runs);
    let gone = gone.map(|(instance, _)| {
        let service = instance.rsplit_once('-').and_then(|(service, _)| service.parse().ok());
        Change {
            tier: None,
            kind: Kind::Service,
            name: instance.clone(),
            service: service.or_else(|| "service".parse().ok()),
            was: None,
            operation: match head.prune {
                Prune::Remove => Operation::Remove,
                Prune::Report => Operation::Report,
            },
            reason: Reason::NotWanted,
            not_start_first: Vec::new(),
            fields: Vec::new(),
        }
    });
    match head.prune {
        Prune::Remove => plan.changes.extend(gone),
        Prune::Report => plan.reported.extend(gone),
    }
    plan
}

fn one(
    plan: &mut Plan,
    sides: Sides<'_>,
    (service, instance): (&Service, &Instance),
    seen: Option<&Observed>,
) {
    let all = seen.map(|seen| differences(sides, (service, instance), seen)).unwrap_or_default();
    let policy =
        if seen.is_some_and(|seen| seen.recorded) { service.drift.clone() } else { Drift::default() };
    let mut left = Left::default();
    let mut fields = left.take(all.clone(), &policy);
    let runs = service.gate.expect == Expect::Running;
    let down = seen.filter(|seen| runs && !seen.runs);
    let told = down.filter(|_| policy.of(STATE) != Treatment::Ignore);
    plan.notes.extend(told.map(|seen| format!("{} doesn't run: {}", seen.name, seen.status)));
    let stays_down = down.is_some() && left.leaves(&policy, Reason::Differs);
    let chosen = strategy::expected(service, sides.head);
    let operation = match (seen, down) {
        (None, _) => Some((Operation::Create, Reason::New)),
        (Some(_), _) if !fields.iter().all(may_be_in_place) => {
            // Whatever it was, the new container is as desired.
            (fields, left) = (all, Left::default());
            Some((Operation::Replace(chosen.order), Reason::Differs))
        }
        (_, Some(_)) if !stays_down => Some((Operation::Start, Reason::Differs)),
        _ if fields.is_empty() => None,
        _ => Some((Operation::InPlace, Reason::Differs)),
    };
    let name = if service.replicas > 1 { instance.to_string() } else { service.name.to_string() };
    let tier = Some(service.tier.clone());
    let change = |(operation, reason), fields| Change {
        tier: tier.clone(),
        kind: Kind::Service,
        name: name.clone(),
        service: Some(service.name.clone()),
        was: None,
        operation,
        reason,
        not_start_first: operation.order().map(|_| chosen.not_start_first.clone()).unwrap_or_default(),
        fields,
    };
    plan.ignored += left.ignored;
    if operation.is_none() && !left.is_told() {
        plan.unchanged.push(Unchanged { tier, kind: Kind::Service, name });
        return;
    }
    plan.changes.extend(operation.map(|operation| change(operation, fields)));
    if left.is_told() {
        plan.reported.push(change((Operation::Report, Reason::Differs), left.fields));
    }
}

/// Whether Docker can usually change it while the container runs. How it is attached is not observed.
fn may_be_in_place(change: &FieldChange) -> bool {
    let FieldChange { path, before, after, .. } = change;
    path.is_in("restart")
        || path.is_in("networks")
        || (path.is_in("deploy.resources") && before.is_some() && after.is_some())
}

fn fields_of(desired: &Desired, service: &Service, instance: &Instance) -> Fields {
    // No value that must stay secret is known here, so that anybody may know the key.
    let key = DigestKey::new([0; 32]);
    let host = Host { key: &key, files: FILES };
    match service.container_name(&desired.stack, instance) {
        Ok(name) => of_spec(&made_of(service, &name, host), host),
        Err(_) => of_spec(&service.spec, host),
    }
}

fn differences(
    sides: Sides<'_>,
    (service, instance): (&Service, &Instance),
    seen: &Observed,
) -> Vec<FieldChange> {
    let want = fields_of(sides.head, service, instance);
    let before = sides
        .base
        .and_then(|base| base.services.get(&service.name).map(|service| fields_of(base, service, instance)));
    let is_outside = |value: &FieldValue| {
        let text = value.to_string();
        sides.stand_ins.iter().any(|stand_in| text.contains(stand_in))
    };
    let swap =
        sides.head.services.get(&service.name).and_then(|service| service.spec.resources.default_swap());
    let mut filled_in = Fields::default();
    // Whoever changes the memory alone leaves the swap as Docker had filled it in.
    filled_in.set_some("memswap_limit", swap.map(FieldValue::from));
    let is_filled_in = |path: &FieldPath| match seen.fields.get(path) {
        Some(Glimpse::Value { value, .. }) => want.get(path).is_none() && filled_in.get(path) == Some(value),
        _ => false,
    };
    let paths: BTreeSet<&FieldPath> = want.paths().chain(seen.fields.keys()).collect();
    let change = |path: &FieldPath| {
        if is_filled_in(path) {
            return None;
        }
        let after = want.get(path).cloned();
        if after.as_ref().is_some_and(is_outside) {
            return None;
        }
        // What the base doesn't declare either, but the host has, may hang on a value from outside.
        let unsaid =
            !sides.stand_ins.is_empty() && before.as_ref().is_none_or(|before| before.get(path).is_none());
        let undeclared = if seen.recorded && !unsaid { Undeclared::Differs } else { Undeclared::Unknown };
        let (before, cause) = known(seen.fields.get(path), after.as_ref(), undeclared)?;
        Some(FieldChange { path: path.clone(), before, after, cause, diff: None })
    };
    paths.into_iter().filter_map(change).collect()
}

/// What is to be thought of a field that the host has and the head doesn't declare.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Undeclared {
    /// It goes away.
    Differs,
    /// Nobody here can say, unless it was changed by hand.
    Unknown,
}

/// What was there before and where the difference comes from, if there surely is one.
fn known(
    seen: Option<&Glimpse>,
    after: Option<&FieldValue>,
    undeclared: Undeclared,
) -> Option<(Option<FieldValue>, Cause)> {
    let (before, drifted, same) = match (seen, after) {
        (None | Some(Glimpse::Gone), None) => return None,
        (None, Some(_)) => return Some((None, Cause::Git)),
        (Some(Glimpse::Gone), Some(_)) => return Some((None, Cause::Drift)),
        (Some(Glimpse::Value { value, drifted }), Some(FieldValue::Sensitive(_))) => {
            (value.clone(), *drifted, !drifted)
        }
        (Some(Glimpse::Value { value, drifted }), Some(after)) => (value.clone(), *drifted, value == after),
        (Some(Glimpse::Value { value, drifted }), None) => {
            (value.clone(), *drifted, undeclared == Undeclared::Unknown && !drifted)
        }
        (Some(Glimpse::Hidden { drifted }), after) => {
            let unknown = after.is_some() || undeclared == Undeclared::Unknown;
            (FieldValue::Sensitive(String::new()), *drifted, unknown && !drifted)
        }
    };
    let cause = if drifted { Cause::Drift } else { Cause::Git };
    (!same).then_some((Some(before), cause))
}
