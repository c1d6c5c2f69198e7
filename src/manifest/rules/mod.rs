//! What must hold across services, and is only seen once all of them are read.
//!
//! One function per rule. Every problem points at the value that breaks the rule and, where two things collide, at
//! both. Services of profiles that are not active don't run, so they collide with nothing.

mod graph;
mod host_ports;
mod moves;

use std::collections::{BTreeMap, BTreeSet};

use super::collect::Composed;
use super::lower::{Lowered, LoweredService};
use super::problem::{Problem, Problems, suggestion};
use super::source::Span;
use crate::model::name::{ContainerName, NetworkName, VolumeName};
use crate::model::spec::MountSource;
use crate::model::tree::RepoPath;

/// Notes every broken rule.
pub(crate) fn check(problems: &mut Problems, composed: &Composed, lowered: &Lowered) {
    foreign_files(problems, composed, lowered);
    something_runs(problems, composed, lowered);
    graph::dependencies(problems, composed, lowered);
    graph::cycles(problems, lowered);
    host_ports::conflicts(problems, lowered);
    moves::moves(problems, lowered);
    container_names(problems, composed, lowered);
    single_replicas(problems, lowered);
    object_names(problems, lowered);
    profiles(problems, composed, lowered);
    unused(problems, lowered);
}

/// A profile that is switched on and that no service has does nothing, which nobody means.
fn profiles(problems: &mut Problems, composed: &Composed, lowered: &Lowered) {
    let known: BTreeSet<&str> =
        lowered.services.values().flat_map(|lowered| &lowered.profiles).map(String::as_str).collect();
    for (name, span) in &composed.profiles {
        if let (Some(span), false) = (span, name == "*" || known.contains(name.as_str())) {
            let hint = suggestion(name, known.iter().copied());
            let hint = hint.unwrap_or_else(|| "remove it, or give a service this profile".to_owned());
            let message = format!("no service has the profile `{name}`");
            problems.add(Problem::error("unknown-profile", *span, message).hint(hint));
        }
    }
}

/// A YAML file among the manifests is a manifest, or is mounted by one; else it is there by mistake.
fn foreign_files(problems: &mut Problems, composed: &Composed, lowered: &Lowered) {
    for (path, problem) in &composed.foreign {
        let mut folder = path.clone();
        let mut mounted = lowered.mounted.contains(&folder);
        while !mounted && folder != RepoPath::root() {
            folder = folder.parent();
            mounted = lowered.mounted.contains(&folder);
        }
        if !mounted {
            problems.add(problem.clone());
        }
    }
}

/// The services that run.
fn active(lowered: &Lowered) -> impl Iterator<Item = &LoweredService> {
    lowered.services.values().filter(|lowered| lowered.active)
}

/// A stack without services would mean that everything is to be removed, which nobody says by leaving it out.
fn something_runs(problems: &mut Problems, composed: &Composed, lowered: &Lowered) {
    if active(lowered).next().is_some() || problems.has_errors() {
        return;
    }
    let message = match lowered.services.len() {
        0 => "no service is declared",
        _ => "no service is active: all of them belong to profiles that are not",
    };
    problems.add(
        Problem::error("no-services", &composed.start, message)
            .hint("an empty stack is refused, so that a mistake never removes what runs"),
    );
}

fn container_names(problems: &mut Problems, composed: &Composed, lowered: &Lowered) {
    let mut taken: BTreeMap<ContainerName, Span> = BTreeMap::new();
    for LoweredService { service, places, .. } in active(lowered) {
        let at = places.container_name.unwrap_or(places.name);
        if let (Some(span), 2..) = (places.container_name, service.replicas) {
            let mut problem =
                Problem::error("one-name", span, "several containers can't have one `container_name`")
                    .hint("remove `container_name`, or run a single container");
            if let Some(replicas) = places.replicas {
                problem = problem.related(replicas, format!("{} containers", service.replicas));
            }
            problems.add(problem);
            continue;
        }
        for instance in service.instances() {
            let name = match service.container_name(&composed.stack, &instance) {
                Ok(name) => name,
                Err(error) => {
                    problems.add(
                        Problem::error("bad-name", at, error.to_string()).hint("give a `container_name`"),
                    );
                    break;
                }
            };
            if let Some(first) = taken.insert(name, at) {
                problems.add(
                    Problem::error("one-name", at, "two services have one container name")
                        .label("again here")
                        .related(first, "first here"),
                );
                break;
            }
        }
    }
}

/// What only one container can have.
fn single_replicas(problems: &mut Problems, lowered: &Lowered) {
    for LoweredService { service, places, .. } in active(lowered) {
        let fixed = service
            .spec
            .networks
            .values()
            .any(|joined| joined.ipv4.is_some() || joined.ipv6.is_some() || joined.mac.is_some());
        if let (2.., true) = (service.replicas, fixed) {
            let at = places.replicas.unwrap_or(places.name);
            problems.add(Problem::error(
                "one-address",
                at,
                "several containers can't have one fixed address",
            ));
        }
    }
}

fn object_names(problems: &mut Problems, lowered: &Lowered) {
    let mut clash = |what: &str, names: Vec<(&str, Span)>| {
        let mut taken: BTreeMap<&str, Span> = BTreeMap::new();
        for (name, span) in names {
            if let Some(first) = taken.insert(name, span) {
                problems.add(
                    Problem::error("one-name", span, format!("two {what} have one name"))
                        .label("again here")
                        .related(first, "first here"),
                );
            }
        }
    };
    clash("networks", lowered.networks.values().map(|(spec, span)| (spec.name.as_str(), *span)).collect());
    clash("volumes", lowered.volumes.values().map(|(spec, span)| (spec.name.as_str(), *span)).collect());
}

/// What is declared and used by no service is not made: as with Compose, but said.
fn unused(problems: &mut Problems, lowered: &Lowered) {
    if problems.has_errors() {
        // Whoever was to use it may be what could not be read.
        return;
    }
    let services = || lowered.services.values().map(|lowered| &lowered.service.spec);
    let joined: BTreeSet<&NetworkName> = services().flat_map(|spec| spec.networks.keys()).collect();
    let mounted: BTreeSet<&VolumeName> = services()
        .flat_map(|spec| spec.mounts.values())
        .filter_map(|mount| match &mount.source {
            MountSource::Volume(name) => Some(name),
            MountSource::Anonymous
            | MountSource::Bind(_)
            | MountSource::Repository(_)
            | MountSource::Grant(_)
            | MountSource::Image(_)
            | MountSource::Tmpfs { .. } => None,
        })
        .collect();
    let mut warn = |what: &str, key: &str, span: Span| {
        problems.add(
            Problem::warning(
                "unused",
                span,
                format!("no service uses the {what} `{key}`, so it is not made"),
            )
            .hint("remove it, or use it"),
        );
    };
    for (key, (_, span)) in lowered.networks.iter().filter(|(_, (spec, _))| !joined.contains(&spec.name)) {
        warn("network", key.as_str(), *span);
    }
    for (key, (_, span)) in lowered.volumes.iter().filter(|(_, (spec, _))| !mounted.contains(&spec.name)) {
        warn("volume", key.as_str(), *span);
    }
}
