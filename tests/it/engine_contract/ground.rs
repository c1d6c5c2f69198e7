//! Where a law is checked: an engine with the test image on it, and names that are nobody else's.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use evenkeel::engine::docker::Docker;
use evenkeel::engine::sim::{Behaviour, Reply, Sim, SimImage};
use evenkeel::engine::{CreateContainer, Engine};
use evenkeel::model::label;
use evenkeel::model::live::{LiveContainer, LiveImage};
use evenkeel::model::name::{
    ContainerId, ContainerName, DeployId, Instance, NetworkId, NetworkName, StackName, VolumeName,
};
use evenkeel::model::spec::{AddressPool, Attachment, ContainerSpec, NetworkSpec, VolumeSpec};
use evenkeel::model::text::Text;

use crate::common::docker::{Cleanup, docker as connect};
use crate::common::image::TestImage;
use crate::common::names::{unique_stack, unique_subnet};

/// An engine and a stack on it that only one test uses.
pub struct Ground<E> {
    pub engine: E,
    pub stack: StackName,
    pub image: TestImage,
    /// The image that gives something of each kind.
    pub rich: TestImage,
    /// The same engine once more if it is simulated, to set the scene.
    scene: Option<Sim>,
}

/// A simulated host with an image that behaves like the real one in as much as the laws ask.
pub fn simulated() -> Ground<Sim> {
    let (image, rich) = (TestImage::plain(), TestImage::rich());
    let engine = Sim::new();
    let mut simulated =
        SimImage::of("fixture").that(Behaviour { commands: commands(), ..Behaviour::default() });
    simulated.defaults = defaults("plain", &image);
    let rich_image = SimImage { defaults: defaults("rich", &rich), ..simulated.clone() };
    engine.add_image(&rich.reference, rich_image);
    engine.add_image(&image.reference, simulated.clone());
    for (tag, exits) in [("fails", (Duration::from_millis(50), 3)), ("ends", (Duration::from_millis(50), 0))]
    {
        let reference = format!("{}:{tag}", image.reference.repository()).parse().unwrap();
        let behaviour = Behaviour { exits: Some(exits), ..simulated.behaviour.clone() };
        let id = SimImage::of(tag).defaults.id;
        let defaults = LiveImage { id, ..simulated.defaults.clone() };
        engine.add_image(&reference, SimImage { defaults, behaviour });
    }
    Ground { scene: Some(engine.clone()), engine, stack: unique_stack(), image, rich }
}

fn defaults(seed: &str, image: &TestImage) -> LiveImage {
    let config = image.config.clone();
    LiveImage {
        entrypoint: config.entrypoint,
        command: config.command,
        environment: config.environment,
        labels: config.labels,
        exposed_ports: config.exposed_ports.into_iter().collect(),
        volumes: config.volumes.into_iter().collect(),
        user: config.user.unwrap_or_default(),
        working_dir: config.working_dir.unwrap_or_default(),
        ..SimImage::of(seed).defaults
    }
}

pub fn commands() -> BTreeMap<Vec<String>, Reply> {
    let command = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let reply =
        |code, output: &str, ms| Reply { code, output: output.to_owned(), takes: Duration::from_millis(ms) };
    [
        (command("/fixture exit 3"), reply(3, "", 0)),
        (command("/fixture say \u{1b}[31mred"), reply(0, "\u{1b}[31mred\n", 0)),
        (command("/fixture sleep 60000"), reply(0, "", 60_000)),
        (
            ["/fixture", "fail", "no\u{1b}[31m database"].map(str::to_owned).to_vec(),
            reply(1, "no\u{1b}[31m database\n", 0),
        ),
    ]
    .into()
}

/// A real Docker, if there is one. What the test makes is removed with the guard.
pub async fn docker() -> Option<(Ground<Docker>, Cleanup)> {
    let engine = connect().await?;
    let (image, rich) = (TestImage::plain(), TestImage::rich());
    image.ensure(&engine).await;
    rich.ensure(&engine).await;
    let stack = unique_stack();
    let cleanup = Cleanup(stack.clone());
    Some((Ground { engine, stack, image, rich, scene: None }, cleanup))
}

impl<E: Engine> Ground<E> {
    /// Whether no programs run here.
    pub fn is_simulated(&self) -> bool {
        self.scene.is_some()
    }

    /// Lets a simulated container behave as its command says; a real one does so by itself.
    pub fn behaves(&self, name: &ContainerName, behaviour: Behaviour) {
        if let Some(scene) = &self.scene {
            scene.change_behaviour(name, behaviour);
        }
    }

    /// Whether the engine has this version of the API.
    pub async fn has_api(&self, wanted: (u32, u32)) -> bool {
        let version = self.engine.server().await.unwrap().api_version;
        let (major, minor) = version.split_once('.').unwrap();
        (major.parse::<u32>().unwrap(), minor.parse::<u32>().unwrap()) >= wanted
    }

    /// A container of the test image that declares nothing else.
    pub fn spec(&self) -> ContainerSpec {
        ContainerSpec::of_image(self.image.reference.clone())
    }

    /// A container of the rich image that declares nothing else.
    pub fn rich_spec(&self) -> ContainerSpec {
        ContainerSpec::of_image(self.rich.reference.clone())
    }

    pub fn container_name(&self, service: &str) -> ContainerName {
        format!("{}-{service}-1", self.stack).parse().unwrap()
    }

    pub fn network_name(&self, key: &str) -> NetworkName {
        format!("{}_{key}", self.stack).parse().unwrap()
    }

    pub fn volume_name(&self, key: &str) -> VolumeName {
        format!("{}_{key}", self.stack).parse().unwrap()
    }

    /// A request to create the container of `service`.
    pub fn request(&self, service: &str, spec: ContainerSpec) -> CreateContainer {
        let instance = Instance { service: service.parse().unwrap(), number: 1 };
        let deploy: DeployId = "d1".parse().unwrap();
        CreateContainer {
            name: self.container_name(service),
            spec,
            labels: label::of_container(&self.stack, &instance, &deploy),
            networks: BTreeMap::new(),
        }
    }

    pub async fn create(&self, service: &str, spec: ContainerSpec) -> ContainerId {
        self.engine.create_container(&self.request(service, spec)).await.unwrap()
    }

    pub async fn created_and_started(&self, service: &str, spec: ContainerSpec) -> ContainerId {
        let id = self.create(service, spec).await;
        self.engine.start_container(&id).await.unwrap();
        id
    }

    pub async fn inspect(&self, id: &ContainerId) -> LiveContainer {
        self.engine.inspect_container(id).await.unwrap()
    }

    /// Looks at a container until it is as wanted. The limit only ends a test that would fail anyway.
    pub async fn until(&self, id: &ContainerId, wanted: impl Fn(&LiveContainer) -> bool) -> LiveContainer {
        for _ in 0..600 {
            let container = self.inspect(id).await;
            if wanted(&container) {
                return container;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("not as wanted within 30 s: {:?}", self.inspect(id).await.state);
    }

    pub fn network(&self, key: &str) -> NetworkSpec {
        let subnet = unique_subnet();
        let pool = AddressPool {
            subnet: format!("{subnet}0/24").parse().unwrap(),
            gateway: None,
            ip_range: None,
            reserved: BTreeMap::new(),
        };
        NetworkSpec {
            pools: vec![pool],
            labels: label::of_network(&self.stack, key),
            ..NetworkSpec::named(self.network_name(key))
        }
    }

    /// A request to create the container of `service` on a network of its own, so that its ports are published.
    pub async fn request_on_network(&self, service: &str, mut spec: ContainerSpec) -> CreateContainer {
        let (name, id) = self.created_network(service).await;
        spec.networks.insert(name.clone(), Attachment::default());
        let mut request = self.request(service, spec);
        request.networks.insert(name, id);
        request
    }

    pub async fn created_network(&self, key: &str) -> (NetworkName, NetworkId) {
        let spec = self.network(key);
        let id = self.engine.create_network(&spec).await.unwrap();
        (spec.name, id)
    }

    pub fn volume(&self, key: &str) -> VolumeSpec {
        VolumeSpec {
            name: self.volume_name(key),
            external: false,
            driver: None,
            options: BTreeMap::new(),
            labels: label::of_volume(&self.stack, key),
        }
    }
}

pub fn words(words: &[&str]) -> Vec<Text> {
    words.iter().map(|word| Text::plain(*word)).collect()
}

pub fn strings(words: &[&str]) -> BTreeSet<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}
