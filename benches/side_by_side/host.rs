//! The host that is measured: both tools on it, bare calls of the API, and what clears it again.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};

use bollard::Docker;
use bollard::models::{
    ContainerCreateBody, EndpointSettings, HostConfig, NetworkCreateRequest, NetworkingConfig, PortBinding,
};
use bollard::query_parameters::{
    CreateContainerOptions, ListContainersOptionsBuilder, RemoveContainerOptions,
};
use evenkeel::engine::stand_in;
use futures_util::stream::{self, StreamExt};
use tokio::runtime::Runtime;

/// As many calls at once as the executor makes.
const AT_ONCE: usize = 8;

const PROJECT_LABEL: &str = "com.docker.compose.project";

pub struct Host {
    pub runtime: Runtime,
    pub docker: Docker,
    folder: tempfile::TempDir,
    projects: AtomicUsize,
}

/// What one measure works on: a project of its own, for what a daemon leaves of a network must not stop the next one.
pub struct Project<'a> {
    pub host: &'a Host,
    pub name: String,
    pub folder: PathBuf,
}

/// What a container is made of where there is no tool between it and the API.
#[derive(Clone, Default)]
pub struct Bare {
    pub environment: Vec<String>,
    /// The port 9090 is published as this one.
    pub port: Option<u16>,
}

impl Host {
    pub fn new(runtime: Runtime) -> Self {
        let docker = runtime.block_on(async {
            Docker::connect_with_unix_defaults().unwrap().negotiate_version().await.unwrap()
        });
        Self { runtime, docker, folder: tempfile::tempdir().unwrap(), projects: AtomicUsize::new(0) }
    }

    pub fn project(&self) -> Project<'_> {
        let number = self.projects.fetch_add(1, Ordering::Relaxed);
        let name = format!("ek-bench-{}-{number}", std::process::id());
        let folder = self.folder.path().join(&name);
        std::fs::create_dir(&folder).unwrap();
        Project { host: self, name, folder }
    }
}

impl Project<'_> {
    /// Writes a Compose file of this project, and gives its path.
    pub fn file(&self, name: &str, services: &str) -> PathBuf {
        let path = self.folder.join(format!("{name}.yaml"));
        std::fs::write(&path, format!("name: {}\nservices:\n{services}", self.name)).unwrap();
        path
    }

    /// A Compose file of so many services, of which the first `changed` are of another version than the others.
    pub fn crowd(&self, services: usize, changed: usize, version: usize) -> PathBuf {
        let mut text = String::new();
        for at in 0..services {
            let version = if at < changed { version } else { 0 };
            let _ = write!(
                text,
                "  s{at}:\n    image: {}\n    init: true\n    environment: {{VERSION: \"{version}\"}}\n    \
                 x-evenkeel: {{gate: {{stable_for: 0s}}}}\n",
                stand_in::IMAGE
            );
        }
        self.file(&format!("crowd-{version}"), &text)
    }

    /// `evenkeel` with this file, as a command that has not begun.
    pub fn command(&self, file: &Path, arguments: &[&str]) -> Command {
        let mut process = Command::new(env!("CARGO_BIN_EXE_evenkeel"));
        process.arg("--state").arg(self.folder.join("state")).arg("-q").arg("-f").arg(file).args(arguments);
        process
    }

    pub fn evenkeel(&self, file: &Path, arguments: &[&str]) -> Duration {
        timed(&mut self.command(file, arguments))
    }

    pub fn compose(&self, compose: &Path, file: &Path) -> Duration {
        self.compose_with(compose, file, &[])
    }

    pub fn compose_with(&self, compose: &Path, file: &Path, options: &[&str]) -> Duration {
        let mut process = Command::new(compose);
        process.current_dir(&self.folder).arg("-f").arg(file).args(["up", "-d"]).args(options);
        timed(&mut process)
    }

    /// How long after `body` had begun the last container of the project was started that runs now, by the daemon's own
    /// record: what a tool does after that is not waited for.
    pub fn until_the_last_runs<T>(&self, body: impl FnOnce() -> T) -> Duration {
        let began = SystemTime::now();
        let _ = body();
        self.host.runtime.block_on(async {
            let mut last = began;
            for id in self.containers(false).await {
                let state = self.host.docker.inspect_container(&id, None).await.unwrap().state.unwrap();
                let started: jiff::Timestamp = state.started_at.unwrap().parse().unwrap();
                last = last.max(started.into());
            }
            last.duration_since(began).unwrap()
        })
    }

    /// The floor: create and start on a network of their own, as fast as the API takes them, and nothing else.
    pub fn bare(&self, services: usize) {
        self.host.runtime.block_on(async {
            self.bare_network().await;
            let calls = (0..services).map(|at| async move {
                let id = self.bare_create(&format!("s{at}"), Bare::default()).await;
                self.host.docker.start_container(&id, None).await.unwrap();
            });
            stream::iter(calls).buffer_unordered(AT_ONCE).collect::<Vec<()>>().await;
        });
    }

    pub async fn bare_network(&self) {
        let request = NetworkCreateRequest {
            name: format!("{}_default", self.name),
            labels: Some([(PROJECT_LABEL.to_owned(), self.name.clone())].into()),
            ..NetworkCreateRequest::default()
        };
        self.host.docker.create_network(request).await.unwrap();
    }

    /// Creates a container of the stand-in on the network of the project, and gives its id.
    pub async fn bare_create(&self, service: &str, of: Bare) -> String {
        let network = format!("{}_default", self.name);
        let endpoint =
            EndpointSettings { aliases: Some(vec![service.to_owned()]), ..EndpointSettings::default() };
        let exposed = of.port.map(|_| vec!["9090/tcp".to_owned()]);
        let bindings = of.port.map(|port| {
            let binding = PortBinding { host_ip: None, host_port: Some(port.to_string()) };
            [("9090/tcp".to_owned(), Some(vec![binding]))].into()
        });
        let body = ContainerCreateBody {
            image: Some(stand_in::IMAGE.to_owned()),
            env: Some(of.environment),
            exposed_ports: exposed,
            labels: Some([(PROJECT_LABEL.to_owned(), self.name.clone())].into()),
            host_config: Some(HostConfig {
                init: Some(true),
                network_mode: Some(network.clone()),
                port_bindings: bindings,
                ..HostConfig::default()
            }),
            networking_config: Some(NetworkingConfig {
                endpoints_config: Some([(network, endpoint)].into()),
            }),
            ..ContainerCreateBody::default()
        };
        let name = Some(format!("{}-{service}", self.name));
        let options = CreateContainerOptions { name, ..CreateContainerOptions::default() };
        self.host.docker.create_container(Some(options), body).await.unwrap().id
    }

    /// The ids of the containers of the project.
    pub async fn containers(&self, all: bool) -> Vec<String> {
        let filters = [("label".to_owned(), vec![format!("{PROJECT_LABEL}={}", self.name)])].into();
        let options = ListContainersOptionsBuilder::default().all(all).filters(&filters).build();
        let listed = self.host.docker.list_containers(Some(options)).await.unwrap();
        listed.into_iter().filter_map(|container| container.id).collect()
    }
}

impl Drop for Project<'_> {
    /// Removes what a measure made.
    fn drop(&mut self) {
        self.host.runtime.block_on(async {
            // One by one: a daemon that removes a hundred at once forgets to give their addresses back.
            for id in self.containers(true).await {
                let options = RemoveContainerOptions { force: true, ..RemoveContainerOptions::default() };
                let _ = self.host.docker.remove_container(&id, Some(options)).await;
            }
            let _ = self.host.docker.remove_network(&format!("{}_default", self.name)).await;
        });
    }
}

fn timed(process: &mut Command) -> Duration {
    let start = Instant::now();
    let output = process.stdin(Stdio::null()).output().unwrap();
    let took = start.elapsed();
    assert!(output.status.success(), "{process:?}: {}", String::from_utf8_lossy(&output.stderr));
    took
}

/// The Compose to compare with: the one that is named, else the one that is installed.
pub fn compose() -> Option<PathBuf> {
    let named = std::env::var_os("EVENKEEL_BENCH_COMPOSE").map(PathBuf::from);
    let found = named.unwrap_or_else(|| PathBuf::from("docker-compose"));
    Command::new(&found).arg("version").output().is_ok_and(|output| output.status.success()).then_some(found)
}
