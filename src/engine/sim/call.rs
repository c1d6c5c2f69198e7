//! The calls that a simulated engine got, and what a test lets happen to them.

use std::fmt;

/// One call of the engine's trait.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Call {
    /// What was asked.
    pub verb: Verb,
    /// The name (where it has one, else the id) of what it was asked of; empty for lists.
    pub object: String,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.object.as_str() {
            "" => write!(f, "{}", self.verb),
            object => write!(f, "{} {object}", self.verb),
        }
    }
}

/// What a call asks for: one for each method of the trait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "each is the method of the trait of the same name")]
pub enum Verb {
    Server,
    ListContainers,
    InspectContainer,
    ListNetworks,
    ListVolumes,
    InspectImage,
    RegistryDigest,
    TagImage,
    PullImage,
    ImportImage,
    RemoveImage,
    CreateNetwork,
    RemoveNetwork,
    CreateVolume,
    RemoveVolume,
    CreateContainer,
    StartContainer,
    StopContainer,
    RemoveContainer,
    DiscardContainer,
    RenameContainer,
    UpdateContainer,
    ConnectNetwork,
    DisconnectNetwork,
    Exec,
    Logs,
    FollowLog,
    Events,
}

impl Verb {
    /// Whether the call may change anything on the host. A command in a container may, whatever it is meant for.
    pub fn writes(self) -> bool {
        match self {
            Self::Server
            | Self::ListContainers
            | Self::InspectContainer
            | Self::ListNetworks
            | Self::ListVolumes
            | Self::InspectImage
            | Self::RegistryDigest
            | Self::Logs
            | Self::FollowLog
            | Self::Events => false,
            Self::PullImage
            | Self::TagImage
            | Self::ImportImage
            | Self::RemoveImage
            | Self::CreateNetwork
            | Self::RemoveNetwork
            | Self::CreateVolume
            | Self::RemoveVolume
            | Self::CreateContainer
            | Self::StartContainer
            | Self::StopContainer
            | Self::RemoveContainer
            | Self::DiscardContainer
            | Self::RenameContainer
            | Self::UpdateContainer
            | Self::ConnectNetwork
            | Self::DisconnectNetwork
            | Self::Exec => true,
        }
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Server => "server",
            Self::ListContainers => "list containers",
            Self::InspectContainer => "inspect container",
            Self::ListNetworks => "list networks",
            Self::ListVolumes => "list volumes",
            Self::InspectImage => "inspect image",
            Self::RegistryDigest => "registry digest",
            Self::TagImage => "tag image",
            Self::PullImage => "pull image",
            Self::ImportImage => "import image",
            Self::RemoveImage => "remove image",
            Self::CreateNetwork => "create network",
            Self::RemoveNetwork => "remove network",
            Self::CreateVolume => "create volume",
            Self::RemoveVolume => "remove volume",
            Self::CreateContainer => "create container",
            Self::StartContainer => "start container",
            Self::StopContainer => "stop container",
            Self::RemoveContainer => "remove container",
            Self::DiscardContainer => "discard container",
            Self::RenameContainer => "rename container",
            Self::UpdateContainer => "update container",
            Self::ConnectNetwork => "connect network",
            Self::DisconnectNetwork => "disconnect network",
            Self::Exec => "exec",
            Self::Logs => "logs",
            Self::FollowLog => "follow log",
            Self::Events => "events",
        })
    }
}

/// What happens to a call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Fault {
    /// It goes through.
    #[default]
    None,
    /// It has no effect and fails as if nobody had answered.
    Error,
    /// It has no effect, and the engine says that something isn't there.
    NotFound,
    /// It has no effect, and the engine says that something is in the way.
    Conflict,
    /// It has no effect, and the engine refuses it.
    Rejected,
    /// It has its effect, and its reply is lost.
    DoneButReplyLost,
    /// It has no effect and fails only at its deadline.
    Hang,
}
