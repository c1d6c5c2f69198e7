//! What a host may tell elsewhere about a stack that it runs, so that a pull request shows what would change there.
//!
//! The rule is that nothing leaves which the reader of the repository doesn't know already: a value is told if it is
//! what the manifests said when it was last applied, and wasn't sensitive; or if it is of a kind that is never a secret,
//! like a memory limit or a port. Of everything else it is only told that it is there, and whether somebody changed it.
//! There are no digests in it: the digest of a short secret could be found out by trying.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::fields::{self, FieldPath, FieldValue, Fields};
use super::normal::{Host, defaults, of_live};
use super::{LastApplied, diff, images};

use crate::model::live::{Live, LiveContainer, Status};
use crate::model::name::{EnvironmentName, StackName};
use crate::model::spec::{Namespace, Peer};

mod compared;

pub use compared::{Sides, compare};

/// Version of the form.
pub const VERSION: u32 = 1;

/// Fields whose values are never a secret.
const HARMLESS: [&str; 35] = [
    "image",
    "platform",
    "restart",
    "deploy",
    "networks",
    "ports",
    "expose",
    "init",
    "read_only",
    "tty",
    "stdin_open",
    "privileged",
    "cap_add",
    "cap_drop",
    "stop_signal",
    "stop_grace_period",
    "shm_size",
    "ulimits",
    "user",
    "container_name",
    "working_dir",
    "network_mode",
    "ipc",
    "pid",
    "uts",
    "userns_mode",
    "cgroup",
    "memswap_limit",
    "cpu_shares",
    "cpu_period",
    "cpu_quota",
    "cpuset",
    "blkio_config",
    "mem_swappiness",
    "oom_score_adj",
];

/// What was seen of a stack.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Observation {
    #[serde(rename = "evenkeel_observation")]
    version: u32,
    normal_form: u32,
    stack: String,
    environment: Option<String>,
    /// The revision that was last applied, if any was.
    revision: Option<String>,
    /// When it was seen.
    at: String,
    /// What Docker calls itself.
    engine: String,
    containers: BTreeMap<String, Observed>,
}

/// One container.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Observed {
    name: String,
    status: String,
    runs: bool,
    /// Whether it is on record what it was made from. Without that nobody knows what was changed by hand.
    recorded: bool,
    fields: BTreeMap<FieldPath, Glimpse>,
}

/// What is told of one field.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Glimpse {
    /// Its value.
    Value { value: FieldValue, drifted: bool },
    /// That it has one.
    Hidden { drifted: bool },
    /// That it was declared, and somebody took it away.
    Gone,
}

/// Whose observation it is.
pub struct Seen<'a> {
    /// The stack.
    pub stack: &'a StackName,
    /// The environment, where the repository has any.
    pub environment: Option<&'a EnvironmentName>,
    /// The revision that was last applied, if any was.
    pub revision: Option<String>,
    /// The time.
    pub at: String,
}

/// Why an observation can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ObservationError {
    /// It is something else, or damaged.
    #[error("this is no observation of Evenkeel, or it is damaged")]
    Damaged,
    /// It is of another version.
    #[error("the observation is of another version of Evenkeel")]
    Version,
}

impl Observation {
    /// What may be told of `live`.
    pub fn of(seen: Seen<'_>, live: &Live, last: &LastApplied, host: Host<'_>) -> Self {
        let Seen { stack, environment, revision, at } = seen;
        let mut containers = BTreeMap::new();
        for container in live.containers.values() {
            let record = last.current.get(&container.instance);
            let serves = match record {
                Some((id, _)) => *id == container.id,
                None => runs(container),
            };
            if serves {
                let applied = record.map(|(_, fields)| fields);
                let seen = observed(&by_name(container, live, last), applied, live, host);
                containers.insert(container.instance.to_string(), seen);
            }
        }
        Self {
            version: VERSION,
            normal_form: fields::VERSION,
            stack: stack.to_string(),
            environment: environment.map(ToString::to_string),
            revision,
            at,
            engine: live.server.name.clone(),
            containers,
        }
    }

    /// The file.
    pub fn to_json(&self) -> Value {
        serde_json::to_value(self).unwrap_or(Value::Null)
    }

    /// Reads the file.
    ///
    /// # Errors
    /// When it is none, or of another version.
    pub fn read(text: &str) -> Result<Self, ObservationError> {
        let value: Value = serde_json::from_str(text).map_err(|_| ObservationError::Damaged)?;
        let number = |key: &str| value.get(key).and_then(Value::as_u64);
        match (number("evenkeel_observation"), number("normal_form")) {
            (None, _) | (_, None) => Err(ObservationError::Damaged),
            (Some(version), Some(form)) if (version, form) != (VERSION.into(), fields::VERSION.into()) => {
                Err(ObservationError::Version)
            }
            _ => serde_json::from_value(value).map_err(|_| ObservationError::Damaged),
        }
    }

    /// The name of the stack.
    pub fn stack(&self) -> &str {
        &self.stack
    }

    /// When it was made, and what ran.
    pub fn said(&self) -> String {
        let revision = self.revision.as_deref().unwrap_or("nothing");
        format!("seen at {} on {}, with {revision} applied", self.at, self.engine)
    }
}

fn runs(container: &LiveContainer) -> bool {
    matches!(container.state.status, Status::Running | Status::Paused | Status::Restarting)
}

/// `container` with the names of those whose namespaces it uses, as manifests have them: an id says nothing elsewhere.
/// One that no longer serves keeps its id, and so differs from what was declared.
fn by_name(container: &LiveContainer, live: &Live, last: &LastApplied) -> LiveContainer {
    let mut container = container.clone();
    for (_, namespace) in container.spec.namespaces.by_key_mut() {
        let Some(Namespace::Of(peer)) = namespace else { continue };
        let Peer::Id(id) = &*peer else { continue };
        let serves = |own: &&LiveContainer| {
            last.current.get(&own.instance).map_or_else(|| runs(own), |(serving, _)| serving == id)
        };
        let own = live.containers.get(id).filter(serves);
        let named = own.map(|own| Peer::Service(own.instance.service.clone()));
        let foreign = || Some(Peer::Container(live.others.get(id)?.name.to_string()));
        if let Some(named) = named.or_else(foreign) {
            *peer = named;
        }
    }
    container
}

fn observed(container: &LiveContainer, applied: Option<&Fields>, live: &Live, host: Host<'_>) -> Observed {
    // Which image runs is told by the name that people gave it, unless they gave a digest.
    let exactly = of_live(&container.spec, host);
    let named = of_live(&images::by_name(&container.spec), host);
    let filled_in = defaults(container, live.images.get(&container.image), host);
    let nothing = Fields::default();
    let declared = applied.unwrap_or(&nothing);
    let paths: BTreeSet<&FieldPath> = named.paths().chain(declared.paths()).collect();
    let glimpse = |path: &FieldPath| {
        let as_declared = exactly.get(path).filter(|value| declared.get(path) == Some(value));
        let value = as_declared.or_else(|| named.get(path));
        let harmless = HARMLESS.iter().any(|group| path.is_in(group));
        match (value, declared.get(path)) {
            (None, _) => Some(Glimpse::Gone),
            (Some(value), Some(last @ FieldValue::Sensitive(_))) => {
                Some(Glimpse::Hidden { drifted: value.clone().hidden(host.key) != *last })
            }
            (Some(value), Some(last)) if value == last => {
                Some(Glimpse::Value { value: value.clone(), drifted: false })
            }
            (Some(value), Some(_)) if harmless => {
                Some(Glimpse::Value { value: value.clone(), drifted: true })
            }
            (Some(_), Some(_)) => Some(Glimpse::Hidden { drifted: true }),
            (_, None) if exactly.get(path) == filled_in.get(path) => None,
            // Nobody declared it. What Docker doesn't let people change afterwards is its own.
            (Some(_), None) if applied.is_some() && !diff::is_changeable(path) => None,
            (Some(value), None) if harmless => {
                Some(Glimpse::Value { value: value.clone(), drifted: applied.is_some() })
            }
            (Some(_), None) => Some(Glimpse::Hidden { drifted: applied.is_some() }),
        }
    };
    Observed {
        name: container.name.to_string(),
        status: container.state.status.to_string(),
        runs: runs(container),
        recorded: applied.is_some(),
        fields: paths.into_iter().filter_map(|path| Some((path.clone(), glimpse(path)?))).collect(),
    }
}
