//! What is known of a stack at one moment: three axes that are never mixed, the revisions, and the conditions.
//!
//! Values only, as the API and the terminal show them. They are kept up by [`Board`](super::board::Board).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

/// Whether what runs is what is desired.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Sync {
    /// Nothing is to be changed.
    InSync,
    /// Something is to be changed.
    OutOfSync,
    /// The host or the repository could not be asked.
    #[default]
    Unknown,
}

/// How the services of a stack are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// Every container that is desired runs, and none says that it is unwell.
    Healthy,
    /// A health check hasn't answered yet.
    Progressing,
    /// A container has ended, is restarted again and again, or says that it is unwell.
    Degraded,
    /// A container is not there.
    Missing,
    /// It was not looked at yet.
    #[default]
    Unknown,
}

/// What the agent does with a stack.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(tag = "phase", rename_all = "snake_case")]
pub enum Operation {
    /// Nothing.
    #[default]
    Idle,
    /// It looks at the repository and at the host.
    Looking,
    /// It carries out a plan.
    Applying {
        /// The deploy.
        deploy: String,
        /// Steps that have ended.
        done: usize,
        /// Steps of the plan.
        steps: usize,
        /// What it does at the moment: `start shop-prod-web-1`.
        #[serde(skip_serializing_if = "Option::is_none")]
        what: Option<String>,
    },
    /// It returns to what ran before.
    RollingBack {
        /// The deploy.
        deploy: String,
        /// Steps that have ended.
        done: usize,
        /// Steps of the way back.
        steps: usize,
        /// What it does at the moment.
        #[serde(skip_serializing_if = "Option::is_none")]
        what: Option<String>,
    },
    /// It watches what it has deployed.
    Watching {
        /// The deploy.
        deploy: String,
    },
    /// Something failed that is tried again.
    Waiting {
        /// What failed.
        reason: String,
        /// When it is tried again.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(value_type = Option<String>, format = DateTime)]
        until: Option<Timestamp>,
    },
}

/// One of the three axes, with its reason.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Axis<T> {
    /// The state.
    pub state: T,
    /// Why, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Since when it is this state.
    #[schema(value_type = String, format = DateTime)]
    pub since: Timestamp,
}

impl<T: PartialEq> Axis<T> {
    /// Sets the state. The time moves only where it is another one.
    pub fn set(&mut self, state: T, reason: Option<String>, now: Timestamp) {
        if self.state != state {
            self.since = now;
        }
        self.state = state;
        self.reason = reason;
    }
}

/// The six revisions of a stack.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Revisions {
    /// The newest commit of the branch.
    pub observed: Option<String>,
    /// The commit that was last tried.
    pub attempted: Option<String>,
    /// The commit that was last deployed.
    pub applied: Option<String>,
    /// The commit that was last deployed and has passed its watch.
    pub stable: Option<String>,
    /// What must not be tried again.
    pub quarantined: Vec<Quarantined>,
    /// What is not deployed for now.
    pub held: Option<Held>,
}

/// Something that failed and is not tried again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Quarantined {
    /// The commit with which it was tried last; absent where it was no commit.
    pub commit: Option<String>,
    /// Digest of everything that it desired.
    pub desired: String,
    /// Why.
    pub reason: String,
    /// Since when.
    #[schema(value_type = String, format = DateTime)]
    pub since: Timestamp,
}

/// Why the newest commit is not deployed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Held {
    /// The commit.
    pub commit: Option<String>,
    /// What kind of reason it is.
    pub kind: HoldKind,
    /// Why, in words.
    pub reason: String,
    /// Since when.
    #[schema(value_type = String, format = DateTime)]
    pub since: Timestamp,
}

/// Why the newest commit of a branch is not deployed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum HoldKind {
    /// Its manifests are wrong.
    Invalid,
    /// It did not come after what was deployed last.
    Rewritten,
    /// It, or a commit before it, isn't signed by somebody who may deploy.
    Unverified,
    /// Its content failed before.
    Quarantined,
    /// Something on the host stands in the way of a plan.
    Refused,
    /// It removes so many services that somebody must agree.
    Consent,
    /// Somebody must approve each plan.
    Approval,
    /// A window of the environment forbids deploys now.
    Window,
    /// Somebody has paused the stack.
    Paused,
    /// Somebody has returned the stack to an earlier revision.
    RolledBack,
    /// An earlier deploy ended half done.
    HalfDone,
}

impl HoldKind {
    /// Every kind.
    pub const ALL: [Self; 11] = [
        Self::Invalid,
        Self::Rewritten,
        Self::Unverified,
        Self::Quarantined,
        Self::Refused,
        Self::Consent,
        Self::Approval,
        Self::Window,
        Self::Paused,
        Self::RolledBack,
        Self::HalfDone,
    ];

    /// The word in JSON and in metrics.
    pub fn code(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::Rewritten => "rewritten",
            Self::Unverified => "unverified",
            Self::Quarantined => "quarantined",
            Self::Refused => "refused",
            Self::Consent => "consent",
            Self::Approval => "approval",
            Self::Window => "window",
            Self::Paused => "paused",
            Self::RolledBack => "rolled_back",
            Self::HalfDone => "half_done",
        }
    }
}

/// A statement about a stack that holds or doesn't.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Statement {
    /// The repository can be read.
    SourceReady,
    /// The manifests of the newest commit are right.
    Valid,
    /// Nothing holds the newest commit back.
    Admitted,
    /// What the newest commit desires was deployed.
    Applied,
    /// The services are well.
    Healthy,
    /// The host differs from what was deployed.
    Drifted,
    /// The host can't be asked or changed at the moment, and it is tried again.
    Stalled,
}

/// Whether a statement holds, why, and since when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Condition {
    /// Whether it holds.
    pub holds: bool,
    /// Why, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Since when.
    #[schema(value_type = String, format = DateTime)]
    pub since: Timestamp,
}

/// A time without changes that somebody has asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Paused {
    /// Until when.
    #[schema(value_type = String, format = DateTime)]
    pub until: Timestamp,
    /// Why.
    pub reason: String,
    /// Who asked.
    pub by: String,
}

/// What is known of one stack.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct StackState {
    /// The stack; absent as long as no manifests could be read.
    pub stack: Option<String>,
    /// The environment.
    pub environment: String,
    /// Where the repository is, without any credential.
    pub repository: String,
    /// The branch; absent for the repository's `HEAD`.
    pub branch: Option<String>,
    /// Whether what runs is what is desired.
    pub sync: Axis<Sync>,
    /// How the services are.
    pub health: Axis<Health>,
    /// What is being done.
    pub operation: Axis<Operation>,
    /// The revisions.
    pub revisions: Revisions,
    /// The conditions.
    pub conditions: BTreeMap<Statement, Condition>,
    /// Differences that a plan would mend now.
    pub changes: usize,
    /// Differences that are only told.
    pub reported: usize,
    /// The plan that waits for somebody's approval or consent.
    pub waiting_plan: Option<String>,
    /// Fields that are set back again and again, `service: field`.
    pub contested: BTreeSet<String>,
    /// The pause, where there is one.
    pub paused: Option<Paused>,
    /// What the environment's windows say now, and when that changes.
    pub window: Option<String>,
    /// When the repository was last asked with success.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub fetched: Option<Timestamp>,
    /// When the host was last found or made to be as desired.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub succeeded: Option<Timestamp>,
    /// When the agent looked last.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub looked: Option<Timestamp>,
}

impl StackState {
    /// Sets a condition. The time moves only where it changes.
    pub fn state(&mut self, statement: Statement, holds: bool, reason: Option<String>, now: Timestamp) {
        let since = match self.conditions.get(&statement) {
            Some(condition) if condition.holds == holds => condition.since,
            Some(_) | None => now,
        };
        self.conditions.insert(statement, Condition { holds, reason, since });
    }
}

impl fmt::Display for Sync {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::InSync => "in sync",
            Self::OutOfSync => "out of sync",
            Self::Unknown => "unknown",
        })
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Healthy => "healthy",
            Self::Progressing => "progressing",
            Self::Degraded => "degraded",
            Self::Missing => "missing",
            Self::Unknown => "unknown",
        })
    }
}
