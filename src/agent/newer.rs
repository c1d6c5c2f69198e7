//! A newer commit while a deploy is under way: the deploy is given up for it at a safe point, so that a fix needn't wait
//! until what it mends has run out of time.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::time;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::branch::{self, Descent, Reading};
use super::reconcile::{Head, Reconciler, blocking, short};
use super::{aim, quiet, schedule};
use crate::engine::Engine;
use crate::model::desired::Desired;
use crate::model::name::DeployId;
use crate::model::window::{Approval, Verdict};
use crate::plan::Plan;

/// So many deploys in a row are given up at most. Where commits come faster than deploys end, one must end all the same.
const GIVEN_UP_MOST: u32 = 3;

impl<E: Engine> Reconciler<'_, E> {
    /// Awaits `deploy`, which carries out `plan`, and cancels its `stop` when a newer commit is worth it. Returns that
    /// commit, too. One that would be held half done is never given up.
    pub(super) async fn unless_superseded<T>(
        &self,
        plan: &Plan,
        deploy: impl Future<Output = T>,
        stop: &CancellationToken,
    ) -> (T, Option<String>) {
        let mut deploy = pin!(deploy);
        let hints = AtomicBool::new(false);
        let (deployed, newer) = tokio::select! {
            biased;
            deployed = &mut deploy => (deployed, None),
            // Cancel-safe: it only looks, and what it heard is passed on below.
            newer = self.newer(&hints), if plan.checkpoint.hold.is_empty() => {
                info!(commit = short(&newer), "a newer commit: the deploy under way is given up for it");
                stop.cancel();
                (deploy.await, Some(newer))
            }
        };
        if hints.into_inner() {
            self.source_changed.notify_one();
        }
        (deployed, newer)
    }

    /// Waits for a newer commit that is worth it, for ever if need be. `hints` tells whether anything was heard of the
    /// repository.
    async fn newer(&self, hints: &AtomicBool) -> String {
        let Some(head) = self.head.clone().filter(|_| self.given_up < GIVEN_UP_MOST) else {
            return std::future::pending().await;
        };
        let mut known = head.commit.clone();
        loop {
            tokio::select! {
                // Cancel-safe: `hints` is set before anything else is awaited.
                () = self.source_changed.notified() => hints.store(true, Ordering::Relaxed),
                // Cancel-safe: dropping a sleep forgets only a time that is computed again.
                () = time::sleep(schedule::spread(self.follow.poll, schedule::luck())) => {}
            }
            quiet(&self.source_changed).await;
            let follow = Arc::clone(&self.follow);
            let last = known.clone();
            // What can't be read now is told by the next look.
            let Ok(reading) = blocking(move || branch::read(&follow, Some(&last))).await else { continue };
            known = reading.commit.id.clone();
            if self.is_worth_it(&head, reading).await {
                hints.store(true, Ordering::Relaxed);
                return known;
            }
        }
    }

    /// Whether the deploy of `head` is to be given up for what was read: a commit after it, from somebody who may deploy,
    /// whose manifests are right and want something else, and that may be deployed now.
    async fn is_worth_it(&self, head: &Head, reading: Reading) -> bool {
        let Some(Ok((newer, _))) = reading.manifests else { return false };
        if head.desired.as_ref().is_some_and(|desired| wants_the_same(desired, &newer)) {
            return false;
        }
        // What has to wait itself is no reason to give up what somebody waits for.
        let is_open = matches!(newer.admission.verdict(self.machine.now()), Verdict::Open { .. });
        if newer.admission.approval == Approval::Required || !is_open {
            return false;
        }
        let (follow, before, after) = (Arc::clone(&self.follow), head.commit.clone(), reading.commit.id);
        let fits = blocking(move || {
            let follows = branch::descent(&follow, &before, &after)? == Descent::Follows;
            Ok(follows && branch::unsigned_since(&follow, &before, &after)?.is_none())
        });
        fits.await.unwrap_or(false)
    }

    /// Notes that `deploy` was given up for the commit `newer`.
    pub(super) fn superseded(&mut self, deploy: &DeployId, newer: &str) {
        self.given_up += 1;
        let why = format!("given up for a newer commit, {}", short(newer));
        // Without the note the history only says that it was stopped.
        if let Err(error) = self.machine.ledger().explain(deploy, &why) {
            warn!(error = aim::chain(&error), "not recorded why a deploy was given up");
        }
    }
}

/// Whether two commits desire the same.
fn wants_the_same(one: &Desired, other: &Desired) -> bool {
    *one == Desired { revision: one.revision.clone(), ..other.clone() }
}
