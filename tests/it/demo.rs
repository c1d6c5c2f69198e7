//! `demo`, as people run it: it tells the whole story and leaves nothing behind.

use std::path::Path;
use std::process::{Command, Output};

use evenkeel::engine::Engine;
use evenkeel::model::name::StackName;

use crate::common::docker::{docker, host};

fn demo(arguments: &[&str], folder: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_evenkeel"));
    if let Some(host) = host() {
        command.args(["--docker", &host]);
    }
    command.arg("demo").args(arguments).env("TMPDIR", folder).env("NO_COLOR", "1").output().unwrap()
}

/// Checks that the story was told, and returns it.
fn told(output: &Output, folder: &Path) -> String {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{text}\n{complaints}");
    let mut rest = text.as_str();
    for part in [
        "1  The first push",
        "infrastructure",
        "auren-postgres",
        "monitoring",
        "13 containers, all gates passed",
        "2  A push that changes two services",
        "512 MiB → 640 MiB",
        "one new container, 12 are the same as before",
        "3  Somebody removes a container",
        "gone from the host",
        "back, healthy",
        "4  A push of a broken image",
        "stand-in: cannot start",
        "rolled back",
        "quarantined",
        "5  git revert",
        "all 13 containers are the same",
        "Where to go next",
    ] {
        let found = rest.find(part);
        assert!(found.is_some(), "`{part}` is missing, or told too early:\n{text}");
        rest = &rest[found.unwrap_or_default()..];
    }
    assert!(!text.contains('\u{1b}'), "colours where none are wanted");
    assert_eq!(std::fs::read_dir(folder).unwrap().count(), 0, "files are left behind");
    text
}

#[test]
fn the_story_is_told_without_docker() {
    let folder = tempfile::tempdir().unwrap();
    let output = demo(&["--simulate"], folder.path());
    let text = told(&output, folder.path());
    assert!(text.starts_with("Evenkeel on a simulated engine"), "{text}");
}

#[test]
fn without_docker_it_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_evenkeel"))
        .args(["--docker", "unix:///nowhere/docker.sock", "demo"])
        .env("TMPDIR", folder.path())
        .env("NO_COLOR", "1")
        .output()
        .unwrap();
    let text = told(&output, folder.path());
    assert!(text.starts_with("Evenkeel on a simulated engine, as Docker can't be used"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn on_docker_it_leaves_nothing_behind() {
    let Some(docker) = docker().await else { return };
    let broken = "evenkeel/stand-in:broken";
    let was_there = docker.inspect_image(broken).await.unwrap().is_some();
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().to_owned();
    let output = tokio::task::spawn_blocking(move || demo(&[], &place)).await.unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let name = text.split("docker rm -f ").nth(1).and_then(|rest| rest.split("-grafana").next());
    // Nothing is cleaned up here: by the beginning of a name, what another demo made would be taken for this one's.
    let stack: StackName = name.unwrap_or("evenkeel-demo").parse().unwrap();
    let text = told(&output, folder.path());
    assert!(text.starts_with("Evenkeel on Docker"), "{text}");
    let containers = docker.list_containers().await.unwrap();
    assert!(containers.iter().all(|listed| listed.summary.stack.as_ref() != Some(&stack)));
    let networks = docker.list_networks().await.unwrap();
    assert!(networks.iter().all(|network| network.stack.as_ref() != Some(&stack)));
    let volumes = docker.list_volumes().await.unwrap();
    assert!(volumes.iter().all(|volume| volume.stack.as_ref() != Some(&stack)));
    assert_eq!(docker.inspect_image(broken).await.unwrap().is_some(), was_there);
}
