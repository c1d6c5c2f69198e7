//! The agent where somebody else sets a field again and again.

use std::time::Duration;

use evenkeel::agent::Trigger;
use evenkeel::engine::{Engine, UpdateContainer};
use evenkeel::model::name::ContainerId;
use evenkeel::model::spec::{Resources, RestartPolicy};
use tokio::time;

use super::container;
use super::scene::{Heard, Scene, Watcher};

fn manifest(restart: &str) -> String {
    format!("services:\n  web: {{image: 'app:1', restart: {restart}}}\n  db: {{image: 'app:1'}}\n")
}

async fn web(scene: &Scene) -> ContainerId {
    let listed = scene.sim.list_containers().await.unwrap();
    listed.into_iter().find(|listed| listed.summary.name == container("web")).unwrap().id
}

async fn policy(scene: &Scene) -> RestartPolicy {
    scene.sim.inspect_container(&web(scene).await).await.unwrap().spec.restart
}

/// Somebody else's tool sets the restart policy of `web`.
async fn set_by_hand(scene: &Scene, policy: RestartPolicy) {
    let update = UpdateContainer { restart: Some(policy), resources: Resources::default() };
    scene.sim.update_container(&web(scene).await, &update).await.unwrap();
}

async fn left_alone(agent: &mut Watcher) -> String {
    loop {
        if let Heard::LeavesAlone(what) = agent.next().await {
            return what;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_field_that_is_set_back_three_times_is_left_alone_for_a_while() {
    let scene = Scene::new();
    let first = scene.commit(&manifest("always"));
    scene
        .play(async |agent| {
            agent.deployed(&first).await;
            for _ in 0..2 {
                set_by_hand(&scene, RestartPolicy::OnFailure(None)).await;
                agent.deployed(&first).await;
                time::sleep(Duration::from_secs(60)).await;
            }
            set_by_hand(&scene, RestartPolicy::OnFailure(None)).await;
            assert_eq!(left_alone(agent).await, "web: restart");
            agent.rests().await;
            set_by_hand(&scene, RestartPolicy::OnFailure(None)).await;
            agent.stays_calm(3).await;
            assert_eq!(policy(&scene).await, RestartPolicy::OnFailure(None));
            // Everything else is repaired as before.
            assert!(scene.sim.stop_by_hand(&container("db")));
            agent.deployed(&first).await;
            // Once it has rested, it is tried again.
            agent.deployed(&first).await;
            assert_eq!(agent.trigger(), Trigger::FullLook);
            assert_eq!(policy(&scene).await, RestartPolicy::Always);
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn what_the_repository_changes_is_deployed_though_it_is_contested() {
    let scene = Scene::new();
    let first = scene.commit(&manifest("always"));
    scene
        .play(async |agent| {
            agent.deployed(&first).await;
            for _ in 0..3 {
                set_by_hand(&scene, RestartPolicy::OnFailure(None)).await;
                agent.deployed(&first).await;
            }
            set_by_hand(&scene, RestartPolicy::OnFailure(None)).await;
            agent.stays_calm(1).await;
            let second = scene.commit(&manifest("unless-stopped"));
            agent.deployed(&second).await;
            assert_eq!(policy(&scene).await, RestartPolicy::UnlessStopped);
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn rare_changes_and_stopped_containers_are_repaired_each_time() {
    let scene = Scene::new();
    let first = scene.commit(&manifest("always"));
    scene
        .play(async |agent| {
            agent.deployed(&first).await;
            for _ in 0..5 {
                set_by_hand(&scene, RestartPolicy::OnFailure(None)).await;
                agent.deployed(&first).await;
                time::sleep(Duration::from_secs(400)).await;
            }
            for _ in 0..5 {
                assert!(scene.sim.stop_by_hand(&container("db")));
                agent.deployed(&first).await;
            }
            assert_eq!(policy(&scene).await, RestartPolicy::Always);
            assert_eq!(scene.running().await.len(), 2);
        })
        .await;
}
