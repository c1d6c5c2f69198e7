//! Looks at a container again and again until its gate is decided.
//!
//! Docker itself probes once in an interval, which may be half a minute. Here the same command is run right after the
//! start and at short growing times after that, and so is all else that the gate asks, so that a service is known to be
//! ready soon after it is.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::time::{self, Instant};
use tokio_util::sync::CancellationToken;

use super::probe::Prober;
use super::{
    GateFailure, Probed, Seen, Verdict, WaitingFor, ask, deadline, judge, ports, probe_timeout, probes,
    progress,
};
use crate::engine::{Engine, EngineError};
use crate::model::desired::{Expect, Gate, Ports};
use crate::model::live::{ContainerState, LiveContainer, Status};
use crate::model::name::ContainerId;
use crate::model::spec::{HealthTest, Healthcheck};

/// Time between the first two looks.
const FIRST_PAUSE: Duration = Duration::from_millis(25);

/// Longest time between two looks.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// How a wait ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Waited {
    /// The gate has passed.
    Passed,
    /// It has failed.
    Failed(GateFailure),
    /// The engine could not be asked until the deadline.
    Unseen(EngineError),
    /// The engine was away for a while, and the process had ended by the time it was back.
    EndedAway(EngineError),
    /// Somebody said to halt.
    Halted,
}

/// Whose gate it is and who does the asking.
#[derive(Clone, Copy)]
pub struct Watch<'a> {
    /// The container.
    pub container: &'a ContainerId,
    /// What must hold.
    pub gate: &'a Gate,
    /// Asks over the network.
    pub prober: &'a dyn Prober,
    /// Takes out of what a container said whatever must not be shown.
    pub strike: &'a (dyn Fn(&str) -> String + Send + Sync),
    /// Ends the wait from outside.
    pub halt: &'a CancellationToken,
}

/// Waits until the gate of a container that was just started is decided. `tell` is called after each look that left
/// it open.
pub async fn wait<E: Engine>(engine: &E, watch: Watch<'_>, tell: impl Fn(&WaitingFor, Duration)) -> Waited {
    tokio::select! {
        biased;
        // Cancel-safe: a cancelled token stays cancelled. The looks only read; a probe that is cut off ends by itself.
        () = watch.halt.cancelled() => Waited::Halted,
        waited = look_until_decided(engine, watch, tell) => waited,
    }
}

async fn look_until_decided<E: Engine>(
    engine: &E,
    watch: Watch<'_>,
    tell: impl Fn(&WaitingFor, Duration),
) -> Waited {
    let mut view = View::new(watch);
    let mut asked = Asked::new(engine, watch);
    let mut pause = FIRST_PAUSE;
    let mut away = None;
    loop {
        match engine.inspect_container(watch.container).await {
            Ok(container) => {
                if view.take(container) {
                    asked.begin_anew(&view);
                }
            }
            Err(EngineError::NotFound { .. }) => view.take_nothing(),
            Err(error) if error.is_transient() && !view.is_late() => {
                if matches!(error, EngineError::Unavailable { .. }) {
                    away = Some(error);
                }
                time::sleep(longer(&mut pause)).await;
                continue;
            }
            Err(error) => return Waited::Unseen(error),
        }
        if matches!(view.judged(), Verdict::Passed | Verdict::Waiting(WaitingFor::Ports)) {
            // Last of all, when whoever listens does so.
            view.try_ports(engine).await;
        }
        let waiting = match view.judged() {
            Verdict::Passed => return Waited::Passed,
            Verdict::Failed(failure) => {
                return match (failure, away) {
                    (GateFailure::Exited { .. }, Some(error)) => Waited::EndedAway(error),
                    (failure, _) => Waited::Failed(failure),
                };
            }
            Verdict::Waiting(waiting) => waiting,
        };
        tell(&waiting, view.seen.since_start);
        if let Err(failure) = asked.until_something_passes(&mut view, longer(&mut pause)).await {
            return Waited::Failed(failure);
        }
    }
}

/// This pause; the next one is longer.
fn longer(pause: &mut Duration) -> Duration {
    let next = (*pause * 6 / 5).min(LONGEST_PAUSE);
    std::mem::replace(pause, next)
}

/// The last look, and what is known from the ones before.
struct View<'a> {
    watch: Watch<'a>,
    start: Instant,
    container: Option<Arc<LiveContainer>>,
    /// Since when it runs, and which run that is by the engine's word.
    run: Option<(Instant, String)>,
    restarts_before: Option<u32>,
    /// The furthest that it ever came, and when it came there.
    furthest: (usize, Instant),
    seen: Seen,
}

impl<'a> View<'a> {
    fn new(watch: Watch<'a>) -> Self {
        let seen = Seen {
            since_start: Duration::ZERO,
            since_progress: Duration::ZERO,
            status: None,
            running_for: Duration::ZERO,
            restarts: 0,
            health: None,
            health_output: String::new(),
            check: Probed::NotYet,
            probes: vec![Probed::NotYet; watch.gate.probes.len()],
            unbound: Vec::new(),
            ports: Probed::NotYet,
        };
        let start = Instant::now();
        Self { watch, start, container: None, run: None, restarts_before: None, furthest: (0, start), seen }
    }

    /// Takes a look in. Returns whether the container has begun another run.
    fn take(&mut self, container: LiveContainer) -> bool {
        let now = Instant::now();
        let ContainerState { status, restarts, started_at, health, health_output } = &container.state;
        let before = *self.restarts_before.get_or_insert(*restarts);
        self.seen.restarts = restarts.saturating_sub(before);
        self.seen.health = *health;
        self.seen.health_output = (self.watch.strike)(health_output);
        self.seen.unbound = if *status == Status::Running { ports::unbound(&container) } else { Vec::new() };
        let same_run = self.run.as_ref().is_some_and(|(_, known)| known == started_at);
        let is_new = *status == Status::Running && !same_run;
        if is_new {
            // Another run by somebody's hand: what the one before had shown counts no more.
            self.run = Some((now, started_at.clone()));
            self.seen.check = Probed::NotYet;
            self.seen.probes.fill(Probed::NotYet);
            self.seen.ports = Probed::NotYet;
        }
        self.seen.status = Some(*status);
        self.container = Some(Arc::new(container));
        if self.seen.status != Some(Status::Running) {
            self.run = None;
        }
        self.seen.running_for = self.run.as_ref().map_or(Duration::ZERO, |(since, _)| now - *since);
        self.note_progress();
        is_new
    }

    fn take_nothing(&mut self) {
        (self.container, self.run, self.seen.status) = (None, None, None);
        self.note_progress();
    }

    fn note_progress(&mut self) {
        let now = Instant::now();
        let reached = progress(&self.seen);
        if reached > self.furthest.0 {
            self.furthest = (reached, now);
        }
        self.seen.since_start = now - self.start;
        self.seen.since_progress = now - self.furthest.1;
    }

    /// Whether the deadline has passed, though nothing could be seen.
    fn is_late(&self) -> bool {
        deadline(self.watch.gate, self.health()) <= self.furthest.1.elapsed()
    }

    fn health(&self) -> Option<&Healthcheck> {
        self.container.as_ref()?.spec.healthcheck.as_ref()
    }

    fn judged(&self) -> Verdict {
        judge(self.watch.gate, self.health(), &self.seen)
    }

    /// Notes an answer. What a container said is shown to people, so it is struck here, once for all.
    fn note(&mut self, question: Question, answer: Probed) {
        let answer = match answer {
            Probed::Failed(why) => Probed::Failed((self.watch.strike)(&why)),
            Probed::NotYet | Probed::Passed => answer,
        };
        match question {
            Question::Check => self.seen.check = answer,
            Question::Probe(at) => {
                if let Some(slot) = self.seen.probes.get_mut(at) {
                    *slot = answer;
                }
            }
        }
        self.note_progress();
    }

    async fn try_ports<E: Engine>(&mut self, engine: &E) {
        let Gate { expect, ports, .. } = self.watch.gate;
        if let (Some(container), Expect::Running, Ports::Asked) = (&self.container, expect, ports) {
            self.seen.ports = ask::published(engine, self.watch.prober, container).await;
        }
    }
}

/// What is asked besides the look at the container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Question {
    /// Its health check.
    Check,
    /// The probe of the gate at this place.
    Probe(usize),
}

/// An answer, and the pause before the next try.
type Answer = (Question, Result<Probed, GateFailure>, Duration);

/// The questions that are under way, each at its own pace, so that a slow one holds up no other.
struct Asked<'a, E> {
    engine: &'a E,
    watch: Watch<'a>,
    container: Option<Arc<LiveContainer>>,
    under_way: FuturesUnordered<BoxFuture<'a, Answer>>,
}

impl<'a, E: Engine> Asked<'a, E> {
    fn new(engine: &'a E, watch: Watch<'a>) -> Self {
        Self { engine, watch, container: None, under_way: FuturesUnordered::new() }
    }

    /// Asks everything at once of a run that has just begun.
    fn begin_anew(&mut self, view: &View<'_>) {
        self.under_way.clear();
        self.container.clone_from(&view.container);
        // A task is not asked whether it is ready: it is to end.
        if self.watch.gate.expect == Expect::Completed {
            return;
        }
        if probes(view.health()).is_some() {
            self.ask(Question::Check, Duration::ZERO);
        }
        for at in 0..self.watch.gate.probes.len() {
            self.ask(Question::Probe(at), Duration::ZERO);
        }
    }

    fn ask(&mut self, question: Question, pause: Duration) {
        let Some(container) = self.container.clone() else { return };
        let Self { engine, watch, .. } = *self;
        self.under_way.push(Box::pin(async move {
            time::sleep(pause).await;
            let answer = match question {
                Question::Check => Ok(run_check(engine, &container).await),
                Question::Probe(at) => match watch.gate.probes.get(at) {
                    Some(probe) => ask::ask(engine, watch.prober, &container, probe).await,
                    None => Ok(Probed::NotYet),
                },
            };
            let next = if pause.is_zero() { FIRST_PAUSE } else { (pause * 6 / 5).min(LONGEST_PAUSE) };
            (question, answer, next)
        }));
    }

    /// Listens to answers until a good one comes, for so long at most. What was answered badly is asked again.
    ///
    /// # Errors
    /// Something can't be asked, now or later.
    async fn until_something_passes(
        &mut self,
        view: &mut View<'_>,
        pause: Duration,
    ) -> Result<(), GateFailure> {
        let end = Instant::now() + pause;
        loop {
            tokio::select! {
                biased;
                // Cancel-safe: what is under way stays so.
                Some((question, answer, next)) = self.under_way.next(), if !self.under_way.is_empty() => {
                    let answer = answer?;
                    let passed = answer == Probed::Passed;
                    view.note(question, answer);
                    if passed {
                        return Ok(());
                    }
                    self.ask(question, next);
                }
                () = time::sleep_until(end) => return Ok(()),
            }
        }
    }
}

async fn run_check<E: Engine>(engine: &E, container: &LiveContainer) -> Probed {
    let health = container.spec.healthcheck.as_ref();
    let test: Option<&HealthTest> = probes(health);
    match test {
        Some(test) => ask::check(engine, &container.id, test, probe_timeout(health)).await,
        None => Probed::NotYet,
    }
}

#[cfg(test)]
mod tests;
