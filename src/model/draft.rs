//! What runs, as a Compose file could say it: made from what is live, to be written by people who go on from there.

use std::collections::BTreeMap;

use super::desired::Dependency;
use super::name::{ContainerName, NetworkKey, ServiceName, StackName, VolumeKey};
use super::spec::{ContainerSpec, NetworkSpec, VolumeSpec};

/// A whole file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// What the stack is called.
    pub stack: StackName,
    /// Services by their name.
    pub services: BTreeMap<ServiceName, DraftService>,
    /// Networks by the key that the file has for them.
    pub networks: BTreeMap<NetworkKey, NetworkSpec>,
    /// Volumes by the key that the file has for them.
    pub volumes: BTreeMap<VolumeKey, VolumeSpec>,
    /// What it can't say, and what nobody can tell from what is live.
    pub notes: Vec<String>,
}

/// One service of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DraftService {
    /// The name of its container, where that isn't the usual one.
    pub container_name: Option<ContainerName>,
    /// How many containers it has.
    pub replicas: u32,
    /// Services that were to be up before it.
    pub depends_on: BTreeMap<ServiceName, Dependency>,
    /// What has to be said so that its containers are what they are. Its texts are theirs, secrets too.
    pub spec: ContainerSpec,
}
