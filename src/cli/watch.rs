//! `apply --watch`: stays until what was deployed has passed its watch, and returns to what ran before if it fails.
//!
//! What is watched and how it goes back is the agent's own code. Both may watch the same stack: the ledger says how it
//! ended, whoever of the two saw to it.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::anyhow;
use serde_json::{Value, json};
use tokio::time;
use tokio_util::sync::CancellationToken;

use super::args::Global;
use super::failure::ExitStatus;
use super::output::Output;
use super::progress::Bars;
use super::words::moment;
use super::{outcome, rollback};
use crate::apply::ledger::history::State;
use crate::apply::ledger::watch::{OpenWatch, TRIGGER};
use crate::apply::machine::{DeployError, Machine, Order};
use crate::apply::registry::Registries;
use crate::apply::soak::next_look;
use crate::apply::state::StateError;
use crate::apply::{Outcome, StepFailure};
use crate::engine::docker::Docker;
use crate::model::desired::{Desired, Gate};
use crate::model::name::{DeployId, ServiceName};
use crate::plan::Plan;

/// Longest time between two looks: without an agent, no event tells of a crash.
const PAUSE: Duration = Duration::from_secs(5);

/// Deploys that are looked through for the one that is watched.
const DEPLOYS_LOOKED_AT: u32 = 50;

/// What is watched, and what is needed for the way back.
pub(super) struct Watching<'a> {
    pub(super) machine: &'a Machine<Docker>,
    pub(super) global: &'a Global,
    pub(super) desired: &'a Desired,
    pub(super) deploy: DeployId,
    /// Ends the watching; a way back that has begun is gone to its end or undone, as any deploy.
    pub(super) stop: &'a CancellationToken,
    pub(super) output: Output,
}

/// How a watch ended.
pub(super) enum Watched {
    /// Its time is over and nothing has failed.
    Passed,
    /// Something failed, and what ran before runs again.
    Back(String),
    /// Something failed, and it stays: why, and why it can't go back.
    Stays(String, &'static str),
    /// Something failed, and so did the way back.
    Failed(String, Option<Box<(Plan, Outcome)>>),
    /// Another deploy has ended it.
    Replaced,
    /// Somebody stopped the watching.
    Stopped,
}

impl Watching<'_> {
    /// Watches until the watch has ended in one way or another.
    pub(super) async fn until_it_ends(&self) -> anyhow::Result<Watched> {
        let stack = &self.desired.stack;
        let gates: BTreeMap<ServiceName, Gate> = self
            .desired
            .services
            .iter()
            .map(|(name, service)| (name.clone(), service.gate.clone()))
            .collect();
        let mut is_told = false;
        loop {
            let ledger = self.machine.ledger();
            let Some(open) = ledger.open_watch(stack)?.filter(|open| open.deploy == self.deploy) else {
                return self.ended_by_others();
            };
            let until = open.until().unwrap_or_else(|| self.machine.now());
            if !std::mem::replace(&mut is_told, true) {
                self.output.say(&format!("watching until {}", moment(until)));
            }
            let left = match self.look(&open, &gates).await? {
                Looked::Ended(watched) => return Ok(watched),
                Looked::Busy => Some(PAUSE),
                Looked::Holds => next_look(self.machine.now(), until),
            };
            let Some(left) = left else {
                ledger.end_watch(stack)?;
                return Ok(Watched::Passed);
            };
            tokio::select! {
                biased;
                // Cancel-safe: a cancelled token stays cancelled.
                () = self.stop.cancelled() => return Ok(Watched::Stopped),
                () = time::sleep(left.min(PAUSE)) => {}
            }
        }
    }

    /// Looks once, and goes back if something has failed.
    async fn look(&self, open: &OpenWatch, gates: &BTreeMap<ServiceName, Gate>) -> anyhow::Result<Looked> {
        let stack = &self.desired.stack;
        let why = if let Some(why) = &open.failed {
            why.clone()
        } else {
            let looking = Box::pin(self.machine.soak(stack, open, gates));
            let looked = self.stop.run_until_cancelled(looking).await;
            let failure = match looked {
                None => return Ok(Looked::Ended(Watched::Stopped)),
                // An engine that can't be asked now is asked again.
                Some(Err(DeployError::Engine(error))) if error.is_transient() => {
                    self.output.warn(&error.to_string());
                    return Ok(Looked::Holds);
                }
                Some(looked) => looked.map_err(outcome::not_planned)?,
            };
            let Some(failure) = failure else { return Ok(Looked::Holds) };
            self.tell(&failure);
            let why = failure.to_string();
            self.machine.ledger().fail_watch(stack, &why, self.machine.now())?;
            why
        };
        match open.way_back() {
            Ok(commit) => self.go_back(commit, why).await,
            Err(no_way) => {
                self.machine.ledger().end_watch(stack)?;
                Ok(Looked::Ended(Watched::Stays(why, no_way)))
            }
        }
    }

    async fn go_back(&self, commit: &str, why: String) -> anyhow::Result<Looked> {
        let before = rollback::at(self.global, commit).await?.desired;
        let bars = Bars::new(self.output);
        self.output.say("going back to what ran before");
        let order = Order {
            desired: &before,
            expected: None,
            accepted: None,
            registries: Registries::Leave,
            trigger: TRIGGER,
            actor: "evenkeel apply --watch",
            progress: &bars,
            // Whoever stops the watching has not asked for half a return.
            stop: &CancellationToken::new(),
        };
        let deployed = Box::pin(self.machine.return_from_watch(order)).await;
        bars.clear();
        Ok(Looked::Ended(match deployed {
            Ok((_, Outcome::Applied(_))) => Watched::Back(why),
            Ok((plan, Outcome::Unchanged)) => {
                self.machine.ledger().end_watch(&plan.stack)?;
                Watched::Back(why)
            }
            Ok(done) => Watched::Failed(why, Some(Box::new(done))),
            // The agent is at it.
            Err(DeployError::State(StateError::Held { .. })) => return Ok(Looked::Busy),
            Err(error) => {
                self.output.error(&outcome::not_planned(error));
                Watched::Failed(why, None)
            }
        }))
    }

    /// How it ended, by the ledger, where it was not ended here.
    fn ended_by_others(&self) -> anyhow::Result<Watched> {
        let records = self.machine.ledger().history(&self.desired.stack, DEPLOYS_LOOKED_AT)?;
        let own = records.iter().position(|record| record.id == self.deploy);
        let Some((at, record)) = own.and_then(|at| Some((at, records.get(at)?))) else {
            return Ok(Watched::Replaced);
        };
        let why = || record.failure.clone().unwrap_or_default();
        let quarantined = self.machine.ledger().quarantined(&self.desired.stack, &record.desired)?;
        Ok(match (record.state, at, quarantined) {
            (State::RolledBackInWatch, ..) => Watched::Back(why()),
            (_, 0, Some(entry)) => Watched::Stays(entry.why, "whoever watched it, too, found no way back"),
            (_, 0, None) => Watched::Passed,
            _ => Watched::Replaced,
        })
    }

    fn tell(&self, failure: &StepFailure) {
        let error =
            anyhow!(failure.cause.clone()).context(format!("{} failed during its watch", failure.what));
        self.output.error(&error);
        outcome::last_words(failure, self.output);
    }
}

/// What a look came to.
enum Looked {
    /// Nothing has failed.
    Holds,
    /// Somebody else is on the way back.
    Busy,
    Ended(Watched),
}

impl Watched {
    /// For people.
    pub(super) fn tell(&self, output: Output) -> ExitStatus {
        match self {
            Self::Passed => {
                output.say("its watch has passed");
                ExitStatus::Done
            }
            Self::Back(why) => {
                output.say(&format!("rolled back during its watch: {why}"));
                ExitStatus::RolledBack
            }
            Self::Stays(why, no_way) => {
                output.warn(&format!("{why}; it stays, for {no_way}"));
                ExitStatus::Held
            }
            Self::Failed(_, done) => {
                match done {
                    Some(done) => {
                        outcome::tell(&done.0, &done.1, output);
                    }
                    None => output.warn("the way back failed; `evenkeel rollback` tries it again"),
                }
                ExitStatus::RollbackFailed
            }
            Self::Replaced => {
                output.say("its watch has ended: something else was deployed since");
                ExitStatus::Done
            }
            Self::Stopped => {
                output.say("not watched any more; `evenkeel apply --watch` goes on with it, as long as its time isn't over");
                ExitStatus::Failed
            }
        }
    }

    /// For machines.
    pub(super) fn to_json(&self) -> Value {
        let (status, why) = match self {
            Self::Passed => ("passed", None),
            Self::Back(why) => ("rolled-back", Some(why)),
            Self::Stays(why, _) => ("failed-and-stays", Some(why)),
            Self::Failed(why, _) => ("rollback-failed", Some(why)),
            Self::Replaced => ("replaced", None),
            Self::Stopped => ("stopped", None),
        };
        json!({"status": status, "why": why})
    }
}
