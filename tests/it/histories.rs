//! Seeded histories: random stacks, commits, faults, drift and people, on a simulated host, with the laws checked after
//! every act; and the mistakes of others, of which the suite must find each.
//!
//! `EVENKEEL_TEST_HISTORIES=1000000` plays so many, `EVENKEEL_TEST_FROM` says with which seed it begins;
//! `EVENKEEL_TEST_SEED=7` plays that one.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

mod dice;
mod stacks;
mod acts;
mod watched;
mod scene;
mod hands;
mod laws;
mod play;
mod canaries;

use acts::{Act, Harm, acts};
use play::{Broken, play};

/// Histories that are played where nothing else is said.
const HISTORIES: u64 = 1000;
/// Histories within which every canary must be found.
const CANARY_HISTORIES: u64 = 400;

#[test]
fn no_history_breaks_a_law() {
    let number = |name: &str| std::env::var(name).ok().map(|number| number.parse::<u64>().unwrap());
    let from = number("EVENKEEL_TEST_FROM").unwrap_or(0);
    let count = number("EVENKEEL_TEST_HISTORIES").unwrap_or(HISTORIES);
    let range = number("EVENKEEL_TEST_SEED").map_or(from..from + count, |seed| seed..seed + 1);
    if let Some((seed, broken)) = first_broken(range) {
        panic!("{}", told(seed, broken));
    }
}

/// Plays histories on all cores until one breaks a law.
#[expect(clippy::print_stderr, reason = "a long run tells how far it is")]
fn first_broken(seeds: std::ops::Range<u64>) -> Option<(u64, Broken)> {
    let next = AtomicU64::new(seeds.start);
    let found: Mutex<Option<(u64, Broken)>> = Mutex::default();
    let start = Instant::now();
    let minutes = AtomicU64::new(1);
    let player = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end || found.lock().unwrap().is_some() {
                break;
            }
            let minute = start.elapsed().as_secs() / 60;
            if minutes.fetch_max(minute + 1, Ordering::Relaxed) <= minute {
                eprintln!("{} histories in {minute} minutes", seed - seeds.start);
            }
            if let Err(broken) = play(seed, &acts(seed), None).calls {
                let mut found = found.lock().unwrap();
                if found.as_ref().is_none_or(|(other, _)| *other > seed) {
                    *found = Some((seed, broken));
                }
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(player))));
    found.into_inner().unwrap()
}

/// A broken law with the acts that it takes, as few as can be found.
fn told(seed: u64, broken: Broken) -> String {
    let (acts, broken) = shrunk(seed, broken);
    let acts: Vec<String> = acts.iter().map(|act| format!("  {act:?}")).collect();
    format!("EVENKEEL_TEST_SEED={seed} breaks a law: {broken}\nit takes:\n{}", acts.join("\n"))
}

/// Leaves out acts, and what goes wrong in them, as long as a law is still broken.
fn shrunk(seed: u64, mut broken: Broken) -> (Vec<Act>, Broken) {
    let mut acts = acts(seed);
    let mut at = 0;
    while at < acts.len() {
        let mut fewer = acts.clone();
        fewer.remove(at);
        let mut calmer = acts.clone();
        match &mut calmer[at] {
            Act::Deploy(_, harm) | Act::Recover(harm) | Act::Rollback(harm) => *harm = Harm::Nothing,
            Act::Hand(_) | Act::Wait(_) => {}
        }
        if let Err(still) = play(seed, &fewer, None).calls {
            (acts, broken) = (fewer, still);
            continue;
        }
        if calmer != acts
            && let Err(still) = play(seed, &calmer, None).calls
        {
            (acts, broken) = (calmer, still);
        }
        at += 1;
    }
    (acts, broken)
}

#[test]
fn a_history_is_the_same_each_time() {
    for seed in 0..20 {
        let once = play(seed, &acts(seed), None).calls;
        assert_eq!(once, play(seed, &acts(seed), None).calls, "seed {seed}");
    }
}

#[test]
#[expect(clippy::print_stderr, reason = "who asks with `--nocapture` sees what finds each")]
fn every_canary_is_found() {
    let mut table = Vec::new();
    let mut alive = Vec::new();
    for canary in canaries::ALL {
        let mut complaint = None;
        let mut broken = None;
        for seed in 0..CANARY_HISTORIES {
            let played = play(seed, &acts(seed), Some(canary));
            complaint = complaint.or(played.complaint);
            if let Err(why) = played.calls {
                broken = broken.or(Some(format!("seed {seed}: {why}")));
            }
            if broken.is_some() && (complaint.is_some() || !canary.is_in_the_plan()) {
                break;
            }
        }
        let is_found = complaint.is_some() || broken.is_some() && !canary.is_in_the_plan();
        if !is_found {
            alive.push(canary);
        }
        table.push(format!("{canary:?}\n  checker: {complaint:?}\n  histories: {broken:?}"));
    }
    eprintln!("{}", table.join("\n"));
    assert_eq!(alive, [], "{}", table.join("\n"));
}
