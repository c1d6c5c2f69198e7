//! The agent where a deploy is not rolled back.

use evenkeel::apply::Outcome;

use super::scene::Scene;

#[tokio::test(start_paused = true)]
async fn what_is_held_is_neither_brought_back_nor_tried_again() {
    let holds = |image: &str| {
        format!(
            "services:\n  web: {{image: {image}, x-evenkeel: {{rollback: hold}}}}\n  db: {{image: 'app:1'}}\n"
        )
    };
    let scene = Scene::new();
    let good = scene.commit(&holds("app:1"));
    scene
        .play(async |agent| {
            agent.deployed(&good).await;
            scene.commit(&holds("app:broken"));
            let (_, outcome) = agent.ended().await;
            assert!(matches!(outcome, Outcome::Held { .. }), "{outcome:?}");
            assert!(agent.held().await.contains("quarantined"));
            scene.sim.forget_calls();
            agent.stays_calm(3).await;
            assert_eq!(scene.sim.writing_calls(), [], "drift is not repaired towards what was left");
            assert_eq!(scene.running().await.len(), 1);
        })
        .await;
    scene
        .play(async |agent| {
            assert!(agent.held().await.contains("quarantined"));
            agent.stays_calm(2).await;
            assert_eq!(scene.sim.writing_calls(), []);
            let fixed = scene.commit(&holds("app:2"));
            agent.deployed(&fixed).await;
            assert_eq!(scene.running().await.len(), 2);
        })
        .await;
}
