//! One look: reads the branch, decides what to aim at, and brings the host there.

use std::sync::Arc;

use tokio::sync::{Notify, watch};
use tokio::task;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::aim::{self, Aim, Trouble};
use super::branch::{self, Reading, Unfit};
use super::contest::Contests;
use super::listen::Interest;
use super::said::{Said, Topic};
use super::schedule::{self, Attempts, Due, Wakeup};
use super::status::HoldKind;
use super::{Audience, Follow, Happening, Hold, Trigger};
use crate::apply::ledger::orders::Orders;
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
    pub(super) follow: Arc<Follow>,
    pub(super) interest: watch::Sender<Interest>,
    pub(super) source_changed: Arc<Notify>,
    /// How many deploys in a row were given up for a newer commit.
    pub(super) given_up: u32,
    /// Hears of changes of the repository. Absent where that isn't possible at the moment.
    ears: Option<Watch>,
    /// Whether the branch could be read the last time.
    is_readable: bool,
    pub(super) head: Option<Head>,
    /// The commit that is known to be kept in the mirror.
    pub(super) kept: Option<String>,
    /// The stack, as the branch named it last.
    pub(super) stack: Option<StackName>,
    /// The manifests of what was deployed last, by its commit.
    pub(super) stable: Option<(String, Arc<Desired>)>,
    attempts: [Attempts; 2],
    pub(super) contests: Contests,
    /// Whether this look asks registries. One for an event doesn't: repairs must not wait for them.
    pub(super) registries: Registries,
    /// When a pause ends, or a window begins or ends.
    pub(super) opens_at: Option<Instant>,
    /// What operators had asked for at the last look.
    pub(super) orders: Orders,
    /// What woke it for this look.
    pub(super) trigger: Trigger,
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
    pub(super) digest: Option<DesiredDigest>,
    /// The commit that it is known to come after.
    pub(super) follows: Option<String>,
    /// The commit since which all commits are known to be from somebody who may deploy.
    pub(super) verified_since: Option<String>,
    /// Whether it is itself not from somebody who may deploy, by what the host says so far.
    is_unverified: bool,
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
            given_up: 0,
            ears: None,
            is_readable: true,
            head: None,
            kept: None,
            stack: None,
            stable: None,
            attempts: Default::default(),
            contests: Contests::default(),
            registries: Registries::Ask,
            opens_at: None,
            orders: Orders::default(),
            trigger: Trigger::Startup,
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
        let window = self.opens_at;
        schedule::next_wakeup(&Due { poll: self.poll, look: self.look, retry, watch: self.watch_at, window })
    }

    pub(super) fn attempts(&mut self, aim: Aim) -> &mut Attempts {
        let [newest, stable] = &mut self.attempts;
        match aim {
            Aim::Newest => newest,
            Aim::Stable => stable,
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
        let again = self.attempts(aim).again_at().map(|at| at - Instant::now());
        self.audience.happens(Happening::Fails { why: &text, again });
        if self.said.is_news(Topic::Host, &text) {
            warn!(reason = text, ?again, "not done, and tried again");
        }
    }

    /// Looks, and brings the host to what it should be.
    pub(super) async fn reconcile(&mut self, trigger: Trigger) {
        let now = Instant::now();
        self.trigger = trigger;
        if trigger == Trigger::Order {
            // Whoever asks for something has a reason not to wait.
            self.attempts = Default::default();
        }
        self.attempts.iter_mut().for_each(|attempts| attempts.is_due(now));
        let is_new = self.read_branch(trigger).await;
        self.poll = Instant::now() + schedule::spread(self.follow.poll, schedule::luck());
        let is_asked = trigger.asks_host() || self.is_ordered();
        if !is_new && !is_asked || self.stop.is_cancelled() {
            return;
        }
        self.registries = match trigger {
            Trigger::HostChanged | Trigger::Watch if !is_new => Registries::Recall,
            _ => Registries::Ask,
        };
        let full = Instant::now() + schedule::spread(self.follow.look, schedule::luck());
        self.look = if trigger == Trigger::Watch { self.look } else { full };
        // Before anything that may end this look: a time that has come must not wake it again at once.
        self.opens_at = None;
        let Some(stack) = self.stack.clone() else { return };
        if !self.recover(&stack).await {
            return;
        }
        match self.read_orders(&stack) {
            Ok(None) => self.goes_on_after_pause(),
            Ok(Some(pause)) => {
                return match self.look_on(&stack, &pause).await {
                    Ok(()) => {}
                    Err(trouble) => self.put_off(Aim::Newest, trouble),
                };
            }
            Err(trouble) => return self.put_off(Aim::Newest, trouble),
        }
        if let Err(trouble) = self.soak(&stack).await {
            return self.put_off(Aim::Stable, trouble);
        }
        let pursued = self.pursue(&stack).await;
        if let Err(trouble) = self.tell_quarantined(&stack) {
            warn!(reason = trouble.text, "not known what is quarantined");
        }
        match pursued {
            // Where something waits to be tried again, it isn't over.
            Ok(()) if self.attempts.iter().all(|attempts| attempts.again_at().is_none()) => {
                self.said.is_over(Topic::Host);
                self.audience.happens(Happening::Recovers);
            }
            Ok(()) => {}
            Err(_) if self.stop.is_cancelled() => {}
            Err((aim, trouble)) => self.put_off(aim, trouble),
        }
        self.watch_on(&stack);
    }

    /// Reads the branch. Returns whether it says something new.
    async fn read_branch(&mut self, trigger: Trigger) -> bool {
        // A watch falls silent when the repository is made anew, so it is renewed now and then.
        if self.ears.is_none() || !self.is_readable || trigger == Trigger::FullLook {
            self.hear().await;
        }
        // Who may deploy is said by files of the host, which may have changed.
        let is_asked_again = matches!(trigger, Trigger::FullLook | Trigger::Order);
        let known = self.head.as_ref().filter(|head| !(head.is_unverified && is_asked_again));
        let known = known.map(|head| head.commit.clone());
        let is_remote = self.follow.repository.remote().is_some();
        let follow = Arc::clone(&self.follow);
        let began = Instant::now();
        let read = blocking(move || branch::read(&follow, known.as_deref())).await;
        let took = began.elapsed();
        match read {
            Ok(reading) => {
                // Who asks a server tells it.
                if !is_remote {
                    self.audience.happens(Happening::Asked { took, result: Ok(()) });
                }
                self.is_readable = true;
                if self.said.is_over(Topic::Branch) {
                    info!("the branch can be read again");
                }
                self.take(reading)
            }
            Err(SourceError::NotFetched { .. }) => false,
            Err(error) => {
                self.is_readable = false;
                let text = aim::chain(&error);
                self.audience.happens(Happening::Asked { took, result: Err(&text) });
                if self.said.is_news(Topic::Branch, &text) {
                    warn!(error = text, "the branch can't be read; what runs goes on");
                }
                false
            }
        }
    }

    async fn hear(&mut self) {
        let (follow, wake) = (Arc::clone(&self.follow), Arc::clone(&self.source_changed));
        match blocking(move || branch::hear(&follow, wake)).await {
            Ok(ears) => {
                self.ears = ears;
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

    /// Notes the stack that the branch names, if it does. Where that can't be recorded, only the command line has to be told
    /// which stack is meant.
    fn follows(&mut self, stack: Option<StackName>) {
        let Some(stack) = stack.filter(|stack| self.stack.as_ref() != Some(stack)) else { return };
        if let Err(error) = self.machine.ledger().note_followed(&stack, aim::ACTOR, self.machine.now()) {
            warn!(%stack, error = aim::chain(&error), "not recorded that this stack is followed");
        }
        self.stack = Some(stack);
    }

    fn take(&mut self, reading: Reading) -> bool {
        let Reading { commit, manifests, stack } = reading;
        let Some(manifests) = manifests else { return false };
        let is_known = self.head.as_ref().is_some_and(|head| head.commit == commit.id);
        if !is_known {
            info!(commit = short(&commit.id), summary = commit.summary, author = commit.author, "new commit");
            self.audience.happens(Happening::Commit(&commit));
        }
        let is_unverified = manifests.as_ref().is_err_and(|unfit| unfit.kind == HoldKind::Unverified);
        self.follows(stack);
        let desired = match manifests {
            Ok((desired, warnings)) => {
                for warning in warnings {
                    warn!(commit = short(&commit.id), "worth a look\n{warning}");
                }
                self.interest.send_replace(Interest::of(&desired));
                self.said.is_over(Topic::Manifests);
                self.audience.happens(Happening::Valid(&desired));
                Some(desired)
            }
            Err(Unfit { kind, why }) => {
                if self.said.is_news(Topic::Manifests, &why) {
                    if is_unverified {
                        warn!(reason = why, "the newest commit is held; what runs goes on");
                    } else {
                        warn!("the manifests of {} are wrong; what runs goes on\n{why}", short(&commit.id));
                    }
                    self.audience.happens(Happening::Holds(&Hold::new(kind, why)));
                }
                None
            }
        };
        let (digest, follows, verified_since) = (None, None, None);
        self.head = Some(Head { commit: commit.id, desired, digest, follows, verified_since, is_unverified });
        !(is_known && is_unverified)
    }
}

/// Runs something that blocks on files.
pub(super) async fn blocking<T: Send + 'static>(
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

/// The first letters of a commit's id, as Git shows them.
pub(super) fn short(commit: &str) -> &str {
    commit.get(..7).unwrap_or(commit)
}
