//! What the runtime and the kernel are told about a container besides limits.

use std::collections::{BTreeMap, BTreeSet};

/// How the container is run. What is absent, empty or off is left to the daemon.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Runtime {
    /// The runtime: `runc`, `nvidia`.
    pub name: Option<String>,
    /// Further groups of the process.
    pub groups: BTreeSet<String>,
    /// The control group below which the container's own is made.
    pub cgroup_parent: Option<String>,
    /// Whether the kernel lets the processes wait rather than kills one when there is no memory left.
    pub oom_kill_disable: bool,
    /// Which processes the kernel kills first, from -1000 to 1000.
    pub oom_score_adj: i64,
    /// How readily the kernel swaps, from 1 to 100; absent means the host's own setting.
    pub swappiness: Option<u64>,
    /// Options of the storage driver.
    pub storage: BTreeMap<String, String>,
    /// Annotations that are passed on to the runtime.
    pub annotations: BTreeMap<String, String>,
}
