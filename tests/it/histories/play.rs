//! Plays a history: does what happens in it on a simulated host, and holds host and ledger to the laws after each act.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use evenkeel::apply::Outcome;
use evenkeel::apply::recover::Recovered;
use evenkeel::engine::observe;
use evenkeel::engine::sim::Sim;
use evenkeel::model::desired::Desired;
use evenkeel::model::live::Live;
use evenkeel::model::name::Instance;
use evenkeel::plan::check::{check, dependencies};
use evenkeel::plan::{Plan, normal, plan};
use tokio_util::sync::CancellationToken;

use super::acts::{Act, Hand, Harm};
use super::canaries::{Canaried, Canary};
use super::hands;
use super::laws;
use super::scene::Scene;
use super::stacks::{self, Fate};
use super::watched::Watched;
use crate::apply::bench::{Bench, stack};

/// So many deploys bring the stack to rest once nothing goes wrong any more.
const DEPLOYS_TO_REST: usize = 3;
/// More calls than any act makes.
const CALLS_MAX: usize = 20_000;

/// A law that was broken, or a panic.
pub type Broken = String;

/// How far a deploy came.
#[expect(clippy::large_enum_variant, reason = "there is one at a time")]
pub enum Ended {
    /// The host couldn't be seen.
    Unseen,
    /// There is no such plan.
    NotPlanned,
    /// It was carried out.
    Ran(Box<Plan>, Outcome),
}

/// What came of a history.
pub struct Played {
    /// Every call that was made, or the law that was broken.
    pub calls: Result<Vec<String>, Broken>,
    /// What the checker said of a plan that a canary had spoiled.
    pub complaint: Option<String>,
}

/// Plays the history of this seed.
pub fn play(seed: u64, acts: &[Act], canary: Option<Canary>) -> Played {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let played = std::panic::catch_unwind(AssertUnwindSafe(|| {
        runtime.unwrap().block_on(async {
            let mut play = Play::new(seed, canary);
            let calls = play.all(acts).await;
            // The hook holds the host that holds it.
            play.sim().without_faults();
            Played { calls: calls.map(|()| play.calls), complaint: play.complaints.into_inner() }
        })
    }));
    played.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
        Played { calls: Err(format!("panic: {}", text.unwrap_or_default())), complaint: None }
    })
}

struct Play {
    seed: u64,
    bench: Bench<Canaried>,
    watched: Watched,
    canary: Option<Canary>,
    /// What the checker says of the plans of the canary.
    complaints: Cell<Option<String>>,
    /// What there was before the deploy that has not ended, as long as only the controller has touched it since.
    open: Option<Scene>,
    /// Revisions that were deployed well, the last one at the end.
    stable: Vec<u64>,
    calls: Vec<String>,
}

impl Play {
    fn new(seed: u64, canary: Option<Canary>) -> Self {
        let sim = Sim::new();
        stacks::furnish(&sim);
        sim.run_by_hand(&"somebody-elses".parse().unwrap(), BTreeSet::new());
        let bench = Bench::on(Canaried { sim, canary }, stack());
        Self {
            seed,
            bench,
            watched: Watched::default(),
            canary,
            complaints: Cell::default(),
            open: None,
            stable: Vec::new(),
            calls: Vec::new(),
        }
    }

    fn sim(&self) -> &Sim {
        &self.bench.host.sim
    }

    async fn all(&mut self, acts: &[Act]) -> Result<(), Broken> {
        let first = Scene::of(&self.bench).await;
        let mut before = first.clone();
        for (at, act) in acts.iter().enumerate() {
            let played = self.one(*act).await;
            self.sim().without_faults();
            played.map_err(|broken| format!("act {at}, {act:?}: {broken}"))?;
            let now = Scene::of(&self.bench).await;
            laws::always(&first, &before, &now).map_err(|broken| format!("act {at}, {act:?}: {broken}"))?;
            before = now;
        }
        self.comes_to_rest().await.map_err(|broken| format!("at the end: {broken}"))?;
        Ok(())
    }

    async fn one(&mut self, act: Act) -> Result<(), Broken> {
        match act {
            Act::Deploy(revision, harm) => self.deploy((revision, Fate::Open), harm).await.map(drop),
            Act::Recover(harm) => self.recover(harm).await,
            Act::Rollback(harm) => match self.stable.iter().rev().nth(1).copied() {
                Some(revision) => self.deploy((revision, Fate::Open), harm).await.map(drop),
                None => Ok(()),
            },
            Act::Hand(hand) => {
                self.open = None;
                self.hand(hand);
                tokio::time::sleep(Duration::from_secs(1)).await;
                Ok(())
            }
            Act::Wait(time) => {
                tokio::time::sleep(time).await;
                Ok(())
            }
        }
    }

    /// Ends what was cut off, then plans and carries out a revision.
    async fn deploy(&mut self, (number, fate): (u64, Fate), harm: Harm) -> Result<Option<Outcome>, Broken> {
        if self.bench.ledger.open_deploy(&stack()).unwrap().is_some() {
            self.recover(Harm::Nothing).await?;
        }
        let desired = stacks::revision(self.seed, number, fate);
        let before = Scene::of(&self.bench).await;
        self.bench.stop = CancellationToken::new();
        let struck = self.watched.begin(self.sim(), harm, before.serving());
        let ended = {
            let meanwhile = async {
                struck.notified().await;
                match harm {
                    Harm::Killed(..) => return,
                    Harm::Meanwhile(_, hand) if hand != Hand::RestartDaemon => self.hand(hand),
                    Harm::Stopped(_) => self.bench.stop.cancel(),
                    Harm::Nothing | Harm::Once(..) | Harm::FromThenOn(..) | Harm::Meanwhile(..) => {}
                }
                std::future::pending::<()>().await;
            };
            tokio::select! {
                biased;
                () = meanwhile => None,
                ended = self.deploying(&desired) => Some(ended?),
            }
        };
        self.note(ended.is_none()).await?;
        let after = Scene::of(&self.bench).await;
        let is_open = self.bench.ledger.open_deploy(&stack()).unwrap().is_some();
        self.open = (is_open && !matches!(harm, Harm::Meanwhile(..))).then(|| before.clone());
        let ended = match (ended, self.canary) {
            (Some(Ended::Ran(plan, outcome)), Some(canary)) => Some(Ended::Ran(plan, canary.told(outcome))),
            (ended, _) => ended,
        };
        let scenes = laws::Scenes { before: &before, after: &after, is_open, harm };
        laws::deployed(&scenes, &desired, ended.as_ref(), &self.watched.moments())?;
        let Some(Ended::Ran(plan, outcome)) = ended else { return Ok(None) };
        self.quarantined(&plan, &outcome, &before)?;
        if let Outcome::Applied(_) | Outcome::Unchanged = outcome {
            self.stable.push(number);
            if harm == Harm::Nothing {
                self.rests(&desired).await?;
            }
        }
        Ok(Some(outcome))
    }

    async fn deploying(&self, desired: &Desired) -> Result<Ended, Broken> {
        let references = desired.services.values().map(|service| service.spec.image.clone()).collect();
        let adopted = self.bench.ledger.adopted(&stack()).unwrap();
        let seen = observe::observe(&self.bench.host, &stack(), &adopted, &references).await;
        let Ok(live) = seen else { return Ok(Ended::Unseen) };
        let Some(mut plan) = self.planned(desired, &live)? else { return Ok(Ended::NotPlanned) };
        if let Some(canary) = self.canary {
            canary.plan(&mut plan, &live);
            let complaints = check(&plan, &live).into_iter().chain(dependencies(&plan, desired));
            if let Some(complaint) = complaints.reduce(|all, next| format!("{all}; {next}")) {
                self.complaints.set(Some(complaint));
            }
        }
        let outcome = self.bench.carry_out(&plan, desired).await;
        Ok(Ended::Ran(Box::new(plan), outcome))
    }

    fn planned(&self, desired: &Desired, live: &Live) -> Result<Option<Plan>, Broken> {
        let files = self.bench.files.root().to_str().unwrap();
        let host = normal::Host { key: self.bench.key(), files };
        let mut last = self.bench.ledger.last_applied(&stack()).unwrap();
        if let Some(canary) = self.canary {
            canary.remembered(&mut last, live);
        }
        let Ok(plan) = plan(desired, live, &last, host) else { return Ok(None) };
        match check(&plan, live).iter().chain(&dependencies(&plan, desired)).next() {
            Some(broken) => Err(format!("the checker: {broken}")),
            None if self.watched.writes() > 0 => {
                Err("I21: a plan was made, and something written".to_owned())
            }
            None => Ok(Some(plan)),
        }
    }

    /// Ends what was cut off.
    async fn recover(&mut self, harm: Harm) -> Result<(), Broken> {
        let was_open = self.bench.ledger.open_deploy(&stack()).unwrap().is_some();
        let before = Scene::of(&self.bench).await;
        let struck = self.watched.begin(self.sim(), harm, before.serving());
        if let Some(canary) = self.canary {
            canary.recovers(&self.bench);
        }
        let recovered = {
            let meanwhile = async {
                struck.notified().await;
                match harm {
                    Harm::Killed(..) => return,
                    Harm::Meanwhile(_, hand) if hand != Hand::RestartDaemon => self.hand(hand),
                    _ => {}
                }
                std::future::pending::<()>().await;
            };
            tokio::select! {
                biased;
                () = meanwhile => None,
                recovered = self.bench.recover() => Some(recovered),
            }
        };
        self.note(recovered.is_none()).await?;
        if matches!(harm, Harm::Meanwhile(..)) {
            self.open = None;
        }
        let after = Scene::of(&self.bench).await;
        laws::recovery_needs_no_registry(&self.watched.moments())?;
        let is_open = self.bench.ledger.open_deploy(&stack()).unwrap().is_some();
        match &recovered {
            None => return Ok(()),
            Some(None) if was_open => return Err("I17: an open deploy was not seen".to_owned()),
            Some(None | Some(Recovered::Forward(_))) => {}
            Some(Some(Recovered::Back(_))) => {
                if let Some(difference) = self.open.as_ref().and_then(|open| after.difference(open)) {
                    return Err(format!("I19: back, but {difference}"));
                }
            }
            Some(Some(Recovered::Held(_))) => return Err("nothing was to be held".to_owned()),
            Some(Some(Recovered::BackFailed { failures, .. })) => {
                if harm == Harm::Nothing && self.open.is_some() {
                    return Err(format!("I1: the way back failed: {failures:?}"));
                }
                return Ok(());
            }
        }
        if is_open {
            return Err("I15: recovered, and still open".to_owned());
        }
        self.open = None;
        // I29: once more is as good as once.
        self.watched.begin(self.sim(), Harm::Nothing, after.serving());
        match self.bench.recover().await {
            None if self.watched.writes() == 0 => Ok(()),
            again => Err(format!("I29: recovered again: {again:?}")),
        }
    }

    /// Takes down what was called. Who was killed calls no more.
    async fn note(&mut self, was_killed: bool) -> Result<(), Broken> {
        let moments = self.watched.moments();
        self.calls.extend(moments.iter().map(|moment| moment.call.to_string()));
        if let Some(broken) = self.watched.broken() {
            return Err(broken);
        }
        if moments.len() > CALLS_MAX {
            return Err(format!("I25: {} calls", moments.len()));
        }
        if was_killed {
            tokio::time::sleep(Duration::from_secs(15)).await;
            if self.watched.moments().len() > moments.len() {
                return Err("I2: it was killed, and called again".to_owned());
            }
        }
        self.sim().without_faults();
        Ok(())
    }

    /// I26: what failed by its own fault, and only that, is not to be tried again.
    fn quarantined(&self, plan: &Plan, outcome: &Outcome, before: &Scene) -> Result<(), Broken> {
        let (Outcome::Failed { failure, .. } | Outcome::RolledBack { failure, .. }) = outcome else {
            return Ok(());
        };
        let is_stable = before.stable.as_ref().is_some_and(|stable| stable.desired == plan.desired);
        let is_quarantined = self.bench.ledger.quarantined(&stack(), &plan.desired).unwrap().is_some();
        if !failure.transient && !is_stable && !is_quarantined {
            return Err(format!("I26: not quarantined after {failure}"));
        }
        if is_stable && is_quarantined {
            Err("I26: what is stable is quarantined".to_owned())
        } else {
            Ok(())
        }
    }

    /// I16: nothing is left to do, and nothing is done.
    async fn rests(&self, desired: &Desired) -> Result<(), Broken> {
        let scene = Scene::of(&self.bench).await;
        self.watched.begin(self.sim(), Harm::Nothing, scene.serving());
        match self.deploying(desired).await? {
            Ended::Ran(_, Outcome::Unchanged) if self.watched.writes() == 0 => Ok(()),
            Ended::Ran(plan, outcome) => {
                Err(format!("I16: not at rest: {outcome:?}, {:?}", laws::words(&plan)))
            }
            Ended::Unseen | Ended::NotPlanned => Err("I16: no plan at rest".to_owned()),
        }
    }

    /// I17 and I9: when nothing goes wrong any more, the stack comes to what is desired, and is what it would be had
    /// nothing ever gone wrong.
    async fn comes_to_rest(&mut self) -> Result<(), Broken> {
        let desired = stacks::revision(self.seed, 99, Fate::Good);
        let mut outcomes = Vec::new();
        for _ in 0..DEPLOYS_TO_REST {
            let outcome = self.deploy((99, Fate::Good), Harm::Nothing).await?;
            if let Some(Outcome::Unchanged | Outcome::Applied(_)) = outcome {
                let now = Scene::of(&self.bench).await.essence();
                let fresh = fresh(&desired).await;
                let other = fresh.iter().find(|(instance, essence)| now.get(instance) != Some(essence));
                return match other {
                    Some((instance, essence)) => {
                        let now = now.get(instance).map_or("nothing", String::as_str);
                        Err(format!("I9: {instance} is {}", differing(now, essence)))
                    }
                    None if now.len() > fresh.len() => Err("I9: more runs than is desired".to_owned()),
                    None => Ok(()),
                };
            }
            outcomes.push(outcome);
        }
        Err(format!("I17: not at rest after {DEPLOYS_TO_REST} deploys: {outcomes:?}"))
    }

    /// Does on the host what a human does, at once.
    fn hand(&self, hand: Hand) {
        self.watched.by_hand(|| hands::act(self.sim(), hand));
    }
}

/// From where on two texts differ.
fn differing(now: &str, wanted: &str) -> String {
    let (now, wanted): (Vec<&str>, Vec<&str>) = (now.split(' ').collect(), wanted.split(' ').collect());
    let at = now.iter().zip(&wanted).take_while(|(now, wanted)| now == wanted).count();
    let some = |words: &[&str]| words.iter().skip(at).take(12).copied().collect::<Vec<_>>().join(" ");
    format!("{} instead of {}", some(&now), some(&wanted))
}

/// What runs where `desired` is the first thing that was ever deployed.
async fn fresh(desired: &Desired) -> BTreeMap<Instance, String> {
    let sim = Sim::new();
    stacks::furnish(&sim);
    let bench = Bench::on(Canaried { sim, canary: None }, stack());
    let outcome = bench.deploy(desired).await;
    assert!(matches!(outcome, Outcome::Applied(_)), "a fresh host: {outcome:?}");
    Scene::of(&bench).await.essence()
}
