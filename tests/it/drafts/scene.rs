//! A simulated host on which others have made containers, and the law that what is written of it is true.

use std::collections::BTreeMap;

use evenkeel::apply::Host;
use evenkeel::apply::machine::{DeployError, Machine};
use evenkeel::apply::registry::Registries;
use evenkeel::engine::sim::{Sim, SimImage};
use evenkeel::engine::{CreateContainer, Engine};
use evenkeel::manifest::{self, Given, Input, MissingVariables, Request, Written, written};
use evenkeel::model::desired::{Condition, Desired, Revision, Service};
use evenkeel::model::live::LiveImage;
use evenkeel::model::name::{ContainerId, NetworkId, NetworkName, ServiceName};
use evenkeel::model::spec::{ContainerSpec, Healthcheck, Namespace, Peer};
use evenkeel::model::tree::MemoryTree;
use evenkeel::plan::adopt::Wish;
use tempfile::TempDir;

/// A host with the images of these tests, and a state folder.
pub struct Scene {
    pub sim: Sim,
    pub machine: Machine<Sim>,
    _state: TempDir,
}

/// Who made what is on the host.
#[derive(Clone, Copy, PartialEq)]
pub enum Maker {
    Compose,
    /// `docker run`, one by one.
    Hand,
}

impl Scene {
    pub fn new() -> Self {
        let sim = Sim::new();
        let mut rich = SimImage::of("rich");
        rich.defaults = LiveImage {
            entrypoint: vec!["/fixture".to_owned()],
            command: vec!["serve".to_owned()],
            environment: [("IMAGE_SAYS".to_owned(), "hello \"$you\"".to_owned())].into(),
            labels: [("image.label".to_owned(), "a b".to_owned())].into(),
            exposed_ports: ["8080/tcp".to_owned()].into(),
            volumes: ["/cache".to_owned()].into(),
            user: "0:0".to_owned(),
            working_dir: "/work".to_owned(),
            healthcheck: Some(Healthcheck { retries: Some(9), ..Healthcheck::default() }),
            ..rich.defaults
        };
        sim.add_image(&"rich:1".parse().unwrap(), rich);
        sim.add_image(&"plain:1".parse().unwrap(), SimImage::of("plain"));
        let state = tempfile::tempdir().unwrap();
        let machine = Machine::open(sim.clone(), state.path(), Host::Other).unwrap();
        Self { sim, machine, _state: state }
    }

    /// Makes everything of `desired` as `maker` does, and runs it.
    pub async fn make(&self, desired: &Desired, maker: Maker) {
        let project = |kind: &str, key: &str| {
            let labels = [("project", desired.stack.as_str()), (kind, key)];
            labels.map(|(name, value)| (format!("com.docker.compose.{name}"), value.to_owned()))
        };
        let mut networks: BTreeMap<NetworkName, NetworkId> = BTreeMap::new();
        for (key, spec) in &desired.networks {
            let mut spec = spec.clone();
            if maker == Maker::Compose && !spec.external {
                spec.labels.extend(project("network", key.as_str()));
            }
            networks.insert(spec.name.clone(), self.sim.create_network(&spec).await.unwrap());
        }
        for (key, spec) in &desired.volumes {
            let mut spec = spec.clone();
            if maker == Maker::Compose && !spec.external {
                spec.labels.extend(project("volume", key.as_str()));
            }
            self.sim.create_volume(&spec).await.unwrap();
        }
        let mut made: BTreeMap<ServiceName, ContainerId> = BTreeMap::new();
        let (peers, others): (Vec<_>, Vec<_>) =
            desired.services.values().partition(|service| service.spec.namespaces.peers().next().is_some());
        for service in others.into_iter().chain(peers) {
            for instance in service.instances() {
                let name = service.container_name(&desired.stack, &instance).unwrap();
                let mut spec = service.spec.clone();
                for (_, namespace) in spec.namespaces.by_key_mut() {
                    if let Some(Namespace::Of(Peer::Service(of))) = namespace {
                        *namespace = Some(Namespace::Of(Peer::Id(made[of].clone())));
                    }
                }
                let mut labels = BTreeMap::new();
                if maker == Maker::Compose {
                    labels = compose_labels(desired, service, instance.number);
                    for attachment in spec.networks.values_mut() {
                        attachment.aliases.extend([service.name.to_string(), name.to_string()]);
                    }
                }
                let networks = networks.clone();
                let id = self.sim.create_container(&CreateContainer { name, spec, labels, networks }).await;
                let id = id.unwrap();
                self.sim.start_container(&id).await.unwrap();
                made.insert(service.name.clone(), id);
            }
        }
        self.sim.forget_calls();
    }

    pub async fn write(&self, wish: &Wish) -> Result<Written, String> {
        let otherwise = "folder".parse().unwrap();
        match self.machine.draft(wish, (None, &otherwise)).await {
            Ok(draft) => Ok(written(&draft)),
            Err(DeployError::Refused(refused)) => Err(refused.to_string()),
            Err(error) => panic!("{error}"),
        }
    }

    /// What every container is made of, without what its id decides.
    async fn specs(&self) -> BTreeMap<String, ContainerSpec> {
        let mut specs = BTreeMap::new();
        for listed in self.sim.list_containers().await.unwrap() {
            let mut container = self.sim.inspect_container(&listed.id).await.unwrap();
            if container.spec.hostname.as_deref() == Some(listed.id.short()) {
                container.spec.hostname = None;
            }
            // Nobody can tell whether it was asked for, so it is never written.
            container.spec.networks.values_mut().for_each(|attachment| attachment.mac = None);
            specs.insert(container.name.to_string(), container.spec);
        }
        specs
    }

    /// The law: what is written leaves nothing to do here, and makes the same on an empty host. Else what is wrong.
    pub async fn law(&self, wish: &Wish, maker: Maker) -> Result<Written, String> {
        let file = self.write(wish).await?;
        assert_eq!(self.sim.writing_calls(), []);
        let again = read(&file)?;
        let proposal = self.machine.propose(&again, wish, Registries::Leave).await;
        match proposal {
            Ok(proposal) => {
                self.machine.adopt(&again, (wish, &proposal), "test").await.unwrap();
                let (plan, _) = self.machine.plan(&again, Registries::Leave).await.unwrap();
                for plan in [proposal.plan, plan] {
                    if !plan.is_empty() {
                        return Err(format!("{:#?}\n{}", plan.changes, file.text));
                    }
                }
            }
            // The simulator is an old engine to the planner, and takes more than one.
            Err(error) if error.to_string().contains("API") => {}
            Err(error) => return Err(format!("{error}\n{}", file.text)),
        }
        let elsewhere = Self::new();
        elsewhere.make(&again, maker).await;
        let (before, after) = (self.specs().await, elsewhere.specs().await);
        for (name, spec) in &before {
            if after.get(name) != Some(spec) {
                return Err(format!("{name}: {spec:#?}\n{:#?}\n{}", after.get(name), file.text));
            }
        }
        Ok(file)
    }
}

fn compose_labels(desired: &Desired, service: &Service, number: u32) -> BTreeMap<String, String> {
    let depends_on: Vec<String> = service
        .depends_on
        .iter()
        .map(|(name, dependency)| {
            let condition = match dependency.condition {
                Condition::Started => "service_started",
                Condition::Healthy => "service_healthy",
                Condition::Completed => "service_completed_successfully",
            };
            format!("{name}:{condition}:{}", dependency.restart)
        })
        .collect();
    [
        ("project", desired.stack.to_string()),
        ("service", service.name.to_string()),
        ("container-number", number.to_string()),
        ("oneoff", "False".to_owned()),
        ("depends_on", depends_on.join(",")),
    ]
    .map(|(name, value)| (format!("com.docker.compose.{name}"), value))
    .into()
}

/// What a text says, with these variables of the host.
pub fn resolved(text: &str, variables: &BTreeMap<String, String>) -> Result<Desired, String> {
    let mut tree = MemoryTree::default();
    tree.insert("srv/compose.yaml".parse().unwrap(), text.to_owned());
    let files = vec!["srv/compose.yaml".parse().unwrap()];
    let request = Request {
        tree: &tree,
        input: Input::Files(Given { files, ..Given::default() }),
        host_variables: variables,
        missing: MissingVariables::Refuse,
        revision: Revision::Files,
    };
    manifest::resolve(&request)
        .map(|resolved| resolved.desired)
        .map_err(|report| format!("{}\n{text}", report.render(false)))
}

/// A file that was written, read again with the variables that it wants.
fn read(file: &Written) -> Result<Desired, String> {
    let variables = file.variables.iter();
    let variables =
        variables.map(|(name, variable)| (name.clone(), variable.value.expose().to_owned())).collect();
    resolved(&file.text, &variables)
}
