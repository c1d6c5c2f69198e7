//! Brings the host to one aim, or says why it stays where it is, and what a deploy's outcome means for the next one.

use std::error::Error;
use std::sync::Arc;

use tokio::time::Instant;
use tracing::{debug, error, info, warn};

use super::admit::{Admitted, Occasion};
use super::reconcile::Reconciler;
use super::said::Topic;
use super::status::HoldKind;
use super::{Comparison, Happening, Hold};
use crate::apply::ledger::memory::Stable;
use crate::apply::machine::{DeployError, Order};
use crate::apply::registry::Registries;
use crate::apply::{Outcome, StepFailure};
use crate::engine::Engine;
use crate::model::desired::Desired;
use crate::model::name::StackName;
use crate::plan::refusal::Refused;
use crate::plan::{DesiredDigest, Plan, PlanId};

/// Who deploys, for the history.
pub(super) const ACTOR: &str = "evenkeel run";

/// What the host is to be brought to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Aim {
    /// The newest commit of the branch.
    Newest,
    /// What was deployed last, as long as the newest commit may not be.
    Stable,
}

/// Why the host is not brought to an aim, for as long as nothing changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stays {
    /// For this reason.
    Held(Hold),
    /// For a reason that was told already: the manifests are wrong, or it is too early to try again.
    Told,
    /// The deploy was given up for a newer commit, which is looked at next.
    Superseded,
}

/// Something failed that may succeed later without any change of what is desired.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trouble {
    /// Why.
    pub(super) text: String,
    /// The content that has to wait; absent where it is nothing in particular.
    pub(super) what: Option<String>,
}

impl Trouble {
    pub(super) fn of(error: &dyn Error) -> Self {
        Self { text: chain(error), what: None }
    }

    fn with(text: String, content: &DesiredDigest) -> Self {
        Self { text, what: Some(content.0.clone()) }
    }
}

impl<E: Engine> Reconciler<'_, E> {
    /// Plans for `desired`. What stands in the way of a plan is no trouble: it stays until something changes.
    pub(super) async fn plan(
        &self,
        aim: Aim,
        desired: &Desired,
        registries: Registries,
    ) -> Result<Result<Plan, Refused>, Trouble> {
        // Dropping it is fine: it only looks.
        let Some(planned) = self.stop.run_until_cancelled(self.machine.plan(desired, registries)).await
        else {
            return Err(Trouble { text: "stopped".to_owned(), what: None });
        };
        match planned {
            Ok((plan, live)) => {
                let (trigger, is_newest) = (self.trigger, aim == Aim::Newest);
                let comparison = Comparison { trigger, desired, is_newest, live: &live, plan: &plan };
                self.audience.happens(Happening::Compared(comparison));
                Ok(Ok(plan))
            }
            Err(DeployError::Refused(refused)) => Ok(Err(refused)),
            Err(error) => Err(Trouble::of(&error)),
        }
    }

    /// Why content of this digest is quarantined, if it is.
    pub(super) fn quarantine_of(
        &self,
        stack: &StackName,
        digest: &DesiredDigest,
    ) -> Result<Option<String>, Trouble> {
        let found = self.machine.ledger().quarantined(stack, digest).map_err(|error| Trouble::of(&error))?;
        Ok(found.map(|quarantined| {
            format!("its content is quarantined since deploy {}: {}", quarantined.deploy, quarantined.why)
        }))
    }

    /// Brings the host to `desired`, for which `planned` was made. Returns why it stays where it is, if it does.
    pub(super) async fn bring(
        &mut self,
        aim: Aim,
        desired: &Arc<Desired>,
        planned: Result<Plan, Refused>,
        stable: Option<Stable>,
    ) -> Result<Option<Stays>, Trouble> {
        let plan = match planned {
            Ok(plan) => plan,
            Err(refused) => return Ok(Some(Stays::Held(refusals(&refused)))),
        };
        if let Some(why) = self.quarantine_of(&plan.stack, &plan.desired)? {
            return Ok(Some(Stays::Held(Hold::new(HoldKind::Quarantined, why))));
        }
        self.report(&plan);
        let is_repair = stable.as_ref().is_some_and(|stable| stable.desired == plan.desired);
        let occasion = if is_repair || aim == Aim::Stable { Occasion::Repair } else { Occasion::News };
        let approved = match self.admit(desired, &plan, occasion) {
            Admitted::Freely => None,
            Admitted::Approved(plan) => Some(plan),
            Admitted::Not(hold) => return Ok(Some(Stays::Held(hold))),
        };
        let is_on_record = is_repair && stable.is_some_and(|stable| stable.revision == plan.revision);
        if let Some(why) = self.stuck(&plan, is_on_record)? {
            return Ok(Some(Stays::Held(Hold::new(HoldKind::HalfDone, why))));
        }
        if is_on_record && let Some(why) = self.held(&plan)? {
            return Ok(Some(Stays::Held(Hold::new(HoldKind::HalfDone, why))));
        }
        if plan.is_empty() && is_on_record && self.is_whole(&plan.stack)? {
            self.attempts(aim).forget();
            return Ok(None);
        }
        if self.attempts(aim).forbids(&plan.desired.0, Instant::now()) {
            return Ok(Some(Stays::Told));
        }
        let why = if is_repair { "drift" } else { "push" };
        self.deploy((aim, why), desired, &plan, approved.as_ref()).await
    }

    /// Why the stack is not brought back to what is on record: a deploy of something else is held half done, and to go
    /// back is what a service of it doesn't want.
    fn held(&self, plan: &Plan) -> Result<Option<String>, Trouble> {
        let held = self.machine.ledger().held(&plan.stack).map_err(|error| Trouble::of(&error))?;
        Ok(held.filter(|held| held.desired != plan.desired).map(|held| {
            let why = held.failure.unwrap_or_default();
            let (revision, id) = (held.revision, held.id);
            format!(
                "{revision} is held half done since deploy {id}: {why}; push a fix, or go back: `evenkeel rollback`"
            )
        }))
    }

    /// Tells what differs on the host and is left so.
    fn report(&mut self, plan: &Plan) {
        if plan.reported.is_empty() {
            if self.said.is_over(Topic::Drift) {
                info!("nothing differs any more that is only reported");
            }
            return;
        }
        let told: Vec<String> = plan.reported.iter().map(ToString::to_string).collect();
        let text = told.join("; ");
        if self.said.is_news(Topic::Drift, &text) {
            warn!(drift = text, "reported, and left as it is");
        }
    }

    async fn deploy(
        &mut self,
        (aim, why): (Aim, &str),
        desired: &Desired,
        plan: &Plan,
        approved: Option<&PlanId>,
    ) -> Result<Option<Stays>, Trouble> {
        if !plan.is_empty() {
            debug!(plan = %plan.id, revision = %plan.revision, changes = plan.changes.len(), why, "deploying");
            self.audience.happens(Happening::Deploys(plan));
        }
        let stop = self.stop.child_token();
        let order = Order {
            desired,
            expected: approved,
            accepted: approved,
            registries: match aim {
                Aim::Newest => Registries::Recall,
                Aim::Stable => Registries::Leave,
            },
            trigger: why,
            actor: ACTOR,
            progress: self.audience,
            stop: &stop,
        };
        let (deployed, newer) = self.unless_superseded(plan, self.machine.deploy(order), &stop).await;
        match deployed {
            Ok((plan, outcome)) => {
                if outcome == Outcome::Unchanged {
                    info!(revision = %plan.revision, "in step, nothing to do");
                }
                self.audience.happens(Happening::Ended(&plan, &outcome));
                if matches!(outcome, Outcome::RollbackFailed { .. }) {
                    self.alarm(&plan.stack).await;
                }
                if let (Outcome::Interrupted(report), Some(newer)) = (&outcome, newer) {
                    self.superseded(&report.deploy, &newer);
                    Ok(Some(Stays::Superseded))
                } else {
                    self.given_up = 0;
                    self.judge(aim, &plan, outcome)
                }
            }
            Err(DeployError::Refused(refused)) => Ok(Some(Stays::Held(refusals(&refused)))),
            Err(error) => Err(Trouble::with(chain(&error), &plan.desired)),
        }
    }

    /// What an outcome means for the next deploy.
    pub(super) fn judge(
        &mut self,
        aim: Aim,
        plan: &Plan,
        outcome: Outcome,
    ) -> Result<Option<Stays>, Trouble> {
        match outcome {
            Outcome::Unchanged => {
                self.attempts(aim).forget();
                Ok(None)
            }
            Outcome::Applied(report) => {
                for warning in &report.warnings {
                    warn!(%warning, "left undone, and seen as drift by the next look");
                }
                for (service, field) in self.contests.repaired(plan, Instant::now()) {
                    warn!(%service, field, "drifts back again and again, and is left alone for a while");
                    self.audience.happens(Happening::LeavesAlone { service: &service, field: &field });
                }
                self.attempts(aim).forget();
                Ok(None)
            }
            Outcome::Interrupted(_) => Ok(Some(Stays::Told)),
            Outcome::Refused(findings) => {
                let found: Vec<_> = findings.into_iter().map(|finding| finding.what).collect();
                Err(Trouble::with(found.join("; "), &plan.desired))
            }
            Outcome::Failed { failure, .. } | Outcome::RolledBack { failure, .. } => {
                self.failed(plan, &failure)
            }
            Outcome::Held { failure, .. } => {
                if !self.stop.is_cancelled() {
                    let text = format!("{failure}; held half done, for a service is not to be rolled back");
                    if self.said.is_news(Topic::Host, &text) {
                        error!(reason = text, "somebody must look at this host");
                    }
                }
                self.failed(plan, &failure)
            }
            Outcome::RollbackFailed { failure, rollback, .. } => {
                let rollback: Vec<_> = rollback.iter().map(ToString::to_string).collect();
                let text = format!("{failure}; and the way back failed: {}", rollback.join("; "));
                if self.said.is_news(Topic::Host, &text) {
                    error!(reason = text, "somebody must look at this host");
                }
                // For good, or for a passing reason: then the way back is still open, and is gone again.
                let Some(stuck) = self.stuck(plan, false)? else {
                    return Err(Trouble::with(text, &plan.desired));
                };
                let hold = match self.quarantine_of(&plan.stack, &plan.desired)? {
                    Some(why) => Hold::new(HoldKind::Quarantined, why),
                    None => Hold::new(HoldKind::HalfDone, stuck),
                };
                Ok(Some(Stays::Held(hold)))
            }
        }
    }

    /// Content at fault has been quarantined and stays away until it changes; anything else is tried again.
    fn failed(&mut self, plan: &Plan, failure: &StepFailure) -> Result<Option<Stays>, Trouble> {
        tell_last_words(failure);
        match self.quarantine_of(&plan.stack, &plan.desired)? {
            Some(why) => Ok(Some(Stays::Held(Hold::new(HoldKind::Quarantined, why)))),
            None => Err(Trouble::with(failure.to_string(), &plan.desired)),
        }
    }
}

/// Tells what the container of a failure wrote last.
pub(super) fn tell_last_words(failure: &StepFailure) {
    if !failure.log_tail.is_empty() {
        warn!(step = failure.what, "its last words:\n  {}", failure.log_tail.join("\n  "));
    }
}

fn refusals(refused: &Refused) -> Hold {
    let texts: Vec<_> =
        refused.0.iter().map(|refusal| format!("{} ({})", refusal.what, refusal.hint)).collect();
    Hold::new(HoldKind::Refused, texts.join("; "))
}

/// An error with its causes, on one line.
pub(super) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        // A transparent error repeats its cause.
        if !text.ends_with(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        cause = inner.source();
    }
    text
}
