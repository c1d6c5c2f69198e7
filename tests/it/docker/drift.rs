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

#[tokio::test(flavor = "multi_thread")]
async fn drift_that_is_only_reported_is_told_and_left() {
    let Some(stage) = Stage::new().await else { return };
    let services = |image: &str| {
        format!(
            "\n  web:\n    image: IMAGE\n    stop_grace_period: 1s\n    environment: {{V: \"{image}\"}}\n    x-evenkeel: {{drift: {{state: report, deploy.resources: report}}}}\n    deploy: {{resources: {{limits: {{memory: 64M}}}}}}\n  db:\n    image: IMAGE\n    stop_grace_period: 1s\n    x-evenkeel: {{drift: {{state: ignore}}}}\n"
        )
    };
    stage.compose(&services("1"));
    stage.apply().ends_with(0);
    let before = stage.containers().await;
    let (db, web) = (running(&before, "db").id.clone(), running(&before, "web").id.clone());
    let engine = &stage.docker;
    let resources = Resources { memory: Some(96 << 20), ..Resources::default() };
    engine.update_container(&web, &UpdateContainer { restart: None, resources }).await.unwrap();
    engine.stop_container(&web, Some(Duration::from_secs(1))).await.unwrap();
    engine.stop_container(&db, Some(Duration::from_secs(1))).await.unwrap();
    engine.remove_container(&db).await.unwrap();

    let plan = stage.run("-f compose.yaml plan --detailed-exitcode").ends_with(0).stdout;
    assert!(plan.contains("! web") && plan.contains("reported, not repaired"), "{plan}");
    assert!(plan.contains("96 MiB → 64 MiB") && plan.contains("exited with 0"), "{plan}");
    // Not `db` alone: the id of a plan may have those letters.
    assert!(plan.contains("1 only reported") && !plan.contains(" db "), "{plan}");
    stage.apply().ends_with(0).says("nothing to do");
    assert_eq!(stage.containers().await.len(), 1);
    // A new version is made as desired, and runs.
    stage.compose(&services("2"));
    stage.apply().ends_with(0);
    let after = stage.containers().await;
    assert_eq!(running(&after, "web").spec.resources.memory, Some(64 << 20));
    assert!(!after.iter().any(|container| container.instance.service.as_str() == "db"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_with_a_new_name_gives_its_port_to_its_successor_and_back() {
    let Some(stage) = Stage::new().await else { return };
    let port = crate::common::names::unique_port();
    let service = |name: &str, more: &str| {
        format!(
            "\n  {name}:\n    image: IMAGE\n    stop_grace_period: 1s\n    ports: [\"127.0.0.1:{port}:80\"]\n    volumes: [data:/data]\n{more}"
        )
    };
    let with_volume = |services: String| {
        stage.compose(&services);
        let path = stage.path().join("compose.yaml");
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(path, format!("{text}\nvolumes:\n  data:\n")).unwrap();
    };
    with_volume(service("web", ""));
    stage.apply().ends_with(0);
    let old = running(&stage.containers().await, "web").id.clone();
    // One that doesn't come up returns to the old name.
    let broken = "    x-evenkeel: {moved_from: web, gate: {tcp: 1, deadline: 1s}}\n";
    with_volume(service("site", broken));
    stage.apply().ends_with(3);
    assert_eq!(running(&stage.containers().await, "web").id, old);
    with_volume(service("site", "    x-evenkeel: {moved_from: web}\n"));
    stage.apply().ends_with(0).says("site (was web)");
    let after = stage.containers().await;
    running(&after, "site");
    let kept = after.iter().find(|container| container.id == old).unwrap();
    assert!(!matches!(kept.state.status, evenkeel::model::live::Status::Running));
    stage.apply().ends_with(0).says("nothing to do");
    with_volume(service("site", ""));
    stage.apply().ends_with(0).says("nothing to do");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_isnt_named_refuses_before_anything_is_touched() {
    let Some(stage) = Stage::new().await else { return };
    let folder = stage.path();
    for (path, text) in [
        ("infra/evenkeel.yaml", "project: shop\n".to_owned()),
        ("infra/manifests/web.yaml", format!("services:\n  web:\n    image: {}\n", stage.image)),
        (
            "infra/environments/prod/environment.yaml",
            format!("stack: {}\nhosts: [web1, role=web]\n", stage.stack),
        ),
    ] {
        std::fs::create_dir_all(folder.join(path).parent().unwrap()).unwrap();
        std::fs::write(folder.join(path), text).unwrap();
    }
    for command in ["plan", "apply --yes"] {
        let said = stage.run(&format!("--repo infra --host web2 --label role=db {command}")).ends_with(1);
        said.says("is not for this host: it is for `web1`, `role=web`, and this is `web2` with `role=db`");
    }
    assert_eq!(stage.containers().await.len(), 0);
    stage.run("--repo infra --host web1 plan").ends_with(0);
    stage.run("--repo infra --label role=web plan").ends_with(0);
}
