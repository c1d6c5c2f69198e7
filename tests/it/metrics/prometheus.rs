//! What the real Prometheus and its tool make of the metrics and of the alert rules.

use std::fs;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use evenkeel::metrics::Format;
use tempfile::TempDir;
use tokio::time::{self, Instant};

use super::{eventful, root};
use crate::common::docker;

/// Debian's promtool, where it is installed.
fn promtool(arguments: &[&str], input: &str) -> Option<(bool, String)> {
    use std::io::Write;
    let child = Command::new("promtool")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut child) = child else {
        assert!(std::env::var_os("EVENKEEL_REQUIRE_DOCKER").is_none_or(|value| value != "1"), "no promtool");
        docker::tell("passed by without promtool (Debian's package prometheus)");
        return None;
    };
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    Some((output.status.success(), String::from_utf8(said).unwrap()))
}

#[tokio::test(start_paused = true)]
async fn prometheus_has_no_complaint_about_a_scrape() {
    let text = eventful().await.metrics.scrape(Format::Classic);
    if let Some((good, said)) = promtool(&["check", "metrics"], &text) {
        assert!(good && said.is_empty(), "{said}\n{text}");
        let (good, _) = promtool(&["check", "metrics"], "a_total{b=\"c\"} x\n").unwrap();
        assert!(!good, "the check can fail");
    }
}

#[test]
fn prometheus_takes_the_alert_rules() {
    let rules = root("docs/monitoring/alerts.yaml");
    if let Some((good, said)) = promtool(&["check", "rules", rules.to_str().unwrap()], "") {
        assert!(good, "{said}");
    }
    let tests = root("tests/data/monitoring/alerts_test.yaml");
    if let Some((good, said)) = promtool(&["test", "rules", tests.to_str().unwrap()], "") {
        assert!(good, "{said}");
    }
}

/// A Prometheus of its own that reads metrics from somewhere.
struct Prometheus {
    child: Child,
    url: String,
    _folder: TempDir,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Prometheus {
    /// Starts Debian's, where it is installed.
    fn start(target: SocketAddr) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let rules = root("docs/monitoring/alerts.yaml");
        let config = format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: ['{}']\n\
             scrape_configs: [{{job_name: evenkeel, static_configs: [{{targets: ['{target}']}}]}}]\n",
            rules.display()
        );
        fs::write(folder.path().join("prometheus.yml"), config).unwrap();
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let started = Command::new("prometheus")
            .arg(format!("--config.file={}", folder.path().join("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address={free}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let Ok(child) = started else {
            assert!(
                std::env::var_os("EVENKEEL_REQUIRE_DOCKER").is_none_or(|value| value != "1"),
                "no prometheus"
            );
            docker::tell("passed by without Prometheus (Debian's package prometheus)");
            return None;
        };
        Some(Self { child, url: format!("http://{free}/api/v1"), _folder: folder })
    }

    async fn ask(&self, path: &str) -> Option<serde_json::Value> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        reqwest::get(format!("{}{path}", self.url)).await.ok()?.json().await.ok()
    }

    /// Asks until the answer is as wanted.
    async fn until(&self, path: &str, is: impl Fn(&serde_json::Value) -> bool) -> serde_json::Value {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let answer = self.ask(path).await.unwrap_or_default();
            if is(&answer) {
                return answer;
            }
            assert!(Instant::now() < deadline, "{path}: {answer}");
            time::sleep(Duration::from_millis(100)).await;
        }
    }
}

#[tokio::test]
async fn a_real_prometheus_reads_the_metrics_and_judges_the_rules() {
    // Made on a runtime of its own, whose clock is paused.
    let counted = tokio::task::spawn_blocking(|| {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all().start_paused(true).build().unwrap().block_on(eventful())
    });
    let metrics = counted.await.unwrap().metrics_and_stack();
    let (asked, mut asking) = tokio::sync::mpsc::unbounded_channel();
    let page = move |headers: axum::http::HeaderMap| {
        let accept = headers.get("accept").map_or("", |value| value.to_str().unwrap()).to_owned();
        let format = Format::accepted(&accept);
        let _ = asked.send(format);
        std::future::ready(([("content-type", format.content_type())], metrics.0.scrape(format)))
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = axum::Router::new().route("/metrics", axum::routing::get(page));
    let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    let _server = tokio_util::task::AbortOnDropHandle::new(server);
    let Some(prometheus) = Prometheus::start(address) else { return };
    prometheus.until("/targets", |said| said["data"]["activeTargets"][0]["health"] == "up").await;
    assert_eq!(asking.recv().await, Some(Format::OpenMetrics));
    let said = prometheus
        .until("/query?query=evenkeel_deploys_total", |said| {
            said["data"]["result"][0]["value"][1].is_string()
        })
        .await;
    assert_eq!(said["data"]["result"].as_array().unwrap().len(), 21);
    let about = prometheus.ask("/targets/metadata?metric=evenkeel_stack_out_of_sync_seconds").await.unwrap();
    assert_eq!((&about["data"][0]["type"], &about["data"][0]["unit"]), (&"gauge".into(), &"seconds".into()));
    prometheus
        .until("/rules", |said| {
            let rules = said["data"]["groups"][0]["rules"].as_array();
            rules.is_some_and(|rules| rules.len() > 10 && rules.iter().all(|rule| rule["health"] == "ok"))
        })
        .await;
    // The newest commit of the scene is held; that it must last is Prometheus' business.
    prometheus.until("/alerts", |said| said.to_string().contains("EvenkeelHeld")).await;
}
