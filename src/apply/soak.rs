//! Judges what is watched after a commit: whether a container still does what its gate had seen.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;

use super::StepFailure;
use super::gate::probe::Prober;
use super::gate::wait::Watch;
use super::gate::{self, GateFailure, Waited, wait};
use super::last_words::last_words;
use super::ledger::watch::OpenWatch;
use super::secrets::Secrets;
use crate::engine::observe::observe;
use crate::engine::{Engine, EngineError};
use crate::model::adopted::Adopted;
use crate::model::desired::{Expect, Gate, Probe};
use crate::model::live::{Health, LiveContainer, Status};
use crate::model::name::{ContainerId, Instance, ServiceName, StackName};
use crate::plan::LastApplied;

/// The time between two looks at what is watched, where no event tells of anything.
const INTERVAL: Duration = Duration::from_secs(30);

/// How long a gate that had passed may take to pass again: one bad answer is no failure.
const GATE_WITHIN: Duration = Duration::from_secs(10);

/// Why a watched container has failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SoakFailure {
    /// Its process has ended.
    #[error("its process exited with {code}{}", if *out_of_memory { ": it was killed for want of memory" } else { "" })]
    Exited {
        /// The process's status.
        code: i64,
        /// Whether the kernel killed it for its memory.
        out_of_memory: bool,
    },
    /// Docker has restarted it.
    #[error("it crashed and was restarted")]
    Restarted,
    /// It can't be run again.
    #[error("it is dead")]
    Dead,
    /// Its health check fails by Docker's own word.
    #[error("it is unhealthy{}", gate::last_words(last.as_deref()))]
    Unhealthy {
        /// What the health check last wrote, as far as known.
        last: Option<String>,
    },
    /// Its gate holds no more.
    #[error("its gate fails again: {0}")]
    Gate(GateFailure),
}

impl SoakFailure {
    /// The same without what is sensitive in it.
    fn struck(self, secrets: &Secrets) -> Self {
        match self {
            Self::Unhealthy { last } => Self::Unhealthy { last: last.map(|last| secrets.strike(&last)) },
            // The gate was struck where it was asked.
            Self::Exited { .. } | Self::Restarted | Self::Dead | Self::Gate(_) => self,
        }
    }
}

/// Judges one container by what the engine says of it. A start counts its restarts anew, so any of them is a crash.
///
/// One that somebody has removed did not fail: it is made again like any other.
pub fn judge(expect: Expect, container: Option<&LiveContainer>) -> Option<SoakFailure> {
    let state = &container?.state;
    if state.restarts > 0 {
        return Some(SoakFailure::Restarted);
    }
    match state.status {
        Status::Exited { code: 0, .. } if expect == Expect::Completed => None,
        Status::Exited { code, out_of_memory } => Some(SoakFailure::Exited { code, out_of_memory }),
        Status::Restarting => Some(SoakFailure::Restarted),
        Status::Dead => Some(SoakFailure::Dead),
        Status::Running if state.health == Some(Health::Unhealthy) => {
            let last = Some(state.health_output.clone()).filter(|output| !output.is_empty());
            Some(SoakFailure::Unhealthy { last })
        }
        Status::Created | Status::Paused | Status::Running => None,
    }
}

/// How long to wait for the next look at a watch that ends at `until`: nothing once it has ended.
pub fn next_look(now: Timestamp, until: Timestamp) -> Option<Duration> {
    let left = until.duration_since(now);
    if left <= SignedDuration::ZERO {
        return None;
    }
    // A moment more, so that it has ended by then.
    let left = Duration::try_from(left).unwrap_or(INTERVAL).saturating_add(Duration::from_millis(1));
    Some(left.min(INTERVAL))
}

/// What is looked at, and how.
pub(super) struct Soak<'a> {
    pub(super) stack: &'a StackName,
    pub(super) open: &'a OpenWatch,
    pub(super) last: &'a LastApplied,
    pub(super) adopted: &'a Adopted,
    /// The gates of services, as far as they are known.
    pub(super) gates: &'a BTreeMap<ServiceName, Gate>,
    pub(super) prober: &'a dyn Prober,
}

/// Looks at everything that is watched at `now`. Returns the first container that has failed, and why.
pub(super) async fn look<E: Engine>(
    engine: &E,
    soak: Soak<'_>,
    now: Timestamp,
) -> Result<Option<StepFailure>, EngineError> {
    let live = observe(engine, soak.stack, soak.adopted, &BTreeSet::new()).await?;
    let watched = soak.open.watched.iter().filter(|(_, watched)| now < watched.until);
    let mut asked = Vec::new();
    for (instance, watched) in watched {
        let Some((container, _)) = soak.last.current.get(instance) else { continue };
        let secrets = Secrets::of_recorded(&live, soak.last);
        if let Some(failure) = judge(watched.expect, live.containers.get(container)) {
            let failure = failure.struck(&secrets);
            return Ok(Some(failed(engine, (instance, container), &failure, &secrets).await));
        }
        let gate = soak.gates.get(&instance.service);
        let asks = gate.filter(|gate| gate.probes.iter().any(Probe::is_repeatable));
        asked.extend(
            asks.filter(|_| watched.expect == Expect::Running).map(|gate| (instance, container, gate)),
        );
    }
    for (instance, container, gate) in asked {
        let secrets = Secrets::of_recorded(&live, soak.last).with_gate(gate);
        let strike = |text: &str| secrets.strike(text);
        let gate = again(gate);
        let halt = CancellationToken::new();
        let watch = Watch { container, gate: &gate, prober: soak.prober, strike: &strike, halt: &halt };
        match wait(engine, watch, |_, _| {}).await {
            Waited::Failed(GateFailure::Gone) | Waited::Passed | Waited::Halted => {}
            Waited::Failed(failure) => {
                let failure = SoakFailure::Gate(failure);
                return Ok(Some(failed(engine, (instance, container), &failure, &secrets).await));
            }
            Waited::Unseen(error) | Waited::EndedAway(error) => return Err(error),
        }
    }
    Ok(None)
}

/// The failure for people, with the last words of the container, as a gate's has them.
async fn failed<E: Engine>(
    engine: &E,
    (instance, container): (&Instance, &ContainerId),
    failure: &SoakFailure,
    secrets: &Secrets,
) -> StepFailure {
    StepFailure {
        what: instance.service.to_string(),
        instance: Some(instance.clone()),
        cause: failure.to_string(),
        transient: false,
        log_tail: last_words(engine, container, secrets).await,
    }
}

/// The part of a gate that can be asked of a container that has run for long.
fn again(gate: &Gate) -> Gate {
    let probes = gate.probes.iter().filter(|probe| probe.is_repeatable()).cloned().collect();
    let (stable_for, deadline) = (Some(Duration::ZERO), Some(GATE_WITHIN));
    Gate { expect: gate.expect, probes, ports: gate.ports, stable_for, deadline }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watch_is_looked_at_now_and_then_and_at_its_end() {
        let now: Timestamp = "2026-01-01T12:00:00Z".parse().unwrap();
        let after = |seconds| now + SignedDuration::from_secs(seconds);
        assert_eq!(next_look(now, after(300)), Some(Duration::from_secs(30)));
        assert_eq!(next_look(now, after(2)), Some(Duration::from_millis(2001)));
        assert_eq!(next_look(now, now), None);
        assert_eq!(next_look(now, after(-5)), None);
    }
}
