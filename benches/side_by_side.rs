//! Evenkeel beside bare API calls and beside Docker Compose, in one run on one machine, printed as ratios.
//!
//! ```sh
//! cargo bench                                  # 20 services
//! EVENKEEL_BENCH_SERVICES=100 cargo bench      # the size that the budgets speak of
//! EVENKEEL_BENCH_COMPOSE=/path/to/docker-compose cargo bench
//! ```
//!
//! Every measure runs several times and the median counts. All that it makes bears the names `ek-bench…` and is removed.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a program of its own that prints what it measured"
)]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use bollard::models::{ContainerCreateBody, HostConfig};
use bollard::query_parameters::{CreateContainerOptions, ListContainersOptions, RemoveContainerOptions};
use evenkeel::engine::{Engine, docker, stand_in};
use futures_util::stream::{self, StreamExt};

const ROUNDS: usize = 3;
/// As many calls at once as the executor makes.
const AT_ONCE: usize = 8;

fn main() {
    // `cargo test` builds benches too and runs them with `--test`.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let services =
        std::env::var("EVENKEEL_BENCH_SERVICES").ok().and_then(|text| text.parse().ok()).unwrap_or(20);
    let Ok(engine) = runtime.block_on(docker::Docker::connect(None)) else {
        println!("no Docker answers: nothing is measured");
        return;
    };
    let image = stand_in::reference();
    if runtime.block_on(engine.inspect_image(stand_in::IMAGE)).unwrap().is_none() {
        let layer = stand_in::layer().expect("the stand-in was built");
        runtime.block_on(engine.import_image(&image, layer, &stand_in::config())).unwrap();
    }
    let bench = Bench { folder: tempfile::tempdir().unwrap(), services, compose: compose() };
    println!("{services} services, median of {ROUNDS} rounds\n");
    bench.first_apply(&runtime);
    bench.nothing_to_do();
    bench.one_changed();
}

struct Bench {
    folder: tempfile::TempDir,
    services: usize,
    compose: Option<PathBuf>,
}

impl Bench {
    fn first_apply(&self, runtime: &tokio::runtime::Runtime) {
        let file = self.file("first", "1");
        let (mut ours, mut bare, mut composed) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            ours.push(self.evenkeel(&file, &["apply", "--yes"]));
            self.clear("ek-bench");
            bare.push(runtime.block_on(bare_calls(self.services)));
            self.clear("ek-bench");
            if let Some(compose) = &self.compose {
                composed.push(self.compose(compose, &file));
                self.clear("ek-bench");
            }
        }
        report(
            "first apply, until all are ready",
            &mut ours,
            &mut [("bare API calls", &mut bare), ("compose up -d", &mut composed)],
        );
    }

    fn nothing_to_do(&self) {
        let file = self.file("nothing", "1");
        let (mut ours, mut composed) = (Vec::new(), Vec::new());
        self.evenkeel(&file, &["apply", "--yes"]);
        for _ in 0..ROUNDS {
            ours.push(self.evenkeel(&file, &["plan"]));
        }
        self.clear("ek-bench");
        if let Some(compose) = &self.compose {
            self.compose(compose, &file);
            for _ in 0..ROUNDS {
                composed.push(self.compose(compose, &file));
            }
            self.clear("ek-bench");
        }
        report(
            "plan with nothing to do, every field compared",
            &mut ours,
            &mut [("compose up -d, one hash compared", &mut composed)],
        );
    }

    fn one_changed(&self) {
        let (before, after) = (self.file("before", "1"), self.file("after", "2"));
        let (mut ours, mut composed) = (Vec::new(), Vec::new());
        self.evenkeel(&before, &["apply", "--yes"]);
        for round in 0..ROUNDS {
            ours.push(self.evenkeel(if round % 2 == 0 { &after } else { &before }, &["apply", "--yes"]));
        }
        self.clear("ek-bench");
        if let Some(compose) = &self.compose {
            self.compose(compose, &before);
            for round in 0..ROUNDS {
                composed.push(self.compose(compose, if round % 2 == 0 { &after } else { &before }));
            }
            self.clear("ek-bench");
        }
        report(
            "one service of all changed, until it is ready",
            &mut ours,
            &mut [("compose up -d", &mut composed)],
        );
    }

    /// A Compose file whose first service differs by `version`.
    fn file(&self, name: &str, version: &str) -> PathBuf {
        let mut text = String::from("name: ek-bench\nservices:\n");
        for at in 0..self.services {
            let version = if at == 0 { version } else { "1" };
            let _ = write!(
                text,
                "  s{at}:\n    image: {}\n    init: true\n    environment: {{VERSION: \"{version}\"}}\n    x-evenkeel: {{gate: {{stable_for: 0s}}}}\n",
                stand_in::IMAGE
            );
        }
        let path = self.folder.path().join(format!("{name}.yaml"));
        std::fs::write(&path, text).unwrap();
        path
    }

    fn evenkeel(&self, file: &Path, command: &[&str]) -> Duration {
        let mut process = Command::new(env!("CARGO_BIN_EXE_evenkeel"));
        process
            .arg("--state")
            .arg(self.folder.path().join("state"))
            .arg("-q")
            .arg("-f")
            .arg(file)
            .args(command);
        timed(&mut process)
    }

    fn compose(&self, compose: &Path, file: &Path) -> Duration {
        let mut process = Command::new(compose);
        process.current_dir(self.folder.path()).args(["-p", "ek-bench", "-f"]).arg(file).args(["up", "-d"]);
        timed(&mut process)
    }

    /// Removes what a measure made. Its ledger goes as well, so that the next one begins anew.
    fn clear(&self, project: &str) {
        let script = format!(
            "docker ps -aq --filter label=com.docker.compose.project={project} | xargs -r docker rm -f; \
             docker network ls -q --filter label=com.docker.compose.project={project} | xargs -r docker network rm"
        );
        Command::new("sh")
            .arg("-c")
            .arg(script)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .unwrap();
        let _ = std::fs::remove_dir_all(self.folder.path().join("state"));
    }
}

fn timed(process: &mut Command) -> Duration {
    let start = Instant::now();
    let output = process.output().unwrap();
    let took = start.elapsed();
    assert!(output.status.success(), "{process:?}: {}", String::from_utf8_lossy(&output.stderr));
    took
}

/// The floor: create and start, as fast as the API takes them, and nothing else.
async fn bare_calls(services: usize) -> Duration {
    let docker = bollard::Docker::connect_with_unix_defaults().unwrap().negotiate_version().await.unwrap();
    let start = Instant::now();
    stream::iter(0..services)
        .map(|at| {
            let docker = docker.clone();
            async move {
                let body = ContainerCreateBody {
                    image: Some(stand_in::IMAGE.to_owned()),
                    labels: Some([("com.docker.compose.project".to_owned(), "ek-bench".to_owned())].into()),
                    host_config: Some(HostConfig { init: Some(true), ..HostConfig::default() }),
                    ..ContainerCreateBody::default()
                };
                let options = CreateContainerOptions {
                    name: Some(format!("ek-bench-bare-{at}")),
                    ..Default::default()
                };
                let created = docker.create_container(Some(options), body).await.unwrap();
                docker.start_container(&created.id, None).await.unwrap();
            }
        })
        .buffer_unordered(AT_ONCE)
        .collect::<Vec<()>>()
        .await;
    let took = start.elapsed();
    let all = docker
        .list_containers(Some(ListContainersOptions { all: true, ..Default::default() }))
        .await
        .unwrap();
    let names = |names: Option<Vec<String>>| {
        names.is_some_and(|names| names.iter().any(|name| name.starts_with("/ek-bench-bare-")))
    };
    for container in all.into_iter().filter(|container| names(container.names.clone())) {
        let options = RemoveContainerOptions { force: true, ..Default::default() };
        docker.remove_container(&container.id.unwrap(), Some(options)).await.unwrap();
    }
    took
}

/// The Compose to compare with: the one that is named, else the one that is installed.
fn compose() -> Option<PathBuf> {
    let named = std::env::var_os("EVENKEEL_BENCH_COMPOSE").map(PathBuf::from);
    let found = named.unwrap_or_else(|| PathBuf::from("docker-compose"));
    Command::new(&found).arg("version").output().is_ok_and(|output| output.status.success()).then_some(found)
}

fn median(times: &mut [Duration]) -> Option<Duration> {
    times.sort_unstable();
    times.get(times.len() / 2).copied()
}

fn report(what: &str, ours: &mut [Duration], others: &mut [(&str, &mut Vec<Duration>)]) {
    let Some(ours) = median(ours) else { return };
    println!("{what}\n  evenkeel {:>34} ms", ours.as_millis());
    for (name, times) in others {
        if let Some(other) = median(times) {
            let ratio = ours.as_secs_f64() / other.as_secs_f64();
            println!("  {name:<34} {:>8} ms   evenkeel takes {ratio:.2} of that", other.as_millis());
        }
    }
    println!();
}
