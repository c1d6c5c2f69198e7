//! The form in which the ledger keeps values of the model and the planner.
//!
//! The nouns themselves have no serial form: what is on the disk outlives any release and is written down here alone.

use serde::{Deserialize, Serialize};

use crate::model::desired::Revision;
use crate::model::name::{Instance, NameError};
use crate::model::spec::{Resources, RestartPolicy};
use crate::plan::change::Change;
use crate::plan::{Checkpoint, Kept};

use super::history::ChangeLine;

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct CheckpointRecord {
    containers: Vec<KeptRecord>,
    networks: Vec<String>,
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
    let Checkpoint { containers, networks } = checkpoint;
    CheckpointRecord {
        containers: containers.iter().map(of_kept).collect(),
        networks: networks.iter().map(ToString::to_string).collect(),
    }
}

fn of_kept(kept: &Kept) -> KeptRecord {
    let Kept { instance, wave, container, name, ran, restart, resources } = kept;
    let Resources { memory, memory_reservation, nano_cpus, pids } = resources;
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
    }
}

pub(super) fn to_checkpoint(json: &str) -> Result<Checkpoint, String> {
    let record: CheckpointRecord = serde_json::from_str(json).map_err(|error| error.to_string())?;
    let containers = record.containers.iter().map(to_kept).collect::<Result<_, _>>();
    let networks = record.networks.iter().map(|name| name.parse()).collect::<Result<_, _>>();
    Ok(Checkpoint {
        containers: containers.map_err(|error| error.to_string())?,
        networks: networks.map_err(|error: NameError| error.to_string())?,
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
        },
    })
}

pub(super) fn of_changes(changes: &[Change]) -> Vec<ChangeLine> {
    changes
        .iter()
        .map(|change| ChangeLine {
            kind: change.kind.to_string(),
            name: change.name.clone(),
            operation: change.operation.code().to_owned(),
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
