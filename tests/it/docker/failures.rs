//! Deploys that fail: what ran before runs again, in the same containers, or was never touched.

use std::net::TcpListener;

use evenkeel::engine::Engine;
use evenkeel::model::live::{LiveContainer, Status};
use evenkeel::model::spec::RestartPolicy;

use super::{Stage, running};

const GOOD: &str = "
  db:
    image: IMAGE
    restart: always
    stop_grace_period: 1s
  web:
    image: IMAGE
    restart: unless-stopped
    stop_grace_period: 1s
    depends_on: [db]
";

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_image_ends_with_what_ran_before() {
    let Some(stage) = Stage::new().await else { return };
    stage.compose(GOOD);
    stage.apply().ends_with(0);
    let before = stage.serving().await;
    let broken = GOOD.replace(
        "depends_on: [db]",
        "depends_on: [db]\n    command: [serve, --say, no-database-here, --exit, \"3\"]",
    );
    stage.compose(&broken.replace("restart: always", "restart: always\n    environment: {NEW: yes}"));
    let failed = stage.apply().ends_with(3);
    for text in ["web did not come up", "its process exited with 3", "no-database-here", "rolled back after"]
    {
        assert!(failed.stderr.contains(text), "no `{text}`:\n{}", failed.stderr);
    }
    assert_eq!(
        stage.serving().await,
        before,
        "the same containers, names and restart policies, and no other"
    );

    let status = stage.run("-f compose.yaml status").ends_with(0).stdout;
    assert!(status.contains("2 of 2 containers up") && status.contains("quarantined"), "{status}");
    let history = stage.run("-f compose.yaml history").ends_with(0).stdout;
    assert!(history.contains("rolled back") && history.contains("exited with 3"), "{history}");
    // A person may try again, and is told.
    let again = stage.run("-f compose.yaml apply --yes --json").ends_with(3).says("quarantined since");
    let outcome = again.json();
    assert_eq!((&outcome["status"], &outcome["failure"]["service"]), (&"rolled-back".into(), &"web".into()));
    assert_eq!(outcome["failure"]["log_tail"][0], "no-database-here");
    assert_eq!(stage.serving().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_deploy_that_fails_leaves_nothing() {
    let Some(stage) = Stage::new().await else { return };
    stage.compose(&GOOD.replace("depends_on: [db]", "command: [exit, \"1\"]"));
    let failed = stage.apply();
    assert!(matches!(failed.status, Some(1 | 3)), "{failed:?}");
    assert!(failed.stderr.contains("web did not come up"), "{}", failed.stderr);
    assert_eq!(stage.serving().await, Vec::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ends_well_and_nobody_waits_for_has_failed_and_says_what_a_task_is() {
    let Some(stage) = Stage::new().await else { return };
    let task = "\n  task:\n    image: IMAGE\n    restart: 'no'\n    command: [exit, '0']\n";
    stage.compose(task);
    let failed = stage.apply().says("exited with 0").says("service_completed_successfully");
    assert!(matches!(failed.status, Some(1 | 3)), "{failed:?}");
    let after = "\n  after:\n    image: IMAGE\n    stop_grace_period: 1s\n    depends_on: {task: {condition: service_completed_successfully}}\n";
    stage.compose(&format!("{task}{after}"));
    stage.apply().ends_with(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_is_not_there_changes_nothing() {
    let Some(stage) = Stage::new().await else { return };
    stage.compose(GOOD);
    stage.apply().ends_with(0);
    let before = stage.serving().await;
    let since = jiff::Timestamp::now();
    // Nobody listens there, so no registry answers, wherever this runs.
    stage.compose(&format!("{GOOD}  new:\n    image: 127.0.0.1:1/nothing:1\n"));
    let failed = stage.apply().ends_with(1).says("can't pull 127.0.0.1:1/nothing:1");
    assert!(
        failed.stderr.contains("hint: ") && failed.stderr.contains("nothing that ran was touched"),
        "{failed:?}"
    );
    assert!(!failed.stderr.contains("going back"), "{failed:?}");
    assert_eq!(stage.serving().await, before);
    assert_eq!(stage.events(since).await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_of_somebody_else_is_seen_before_anything_is_touched() {
    let Some(stage) = Stage::new().await else { return };
    let Some(other) = Stage::new().await else { return };
    let process = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = process.local_addr().unwrap().port();
    let web = |port: u16| {
        format!(
            "\n  web:\n    image: IMAGE\n    stop_grace_period: 1s\n    ports: [\"127.0.0.1:{port}:8080\"]\n"
        )
    };
    stage.compose(&web(port));
    let refused = stage.apply().ends_with(1).says("service `web`").says("held by another process");
    assert!(refused.stderr.contains("hint: publish another port"), "{refused:?}");
    assert_eq!(stage.serving().await, Vec::new());
    let refused = stage.run("-f compose.yaml apply --yes --json").ends_with(1).json();
    assert_eq!(refused["status"], "refused");
    // A container of another stack now.
    drop(process);
    other.compose(&web(port));
    other.apply().ends_with(0);
    let holder = format!("`{}-web-1`", other.stack);
    stage.apply().ends_with(1).says(&holder);
    assert_eq!(stage.serving().await, Vec::new());
    // Its own container gives the port away.
    other.compose(&web(port).replace("ports", "environment: {NEW: yes}\n    ports"));
    other.apply().ends_with(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_refuses_a_container_leaves_what_runs() {
    let Some(stage) = Stage::new().await else { return };
    stage.compose(GOOD);
    stage.apply().ends_with(0);
    let before = stage.serving().await;
    stage.compose(&GOOD.replace("depends_on: [db]", "entrypoint: [/no-such-program]"));
    let failed = stage.apply().ends_with(3);
    assert!(
        failed.stderr.contains("can't start web") && failed.stderr.contains("no-such-program"),
        "{failed:?}"
    );
    assert_eq!(stage.serving().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_holds_is_not_rolled_back() {
    let Some(stage) = Stage::new().await else { return };
    let holds = GOOD.replace("depends_on: [db]", "depends_on: [db]\n    x-evenkeel: {rollback: hold}");
    stage.compose(&holds);
    stage.apply().ends_with(0);
    let before = stage.containers().await;
    let broken = holds.replace(
        "depends_on: [db]",
        "depends_on: [db]\n    command: [serve, --say, half-migrated, --exit, \"3\"]",
    );
    stage.compose(&broken);
    let failed = stage.apply().ends_with(4);
    for text in ["half-migrated", "what was reached stays", "held half done", "evenkeel rollback"] {
        assert!(failed.stderr.contains(text), "no `{text}`:\n{}", failed.stderr);
    }
    let now = stage.containers().await;
    assert_eq!(running(&now, "db").id, running(&before, "db").id);
    let stopped = |container: &LiveContainer| {
        container.instance.service.as_str() == "web"
            && matches!(container.state.status, Status::Exited { .. })
            && container.spec.restart == RestartPolicy::No
    };
    assert_eq!(now.iter().filter(|container| stopped(container)).count(), 2, "{now:#?}");

    let status = stage.run("-f compose.yaml status").ends_with(0).stdout;
    assert!(status.contains("is half done since") && status.contains("quarantined"), "{status}");
    let history = stage.run("-f compose.yaml history").ends_with(0).stdout;
    assert!(history.contains("held half done") && history.contains("exited with 3"), "{history}");
    stage.compose(&holds.replace("depends_on: [db]", "depends_on: [db]\n    environment: {FIXED: yes}"));
    stage.apply().ends_with(0);
    let status = stage.run("-f compose.yaml status --json").ends_with(0).json();
    assert_eq!((&status["held"], &status["changes"]), (&serde_json::Value::Null, &0.into()));
    let web = running(&stage.containers().await, "web").clone();
    assert_eq!(web.spec.restart, RestartPolicy::UnlessStopped);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_did_not_run_before_is_not_said_to_run_again() {
    let Some(stage) = Stage::new().await else { return };
    let folder = stage.path().join("bound");
    std::fs::create_dir(&folder).unwrap();
    let mount = format!(
        "volumes: [{{type: bind, source: '{}', target: /x, bind: {{create_host_path: false}}}}]",
        folder.display()
    );
    stage.compose(&GOOD.replace("depends_on: [db]", &mount));
    stage.apply().ends_with(0);
    let containers = stage.containers().await;
    let web = running(&containers, "web");
    stage.docker.stop_container(&web.id, Some(std::time::Duration::from_secs(1))).await.unwrap();
    std::fs::remove_dir(&folder).unwrap();
    let failed = stage.apply().ends_with(3).says("can't start web").says("nothing that ran was touched");
    assert!(!failed.stderr.contains("runs again"), "{}", failed.stderr);
}
