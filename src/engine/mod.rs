//! The engine: the narrow door to Docker, and what can be seen through it.
//!
//! [`Engine`] is everything that Evenkeel may do to a host. `docker` implements it over the Docker API, `sim` in
//! memory; `tests/it/engine_contract.rs` holds both to the same laws. Nothing here knows a plan, a manifest or Git.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use futures_util::stream::BoxStream;

use crate::model::image::ImageRef;
use crate::model::live::{LiveContainer, LiveImage, LiveNetwork, LiveVolume, OtherContainer, Server};
use crate::model::name::{ContainerId, ContainerName, NetworkId, NetworkName, StackName, VolumeName};
use crate::model::platform::Platform;
use crate::model::spec::{Attachment, ContainerSpec, NetworkSpec, Resources, RestartPolicy, VolumeSpec};
use crate::model::text::Text;

pub(crate) mod clean;
pub mod docker;
pub(crate) mod effect;
pub mod meter;
pub mod observe;
pub mod registries;
pub mod sim;
pub mod stand_in;

/// A container host.
///
/// # Guarantees
/// - Calls that change something name their object by id, except those that create it by name.
/// - Asking for what is so already is no error: a running container may be started, a stopped one stopped, a missing
///   one removed.
/// - Every call ends: it has a deadline of its own and fails with [`EngineError::TimedOut`]. Whether its effect took
///   place is unknown then, as after any lost reply; look again before acting on it.
pub trait Engine: Clone + Send + Sync + 'static {
    /// Who answers.
    fn server(&self) -> impl Future<Output = Result<Server, EngineError>> + Send;

    /// Every container of the host, running or not, from one call. The list may be a moment behind
    /// [`Engine::inspect_container`].
    fn list_containers(&self) -> impl Future<Output = Result<Vec<ListedContainer>, EngineError>> + Send;

    /// One container in full. Who it is, its labels say ([`crate::model::label::identity`]).
    ///
    /// # Errors
    /// [`EngineError::NotFound`]; [`EngineError::Unexpected`] if it is of a stack and lacks one of its labels.
    fn inspect_container(
        &self,
        id: &ContainerId,
    ) -> impl Future<Output = Result<LiveContainer, EngineError>> + Send;

    /// Every network of the host.
    fn list_networks(&self) -> impl Future<Output = Result<Vec<LiveNetwork>, EngineError>> + Send;

    /// Every volume of the host.
    fn list_volumes(&self) -> impl Future<Output = Result<Vec<LiveVolume>, EngineError>> + Send;

    /// The image that `image` (a reference or an id) means on this host, or nothing if it isn't there.
    fn inspect_image(
        &self,
        image: &str,
    ) -> impl Future<Output = Result<Option<LiveImage>, EngineError>> + Send;

    /// The digest that `image`, a reference with a tag, means at its registry at the moment. Nothing is fetched.
    ///
    /// # Errors
    /// As [`Engine::pull_image`].
    fn registry_digest(&self, image: &ImageRef) -> impl Future<Output = Result<String, EngineError>> + Send;

    /// Lets the tag of `name` mean `image`, which is on this host.
    ///
    /// # Errors
    /// [`EngineError::NotFound`] if the image isn't there.
    fn tag_image(
        &self,
        image: &ImageRef,
        name: &ImageRef,
    ) -> impl Future<Output = Result<(), EngineError>> + Send;

    /// Fetches `image` from its registry, for `platform` where one is given. `progress` is told how far it is, at the engine's own pace.
    ///
    /// # Errors
    /// [`EngineError::NotFound`] if the registry doesn't have it, not for that platform, or doesn't show it to us;
    /// [`EngineError::Unavailable`] if the registry can't be reached.
    fn pull_image(
        &self,
        image: &ImageRef,
        platform: Option<&Platform>,
        progress: &(dyn Fn(PullProgress) + Send + Sync),
    ) -> impl Future<Output = Result<(), EngineError>> + Send;

    /// Makes an image of one layer, a tar archive, under the name `image`.
    fn import_image(
        &self,
        image: &ImageRef,
        layer: Vec<u8>,
        config: &ImportConfig,
    ) -> impl Future<Output = Result<(), EngineError>> + Send;

    /// Takes the name `image` from the image that it means, and removes that with its last name. Only `demo` uses it, on
    /// images that it made. One that isn't there is no error.
    ///
    /// # Errors
    /// [`EngineError::Conflict`] while a container was created from it.
    fn remove_image(&self, image: &ImageRef) -> impl Future<Output = Result<(), EngineError>> + Send;

    /// Creates a network. Its labels are exactly those of `spec`.
    ///
    /// # Errors
    /// [`EngineError::Conflict`] if one of that name exists; [`EngineError::Rejected`] if its addresses overlap with
    /// another's.
    fn create_network(
        &self,
        spec: &NetworkSpec,
    ) -> impl Future<Output = Result<NetworkId, EngineError>> + Send;

    /// Removes a network.
    ///
    /// # Errors
    /// [`EngineError::Conflict`] while running containers are attached to it.
    fn remove_network(&self, id: &NetworkId) -> impl Future<Output = Result<(), EngineError>> + Send;

    /// Creates a volume. Its labels are exactly those of `spec`.
    ///
    /// # Errors
    /// [`EngineError::Conflict`] if a volume of that name exists that is made otherwise.
    fn create_volume(&self, spec: &VolumeSpec) -> impl Future<Output = Result<(), EngineError>> + Send;

    /// Removes a volume with everything in it. Only `demo` and tests use it, on volumes that they made.
    fn remove_volume(&self, name: &VolumeName) -> impl Future<Output = Result<(), EngineError>> + Send;

    /// Creates a container and attaches it to all its networks, without starting it.
    ///
    /// # Errors
    /// [`EngineError::Conflict`] if the name is taken; [`EngineError::NotFound`] if the image isn't there, or a network,
    /// which some engines notice only at the start; [`EngineError::Rejected`] if the engine refuses the specification, or
    /// would leave a part of it out.
    fn create_container(
        &self,
        request: &CreateContainer,
    ) -> impl Future<Output = Result<ContainerId, EngineError>> + Send;

    /// Starts a container.
    ///
    /// # Errors
    /// [`EngineError::Rejected`] with the engine's reason if it can't start: a port in use, no such executable.
    fn start_container(&self, id: &ContainerId) -> impl Future<Output = Result<(), EngineError>> + Send;

    /// Asks the process to end and kills it after `grace` (absent: as the container says, else 10 s).
    fn stop_container(
        &self,
        id: &ContainerId,
        grace: Option<Duration>,
    ) -> impl Future<Output = Result<(), EngineError>> + Send;

    /// Removes a stopped container. Volumes stay, anonymous ones too.
    ///
    /// # Errors
    /// [`EngineError::Conflict`] if it runs.
    fn remove_container(&self, id: &ContainerId) -> impl Future<Output = Result<(), EngineError>> + Send;

    /// Kills a container if it runs and removes it, in one call: `docker rm -f`. Only `demo` and tests use it, on
    /// containers that they made.
    fn discard_container(&self, id: &ContainerId) -> impl Future<Output = Result<(), EngineError>> + Send;

    /// Gives a container another name. Giving it its own is no error.
    ///
    /// # Errors
    /// [`EngineError::Conflict`] if the name is taken.
    fn rename_container(
        &self,
        id: &ContainerId,
        name: &ContainerName,
    ) -> impl Future<Output = Result<(), EngineError>> + Send;

    /// Changes limits and restart policy of a container, running or not. Absent limits stay as they are.
    fn update_container(
        &self,
        id: &ContainerId,
        update: &UpdateContainer,
    ) -> impl Future<Output = Result<(), EngineError>> + Send;

    /// Attaches a container to a network, with every setting of `attachment` and exactly its aliases.
    ///
    /// # Errors
    /// [`EngineError::Conflict`] if it runs and is attached already.
    fn connect_network(
        &self,
        network: &NetworkId,
        container: &ContainerId,
        attachment: &Attachment,
    ) -> impl Future<Output = Result<(), EngineError>> + Send;

    /// Detaches a container from a network.
    fn disconnect_network(
        &self,
        network: &NetworkId,
        container: &ContainerId,
    ) -> impl Future<Output = Result<(), EngineError>> + Send;

    /// Runs a command in a running container and waits for its end, `within` at most. One that can't be run ends
    /// with 126 or 127, as in a shell; one that doesn't end in time goes on in the container.
    ///
    /// # Errors
    /// [`EngineError::Conflict`] if the container doesn't run.
    fn exec(
        &self,
        id: &ContainerId,
        command: &[Text],
        within: Duration,
    ) -> impl Future<Output = Result<ExecResult, EngineError>> + Send;

    /// The last `lines` lines that a container wrote, both streams, at most 64 KiB, control characters removed.
    fn logs(
        &self,
        id: &ContainerId,
        lines: u32,
    ) -> impl Future<Output = Result<Vec<String>, EngineError>> + Send;

    /// What a container has written since it was last started, line by line, and then what it writes; both streams,
    /// control characters removed, a very long line in pieces. The stream ends with the run.
    ///
    /// # Errors
    /// [`EngineError::Rejected`] or [`EngineError::Unavailable`] if its log can't be read.
    fn follow_log(&self, id: &ContainerId) -> BoxStream<'static, Result<String, EngineError>>;

    /// What happens on the host from now on. The stream ends or fails when the connection does. Events are hints:
    /// they may be lost.
    fn events(&self) -> BoxStream<'static, Result<EngineEvent, EngineError>>;
}

/// What the list of containers tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedContainer {
    /// Its id.
    pub id: ContainerId,
    /// Whether its process is there, paused or about to be started again included.
    pub runs: bool,
    /// The rest of what is known of one that isn't of the stack; `stack` says whose it is.
    pub summary: OtherContainer,
}

/// How far a pull is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PullProgress {
    /// Bytes that have come.
    pub done_bytes: u64,
    /// Bytes in all, as far as the engine knows by now.
    pub total_bytes: u64,
}

/// The configuration of an imported image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImportConfig {
    /// Its entrypoint.
    pub entrypoint: Vec<String>,
    /// Its arguments.
    pub command: Vec<String>,
    /// Its environment.
    pub environment: BTreeMap<String, String>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its exposed ports: `80/tcp`.
    pub exposed_ports: Vec<String>,
    /// Targets of the volumes that it declares.
    pub volumes: Vec<String>,
    /// Its user.
    pub user: Option<String>,
    /// Its working directory.
    pub working_dir: Option<String>,
}

/// A container to be created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateContainer {
    /// Its name.
    pub name: ContainerName,
    /// What it is made of. No mount source is [`crate::model::spec::MountSource::Repository`] or
    /// [`crate::model::spec::MountSource::Grant`] any more: those were laid down and became binds. No container that it shares a namespace with is named otherwise than by
    /// [`crate::model::spec::Peer::Id`].
    pub spec: ContainerSpec,
    /// Labels besides those of the specification.
    pub labels: BTreeMap<String, String>,
    /// The ids of the networks that the specification names.
    pub networks: BTreeMap<NetworkName, NetworkId>,
}

/// A change of a container in place.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UpdateContainer {
    /// The new restart policy.
    pub restart: Option<RestartPolicy>,
    /// The new limits. Absent ones stay as they are: Docker can't clear a limit in place.
    pub resources: Resources,
}

/// How a command in a container ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecResult {
    /// Its exit status; absent if it hadn't ended in time.
    pub code: Option<i64>,
    /// The last lines that it wrote, at most 4 KiB, control characters removed.
    pub output: String,
}

/// Something happened on the host that may concern a stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineEvent {
    /// What kind of object: `container`, `network`, `volume`.
    pub kind: String,
    /// What happened, by the engine's word: `die`, `destroy`, `health_status: unhealthy`.
    pub action: String,
    /// The name or id of the object.
    pub object: String,
    /// The stack that it belongs to, if any.
    pub stack: Option<StackName>,
}

/// What went wrong at the engine. The texts are the engine's own, without control characters.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// The object isn't there.
    #[error("{operation}: {message}")]
    NotFound {
        /// What was tried: `start container auren-dev-redis-1`.
        operation: String,
        /// What the engine said.
        message: String,
    },
    /// The object is in a state that forbids it, or its name is taken.
    #[error("{operation}: {message}")]
    Conflict {
        /// What was tried.
        operation: String,
        /// What the engine said.
        message: String,
    },
    /// The engine refuses the request as it is.
    #[error("{operation}: {message}")]
    Rejected {
        /// What was tried.
        operation: String,
        /// What the engine said.
        message: String,
    },
    /// The socket may not be used by this user.
    #[error("{operation}: {message}")]
    Denied {
        /// What was tried.
        operation: String,
        /// What the system said.
        message: String,
    },
    /// Nobody answers, or the connection broke, or the engine failed inside.
    #[error("{operation}: {message}")]
    Unavailable {
        /// What was tried.
        operation: String,
        /// What is known.
        message: String,
    },
    /// No answer came in time.
    #[error("{operation}: no answer within {} s", within.as_secs_f32())]
    TimedOut {
        /// What was tried.
        operation: String,
        /// How long was waited.
        within: Duration,
    },
    /// The engine's answer makes no sense to us.
    #[error("{operation}: {message}")]
    Unexpected {
        /// What was tried.
        operation: String,
        /// What is wrong with the answer.
        message: String,
    },
}

impl EngineError {
    /// Whether the same call may succeed later without any change of what is asked.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unavailable { .. } | Self::TimedOut { .. } => true,
            Self::NotFound { .. }
            | Self::Conflict { .. }
            | Self::Rejected { .. }
            | Self::Denied { .. }
            | Self::Unexpected { .. } => false,
        }
    }
}
