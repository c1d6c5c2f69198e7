//! A stack whose way back has failed: nothing is tried again by itself until somebody has looked, or what is desired is
//! something else.

use tracing::{error, warn};

use super::aim::{self, Trouble};
use super::reconcile::Reconciler;
use crate::apply::machine::stuck::Stuck;
use crate::engine::Engine;
use crate::model::name::StackName;
use crate::plan::Plan;

impl<E: Engine> Reconciler<'_, E> {
    /// Why `plan` is not carried out though nothing of it is wrong: it is what failed, or would go back to what is on
    /// record, as the way did that has failed.
    pub(super) fn stuck(&self, plan: &Plan, is_on_record: bool) -> Result<Option<String>, Trouble> {
        // Where nothing is left to do, somebody has put it right.
        if is_on_record && plan.is_empty() {
            return Ok(None);
        }
        let stuck = self.machine.ledger().stuck(&plan.stack).map_err(|error| Trouble::of(&error))?;
        let is_meant = stuck.filter(|stuck| is_on_record || stuck.desired == plan.desired);
        Ok(is_meant.map(|stuck| {
            let why = stuck.failure.unwrap_or_default();
            let (revision, id) = (stuck.revision, stuck.id);
            format!(
                "{revision} failed in deploy {id}, and so did the way back: {why}; `evenkeel status` says how it stands \
                 and how to get out"
            )
        }))
    }

    /// Whether no way back has failed for good, or that is over.
    pub(super) fn is_whole(&self, stack: &StackName) -> Result<bool, Trouble> {
        let left = self.machine.ledger().stuck(stack).map_err(|error| Trouble::of(&error))?;
        Ok(left.is_none())
    }

    /// Tells how a way back that has failed can be gone by hand.
    pub(super) async fn alarm(&self, stack: &StackName) {
        match self.machine.stuck(stack).await {
            Ok(None) => {}
            Ok(Some(Stuck { deploy, lost, by_hand })) => {
                let todo = [lost, by_hand].concat().join("\n  ");
                error!(deploy = %deploy.id, "half done; what is left of the way back, by hand:\n  {todo}");
            }
            Err(error) => warn!(error = aim::chain(&error), "not known how the host stands"),
        }
    }
}
