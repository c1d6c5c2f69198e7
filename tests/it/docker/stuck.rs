//! A way back that fails for good, and the commands that lead out of it.

use std::net::TcpListener;
use std::process::{Command, Stdio};

use evenkeel::model::spec::HostPort;
use serde_json::Value;

use super::rollbacks::Shop;
use super::{Ran, Stage, eventually_some, running};
use crate::common::docker::host;

#[tokio::test(flavor = "multi_thread")]
async fn it_is_an_alarm_with_the_very_commands_until_it_is_put_right() {
    let Some(stage) = Stage::new().await else { return };
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let web = |ports: &str, command: &str| {
        stage.compose(&format!(
            "\n  web:\n    image: IMAGE\n    stop_grace_period: 1s\n{ports}    command: [{command}]\n"
        ));
    };
    web(&format!("    ports: ['127.0.0.1:{port}:8080']\n"), "serve");
    stage.apply().ends_with(0);
    let before = running(&stage.containers().await, "web").clone();
    assert!(before.spec.ports.iter().any(|bound| bound.host == HostPort::One(port)));

    // The new one waits until its port is somebody else's, and fails.
    web("", "serve, --say, no-way, --exit, '3', --after, '1500'");
    let deploy = stage.begin_apply();
    let thief = eventually_some("the port is free", || TcpListener::bind(("127.0.0.1", port)).ok()).await;
    let failed = deploy.wait().ends_with(4);
    let name = &before.name;
    let command = format!("docker start {name}");
    for text in ["no-way", "rollback: can't start web", "somebody must look", &command, "as they were goes"] {
        assert!(failed.stderr.contains(text), "no `{text}`:\n{}", failed.stderr);
    }
    let status = stage.run("-f compose.yaml status").ends_with(4).stdout;
    assert!(status.contains("ALARM") && status.contains(&command), "{status}");
    let why = stage.run("-f compose.yaml why web").ends_with(0).stdout;
    assert!(why.contains("so did the way back") && why.contains(&command), "{why}");
    let json = stage.run("-f compose.yaml status --json").ends_with(4).json();
    let commands: Vec<&str> =
        json["stuck"]["by_hand"].as_array().unwrap().iter().map(|one| one.as_str().unwrap()).collect();

    // As it is told, once nothing is in the way any more.
    drop(thief);
    for line in &commands {
        let mut shell = Command::new("sh");
        if let Some(host) = host() {
            shell.env("DOCKER_HOST", host);
        }
        assert!(shell.args(["-c", line]).stdout(Stdio::null()).status().unwrap().success(), "{line}");
    }
    assert_eq!(running(&stage.containers().await, "web").id, before.id);
    let status = stage.run("-f compose.yaml status").ends_with(4).stdout;
    assert!(status.contains("nothing is left to do of the way back"), "{status}");
    web(&format!("    ports: ['127.0.0.1:{port}:8080']\n"), "serve");
    stage.apply().ends_with(0).says("nothing to do");
    stage.run("-f compose.yaml status").ends_with(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_goes_the_rest_of_the_way() {
    let Some(shop) = Shop::new().await else { return };
    let run = |words: &str| shop.stage.run(&format!("--env dev {words}"));
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let web = |more: &str| {
        shop.commit_services(&format!(
            "\n  web:\n    image: IMAGE\n    restart: always\n    stop_grace_period: 1s\n    {more}\n"
        ))
    };
    let good = web(&format!("ports: ['127.0.0.1:{port}:8080']"));
    run("apply --yes").ends_with(0);
    let before = shop.web().await;
    web("x-evenkeel: {gate: {exec: [/fixture, exit, '1'], deadline: 4s}}");
    let mut deploy = shop.stage.command("--env dev apply --yes --json");
    let deploy = deploy.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let thief = eventually_some("the port is free", || TcpListener::bind(("127.0.0.1", port)).ok()).await;
    let failed = Ran::of("apply", &deploy.wait_with_output().unwrap()).ends_with(4);
    let name = format!("{}-web-1", shop.stage.stack);
    assert_eq!(failed.json()["stuck"]["by_hand"], serde_json::json!([format!("docker start {name}")]));
    run("rollback --yes").ends_with(3).says("can't start web");
    run("status").ends_with(4);
    drop(thief);
    run("rollback --yes").ends_with(0);
    assert_eq!(shop.web().await, before);
    let status = run("status --json").ends_with(0).json();
    assert_eq!((&status["stuck"], &status["applied"]["revision"]), (&Value::Null, &good.into()));
}
