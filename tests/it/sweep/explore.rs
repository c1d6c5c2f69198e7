//! Enumerates: every way at every point of a scenario, and whatever a crash leaves, again in its recovery, until no
//! further state comes up.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use evenkeel::apply::Outcome;
use evenkeel::apply::ledger::writes::{Fault, Write};
use evenkeel::apply::machine::{DeployError, Machine};
use evenkeel::apply::registry::Registries;
use evenkeel::engine::sim::{Ending, Sim};
use evenkeel::model::name::Instance;
use futures_util::FutureExt;
use tempfile::TempDir;

use super::fault::{Done, Point, Strike, Way};
use super::laws::{self, Broken, Scene};
use super::scenarios::{Act, Scenario, deploy, furnished};
use super::site::{Frozen, Site, folder};
use crate::apply::bench::{Told, stack};

/// After so long nothing of an act is under way any more: neither a stop nor a daemon on its way back.
const CALM: Duration = Duration::from_secs(40);

/// After so long even what goes wrong from then on is over.
const FOR_EVER: Duration = Duration::from_secs(60 * 60);

/// How much is enumerated.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// Every way at every point where that is not the same as another one. Recovery from a first crash
    /// is killed after every effect.
    Default,
    /// Every way at every point, and recovery is killed, and loses its power, before and after every point.
    Whole,
}

/// What was enumerated.
pub struct Counts {
    pub name: &'static str,
    pub points: Vec<Point>,
    /// Runs of the scenario, by what went wrong.
    pub runs: BTreeMap<Way, usize>,
    /// Runs of a recovery in which it was cut off again.
    pub recoveries: usize,
    /// States, each judged once.
    pub states: usize,
    /// How many crashes one after the other it takes to come to the last of them.
    pub crashes: usize,
    /// Every law that was broken, with what broke it.
    pub broken: Vec<Broken>,
}

/// How strictly a state is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Judged {
    /// Nothing may be lost.
    Strictly,
    /// The way back itself was refused for good: it may have failed, and says so.
    AsFailed,
    /// Others have removed what it takes to go back.
    AsPruned,
}

struct Sweep<'a> {
    scenario: &'a Scenario,
    folder: TempDir,
    before: Scene,
    /// What runs in the end where nothing ever goes wrong.
    essence: BTreeMap<Instance, String>,
    /// Whether what is deployed fails by its own fault, where nothing else goes wrong.
    blames: bool,
    seen: BTreeSet<String>,
    /// States with a deploy that hasn't ended, and after how many crashes.
    crashed: VecDeque<(Frozen, usize, String)>,
    counts: Counts,
}

/// Enumerates a scenario.
pub fn sweep(scenario: &Scenario, extent: Extent) -> Counts {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.unwrap().block_on(async {
        let (mut sweep, start) = Sweep::begin(scenario).await;
        sweep.all(&start, extent).await;
        sweep.counts
    })
}

/// What a scenario comes to where nothing goes wrong.
pub fn points(scenario: &Scenario) -> Vec<Point> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.unwrap().block_on(async { Sweep::begin(scenario).await.0.counts.points })
}

/// How an act ended.
struct Ended {
    site: Site,
    /// A controller that looks at what is left.
    machine: Machine<Sim>,
    points: Vec<Point>,
    struck: Option<Point>,
    /// What became of it, unless the controller was killed.
    result: Option<Result<Option<Outcome>, DeployError>>,
}

/// Does `act`, and lets something go wrong in it.
async fn strike(site: Site, act: &Act, (way, at): (Way, usize)) -> Ended {
    let machine = site.machine();
    let strike = Strike::set(&site, &machine, (way, at));
    let ended = {
        let mut act = std::pin::pin!(AssertUnwindSafe(act.run(&site.sim, &machine)).catch_unwind());
        let mut is_over = false;
        loop {
            tokio::select! {
                biased;
                () = strike.dies.notified() => break None,
                ended = &mut act => break Some(ended),
                // A task has no deadline: it is waited for as long as the engine is gone.
                () = tokio::time::sleep(FOR_EVER), if !is_over => {
                    site.sim.without_faults();
                    machine.ledger().on_write(Box::new(|_| Fault::None));
                    is_over = true;
                }
            }
        }
    };
    let result = match ended {
        Some(Err(panic)) if !Strike::is_death(panic.as_ref()) => std::panic::resume_unwind(panic),
        Some(Ok(result)) if strike.struck().is_none() || !way.kills() => Some(result),
        Some(_) | None => None,
    };
    // The hook holds the host that holds it.
    site.sim.without_faults();
    let machine = match way {
        Way::PowerLost(_) if strike.struck().is_some() => {
            site.sim.stop_daemon(Ending::PowerLost);
            site.lose_power(machine, strike.synced());
            site.sim.start_daemon();
            site.machine()
        }
        _ => {
            machine.ledger().on_write(Box::new(|_| Fault::None));
            machine
        }
    };
    tokio::time::sleep(CALM).await;
    Ended { site, machine, points: strike.points(), struck: strike.struck(), result }
}

/// Nothing goes wrong.
const NEVER: (Way, usize) = (Way::Killed(Done::No), usize::MAX);

impl<'a> Sweep<'a> {
    async fn begin(scenario: &'a Scenario) -> (Self, Frozen) {
        let folder = folder();
        let mut site = Site { sim: furnished().await, folder: folder.path().to_owned() };
        let last = scenario.first.len() - usize::from(scenario.cut.is_some());
        for act in &scenario.first[..last] {
            site = done(site, act).await;
        }
        let before = Scene::of(&site, &stack()).await;
        let mut start = site.freeze();
        if let (Some(verb), Some(act)) = (scenario.cut, scenario.first.get(last)) {
            let points = strike(site, act, NEVER).await.points;
            let commit = points.iter().position(|point| *point == Point::Write(Write::Commit)).unwrap();
            let is_cut = |point: &Point| matches!(point, Point::Call(call) if call.verb == verb);
            let at = points[..commit].iter().rposition(is_cut).unwrap();
            let cut = strike(start.thaw(folder.path()), act, (Way::Killed(Done::Yes), at)).await;
            start = cut.site.freeze();
        }
        let clean = strike(start.thaw(folder.path()), &scenario.act, NEVER).await;
        let counts = Counts {
            name: scenario.name,
            points: clean.points,
            runs: BTreeMap::new(),
            recoveries: 0,
            states: 0,
            crashes: 0,
            broken: Vec::new(),
        };
        let blames = clean.site.has_quarantined();
        let outcome = deploy(&clean.machine, &scenario.goal, "push").await;
        assert!(
            matches!(outcome, Ok(Outcome::Applied(_) | Outcome::Unchanged)),
            "{}: {outcome:?}",
            scenario.name
        );
        let essence = Scene::of(&clean.site, &stack()).await.essence();
        let (seen, crashed) = (BTreeSet::new(), VecDeque::new());
        (Self { scenario, folder, before, essence, blames, seen, crashed, counts }, start)
    }

    async fn all(&mut self, start: &Frozen, extent: Extent) {
        let points = self.counts.points.clone();
        for way in Way::ALL {
            for (at, point) in points.iter().enumerate() {
                if !way.is_possible(point) || extent == Extent::Default && way.is_another(point) {
                    continue;
                }
                let context = format!("{way:?} at {at}, {point:?}");
                let ended = strike(start.thaw(self.folder.path()), &self.scenario.act, (way, at)).await;
                assert_eq!(ended.struck.as_ref(), Some(point), "{}: not the same twice", self.scenario.name);
                *self.counts.runs.entry(way).or_default() += 1;
                self.look(ended, (way, 1), context).await;
            }
        }
        while let Some((crashed, depth, how)) = self.crashed.pop_front() {
            if extent == Extent::Default && depth > 1 {
                continue;
            }
            self.recoveries(&crashed, (depth + 1, &how), extent).await;
        }
    }

    /// Cuts the recovery from a crash off at each of its own points.
    async fn recoveries(&mut self, crashed: &Frozen, (depth, how): (usize, &str), extent: Extent) {
        let ways: &[Way] = match extent {
            Extent::Default => &[Way::Killed(Done::Yes)],
            Extent::Whole => &[
                Way::Killed(Done::No),
                Way::Killed(Done::Yes),
                Way::PowerLost(Done::No),
                Way::PowerLost(Done::Yes),
            ],
        };
        let points = strike(crashed.thaw(self.folder.path()), &Act::Recover, NEVER).await.points;
        for way in ways {
            for (at, point) in points.iter().enumerate() {
                if extent == Extent::Whole || !way.is_another(point) {
                    let context = format!("{how}; then {way:?} at {at} of the recovery, {point:?}");
                    let ended = strike(crashed.thaw(self.folder.path()), &Act::Recover, (*way, at)).await;
                    self.counts.recoveries += 1;
                    self.look(ended, (*way, depth), context).await;
                }
            }
        }
    }

    /// Judges what an act left, unless that was judged before.
    async fn look(&mut self, ended: Ended, (way, depth): (Way, usize), context: String) {
        let judged = match (&ended.result, way) {
            (_, Way::Pruned) => Judged::AsPruned,
            (
                Some(Ok(Some(Outcome::RollbackFailed { .. })) | Err(DeployError::NotRecovered { .. })),
                Way::Refused,
            ) => Judged::AsFailed,
            _ => Judged::Strictly,
        };
        let is_full = way == Way::DiskFull;
        let key = format!("{judged:?} {is_full} {}", ended.site.shape(&ended.machine));
        if !self.seen.insert(key) {
            return;
        }
        self.counts.states += 1;
        self.counts.crashes = self.counts.crashes.max(depth);
        let is_open = ended.machine.ledger().open_deploy(&stack()).unwrap().is_some();
        let frozen = ended.site.freeze();
        drop(ended.machine);
        let told = ended.result.as_ref().map_or("killed".to_owned(), |result| format!("{result:?}"));
        let told: String = told.chars().take(400).collect();
        let blamed = ended.site.has_quarantined();
        // What was refused for good, or removed by others, looks like a fault of what is desired.
        if blamed && !self.blames && way != Way::Refused && way != Way::Pruned {
            self.counts
                .broken
                .push(format!("{}: {context}: quarantined; it had ended with {told}", self.scenario.name));
        }
        if let Err(broken) = self.judge(ended.site, (judged, is_full)).await {
            self.counts
                .broken
                .push(format!("{}: {context}: {broken}; it had ended with {told}", self.scenario.name));
        } else if is_open && way.kills() {
            if let Err(broken) = self.judge_without_ledger(&frozen).await {
                self.counts.broken.push(format!("{}: {context}: {broken}", self.scenario.name));
            }
            self.crashed.push_back((frozen, depth, context));
        }
    }

    /// What can't be written down is done nevertheless: services come first.
    async fn judge_without_ledger(&self, frozen: &Frozen) -> Result<(), Broken> {
        let site = frozen.thaw(self.folder.path());
        let machine = site.machine();
        machine.ledger().on_write(Box::new(|_| Fault::Full));
        let _ = machine.recover_stack(&stack(), "test", &Told::default()).await;
        drop(machine);
        let now = Scene::of(&site, &stack()).await;
        if self.scenario.holds || now.open.as_ref().is_some_and(|open| open.committed) {
            return Ok(());
        }
        laws::serves(&self.before, &now, &self.scenario.goal)
            .map_err(|broken| format!("recovery with a ledger that can't be written: {broken}"))
    }

    async fn judge(&self, site: Site, (judged, is_full): (Judged, bool)) -> Result<(), Broken> {
        let crashed = Scene::of(&site, &stack()).await;
        laws::always(&self.before, &crashed)?;
        if !self.scenario.beside {
            laws::nobody_runs_twice(&crashed).map_err(|broken| format!("before recovery: {broken}"))?;
        }
        if is_full {
            let machine = site.machine();
            machine.ledger().on_write(Box::new(|_| Fault::Full));
            let _ = machine.recover_stack(&stack(), "test", &Told::default()).await;
            drop(machine);
            let now = Scene::of(&site, &stack()).await;
            if !self.scenario.holds && !self.scenario.needs_room {
                laws::serves(&self.before, &now, &self.scenario.goal)
                    .map_err(|broken| format!("while the disk is full: {broken}"))?;
            }
            site.sim.fill_disk(false);
        }
        self.recover(&site, judged).await?;
        self.converge(&site).await
    }

    async fn recover(&self, site: &Site, judged: Judged) -> Result<(), Broken> {
        let recovered = site.machine().recover_stack(&stack(), "test", &Told::default()).await;
        match (recovered, judged) {
            (Ok(()), _) => {}
            (Err(DeployError::NotRecovered { .. }), Judged::AsPruned) => return Ok(()),
            (Err(error), _) => return Err(format!("not recovered: {error}")),
        }
        let now = Scene::of(site, &stack()).await;
        let after = |broken: Broken| format!("after recovery: {broken}");
        laws::always(&self.before, &now).map_err(after)?;
        if let Some(open) = &now.open {
            return Err(format!("recovered, and {} is open", open.deploy.id));
        }
        match judged {
            Judged::Strictly if !self.scenario.holds => laws::whole(&self.before, &now).map_err(after)?,
            Judged::Strictly | Judged::AsFailed => {
                laws::nothing_is_gone(&self.before, &now).map_err(after)?;
            }
            Judged::AsPruned => {}
        }
        laws::files_are_there(&now, &site.folder).map_err(after)?;
        if judged != Judged::AsPruned {
            laws::networks_are_there(&now).map_err(after)?;
        }
        site.sim.forget_calls();
        let again = site.machine().recover_stack(&stack(), "test", &Told::default()).await;
        let calls = site.sim.writing_calls();
        match again {
            Ok(()) if calls.is_empty() => Ok(()),
            again => Err(format!("recovered once more, with {again:?} and {calls:?}")),
        }
    }

    /// The next deploy comes to what it would have come to had nothing ever gone wrong.
    async fn converge(&self, site: &Site) -> Result<(), Broken> {
        let machine = site.machine();
        if let Act::Adopt(_) = self.scenario.act {
            // What was not taken over is asked for again; what was, is nothing to ask for.
            let again = self.scenario.act.run(&site.sim, &machine).await;
            drop(again.map_err(|error| format!("taken over again: {error}"))?);
        }
        let outcome = deploy(&machine, &self.scenario.goal, "push").await;
        if !matches!(outcome, Ok(Outcome::Applied(_) | Outcome::Unchanged)) {
            return Err(format!("the next deploy: {outcome:?}"));
        }
        let plan =
            machine.plan(&self.scenario.goal, Registries::Leave).await.map_err(|error| error.to_string())?.0;
        if !plan.is_empty() {
            return Err(format!("the next plan is not empty: {:?}", plan.changes));
        }
        drop(machine);
        let now = Scene::of(site, &stack()).await;
        laws::always(&self.before, &now)?;
        laws::nobody_runs_twice(&now)?;
        laws::files_are_there(&now, &site.folder)?;
        laws::networks_are_there(&now)?;
        let essence = now.essence();
        if essence != self.essence {
            return Err(format!("in the end there is {essence:?} instead of {:?}", self.essence));
        }
        site.sim.restart_daemon();
        tokio::time::sleep(CALM).await;
        laws::a_restart_brings_back_what_runs(&now, &Scene::of(site, &stack()).await)
    }
}

/// Does `act` without any fault.
async fn done(site: Site, act: &Act) -> Site {
    let ended = strike(site, act, NEVER).await;
    match ended.result {
        Some(Ok(None | Some(Outcome::Applied(_)))) => ended.site,
        result => panic!("it doesn't even begin: {result:?}"),
    }
}
