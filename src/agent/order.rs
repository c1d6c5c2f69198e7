//! What operators have asked for: a pause, a return to an earlier revision. They are records in the ledger, looked up at
//! each look, so that they hold across restarts.

use std::sync::Arc;

use jiff::Timestamp;
use tokio::time::Instant;
use tracing::{info, warn};

use super::aim::{self, Aim, Stays, Trouble};
use super::branch::{self, Unfit};
use super::reconcile::{Head, Reconciler, blocking, short};
use super::said::Topic;
use super::status::{HoldKind, Quarantined};
use super::{Happening, Hold};
use crate::apply::Outcome;
use crate::apply::ledger::orders::{Pause, Return};
use crate::apply::machine::Order;
use crate::apply::registry::Registries;
use crate::engine::Engine;
use crate::model::name::StackName;
use crate::plan::DesiredDigest;

/// What woke a deploy that an operator has asked for.
const ROLLBACK: &str = "rollback";

/// Deploys that are looked through for what is quarantined.
const DEPLOYS_LOOKED_AT: u32 = 50;

impl<E: Engine> Reconciler<'_, E> {
    /// Whether operators have asked for something since the last look: somebody may have written it into the ledger where
    /// nobody could ring.
    pub(super) fn is_ordered(&mut self) -> bool {
        let Some(stack) = &self.stack else { return false };
        // What can't be read now is read by the look that needs it.
        let Ok(orders) = self.machine.ledger().orders(stack) else { return false };
        let is_news = orders != self.orders;
        self.orders = orders;
        is_news
    }

    /// Reads what operators have asked for, for this look. Returns the pause that lasts now.
    pub(super) fn read_orders(&mut self, stack: &StackName) -> Result<Option<Pause>, Trouble> {
        self.orders = self.machine.ledger().orders(stack).map_err(|error| Trouble::of(&error))?;
        let pause = self.orders.pause.clone();
        Ok(pause.filter(|pause| pause.until > self.machine.now()))
    }

    /// Wakes again at `time`, when a pause ends, or a window begins or ends.
    pub(super) fn wake_at(&mut self, time: Timestamp) {
        let left = time.duration_since(self.machine.now()).try_into().unwrap_or_default();
        self.opens_at = Some(Instant::now() + left);
    }

    /// Only looks, as long as `pause` lasts: nothing is deployed, repaired or taken back.
    pub(super) async fn look_on(&mut self, stack: &StackName, pause: &Pause) -> Result<(), Trouble> {
        let Pause { until, reason, by, since: _ } = pause;
        self.wake_at(*until);
        // What is watched is looked at again after the pause.
        self.watch_at = None;
        let why = format!("paused by {by} until {until:.0}: {reason}");
        if self.said.is_news(Topic::Hold, &why) {
            warn!(%stack, reason = why, "nothing is changed");
        }
        self.audience.happens(Happening::Holds(&Hold::new(HoldKind::Paused, why)));
        self.audience.happens(Happening::Paused(Some(pause)));
        if let Some(Head { desired: Some(desired), .. }) = self.head.clone() {
            // What stands in the way of a plan is told once it matters.
            let _ = self.plan(Aim::Newest, &desired, Registries::Recall).await?;
        }
        Ok(())
    }

    /// Notes that nobody has paused the stack, or not any more.
    pub(super) fn goes_on_after_pause(&self) {
        self.audience.happens(Happening::Paused(None));
    }

    /// Carries out a return that somebody has asked for. What is left is quarantined, so that the branch holds only once it
    /// brings something else.
    pub(super) async fn return_by_order(&mut self, stack: &StackName) -> Result<Option<Stays>, Trouble> {
        let Some(Return { to, by, .. }) = self.orders.back.take() else { return Ok(None) };
        let forget = || self.machine.ledger().forget_return(stack).map_err(|error| Trouble::of(&error));
        let (follow, id) = (Arc::clone(&self.follow), to.clone());
        let read = blocking(move || branch::read_commit(&follow, &id)).await;
        let desired = match read.map_err(|error| aim::chain(&error)) {
            Ok(Ok((desired, _))) if desired.stack == *stack => desired,
            Ok(Ok((desired, _))) => {
                forget()?;
                return Ok(Some(Self::not_returned(
                    &to,
                    &format!("there the stack is called `{}`", desired.stack),
                )));
            }
            Ok(Err(Unfit { why, .. })) | Err(why) => {
                forget()?;
                return Ok(Some(Self::not_returned(&to, &why)));
            }
        };
        let left = self.machine.leave(stack, &desired.revision, &by).map_err(|error| Trouble::of(&error))?;
        info!(%stack, commit = short(&to), by, "returning to an earlier revision");
        let order = Order {
            desired: &desired,
            expected: None,
            accepted: None,
            registries: Registries::Leave,
            trigger: ROLLBACK,
            actor: &by,
            progress: self.audience,
            stop: self.stop,
        };
        let deployed = self.machine.deploy(order).await;
        let there = match &deployed {
            Ok((plan, Outcome::Unchanged | Outcome::Applied(_))) => Some(&plan.desired),
            Ok(_) | Err(_) => None,
        };
        if let Some(left) = left {
            self.machine.settle(stack, &left, there).map_err(|error| Trouble::of(&error))?;
        }
        // Whatever came of it, it was tried: another order may follow.
        forget()?;
        let (plan, outcome) = deployed.map_err(|error| Trouble::of(&error))?;
        self.audience.happens(Happening::Ended(&plan, &outcome));
        self.judge(Aim::Stable, &plan, outcome)
    }

    fn not_returned(to: &str, why: &str) -> Stays {
        let text = format!("can't return to {}: {why}", short(to));
        warn!(reason = text, "an order is not carried out");
        Stays::Held(Hold::new(HoldKind::Refused, text))
    }

    /// Tells what is quarantined.
    pub(super) fn tell_quarantined(&self, stack: &StackName) -> Result<(), Trouble> {
        let ledger = self.machine.ledger();
        let entries = ledger.all_quarantined(stack).map_err(|error| Trouble::of(&error))?;
        let records = if entries.is_empty() {
            Vec::new()
        } else {
            ledger.history(stack, DEPLOYS_LOOKED_AT).map_err(|error| Trouble::of(&error))?
        };
        let commit_of = |desired: &DesiredDigest| {
            let record = records.iter().find(|record| record.desired == *desired);
            record.and_then(|record| record.revision.commit().map(str::to_owned))
        };
        let told: Vec<Quarantined> = entries
            .into_iter()
            .map(|entry| Quarantined {
                commit: commit_of(&entry.desired),
                desired: entry.desired.0,
                reason: entry.why,
                since: entry.since,
            })
            .collect();
        self.audience.happens(Happening::Quarantined(&told));
        Ok(())
    }
}
