//! Decides whether a container that was just started may be trusted.
//!
//! [`judge`] is pure: it looks at what was seen so far and never waits. [`wait()`] sees and waits and decides nothing.
//! A gate that hasn't passed by its deadline has failed; there is no third ending. What gives it its deadline anew is said
//! in one place, [`progress`].

use std::fmt;
use std::time::Duration;

use crate::model::desired::{Expect, Gate, Ports};
use crate::model::live::{Health, Status};
use crate::model::spec::{HealthTest, Healthcheck, PublishedPort};

mod ask;
mod http;
mod ports;
pub mod probe;
pub mod wait;

pub use wait::{Waited, wait};

/// A gate's deadline where it names none, and no health check gives longer.
pub const DEADLINE: Duration = Duration::from_secs(5 * 60);

/// How long a container must run where nothing else is asked of it.
pub const STABLE_FOR: Duration = Duration::from_secs(2);

/// However much goes forward, a gate ends after so many deadlines.
const DEADLINES_MAX: u32 = 3;

/// Docker binds ports before it starts the process. It has this time to tell of it.
const BOUND_WITHIN: Duration = Duration::from_secs(2);

/// What was seen of a container since its gate began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Time since the gate began, which is right after the container was started.
    pub since_start: Duration,
    /// Time since the last [`progress`], or since the gate began.
    pub since_progress: Duration,
    /// Its status; absent if it isn't there any more.
    pub status: Option<Status>,
    /// How long it has been seen running without a restart.
    pub running_for: Duration,
    /// How often it was restarted since the gate began.
    pub restarts: u32,
    /// What Docker's own health check says; absent where there is none.
    pub health: Option<Health>,
    /// What Docker's own health check wrote when it last failed.
    pub health_output: String,
    /// How the container's health check went when it was run for the gate.
    pub check: Probed,
    /// How the probes of the gate went, in its order.
    pub probes: Vec<Probed>,
    /// The ports that were to be published and are not.
    pub unbound: Vec<PublishedPort>,
    /// Whether the host passes on connections to its published ports. Only what is known to be wrong counts: nobody may
    /// listen there by intent.
    pub ports: Probed,
}

/// How a probe went. One that has passed stays passed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Probed {
    /// It wasn't made yet.
    #[default]
    NotYet,
    /// It was good.
    Passed,
    /// The last one was not, and this is why.
    Failed(String),
}

impl Probed {
    fn last(&self) -> Option<&str> {
        match self {
            Self::NotYet | Self::Passed => None,
            Self::Failed(why) => Some(why),
        }
    }
}

/// What is to be made of what was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is too early to say.
    Waiting(WaitingFor),
    /// Everything that must hold, holds.
    Passed,
    /// It will not pass.
    Failed(GateFailure),
}

/// What a gate still waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WaitingFor {
    /// That the container runs.
    Running,
    /// That its process has ended.
    Completed,
    /// Its own health check.
    Health,
    /// A probe of its gate, by its words.
    Probe(String),
    /// Its published ports.
    Ports,
    /// That it has run for so long.
    Stable(Duration),
}

impl fmt::Display for WaitingFor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Running => f.pad("it to run"),
            Self::Completed => f.pad("it to complete"),
            Self::Health => f.pad("its health check"),
            Self::Probe(what) => f.pad(what),
            Self::Ports => f.pad("its published ports"),
            Self::Stable(time) => f.pad(&format!("{} s without a restart", time.as_secs_f32())),
        }
    }
}

/// Why a gate will not pass.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GateFailure {
    /// The process ended where it was to stay, or with a failure where it was to end.
    #[error("its process exited with {code}{}", if *out_of_memory { ": it was killed for want of memory" } else { "" })]
    Exited {
        /// The process's status.
        code: i64,
        /// Whether the kernel killed it for its memory.
        out_of_memory: bool,
    },
    /// Docker restarted it, or is about to.
    #[error("it was restarted while it was to become ready")]
    Restarted,
    /// It is being removed.
    #[error("it is dead")]
    Dead,
    /// Somebody removed it.
    #[error("it was removed while it was to become ready")]
    Gone,
    /// Docker's own health check gave up.
    #[error("it is unhealthy{}", last_words(last.as_deref()))]
    Unhealthy {
        /// Why the last probe failed, as far as known.
        last: Option<String>,
    },
    /// No health probe was good in all the time that the health check allows.
    #[error("its health check did not pass within {} s{}", within.as_secs_f32(), last_words(last.as_deref()))]
    NeverHealthy {
        /// The time that the health check allows.
        within: Duration,
        /// Why the last probe failed, as far as known.
        last: Option<String>,
    },
    /// The deadline has passed without any progress.
    #[error("still waiting for {waiting} after {} s{}", within.as_secs_f32(), last_words(last.as_deref()))]
    Deadline {
        /// The deadline.
        within: Duration,
        /// What had not passed.
        waiting: WaitingFor,
        /// Why the last probe failed, as far as known.
        last: Option<String>,
    },
    /// It went forward again and again, and came to no end.
    #[error("still waiting for {waiting} after {} s in all{}", within.as_secs_f32(), last_words(last.as_deref()))]
    Endless {
        /// The longest time of the gate.
        within: Duration,
        /// What had not passed.
        waiting: WaitingFor,
        /// Why the last probe failed, as far as known.
        last: Option<String>,
    },
    /// Docker runs it and has not bound all of its ports.
    #[error(
        "Docker has not bound {}: is it only in networks that are `internal` or publish nothing?",
        listed(ports)
    )]
    NotBound {
        /// Those that are missing.
        ports: Vec<PublishedPort>,
    },
    /// A probe has nowhere to go.
    #[error("port {port} can't be asked: the container has no address of its own on this host")]
    NoAddress {
        /// Port of the container.
        port: u16,
    },
    /// A probe of the log can't see it.
    #[error("its log can't be read: {why}")]
    NoLog {
        /// What the engine said.
        why: String,
    },
}

fn listed(ports: &[PublishedPort]) -> String {
    ports.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

pub(super) fn last_words(last: Option<&str>) -> String {
    last.map(|last| format!(", at last: {last}")).unwrap_or_default()
}

/// Judges `gate` by what was `seen`. `health` is the container's own health check, the image's included.
///
/// # Guarantees
/// - What can't pass any more fails at once, not at the deadline.
/// - Every wait ends: with the time passing and nothing else, `Waiting` becomes `Failed`.
pub fn judge(gate: &Gate, health: Option<&Healthcheck>, seen: &Seen) -> Verdict {
    let waiting = match ended(gate.expect, seen) {
        Some(verdict @ (Verdict::Passed | Verdict::Failed(_))) => return verdict,
        Some(Verdict::Waiting(waiting)) => waiting,
        None if gate.ports == Ports::Asked
            && !seen.unbound.is_empty()
            && BOUND_WITHIN <= seen.running_for =>
        {
            return Verdict::Failed(GateFailure::NotBound { ports: seen.unbound.clone() });
        }
        None => match pending(gate, health, seen) {
            Some(waiting) => waiting,
            None => return Verdict::Passed,
        },
    };
    let last = last_of(&waiting, gate, seen);
    let deadline = deadline(gate, health);
    if let (WaitingFor::Health, Some(within)) = (&waiting, budget(health))
        && within <= seen.since_start
    {
        return Verdict::Failed(GateFailure::NeverHealthy { within, last });
    }
    if deadline <= seen.since_progress {
        return Verdict::Failed(GateFailure::Deadline { within: deadline, waiting, last });
    }
    let within = limit(gate, health);
    if within <= seen.since_start {
        return Verdict::Failed(GateFailure::Endless { within, waiting, last });
    }
    Verdict::Waiting(waiting)
}

/// How far a container has come. One that comes further than it ever was has its deadline anew: it runs, its health check
/// is good, one probe more has passed. What it writes is no progress, for who fails for ever often says so for ever.
pub fn progress(seen: &Seen) -> usize {
    let runs = seen.status == Some(Status::Running);
    let probes = seen.probes.iter().filter(|probed| **probed == Probed::Passed).count();
    usize::from(runs) + usize::from(is_healthy(seen)) + probes
}

/// The time without progress after which a gate has failed. A health check that gives its container longer to start is
/// taken at its word.
pub fn deadline(gate: &Gate, health: Option<&Healthcheck>) -> Duration {
    let to_start =
        health.filter(|health| probes(Some(health)).is_some()).and_then(|health| health.start_period);
    gate.deadline.unwrap_or_else(|| DEADLINE.max(to_start.unwrap_or_default()))
}

/// The longest time of a gate, whatever happens.
pub fn limit(gate: &Gate, health: Option<&Healthcheck>) -> Duration {
    deadline(gate, health).saturating_mul(DEADLINES_MAX)
}

fn is_healthy(seen: &Seen) -> bool {
    seen.check == Probed::Passed || seen.health == Some(Health::Healthy)
}

/// What the status alone says; nothing if the container runs as it should.
fn ended(expect: Expect, seen: &Seen) -> Option<Verdict> {
    let failed = |failure| Some(Verdict::Failed(failure));
    let Some(status) = seen.status else { return failed(GateFailure::Gone) };
    if seen.restarts > 0 {
        return failed(GateFailure::Restarted);
    }
    match (status, expect) {
        (Status::Exited { code: 0, .. }, Expect::Completed) => Some(Verdict::Passed),
        (Status::Exited { code, out_of_memory }, Expect::Completed | Expect::Running) => {
            failed(GateFailure::Exited { code, out_of_memory })
        }
        (Status::Restarting, _) => failed(GateFailure::Restarted),
        (Status::Dead, _) => failed(GateFailure::Dead),
        (Status::Created | Status::Paused | Status::Running, Expect::Completed) => {
            Some(Verdict::Waiting(WaitingFor::Completed))
        }
        (Status::Created | Status::Paused, Expect::Running) => Some(Verdict::Waiting(WaitingFor::Running)),
        (Status::Running, Expect::Running) => match seen.health {
            Some(Health::Unhealthy) => failed(GateFailure::Unhealthy { last: last_check(seen) }),
            Some(Health::Healthy | Health::Starting) | None => None,
        },
    }
}

/// The first thing that a running container still has to show.
fn pending(gate: &Gate, health: Option<&Healthcheck>, seen: &Seen) -> Option<WaitingFor> {
    // Exhaustive on purpose: a new field of `Gate` must be thought about here.
    let Gate { expect: _, probes: asked, ports, stable_for, deadline: _ } = gate;
    let has_check = probes(health).is_some();
    let ports_fail = match ports {
        Ports::Asked => !seen.unbound.is_empty() || matches!(seen.ports, Probed::Failed(_)),
        Ports::AsBefore => false,
    };
    if has_check && !is_healthy(seen) {
        return Some(WaitingFor::Health);
    }
    let open = |at: &usize| seen.probes.get(*at) != Some(&Probed::Passed);
    if let Some(probe) = (0..asked.len()).find(open).and_then(|at| asked.get(at)) {
        return Some(WaitingFor::Probe(probe.to_string()));
    }
    let asks_nothing = !has_check && asked.is_empty();
    let stable_for = stable_for.unwrap_or(if asks_nothing { STABLE_FOR } else { Duration::ZERO });
    if seen.running_for < stable_for {
        return Some(WaitingFor::Stable(stable_for));
    }
    // Last, so that whoever listens does so by now.
    ports_fail.then_some(WaitingFor::Ports)
}

/// Why what is waited for has not passed, as far as known.
fn last_of(waiting: &WaitingFor, gate: &Gate, seen: &Seen) -> Option<String> {
    match waiting {
        WaitingFor::Health => last_check(seen),
        WaitingFor::Probe(what) => {
            let found = gate
                .probes
                .iter()
                .zip(&seen.probes)
                .find(|(probe, probed)| **probed != Probed::Passed && probe.to_string() == *what);
            found.and_then(|(_, probed)| probed.last()).map(str::to_owned)
        }
        WaitingFor::Ports => seen.ports.last().map(str::to_owned),
        WaitingFor::Running | WaitingFor::Completed | WaitingFor::Stable(_) => None,
    }
}

/// Why the health check last failed, by our own word or Docker's.
fn last_check(seen: &Seen) -> Option<String> {
    let said = || Some(seen.health_output.clone()).filter(|output| !output.is_empty());
    seen.check.last().map(str::to_owned).or_else(said)
}

/// The command of a health check, if it has one.
pub fn probes(health: Option<&Healthcheck>) -> Option<&HealthTest> {
    match health?.test.as_ref()? {
        HealthTest::Disabled => None,
        test @ (HealthTest::Exec(_) | HealthTest::Shell(_)) => Some(test),
    }
}

/// The time after which Docker itself would have given up on a container that never was healthy: the start period,
/// then so many probes, each with its interval and as long as it may take.
fn budget(health: Option<&Healthcheck>) -> Option<Duration> {
    let Healthcheck { test: _, interval, timeout, start_period, start_interval: _, retries } = health?;
    let round = interval.unwrap_or(DOCKER_INTERVAL).saturating_add(timeout.unwrap_or(DOCKER_TIMEOUT));
    let rounds = round.saturating_mul(retries.filter(|retries| *retries > 0).unwrap_or(DOCKER_RETRIES));
    Some(start_period.unwrap_or_default().saturating_add(rounds))
}

/// Docker's default time between two probes.
const DOCKER_INTERVAL: Duration = Duration::from_secs(30);
/// Docker's default for the longest time of one probe.
const DOCKER_TIMEOUT: Duration = Duration::from_secs(30);
/// Docker's default for the failed probes in a row that make a container unhealthy.
const DOCKER_RETRIES: u32 = 3;

/// The longest time of one probe of `health`.
pub fn probe_timeout(health: Option<&Healthcheck>) -> Duration {
    health.and_then(|health| health.timeout).filter(|timeout| !timeout.is_zero()).unwrap_or(DOCKER_TIMEOUT)
}

#[cfg(test)]
mod tests;
