//! Containers whose namespaces other containers use: who they are now, and who they will be.
//!
//! An engine knows them by id only, so that a container which shares with another one must be made anew whenever that
//! other one is, and must run after it.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::change::{Cause, FieldChange};
use super::decide::is_active;
use super::fields::{FieldPath, FieldValue};
use super::refusal::Refusal;
use super::step::Target;
use crate::model::desired::{Desired, Service};
use crate::model::live::{Live, LiveContainer, Status};
use crate::model::name::{ContainerId, ContainerName, NetworkName, ServiceName};
use crate::model::spec::{Attachment, ContainerSpec, Namespace, Peer};

/// The first container of a service, as the plan has it so far.
#[derive(Debug)]
pub(super) struct Served<'a> {
    /// The one that serves now.
    pub(super) now: Option<&'a ContainerId>,
    /// The one that will.
    pub(super) then: Target,
    /// Whether that one is started: its namespaces are new then, even if it was there before.
    pub(super) starts: bool,
}

/// The first container of each service that was decided already.
pub(super) type Serving<'a> = BTreeMap<ServiceName, Served<'a>>;

/// Finds every container that `spec` shares something with.
pub(super) fn resolve(
    spec: &ContainerSpec,
    serving: &Serving<'_>,
    desired: &Desired,
    live: &Live,
) -> Result<BTreeMap<Peer, Target>, (String, String)> {
    let mut found = BTreeMap::new();
    for peer in spec.namespaces.peers() {
        let target = match peer {
            Peer::Service(name) => serving.get(name).map(|served| served.then.clone()).ok_or_else(|| {
                let what = format!("`{peer}` has no container, because `{name}` runs none");
                (what, format!("let `{name}` run at least one container"))
            })?,
            Peer::Container(name) => named(name, desired, live).map(Target::Existing)?,
            Peer::Id(id) => Target::Existing(id.clone()),
        };
        found.insert(peer.clone(), target);
    }
    Ok(found)
}

fn named(name: &str, desired: &Desired, live: &Live) -> Result<ContainerId, (String, String)> {
    if let Some(service) = desired.services.values().find(|service| {
        service.instances().any(|instance| {
            service.container_name(&desired.stack, &instance).is_ok_and(|own| own.as_str() == name)
        })
    }) {
        let what = format!("`container:{name}` is a container of the stack itself");
        return Err((what, format!("write `service:{}`", service.name)));
    }
    let others = live.others.iter().map(|(id, other)| (id, &other.name));
    let own = live.containers.values().map(|container| (&container.id, &container.name));
    let found = others
        .chain(own)
        .find(|(id, other)| other.as_str() == name || id.as_str() == name || id.short() == name);
    found.map(|(id, _)| id.clone()).ok_or_else(|| {
        let what = format!("there is no container `{name}` on this host to share with");
        (what, "start it first, or name a service of the stack: `service:NAME`".to_owned())
    })
}

/// `container` with its peers as `spec` calls them, where they are those that `spec` means once the plan is carried out.
/// The others keep their ids, and so differ. Where `spec` wants `name`, which it bears once it serves, as an alias it has that:
/// Docker finds a container by its name on every network, whoever made it.
pub(super) fn as_declared<'c>(
    (container, name): (&'c LiveContainer, &ContainerName),
    spec: &ContainerSpec,
    peers: &BTreeMap<Peer, Target>,
) -> Cow<'c, LiveContainer> {
    let name = name.as_str();
    let is_known = |network: &NetworkName, attachment: &Attachment| {
        attachment.aliases.contains(name)
            || spec.networks.get(network).is_none_or(|wanted| !wanted.aliases.contains(name))
    };
    let unnamed = |(network, attachment): (&NetworkName, &Attachment)| !is_known(network, attachment);
    if container.spec.namespaces.peers().next().is_none() && !container.spec.networks.iter().any(unnamed) {
        return Cow::Borrowed(container);
    }
    let mut declared = container.clone();
    for (network, attachment) in &mut declared.spec.networks {
        if !is_known(network, attachment) {
            attachment.aliases.insert(name.to_owned());
        }
    }
    let wanted = spec.namespaces.by_key();
    for ((_, seen), (_, wanted)) in declared.spec.namespaces.by_key_mut().into_iter().zip(wanted) {
        if let (Some(Namespace::Of(Peer::Id(id))), Some(Namespace::Of(peer))) = (seen.as_ref(), wanted)
            && peers.get(peer) == Some(&Target::Existing(id.clone()))
        {
            *seen = Some(Namespace::Of(peer.clone()));
        }
    }
    Cow::Owned(declared)
}

/// Names the reason of changes that only follow from what happens to another container, and adds those that no field
/// shows: who runs on in the namespace of a container that is started again is left in one that is dead.
pub(super) fn explain(
    changes: &mut Vec<FieldChange>,
    container: &LiveContainer,
    spec: &ContainerSpec,
    (serving, live): (&Serving<'_>, &Live),
) {
    let runs = is_active(container.state.status);
    for ((key, seen), (_, wanted)) in
        container.spec.namespaces.by_key().into_iter().zip(spec.namespaces.by_key())
    {
        let (Some(Namespace::Of(Peer::Id(id))), Some(Namespace::Of(peer @ Peer::Service(name)))) =
            (seen, wanted)
        else {
            continue;
        };
        let Some(served) = serving.get(name).filter(|served| served.now == Some(id)) else { continue };
        let value = |state: &str| Some(FieldValue::Word(format!("{peer} ({state})")));
        if let Some(change) = changes.iter_mut().find(|change| change.path.as_str() == key) {
            change.cause = Cause::Dependency;
            change.before = value("old");
            change.after = value("new");
        } else if runs && (served.starts || started_before(container, live.containers.get(id))) {
            changes.push(FieldChange {
                path: FieldPath::new(key),
                before: value("as it ran before"),
                after: value("as it runs now"),
                cause: Cause::Dependency,
                diff: None,
            });
        }
    }
}

/// Whether `container` runs since before its peer does, which Docker or somebody has started again meanwhile: then it
/// lives in namespaces that are dead.
fn started_before(container: &LiveContainer, peer: Option<&LiveContainer>) -> bool {
    let since = |container: &LiveContainer| container.state.started_at.parse::<jiff::Timestamp>().ok();
    let runs = |peer: &&LiveContainer| peer.state.status == Status::Running;
    match (since(container), peer.filter(runs).and_then(since)) {
        (Some(own), Some(peers)) => own < peers,
        _ => false,
    }
}

/// Adds the services that `service` wants to be restarted with.
pub(super) fn restarted(
    changes: &mut Vec<FieldChange>,
    container: &LiveContainer,
    service: &Service,
    serving: &Serving<'_>,
) {
    if !is_active(container.state.status) {
        return;
    }
    let asked = service.depends_on.iter().filter(|(_, dependency)| dependency.restart);
    for (name, _) in asked.filter(|(name, _)| serving.get(*name).is_some_and(|served| served.starts)) {
        let shares = service.spec.namespaces.peers().any(|peer| *peer == Peer::Service(name.clone()));
        if !shares {
            changes.push(FieldChange {
                path: FieldPath::new(format!("depends_on.{name}")),
                before: None,
                after: Some(FieldValue::word(&"restarted")),
                cause: Cause::Dependency,
                diff: None,
            });
        }
    }
}

/// A refusal in the name of `service`.
pub(super) fn refusal(service: &ServiceName, (what, hint): (String, String)) -> Refusal {
    Refusal::new(format!("service `{service}`: {what}"), hint)
}
