//! Compares two revisions without a host: what would change where the one runs and the other is deployed.
//!
//! The planner itself does it. It is given a host on which the base runs exactly as declared, so that a comparison names
//! the same fields, costs and obstacles as the plan on a real host will. Such a host knows no images, so that tags are
//! compared as they are written.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};

use super::decide::made_of;
use super::fields::{DigestKey, FieldPath, FieldValue};
use super::normal::{Host, of_spec};
use super::refusal::{Refusal, Refused};
use super::{LastApplied, Plan, assemble, content, shared};
use crate::model::desired::{Desired, FromOutside, Service};
use crate::model::image::ImageRef;
use crate::model::label;
use crate::model::live::{
    ContainerState, DaemonDefaults, Live, LiveContainer, LiveNetwork, LiveVolume, OtherContainer, Server,
    Status,
};
use crate::model::name::{
    ContainerId, ContainerName, ImageId, Instance, NetworkId, ServiceName, StackName, VolumeName,
};
use crate::model::policy::NAME;
use crate::model::spec::{Namespace, NetworkSpec, Peer, VolumeSpec};

/// Where files would be laid down. No path of a manifest leads there.
pub(super) const FILES: &str = "/\u{0}";

/// What would change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comparison {
    /// The changes. Its steps are those of a host that doesn't exist, and not to be carried out.
    pub plan: Plan,
    /// What would stand in the way of a deploy, on every host where the base runs.
    pub refusals: Vec<Refusal>,
}

/// Compares `head` with `base`, as if that ran; without a base, with an empty host.
///
/// # Guarantees
/// - Of two equal sides nothing is said, also of values that nobody knows here.
/// - A sensitive value is in the result as little as in any plan.
///
/// # Errors
/// What makes every plan for `head` impossible, whatever runs.
pub fn compare(base: Option<&Desired>, head: &Desired) -> Result<Comparison, Refused> {
    // No value that must stay secret is known here, so that anybody may know the key.
    let key = DigestKey::new([0; 32]);
    let host = Host { key: &key, files: FILES };
    let (live, last) = host_of(base, head, host);
    let (mut plan, refusals) = match assemble::plan(head, &live, &last, host) {
        Ok(plan) => (plan, Vec::new()),
        Err(Refused(refusals)) => {
            // The changes of services are worth seeing nevertheless.
            let (mut other, last) = host_of(base, head, host);
            other.others.retain(|_, container| container.stack.is_none());
            other.networks = networks([head]);
            other.volumes = volumes([head]);
            match assemble::plan(head, &other, &last, host) {
                Ok(plan) => (plan, refusals),
                Err(_) => return Err(Refused(refusals)),
            }
        }
    };
    content::explain(&mut plan, |digest| {
        let known = base.and_then(|base| base.contents.get(digest));
        head.contents.get(digest).or(known).cloned()
    });
    if let Some(base) = base.filter(|base| base.stack != head.stack) {
        plan.notes.push(format!(
            "the stack is named `{}` now; what runs as `{}` is not touched by this, and stays",
            head.stack, base.stack
        ));
    }
    Ok(Comparison { plan, refusals })
}

/// Says of every field that one side seems to lack that it comes from outside, where it does: it is there, and only the
/// host knows what it is.
pub fn tell_outside(plan: &mut Plan, base: &FromOutside, head: &FromOutside) {
    let told = || Some(FieldValue::word(&"(from outside)"));
    for change in plan.changes.iter_mut().chain(&mut plan.reported) {
        let (now, before) = (change.service.as_ref(), change.was.as_ref().or(change.service.as_ref()));
        let of = |side: &FromOutside, service: Option<&ServiceName>, field: &FieldPath| {
            let keys = service.and_then(|service| side.get(service));
            keys.is_some_and(|keys| keys.iter().any(|key| field.is_in(key)))
        };
        for field in &mut change.fields {
            if field.before.is_none() && of(base, before, &field.path) {
                field.before = told();
            }
            if field.after.is_none() && of(head, now, &field.path) {
                field.after = told();
            }
        }
    }
}

/// A host on which `base` runs, as the record says, too. What is external is there.
fn host_of(base: Option<&Desired>, head: &Desired, host: Host<'_>) -> (Live, LastApplied) {
    let images = head.services.values().flat_map(|service| service.spec.images());
    let mut live = Live {
        registry: BTreeMap::new(),
        server: Server {
            id: String::new(),
            name: "no host".to_owned(),
            api_version: String::new(),
            defaults: DaemonDefaults::default(),
        },
        containers: BTreeMap::new(),
        others: BTreeMap::new(),
        networks: networks(base),
        volumes: volumes(base),
        images: BTreeMap::new(),
        // No host is asked what it has; whatever is named is there.
        references: images.filter_map(|image| Some((image.clone(), image_id(image)?))).collect(),
    };
    for (id, network) in networks([head]) {
        let is_new = !live.networks.values().any(|known| known.spec.name == network.spec.name);
        if is_new && network.stack.is_none() {
            live.networks.insert(id, network);
        }
    }
    for (name, volume) in volumes([head]).into_iter().filter(|(_, volume)| volume.stack.is_none()) {
        live.volumes.entry(name).or_insert(volume);
    }
    add_named_peers(&mut live, &base.into_iter().chain([head]).collect::<Vec<_>>());
    let mut last = LastApplied::default();
    for (base, service) in
        base.iter().flat_map(|base| base.services.values().map(move |service| (base, service)))
    {
        for instance in service.instances() {
            let number = live.containers.len() + live.others.len();
            let Some(container) = container(service, (&base.stack, instance), (number, host)) else {
                continue;
            };
            if base.stack == head.stack {
                let mut fields = of_spec(&container.spec, host);
                fields.set(NAME, FieldValue::word(&container.name));
                last.current.insert(container.instance.clone(), (container.id.clone(), fields));
                live.containers.insert(container.id.clone(), container);
            } else {
                let LiveContainer { id, name, spec, .. } = container;
                let stack = Some(base.stack.clone());
                let networks = spec.networks.into_keys().collect();
                let (ports, binds) = (spec.ports, BTreeSet::new());
                let other = OtherContainer { name, stack, origin: None, ports, binds, networks };
                live.others.insert(id, other);
            }
        }
    }
    share(&mut live);
    (live, last)
}

/// Adds the containers of other owners that are named to share namespaces with: no host is asked whether they are there.
fn add_named_peers(live: &mut Live, sides: &[&Desired]) {
    let names = sides.iter().flat_map(|side| side.services.values()).flat_map(|service| {
        service.spec.namespaces.peers().filter_map(|peer| match peer {
            Peer::Container(name) => name.parse::<ContainerName>().ok(),
            Peer::Service(_) | Peer::Id(_) => None,
        })
    });
    let own: BTreeSet<ContainerName> = sides.iter().flat_map(|side| own_names(side)).collect();
    for name in names.collect::<BTreeSet<_>>().difference(&own) {
        let Some(id) = id("", name.as_str()) else { continue };
        let (ports, binds, networks) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        let name = name.clone();
        live.others.insert(id, OtherContainer { name, stack: None, origin: None, ports, binds, networks });
    }
}

fn own_names(side: &Desired) -> impl Iterator<Item = ContainerName> {
    side.services.values().flat_map(|service| {
        service.instances().filter_map(|instance| service.container_name(&side.stack, &instance).ok())
    })
}

/// Names by their ids the containers that others share namespaces with, as an engine does.
fn share(live: &mut Live) {
    let mut first: BTreeMap<ServiceName, ContainerId> = BTreeMap::new();
    for container in live.containers.values() {
        first.entry(container.instance.service.clone()).or_insert_with(|| container.id.clone());
    }
    let own = live.containers.values().map(|container| (container.name.to_string(), container.id.clone()));
    let others = live.others.iter().map(|(id, other)| (other.name.to_string(), id.clone()));
    let named: BTreeMap<String, ContainerId> = others.chain(own).collect();
    for container in live.containers.values_mut() {
        for (_, namespace) in container.spec.namespaces.by_key_mut() {
            let Some(Namespace::Of(peer)) = namespace else { continue };
            let id = match &*peer {
                Peer::Service(name) => first.get(name),
                Peer::Container(name) => named.get(name),
                Peer::Id(_) => None,
            };
            if let Some(id) = id {
                *peer = Peer::Id(id.clone());
            }
        }
    }
}

/// A running container just as it is declared. None where its name would be too long, which the planner refuses.
fn container(
    service: &Service,
    (stack, instance): (&StackName, Instance),
    (number, host): (usize, Host<'_>),
) -> Option<LiveContainer> {
    let name = service.container_name(stack, &instance).ok()?;
    let mut spec = made_of(service, &name, host);
    // As the engine has it: one of the networks is the mode, and without any there is still one.
    match spec.first_network().map(|(name, _)| name.clone()) {
        Some(first) => spec.networks.entry(first).or_default().first = true,
        None => drop(spec.namespaces.network.get_or_insert(Namespace::None)),
    }
    let state = ContainerState {
        status: Status::Running,
        restarts: 0,
        started_at: String::new(),
        health: None,
        health_output: String::new(),
    };
    Some(LiveContainer {
        // In their order, which decides over that of what is removed.
        id: format!("{number:064x}").parse::<ContainerId>().ok()?,
        deploy: "base".parse().ok()?,
        image: image_id(&spec.image)?,
        mounted: spec
            .mounted_images()
            .filter_map(|(target, image)| Some((target.clone(), image_id(image)?)))
            .collect(),
        addresses: spec.networks.keys().map(|network| (network.clone(), None)).collect(),
        endpoints: BTreeMap::new(),
        bound: BTreeSet::new(),
        beyond: BTreeSet::new(),
        name,
        instance,
        state,
        spec,
    })
}

/// The networks of one side, those with the daemon's defaults filled in that nobody declares.
fn networks<'a>(sides: impl IntoIterator<Item = &'a Desired>) -> BTreeMap<NetworkId, LiveNetwork> {
    let networks = sides.into_iter().flat_map(|side| side.networks.values().map(move |spec| (side, spec)));
    networks
        .filter_map(|(side, spec)| {
            let driver = spec.driver.clone().or_else(|| Some("bridge".to_owned()));
            let declared = label::of_declared(shared::declared(spec));
            let labels = spec.labels.clone().into_iter().chain(declared).collect();
            let live = LiveNetwork {
                id: id("", spec.name.as_str())?,
                spec: NetworkSpec { driver, external: false, labels, ..spec.clone() },
                stack: (!spec.external).then(|| side.stack.clone()),
            };
            Some((live.id.clone(), live))
        })
        .collect()
}

fn volumes<'a>(sides: impl IntoIterator<Item = &'a Desired>) -> BTreeMap<VolumeName, LiveVolume> {
    let volumes = sides.into_iter().flat_map(|side| side.volumes.values().map(move |spec| (side, spec)));
    volumes
        .map(|(side, spec)| {
            let driver = spec.driver.clone().or_else(|| Some("local".to_owned()));
            let live = LiveVolume {
                spec: VolumeSpec { driver, external: false, ..spec.clone() },
                stack: (!spec.external).then(|| side.stack.clone()),
            };
            (spec.name.clone(), live)
        })
        .collect()
}

/// An id made of a name, as long as a real one.
fn id<I: std::str::FromStr>(prefix: &str, name: &str) -> Option<I> {
    format!("{prefix}{}", hex::encode(Sha256::digest(name))).parse().ok()
}

fn image_id(image: &ImageRef) -> Option<ImageId> {
    id("sha256:", &image.to_string())
}
