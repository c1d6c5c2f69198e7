//! A plan in a file: what somebody reviews now and applies later, or not at all if anything has moved.
//!
//! The file doesn't hold the steps. `apply` plans again from the revision that the file names, and goes on only if the
//! same plan comes out. So a file can neither be stale nor say anything that the planner would not. No sensitive value
//! is in it: people see `(sensitive)`, and digests are made under a key that never leaves the host.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::fields::DigestKey;
use super::fingerprint::Fingerprint;
use super::json::to_json;
use super::{Plan, PlanId, fields};
use crate::model::desired::Revision;
use crate::model::live::Server;
use crate::model::name::{EnvironmentName, StackName};

/// Version of the form.
pub const VERSION: u32 = 1;

/// A saved plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Saved {
    /// Version of the form.
    evenkeel_plan: u32,
    /// Version of the normal form that the digests are of.
    normal_form: u32,
    /// The id of the plan.
    id: String,
    stack: String,
    environment: Option<String>,
    revision: RevisionForm,
    /// The Docker that it was made for.
    engine: EngineForm,
    /// Tells hosts apart by their keys, without telling the key.
    key: String,
    /// The plan as `plan --json` prints it.
    plan: Value,
    fingerprint: Fingerprint,
    /// Digest of all the above.
    seal: String,
}

/// Where the manifests came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
enum RevisionForm {
    Commit { commit: String },
    WorkTree { commit: Option<String> },
    Files,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EngineForm {
    id: String,
    name: String,
}

/// Why a saved plan can't be applied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SavedError {
    /// It is something else.
    #[error("this is no saved plan of Evenkeel")]
    NotAPlan,
    /// It can't be read as one, or was changed since.
    #[error("the saved plan is damaged: {0}")]
    Damaged(String),
    /// It is of another version.
    #[error("the saved plan has version {found}, and this program knows version {known}")]
    Version {
        /// What the file says.
        found: u64,
        /// What is known.
        known: u32,
    },
    /// It was made on another host, or with another state folder.
    #[error("the saved plan was made for another host ({engine})")]
    OtherHost {
        /// What its Docker calls itself.
        engine: String,
    },
}

impl Saved {
    /// The form of `plan`, which was made for the engine with what the fingerprint is of.
    pub fn new(
        plan: &Plan,
        environment: Option<&EnvironmentName>,
        (engine, fingerprint): (&Server, Fingerprint),
        key: &DigestKey,
    ) -> Self {
        let revision = match &plan.revision {
            Revision::Commit(commit) => RevisionForm::Commit { commit: commit.clone() },
            Revision::WorkTree(commit) => RevisionForm::WorkTree { commit: commit.clone() },
            Revision::Files => RevisionForm::Files,
        };
        let mut saved = Self {
            evenkeel_plan: VERSION,
            normal_form: fields::VERSION,
            id: plan.id.0.clone(),
            stack: plan.stack.to_string(),
            environment: environment.map(ToString::to_string),
            revision,
            engine: EngineForm { id: engine.id.clone(), name: engine.name.clone() },
            key: key_name(key),
            plan: to_json(plan),
            fingerprint,
            seal: String::new(),
        };
        saved.seal = saved.sealed(key);
        saved
    }

    /// The file.
    pub fn to_text(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }

    /// Reads the file. Whether it is this host's is [`Saved::verify`]'s to say.
    ///
    /// # Errors
    /// [`SavedError::NotAPlan`], [`SavedError::Version`] and [`SavedError::Damaged`].
    pub fn read(text: &str) -> Result<Self, SavedError> {
        let damaged = |error: serde_json::Error| {
            SavedError::Damaged(format!("line {}, column {}", error.line(), error.column()))
        };
        let value: Value = match serde_json::from_str(text) {
            Ok(value) => value,
            // It may have been cut off; then it still says what it is.
            Err(error) if text.contains("\"evenkeel_plan\"") => return Err(damaged(error)),
            Err(_) => return Err(SavedError::NotAPlan),
        };
        let found = value.get("evenkeel_plan").and_then(Value::as_u64).ok_or(SavedError::NotAPlan)?;
        if found != u64::from(VERSION) {
            return Err(SavedError::Version { found, known: VERSION });
        }
        serde_json::from_str(text).map_err(damaged)
    }

    /// Whether it was made on this host, and is as it was made.
    ///
    /// # Errors
    /// [`SavedError::OtherHost`] and [`SavedError::Damaged`].
    pub fn verify(&self, engine: &Server, key: &DigestKey) -> Result<(), SavedError> {
        if self.key != key_name(key) || self.engine.id != engine.id {
            return Err(SavedError::OtherHost { engine: self.engine.name.clone() });
        }
        if self.seal != self.sealed(key) {
            return Err(SavedError::Damaged("something in it was changed since it was made".to_owned()));
        }
        Ok(())
    }

    fn sealed(&self, key: &DigestKey) -> String {
        let bare = Self { seal: String::new(), ..self.clone() };
        key.digest(&serde_json::to_string(&bare).unwrap_or_default())
    }

    /// The plan's id.
    pub fn id(&self) -> PlanId {
        PlanId(self.id.clone())
    }

    /// The stack that it is for.
    pub fn is_for(&self, stack: &StackName) -> bool {
        self.stack == stack.as_str()
    }

    /// The name of the stack that it is for.
    pub fn stack(&self) -> &str {
        &self.stack
    }

    /// The environment, where the repository has any.
    pub fn environment(&self) -> Option<&str> {
        self.environment.as_deref()
    }

    /// Where the manifests came from.
    pub fn revision(&self) -> Revision {
        match &self.revision {
            RevisionForm::Commit { commit } => Revision::Commit(commit.clone()),
            RevisionForm::WorkTree { commit } => Revision::WorkTree(commit.clone()),
            RevisionForm::Files => Revision::Files,
        }
    }

    /// What it follows from.
    pub fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }

    /// Whether another version of the normal form made its digests, so that everything seems to have moved.
    pub fn is_of_this_form(&self) -> bool {
        self.normal_form == fields::VERSION
    }
}

fn key_name(key: &DigestKey) -> String {
    let mut name = key.digest("evenkeel: the name of this key");
    name.truncate(16);
    name
}
