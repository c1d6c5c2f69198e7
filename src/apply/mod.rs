//! Carries out plans: step by step, behind gates, with a way back.
//!
//! ```text
//!  preflight ──▶ begin ──▶ images, objects, containers ──▶ switch ──▶ COMMIT ──▶ finish, cleanup ──▶ end
//!  (touches       │                  │ failed or stopped     │           (from here on only forward)
//!   nothing)      ▼                  ▼                       ▼
//!               ledger            abort ──▶ look again ──▶ plan of the way back ──▶ run it ──▶ end
//! ```
//!
//! All judgement is elsewhere: what to do is in the plan, the way back is a plan too ([`crate::plan::rollback`]), gates
//! are judged by [`gate::judge`]. What is here has effects and makes no choices.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, error, info, info_span, warn};

use crate::engine::Engine;
use crate::model::desired::RepositoryContent;
use crate::model::name::{ContainerId, DeployId, Instance};
use crate::model::spec::ContentDigest;
use crate::plan::Plan;
use crate::plan::fields::Fields;
use crate::plan::step::Target;

pub mod progress;
pub mod gate;
pub mod ledger;
pub mod state;
pub mod files;
pub mod clock;
pub mod recover;
pub mod soak;
pub mod machine;
pub mod registry;
mod fetch;
mod last_words;
mod orphans;
mod preflight;
mod runner;
mod steady;
mod step;
mod make;
mod back;
mod undo;
mod words;
mod secrets;

use clock::Clock;
use files::FileStore;
use gate::probe::Prober;
use ledger::memory::Settled;
use ledger::{Beginning, Direction, Ending, Ledger};
use progress::{Event, Progress};
use runner::Ran;
use secrets::Secrets;
use step::Site;
use words::Names;

pub use preflight::{Finding, holder};

/// What deploys of a host have in common.
#[derive(Clone, Copy)]
pub struct Tools<'a> {
    /// The memory of what was done.
    pub ledger: &'a Ledger,
    /// Where files of the repository are laid down.
    pub files: &'a FileStore,
    /// Asks containers over the network.
    pub prober: &'a dyn Prober,
    /// Is told what happens.
    pub progress: &'a dyn Progress,
    /// The time of day, for records.
    pub clock: &'a dyn Clock,
}

/// One deploy.
#[derive(Clone, Copy)]
pub struct Run<'a> {
    /// What it works with.
    pub tools: Tools<'a>,
    /// What to do.
    pub plan: &'a Plan,
    /// The files and folders that the plan lays down.
    pub contents: &'a BTreeMap<ContentDigest, RepositoryContent>,
    /// Its id.
    pub deploy: &'a DeployId,
    /// What woke it, for the history: `push`, `drift`, `command`.
    pub trigger: &'a str,
    /// Who asked for it, for the history.
    pub actor: &'a str,
    /// Where the engine runs.
    pub host: Host,
    /// Stops the deploy: it is undone, unless it has committed already.
    pub stop: &'a CancellationToken,
}

/// Where the engine runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Host {
    /// On the machine of this process: its ports can be tried beforehand.
    This,
    /// Elsewhere, or nowhere.
    Other,
}

/// How a deploy ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a deploy that failed must be told"]
pub enum Outcome {
    /// There was nothing to do.
    Unchanged,
    /// The plan was carried out. Its warnings are steps after the commit that failed; the next plan sees them as
    /// drift.
    Applied(Report),
    /// Something stood in the way from the beginning. Nothing was touched and nothing is on record.
    Refused(Vec<Finding>),
    /// A step failed before anything that ran was touched. What had been made was removed again, except for what the
    /// report warns of.
    Failed {
        /// Why.
        failure: StepFailure,
        /// What was done.
        report: Report,
    },
    /// It was stopped from outside and undone.
    Interrupted(Report),
    /// A step failed, and what ran before runs again.
    RolledBack {
        /// Why.
        failure: StepFailure,
        /// What was done.
        report: Report,
    },
    /// A step failed, or it was stopped, after a service had run that is not to be rolled back: what was reached stays,
    /// and somebody must say how it goes on.
    Held {
        /// Why it stopped.
        failure: StepFailure,
        /// What it left half done and could not put back.
        left: Vec<StepFailure>,
        /// What was done.
        report: Report,
    },
    /// A step failed, or it was stopped, and the way back failed too: somebody must look.
    RollbackFailed {
        /// Why it went back.
        failure: StepFailure,
        /// What of the way back failed.
        rollback: Vec<StepFailure>,
        /// What was done.
        report: Report,
    },
}

/// What a deploy did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Its id.
    pub deploy: DeployId,
    /// How long it took, the way back included.
    pub took: Duration,
    /// How many steps of the plan were done.
    pub steps_done: usize,
    /// Further failures that did not decide the outcome.
    pub warnings: Vec<StepFailure>,
}

/// Why a step failed, for people. It holds no sensitive text that is known as such.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {cause}")]
pub struct StepFailure {
    /// What was tried: `start auren-postgres`.
    pub what: String,
    /// The container that it was about, if it was about one of the stack.
    pub instance: Option<Instance>,
    /// Why it failed.
    pub cause: String,
    /// Whether the same step may succeed later though nothing that is desired changes.
    pub transient: bool,
    /// The last lines that the container wrote.
    pub log_tail: Vec<String>,
}

/// Carries out a plan, or returns to what was there before it.
///
/// # Guarantees
/// - Nothing is touched before everything that can be known beforehand was looked at, and nothing is done that isn't
///   on record before.
/// - It ends in one of two states: the plan is carried out, or what ran before runs again in the same containers. Only
///   where a service says `rollback: hold` and its new container has run, what was reached stays.
/// - A deploy that failed by its own fault is quarantined before the way back begins.
///
/// # Assumptions
/// The plan was made from a fresh look at the host, and nobody else writes to the stack: the caller holds its lock.
/// A deploy that was cut off has been recovered ([`recover::recover`]).
///
/// # Caveats
/// When the future is dropped the host stays as it is, in the middle; that is what recovery is for. To stop a deploy
/// in good order, use `stop`.
pub async fn apply<E: Engine>(engine: &E, run: Run<'_>) -> Outcome {
    let span = info_span!("apply", stack = %run.plan.stack, deploy = %run.deploy);
    // On the heap: a deploy is many calls of the engine deep.
    Box::pin(run_plan(engine, run)).instrument(span).await
}

async fn run_plan<E: Engine>(engine: &E, run: Run<'_>) -> Outcome {
    let Tools { ledger, clock, progress, .. } = run.tools;
    let plan = run.plan;
    if plan.is_empty() {
        return affirm(run);
    }
    let listed = match preflight::preflight(engine, run).await {
        Ok(listed) => listed,
        Err(findings) => return refused(findings),
    };
    let beginning = Beginning { deploy: run.deploy, plan, trigger: run.trigger, actor: run.actor };
    if let Err(error) = off_the_loop(|| ledger.begin(beginning, clock.now())) {
        return refused(vec![Finding::of_error(&error)]);
    }
    info!(plan = %plan.id, revision = %plan.revision, steps = plan.steps.len(), trigger = run.trigger, "deploy begins");
    progress.event(Event::Began { deploy: run.deploy, steps: plan.steps.len() });
    let start = Instant::now();
    let site = Site {
        engine,
        tools: run.tools,
        deploy: run.deploy,
        stack: &plan.stack,
        contents: run.contents,
        direction: Direction::Forward,
        names: Names::of_plan(plan, &listed, run.contents),
        secrets: Secrets::of_plan(plan),
        made: step::Made::default(),
        held: std::sync::Mutex::default(),
        halt: run.stop.child_token(),
        plan: Some(plan),
    };
    let mut ran = runner::forward(&site, &plan.steps).await;
    site.let_go();
    if !ran.committed {
        return undo::undo(&site, run, ran, start).await;
    }
    if ran.failures.iter().any(|failure| failure.transient) {
        // What was started must not stay without its restart policy because the engine was away for a moment.
        let left = back::go_on(engine, run.tools, (&plan.stack, run.deploy)).await;
        ran.failures.extend(left);
    }
    let outcome = finished(run, &ran, start);
    orphans::discard(&site).await;
    outcome
}

/// Nothing is to be done on the host; the ledger may still have to learn which revision that is.
fn affirm(run: Run<'_>) -> Outcome {
    let current = settled(run.plan, |_| None);
    let settled = Settled { plan: run.plan, current: &current };
    if let Err(error) = off_the_loop(|| run.tools.ledger.affirm(settled, run.tools.clock.now())) {
        warn!(error = words::chain(&error), "the revision could not be recorded");
    }
    Outcome::Unchanged
}

/// What serves once `plan` is carried out; `made` knows the containers that it created.
fn settled(
    plan: &Plan,
    made: impl Fn(&Instance) -> Option<ContainerId>,
) -> BTreeMap<Instance, (ContainerId, Fields)> {
    plan.outcome
        .iter()
        .filter_map(|(instance, applied)| {
            let container = match &applied.target {
                Target::Existing(container) => container.clone(),
                Target::New(instance) => made(instance)?,
            };
            Some((instance.clone(), (container, applied.fields.clone())))
        })
        .collect()
}

fn refused(findings: Vec<Finding>) -> Outcome {
    for finding in &findings {
        warn!(what = finding.what, "refused");
    }
    Outcome::Refused(findings)
}

fn finished(run: Run<'_>, ran: &Ran, start: Instant) -> Outcome {
    let report = report(run, ran, start, ran.failures.clone());
    info!(took = ?report.took, warnings = report.warnings.len(), "deploy done");
    end(run.tools, run.deploy, Ending::Done);
    Outcome::Applied(report)
}

fn report(run: Run<'_>, ran: &Ran, start: Instant, warnings: Vec<StepFailure>) -> Report {
    Report { deploy: run.deploy.clone(), took: start.elapsed(), steps_done: ran.done, warnings }
}

fn end(tools: Tools<'_>, deploy: &DeployId, ending: Ending) {
    if let Err(error) = off_the_loop(|| tools.ledger.end(deploy, ending, tools.clock.now())) {
        // Recovery comes to the same end.
        error!(error = words::chain(&error), "the end of the deploy could not be recorded");
    }
}

/// Runs a short write to the disk without holding up other tasks where the runtime has other threads for them.
pub(crate) fn off_the_loop<T>(body: impl FnOnce() -> T) -> T {
    use tokio::runtime::{Handle, RuntimeFlavor};
    match Handle::try_current().map(|handle| handle.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(body),
        _ => body(),
    }
}
