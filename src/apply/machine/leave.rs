//! Leaves what runs for an earlier revision, because somebody said so: what is left must not come back by itself, so it is
//! quarantined until the branch brings something else.

use super::Machine;
use crate::apply::ledger::LedgerError;
use crate::apply::ledger::memory::{Quarantined, Stable};
use crate::engine::Engine;
use crate::model::desired::Revision;
use crate::model::name::StackName;
use crate::plan::DesiredDigest;

/// Deploys that are looked through for the one that brought what is left.
const DEPLOYS_LOOKED_AT: u32 = 1000;

/// What is left: the revision, and its entry in the quarantine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    revision: Revision,
    entry: Quarantined,
}

impl<E: Engine> Machine<E> {
    /// Quarantines what is left for `to`, unless that is nothing, has no deploy on record, or has been quarantined already.
    /// Comes before the deploy, so that an agent that wakes up in between doesn't undo it.
    pub fn leave(&self, stack: &StackName, to: &Revision, by: &str) -> Result<Option<Left>, LedgerError> {
        let ledger = self.ledger();
        let (deploy, revision, desired) = if let Some(left) = ledger.half_done(stack)? {
            if ledger.quarantined(stack, &left.desired)?.is_some() {
                return Ok(None);
            }
            (left.id, left.revision, left.desired)
        } else {
            let Some(Stable { revision, desired, .. }) = ledger.last_stable(stack)? else { return Ok(None) };
            let records = ledger.history(stack, DEPLOYS_LOOKED_AT)?;
            let Some(record) = records.into_iter().find(|record| record.desired == desired) else {
                return Ok(None);
            };
            (record.id, revision, desired)
        };
        let why = format!("{revision} was left for {to} by `{by}`");
        let entry = Quarantined { desired, since: self.now(), why, deploy };
        ledger.quarantine(stack, &entry)?;
        Ok(Some(Left { revision, entry }))
    }

    /// Lets out of the quarantine what doesn't belong there after all. `there` is what runs now, if the way there was gone
    /// to its end. Returns what stays in it.
    pub fn settle(
        &self,
        stack: &StackName,
        left: &Left,
        there: Option<&DesiredDigest>,
    ) -> Result<Option<String>, LedgerError> {
        if let Some(desired) = there.filter(|desired| **desired != left.entry.desired) {
            self.ledger().release_one(stack, desired)?;
            return Ok(Some(left.revision.to_string()));
        }
        // It serves still, or both are the same thing.
        self.ledger().release_one(stack, &left.entry.desired)?;
        Ok(None)
    }
}
