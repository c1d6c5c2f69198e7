//! Takes over what others made: only the ledger is written to.

use std::collections::{BTreeMap, BTreeSet};

use super::look::Known;
use super::{DeployError, Machine, off_the_loop, random};
use crate::apply::ledger::adopted::TakeOver;
use crate::apply::ledger::new_deploy_id;
use crate::apply::registry::Registries;
use crate::engine::Engine;
use crate::engine::observe::observe;
use crate::model::adopted::Adopted;
use crate::model::desired::Desired;
use crate::model::draft::Draft;
use crate::model::name::{ContainerId, Instance, StackName};
use crate::plan::Plan;
use crate::plan::adopt::{self, Selection, Wish};
use crate::plan::draft;
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

/// What stands for the stack while it is only being asked what there is: nothing of anybody's bears it.
const NOBODY: &str = "evenkeel-looks";

impl<E: Engine> Machine<E> {
    /// Writes down what the containers that `wish` means are made of. Where they are not all of one Compose project, the
    /// stack is called `otherwise`. Changes nothing.
    ///
    /// # Errors
    /// Everything that isn't clear about the wish.
    pub async fn draft(
        &self,
        wish: &Wish,
        (named, otherwise): (Option<&StackName>, &StackName),
    ) -> Result<Draft, DeployError> {
        let nobody: StackName = NOBODY.parse().map_err(|error| DeployError::Bug(vec![format!("{error}")]))?;
        let nothing = BTreeSet::new();
        let live = observe(&self.engine, &nobody, &Adopted::none(), &nothing).await?;
        let chosen = draft::choose(&live, wish)?;
        let stack = match (&chosen.stack, named) {
            (Some(project), Some(named)) if project != named && matches!(wish, Wish::Project(_)) => {
                return Err(Refused(vec![Refusal {
                    what: format!("the Compose project is `{project}`, and the stack would be `{named}`"),
                    hint:
                        "let both have one name, so that the names of containers, networks and volumes stay: \
                           leave `--project-name` out"
                            .to_owned(),
                }])
                .into());
            }
            (found, named) => named.or(found.as_ref()).unwrap_or(otherwise),
        };
        let live = observe(&self.engine, &nobody, &chosen.containers, &nothing).await?;
        // The images can be asked for only once it is known which those are.
        let references = draft::references(&chosen, &live);
        let live = observe(&self.engine, &nobody, &chosen.containers, &references).await?;
        let files = self.files.root().to_string_lossy();
        Ok(draft::draft(stack, &chosen, &live, self.normal_host(&files)))
    }

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
        let mut selection = adopt::select(desired, &live, wish)?;
        self.adopted_by_nobody(desired, &selection.adopted)?;
        let adopted = known.adopted.with(&selection.adopted);
        // Looked at again, as the stack's own.
        let live = self.look(desired, &adopted).await?;
        adopt::keepable(&live, &selection.adopted)?;
        selection.notes.extend(adopt::notes(desired, &live, &selection.adopted));
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
        let id = new_deploy_id(self.now(), random().map_err(DeployError::Random)?);
        let Proposal { selection, plan, applied } = &now;
        let taken = TakeOver { plan, adopted: &selection.adopted, applied, id: &id, actor };
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
