//! Decides what to do: (desired, live, last applied) → [`Plan`]. Pure: no clock, no effect, the same input always
//! gives the same plan.
//!
//! A plan is a value that leaves no choice to the executor. Rolling back and recovering from a crash are plans too,
//! made by [`rollback`] and run by the same executor.

use std::collections::BTreeMap;

use crate::model::desired::{Revision, Service};
use crate::model::name::{ContainerId, ContainerName, DeployId, Instance, NetworkName, StackName, TierName};
use crate::model::spec::{Resources, RestartPolicy};

pub mod fields;
pub mod normal;
mod diff;
pub mod change;
pub mod step;
pub mod refusal;
mod shared;
mod decide;
mod order;
mod ports;
mod sequence;
mod assemble;
pub mod rollback;
pub mod check;
pub mod content;
pub mod text;
pub mod json;

use change::Change;
use fields::Fields;
use step::Step;

pub use assemble::plan;

/// Everything that an executor needs, and everything that people want to know before it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Follows from what is desired and what is live: the same plan has the same id, a stale one another.
    pub id: PlanId,
    /// The stack.
    pub stack: StackName,
    /// What is being deployed.
    pub revision: Revision,
    /// Digest of everything desired; what is quarantined when a deploy fails.
    pub desired: DesiredDigest,
    /// The tiers in order, for the text form.
    pub tiers: Vec<TierName>,
    /// What changes, in the order in which it is shown.
    pub changes: Vec<Change>,
    /// How many services, networks and volumes stay as they are.
    pub unchanged: usize,
    /// Things that people should know and that no step changes.
    pub notes: Vec<String>,
    /// Services that would be removed, if they are so many that somebody must agree first.
    pub consent: Option<Consent>,
    /// What to do, sorted by turn.
    pub steps: Vec<Step>,
    /// What to return to if it fails.
    pub checkpoint: Checkpoint,
    /// What every instance of the stack is made of once the plan is carried out: what the ledger keeps as last
    /// applied.
    pub outcome: BTreeMap<Instance, Applied>,
}

impl Plan {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }
}

/// Twelve hexadecimal digits that name a plan.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PlanId(pub String);

impl std::fmt::Display for PlanId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&self.0)
    }
}

/// Digest of everything that one stack desires, in hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct DesiredDigest(pub String);

/// A removal that somebody must agree to, bound to one plan by its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consent {
    /// The services that would be removed.
    pub removed: Vec<String>,
    /// How many services there are now.
    pub of: usize,
}

/// One container of the stack after the plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// The container.
    pub target: step::Target,
    /// What it was made from.
    pub fields: Fields,
}

/// What the ledger remembers of a stack.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LastApplied {
    /// The containers that serve, with what they were made from, since the last commit.
    pub current: BTreeMap<Instance, (ContainerId, Fields)>,
}

/// The state that a failed deploy returns to: what was there before it began.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checkpoint {
    /// The containers that the plan stops or changes.
    pub containers: Vec<Kept>,
    /// Networks that the plan creates.
    pub networks: Vec<NetworkName>,
}

/// A container as it was before a deploy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Which one of the stack it is.
    pub instance: Instance,
    /// The wave of its tier, for the order of revival.
    pub wave: u16,
    /// Its id.
    pub container: ContainerId,
    /// Its name.
    pub name: ContainerName,
    /// Whether it ran.
    pub ran: bool,
    /// Its restart policy.
    pub restart: RestartPolicy,
    /// Its limits.
    pub resources: Resources,
}

/// A deploy that was begun, as the ledger has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenDeploy {
    /// Its id, also a label of the containers that it created.
    pub id: DeployId,
    /// The stack.
    pub stack: StackName,
    /// What it returns to.
    pub checkpoint: Checkpoint,
}
