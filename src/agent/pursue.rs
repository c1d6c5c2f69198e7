//! What a look aims at: the newest commit, or else what was deployed last.

use std::sync::Arc;

use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::aim::{self, Aim, Stays, Trouble};
use super::branch::{self, Descent};
use super::listen::Interest;
use super::reconcile::{Head, Reconciler, blocking, short};
use super::said::Topic;
use super::status::HoldKind;
use super::{Happening, Hold};
use crate::apply::ledger::memory::Stable;
use crate::apply::registry::Registries;
use crate::engine::Engine;
use crate::model::desired::Desired;
use crate::model::name::StackName;

impl<E: Engine> Reconciler<'_, E> {
    /// Aims at the newest commit, or else at what was deployed last.
    pub(super) async fn pursue(&mut self, stack: &StackName) -> Result<(), (Aim, Trouble)> {
        if let Some(Stays::Held(hold)) =
            self.return_by_order(stack).await.map_err(|trouble| (Aim::Stable, trouble))?
        {
            self.audience.happens(Happening::Holds(&hold));
        }
        match self.pursue_newest(stack).await.map_err(|trouble| (Aim::Newest, trouble))? {
            None => {
                self.said.is_over(Topic::Repair);
                if self.said.is_over(Topic::Hold) {
                    debug!("the newest commit is no longer held");
                }
                self.audience.happens(Happening::Admits);
                Ok(())
            }
            Some(_) if self.stop.is_cancelled() => Ok(()),
            // The next look follows at once, and finds what is to be aimed at.
            Some(Stays::Superseded) => Ok(()),
            Some(why) => {
                if let Stays::Held(hold) = &why
                    && self.said.is_news(Topic::Hold, &hold.why)
                {
                    warn!(reason = hold.why, "the newest commit is held");
                    self.audience.happens(Happening::Holds(hold));
                }
                self.pursue_stable(stack).await.map_err(|trouble| (Aim::Stable, trouble))
            }
        }
    }

    /// Brings the host to the newest commit, or says why it stays where it is.
    async fn pursue_newest(&mut self, stack: &StackName) -> Result<Option<Stays>, Trouble> {
        let Some(Head { commit, desired: Some(desired), digest, .. }) = self.head.clone() else {
            return Ok(Some(Stays::Told));
        };
        let stable = self.last_stable(stack)?;
        self.keep(stable.as_ref()).await;
        if let Some(why) = self.rewritten(&commit, stable.as_ref()).await? {
            return Ok(Some(Stays::Held(Hold::new(HoldKind::Rewritten, why))));
        }
        if let Some(why) = self.unverified(&commit, stable.as_ref()).await? {
            return Ok(Some(Stays::Held(Hold::new(HoldKind::Unverified, why))));
        }
        // Where registries decide, the same commit may desire something else by now.
        if let Some(digest) = digest
            && !desired.follows_registries()
            && let Some(why) = self.quarantine_of(stack, &digest)?
        {
            return Ok(Some(Stays::Held(Hold::new(HoldKind::Quarantined, why))));
        }
        let desired = self.contests.leave_alone(&desired, Instant::now());
        let planned = self.plan(Aim::Newest, &desired, self.registries).await?;
        if let (Ok(plan), Some(head)) = (&planned, &mut self.head) {
            head.digest = Some(plan.desired.clone());
        }
        self.bring(Aim::Newest, &desired, planned, stable).await
    }

    /// Keeps up what was deployed last.
    async fn pursue_stable(&mut self, stack: &StackName) -> Result<(), Trouble> {
        let Some(stable) = self.last_stable(stack)? else { return Ok(()) };
        let is_newest = self.head.as_ref().is_some_and(|head| head.digest.as_ref() == Some(&stable.desired));
        // Then it was just aimed at.
        if is_newest {
            return Ok(());
        }
        let stays = match stable.revision.commit().map(str::to_owned) {
            None => {
                let why = "what runs was deployed from files, not from a commit";
                Some(Stays::Held(Hold::new(HoldKind::Refused, why)))
            }
            Some(commit) => match self.stable_desired(&commit).await {
                Err(why) => Some(Stays::Held(Hold::new(HoldKind::Invalid, why))),
                Ok(desired) => {
                    self.interest.send_replace(Interest::of(&desired));
                    let desired = self.contests.leave_alone(&desired, Instant::now());
                    let planned = self.plan(Aim::Stable, &desired, Registries::Leave).await?;
                    self.bring(Aim::Stable, &desired, planned, Some(stable)).await?
                }
            },
        };
        match stays {
            None => drop(self.said.is_over(Topic::Repair)),
            Some(Stays::Told | Stays::Superseded) => {}
            Some(Stays::Held(Hold { why, .. })) => {
                if self.said.is_news(Topic::Repair, &why) {
                    warn!(reason = why, "what was deployed last is not kept up");
                }
            }
        }
        Ok(())
    }

    pub(super) fn last_stable(&self, stack: &StackName) -> Result<Option<Stable>, Trouble> {
        self.machine.ledger().last_stable(stack).map_err(|error| Trouble::of(&error))
    }

    /// The manifests of what was deployed last, or why they can't be had.
    pub(super) async fn stable_desired(&mut self, commit: &str) -> Result<Arc<Desired>, String> {
        if let Some((_, desired)) = self.stable.as_ref().filter(|(known, _)| known == commit) {
            return Ok(Arc::clone(desired));
        }
        let (follow, id) = (Arc::clone(&self.follow), commit.to_owned());
        let (desired, _) = blocking(move || branch::read_commit(&follow, &id))
            .await
            .map_err(|error| aim::chain(&error))?
            .map_err(|unfit| format!("its manifests are wrong by now:\n{}", unfit.why))?;
        self.stable = Some((commit.to_owned(), Arc::clone(&desired)));
        Ok(desired)
    }

    /// Keeps what is deployed, so that a branch that is rewritten can't take it away.
    async fn keep(&mut self, stable: Option<&Stable>) {
        let Some(applied) = stable.and_then(|stable| stable.revision.commit()) else { return };
        if self.kept.as_deref() == Some(applied) {
            return;
        }
        let (follow, commit) = (Arc::clone(&self.follow), applied.to_owned());
        match blocking(move || branch::keep(&follow, &commit)).await {
            Ok(()) => self.kept = Some(applied.to_owned()),
            Err(error) => debug!(error = aim::chain(&error), "what is deployed is not kept in the mirror"),
        }
    }

    /// Why a commit since the last deployed one is not from somebody who may deploy. The newest itself was looked at when
    /// it was read.
    async fn unverified(&mut self, head: &str, stable: Option<&Stable>) -> Result<Option<String>, Trouble> {
        let Some(applied) = stable.and_then(|stable| stable.revision.commit()) else { return Ok(None) };
        let known = self.head.as_ref().and_then(|head| head.verified_since.as_deref());
        if head == applied || known == Some(applied) {
            return Ok(None);
        }
        let (follow, applied_id, head_id) = (Arc::clone(&self.follow), applied.to_owned(), head.to_owned());
        let checked = blocking(move || branch::unsigned_since(&follow, &applied_id, &head_id)).await;
        let why = checked.map_err(|error| Trouble::of(&error))?;
        if let (None, Some(head)) = (&why, &mut self.head) {
            head.verified_since = Some(applied.to_owned());
        }
        Ok(why)
    }

    /// Why the newest commit must not be deployed on top of the last one, by their descent.
    async fn rewritten(&mut self, head: &str, stable: Option<&Stable>) -> Result<Option<String>, Trouble> {
        let Some(applied) = stable.and_then(|stable| stable.revision.commit()) else { return Ok(None) };
        let known = self.head.as_ref().and_then(|head| head.follows.as_deref());
        if head == applied || known == Some(applied) {
            return Ok(None);
        }
        let (follow, applied_id, head_id) = (Arc::clone(&self.follow), applied.to_owned(), head.to_owned());
        let descent = blocking(move || branch::descent(&follow, &applied_id, &head_id)).await;
        match descent.map_err(|error| Trouble::of(&error))? {
            Descent::Rewritten => Ok(Some(format!(
                "{} did not come after {}, which was deployed last: the branch was rewritten or set back; \
                 `evenkeel apply` deploys it if that is meant",
                short(head),
                short(applied)
            ))),
            descent @ (Descent::Follows | Descent::Unknown) => {
                if descent == Descent::Unknown {
                    info!(applied = short(applied), "the repository doesn't know what was deployed last");
                }
                if let Some(head) = &mut self.head {
                    head.follows = Some(applied.to_owned());
                }
                Ok(None)
            }
        }
    }
}
