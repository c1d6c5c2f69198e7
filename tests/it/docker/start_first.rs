//! Start-first under constant load: clients on the network, which resolve the name for every request, see none fail.

use std::collections::BTreeSet;

use evenkeel::engine::Engine;
use evenkeel::model::live::LiveContainer;

use super::{Stage, eventually, running};

/// A service that needs a while to be up, and its clients.
const SERVED: &str = "
  load:
    image: IMAGE
    command: [load, web]
    stop_grace_period: 1s
  web:
    image: IMAGE
    restart: unless-stopped
    command: [serve, --healthy-after, \"400\", --answer-after, \"30\"]
    environment: {VERSION: one}
    healthcheck: {test: [CMD, /fixture, probe], interval: 1h, timeout: 2s}
    stop_grace_period: 2s
    deploy: {update_config: {order: start-first}}
";

/// How the clients fare.
#[derive(Debug)]
struct Seen {
    failed: Vec<String>,
    /// The least and the most requests that a client has made.
    made: [u64; 2],
}

async fn seen(stage: &Stage) -> Seen {
    let containers = stage.containers().await;
    let lines = stage.docker.logs(&running(&containers, "load").id, 4_000).await.unwrap();
    let line = lines.iter().rfind(|line| line.starts_with("load: ")).cloned().unwrap_or_default();
    let numbers = line.split(|c: char| !c.is_ascii_digit()).filter_map(|word| word.parse().ok());
    let [.., least, most] = numbers.collect::<Vec<u64>>()[..] else { panic!("{lines:#?}") };
    let failed = lines.into_iter().filter(|line| line.starts_with("failed")).collect();
    Seen { failed, made: [least, most] }
}

/// The names under which a container is found. Newer engines give it another hardware address each time that it joins.
fn names(container: &LiveContainer) -> Vec<&BTreeSet<String>> {
    container.spec.networks.values().map(|attachment| &attachment.aliases).collect()
}

/// Deploys a first version, and waits until every client is served.
async fn served() -> Option<Stage> {
    let stage = Stage::new().await?;
    stage.compose(SERVED);
    stage.apply().ends_with(0);
    all_have_asked(&stage).await;
    Some(stage)
}

/// Waits until every client has an answer to a request that it made from now on. Returns what failed of all.
async fn all_have_asked(stage: &Stage) -> Vec<String> {
    let [_, most] = seen(stage).await.made;
    eventually("every client is answered", || async { seen(stage).await.made[0] > most + 1 }).await;
    seen(stage).await.failed
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_fails_while_a_container_takes_over_and_while_it_is_given_back() {
    let Some(stage) = served().await else { return };
    let first = running(&stage.containers().await, "web").clone();
    let before = all_have_asked(&stage).await;
    stage.compose(&SERVED.replace("one", "two"));
    let plan = stage.run("-f compose.yaml plan").ends_with(0);
    assert!(plan.stdout.contains("replace, start-first"), "{}", plan.stdout);
    stage.apply().ends_with(0).says("replaced");
    assert_eq!(all_have_asked(&stage).await, before);
    let second = running(&stage.containers().await, "web").clone();
    assert_ne!(first.id, second.id);
    assert_eq!(first.name, second.name);
    assert_eq!(names(&first), names(&second));
    let plan = stage.run("-f compose.yaml plan --detailed-exitcode").ends_with(0);
    assert!(plan.stdout.contains("nothing to do"), "{}", plan.stdout);

    // The container that ran before is whole, and takes over in the same way.
    stage.compose(SERVED);
    let plan = stage.run("-f compose.yaml plan").ends_with(0);
    assert!(plan.stdout.contains("revive, start-first"), "{}", plan.stdout);
    stage.apply().ends_with(0);
    assert_eq!(all_have_asked(&stage).await, before);
    assert_eq!(running(&stage.containers().await, "web").id, first.id);
    stage.run("-f compose.yaml plan --detailed-exitcode").ends_with(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_fails_is_seen_by_no_client() {
    let Some(stage) = served().await else { return };
    let before = (stage.serving().await, running(&stage.containers().await, "web").state.clone());
    let failed = all_have_asked(&stage).await;
    stage.compose(&SERVED.replace("--answer-after", "--exit, \"3\", --after, \"200\", --answer-after"));
    stage.apply().ends_with(3).says("its process exited with 3");
    assert_eq!(all_have_asked(&stage).await, failed);
    // It was not even touched.
    assert_eq!((stage.serving().await, running(&stage.containers().await, "web").state.clone()), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_took_over_gives_back_when_another_service_fails() {
    let Some(stage) = served().await else { return };
    let (before, web) = (stage.serving().await, running(&stage.containers().await, "web").clone());
    let failed = all_have_asked(&stage).await;
    let after = "\n  later:\n    image: IMAGE\n    command: [exit, \"1\"]\n    depends_on: {web: {condition: service_healthy}}\n";
    stage.compose(&format!("{}{}", SERVED.replace("one", "two"), &after[1..]));
    stage.apply().ends_with(3).says("later");
    assert_eq!(all_have_asked(&stage).await, failed);
    assert_eq!(stage.serving().await, before);
    let now = running(&stage.containers().await, "web").clone();
    assert_eq!((names(&now), &now.state.started_at), (names(&web), &web.state.started_at));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wish_that_can_not_be_granted_is_answered() {
    let Some(stage) = Stage::new().await else { return };
    let fixed = SERVED.replace("restart: unless-stopped", "hostname: web\n    volumes: [\"data:/data\"]");
    let with_volume = |services: &str| {
        stage.compose(services);
        let file = stage.path().join("compose.yaml");
        let text = std::fs::read_to_string(&file).unwrap() + "volumes: {data: {}}\n";
        std::fs::write(file, text).unwrap();
    };
    with_volume(&fixed);
    stage.apply().ends_with(0);
    with_volume(&fixed.replace("one", "two"));
    let plan = stage.run("-f compose.yaml plan").ends_with(0).stdout;
    let why = format!(
        "not start-first: its host name web would be found before it is ready; both would write to the volume {}_data",
        stage.stack
    );
    assert!(plan.contains("replace, stop-first") && plan.contains(&why), "{plan}");
    let json = stage.run("-f compose.yaml plan --json").ends_with(0).json();
    assert_eq!(json["changes"][0]["order"], "stop-first");
    assert_eq!(json["changes"][0]["not_start_first"].as_array().unwrap().len(), 2);
    stage.apply().ends_with(0);
}
