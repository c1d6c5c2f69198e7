//! Sees to it that what a plan has started still runs when it commits, and when it is done.
//!
//! An engine that restarts in the middle of a deploy ends every container, and brings none back whose restart policy comes
//! only at the end. What Docker would bring back with its policy is started again, once, and its gate is asked anew.

use std::collections::{BTreeMap, BTreeSet};

use super::gate::wait::Watch;
use super::gate::{Waited, WaitingFor, wait};
use super::progress::Event;
use super::runner::{Resolve, Round, turns};
use super::step::{Site, StepError};
use crate::engine::{Engine, EngineError};
use crate::model::desired::{Expect, Gate};
use crate::model::live::Status;
use crate::model::name::{ContainerId, Instance};
use crate::model::spec::RestartPolicy;
use crate::plan::step::{Action, Target};

/// A container that the plan has started and that is to go on running.
struct Started<'a> {
    target: &'a Target,
    /// The steps that start it and that wait for it.
    steps: Vec<usize>,
    /// The policy that it gets at the end.
    restart: RestartPolicy,
}

impl<'a, E: Engine> Round<'a, '_, E> {
    /// Starts again what has ended since its gate passed, and waits for it. What then ends once more fails by its gate.
    pub(super) async fn steady(&mut self, resolve: Resolve) {
        let started = self.started();
        if started.is_empty() {
            return;
        }
        for may_start in [true, false] {
            let ended = match self.ended(&started).await {
                Ok(ended) => ended,
                Err(error) => return self.fail(&Action::Commit, &error, resolve).await,
            };
            if ended.is_empty() {
                return;
            }
            let is_meant = |at: &&usize| may_start || matches!(self.steps[**at].action, Action::Await { .. });
            let again: BTreeSet<usize> =
                ended.iter().flat_map(|at| &started[*at].steps).filter(is_meant).copied().collect();
            for turn in turns(self.steps) {
                let turn: Vec<usize> = turn.into_iter().filter(|at| again.contains(at)).collect();
                self.again(&turn, resolve).await;
            }
        }
    }

    /// What the plan has started for good, in its order.
    fn started(&self) -> Vec<Started<'a>> {
        let mut released = BTreeMap::new();
        for step in self.steps {
            if let Action::Release { target, restart } = &step.action {
                released.insert(target, *restart);
            }
        }
        let waits = |target: &Target, step: &Action| match step {
            Action::Start(other) => other == target,
            Action::Await { target: other, gate, .. } => other == target && gate.expect == Expect::Running,
            _ => false,
        };
        let all = released.into_iter().map(|(target, restart)| {
            let steps = (0..self.steps.len()).filter(|at| self.done.contains(at));
            let steps = steps.filter(|at| waits(target, &self.steps[*at].action)).collect();
            Started { target, steps, restart }
        });
        let waited = |at: &usize| matches!(self.steps[*at].action, Action::Await { .. });
        all.filter(|started| started.steps.iter().any(waited)).collect()
    }

    /// The places of those that have ended and that Docker would bring back.
    async fn ended(&self, started: &[Started<'_>]) -> Result<Vec<usize>, StepError> {
        let engine = self.site.engine;
        let listed = self.site.try_again(|| engine.list_containers()).await?;
        let running: BTreeSet<ContainerId> =
            listed.into_iter().filter(|listed| listed.runs).map(|listed| listed.id).collect();
        let mut ended = Vec::new();
        for (at, started) in started.iter().enumerate() {
            let id = self.site.resolve(started.target)?;
            if running.contains(&id) {
                continue;
            }
            let status = match self.site.try_again(|| engine.inspect_container(&id)).await {
                Ok(container) => Some(container.state.status),
                Err(StepError::Engine(EngineError::NotFound { .. })) => None,
                Err(error) => return Err(error),
            };
            if is_to_return(started.restart, status) {
                ended.push(at);
            }
        }
        Ok(ended)
    }
}

impl<E: Engine> Site<'_, E> {
    /// Waits until the gate of a container that was just started has passed.
    pub(super) async fn wait_for(
        &self,
        instance: &Instance,
        target: &Target,
        gate: &Gate,
    ) -> Result<(), StepError> {
        let id = self.resolve(target)?;
        let strike = |text: &str| self.secrets.strike(text);
        let (prober, halt) = (self.tools.prober, &self.halt);
        let watch = Watch { container: &id, gate, prober, strike: &strike, halt };
        let name = self.names.of_instance(instance);
        let tell = |waiting: &WaitingFor, since| {
            let for_what = waiting.to_string();
            self.tools.progress.event(Event::Waiting { instance, name: &name, for_what: &for_what, since });
        };
        let mut waited = wait(self.engine, watch, tell).await;
        if matches!(waited, Waited::EndedAway(_)) && gate.expect == Expect::Running {
            // Its engine has ended it, and brings nothing back that has no restart policy yet.
            self.try_again(|| self.engine.start_container(&id)).await?;
            waited = wait(self.engine, watch, tell).await;
        }
        match waited {
            Waited::Passed => Ok(()),
            Waited::Failed(failure) => Err(failure.into()),
            Waited::Unseen(error) | Waited::EndedAway(error) => Err(error.into()),
            Waited::Halted => Err(StepError::Halted),
        }
    }
}

/// Whether Docker would start a container with this policy that has ended so. One that is gone is missed in any case.
fn is_to_return(restart: RestartPolicy, status: Option<Status>) -> bool {
    match (restart, status) {
        (RestartPolicy::No, _) | (_, Some(Status::Running | Status::Paused | Status::Restarting)) => false,
        (RestartPolicy::OnFailure(_), Some(Status::Exited { code, .. })) => code != 0,
        (_, None | Some(Status::Created | Status::Exited { .. } | Status::Dead)) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_docker_would_bring_back_is_to_return() {
        let exited = |code| Some(Status::Exited { code, out_of_memory: false });
        for (restart, status, returns) in [
            (RestartPolicy::Always, exited(0), true),
            (RestartPolicy::UnlessStopped, exited(137), true),
            (RestartPolicy::Always, Some(Status::Running), false),
            (RestartPolicy::Always, Some(Status::Restarting), false),
            (RestartPolicy::Always, None, true),
            (RestartPolicy::No, exited(137), false),
            // It has done what it was for.
            (RestartPolicy::OnFailure(None), exited(0), false),
            (RestartPolicy::OnFailure(Some(3)), exited(1), true),
        ] {
            assert_eq!(is_to_return(restart, status), returns, "{restart:?} {status:?}");
        }
    }
}
