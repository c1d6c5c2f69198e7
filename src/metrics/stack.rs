//! What is counted of one stack: a fold over what the agent tells. It decides nothing and never blocks.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::histogram::{CALLS, DEPLOYS, Histogram, LONG};
use crate::agent::board::{Board, health};
use crate::agent::status::{Health, HoldKind};
use crate::agent::{Audience, Comparison, Happening, Trigger};
use crate::apply::Outcome;
use crate::apply::clock::Clock;
use crate::apply::progress::{Event, Progress};
use crate::plan::Plan;
use crate::plan::change::{Cause, Change, Reason};

/// Counts what happens to one stack, as long as it is kept: its series end with it.
pub struct StackMetrics {
    board: Arc<Board>,
    clock: Arc<dyn Clock>,
    counts: Mutex<Counts>,
}

impl fmt::Debug for StackMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StackMetrics").field("board", &self.board).finish_non_exhaustive()
    }
}

/// What a deploy was for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// Something new in the repository.
    Change,
    /// What somebody has changed on the host.
    Repair,
    /// The return from a failed watch.
    Return,
}

impl Kind {
    pub(super) const ALL: [Self; 3] = [Self::Change, Self::Repair, Self::Return];

    pub(super) fn code(self) -> &'static str {
        match self {
            Self::Change => "change",
            Self::Repair => "repair",
            Self::Return => "return",
        }
    }
}

/// How a deploy ended, as a label.
pub(super) const OUTCOMES: [&str; 7] =
    ["deployed", "failed", "held", "interrupted", "refused", "rollback_failed", "rolled_back"];

/// A drift: the object, and the field or the reason.
type Drift = (String, String);

/// What is counted.
#[derive(Debug, Clone)]
pub(super) struct Counts {
    /// Deploys by what for and how they ended.
    pub(super) deploys: BTreeMap<(Kind, &'static str), u64>,
    /// How long they took, by how they ended.
    pub(super) durations: BTreeMap<&'static str, Histogram>,
    /// Returns to what ran before.
    pub(super) rollbacks: u64,
    /// Differences that somebody has made, by the class of field.
    pub(super) drift: BTreeMap<String, u64>,
    /// Those of them that no event had told.
    pub(super) missed: u64,
    pub(super) fetches: Histogram,
    pub(super) fetch_failures: u64,
    pub(super) looks: Histogram,
    /// Looks by what woke the agent.
    pub(super) triggers: BTreeMap<&'static str, u64>,
    /// Commits that were deployed, and those that failed.
    pub(super) changes: u64,
    pub(super) change_failures: u64,
    pub(super) lead_times: Histogram,
    pub(super) restore_times: Histogram,
    /// Since when the host is known to differ from the newest commit.
    pub(super) out_of_sync: Option<Timestamp>,
    memory: Memory,
}

/// What is needed to count, and not told.
#[derive(Debug, Clone, Default)]
struct Memory {
    woken: Option<Instant>,
    trigger: Option<Trigger>,
    newest: Option<String>,
    /// The time of the oldest commit that waits to be deployed.
    waits_since: Option<Timestamp>,
    /// The differences that were there at the last look, at the newest commit and at what was deployed last.
    drift: [BTreeSet<Drift>; 2],
    /// The deploy whose watch has failed.
    failed_watch: Option<String>,
    returning: bool,
    failed_change: Option<String>,
    /// Since when a service is not well, or a deploy is being undone.
    bad_since: Option<Timestamp>,
}

impl Default for Counts {
    fn default() -> Self {
        // A counter that begins when it is needed has no first step that a rate could see.
        let kinds = Kind::ALL.into_iter().flat_map(|kind| OUTCOMES.map(|outcome| ((kind, outcome), 0)));
        Self {
            deploys: kinds.collect(),
            durations: BTreeMap::new(),
            rollbacks: 0,
            drift: BTreeMap::new(),
            missed: 0,
            fetches: Histogram::new(CALLS),
            fetch_failures: 0,
            looks: Histogram::new(DEPLOYS),
            triggers: BTreeMap::new(),
            changes: 0,
            change_failures: 0,
            lead_times: Histogram::new(LONG),
            restore_times: Histogram::new(LONG),
            out_of_sync: None,
            memory: Memory::default(),
        }
    }
}

impl StackMetrics {
    pub(super) fn new(board: Arc<Board>, clock: Arc<dyn Clock>) -> Self {
        Self { board, clock, counts: Mutex::default() }
    }

    pub(super) fn board(&self) -> &Board {
        &self.board
    }

    pub(super) fn counts(&self) -> Counts {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn count(&self, body: impl FnOnce(&mut Counts, Timestamp)) {
        body(&mut self.counts.lock().unwrap_or_else(PoisonError::into_inner), self.clock.now());
    }
}

impl Progress for StackMetrics {
    fn event(&self, event: Event<'_>) {
        if let Event::RollingBack { failure: Some(_) } = event {
            self.count(|counts, now| {
                counts.memory.bad_since.get_or_insert(now);
            });
        }
    }
}

impl Audience for StackMetrics {
    fn happens(&self, happening: Happening<'_>) {
        self.count(|counts, now| counts.hear(happening, now));
    }
}

impl Counts {
    fn hear(&mut self, happening: Happening<'_>, now: Timestamp) {
        match happening {
            Happening::Woken(trigger) => {
                self.memory.woken = Some(Instant::now());
                self.memory.trigger = Some(trigger);
                *self.triggers.entry(code(trigger)).or_default() += 1;
            }
            Happening::Asked { took, result } => {
                self.fetches.observe(took.as_secs_f64());
                self.fetch_failures += u64::from(result.is_err());
            }
            Happening::Commit(commit) => {
                self.memory.newest = Some(commit.id.clone());
                self.memory.waits_since.get_or_insert(commit.time);
            }
            Happening::Compared(comparison) => self.compared(&comparison, now),
            Happening::Deploys(_) => self.memory.returning = false,
            Happening::Ended(plan, outcome) => self.ended(plan, outcome, now),
            Happening::Holds(hold) => {
                // What was deployed last may be there as it should be; the newest commit isn't.
                if hold.kind != HoldKind::RolledBack {
                    self.out_of_sync.get_or_insert(now);
                }
            }
            Happening::WatchFailed { deploy, commit, .. } => {
                self.memory.returning = true;
                let deploy = deploy.to_string();
                if self.memory.failed_watch.as_ref() != Some(&deploy) {
                    self.memory.failed_watch = Some(deploy);
                    self.memory.bad_since.get_or_insert(now);
                    self.change_failed(commit);
                }
            }
            Happening::Rests => {
                if let Some(woken) = self.memory.woken.take() {
                    self.looks.observe(woken.elapsed().as_secs_f64());
                }
            }
            Happening::Valid(_)
            | Happening::Admits
            | Happening::Fails { .. }
            | Happening::Recovers
            | Happening::WatchPassed(_)
            | Happening::Paused(_)
            | Happening::Window(_)
            | Happening::Quarantined(_)
            | Happening::LeavesAlone { .. } => {}
        }
    }

    fn compared(&mut self, comparison: &Comparison<'_>, now: Timestamp) {
        let Comparison { trigger, desired, is_newest, live, plan } = *comparison;
        if is_newest {
            self.out_of_sync = if plan.is_empty() { None } else { Some(self.out_of_sync.unwrap_or(now)) };
            if plan.is_empty() {
                self.memory.waits_since = None;
            }
        }
        let found: BTreeSet<Drift> = plan.changes.iter().chain(&plan.reported).flat_map(drift).collect();
        let mut fresh = 0;
        for (name, what) in &found {
            let drift = (name.clone(), what.clone());
            if !self.memory.drift.iter().any(|known| known.contains(&drift)) {
                let class = what.split('.').next().unwrap_or_default().to_owned();
                *self.drift.entry(class).or_default() += 1;
                fresh += 1;
            }
        }
        if trigger == Trigger::FullLook {
            self.missed += fresh;
        }
        if let Some(known) = self.memory.drift.get_mut(usize::from(is_newest)) {
            *known = found;
        }
        if plan.is_repair() {
            match health(desired, live).0 {
                Health::Healthy => self.is_well(now),
                Health::Degraded | Health::Missing => {
                    self.memory.bad_since.get_or_insert(now);
                }
                Health::Progressing | Health::Unknown => {}
            }
        }
    }

    fn ended(&mut self, plan: &Plan, outcome: &Outcome, now: Timestamp) {
        let commit = plan.revision.commit();
        let is_newest = commit.is_some() && commit == self.memory.newest.as_deref();
        let kind = match (std::mem::take(&mut self.memory.returning), plan.is_repair()) {
            (true, _) => Kind::Return,
            (false, true) => Kind::Repair,
            (false, false) => Kind::Change,
        };
        let (word, took) = match outcome {
            Outcome::Unchanged => {
                if is_newest {
                    self.out_of_sync = None;
                    self.memory.waits_since = None;
                }
                return;
            }
            Outcome::Applied(report) => ("deployed", Some(report.took)),
            Outcome::Refused(_) => ("refused", None),
            Outcome::Failed { report, .. } => ("failed", Some(report.took)),
            Outcome::Interrupted(report) => ("interrupted", Some(report.took)),
            Outcome::RolledBack { report, .. } => ("rolled_back", Some(report.took)),
            Outcome::Held { report, .. } => ("held", Some(report.took)),
            Outcome::RollbackFailed { report, .. } => ("rollback_failed", Some(report.took)),
        };
        *self.deploys.entry((kind, word)).or_default() += 1;
        if let Some(took) = took {
            let durations = self.durations.entry(word).or_insert_with(|| Histogram::new(DEPLOYS));
            durations.observe(took.as_secs_f64());
        }
        self.judge(plan, outcome, (kind, is_newest), now);
    }

    /// What an ending means for the figures of delivery.
    fn judge(&mut self, plan: &Plan, outcome: &Outcome, (kind, is_newest): (Kind, bool), now: Timestamp) {
        match outcome {
            Outcome::Applied(_) => {
                self.memory.drift = Default::default();
                if is_newest {
                    self.out_of_sync = None;
                }
                // Every gate has passed.
                self.is_well(now);
                match kind {
                    Kind::Change => {
                        self.changes += 1;
                        if let Some(since) = self.memory.waits_since.take().filter(|_| is_newest) {
                            self.lead_times.observe(seconds(since, now));
                        }
                    }
                    Kind::Return => self.rollbacks += 1,
                    Kind::Repair => {}
                }
            }
            Outcome::RolledBack { .. } => {
                self.rollbacks += 1;
                self.is_well(now);
                self.change_failed(plan.revision.commit().filter(|_| kind == Kind::Change));
            }
            Outcome::Held { .. } | Outcome::RollbackFailed { .. } => {
                self.memory.bad_since.get_or_insert(now);
                self.change_failed(plan.revision.commit().filter(|_| kind == Kind::Change));
            }
            Outcome::Unchanged | Outcome::Refused(_) | Outcome::Failed { .. } | Outcome::Interrupted(_) => {}
        }
    }

    /// A commit has done harm. It counts once, however often it is tried.
    fn change_failed(&mut self, commit: Option<&str>) {
        if commit.is_some() && self.memory.failed_change.as_deref() != commit {
            self.memory.failed_change = commit.map(str::to_owned);
            self.change_failures += 1;
        }
    }

    fn is_well(&mut self, now: Timestamp) {
        if let Some(since) = self.memory.bad_since.take() {
            self.restore_times.observe(seconds(since, now));
        }
    }
}

/// What somebody has changed of an object.
fn drift(change: &Change) -> Vec<Drift> {
    let reason = match &change.reason {
        Reason::Gone => Some("gone"),
        Reason::NotRunning(_) => Some("not_running"),
        Reason::New | Reason::Differs | Reason::NotWanted => None,
    };
    let fields = change.fields.iter().filter(|field| field.cause == Cause::Drift);
    let fields = fields.map(|field| field.path.as_str());
    reason.into_iter().chain(fields).map(|what| (change.name.clone(), what.to_owned())).collect()
}

fn seconds(since: Timestamp, until: Timestamp) -> f64 {
    Duration::try_from(until.duration_since(since)).unwrap_or_default().as_secs_f64()
}

/// A trigger as a label.
fn code(trigger: Trigger) -> &'static str {
    match trigger {
        Trigger::Startup => "startup",
        Trigger::SourceChanged => "source",
        Trigger::HostChanged => "host",
        Trigger::Order => "order",
        Trigger::Poll => "poll",
        Trigger::FullLook => "full_look",
        Trigger::Retry => "retry",
        Trigger::Watch => "watch",
        Trigger::Window => "window",
    }
}
