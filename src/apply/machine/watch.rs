//! The watch after a commit, as the agent and `apply --watch` keep it.

use std::collections::BTreeMap;

use super::look::Known;
use super::{DeployError, Machine, Order};
use crate::apply::ledger::watch::OpenWatch;
use crate::apply::soak::{self, Soak};
use crate::apply::{Outcome, StepFailure};
use crate::engine::Engine;
use crate::model::desired::Gate;
use crate::model::name::{ServiceName, StackName};
use crate::plan::Plan;

impl<E: Engine> Machine<E> {
    /// Looks at what is watched. Returns the first container that has failed, and why. `gates` are those of services, as
    /// far as they are known.
    pub async fn soak(
        &self,
        stack: &StackName,
        open: &OpenWatch,
        gates: &BTreeMap<ServiceName, Gate>,
    ) -> Result<Option<StepFailure>, DeployError> {
        let Known { last, adopted } = self.known(stack)?;
        let prober = self.prober.as_ref();
        let soak = Soak { stack, open, last: &last, adopted: &adopted, gates, prober };
        Ok(soak::look(&self.engine, soak, self.now()).await?)
    }

    /// Deploys what ran before a watch that has failed, as [`Machine::deploy`] does.
    ///
    /// # Errors
    /// As there, but for [`DeployError::NeedsConsent`]: whoever wants a watch wants all that came with the failed deploy
    /// to go.
    pub async fn return_from_watch(&self, order: Order<'_>) -> Result<(Plan, Outcome), DeployError> {
        match self.deploy(order).await {
            Err(DeployError::NeedsConsent { plan, .. }) => {
                self.deploy(Order { accepted: Some(&plan), ..order }).await
            }
            deployed => deployed,
        }
    }
}
