//! The same on a real Docker: a deploy behind gates of every kind, and the way back.

use std::collections::BTreeMap;
use std::time::Duration;

use evenkeel::apply::Outcome;
use evenkeel::apply::gate::probe::NetworkProber;
use evenkeel::engine::docker::Docker;
use evenkeel::model::desired::{Condition, Dependency, Desired, Gate, HttpProbe, Probe, Prune, Revision};
use evenkeel::model::name::StackName;
use evenkeel::model::spec::{AddressPool, HealthTest, Healthcheck, NetworkSpec};
use evenkeel::model::text::Text;
use evenkeel::model::window::Admission;

use super::bench::{Bench, service};
use crate::common::docker::{Cleanup, docker};
use crate::common::image::TestImage;
use crate::common::names::{unique_stack, unique_subnet};

/// A stack of two: `db` behind its port, `app` behind its health check and an HTTP request. `more` are further words
/// for the program of `app`.
fn stack_that(stack: &StackName, subnet: &str, more: &str) -> Desired {
    let image = TestImage::plain().reference.to_string();
    let mut db = service("db", "infrastructure", &image);
    db.gate = Gate { probes: vec![Probe::Tcp(8080)], ..Gate::default() };
    let mut app = service("app", "apps", &image);
    let http = Probe::Http(HttpProbe::get(8080, "/health"));
    app.gate = Gate { probes: vec![http], ..Gate::default() };
    app.spec.environment.insert("FIXTURE".to_owned(), Text::plain(more));
    app.spec.healthcheck = Some(Healthcheck {
        test: Some(HealthTest::Exec(vec![Text::plain("/fixture"), Text::plain("probe")])),
        interval: Some(Duration::from_secs(30)),
        timeout: Some(Duration::from_secs(5)),
        start_period: None,
        retries: Some(3),
        ..Healthcheck::default()
    });
    let needs = Dependency { condition: Condition::Healthy, required: true, restart: false };
    app.depends_on.insert(db.name.clone(), needs);
    let name: evenkeel::model::name::NetworkName = format!("{stack}_default").parse().unwrap();
    for service in [&mut db, &mut app] {
        let attachment = service.spec.networks.pop_first().unwrap().1;
        service.spec.networks.insert(name.clone(), attachment);
        service.spec.stop_grace = Some(Duration::from_secs(2));
    }
    let pool = AddressPool {
        subnet: format!("{subnet}0/24").parse().unwrap(),
        gateway: None,
        ip_range: None,
        reserved: BTreeMap::new(),
    };
    let network = NetworkSpec { pools: vec![pool], ..NetworkSpec::named(name) };
    Desired {
        stack: stack.clone(),
        environment: None,
        revision: Revision::Files,
        tiers: ["infrastructure", "apps"].map(|tier| tier.parse().unwrap()).to_vec(),
        networks: BTreeMap::from([("default".parse().unwrap(), network)]),
        volumes: BTreeMap::new(),
        services: [db, app].into_iter().map(|service| (service.name.clone(), service)).collect(),
        contents: BTreeMap::new(),
        hosts: Vec::new(),
        prune: Prune::default(),
        admission: Admission::default(),
    }
}

async fn bench() -> Option<(Bench<Docker>, Cleanup)> {
    let docker = docker().await?;
    TestImage::plain().ensure(&docker).await;
    let stack = unique_stack();
    let cleanup = Cleanup(stack.clone());
    let mut bench = Bench::on(docker, stack);
    bench.prober = Box::new(NetworkProber);
    Some((bench, cleanup))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stack_comes_up_behind_its_gates_and_a_broken_change_goes_back() {
    let Some((bench, _cleanup)) = bench().await else { return };
    let subnet = unique_subnet();
    let good = stack_that(&bench.stack, &subnet, "--healthy-after 300");
    let outcome = bench.deploy(&good).await;
    assert!(matches!(outcome, Outcome::Applied(_)), "{outcome:?}");
    bench.assert_at(&good).await;
    assert_eq!(bench.deploy(&good).await, Outcome::Unchanged);
    let before = bench.serving().await;

    let bad = stack_that(&bench.stack, &subnet, "--say farewell --exit 3 --after 200");
    let outcome = bench.deploy(&bad).await;
    let Outcome::RolledBack { failure, .. } = outcome else { panic!("{outcome:?}") };
    assert_eq!(failure.to_string(), "wait for app: its process exited with 3");
    assert_eq!(failure.log_tail, ["farewell"]);
    assert_eq!(bench.serving().await, before);
    bench.assert_at(&good).await;

    let changed = stack_that(&bench.stack, &subnet, "--healthy-after 100");
    let outcome = bench.deploy(&changed).await;
    let Outcome::Applied(report) = outcome else { panic!("{outcome:?}") };
    assert_eq!(report.warnings, []);
    bench.assert_at(&changed).await;
    assert_ne!(bench.serving().await["app"], before["app"]);
}
