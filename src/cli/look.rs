//! A look at a stack that works without the host's secrets, too: only the comparison with the manifests needs them.

use std::collections::BTreeSet;

use super::args::Global;
use super::output::Output;
use super::{outcome, select};
use crate::apply::machine::{DeployError, Machine};
use crate::apply::registry::Registries;
use crate::engine::docker::Docker;
use crate::engine::observe::observe;
use crate::manifest::MissingVariables;
use crate::model::desired::Desired;
use crate::model::live::Live;
use crate::plan::Plan;
use crate::plan::refusal::Refused;

/// What the manifests want, and what is there.
pub(super) struct Look {
    pub(super) machine: Machine<Docker>,
    pub(super) desired: Desired,
    pub(super) compared: Compared,
    pub(super) live: Live,
}

/// What comparing the two gave.
pub(super) enum Compared {
    /// What would be done.
    Plan(Box<Plan>),
    /// What stands in the way.
    Refused(Refused),
    /// Nothing, for this reason.
    Not(&'static str),
}

pub(super) async fn look(global: &Global, output: Output) -> anyhow::Result<Look> {
    let strict = select::resolved(global, MissingVariables::Refuse, Output { quiet: true, ..output }).await;
    let is_whole = strict.is_ok();
    let resolved = match strict {
        Ok(resolved) => resolved,
        Err(_) => select::resolved(global, MissingVariables::Placeholder, output).await?,
    };
    let (machine, desired) = (select::machine_to_look(global).await?, resolved.desired);
    let compared = if machine.ledger().open_deploy(&desired.stack)?.is_some() {
        Compared::Not("a deploy has not ended")
    } else if is_whole {
        match machine.plan(&desired, Registries::Ask).await {
            Ok((plan, live)) => {
                return Ok(Look { machine, desired, compared: Compared::Plan(Box::new(plan)), live });
            }
            Err(DeployError::Refused(refused)) => Compared::Refused(refused),
            Err(error) => return Err(outcome::not_planned(error)),
        }
    } else {
        Compared::Not("variables of the host are missing")
    };
    let adopted = machine.ledger().adopted(&desired.stack)?;
    let seen = observe(machine.engine(), &desired.stack, &adopted, &BTreeSet::new()).await;
    let live = seen.map_err(select::unreachable_engine)?;
    Ok(Look { machine, desired, compared, live })
}
