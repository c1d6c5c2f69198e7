//! Judges what runs beside its successor: nothing that only one of them can have, and no name for who isn't up yet.

use std::collections::BTreeSet;

use super::super::Plan;
use super::super::step::{Action, Phase, Target};
use super::{before_in, instance};
use crate::model::live::{Live, LiveContainer, Status};
use crate::model::name::{ContainerId, NetworkName};
use crate::model::spec::{Attachment, ContainerSpec, HostPort, MountSource};

/// A container that runs while its successor starts.
struct Pair<'a> {
    old: &'a LiveContainer,
    new: &'a Target,
    /// The step that starts the new one.
    start: usize,
}

pub(super) fn judge(plan: &Plan, live: &Live, found: &mut Vec<String>) {
    for pair in pairs(plan, live) {
        let name = &pair.old.instance;
        let Some(spec) = spec_of(plan, live, pair.new) else { continue };
        if spec.ports.iter().any(|port| port.host != HostPort::Any) {
            found.push(format!("{name} runs twice at once and publishes a fixed port"));
        }
        let is_fixed = |attachment: &Attachment| attachment.ipv4.is_some() || attachment.ipv6.is_some();
        if spec.networks.values().any(is_fixed) {
            found.push(format!("{name} runs twice at once and has a fixed address"));
        }
        let several = plan.outcome.keys().filter(|other| other.service == name.service).count() > 1;
        let volumes = written(&pair.old.spec);
        if !several && written(spec).iter().any(|volume| volumes.contains(volume)) {
            found.push(format!("{name} runs twice at once and both write to the same place"));
        }
        names(plan, &pair, spec, found);
        end(plan, &pair, found);
    }
}

/// Who is started while another container of the same instance runs that the switch doesn't stop.
fn pairs<'a>(plan: &'a Plan, live: &'a Live) -> Vec<Pair<'a>> {
    let started = plan.steps.iter().enumerate().filter_map(|(at, step)| match &step.action {
        Action::Start(target) if step.turn.phase == Phase::Switch => Some((at, target)),
        _ => None,
    });
    let stops = |id: &ContainerId| {
        let stop = |step: &Action| matches!(step, Action::Stop { target: Target::Existing(other), .. } if other == id);
        let switch = plan.steps.iter().filter(|step| step.turn.phase == Phase::Switch);
        switch.map(|step| &step.action).any(stop)
    };
    let mut pairs = Vec::new();
    for (start, new) in started {
        let kept = plan
            .checkpoint
            .containers
            .iter()
            .filter(|kept| kept.ran && instance(plan, new) == Some(&kept.instance));
        let running = kept.filter_map(|kept| live.containers.get(&kept.container));
        let beside = running.filter(|old| {
            *new != Target::Existing(old.id.clone()) && old.state.status == Status::Running && !stops(&old.id)
        });
        pairs.extend(beside.map(|old| Pair { old, new, start }));
    }
    pairs
}

fn spec_of<'a>(plan: &'a Plan, live: &'a Live, target: &Target) -> Option<&'a ContainerSpec> {
    match target {
        Target::Existing(id) => live.containers.get(id).map(|container| &container.spec),
        Target::New(wanted) => plan.steps.iter().find_map(|step| match &step.action {
            Action::Create { instance, spec, .. } if instance == wanted => Some(&**spec),
            _ => None,
        }),
    }
}

/// The new one has no name when it starts; it has them all and has been waited for before the old one loses any.
fn names(plan: &Plan, pair: &Pair<'_>, spec: &ContainerSpec, found: &mut Vec<String>) {
    let name = &pair.old.instance;
    let of_new: Vec<(usize, &NetworkName, &Attachment)> = connects(plan, pair.new, Phase::Switch);
    for (network, attachment) in &spec.networks {
        let last = of_new.iter().rfind(|(at, joined, _)| *at < pair.start && *joined == network);
        if !last.map_or(attachment, |(_, _, attachment)| *attachment).aliases.is_empty() {
            found.push(format!("{name} has names on {network} before it is up"));
        }
    }
    let awaited = plan
        .steps
        .iter()
        .enumerate()
        .filter(|(_, step)| matches!(&step.action, Action::Await { target, .. } if target == pair.new));
    let awaited: Vec<usize> = awaited.map(|(at, _)| at).collect();
    let named: Vec<usize> = of_new.iter().filter(|(at, ..)| *at > pair.start).map(|(at, ..)| *at).collect();
    let is_ready = |before: &[usize], at: usize| {
        let ready = |wait: &&usize| named.iter().all(|name| before_in(plan, *name, **wait));
        before.iter().filter(|wait| before_in(plan, **wait, at)).any(|wait| ready(&wait))
    };
    for (at, step) in plan.steps.iter().enumerate() {
        let Action::Disconnect { container: Target::Existing(id), .. } = &step.action else { continue };
        if *id == pair.old.id && step.turn.phase == Phase::Switch && !is_ready(&awaited, at) {
            found.push(format!("{name} loses its names before its successor has them and is up"));
        }
    }
    for (at, ..) in connects(plan, pair.new, Phase::Switch).iter().filter(|(at, ..)| *at > pair.start) {
        if !awaited.iter().any(|wait| before_in(plan, *wait, *at)) {
            found.push(format!("{name} gets its names before it is up"));
        }
    }
}

/// The old one ends after the decision, and is then attached as it was.
fn end(plan: &Plan, pair: &Pair<'_>, found: &mut Vec<String>) {
    let old = Target::Existing(pair.old.id.clone());
    let stopped = plan.steps.iter().any(|step| {
        step.turn.phase == Phase::Finish
            && matches!(&step.action, Action::Stop { target, .. } if *target == old)
    });
    if !stopped {
        found.push(format!("{} runs on beside its successor", pair.old.instance));
    }
    let again = connects(plan, &old, Phase::Finish);
    let lost: BTreeSet<&NetworkName> =
        connects(plan, &old, Phase::Switch).into_iter().map(|(_, name, _)| name).collect();
    for (name, attachment) in pair.old.spec.networks.iter().filter(|(name, _)| lost.contains(name)) {
        let wanted = Attachment { mac: None, ..attachment.clone() };
        if !again.iter().any(|(_, joined, found)| *joined == name && **found == wanted) {
            found.push(format!("{} is not attached to {name} again as it was", pair.old.instance));
        }
    }
}

fn connects<'a>(plan: &'a Plan, of: &Target, phase: Phase) -> Vec<(usize, &'a NetworkName, &'a Attachment)> {
    let steps = plan.steps.iter().enumerate().filter(|(_, step)| step.turn.phase == phase);
    let connects = steps.filter_map(|(at, step)| match &step.action {
        Action::Connect { container, name, attachment, .. } if container == of => {
            Some((at, name, attachment))
        }
        _ => None,
    });
    connects.collect()
}

fn written(spec: &ContainerSpec) -> BTreeSet<String> {
    let writable = spec.mounts.values().filter(|mount| !mount.read_only);
    let places = writable.filter_map(|mount| match &mount.source {
        MountSource::Volume(name) => Some(name.to_string()),
        MountSource::Bind(path) => Some(path.clone()),
        MountSource::Anonymous
        | MountSource::Repository(_)
        | MountSource::Grant(_)
        | MountSource::Image(_)
        | MountSource::Tmpfs { .. } => None,
    });
    places.collect()
}
