//! Mistakes that other reconcilers have made, made on purpose: a test that lets one of them live is no test.

use evenkeel::apply::Outcome;
use evenkeel::apply::clock::Clock;
use evenkeel::apply::ledger::Ending;
use evenkeel::model::live::Live;
use evenkeel::model::name::VolumeName;
use evenkeel::model::spec::{Attachment, ContainerSpec, MountSource, RestartPolicy};
use evenkeel::plan::step::{Action, Phase, Step, Target, Turn};
use evenkeel::plan::{LastApplied, Plan};

use crate::apply::bench::{Bench, Noon, stack};

mod engine;
mod judged;

pub use engine::Canaried;

/// A mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Canary {
    /// The old container is removed before the new one has been started: then there is no way back.
    RemovesBeforeStart,
    /// The container that bears the name is taken for the one that serves.
    TakesNameForState,
    /// A deploy that was rolled back is told as a success.
    TellsRollbackAsSuccess,
    /// What was replaced is removed before the new container is known to be healthy.
    PrunesBeforeHealth,
    /// Anonymous volumes are removed with the container.
    DropsAnonymousVolumes,
    /// Named volumes are removed with the container.
    DropsVolumes,
    /// Containers join networks without their aliases.
    JoinsWithoutSettings,
    /// The old container is stopped before the new one exists.
    StopsBeforeCreate,
    /// The restart policy of the old container stays: a daemon that restarts starts it beside the new one.
    LeavesUnfenced,
    /// A container that was started counts as up.
    DoesNotWait,
    /// Nothing waits for what it depends on.
    ForgetsDependencies,
    /// The new state is on record before it is reached.
    CommitsFirst,
    /// A deploy that was cut off is taken for one that has ended.
    ForgetsCrashes,
    /// What ran before comes back without its restart policy.
    ForgetsPolicies,
    /// The new container is made of what the old one was, with another image.
    CopiesFromInspect,
}

pub const ALL: [Canary; 15] = [
    Canary::RemovesBeforeStart,
    Canary::TakesNameForState,
    Canary::TellsRollbackAsSuccess,
    Canary::PrunesBeforeHealth,
    Canary::DropsAnonymousVolumes,
    Canary::DropsVolumes,
    Canary::JoinsWithoutSettings,
    Canary::StopsBeforeCreate,
    Canary::LeavesUnfenced,
    Canary::DoesNotWait,
    Canary::ForgetsDependencies,
    Canary::CommitsFirst,
    Canary::ForgetsCrashes,
    Canary::ForgetsPolicies,
    Canary::CopiesFromInspect,
];

impl Canary {
    /// Whether the checker must see it: it contradicts what a plan has to be, whatever happens then.
    pub fn is_in_the_plan(self) -> bool {
        match self {
            Self::RemovesBeforeStart
            | Self::PrunesBeforeHealth
            | Self::StopsBeforeCreate
            | Self::LeavesUnfenced
            | Self::DoesNotWait
            | Self::ForgetsDependencies
            | Self::CommitsFirst => true,
            Self::TakesNameForState
            | Self::TellsRollbackAsSuccess
            | Self::DropsAnonymousVolumes
            | Self::DropsVolumes
            | Self::JoinsWithoutSettings
            | Self::ForgetsCrashes
            | Self::ForgetsPolicies
            | Self::CopiesFromInspect => false,
        }
    }

    /// Spoils a plan.
    pub fn plan(self, plan: &mut Plan, live: &Live) {
        match self {
            Self::RemovesBeforeStart | Self::PrunesBeforeHealth => {
                self.add_removals(plan);
                sort(plan);
            }
            Self::JoinsWithoutSettings => {
                plan.steps.iter_mut().for_each(|step| without_settings(&mut step.action));
            }
            Self::StopsBeforeCreate => {
                for step in plan.steps.iter_mut().filter(|step| matches!(step.action, Action::Stop { .. })) {
                    step.turn = Turn { phase: Phase::Images, wave: 0 };
                }
                sort(plan);
            }
            Self::LeavesUnfenced => leave_out(plan, |action| matches!(action, Action::Fence(_))),
            Self::DoesNotWait => leave_out(plan, |action| matches!(action, Action::Await { .. })),
            Self::ForgetsDependencies => forget_dependencies(plan),
            Self::CommitsFirst => {
                for step in plan.steps.iter_mut().filter(|step| step.action == Action::Commit) {
                    step.turn = Turn { phase: Phase::Switch, wave: 0 };
                }
                sort(plan);
            }
            Self::ForgetsPolicies => {
                plan.checkpoint.containers.iter_mut().for_each(|kept| kept.restart = RestartPolicy::No);
            }
            Self::CopiesFromInspect => copy_from_inspect(plan, live),
            Self::TakesNameForState
            | Self::TellsRollbackAsSuccess
            | Self::DropsAnonymousVolumes
            | Self::DropsVolumes
            | Self::ForgetsCrashes => {}
        }
    }

    /// Adds the removal of each old container right behind its stop, or behind the start of its successor.
    fn add_removals(self, plan: &mut Plan) {
        let stops: Vec<(usize, Step)> = plan.steps.iter().cloned().enumerate().collect();
        for (at, step) in stops {
            let Action::Stop { target: Target::Existing(id), .. } = &step.action else { continue };
            let removal =
                |after| Step { turn: step.turn, after: vec![after], action: Action::Remove(id.clone()) };
            let start = plan.steps.iter().position(|later| {
                matches!(later.action, Action::Start(_))
                    && later.turn == step.turn
                    && later.after.contains(&at)
            });
            match (self, start) {
                (Self::PrunesBeforeHealth, Some(start)) => plan.steps.push(removal(start)),
                (_, start) => {
                    plan.steps.push(removal(at));
                    let removed = plan.steps.len() - 1;
                    if let Some(start) = start {
                        plan.steps[start].after.push(removed);
                    }
                }
            }
        }
    }

    /// Spoils what is remembered of the last deploy.
    pub fn remembered(self, last: &mut LastApplied, live: &Live) {
        if self != Self::TakesNameForState {
            return;
        }
        for (instance, (id, _)) in &mut last.current {
            let name = format!("{}-{instance}", stack());
            if let Some(bearer) = live.containers.values().find(|one| one.name.as_str() == name) {
                *id = bearer.id.clone();
            }
        }
    }

    /// Spoils what is told of the end.
    pub fn told(self, outcome: Outcome) -> Outcome {
        match (self, outcome) {
            (Self::TellsRollbackAsSuccess, Outcome::RolledBack { report, .. }) => Outcome::Applied(report),
            (_, outcome) => outcome,
        }
    }

    /// Spoils a recovery.
    pub fn recovers(self, bench: &Bench<Canaried>) {
        if self == Self::ForgetsCrashes
            && let Some(open) = bench.ledger.open_deploy(&stack()).unwrap()
        {
            bench.ledger.end(&open.deploy.id, Ending::Done, Noon.now()).unwrap();
        }
    }
}

/// Sorts the steps by their turns again, in each after those that they wait for. What waits for a step of another turn
/// waits for the turn.
fn sort(plan: &mut Plan) {
    let mut order: Vec<usize> = (0..plan.steps.len()).collect();
    order.sort_by_key(|at| (plan.steps[*at].turn, depth(&plan.steps, *at)));
    renumber(plan, &order);
}

/// How many steps have to be done one after the other before this one.
fn depth(steps: &[Step], at: usize) -> usize {
    let step = &steps[at];
    let before = step.after.iter().filter(|before| steps[**before].turn == step.turn);
    before.map(|before| depth(steps, *before) + 1).max().unwrap_or(0)
}

/// Takes the steps in `order`, and what they wait for with them.
fn renumber(plan: &mut Plan, order: &[usize]) {
    let old = plan.steps.clone();
    let place = |at: usize| order.iter().position(|other| *other == at);
    plan.steps = order
        .iter()
        .map(|at| {
            let step = &old[*at];
            let after = step.after.iter().filter(|before| old[**before].turn == step.turn);
            Step { after: after.filter_map(|before| place(*before)).collect(), ..step.clone() }
        })
        .collect();
}

/// Leaves steps out. What waited for one waits for what that waited for.
fn leave_out(plan: &mut Plan, is_out: impl Fn(&Action) -> bool) {
    for at in 0..plan.steps.len() {
        let mut after = Vec::new();
        for before in plan.steps[at].after.clone() {
            let earlier = &plan.steps[before];
            if is_out(&earlier.action) { after.extend(earlier.after.clone()) } else { after.push(before) }
        }
        plan.steps[at].after = after;
    }
    let order: Vec<usize> = (0..plan.steps.len()).filter(|at| !is_out(&plan.steps[*at].action)).collect();
    renumber(plan, &order);
}

/// Lets nothing wait for the gate of another one.
fn forget_dependencies(plan: &mut Plan) {
    let awaits: Vec<bool> = plan
        .steps
        .iter()
        .map(|step| matches!(step.action, Action::Await { .. } | Action::Start(_)))
        .collect();
    for step in &mut plan.steps {
        if !matches!(step.action, Action::Await { .. }) {
            step.after.retain(|before| !awaits[*before]);
        }
    }
}

fn without_settings(action: &mut Action) {
    let strip = |attachment: &mut Attachment| {
        *attachment = Attachment { first: attachment.first, ..Attachment::default() };
    };
    match action {
        Action::Connect { attachment, .. } => strip(attachment),
        Action::Create { spec, .. } => spec.networks.values_mut().for_each(strip),
        _ => {}
    }
}

fn copy_from_inspect(plan: &mut Plan, live: &Live) {
    for step in &mut plan.steps {
        let Action::Create { instance, spec, .. } = &mut step.action else { continue };
        let old = live.containers.values().find(|one| one.instance == *instance);
        if let Some(old) = old {
            spec.environment.clone_from(&old.spec.environment);
            spec.resources.clone_from(&old.spec.resources);
            spec.healthcheck.clone_from(&old.spec.healthcheck);
        }
    }
}

/// The named volumes that a container mounts.
fn volumes(spec: &ContainerSpec) -> Vec<VolumeName> {
    let named = spec.mounts.values().filter_map(|mount| match &mount.source {
        MountSource::Volume(name) => Some(name.clone()),
        _ => None,
    });
    named.collect()
}
