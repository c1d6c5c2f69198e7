//! The way on: what a deploy that has committed still owes to the containers that serve since, where it was cut off.
//!
//! As long as a container lacks its restart policy nobody but a deploy starts it, also when the daemon restarts or the
//! machine had no power for a while. So what was cut off in between is brought to the point from which on Docker sees to
//! it. All else that is missing, names and what is to be removed, can wait for the next plan, which sees it as drift.

use super::LastApplied;
use super::fields::{FieldPath, FieldValue};
use super::step::{Action, Phase, Step, Target, Turn};
use crate::model::desired::{Gate, Ports};
use crate::model::live::{Live, LiveContainer, Status};
use crate::model::name::{ContainerId, Instance};
use crate::model::spec::{Peer, RestartPolicy};

/// The steps after which everything that serves, as `last` has it, runs and has its restart policy. Only what lacks that
/// is touched: to all else Docker sees already, and what people do with it is theirs.
pub fn onward(live: &Live, last: &LastApplied) -> Vec<Step> {
    let owed: Vec<Owed<'_>> = last
        .current
        .iter()
        .filter_map(|(instance, (id, fields))| {
            let container = live.containers.get(id)?;
            let Some(FieldValue::Word(word)) = fields.get(&FieldPath::new("restart")) else { return None };
            let restart = RestartPolicy::of_word(word)?;
            let lacks_it = container.spec.restart == RestartPolicy::No && restart != RestartPolicy::No;
            lacks_it.then_some(Owed { instance, container, restart })
        })
        .collect();
    let is_down =
        |owed: &&Owed<'_>| matches!(owed.container.state.status, Status::Created | Status::Exited { .. });
    let down: Vec<&Owed<'_>> = owed.iter().filter(is_down).collect();
    // Each of these has two steps, its start the first one.
    let start_of = |id: &ContainerId| down.iter().position(|owed| owed.container.id == *id).map(|at| 2 * at);
    let mut steps = Vec::new();
    let mut add = |phase, after, action| {
        steps.push(Step { turn: Turn { phase, wave: 0 }, after, action });
        steps.len() - 1
    };
    for Owed { instance, container, .. } in &down {
        let target = Target::Existing(container.id.clone());
        let peers = container.spec.namespaces.peers().filter_map(|peer| match peer {
            Peer::Id(id) => start_of(id),
            Peer::Service(_) | Peer::Container(_) => None,
        });
        let started = add(Phase::Switch, peers.collect(), Action::Start(target.clone()));
        let gate = Gate { ports: Ports::AsBefore, ..Gate::default() };
        let instance = (*instance).clone();
        add(Phase::Switch, vec![started], Action::Await { instance, target, gate });
    }
    for Owed { container, restart, .. } in &owed {
        let target = Target::Existing(container.id.clone());
        add(Phase::Finish, Vec::new(), Action::Release { target, restart: *restart });
    }
    steps
}

/// A container that lacks its restart policy.
struct Owed<'a> {
    instance: &'a Instance,
    container: &'a LiveContainer,
    restart: RestartPolicy,
}
