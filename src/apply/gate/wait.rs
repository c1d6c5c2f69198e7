//! Looks at a container again and again until its gate is decided.
//!
//! Docker itself probes once in an interval, which may be half a minute. Here the same command is run right after the
//! start and at short growing times after that, so that a service is known to be ready soon after it is.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::time::{self, Instant};
use tokio_util::sync::CancellationToken;

use super::probe::{Prober, check_answer};
use super::{DEADLINE, GateFailure, Probed, Seen, Verdict, WaitingFor, judge, probe_timeout, probes};
use crate::engine::{Engine, EngineError};
use crate::model::desired::{Expect, Gate};
use crate::model::live::{LiveContainer, Status};
use crate::model::name::ContainerId;
use crate::model::spec::{HealthTest, Namespace, Peer};
use crate::model::text::Text;

/// Time between the first two looks.
const FIRST_PAUSE: Duration = Duration::from_millis(25);

/// Longest time between two looks.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// Longest time of one HTTP request where the gate names none.
const HTTP_WITHIN: Duration = Duration::from_secs(5);

/// Longest time of one connection.
const TCP_WITHIN: Duration = Duration::from_secs(1);

/// How a wait ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Waited {
    /// The gate has passed.
    Passed,
    /// It has failed.
    Failed(GateFailure),
    /// The engine could not be asked until the deadline.
    Unseen(EngineError),
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
    let start = Instant::now();
    let deadline = watch.gate.deadline.unwrap_or(DEADLINE);
    let mut view = View::new(start);
    let mut pause = FIRST_PAUSE;
    loop {
        match engine.inspect_container(watch.container).await {
            Ok(container) => view.take(Some(container)),
            Err(EngineError::NotFound { .. }) => view.take(None),
            Err(error) if error.is_transient() && start.elapsed() < deadline => {
                pause_for(&mut pause).await;
                continue;
            }
            Err(error) => return Waited::Unseen(error),
        }
        let health = view.container.as_ref().and_then(|container| container.spec.healthcheck.as_ref());
        let waiting = match judge(watch.gate, health, &view.seen) {
            Verdict::Passed => return Waited::Passed,
            Verdict::Failed(failure) => return Waited::Failed(failure),
            Verdict::Waiting(waiting) => waiting,
        };
        tell(&waiting, start.elapsed());
        let left = deadline.saturating_sub(start.elapsed());
        match probe(engine, watch, &mut view, left).await {
            // Whether it still runs after the good answer is asked at once.
            Ok(Asked::SomethingPassed) => {}
            Ok(Asked::NothingNew) => pause_for(&mut pause).await,
            Err(failure) => return Waited::Failed(failure),
        }
    }
}

async fn pause_for(pause: &mut Duration) {
    time::sleep(*pause).await;
    *pause = (*pause * 3 / 2).min(LONGEST_PAUSE);
}

/// The last look, and what is known from the ones before.
struct View {
    start: Instant,
    container: Option<LiveContainer>,
    /// Since when it runs, which run that is by the engine's word, and how many restarts there had been.
    run: Option<(Instant, String)>,
    restarts_before: Option<u32>,
    seen: Seen,
}

impl View {
    fn new(start: Instant) -> Self {
        let seen = Seen {
            since_start: Duration::ZERO,
            status: None,
            running_for: Duration::ZERO,
            restarts: 0,
            health: None,
            check: Probed::NotYet,
            http: Probed::NotYet,
            tcp: Probed::NotYet,
        };
        Self { start, container: None, run: None, restarts_before: None, seen }
    }

    fn take(&mut self, container: Option<LiveContainer>) {
        let now = Instant::now();
        self.seen.since_start = now - self.start;
        self.seen.status = container.as_ref().map(|container| container.state.status);
        if let Some(LiveContainer { state, .. }) = &container {
            let before = *self.restarts_before.get_or_insert(state.restarts);
            self.seen.restarts = state.restarts.saturating_sub(before);
            self.seen.health = state.health;
            let same_run = self.run.as_ref().is_some_and(|(_, started_at)| *started_at == state.started_at);
            match (state.status, same_run) {
                (Status::Running, true) => {}
                (Status::Running, false) => {
                    // Another run by somebody's hand: what the one before had shown counts no more.
                    self.run = Some((now, state.started_at.clone()));
                    (self.seen.check, self.seen.http, self.seen.tcp) = Default::default();
                }
                (
                    Status::Created
                    | Status::Paused
                    | Status::Restarting
                    | Status::Exited { .. }
                    | Status::Dead,
                    _,
                ) => self.run = None,
            }
            self.seen.running_for = self.run.as_ref().map_or(Duration::ZERO, |(since, _)| now - *since);
        }
        self.container = container;
    }
}

enum Asked {
    SomethingPassed,
    NothingNew,
}

/// Where the ports of a container are: its own address, that of the container whose network it uses, or this host.
async fn address<E: Engine>(engine: &E, container: &LiveContainer) -> Option<IpAddr> {
    let own = |container: &LiveContainer| container.addresses.values().flatten().next().copied();
    match &container.spec.namespaces.network {
        Some(Namespace::Host) => Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        Some(Namespace::Of(Peer::Id(id))) => own(&engine.inspect_container(id).await.ok()?),
        _ => own(container),
    }
}

/// Makes every probe that hasn't passed yet, all at the same time.
async fn probe<E: Engine>(
    engine: &E,
    watch: Watch<'_>,
    view: &mut View,
    left: Duration,
) -> Result<Asked, GateFailure> {
    let Some(container) = view.container.as_ref() else { return Ok(Asked::NothingNew) };
    // A task is not asked whether it is ready: it is to end.
    if container.state.status != Status::Running || watch.gate.expect == Expect::Completed {
        return Ok(Asked::NothingNew);
    }
    let address = address(engine, container).await;
    let to = |port| address.map(|ip| SocketAddr::new(ip, port)).ok_or(GateFailure::NoAddress { port });
    let health = container.spec.healthcheck.as_ref();
    let check = async {
        let test = probes(health).filter(|_| view.seen.check != Probed::Passed)?;
        Some(run_check(engine, watch.container, test, probe_timeout(health).min(left)).await)
    };
    let http = async {
        let gate = watch.gate.http.as_ref().filter(|_| view.seen.http != Probed::Passed)?;
        let at = match to(gate.port) {
            Ok(at) => at,
            Err(failure) => return Some(Err(failure)),
        };
        let answer = watch.prober.http(at, &gate.path, gate.within.unwrap_or(HTTP_WITHIN)).await;
        Some(Ok(probed(answer.and_then(|answer| check_answer(gate, &answer)))))
    };
    let tcp = async {
        let port = watch.gate.tcp.filter(|_| view.seen.tcp != Probed::Passed)?;
        let at = match to(port) {
            Ok(at) => at,
            Err(failure) => return Some(Err(failure)),
        };
        Some(Ok(probed(watch.prober.tcp(at, TCP_WITHIN).await)))
    };
    let (check, http, tcp) = tokio::join!(check, http, tcp);
    let (http, tcp) = (http.transpose()?, tcp.transpose()?);
    let something_passed = [&check, &http, &tcp].into_iter().any(|probed| *probed == Some(Probed::Passed));
    for (slot, probed) in
        [(&mut view.seen.check, check), (&mut view.seen.http, http), (&mut view.seen.tcp, tcp)]
    {
        if let Some(probed) = probed {
            *slot = probed;
        }
    }
    Ok(if something_passed { Asked::SomethingPassed } else { Asked::NothingNew })
}

fn probed(result: Result<(), String>) -> Probed {
    match result {
        Ok(()) => Probed::Passed,
        Err(why) => Probed::Failed(why),
    }
}

/// Most characters of a probe's output that are kept.
const OUTPUT_CHARS: usize = 200;

async fn run_check<E: Engine>(
    engine: &E,
    container: &ContainerId,
    test: &HealthTest,
    within: Duration,
) -> Probed {
    let command = match test {
        HealthTest::Disabled => return Probed::NotYet,
        HealthTest::Exec(command) => command.clone(),
        HealthTest::Shell(line) => vec![Text::plain("/bin/sh"), Text::plain("-c"), line.clone()],
    };
    match engine.exec(container, &command, within).await {
        Ok(result) if result.code == Some(0) => Probed::Passed,
        Ok(result) => {
            let output: String = result.output.trim().chars().take(OUTPUT_CHARS).collect();
            let end = result.code.map_or_else(
                || format!("no end within {} s", within.as_secs_f32()),
                |code| format!("exit status {code}"),
            );
            Probed::Failed(if output.is_empty() { end } else { format!("{end}: {output}") })
        }
        // The container may have ended in the meantime; the next look tells.
        Err(error) => Probed::Failed(error.to_string()),
    }
}

#[cfg(test)]
mod tests;
