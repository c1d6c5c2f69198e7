//! The tree in the long form → typed values, and a refusal of what can't be honoured.
//!
//! Each file here reads one part of a service. Where a value can't be read a problem is noted and the reading goes
//! on with what stands for nothing, so that the checks across services see as much as possible.

mod service;
mod update;
mod process;
mod ports;
mod mounts;
mod grants;
mod how;
mod health;
mod gate;
mod resources;
mod restart;
mod scheduling;
mod namespaces;
mod devices;
mod runtime;
mod networks;
mod attach;

use std::collections::{BTreeMap, BTreeSet};

use super::collect::Composed;
use super::language::environment::FromVariables;
use super::node::{Map, Node, Value};
use super::problem::{Problem, Problems};
use super::source::Span;
use crate::model::desired::{Condition, Desired, Expect, FromOutside, RepositoryContent, Revision, Service};
use crate::model::name::{NetworkKey, NetworkName, ServiceName, StackName, VolumeKey, VolumeName};
use crate::model::spec::{ContentDigest, MountSource, NetworkSpec, PublishedPort, VolumeSpec};
use crate::model::tree::{FileTree, RepoPath};

/// Everything that was read, with the places that later checks point at.
#[derive(Debug, Default)]
pub(crate) struct Lowered {
    pub(crate) services: BTreeMap<ServiceName, LoweredService>,
    pub(crate) networks: BTreeMap<NetworkKey, (NetworkSpec, Span)>,
    pub(crate) volumes: BTreeMap<VolumeKey, (VolumeSpec, Span)>,
    /// Files and folders of the repository that services mount.
    pub(crate) mounted: BTreeSet<RepoPath>,
    contents: BTreeMap<ContentDigest, RepositoryContent>,
}

/// A service and where it says what.
#[derive(Debug)]
pub(crate) struct LoweredService {
    pub(crate) service: Service,
    /// Profiles that it belongs to; empty means that it always runs.
    pub(crate) profiles: Vec<String>,
    /// Whether one of its profiles is active, or it has none.
    pub(crate) active: bool,
    pub(crate) places: Places,
}

/// Where a service says what.
#[derive(Debug)]
pub(crate) struct Places {
    pub(crate) name: Span,
    pub(crate) container_name: Option<Span>,
    pub(crate) replicas: Option<Span>,
    pub(crate) ports: Vec<(PublishedPort, Span)>,
    pub(crate) depends_on: BTreeMap<ServiceName, Span>,
    pub(crate) moved_from: Option<Span>,
    pub(crate) gate: Option<Span>,
    /// Links that are not resolved yet.
    links: Vec<attach::Link>,
}

/// What the reading of every part has at hand.
pub(crate) struct Context<'a> {
    pub(crate) problems: &'a mut Problems,
    tree: &'a dyn FileTree,
    /// Whether every variable must have a value, as in a repository.
    strict: bool,
    stack: &'a StackName,
    networks: BTreeMap<NetworkKey, (NetworkSpec, Span)>,
    volumes: BTreeMap<VolumeKey, (VolumeSpec, Span)>,
    contents: BTreeMap<ContentDigest, RepositoryContent>,
    read: BTreeMap<RepoPath, Option<ContentDigest>>,
    /// The variables that configs and secrets are made from, by where they are named.
    given: &'a FromVariables,
    /// What configs and secrets have in them.
    declared: grants::Declared,
    /// The files that configs and secrets name.
    granted: BTreeSet<RepoPath>,
}

impl Context<'_> {
    fn note(&mut self, problem: Problem) {
        self.problems.add(problem);
    }

    /// The value of `key`, read by `read`, if the key is there.
    fn optional<T>(
        &mut self,
        map: &Map,
        key: &str,
        read: impl FnOnce(&mut Problems, &Node) -> Option<T>,
    ) -> Option<T> {
        map.get(key).and_then(|node| read(self.problems, node))
    }
}

/// Reads the merged tree.
pub(crate) fn lower(problems: &mut Problems, tree: &dyn FileTree, composed: &Composed) -> Lowered {
    let mut cx = Context {
        problems,
        tree,
        strict: composed.environment.is_some(),
        stack: &composed.stack,
        networks: BTreeMap::new(),
        volumes: BTreeMap::new(),
        contents: BTreeMap::new(),
        read: BTreeMap::new(),
        given: &composed.given,
        declared: BTreeMap::new(),
        granted: BTreeSet::new(),
    };
    let section = |name: &str| composed.root.get(name).and_then(Node::as_map);
    let used = Used::of(composed);
    for entry in section("networks").into_iter().flat_map(|map| &map.entries) {
        cx.problems.idle(!used.networks.contains(entry.key.text.as_str()));
        networks::network(&mut cx, entry);
    }
    for entry in section("volumes").into_iter().flat_map(|map| &map.entries) {
        cx.problems.idle(!used.volumes.contains(entry.key.text.as_str()));
        networks::volume(&mut cx, entry);
    }
    grants::declare(&mut cx, composed);
    let mut services = BTreeMap::new();
    for entry in section("services").into_iter().flat_map(|map| &map.entries) {
        cx.problems.idle(!composed.active.contains(&entry.key.text));
        if let Some(service) = service::service(&mut cx, entry, composed) {
            services.insert(service.service.name.clone(), service);
        }
        cx.problems.idle(false);
    }
    expect_completion(cx.problems, &mut services);
    attach::resolve_links(cx.problems, &mut services, cx.stack);
    let Context { networks, volumes, contents, read, granted, .. } = cx;
    let mounted = read.into_keys().chain(granted).collect();
    Lowered { services, networks, volumes, mounted, contents }
}

/// The keys of services into which values went that nobody here knows. What can't be made of them is left out.
pub(crate) fn from_outside(problems: &Problems, composed: &Composed) -> FromOutside {
    let services = composed.root.get("services").and_then(Node::as_map);
    let entries = services.into_iter().flat_map(|map| &map.entries);
    let keys = |service: &Node| -> BTreeSet<String> {
        let entries = service.as_map().into_iter().flat_map(|map| &map.entries);
        let unknown = entries.filter(|entry| is_from_outside(problems, &entry.value));
        unknown.map(|entry| entry.key.text.clone()).collect()
    };
    entries.filter_map(|entry| Some((entry.key.text.parse().ok()?, keys(&entry.value)))).collect()
}

fn is_from_outside(problems: &Problems, node: &Node) -> bool {
    problems.is_spoiled(node.span)
        || match &node.value {
            Value::Null | Value::Scalar(_) => false,
            Value::List(items) => items.iter().any(|item| is_from_outside(problems, item)),
            Value::Map(map) => map.entries.iter().any(|entry| is_from_outside(problems, &entry.value)),
        }
}

/// The keys of the networks and volumes that services which run use. What nobody uses is not made, so it need not be
/// honoured.
#[derive(Default)]
struct Used<'n> {
    networks: BTreeSet<&'n str>,
    volumes: BTreeSet<&'n str>,
}

impl<'n> Used<'n> {
    fn of(composed: &'n Composed) -> Self {
        let mut used = Self::default();
        let services = composed.root.get("services").and_then(Node::as_map);
        let entries = services.into_iter().flat_map(|map| &map.entries);
        for service in entries.filter(|entry| composed.active.contains(&entry.key.text)) {
            let get = |key: &str| service.value.as_map().and_then(|map| map.get(key));
            match get("networks").and_then(Node::as_map) {
                Some(map) => used.networks.extend(map.entries.iter().map(|entry| entry.key.text.as_str())),
                None => drop(used.networks.insert(attach::DEFAULT)),
            }
            let Some(Value::List(mounts)) = get("volumes").map(|node| &node.value) else { continue };
            let sources = mounts.iter().filter_map(|mount| mount.as_map()?.get("source")?.as_scalar());
            used.volumes.extend(sources.map(|source| source.text.as_str()));
        }
        used
    }
}

/// A service that another waits for to complete is one that does its work and ends.
fn expect_completion(problems: &mut Problems, services: &mut BTreeMap<ServiceName, LoweredService>) {
    let awaited: BTreeSet<ServiceName> = services
        .values()
        .filter(|lowered| lowered.active)
        .flat_map(|lowered| &lowered.service.depends_on)
        .filter(|(_, dependency)| dependency.condition == Condition::Completed)
        .map(|(name, _)| name.clone())
        .collect();
    for name in awaited {
        if let Some(lowered) = services.get_mut(&name) {
            let gate = &mut lowered.service.gate;
            gate.expect = Expect::Completed;
            let asks = !gate.probes.is_empty() || gate.stable_for.is_some();
            if let Some(place) = lowered.places.gate.filter(|_| asks) {
                let message = format!("`{name}` is to complete, so its gate only asks that it ends with 0");
                problems.add(
                    Problem::warning("unused-gate", place, message)
                        .hint("leave only `deadline` here; some service waits for it to complete"),
                );
            }
        }
    }
}

/// The desired state: active services, and only what they use.
pub(crate) fn desired(composed: Composed, lowered: Lowered, revision: Revision) -> Desired {
    let Lowered { services, networks, volumes, mounted: _, mut contents } = lowered;
    let mut services: BTreeMap<ServiceName, Service> = services
        .into_iter()
        .filter(|(_, lowered)| lowered.active)
        .map(|(name, lowered)| (name, lowered.service))
        .collect();
    // What is optional and not there can't be waited for.
    let names: BTreeSet<ServiceName> = services.keys().cloned().collect();
    for service in services.values_mut() {
        service.depends_on.retain(|name, _| names.contains(name));
    }
    let joined: BTreeSet<NetworkName> =
        services.values().flat_map(|service| service.spec.networks.keys().cloned()).collect();
    let mut mounted: BTreeSet<VolumeName> = BTreeSet::new();
    let mut laid_down: BTreeSet<ContentDigest> = BTreeSet::new();
    for mount in services.values().flat_map(|service| service.spec.mounts.values()) {
        match &mount.source {
            MountSource::Volume(name) => drop(mounted.insert(name.clone())),
            MountSource::Repository(digest) => drop(laid_down.insert(digest.clone())),
            MountSource::Anonymous
            | MountSource::Bind(_)
            | MountSource::Grant(_)
            | MountSource::Image(_)
            | MountSource::Tmpfs { .. } => {}
        }
    }
    contents.retain(|digest, _| laid_down.contains(digest));
    Desired {
        stack: composed.stack,
        environment: composed.environment,
        revision,
        tiers: composed.tiers,
        networks: networks
            .into_iter()
            .filter(|(_, (spec, _))| joined.contains(&spec.name))
            .map(|(key, (spec, _))| (key, spec))
            .collect(),
        volumes: volumes
            .into_iter()
            .filter(|(_, (spec, _))| mounted.contains(&spec.name))
            .map(|(key, (spec, _))| (key, spec))
            .collect(),
        services,
        contents,
        hosts: composed.policy.hosts,
        prune: composed.policy.prune,
        admission: composed.policy.admission,
    }
}
