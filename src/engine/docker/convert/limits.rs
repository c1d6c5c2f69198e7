//! Limits, both ways.

use std::collections::BTreeMap;

use bollard::models::{ContainerUpdateBody, HostConfig, ResourcesBlkioWeightDevice, ThrottleDevice};

use super::{filled, limit, signed};
use crate::model::spec::{BlockIo, Resources, Swap};

/// Says `resources` and `block_io` in `host`.
pub(super) fn to_api(resources: &Resources, block_io: &BlockIo, host: &mut HostConfig) {
    let Resources {
        memory,
        memory_swap,
        memory_reservation,
        nano_cpus,
        cpu_shares,
        cpu_period,
        cpu_quota,
        cpu_rt_period,
        cpu_rt_runtime,
        cpuset,
        block_io_weight,
        pids,
    } = resources;
    host.memory = memory.map(signed);
    host.memory_swap = memory_swap.map(swap);
    host.memory_reservation = memory_reservation.map(signed);
    host.nano_cpus = nano_cpus.map(signed);
    host.cpu_shares = cpu_shares.map(signed);
    host.cpu_period = cpu_period.map(signed);
    host.cpu_quota = cpu_quota.map(signed);
    host.cpu_realtime_period = cpu_rt_period.map(signed);
    host.cpu_realtime_runtime = cpu_rt_runtime.map(signed);
    host.cpuset_cpus.clone_from(cpuset);
    host.blkio_weight = *block_io_weight;
    host.pids_limit = pids.map(signed);
    let BlockIo { weights, read_bps, write_bps, read_iops, write_iops } = block_io;
    let weight = |(path, weight): (&String, &u16)| ResourcesBlkioWeightDevice {
        path: Some(path.clone()),
        weight: Some(usize::from(*weight)),
    };
    host.blkio_weight_device = Some(weights.iter().map(weight).collect());
    host.blkio_device_read_bps = Some(throttles(read_bps));
    host.blkio_device_write_bps = Some(throttles(write_bps));
    host.blkio_device_read_iops = Some(throttles(read_iops));
    host.blkio_device_write_iops = Some(throttles(write_iops));
}

/// The body of an update that sets the limits that are there. A memory above what was set for memory and swap together
/// is refused, so both are always set, as a creation would.
pub(super) fn update(resources: &Resources) -> ContainerUpdateBody {
    let mut host = HostConfig::default();
    to_api(resources, &BlockIo::default(), &mut host);
    ContainerUpdateBody {
        memory: host.memory,
        memory_swap: host.memory_swap.or(resources.default_swap().map(swap)),
        memory_reservation: host.memory_reservation,
        nano_cpus: host.nano_cpus,
        cpu_shares: host.cpu_shares,
        cpu_period: host.cpu_period,
        cpu_quota: host.cpu_quota,
        cpu_realtime_period: host.cpu_realtime_period,
        cpu_realtime_runtime: host.cpu_realtime_runtime,
        cpuset_cpus: host.cpuset_cpus,
        blkio_weight: host.blkio_weight,
        pids_limit: host.pids_limit,
        ..ContainerUpdateBody::default()
    }
}

/// Reads limits of a container.
pub(super) fn resources(host: &HostConfig) -> Resources {
    Resources {
        memory: limit(host.memory),
        memory_swap: match host.memory_swap {
            Some(-1) => Some(Swap::Unlimited),
            bytes => limit(bytes).map(Swap::Bytes),
        },
        memory_reservation: limit(host.memory_reservation),
        nano_cpus: limit(host.nano_cpus),
        cpu_shares: limit(host.cpu_shares),
        cpu_period: limit(host.cpu_period),
        cpu_quota: limit(host.cpu_quota),
        cpu_rt_period: limit(host.cpu_realtime_period),
        cpu_rt_runtime: limit(host.cpu_realtime_runtime),
        cpuset: filled(host.cpuset_cpus.clone()),
        block_io_weight: host.blkio_weight.filter(|weight| *weight > 0),
        pids: limit(host.pids_limit),
    }
}

/// Reads limits of block devices.
pub(super) fn block_io(host: &HostConfig) -> BlockIo {
    let weight = |device: &ResourcesBlkioWeightDevice| {
        Some((device.path.clone()?, u16::try_from(device.weight?).ok()?))
    };
    let rates = |devices: &Option<Vec<ThrottleDevice>>| {
        let rate = |device: &ThrottleDevice| Some((device.path.clone()?, limit(device.rate)?));
        devices.iter().flatten().filter_map(rate).collect::<BTreeMap<_, _>>()
    };
    BlockIo {
        weights: host.blkio_weight_device.iter().flatten().filter_map(weight).collect(),
        read_bps: rates(&host.blkio_device_read_bps),
        write_bps: rates(&host.blkio_device_write_bps),
        read_iops: rates(&host.blkio_device_read_iops),
        write_iops: rates(&host.blkio_device_write_iops),
    }
}

fn swap(swap: Swap) -> i64 {
    match swap {
        Swap::Unlimited => -1,
        Swap::Bytes(bytes) => signed(bytes),
    }
}

fn throttles(rates: &BTreeMap<String, u64>) -> Vec<ThrottleDevice> {
    let one = |(path, rate): (&String, &u64)| ThrottleDevice {
        path: Some(path.clone()),
        rate: Some(signed(*rate)),
    };
    rates.iter().map(one).collect()
}
