//! Gates on real Docker: what is asked, what fails at once, and what is never shown.

use std::time::{Duration, Instant};

use super::{Ran, Stage, running};
use crate::common::names::{unique_port, unique_subnet};

/// `web` with these words for the program and this gate.
fn web(words: &str, gate: &str) -> String {
    format!(
        "\n  web:\n    image: IMAGE\n    stop_grace_period: 1s\n    command: [serve{words}]\n    x-evenkeel:\n      gate: {gate}\n"
    )
}

/// Deploys `web`, which must fail with all of `texts`.
fn fails(stage: &Stage, manifest: &str, texts: &[&str]) -> Ran {
    stage.compose(manifest);
    let failed = stage.apply();
    assert!(matches!(failed.status, Some(1 | 3)), "{failed:?}");
    for text in texts {
        assert!(failed.stderr.contains(text), "no `{text}`:\n{}", failed.stderr);
    }
    failed
}

#[tokio::test(flavor = "multi_thread")]
async fn probes_of_all_kinds_must_hold() {
    let Some(stage) = Stage::new().await else { return };
    let gate = r#"
        http:
          - {url: "http://localhost:8080/health", json: {status: healthy}, within: 2s}
          - url: "http://localhost:8080/to/to/deep"
            redirects: 2
            headers: {X-Depth: 1}
            expect_headers: {X-Role: primary, Content-Type: application/json}
            json: {/shards/0/state: green}
          - {url: "http://localhost:8080/nothing", method: HEAD, status: [2xx, 404]}
        tcp: 8080
        exec: [/fixture, probe]
        log: [warming up, {regex: "^ready after [0-9]+ ms$"}]
        deadline: 30s"#;
    stage.compose(&web(
        ", --healthy-after, \"400\", --say, warming up, --later, \"600\", ready after 600 ms",
        gate,
    ));
    stage.apply().ends_with(0);
    stage.apply().ends_with(0).says("nothing to do");
    running(&stage.containers().await, "web");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_kind_of_probe_says_why_it_did_not_hold() {
    let Some(stage) = Stage::new().await else { return };
    let url = |path: &str, more: &str| {
        format!("{{http: {{url: \"http://localhost:8080/{path}\"{more}}}, deadline: 1s}}")
    };
    for (gate, why) in [
        (url("health", ""), "status 503, not 200"),
        (
            url("deep", ", expect_headers: {X-Role: replica}"),
            "the header `x-role` is `primary`, not `replica`",
        ),
        (url("deep", ", json: {/shards/0/state: red}"), "`/shards/0/state` is `green`, not `red`"),
        (url("slow?600", ", within: 300ms"), "no answer within 300 ms"),
        (url("to/deep", ""), "status 302, not 200"),
        (url("away", ", redirects: 1"), "redirected to another host, `http://example.com`"),
        ("{tcp: 81, deadline: 1s}".to_owned(), "still waiting for port 81 after 1 s, at last: "),
        ("{exec: [/fixture, fail, no master], deadline: 1s}".to_owned(), "exit status 1: no master"),
        ("{exec: [/nothing], deadline: 1s}".to_owned(), "the command /nothing"),
        ("{log: ready, deadline: 1s}".to_owned(), "still waiting for the log line `ready` after 1 s"),
    ] {
        fails(&stage, &web(", --healthy-after, \"600000\"", &gate), &["web did not come up", why]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_ends_is_not_waited_for() {
    let Some(stage) = Stage::new().await else { return };
    let words = ", --say, \"last\\e[2J words\", --exit, \"3\", --after, \"200\"";
    let begin = Instant::now();
    let texts = ["its process exited with 3", "last words"];
    fails(&stage, &web(words, "{log: ready, tcp: 8080, deadline: 5m}"), &texts);
    assert!(begin.elapsed() < Duration::from_secs(60), "it waited for its deadline");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unhealthy_container_tells_what_its_health_check_said() {
    let Some(stage) = Stage::new().await else { return };
    let check = "    healthcheck: {test: [CMD, /fixture, fail, no database], interval: 200ms, retries: 2}\n";
    let manifest = web("", "{deadline: 5m}") + check;
    fails(&stage, &manifest, &["no database"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_with_a_long_interval_is_ready_soon_after_it_is() {
    let Some(stage) = Stage::new().await else { return };
    let check = "    healthcheck: {test: [CMD, /fixture, probe], interval: 30s, timeout: 5s}\n";
    stage.compose(&(web(", --healthy-after, \"1000\"", "{}") + check));
    let begin = Instant::now();
    stage.apply().ends_with(0);
    assert!(begin.elapsed() < Duration::from_secs(30), "Docker's own first probe came before ours");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sent_from_outside_is_never_shown() {
    let Some(stage) = Stage::new().await else { return };
    let gate = r#"{http: {url: "http://localhost:8080/token?${TOKEN}", headers: {X-Token: "${TOKEN}"}}, deadline: 1s}"#;
    stage.compose(&web("", gate));
    let apply = |token: &str, words: &str| {
        let mut command = stage.command(words);
        let output = command.env("TOKEN", token).output().unwrap();
        (
            output.status.code(),
            String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap(),
        )
    };
    let (status, said) = apply("hunter22", "-f compose.yaml -v apply --yes");
    assert!(status == Some(0) && !said.contains("hunter"), "{said}");
    // The answer repeats what it was sent.
    let echo = r#"{http: {url: "http://localhost:8080/token", status: 401, headers: {X-Token: "${TOKEN}"}, expect_headers: {X-Sent: other}}, deadline: 1s}"#;
    stage.compose(&web(", --say, new", echo));
    let (status, said) = apply("hunter33", "-f compose.yaml -v apply --yes");
    assert!(
        status == Some(3) && said.contains("the header `x-sent` is `(sensitive)`, not `other`"),
        "{said}"
    );
    assert!(!said.contains("hunter"), "{said}");
    for words in [
        "-f compose.yaml plan",
        "-f compose.yaml render",
        "-f compose.yaml history --json",
        "-f compose.yaml status",
    ] {
        let (_, said) = apply("hunter33", words);
        assert!(!said.contains("hunter"), "{words}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn published_ports_are_tried_on_the_host() {
    let Some(stage) = Stage::new().await else { return };
    let (one, two) = (unique_port(), unique_port());
    let ports = format!("    ports: [\"{one}:8080\", \"127.0.0.1:{two}:53/udp\", \"127.0.0.1::8081\"]\n");
    // Nobody listens on 8081, and that is no failure.
    stage.compose(&(web(", --listen-after, \"300\"", "{tcp: 8080}") + &ports));
    stage.apply().ends_with(0);
    std::net::TcpStream::connect(("127.0.0.1", one)).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_docker_leaves_out_in_silence_is_a_failure() {
    let Some(stage) = Stage::new().await else { return };
    let port = unique_port();
    let web = web("", "{deadline: 1m}") + &format!("    ports: [\"{port}:8080\"]\n    networks: [inner]\n");
    stage.compose(&web);
    let file = stage.path().join("compose.yaml");
    let text = std::fs::read_to_string(&file).unwrap();
    let inner = format!(
        "networks:\n  inner:\n    internal: true\n    ipam: {{config: [{{subnet: {}0/24}}]}}\n",
        unique_subnet()
    );
    std::fs::write(&file, text.replace("networks:\n  default:", &format!("{inner}  default:"))).unwrap();
    let failed = stage.apply();
    let missing = format!("Docker has not bound {port}:8080/tcp");
    assert!(failed.stderr.contains(&missing), "{failed:?}");
    assert_eq!(stage.serving().await, Vec::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_nobody_keeps_is_told_at_once() {
    let Some(stage) = Stage::new().await else { return };
    let manifest = web("", "{log: ready, deadline: 5m}") + "    logging: {driver: none}\n";
    let begin = Instant::now();
    fails(&stage, &manifest, &["its log can't be read"]);
    assert!(begin.elapsed() < Duration::from_secs(60), "it waited for its deadline");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_address_of_a_port_may_be_the_choice_of_its_network() {
    let Some(stage) = Stage::new().await else { return };
    let port = unique_port();
    stage.compose(&(web("", "{tcp: 8080}") + &format!("    ports: [\"{port}:8080\"]\n")));
    let file = stage.path().join("compose.yaml");
    let text = std::fs::read_to_string(&file).unwrap();
    let options = "    driver_opts: {com.docker.network.bridge.host_binding_ipv4: 127.0.0.1}\n    ipam:";
    std::fs::write(&file, text.replace("    ipam:", options)).unwrap();
    stage.apply().ends_with(0);
    let web = running(&stage.containers().await, "web").clone();
    let shown: Vec<String> = web.bound.iter().map(ToString::to_string).collect();
    assert_eq!(shown, [format!("127.0.0.1:{port}:8080/tcp")]);
}
