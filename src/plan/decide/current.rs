//! Which container of several serves, and whether it does.

use super::super::LastApplied;
use super::super::refusal::Refusal;
use super::Decision;
use crate::model::desired::{Desired, Expect, Service};
use crate::model::live::{Live, LiveContainer, Status};
use crate::model::name::{ContainerName, Instance, ServiceName};

/// The container that serves as `instance`: the one that the ledger knows. Where that is gone it is the running one, which a
/// way back had to leave; without the ledger the running one, too, else the one that bears the name.
pub(super) fn current<'a>(
    instance: &Instance,
    name: &ContainerName,
    live: &'a Live,
    last: &LastApplied,
) -> Result<Option<&'a LiveContainer>, Refusal> {
    let on_record = last.current.get(instance);
    if let Some(serving) = on_record.and_then(|(id, _)| live.containers.get(id)) {
        return Ok(Some(serving));
    }
    let all: Vec<&LiveContainer> =
        live.containers.values().filter(|container| container.instance == *instance).collect();
    let running: Vec<&&LiveContainer> =
        all.iter().filter(|container| is_active(container.state.status)).collect();
    match running.as_slice() {
        [one] => Ok(Some(one)),
        [] if on_record.is_some() => Ok(None),
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

pub(in crate::plan) fn is_active(status: Status) -> bool {
    match status {
        Status::Running | Status::Paused | Status::Restarting => true,
        Status::Created | Status::Exited { .. } | Status::Dead => false,
    }
}

/// The status of a container that should run and doesn't.
pub(super) fn down(service: &Service, container: &LiveContainer) -> Option<Status> {
    match (container.state.status, service.gate.expect) {
        (Status::Running | Status::Paused | Status::Restarting, _)
        | (Status::Exited { code: 0, .. }, Expect::Completed) => None,
        (status @ (Status::Created | Status::Exited { .. } | Status::Dead), _) => Some(status),
    }
}

/// The container that serves under the name that the service had before.
pub(super) fn moved<'a>(
    desired: &Desired,
    decision: &Decision<'a>,
    live: &'a Live,
    last: &LastApplied,
) -> Result<Option<(&'a LiveContainer, &'a ServiceName)>, Refusal> {
    let Some(old) = &decision.service.moved_from else { return Ok(None) };
    let before = Instance { service: old.clone(), number: decision.instance.number };
    let Ok(name) = format!("{}-{before}", desired.stack).parse() else { return Ok(None) };
    let is_known = last.current.contains_key(&before);
    let found = current(&before, &name, live, last)?;
    // One that is neither on record nor active was replaced long ago.
    let serving = found.filter(|container| is_known || is_active(container.state.status));
    let serving = serving.filter(|container| container.state.status != Status::Dead);
    Ok(serving.map(|container| (container, old)))
}

/// What people should know of a container that is as it should be.
pub(super) fn note(container: &LiveContainer) -> Option<String> {
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
