//! A stack in which everything changes from version to version, and what must hold of it whatever happens.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Stdio;

use bollard::query_parameters::{DownloadFromContainerOptionsBuilder, UploadToContainerOptionsBuilder};
use evenkeel::apply::Host;
use evenkeel::apply::machine::Machine;
use evenkeel::engine::Engine;
use evenkeel::engine::docker::Docker;
use evenkeel::model::live::{LiveContainer, Status};
use evenkeel::model::name::ContainerId;
use evenkeel::model::spec::{MountSource, RestartPolicy};
use evenkeel::model::text::Text;
use futures_util::TryStreamExt;

use super::super::{Begun, Ran, Stage, eventually, running};
use crate::common::docker::client;
use crate::common::names::{unique_port, unique_subnet};

/// What is written into the volume once, and must be there ever after.
const MARKER: &str = "kept-since-the-first-day";

/// Two tiers: a database with a volume in two networks, one of which changes; an application behind a published port; and
/// a worker that has another name in every other version.
pub struct Scene {
    pub stage: Stage,
    /// Somebody else's, on the same host.
    other: Stage,
    others: Vec<(String, String)>,
    pub port: u16,
    subnets: [String; 2],
    /// From API 1.44 on a container can't outlive its first network, so that none is made anew under it.
    network_changes: bool,
    git: git2::Repository,
}

/// What `web` does.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Web {
    /// It serves.
    Good,
    /// It ends.
    Ends,
    /// It never becomes healthy.
    Hangs,
}

impl Scene {
    /// The first version, deployed, if there is a Docker.
    pub async fn new() -> Option<Self> {
        let (stage, other) = (Stage::new().await?, Stage::new().await?);
        other.compose("\n  theirs:\n    image: IMAGE\n    restart: always\n    stop_grace_period: 1s\n");
        other.apply().ends_with(0);
        let git = git2::Repository::init(stage.path()).unwrap();
        let subnets = [unique_subnet(), unique_subnet()];
        let api = stage.docker.server().await.unwrap().api_version;
        let minor: u32 = api.split_once('.').unwrap().1.parse().unwrap();
        let (network_changes, port) = (minor < 44, unique_port());
        let mut scene = Self { stage, other, others: Vec::new(), port, subnets, network_changes, git };
        scene.others = scene.others_now().await;
        scene.file(".gitignore", "state/\n");
        scene.file("evenkeel.yaml", "project: shop\ntiers: [infrastructure, apps]\n");
        scene.file("environments/dev/environment.yaml", &format!("stack: {}\n", scene.stage.stack));
        scene.write(1, Web::Good);
        scene.commit();
        scene.apply().ends_with(0);
        scene.fill_volume().await;
        Some(scene)
    }

    /// The first write to strike and the distance to the next, where no network is made anew: then a run makes about half
    /// as many writes as `usual` is meant for.
    pub fn strides(&self, usual: (usize, usize)) -> (usize, usize) {
        let (first, distance) = usual;
        if self.network_changes { usual } else { (first.div_ceil(2), distance.div_ceil(2)) }
    }

    fn file(&self, path: &str, text: &str) {
        let path = self.stage.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Writes the manifests of a version.
    pub fn write(&self, version: u32, web: Web) {
        self.write_with(version, web, &self.stage.image);
    }

    /// The same with another image for `web`.
    pub fn write_with(&self, version: u32, web: Web, image_of_web: &str) {
        let Self { port, subnets: [front, back], .. } = self;
        let image = &self.stage.image;
        let of_network = if self.network_changes { version } else { 1 };
        let common = format!(
            "    restart: always\n    stop_grace_period: 1s\n    environment: {{V: \"{version}\"}}\n    \
             healthcheck: {{test: [CMD, /fixture, probe], interval: 1h, timeout: 5s, start_period: 60s}}\n"
        );
        self.file(
            "manifests/infrastructure/db.yaml",
            &format!(
                "services:\n  db:\n    image: {image}\n{common}    volumes: [data:/data]\n    networks: [default, back]\nvolumes:\n  data: {{}}\nnetworks:\n  \
                 default: {{ipam: {{config: [{{subnet: {front}0/24}}]}}}}\n  \
                 back: {{labels: {{v: \"{of_network}\"}}, ipam: {{config: [{{subnet: {back}0/24}}]}}}}\n"
            ),
        );
        let command = match web {
            Web::Good => "[serve]",
            Web::Ends => "[serve, --exit, \"3\", --after, \"100\"]",
            Web::Hangs => "[serve, --healthy-after, \"600000\"]",
        };
        let worker = worker(version);
        self.file(
            "manifests/apps/web.yaml",
            &format!(
                "services:\n  web:\n    image: {image_of_web}\n{common}    command: {command}\n    \
                 ports: [\"127.0.0.1:{port}:8080\"]\n    depends_on: {{db: {{condition: service_healthy}}}}\n  \
                 {worker}:\n    image: {image}\n{common}    depends_on: [web]\n    configs: [app]\n\
                 configs:\n  app: {{content: \"version {version}\"}}\n"
            ),
        );
    }

    /// Commits what is written.
    pub fn commit(&self) {
        let mut index = self.git.index().unwrap();
        index.add_all(["*"], git2::IndexAddOption::DEFAULT, None).unwrap();
        index.write().unwrap();
        let tree = self.git.find_tree(index.write_tree().unwrap()).unwrap();
        let author = git2::Signature::now("Ada", "ada@example.org").unwrap();
        let parent = self.git.head().ok().and_then(|head| head.peel_to_commit().ok());
        let parents: Vec<&git2::Commit<'_>> = parent.iter().collect();
        self.git.commit(Some("HEAD"), &author, &author, "a version", &tree, &parents).unwrap();
    }

    pub fn run(&self, words: &str) -> Ran {
        self.stage.run(&format!("--env dev {words}"))
    }

    pub fn apply(&self) -> Ran {
        self.run("apply --yes")
    }

    /// Runs the program with a switch of `engine::effect`.
    pub fn run_with(&self, words: &str, switch: &str, place: &str) -> Ran {
        let mut command = self.stage.command(&format!("--env dev {words}"));
        Ran::of(words, &command.env(switch, place).output().unwrap())
    }

    /// The same, without waiting for it.
    pub fn begin_with(&self, words: &str, switch: &str, place: &str) -> Begun {
        let mut command = self.stage.command(&format!("--env dev {words}"));
        let command = command.env(switch, place).stdout(Stdio::piped()).stderr(Stdio::piped());
        Begun(Some(command.spawn().unwrap()))
    }

    /// Puts the marker where only the volume keeps it.
    async fn fill_volume(&self) {
        let mut archive = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(u64::try_from(MARKER.len()).unwrap());
        archive.append_data(&mut header, "marker", MARKER.as_bytes()).unwrap();
        let body = bollard::body_full(archive.into_inner().unwrap().into());
        let options = UploadToContainerOptionsBuilder::new().path("/data").build();
        let db = self.serving().await["db"].clone();
        client().await.unwrap().upload_to_container(db.as_str(), Some(options), body).await.unwrap();
    }

    /// The containers that run, by service. None has two.
    pub async fn serving(&self) -> BTreeMap<String, ContainerId> {
        let mut serving = BTreeMap::new();
        for container in self.stage.containers().await {
            if container.state.status == Status::Running {
                let service = container.instance.service.to_string();
                let twice = serving.insert(service.clone(), container.id);
                assert_eq!(twice, None, "{service} runs twice");
            }
        }
        serving
    }

    async fn others_now(&self) -> Vec<(String, String)> {
        let containers = self.other.containers().await;
        containers.into_iter().map(|theirs| (theirs.id.to_string(), theirs.state.started_at)).collect()
    }

    /// Asserts that nothing is lost at this moment, in the middle of whatever it is: what served `before` is still on the
    /// host, and others are as they were.
    pub async fn assert_nothing_lost(&self, before: &BTreeMap<String, ContainerId>, context: &str) {
        let listed = self.stage.docker.list_containers().await.unwrap();
        let there: BTreeSet<ContainerId> = listed.into_iter().map(|listed| listed.id).collect();
        for (service, container) in before {
            assert!(there.contains(container), "{context}: the old {service} is gone");
        }
        let volumes = self.stage.docker.list_volumes().await.unwrap();
        let name = format!("{}_data", self.stage.stack);
        assert!(
            volumes.iter().any(|volume| volume.spec.name.as_str() == name),
            "{context}: the volume is gone"
        );
    }

    /// Asserts that others are as they were, restarts of the engine left aside.
    pub async fn assert_others_untouched(&self, context: &str) {
        assert_eq!(self.others_now().await, self.others, "{context}: others");
    }

    /// Asserts that what belongs to others runs, in the same containers.
    pub async fn assert_others_run(&self, context: &str) {
        let same = async || {
            let theirs = self.other.containers().await;
            let is_up = |one: &LiveContainer| one.state.status == Status::Running;
            let ids = self.others.iter().map(|(id, _)| id.as_str());
            theirs.iter().all(is_up) && theirs.iter().map(|one| one.id.as_str()).eq(ids)
        };
        eventually(&format!("{context}: others run"), same).await;
    }

    /// Whether this is all of a version, by what the containers say.
    pub async fn is_of(&self, serving: &BTreeMap<String, ContainerId>, version: u32) -> bool {
        let services = ["db", "web", worker(version)];
        if !serving.keys().map(String::as_str).eq(services) {
            return false;
        }
        for container in self.stage.containers().await {
            let serves = serving.values().any(|id| *id == container.id);
            let is_of =
                container.spec.environment.get("V").map(Text::expose) == Some(version.to_string().as_str());
            if serves && !is_of {
                return false;
            }
        }
        true
    }

    /// Asserts that this version runs as declared, its data is there, nothing is left to do and nothing left over.
    pub async fn assert_at(&self, version: u32, context: &str) {
        let containers = self.stage.containers().await;
        let services = ["db", "web", worker(version)];
        let serving = self.serving().await;
        assert_eq!(
            serving.keys().map(String::as_str).collect::<Vec<_>>(),
            services,
            "{context}: {containers:#?}"
        );
        for service in services {
            let container = running(&containers, service);
            let name = format!("{}-{service}-1", self.stage.stack);
            let is_of = container.spec.environment.get("V").map(Text::expose);
            let facts = (container.name.to_string(), container.spec.restart, is_of);
            let version = version.to_string();
            assert_eq!(facts, (name, RestartPolicy::Always, Some(version.as_str())), "{context}");
        }
        self.assert_data_and_port(&containers, context).await;
        let planned = self.run("plan --detailed-exitcode");
        assert_eq!(planned.status, Some(0), "{context}: something is left to do:\n{planned:?}");
        self.assert_nothing_left_over(&containers, context).await;
    }

    async fn assert_data_and_port(&self, containers: &[LiveContainer], context: &str) {
        let db = running(containers, "db");
        assert!(self.has_data(&db.id).await, "{context}: the volume has not its data");
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))
            .unwrap_or_else(|error| panic!("{context}: the port doesn't answer: {error}"));
        stream.write_all(b"GET /health HTTP/1.1\r\nHost: web\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{context}: {answer}");
    }

    /// Whether the marker is in the volume.
    async fn has_data(&self, db: &ContainerId) -> bool {
        let options = DownloadFromContainerOptionsBuilder::new().path("/data/marker").build();
        let client = client().await.unwrap();
        let chunks: Result<Vec<_>, _> =
            client.download_from_container(db.as_str(), Some(options)).try_collect().await;
        chunks.is_ok_and(|chunks| String::from_utf8_lossy(&chunks.concat()).contains(MARKER))
    }

    /// Every container that doesn't run is on record as kept, no network and no folder is left.
    async fn assert_nothing_left_over(&self, containers: &[LiveContainer], context: &str) {
        let machine = self.machine();
        let kept: BTreeSet<ContainerId> =
            machine.ledger().retired(&self.stage.stack).unwrap().into_keys().collect();
        for container in containers.iter().filter(|one| one.state.status != Status::Running) {
            assert!(kept.contains(&container.id), "{context}: left over: {container:#?}");
        }
        let networks = self.stage.docker.list_networks().await.unwrap();
        let networks = networks.iter().filter(|network| network.stack.as_ref() == Some(&self.stage.stack));
        assert_eq!(networks.count(), 2, "{context}: networks");
    }

    /// Asserts that no folder with a config is left over. One that a cut-off deploy laid down goes with the next deploy.
    pub async fn assert_no_folder_left_over(&self, context: &str) {
        let containers = self.stage.containers().await;
        let machine = self.machine();
        let mounted: BTreeSet<&str> = containers
            .iter()
            .flat_map(|one| one.spec.mounts.values())
            .filter_map(|mount| match &mount.source {
                MountSource::Bind(path) => Some(path.as_str()),
                _ => None,
            })
            .collect();
        for folder in machine.files().folders().unwrap() {
            let is_mounted =
                mounted.iter().any(|path| Path::new(path).starts_with(machine.files().root().join(&folder)));
            assert!(is_mounted, "{context}: {folder} is left over");
        }
    }

    /// The host as the program left it.
    pub fn machine(&self) -> Machine<Docker> {
        Machine::open_to_look(self.stage.docker.clone(), &self.stage.path().join("state"), Host::This)
            .unwrap()
    }
}

/// The name of the worker in a version.
fn worker(version: u32) -> &'static str {
    if version.is_multiple_of(2) { "worker-a" } else { "worker-b" }
}
