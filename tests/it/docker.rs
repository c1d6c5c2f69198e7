//! The program as a user runs it, on real Docker. Where none answers these tests pass by and say so.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use bollard::query_parameters::EventsOptionsBuilder;
use evenkeel::engine::docker::Docker;
use evenkeel::engine::{Engine, EngineError};
use evenkeel::model::live::{LiveContainer, Status};
use evenkeel::model::name::StackName;
use evenkeel::model::spec::RestartPolicy;
use futures_util::TryStreamExt;
use serde_json::Value;
use tempfile::TempDir;

use crate::common::docker::{Cleanup, docker, host};
use crate::common::image::TestImage;
use crate::common::names::{unique_stack, unique_subnet};

mod adopted;
mod adopted_by_commits;
mod attached;
mod bare_files;
mod crashes;
mod databases;
mod deploys;
mod drift;
mod failures;
mod faults;
mod gates;
mod grants;
mod kept_plans;
mod mounted;
mod registry;
mod rollbacks;
mod start_first;
mod stuck;
mod watches;
mod why;
mod written;

/// A stack of its own on a real Docker, with a folder for its manifests and its state.
pub struct Stage {
    pub docker: Docker,
    pub stack: StackName,
    pub image: String,
    folder: TempDir,
    /// Dropped last of all that is here.
    #[expect(dead_code, reason = "it works by being dropped")]
    cleanup: Cleanup,
}

impl Stage {
    /// A stage, if there is a Docker.
    pub async fn new() -> Option<Self> {
        let docker = docker().await?;
        let image = TestImage::plain();
        image.ensure(&docker).await;
        let stack = unique_stack();
        let cleanup = Cleanup(stack.clone());
        let folder = tempfile::tempdir().unwrap();
        let image = image.reference.to_string();
        Some(Self { docker, stack, image, folder, cleanup })
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes `compose.yaml`. `IMAGE` in `services` is the test image. The network has a subnet of the tests, so that
    /// none of the host's own is used up.
    pub fn compose(&self, services: &str) {
        let Self { stack, image, .. } = self;
        let subnet = unique_subnet();
        let known = fs::read_to_string(self.path().join("subnet")).unwrap_or(subnet);
        fs::write(self.path().join("subnet"), &known).unwrap();
        let services = services.replace("IMAGE", image);
        let text = format!(
            "name: {stack}\nservices:\n{services}networks:\n  default:\n    ipam: {{config: [{{subnet: {known}0/24}}]}}\n"
        );
        fs::write(self.path().join("compose.yaml"), text).unwrap();
    }

    pub fn command(&self, words: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_evenkeel"));
        command
            .args(words.split_whitespace())
            .current_dir(self.path())
            .env_clear()
            .env("TZ", "UTC")
            .env("EVENKEEL_STATE", self.path().join("state"))
            .stdin(Stdio::null());
        if let Some(host) = host() {
            command.env("DOCKER_HOST", host);
        }
        command
    }

    pub fn run(&self, words: &str) -> Ran {
        Ran::of(words, &self.command(words).output().unwrap())
    }

    /// `apply` of `compose.yaml` without asking.
    pub fn apply(&self) -> Ran {
        self.run("-f compose.yaml apply --yes")
    }

    /// Begins `apply` and doesn't wait for it.
    pub fn begin_apply(&self) -> Begun {
        let mut command = self.command("-f compose.yaml apply --yes");
        Begun(Some(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()))
    }

    /// Every container of the stack, by its name.
    pub async fn containers(&self) -> Vec<LiveContainer> {
        let listed = self.docker.list_containers().await.unwrap();
        let mut containers = Vec::new();
        for container in listed {
            if container.summary.stack.as_ref() == Some(&self.stack) {
                match self.docker.inspect_container(&container.id).await {
                    Ok(container) => containers.push(container),
                    // A deploy that goes on at the same time has removed it since.
                    Err(EngineError::NotFound { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        }
        containers.sort_by(|a, b| a.name.cmp(&b.name));
        containers
    }

    /// What makes a container the same as before, for whoever uses it.
    pub async fn serving(&self) -> Vec<(String, String, RestartPolicy, bool)> {
        let containers = self.containers().await;
        let facts = containers.iter().map(|container| {
            let runs = container.state.status == Status::Running;
            (container.name.to_string(), container.id.to_string(), container.spec.restart, runs)
        });
        facts.collect()
    }

    /// The daemon's own events about the stack, from `since` on, as `action object`.
    pub async fn events(&self, since: jiff::Timestamp) -> Vec<String> {
        let socket = host().unwrap_or_else(|| "unix:///var/run/docker.sock".to_owned());
        let client = bollard::Docker::connect_with_unix(&socket, 120, bollard::API_DEFAULT_VERSION).unwrap();
        let client = client.negotiate_version().await.unwrap();
        let seconds = |time: jiff::Timestamp| format!("{}.{:09}", time.as_second(), time.subsec_nanosecond());
        let options = EventsOptionsBuilder::new()
            .since(&seconds(since))
            .until(&seconds(jiff::Timestamp::now()))
            .build();
        let events: Vec<_> = client.events(Some(options)).try_collect().await.unwrap();
        let name = self.stack.as_str();
        let of_stack = events.into_iter().filter(|event| format!("{event:?}").contains(name));
        of_stack.map(|event| format!("{} {:?}", event.action.unwrap_or_default(), event.actor)).collect()
    }
}

/// The one running container of a service.
#[track_caller]
pub fn running<'a>(containers: &'a [LiveContainer], service: &str) -> &'a LiveContainer {
    let mut running = containers.iter().filter(|container| {
        container.instance.service.as_str() == service && container.state.status == Status::Running
    });
    let found = running.next().unwrap_or_else(|| panic!("{service} doesn't run: {containers:#?}"));
    assert!(running.next().is_none(), "{service} runs twice: {containers:#?}");
    found
}

/// A run of the program that goes on. It is killed when it goes out of scope, also when the test failed: it would go on
/// making things after they were cleaned up.
pub struct Begun(Option<Child>);

impl Begun {
    /// Sends the signal of that name.
    pub fn signal(&self, name: &str) {
        let id = self.0.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &id]).status().unwrap().success());
    }

    /// Waits for its end.
    pub fn wait(mut self) -> Ran {
        Ran::of("(begun before)", &self.0.take().unwrap().wait_with_output().unwrap())
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// What a run of the program came to.
#[derive(Debug)]
pub struct Ran {
    words: String,
    pub status: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    pub fn of(words: &str, output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        Self {
            words: words.to_owned(),
            status: output.status.code(),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        }
    }

    #[track_caller]
    pub fn ends_with(self, status: i32) -> Self {
        assert_eq!(self.status, Some(status), "evenkeel {}\n{}\n{}", self.words, self.stdout, self.stderr);
        self
    }

    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "`{text}` is not in:\n{}", self.stderr);
        self
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap()
    }
}

/// Waits until there is something, for half a minute at most.
pub async fn eventually_some<T>(what: &str, found: impl Fn() -> Option<T>) -> T {
    for _ in 0..600 {
        if let Some(found) = found() {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("never: {what}");
}

/// Waits until `holds`, for half a minute at most.
pub async fn eventually<F: Future<Output = bool>>(what: &str, holds: impl Fn() -> F) {
    for _ in 0..600 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("never: {what}");
}
