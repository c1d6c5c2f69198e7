//! What operators ask of the agent, and what an environment asks of them.

use std::sync::atomic::Ordering;
use std::time::Duration;

use evenkeel::agent::status::{HoldKind, Operation, StackState, Statement, Sync};
use evenkeel::apply::Outcome;
use evenkeel::engine::Engine;
use evenkeel::plan::PlanId;
use jiff::Timestamp;

use super::scene::{Scene, Watcher, manifest, stack};

const HOUR: Duration = Duration::from_secs(3600);

/// What holds the newest commit.
fn hold(agent: &Watcher) -> Option<HoldKind> {
    agent.board.state().revisions.held.map(|held| held.kind)
}

/// Waits until the board says so.
async fn until(agent: &Watcher, holds: impl Fn(&StackState) -> bool) -> StackState {
    let mut watch = agent.board.watch();
    let state = tokio::time::timeout(48 * HOUR, watch.wait_for(|state| holds(state))).await;
    state.expect("the board says so in time").unwrap().clone()
}

async fn image_of_web(scene: &Scene) -> String {
    scene.running().await.get("shop-dev-web-1").map(|(_, image)| image.clone()).unwrap_or_default()
}

#[tokio::test(start_paused = true)]
async fn a_paused_stack_is_left_alone_until_the_pause_is_over() {
    let scene = Scene::new();
    let first = scene.commit(&manifest("app:1"));
    scene
        .play(async |agent| {
            agent.deployed(&first).await;
            let now = agent.desk.now();
            agent.desk.pause(&stack(), now + 2 * HOUR, "moving the database", "ann").unwrap();
            let state = until(agent, |state| state.paused.is_some()).await;
            assert_eq!(state.paused.unwrap().by, "ann");
            assert_eq!(hold(agent), Some(HoldKind::Paused));
            // Neither a push nor drift is acted on, and both are seen.
            let second = scene.commit(&manifest("app:2"));
            let db = scene.running().await["shop-dev-db-1"].0.clone();
            scene.sim.stop_container(&db, Some(Duration::from_secs(1))).await.unwrap();
            scene.sim.forget_calls();
            let state = until(agent, |state| state.sync.state == Sync::OutOfSync && state.changes == 2).await;
            assert!(state.sync.reason.unwrap().contains("2 to change"));
            assert_eq!(scene.sim.writing_calls(), []);
            agent.deployed(&second).await;
            assert!(agent.desk.now() >= now + 2 * HOUR, "not before the pause is over");
            let state = until(agent, |state| state.sync.state == Sync::InSync).await;
            assert_eq!((state.paused, hold(agent)), (None, None));
            assert_eq!(scene.running().await.len(), 2);
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_pause_holds_across_a_restart_and_can_be_taken_back() {
    let scene = Scene::new();
    let first = scene.commit(&manifest("app:1"));
    scene
        .play(async |agent| {
            agent.deployed(&first).await;
            agent.desk.pause(&stack(), agent.desk.now() + HOUR, "a test", "ann").unwrap();
            until(agent, |state| state.paused.is_some()).await;
        })
        .await;
    let second = scene.commit(&manifest("app:2"));
    scene
        .play(async |agent| {
            until(agent, |state| state.paused.is_some()).await;
            assert_eq!(image_of_web(&scene).await, "app:1");
            agent.desk.resume(&stack(), "ben").unwrap();
            agent.deployed(&second).await;
            let who: Vec<_> =
                agent.desk.ledger().audited(9).unwrap().into_iter().map(|entry| entry.actor).collect();
            assert_eq!(who, ["ben", "ann"]);
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_pause_always_ends_and_has_a_reason() {
    let scene = Scene::new();
    let first = scene.commit(&manifest("app:1"));
    scene
        .play(async |agent| {
            agent.deployed(&first).await;
            let now = agent.desk.now();
            for (until, reason, words) in [
                (now, "a test", "is over already"),
                (now + 24 * 31 * HOUR, "a test", "30 days at most"),
                (now + HOUR, " ", "needs a reason"),
            ] {
                let told = agent.desk.pause(&stack(), until, reason, "ann").unwrap_err().to_string();
                assert!(told.contains(words), "{told}");
            }
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_plan_waits_for_the_approval_of_that_very_plan() {
    const ENVIRONMENT: &str = "approval: required\n";
    let scene = Scene::new();
    let first = scene.commit_in(ENVIRONMENT, &manifest("app:1"));
    scene
        .play(async |agent| {
            let waiting = async |agent: &Watcher, not: Option<&str>| {
                let state = until(agent, |state| {
                    state.waiting_plan.is_some() && state.waiting_plan.as_deref() != not
                });
                state.await.waiting_plan.unwrap()
            };
            let plan = waiting(agent, None).await;
            assert_eq!(hold(agent), Some(HoldKind::Approval));
            assert_eq!(scene.running().await.len(), 0);
            let other = PlanId("0ddba11".to_owned());
            let told = agent.desk.approve(&stack(), &other, "ann").unwrap_err().to_string();
            assert!(told.contains(&format!("{plan} does")), "{told}");
            agent.desk.approve(&stack(), &PlanId(plan.clone()), "ann").unwrap();
            agent.deployed(&first).await;
            // What was agreed to is not agreed to for the next one.
            let second = scene.commit_in(ENVIRONMENT, &manifest("app:2"));
            waiting(agent, Some(&plan)).await;
            assert_eq!(image_of_web(&scene).await, "app:1");
            // Drift is repaired all the same.
            let db = scene.running().await["shop-dev-db-1"].0.clone();
            scene.sim.stop_container(&db, Some(Duration::from_secs(1))).await.unwrap();
            let (repaired, outcome) = agent.ended().await;
            assert!(matches!(outcome, Outcome::Applied(_)), "{outcome:?}");
            assert_eq!(repaired, first);
            agent.rests().await;
            let next = waiting(agent, Some(&plan)).await;
            agent.desk.approve(&stack(), &PlanId(next), "ann").unwrap();
            agent.deployed(&second).await;
            assert_eq!(until(agent, |state| state.waiting_plan.is_none()).await.waiting_plan, None);
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn nothing_new_is_deployed_outside_of_the_windows() {
    // The simulated day begins at eight.
    const ENVIRONMENT: &str =
        "windows: [{kind: maintenance, cron: '0 12 * * *', duration: 1h, reason: lunch}]\n";
    let scene = Scene::new();
    let first = scene.commit(&manifest("app:1"));
    scene
        .play(async |agent| {
            agent.deployed(&first).await;
            let second = scene.commit_in(ENVIRONMENT, &manifest("app:2"));
            let state = until(agent, |state| state.revisions.held.is_some()).await;
            assert_eq!(hold(agent), Some(HoldKind::Window));
            assert_eq!(
                state.window.unwrap(),
                "outside of the maintenance windows, until 2026-01-01T12:00:00Z"
            );
            let db = scene.running().await["shop-dev-db-1"].0.clone();
            scene.sim.stop_container(&db, Some(Duration::from_secs(1))).await.unwrap();
            let (repaired, _) = agent.ended().await;
            assert_eq!(repaired, first, "what is on record is repaired at any time");
            agent.deployed(&second).await;
            let noon: Timestamp = "2026-01-01T12:00:00Z".parse().unwrap();
            assert!(noon <= agent.desk.now() && agent.desk.now() < noon + HOUR, "{}", agent.desk.now());
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_return_holds_until_the_branch_brings_something_else() {
    let scene = Scene::new();
    let first = scene.commit(&manifest("app:1"));
    scene
        .play(async |agent| {
            agent.deployed(&first).await;
            let second = scene.commit(&manifest("app:2"));
            agent.deployed(&second).await;
            agent.desk.send_back(&stack(), &first, "ann").unwrap();
            let (commit, outcome) = agent.ended().await;
            assert!(matches!(outcome, Outcome::Applied(_)), "{outcome:?}");
            assert_eq!(commit, first);
            let state = until(agent, |state| !state.revisions.quarantined.is_empty()).await;
            assert!(state.revisions.quarantined[0].reason.contains("by `ann`"));
            assert_eq!(state.revisions.quarantined[0].commit.as_deref(), Some(second.as_str()));
            assert_eq!(image_of_web(&scene).await, "app:1");
            assert_eq!(hold(agent), Some(HoldKind::Quarantined));
            let third = scene.commit(&manifest("app:3"));
            agent.deployed(&third).await;
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_return_to_what_is_not_there_changes_nothing() {
    let scene = Scene::new();
    let first = scene.commit(&manifest("app:1"));
    scene
        .play(async |agent| {
            agent.deployed(&first).await;
            scene.sim.forget_calls();
            agent.desk.send_back(&stack(), &"0".repeat(40), "ann").unwrap();
            assert!(agent.held().await.contains("can't return to 0000000"));
            agent.rests().await;
            assert_eq!(scene.sim.writing_calls(), []);
            assert_eq!(agent.desk.ledger().orders(&stack()).unwrap().back, None, "it was tried");
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn what_is_released_is_tried_again() {
    let scene = Scene::new();
    let first = scene.commit(&manifest("app:1"));
    scene
        .play(async |agent| {
            agent.deployed(&first).await;
            scene.commit(&manifest("app:broken"));
            let (_, outcome) = agent.ended().await;
            assert!(matches!(outcome, Outcome::RolledBack { .. }), "{outcome:?}");
            until(agent, |state| !state.revisions.quarantined.is_empty()).await;
            agent.desk.release(&stack(), "ann").unwrap();
            let (_, outcome) = agent.ended().await;
            assert!(matches!(outcome, Outcome::RolledBack { .. }), "it is as broken as before: {outcome:?}");
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn the_board_tells_what_is_known() {
    let scene = Scene::new();
    let first = scene.commit(&manifest("app:1"));
    scene
        .play(async |agent| {
            agent.deployed(&first).await;
            let state = until(agent, |state| state.operation.state == Operation::Idle).await;
            assert_eq!(state.stack.as_deref(), Some("shop-dev"));
            assert_eq!(state.revisions.observed.as_deref(), Some(first.as_str()));
            assert_eq!(state.revisions.applied, state.revisions.observed);
            assert_eq!(state.revisions.stable, state.revisions.observed);
            assert_eq!(state.sync.state, Sync::InSync);
            let json = serde_json::to_value(&state).unwrap();
            assert_eq!(json["operation"]["state"], serde_json::json!({"phase": "idle"}));
            assert_eq!(json["health"]["state"], "healthy");
            assert_eq!(json["conditions"]["applied"]["holds"], true);
            assert_eq!(json["conditions"]["admitted"]["holds"], true);
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn where_the_disk_is_full_it_only_looks_and_says_so() {
    let scene = Scene::new();
    let first = scene.commit(&manifest("app:1"));
    scene
        .play(async |agent| {
            agent.deployed(&first).await;
            scene.is_full.store(true, Ordering::Relaxed);
            scene.sim.forget_calls();
            let second = scene.commit(&manifest("app:2"));
            let state =
                until(agent, |state| matches!(state.operation.state, Operation::Waiting { .. })).await;
            let Operation::Waiting { reason, until: Some(again) } = state.operation.state else { panic!() };
            assert!(reason.contains("disk is full; make room there"), "{reason}");
            assert!(again > agent.desk.now(), "it is tried again");
            assert!(state.conditions[&Statement::Stalled].holds);
            assert_eq!(scene.sim.writing_calls(), [], "nothing that isn't on record is done");
            scene.is_full.store(false, Ordering::Relaxed);
            while !matches!(agent.ended().await, (commit, Outcome::Applied(_)) if commit == second) {}
            assert!(
                !until(agent, |state| state.operation.state == Operation::Idle).await.conditions
                    [&Statement::Stalled]
                    .holds
            );
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_pause_during_a_watch_is_no_busy_loop() {
    let watched = "services:\n  web: {image: 'app:1', x-evenkeel: {watch: 5m}}\n  db: {image: 'app:1'}\n";
    let scene = Scene::new();
    let first = scene.commit(watched);
    scene
        .play(async |agent| {
            agent.deployed(&first).await;
            agent.desk.pause(&stack(), agent.desk.now() + HOUR, "a test", "ann").unwrap();
            until(agent, |state| state.paused.is_some()).await;
            let mut looks = 0;
            while agent.board.state().paused.is_some() {
                agent.rests().await;
                looks += 1;
                assert!(looks < 200, "it looks again and again");
            }
            until(agent, |state| state.revisions.stable.as_ref() == Some(&first)).await;
        })
        .await;
}
