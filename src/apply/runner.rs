//! Runs the steps of a plan, turn by turn, as many at a time as their order and the limits allow.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::time::Instant;
use tracing::{debug, warn};

use super::StepFailure;
use super::progress::Event;
use super::step::{Site, StepError};
use crate::engine::Engine;
use crate::plan::step::{Action, Phase, Step};

/// Most steps at a time that make the engine work.
const BUSY_MAX: usize = 8;

/// Most steps at a time that mostly wait: for a process to end, for a gate.
const IDLE_MAX: usize = 64;

/// What a run of steps came to.
#[derive(Debug, Default)]
pub(super) struct Ran {
    /// In the order in which they were seen. Before the commit, the first one is the cause.
    pub(super) failures: Vec<StepFailure>,
    /// Steps that were done.
    pub(super) done: usize,
    /// Whether the commit is on record.
    pub(super) committed: bool,
    /// Whether a step was begun that makes or changes more than images.
    pub(super) wrote: bool,
    /// Whether a step was begun that touches what runs.
    pub(super) switched: bool,
}

/// What a failed step means for the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Resolve {
    /// No further step begins, and waits end.
    StopAtFirst,
    /// Only the steps that need it are left out.
    GoOn,
}

/// Runs a deploy: up to the commit the first failure ends it, after the commit every step has its chance.
pub(super) async fn forward<E: Engine>(site: &Site<'_, E>, steps: &[Step]) -> Ran {
    let mut round = Round::new(site, steps);
    let turns = turns(steps);
    let phase = |turn: &[usize]| steps[turn[0]].turn.phase;
    let (deploy, cleanup) = turns.split_at(turns.partition_point(|turn| phase(turn) < Phase::Cleanup));
    for turn in deploy {
        if phase(turn) > Phase::Commit {
            round.turn(turn, Resolve::GoOn).await;
            continue;
        }
        if phase(turn) == Phase::Commit {
            round.steady(Resolve::StopAtFirst).await;
        }
        round.turn(turn, Resolve::StopAtFirst).await;
        if !round.ran.failures.is_empty() || site.halt.is_cancelled() && !round.ran.committed {
            break;
        }
    }
    if round.ran.committed {
        round.steady(Resolve::GoOn).await;
    } else if round.ran.failures.is_empty() && !site.halt.is_cancelled() {
        let error = StepError::Plan("ends without a commit".to_owned());
        round.fail(&Action::Commit, &error, Resolve::StopAtFirst).await;
    }
    // Removing what nobody needs can wait; the next plan has it again.
    for turn in cleanup {
        if round.ran.committed && !site.halt.is_cancelled() {
            round.turn(turn, Resolve::GoOn).await;
        }
    }
    round.ran
}

/// Runs a way back, or on: every step that doesn't need a failed one has its chance.
pub(super) async fn back<E: Engine>(site: &Site<'_, E>, steps: &[Step]) -> Ran {
    let mut round = Round::new(site, steps);
    for turn in turns(steps) {
        round.turn(&turn, Resolve::GoOn).await;
    }
    round.ran
}

/// The places of the steps, turn by turn. No turn is empty.
pub(super) fn turns(steps: &[Step]) -> Vec<Vec<usize>> {
    let mut turns: Vec<Vec<usize>> = Vec::new();
    for (at, step) in steps.iter().enumerate() {
        match turns.last_mut() {
            Some(turn) if steps[turn[0]].turn == step.turn => turn.push(at),
            _ => turns.push(vec![at]),
        }
    }
    turns
}

/// A run under way.
pub(super) struct Round<'a, 'b, E> {
    pub(super) site: &'a Site<'b, E>,
    pub(super) steps: &'a [Step],
    pub(super) done: BTreeSet<usize>,
    ran: Ran,
}

/// How one step ended.
struct Ended {
    at: usize,
    took: Duration,
    result: Result<(), Option<StepFailure>>,
}

impl<'a, 'b, E: Engine> Round<'a, 'b, E> {
    fn new(site: &'a Site<'b, E>, steps: &'a [Step]) -> Self {
        Self { site, steps, done: BTreeSet::new(), ran: Ran::default() }
    }

    async fn turn(&mut self, turn: &[usize], resolve: Resolve) {
        let mut waiting: BTreeSet<usize> = turn.iter().copied().collect();
        let mut running = FuturesUnordered::new();
        let (mut busy, mut idle) = (0, 0);
        loop {
            let halted = resolve == Resolve::StopAtFirst && self.site.halt.is_cancelled();
            let ready: Vec<usize> =
                waiting.iter().copied().filter(|at| !halted && self.is_ready(*at)).collect();
            for at in ready {
                let (slots, most) = if is_idle(&self.steps[at].action) {
                    (&mut idle, IDLE_MAX)
                } else {
                    (&mut busy, BUSY_MAX)
                };
                if *slots < most {
                    *slots += 1;
                    waiting.remove(&at);
                    self.begin(at);
                    running.push(run(self.site, at, &self.steps[at]));
                }
            }
            let Some(ended) = running.next().await else { break };
            let slots = if is_idle(&self.steps[ended.at].action) { &mut idle } else { &mut busy };
            *slots -= 1;
            self.end(ended, resolve);
        }
        for at in &waiting {
            debug!(what = self.site.names.words(&self.steps[*at].action), "left out");
        }
        // Without a failure nothing may be left out: a commit would record what isn't there.
        let halted = self.site.halt.is_cancelled();
        if let Some(at) = waiting.first().filter(|_| resolve == Resolve::StopAtFirst && !halted) {
            let error = StepError::Plan("has a step that can never begin".to_owned());
            self.fail(&self.steps[*at].action, &error, resolve).await;
        }
    }

    /// Carries out steps of one turn once more.
    pub(super) async fn again(&mut self, turn: &[usize], resolve: Resolve) {
        for at in turn.iter().filter(|at| self.done.remove(at)) {
            debug!(what = self.site.names.words(&self.steps[*at].action), "once more");
            self.ran.done -= 1;
        }
        if !turn.is_empty() {
            self.turn(turn, resolve).await;
        }
    }

    /// Notes a failure that is none of a single step.
    pub(super) async fn fail(&mut self, action: &Action, error: &StepError, resolve: Resolve) {
        let failure = self.site.failure(action, error).await;
        warn!(what = failure.what, cause = failure.cause, "failed");
        self.ran.failures.push(failure);
        if resolve == Resolve::StopAtFirst {
            self.site.halt.cancel();
        }
    }

    fn is_ready(&self, at: usize) -> bool {
        self.steps[at].after.iter().all(|before| self.done.contains(before))
    }

    fn begin(&mut self, at: usize) {
        let Step { turn, action, .. } = &self.steps[at];
        self.ran.wrote |= turn.phase > Phase::Images;
        // Where a network is made anew, everybody leaves it first.
        self.ran.switched |= turn.phase == Phase::Switch || matches!(action, Action::Disconnect { .. });
    }

    fn end(&mut self, ended: Ended, resolve: Resolve) {
        let Ended { at, took, result } = ended;
        let progress = self.site.tools.progress;
        match result {
            Ok(()) => {
                self.done.insert(at);
                self.ran.done += 1;
                self.ran.committed |= self.steps[at].action == Action::Commit;
                let step = &self.steps[at];
                let what = self.site.names.words(&step.action);
                let name = self.site.names.subject(&step.action);
                debug!(what, ?took, "step done");
                progress.event(Event::StepDone { at, step, what: &what, name: name.as_deref(), took });
            }
            Err(None) => debug!(what = self.site.names.words(&self.steps[at].action), "halted"),
            Err(Some(failure)) => {
                warn!(what = failure.what, cause = failure.cause, "step failed");
                let step = &self.steps[at];
                let name = self.site.names.subject(&step.action);
                progress.event(Event::StepFailed { at, step, name: name.as_deref(), failure: &failure });
                self.ran.failures.push(failure);
                match resolve {
                    Resolve::StopAtFirst => self.site.halt.cancel(),
                    Resolve::GoOn => {}
                }
            }
        }
    }
}

fn is_idle(action: &Action) -> bool {
    matches!(action, Action::Stop { .. } | Action::Await { .. } | Action::Delay(_))
}

async fn run<E: Engine>(site: &Site<'_, E>, at: usize, step: &Step) -> Ended {
    let start = Instant::now();
    let what = site.names.words(&step.action);
    let place = (site.direction, at);
    let tools = site.tools;
    tools.progress.event(Event::StepStarted { at, step, what: &what });
    let intended = tools.ledger.intend(site.deploy, place, &what, tools.clock.now());
    let result = match (intended, site.plan) {
        // No effect without its record, except on the way back: there the services matter more.
        (Err(error), Some(_)) => Err(StepError::Ledger(error)),
        (Ok(()) | Err(_), _) => site.perform(&step.action).await,
    };
    let result = match result {
        Ok(()) => Ok(()),
        Err(StepError::Halted) => Err(None),
        Err(error) => Err(Some(site.failure(&step.action, &error).await)),
    };
    let failure = match &result {
        Ok(()) => None,
        Err(None) => Some("halted"),
        Err(Some(failure)) => Some(failure.cause.as_str()),
    };
    if let Err(error) = tools.ledger.done(site.deploy, place, failure, tools.clock.now()) {
        // Recovery looks at the host, not at these lines.
        debug!(%error, "the end of a step could not be recorded");
    }
    Ended { at, took: start.elapsed(), result }
}
