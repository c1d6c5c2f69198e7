//! What the repository says, fully resolved.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use super::image::PullPolicy;
use super::name::{
    ContainerName, EnvironmentName, Instance, NameError, NetworkKey, ServiceName, StackName, TierName,
    VolumeKey,
};
use super::place::HostSelector;
use super::policy::{Drift, Rollback};
use super::spec::{ContainerSpec, ContentDigest, NetworkSpec, Peer, VolumeSpec};
use super::update::{RollbackConfig, UpdateConfig};
use super::window::Admission;

mod gate;

pub use gate::{ExecProbe, Expect, Gate, HttpProbe, LogProbe, Method, Pattern, Ports, Probe, Statuses};

/// The keys of services into which values went that only a host knows.
pub type FromOutside = BTreeMap<ServiceName, BTreeSet<String>>;

/// The whole of one stack, as one revision of the repository wants it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Desired {
    /// The stack: project × environment.
    pub stack: StackName,
    /// The environment, where the repository has any.
    pub environment: Option<EnvironmentName>,
    /// Where the manifests came from.
    pub revision: Revision,
    /// The tiers in the order in which they are applied.
    pub tiers: Vec<TierName>,
    /// Networks by their key in the manifests.
    pub networks: BTreeMap<NetworkKey, NetworkSpec>,
    /// Volumes by their key in the manifests.
    pub volumes: BTreeMap<VolumeKey, VolumeSpec>,
    /// Services by their name.
    pub services: BTreeMap<ServiceName, Service>,
    /// Files and folders of the repository that services mount, by the digest of their content.
    pub contents: BTreeMap<ContentDigest, RepositoryContent>,
    /// The hosts that it is for; none means every host.
    pub hosts: Vec<HostSelector>,
    /// What becomes of what it no longer has.
    pub prune: Prune,
    /// What must be given before something new is deployed.
    pub admission: Admission,
}

/// What becomes of a service or network that is in no manifest any more.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Prune {
    /// It is stopped and removed; volumes stay.
    #[default]
    Remove,
    /// It is told, and stays as it is.
    Report,
}

impl Desired {
    /// Whether what is desired also depends on what tags mean at registries from time to time.
    pub fn follows_registries(&self) -> bool {
        let follows = |service: &Service| match service.pull {
            PullPolicy::Always | PullPolicy::Every(_) => service.spec.image.digest().is_none(),
            PullPolicy::Missing | PullPolicy::Never => false,
        };
        self.services.values().any(follows)
    }

    /// The place of `tier` in the order of application.
    pub fn tier_rank(&self, tier: &TierName) -> usize {
        self.tiers.iter().position(|known| known == tier).unwrap_or(self.tiers.len())
    }
}

/// One service: what to run and how to treat it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Its name.
    pub name: ServiceName,
    /// The group it is applied with.
    pub tier: TierName,
    /// A fixed container name; only where there is a single replica.
    pub container_name: Option<ContainerName>,
    /// How many containers run.
    pub replicas: u32,
    /// Services that must have come up before this one is started.
    pub depends_on: BTreeMap<ServiceName, Dependency>,
    /// What must hold before the service counts as up.
    pub gate: Gate,
    /// How its containers are replaced.
    pub update: UpdateConfig,
    /// How they return when a deploy fails.
    pub way_back: RollbackConfig,
    /// What is done about differences that somebody made on the host.
    pub drift: Drift,
    /// What becomes of a deploy that fails after its new container has run.
    pub rollback: Rollback,
    /// How long it is watched after the deploy that started it has committed.
    pub watch: Option<Duration>,
    /// What it was called before.
    pub moved_from: Option<ServiceName>,
    /// When a registry is asked for the image.
    pub pull: PullPolicy,
    /// What to run.
    pub spec: ContainerSpec,
}

impl Service {
    /// Its containers, from 1.
    pub fn instances(&self) -> impl Iterator<Item = Instance> + '_ {
        (1..=self.replicas).map(|number| Instance { service: self.name.clone(), number })
    }

    /// The services that must be there before this one: those that it depends on, and those that it shares something
    /// with.
    pub fn needs(&self) -> impl Iterator<Item = &ServiceName> {
        let shared = self.spec.namespaces.peers().filter_map(|peer| match peer {
            Peer::Service(name) => Some(name),
            Peer::Container(_) | Peer::Id(_) => None,
        });
        self.depends_on.keys().chain(shared)
    }

    /// The name of the container of `instance`: the declared one, else Compose's `stack-service-number`.
    ///
    /// # Errors
    /// When the parts are too long together for a container name.
    pub fn container_name(&self, stack: &StackName, instance: &Instance) -> Result<ContainerName, NameError> {
        match &self.container_name {
            Some(name) => Ok(name.clone()),
            None => format!("{stack}-{instance}").parse(),
        }
    }
}

/// What a service needs of another before it is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dependency {
    /// The state that the other one must have reached.
    pub condition: Condition,
    /// Whether the other one must exist.
    pub required: bool,
    /// Whether this service is made anew when the other one is, or is started again.
    pub restart: bool,
}

/// The state that a dependency must have reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Condition {
    /// `service_started`: its container was started.
    Started,
    /// `service_healthy`: its gate has passed.
    Healthy,
    /// `service_completed_successfully`: its process ended with 0.
    Completed,
}

/// A file or folder of the repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepositoryContent {
    /// Its path in the repository, for people.
    pub path: String,
    /// What it is.
    pub kind: ContentKind,
}

/// A file, or the files below a folder by their path relative to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContentKind {
    /// A single file.
    File(FileContent),
    /// A folder.
    Folder(BTreeMap<String, FileContent>),
}

/// The content of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileContent {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Whether it may be executed.
    pub executable: bool,
}

/// Where manifests came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Revision {
    /// A commit, as 40 hexadecimal digits.
    Commit(String),
    /// The files of a work tree, on top of a commit if there is one.
    WorkTree(Option<String>),
    /// Files outside of any repository.
    Files,
}

impl Revision {
    /// The commit, if the revision is exactly one.
    pub fn commit(&self) -> Option<&str> {
        match self {
            Self::Commit(id) => Some(id),
            Self::WorkTree(_) | Self::Files => None,
        }
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let short = |id: &str| id.get(..7).unwrap_or(id).to_owned();
        match self {
            Self::Commit(id) => f.pad(&short(id)),
            Self::WorkTree(Some(id)) => f.pad(&format!("{}+changes", short(id))),
            Self::WorkTree(None) => f.pad("work tree"),
            Self::Files => f.pad("files"),
        }
    }
}
