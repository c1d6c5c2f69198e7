//! `why`: one screen that says why something is as it is.

use crate::docker::Stage;

fn services(level: &str, app: &str) -> String {
    format!(
        "
  db:
    image: IMAGE
    stop_grace_period: 1s
  app:
    image: IMAGE
    command: [{app}]
    environment: {{LEVEL: {level}}}
    stop_grace_period: 1s
    depends_on: {{db: {{condition: service_started}}}}
"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn it_says_what_something_waits_for_what_changed_it_and_what_differs() {
    let Some(stage) = Stage::new().await else { return };
    let compose = |level: &str, app: &str| stage.compose(&services(level, app));
    let why = || stage.run("-f compose.yaml why app").ends_with(0).stdout;
    compose("info", "serve");
    let said = why();
    assert!(said.contains("has no container") && said.contains("by no deploy"), "{said}");
    stage.apply().ends_with(0);
    let said = why();
    assert!(
        said.contains("create for new in the manifests") && said.contains("as the manifests want"),
        "{said}"
    );

    compose("debug", "serve");
    let said = why();
    assert!(
        said.contains("not as the manifests want it") && said.contains("environment.LEVEL (git)"),
        "{said}"
    );
    stage.apply().ends_with(0);
    let said = why();
    assert!(said.contains(": replace for environment.LEVEL (git)"), "{said}");

    compose("debug", "'exit', '3'");
    stage.apply().ends_with(3);
    let said = why();
    assert!(said.contains("quarantined") && said.contains("exited with 3"), "{said}");

    // What keeps a deploy waiting is told while it does.
    let never = "    x-evenkeel: {gate: {exec: [/fixture, exit, '1'], deadline: 10s}}\n    depends_on: {db";
    stage.compose(&services("trace", "serve").replace("    depends_on: {db", never));
    let deploy = stage.begin_apply();
    super::eventually("the deploy waits", async || why().contains("wait for app, begun")).await;
    assert!(why().contains("is under way since"));
    deploy.wait().ends_with(3);

    for service in ["app", "db"] {
        let container = crate::docker::running(&stage.containers().await, service).id.clone();
        evenkeel::engine::Engine::stop_container(&stage.docker, &container, None).await.unwrap();
    }
    let json = stage.run("-f compose.yaml --json why app").ends_with(0).json();
    let about: Vec<&str> =
        json["findings"].as_array().unwrap().iter().map(|found| found["about"].as_str().unwrap()).collect();
    assert!(about.contains(&"waits"), "{json:#}");
    stage.run("-f compose.yaml why nothing").ends_with(1).says("its services: app, db");
}
