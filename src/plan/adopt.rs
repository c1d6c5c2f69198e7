//! Which containers, networks and volumes that others made a stack takes over, and what they count as made from.
//!
//! Nothing is done to any of them: whatever differs from what is desired is a change that the next plan shows, as one
//! that Git asks for.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::LastApplied;
use super::decide::{self, Decision};
use super::diff;
use super::fields::{FieldPath, FieldValue, Fields};
use super::grants::Place;
use super::normal::Host;
use super::order;
use super::peers;
use super::refusal::{Refusal, Refused};
use crate::model::adopted::{Adopted, ComposeOrigin};
use crate::model::desired::{Desired, Service};
use crate::model::grant::{FileAccess, Grant};
use crate::model::label;
use crate::model::live::{Live, LiveContainer, OtherContainer};
use crate::model::name::{ContainerId, Instance, NetworkName, ServiceName, VolumeName};
use crate::model::policy::NAME;
use crate::model::spec::MountSource;

mod notes;

pub use notes::{keepable, notes};

/// What somebody wants taken over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// Everything of a Compose project; by default the one that has the stack's name.
    Project(Option<String>),
    /// These containers.
    Containers(Vec<Named>),
}

/// A container that somebody names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// Its name or id, or the beginning of that.
    pub container: String,
    /// The service that it is to serve as; absent where Compose's labels or its name say it.
    pub service: Option<ServiceName>,
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.service {
            Some(service) => write!(f, "{service}={}", self.container),
            None => f.write_str(&self.container),
        }
    }
}

/// What is to be taken over.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// The objects.
    pub adopted: Adopted,
    /// Names of what is taken over, for people.
    pub names: Names,
    /// What is not taken over, and why.
    pub notes: Vec<String>,
}

/// What is taken over, by the names that people know.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    /// Containers by the instance that they become.
    pub containers: BTreeMap<Instance, String>,
    /// Networks.
    pub networks: BTreeSet<NetworkName>,
    /// Volumes.
    pub volumes: BTreeSet<VolumeName>,
}

/// Selects what `wish` means. What `live` has as the stack's own already is left out: asking twice selects nothing.
///
/// # Errors
/// Everything that can't be taken over, or isn't clear.
pub fn select(desired: &Desired, live: &Live, wish: &Wish) -> Result<Selection, Refused> {
    let mut selecting = Selecting { desired, live, found: Selection::default(), refusals: Vec::new() };
    let project = match wish {
        Wish::Project(project) => {
            let project = project.clone().unwrap_or_else(|| desired.stack.to_string());
            selecting.project(&project);
            project
        }
        Wish::Containers(named) => {
            for named in named {
                selecting.named(named);
            }
            desired.stack.to_string()
        }
    };
    selecting.shared(&project);
    if selecting.refusals.is_empty() { Ok(selecting.found) } else { Err(Refused(selecting.refusals)) }
}

struct Selecting<'a> {
    desired: &'a Desired,
    live: &'a Live,
    found: Selection,
    refusals: Vec<Refusal>,
}

impl<'a> Selecting<'a> {
    fn refuse(&mut self, what: impl Into<String>, hint: impl Into<String>) {
        self.refusals.push(Refusal::new(what, hint));
    }

    /// Everything that Compose made for `project`.
    fn project(&mut self, project: &str) {
        let Self { desired, live, .. } = *self;
        let of_project = |other: &'a OtherContainer| {
            other.origin.as_ref().filter(|origin| origin.project == project && !origin.one_off)
        };
        let mut members: BTreeMap<&ServiceName, Vec<(u32, &ContainerId, &OtherContainer)>> = BTreeMap::new();
        for (id, other) in &live.others {
            let Some(ComposeOrigin { project: _, service, number, one_off: _, depends_on: _ }) =
                of_project(other)
            else {
                continue;
            };
            members.entry(service).or_default().push((*number, id, other));
        }
        if members.is_empty() {
            self.nothing_of(project);
            return;
        }
        if project != desired.stack.as_str() {
            self.refuse(
                format!("the Compose project is `{project}`, and the stack is `{}`", desired.stack),
                format!(
                    "let both have one name, so that the names of containers, networks and volumes stay: `stack: {project}` in environment.yaml, or with -f `name: {project}` in the file or `--project-name {project}`"
                ),
            );
            return;
        }
        for (name, containers) in members {
            if let Some(service) = desired.services.get(name) {
                self.service(service, containers);
                continue;
            }
            let names: Vec<&str> = containers.iter().map(|(_, _, other)| other.name.as_str()).collect();
            let names = names.join(", ");
            self.found.notes.push(format!("{names} stays as it is: the manifests have no service `{name}`"));
        }
    }

    fn nothing_of(&mut self, project: &str) {
        let Self { live, .. } = *self;
        // Asked twice, there is nothing left to do, and that is no fault.
        if project == self.desired.stack.as_str() && !live.containers.is_empty() {
            return;
        }
        let origins = live.others.values().filter_map(|other| other.origin.as_ref());
        let projects: BTreeSet<&str> =
            origins.filter(|origin| !origin.one_off).map(|origin| origin.project.as_str()).collect();
        let hint = if projects.is_empty() {
            "name containers instead: `evenkeel adopt SERVICE=CONTAINER`".to_owned()
        } else {
            let projects: Vec<&str> = projects.into_iter().collect();
            format!("Compose projects here: {}; name one with `--compose-project`", projects.join(", "))
        };
        self.refuse(format!("no container here is of the Compose project `{project}`"), hint);
    }

    /// Gives the containers of one service their numbers: their own as far as that many are wanted, else a free one.
    fn service(
        &mut self,
        service: &Service,
        mut containers: Vec<(u32, &'a ContainerId, &'a OtherContainer)>,
    ) {
        containers.sort_by_key(|(number, id, _)| (*number, (*id).clone()));
        for pair in containers.windows(2) {
            if let [(first, _, one), (second, _, other)] = pair
                && first == second
            {
                self.refuse(
                    format!(
                        "`{}` and `{}` are both number {first} of `{}` by their labels",
                        one.name, other.name, service.name
                    ),
                    format!("name the one that serves: `evenkeel adopt {}=CONTAINER`", service.name),
                );
                return;
            }
        }
        let kept: BTreeSet<u32> = containers
            .iter()
            .map(|(number, ..)| *number)
            .filter(|number| *number <= service.replicas)
            .collect();
        let mut free = (1..=service.replicas).filter(|number| !kept.contains(number));
        let numbers: Vec<u32> = containers
            .iter()
            .map(|(number, ..)| if kept.contains(number) { *number } else { free.next().unwrap_or(*number) })
            .collect();
        for ((_, id, other), number) in containers.into_iter().zip(numbers) {
            self.take(id, other, Instance { service: service.name.clone(), number });
        }
    }

    /// One container that somebody named.
    fn named(&mut self, named: &Named) {
        let Self { desired, live, .. } = *self;
        let Named { container, service } = named;
        let is_meant = |id: &ContainerId, name: &str| {
            name == container || (container.len() >= 4 && id.as_str().starts_with(container.as_str()))
        };
        // One that is the stack's own already is no fault.
        if live.containers.values().any(|own| is_meant(&own.id, own.name.as_str())) {
            return;
        }
        let mut meant: Vec<_> =
            live.others.iter().filter(|(id, other)| is_meant(id, other.name.as_str())).collect();
        if meant.len() > 1 {
            meant.retain(|(_, other)| other.name.as_str() == container);
        }
        let [(id, other)] = meant.as_slice() else {
            self.refuse(
                format!("there is no container `{container}` on this host, or more than one is meant"),
                "`docker ps` lists them; name one by its whole name or its id",
            );
            return;
        };
        let said = || other.origin.as_ref().map(|origin| origin.service.clone());
        let by_name = || {
            let services = desired.services.values();
            let found = { services }.find(|service| service_is_named(service, desired, container))?;
            Some(found.name.clone())
        };
        let Some(name) = service.clone().or_else(said).or_else(by_name) else {
            self.refuse(
                format!("it is not clear which service `{}` is to serve as", other.name),
                format!("say it: `evenkeel adopt SERVICE={container}`"),
            );
            return;
        };
        let Some(service) = desired.services.get(&name) else {
            let known: Vec<&str> = desired.services.keys().map(ServiceName::as_str).collect();
            self.refuse(
                format!("the manifests have no service `{name}` for `{}`", other.name),
                format!("name one of theirs: {}", known.join(", ")),
            );
            return;
        };
        let is_free = |instance: &Instance| {
            !self.found.names.containers.contains_key(instance) && !self.is_served(instance)
        };
        let Some(instance) = service.instances().find(is_free) else {
            self.refuse(
                format!("`{}` can't become a container of `{name}`: all that it wants are there", other.name),
                format!("stop and remove one of them first, or let `{name}` have more `deploy.replicas`"),
            );
            return;
        };
        self.take(id, other, instance);
    }

    fn is_served(&self, instance: &Instance) -> bool {
        self.live
            .containers
            .values()
            .any(|own| own.instance == *instance && decide::is_active(own.state.status))
    }

    fn take(&mut self, id: &ContainerId, other: &OtherContainer, instance: Instance) {
        if let Some(stack) = &other.stack {
            self.refuse(
                format!("`{}` belongs to the stack `{stack}`", other.name),
                "a container has one owner: take it out of that stack first",
            );
        } else if self.is_served(&instance) {
            self.refuse(
                format!("`{}` can't become {instance}: the stack runs one already", other.name),
                format!("stop and remove `{}`, or name another one", other.name),
            );
        } else {
            self.found.names.containers.insert(instance.clone(), other.name.to_string());
            self.found.adopted.containers.insert(id.clone(), instance);
        }
    }

    /// The networks and volumes that the manifests name and that nobody else claims.
    fn shared(&mut self, project: &str) {
        if self.found.adopted.containers.is_empty() {
            return;
        }
        let Self { desired, live, .. } = *self;
        let is_free = |labels: &BTreeMap<String, String>| {
            labels.get(label::COMPOSE_PROJECT).is_none_or(|owner| owner == project)
        };
        for spec in desired.networks.values().filter(|spec| !spec.external) {
            let found = live.networks.values().filter(|network| network.spec.name == spec.name);
            for network in found.filter(|network| network.stack.is_none() && is_free(&network.spec.labels)) {
                self.found.adopted.networks.insert(network.id.clone());
                self.found.names.networks.insert(spec.name.clone());
            }
        }
        for spec in desired.volumes.values().filter(|spec| !spec.external) {
            let found = live.volumes.get(&spec.name);
            if found.is_some_and(|volume| volume.stack.is_none() && is_free(&volume.spec.labels)) {
                self.found.adopted.volumes.insert(spec.name.clone());
                self.found.names.volumes.insert(spec.name.clone());
            }
        }
    }
}

fn service_is_named(service: &Service, desired: &Desired, container: &str) -> bool {
    let is_own = |instance: &Instance| {
        service.container_name(&desired.stack, instance).is_ok_and(|name| name.as_str() == container)
    };
    service.name.as_str() == container || service.instances().any(|instance| is_own(&instance))
}

/// What the containers of `adopted` count as made from: what is desired, with all that differs as it is. So each
/// difference is one between what was applied and what the manifests say, and whatever changes from now on is drift.
///
/// # Errors
/// Everything that stands in the way of comparing them.
pub fn baseline(
    desired: &Desired,
    live: &Live,
    adopted: &Adopted,
    (last, host): (&LastApplied, Host<'_>),
) -> Result<BTreeMap<Instance, (ContainerId, Fields)>, Refused> {
    let order = order::services(desired).map_err(|cycle| Refused(vec![cycle]))?;
    let mut known = last.clone();
    for instance in adopted.containers.values() {
        known.current.remove(instance);
    }
    let decisions = decide::decide(desired, &order, live, &known, host);
    if !decisions.refusals.is_empty() {
        return Err(Refused(decisions.refusals));
    }
    let found = decisions.wanted.iter().filter_map(|decision| {
        let container = decision.current.filter(|current| adopted.containers.contains_key(&current.id))?;
        let fields = as_it_is(decision, container, live, host);
        Some((decision.instance.clone(), (container.id.clone(), fields)))
    });
    Ok(found.collect())
}

/// The fields that are desired, with those that differ as the container has them.
fn as_it_is(decision: &Decision<'_>, container: &LiveContainer, live: &Live, host: Host<'_>) -> Fields {
    let mut fields = decision.fields.clone();
    let seen = peers::as_declared((container, &container.name), &decision.spec, &decision.peers);
    for change in diff::differences(decision.sought(), &seen, None, live, host) {
        match change.before {
            Some(before) => fields.set(change.path.as_str(), before),
            None => fields.remove(&change.path),
        }
    }
    // Named as the manifests would: a digest is how a plan tells two apart, and not what was asked for.
    let named = FieldValue::word(&container.spec.image.name());
    if fields
        .get(&FieldPath::new("image"))
        .is_some_and(|image| *image != FieldValue::word(&decision.service.spec.image))
    {
        fields.set("image", named);
    }
    fields.set(NAME, FieldValue::word(&container.name));
    fields
}

/// Lets the files that Compose mounted from where they lie count as laid down, where they say just what is desired: a
/// config or secret is its content. `has_content` says whether a file of the host has that of a grant.
pub fn recognise(
    live: &mut Live,
    adopted: &Adopted,
    (desired, host): (&Desired, Host<'_>),
    has_content: impl Fn(&str, &Grant) -> bool,
) {
    for (id, instance) in &adopted.containers {
        let Some(service) = desired.services.get(&instance.service) else { continue };
        let Some(container) = live.containers.get_mut(id) else { continue };
        for (target, mount) in &mut container.spec.mounts {
            let wanted = service.spec.mounts.get(target).map(|mount| &mount.source);
            if let (Some(MountSource::Grant(grant)), MountSource::Bind(path)) = (wanted, &mount.source)
                && mount.read_only
                && grant.access == FileAccess::default()
                && has_content(path, grant)
            {
                mount.source = MountSource::Bind(Place::of(grant, host.key).path(host.files));
            }
        }
    }
}
