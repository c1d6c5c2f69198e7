//! Devices of the host in a container.

use std::collections::{BTreeMap, BTreeSet};

/// Devices, and what the container may do with those of the host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Devices {
    /// Devices by their path in the container.
    pub paths: BTreeMap<String, Device>,
    /// Rules of the kernel's device controller: `c 1:3 mr`.
    pub rules: BTreeSet<String>,
    /// Devices that a driver chooses, as for GPUs.
    pub requests: Vec<DeviceRequest>,
}

/// A device of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Its path on the host.
    pub source: String,
    /// What may be done with it: letters of `rwm` for read, write and make, in that order.
    pub permissions: String,
}

/// Devices that a driver chooses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeviceRequest {
    /// The driver; absent means one that has the capabilities.
    pub driver: Option<String>,
    /// How many devices; -1 means all, 0 that they are named.
    pub count: i64,
    /// Their ids.
    pub ids: BTreeSet<String>,
    /// What they must be able to do, all of it.
    pub capabilities: BTreeSet<String>,
    /// Options of the driver.
    pub options: BTreeMap<String, String>,
}
