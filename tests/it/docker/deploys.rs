//! Deploys that go well, and those that are cut off.

use evenkeel::model::live::Status;
use evenkeel::model::spec::{Namespace, Peer, RestartPolicy};

use super::{Stage, eventually, running};

/// Three services that need each other, each up when its probe is good.
const CHAIN: &str = "
  app:
    image: IMAGE
    restart: unless-stopped
    depends_on: {cache: {condition: service_healthy}, db: {condition: service_healthy}}
    healthcheck: {test: [CMD, /fixture, probe], interval: 1h, timeout: 2s}
  cache:
    image: IMAGE
    depends_on: [db]
    stop_grace_period: 1s
  db:
    image: IMAGE
    restart: always
    command: [serve, --healthy-after, \"300\"]
    healthcheck: {test: [CMD, /fixture, probe], interval: 1h, timeout: 2s}
";

#[tokio::test(flavor = "multi_thread")]
async fn the_first_deploy_goes_in_order_and_the_second_does_nothing() {
    let Some(stage) = Stage::new().await else { return };
    stage.compose(CHAIN);
    let first = stage.apply().ends_with(0).says("committed");
    let place = |text: &str| first.stderr.find(text).unwrap_or_else(|| panic!("no {text}: {}", first.stderr));
    assert!(place("✓ db ") < place("✓ cache ") && place("✓ cache ") < place("✓ app "), "{}", first.stderr);
    let containers = stage.containers().await;
    let started = |service: &str| running(&containers, service).state.started_at.clone();
    assert!(started("db") < started("cache") && started("cache") < started("app"));
    assert_eq!(running(&containers, "db").spec.restart, RestartPolicy::Always);
    assert_eq!(running(&containers, "app").name.as_str(), format!("{}-app-1", stage.stack));

    let since = jiff::Timestamp::now();
    stage.apply().ends_with(0).says("nothing to do");
    let plan = stage.run("-f compose.yaml plan --detailed-exitcode").ends_with(0);
    assert!(plan.stdout.contains("nothing to do"), "{}", plan.stdout);
    assert_eq!(stage.events(since).await, Vec::<String>::new(), "a deploy of nothing wrote to the engine");
    // The events are really seen.
    stage.compose(&CHAIN.replace("[db]", "[db]\n    environment: {A: b}"));
    stage.apply().ends_with(0);
    assert!(!stage.events(since).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_outcome_is_told_as_json_and_remembered() {
    let Some(stage) = Stage::new().await else { return };
    stage.compose("\n  web:\n    image: IMAGE\n    stop_grace_period: 1s\n");
    assert_eq!(
        stage.run("-f compose.yaml plan --json --detailed-exitcode").ends_with(2).json()["changed"],
        2
    );
    let applied = stage.run("-f compose.yaml apply --yes --json").ends_with(0).json();
    assert_eq!((&applied["status"], &applied["revision"]), (&"applied".into(), &"files".into()));
    assert_eq!(applied["changes"].as_array().unwrap().len(), 2);
    assert!(applied["took_ms"].is_u64() && applied["failure"].is_null(), "{applied}");
    let unchanged = stage.run("-f compose.yaml apply --json").ends_with(0).json();
    assert_eq!(unchanged["status"], "unchanged");

    let status = stage.run("-f compose.yaml status --json").ends_with(0).json();
    assert_eq!(status["changes"], 0);
    assert_eq!(status["last_deploy"]["deploy"], applied["deploy"]);
    assert_eq!(status["containers"][0]["state"], "running");
    let text = stage.run("-f compose.yaml status").ends_with(0).stdout;
    assert!(text.contains("1 of 1 container up") && text.contains("nothing to do"), "{text}");
    let history = stage.run("-f compose.yaml history --json").ends_with(0).json();
    assert_eq!(history["deploys"].as_array().unwrap().len(), 1, "a deploy of nothing is no deploy");
    assert_eq!(history["deploys"][0]["outcome"], "done");
    let text = stage.run("-f compose.yaml history").ends_with(0).stdout;
    assert!(text.contains("deployed") && text.contains("+ web"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_limit_keeps_the_container() {
    let Some(stage) = Stage::new().await else { return };
    let with_limit = |limit: &str| {
        format!(
            "\n  web:\n    image: IMAGE\n    stop_grace_period: 1s\n    deploy: {{resources: {{limits: {{memory: {limit}}}}}}}\n"
        )
    };
    stage.compose(&with_limit("64M"));
    stage.apply().ends_with(0);
    let before = stage.containers().await;
    stage.compose(&with_limit("128M"));
    let plan = stage.run("-f compose.yaml plan").ends_with(0);
    assert!(plan.stdout.contains("in place") && plan.stdout.contains("64 MiB → 128 MiB"), "{}", plan.stdout);
    stage.apply().ends_with(0).says("changed in place");
    let after = stage.containers().await;
    assert_eq!(after.len(), 1);
    assert_eq!((&before[0].id, &before[0].state.started_at), (&after[0].id, &after[0].state.started_at));
    assert_eq!(after[0].spec.resources.memory, Some(128 << 20));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_in_no_manifest_is_stopped_and_kept() {
    let Some(stage) = Stage::new().await else { return };
    let two = "\n  web:\n    image: IMAGE\n    stop_grace_period: 1s\n  old:\n    image: IMAGE\n    restart: always\n    stop_grace_period: 1s\n";
    stage.compose(two);
    stage.apply().ends_with(0);
    let before = stage.containers().await;
    stage.compose("\n  web:\n    image: IMAGE\n    stop_grace_period: 1s\n");
    let plan = stage.run("-f compose.yaml plan").ends_with(0);
    assert!(plan.stdout.contains("- old"), "{}", plan.stdout);
    stage.apply().ends_with(0).says("stopped, no longer wanted");
    let after = stage.containers().await;
    let old = after.iter().find(|container| container.instance.service.as_str() == "old").unwrap();
    assert!(matches!(old.state.status, Status::Exited { .. }) && old.spec.restart == RestartPolicy::No);
    assert!(before.iter().any(|container| container.id == old.id));
    assert_eq!(stage.run("-f compose.yaml status --json").json()["kept"], 1);
    // It was kept for nothing but this.
    stage.compose(two);
    stage.apply().ends_with(0);
    assert_eq!(running(&stage.containers().await, "old").id, old.id);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deploy_that_was_killed_is_put_right_by_the_next() {
    let Some(stage) = Stage::new().await else { return };
    let version = |text: &str, delay: u32| {
        format!(
            "\n  db:\n    image: IMAGE\n    restart: always\n    stop_grace_period: 1s\n    environment: {{V: {text}}}\n  app:\n    image: IMAGE\n    restart: always\n    stop_grace_period: 1s\n    depends_on: [db]\n    command: [serve, --healthy-after, \"{delay}\"]\n    environment: {{V: {text}}}\n    healthcheck: {{test: [CMD, /fixture, probe], interval: 1h, timeout: 2s}}\n"
        )
    };
    stage.compose(&version("one", 0));
    stage.apply().ends_with(0);
    let before = stage.serving().await;
    // The second version never comes up, so the deploy is in its middle when it is killed.
    stage.compose(&version("two", 600_000));
    let deploy = stage.begin_apply();
    eventually("both new containers run", async || {
        let containers = stage.containers().await;
        containers.len() == 4
            && containers.iter().filter(|container| container.state.status == Status::Running).count() == 2
            && !containers.iter().any(|container| {
                container.state.status == Status::Running
                    && before.iter().any(|(_, id, ..)| id == container.id.as_str())
            })
    })
    .await;
    deploy.signal("KILL");
    assert_eq!(deploy.wait().status, None);
    // A look changes nothing, and says what it sees.
    let status = stage.run("-f compose.yaml status --json").ends_with(0).json();
    assert_eq!(status["last_deploy"]["outcome"], "open");
    assert_eq!(status["not_compared"], "a deploy has not ended");
    stage.run("-f compose.yaml plan").ends_with(1).says("has not ended");
    // Back to the first version: the interrupted deploy is undone, and then there is nothing to do.
    stage.compose(&version("one", 0));
    stage.apply().ends_with(0).says("an earlier deploy was cut off").says("nothing to do");
    assert_eq!(stage.serving().await, before, "the same containers under the same names and policies");
    let history = stage.run("-f compose.yaml history --json").json();
    assert_eq!(history["deploys"][0]["outcome"], "rolled_back");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deploy_that_is_stopped_is_undone() {
    let Some(stage) = Stage::new().await else { return };
    stage.compose("\n  web:\n    image: IMAGE\n    stop_grace_period: 1s\n");
    stage.apply().ends_with(0);
    let before = stage.serving().await;
    stage.compose(
        "\n  web:\n    image: IMAGE\n    stop_grace_period: 1s\n    command: [serve, --healthy-after, \"600000\"]\n    healthcheck: {test: [CMD, /fixture, probe], interval: 1h, timeout: 2s}\n",
    );
    let deploy = stage.begin_apply();
    let old = before[0].1.clone();
    eventually("the new container runs", async || {
        let containers = stage.containers().await;
        containers.iter().any(|new| new.id.as_str() != old && new.state.status == Status::Running)
    })
    .await;
    deploy.signal("TERM");
    deploy.wait().ends_with(1).says("stopping").says("stopped and undone");
    assert_eq!(stage.serving().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_it_at_once_and_the_next_command_puts_it_right() {
    let Some(stage) = Stage::new().await else { return };
    stage.compose("\n  web:\n    image: IMAGE\n    stop_grace_period: 1s\n");
    stage.apply().ends_with(0);
    let before = stage.serving().await;
    // The new one takes its time to stop, so that the way back does.
    let slow = "
  web:
    image: IMAGE
    stop_grace_period: 20s
    command: [serve, --ignore-term, --healthy-after, \"600000\"]
    healthcheck: {test: [CMD, /fixture, probe], interval: 1h, timeout: 2s}
";
    stage.compose(slow);
    let deploy = stage.begin_apply();
    let old = before[0].1.clone();
    eventually("the new container runs", async || {
        let containers = stage.containers().await;
        containers.iter().any(|new| new.id.as_str() != old && new.state.status == Status::Running)
    })
    .await;
    deploy.signal("TERM");
    eventually("the deploy goes back", async || {
        let history = stage.run("-f compose.yaml history --json").json();
        history["deploys"][0]["outcome"] == "rolling_back"
    })
    .await;
    deploy.signal("TERM");
    deploy.wait().ends_with(4).says("ended at once, in the middle");
    stage.compose("\n  web:\n    image: IMAGE\n    stop_grace_period: 1s\n");
    stage.apply().ends_with(0).says("nothing to do");
    assert_eq!(stage.serving().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_removals_want_an_explicit_yes() {
    let Some(stage) = Stage::new().await else { return };
    let service = |name: &str| format!("\n  {name}:\n    image: IMAGE\n    stop_grace_period: 1s\n");
    stage.compose(&["a", "b", "c", "d"].map(service).concat());
    stage.apply().ends_with(0);
    let before = stage.serving().await;
    stage.compose(&service("a"));
    let refused = stage.apply().ends_with(1).says("removes 3 of 4 services: b, c, d");
    assert_eq!(stage.serving().await, before);
    let plan = stage.run("-f compose.yaml plan --json").ends_with(0).json();
    let accept = format!("--accept {}", plan["id"].as_str().unwrap());
    assert!(refused.stderr.contains(&accept), "{refused:?}");
    stage.run("-f compose.yaml apply --accept 000000000000").ends_with(1);
    assert_eq!(stage.serving().await, before);
    stage.run(&format!("-f compose.yaml apply {accept}")).ends_with(0);
    let running =
        stage.containers().await.into_iter().filter(|one| one.state.status == Status::Running).count();
    assert_eq!(running, 1);
}

/// `app` lives in the network of `vpn`.
const SHARED: &str = "
  vpn:
    image: IMAGE
    restart: always
    stop_grace_period: 1s
    environment: {V: VPN}
  app:
    image: IMAGE
    restart: always
    network_mode: service:vpn
    stop_grace_period: 1s
    command: [APP]
";

#[tokio::test(flavor = "multi_thread")]
async fn a_service_in_the_network_of_another_goes_where_that_one_goes() {
    let Some(stage) = Stage::new().await else { return };
    let write = |vpn: &str, app: &str| stage.compose(&SHARED.replace("VPN", vpn).replace("APP", app));
    let pair = async || {
        let containers = stage.containers().await;
        let (vpn, app) = (running(&containers, "vpn"), running(&containers, "app"));
        let shared = Some(Namespace::Of(Peer::Id(vpn.id.clone())));
        assert_eq!(app.spec.namespaces.network, shared);
        (vpn.id.clone(), app.id.clone())
    };
    let sleep = "sleep, \"600000\"";
    write("one", sleep);
    stage.apply().ends_with(0);
    let first = pair().await;
    stage.apply().ends_with(0).says("nothing to do");

    write("two", sleep);
    let plan = stage.run("-f compose.yaml plan").ends_with(0).stdout;
    let line = plan.lines().find(|line| line.contains("network_mode")).unwrap();
    assert!(line.contains("service:vpn") && line.ends_with("dependency"), "{plan}");
    stage.apply().ends_with(0);
    let second = pair().await;
    assert!(first.0 != second.0 && first.1 != second.1);
    stage.apply().ends_with(0).says("nothing to do");

    // One that fails takes both back, the new ones of neither are left running.
    write("three", "exit, \"3\"");
    stage.apply().ends_with(3);
    assert_eq!(pair().await, second);
    write("two", sleep);
    stage.apply().ends_with(0).says("nothing to do");
}
