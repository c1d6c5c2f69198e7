//! Decides for every container of the stack what happens to it.

use std::collections::BTreeSet;

use super::LastApplied;
use super::change::{Cause, FieldChange, Operation, Reason};
use super::diff;
use super::fields::{FieldPath, FieldValue, Fields};
use super::normal::Host;
use super::refusal::Refusal;
use crate::model::desired::{Desired, Expect, Service};
use crate::model::live::{Live, LiveContainer, Status};
use crate::model::name::{ContainerId, ContainerName, Instance};
use crate::model::spec::{Attachment, ContainerSpec};

/// What happens to one wanted container.
#[derive(Debug)]
pub(super) struct Decision<'a> {
    pub(super) instance: Instance,
    pub(super) service: &'a Service,
    /// The name that it has in the end.
    pub(super) name: ContainerName,
    /// What it is made of, with the names under which others find it.
    pub(super) spec: ContainerSpec,
    /// What the ledger will remember.
    pub(super) fields: Fields,
    /// The container that serves now.
    pub(super) current: Option<&'a LiveContainer>,
    pub(super) verdict: Verdict<'a>,
}

/// The kinds of decisions.
#[derive(Debug)]
pub(super) enum Verdict<'a> {
    /// It stays as it is.
    Keep,
    /// A container is made and started; `reason` says why there is none.
    Create(Reason),
    /// The current one gives way to a new one.
    Replace(Vec<FieldChange>),
    /// The current one gives way to one that ran before and is just what is wanted.
    Revive(&'a LiveContainer, Vec<FieldChange>),
    /// The current one is changed as it is, and started if it doesn't run.
    Mend { changes: Vec<FieldChange>, start: Option<Status> },
}

impl Verdict<'_> {
    pub(super) fn operation(&self) -> Option<Operation> {
        match self {
            Self::Keep => None,
            Self::Create(_) => Some(Operation::Create),
            Self::Replace(_) => Some(Operation::Replace),
            Self::Revive(..) => Some(Operation::Revive),
            Self::Mend { start: Some(_), .. } => Some(Operation::Start),
            Self::Mend { start: None, .. } => Some(Operation::InPlace),
        }
    }
}

/// All decisions, and the running containers that no manifest wants.
#[derive(Debug, Default)]
pub(super) struct Decisions<'a> {
    /// In the order of tiers, within a tier by name.
    pub(super) wanted: Vec<Decision<'a>>,
    /// Running containers that give way, in the order of their ids.
    pub(super) unwanted: Vec<&'a LiveContainer>,
    pub(super) refusals: Vec<Refusal>,
    pub(super) notes: Vec<String>,
}

pub(super) fn decide<'a>(
    desired: &'a Desired,
    live: &'a Live,
    last: &LastApplied,
    host: Host<'_>,
) -> Decisions<'a> {
    let mut decisions = Decisions::default();
    let mut services: Vec<&Service> = desired.services.values().collect();
    services.sort_by_key(|service| (desired.tier_rank(&service.tier), &service.name));
    for service in services {
        for instance in service.instances() {
            match one(desired, service, instance, (live, last, host)) {
                Ok(decision) => decisions.wanted.push(decision),
                Err(refusal) => decisions.refusals.push(refusal),
            }
        }
    }
    let kept: BTreeSet<&ContainerId> = decisions
        .wanted
        .iter()
        .filter_map(|decision| decision.current)
        .map(|container| &container.id)
        .collect();
    decisions.unwanted = live
        .containers
        .values()
        .filter(|container| is_active(container.state.status) && !kept.contains(&container.id))
        .collect();
    for decision in &decisions.wanted {
        decisions.notes.extend(decision.current.and_then(note));
    }
    decisions
}

fn one<'a>(
    desired: &Desired,
    service: &'a Service,
    instance: Instance,
    (live, last, host): (&'a Live, &LastApplied, Host<'_>),
) -> Result<Decision<'a>, Refusal> {
    let name = service.container_name(&desired.stack, &instance).map_err(|error| {
        Refusal::new(format!("service `{}`: {error}", service.name), "set a shorter `container_name`")
    })?;
    if let Some(other) = live.others.values().find(|other| other.name == name) {
        let owner = other.stack.as_ref().map_or_else(
            || "was not made by Evenkeel".to_owned(),
            |stack| format!("belongs to the stack `{stack}`"),
        );
        return Err(Refusal::new(
            format!("service `{}`: the host already has a container `{name}`, which {owner}", service.name),
            "remove or rename that container, or set another `container_name`",
        ));
    }
    let spec = with_names(&service.spec, service, &name);
    let fields = super::normal::of_spec(&spec, host);
    let current = current(&instance, &name, live, last)?;
    let applied = current.and_then(|container| {
        last.current.get(&instance).filter(|(id, _)| *id == container.id).map(|(_, fields)| fields)
    });
    let verdict = match current {
        // One that is being removed never runs again; it only holds its name for a while.
        Some(container) if container.state.status == Status::Dead => Verdict::Create(Reason::Gone),
        None => {
            let reason = if last.current.contains_key(&instance) { Reason::Gone } else { Reason::New };
            Verdict::Create(reason)
        }
        Some(container) => {
            let mut changes = diff::differences(&spec, container, applied, live, host);
            if changes.iter().all(diff::is_in_place) {
                changes.extend(misnamed(container, &name));
                mend(service, container, changes)
            } else {
                match revivable(&instance, &spec, container, live, host) {
                    Some(parked) => Verdict::Revive(parked, changes),
                    None => Verdict::Replace(changes),
                }
            }
        }
    };
    Ok(Decision { instance, service, name, spec, fields, current, verdict })
}

/// Others find a container under its service's and its own name, as with Compose: the own name is an alias too, so
/// that it holds before the container bears it.
fn with_names(spec: &ContainerSpec, service: &Service, name: &ContainerName) -> ContainerSpec {
    let mut spec = spec.clone();
    for Attachment { aliases, .. } in spec.networks.values_mut() {
        aliases.insert(service.name.to_string());
        aliases.insert(name.to_string());
    }
    spec
}

/// The container that serves as `instance`: the one that the ledger knows. Without the ledger it is the running one,
/// else the one that bears the name.
fn current<'a>(
    instance: &Instance,
    name: &ContainerName,
    live: &'a Live,
    last: &LastApplied,
) -> Result<Option<&'a LiveContainer>, Refusal> {
    if let Some((id, _)) = last.current.get(instance) {
        return Ok(live.containers.get(id));
    }
    let all: Vec<&LiveContainer> =
        live.containers.values().filter(|container| container.instance == *instance).collect();
    let running: Vec<&&LiveContainer> =
        all.iter().filter(|container| is_active(container.state.status)).collect();
    match running.as_slice() {
        [one] => Ok(Some(one)),
        [] => Ok(all.iter().find(|container| container.name == *name).copied()),
        several => Err(Refusal::new(
            format!(
                "{} containers run as {instance}, and nothing is on record about which is right: {}",
                several.len(),
                several.iter().map(|container| container.name.as_str()).collect::<Vec<_>>().join(", ")
            ),
            "stop all but one: `docker stop NAME`",
        )),
    }
}

fn is_active(status: Status) -> bool {
    match status {
        Status::Running | Status::Paused | Status::Restarting => true,
        Status::Created | Status::Exited { .. } | Status::Dead => false,
    }
}

fn mend<'a>(service: &Service, container: &LiveContainer, changes: Vec<FieldChange>) -> Verdict<'a> {
    let start = match (container.state.status, service.gate.expect) {
        (Status::Running | Status::Paused | Status::Restarting, _)
        | (Status::Exited { code: 0, .. }, Expect::Completed) => None,
        (status @ (Status::Created | Status::Exited { .. } | Status::Dead), _) => Some(status),
    };
    if changes.is_empty() && start.is_none() { Verdict::Keep } else { Verdict::Mend { changes, start } }
}

fn misnamed(container: &LiveContainer, name: &ContainerName) -> Option<FieldChange> {
    (container.name != *name).then(|| FieldChange {
        path: FieldPath::new("container_name"),
        before: Some(FieldValue::word(&container.name)),
        after: Some(FieldValue::word(name)),
        cause: Cause::Drift,
        diff: None,
    })
}

/// A retired container of `instance` that is just what is wanted, its restart policy aside, which it lost when it was
/// fenced.
fn revivable<'a>(
    instance: &Instance,
    spec: &ContainerSpec,
    current: &LiveContainer,
    live: &'a Live,
    host: Host<'_>,
) -> Option<&'a LiveContainer> {
    live.containers
        .values()
        .filter(|parked| parked.instance == *instance && parked.id != current.id)
        .filter(|parked| matches!(parked.state.status, Status::Exited { .. }))
        .filter(|parked| {
            let changes = diff::differences(spec, parked, None, live, host);
            changes.iter().all(|change| change.path.is_in("restart"))
        })
        .max_by(|a, b| a.state.started_at.cmp(&b.state.started_at))
}

fn note(container: &LiveContainer) -> Option<String> {
    let text = match (container.state.status, container.state.health) {
        (Status::Paused, _) => "is paused; `docker unpause` lets it go on",
        (Status::Restarting, _) => "restarts again and again; `docker logs` may say why",
        (Status::Running, Some(crate::model::live::Health::Unhealthy)) => {
            "is unhealthy by its own health check"
        }
        _ => return None,
    };
    Some(format!("{} {text}", container.name))
}
