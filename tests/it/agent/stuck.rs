//! The agent where a way back has failed for good.

use evenkeel::agent::Trigger;
use evenkeel::apply::Outcome;
use evenkeel::apply::ledger::history::State;
use evenkeel::engine::Engine;
use evenkeel::engine::sim::Behaviour;

use super::container;
use super::scene::{Heard, Scene, Watcher, manifest, stack};

/// Pushes what fails, after the container that is to return can't be started any more.
async fn break_it(scene: &Scene, agent: &mut Watcher) {
    let error = Some("driver failed: port is already allocated".to_owned());
    scene.sim.change_behaviour(&container("web"), Behaviour { start_error: error, ..Behaviour::default() });
    scene.commit(&manifest("app:broken"));
    let (_, outcome) = agent.ended().await;
    let Outcome::RollbackFailed { failure, rollback, .. } = outcome else { panic!("{outcome:?}") };
    assert!(failure.cause.contains("exited with 3"), "{failure}");
    assert!(rollback.iter().all(|failure| !failure.transient), "{rollback:?}");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_tried_again_until_somebody_has_put_it_right() {
    let scene = Scene::new();
    let good = scene.commit(&manifest("app:1"));
    scene
        .play(async |agent| {
            agent.deployed(&good).await;
            break_it(&scene, agent).await;
            assert!(agent.held().await.contains("quarantined"));
            agent.rests().await;
            scene.sim.forget_calls();
            agent.stays_calm(3).await;
            assert_eq!(scene.sim.writing_calls(), []);
            let machine = scene.machine();
            let record = machine.ledger().stuck(&stack()).unwrap().unwrap();
            assert_eq!(record.state, State::RollbackFailed);
            let stuck = machine.stuck(&stack()).await.unwrap().unwrap();
            assert_eq!(stuck.by_hand, ["docker start shop-dev-web-1"]);
            assert_eq!(stuck.lost, Vec::<String>::new());
        })
        .await;
    // Neither does a new agent, until the command was given.
    scene
        .play(async |agent| {
            agent.held().await;
            agent.rests().await;
            scene.sim.forget_calls();
            agent.stays_calm(2).await;
            assert_eq!(scene.sim.writing_calls(), []);
            scene.sim.change_behaviour(&container("web"), Behaviour::default());
            let listed = scene.sim.list_containers().await.unwrap();
            let web = listed.into_iter().find(|listed| listed.summary.name == container("web")).unwrap();
            scene.sim.start_container(&web.id).await.unwrap();
            let (commit, outcome) = agent.ended().await;
            assert_eq!((commit, outcome), (good.clone(), Outcome::Unchanged));
            assert_eq!(scene.machine().ledger().stuck(&stack()).unwrap(), None);
            // From now on what is on record is kept up again.
            agent.rests().await;
            assert!(scene.sim.remove_by_hand(&container("web")));
            agent.deployed(&good).await;
            assert_eq!(agent.trigger(), Trigger::HostChanged);
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_mended_commit_leads_out() {
    let scene = Scene::new();
    let good = scene.commit(&manifest("app:1"));
    scene
        .play(async |agent| {
            agent.deployed(&good).await;
            break_it(&scene, agent).await;
            agent.held().await;
            let fixed = scene.commit(&manifest("app:2"));
            agent.deployed(&fixed).await;
            assert_eq!(scene.running().await.len(), 2);
            assert_eq!(scene.machine().ledger().stuck(&stack()).unwrap(), None);
            agent.stays_calm(2).await;
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_way_back_that_fails_for_a_passing_reason_is_gone_again() {
    use evenkeel::engine::sim::{Fault, Verb};
    let scene = Scene::new();
    let good = scene.commit(&manifest("app:1"));
    scene
        .play(async |agent| {
            agent.deployed(&good).await;
            let before = scene.running().await;
            let (sim, mut left) = (scene.sim.clone(), 60);
            scene.sim.on_call(Box::new(move |call| {
                let is_back = call.verb == Verb::StartContainer
                    && sim.calls().iter().any(|call| call.verb == Verb::CreateContainer);
                let fails = is_back && call.object == "shop-dev-web-1" && left > 0;
                left -= i32::from(fails);
                if fails { Fault::Error } else { Fault::None }
            }));
            scene.commit(&manifest("app:broken"));
            let (_, outcome) = agent.ended().await;
            assert!(matches!(outcome, Outcome::RollbackFailed { .. }), "{outcome:?}");
            assert_eq!(scene.machine().ledger().stuck(&stack()).unwrap(), None, "it is not over yet");
            while !matches!(agent.next().await, Heard::Holds(_)) {}
            assert_eq!(scene.running().await, before);
        })
        .await;
}
