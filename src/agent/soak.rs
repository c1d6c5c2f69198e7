//! The watch after a commit: looks at what was started, and returns the stack to what ran before if that fails.

use std::collections::BTreeMap;

use tokio::time::Instant;
use tracing::{error, info, warn};

use super::Happening;
use super::aim::{self, ACTOR, Trouble};
use super::reconcile::{Head, Reconciler};
use super::said::Topic;
use crate::apply::Outcome;
use crate::apply::ledger::watch::{OpenWatch, TRIGGER};
use crate::apply::machine::Order;
use crate::apply::registry::Registries;
use crate::apply::soak::next_look;
use crate::engine::Engine;
use crate::model::desired::Gate;
use crate::model::name::{ServiceName, StackName};

/// What waits to be tried again where the way back from a watch has failed.
const RETURN: &str = "return from a watch";

impl<E: Engine> Reconciler<'_, E> {
    /// Looks at what is watched on `stack`, ends a watch that has passed, and goes back from one that has failed.
    /// Comes before all repairs, for a crash is a failure here and not drift.
    pub(super) async fn soak(&mut self, stack: &StackName) -> Result<(), Trouble> {
        self.watch_at = None;
        let ledger = self.machine.ledger();
        let Some(open) = ledger.open_watch(stack).map_err(|error| Trouble::of(&error))? else {
            return Ok(());
        };
        let stable = self.last_stable(stack)?;
        if stable.as_ref().is_none_or(|stable| stable.desired != open.desired) {
            // Something else has been found to run, without a deploy.
            return ledger.end_watch(stack).map_err(|error| Trouble::of(&error));
        }
        let commit = stable.as_ref().and_then(|stable| stable.revision.commit());
        let (why, log_tail) = if let Some(why) = &open.failed {
            (why.clone(), Vec::new())
        } else {
            let gates = self.gates(commit);
            let looked = self.stop.run_until_cancelled(self.machine.soak(stack, &open, &gates)).await;
            let Some(looked) = looked else { return Ok(()) };
            let Some(failure) = looked.map_err(|error| Trouble::of(&error))? else {
                return self.goes_on(stack, &open);
            };
            let why = failure.to_string();
            warn!(deploy = %open.deploy, reason = why, "failed during its watch");
            aim::tell_last_words(&failure);
            ledger.fail_watch(stack, &why, self.machine.now()).map_err(|error| Trouble::of(&error))?;
            (why, failure.log_tail)
        };
        let deploy = &open.deploy;
        self.audience.happens(Happening::WatchFailed { deploy, commit, why: &why, log_tail: &log_tail });
        self.go_back(stack, &open, &why).await
    }

    /// Sees to it that what a deploy has just begun to watch is looked at.
    pub(super) fn watch_on(&mut self, stack: &StackName) {
        if self.watch_at.is_none()
            && let Ok(Some(open)) = self.machine.ledger().open_watch(stack)
        {
            let left = open.until().and_then(|until| next_look(self.machine.now(), until));
            self.watch_at = Some(Instant::now() + left.unwrap_or_default());
        }
    }

    /// The gates of what was deployed, where its manifests are at hand.
    fn gates(&self, stable: Option<&str>) -> BTreeMap<ServiceName, Gate> {
        match &self.head {
            Some(Head { commit, desired: Some(desired), .. }) if Some(commit.as_str()) == stable => {
                desired.services.iter().map(|(name, service)| (name.clone(), service.gate.clone())).collect()
            }
            Some(_) | None => BTreeMap::new(),
        }
    }

    fn goes_on(&mut self, stack: &StackName, open: &OpenWatch) -> Result<(), Trouble> {
        let left = open.until().and_then(|until| next_look(self.machine.now(), until));
        if let Some(left) = left {
            self.watch_at = Some(Instant::now() + left);
        } else {
            self.machine.ledger().end_watch(stack).map_err(|error| Trouble::of(&error))?;
            info!(deploy = %open.deploy, "its watch has passed");
            self.audience.happens(Happening::WatchPassed(&open.deploy));
        }
        Ok(())
    }

    /// Returns to what was carried out before, by a deploy of its own.
    async fn go_back(&mut self, stack: &StackName, open: &OpenWatch, why: &str) -> Result<(), Trouble> {
        let commit = match open.way_back() {
            Ok(commit) => commit,
            Err(no_way) => {
                let text = format!("{why}; it stays, for {no_way}");
                if self.said.is_news(Topic::Host, &text) {
                    error!(reason = text, "somebody must look at this host");
                }
                return self.machine.ledger().end_watch(stack).map_err(|error| Trouble::of(&error));
            }
        };
        let trouble = |text: String| Trouble { text, what: Some(RETURN.to_owned()) };
        if self.attempts(aim::Aim::Stable).forbids(RETURN, Instant::now()) {
            return Ok(());
        }
        let desired = self.stable_desired(commit).await.map_err(trouble)?;
        let order = Order {
            desired: &desired,
            expected: None,
            accepted: None,
            registries: Registries::Leave,
            trigger: TRIGGER,
            actor: ACTOR,
            progress: self.audience,
            stop: self.stop,
        };
        let deployed = self.machine.return_from_watch(order).await;
        let (plan, outcome) = deployed.map_err(|error| trouble(aim::chain(&error)))?;
        self.audience.happens(Happening::Ended(&plan, &outcome));
        match outcome {
            Outcome::Applied(_) => {
                info!(revision = %plan.revision, "back at what ran before");
                self.attempts(aim::Aim::Stable).forget();
                Ok(())
            }
            Outcome::Unchanged => self.machine.ledger().end_watch(stack).map_err(|error| Trouble::of(&error)),
            outcome => Err(trouble(format!("{why}; and the way back failed: {}", failure_of(&outcome)))),
        }
    }
}

fn failure_of(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Failed { failure, .. }
        | Outcome::RolledBack { failure, .. }
        | Outcome::Held { failure, .. }
        | Outcome::RollbackFailed { failure, .. } => failure.to_string(),
        Outcome::Refused(findings) => {
            findings.iter().map(|finding| finding.what.as_str()).collect::<Vec<_>>().join("; ")
        }
        Outcome::Unchanged | Outcome::Applied(_) | Outcome::Interrupted(_) => "it was stopped".to_owned(),
    }
}
