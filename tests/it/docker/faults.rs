//! An engine that restarts, is killed or loses its power in the middle of a deploy, with everything on it; one whose images
//! others prune, and one whose disk is full.
//!
//! `tests/engines/faults` starts an engine for these tests and hands them a word by which they work it. Where they run
//! without it they pass by and say so.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::{Duration, Instant};

use evenkeel::apply::ledger::history::State;

use super::crashes::places;
use super::crashes::scene::{Scene, Web};
use super::{Begun, Ran, eventually};
use crate::common::docker::tell;

mod disk;
mod pruned;

pub const STOP_AT: &str = "EVENKEEL_TEST_STOP_AT";

/// Whether there is an engine to be broken.
fn has_engine() -> bool {
    let has = std::env::var_os("EVENKEEL_TEST_ENGINE").is_some();
    if !has {
        tell("passed by without an engine of its own: `tests/engines/faults` runs it");
    }
    has
}

/// Works the engine of these tests.
fn engine(words: &str) {
    let script = std::env::var_os("EVENKEEL_TEST_ENGINE").unwrap();
    let status = Command::new(script).arg("--engine").args(words.split_whitespace()).status().unwrap();
    assert!(status.success(), "the engine can't {words}");
}

impl Begun {
    /// Waits until the program is halted by its switch, or has ended. Tells which.
    pub async fn halts(&self) -> bool {
        let path = format!("/proc/{}/stat", self.0.as_ref().unwrap().id());
        for _ in 0..6_000 {
            let stat = std::fs::read_to_string(&path).unwrap_or_default();
            match stat.rsplit(") ").next().and_then(|rest| rest.chars().next()) {
                Some('T') => return true,
                Some('Z' | 'X') | None => return false,
                Some(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
        panic!("neither halted nor ended");
    }
}

/// What happens to the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Blow {
    /// It is asked to end, and started again.
    Restart,
    /// It is killed, with its containerd, and started again.
    Kill,
    /// Everything is killed, the containers and the program too.
    Power,
}

/// Whether the way back failed because the engine holds a port that nobody has.
fn is_leak(ran: &Ran) -> bool {
    ran.status == Some(4) && ran.stderr.contains("port is already allocated")
}

/// Strikes the engine at place after place of a deploy.
async fn sweep(blow: Blow, start: &str, first: usize) {
    if !has_engine() {
        return;
    }
    engine(start);
    let scene = Scene::new().await.unwrap();
    let (mut struck, mut leaks, mut version, mut ends) = (0, 0, 1, BTreeMap::<String, u32>::new());
    for (turn, place) in places((first, 12)).enumerate() {
        let before = scene.serving().await;
        version += 1;
        scene.write(version, Web::Good);
        let context = format!("{blow:?} ({start}) at {place} of a deploy");
        let deploy = scene.begin_with("apply --yes", STOP_AT, &place);
        let is_struck = deploy.halts().await;
        if is_struck {
            struck += 1;
            match blow {
                Blow::Restart => engine("stop"),
                Blow::Kill => engine("kill"),
                Blow::Power => {
                    deploy.signal("KILL");
                    engine("power");
                }
            }
            // In every other turn the program goes on before there is an engine again.
            if turn % 2 == 1 {
                deploy.signal("CONT");
            }
            engine(start);
            deploy.signal("CONT");
        }
        let ran = deploy.wait();
        *ends.entry(ran.status.map_or("killed".to_owned(), |code| format!("exit {code}"))).or_default() += 1;
        scene.assert_nothing_lost(&before, &context).await;
        if is_leak(&ran) {
            // A known fault of the engine: it holds the port of a container that ended while it was away. The program
            // says so and can do no more.
            leaks += 1;
            assert!(start.contains("live-restore"), "{context}: {ran:?}");
            let _ = ran.says("restarting Docker frees it");
            engine("stop");
            engine(start);
        } else if blow != Blow::Power {
            assert!(matches!(ran.status, Some(0 | 1 | 3)), "{context}: {ran:?}");
            // Without anybody's help.
            let is_whole = async || {
                let serving = scene.serving().await;
                serving == before || scene.is_of(&serving, version).await
            };
            eventually(&format!("{context}: all runs after {ran:?}"), is_whole).await;
        }
        scene.apply().ends_with(0);
        scene.assert_at(version, &context).await;
        scene.assert_others_run(&context).await;
        if !is_struck && !place.ends_with('+') {
            tell(&format!(
                "{blow:?} ({start}): struck at {struck} places, ended {ends:?}, {leaks} ports lost by the engine; no service lost"
            ));
            assert!(struck > 1, "hardly struck");
            return;
        }
    }
    panic!("too many writes");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_engine_may_be_restarted_at_every_write() {
    sweep(Blow::Restart, "start", 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_engine_may_be_restarted_with_live_restore_at_every_write() {
    sweep(Blow::Restart, "start live-restore", 6).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_engine_may_be_killed_at_every_write() {
    sweep(Blow::Kill, "start", 9).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_engine_may_be_killed_with_live_restore_at_every_write() {
    sweep(Blow::Kill, "start live-restore", 13).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn power_may_be_lost_at_every_write() {
    sweep(Blow::Power, "start", 4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_outlives_its_engine_in_the_middle_of_a_deploy() {
    if !has_engine() {
        return;
    }
    engine("start");
    let scene = Scene::new().await.unwrap();
    for (version, (place, blow)) in
        (2..).zip([("4", "stop"), ("12+", "kill"), ("20", "kill"), ("26+", "stop")])
    {
        let agent = scene.begin_with("run", STOP_AT, place);
        scene.write(version, Web::Good);
        scene.commit();
        assert!(agent.halts().await, "not halted at {place}");
        engine(blow);
        agent.signal("CONT");
        engine("start");
        let answers = Instant::now();
        let is_done = async || {
            let last = scene.machine().ledger().history(&scene.stage.stack, 1).unwrap();
            let serving = scene.serving().await;
            last[0].state == State::Done && scene.is_of(&serving, version).await
        };
        eventually(&format!("{blow} at {place}: the agent brings version {version}"), is_done).await;
        tell(&format!(
            "{blow} at {place}: the agent is done {:.1} s after the engine answers",
            answers.elapsed().as_secs_f32()
        ));
        agent.signal("TERM");
        let _ = agent.wait().ends_with(0);
        scene.assert_at(version, &format!("{blow} at {place} of a deploy of the agent")).await;
    }
}
