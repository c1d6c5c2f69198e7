//! The agent on a simulated host with a paused clock and real repositories, and as a process on real Docker.

use std::fs;
use std::sync::atomic::Ordering;
use std::time::Duration;

use evenkeel::agent::Trigger;
use evenkeel::apply::Outcome;
use evenkeel::apply::state::StateDir;
use evenkeel::engine::sim::{Behaviour, SimImage, Verb};
use evenkeel::model::name::ContainerName;
use tokio::time::Instant;

use scene::{Heard, Scene, fail_first, manifest, stack};

mod contests;
mod holds;
mod newer;
mod process;
pub mod scene;
mod stuck;
mod watch;

fn container(service: &str) -> ContainerName {
    format!("shop-dev-{service}-1").parse().unwrap()
}

async fn image_of_web(scene: &Scene) -> String {
    scene.running().await[container("web").as_str()].1.clone()
}

#[tokio::test(start_paused = true)]
async fn pushes_are_deployed_and_then_there_is_calm() {
    let scene = Scene::new();
    scene
        .play(async |agent| {
            agent.rests().await;
            let first = scene.commit(&manifest("app:1"));
            agent.deployed(&first).await;
            assert_eq!(scene.running().await.len(), 2);
            let second = scene.commit(&manifest("app:2"));
            agent.deployed(&second).await;
            assert_eq!(image_of_web(&scene).await, "app:2");
            scene.sim.forget_calls();
            agent.stays_calm(3).await;
            assert_eq!(scene.sim.writing_calls(), []);
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_changes_nothing_is_recorded_and_touches_nothing() {
    let scene = Scene::new();
    let first = scene.commit(&manifest("app:1"));
    scene
        .play(async |agent| {
            agent.deployed(&first).await;
            scene.sim.forget_calls();
            let second = scene.commit(&format!("# a comment\n{}", manifest("app:1")));
            assert_eq!(agent.ended().await, (second.clone(), Outcome::Unchanged));
            assert_eq!(scene.sim.writing_calls(), []);
            let stable = scene.machine().ledger().last_stable(&stack()).unwrap().unwrap();
            assert_eq!(stable.revision.commit(), Some(second.as_str()));
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_broken_commit_is_rolled_back_and_not_tried_again() {
    let scene = Scene::new();
    let good = scene.commit(&manifest("app:1"));
    scene
        .play(async |agent| {
            agent.deployed(&good).await;
            let before = scene.running().await;
            scene.commit(&manifest("app:broken"));
            let (_, outcome) = agent.ended().await;
            let Outcome::RolledBack { failure, .. } = outcome else { panic!("{outcome:?}") };
            assert_eq!(failure.log_tail, ["no such table"]);
            assert!(agent.held().await.contains("quarantined"));
            assert_eq!(scene.running().await, before, "the very same containers");
            agent.stays_calm(3).await;
            // Another commit of the same content, and a new agent, don't change that.
            scene.commit(&format!("# again\n{}", manifest("app:broken")));
            agent.stays_calm(2).await;
        })
        .await;
    scene
        .play(async |agent| {
            assert!(agent.held().await.contains("quarantined"));
            agent.rests().await;
            // What was deployed last is kept up meanwhile, and events tell of it.
            assert!(scene.sim.remove_by_hand(&container("web")));
            let (commit, outcome) = agent.ended().await;
            assert!(matches!(outcome, Outcome::Applied(_)), "{outcome:?}");
            assert_eq!((commit.as_str(), agent.trigger()), (good.as_str(), Trigger::HostChanged));
            assert_eq!(image_of_web(&scene).await, "app:1");
            let fixed = scene.commit(&manifest("app:2"));
            agent.deployed(&fixed).await;
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn an_image_that_is_nowhere_is_not_asked_for_again() {
    let scene = Scene::new();
    scene.commit(&manifest("app:missing"));
    scene
        .play(async |agent| {
            let (_, outcome) = agent.ended().await;
            assert!(matches!(outcome, Outcome::Failed { .. }), "{outcome:?}");
            assert!(agent.held().await.contains("app:missing"));
            scene.sim.forget_calls();
            agent.stays_calm(3).await;
            assert_eq!(scene.sim.writing_calls(), []);
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_moved_image_that_fails_stops_no_repair() {
    let scene = Scene::new();
    let (image, takes) = ("shop/app:1".parse().unwrap(), Duration::ZERO);
    scene.sim.publish(&image, SimImage::of("good"), takes);
    let commit = scene.commit("services:\n  web: {image: 'shop/app:1', pull_policy: always}\n");
    scene
        .play(async |agent| {
            agent.deployed(&commit).await;
            let good = image_of_web(&scene).await;
            let crashes = Behaviour { exits: Some((Duration::from_millis(50), 3)), ..Behaviour::default() };
            scene.sim.publish(&image, SimImage::of("bad").that(crashes), takes);
            let (_, outcome) = agent.ended().await;
            assert!(matches!(outcome, Outcome::RolledBack { .. }), "{outcome:?}");
            assert!(agent.held().await.contains("quarantined"));
            agent.stays_calm(2).await;
            assert!(scene.sim.remove_by_hand(&container("web")));
            agent.deployed(&commit).await;
            assert_eq!(image_of_web(&scene).await, good);
            agent.stays_calm(2).await;
            scene.sim.publish(&image, SimImage::of("mended"), takes);
            agent.deployed(&commit).await;
            assert_ne!(image_of_web(&scene).await, good);
            agent.stays_calm(2).await;
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn wrong_manifests_keep_what_runs() {
    let scene = Scene::new();
    let good = scene.commit(&manifest("app:1"));
    scene
        .play(async |agent| {
            agent.deployed(&good).await;
            scene.commit("services:\n  web: {imag: app:2}\n");
            let why = agent.held().await;
            assert!(why.contains("manifests/apps/web.yaml:2") && why.contains("imag"), "{why}");
            agent.stays_calm(2).await;
        })
        .await;
    // A new agent has never seen the manifests when they were right.
    scene
        .play(async |agent| {
            agent.held().await;
            agent.rests().await;
            assert!(scene.sim.remove_by_hand(&container("db")));
            agent.deployed(&good).await;
            let fixed = scene.commit(&manifest("app:2"));
            agent.deployed(&fixed).await;
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_container_removed_or_ended_by_hand_comes_back() {
    let scene = Scene::new();
    let good = scene.commit(&manifest("app:1"));
    scene
        .play(async |agent| {
            agent.deployed(&good).await;
            for harm in [true, false] {
                let web = container("web");
                let done = if harm { scene.sim.remove_by_hand(&web) } else { scene.sim.stop_by_hand(&web) };
                assert!(done);
                agent.deployed(&good).await;
                assert_eq!(agent.trigger(), Trigger::HostChanged);
                assert_eq!(image_of_web(&scene).await, "app:1");
            }
            let history = scene.machine().ledger().history(&stack(), 9).unwrap();
            let triggers: Vec<_> = history.iter().map(|deploy| deploy.trigger.as_str()).collect();
            assert_eq!(triggers, ["drift", "drift", "push"]);
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn without_the_repository_what_runs_is_kept_up() {
    let scene = Scene::new();
    let good = scene.commit(&manifest("app:1"));
    let away = scene.folder.path().join("away.git");
    scene
        .play(async |agent| {
            agent.deployed(&good).await;
            fs::rename(scene.repository(), &away).unwrap();
            assert!(scene.sim.remove_by_hand(&container("web")));
            agent.deployed(&good).await;
            agent.stays_calm(2).await;
            fs::rename(&away, scene.repository()).unwrap();
            let next = scene.commit(&manifest("app:2"));
            agent.deployed(&next).await;
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn being_stopped_undoes_the_deploy_under_way() {
    let scene = Scene::new();
    let good = scene.commit(&manifest("app:1"));
    scene
        .play(async |agent| {
            agent.deployed(&good).await;
            let before = scene.running().await;
            scene.commit(&manifest("app:2"));
            while !matches!(agent.next().await, Heard::Deploys) {}
            agent.stop.cancel();
            let (_, outcome) = agent.ended().await;
            assert!(matches!(outcome, Outcome::Interrupted(_)), "{outcome:?}");
            assert_eq!(scene.running().await, before);
        })
        .await;
    assert_eq!(scene.machine().ledger().unfinished_stacks().unwrap(), []);
    // Being stopped is no fault of the commit.
    scene
        .play(async |agent| {
            let (_, outcome) = agent.ended().await;
            assert!(matches!(outcome, Outcome::Applied(_)), "{outcome:?}");
        })
        .await;
    assert_eq!(image_of_web(&scene).await, "app:2");
}

#[tokio::test(start_paused = true)]
async fn a_deploy_that_was_cut_off_is_ended_without_the_repository() {
    let scene = Scene::new();
    let good = scene.commit(&manifest("app:1"));
    scene.play(async |agent| agent.deployed(&good).await).await;
    let before = scene.running().await;
    scene.commit(&manifest("app:2"));
    // Dropped in the middle, as by a crash.
    let cut = scene.play(async |agent| {
        while !matches!(agent.next().await, Heard::Deploys) {}
        std::future::pending::<()>().await;
    });
    assert!(tokio::time::timeout(std::time::Duration::from_secs(1), cut).await.is_err());
    assert_eq!(scene.machine().ledger().unfinished_stacks().unwrap(), [stack()]);
    fs::remove_dir_all(scene.repository()).unwrap();
    scene.play(async |agent| agent.rests().await).await;
    assert_eq!(scene.machine().ledger().unfinished_stacks().unwrap(), []);
    assert_eq!(scene.running().await, before);
}

#[tokio::test(start_paused = true)]
async fn what_fails_for_a_passing_reason_is_tried_again() {
    let scene = Scene::new();
    let commit = scene.commit(&manifest("app:1"));
    let creations = fail_first(&scene.sim, Verb::CreateContainer, 20);
    scene
        .play(async |agent| {
            let mut failures = 0;
            loop {
                match agent.ended().await {
                    (_, Outcome::Failed { failure, .. }) => {
                        assert!(failure.transient);
                        failures += 1;
                    }
                    (deployed, Outcome::Applied(_)) => break assert_eq!(deployed, commit),
                    (_, outcome) => panic!("{outcome:?}"),
                }
            }
            assert_eq!(agent.trigger(), Trigger::Retry);
            assert!(failures > 1 && creations.load(Ordering::Relaxed) > 20, "{failures} failures");
            agent.rests().await;
            agent.stays_calm(2).await;
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_repair_that_fails_waits_longer_and_longer_and_is_never_quarantined() {
    let scene = Scene::new();
    let commit = scene.commit(&manifest("app:1"));
    scene
        .play(async |agent| {
            agent.deployed(&commit).await;
            let ends = Behaviour { exits: Some((Duration::from_millis(50), 1)), ..Behaviour::default() };
            scene.sim.change_behaviour(&container("web"), ends);
            assert!(scene.sim.stop_by_hand(&container("web")));
            let mut failed = Vec::new();
            while failed.len() < 12 {
                let (deployed, outcome) = agent.ended().await;
                assert!(
                    matches!(outcome, Outcome::RolledBack { .. } | Outcome::Failed { .. }),
                    "{outcome:?}"
                );
                assert_eq!(deployed, commit);
                failed.push(Instant::now());
            }
            let pauses: Vec<u64> = failed.windows(2).map(|pair| (pair[1] - pair[0]).as_secs()).collect();
            assert!(pauses[..2].iter().all(|pause| *pause < 10), "{pauses:?}");
            assert!(pauses[9..].iter().all(|pause| (100..=400).contains(pause)), "{pauses:?}");
            scene.sim.change_behaviour(&container("web"), Behaviour::default());
            agent.deployed(&commit).await;
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn another_process_that_works_on_the_stack_is_waited_for() {
    let scene = Scene::new();
    let commit = scene.commit(&manifest("app:1"));
    let state = StateDir::open(&scene.folder.path().join("state")).unwrap();
    let lock = state.lock(&stack(), "evenkeel apply", "2026-01-01T08:00:00Z".parse().unwrap()).unwrap();
    scene
        .play(async |agent| {
            for _ in 0..3 {
                while !matches!(agent.next().await, Heard::Woken(Trigger::Retry)) {}
            }
            assert_eq!(scene.sim.writing_calls(), []);
            drop(lock);
            agent.deployed(&commit).await;
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_silent_engine_is_asked_again_and_listened_to_again() {
    let scene = Scene::new();
    let commit = scene.commit(&manifest("app:1"));
    let listens = fail_first(&scene.sim, Verb::Events, 3);
    scene
        .play(async |agent| {
            agent.deployed(&commit).await;
            while listens.load(Ordering::Relaxed) < 4 {
                agent.rests().await;
            }
            assert!(scene.sim.remove_by_hand(&container("web")));
            agent.deployed(&commit).await;
            assert_eq!(agent.trigger(), Trigger::HostChanged);
            fail_first(&scene.sim, Verb::ListContainers, 5);
            assert!(scene.sim.remove_by_hand(&container("web")));
            agent.deployed(&commit).await;
            assert_eq!(agent.trigger(), Trigger::Retry);
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_rewritten_branch_is_held() {
    let scene = Scene::new();
    let first = scene.commit(&manifest("app:1"));
    scene
        .play(async |agent| {
            agent.deployed(&first).await;
            let second = scene.commit(&manifest("app:2"));
            agent.deployed(&second).await;
            scene.rewrite(&manifest("app:3"), &first);
            let why = agent.held().await;
            assert!(why.contains("did not come after") && why.contains(&second[..7]), "{why}");
            agent.stays_calm(2).await;
            // What was deployed last is kept up, though the branch no longer has it.
            assert!(scene.sim.remove_by_hand(&container("web")));
            agent.deployed(&second).await;
            assert_eq!(image_of_web(&scene).await, "app:2");
            let third = scene.rewrite(&manifest("app:3"), &second);
            agent.deployed(&third).await;
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn the_removal_of_most_services_waits_for_consent() {
    let scene = Scene::new();
    let services = |count: usize| {
        let lines: Vec<_> = (0..count).map(|at| format!("  s{at}: {{image: 'app:1'}}\n")).collect();
        format!("services:\n{}", lines.concat())
    };
    let first = scene.commit(&services(8));
    scene
        .play(async |agent| {
            agent.deployed(&first).await;
            scene.commit(&services(1));
            let why = agent.held().await;
            assert!(why.contains("evenkeel apply --accept"), "{why}");
            assert_eq!(scene.running().await.len(), 8);
            agent.stays_calm(2).await;
        })
        .await;
}
