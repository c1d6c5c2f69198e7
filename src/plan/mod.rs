//! Decides what to do: (desired, live, last applied) → [`Plan`]. Pure: no clock, no effect, the same input always
//! gives the same plan.
//!
//! A plan is a value that leaves no choice to the executor. Rolling back and recovering from a crash are plans too,
//! made by [`rollback`] and run by the same executor.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::model::desired::{Expect, Revision};
use crate::model::image::ImageRef;
use crate::model::name::{
    ContainerId, ContainerName, DeployId, Instance, NetworkName, ServiceName, StackName, TierName,
};
use crate::model::spec::{Attachment, NetworkSpec, Resources, RestartPolicy};
use crate::model::update::Batches;

pub mod adopt;
pub mod draft;
pub mod fields;
pub mod normal;
pub mod images;
pub mod grants;
mod attached;
mod requires;
mod diff;
pub mod change;
pub mod step;
pub mod refusal;
mod shared;
mod recreate;
mod drift;
mod decide;
mod order;
mod peers;
mod ports;
mod addresses;
pub mod place;
mod strategy;
mod turns;
mod sequence;
mod assemble;
pub mod rollback;
pub mod by_hand;
pub mod onward;
pub mod check;
pub mod content;
mod inert;
mod lines;
pub mod text;
pub mod json;
pub mod compare;
pub mod fingerprint;
pub mod saved;
pub mod observation;
pub mod review;
pub mod markdown;

use change::{Cause, Change};
use fields::Fields;
use step::{Action, Step};

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
    /// What differs and is only told: no step changes it.
    pub reported: Vec<Change>,
    /// How many differences are not even told.
    pub ignored: usize,
    /// The containers, networks and volumes that stay as they are.
    pub unchanged: Vec<Unchanged>,
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
    /// The containers that it starts and that are watched after the commit: for how long, and what they are for.
    pub watch: BTreeMap<Instance, (Duration, Expect)>,
}

impl Plan {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Whether it only puts right what somebody has changed on the host: nothing in the repository is another.
    pub fn is_repair(&self) -> bool {
        let causes = |change: &Change| {
            let fields = change.fields.iter().map(|field| field.cause);
            change.reason.cause().into_iter().chain(fields).collect::<Vec<_>>()
        };
        let mut causes = self.changes.iter().flat_map(causes);
        causes.all(|cause| matches!(cause, Cause::Drift | Cause::Dependency))
    }

    /// The images that it fetches, each with the services whose containers are created from it.
    pub fn pulls(&self) -> Vec<Pull<'_>> {
        let made_of = |image: &ImageRef| {
            let users = self.steps.iter().filter_map(|step| match &step.action {
                Action::Create { instance, spec, .. } if spec.images().any(|used| used == image) => {
                    Some(&instance.service)
                }
                _ => None,
            });
            users.collect::<BTreeSet<_>>()
        };
        let pulls = self.steps.iter().filter_map(|step| match &step.action {
            Action::PullImage { image, platform: _ } => Some(Pull { image, services: made_of(image) }),
            _ => None,
        });
        pulls.collect()
    }
}

/// An image that a plan fetches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pull<'a> {
    /// The image, pinned where its digest is known.
    pub image: &'a ImageRef,
    /// Who needs it.
    pub services: BTreeSet<&'a ServiceName>,
}

/// An object that the plan leaves as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unchanged {
    /// The tier of a service.
    pub tier: Option<TierName>,
    /// What kind of object it is.
    pub kind: change::Kind,
    /// Its name for people.
    pub name: String,
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
    /// Containers that no clean-up removes: the deploy that replaced them is being watched.
    pub kept: BTreeSet<ContainerId>,
}

/// The state that a failed deploy returns to: what was there before it began.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checkpoint {
    /// The containers that the plan stops or changes.
    pub containers: Vec<Kept>,
    /// Networks that the plan creates where there was none.
    pub networks: Vec<NetworkName>,
    /// Networks that the plan makes anew, as they were.
    pub recreated: Vec<NetworkSpec>,
    /// New containers that the plan starts and whose services are not rolled back: once one of them has run, the deploy
    /// stays where it is when it fails.
    pub hold: BTreeSet<Instance>,
    /// How the containers of a service return, where that isn't all at once.
    pub batches: BTreeMap<ServiceName, Batches>,
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
    /// How it was attached to networks, if the plan changes that.
    pub networks: Option<BTreeMap<NetworkName, Attachment>>,
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
