//! A stack whose way back has failed: what stands, and how a person gets out of it.

use std::collections::BTreeSet;

use super::look::Known;
use super::{DeployError, Machine, off_the_loop};
use crate::apply::ledger::LedgerError;
use crate::apply::ledger::history::DeployRecord;
use crate::engine::Engine;
use crate::engine::observe::observe;
use crate::model::name::StackName;
use crate::plan::OpenDeploy;
use crate::plan::by_hand;
use crate::plan::rollback::rollback;

/// A deploy whose way back has failed. Nothing is tried again by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stuck {
    /// The deploy.
    pub deploy: DeployRecord,
    /// What can't be as it was any more.
    pub lost: Vec<String>,
    /// The commands of Docker that are left of the way back, in their order, from how the host is now.
    pub by_hand: Vec<String>,
}

impl<E: Engine> Machine<E> {
    /// The deploy that left `stack` half done because its way back has failed, and what is left of that way now. Writes
    /// nothing.
    pub async fn stuck(&self, stack: &StackName) -> Result<Option<Stuck>, DeployError> {
        let found = off_the_loop(|| {
            let Some(deploy) = self.ledger.stuck(stack)? else { return Ok(None) };
            let checkpoint = self.ledger.checkpoint(&deploy.id)?;
            Ok::<_, LedgerError>(Some((deploy, checkpoint)))
        })?;
        let Some((deploy, checkpoint)) = found else { return Ok(None) };
        let Known { last: _, adopted } = self.known(stack)?;
        // On the heap: a look is many calls of the engine deep.
        let live = Box::pin(observe(&self.engine, stack, &adopted, &BTreeSet::new())).await?;
        let open = OpenDeploy { id: deploy.id.clone(), stack: stack.clone(), checkpoint };
        let way = rollback(&open, &live, &self.files.root().to_string_lossy());
        let by_hand = by_hand::commands(&way.steps, &live);
        Ok(Some(Stuck { deploy, lost: way.notes, by_hand }))
    }
}
