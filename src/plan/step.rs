//! What is done: the steps of a plan, which leave no choice to the executor.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::grants::Place;
use crate::model::desired::Gate;
use crate::model::grant::Grant;
use crate::model::image::ImageRef;
use crate::model::name::{ContainerId, ContainerName, Instance, NetworkId, NetworkName};
use crate::model::platform::Platform;
use crate::model::spec::{
    Attachment, ContainerSpec, ContentDigest, NetworkSpec, Peer, Resources, RestartPolicy, VolumeSpec,
};

/// One step of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// When it is its turn. All steps of one turn end before the next turn begins.
    pub turn: Turn,
    /// Steps of the same turn, by their place in the plan, that must have succeeded before.
    pub after: Vec<usize>,
    /// What to do.
    pub action: Action,
}

/// The order of a plan's steps: by phase, in a phase by wave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Turn {
    /// The phase.
    pub phase: Phase,
    /// In [`Phase::Switch`]: 0 for what must give way first, be it a port, an address, a volume or its place, then one wave for each
    /// tier, then what is no longer wanted. In [`Phase::Finish`]: 0 for what makes way for a name, 1 for those that get one,
    /// 2 for those that still run beside their successor and end. Elsewhere 0.
    pub wave: u16,
}

/// The phases of a deploy. Until [`Phase::Commit`] everything can be undone; nothing is destroyed before
/// [`Phase::Cleanup`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Images come to the host.
    Images,
    /// Networks, volumes and files that are missing are made.
    Objects,
    /// New containers are created beside the old ones.
    Containers,
    /// Old containers stop, new ones start and pass their gates.
    Switch,
    /// The one durable decision: after it the deploy isn't rolled back as a whole.
    Commit,
    /// Names and restart policies get their final form.
    Finish,
    /// What nobody needs any more is removed.
    Cleanup,
}

/// A container that a step works on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// One that was there when the plan was made.
    Existing(ContainerId),
    /// The one that this plan creates for the instance.
    New(Instance),
}

/// A network that a new container joins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NetworkRef {
    /// One that was there when the plan was made.
    Existing(NetworkId),
    /// The one that this plan creates under the name that the specification uses.
    New,
}

/// What a step does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Fetches an image, or makes it where it is the built-in stand-in.
    PullImage {
        /// The image, pinned where its digest is known.
        image: ImageRef,
        /// For which platform, where that is declared.
        platform: Option<Platform>,
    },
    /// Lets the tag of `name` mean `image`, which is on the host.
    TagImage {
        /// The image, pinned.
        image: ImageRef,
        /// The name, with a tag.
        name: ImageRef,
    },
    /// Creates a network. The labels of the specification are complete.
    CreateNetwork(NetworkSpec),
    /// Creates a volume. The labels of the specification are complete.
    CreateVolume(VolumeSpec),
    /// Lays down a file or folder of the repository.
    LayDown(ContentDigest),
    /// Lays down a config or secret.
    Grant {
        /// Where.
        place: Place,
        /// What.
        grant: Grant,
    },
    /// Creates a container with the restart policy `no`, whatever the specification says; [`Action::Release`] sets
    /// that at the end.
    Create {
        /// Which one of the stack it is.
        instance: Instance,
        /// Its name for now.
        name: ContainerName,
        /// What it is made of.
        spec: Box<ContainerSpec>,
        /// The networks that the specification names.
        networks: BTreeMap<NetworkName, NetworkRef>,
        /// The containers that the specification shares something with.
        peers: BTreeMap<Peer, Target>,
    },
    /// Takes a container's restart policy away, so that not even a restart of the daemon starts it again.
    Fence(ContainerId),
    /// Stops a container.
    Stop {
        /// The container.
        target: Target,
        /// Time between the signal and `SIGKILL`; absent: the container's own.
        grace: Option<Duration>,
    },
    /// Starts a container.
    Start(Target),
    /// Waits until a container's gate has passed.
    Await {
        /// Which one of the stack it is.
        instance: Instance,
        /// The container.
        target: Target,
        /// What must hold. The container's own health check is part of it.
        gate: Gate,
    },
    /// Changes a running container without stopping it.
    Update {
        /// The container.
        target: Target,
        /// The new restart policy, if it changes.
        restart: Option<RestartPolicy>,
        /// The new limits, as far as they change.
        resources: Resources,
    },
    /// Lets time pass.
    Delay(Duration),
    /// Detaches a container from a network.
    Disconnect {
        /// The container.
        container: Target,
        /// The network's name.
        name: NetworkName,
        /// The network.
        network: NetworkRef,
    },
    /// Attaches a container to a network.
    Connect {
        /// The container.
        container: Target,
        /// The network's name.
        name: NetworkName,
        /// The network.
        network: NetworkRef,
        /// How it joins.
        attachment: Attachment,
    },
    /// Writes the decision into the ledger.
    Commit,
    /// Gives a container the restart policy that the manifest wants.
    Release {
        /// The container.
        target: Target,
        /// The policy.
        restart: RestartPolicy,
    },
    /// Gives a container another name.
    Rename {
        /// The container.
        target: Target,
        /// The name.
        name: ContainerName,
    },
    /// Removes a stopped container; its volumes stay.
    Remove(ContainerId),
    /// Removes a network.
    RemoveNetwork(NetworkId),
    /// Deletes what was laid down in these folders, relative to that for files, as far as no container of the host
    /// mounts it.
    Discard(BTreeSet<String>),
}

impl Action {
    /// Whether the step writes to the engine.
    pub fn is_write(&self) -> bool {
        match self {
            Self::Await { .. }
            | Self::Delay(_)
            | Self::Commit
            | Self::LayDown(_)
            | Self::Grant { .. }
            | Self::Discard(_) => false,
            Self::PullImage { .. }
            | Self::TagImage { .. }
            | Self::CreateNetwork(_)
            | Self::CreateVolume(_)
            | Self::Create { .. }
            | Self::Fence(_)
            | Self::Stop { .. }
            | Self::Start(_)
            | Self::Update { .. }
            | Self::Disconnect { .. }
            | Self::Connect { .. }
            | Self::Release { .. }
            | Self::Rename { .. }
            | Self::Remove(_)
            | Self::RemoveNetwork(_) => true,
        }
    }
}
