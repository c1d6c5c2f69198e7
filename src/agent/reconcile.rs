//! One look: reads the branch, decides what to aim at, and brings the host there.

use std::sync::Arc;

use tokio::sync::{Notify, watch};
use tokio::task;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::aim::{self, Aim, Stays, Trouble};
use super::branch::{self, Descent, Reading};
use super::contest::Contests;
use super::listen::Interest;
use super::said::{Said, Topic};
use super::schedule::{self, Attempts, Due, Wakeup};
use super::{Audience, Follow, Happening, Trigger};
use crate::apply::ledger::memory::Stable;
use crate::apply::machine::Machine;
use crate::apply::registry::Registries;
use crate::engine::Engine;
use crate::model::desired::Desired;
use crate::model::name::StackName;
use crate::plan::DesiredDigest;
use crate::source::{SourceError, Watch};

/// What waits to be tried again where a deploy was cut off and isn't at its end.
const RECOVERY: &str = "recovery";

/// What the agent knows from one look to the next. All of it can be found out again.
pub(super) struct Reconciler<'a, E> {
    pub(super) machine: &'a Machine<E>,
    pub(super) audience: &'a dyn Audience,
    pub(super) stop: &'a CancellationToken,
    pub(super) said: Said,
    follow: Arc<Follow>,
    interest: watch::Sender<Interest>,
    source_changed: Arc<Notify>,
    /// Hears of changes of the repository. Absent where that isn't possible at the moment.
    ears: Option<Watch>,
    /// Whether the branch could be read the last time.
    is_readable: bool,
    pub(super) head: Option<Head>,
    /// The stack, as the branch named it last.
    stack: Option<StackName>,
    /// The manifests of what was deployed last, by its commit.
    stable: Option<(String, Arc<Desired>)>,
    attempts: [Attempts; 2],
    pub(super) contests: Contests,
    /// Whether this look asks registries. One for an event doesn't: repairs must not wait for them.
    registries: Registries,
    poll: Instant,
    look: Instant,
    /// When what is watched is looked at again.
    pub(super) watch_at: Option<Instant>,
}

/// The newest commit.
#[derive(Debug, Clone)]
pub(super) struct Head {
    pub(super) commit: String,
    /// What it desires; absent where its manifests are wrong.
    pub(super) desired: Option<Arc<Desired>>,
    /// Digest of everything that it desires, once it was planned.
    digest: Option<DesiredDigest>,
    /// The commit that it is known to come after.
    follows: Option<String>,
}

impl<'a, E: Engine> Reconciler<'a, E> {
    pub(super) fn new(
        machine: &'a Machine<E>,
        follow: &Follow,
        audience: &'a dyn Audience,
        stop: &'a CancellationToken,
    ) -> Self {
        let now = Instant::now();
        Self {
            machine,
            audience,
            stop,
            said: Said::default(),
            follow: Arc::new(follow.clone()),
            interest: watch::Sender::default(),
            source_changed: Arc::default(),
            ears: None,
            is_readable: true,
            head: None,
            stack: None,
            stable: None,
            attempts: Default::default(),
            contests: Contests::default(),
            registries: Registries::Ask,
            poll: now,
            look: now,
            watch_at: None,
        }
    }

    /// The same, which tells `interest` whose events matter and lets changes of the repository wake `source_changed`.
    pub(super) fn with_ears(self, interest: watch::Sender<Interest>, source_changed: Arc<Notify>) -> Self {
        Self { interest, source_changed, ..self }
    }

    /// When to look next if nothing else wakes the agent.
    pub(super) fn next_wakeup(&self) -> Wakeup {
        let retry = self.attempts.iter().filter_map(Attempts::again_at).min();
        schedule::next_wakeup(&Due { poll: self.poll, look: self.look, retry, watch: self.watch_at })
    }

    pub(super) fn attempts(&mut self, aim: Aim) -> &mut Attempts {
        let [newest, stable] = &mut self.attempts;
        match aim {
            Aim::Newest => newest,
            Aim::Stable => stable,
        }
    }

    /// Ends every deploy that was cut off, whatever stack it was of. Needs neither Git nor a registry.
    pub(super) async fn recover_all(&mut self) {
        let stacks = match self.machine.ledger().unfinished_stacks() {
            Ok(stacks) => stacks,
            Err(error) => return warn!(error = aim::chain(&error), "not known whether a deploy was cut off"),
        };
        for stack in stacks {
            self.recover(&stack).await;
        }
    }

    /// Ends a deploy of `stack` that was cut off, if there is one. Returns whether there is none any more: as long as
    /// there is, nothing else can be deployed.
    async fn recover(&mut self, stack: &StackName) -> bool {
        if matches!(self.machine.ledger().open_deploy(stack), Ok(None)) {
            return true;
        }
        // What it does on the host wakes the agent again; that must not be a circle.
        if self.attempts(Aim::Newest).forbids(RECOVERY, Instant::now()) {
            return false;
        }
        let recovered = self.machine.recover_stack(stack, aim::ACTOR, self.audience).await;
        if let Err(error) = &recovered {
            let trouble = Trouble { text: aim::chain(error), what: Some(RECOVERY.to_owned()) };
            self.put_off(Aim::Newest, trouble);
        }
        recovered.is_ok()
    }

    /// Tells what is in the way, and tries again later.
    fn put_off(&mut self, aim: Aim, trouble: Trouble) {
        let Trouble { text, what } = trouble;
        self.attempts(aim).failed(what, Instant::now(), schedule::luck());
        if self.said.is_news(Topic::Host, &text) {
            let again = self.attempts(aim).again_at().map(|at| at - Instant::now());
            warn!(reason = text, ?again, "not done, and tried again");
        }
    }

    /// Looks, and brings the host to what it should be.
    pub(super) async fn reconcile(&mut self, trigger: Trigger) {
        let now = Instant::now();
        self.attempts.iter_mut().for_each(|attempts| attempts.is_due(now));
        let is_new = self.read_branch(trigger).await;
        self.poll = Instant::now() + schedule::spread(self.follow.poll, schedule::luck());
        if !is_new && !trigger.asks_host() || self.stop.is_cancelled() {
            return;
        }
        self.registries = match trigger {
            Trigger::HostChanged | Trigger::Watch if !is_new => Registries::Recall,
            _ => Registries::Ask,
        };
        let full = Instant::now() + schedule::spread(self.follow.look, schedule::luck());
        self.look = if trigger == Trigger::Watch { self.look } else { full };
        let Some(stack) = self.stack.clone() else { return };
        if !self.recover(&stack).await {
            return;
        }
        if let Err(trouble) = self.soak(&stack).await {
            return self.put_off(Aim::Stable, trouble);
        }
        match self.pursue(&stack).await {
            // Where something waits to be tried again, it isn't over.
            Ok(()) if self.attempts.iter().all(|attempts| attempts.again_at().is_none()) => {
                self.said.is_over(Topic::Host);
            }
            Ok(()) => {}
            Err(_) if self.stop.is_cancelled() => {}
            Err((aim, trouble)) => self.put_off(aim, trouble),
        }
        self.watch_on(&stack);
    }

    /// Aims at the newest commit, or else at what was deployed last.
    async fn pursue(&mut self, stack: &StackName) -> Result<(), (Aim, Trouble)> {
        match self.pursue_newest(stack).await.map_err(|trouble| (Aim::Newest, trouble))? {
            None => {
                self.said.is_over(Topic::Repair);
                if self.said.is_over(Topic::Hold) {
                    debug!("the newest commit is no longer held");
                }
                Ok(())
            }
            Some(_) if self.stop.is_cancelled() => Ok(()),
            Some(why) => {
                if let Stays::Held(why) = &why
                    && self.said.is_news(Topic::Hold, why)
                {
                    warn!(reason = why, "the newest commit is held");
                    self.audience.happens(Happening::Holds(why));
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
        if let Some(why) = self.rewritten(&commit, stable.as_ref()).await? {
            return Ok(Some(Stays::Held(why)));
        }
        // Where registries decide, the same commit may desire something else by now.
        if let Some(digest) = digest
            && !desired.follows_registries()
            && let Some(why) = self.quarantine_of(stack, &digest)?
        {
            return Ok(Some(Stays::Held(why)));
        }
        let desired = self.contests.leave_alone(&desired, Instant::now());
        let planned = self.plan(&desired, self.registries).await?;
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
            None => Some(Stays::Held("what runs was deployed from files, not from a commit".to_owned())),
            Some(commit) => match self.stable_desired(&commit).await {
                Err(why) => Some(Stays::Held(why)),
                Ok(desired) => {
                    self.interest.send_replace(Interest::of(&desired));
                    let desired = self.contests.leave_alone(&desired, Instant::now());
                    let planned = self.plan(&desired, Registries::Leave).await?;
                    self.bring(Aim::Stable, &desired, planned, Some(stable)).await?
                }
            },
        };
        match stays {
            None => drop(self.said.is_over(Topic::Repair)),
            Some(Stays::Told) => {}
            Some(Stays::Held(why)) => {
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
            .map_err(|report| format!("its manifests are wrong by now:\n{report}"))?;
        self.stable = Some((commit.to_owned(), Arc::clone(&desired)));
        Ok(desired)
    }

    /// Why the newest commit must not be deployed on top of the last one, by their descent.
    async fn rewritten(&mut self, head: &str, stable: Option<&Stable>) -> Result<Option<String>, Trouble> {
        let Some(applied) = stable.and_then(|stable| stable.revision.commit()) else { return Ok(None) };
        let known = self.head.as_ref().and_then(|head| head.follows.as_deref());
        if head == applied || known == Some(applied) {
            return Ok(None);
        }
        let (follow, applied_id, head_id) = (Arc::clone(&self.follow), applied.to_owned(), head.to_owned());
        let descent = blocking(move || branch::descent(&follow.repository, &applied_id, &head_id)).await;
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

    /// Reads the branch. Returns whether it says something new.
    async fn read_branch(&mut self, trigger: Trigger) -> bool {
        // A watch falls silent when the repository is made anew, so it is renewed now and then.
        if self.ears.is_none() || !self.is_readable || trigger == Trigger::FullLook {
            self.hear().await;
        }
        let known = self.head.as_ref().map(|head| head.commit.clone());
        let follow = Arc::clone(&self.follow);
        match blocking(move || branch::read(&follow, known.as_deref())).await {
            Ok(reading) => {
                self.is_readable = true;
                if self.said.is_over(Topic::Branch) {
                    info!("the branch can be read again");
                }
                self.take(reading)
            }
            Err(error) => {
                self.is_readable = false;
                let text = aim::chain(&error);
                if self.said.is_news(Topic::Branch, &text) {
                    warn!(error = text, "the branch can't be read; what runs goes on");
                }
                false
            }
        }
    }

    async fn hear(&mut self) {
        let (follow, wake) = (Arc::clone(&self.follow), Arc::clone(&self.source_changed));
        match blocking(move || branch::hear(&follow.repository, wake)).await {
            Ok(ears) => {
                self.ears = Some(ears);
                self.said.is_over(Topic::Watch);
            }
            // What makes it unreadable is told by the reading, which is next.
            Err(error) if matches!(error, SourceError::Watch { .. }) => {
                let text = aim::chain(&error);
                if self.said.is_news(Topic::Watch, &text) {
                    warn!(error = text, "changes of the repository are found by looking only");
                }
            }
            Err(_) => {}
        }
    }

    fn take(&mut self, reading: Reading) -> bool {
        let Reading { commit, manifests, stack } = reading;
        let Some(manifests) = manifests else { return false };
        info!(commit = short(&commit.id), summary = commit.summary, author = commit.author, "new commit");
        self.stack = stack.or(self.stack.take());
        let desired = match manifests {
            Ok((desired, warnings)) => {
                for warning in warnings {
                    warn!(commit = short(&commit.id), "worth a look\n{warning}");
                }
                self.interest.send_replace(Interest::of(&desired));
                self.said.is_over(Topic::Manifests);
                Some(desired)
            }
            Err(report) => {
                if self.said.is_news(Topic::Manifests, &report) {
                    warn!("the manifests of {} are wrong; what runs goes on\n{report}", short(&commit.id));
                    self.audience.happens(Happening::Holds(&report));
                }
                None
            }
        };
        self.head = Some(Head { commit: commit.id, desired, digest: None, follows: None });
        true
    }
}

/// Runs something that blocks on files.
async fn blocking<T: Send + 'static>(
    body: impl FnOnce() -> Result<T, SourceError> + Send + 'static,
) -> Result<T, SourceError> {
    match task::spawn_blocking(body).await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is being taken down, and this task with it.
            Err(_) => std::future::pending().await,
        },
    }
}

fn short(commit: &str) -> &str {
    commit.get(..7).unwrap_or(commit)
}
