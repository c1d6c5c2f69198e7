//! The way back, and the way on: looks at the host as it is, has the plan made, and runs it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::ledger::{Direction, LedgerError};
use super::progress::Event;
use super::secrets::Secrets;
use super::step::{Made, Site};
use super::words::Names;
use super::{StepFailure, Tools, off_the_loop, runner};
use crate::engine::{Engine, EngineError, observe};
use crate::model::adopted::Adopted;
use crate::model::desired::RepositoryContent;
use crate::model::live::Live;
use crate::model::name::{DeployId, StackName};
use crate::model::spec::ContentDigest;
use crate::plan::OpenDeploy;
use crate::plan::onward::onward;
use crate::plan::rollback::{Held, Way, way};

/// Pauses between the attempts to look at the host: an engine that restarts needs some seconds.
const LOOK_PAUSES: [Duration; 5] = [
    Duration::from_millis(200),
    Duration::from_secs(1),
    Duration::from_secs(3),
    Duration::from_secs(5),
    Duration::from_secs(10),
];

/// Pauses between the attempts of the whole way: what failed is tried again from a new look. That it can't be done is not
/// believed at once: a port was taken for a moment, or a killed controller's last call came between.
const ROUND_PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(5)];

/// Where the way back has led.
#[derive(Debug, Default)]
pub(super) struct Back {
    /// What of it failed; nothing means that all is as it was before, or as it is held.
    pub(super) failures: Vec<StepFailure>,
    /// What stays as it is, where the deploy is not rolled back.
    pub(super) held: Option<Held>,
    /// How many steps the last round had.
    steps: usize,
}

impl Back {
    /// Whether it is to be gone again: what failed may succeed later.
    pub(super) fn is_open(&self) -> bool {
        self.failures.iter().any(|failure| failure.transient)
    }
}

/// Returns the stack to the checkpoint of `open`, as far as it may and can. For so long a time, `late`, calls of a
/// controller that was killed may still have their effect.
pub(super) async fn go_back<E: Engine>(
    engine: &E,
    tools: Tools<'_>,
    open: &OpenDeploy,
    secrets: &Secrets,
    mut late: Duration,
) -> Back {
    let mut back = round(engine, tools, open, secrets).await;
    for pause in ROUND_PAUSES {
        if !back.failures.is_empty() {
            time::sleep(pause).await;
        } else if back.steps > 0 || !late.is_zero() {
            time::sleep(late).await;
        } else {
            break;
        }
        late = Duration::ZERO;
        // Also after a round that went well: an engine that restarts ends what was just started.
        back = round(engine, tools, open, secrets).await;
    }
    back
}

async fn round<E: Engine>(engine: &E, tools: Tools<'_>, open: &OpenDeploy, secrets: &Secrets) -> Back {
    let adopted = match off_the_loop(|| tools.ledger.adopted(&open.stack)) {
        Ok(adopted) => adopted,
        Err(error) => return Back { failures: vec![unseen(&error)], ..Back::default() },
    };
    let live = match look(engine, &open.stack, &adopted).await {
        Ok(live) => live,
        Err(error) => return Back { failures: vec![unseen(&error)], ..Back::default() },
    };
    let Way { plan, held } = way(open, &live, &tools.files.root().to_string_lossy());
    tools.progress.event(Event::RollbackBegan { steps: plan.steps.len(), held: held.is_some() });
    let site = site(engine, tools, (&open.stack, &open.id, Direction::Back), (&live, secrets));
    Back { failures: runner::back(&site, &plan.steps).await.failures, held, steps: plan.steps.len() }
}

/// Brings what a committed deploy of `stack` left unfinished to the point from which on Docker sees to it. Returns what
/// failed of that.
pub(super) async fn go_on<E: Engine>(
    engine: &E,
    tools: Tools<'_>,
    (stack, deploy): (&StackName, &DeployId),
) -> Vec<StepFailure> {
    let mut failures = round_on(engine, tools, (stack, deploy)).await;
    for pause in ROUND_PAUSES {
        if !failures.iter().any(|failure| failure.transient) {
            break;
        }
        time::sleep(pause).await;
        failures = round_on(engine, tools, (stack, deploy)).await;
    }
    failures
}

async fn round_on<E: Engine>(
    engine: &E,
    tools: Tools<'_>,
    (stack, deploy): (&StackName, &DeployId),
) -> Vec<StepFailure> {
    let known = off_the_loop(|| Ok((tools.ledger.adopted(stack)?, tools.ledger.last_applied(stack)?)));
    let (adopted, last) = match known {
        Ok(known) => known,
        Err::<_, LedgerError>(error) => return vec![unseen(&error)],
    };
    let live = match look(engine, stack, &adopted).await {
        Ok(live) => live,
        Err(error) => return vec![unseen(&error)],
    };
    let site = site(engine, tools, (stack, deploy, Direction::Onward), (&live, &Secrets::default()));
    runner::back(&site, &onward(&live, &last)).await.failures
}

/// Where the steps of a way without a plan are carried out.
fn site<'a, E>(
    engine: &'a E,
    tools: Tools<'a>,
    (stack, deploy, direction): (&'a StackName, &'a DeployId, Direction),
    (live, secrets): (&Live, &Secrets),
) -> Site<'a, E> {
    static NO_CONTENTS: BTreeMap<ContentDigest, RepositoryContent> = BTreeMap::new();
    Site {
        engine,
        tools,
        deploy,
        stack,
        contents: &NO_CONTENTS,
        direction,
        names: Names::of_live(live),
        secrets: secrets.with_live(live),
        made: Made::default(),
        held: std::sync::Mutex::default(),
        // Nothing ends such a way: half of it is what must not be.
        halt: CancellationToken::new(),
        plan: None,
    }
}

async fn look<E: Engine>(engine: &E, stack: &StackName, adopted: &Adopted) -> Result<Live, EngineError> {
    for pause in LOOK_PAUSES {
        match observe::observe(engine, stack, adopted, &BTreeSet::new()).await {
            Err(error) if error.is_transient() => {
                warn!(%error, "the host can't be seen, looking again");
                time::sleep(pause).await;
            }
            seen => return seen,
        }
    }
    observe::observe(engine, stack, adopted, &BTreeSet::new()).await
}

fn unseen(error: &dyn std::error::Error) -> StepFailure {
    StepFailure {
        what: "look at the host".to_owned(),
        instance: None,
        cause: super::words::chain(error),
        // Whatever it is, the way back is still to be gone.
        transient: true,
        log_tail: Vec::new(),
    }
}
