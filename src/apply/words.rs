//! What steps are called: `start auren-postgres`.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;

use crate::engine::ListedContainer;
use crate::model::desired::RepositoryContent;
use crate::model::live::Live;
use crate::model::name::{ContainerId, Instance, ServiceName};
use crate::model::spec::ContentDigest;
use crate::plan::Plan;
use crate::plan::step::{Action, Target};

/// The names by which people know the containers of a plan.
#[derive(Debug, Default)]
pub(super) struct Names {
    instances: BTreeMap<ContainerId, Instance>,
    /// Docker's names, for containers that are no instance in this plan.
    containers: BTreeMap<ContainerId, String>,
    /// Where in the repository the contents are.
    paths: BTreeMap<ContentDigest, String>,
    /// Services of which there are several containers: those are told by their number.
    numbered: BTreeSet<ServiceName>,
}

impl Names {
    pub(super) fn of_plan(
        plan: &Plan,
        listed: &[ListedContainer],
        contents: &BTreeMap<ContentDigest, RepositoryContent>,
    ) -> Self {
        let kept = plan.checkpoint.containers.iter().map(|kept| (&kept.container, &kept.instance));
        let outcome = plan.outcome.iter().filter_map(|(instance, applied)| match &applied.target {
            Target::Existing(container) => Some((container, instance)),
            Target::New(_) => None,
        });
        Self {
            instances: kept
                .chain(outcome)
                .map(|(container, instance)| (container.clone(), instance.clone()))
                .collect(),
            containers: listed
                .iter()
                .map(|listed| (listed.id.clone(), listed.summary.name.to_string()))
                .collect(),
            paths: contents.iter().map(|(digest, content)| (digest.clone(), content.path.clone())).collect(),
            numbered: numbered(plan.outcome.keys()),
        }
    }

    pub(super) fn of_live(live: &Live) -> Self {
        let containers = live.containers.values();
        Self {
            instances: containers
                .clone()
                .map(|container| (container.id.clone(), container.instance.clone()))
                .collect(),
            containers: BTreeMap::new(),
            paths: BTreeMap::new(),
            numbered: numbered(containers.map(|container| &container.instance)),
        }
    }

    pub(super) fn instance(&self, target: &Target) -> Option<Instance> {
        match target {
            Target::Existing(container) => self.instances.get(container).cloned(),
            Target::New(instance) => Some(instance.clone()),
        }
    }

    /// The container that `action` is about, as people know it.
    pub(super) fn subject(&self, action: &Action) -> Option<String> {
        target_of(action).map(|target| self.of_target(&target))
    }

    pub(super) fn of_instance(&self, instance: &Instance) -> String {
        if self.numbered.contains(&instance.service) {
            instance.to_string()
        } else {
            instance.service.to_string()
        }
    }

    fn of_container(&self, container: &ContainerId) -> String {
        match self.instances.get(container) {
            Some(instance) => self.of_instance(instance),
            None => self.containers.get(container).map_or_else(|| container.short().to_owned(), Clone::clone),
        }
    }

    fn of_target(&self, target: &Target) -> String {
        match target {
            Target::Existing(container) => self.of_container(container),
            Target::New(instance) => self.of_instance(instance),
        }
    }

    /// What `action` does.
    pub(super) fn words(&self, action: &Action) -> String {
        match action {
            Action::PullImage { image, platform: _ } => format!("pull {}", image.name()),
            Action::TagImage { name, .. } => format!("tag {name}"),
            Action::CreateNetwork(spec) => format!("create network {}", spec.name),
            Action::CreateVolume(spec) => format!("create volume {}", spec.name),
            Action::LayDown(digest) => {
                format!("lay down {}", self.paths.get(digest).map_or(digest.0.as_str(), String::as_str))
            }
            Action::Create { instance, .. } => format!("create {}", self.of_instance(instance)),
            Action::Fence(container) => format!("fence {}", self.of_container(container)),
            Action::Stop { target, .. } => format!("stop {}", self.of_target(target)),
            Action::Start(target) => format!("start {}", self.of_target(target)),
            Action::Await { instance, .. } => format!("wait for {}", self.of_instance(instance)),
            Action::Update { target, .. } => format!("update {}", self.of_target(target)),
            Action::Delay(time) => format!("let {} s pass", time.as_secs_f32()),
            Action::Disconnect { container, name, network: _ } => {
                format!("detach {} from network {name}", self.of_target(container))
            }
            Action::Connect { container, name, .. } => {
                format!("attach {} to network {name}", self.of_target(container))
            }
            Action::Commit => "commit".to_owned(),
            Action::Release { target, restart } => {
                format!("let {} restart: {restart}", self.of_target(target))
            }
            Action::Rename { target, name } => format!("rename {} to {name}", self.of_target(target)),
            Action::Remove(container) => format!("remove {}", self.of_container(container)),
            Action::RemoveNetwork(network) => format!("remove network {:.12}", network.as_str()),
            Action::Grant { place: _, grant } => format!("lay down {}", grant.origin),
            Action::Discard(folders) => match folders.len() {
                1 => "discard a file that nobody mounts".to_owned(),
                count => format!("discard {count} files that nobody mounts"),
            },
        }
    }
}

/// The container that `action` is about, if it is about one that exists by now.
pub(super) fn target_of(action: &Action) -> Option<Target> {
    match action {
        Action::Stop { target, .. }
        | Action::Start(target)
        | Action::Await { target, .. }
        | Action::Update { target, .. }
        | Action::Release { target, .. }
        | Action::Rename { target, .. } => Some(target.clone()),
        Action::Create { instance, .. } => Some(Target::New(instance.clone())),
        Action::Disconnect { container, .. } | Action::Connect { container, .. } => Some(container.clone()),
        Action::Fence(container) | Action::Remove(container) => Some(Target::Existing(container.clone())),
        Action::PullImage { .. }
        | Action::TagImage { .. }
        | Action::CreateNetwork(_)
        | Action::CreateVolume(_)
        | Action::LayDown(_)
        | Action::Grant { .. }
        | Action::Discard(_)
        | Action::Delay(_)
        | Action::Commit
        | Action::RemoveNetwork(_) => None,
    }
}

fn numbered<'a>(instances: impl Iterator<Item = &'a Instance>) -> BTreeSet<ServiceName> {
    instances.filter(|instance| instance.number > 1).map(|instance| instance.service.clone()).collect()
}

/// An error with all its causes, in one line.
pub(super) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
