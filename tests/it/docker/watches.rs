//! `apply --watch`: what fails after the commit goes back without an agent, too.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use super::rollbacks::Shop;
use super::{Begun, Stage};

/// `web`, watched for so long, with such arguments of `serve`.
fn web(watch: &str, arguments: &str) -> String {
    format!(
        "\n  web:\n    image: IMAGE\n    stop_grace_period: 1s\n    command: [serve, {arguments}]\n    \
         x-evenkeel: {{watch: {watch}}}\n"
    )
}

/// It passes its gate, which takes 2 s, and ends somewhat later.
const MAYFLY: &str = "--say, farewell, --exit, '3', --after, '5000'";

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_during_its_watch_is_rolled_back_and_says_its_last_words() {
    let Some(shop) = Shop::new().await else { return };
    let run = |words: &str| shop.stage.run(&format!("--env dev {words}"));
    shop.commit_services(&web("1s", "--say, hello"));
    run("apply --yes --watch").ends_with(0).says("its watch has passed");
    let first = shop.web().await;

    shop.commit_services(&web("2m", MAYFLY));
    let failed = run("apply --yes --watch --json").ends_with(3);
    for text in
        ["web failed during its watch", "its process exited with 3", "│ farewell", "rolled back during"]
    {
        assert!(failed.stderr.contains(text), "no `{text}`:\n{}", failed.stderr);
    }
    let json = failed.json();
    assert_eq!((&json["status"], &json["watch"]["status"]), (&"applied".into(), &"rolled-back".into()));
    assert_eq!(shop.web().await, first, "the same container");
    let history = run("history --json").ends_with(0).json();
    let ends = history["deploys"].as_array().unwrap();
    let ends: Vec<_> = ends.iter().map(|deploy| deploy["outcome"].as_str().unwrap()).collect();
    assert_eq!(ends, ["done", "rolled_back_in_watch", "done"]);
    let why = run("why web").ends_with(0).stdout;
    assert!(why.contains("quarantined") && why.contains("exited with 3"), "{why}");
    // What went back by intention has proved itself.
    run("apply --yes --rev HEAD~1 --watch").ends_with(0).says("nothing is watched");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_that_was_left_is_taken_up_again() {
    let Some(shop) = Shop::new().await else { return };
    let run = |words: &str| shop.stage.run(&format!("--env dev {words}"));
    shop.commit_services(&web("0s", "--say, hello"));
    run("apply --yes").ends_with(0);
    let first = shop.web().await;
    shop.commit_services(&web("2m", MAYFLY));
    run("apply --yes").ends_with(0).says("without one nobody does");
    run("apply --yes --watch").ends_with(3).says("rolled back during its watch");
    assert_eq!(shop.web().await, first);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_nowhere_to_return_to_stays_and_is_told() {
    let Some(stage) = Stage::new().await else { return };
    stage.compose(&web("2m", MAYFLY));
    let failed = stage.run("-f compose.yaml apply --yes --watch").ends_with(4);
    assert!(failed.stderr.contains("it stays, for nothing ran before it"), "{}", failed.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_ends_the_watching_and_nothing_else() {
    let Some(stage) = Stage::new().await else { return };
    stage.compose(&web("5m", "--say, hello"));
    let mut command = stage.command("-f compose.yaml apply --yes --watch");
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    let watching = Begun(Some(child));
    assert!(said.any(|line| line.contains("watching until")));
    let before = stage.serving().await;
    watching.signal("TERM");
    // Who hears the signal and who watches tell it side by side.
    let mut rest: Vec<String> = said.collect();
    rest.sort();
    watching.wait().ends_with(1);
    assert!(rest[0].contains("not watched any more"), "{rest:?}");
    assert_eq!(rest[1..], ["stopping"], "there is nothing to undo");
    assert_eq!(stage.serving().await, before);
}
