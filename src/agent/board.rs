//! Keeps what is known of a stack, as the agent tells it: the API, the metrics and the terminal read it here.
//!
//! It is a fold over what happens and decides nothing.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use tokio::sync::watch;

use super::status::{Axis, Health, Held, HoldKind, Operation, Paused, StackState, Statement, Sync};
use super::{Audience, Comparison, Follow, Happening, Hold};
use crate::apply::clock::Clock;
use crate::apply::progress::{Event, Progress};
use crate::apply::{Outcome, StepFailure};
use crate::model::desired::{Desired, Expect};
use crate::model::live::{self, Live, LiveContainer, Status};
use crate::model::name::Instance;
use crate::plan::Plan;

/// What is known of a stack.
pub struct Board {
    state: watch::Sender<StackState>,
    plan: Mutex<Option<Arc<Plan>>>,
    clock: Box<dyn Clock>,
}

impl fmt::Debug for Board {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Board").field("state", &*self.state.borrow()).finish_non_exhaustive()
    }
}

impl Board {
    /// The board of what is followed.
    pub fn new(follow: &Follow, clock: Box<dyn Clock>) -> Self {
        let now = clock.now();
        let axis = Axis { since: now, ..Axis::default() };
        let state = StackState {
            environment: follow.environment.to_string(),
            repository: follow.repository.to_string(),
            branch: follow.branch.clone(),
            sync: axis,
            health: Axis { since: now, ..Axis::default() },
            operation: Axis { since: now, ..Axis::default() },
            ..StackState::default()
        };
        Self { state: watch::Sender::new(state), plan: Mutex::default(), clock }
    }

    /// What is known now.
    pub fn state(&self) -> StackState {
        self.state.borrow().clone()
    }

    /// What is known, and each time that it changes.
    pub fn watch(&self) -> watch::Receiver<StackState> {
        self.state.subscribe()
    }

    /// The plan that was made last for the newest commit.
    pub fn plan(&self) -> Option<Arc<Plan>> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn keep(&self, plan: &Plan) {
        let mut kept = self.plan.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.as_ref().is_none_or(|kept| kept.id != plan.id || kept.revision != plan.revision) {
            *kept = Some(Arc::new(plan.clone()));
        }
    }

    /// Changes what is known. Who watches is told only where it is something else.
    pub(super) fn change(&self, change: impl FnOnce(&mut StackState, Timestamp)) {
        let now = self.clock.now();
        self.state.send_if_modified(|state| {
            let before = state.clone();
            change(state, now);
            *state != before
        });
    }
}

impl Progress for Board {
    fn event(&self, event: Event<'_>) {
        self.change(|state, now| {
            let mut operation = state.operation.state.clone();
            match (&mut operation, event) {
                (_, Event::Began { deploy, steps }) => {
                    operation =
                        Operation::Applying { deploy: deploy.to_string(), done: 0, steps, what: None };
                }
                (
                    Operation::Applying { what, .. } | Operation::RollingBack { what, .. },
                    Event::StepStarted { what: begun, .. },
                ) => *what = Some(begun.to_owned()),
                (
                    Operation::Applying { done, .. } | Operation::RollingBack { done, .. },
                    Event::StepDone { .. },
                ) => *done += 1,
                (Operation::Applying { deploy, .. }, Event::RollingBack { failure }) => {
                    let deploy = deploy.clone();
                    operation = Operation::RollingBack { deploy, done: 0, steps: 0, what: None };
                    state.operation.reason = failure.map(ToString::to_string);
                }
                (Operation::RollingBack { steps, .. }, Event::RollbackBegan { steps: all, .. }) => {
                    *steps = all;
                }
                _ => {}
            }
            let reason = state.operation.reason.take();
            state.operation.set(operation, reason, now);
        });
    }
}

impl Audience for Board {
    fn happens(&self, happening: Happening<'_>) {
        if let Happening::Compared(Comparison { plan, is_newest: true, .. }) = happening {
            self.keep(plan);
        }
        self.change(|state, now| note(state, happening, now));
    }
}

fn note(state: &mut StackState, happening: Happening<'_>, now: Timestamp) {
    match happening {
        Happening::Woken(_) => {
            state.looked = Some(now);
            // What waits to be tried again waits on, until it was done.
            if !matches!(state.operation.state, Operation::Waiting { .. }) {
                state.operation.set(Operation::Looking, None, now);
            }
        }
        Happening::Asked { result: Ok(()), .. } => {
            state.fetched = Some(now);
            state.state(Statement::SourceReady, true, None, now);
        }
        Happening::Asked { result: Err(why), .. } => {
            state.state(Statement::SourceReady, false, Some(why.to_owned()), now);
        }
        Happening::Commit(commit) => state.revisions.observed = Some(commit.id.clone()),
        Happening::Valid(desired) => {
            state.stack = Some(desired.stack.to_string());
            state.state(Statement::Valid, true, None, now);
        }
        Happening::Compared(comparison) => compared(state, &comparison, now),
        Happening::Deploys(plan) => state.revisions.attempted = plan.revision.commit().map(str::to_owned),
        Happening::Ended(plan, outcome) => ended(state, plan, outcome, now),
        Happening::Holds(hold) => holds(state, hold, now),
        Happening::Admits => {
            state.revisions.held = None;
            state.waiting_plan = None;
            state.state(Statement::Admitted, true, None, now);
        }
        Happening::Fails { why, again } => {
            let until = again.and_then(|again| now.checked_add(again).ok());
            state.state(Statement::Stalled, true, Some(why.to_owned()), now);
            state.operation.set(Operation::Waiting { reason: why.to_owned(), until }, None, now);
            state.sync.set(Sync::Unknown, Some(why.to_owned()), now);
        }
        Happening::Recovers => {
            state.state(Statement::Stalled, false, None, now);
            if matches!(state.operation.state, Operation::Waiting { .. }) {
                state.operation.set(Operation::Looking, None, now);
            }
        }
        Happening::WatchFailed { why, .. } => {
            state.state(Statement::Applied, false, Some(why.to_owned()), now);
        }
        Happening::WatchPassed(_) => state.revisions.stable = state.revisions.applied.clone(),
        Happening::Paused(pause) => {
            state.paused = pause.map(|pause| Paused {
                until: pause.until,
                reason: pause.reason.clone(),
                by: pause.by.clone(),
            });
        }
        Happening::Window(verdict) => state.window = verdict.map(ToString::to_string),
        Happening::Quarantined(entries) => state.revisions.quarantined = entries.to_vec(),
        Happening::LeavesAlone { service, field } => {
            state.contested.insert(format!("{service}: {field}"));
        }
        Happening::Rests => {
            if !matches!(state.operation.state, Operation::Waiting { .. }) {
                state.operation.set(Operation::Idle, None, now);
            }
        }
    }
}

fn compared(state: &mut StackState, comparison: &Comparison<'_>, now: Timestamp) {
    let Comparison { desired, is_newest, live, plan, trigger: _ } = *comparison;
    // What the newest commit adds can't be well before it is deployed.
    if plan.is_repair() || !is_newest {
        let (health, reason) = health(desired, live);
        state.health.set(health, reason.clone(), now);
        state.state(Statement::Healthy, health == Health::Healthy, reason, now);
    }
    if !is_newest {
        let drifts = !plan.is_empty();
        return state.state(Statement::Drifted, drifts, drifts.then(|| summary(plan)), now);
    }
    (state.changes, state.reported) = (plan.changes.len(), plan.reported.len());
    if plan.is_empty() {
        state.sync.set(Sync::InSync, None, now);
        state.state(Statement::Drifted, false, None, now);
        state.succeeded = Some(now);
        state.contested.clear();
    } else {
        state.sync.set(Sync::OutOfSync, Some(summary(plan)), now);
    }
}

/// What a plan changes, in a line.
fn summary(plan: &Plan) -> String {
    const NAMED: usize = 3;
    let names: Vec<&str> = plan.changes.iter().take(NAMED).map(|change| change.name.as_str()).collect();
    let more = plan.changes.len().saturating_sub(NAMED);
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    format!("{} to change: {}{more}", plan.changes.len(), names.join(", "))
}

fn holds(state: &mut StackState, hold: &Hold, now: Timestamp) {
    let Hold { kind, why, plan } = hold;
    let commit = state.revisions.observed.clone();
    let since = match &state.revisions.held {
        Some(before) if before.kind == *kind && before.commit == commit => before.since,
        Some(_) | None => now,
    };
    state.revisions.held = Some(Held { commit, kind: *kind, reason: why.clone(), since });
    state.waiting_plan = plan.as_ref().map(ToString::to_string);
    state.state(Statement::Admitted, false, Some(why.clone()), now);
    if *kind == HoldKind::Invalid {
        state.state(Statement::Valid, false, Some(why.clone()), now);
        state.sync.set(Sync::Unknown, Some("the manifests of the newest commit are wrong".to_owned()), now);
    }
}

fn ended(state: &mut StackState, plan: &Plan, outcome: &Outcome, now: Timestamp) {
    let commit = plan.revision.commit().map(str::to_owned);
    let failed = |failure: &StepFailure| Some(failure.to_string());
    let failure = match outcome {
        Outcome::Unchanged | Outcome::Applied(_) => {
            state.revisions.applied.clone_from(&commit);
            if plan.watch.is_empty() {
                state.revisions.stable = commit;
            }
            state.revisions.quarantined.retain(|entry| entry.desired != plan.desired.0);
            if matches!(outcome, Outcome::Applied(_)) {
                // Every gate has passed.
                state.health.set(Health::Healthy, None, now);
                state.state(Statement::Healthy, true, None, now);
            }
            // A repair of what was deployed last doesn't bring the newest commit nearer.
            if state.revisions.observed == state.revisions.applied {
                state.sync.set(Sync::InSync, None, now);
                state.succeeded = Some(now);
                state.changes = 0;
            }
            return state.state(Statement::Applied, true, None, now);
        }
        Outcome::Refused(findings) => findings.first().map(|finding| finding.what.clone()),
        Outcome::Interrupted(_) => Some("interrupted".to_owned()),
        Outcome::Failed { failure, .. }
        | Outcome::RolledBack { failure, .. }
        | Outcome::Held { failure, .. }
        | Outcome::RollbackFailed { failure, .. } => failed(failure),
    };
    state.state(Statement::Applied, false, failure, now);
}

/// How the services are, with the reason where they aren't well.
pub fn health(desired: &Desired, live: &Live) -> (Health, Option<String>) {
    let mut by_instance: BTreeMap<&Instance, Vec<&LiveContainer>> = BTreeMap::new();
    for container in live.containers.values() {
        by_instance.entry(&container.instance).or_default().push(container);
    }
    let mut worst = (Health::Healthy, None);
    for service in desired.services.values() {
        for instance in service.instances() {
            let containers = by_instance.get(&instance).map_or(&[][..], Vec::as_slice);
            let (health, why) = one(containers, service.gate.expect);
            if rank(health) > rank(worst.0) {
                worst = (health, why.map(|why| format!("{instance} {why}")));
            }
        }
    }
    worst
}

/// How much a state says against a stack.
fn rank(health: Health) -> u8 {
    match health {
        Health::Healthy => 0,
        Health::Unknown => 1,
        Health::Progressing => 2,
        Health::Degraded => 3,
        Health::Missing => 4,
    }
}

/// How one instance is, of which there may be several containers: the one that runs counts.
fn one(containers: &[&LiveContainer], expect: Expect) -> (Health, Option<String>) {
    let best = containers.iter().max_by_key(|container| container.state.status == Status::Running);
    let Some(container) = best else { return (Health::Missing, Some("is not there".to_owned())) };
    let state = &container.state;
    match (state.status, state.health, expect) {
        (Status::Running, Some(live::Health::Unhealthy), _) => {
            (Health::Degraded, Some("says that it is unwell".to_owned()))
        }
        (Status::Running, Some(live::Health::Starting), _) => {
            (Health::Progressing, Some("has not said yet how it is".to_owned()))
        }
        (Status::Running, _, _) | (Status::Exited { code: 0, .. }, _, Expect::Completed) => {
            (Health::Healthy, None)
        }
        (status, _, _) => (Health::Degraded, Some(format!("is {status}"))),
    }
}
