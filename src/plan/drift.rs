//! What is left as it is, because the policy of a service says so.
//!
//! Policy speaks only of drift: a difference that somebody made on the host. That is known only where it is on record
//! what was applied. What a deploy of our own left unfinished is never anybody's wish, and is always put right.

use super::change::{Cause, FieldChange, Reason};
use super::fields::Fields;
use crate::model::live::LiveContainer;
use crate::model::name::ContainerName;
use crate::model::policy::{Drift, NAME, STATE, Treatment};
use crate::model::spec::RestartPolicy;

/// What differs of one container and is left as it is.
#[derive(Debug, Default)]
pub(super) struct Left {
    /// Why the container as a whole is not as it should be, if that is told.
    pub(super) reason: Option<Reason>,
    /// The fields that are told.
    pub(super) fields: Vec<FieldChange>,
    /// How many differences are not even told.
    pub(super) ignored: usize,
}

impl Left {
    /// Whether something is to be told.
    pub(super) fn is_told(&self) -> bool {
        self.reason.is_some() || !self.fields.is_empty()
    }

    /// Notes that the container is not there or doesn't run. Returns whether that is left so.
    pub(super) fn leaves(&mut self, policy: &Drift, reason: Reason) -> bool {
        match policy.of(STATE) {
            Treatment::Repair => return false,
            Treatment::Report => self.reason = Some(reason),
            Treatment::Ignore => self.ignored += 1,
        }
        true
    }

    /// Takes the differences out of `changes` that are left as they are.
    pub(super) fn take(&mut self, changes: Vec<FieldChange>, policy: &Drift) -> Vec<FieldChange> {
        let mut repaired = Vec::with_capacity(changes.len());
        for change in changes {
            match (change.cause, policy.of(change.path.as_str())) {
                (Cause::Git | Cause::Image | Cause::Secret | Cause::Dependency, _)
                | (Cause::Drift, Treatment::Repair) => {
                    repaired.push(change);
                }
                (Cause::Drift, Treatment::Report) => self.fields.push(change),
                (Cause::Drift, Treatment::Ignore) => self.ignored += 1,
            }
        }
        repaired
    }
}

/// The policy that holds for a container of the stack as it is found. Without a record nothing is known to be drift.
pub(super) fn policy(declared: &Drift, applied: Option<&Fields>) -> Drift {
    if applied.is_some() { declared.clone() } else { Drift::default() }
}

/// Whether the container bears what only a deploy of our own gives it for a while: no restart policy where one is
/// wanted, or a name of a successor or of one that was retired. Then a deploy was cut off, and nobody wished for it.
pub(super) fn is_unfinished(container: &LiveContainer, wanted: RestartPolicy, name: &ContainerName) -> bool {
    let is_fenced = container.spec.restart == RestartPolicy::No && wanted != RestartPolicy::No;
    let suffix = container.name.as_str().strip_prefix(name.as_str()).unwrap_or_default();
    is_fenced || suffix.starts_with(".next") || suffix.starts_with(".retired-")
}

/// The same policy where a deploy was cut off: the fields that it had not come to are put right.
pub(super) fn unfinished(policy: Drift) -> Drift {
    let mut policy = policy;
    for field in [STATE, NAME, "restart"] {
        policy.set(field, Treatment::Repair);
    }
    policy
}
