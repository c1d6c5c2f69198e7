//! Decides for every container of the stack what happens to it.

use std::collections::{BTreeMap, BTreeSet};

use super::LastApplied;
use super::change::{Cause, FieldChange, Operation, Reason};
use super::diff::{self, Sought};
use super::drift::{self, Left};
use super::fields::{FieldPath, FieldValue, Fields};
use super::grants;
use super::images::{self, Images};
use super::normal::Host;
use super::peers::{self, Served, Serving};
use super::refusal::Refusal;
use super::step::Target;
use crate::model::desired::{Desired, Expect, Prune, Service};
use crate::model::live::{Live, LiveContainer, Status};
use crate::model::name::{ContainerId, ContainerName, Instance, ServiceName};
use crate::model::policy::{NAME, Rollback};
use crate::model::spec::{Attachment, ContainerSpec, Peer};
use crate::model::update::UpdateOrder;

pub(super) use current::is_active;
use current::{current, down, moved, note};

mod current;
mod revive;

/// What happens to one wanted container.
#[derive(Debug)]
pub(super) struct Decision<'a> {
    pub(super) instance: Instance,
    pub(super) service: &'a Service,
    /// The name that it has in the end.
    pub(super) name: ContainerName,
    /// What it is made of, with the names under which others find it.
    pub(super) spec: ContainerSpec,
    /// The images that it runs and mounts in the end.
    pub(super) images: Images,
    /// What the ledger will remember.
    pub(super) fields: Fields,
    /// The container that serves now.
    pub(super) current: Option<&'a LiveContainer>,
    /// What the service was called until now, where `current` is of that name.
    pub(super) was: Option<&'a ServiceName>,
    /// The containers that it shares something with.
    pub(super) peers: BTreeMap<Peer, Target>,
    pub(super) verdict: Verdict<'a>,
    /// What is only told.
    pub(super) left: Left,
}

/// The kinds of decisions.
#[derive(Debug)]
pub(super) enum Verdict<'a> {
    /// It stays as it is.
    Keep,
    /// Somebody removed it, and it stays away; the record of it stays as it is.
    Absent(ContainerId),
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
    /// Whether anything happens.
    pub(super) fn acts(&self) -> bool {
        self.operation(UpdateOrder::default()).is_some()
    }

    /// What happens, with this order where one container takes the place of another.
    pub(super) fn operation(&self, order: UpdateOrder) -> Option<Operation> {
        match self {
            Self::Keep | Self::Absent(_) => None,
            Self::Create(_) => Some(Operation::Create),
            Self::Replace(_) => Some(Operation::Replace(order)),
            Self::Revive(..) => Some(Operation::Revive(order)),
            Self::Mend { start: Some(_), .. } => Some(Operation::Start),
            Self::Mend { start: None, .. } => Some(Operation::InPlace),
        }
    }
}

impl<'a> Decision<'a> {
    fn served(&self) -> Served<'a> {
        let now = self.current.map(|container| &container.id);
        Served { now, then: self.target(), starts: self.starts() }
    }

    /// Whether it is a task that takes the place of another one and has done its work before: it isn't run again.
    pub(super) fn has_done(&self) -> bool {
        let is_task = match self.service.gate.expect {
            Expect::Completed => true,
            Expect::Running => false,
        };
        let has_ended =
            |container: &LiveContainer| matches!(container.state.status, Status::Exited { code: 0, .. });
        let is_over = self.current.is_none_or(|current| !is_active(current.state.status));
        is_task && is_over && self.verdict.parked().is_some_and(has_ended)
    }

    /// Whether a container is started where there was one.
    pub(super) fn starts(&self) -> bool {
        match &self.verdict {
            Verdict::Revive(..) if self.has_done() => false,
            // Who has never been there took nobody along.
            Verdict::Keep | Verdict::Absent(_) | Verdict::Create(Reason::New) => false,
            Verdict::Create(_) | Verdict::Replace(_) | Verdict::Revive(..) => true,
            Verdict::Mend { changes: _, start } => start.is_some(),
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
    /// Running containers that would give way, and are only told.
    pub(super) stray: Vec<&'a LiveContainer>,
    pub(super) refusals: Vec<Refusal>,
    pub(super) notes: Vec<String>,
}

/// Decides for the services in `order`, which has each after those that it needs.
pub(super) fn decide<'a>(
    desired: &'a Desired,
    order: &[&ServiceName],
    live: &'a Live,
    last: &LastApplied,
    host: Host<'_>,
) -> Decisions<'a> {
    let mut decisions = Decisions::default();
    let mut serving = Serving::new();
    for service in order.iter().filter_map(|name| desired.services.get(*name)) {
        for instance in service.instances() {
            let look = Look { desired, live, last, host, serving: &serving };
            match one(service, instance, look) {
                Ok(decision) => {
                    let starts = decision.starts();
                    let served = serving.entry(service.name.clone()).or_insert_with(|| decision.served());
                    served.starts |= starts;
                    decisions.wanted.push(decision);
                }
                Err(refusal) => decisions.refusals.push(refusal),
            }
        }
    }
    decisions.wanted.sort_by(|a, b| {
        let key = |decision: &Decision<'_>| desired.tier_rank(&decision.service.tier);
        (key(a), &a.instance).cmp(&(key(b), &b.instance))
    });
    let kept: BTreeSet<&ContainerId> = decisions
        .wanted
        .iter()
        .filter_map(|decision| decision.current)
        .map(|container| &container.id)
        .collect();
    (decisions.stray, decisions.unwanted) = live
        .containers
        .values()
        .filter(|container| is_active(container.state.status) && !kept.contains(&container.id))
        .partition(|container| is_spared(&container.instance.service, desired));
    decisions.notes.extend(images::notes(desired, live));
    for decision in &decisions.wanted {
        decisions.notes.extend(decision.current.and_then(note));
    }
    decisions
}

/// Whether containers of `service` stay though no manifest has it any more.
pub(super) fn is_spared(service: &ServiceName, desired: &Desired) -> bool {
    match desired.prune {
        Prune::Remove => false,
        Prune::Report => !desired.services.contains_key(service),
    }
}

/// What a decision is made from.
#[derive(Clone, Copy)]
struct Look<'l, 'a> {
    desired: &'l Desired,
    live: &'a Live,
    last: &'l LastApplied,
    host: Host<'l>,
    serving: &'l Serving<'a>,
}

fn one<'a>(service: &'a Service, instance: Instance, look: Look<'_, 'a>) -> Result<Decision<'a>, Refusal> {
    let Look { desired, live, last, host, serving } = look;
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
            if other.stack.is_some() {
                "remove or rename that container, or set another `container_name`"
            } else {
                "take it over as it is with `evenkeel adopt`, remove or rename it, or set another `container_name`"
            },
        ));
    }
    let spec = made_of(service, &name, host);
    let mut fields = super::normal::of_spec(&spec, host);
    fields.set(NAME, FieldValue::word(&name));
    let peers = peers::resolve(&spec, serving, desired, live)
        .map_err(|refused| peers::refusal(&service.name, refused))?;
    let current = current(&instance, &name, live, last)?;
    let mut decision = Decision {
        images: Images::of(service, current, live),
        current,
        instance,
        service,
        name,
        spec,
        fields,
        was: None,
        peers,
        verdict: Verdict::Keep,
        left: Left::default(),
    };
    if decision.current.is_none() && !last.current.contains_key(&decision.instance) {
        (decision.current, decision.was) = moved(desired, &decision, live, last)?.unzip();
        decision.images = Images::of(service, decision.current, live);
    }
    decision.verdict = match decision.current {
        // One that is being removed never runs again; it only holds its name for a while.
        Some(container) if container.state.status != Status::Dead => decision.present(container, look),
        Some(_) | None => decision.absent(last),
    };
    let missing = images::not_here(service, &decision.images, live).filter(|_| decision.verdict.is_new());
    missing.map_or(Ok(decision), Err)
}

impl<'a> Decision<'a> {
    /// What happens where a container serves.
    fn present(&mut self, container: &'a LiveContainer, look: Look<'_, 'a>) -> Verdict<'a> {
        let Look { live, last, host, serving, .. } = look;
        let on_record = last.current.get(&container.instance).filter(|(id, _)| *id == container.id);
        let applied = on_record.map(|(_, fields)| fields);
        let seen = peers::as_declared((container, &container.name), &self.spec, &self.peers);
        let mut differences = diff::differences(self.sought(), &seen, applied, live, host);
        if applied.is_none_or(Fields::is_empty) {
            let known: BTreeSet<FieldPath> = differences.iter().map(|change| change.path.clone()).collect();
            let unexplained = self.unexplained(&seen, last, live, host).into_iter();
            differences.extend(unexplained.filter(|change| !known.contains(&change.path)));
        }
        peers::explain(&mut differences, container, &self.spec, (serving, live));
        peers::restarted(&mut differences, container, self.service, serving);
        let mut policy = drift::policy(&self.service.drift, applied);
        if drift::is_unfinished(container, self.spec.restart, &self.name) {
            policy = drift::unfinished(policy);
        }
        let mut left = Left::default();
        let mut changes = left.take(differences.clone(), &policy);
        // The network that is the mode of a container can't be given to it again: newer engines know that by its id.
        let has_first = container.spec.networks.values().any(|attachment| attachment.first);
        let can_join = container.state.status == Status::Running || has_first;
        let in_place = |change: &FieldChange| {
            diff::is_in_place(change, &self.spec, &container.spec)
                && (can_join || !change.path.is_in("networks"))
        };
        let misnamed = misnamed(container, &self.name, applied);
        if self.was.is_none() && changes.iter().all(in_place) {
            changes.extend(left.take(misnamed.into_iter().collect(), &policy));
            let start = down(self.service, container)
                .filter(|status| !left.leaves(&policy, Reason::NotRunning(*status)));
            self.left = left;
            return if changes.is_empty() && start.is_none() {
                Verdict::Keep
            } else {
                Verdict::Mend { changes, start }
            };
        }
        // Whatever it was, the new container is as desired. One that was revived would not tell whether it has run.
        let renamed = self.was.map(|old| renamed(old, &self.service.name));
        // The name of a service that moves changes with it.
        let misnamed = misnamed.filter(|_| self.was.is_none() || self.service.container_name.is_some());
        let mut changes: Vec<FieldChange> = differences.into_iter().chain(misnamed).collect();
        changes.sort_by(|a, b| a.path.cmp(&b.path));
        let changes = renamed.into_iter().chain(changes).collect();
        let revivable = match self.service.rollback {
            Rollback::Automatic => self.revivable((container, applied), live, host),
            Rollback::Hold => None,
        };
        match revivable {
            Some(parked) => Verdict::Revive(parked, changes),
            None => Verdict::Replace(changes),
        }
    }

    pub(super) fn sought(&self) -> Sought<'_> {
        Sought { spec: &self.spec, images: &self.images }
    }

    /// What happens where none serves.
    fn absent(&mut self, last: &LastApplied) -> Verdict<'a> {
        let Some((id, applied)) = last.current.get(&self.instance) else {
            let was_there = self.current.is_some();
            return Verdict::Create(if was_there { Reason::Gone } else { Reason::New });
        };
        // Fields of another version of the normal form are not on record, and no reason to think that Git changed.
        let is_same = says_the_same(&self.fields, applied) || *applied == Fields::default();
        // A task has done its work, whether or not its container is still there: it runs once for what it is made of.
        let is_done = match self.service.gate.expect {
            Expect::Completed => true,
            Expect::Running => false,
        };
        if is_same && (is_done || self.left.leaves(&self.service.drift, Reason::Gone)) {
            return Verdict::Absent(id.clone());
        }
        Verdict::Create(Reason::Gone)
    }
}

/// What a container of `service` is made of, as the engine takes it. Others find it under its service's and its own name,
/// as with Compose: the own name is an alias too, so that it holds before the container bears it.
pub(super) fn made_of(service: &Service, name: &ContainerName, host: Host<'_>) -> ContainerSpec {
    let mut spec = grants::placed(&service.spec, host);
    for Attachment { aliases, .. } in spec.networks.values_mut() {
        aliases.insert(service.name.to_string());
        aliases.insert(name.to_string());
    }
    spec
}

fn renamed(old: &ServiceName, new: &ServiceName) -> FieldChange {
    FieldChange {
        path: FieldPath::new("service"),
        before: Some(FieldValue::word(old)),
        after: Some(FieldValue::word(new)),
        cause: Cause::Git,
        diff: None,
    }
}

/// Whether what is wanted is what was applied. Older records don't have the name.
fn says_the_same(wanted: &Fields, applied: &Fields) -> bool {
    let same = |(path, value)| applied.get(path).map_or(path.as_str() == NAME, |known| known == value);
    wanted.iter().all(same) && applied.paths().all(|path| wanted.get(path).is_some())
}

fn misnamed(
    container: &LiveContainer,
    name: &ContainerName,
    applied: Option<&Fields>,
) -> Option<FieldChange> {
    let path = FieldPath::new(NAME);
    let wanted = FieldValue::word(name);
    let had_another = applied.and_then(|applied| applied.get(&path)).is_some_and(|known| *known != wanted);
    (container.name != *name).then(|| FieldChange {
        path,
        before: Some(FieldValue::word(&container.name)),
        after: Some(wanted),
        cause: if had_another { Cause::Git } else { Cause::Drift },
        diff: None,
    })
}
