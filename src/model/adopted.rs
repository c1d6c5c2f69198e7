//! What a stack was told to take over: objects that bear no label of it, and never will, for Docker fixes labels at
//! creation.

use std::collections::{BTreeMap, BTreeSet};

use super::desired::Dependency;
use super::name::{ContainerId, Instance, NetworkId, ServiceName, VolumeName};

/// The objects of one stack that others made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Adopted {
    /// Containers, each with the instance that it serves as.
    pub containers: BTreeMap<ContainerId, Instance>,
    /// Networks.
    pub networks: BTreeSet<NetworkId>,
    /// Volumes. They have no id but their name.
    pub volumes: BTreeSet<VolumeName>,
}

impl Adopted {
    /// Nothing.
    pub const fn none() -> Self {
        Self { containers: BTreeMap::new(), networks: BTreeSet::new(), volumes: BTreeSet::new() }
    }

    /// Whether it is nothing.
    pub fn is_empty(&self) -> bool {
        let Self { containers, networks, volumes } = self;
        containers.is_empty() && networks.is_empty() && volumes.is_empty()
    }

    /// This and `more`, which wins.
    #[must_use]
    pub fn with(mut self, more: &Self) -> Self {
        let Self { containers, networks, volumes } = more.clone();
        self.containers.extend(containers);
        self.networks.extend(networks);
        self.volumes.extend(volumes);
        self
    }
}

/// What Compose's labels say of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComposeOrigin {
    /// The Compose project.
    pub project: String,
    /// The service.
    pub service: ServiceName,
    /// The number within the service.
    pub number: u32,
    /// Whether `docker compose run` made it: a container for one purpose that belongs to no service.
    pub one_off: bool,
    /// The services that were to be up before it.
    pub depends_on: BTreeMap<ServiceName, Dependency>,
}
