//! What runs, as manifests would say it: the desired state of which a plan would leave everything as it is.
//!
//! What image and daemon give is taken out by the same normal form that the comparison uses, so that the two can't
//! disagree about what needs to be said.

use std::collections::{BTreeMap, BTreeSet};

use super::adopt::{Named, Wish};
use super::fields::FieldPath;
use super::normal::{self, Host};
use super::refusal::{Refusal, Refused};
use crate::model::adopted::{Adopted, ComposeOrigin};
use crate::model::desired::Dependency;
use crate::model::draft::{Draft, DraftService};
use crate::model::image::ImageRef;
use crate::model::label;
use crate::model::live::{Live, LiveContainer, OtherContainer};
use crate::model::name::{ContainerId, Instance, NameError, ServiceName, StackName};
use crate::model::spec::ContainerSpec;

mod declared;
mod shared;

/// The containers that are to be written down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    /// What the stack is called: as the Compose project that all of them are of, if there is one.
    pub stack: Option<StackName>,
    /// Each with the instance that it serves as, as if they were adopted.
    pub containers: Adopted,
    /// What Compose's labels say of the order of services.
    depends_on: BTreeMap<ServiceName, BTreeMap<ServiceName, Dependency>>,
}

/// Chooses the containers that `wish` means; without a name of a project the only one that there is.
///
/// # Errors
/// Everything that isn't clear.
pub fn choose(live: &Live, wish: &Wish) -> Result<Chosen, Refused> {
    let mut choosing = Choosing { live, members: BTreeMap::new(), refusals: Vec::new() };
    match wish {
        Wish::Project(project) => choosing.project(project.as_deref()),
        Wish::Containers(named) => named.iter().for_each(|named| choosing.named(named)),
    }
    if choosing.refusals.is_empty() { choosing.end() } else { Err(Refused(choosing.refusals)) }
}

struct Choosing<'a> {
    live: &'a Live,
    members: BTreeMap<Instance, (&'a ContainerId, &'a OtherContainer)>,
    refusals: Vec<Refusal>,
}

impl<'a> Choosing<'a> {
    fn refuse(&mut self, what: impl Into<String>, hint: impl Into<String>) {
        self.refusals.push(Refusal::new(what, hint));
    }

    fn project(&mut self, wanted: Option<&str>) {
        let Self { live, .. } = *self;
        let origins = live.others.iter().filter_map(|(id, other)| Some((id, other, other.origin.as_ref()?)));
        let all: Vec<_> =
            origins.filter(|(_, other, origin)| other.stack.is_none() && !origin.one_off).collect();
        let projects: BTreeSet<&str> = all.iter().map(|(_, _, origin)| origin.project.as_str()).collect();
        let names: Vec<&str> = projects.iter().copied().collect();
        let project = match (wanted, names.as_slice()) {
            (Some(wanted), _) if projects.contains(wanted) => wanted,
            (None, [only]) => only,
            (_, []) => {
                self.refuse(
                    "no container here is of a Compose project",
                    "name containers: `evenkeel adopt --write compose.yaml CONTAINER`; `docker ps` lists them",
                );
                return;
            }
            (None, several) => {
                self.refuse(
                    "there are several Compose projects here and none is chosen",
                    format!("name one with `--compose-project`: {}", several.join(", ")),
                );
                return;
            }
            (Some(wanted), several) => {
                self.refuse(
                    format!("no container here is of the Compose project `{wanted}`"),
                    format!("Compose projects here: {}", several.join(", ")),
                );
                return;
            }
        };
        for (id, other, origin) in all.into_iter().filter(|(_, _, origin)| origin.project == project) {
            let ComposeOrigin { service, number, .. } = origin;
            self.take(Instance { service: service.clone(), number: *number }, id, other);
        }
    }

    fn named(&mut self, Named { container, service }: &Named) {
        let Self { live, .. } = *self;
        let is_meant = |id: &ContainerId, name: &str| {
            name == container || (container.len() >= 4 && id.as_str().starts_with(container.as_str()))
        };
        let mut meant: Vec<_> =
            live.others.iter().filter(|(id, other)| is_meant(id, other.name.as_str())).collect();
        if meant.len() > 1 {
            meant.retain(|(_, other)| other.name.as_str() == container);
        }
        let [(id, other)] = meant.as_slice() else {
            self.refuse(
                format!("there is no container `{container}` on this host, or more than one is meant"),
                "`docker ps -a` lists them; name one by its whole name or its id",
            );
            return;
        };
        let said = other.origin.as_ref().filter(|_| service.is_none());
        let instance = if let Some(origin) = said {
            Ok(Instance { service: origin.service.clone(), number: origin.number })
        } else {
            let name = service.clone().map_or_else(|| other.name.as_str().parse(), Ok);
            name.map(|service| Instance { number: self.next(&service), service })
        };
        match instance {
            Ok(instance) => self.take(instance, id, other),
            Err(error) => self.refuse(
                format!("the container `{}` can't give its name to a service: {error}", other.name),
                format!("say what the service is called: `SERVICE={container}`"),
            ),
        }
    }

    /// The number of the next container of a service that somebody named.
    fn next(&self, service: &ServiceName) -> u32 {
        let taken = self.members.keys().filter(|taken| taken.service == *service);
        taken.map(|taken| taken.number).max().unwrap_or_default() + 1
    }

    fn take(&mut self, instance: Instance, id: &'a ContainerId, other: &'a OtherContainer) {
        if let Some(stack) = &other.stack {
            self.refuse(
                format!("`{}` is of the stack `{stack}`, whose manifests say what it is made of", other.name),
                "leave it out; `evenkeel render --desired` prints them",
            );
            return;
        }
        if let Some((known, first)) = self.members.get(&instance)
            && *known != id
        {
            self.refuse(
                format!("`{}` and `{}` would both be {instance}", first.name, other.name),
                format!("say what the second service is called: `SERVICE={}`", other.name),
            );
            return;
        }
        self.members.insert(instance, (id, other));
    }

    fn end(self) -> Result<Chosen, Refused> {
        let origins = self.members.values().map(|(_, other)| other.origin.as_ref());
        let projects: BTreeSet<Option<&str>> =
            origins.map(|origin| origin.map(|origin| origin.project.as_str())).collect();
        let stack = match projects.iter().copied().collect::<Vec<_>>().as_slice() {
            [Some(project)] => Some(project.parse().map_err(|error: NameError| {
                let hint =
                    "name its containers one by one, and what the stack is to be called with `-p NAME`";
                Refused(vec![Refusal::new(format!("the Compose project can't be a stack: {error}"), hint)])
            })?),
            _ => None,
        };
        let mut depends_on: BTreeMap<ServiceName, BTreeMap<ServiceName, Dependency>> = BTreeMap::new();
        for (instance, (_, other)) in &self.members {
            let said = other.origin.as_ref().filter(|origin| origin.service == instance.service);
            depends_on
                .entry(instance.service.clone())
                .or_default()
                .extend(said.map(|origin| origin.depends_on.clone()).unwrap_or_default());
        }
        let containers = self.members.into_iter().map(|(instance, (id, _))| (id.clone(), instance)).collect();
        let containers = Adopted { containers, ..Adopted::none() };
        Ok(Chosen { stack, containers, depends_on })
    }
}

/// The images whose meaning on this host [`draft`] needs to know.
pub fn references(chosen: &Chosen, live: &Live) -> BTreeSet<ImageRef> {
    let own = live.containers.values().filter(|own| chosen.containers.containers.contains_key(&own.id));
    own.flat_map(|container| container.spec.images().cloned()).collect()
}

/// Writes down what was chosen, as the stack `stack`. In `live` it is the stack's own.
pub fn draft(stack: &StackName, chosen: &Chosen, live: &Live, host: Host<'_>) -> Draft {
    let mut by_service: BTreeMap<&ServiceName, Vec<&LiveContainer>> = BTreeMap::new();
    let mut own: Vec<&LiveContainer> =
        live.containers.values().filter(|own| chosen.containers.containers.contains_key(&own.id)).collect();
    own.sort_by_key(|container| &container.instance);
    for container in &own {
        by_service.entry(&container.instance.service).or_default().push(container);
    }
    let mut notes = Vec::new();
    let mut services = BTreeMap::new();
    for (name, containers) in by_service {
        let mut specs = containers.iter().map(|container| declared::spec(container, &own, live, host));
        let Some((spec, said)) = specs.next() else { continue };
        notes.extend(said);
        for (container, (other, _)) in containers.iter().skip(1).zip(specs) {
            notes.extend(unlike(container, (&spec, &other), host));
        }
        notes.extend(containers.iter().flat_map(|container| declared::notes(container, live)));
        services.insert(name.clone(), service((stack, name), &containers, spec, &mut notes));
    }
    depend(&mut services, &chosen.depends_on, &mut notes);
    let mut draft =
        Draft { stack: stack.clone(), services, networks: BTreeMap::new(), volumes: BTreeMap::new(), notes };
    shared::fill(&mut draft, live);
    draft
}

/// What a further container of a service has that the first one hasn't: a file can say it of all or none.
fn unlike(
    container: &LiveContainer,
    (first, other): (&ContainerSpec, &ContainerSpec),
    host: Host<'_>,
) -> Option<String> {
    let (first, other) = (normal::of_spec(first, host), normal::of_spec(other, host));
    let paths: BTreeSet<&str> = first
        .paths()
        .chain(other.paths())
        .filter(|path| first.get(path) != other.get(path))
        .map(FieldPath::as_str)
        .collect();
    let paths: Vec<&str> = paths.into_iter().collect();
    (!paths.is_empty()).then(|| {
        format!("{} differs from the first container of its service in {}", container.name, paths.join(", "))
    })
}

fn service(
    (stack, name): (&StackName, &ServiceName),
    containers: &[&LiveContainer],
    spec: ContainerSpec,
    notes: &mut Vec<String>,
) -> DraftService {
    let usual: BTreeSet<String> =
        (1..=containers.len()).map(|number| format!("{stack}-{name}-{number}")).collect();
    let is_unusual = |container: &&LiveContainer| !usual.contains(container.name.as_str());
    let container_name = match containers {
        [only] => Some(only.name.clone()).filter(|name| !usual.contains(name.as_str())),
        several => {
            notes.extend(several.iter().copied().filter(is_unusual).map(|container| {
                let name = &container.name;
                format!(
                    "{name} gets another name by the first `apply`: no file can give one of several its own"
                )
            }));
            None
        }
    };
    let replicas = u32::try_from(containers.len()).unwrap_or(u32::MAX);
    DraftService { container_name, replicas, depends_on: BTreeMap::new(), spec }
}

/// Says who waits for whom, as far as the others are there.
fn depend(
    services: &mut BTreeMap<ServiceName, DraftService>,
    said: &BTreeMap<ServiceName, BTreeMap<ServiceName, Dependency>>,
    notes: &mut Vec<String>,
) {
    let known: BTreeSet<ServiceName> = services.keys().cloned().collect();
    for (name, depends_on) in said {
        let Some(service) = services.get_mut(name) else { continue };
        for (other, dependency) in depends_on {
            if known.contains(other) {
                service.depends_on.insert(other.clone(), dependency.clone());
            } else {
                notes.push(format!("{name} depends on `{other}`, which is not written down here"));
            }
        }
    }
}

/// The labels of an object that its maker's file declares.
fn own_labels(labels: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let own = labels.iter().filter(|(name, _)| !label::is_reserved(name));
    own.map(|(name, value)| (name.clone(), value.clone())).collect()
}
