//! The form in which the ledger keeps values of the model and the planner.
//!
//! The nouns themselves have no serial form: what is on the disk outlives any release and is written down here alone.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU32;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::desired::Revision;
use crate::model::name::{Instance, NameError, NetworkName, ServiceName};
use crate::model::spec::{Attachment, Resources, RestartPolicy, Swap};
use crate::model::update::Batches;
use crate::plan::change::Change;
use crate::plan::{Checkpoint, Kept};

use super::history::ChangeLine;
use super::network_record::{NetworkRecord, of_network, to_network};

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct CheckpointRecord {
    containers: Vec<KeptRecord>,
    networks: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    recreated: Vec<NetworkRecord>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    hold: Vec<InstanceRecord>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    batches: Vec<BatchesRecord>,
}

/// Times are in milliseconds.
#[derive(Debug, Serialize, Deserialize)]
struct BatchesRecord {
    service: String,
    /// Absent where it is all of them.
    parallelism: Option<NonZeroU32>,
    delay: u64,
    monitor: u64,
}

#[derive(Debug, Serialize, Deserialize)]
struct InstanceRecord {
    service: String,
    number: u32,
}

#[derive(Debug, Serialize, Deserialize)]
struct KeptRecord {
    service: String,
    number: u32,
    wave: u16,
    container: String,
    name: String,
    ran: bool,
    restart: RestartRecord,
    memory: Option<u64>,
    memory_reservation: Option<u64>,
    nano_cpus: Option<u64>,
    pids: Option<u64>,
    // What came later is absent from older records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    memory_swap: Option<SwapRecord>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cpu_shares: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cpu_period: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cpu_quota: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cpu_rt_period: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cpu_rt_runtime: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cpuset: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    block_io_weight: Option<u16>,
    /// Absent where they don't change, and in records of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    networks: Option<BTreeMap<String, AttachmentRecord>>,
}

#[derive(Debug, Serialize, Deserialize)]
struct AttachmentRecord {
    first: bool,
    aliases: BTreeSet<String>,
    ipv4: Option<Ipv4Addr>,
    ipv6: Option<Ipv6Addr>,
    link_local: BTreeSet<IpAddr>,
    options: BTreeMap<String, String>,
    gateway_priority: i64,
    links: BTreeSet<(String, String)>,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum SwapRecord {
    Unlimited,
    Bytes(u64),
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum RestartRecord {
    No,
    Always,
    UnlessStopped,
    OnFailure(Option<u32>),
}

pub(super) fn to_json<T: Serialize>(value: &T) -> Result<String, rusqlite::Error> {
    serde_json::to_string(value).map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
}

pub(super) fn of_checkpoint(checkpoint: &Checkpoint) -> CheckpointRecord {
    let Checkpoint { containers, networks, recreated, hold, batches } = checkpoint;
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let of_batches =
        |(service, Batches { parallelism, delay, monitor }): (&ServiceName, &Batches)| BatchesRecord {
            service: service.to_string(),
            parallelism: *parallelism,
            delay: millis(*delay),
            monitor: millis(*monitor),
        };
    let of_instance = |instance: &Instance| InstanceRecord {
        service: instance.service.to_string(),
        number: instance.number,
    };
    CheckpointRecord {
        containers: containers.iter().map(of_kept).collect(),
        networks: networks.iter().map(ToString::to_string).collect(),
        recreated: recreated.iter().map(of_network).collect(),
        hold: hold.iter().map(of_instance).collect(),
        batches: batches.iter().map(of_batches).collect(),
    }
}

fn of_kept(kept: &Kept) -> KeptRecord {
    let Kept { instance, wave, container, name, ran, restart, resources, networks } = kept;
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
    KeptRecord {
        service: instance.service.to_string(),
        number: instance.number,
        wave: *wave,
        container: container.to_string(),
        name: name.to_string(),
        ran: *ran,
        restart: match restart {
            RestartPolicy::No => RestartRecord::No,
            RestartPolicy::Always => RestartRecord::Always,
            RestartPolicy::UnlessStopped => RestartRecord::UnlessStopped,
            RestartPolicy::OnFailure(most) => RestartRecord::OnFailure(*most),
        },
        memory: *memory,
        memory_reservation: *memory_reservation,
        nano_cpus: *nano_cpus,
        pids: *pids,
        memory_swap: memory_swap.map(|swap| match swap {
            Swap::Unlimited => SwapRecord::Unlimited,
            Swap::Bytes(bytes) => SwapRecord::Bytes(bytes),
        }),
        cpu_shares: *cpu_shares,
        cpu_period: *cpu_period,
        cpu_quota: *cpu_quota,
        cpu_rt_period: *cpu_rt_period,
        cpu_rt_runtime: *cpu_rt_runtime,
        cpuset: cpuset.clone(),
        block_io_weight: *block_io_weight,
        networks: networks.as_ref().map(|networks| {
            networks.iter().map(|(name, attachment)| (name.to_string(), of_attachment(attachment))).collect()
        }),
    }
}

fn of_attachment(attachment: &Attachment) -> AttachmentRecord {
    // A checkpoint has no hardware addresses: Docker couldn't give them back.
    let Attachment { first, aliases, ipv4, ipv6, link_local, mac: _, options, gateway_priority, links } =
        attachment.clone();
    AttachmentRecord { first, aliases, ipv4, ipv6, link_local, options, gateway_priority, links }
}

fn to_attachment(record: &AttachmentRecord) -> Attachment {
    Attachment {
        first: record.first,
        aliases: record.aliases.clone(),
        ipv4: record.ipv4,
        ipv6: record.ipv6,
        link_local: record.link_local.clone(),
        mac: None,
        options: record.options.clone(),
        gateway_priority: record.gateway_priority,
        links: record.links.clone(),
    }
}

pub(super) fn to_checkpoint(json: &str) -> Result<Checkpoint, String> {
    let record: CheckpointRecord = serde_json::from_str(json).map_err(|error| error.to_string())?;
    let containers = record.containers.iter().map(to_kept).collect::<Result<_, _>>();
    let networks = record.networks.iter().map(|name| name.parse()).collect::<Result<_, _>>();
    let recreated = record.recreated.into_iter().map(to_network).collect::<Result<_, _>>()?;
    let to_instance =
        |record: &InstanceRecord| Ok(Instance { service: record.service.parse()?, number: record.number });
    let hold = record.hold.iter().map(to_instance).collect::<Result<_, _>>();
    let to_batches = |record: &BatchesRecord| {
        let BatchesRecord { service, parallelism, delay, monitor } = record;
        let [delay, monitor] = [*delay, *monitor].map(Duration::from_millis);
        Ok((service.parse()?, Batches { parallelism: *parallelism, delay, monitor }))
    };
    let batches = record.batches.iter().map(to_batches).collect::<Result<_, _>>();
    Ok(Checkpoint {
        containers: containers.map_err(|error| error.to_string())?,
        networks: networks.map_err(|error: NameError| error.to_string())?,
        recreated,
        hold: hold.map_err(|error: NameError| error.to_string())?,
        batches: batches.map_err(|error: NameError| error.to_string())?,
    })
}

fn to_kept(record: &KeptRecord) -> Result<Kept, NameError> {
    Ok(Kept {
        instance: Instance { service: record.service.parse()?, number: record.number },
        wave: record.wave,
        container: record.container.parse()?,
        name: record.name.parse()?,
        ran: record.ran,
        restart: match record.restart {
            RestartRecord::No => RestartPolicy::No,
            RestartRecord::Always => RestartPolicy::Always,
            RestartRecord::UnlessStopped => RestartPolicy::UnlessStopped,
            RestartRecord::OnFailure(most) => RestartPolicy::OnFailure(most),
        },
        resources: Resources {
            memory: record.memory,
            memory_reservation: record.memory_reservation,
            nano_cpus: record.nano_cpus,
            pids: record.pids,
            memory_swap: record.memory_swap.map(|swap| match swap {
                SwapRecord::Unlimited => Swap::Unlimited,
                SwapRecord::Bytes(bytes) => Swap::Bytes(bytes),
            }),
            cpu_shares: record.cpu_shares,
            cpu_period: record.cpu_period,
            cpu_quota: record.cpu_quota,
            cpu_rt_period: record.cpu_rt_period,
            cpu_rt_runtime: record.cpu_rt_runtime,
            cpuset: record.cpuset.clone(),
            block_io_weight: record.block_io_weight,
        },
        networks: record.networks.as_ref().map(to_networks).transpose()?,
    })
}

fn to_networks(
    records: &BTreeMap<String, AttachmentRecord>,
) -> Result<BTreeMap<NetworkName, Attachment>, NameError> {
    records.iter().map(|(name, record)| Ok((name.parse()?, to_attachment(record)))).collect()
}

pub(super) fn of_changes(changes: &[Change]) -> Vec<ChangeLine> {
    changes
        .iter()
        .map(|change| ChangeLine {
            kind: change.kind.to_string(),
            name: change.name.clone(),
            operation: change.operation.code().to_owned(),
            why: change.why(),
        })
        .collect()
}

/// The columns of a revision: its kind, and the commit if there is one.
pub(super) fn of_revision(revision: &Revision) -> (&'static str, Option<&str>) {
    match revision {
        Revision::Commit(id) => ("commit", Some(id)),
        Revision::WorkTree(id) => ("work-tree", id.as_deref()),
        Revision::Files => ("files", None),
    }
}

pub(super) fn to_revision(kind: &str, commit: Option<String>) -> Result<Revision, String> {
    match (kind, commit) {
        ("commit", Some(id)) => Ok(Revision::Commit(id)),
        ("work-tree", id) => Ok(Revision::WorkTree(id)),
        ("files", None) => Ok(Revision::Files),
        (kind, _) => Err(format!("`{kind}` is no kind of revision")),
    }
}
