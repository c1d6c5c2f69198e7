//! Waits on a simulated host. Time is simulated too.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Mutex;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::*;
use crate::apply::gate::STABLE_FOR;
use crate::apply::gate::probe::HttpAnswer;
use crate::engine::CreateContainer;
use crate::engine::sim::{Behaviour, Fault, Sim, SimImage, Verb};
use crate::model::desired::HttpGate;
use crate::model::label;
use crate::model::name::Instance;
use crate::model::spec::{ContainerSpec, Healthcheck, RestartPolicy};

/// Answers as told, and notes what was asked.
#[derive(Default)]
struct Answers {
    status: u16,
    asked: Mutex<Vec<String>>,
}

impl Prober for Answers {
    fn http<'a>(
        &'a self,
        at: SocketAddr,
        path: &'a str,
        within: Duration,
    ) -> BoxFuture<'a, Result<HttpAnswer, String>> {
        self.asked.lock().unwrap().push(format!("GET {at}{path} within {within:?}"));
        async { Ok(HttpAnswer { status: self.status, body: Vec::new() }) }.boxed()
    }

    fn tcp(&self, at: SocketAddr, _: Duration) -> BoxFuture<'_, Result<(), String>> {
        self.asked.lock().unwrap().push(format!("connect {at}"));
        async { Ok(()) }.boxed()
    }
}

fn health() -> Healthcheck {
    Healthcheck {
        test: Some(HealthTest::Exec(vec![Text::plain("check")])),
        interval: Some(Duration::from_secs(30)),
        timeout: Some(Duration::from_secs(3)),
        start_period: None,
        retries: Some(3),
        ..Healthcheck::default()
    }
}

/// A host with one container that was just started.
async fn started(behaviour: Behaviour, healthcheck: Option<Healthcheck>) -> (Sim, ContainerId) {
    let sim = Sim::new();
    sim.add_image(&"app:1".parse().unwrap(), SimImage::of("app").that(behaviour));
    let mut spec = ContainerSpec::of_image("app:1".parse().unwrap());
    spec.restart = RestartPolicy::No;
    spec.healthcheck = healthcheck;
    let instance = Instance { service: "app".parse().unwrap(), number: 1 };
    let request = CreateContainer {
        name: "app".parse().unwrap(),
        spec,
        labels: label::of_container(&"auren-dev".parse().unwrap(), &instance, &"01".parse().unwrap()),
        networks: BTreeMap::new(),
    };
    let id = sim.create_container(&request).await.unwrap();
    sim.start_container(&id).await.unwrap();
    (sim, id)
}

async fn waited(sim: &Sim, container: &ContainerId, gate: &Gate) -> (Waited, Duration) {
    let (prober, halt) = (Answers::default(), CancellationToken::new());
    let start = Instant::now();
    let watch = Watch { container, gate, prober: &prober, halt: &halt };
    (wait(sim, watch, |_, _| {}).await, start.elapsed())
}

#[tokio::test(start_paused = true)]
async fn the_health_check_is_run_long_before_docker_would() {
    for ready_after in [Duration::ZERO, Duration::from_millis(300), Duration::from_secs(8)] {
        let behaviour = Behaviour { healthy_after: ready_after, ..Behaviour::default() };
        let (sim, id) = started(behaviour, Some(health())).await;
        let (waited, took) = waited(&sim, &id, &Gate::default()).await;
        assert_eq!(waited, Waited::Passed);
        assert!(took <= ready_after + LONGEST_PAUSE, "ready after {ready_after:?}, known after {took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_container_that_ends_is_not_waited_for() {
    let dies = Behaviour { exits: Some((Duration::from_secs(1), 2)), ..Behaviour::default() };
    let (sim, id) = started(dies, None).await;
    let (ended, took) = waited(&sim, &id, &Gate::default()).await;
    assert_eq!(ended, Waited::Failed(GateFailure::Exited { code: 2, out_of_memory: false }));
    assert!(took < Duration::from_secs(2), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_container_without_checks_must_stay_up() {
    let (sim, id) = started(Behaviour::default(), None).await;
    let (ended, took) = waited(&sim, &id, &Gate::default()).await;
    assert_eq!(ended, Waited::Passed);
    assert!(STABLE_FOR <= took && took <= STABLE_FOR + LONGEST_PAUSE, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_task_is_waited_for_until_it_has_ended() {
    let ends = Behaviour { exits: Some((Duration::from_secs(20), 0)), ..Behaviour::default() };
    let (sim, id) = started(ends, None).await;
    let gate = Gate { expect: Expect::Completed, ..Gate::default() };
    let (ended, took) = waited(&sim, &id, &gate).await;
    assert_eq!(ended, Waited::Passed);
    assert!(took <= Duration::from_secs(20) + LONGEST_PAUSE, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_container_that_is_removed_fails_at_once() {
    let never = Behaviour { healthy_after: Duration::MAX, ..Behaviour::default() };
    let (sim, id) = started(never, Some(health())).await;
    let removed = async {
        time::sleep(Duration::from_secs(4)).await;
        assert!(sim.remove_by_hand(&"app".parse().unwrap()));
    };
    let gate = Gate::default();
    let ((ended, took), ()) = tokio::join!(waited(&sim, &id, &gate), removed);
    assert_eq!(ended, Waited::Failed(GateFailure::Gone));
    assert!(took < Duration::from_secs(5), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_does_not_answer_is_waited_for_until_the_deadline() {
    let (sim, id) = started(Behaviour::default(), None).await;
    sim.on_call(Box::new(
        |call| {
            if call.verb == Verb::InspectContainer { Fault::Error } else { Fault::None }
        },
    ));
    let gate = Gate { deadline: Some(Duration::from_secs(7)), ..Gate::default() };
    let (ended, took) = waited(&sim, &id, &gate).await;
    assert!(matches!(ended, Waited::Unseen(EngineError::Unavailable { .. })), "{ended:?}");
    assert!(took >= Duration::from_secs(7), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_halt_ends_the_wait() {
    let (sim, id) = started(Behaviour::default(), None).await;
    let (prober, halt) = (Answers::default(), CancellationToken::new());
    halt.cancel();
    let gate = Gate::default();
    let watch = Watch { container: &id, gate: &gate, prober: &prober, halt: &halt };
    assert_eq!(wait(&sim, watch, |_, _| {}).await, Waited::Halted);
}

/// The simulated host has no network: its container gets an address by hand here.
async fn probed_at(
    address: Option<IpAddr>,
    gate: &Gate,
    prober: &Answers,
) -> (Result<Asked, GateFailure>, Seen) {
    let (sim, id) = started(Behaviour::default(), None).await;
    let mut container = sim.inspect_container(&id).await.unwrap();
    container.addresses.insert("auren".parse().unwrap(), address);
    let mut view = View::new(Instant::now());
    view.take(Some(container));
    let halt = CancellationToken::new();
    let watch = Watch { container: &id, gate, prober, halt: &halt };
    let asked = probe(&sim, watch, &mut view, DEADLINE).await;
    (asked, view.seen)
}

fn network_gate() -> Gate {
    let http = HttpGate {
        port: 8000,
        path: "/health".into(),
        status: 200,
        json: BTreeMap::new(),
        within: Some(Duration::from_millis(500)),
    };
    Gate { http: Some(http), tcp: Some(5432), ..Gate::default() }
}

#[tokio::test(start_paused = true)]
async fn the_address_of_the_container_is_asked() {
    let prober = Answers { status: 503, ..Answers::default() };
    let (asked, seen) = probed_at(Some("172.18.0.7".parse().unwrap()), &network_gate(), &prober).await;
    assert!(matches!(asked, Ok(Asked::SomethingPassed)));
    assert_eq!((seen.http, seen.tcp), (Probed::Failed("status 503, not 200".into()), Probed::Passed));
    let asked = prober.asked.lock().unwrap().clone();
    assert_eq!(asked, ["GET 172.18.0.7:8000/health within 500ms", "connect 172.18.0.7:5432"]);
}

#[tokio::test(start_paused = true)]
async fn without_an_address_the_gate_fails_and_says_so() {
    let (asked, _) = probed_at(None, &network_gate(), &Answers::default()).await;
    let failure = asked.err().unwrap();
    assert_eq!(
        failure.to_string(),
        "port 8000 can't be asked: the container has no address of its own on this host"
    );
}
