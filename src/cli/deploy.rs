//! What `apply` and `rollback` have in common: show the plan, ask, carry it out, tell how it ended.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::confirm::confirm;
use super::failure::ExitStatus;
use super::output::Output;
use super::progress::Bars;
use super::words::moment;
use super::{outcome, saved, stuck};
use crate::apply::Outcome;
use crate::apply::machine::stuck::Stuck;
use crate::apply::machine::{Machine, Order};
use crate::apply::registry::Registries;
use crate::engine::docker::Docker;
use crate::model::desired::Desired;
use crate::plan::fingerprint::Moved;
use crate::plan::saved::Saved;
use crate::plan::text::{Layout, to_text};
use crate::plan::{Plan, PlanId};

/// A deploy that somebody asks for.
pub(super) struct Wish<'a> {
    pub(super) machine: &'a Machine<Docker>,
    pub(super) desired: &'a Desired,
    /// Whether nobody is to be asked.
    pub(super) yes: bool,
    /// A saved plan, which is carried out as it was reviewed or not at all.
    pub(super) reviewed: Option<&'a Saved>,
    /// The plan whose removals somebody agreed to already.
    pub(super) accepted: Option<PlanId>,
    /// What woke it, for the history.
    pub(super) trigger: &'static str,
    /// Who asks, for the history.
    pub(super) actor: &'static str,
    pub(super) question: &'static str,
}

/// A deploy that was planned and perhaps begun.
pub(super) enum Ended {
    /// Somebody said no.
    Declined,
    /// The saved plan is not the plan as it is now: its id, the one now, and what has moved.
    Stale(PlanId, PlanId, Vec<Moved>),
    /// It was told to end at once.
    CutOff,
    /// It came to an end of its own.
    Here(Box<Done>),
}

/// A deploy that came to an end of its own.
pub(super) struct Done {
    pub(super) plan: Plan,
    pub(super) outcome: Outcome,
    /// Whether the plan was a saved one.
    reviewed: bool,
    /// How the stack stands, where the way back has failed for good.
    stuck: Option<Stuck>,
}

/// A plan that somebody agreed to.
pub(super) struct Agreed<'a> {
    wish: Wish<'a>,
    plan: Plan,
    bars: Bars,
    signals: Signals,
}

/// Plans, shows the plan, and asks if need be. What was cut off before is ended first.
pub(super) async fn agree(mut wish: Wish<'_>, output: Output) -> anyhow::Result<Result<Agreed<'_>, Ended>> {
    let Wish { machine, desired, .. } = wish;
    machine.admit(desired).map_err(outcome::not_planned)?;
    let bars = Bars::new(output);
    let signals = Signals::listen(output);
    let recovery = Box::pin(machine.recover_stack(&desired.stack, wish.actor, &bars));
    let Some(recovered) = signals.guard(recovery).await else { return Ok(Err(Ended::CutOff)) };
    recovered.map_err(outcome::not_planned)?;
    let (plan, live) = machine.plan(desired, Registries::Ask).await.map_err(outcome::not_planned)?;
    if let Some(saved) = wish.reviewed {
        saved.verify(&live.server, machine.key()).map_err(saved::explained)?;
        if saved.id() != plan.id {
            let moved = machine.moved(saved, desired, &live).map_err(outcome::not_planned)?;
            return Ok(Err(Ended::Stale(saved.id(), plan.id, moved)));
        }
    }
    output.say(&to_text(&plan, Layout { colour: true, width: output.width, full: false }));
    if !plan.is_empty() {
        warn_of_quarantine(machine, &plan, output)?;
        if wish.reviewed.is_some() {
            // Whoever hands over the file has agreed to all of it.
            wish.accepted = Some(plan.id.clone());
        } else if !wish.yes && wish.accepted.is_none() {
            if !is_confirmed(wish.question, &signals).await? {
                return Ok(Err(Ended::Declined));
            }
            // Whoever has read this very plan has agreed to its removals, too.
            wish.accepted = Some(plan.id.clone());
        }
        output.say("");
    }
    bars.follow(&plan);
    Ok(Ok(Agreed { wish, plan, bars, signals }))
}

/// Asks; a signal is a no.
async fn is_confirmed(question: &'static str, signals: &Signals) -> anyhow::Result<bool> {
    tokio::select! {
        answer = tokio::task::spawn_blocking(move || confirm(question)) => answer?,
        () = signals.stop.cancelled() => Ok(false),
    }
}

impl Agreed<'_> {
    /// Deploys. Nothing of how it ended is told yet.
    pub(super) async fn carry_out(&self) -> anyhow::Result<Ended> {
        let Self { wish, plan, bars, signals } = self;
        let order = Order {
            desired: wish.desired,
            expected: Some(&plan.id),
            accepted: wish.accepted.as_ref(),
            // What was shown is what runs.
            registries: Registries::Recall,
            trigger: wish.trigger,
            actor: wish.actor,
            progress: bars,
            stop: &signals.stop,
        };
        let deploying = Box::pin(wish.machine.deploy(order));
        let Some(deployed) = signals.guard(deploying).await else { return Ok(Ended::CutOff) };
        signals.is_deploying.store(false, Ordering::Relaxed);
        bars.clear();
        let (plan, outcome) = deployed.map_err(outcome::not_planned)?;
        let stuck = match &outcome {
            // Where even that can't be seen, what is known already is told.
            Outcome::RollbackFailed { .. } => wish.machine.stuck(&plan.stack).await.ok().flatten(),
            _ => None,
        };
        Ok(Ended::Here(Box::new(Done { plan, outcome, reviewed: wish.reviewed.is_some(), stuck })))
    }

    /// Cancelled by the first signal, during the deploy or after it.
    pub(super) fn stop(&self) -> &CancellationToken {
        &self.signals.stop
    }
}

impl Done {
    /// For machines.
    pub(super) fn to_json(&self) -> Value {
        let mut form = outcome::to_json(&self.plan, &self.outcome);
        form["stuck"] = self.stuck.as_ref().map_or(Value::Null, stuck::to_json);
        if self.reviewed {
            form["as_reviewed"] = matches!(self.outcome, Outcome::Applied(_) | Outcome::Unchanged).into();
        }
        form
    }

    /// For people.
    pub(super) fn say(&self, output: Output) -> ExitStatus {
        let Self { plan, outcome, reviewed, stuck } = self;
        let status = outcome::tell(plan, outcome, output);
        if let Some(stuck) = stuck {
            for line in stuck::ways_out(stuck) {
                output.say(&line);
            }
        }
        if *reviewed && status == ExitStatus::Done {
            output.say(&format!("executed plan {} as reviewed", plan.id));
        }
        status
    }
}

impl Ended {
    /// Tells how it ended.
    pub(super) fn tell(&self, output: Output) -> ExitStatus {
        if output.json {
            output.value(&match self {
                Self::Declined => json!({"status": "declined"}),
                Self::CutOff => json!({"status": "cut-off"}),
                Self::Stale(expected, found, moved) => saved::stale_json(expected, found, moved),
                Self::Here(done) => done.to_json(),
            });
        }
        match self {
            Self::Declined => {
                output.say("nothing changed");
                ExitStatus::Failed
            }
            Self::CutOff => {
                output.warn(
                    "ended at once, in the middle of a deploy; the next `evenkeel apply` puts it right",
                );
                ExitStatus::RollbackFailed
            }
            Self::Stale(expected, _, moved) => {
                output.error(&saved::stale(expected, moved));
                ExitStatus::Failed
            }
            Self::Here(done) => done.say(output),
        }
    }
}

/// A person may try again what failed before; an agent doesn't.
fn warn_of_quarantine(machine: &Machine<Docker>, plan: &Plan, output: Output) -> anyhow::Result<()> {
    if let Some(entry) = machine.ledger().quarantined(&plan.stack, &plan.desired)? {
        let since = moment(entry.since);
        output.warn(&format!("quarantined since {since}, no agent would try it: {}", entry.why));
    }
    Ok(())
}

/// What SIGINT and SIGTERM ask for.
struct Signals {
    /// Cancelled by the first one: the deploy is undone in good order.
    stop: CancellationToken,
    /// Cancelled by the second one: the program ends at once.
    end: CancellationToken,
    /// Whether there still is a deploy to undo.
    is_deploying: Arc<AtomicBool>,
}

impl Signals {
    fn listen(output: Output) -> Self {
        use tokio::signal::unix::{SignalKind, signal};
        let (stop, end) = (CancellationToken::new(), CancellationToken::new());
        let is_deploying = Arc::new(AtomicBool::new(true));
        for kind in [SignalKind::interrupt(), SignalKind::terminate()] {
            let (stop, end, is_deploying) = (stop.clone(), end.clone(), Arc::clone(&is_deploying));
            tokio::spawn(async move {
                let Ok(mut signals) = signal(kind) else { return };
                while signals.recv().await.is_some() {
                    if stop.is_cancelled() {
                        end.cancel();
                    } else {
                        stop.cancel();
                        // A terminal shows `^C` where the cursor is.
                        let lead = if output.live { "\n" } else { "" };
                        let words = if is_deploying.load(Ordering::Relaxed) {
                            "stopping; what was begun is undone (once more: end at once, in the middle)"
                        } else {
                            "stopping"
                        };
                        output.say(&format!("{lead}{words}"));
                    }
                }
            });
        }
        Self { stop, end, is_deploying }
    }

    /// Awaits `work`, or nothing when the program is told to end at once.
    async fn guard<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            done = work => Some(done),
            // The work is dropped in the middle. That is what recovery is for.
            () = self.end.cancelled() => None,
        }
    }
}
