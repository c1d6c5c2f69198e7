//! Takes over what others made: only the ledger is written to.

use std::collections::BTreeMap;

use super::look::Known;
use super::{DeployError, Machine, off_the_loop};
use crate::apply::ledger::adopted::TakeOver;
use crate::apply::registry::Registries;
use crate::engine::Engine;
use crate::model::adopted::Adopted;
use crate::model::desired::Desired;
use crate::model::name::{ContainerId, Instance, StackName};
use crate::plan::Plan;
use crate::plan::adopt::{self, Selection, Wish};
use crate::plan::fields::Fields;
use crate::plan::refusal::{Refusal, Refused};

/// What taking over would mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    /// What is taken over.
    pub selection: Selection,
    /// The plan as it is afterwards.
    pub plan: Plan,
    /// What the containers count as made from.
    applied: BTreeMap<Instance, (ContainerId, Fields)>,
}

impl<E: Engine> Machine<E> {
    /// What it would mean to take over what `wish` says. Writes nothing.
    ///
    /// # Errors
    /// Everything that stands in the way of taking it over, or of planning afterwards.
    pub async fn propose(
        &self,
        desired: &Desired,
        wish: &Wish,
        registries: Registries,
    ) -> Result<Proposal, DeployError> {
        self.admit(desired)?;
        let stack = &desired.stack;
        self.no_open_deploy(stack)?;
        let known = self.known(stack)?;
        let live = self.look(desired, &known.adopted).await?;
        let selection = adopt::select(desired, &live, wish)?;
        self.adopted_by_nobody(desired, &selection.adopted)?;
        let adopted = known.adopted.with(&selection.adopted);
        // Looked at again, as the stack's own.
        let live = self.look(desired, &adopted).await?;
        let files = self.files.root().to_string_lossy();
        let host = self.normal_host(&files);
        let applied = adopt::baseline(desired, &live, &selection.adopted, (&known.last, host))?;
        let mut last = known.last;
        last.current.extend(applied.clone());
        let known = Known { last, adopted };
        let (plan, _) = self.plan_from(desired, &known, registries).await?;
        Ok(Proposal { selection, plan, applied })
    }

    /// Takes over what `proposal` says, in one record.
    ///
    /// # Errors
    /// [`DeployError::Stale`] if the plan afterwards would be another one than the proposal's by now.
    pub async fn adopt(
        &self,
        desired: &Desired,
        (wish, proposal): (&Wish, &Proposal),
        actor: &str,
    ) -> Result<(), DeployError> {
        let _lock = self.lock(&desired.stack, actor)?;
        let now = self.propose(desired, wish, Registries::Recall).await?;
        if now.plan.id != proposal.plan.id || now.selection != proposal.selection {
            return Err(DeployError::Stale { expected: proposal.plan.id.clone(), found: now.plan.id });
        }
        let taken = TakeOver { plan: &now.plan, adopted: &now.selection.adopted, applied: &now.applied };
        Ok(off_the_loop(|| self.ledger.adopt(taken, self.clock.now()))?)
    }

    /// An object has one owner, also where no label says so.
    fn adopted_by_nobody(&self, desired: &Desired, adopted: &Adopted) -> Result<(), DeployError> {
        let elsewhere = off_the_loop(|| self.ledger.adopted_elsewhere(&desired.stack, adopted))?;
        if elsewhere.is_empty() {
            return Ok(());
        }
        let refusal = |(object, stack): (String, StackName)| Refusal {
            what: format!("the {object} can't be adopted: the stack `{stack}` has adopted it"),
            hint: "it has one owner: let that stack replace it, or remove it".to_owned(),
        };
        Err(Refused(elsewhere.into_iter().map(refusal).collect()).into())
    }
}
