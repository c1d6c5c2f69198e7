//! What a container shares with the host or with another container.

use std::fmt;

use crate::model::name::{ContainerId, ServiceName};

/// The kernel's namespaces, as far as a container doesn't get its own in the usual way. An absent one means the
/// daemon's default; for the network it means the networks that the container joins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Namespaces {
    /// `network_mode`
    pub network: Option<Namespace>,
    /// `ipc`: shared memory, semaphores and message queues.
    pub ipc: Option<Namespace>,
    /// `pid`: processes.
    pub pid: Option<Namespace>,
    /// `uts`: the host name.
    pub uts: Option<Namespace>,
    /// `userns_mode`: users.
    pub users: Option<Namespace>,
    /// `cgroup`: control groups.
    pub cgroup: Option<Namespace>,
}

impl Namespaces {
    /// Each namespace by its key in the manifest.
    pub fn by_key(&self) -> [(&'static str, Option<&Namespace>); 6] {
        let Self { network, ipc, pid, uts, users, cgroup } = self;
        [
            ("network_mode", network.as_ref()),
            ("ipc", ipc.as_ref()),
            ("pid", pid.as_ref()),
            ("uts", uts.as_ref()),
            ("userns_mode", users.as_ref()),
            ("cgroup", cgroup.as_ref()),
        ]
    }

    /// The same, to be changed.
    pub fn by_key_mut(&mut self) -> [(&'static str, &mut Option<Namespace>); 6] {
        let Self { network, ipc, pid, uts, users, cgroup } = self;
        [
            ("network_mode", network),
            ("ipc", ipc),
            ("pid", pid),
            ("uts", uts),
            ("userns_mode", users),
            ("cgroup", cgroup),
        ]
    }

    /// The containers whose namespaces are shared.
    pub fn peers(&self) -> impl Iterator<Item = &Peer> {
        self.by_key().into_iter().filter_map(|(_, namespace)| match namespace {
            Some(Namespace::Of(peer)) => Some(peer),
            _ => None,
        })
    }
}

/// Whose namespace a container uses. Not each of them makes sense for each kind.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Namespace {
    /// Its own, with nothing in it: no network at all, no shared memory.
    None,
    /// Its own.
    Private,
    /// Its own, which others may use too.
    Shareable,
    /// Its own, on Docker's default network.
    Bridge,
    /// The host's.
    Host,
    /// Another container's.
    Of(Peer),
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.pad("none"),
            Self::Private => f.pad("private"),
            Self::Shareable => f.pad("shareable"),
            Self::Bridge => f.pad("bridge"),
            Self::Host => f.pad("host"),
            Self::Of(peer) => peer.fmt(f),
        }
    }
}

/// A container whose namespace another one uses.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Peer {
    /// The first container of a service of the same stack.
    Service(ServiceName),
    /// The container of this name, whoever made it.
    Container(String),
    /// The container of this id: the only form that an engine knows.
    Id(ContainerId),
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Service(name) => f.pad(&format!("service:{name}")),
            Self::Container(name) => f.pad(&format!("container:{name}")),
            Self::Id(id) => f.pad(&format!("container:{}", id.short())),
        }
    }
}
