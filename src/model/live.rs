//! What Docker says: one observation of one stack.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::adopted::ComposeOrigin;
use super::image::ImageRef;
use super::name::{
    ContainerId, ContainerName, DeployId, ImageId, Instance, NetworkId, NetworkName, StackName, VolumeName,
};
use super::platform::Platform;
use super::spec::{ContainerSpec, Healthcheck, Namespace, NetworkSpec, PublishedPort, VolumeSpec};

/// Everything that a plan for one stack needs to know of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Live {
    /// The engine that was looked at.
    pub server: Server,
    /// The containers of the stack, running or not, by their id.
    pub containers: BTreeMap<ContainerId, LiveContainer>,
    /// Every other container of the host.
    pub others: BTreeMap<ContainerId, OtherContainer>,
    /// Every network of the host. Docker allows two of one name.
    pub networks: BTreeMap<NetworkId, LiveNetwork>,
    /// Every volume of the host.
    pub volumes: BTreeMap<VolumeName, LiveVolume>,
    /// The images that the containers of the stack were created from, as far as they are still there, and those that
    /// were asked for by reference.
    pub images: BTreeMap<ImageId, LiveImage>,
    /// Which image each reference that was asked for means on this host. An image that is not there is absent.
    pub references: BTreeMap<ImageRef, ImageId>,
    /// What the registries said, for each reference for which one was asked.
    pub registry: BTreeMap<ImageRef, AtRegistry>,
}

/// What a registry says about a reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AtRegistry {
    /// It means the image of this digest.
    Digest(String),
    /// The registry doesn't have it, or doesn't show it to this host. In the registry's words.
    Absent(String),
    /// The registry couldn't be asked, for this reason.
    Unknown(String),
}

/// The engine behind the socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// The daemon's own id.
    pub id: String,
    /// What it calls itself: `Docker 20.10.24`, or that it is simulated.
    pub name: String,
    /// The API version in use.
    pub api_version: String,
    /// What its containers get where they declare nothing.
    pub defaults: DaemonDefaults,
}

/// What a daemon gives to containers that declare nothing, as far as it tells.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DaemonDefaults {
    /// The logging driver.
    pub logging: Option<String>,
    /// The runtime.
    pub runtime: Option<String>,
    /// Whose control groups they see.
    pub cgroup: Option<Namespace>,
    /// Whether its kernel can count swap. Where it can't, every limit of it becomes none.
    pub counts_swap: bool,
}

/// A container of the stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveContainer {
    /// Its id.
    pub id: ContainerId,
    /// Its name at the moment.
    pub name: ContainerName,
    /// Which one of the stack it is, from its labels, or as it was adopted.
    pub instance: Instance,
    /// The deploy that created it, from its labels; a word of its own where none did.
    pub deploy: DeployId,
    /// The image that it was created from.
    pub image: ImageId,
    /// The images that it mounts, by their targets, as far as that is on record: engines tell only their names.
    pub mounted: BTreeMap<String, ImageId>,
    /// What it does.
    pub state: ContainerState,
    /// What it is made of, including everything that image and daemon filled in.
    pub spec: ContainerSpec,
    /// Networks that it is attached to and its address there, if it has one at the moment.
    pub addresses: BTreeMap<NetworkName, Option<std::net::IpAddr>>,
    /// The networks of its attachments by their ids, as far as the engine tells. A container that doesn't run may be
    /// attached to one that is gone, though another one bears its name now.
    pub endpoints: BTreeMap<NetworkName, NetworkId>,
    /// The ports of the host that lead to it at the moment, with the numbers that Docker chose.
    pub bound: BTreeSet<PublishedPort>,
    /// What Docker does for it besides.
    pub beyond: BTreeSet<Beyond>,
}

/// What somebody may ask of Docker and no manifest can say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Beyond {
    /// `--rm`: it is removed as soon as it stops.
    RemovedOnStop,
    /// `--publish-all`: every port that it exposes is published on one that is free.
    AllPorts,
    /// `--link`: names of other containers on the default network.
    Links,
}

/// A container that isn't of the stack: only what could be in the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherContainer {
    /// Its name.
    pub name: ContainerName,
    /// The Evenkeel stack it belongs to, if any.
    pub stack: Option<StackName>,
    /// What Compose's labels say of it.
    pub origin: Option<ComposeOrigin>,
    /// The ports of the host that it holds at the moment.
    pub ports: BTreeSet<PublishedPort>,
    /// The paths of the host that it mounts, whether it runs or not.
    pub binds: BTreeSet<String>,
    /// The networks that it is attached to, whether it runs or not.
    pub networks: BTreeSet<NetworkName>,
}

/// What a container does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerState {
    /// Its status.
    pub status: Status,
    /// How often Docker restarted it.
    pub restarts: u32,
    /// When it was last started, in RFC 3339, as the engine gave it; empty before the first start.
    pub started_at: String,
    /// What its health check says; absent where it has none.
    pub health: Option<Health>,
    /// What Docker's own health check wrote when it last failed, in one line; empty where it has not.
    pub health_output: String,
}

/// Status of a container, by the words of `docker inspect`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    /// Created and never started.
    Created,
    /// Running.
    Running,
    /// Frozen.
    Paused,
    /// Between two runs.
    Restarting,
    /// Its process ended.
    Exited {
        /// The process's status.
        code: i64,
        /// Whether the kernel killed it for its memory.
        out_of_memory: bool,
    },
    /// Being removed, or its removal failed.
    Dead,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Created => f.pad("created"),
            Self::Running => f.pad("running"),
            Self::Paused => f.pad("paused"),
            Self::Restarting => f.pad("restarting"),
            Self::Exited { out_of_memory: true, .. } => f.pad("killed, out of memory"),
            Self::Exited { code, .. } => f.pad(&format!("exited with {code}")),
            Self::Dead => f.pad("dead"),
        }
    }
}

/// What Docker's own health check says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Health {
    /// The last probe was good.
    Healthy,
    /// No probe has been good yet, and it is too early to say.
    Starting,
    /// Too many probes failed in a row.
    Unhealthy,
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Healthy => "healthy",
            Self::Starting => "starting",
            Self::Unhealthy => "unhealthy",
        })
    }
}

/// A network of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveNetwork {
    /// Its id.
    pub id: NetworkId,
    /// What it is made of. Its labels are all labels; `external` is false.
    pub spec: NetworkSpec,
    /// The Evenkeel stack it belongs to, if any.
    pub stack: Option<StackName>,
}

/// A volume of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveVolume {
    /// What it is made of. Its labels are all labels; `external` is false.
    pub spec: VolumeSpec,
    /// The Evenkeel stack it belongs to, if any.
    pub stack: Option<StackName>,
}

/// An image of the host: what it gives to its containers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveImage {
    /// Its id.
    pub id: ImageId,
    /// Under which digests registries have it: references without a tag. Empty for one that was only ever built here.
    pub repo_digests: BTreeSet<ImageRef>,
    /// When one of its tags came to mean it on this host, in RFC 3339, as the engine gave it; empty where unknown.
    pub tagged_at: String,
    /// What it was built for; absent where the engine doesn't say.
    pub platform: Option<Platform>,
    /// Its own arguments.
    pub command: Vec<String>,
    /// Its own executable.
    pub entrypoint: Vec<String>,
    /// Its own environment.
    pub environment: BTreeMap<String, String>,
    /// Its own labels.
    pub labels: BTreeMap<String, String>,
    /// Ports that it exposes, as Docker writes them: `80/tcp`.
    pub exposed_ports: BTreeSet<String>,
    /// Targets of the volumes that it declares.
    pub volumes: BTreeSet<String>,
    /// Its own health check.
    pub healthcheck: Option<Healthcheck>,
    /// Its own user.
    pub user: String,
    /// Its own working directory.
    pub working_dir: String,
    /// Its own stop signal.
    pub stop_signal: Option<String>,
}

impl LiveImage {
    /// An image that gives its containers nothing.
    pub fn bare(id: ImageId) -> Self {
        Self {
            id,
            repo_digests: BTreeSet::new(),
            tagged_at: String::new(),
            platform: None,
            command: Vec::new(),
            entrypoint: Vec::new(),
            environment: BTreeMap::new(),
            labels: BTreeMap::new(),
            exposed_ports: BTreeSet::new(),
            volumes: BTreeSet::new(),
            healthcheck: None,
            user: String::new(),
            working_dir: String::new(),
            stop_signal: None,
        }
    }
}
