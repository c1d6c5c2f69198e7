//! The way back: looks at the host as it is, has the plan of the return made, and runs it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::ledger::Direction;
use super::progress::Event;
use super::secrets::Secrets;
use super::step::{Made, Site};
use super::words::Names;
use super::{StepFailure, Tools, runner};
use crate::engine::{Engine, EngineError, observe};
use crate::model::live::Live;
use crate::plan::{OpenDeploy, rollback};

/// Pauses between the attempts to look at the host: an engine that restarts needs some seconds.
const LOOK_PAUSES: [Duration; 5] = [
    Duration::from_millis(200),
    Duration::from_secs(1),
    Duration::from_secs(3),
    Duration::from_secs(5),
    Duration::from_secs(10),
];

/// Pauses between the attempts of the whole way: what failed for a passing reason is tried again from a new look.
const ROUND_PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(5)];

/// Returns the stack to the checkpoint of `open`, as far as it can. What it can't is returned; nothing means all is as
/// it was before.
pub(super) async fn go_back<E: Engine>(
    engine: &E,
    tools: Tools<'_>,
    open: &OpenDeploy,
    secrets: &Secrets,
) -> Vec<StepFailure> {
    let mut failures = round(engine, tools, open, secrets).await;
    for pause in ROUND_PAUSES {
        if !failures.iter().any(|failure| failure.transient) {
            break;
        }
        time::sleep(pause).await;
        failures = round(engine, tools, open, secrets).await;
    }
    failures
}

async fn round<E: Engine>(
    engine: &E,
    tools: Tools<'_>,
    open: &OpenDeploy,
    secrets: &Secrets,
) -> Vec<StepFailure> {
    let live = match look(engine, open).await {
        Ok(live) => live,
        Err(error) => return vec![unseen(&error)],
    };
    let plan = rollback::rollback(open, &live);
    tools.progress.event(Event::RollbackBegan { steps: plan.steps.len() });
    let site = Site {
        engine,
        tools,
        deploy: &open.id,
        stack: &open.stack,
        contents: &BTreeMap::new(),
        direction: Direction::Back,
        names: Names::of_live(&live),
        secrets: secrets.with_live(&live),
        made: Made::default(),
        // Nothing ends the way back: half of it is what must not be.
        halt: CancellationToken::new(),
        plan: None,
    };
    runner::back(&site, &plan.steps).await.failures
}

async fn look<E: Engine>(engine: &E, open: &OpenDeploy) -> Result<Live, EngineError> {
    for pause in LOOK_PAUSES {
        match observe::observe(engine, &open.stack, &BTreeSet::new()).await {
            Err(error) if error.is_transient() => {
                warn!(%error, "the host can't be seen, looking again");
                time::sleep(pause).await;
            }
            seen => return seen,
        }
    }
    observe::observe(engine, &open.stack, &BTreeSet::new()).await
}

fn unseen(error: &EngineError) -> StepFailure {
    StepFailure {
        what: "look at the host".to_owned(),
        instance: None,
        cause: error.to_string(),
        // Whatever it is, the way back is still to be gone.
        transient: true,
        log_tail: Vec::new(),
    }
}
