//! How a deploy ended: in words, as JSON, and as an exit status.

use anyhow::anyhow;
use serde_json::{Value, json};

use super::failure::{ExitStatus, hinted, several};
use super::output::Output;
use super::words::seconds;
use crate::apply::ledger::LedgerError;
use crate::apply::machine::{DeployError, OpenError};
use crate::apply::state::StateError;
use crate::apply::{Outcome, Report, StepFailure};
use crate::plan::Plan;

/// A host that can't be opened, with what to do about it.
pub(super) fn unusable_state(error: OpenError) -> anyhow::Error {
    let is_full = match &error {
        OpenError::Ledger(LedgerError::Full { .. }) => true,
        OpenError::State(StateError::Io { source, .. })
        | OpenError::Ledger(LedgerError::File { source, .. }) => {
            source.kind() == std::io::ErrorKind::StorageFull
        }
        OpenError::State(_) | OpenError::Ledger(_) => false,
    };
    hinted(error, if is_full { FULL_HINT } else { STATE_HINT })
}

/// What to do where there is no room for the state.
const FULL_HINT: &str = "nothing was touched; a deploy is not begun without room for its record";

/// What to do where the state can't be used.
const STATE_HINT: &str = "the state is for one user only: run it as the user that deploys, or name another folder with `--state DIR`";

/// Why there is no plan or no deploy, with what to do.
pub(super) fn not_planned(error: DeployError) -> anyhow::Error {
    match error {
        DeployError::Refused(refused) => {
            several(refused.0.into_iter().map(|refusal| hinted(anyhow!(refusal.what), refusal.hint)))
        }
        error @ DeployError::Unfinished { .. } => {
            hinted(error, "wait until it has; if it was cut off, `evenkeel apply` puts that right first")
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
        error @ DeployError::NotRecovered { .. } => hinted(
            error,
            "`evenkeel status` shows how it stands; put right what stands in the way, and try again",
        ),
        error => error.into(),
    }
}

/// Tells how a deploy ended.
pub(super) fn tell(plan: &Plan, outcome: &Outcome, output: Output) -> ExitStatus {
    match outcome {
        // The text of the plan has said so.
        Outcome::Unchanged => ExitStatus::Done,
        Outcome::Applied(report) => {
            for warning in &report.warnings {
                output.warn(&format!("{warning}; the next plan will show it"));
            }
            let Plan { stack, revision, .. } = plan;
            output.say(&format!("{stack} is at {revision}, after {}", seconds(report.took)));
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
            output.say("nothing was touched");
            ExitStatus::Failed
        }
        Outcome::Failed { failure, report } => {
            fault(failure, output);
            for warning in &report.warnings {
                output.warn(&warning.to_string());
            }
            output.say("nothing that ran was touched");
            ExitStatus::Failed
        }
        Outcome::Interrupted(report) => {
            output.say(&format!("stopped and undone after {}; what ran before runs", seconds(report.took)));
            ExitStatus::Failed
        }
        Outcome::RolledBack { failure, report } => {
            fault(failure, output);
            let ran = plan.checkpoint.containers.iter().any(|kept| kept.ran);
            let now = if ran { "what ran before runs again" } else { "nothing that ran was touched" };
            output.say(&format!("rolled back after {}: {now}", seconds(report.took)));
            ExitStatus::RolledBack
        }
        Outcome::Held { failure, left, report } => {
            fault(failure, output);
            not_put_back(left, output);
            for warning in &report.warnings {
                output.warn(&warning.to_string());
            }
            output.warn(&format!(
                "held half done after {}: what was reached stays, for a service says `rollback: hold`",
                seconds(report.took)
            ));
            output.say("go on with a fix: `evenkeel apply`, or go back by hand: `evenkeel rollback`");
            ExitStatus::Held
        }
        Outcome::RollbackFailed { failure, rollback, .. } => {
            fault(failure, output);
            not_put_back(rollback, output);
            output.warn("the way back failed too: the stack is half done, and somebody must look");
            if rollback.iter().any(|failure| failure.transient) {
                output.say("the manifests are not to blame: the next `evenkeel apply`, or the agent, goes back first");
            }
            ExitStatus::RollbackFailed
        }
    }
}

fn not_put_back(failures: &[StepFailure], output: Output) {
    for failure in failures {
        let error = anyhow!(failure.cause.clone()).context(format!("rollback: {}", headline(failure)));
        output.error(&error);
    }
}

fn fault(failure: &StepFailure, output: Output) {
    let error = anyhow!(cause(failure).to_owned()).context(headline(failure));
    output.error(&match what_to_do(failure) {
        Some(hint) => hinted(error, hint),
        None => error,
    });
    last_words(failure, output);
}

/// What the container of a failure wrote last.
pub(super) fn last_words(failure: &StepFailure, output: Output) {
    if let (Some(instance), false) = (&failure.instance, failure.log_tail.is_empty()) {
        output.say(&format!("  the last lines of {}:", instance.service));
    }
    for line in &failure.log_tail {
        output.say(&format!("  │ {line}"));
    }
}

/// Why it failed, without what was tried where the headline says that already.
pub(super) fn cause(failure: &StepFailure) -> &str {
    let StepFailure { what, cause, .. } = failure;
    let pull = what.strip_prefix("pull ");
    let repeated =
        pull.and_then(|image| cause.strip_prefix("pull image ")?.strip_prefix(image)?.strip_prefix(": "));
    repeated.unwrap_or(cause)
}

fn what_to_do(failure: &StepFailure) -> Option<&'static str> {
    // Compose takes that for an end like any other; here a service is to go on running.
    if failure.cause == "its process exited with 0" {
        return Some(
            "a service that does its work once and ends is one that another waits for: `depends_on: {NAME: {condition: \
             service_completed_successfully}}`",
        );
    }
    if failure.what.starts_with("start ") && failure.cause.contains("port is already allocated") {
        return Some(
            "somebody took the port meanwhile: see `docker ps` and `ss -ltnp`; if nobody has it, Docker itself lost track of \
             it, and restarting Docker frees it",
        );
    }
    let is_pull = failure.what.starts_with("pull ");
    match (is_pull, failure.transient) {
        (true, true) => {
            Some("can this host reach the registry? Try again, or bring the image here: `docker load`")
        }
        (true, false) => Some("check its name and tag; a private registry wants `docker login` first"),
        (false, true) => Some("the manifests are not to blame: try again"),
        (false, false) => None,
    }
}

/// What failed, as a sentence: `can't start auren-redis`. That a gate failed is said of the service, for nobody waits
/// for waiting's sake.
fn headline(failure: &StepFailure) -> String {
    match failure.what.strip_prefix("wait for ") {
        Some(name) => format!("{name} did not come up"),
        None => format!("can't {}", failure.what),
    }
}

/// The outcome for machines. `status` is one of `unchanged`, `applied`, `refused`, `failed`, `interrupted`,
/// `rolled-back`, `held` and `rollback-failed`.
pub(super) fn to_json(plan: &Plan, outcome: &Outcome) -> Value {
    let (status, failure, rollback, report): (_, Option<&StepFailure>, &[StepFailure], Option<&Report>) =
        match outcome {
            Outcome::Unchanged => ("unchanged", None, &[], None),
            Outcome::Applied(report) => ("applied", None, &[], Some(report)),
            Outcome::Refused(_) => ("refused", None, &[], None),
            Outcome::Failed { failure, report } => ("failed", Some(failure), &[], Some(report)),
            Outcome::Interrupted(report) => ("interrupted", None, &[], Some(report)),
            Outcome::RolledBack { failure, report } => ("rolled-back", Some(failure), &[], Some(report)),
            Outcome::Held { failure, left, report } => ("held", Some(failure), left, Some(report)),
            Outcome::RollbackFailed { failure, rollback, report } => {
                ("rollback-failed", Some(failure), rollback, Some(report))
            }
        };
    let refusals: Vec<Value> = match outcome {
        Outcome::Refused(findings) => {
            findings.iter().map(|finding| json!({"what": finding.what, "hint": finding.hint})).collect()
        }
        _ => Vec::new(),
    };
    let warnings = report.map_or(&[][..], |report| &report.warnings);
    json!({
        "status": status,
        "stack": plan.stack.as_str(),
        "revision": plan.revision.to_string(),
        "commit": plan.revision.commit(),
        "plan": plan.id.0,
        "deploy": report.map(|report| report.deploy.as_str()),
        "changes": crate::plan::json::to_json(plan)["changes"],
        "failure": failure.map(failure_json),
        "refusals": refusals,
        "rollback_failures": rollback.iter().map(failure_json).collect::<Vec<_>>(),
        "warnings": warnings.iter().map(failure_json).collect::<Vec<_>>(),
        "took_ms": report.map(|report| u64::try_from(report.took.as_millis()).unwrap_or(u64::MAX)),
    })
}

fn failure_json(failure: &StepFailure) -> Value {
    let StepFailure { what, instance, cause, transient, log_tail } = failure;
    json!({
        "what": what,
        "service": instance.as_ref().map(|instance| instance.service.as_str()),
        "cause": cause,
        "transient": transient,
        "log_tail": log_tail,
    })
}
