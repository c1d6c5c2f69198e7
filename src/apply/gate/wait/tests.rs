//! Waits on a simulated host. Time is simulated too.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Mutex;

use futures_util::FutureExt;
use proptest::prelude::*;

use super::*;
use crate::apply::gate::probe::{Body, HttpAnswer, HttpRequest};
use crate::apply::gate::{STABLE_FOR, limit};
use crate::engine::CreateContainer;
use crate::engine::sim::{Behaviour, Fault, Sim, SimImage, Verb};
use crate::model::desired::{HttpProbe, LogProbe, Probe};
use crate::model::label;
use crate::model::name::Instance;
use crate::model::spec::{
    Attachment, ContainerPort, ContainerSpec, Healthcheck, HostPort, NetworkSpec, Protocol, PublishedPort,
    RestartPolicy,
};
use crate::model::text::Text;

/// Answers as told, and notes what was asked.
struct Answers {
    /// The statuses of answers by their order; the last one is for all that follow.
    statuses: Vec<u16>,
    headers: Vec<(String, String)>,
    /// Ports that refuse.
    refusing: BTreeSet<u16>,
    /// Each answer takes so long.
    takes: Duration,
    asked: Mutex<Vec<String>>,
}

impl Default for Answers {
    fn default() -> Self {
        Self {
            statuses: vec![200],
            headers: Vec::new(),
            refusing: BTreeSet::new(),
            takes: Duration::ZERO,
            asked: Mutex::default(),
        }
    }
}

impl Answers {
    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

impl Prober for Answers {
    fn http<'a>(
        &'a self,
        at: SocketAddr,
        request: &'a HttpRequest,
        _: Duration,
    ) -> BoxFuture<'a, Result<HttpAnswer, String>> {
        let mut asked = self.asked.lock().unwrap();
        let status = self.statuses.get(asked.len()).or(self.statuses.last()).copied().unwrap();
        asked.push(format!("{} {at}{}", request.method.word(), request.path));
        async move {
            time::sleep(self.takes).await;
            Ok(HttpAnswer { status, headers: self.headers.clone(), body: Body::TooLong })
        }
        .boxed()
    }

    fn tcp(&self, at: SocketAddr, _: Duration) -> BoxFuture<'_, Result<(), String>> {
        self.asked.lock().unwrap().push(format!("connect {at}"));
        let refused = self.refusing.contains(&at.port());
        async move { if refused { Err("refused".to_owned()) } else { Ok(()) } }.boxed()
    }
}

mod probes;

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
    started_with(behaviour, healthcheck, BTreeSet::new()).await
}

async fn started_with(
    behaviour: Behaviour,
    healthcheck: Option<Healthcheck>,
    ports: BTreeSet<PublishedPort>,
) -> (Sim, ContainerId) {
    let sim = Sim::new();
    sim.pretend_address("172.18.0.7".parse().unwrap());
    sim.add_image(&"app:1".parse().unwrap(), SimImage::of("app").that(behaviour));
    let network = NetworkSpec::named("auren".parse().unwrap());
    let network_id = sim.create_network(&network).await.unwrap();
    let mut spec = ContainerSpec::of_image("app:1".parse().unwrap());
    spec.restart = RestartPolicy::No;
    spec.healthcheck = healthcheck;
    spec.ports = ports;
    spec.networks.insert(network.name.clone(), Attachment::default());
    let instance = Instance { service: "app".parse().unwrap(), number: 1 };
    let request = CreateContainer {
        name: "app".parse().unwrap(),
        spec,
        labels: label::of_container(&"auren-dev".parse().unwrap(), &instance, &"01".parse().unwrap()),
        networks: BTreeMap::from([(network.name, network_id)]),
    };
    let id = sim.create_container(&request).await.unwrap();
    sim.start_container(&id).await.unwrap();
    (sim, id)
}

async fn waited(sim: &Sim, container: &ContainerId, gate: &Gate) -> (Waited, Duration) {
    waited_with(sim, container, gate, &Answers::default()).await
}

async fn waited_with(
    sim: &Sim,
    container: &ContainerId,
    gate: &Gate,
    prober: &dyn Prober,
) -> (Waited, Duration) {
    let halt = CancellationToken::new();
    let start = Instant::now();
    let strike = |text: &str| text.replace("hunter22", "(sensitive)");
    let watch = Watch { container, gate, prober, strike: &strike, halt: &halt };
    (wait(sim, watch, |_, _| {}).await, start.elapsed())
}

fn asking(probes: Vec<Probe>) -> Gate {
    Gate { probes, deadline: Some(Duration::from_secs(20)), ..Gate::default() }
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
    let strike = |text: &str| text.to_owned();
    let watch = Watch { container: &id, gate: &gate, prober: &prober, strike: &strike, halt: &halt };
    assert_eq!(wait(&sim, watch, |_, _| {}).await, Waited::Halted);
}

fn published(port: u16, protocol: Protocol) -> BTreeSet<PublishedPort> {
    let container = ContainerPort { number: 80, protocol };
    [PublishedPort { container, host_ip: None, host: HostPort::One(port) }].into()
}

#[tokio::test(start_paused = true)]
async fn a_port_that_docker_did_not_bind_is_a_failure() {
    for protocol in [Protocol::Tcp, Protocol::Udp] {
        let ports = published(8080, protocol);
        let unbound = Behaviour { unbound: true, ..Behaviour::default() };
        let (sim, id) = started_with(unbound, None, ports.clone()).await;
        let (ended, took) = waited(&sim, &id, &Gate::default()).await;
        assert_eq!(ended, Waited::Failed(GateFailure::NotBound { ports: ports.into_iter().collect() }));
        assert!(took < Duration::from_secs(3), "{took:?}");
        // One that goes back to what it was is not asked for more than it had.
        let before = Gate { ports: Ports::AsBefore, ..Gate::default() };
        assert_eq!(waited(&sim, &id, &before).await.0, Waited::Passed);
    }
}

#[tokio::test(start_paused = true)]
async fn a_host_that_refuses_what_its_container_accepts_is_a_failure() {
    let (sim, id) = started_with(Behaviour::default(), None, published(8080, Protocol::Tcp)).await;
    let gate = Gate { deadline: Some(Duration::from_secs(5)), ..Gate::default() };
    let refusing =
        |ports: &[u16]| Answers { refusing: ports.iter().copied().collect(), ..Answers::default() };
    let (ended, _) = waited_with(&sim, &id, &gate, &refusing(&[8080])).await;
    let Waited::Failed(failure) = ended else { panic!("{ended:?}") };
    let why = "still waiting for its published ports after 5 s, at last: the container accepts connections on port 80, \
               and the host does not on 127.0.0.1:8080: refused";
    assert_eq!(failure.to_string(), why);
    // Nobody listens: that may be meant so.
    assert_eq!(waited_with(&sim, &id, &gate, &refusing(&[80, 8080])).await.0, Waited::Passed);
    let answers = Answers::default();
    assert_eq!(waited_with(&sim, &id, &gate, &answers).await.0, Waited::Passed);
    assert_eq!(answers.asked(), ["connect 127.0.0.1:8080"]);
}

#[tokio::test(start_paused = true)]
async fn each_progress_gives_the_deadline_anew() {
    let later = |seconds, line: &str| (Duration::from_secs(seconds), line.to_owned());
    let behaviour = Behaviour {
        writes_later: vec![later(15, "one"), later(30, "two"), later(45, "three"), later(65, "four")],
        ..Behaviour::default()
    };
    let gate = |lines: &[&str]| {
        asking(lines.iter().map(|line| Probe::Log(LogProbe::Line((*line).into()))).collect())
    };
    let (sim, id) = started(behaviour.clone(), None).await;
    assert_eq!(waited(&sim, &id, &gate(&["one", "two", "three"])).await.0, Waited::Passed);
    let (sim, id) = started(behaviour.clone(), None).await;
    let (ended, took) = waited(&sim, &id, &gate(&["two"])).await;
    assert!(matches!(ended, Waited::Failed(GateFailure::Deadline { .. })), "{ended:?}");
    assert!(took < Duration::from_secs(21), "{took:?}");
    let (sim, id) = started(behaviour, None).await;
    let (ended, took) = waited(&sim, &id, &gate(&["one", "two", "three", "four"])).await;
    assert!(matches!(ended, Waited::Failed(GateFailure::Endless { .. })), "{ended:?}");
    assert!(took < Duration::from_secs(61), "{took:?}");
}

/// What a container and those who ask it may do.
fn any_container() -> impl Strategy<Value = (Behaviour, Vec<u16>, u64)> {
    let behaviour = (
        proptest::option::of((0_u64..90, 0_i64..3)),
        proptest::option::of(0_u64..90),
        proptest::collection::vec(0_u64..90, 0..3),
    );
    let behaviour = behaviour.prop_map(|(exits, healthy, lines)| {
        let mut lines = lines;
        lines.sort_unstable();
        Behaviour {
            exits: exits.map(|(after, code)| (Duration::from_secs(after), code)),
            healthy_after: healthy.map_or(Duration::MAX, Duration::from_secs),
            writes_later: lines
                .into_iter()
                .map(|after| (Duration::from_secs(after), "ready".to_owned()))
                .collect(),
            ..Behaviour::default()
        }
    });
    (behaviour, proptest::collection::vec(prop_oneof![Just(200), Just(503)], 1..8), 0_u64..8_000)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    /// Whatever is answered and however slowly, a wait ends by the limit of its gate.
    #[test]
    fn a_wait_ends_by_the_limit_of_its_gate((behaviour, statuses, takes) in any_container()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let (sim, id) = started(behaviour, Some(health())).await;
            let prober = Answers { statuses, takes: Duration::from_millis(takes), ..Answers::default() };
            let gate = asking(vec![
                Probe::Http(HttpProbe::get(80, "/")),
                Probe::Log(LogProbe::Line("ready".into())),
                Probe::Tcp(81),
            ]);
            let (ended, took) = waited_with(&sim, &id, &gate, &prober).await;
            assert!(matches!(ended, Waited::Passed | Waited::Failed(_)), "{ended:?}");
            assert!(took <= limit(&gate, None) + LONGEST_PAUSE, "{took:?}");
        });
    }
}
