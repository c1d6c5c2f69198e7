//! The host was changed by hand: it is named as drift and repaired.

use std::time::Duration;

use evenkeel::engine::{Engine, UpdateContainer};
use evenkeel::model::spec::Resources;

use super::{Stage, running};

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_was_removed_comes_back_and_a_stopped_one_is_started() {
    let Some(stage) = Stage::new().await else { return };
    stage.compose("\n  web:\n    image: IMAGE\n    stop_grace_period: 1s\n  db:\n    image: IMAGE\n    stop_grace_period: 1s\n");
    stage.apply().ends_with(0);
    let before = stage.containers().await;
    let (db, web) = (running(&before, "db").id.clone(), running(&before, "web").id.clone());
    let engine = &stage.docker;
    engine.stop_container(&web, Some(Duration::from_secs(1))).await.unwrap();
    engine.remove_container(&web).await.unwrap();
    engine.stop_container(&db, Some(Duration::from_secs(1))).await.unwrap();

    let status = stage.run("-f compose.yaml status").ends_with(0).stdout;
    assert!(status.contains("0 of 2 containers up") && status.contains("missing"), "{status}");
    let plan = stage.run("-f compose.yaml plan").ends_with(0).stdout;
    assert!(plan.contains("gone from the host") && plan.contains("exited with 0"), "{plan}");
    assert_eq!(plan.matches("drift").count(), 2, "{plan}");
    stage.apply().ends_with(0);
    let after = stage.containers().await;
    assert_eq!(running(&after, "db").id, db, "a container that is only stopped is started");
    assert_ne!(running(&after, "web").id, web);
    stage.apply().ends_with(0).says("nothing to do");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_that_was_changed_by_hand_is_changed_back_in_place() {
    let Some(stage) = Stage::new().await else { return };
    stage.compose("\n  web:\n    image: IMAGE\n    stop_grace_period: 1s\n    deploy: {resources: {limits: {memory: 64M}}}\n");
    stage.apply().ends_with(0);
    let web = stage.containers().await.remove(0);
    let resources = Resources { memory: Some(96 << 20), ..Resources::default() };
    stage.docker.update_container(&web.id, &UpdateContainer { restart: None, resources }).await.unwrap();
    let plan = stage.run("-f compose.yaml plan").ends_with(0).stdout;
    assert!(plan.contains("96 MiB → 64 MiB") && plan.contains("drift"), "{plan}");
    stage.apply().ends_with(0).says("changed in place");
    let after = stage.containers().await.remove(0);
    assert_eq!((after.id, after.spec.resources.memory), (web.id, Some(64 << 20)));
}
