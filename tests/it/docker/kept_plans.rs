//! A plan that is kept in a file and applied later, as it was reviewed or not at all.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use evenkeel::engine::{Engine, UpdateContainer};
use evenkeel::model::spec::Resources;

use super::{Stage, running};

const WEB: &str = "\n  web:\n    image: IMAGE\n    stop_grace_period: 1s\n    environment: {A: one}\n    deploy: {resources: {limits: {memory: 64M}}}\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_plan_is_executed_as_reviewed_or_says_what_has_moved() {
    let Some(stage) = Stage::new().await else { return };
    stage.compose(WEB);
    let planned = stage.run("-f compose.yaml plan --out web.plan").ends_with(0).says("kept plan");
    let file = stage.path().join("web.plan");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(
        fs::read_dir(stage.path())
            .unwrap()
            .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with(".evenkeel"))
            .count(),
        0
    );
    assert!(planned.stdout.contains("create"), "{}", planned.stdout);
    stage.run("apply web.plan").ends_with(1).says("name the same files again");
    stage.run("-f compose.yaml apply web.plan").ends_with(0).says("as reviewed");

    // It was applied: the same file again is stale.
    stage.run("-f compose.yaml apply web.plan").ends_with(1).says("host: container");

    stage.compose(&WEB.replace("one", "two"));
    stage.run("-f compose.yaml plan --out web.plan").ends_with(0);
    let before = stage.serving().await;
    let web = running(&stage.containers().await, "web").id.clone();
    let limit = |memory: u64| UpdateContainer {
        restart: None,
        resources: Resources { memory: Some(memory << 20), ..Resources::default() },
    };
    stage.docker.update_container(&web, &limit(96)).await.unwrap();
    stage.compose(&WEB.replace("one", "three"));
    let refused =
        stage.run("-f compose.yaml apply web.plan").ends_with(1).says("is stale, and nothing was changed");
    let refused = refused.says("manifests: service web differs in `environment.A`");
    refused.says("differs in `deploy.resources.limits.memory`");
    let json = stage.run("--json -f compose.yaml apply web.plan").ends_with(1).json();
    assert_eq!((&json["status"], &json["moved"][0]["fields"][0]), (&"stale".into(), &"environment.A".into()));
    assert_eq!(stage.serving().await, before);

    // Both are as they were again, and so is the plan.
    stage.docker.update_container(&web, &limit(64)).await.unwrap();
    stage.compose(&WEB.replace("one", "two"));
    let json = stage.run("--json -f compose.yaml apply web.plan").ends_with(0).json();
    assert_eq!((&json["status"], &json["as_reviewed"]), (&"applied".into(), &true.into()));

    stage.run("-f compose.yaml --state other apply web.plan").ends_with(1).says("made for another host");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_observation_of_a_real_host_tells_drift_and_no_value() {
    let Some(stage) = Stage::new().await else { return };
    stage.compose(&WEB.replace("one", "\"${TOKEN:?}\""));
    let mut command = stage.command("-f compose.yaml apply --yes");
    assert!(command.env("TOKEN", "hunter2").status().unwrap().success());
    let before = stage.serving().await;
    let since = stage.docker.server().await.unwrap();
    stage.run("-f compose.yaml observe --out live.json").ends_with(0).says("live.json: seen at");
    let text = fs::read_to_string(stage.path().join("live.json")).unwrap();
    assert!(!text.contains("hunter2") && text.contains("\"environment.A\""), "{text}");
    assert_eq!(stage.run("-f compose.yaml observe").ends_with(0).json()["engine"], since.name.as_str());
    assert_eq!(stage.serving().await, before);
}
