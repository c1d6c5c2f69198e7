//! Turns decisions into steps: what comes before what, so that nothing is stopped before its successor is ready to
//! start and no two containers want the same port at once.

use std::collections::{BTreeMap, BTreeSet};

use super::decide::{Decision, Decisions, Verdict};
use super::normal::Host;
use super::step::{Action, Phase, Step, Target, Turn};
use super::strategy::Orders;
use super::turns::Turns;
use super::{Checkpoint, Kept};
use crate::model::desired::{Condition, Desired};
use crate::model::live::{Live, LiveContainer, Status};
use crate::model::name::{ContainerId, ContainerName, Instance, NetworkName, ServiceName};
use crate::model::policy::Rollback;
use crate::model::spec::RestartPolicy;
use crate::model::update::{RollbackConfig, UpdateOrder};

mod finish;
mod mend;
mod prepare;
mod recreate;
pub(super) mod take_over;

/// The steps for the containers of a stack, not sorted yet.
pub(super) struct Sequence<'a> {
    desired: &'a Desired,
    live: &'a Live,
    host: Host<'a>,
    /// Containers that must stop before anything starts, because somebody else needs their port or address.
    vacating: BTreeSet<&'a ContainerId>,
    /// Networks that containers must leave before anybody joins them, because somebody else needs their address.
    leaving: BTreeSet<(&'a ContainerId, &'a NetworkName)>,
    orders: &'a Orders,
    pub(super) steps: Vec<Step>,
    pub(super) checkpoint: Checkpoint,
}

/// The steps of one service that others wait for, by their place in the sequence.
#[derive(Default)]
struct Milestones {
    started: Vec<usize>,
    ready: Vec<usize>,
    turns: Turns,
}

impl<'a> Sequence<'a> {
    pub(super) fn new(
        desired: &'a Desired,
        live: &'a Live,
        (vacating, leaving, orders): (
            BTreeSet<&'a ContainerId>,
            BTreeSet<(&'a ContainerId, &'a NetworkName)>,
            &'a Orders,
        ),
        host: Host<'a>,
    ) -> Self {
        let checkpoint = Checkpoint::default();
        Self { desired, live, host, vacating, leaving, orders, steps: Vec::new(), checkpoint }
    }

    /// Adds the steps of all decisions. `order` has the services after those that they depend on.
    pub(super) fn containers(&mut self, decisions: &'a Decisions<'a>, order: &[&ServiceName]) {
        self.prepare(decisions);
        let mut by_service: BTreeMap<&ServiceName, Vec<&Decision<'_>>> = BTreeMap::new();
        for decision in &decisions.wanted {
            by_service.entry(&decision.service.name).or_default().push(decision);
        }
        let mut milestones: BTreeMap<&ServiceName, Milestones> = BTreeMap::new();
        for name in order {
            let mut own = Milestones::default();
            for decision in by_service.get(name).into_iter().flatten() {
                self.switch(decision, &milestones, &mut own);
            }
            milestones.insert(name, own);
        }
        let last = self.wave_after_tiers();
        for container in &decisions.unwanted {
            // What a way back had to leave: whoever is started as the same instance doesn't start beside it.
            let is_taken =
                |decision: &Decision<'_>| decision.instance == container.instance && decision.starts();
            let wave = if decisions.wanted.iter().any(is_taken) { 0 } else { last };
            self.keep(&container.instance, container, wave);
            self.retire(container, wave, Vec::new());
        }
        for decision in &decisions.wanted {
            let batches = decision.service.way_back.batches;
            if batches != RollbackConfig::default().batches && decision.verdict.acts() {
                self.checkpoint.batches.insert(decision.service.name.clone(), batches);
            }
            if decision.service.rollback == Rollback::Hold && decision.verdict.is_new() {
                self.checkpoint.hold.insert(decision.instance.clone());
            }
            self.finish(decision);
        }
        self.name_images(decisions);
    }

    fn add(&mut self, phase: Phase, wave: u16, after: Vec<usize>, action: Action) -> usize {
        let turn = Turn { phase, wave };
        // Steps of an earlier turn have ended anyway.
        let after = after
            .into_iter()
            .filter(|at| self.steps.get(*at).is_some_and(|step| step.turn == turn))
            .collect();
        self.steps.push(Step { turn, after, action });
        self.steps.len() - 1
    }

    fn wave(&self, decision: &Decision<'_>) -> u16 {
        u16::try_from(self.desired.tier_rank(&decision.service.tier) + 1).unwrap_or(u16::MAX)
    }

    fn wave_after_tiers(&self) -> u16 {
        u16::try_from(self.desired.tiers.len() + 2).unwrap_or(u16::MAX)
    }

    fn switch(
        &mut self,
        decision: &Decision<'_>,
        others: &BTreeMap<&ServiceName, Milestones>,
        own: &mut Milestones,
    ) {
        let wave = self.wave(decision);
        let mut after = needs(decision, others);
        let parked = decision.verdict.parked();
        match (&decision.verdict, decision.current) {
            (Verdict::Create(_), _) => {
                let (started, ready) = self.start(decision, wave, after);
                own.reach(started, ready);
            }
            (Verdict::Revive(parked, _), Some(current)) if decision.has_done() => {
                self.keep(&decision.instance, current, wave);
                self.keep(&decision.instance, parked, wave);
            }
            (Verdict::Replace(_) | Verdict::Revive(..), Some(current)) => {
                after.extend(self.turn(decision, wave, own));
                let end = match self.order(decision) {
                    UpdateOrder::StopFirst => self.give_way(decision, (current, parked), after, own),
                    UpdateOrder::StartFirst => self.take_over(decision, (current, parked), after, own),
                };
                own.turns.end(end);
            }
            (Verdict::Mend { changes, start }, Some(current)) => {
                after.extend(self.mend(decision, current, changes, &after));
                if start.is_some() {
                    let (started, ready) = self.start(decision, wave, after);
                    own.reach(started, ready);
                }
            }
            (Verdict::Keep | Verdict::Absent(_), _)
            | (Verdict::Replace(_) | Verdict::Revive(..) | Verdict::Mend { .. }, None) => {}
        }
    }

    fn order(&self, decision: &Decision<'_>) -> UpdateOrder {
        self.orders.get(&decision.instance).map(|chosen| chosen.order).unwrap_or_default()
    }

    /// What a container that gives way waits for: those of its service take turns, so that some serve at every moment.
    fn turn(&mut self, decision: &Decision<'_>, wave: u16, own: &mut Milestones) -> Vec<usize> {
        own.turns.next(decision.service.update.batches, |after, time| {
            self.add(Phase::Switch, wave, after, Action::Delay(time))
        })
    }

    /// Stops `current`, then starts what takes its place. Returns the last step.
    fn give_way(
        &mut self,
        decision: &Decision<'_>,
        (current, parked): (&LiveContainer, Option<&LiveContainer>),
        mut after: Vec<usize>,
        own: &mut Milestones,
    ) -> usize {
        let wave = self.wave(decision);
        self.keep(&decision.instance, current, wave);
        if let Some(parked) = parked {
            self.keep(&decision.instance, parked, wave);
        }
        let stopped = self.retire(current, wave, after.clone());
        after.extend(stopped);
        let (started, ready) = self.start(decision, wave, after);
        own.reach(started, ready);
        self.monitor(decision, wave, ready)
    }

    /// Starts the container of `decision` and waits for it. Returns both steps.
    fn start(&mut self, decision: &Decision<'_>, wave: u16, after: Vec<usize>) -> (usize, usize) {
        let target = decision.target();
        let started = self.add(Phase::Switch, wave, after, Action::Start(target.clone()));
        let gate = decision.service.gate.clone();
        let instance = decision.instance.clone();
        (started, self.add(Phase::Switch, wave, vec![started], Action::Await { instance, target, gate }))
    }

    /// Fences and stops a container. What it had is kept in the checkpoint by [`Self::keep`].
    fn retire(&mut self, container: &LiveContainer, wave: u16, after: Vec<usize>) -> Option<usize> {
        let vacates = self.vacating.contains(&container.id);
        let (wave, mut after) = if vacates { (0, Vec::new()) } else { (wave, after) };
        let mut last = None;
        if container.spec.restart != RestartPolicy::No {
            let fenced = self.add(Phase::Switch, wave, after, Action::Fence(container.id.clone()));
            last = Some(fenced);
            after = vec![fenced];
        }
        match container.state.status {
            Status::Running | Status::Paused | Status::Restarting => {
                let target = Target::Existing(container.id.clone());
                last = Some(self.add(
                    Phase::Switch,
                    wave,
                    after,
                    Action::Stop { target, grace: container.spec.stop_grace },
                ));
            }
            Status::Created | Status::Exited { .. } | Status::Dead => {}
        }
        last
    }

    /// Keeps a container in the checkpoint, under the instance of whatever takes its place: the way back starts it when
    /// that has stopped.
    fn keep(&mut self, instance: &Instance, container: &LiveContainer, wave: u16) {
        self.checkpoint.containers.push(Kept {
            instance: instance.clone(),
            wave,
            container: container.id.clone(),
            name: container.name.clone(),
            ran: matches!(container.state.status, Status::Running | Status::Restarting),
            restart: container.spec.restart,
            resources: container.spec.resources.clone(),
            networks: None,
        });
    }
}

impl Milestones {
    fn reach(&mut self, started: usize, ready: usize) {
        self.started.push(started);
        self.ready.push(ready);
    }
}

impl Decision<'_> {
    /// The container that serves once the plan is carried out.
    pub(super) fn target(&self) -> Target {
        match (&self.verdict, self.current) {
            (Verdict::Keep | Verdict::Mend { .. }, Some(current)) => Target::Existing(current.id.clone()),
            (Verdict::Revive(parked, _), _) => Target::Existing(parked.id.clone()),
            (Verdict::Absent(id), _) => Target::Existing(id.clone()),
            (Verdict::Create(_) | Verdict::Replace(_) | Verdict::Keep | Verdict::Mend { .. }, _) => {
                Target::New(self.instance.clone())
            }
        }
    }
}

impl Verdict<'_> {
    /// Whether a container is created.
    pub(super) fn is_new(&self) -> bool {
        match self {
            Self::Create(_) | Self::Replace(_) => true,
            Self::Keep | Self::Absent(_) | Self::Revive(..) | Self::Mend { .. } => false,
        }
    }
}

/// The steps of other services that must have ended before this one may begin.
fn needs(decision: &Decision<'_>, others: &BTreeMap<&ServiceName, Milestones>) -> Vec<usize> {
    let mut after = Vec::new();
    let shared = decision.service.needs().filter(|name| !decision.service.depends_on.contains_key(*name));
    for name in shared {
        after.extend(others.get(name).into_iter().flat_map(|milestones| &milestones.started));
    }
    for (name, dependency) in &decision.service.depends_on {
        if let Some(milestones) = others.get(name) {
            match dependency.condition {
                Condition::Started => after.extend(&milestones.started),
                Condition::Healthy | Condition::Completed => after.extend(&milestones.ready),
            }
        }
    }
    after
}

/// `name` itself if it is free, else the first free one of `name.suffix`, `name.suffix-2`, …
fn free_name(name: &ContainerName, suffix: &str, taken: &BTreeSet<ContainerName>) -> ContainerName {
    let numbered = (2_u32..).map(|number| format!("{name}.{suffix}-{number}"));
    let all = [name.to_string(), format!("{name}.{suffix}")].into_iter().chain(numbered);
    all.filter_map(|name| name.parse().ok())
        .find(|name| !taken.contains(name))
        .unwrap_or_else(|| name.clone())
}
