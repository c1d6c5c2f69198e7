//! Looks over the shoulder of the controller: every call that it makes is noted, and before each one the host is held to
//! the laws that must never be broken, not even for a moment.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use evenkeel::engine::sim::{Call, Fault, Sim, Verb};
use evenkeel::model::live::{LiveContainer, Status};
use evenkeel::model::name::{ContainerId, Instance};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::acts::{Done, Hand, Harm};
use crate::apply::bench::stack;

/// A call, and when it was made of which container of the stack.
#[derive(Clone, Debug)]
pub struct Moment {
    pub at: Instant,
    pub call: Call,
    pub instance: Option<Instance>,
}

#[derive(Default)]
struct Seen {
    moments: Vec<Moment>,
    broken: Vec<String>,
    /// What served when the act began, and ran.
    serving: BTreeSet<ContainerId>,
    is_hand: bool,
}

/// What was seen since the last act began.
#[derive(Clone, Default)]
pub struct Watched(Arc<Mutex<Seen>>);

impl Watched {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets `harm` come over the calls from now on. The notification comes when it does.
    pub fn begin(&self, sim: &Sim, harm: Harm, serving: BTreeSet<ContainerId>) -> Arc<Notify> {
        *self.seen() = Seen { serving, ..Seen::default() };
        let struck = Arc::new(Notify::new());
        let (notify, watched, host) = (Arc::clone(&struck), self.clone(), sim.clone());
        sim.on_call(Box::new(move |call| {
            let Some(number) = watched.note(&host, call) else { return Fault::None };
            let (fault, strikes) = suffered(harm, number);
            if strikes {
                notify.notify_one();
                if matches!(harm, Harm::Meanwhile(_, Hand::RestartDaemon)) {
                    host.restart_daemon();
                }
            }
            fault
        }));
        struck
    }

    /// Notes a call and says its number, unless somebody makes it by hand.
    fn note(&self, sim: &Sim, call: &Call) -> Option<usize> {
        let mut seen = self.seen();
        if seen.is_hand {
            return None;
        }
        let started = seen.moments.last().is_some_and(|moment| moment.call.verb == Verb::StartContainer);
        let asks = matches!(call.verb, Verb::StartContainer | Verb::RemoveContainer);
        let mut instance = None;
        if started || asks {
            let containers = sim.containers_of(&stack());
            seen.broken.extend(runs_twice(&containers));
            let of = containers.into_iter().find(|container| container.name.as_str() == call.object);
            if let Some(of) = of {
                if call.verb == Verb::RemoveContainer && seen.serving.contains(&of.id) {
                    seen.broken.push(format!("I35: {} serves and is removed", of.name));
                }
                instance = Some(of.instance);
            }
        }
        match call.verb {
            Verb::RemoveVolume | Verb::DiscardContainer => seen.broken.push(format!("I7: {call}")),
            Verb::RemoveImage | Verb::ImportImage => seen.broken.push(format!("I3: {call}")),
            _ => {}
        }
        seen.moments.push(Moment { at: Instant::now(), call: call.clone(), instance });
        Some(seen.moments.len() - 1)
    }

    /// Does what nobody is held to account for.
    pub fn by_hand<T>(&self, act: impl FnOnce() -> T) -> T {
        self.seen().is_hand = true;
        let done = act();
        self.seen().is_hand = false;
        done
    }

    /// Every call since the act began.
    pub fn moments(&self) -> Vec<Moment> {
        self.seen().moments.clone()
    }

    /// How many calls there were that may have changed something.
    pub fn writes(&self) -> usize {
        self.seen().moments.iter().filter(|moment| moment.call.verb.writes()).count()
    }

    /// The first law that was broken.
    pub fn broken(&self) -> Option<String> {
        self.seen().broken.first().cloned()
    }
}

/// What the call of this number suffers, and whether it is the first that does.
fn suffered(harm: Harm, number: usize) -> (Fault, bool) {
    match harm {
        Harm::Nothing => (Fault::None, false),
        Harm::Killed(at, done) => {
            let fault = match done {
                Done::Yes => Fault::DoneButReplyLost,
                Done::No => Fault::Hang,
            };
            (if number == at { fault } else { Fault::None }, number == at)
        }
        Harm::Once(at, fault) => (if number == at { fault } else { Fault::None }, number == at),
        Harm::FromThenOn(at, fault) => (if number >= at { fault } else { Fault::None }, number == at),
        Harm::Meanwhile(at, Hand::RestartDaemon) => {
            (if number == at { Fault::Error } else { Fault::None }, number == at)
        }
        Harm::Meanwhile(at, _) | Harm::Stopped(at) => (Fault::None, number == at),
    }
}

/// I6: no instance runs twice at the same time, so that none shares its volumes with its own successor.
fn runs_twice(containers: &[LiveContainer]) -> Option<String> {
    let mut running: BTreeMap<&Instance, usize> = BTreeMap::new();
    for container in containers.iter().filter(|one| one.state.status == Status::Running) {
        *running.entry(&container.instance).or_default() += 1;
    }
    let twice = running.into_iter().find(|(_, count)| *count > 1);
    twice.map(|(instance, count)| format!("I6: {instance} runs {count} times at once"))
}
