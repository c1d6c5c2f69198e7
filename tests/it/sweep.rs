//! The fault sweep: every call of the engine and every write of the ledger of every scenario goes wrong in every way,
//! then recovery, then a crash inside of recovery, and so on until no further state comes up. Enumerated, not sampled.
//!
//! `EVENKEEL_TEST_SWEEP=whole` leaves nothing out; `EVENKEEL_TEST_SCENARIO=replace` takes one scenario.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use evenkeel::apply::ledger::writes::Write;
use evenkeel::engine::sim::Verb;

mod entries;
mod explore;
mod fault;
mod laws;
mod scenarios;
mod site;
mod stacks;

use entries::Place;
use explore::{Counts, Extent, points, sweep};
use fault::{Point, Way};
use scenarios::{Scenario, all};

/// Does it for each scenario, on all cores.
fn on_all_cores<T: Send>(scenarios: &[Scenario], work: impl Fn(&Scenario) -> T + Sync) -> Vec<T> {
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let worker = || {
        while let Some((at, scenario)) = {
            let at = next.fetch_add(1, Ordering::Relaxed);
            scenarios.get(at).map(|scenario| (at, scenario))
        } {
            let result = work(scenario);
            done.lock().unwrap().push((at, result));
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(worker))));
    let mut done = done.into_inner().unwrap();
    done.sort_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, result)| result).collect()
}

#[test]
#[expect(clippy::print_stderr, reason = "who asks with `--nocapture` sees the counts")]
fn nothing_is_lost_whatever_goes_wrong_wherever() {
    let said = |name: &str| std::env::var(name).ok();
    let extent = match said("EVENKEEL_TEST_SWEEP").as_deref() {
        None => Extent::Default,
        Some("whole") => Extent::Whole,
        Some(other) => panic!("EVENKEEL_TEST_SWEEP={other}: it is `whole`, or not set"),
    };
    let mut scenarios = all();
    if let Some(name) = said("EVENKEEL_TEST_SCENARIO") {
        scenarios.retain(|scenario| scenario.name == name);
    }
    assert!(!scenarios.is_empty(), "no such scenario");
    let counts = on_all_cores(&scenarios, |scenario| {
        let counts = sweep(scenario, extent);
        let broken: Vec<_> = counts.broken.iter().map(|broken| format!("\n  {broken}")).collect();
        eprintln!("{}: {} states{}", scenario.name, counts.states, broken.concat());
        counts
    });
    let broken: Vec<_> = counts.iter().flat_map(|counts| &counts.broken).map(String::as_str).collect();
    eprintln!("{}", table(&counts));
    for (scenario, counts) in scenarios.iter().zip(&counts) {
        assert!(counts.points.len() > scenario.points, "{}: {} points", scenario.name, counts.points.len());
    }
    assert!(broken.is_empty(), "{} laws are broken:\n{}", broken.len(), broken.join("\n"));
}

/// The counts: for each scenario its points, the runs of each way, and what came of them.
fn table(counts: &[Counts]) -> String {
    let mut lines = vec![format!(
        "{:28} {:>6} {:>6} {:>6} {:>8} {:>10} {:>7} {:>7}",
        "scenario", "calls", "writes", "ways", "runs", "recoveries", "states", "crashes"
    )];
    let mut sums = [0; 5];
    for one in counts {
        let writes = one.points.iter().filter(|point| matches!(point, Point::Write(_))).count();
        let (calls, runs) = (one.points.len() - writes, one.runs.values().sum());
        let numbers = [calls, writes, runs, one.recoveries, one.states];
        sums.iter_mut().zip(numbers).for_each(|(sum, number)| *sum += number);
        lines.push(line(one.name, numbers, (one.runs.len(), one.crashes)));
    }
    let deepest = counts.iter().map(|one| one.crashes).max().unwrap_or_default();
    lines.push(line("all", sums, (Way::ALL.len(), deepest)));
    for way in Way::ALL {
        let runs: usize = counts.iter().filter_map(|one| one.runs.get(&way)).sum();
        lines.push(format!("  {:32} {runs:>8} runs", format!("{way:?}")));
    }
    lines.join("\n")
}

fn line(
    name: &str,
    [calls, writes, runs, recoveries, states]: [usize; 5],
    (ways, crashes): (usize, usize),
) -> String {
    format!("{name:28} {calls:>6} {writes:>6} {ways:>6} {runs:>8} {recoveries:>10} {states:>7} {crashes:>7}")
}

#[test]
fn every_call_and_every_write_occurs_where_its_entry_says() {
    let scenarios = all();
    let found = on_all_cores(&scenarios, points);
    let occurs = |is_it: &dyn Fn(&Point) -> bool| -> BTreeSet<&str> {
        let found = scenarios.iter().zip(&found).filter(|(_, points)| points.iter().any(is_it));
        found.map(|(scenario, _)| scenario.name).collect()
    };
    let mut complaints = Vec::new();
    let mut judge = |what: String, place: Place, found: &BTreeSet<&str>| match place {
        Place::In(name) if found.contains(name) => {}
        Place::In(name) => complaints.push(format!("{what} doesn't occur in `{name}`, only in {found:?}")),
        Place::Nowhere(why) if !found.is_empty() => {
            complaints.push(format!("{what} occurs in {found:?}, and should not: {why}"));
        }
        Place::Nowhere(_) => {}
    };
    let mut verb = Some(Verb::Server);
    while let Some(now) = verb {
        let (place, next) = entries::of_call(now);
        judge(
            format!("{now:?}"),
            place,
            &occurs(&|point| matches!(point, Point::Call(call) if call.verb == now)),
        );
        verb = next;
    }
    let mut write = Some(Write::Begin);
    while let Some(now) = write {
        let (place, next) = entries::of_write(now);
        judge(format!("{now:?}"), place, &occurs(&|point| *point == Point::Write(now)));
        write = next;
    }
    assert_eq!(complaints, Vec::<String>::new());
}
