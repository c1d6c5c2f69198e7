//! A newer commit while a deploy is under way.

use std::time::Duration;

use evenkeel::apply::Outcome;
use evenkeel::apply::ledger::history::State;
use evenkeel::engine::sim::SimImage;
use tokio::time::Instant;

use super::scene::{Heard, Scene, Watcher, manifest, stack};
use super::{container, image_of_web};

/// The agent looks at its branch once a minute, give or take a fifth, where it hears nothing.
const POLL_MOST: Duration = Duration::from_secs(72);

/// `web` with such a gate. What it is otherwise made of differs with `level`.
fn gated(image: &str, level: u32, gate: &str) -> String {
    format!(
        "services:\n  web:\n    image: {image}\n    environment: {{LEVEL: '{level}'}}\n    \
         x-evenkeel: {{gate: {{{gate}}}}}\n  db: {{image: 'app:1'}}\n"
    )
}

async fn begins(agent: &mut Watcher) {
    while !matches!(agent.next().await, Heard::Deploys) {}
}

#[tokio::test(start_paused = true)]
async fn a_fix_does_not_wait_until_what_it_mends_has_run_out_of_time() {
    let scene = Scene::new();
    let good = scene.commit(&manifest("app:1"));
    scene
        .play(async |agent| {
            agent.deployed(&good).await;
            let before = scene.running().await;
            let never = scene.commit(&gated("app:2", 1, "exec: [check], deadline: 20m"));
            begins(agent).await;
            let start = Instant::now();
            let fixed = scene.commit(&manifest("app:3"));
            let (commit, outcome) = agent.ended().await;
            assert_eq!(commit, never);
            assert!(matches!(outcome, Outcome::Interrupted(_)), "{outcome:?}");
            assert_eq!(scene.running().await["shop-dev-db-1"], before["shop-dev-db-1"]);
            agent.deployed(&fixed).await;
            assert!(start.elapsed() < 2 * POLL_MOST, "{:?}", start.elapsed());
            assert_eq!(image_of_web(&scene).await, "app:3");
            let machine = scene.machine();
            let records = machine.ledger().history(&stack(), 9).unwrap();
            let states: Vec<State> = records.iter().map(|record| record.state).collect();
            assert_eq!(states, [State::Done, State::Interrupted, State::Done], "what ran was not touched");
            let why = format!("given up for a newer commit, {}", &fixed[..7]);
            assert_eq!(records[1].failure.as_deref(), Some(why.as_str()));
            let quarantined = machine.ledger().quarantined(&stack(), &records[1].desired).unwrap();
            assert_eq!(quarantined, None, "being given up is no fault");
            agent.stays_calm(2).await;
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_pull_that_takes_long_is_given_up_too() {
    let scene = Scene::new();
    let good = scene.commit(&manifest("app:1"));
    let slow = "shop/slow:1".parse().unwrap();
    scene.sim.publish(&slow, SimImage::of("slow"), Duration::from_secs(3600));
    scene
        .play(async |agent| {
            agent.deployed(&good).await;
            let before = scene.running().await;
            let late = scene.commit(&manifest("shop/slow:1"));
            begins(agent).await;
            let start = Instant::now();
            let fixed = scene.commit(&manifest("app:1"));
            let (commit, outcome) = agent.ended().await;
            assert!(commit == late && matches!(outcome, Outcome::Interrupted(_)), "{commit}: {outcome:?}");
            assert_eq!(agent.ended().await, (fixed, Outcome::Unchanged));
            assert!(start.elapsed() < 2 * POLL_MOST, "{:?}", start.elapsed());
            assert_eq!(scene.running().await, before);
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_wants_the_same_or_is_wrong_disturbs_no_deploy() {
    let scene = Scene::new();
    let first = scene.commit(&gated("app:1", 1, "stable_for: 8m, deadline: 20m"));
    scene
        .play(async |agent| {
            begins(agent).await;
            let same = format!("# a comment\n{}", gated("app:1", 1, "stable_for: 8m, deadline: 20m"));
            scene.commit(&same);
            tokio::time::sleep(2 * POLL_MOST).await;
            scene.commit("services:\n  web: {imag: app:2}\n");
            tokio::time::sleep(2 * POLL_MOST).await;
            let (commit, outcome) = agent.ended().await;
            assert!(commit == first && matches!(outcome, Outcome::Applied(_)), "{commit}: {outcome:?}");
            assert!(agent.held().await.contains("imag"), "what was heard meanwhile is looked at");
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn where_commits_never_pause_a_deploy_ends_all_the_same() {
    let scene = Scene::new();
    let version = |level| gated("app:1", level, "stable_for: 20m, deadline: 30m");
    scene.commit(&version(0));
    scene
        .play(async |agent| {
            let mut given_up = 0;
            let mut level = 0;
            let ended = loop {
                level += 1;
                begins(agent).await;
                scene.commit(&version(level));
                match agent.ended().await {
                    (_, Outcome::Interrupted(_)) => given_up += 1,
                    (_, outcome) => break outcome,
                }
            };
            assert!(matches!(ended, Outcome::Applied(_)), "{ended:?}");
            assert_eq!(given_up, 3);
            assert!(scene.running().await.contains_key(container("web").as_str()));
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn what_would_be_held_half_done_is_not_given_up() {
    let scene = Scene::new();
    let good = scene.commit(&manifest("app:1"));
    scene
        .play(async |agent| {
            agent.deployed(&good).await;
            let never =
                gated("app:2", 1, "exec: [check], deadline: 10m").replace("{gate", "{rollback: hold, gate");
            let never = scene.commit(&never);
            begins(agent).await;
            let start = Instant::now();
            let fixed = scene.commit(&manifest("app:3"));
            let (commit, outcome) = agent.ended().await;
            assert!(commit == never && matches!(outcome, Outcome::Held { .. }), "{commit}: {outcome:?}");
            assert!(start.elapsed() > Duration::from_secs(600), "{:?}", start.elapsed());
            agent.deployed(&fixed).await;
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_repair_is_given_up_for_a_fix() {
    let scene = Scene::new();
    let good = scene.commit(&gated("app:1", 1, "stable_for: 15m, deadline: 30m"));
    scene
        .play(async |agent| {
            agent.deployed(&good).await;
            assert!(scene.sim.stop_by_hand(&container("web")));
            begins(agent).await;
            let start = Instant::now();
            let next = scene.commit(&manifest("app:2"));
            let (_, outcome) = agent.ended().await;
            assert!(matches!(outcome, Outcome::Interrupted(_)), "{outcome:?}");
            agent.deployed(&next).await;
            assert!(start.elapsed() < 2 * POLL_MOST, "{:?}", start.elapsed());
        })
        .await;
}
