//! The agent after a commit: what it watches, and how it goes back.

use std::time::Duration;

use evenkeel::apply::Outcome;
use evenkeel::apply::ledger::history::State;
use evenkeel::engine::sim::{Behaviour, Reply, SimImage};

use super::scene::{Scene, stack};

fn watched(image: &str) -> String {
    format!("services:\n  web: {{image: {image}, x-evenkeel: {{watch: 5m}}}}\n  db: {{image: 'app:1'}}\n")
}

/// A scene with an image whose process passes its gate and ends a minute later.
fn scene() -> Scene {
    let scene = Scene::new();
    let behaviour = Behaviour { exits: Some((Duration::from_secs(60), 3)), ..Behaviour::default() };
    scene.sim.add_image(&"app:mayfly".parse().unwrap(), SimImage::of("app:mayfly").that(behaviour));
    scene
}

#[tokio::test(start_paused = true)]
async fn a_crash_during_the_watch_goes_back_and_is_not_tried_again() {
    let scene = scene();
    let good = scene.commit(&watched("app:1"));
    scene
        .play(async |agent| {
            agent.deployed(&good).await;
            let before = scene.running().await;
            let bad = scene.commit(&watched("app:mayfly"));
            agent.deployed(&bad).await;
            assert_ne!(scene.running().await, before);
            let (commit, outcome) = agent.ended().await;
            assert_eq!(commit, good);
            assert!(matches!(outcome, Outcome::Applied(_)), "{outcome:?}");
            assert_eq!(scene.running().await, before, "the very same containers");
            assert!(agent.held().await.contains("quarantined"));
            let machine = scene.machine();
            let records = machine.ledger().history(&stack(), 2).unwrap();
            let states: Vec<State> = records.iter().map(|record| record.state).collect();
            assert_eq!(states, [State::Done, State::RolledBackInWatch]);
            assert_eq!(records[1].failure.as_deref(), Some("web: its process exited with 3"));
            assert_eq!(machine.ledger().open_watch(&stack()).unwrap(), None);
            scene.sim.forget_calls();
            agent.stays_calm(3).await;
            assert_eq!(scene.sim.writing_calls(), []);
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_gate_that_fails_again_during_the_watch_goes_back_and_old_lines_do_not_count() {
    let scene = Scene::new();
    let ill = Behaviour {
        writes: vec!["ready".to_owned()],
        commands: [(vec!["check".to_owned()], Reply::default())].into(),
        ..Behaviour::default()
    };
    scene.sim.add_image(&"app:ill".parse().unwrap(), SimImage::of("app:ill").that(ill.clone()));
    let gated = watched("app:ill").replace("watch: 5m", "watch: 5m, gate: {exec: [check], log: ready}");
    let good = scene.commit(&watched("app:1"));
    scene
        .play(async |agent| {
            agent.deployed(&good).await;
            let bad = scene.commit(&gated);
            agent.deployed(&bad).await;
            let said = Reply { code: 1, output: "no master".to_owned(), ..Reply::default() };
            let ill = Behaviour { commands: [(vec!["check".to_owned()], said)].into(), ..ill };
            scene.sim.change_behaviour(&"shop-dev-web-1".parse().unwrap(), ill);
            let (commit, outcome) = agent.ended().await;
            assert!(commit == good && matches!(outcome, Outcome::Applied(_)), "{commit}: {outcome:?}");
            let records = scene.machine().ledger().history(&stack(), 2).unwrap();
            let why = "web: its gate fails again: still waiting for the command check after 10 s, at last: exit \
                       status 1: no master";
            assert_eq!(records[1].failure.as_deref(), Some(why));
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_failure_in_the_watch_has_the_last_words_without_what_the_host_gave() {
    let scene = Scene::new();
    let dies = Behaviour {
        exits: Some((Duration::from_secs(60), 3)),
        writes: vec!["farewell, password was hunter22".to_owned()],
        ..Behaviour::default()
    };
    let mut image = SimImage::of("app:mayfly").that(dies);
    image.defaults.environment.insert("PASSWORD".to_owned(), "hunter22".to_owned());
    scene.sim.add_image(&"app:mayfly".parse().unwrap(), image);
    let said = "environment: {WORD: farewell}";
    let commit = scene.commit(&watched("app:mayfly").replace("x-evenkeel", &format!("{said}, x-evenkeel")));
    scene.play(async |agent| agent.deployed(&commit).await).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    let machine = scene.machine();
    let open = machine.ledger().open_watch(&stack()).unwrap().unwrap();
    let failure = machine.soak(&stack(), &open, &std::collections::BTreeMap::new()).await.unwrap().unwrap();
    assert_eq!(failure.to_string(), "web: its process exited with 3");
    assert_eq!(failure.log_tail, ["farewell, password was (sensitive)"]);
}

#[tokio::test(start_paused = true)]
async fn a_watch_survives_the_agent() {
    let scene = scene();
    let good = scene.commit(&watched("app:1"));
    let mut before = None;
    scene
        .play(async |agent| {
            agent.deployed(&good).await;
            before = Some(scene.running().await);
            let bad = scene.commit(&watched("app:mayfly"));
            agent.deployed(&bad).await;
            assert!(scene.machine().ledger().open_watch(&stack()).unwrap().is_some());
        })
        .await;
    scene
        .play(async |agent| {
            let (commit, outcome) = agent.ended().await;
            assert!(commit == good && matches!(outcome, Outcome::Applied(_)), "{commit}: {outcome:?}");
            assert_eq!(Some(scene.running().await), before);
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_newer_deploy_ends_the_watch() {
    let scene = scene();
    let good = scene.commit(&watched("app:1"));
    scene
        .play(async |agent| {
            agent.deployed(&good).await;
            let bad = scene.commit(&watched("app:mayfly"));
            agent.deployed(&bad).await;
            let fixed = scene.commit(&watched("app:2"));
            agent.deployed(&fixed).await;
            let open = scene.machine().ledger().open_watch(&stack()).unwrap().unwrap();
            assert_eq!(
                open.before.unwrap().commit(),
                Some(bad.as_str()),
                "it returns to what served before it"
            );
            agent.stays_calm(2).await;
        })
        .await;
}
