//! A host on paper: carries plans out on a [`Live`] value, by what Docker is known to do and nothing else, so that
//! the planner's laws can be tested by the thousand without any engine.

use std::collections::{BTreeMap, BTreeSet};

use evenkeel::model::desired::{Condition, Dependency, Desired, Gate, Prune, Revision, Service};
use evenkeel::model::image::PullPolicy;
use evenkeel::model::label;
use evenkeel::model::live::{
    ContainerState, DaemonDefaults, Live, LiveContainer, LiveImage, LiveNetwork, LiveVolume, Server, Status,
};
use evenkeel::model::name::{ContainerId, DeployId, ImageId, Instance, NetworkId, NetworkName, ServiceName};
use evenkeel::model::policy::{Drift, Rollback};
use evenkeel::model::spec::{
    Attachment, ContainerSpec, HostPort, Namespace, Peer, PublishedPort, Resources, RestartPolicy,
};
use evenkeel::model::text::Text;
use evenkeel::model::update::{RollbackConfig, UpdateConfig};
use evenkeel::model::window::Admission;
use evenkeel::plan::fields::DigestKey;
use evenkeel::plan::normal::Host;
use evenkeel::plan::step::{Action, NetworkRef, Step, Target};
use evenkeel::plan::{LastApplied, OpenDeploy, Plan};

pub(crate) fn key() -> DigestKey {
    DigestKey::new([7; 32])
}

pub(crate) fn host(key: &DigestKey) -> Host<'_> {
    Host { key, files: "/state/files" }
}

/// A service that runs `image:1` and declares nothing else.
pub(crate) fn service(name: &str, tier: &str) -> Service {
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
        spec: ContainerSpec {
            restart: RestartPolicy::UnlessStopped,
            ..ContainerSpec::of_image(format!("{name}:1").parse().unwrap())
        },
    }
}

pub(crate) fn needs(service: &mut Service, other: &str) {
    let dependency = Dependency { condition: Condition::Healthy, required: true, restart: false };
    service.depends_on.insert(other.parse().unwrap(), dependency);
}

pub(crate) fn desired(services: Vec<Service>) -> Desired {
    Desired {
        stack: "auren-dev".parse().unwrap(),
        environment: None,
        revision: Revision::Commit("3f9c1e2".repeat(6)[..40].to_owned()),
        tiers: vec!["infrastructure".parse().unwrap(), "apps".parse().unwrap()],
        networks: BTreeMap::new(),
        volumes: BTreeMap::new(),
        services: services.into_iter().map(|service| (service.name.clone(), service)).collect(),
        contents: BTreeMap::new(),
        hosts: Vec::new(),
        prune: Prune::default(),
        admission: Admission::default(),
    }
}

/// Docker and the ledger of one host.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Paper {
    pub(crate) live: Live,
    pub(crate) last: LastApplied,
    next_id: u32,
    deploys: u32,
}

/// An order in which steps may be carried out.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Order {
    /// As the plan has them.
    Planned,
    /// The last first, as far as its turn and the steps that it waits for allow.
    Backwards,
}

impl Order {
    fn of(self, steps: &[Step]) -> Vec<&Step> {
        let mut waiting: Vec<(usize, &Step)> = steps.iter().enumerate().collect();
        if matches!(self, Self::Backwards) {
            waiting.sort_by_key(|(at, step)| (step.turn, std::cmp::Reverse(*at)));
        }
        let (mut done, mut order) = (BTreeSet::new(), Vec::new());
        while !waiting.is_empty() {
            let next = waiting.iter().position(|(_, step)| step.after.iter().all(|at| done.contains(at)));
            let (at, step) = waiting.remove(next.expect("some step waits for none that is left"));
            done.insert(at);
            order.push(step);
        }
        order
    }
}

impl Paper {
    pub(crate) fn empty() -> Self {
        let server = Server {
            id: "paper".to_owned(),
            name: "paper".to_owned(),
            api_version: "1.41".to_owned(),
            defaults: DaemonDefaults::default(),
        };
        let live = Live {
            server,
            containers: BTreeMap::new(),
            others: BTreeMap::new(),
            networks: BTreeMap::new(),
            volumes: BTreeMap::new(),
            images: BTreeMap::new(),
            references: BTreeMap::new(),
            registry: BTreeMap::new(),
        };
        Self { live, last: LastApplied::default(), next_id: 1, deploys: 0 }
    }

    fn fresh_id(&mut self) -> String {
        self.next_id += 1;
        format!("{:064x}", self.next_id)
    }

    /// The container that serves as the first instance of `service`.
    pub(crate) fn container(&mut self, service: &str) -> &mut LiveContainer {
        let instance = Instance { service: service.parse::<ServiceName>().unwrap(), number: 1 };
        let (id, _) = self.last.current.get(&instance).unwrap();
        self.live.containers.get_mut(id).unwrap()
    }

    pub(crate) fn remove_by_hand(&mut self, service: &str) {
        let id = self.container(service).id.clone();
        self.live.containers.remove(&id);
    }

    /// Carries out the first `steps` steps of a plan, and all of them if there are no more.
    pub(crate) fn carry_out(&mut self, plan: &Plan, steps: usize) -> OpenDeploy {
        self.carry_out_in(Order::Planned, plan, steps)
    }

    /// The same in another order.
    pub(crate) fn carry_out_in(&mut self, order: Order, plan: &Plan, steps: usize) -> OpenDeploy {
        self.deploys += 1;
        let id: DeployId = format!("d{}", self.deploys).parse().unwrap();
        let open =
            OpenDeploy { id: id.clone(), stack: plan.stack.clone(), checkpoint: plan.checkpoint.clone() };
        let mut created = BTreeMap::new();
        for step in order.of(&plan.steps).into_iter().take(steps) {
            self.step(plan, step, &id, &mut created);
        }
        open
    }

    #[expect(clippy::too_many_lines, reason = "one short arm for each action")]
    fn step(
        &mut self,
        plan: &Plan,
        step: &Step,
        deploy: &DeployId,
        created: &mut BTreeMap<Instance, ContainerId>,
    ) {
        let resolve = |target: &Target| resolve_in(created, target);
        match &step.action {
            Action::PullImage { image, platform } => {
                let id: ImageId = format!("sha256:{}", self.fresh_id()).parse().unwrap();
                let pulled = LiveImage { platform: platform.clone(), ..LiveImage::bare(id.clone()) };
                self.live.images.insert(id.clone(), pulled);
                self.live.references.insert(image.clone(), id);
            }
            Action::TagImage { image, name } => {
                let id = self.live.references[image].clone();
                self.live.references.insert(name.clone(), id);
            }
            Action::CreateNetwork(spec) => {
                let id: NetworkId = self.fresh_id().parse().unwrap();
                let stack = Some(plan.stack.clone());
                self.live.networks.insert(id.clone(), LiveNetwork { id, spec: spec.clone(), stack });
            }
            Action::CreateVolume(spec) => {
                let volume = LiveVolume { spec: spec.clone(), stack: Some(plan.stack.clone()) };
                self.live.volumes.insert(spec.name.clone(), volume);
            }
            Action::Create { instance, name, spec, networks, peers } => {
                let names: BTreeSet<_> =
                    self.live.containers.values().map(|container| &container.name).collect();
                assert!(!names.contains(name), "the name {name} is taken");
                for (name, network) in networks {
                    let there = self.live.networks.values().any(|live| live.spec.name == *name);
                    assert!(there, "{network:?} is not there");
                }
                let id: ContainerId = self.fresh_id().parse().unwrap();
                let mut spec = (**spec).clone();
                for (_, namespace) in spec.namespaces.by_key_mut() {
                    if let Some(Namespace::Of(peer)) = namespace {
                        let id = resolve_in(created, &peers[peer]);
                        assert!(self.live.containers.contains_key(&id), "the container {id} is not there");
                        *peer = Peer::Id(id);
                    }
                }
                created.insert(instance.clone(), id.clone());
                let container = self.created(id.clone(), instance, &spec, deploy);
                self.live.containers.insert(id, LiveContainer { name: name.clone(), ..container });
            }
            Action::Fence(id) => self.at(id).spec.restart = RestartPolicy::No,
            Action::Stop { target, .. } => {
                self.at(&resolve(target)).state.status = Status::Exited { code: 0, out_of_memory: false };
            }
            Action::Start(target) => self.start(&resolve(target)),
            Action::Await { target, .. } => {
                assert_eq!(self.at(&resolve(target)).state.status, Status::Running);
            }
            Action::Update { target, restart, resources } => {
                let spec = &mut self.at(&resolve(target)).spec;
                spec.restart = restart.unwrap_or(spec.restart);
                update(&mut spec.resources, resources);
            }
            Action::Disconnect { container, name, network } => {
                let there = self.live.networks.values().any(|live| live.spec.name == *name);
                assert!(there, "{network:?} is not there");
                self.at(&resolve(container)).spec.networks.remove(name);
            }
            Action::Connect { container, name, network, attachment } => {
                assert!(matches!(network, NetworkRef::Existing(_)) || !self.live.networks.is_empty());
                let id = resolve(container);
                assert!(!self.at(&id).spec.networks.contains_key(name), "it has joined already");
                self.assert_free(&id, name, attachment);
                let joined = &mut self.at(&id).spec.networks;
                // Whoever leaves the first network and joins it again has it as the first.
                let first = attachment.first || joined.values().all(|other| !other.first);
                joined.insert(name.clone(), Attachment { first, ..attachment.clone() });
            }
            Action::Commit => {
                let current = plan.outcome.iter().map(|(instance, applied)| {
                    (instance.clone(), (resolve(&applied.target), applied.fields.clone()))
                });
                self.last.current = current.collect();
            }
            Action::Release { target, restart } => self.at(&resolve(target)).spec.restart = *restart,
            Action::Rename { target, name } => {
                let id = resolve(target);
                let taken = self.live.containers.values().any(|other| other.name == *name && other.id != id);
                assert!(!taken, "the name {name} is taken");
                self.at(&id).name = name.clone();
            }
            Action::Remove(id) => {
                assert_ne!(self.at(id).state.status, Status::Running);
                self.live.containers.remove(id);
            }
            Action::RemoveNetwork(id) => {
                self.live.networks.remove(id);
            }
            Action::Delay(_) | Action::LayDown(_) | Action::Grant { .. } | Action::Discard(_) => {}
        }
    }

    fn at(&mut self, id: &ContainerId) -> &mut LiveContainer {
        self.live.containers.get_mut(id).expect("the container is there")
    }

    fn start(&mut self, id: &ContainerId) {
        let ports = self.at(id).spec.ports.clone();
        let running =
            |container: &&LiveContainer| container.state.status == Status::Running && container.id != *id;
        for peer in self.live.containers[id].spec.namespaces.peers() {
            let Peer::Id(peer) = peer else { panic!("{peer} has no id") };
            let runs = |peer: &LiveContainer| peer.state.status == Status::Running;
            assert!(self.live.containers.get(peer).is_some_and(runs), "cannot join a non running container");
        }
        for other in self.live.containers.values().filter(running) {
            let taken = |port: &PublishedPort| {
                matches!(port.host, HostPort::One(_)) && other.spec.ports.contains(port)
            };
            assert!(!ports.iter().any(taken), "a port is already allocated");
        }
        for (name, attachment) in &self.live.containers[id].spec.networks {
            self.assert_free(id, name, attachment);
        }
        self.at(id).state.status = Status::Running;
    }

    /// No other running container has the fixed addresses.
    fn assert_free(&self, id: &ContainerId, name: &NetworkName, wanted: &Attachment) {
        let runs = |container: &&LiveContainer| container.state.status == Status::Running;
        for other in self.live.containers.values().filter(runs).filter(|other| other.id != *id) {
            let Some(held) = other.spec.networks.get(name) else { continue };
            let is_same = wanted.ipv4.is_some() && wanted.ipv4 == held.ipv4
                || wanted.ipv6.is_some() && wanted.ipv6 == held.ipv6;
            assert!(!is_same, "address already in use: {wanted:?} on {name}, by {}", other.name);
        }
    }

    fn created(
        &self,
        id: ContainerId,
        instance: &Instance,
        spec: &ContainerSpec,
        deploy: &DeployId,
    ) -> LiveContainer {
        let mut spec = ContainerSpec { restart: RestartPolicy::No, ..spec.clone() };
        spec.labels.extend(label::of_container(&"auren-dev".parse().unwrap(), instance, deploy));
        // An engine can't know which texts are sensitive and takes all of them as such.
        for value in spec.environment.values_mut() {
            *value = Text::sensitive(value.expose());
        }
        spec.hostname.get_or_insert_with(|| id.short().to_owned());
        spec.shm_size.get_or_insert(64 << 20);
        let hostname = spec.hostname.clone().filter(|hostname| hostname != id.short());
        for attachment in spec.networks.values_mut() {
            attachment.aliases.extend(hostname.clone());
        }
        if spec.networks.values().all(|attachment| !attachment.first)
            && let Some(attachment) = spec.networks.values_mut().next()
        {
            attachment.first = true;
        }
        if spec.networks.is_empty() {
            spec.namespaces.network.get_or_insert(Namespace::None);
        }
        spec.resources.memory_swap = spec.resources.memory_swap.or(spec.resources.default_swap());
        spec.expose.extend(spec.ports.iter().map(|port| port.container));
        LiveContainer {
            image: self.live.references[&spec.image].clone(),
            mounted: spec
                .mounted_images()
                .map(|(target, image)| (target.clone(), self.live.references[image].clone()))
                .collect(),
            id,
            name: "unnamed".parse().unwrap(),
            instance: instance.clone(),
            deploy: deploy.clone(),
            state: ContainerState {
                status: Status::Created,
                restarts: 0,
                started_at: String::new(),
                health: None,
                health_output: String::new(),
            },
            spec,
            addresses: BTreeMap::new(),
            endpoints: BTreeMap::new(),
            bound: BTreeSet::new(),
            beyond: BTreeSet::new(),
        }
    }
}

fn resolve_in(created: &BTreeMap<Instance, ContainerId>, target: &Target) -> ContainerId {
    match target {
        Target::Existing(id) => id.clone(),
        Target::New(instance) => created[instance].clone(),
    }
}

fn update(now: &mut Resources, wanted: &Resources) {
    now.memory = wanted.memory.or(now.memory);
    now.memory_swap = wanted.memory_swap.or(now.memory_swap);
    now.memory_reservation = wanted.memory_reservation.or(now.memory_reservation);
    now.nano_cpus = wanted.nano_cpus.or(now.nano_cpus);
    now.cpu_shares = wanted.cpu_shares.or(now.cpu_shares);
    now.cpu_period = wanted.cpu_period.or(now.cpu_period);
    now.cpu_quota = wanted.cpu_quota.or(now.cpu_quota);
    now.cpu_rt_period = wanted.cpu_rt_period.or(now.cpu_rt_period);
    now.cpu_rt_runtime = wanted.cpu_rt_runtime.or(now.cpu_rt_runtime);
    now.cpuset = wanted.cpuset.clone().or(now.cpuset.take());
    now.block_io_weight = wanted.block_io_weight.or(now.block_io_weight);
    now.pids = wanted.pids.or(now.pids);
}
