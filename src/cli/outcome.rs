//! How a deploy ended, in words and as an exit status.

use std::time::Duration;

use anyhow::anyhow;

use super::failure::{ExitStatus, hinted, several};
use super::output::Output;
use crate::apply::machine::DeployError;
use crate::apply::{Outcome, StepFailure};
use crate::plan::Plan;

/// Why there is no plan or no deploy, with what to do.
pub(super) fn not_planned(error: DeployError) -> anyhow::Error {
    match error {
        DeployError::Refused(refused) => {
            several(refused.0.into_iter().map(|refusal| hinted(anyhow!(refusal.what), refusal.hint)))
        }
        error @ DeployError::Stale { .. } => hinted(error, "look at the new plan: `evenkeel plan`"),
        error @ DeployError::NeedsConsent { .. } => {
            let DeployError::NeedsConsent { plan, .. } = &error else { return error.into() };
            let hint = format!("if that is meant, agree to it: `evenkeel apply --accept {plan}`");
            hinted(error, hint)
        }
        error @ DeployError::State(crate::apply::state::StateError::Held { .. }) => {
            hinted(error, "wait until it is done")
        }
        error => error.into(),
    }
}

/// Tells how a deploy ended.
pub(super) fn tell(plan: &Plan, outcome: &Outcome, output: Output) -> ExitStatus {
    match outcome {
        Outcome::Unchanged => {
            output.say("nothing to do");
            ExitStatus::Done
        }
        Outcome::Applied(report) => {
            for warning in &report.warnings {
                output.warn(&format!("{warning}; the next plan will show it"));
            }
            output.say(&format!("{} is at {}, after {}", plan.stack, plan.revision, seconds(report.took)));
            ExitStatus::Done
        }
        Outcome::Refused(findings) => {
            for finding in findings {
                let error = anyhow!(finding.what.clone());
                output.error(&match &finding.hint {
                    Some(hint) => hinted(error, hint),
                    None => error,
                });
            }
            ExitStatus::Failed
        }
        Outcome::Failed { failure, .. } => {
            fault(failure, output);
            output.say("nothing that ran was touched");
            ExitStatus::Failed
        }
        Outcome::Interrupted(report) => {
            output.say(&format!("stopped and undone after {}; what ran before runs", seconds(report.took)));
            ExitStatus::Failed
        }
        Outcome::RolledBack { failure, report } => {
            fault(failure, output);
            output.say(&format!("rolled back after {}: what ran before runs again", seconds(report.took)));
            ExitStatus::RolledBack
        }
        Outcome::RollbackFailed { failure, rollback, .. } => {
            fault(failure, output);
            for failure in rollback {
                output.error(&anyhow!("rollback: {failure}"));
            }
            output.warn("the way back failed too: look at `docker ps -a` and start what should run");
            ExitStatus::RollbackFailed
        }
    }
}

fn fault(failure: &StepFailure, output: Output) {
    output.error(&anyhow!(failure.cause.clone()).context(failure.what.clone()));
    for line in &failure.log_tail {
        output.say(&format!("  │ {line}"));
    }
}

/// A time as people say it.
pub(super) fn seconds(time: Duration) -> String {
    if time < Duration::from_secs(1) {
        format!("{} ms", time.as_millis())
    } else if time < Duration::from_secs(90) {
        format!("{:.1} s", time.as_secs_f64())
    } else {
        format!("{} min {} s", time.as_secs() / 60, time.as_secs() % 60)
    }
}
