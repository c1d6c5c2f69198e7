//! The long-running agent: keeps one stack of this host as a branch says.
//!
//! One task owns everything. It looks, acts, and then waits for the first of the things that may wake it, all of which
//! are in the `select!` below and nowhere else. It is level-triggered: whatever woke it, it looks at the branch and at
//! the host again, so a lost event costs time and never correctness.
//!
//! What it aims at is decided anew at each look (`reconcile`): the newest commit, if that may be deployed; else what
//! was deployed last, whose drift it goes on repairing. The newest commit may not be deployed while
//! - its manifests are wrong, or the branch can't be read;
//! - it is quarantined: it had to be rolled back, and its content is still the same;
//! - it did not come after the commit that was deployed last. A branch that was rewritten or set back is held, for a
//!   host must not go back to something old, with its old flaws, in silence. Somebody who means it says `apply`;
//! - it removes so many services that somebody must agree first.
//!
//! A deploy under way is given up, at a safe point, for a newer commit that wants something else (`newer`); one that has
//! committed goes on to its end, and a way back is never given up. What fails for a passing reason is tried again after
//! growing pauses. A field that somebody sets back three times within ten minutes
//! is left alone for half an hour (`contest`). Everything is told once, until it changes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::{self, Instant};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::{debug, info, warn};

use crate::apply::Outcome;
use crate::apply::ledger::orders::Pause;
use crate::apply::machine::Machine;
use crate::apply::progress::{Event, Progress, Silent};
use crate::engine::Engine;
use crate::model::desired::Desired;
use crate::model::live::Live;
use crate::model::name::{DeployId, EnvironmentName, ServiceName};
use crate::model::window::Verdict;
use crate::plan::{Plan, PlanId};
use crate::source::Commit;

mod trigger;
mod ask;
mod schedule;
mod said;
mod branch;
mod contest;
mod listen;
mod reconcile;
mod pursue;
mod aim;
mod alarm;
mod newer;
mod order;
mod admit;
mod soak;
pub mod board;
pub mod credential;
pub mod desk;
pub mod fleet;
pub mod origin;
pub mod status;

pub use trigger::Trigger;

use ask::Bells;
use desk::Bell;
use listen::{Interest, listen};
use origin::Origin;
use reconcile::Reconciler;
use status::{HoldKind, Quarantined};

/// What is followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Follow {
    /// Where the commits come from.
    pub repository: Origin,
    /// The branch; absent means the repository's `HEAD`, unless tags are followed.
    pub branch: Option<String>,
    /// The environment.
    pub environment: EnvironmentName,
    /// Variables of this host that manifests may ask for. Their values are sensitive.
    pub host_variables: BTreeMap<String, String>,
    /// The time between two looks at the branch where no change was heard of; spread by a fifth.
    pub poll: Duration,
    /// The time between two looks at everything where nothing was heard of; spread by a fifth.
    pub look: Duration,
}

/// Is told what the agent does, besides what a deploy tells. Nothing is decided by it, and it must not block.
pub trait Audience: Progress {
    /// Something happened.
    fn happens(&self, happening: Happening<'_>);
}

/// What happens in the life of the agent.
#[derive(Debug, Clone, Copy)]
pub enum Happening<'a> {
    /// It looks.
    Woken(Trigger),
    /// It has asked the repository whether there is something new.
    Asked {
        /// How long that took.
        took: Duration,
        /// Why it can't be read, where it can't.
        result: Result<(), &'a str>,
    },
    /// The branch has another newest commit.
    Commit(&'a Commit),
    /// The manifests of the newest commit are right.
    Valid(&'a Desired),
    /// A plan was made for something desired: the newest commit, or what was deployed last.
    Compared(Comparison<'a>),
    /// It is about to carry out a plan that isn't empty.
    Deploys(&'a Plan),
    /// A deploy has ended, or a commit was found to want what runs already.
    Ended(&'a Plan, &'a Outcome),
    /// The newest commit is not deployed, for this reason. Told once.
    Holds(&'a Hold),
    /// The newest commit is no longer held.
    Admits,
    /// Something can't be done now and is tried again.
    Fails {
        /// Why.
        why: &'a str,
        /// After how long it is tried again.
        again: Option<Duration>,
    },
    /// What could not be done was done.
    Recovers,
    /// What was deployed has failed while it was watched, and what ran before is about to return. Told again where the way
    /// back is tried again.
    WatchFailed {
        /// The deploy that is watched.
        deploy: &'a DeployId,
        /// Its commit, where it was one.
        commit: Option<&'a str>,
        /// Why.
        why: &'a str,
        /// The last lines that the container wrote, where they are known.
        log_tail: &'a [String],
    },
    /// A watch has ended: what was deployed stays.
    WatchPassed(&'a DeployId),
    /// Somebody has paused the stack, or nobody has any more.
    Paused(Option<&'a Pause>),
    /// What the environment's windows say, where it has any.
    Window(Option<&'a Verdict>),
    /// What is quarantined.
    Quarantined(&'a [Quarantined]),
    /// A field was repaired and set back by somebody so often that it is left alone for a while.
    LeavesAlone {
        /// The service.
        service: &'a ServiceName,
        /// The field, as a plan names it.
        field: &'a str,
    },
    /// It has done what it could and waits.
    Rests,
}

/// A plan, and what it was made from.
#[derive(Debug, Clone, Copy)]
pub struct Comparison<'a> {
    /// What woke the agent.
    pub trigger: Trigger,
    /// What is desired.
    pub desired: &'a Desired,
    /// Whether that is the newest commit; else it is what was deployed last.
    pub is_newest: bool,
    /// What the host looked like.
    pub live: &'a Live,
    /// What there is to do.
    pub plan: &'a Plan,
}

/// Why the newest commit is not deployed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// What kind of reason it is.
    pub kind: HoldKind,
    /// Why, in words.
    pub why: String,
    /// The plan that somebody may agree to, where that is what it waits for.
    pub plan: Option<PlanId>,
}

impl Hold {
    fn new(kind: HoldKind, why: impl Into<String>) -> Self {
        Self { kind, why: why.into(), plan: None }
    }
}

/// Tells several audiences.
#[derive(Default)]
pub struct Audiences(pub Vec<Arc<dyn Audience>>);

impl Progress for Audiences {
    fn event(&self, event: Event<'_>) {
        self.0.iter().for_each(|audience| audience.event(event));
    }
}

impl Audience for Audiences {
    fn happens(&self, happening: Happening<'_>) {
        self.0.iter().for_each(|audience| audience.happens(happening));
    }
}

impl Audience for Silent {
    fn happens(&self, _: Happening<'_>) {}
}

/// A push changes several files, and a command several containers, in a moment. After the first hint it is waited for so
/// long a time without another one, ...
const QUIET: Duration = Duration::from_millis(50);
/// ... and never for longer than this.
const QUIET_MOST: Duration = Duration::from_millis(300);

/// Ends every deploy that was cut off on this host, whatever stack it was of. Needs neither Git nor a registry. Comes once,
/// before anybody is followed; what can't be ended now, the agent of its stack tries again.
pub async fn recover<E: Engine>(machine: &Machine<E>, audience: &dyn Audience) {
    let stacks = match machine.ledger().unfinished_stacks() {
        Ok(stacks) => stacks,
        Err(error) => return warn!(error = aim::chain(&error), "not known whether a deploy was cut off"),
    };
    for stack in stacks {
        if let Err(error) = machine.recover_stack(&stack, aim::ACTOR, audience).await {
            warn!(%stack, error = aim::chain(&error), "a deploy was cut off and is not at its end yet");
        }
    }
}

/// Keeps the stack as the branch says, until `stop` is cancelled.
///
/// # Guarantees
/// - What runs keeps running while the branch can't be read, its manifests are wrong, or its newest commit failed.
/// - A deploy under way when `stop` is cancelled has been undone, or has committed, when this returns.
pub async fn run<E: Engine>(
    machine: &Machine<E>,
    follow: &Follow,
    audience: &dyn Audience,
    bell: &Bell,
    stop: &CancellationToken,
) {
    let found = match follow.repository.remote() {
        None => Arc::clone(&bell.source),
        Some(_) => Arc::default(),
    };
    let bells = Bells { hint: Arc::clone(&bell.source), order: Arc::default(), found };
    let following = keep_up((machine, follow), audience, (&bells, &bell.order), stop);
    match follow.repository.remote() {
        None => following.await,
        Some(remote) => {
            tokio::select! {
                // Nothing is lost with what is asked: a mirror is as before, or has all of it.
                () = following => {}
                () = ask::ask(follow, remote, audience, &bells) => {}
            }
        }
    }
    debug!(environment = %follow.environment, "no longer followed");
}

/// The loop, which looks and acts.
async fn keep_up<E: Engine>(
    (machine, follow): (&Machine<E>, &Follow),
    audience: &dyn Audience,
    (bells, order): (&Bells, &Notify),
    stop: &CancellationToken,
) {
    let source_changed = &bells.found;
    let is_remote = follow.repository.remote().is_some();
    let host_changed = Arc::new(Notify::new());
    let (interest, interested) = watch::channel(Interest::default());
    let listener = listen(machine.engine().clone(), interested, Arc::clone(&host_changed));
    let _listener = AbortOnDropHandle::new(tokio::spawn(listener));
    let mut reconciler =
        Reconciler::new(machine, follow, audience, stop).with_ears(interest, Arc::clone(source_changed));
    info!(repository = %follow.repository, environment = %follow.environment, "following");
    let mut trigger = Trigger::Startup;
    loop {
        // The reason is for people: what is done follows from what is found.
        debug!(%trigger, "looking");
        audience.happens(Happening::Woken(trigger));
        reconciler.reconcile(trigger).await;
        audience.happens(Happening::Rests);
        let wakeup = reconciler.next_wakeup();
        trigger = tokio::select! {
            biased; // Stopping goes first: a deploy that was undone must not be followed by another.
            // Cancel-safe: a cancelled token stays cancelled. A deploy watches it at every step.
            () = stop.cancelled() => break,
            // Cancel-safe: a permit that is not taken stays for the next look. One is enough for any number of hints.
            () = source_changed.notified() => Trigger::SourceChanged,
            // Cancel-safe: as before.
            () = order.notified() => Trigger::Order,
            // Cancel-safe: as before.
            () = host_changed.notified() => Trigger::HostChanged,
            // Cancel-safe: dropping a sleep forgets only a time that is computed again.
            () = time::sleep_until(wakeup.at) => wakeup.trigger,
        };
        match trigger {
            // What comes from a mirror is whole at once.
            Trigger::SourceChanged if is_remote => {}
            Trigger::SourceChanged => quiet(source_changed).await,
            Trigger::HostChanged => quiet(&host_changed).await,
            Trigger::Order => bells.order.notify_one(),
            Trigger::Startup
            | Trigger::Poll
            | Trigger::FullLook
            | Trigger::Retry
            | Trigger::Watch
            | Trigger::Window => {}
        }
    }
}

/// Waits until no hint has come for a moment.
async fn quiet(hint: &Notify) {
    let most = Instant::now() + QUIET_MOST;
    while Instant::now() < most && time::timeout(QUIET, hint.notified()).await.is_ok() {}
}
