//! A host with a small stack on it: a database, an application that needs it, and a proxy.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use evenkeel::apply::clock::Clock;
use evenkeel::apply::files::FileStore;
use evenkeel::apply::gate::probe::{HttpAnswer, HttpRequest, Prober};
use evenkeel::apply::ledger::{Ledger, new_deploy_id};
use evenkeel::apply::progress::{Event, Progress};
use evenkeel::apply::recover::{Recovered, recover};
use evenkeel::apply::{Host, Outcome, Run, Tools, apply};
use evenkeel::engine::Engine;
use evenkeel::engine::observe::observe;
use evenkeel::engine::sim::{Sim, SimImage};
use evenkeel::model::desired::{
    Condition, ContentKind, Dependency, Desired, FileContent, Gate, Prune, RepositoryContent, Revision,
    Service,
};
use evenkeel::model::image::{ImageRef, PullPolicy};
use evenkeel::model::live::{Live, LiveContainer, Status};
use evenkeel::model::name::{ContainerId, DeployId, ServiceName, StackName};
use evenkeel::model::policy::{Drift, Rollback};
use evenkeel::model::spec::{
    Attachment, ContainerSpec, ContentDigest, HealthTest, Healthcheck, Mount, MountSource, NetworkSpec,
    RestartPolicy,
};
use evenkeel::model::text::Text;
use evenkeel::model::update::{RollbackConfig, UpdateConfig};
use evenkeel::model::window::Admission;
use evenkeel::plan::fields::DigestKey;
use evenkeel::plan::normal;
use evenkeel::plan::{Plan, plan};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

/// A host, and all that a deploy works with.
pub struct Bench<E = Sim> {
    pub host: E,
    pub stack: StackName,
    pub ledger: Ledger,
    pub files: FileStore,
    pub told: Told,
    pub stop: CancellationToken,
    pub prober: Box<dyn Prober>,
    key: DigestKey,
    deploys: AtomicU32,
    _temp: TempDir,
}

pub fn stack() -> StackName {
    "auren-dev".parse().unwrap()
}

impl Bench {
    /// A host that has the images `db:1`, `app:1`, `app:2` and `proxy:1`.
    pub fn new() -> Self {
        let sim = Sim::new();
        for image in ["db:1", "app:1", "app:2", "proxy:1"] {
            sim.add_image(&image_ref(image), SimImage::of(image));
        }
        Self::on(sim, stack())
    }

    /// A host on which `desired` is deployed.
    pub async fn with(desired: &Desired) -> Self {
        let bench = Self::new();
        let outcome = bench.deploy(desired).await;
        assert!(matches!(outcome, Outcome::Applied(_)), "{outcome:?}");
        bench.host.forget_calls();
        bench
    }
}

impl<E: Engine> Bench<E> {
    pub fn on(host: E, stack: StackName) -> Self {
        let temp = tempfile::tempdir().unwrap();
        Self {
            host,
            stack,
            ledger: Ledger::open_in_memory().unwrap(),
            files: FileStore::new(temp.path().join("files")),
            told: Told::default(),
            stop: CancellationToken::new(),
            prober: Box::new(Nobody),
            key: DigestKey::new([7; 32]),
            deploys: AtomicU32::new(0),
            _temp: temp,
        }
    }

    pub fn tools(&self) -> Tools<'_> {
        Tools {
            ledger: &self.ledger,
            files: &self.files,
            prober: &*self.prober,
            progress: &self.told,
            clock: &Noon,
        }
    }

    pub async fn live(&self, desired: &Desired) -> Live {
        let references = desired.services.values().map(|service| service.spec.image.clone()).collect();
        observe(&self.host, &self.stack, &self.ledger.adopted(&self.stack).unwrap(), &references)
            .await
            .unwrap()
    }

    pub fn key(&self) -> &DigestKey {
        &self.key
    }

    pub async fn plan(&self, desired: &Desired) -> Plan {
        let files = self.files.root().to_str().unwrap();
        let host = normal::Host { key: &self.key, files };
        let last = self.ledger.last_applied(&self.stack).unwrap();
        plan(desired, &self.live(desired).await, &last, host).unwrap()
    }

    pub fn next_deploy(&self) -> DeployId {
        let number = self.deploys.fetch_add(1, Ordering::Relaxed);
        new_deploy_id(Noon.now(), number.to_be_bytes())
    }

    pub async fn deploy(&self, desired: &Desired) -> Outcome {
        self.carry_out(&self.plan(desired).await, desired).await
    }

    pub async fn carry_out(&self, plan: &Plan, desired: &Desired) -> Outcome {
        let deploy = self.next_deploy();
        let run = Run {
            tools: self.tools(),
            plan,
            contents: &desired.contents,
            deploy: &deploy,
            trigger: "push",
            actor: "test",
            host: Host::Other,
            stop: &self.stop,
        };
        apply(&self.host, run).await
    }

    pub async fn recover(&self) -> Option<Recovered> {
        recover(&self.host, &self.stack, self.tools()).await.unwrap()
    }

    /// Every container of the stack.
    pub async fn containers(&self) -> Vec<LiveContainer> {
        observe(&self.host, &self.stack, &self.ledger.adopted(&self.stack).unwrap(), &BTreeSet::new())
            .await
            .unwrap()
            .containers
            .into_values()
            .collect()
    }

    /// The containers that run, by their service.
    pub async fn running(&self) -> BTreeMap<String, Vec<LiveContainer>> {
        let mut running: BTreeMap<String, Vec<LiveContainer>> = BTreeMap::new();
        for container in self.containers().await {
            if container.state.status == Status::Running {
                running.entry(container.instance.service.to_string()).or_default().push(container);
            }
        }
        running
    }

    /// The ids of the containers that run, by their service. Each service must have exactly one.
    pub async fn serving(&self) -> BTreeMap<String, ContainerId> {
        let one = |(service, containers): (String, Vec<LiveContainer>)| {
            assert_eq!(containers.len(), 1, "{service} runs several times: {containers:#?}");
            (service, containers[0].id.clone())
        };
        self.running().await.into_iter().map(one).collect()
    }

    /// The running container of a service.
    pub async fn container(&self, service: &str) -> LiveContainer {
        self.running().await.remove(service).and_then(|mut containers| containers.pop()).unwrap()
    }

    /// Asserts that everything is as `desired` and nothing is left to do.
    pub async fn assert_at(&self, desired: &Desired) {
        let plan = self.plan(desired).await;
        assert!(plan.is_empty(), "still to do: {:#?}", plan.changes);
        let services: Vec<String> = desired.services.keys().map(ToString::to_string).collect();
        let serving: Vec<String> = self.serving().await.into_keys().collect();
        assert_eq!(serving, services);
    }
}

/// What a deploy told, as text.
#[derive(Default)]
pub struct Told(Mutex<Vec<String>>);

impl Told {
    pub fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

impl Progress for Told {
    fn event(&self, event: Event<'_>) {
        let line = match event {
            Event::Began { steps, .. } => format!("began: {steps} steps"),
            Event::StepDone { what, .. } => what.to_owned(),
            Event::StepFailed { failure, .. } => format!("failed: {failure}"),
            Event::Committed => "committed".to_owned(),
            Event::RollingBack { failure } => {
                format!("rolling back: {}", failure.map_or("stopped".to_owned(), ToString::to_string))
            }
            Event::StepStarted { .. }
            | Event::Pulling { .. }
            | Event::Waiting { .. }
            | Event::RollbackBegan { .. } => return,
        };
        self.0.lock().unwrap().push(line);
    }
}

/// It is always the same time.
pub struct Noon;

impl Clock for Noon {
    fn now(&self) -> Timestamp {
        "2026-01-01T12:00:00Z".parse().unwrap()
    }
}

/// Nobody answers on the network.
pub struct Nobody;

impl Prober for Nobody {
    fn http<'a>(
        &'a self,
        _: SocketAddr,
        _: &'a HttpRequest,
        _: Duration,
    ) -> BoxFuture<'a, Result<HttpAnswer, String>> {
        async { Err("nobody answers".to_owned()) }.boxed()
    }

    fn tcp(&self, _: SocketAddr, _: Duration) -> BoxFuture<'_, Result<(), String>> {
        async { Err("nobody answers".to_owned()) }.boxed()
    }
}

pub fn image_ref(image: &str) -> ImageRef {
    image.parse().unwrap()
}

pub fn service(name: &str, tier: &str, image: &str) -> Service {
    let mut spec = ContainerSpec::of_image(image_ref(image));
    spec.restart = RestartPolicy::UnlessStopped;
    spec.networks.insert("auren-dev_default".parse().unwrap(), Attachment::default());
    Service {
        name: name.parse().unwrap(),
        tier: tier.parse().unwrap(),
        container_name: None,
        replicas: 1,
        depends_on: BTreeMap::new(),
        gate: Gate::default(),
        update: UpdateConfig::default(),
        way_back: RollbackConfig::default(),
        drift: Drift::default(),
        rollback: Rollback::default(),
        watch: None,
        moved_from: None,
        pull: PullPolicy::default(),
        spec,
    }
}

/// A service of a stack, to be changed.
pub fn of<'d>(desired: &'d mut Desired, service: &str) -> &'d mut Service {
    desired.services.get_mut(&service.parse::<ServiceName>().unwrap()).unwrap()
}

/// A stack of so many services that nothing holds together, all made of one image.
pub fn crowd(count: u32, image: &str) -> Desired {
    let mut desired = stack_with(image);
    let name = |number| format!("worker{number:02}");
    desired.services = (0..count)
        .map(|number| service(&name(number), "apps", image))
        .map(|service| (service.name.clone(), service))
        .collect();
    desired.contents.clear();
    desired
}

/// The stack with `app` made of this image: `db` and then `app` with a health check, and `proxy` with a file of the
/// repository, in a later tier.
pub fn stack_with(app_image: &str) -> Desired {
    let db = service("db", "infrastructure", "db:1");
    let mut app = service("app", "apps", app_image);
    app.depends_on.insert(
        "db".parse::<ServiceName>().unwrap(),
        Dependency { condition: Condition::Healthy, required: true, restart: false },
    );
    app.spec.environment.insert("TOKEN".to_owned(), Text::sensitive("hunter22"));
    app.spec.healthcheck = Some(Healthcheck {
        test: Some(HealthTest::Exec(vec![Text::plain("check")])),
        interval: Some(Duration::from_secs(30)),
        timeout: Some(Duration::from_secs(5)),
        start_period: None,
        retries: Some(3),
        ..Healthcheck::default()
    });
    let mut proxy = service("proxy", "edge", "proxy:1");
    let digest = ContentDigest("c0ffee".to_owned());
    proxy.spec.mounts.insert(
        "/etc/proxy.conf".to_owned(),
        Mount { read_only: true, ..Mount::of(MountSource::Repository(digest.clone())) },
    );
    let file = FileContent { bytes: b"listen 80".to_vec(), executable: false };
    let content =
        RepositoryContent { path: "manifests/edge/proxy.conf".to_owned(), kind: ContentKind::File(file) };
    let network = NetworkSpec::named("auren-dev_default".parse().unwrap());
    Desired {
        stack: stack(),
        environment: None,
        revision: Revision::Files,
        tiers: ["infrastructure", "apps", "edge"].map(|tier| tier.parse().unwrap()).to_vec(),
        networks: BTreeMap::from([("default".parse().unwrap(), network)]),
        volumes: BTreeMap::new(),
        services: [db, app, proxy].into_iter().map(|service| (service.name.clone(), service)).collect(),
        contents: BTreeMap::from([(digest, content)]),
        hosts: Vec::new(),
        prune: Prune::default(),
        admission: Admission::default(),
    }
}
