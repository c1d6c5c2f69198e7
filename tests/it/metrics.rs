//! Metrics: what is counted, and that alert rules, dashboard and manual speak of what there is.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use evenkeel::agent::board::Board;
use evenkeel::agent::{Audience, Comparison, Happening, Trigger};
use evenkeel::apply::Outcome;
use evenkeel::apply::clock::Clock;
use evenkeel::apply::progress::{Event, Progress};
use evenkeel::engine::Engine;
use evenkeel::engine::docker::Docker;
use evenkeel::engine::meter::Meter;
use evenkeel::metrics::{Format, Metrics, StackMetrics};
use jiff::Timestamp;
use regex::Regex;
use tokio::time::{self, Instant};

use crate::agent::scene::{Heard, Scene, manifest};
use crate::common::docker;

mod prometheus;

/// The time of day of a paused clock. Commits are made by the real one, and must not come after it.
#[derive(Clone, Copy)]
struct Paused(Instant, Timestamp);

impl Clock for Paused {
    fn now(&self) -> Timestamp {
        self.1 + self.0.elapsed()
    }
}

struct Counted {
    scene: Scene,
    metrics: Arc<Metrics>,
    stack: Arc<StackMetrics>,
    board: Arc<Board>,
}

impl Counted {
    fn new() -> Self {
        let clock = Paused(Instant::now(), Timestamp::now());
        let scene = Scene::new();
        let metrics = Metrics::new(Arc::new(clock));
        let board = Arc::new(Board::new(&scene.follow(), Box::new(clock)));
        let stack = metrics.follow(Arc::clone(&board));
        Self { scene, metrics, stack, board }
    }

    fn audiences(&self) -> Vec<Arc<dyn Audience>> {
        vec![Arc::clone(&self.board) as Arc<dyn Audience>, Arc::clone(&self.stack) as Arc<dyn Audience>]
    }

    /// What is needed to scrape.
    fn metrics_and_stack(self) -> (Arc<Metrics>, Arc<StackMetrics>) {
        (self.metrics, self.stack)
    }

    /// The value of a series of the stack. `wanted` is its name, with what tells it from others: `held{reason="paused"`.
    fn value(&self, wanted: &str) -> f64 {
        let text = self.metrics.scrape(Format::OpenMetrics);
        let (name, labels) = wanted.split_once('{').unwrap_or((wanted, ""));
        let mut found = text.lines().filter(|line| {
            let rest = line.strip_prefix("evenkeel_").and_then(|line| line.strip_prefix(name));
            let labels: Vec<_> = labels.split(',').filter(|label| !label.is_empty()).collect();
            rest.is_some_and(|rest| {
                rest.starts_with(['{', ' ']) && labels.iter().all(|label| rest.contains(label))
            })
        });
        let line = found.next().unwrap_or_else(|| panic!("no {wanted} in\n{text}"));
        assert_eq!(found.next(), None, "more than one {wanted}");
        line.rsplit(' ').next().unwrap().parse().unwrap()
    }

    #[track_caller]
    fn is(&self, wanted: &str, expected: f64) {
        let value = self.value(wanted);
        assert!((value - expected).abs() < 1e-6, "{wanted} is {value}, not {expected}");
    }
}

/// A stack with which much has happened.
async fn eventful() -> Counted {
    let counted = Counted::new();
    let (scene, audiences) = (&counted.scene, counted.audiences());
    let first = scene.commit(&manifest("app:1"));
    scene
        .play_before(audiences, async |agent| {
            agent.deployed(&first).await;
            time::sleep(Duration::from_secs(30)).await;
            scene.commit(&manifest("app:broken"));
            let (_, outcome) = agent.ended().await;
            assert!(matches!(outcome, Outcome::RolledBack { .. }), "{outcome:?}");
            agent.rests().await;
            time::sleep(Duration::from_secs(100)).await;
            assert!(scene.sim.stop_by_hand(&"shop-dev-db-1".parse().unwrap()));
            agent.deployed(&first).await;
        })
        .await;
    counted.metrics.called("container_list", Duration::from_millis(3), false);
    counted.metrics.called("container_list", Duration::from_millis(700), true);
    counted
}

#[tokio::test(start_paused = true)]
async fn what_happens_is_counted() {
    let counted = eventful().await;
    for (wanted, expected) in [
        ("stack_sync{state=\"out_of_sync\"", 1.0),
        ("stack_sync{state=\"in_sync\"", 0.0),
        ("stack_health{state=\"healthy\"", 1.0),
        ("stack_operation{state=\"idle\"", 1.0),
        ("stack_held{reason=\"quarantined\"", 1.0),
        ("stack_held{reason=\"invalid\"", 0.0),
        ("deploys_total{kind=\"change\",outcome=\"deployed\"", 1.0),
        ("deploys_total{kind=\"change\",outcome=\"rolled_back\"", 1.0),
        ("deploys_total{kind=\"repair\",outcome=\"deployed\"", 1.0),
        ("deploys_total{kind=\"return\",outcome=\"deployed\"", 0.0),
        ("deploy_duration_seconds_count{outcome=\"deployed\"", 2.0),
        ("rollbacks_total", 1.0),
        ("drift_total{field=\"not_running\"", 1.0),
        ("missed_by_events_total", 0.0),
        ("fetch_failures_total", 0.0),
        ("dora_deployments_total", 1.0),
        ("dora_change_failures_total", 1.0),
        ("dora_lead_time_seconds_count", 1.0),
        ("docker_call_duration_seconds_count{call=\"container_list\"", 2.0),
        ("docker_call_duration_seconds_bucket{call=\"container_list\",le=\"0.005\"", 1.0),
        ("docker_call_errors_total{call=\"container_list\"", 1.0),
        ("reconciles_total{trigger=\"startup\"", 1.0),
    ] {
        counted.is(wanted, expected);
    }
    let out_of_sync = counted.value("stack_out_of_sync_seconds");
    assert!((100.0..200.0).contains(&out_of_sync), "{out_of_sync}");
    assert!(
        counted.value("stack_last_success_timestamp_seconds")
            < counted.value("stack_last_look_timestamp_seconds")
    );
    assert!(counted.value("reconcile_duration_seconds_count") >= 3.0);
    assert!(counted.value("dora_time_to_restore_seconds_count") >= 1.0);
}

/// Tells that each look was one that only time has brought about.
struct Unheard(Arc<StackMetrics>);

impl Progress for Unheard {
    fn event(&self, event: Event<'_>) {
        self.0.event(event);
    }
}

impl Audience for Unheard {
    fn happens(&self, happening: Happening<'_>) {
        self.0.happens(match happening {
            Happening::Compared(comparison) => {
                Happening::Compared(Comparison { trigger: Trigger::FullLook, ..comparison })
            }
            other => other,
        });
    }
}

#[tokio::test(start_paused = true)]
async fn what_events_did_not_tell_is_counted() {
    let counted = Counted::new();
    let scene = &counted.scene;
    let first = scene.commit(&manifest("app:1"));
    let unheard: Vec<Arc<dyn Audience>> = vec![Arc::new(Unheard(Arc::clone(&counted.stack)))];
    scene
        .play_before(unheard, async |agent| {
            agent.deployed(&first).await;
            counted.is("missed_by_events_total", 0.0);
            assert!(scene.sim.stop_by_hand(&"shop-dev-db-1".parse().unwrap()));
            agent.deployed(&first).await;
        })
        .await;
    counted.is("missed_by_events_total", 1.0);
    counted.is("drift_total{field=\"not_running\"", 1.0);
}

#[tokio::test(start_paused = true)]
async fn a_stack_that_is_followed_no_more_has_no_series() {
    let Counted { scene, metrics, stack, board } = eventful().await;
    assert!(metrics.scrape(Format::OpenMetrics).contains("stack=\"shop-dev\""));
    drop((scene, board));
    drop(stack);
    let text = metrics.scrape(Format::OpenMetrics);
    assert!(!text.contains("stack=\"") && text.contains("evenkeel_build_info"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn commits_are_in_one_metric_only_and_series_are_few() {
    let counted = eventful().await;
    for image in ["app:2", "app:3", "app:1", "app:2"] {
        let commit = counted.scene.commit(&manifest(image));
        let deployed = async |agent: &mut crate::agent::scene::Watcher| {
            while !matches!(agent.next().await, Heard::Ended { commit: ended, .. } if ended == commit) {}
        };
        counted.scene.play_before(counted.audiences(), deployed).await;
    }
    let text = counted.metrics.scrape(Format::OpenMetrics);
    let is_commit = Regex::new("\"[0-9a-f]{40}\"").unwrap();
    let with_commit: Vec<_> = text.lines().filter(|line| is_commit.is_match(line)).collect();
    assert_eq!(with_commit.len(), 1, "{with_commit:?}");
    assert!(with_commit[0].starts_with("evenkeel_stack_info{"));
    let series = text.lines().filter(|line| !line.starts_with('#')).count();
    assert!(series < 250, "{series} series for one stack");
}

/// The labels of every metric, by the name of its series.
fn known(text: &str) -> BTreeMap<String, BTreeSet<String>> {
    let label = Regex::new(r#"([a-z_]+)=""#).unwrap();
    let mut known: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let name = line.split(['{', ' ']).next().unwrap();
        let labels = label.captures_iter(line).map(|found| found[1].to_owned());
        // Prometheus adds where it has them from.
        known
            .entry(name.to_owned())
            .or_default()
            .extend(labels.chain(["instance".to_owned(), "job".to_owned()]));
    }
    known
}

/// What an expression says that isn't there.
fn complaints(expression: &str, known: &BTreeMap<String, BTreeSet<String>>) -> Vec<String> {
    let metric = Regex::new(r"(evenkeel_[a-z_]+)(?:\{([^}]*)\})?").unwrap();
    let label = Regex::new(r"([a-z_]+)\s*(?:=~|!~|!=|=)").unwrap();
    let grouped = Regex::new(r"(?:by|on|without)\s*\(([^)]*)\)").unwrap();
    let mut complaints = Vec::new();
    let mut all = BTreeSet::new();
    for found in metric.captures_iter(expression) {
        let Some(labels) = known.get(&found[1]) else {
            complaints.push(format!("there is no {} in {expression}", &found[1]));
            continue;
        };
        all.extend(labels.iter().cloned());
        for used in found.get(2).into_iter().flat_map(|inner| label.captures_iter(inner.as_str())) {
            if !labels.contains(&used[1]) {
                complaints.push(format!("{} has no {}", &found[1], &used[1]));
            }
        }
    }
    for group in grouped.captures_iter(expression) {
        let used = group[1].split(',').map(str::trim);
        complaints.extend(
            used.filter(|used| !all.contains(*used)).map(|used| format!("no {used} in {expression}")),
        );
    }
    complaints
}

fn root(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)
}

#[tokio::test(start_paused = true)]
async fn alerts_and_dashboard_speak_of_what_there_is() {
    let known = known(&eventful().await.metrics.scrape(Format::OpenMetrics));
    let mut expressions = Vec::new();
    let alerts: serde_json::Value =
        serde_yaml::from_str(&fs::read_to_string(root("docs/monitoring/alerts.yaml")).unwrap()).unwrap();
    let rules = alerts["groups"][0]["rules"].as_array().unwrap();
    assert!(rules.len() > 10);
    expressions.extend(rules.iter().map(|rule| rule["expr"].as_str().unwrap().to_owned()));
    let dashboard: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(root("docs/monitoring/dashboard.json")).unwrap()).unwrap();
    for panel in dashboard["panels"].as_array().unwrap() {
        let targets = panel["targets"].as_array().unwrap();
        expressions.extend(targets.iter().map(|target| target["expr"].as_str().unwrap().to_owned()));
    }
    assert!(expressions.len() > 30);
    let wrong: Vec<_> = expressions.iter().flat_map(|expression| complaints(expression, &known)).collect();
    assert_eq!(wrong, Vec::<String>::new());
    // The check can fail.
    for bad in [
        "evenkeel_stack_sink == 1",
        "evenkeel_stack_sync{status=\"x\"}",
        "sum by (commit) (evenkeel_rollbacks_total)",
    ] {
        assert_eq!(complaints(bad, &known).len(), 1, "{bad}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_manual_names_every_metric() {
    let text = eventful().await.metrics.scrape(Format::OpenMetrics);
    let manual = fs::read_to_string(root("docs/monitoring.md")).unwrap();
    let declared: BTreeSet<_> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "))
        .map(|line| {
            let (name, kind) = line.split_once(' ').unwrap();
            match kind {
                "counter" => format!("{name}_total"),
                "info" => format!("{name}_info"),
                _ => name.to_owned(),
            }
        })
        .collect();
    let named = Regex::new("`(evenkeel_[a-z_]+)`").unwrap();
    let named: BTreeSet<_> = named.captures_iter(&manual).map(|found| found[1].to_owned()).collect();
    assert_eq!(named, declared);
}

#[tokio::test]
async fn calls_of_docker_are_timed() {
    if docker::docker().await.is_none() {
        return;
    }
    let metrics = Metrics::new(Arc::new(Paused(Instant::now(), Timestamp::now())));
    let meter: Arc<dyn Meter> = Arc::clone(&metrics) as Arc<dyn Meter>;
    let docker = Docker::connect_metered(docker::host().as_deref(), meter).await.unwrap();
    docker.list_containers().await.unwrap();
    docker.inspect_container(&"00ff".parse().unwrap()).await.unwrap_err();
    let text = metrics.scrape(Format::OpenMetrics);
    assert!(
        text.contains("evenkeel_docker_call_duration_seconds_count{call=\"container_list\"} 1"),
        "{text}"
    );
    assert!(text.contains("evenkeel_docker_call_errors_total{call=\"container_inspect\"} 0"), "{text}");
}
