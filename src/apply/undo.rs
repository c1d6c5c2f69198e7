//! What becomes of a deploy that has failed or was stopped before its commit: it goes back, or it holds, and how that
//! ended is recorded and named.

use std::time::Duration;

use tokio::time::Instant;
use tracing::{error, info, warn};

use super::back::{self, Back};
use super::ledger::{Ending, Quarantine};
use super::progress::Event;
use super::runner::Ran;
use super::step::Site;
use super::{Outcome, Report, Run, StepFailure, Tools, end, off_the_loop, report, words};
use crate::engine::Engine;
use crate::plan::OpenDeploy;

/// Returns to what was there before, after a failure or because somebody stopped the deploy.
pub(super) async fn undo<E: Engine>(site: &Site<'_, E>, run: Run<'_>, ran: Ran, start: Instant) -> Outcome {
    let Tools { ledger, clock, progress, .. } = run.tools;
    let (failure, further) = match ran.failures.split_first() {
        Some((first, further)) => (Some(first.clone()), further.to_vec()),
        None => (None, Vec::new()),
    };
    let quarantine = match &failure {
        Some(failure) if !failure.transient && !is_repair(run) => Quarantine::Yes,
        Some(_) | None => Quarantine::No,
    };
    let told = failure.clone().unwrap_or_else(interrupted);
    warn!(what = told.what, cause = told.cause, transient = told.transient, "deploy goes back");
    if let Err(error) = off_the_loop(|| ledger.abort(run.deploy, &told.to_string(), quarantine, clock.now()))
    {
        // The services matter more than the record: without it, recovery goes back as well.
        error!(error = words::chain(&error), "the failure could not be recorded");
    }
    progress.event(Event::RollingBack { failure: failure.as_ref() });
    let back = if ran.wrote {
        let open = OpenDeploy {
            id: run.deploy.clone(),
            stack: run.plan.stack.clone(),
            checkpoint: run.plan.checkpoint.clone(),
        };
        back::go_back(site.engine, run.tools, &open, &site.secrets, Duration::ZERO).await
    } else {
        Back::default()
    };
    let report = report(run, &ran, start, further);
    if back.held.is_some() {
        return held(run, told, back, report);
    }
    ended(run, told, (failure.is_some(), ran.switched), back.failures, report)
}

/// Records and names the end of a deploy that stays where it is.
fn held(run: Run<'_>, failure: StepFailure, back: Back, report: Report) -> Outcome {
    let Tools { ledger, clock, .. } = run.tools;
    let stays_open = back.is_open();
    let Back { failures: left, held, .. } = back;
    // While it is open, recovery tries again to put back what is half done, and then comes to the same end.
    if let Some(held) = held.filter(|_| !stays_open)
        && let Err(error) = off_the_loop(|| ledger.hold((&run.plan.stack, run.deploy), &held, clock.now()))
    {
        error!(error = words::chain(&error), "the end of the deploy could not be recorded");
    }
    error!(left = left.len(), "held half done");
    Outcome::Held { failure, left, report }
}

/// Records and names the end of a deploy that went back.
fn ended(
    run: Run<'_>,
    failure: StepFailure,
    (by_fault, switched): (bool, bool),
    rollback: Vec<StepFailure>,
    mut report: Report,
) -> Outcome {
    let close = |ending| end(run.tools, run.deploy, ending);
    // What the engine could not answer may be answered later: the deploy stays open, and recovery tries again.
    let is_open = rollback.iter().any(|failure| failure.transient);
    match (rollback.is_empty(), switched) {
        (true, true) if by_fault => {
            close(Ending::RolledBack);
            info!(took = ?report.took, "rolled back");
            Outcome::RolledBack { failure, report }
        }
        (true, false) if by_fault => {
            close(Ending::Failed);
            info!("failed, nothing changed");
            Outcome::Failed { failure, report }
        }
        (true, _) => {
            close(Ending::Interrupted);
            info!("interrupted and undone");
            Outcome::Interrupted(report)
        }
        (false, false) => {
            if !is_open {
                close(Ending::Failed);
            }
            warn!(left = rollback.len(), "failed; nothing that ran was touched, but something new is left");
            report.warnings.extend(rollback);
            Outcome::Failed { failure, report }
        }
        (false, true) => {
            if !is_open {
                close(Ending::RollbackFailed);
            }
            error!(failures = rollback.len(), "rollback failed");
            Outcome::RollbackFailed { failure, rollback, report }
        }
    }
}

/// Whether the deploy only restores what is on record as carried out. That has proved itself before: if it fails now,
/// the host is to blame, and there would be nothing left to go on with if it were quarantined.
fn is_repair(run: Run<'_>) -> bool {
    let stable = off_the_loop(|| run.tools.ledger.last_stable(&run.plan.stack));
    stable.is_ok_and(|stable| stable.is_some_and(|stable| stable.desired == run.plan.desired))
}

fn interrupted() -> StepFailure {
    StepFailure {
        what: "deploy".to_owned(),
        instance: None,
        cause: "it was stopped from outside".to_owned(),
        transient: true,
        log_tail: Vec::new(),
    }
}
