//! What a container may use of the host: memory, processors, processes, block devices.

use std::collections::BTreeMap;
use std::fmt;

/// Limits that `POST /containers/{id}/update` changes in place. An absent limit means none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resources {
    /// Most memory, in bytes.
    pub memory: Option<u64>,
    /// Most memory and swap together. Docker fills in twice the memory.
    pub memory_swap: Option<Swap>,
    /// Memory that is kept available under pressure, in bytes.
    pub memory_reservation: Option<u64>,
    /// CPU time in billionths of a core.
    pub nano_cpus: Option<u64>,
    /// Weight against other containers for CPU time; Docker's default is 1024.
    pub cpu_shares: Option<u64>,
    /// Length of a period of the scheduler, in microseconds.
    pub cpu_period: Option<u64>,
    /// CPU time in each period, in microseconds.
    pub cpu_quota: Option<u64>,
    /// Length of a period of the real-time scheduler, in microseconds.
    pub cpu_rt_period: Option<u64>,
    /// CPU time in each such period, in microseconds.
    pub cpu_rt_runtime: Option<u64>,
    /// The processors to run on: `0-2,7`.
    pub cpuset: Option<String>,
    /// Weight against other containers for block devices, from 10 to 1000.
    pub block_io_weight: Option<u16>,
    /// Most processes and threads.
    pub pids: Option<u64>,
}

impl Resources {
    /// What Docker makes of memory and swap together where only the memory is limited.
    pub fn default_swap(&self) -> Option<Swap> {
        self.memory.map(|memory| Swap::Bytes(memory.saturating_mul(2)))
    }
}

/// A limit of memory and swap together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Swap {
    /// As much swap as there is.
    Unlimited,
    /// So many bytes, of memory and swap together.
    Bytes(u64),
}

impl fmt::Display for Swap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unlimited => f.pad("-1"),
            Self::Bytes(bytes) => write!(f, "{bytes}"),
        }
    }
}

/// Limits for single block devices, by the path of the device. They can't be changed in place.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BlockIo {
    /// Weights against other containers.
    pub weights: BTreeMap<String, u16>,
    /// Most bytes read in a second.
    pub read_bps: BTreeMap<String, u64>,
    /// Most bytes written in a second.
    pub write_bps: BTreeMap<String, u64>,
    /// Most reads in a second.
    pub read_iops: BTreeMap<String, u64>,
    /// Most writes in a second.
    pub write_iops: BTreeMap<String, u64>,
}
