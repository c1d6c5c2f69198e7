//! The way back: from whatever a broken-off deploy left to what was there before it began.
//!
//! It needs neither Git nor a registry, only the checkpoint from the ledger and a look at the host, so that it serves
//! a failed gate and a crash alike.

use std::collections::{BTreeMap, BTreeSet};

use super::assemble;
use super::diff;
use super::step::{Action, Phase, Step, Target, Turn};
use super::{Checkpoint, DesiredDigest, Kept, OpenDeploy, Plan};
use crate::model::desired::{Expect, Gate, Revision};
use crate::model::live::{Live, LiveContainer, Status};
use crate::model::name::Instance;
use crate::model::spec::{Resources, RestartPolicy};

/// Plans the return to the checkpoint of `open`.
///
/// # Guarantees
/// - What the deploy created is stopped only where what ran before can be started again, or nothing ran before.
/// - A container that ran before runs again, under its name, with its restart policy and limits.
/// - Run again after a crash in its middle, it ends at the same state.
/// - No volume is touched.
pub fn rollback(open: &OpenDeploy, live: &Live) -> Plan {
    let mut way = Way { steps: Vec::new(), notes: Vec::new() };
    let lost = way.lost(open, live);
    let created: Vec<&LiveContainer> = live
        .containers
        .values()
        .filter(|container| container.deploy == open.id && !is_kept(container, open))
        .collect();
    let (stranded, leaving): (Vec<_>, Vec<_>) =
        created.into_iter().partition(|container| lost.contains(&container.instance));
    let mut stopped: BTreeMap<&Instance, usize> = BTreeMap::new();
    for container in &leaving {
        if let Some(at) = way.stop(container, 0) {
            stopped.insert(&container.instance, at);
        }
    }
    for container in stranded {
        way.notes.push(format!("{} stays: what ran before it is gone from the host", container.name));
        way.run(container);
    }
    for kept in &open.checkpoint.containers {
        way.restore(kept, live, stopped.get(&kept.instance).copied());
    }
    for container in &leaving {
        way.add(Phase::Cleanup, 0, Vec::new(), Action::Remove(container.id.clone()));
    }
    for name in &open.checkpoint.networks {
        let stack = Some(&open.stack);
        let found = live
            .networks
            .values()
            .find(|network| network.spec.name == *name && network.stack.as_ref() == stack);
        if let Some(network) = found {
            way.add(Phase::Cleanup, 1, Vec::new(), Action::RemoveNetwork(network.id.clone()));
        }
    }
    let steps = assemble::sorted(way.steps);
    let desired = DesiredDigest(String::new());
    Plan {
        id: assemble::plan_id(&desired, &steps, &[]),
        stack: open.stack.clone(),
        revision: Revision::Files,
        desired,
        tiers: Vec::new(),
        changes: Vec::new(),
        unchanged: 0,
        notes: way.notes,
        consent: None,
        steps,
        checkpoint: Checkpoint::default(),
        outcome: BTreeMap::new(),
    }
}

struct Way {
    steps: Vec<Step>,
    notes: Vec<String>,
}

fn is_kept(container: &LiveContainer, open: &OpenDeploy) -> bool {
    open.checkpoint.containers.iter().any(|kept| kept.container == container.id)
}

impl Way {
    fn add(&mut self, phase: Phase, wave: u16, after: Vec<usize>, action: Action) -> usize {
        self.steps.push(Step { turn: Turn { phase, wave }, after, action });
        self.steps.len() - 1
    }

    /// The instances whose former container is gone, so that the new one is all that is left.
    fn lost(&mut self, open: &OpenDeploy, live: &Live) -> BTreeSet<Instance> {
        let gone: Vec<&Kept> = open
            .checkpoint
            .containers
            .iter()
            .filter(|kept| kept.ran && !live.containers.contains_key(&kept.container))
            .collect();
        for kept in &gone {
            self.notes.push(format!("{} is gone from the host and can't be started again", kept.name));
        }
        gone.into_iter().map(|kept| kept.instance.clone()).collect()
    }

    /// Starts what the deploy created, where nothing else is left.
    fn run(&mut self, container: &LiveContainer) {
        if matches!(container.state.status, Status::Created | Status::Exited { .. }) {
            let target = Target::Existing(container.id.clone());
            self.add(Phase::Switch, 0, Vec::new(), Action::Start(target));
        }
    }

    /// Stops a container that was not there, or did not run, before the deploy.
    fn stop(&mut self, container: &LiveContainer, wave: u16) -> Option<usize> {
        let mut after = Vec::new();
        if container.spec.restart != RestartPolicy::No {
            after.push(self.add(Phase::Switch, wave, Vec::new(), Action::Fence(container.id.clone())));
        }
        match container.state.status {
            Status::Running | Status::Paused | Status::Restarting => {
                let target = Target::Existing(container.id.clone());
                let grace = container.spec.stop_grace;
                Some(self.add(Phase::Switch, wave, after, Action::Stop { target, grace }))
            }
            Status::Created | Status::Exited { .. } | Status::Dead => after.pop(),
        }
    }

    /// Brings a container of the checkpoint back to what it was.
    ///
    /// Every old container may start as soon as its own successor has stopped: they ran together before, so none needs
    /// to wait for another, and the shortest outage is the best one.
    fn restore(&mut self, kept: &Kept, live: &Live, stopped: Option<usize>) {
        let Some(container) = live.containers.get(&kept.container) else { return };
        let target = Target::Existing(kept.container.clone());
        let runs = matches!(container.state.status, Status::Running | Status::Paused | Status::Restarting);
        if kept.ran && !runs {
            let after = stopped.into_iter().collect();
            let started = self.add(Phase::Switch, 0, after, Action::Start(target.clone()));
            let gate = Gate { expect: Expect::Running, ..Gate::default() };
            let instance = kept.instance.clone();
            self.add(
                Phase::Switch,
                0,
                vec![started],
                Action::Await { instance, target: target.clone(), gate },
            );
        }
        if !kept.ran && runs {
            self.stop(container, 0);
        }
        let restart = (container.spec.restart != kept.restart || !kept.ran && runs).then_some(kept.restart);
        let resources = diff::changed_limits(&kept.resources, &container.spec.resources);
        if restart.is_some() || resources != Resources::default() {
            self.add(
                Phase::Finish,
                0,
                Vec::new(),
                Action::Update { target: target.clone(), restart, resources },
            );
        }
        if container.name != kept.name {
            self.add(Phase::Finish, 1, Vec::new(), Action::Rename { target, name: kept.name.clone() });
        }
    }
}
