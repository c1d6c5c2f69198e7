//! The agent as a process of its own, on real Docker: pushed to, killed in the middle of a deploy, started again, and
//! asked to end.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use evenkeel::apply::Host;
use evenkeel::apply::ledger::history::State;
use evenkeel::apply::machine::Machine;
use evenkeel::engine::Engine;
use evenkeel::engine::docker::Docker;
use evenkeel::model::live::{LiveContainer, Status};
use evenkeel::model::name::StackName;
use git2::{IndexAddOption, Repository, RepositoryInitOptions, Signature};
use tempfile::TempDir;

use crate::common::docker::{Cleanup, docker, host};
use crate::common::image::TestImage;
use crate::common::names::{unique_stack, unique_subnet};

/// What has not happened after so long doesn't happen.
const PATIENCE: Duration = Duration::from_secs(60);

struct Stage {
    folder: TempDir,
    docker: Docker,
    stack: StackName,
    image: String,
    subnet: String,
    /// Whether `web` is watched. Then it has no health check.
    watches: bool,
}

impl Stage {
    async fn new(watches: bool) -> Option<Self> {
        let docker = docker().await?;
        let image = TestImage::plain();
        image.ensure(&docker).await;
        let stage = Self {
            folder: tempfile::tempdir().unwrap(),
            docker,
            stack: unique_stack(),
            image: image.reference.to_string(),
            subnet: unique_subnet(),
            watches,
        };
        init(&stage.path("shop.git"), true);
        init(&stage.path("clone"), false);
        Some(stage)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes the manifests with this environment of `web` into the clone, commits and pushes them.
    fn push(&self, web: &str) {
        let clone = self.path("clone");
        let write = |path: &str, text: String| {
            let path = clone.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let Self { stack, image, subnet, .. } = self;
        write("evenkeel.yaml", "project: shop\ntiers: [apps]\n".to_owned());
        write("environments/dev/environment.yaml", format!("stack: {stack}\n"));
        let check = "healthcheck: {test: [CMD, /fixture, probe], interval: 30s, start_period: 60s}";
        let of_web = if self.watches { "x-evenkeel: {watch: 2m}" } else { check };
        write(
            "manifests/apps/shop.yaml",
            format!(
                "services:\n  db:\n    image: {image}\n    {check}\n  web:\n    image: {image}\n    {of_web}\n    \
                 environment: {{FIXTURE: '{web}'}}\n    depends_on: {{db: {{condition: service_healthy}}}}\n\
                 networks:\n  default: {{ipam: {{config: [{{subnet: {subnet}0/24}}]}}}}\n"
            ),
        );
        let git = Repository::open(&clone).unwrap();
        let mut index = git.index().unwrap();
        index.add_all(["*"], IndexAddOption::DEFAULT, None).unwrap();
        index.write().unwrap();
        let tree = git.find_tree(index.write_tree().unwrap()).unwrap();
        let author = Signature::now("Ada", "ada@example.org").unwrap();
        let parent = git.head().ok().map(|head| head.peel_to_commit().unwrap());
        git.commit(Some("refs/heads/main"), &author, &author, web, &tree, parent.as_ref().as_slice())
            .unwrap();
        let mut remote = git.remote_anonymous(self.path("shop.git").to_str().unwrap()).unwrap();
        remote.push(&["refs/heads/main:refs/heads/main"], None).unwrap();
    }

    fn start(&self) -> Agent {
        let log = File::options().create(true).append(true).open(self.path("log")).unwrap();
        let docker = host().map(|host| format!("docker: {host}\n")).unwrap_or_default();
        let (repository, state) = (self.path("shop.git"), self.path("state"));
        let text = format!(
            "{docker}state: {}\nfollow: [{{repository: {}, environment: dev}}]\n",
            state.display(),
            repository.display()
        );
        fs::write(self.path("agent.yaml"), text).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_evenkeel"));
        command.args(["run", "--config"]).arg(self.path("agent.yaml"));
        Agent(command.stderr(log).spawn().unwrap())
    }

    async fn containers(&self) -> Vec<LiveContainer> {
        let mut found = Vec::new();
        for listed in self.docker.list_containers().await.unwrap() {
            if listed.summary.stack.as_ref() == Some(&self.stack) {
                // It may have been removed since.
                found.extend(self.docker.inspect_container(&listed.id).await);
            }
        }
        found
    }

    /// Waits until the containers are so.
    async fn until(&self, what: &str, holds: impl Fn(&[LiveContainer]) -> bool) {
        let waited = tokio::time::timeout(PATIENCE, async {
            while !holds(&self.containers().await) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        let log = || fs::read_to_string(self.path("log")).unwrap();
        assert!(waited.await.is_ok(), "{what} did not happen:\n{}", log());
    }

    /// How the deploys ended, the first one first. The last one may be under way.
    fn history(&self) -> Vec<State> {
        let machine = Machine::open_to_look(self.docker.clone(), &self.path("state"), Host::This).unwrap();
        let mut history = machine.ledger().history(&self.stack, 9).unwrap();
        history.reverse();
        history.into_iter().map(|deploy| deploy.state).collect()
    }
}

/// A running agent; killed at the end, however the test ends.
struct Agent(Child);

impl Agent {
    fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    fn terminate(mut self) -> Option<i32> {
        let asked = Command::new("kill").args(["-TERM", &self.0.id().to_string()]).status().unwrap();
        assert!(asked.success());
        self.0.wait().unwrap().code()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn init(path: &Path, bare: bool) {
    let mut options = RepositoryInitOptions::new();
    options.bare(bare).initial_head("main").external_template(false);
    Repository::init_opts(path, &options).unwrap();
}

/// The environment of every running `web`.
fn web(containers: &[LiveContainer]) -> Vec<&str> {
    let running = containers.iter().filter(|container| container.state.status == Status::Running);
    let web = running.filter(|container| container.instance.service.as_str() == "web");
    web.filter_map(|web| web.spec.environment.get("FIXTURE").map(evenkeel::model::text::Text::expose))
        .collect()
}

#[test]
fn what_can_never_be_followed_is_an_error_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::create_dir(path("plain")).unwrap();
    init(&path("empty.git"), true);
    init(&path("several"), false);
    for name in ["dev", "prod"] {
        fs::create_dir_all(path("several/environments").join(name)).unwrap();
        fs::write(path("several/environments").join(name).join("environment.yaml"), "{}").unwrap();
    }
    let git = Repository::open(path("several")).unwrap();
    let mut index = git.index().unwrap();
    index.add_all(["*"], IndexAddOption::DEFAULT, None).unwrap();
    let tree = git.find_tree(index.write_tree().unwrap()).unwrap();
    let author = Signature::now("Ada", "ada@example.org").unwrap();
    git.commit(Some("refs/heads/main"), &author, &author, "one", &tree, &[]).unwrap();
    let wrong = path("agent.yaml");
    fs::write(&wrong, "follow: [{repository: shop.git}]").unwrap();
    for (repository, arguments, expected) in [
        ("nowhere", vec!["run"], vec!["does not exist", "hint: "]),
        ("plain", vec!["run"], vec!["not a Git repository", "git init"]),
        ("empty.git", vec!["run"], vec!["no commits yet", "hint: "]),
        ("several", vec!["run"], vec!["several environments", "dev, prod"]),
        ("several", vec!["--env", "test", "run"], vec!["no environment `test`", "dev, prod"]),
        ("several", vec!["run", "--branch", "new"], vec!["`new` is not a branch", "main"]),
        ("several", vec!["run", "--rev", "HEAD"], vec!["follows a branch", "--branch"]),
        ("several", vec!["run", "-f", "compose.yaml"], vec!["follows a repository", "apply"]),
        ("several", vec!["run", "--config", "nowhere.yaml"], vec!["nowhere.yaml can't be read"]),
        (
            "several",
            vec!["run", "--config", wrong.to_str().unwrap()],
            vec!["agent.yaml:1:23", "absolute path"],
        ),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_evenkeel"));
        command.arg("--repo").arg(path(repository)).arg("--state").arg(path("state"));
        let output = command.args(&arguments).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
        for part in expected {
            assert!(said.contains(part), "{repository} {arguments:?}: {said}");
        }
    }
    assert!(!path("state").exists(), "nothing is made before it is known what to follow");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_deploys_and_a_kill_in_the_middle_is_survived() {
    let Some(stage) = Stage::new(false).await else { return };
    let _cleanup = Cleanup(stage.stack.clone());

    // It waits for the first push.
    let mut agent = stage.start();
    stage.push("--say one");
    stage.until("the first deploy", |containers| web(containers) == ["--say one"]).await;
    stage.until("its end", |_| stage.history() == [State::Done]).await;

    stage.push("--say two --healthy-after 1500");
    // The old one is stopped, the new one runs and isn't healthy yet.
    stage.until("the switch", |containers| web(containers) == ["--say two --healthy-after 1500"]).await;
    agent.kill();
    assert_eq!(stage.history(), [State::Done, State::Open]);

    let agent = stage.start();
    let ends = [State::Done, State::RolledBack, State::Done];
    stage.until("recovery and the second deploy", |_| stage.history() == ends).await;
    let containers = stage.containers().await;
    assert_eq!(web(&containers), ["--say two --healthy-after 1500"]);
    let running = containers.iter().filter(|container| container.state.status == Status::Running);
    assert_eq!(running.count(), 2);
    assert_eq!(agent.terminate(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_after_its_commit_goes_back_within_its_watch() {
    let Some(stage) = Stage::new(true).await else { return };
    let _cleanup = Cleanup(stage.stack.clone());
    let agent = stage.start();
    stage.push("--say one");
    stage.until("the first deploy", |_| stage.history() == [State::Done]).await;
    let web_id = |containers: &[LiveContainer]| {
        let web = containers.iter().find(|container| {
            container.instance.service.as_str() == "web" && container.state.status == Status::Running
        });
        web.map(|web| web.id.clone())
    };
    let before = web_id(&stage.containers().await);
    stage.push("--say farewell --exit 3 --after 5000");
    let ends = [State::Done, State::RolledBackInWatch, State::Done];
    stage.until("the way back", |_| stage.history() == ends).await;
    let containers = stage.containers().await;
    assert_eq!((web(&containers), web_id(&containers)), (vec!["--say one"], before));
    let log = fs::read_to_string(stage.path("log")).unwrap();
    for text in ["failed during its watch", "its process exited with 3", "\n  farewell", "quarantined"] {
        assert!(log.contains(text), "no `{text}`:\n{log}");
    }
    assert_eq!(agent.terminate(), Some(0));
}
