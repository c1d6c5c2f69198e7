//! The controller is killed, as by `kill -9`, at every write of a deploy, of one that fails, of a rollback and of a
//! recovery.
//!
//! Here it is a part of the places, in each scenario another one. All of them, before each write and in its middle:
//! `EVENKEEL_TEST_CRASHES=all cargo test --test it docker::crashes -- --nocapture`; a number takes every so many-th.

use std::collections::BTreeMap;

use evenkeel::model::name::ContainerId;
use scene::{Scene, Web};

use super::eventually;
use crate::common::docker::tell;

pub mod scene;
mod stolen;

pub const DIE_AT: &str = "EVENKEEL_TEST_DIE_AT";

/// More writes than any of these runs makes.
const WRITES_MAX: usize = 200;

/// The writes at which a run is struck: all, every so many-th, or where nobody says which, those of `usual`: the first one
/// and the distance between them.
pub fn writes((first, stride): (usize, usize)) -> impl Iterator<Item = usize> {
    let (first, stride) = match std::env::var("EVENKEEL_TEST_CRASHES").as_deref() {
        Ok("all") => (1, 1),
        Ok(number) => (first, number.parse().unwrap()),
        Err(_) => (first, stride),
    };
    (first..WRITES_MAX).step_by(stride)
}

/// The same as places: `7` is before the seventh write, `7+` while it is under way. One of the two in turn, or both where
/// all writes are struck.
pub fn places(usual: (usize, usize)) -> impl Iterator<Item = String> {
    let all = std::env::var("EVENKEEL_TEST_CRASHES").is_ok_and(|wish| wish == "all");
    writes(usual).enumerate().flat_map(move |(turn, number)| {
        let within = (all || turn % 2 == 1).then(|| format!("{number}+"));
        let before = (all || turn % 2 == 0).then(|| number.to_string());
        // What is beyond the last write ends the walk, and only `before` says that for sure.
        within.into_iter().chain(before)
    })
}

/// Strikes at place after place, until a run ends by itself. `strike` tells whether it was struck. Tells the count.
async fn walk(scenario: &str, usual: (usize, usize), mut strike: impl AsyncFnMut(&str) -> bool) {
    let mut deaths = 0;
    for place in places(usual) {
        if strike(&place).await {
            deaths += 1;
        } else if !place.ends_with('+') || std::env::var("EVENKEEL_TEST_CRASHES").is_err() {
            tell(&format!(
                "{scenario}: killed at {deaths} places, the last before {place}; no service lost, no volume touched"
            ));
            assert!(deaths > 1, "{scenario} was hardly struck");
            return;
        }
    }
    panic!("{scenario} makes more than {WRITES_MAX} writes");
}

/// Runs a command that dies at `place`, and makes sure that nothing is lost. Returns whether it died; else it ends with
/// `status`.
async fn dies(
    scene: &Scene,
    (command, place, status): (&str, &str, i32),
    before: &BTreeMap<String, ContainerId>,
    context: &str,
) -> bool {
    let ran = scene.run_with(command, DIE_AT, place);
    scene.assert_nothing_lost(before, context).await;
    if ran.status.is_some() {
        ran.ends_with(status);
        return false;
    }
    true
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deploy_may_be_killed_at_every_write() {
    let Some(scene) = Scene::new().await else { return };
    let mut version = 1;
    walk("deploy", scene.strides((2, 17)), async |place| {
        let before = scene.serving().await;
        version += 1;
        scene.write(version, Web::Good);
        let context = format!("deploy killed at {place}");
        let died = dies(&scene, ("apply --yes", place, 0), &before, &context).await;
        scene.apply().ends_with(0);
        scene.assert_at(version, &context).await;
        scene.assert_no_folder_left_over(&context).await;
        scene.assert_others_untouched(&context).await;
        died
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deploy_that_fails_may_be_killed_at_every_write() {
    let Some(scene) = Scene::new().await else { return };
    let (before, as_before) = (scene.serving().await, scene.stage.serving().await);
    walk("failing deploy", scene.strides((6, 17)), async |place| {
        scene.write(2, Web::Ends);
        let context = format!("failing deploy killed at {place}");
        let died = dies(&scene, ("apply --yes", place, 3), &before, &context).await;
        scene.write(1, Web::Good);
        scene.apply().ends_with(0);
        assert_eq!(scene.stage.serving().await, as_before, "{context}");
        scene.assert_at(1, &context).await;
        scene.assert_others_untouched(&context).await;
        died
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_may_be_killed_at_every_write() {
    let Some(scene) = Scene::new().await else { return };
    scene.write(2, Web::Good);
    scene.commit();
    scene.apply().ends_with(0);
    walk("rollback", scene.strides((8, 12)), async |place| {
        let before = scene.serving().await;
        let context = format!("rollback killed at {place}");
        let died = dies(&scene, ("rollback --yes", place, 0), &before, &context).await;
        if !died {
            assert_ne!(scene.serving().await, before);
        }
        scene.apply().ends_with(0);
        scene.assert_at(2, &context).await;
        scene.assert_others_untouched(&context).await;
        let status = scene.run("status --json").ends_with(0).json();
        let applied = &status["applied"]["revision"];
        let quarantined = status["quarantined"].as_array().unwrap();
        assert!(
            !quarantined.iter().any(|entry| entry["revision"] == *applied),
            "{context}: what serves is quarantined: {status:#}"
        );
        died
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recovery_may_be_killed_at_every_write_too() {
    let Some(scene) = Scene::new().await else { return };
    let (before, as_before) = (scene.serving().await, scene.stage.serving().await);
    walk("recovery", scene.strides((5, 9)), async |place| {
        // Everything up to the commit is done, which never comes.
        scene.write(2, Web::Hangs);
        let deploy = scene.begin_with("apply --yes", DIE_AT, "0");
        eventually("the new ones run", async || {
            let now = scene.stage.containers().await;
            let is_new = |service: &str| {
                now.iter().any(|one| {
                    one.instance.service.as_str() == service
                        && one.state.status == evenkeel::model::live::Status::Running
                        && one.id != before[service]
                })
            };
            is_new("db") && is_new("web")
        })
        .await;
        deploy.signal("KILL");
        assert_eq!(deploy.wait().status, None);
        scene.write(1, Web::Good);
        let context = format!("recovery killed at {place}");
        let died = dies(&scene, ("apply --yes", place, 0), &before, &context).await;
        scene.apply().ends_with(0);
        assert_eq!(scene.stage.serving().await, as_before, "{context}");
        scene.assert_at(1, &context).await;
        scene.assert_others_untouched(&context).await;
        died
    })
    .await;
}
