//! Ends what was cut off: the controller was killed, or the machine went down, in the middle of a deploy.
//!
//! Needs neither Git nor a registry: the ledger says what there was before, the host says what there is.

use std::time::Duration;

use tracing::{Instrument, error, info, info_span, warn};

use super::ledger::history::Unfinished;
use super::ledger::{Ending, LedgerError, Quarantine};
use super::secrets::Secrets;
use super::{StepFailure, Tools, back, off_the_loop, words};
use crate::engine::Engine;
use crate::model::name::{DeployId, StackName};
use crate::plan::OpenDeploy;

/// For so long the engine may still carry out what it was asked for by a controller that was killed.
const LATE: Duration = Duration::from_secs(1);

/// What became of a deploy that had been cut off.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a recovery that failed must be told"]
pub enum Recovered {
    /// It had committed. What it started runs and has its restart policy; what else is missing, the next plan sees as
    /// drift.
    Forward(DeployId),
    /// It had not committed. What ran before runs again.
    Back(DeployId),
    /// It had not committed, and what it had reached stays: a service of it is not to be rolled back.
    Held(DeployId),
    /// It had not committed, and the way back failed: somebody must look.
    BackFailed {
        /// The deploy.
        deploy: DeployId,
        /// What of the way back failed.
        failures: Vec<StepFailure>,
    },
}

/// Where a deploy that was cut off goes.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Course {
    Forward(OpenDeploy),
    Back { open: OpenDeploy, why: String },
}

/// Only the commit decides: with it forward, without it back, wherever the steps were. How far back is seen on the host.
fn course(unfinished: Unfinished) -> Course {
    let Unfinished { deploy, committed, failure } = unfinished;
    if committed {
        Course::Forward(deploy)
    } else {
        let why = failure.unwrap_or_else(|| "it was cut off before it committed".to_owned());
        Course::Back { open: deploy, why }
    }
}

/// Ends the deploy of `stack` that was cut off, if there is one.
///
/// # Guarantees
/// Afterwards the stack is at the new state or back at the old one, or as far as a deploy had come that is held. Being cut off again, it may be called again, as
/// often as it takes.
///
/// # Errors
/// When the ledger can't be read; then nothing was done. When the end can't be recorded; then all else was done, and is
/// to be done again.
pub async fn recover<E: Engine>(
    engine: &E,
    stack: &StackName,
    tools: Tools<'_>,
) -> Result<Option<Recovered>, LedgerError> {
    let Some(unfinished) = off_the_loop(|| tools.ledger.open_deploy(stack))? else { return Ok(None) };
    let span = info_span!("recover", %stack, deploy = %unfinished.deploy.id);
    // On the heap: a way back is many calls of the engine deep.
    Box::pin(run(engine, tools, course(unfinished))).instrument(span).await.map(Some)
}

async fn run<E: Engine>(engine: &E, tools: Tools<'_>, course: Course) -> Result<Recovered, LedgerError> {
    let end =
        |deploy: &DeployId, ending| off_the_loop(|| tools.ledger.end(deploy, ending, tools.clock.now()));
    match course {
        Course::Forward(OpenDeploy { id: deploy, stack, checkpoint: _ }) => {
            info!("the deploy had committed");
            for failure in back::go_on(engine, tools, (&stack, &deploy)).await {
                // The next plan sees it as drift.
                warn!(what = failure.what, cause = failure.cause, "left for the next deploy");
            }
            end(&deploy, Ending::Done)?;
            Ok(Recovered::Forward(deploy))
        }
        Course::Back { open, why } => {
            warn!(why, "the deploy had not committed and goes back");
            // Being killed is no fault of what was desired. If it had failed before, that is on record.
            let record = || tools.ledger.abort(&open.id, &why, Quarantine::No, tools.clock.now());
            if let Err(error) = off_the_loop(record) {
                // The services matter more than the record: without it, the next recovery goes back as well.
                error!(error = words::chain(&error), "the way back could not be recorded");
            }
            let back = back::go_back(engine, tools, &open, &Secrets::default(), LATE).await;
            let is_open = back.is_open();
            let back::Back { failures, held, .. } = back;
            let OpenDeploy { id: deploy, stack, checkpoint: _ } = open;
            if let Some(held) = held.filter(|_| !is_open) {
                off_the_loop(|| tools.ledger.hold((&stack, &deploy), &held, tools.clock.now()))?;
                warn!(left = failures.len(), "held half done: it has a service that is not rolled back");
                return Ok(Recovered::Held(deploy));
            }
            if failures.is_empty() {
                end(&deploy, Ending::RolledBack)?;
                info!("back at what ran before");
                return Ok(Recovered::Back(deploy));
            }
            // What failed for a passing reason is tried again by the next recovery.
            if !is_open {
                end(&deploy, Ending::RollbackFailed)?;
            }
            warn!(failures = failures.len(), "rollback failed");
            Ok(Recovered::BackFailed { deploy, failures })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Checkpoint;

    fn unfinished(committed: bool, failure: Option<&str>) -> Unfinished {
        let deploy = OpenDeploy {
            id: "01".parse().unwrap(),
            stack: "auren-dev".parse().unwrap(),
            checkpoint: Checkpoint::default(),
        };
        Unfinished { deploy, committed, failure: failure.map(str::to_owned) }
    }

    #[test]
    fn only_the_commit_decides() {
        assert!(matches!(course(unfinished(true, None)), Course::Forward(_)));
        assert!(matches!(course(unfinished(true, Some("late"))), Course::Forward(_)));
        let Course::Back { why, .. } = course(unfinished(false, None)) else { panic!("not back") };
        assert_eq!(why, "it was cut off before it committed");
        let Course::Back { why, .. } = course(unfinished(false, Some("start x: no"))) else {
            panic!("not back")
        };
        assert_eq!(why, "start x: no");
    }
}
