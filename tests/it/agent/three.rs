//! Three agents on one machine follow one repository as prod, staging and dev, each with its own variables, hosts and
//! policy, as processes on real Docker.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::Duration;

use evenkeel::engine::Engine;
use evenkeel::engine::docker::Docker;
use evenkeel::model::live::Status;
use evenkeel::model::name::StackName;
use git2::{IndexAddOption, Repository, RepositoryInitOptions, Signature};
use tempfile::TempDir;

use crate::common::docker::{Cleanup, docker, host};
use crate::common::image::TestImage;
use crate::common::names::{unique_stack, unique_subnet};

/// What has not happened after so long doesn't happen.
const PATIENCE: Duration = Duration::from_secs(60);

const ENVIRONMENTS: [&str; 3] = ["prod", "staging", "dev"];

struct Stage {
    folder: TempDir,
    docker: Docker,
    stacks: [StackName; 3],
    subnets: [String; 3],
    image: String,
}

/// An agent of one environment; killed at the end, however the test ends.
struct Agent(Child);

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Stage {
    async fn new() -> Option<Self> {
        let docker = docker().await?;
        let image = TestImage::plain();
        image.ensure(&docker).await;
        let stage = Self {
            folder: tempfile::tempdir().unwrap(),
            docker,
            stacks: [(); 3].map(|()| unique_stack()),
            subnets: [(); 3].map(|()| unique_subnet()),
            image: image.reference.to_string(),
        };
        let mut options = RepositoryInitOptions::new();
        options.initial_head("main").external_template(false);
        Repository::init_opts(stage.path("shop"), &options).unwrap();
        Some(stage)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Commits manifests in which every `web` says this and where it is.
    fn commit(&self, says: &str) {
        let write = |path: &str, text: String| {
            let path = self.path("shop").join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("evenkeel.yaml", "project: shop\ntiers: [apps]\n".to_owned());
        for (at, name) in ENVIRONMENTS.into_iter().enumerate() {
            let (stack, subnet) = (&self.stacks[at], &self.subnets[at]);
            let approval = if name == "prod" { "required" } else { "none" };
            write(
                &format!("environments/{name}/environment.yaml"),
                format!(
                    "stack: {stack}\nhosts: [role={name}, also={name}]\napproval: {approval}\n\
                     variables: {{WHERE: {name}, SUBNET: {subnet}0/24}}\n"
                ),
            );
        }
        let image = &self.image;
        write(
            "manifests/apps/shop.yaml",
            format!(
                "services:\n  web:\n    image: {image}\n    environment: {{FIXTURE: '--say {says}-${{WHERE}}'}}\n    \
                 x-evenkeel: {{gate: {{stable_for: 100ms}}}}\n\
                 networks:\n  default: {{ipam: {{config: [{{subnet: \"${{SUBNET}}\"}}]}}}}\n"
            ),
        );
        let git = Repository::open(self.path("shop")).unwrap();
        let mut index = git.index().unwrap();
        index.add_all(["*"], IndexAddOption::DEFAULT, None).unwrap();
        let tree = git.find_tree(index.write_tree().unwrap()).unwrap();
        let author = Signature::now("Ada", "ada@example.org").unwrap();
        let parent = git.head().ok().map(|head| head.peel_to_commit().unwrap());
        let parents = parent.as_ref();
        git.commit(Some("refs/heads/main"), &author, &author, says, &tree, parents.as_slice()).unwrap();
    }

    /// Writes the agent.yaml of the agent `name`, which follows these environments.
    fn configure(&self, name: &str, labels: &str, environments: &[&str]) {
        let docker = host().map(|host| format!("docker: {host}\n")).unwrap_or_default();
        let (state, repository) = (self.path(name), self.path("shop"));
        let mut text =
            format!("{docker}host: h-{name}\nlabels: {{{labels}}}\nstate: {}\nfollow:\n", state.display());
        for environment in environments {
            let entry = format!("repository: {}, environment: {environment}, poll: 1s", repository.display());
            writeln!(text, "- {{{entry}}}").unwrap();
        }
        fs::write(self.path(&format!("{name}.yaml")), text).unwrap();
    }

    fn start(&self, environment: &str) -> Agent {
        self.configure(environment, &format!("role: {environment}"), &[environment]);
        let (config, log) = (format!("{environment}.yaml"), format!("{environment}.log"));
        let mut command = Command::new(env!("CARGO_BIN_EXE_evenkeel"));
        command.args(["run", "--config"]).arg(self.path(&config));
        Agent(command.stderr(File::create(self.path(&log)).unwrap()).spawn().unwrap())
    }

    fn log(&self, environment: &str) -> String {
        fs::read_to_string(self.path(&format!("{environment}.log"))).unwrap()
    }

    /// What the running `web` of each environment says.
    async fn says(&self) -> [Option<String>; 3] {
        let mut says = [None, None, None];
        for listed in self.docker.list_containers().await.unwrap() {
            let Some(at) = self.stacks.iter().position(|stack| listed.summary.stack.as_ref() == Some(stack))
            else {
                continue;
            };
            // It may have been removed since.
            let Ok(container) = self.docker.inspect_container(&listed.id).await else { continue };
            if container.state.status == Status::Running {
                let said = container.spec.environment.get("FIXTURE").unwrap().expose();
                says[at] = Some(said.trim_start_matches("--say ").to_owned());
            }
        }
        says
    }

    async fn until(&self, expected: [Option<&str>; 3]) {
        let waited = tokio::time::timeout(PATIENCE, async {
            while self.says().await != expected.map(|said| said.map(str::to_owned)) {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
        let logs = || ENVIRONMENTS.map(|name| self.log(name)).join("\n---\n");
        assert!(waited.await.is_ok(), "not {expected:?}:\n{}", logs());
    }

    /// The plan that waits in prod, once there is one that is not `before`.
    async fn waiting(&self, before: Option<&str>) -> String {
        let waited = tokio::time::timeout(PATIENCE, async {
            loop {
                let log = self.log("prod");
                let named = log.rsplit("`evenkeel approve ").next().and_then(|rest| rest.split('`').next());
                match named.filter(|plan| plan.len() == 12 && Some(*plan) != before) {
                    Some(plan) => return plan.to_owned(),
                    None => tokio::time::sleep(Duration::from_millis(50)).await,
                }
            }
        });
        waited.await.unwrap_or_else(|_| panic!("no plan waits:\n{}", self.log("prod")))
    }

    /// Runs a command where no repository is. Returns what it printed.
    fn evenkeel(&self, environment: &str, arguments: &[&str]) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_evenkeel"));
        command.current_dir(self.folder.path()).arg("--state").arg(self.path(environment));
        let output = command.args(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Waits until the log of an agent says this.
    async fn logs(&self, environment: &str, text: &str) {
        let waited = tokio::time::timeout(PATIENCE, async {
            while !self.log(environment).contains(text) {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
        assert!(waited.await.is_ok(), "no `{text}`:\n{}", self.log(environment));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_repository_is_prod_staging_and_dev() {
    let Some(stage) = Stage::new().await else { return };
    let _cleanup = stage.stacks.clone().map(Cleanup);
    stage.commit("one");
    let _agents = ENVIRONMENTS.map(|name| stage.start(name));
    stage.until([None, Some("one-staging"), Some("one-dev")]).await;
    let plan = stage.waiting(None).await;
    stage.evenkeel("prod", &["approve", &plan]);
    stage.until([Some("one-prod"), Some("one-staging"), Some("one-dev")]).await;

    stage.evenkeel("staging", &["pause", "--for", "1h", "--reason", "a test"]);
    stage.commit("two");
    stage.until([Some("one-prod"), Some("one-staging"), Some("two-dev")]).await;
    stage.evenkeel("staging", &["resume"]);
    stage.until([Some("one-prod"), Some("two-staging"), Some("two-dev")]).await;
    let plan = stage.waiting(Some(&plan)).await;
    stage.evenkeel("prod", &["approve", &plan]);
    stage.until([Some("two-prod"), Some("two-staging"), Some("two-dev")]).await;

    // Who looks where no repository is, asks the agent.
    let status = stage.evenkeel("dev", &["status"]);
    assert!(status.contains(stage.stacks[2].as_str()) && status.contains("in sync"), "{status}");
    let history = stage.evenkeel("dev", &["history"]);
    assert_eq!(history.matches("deployed").count(), 2, "{history}");
    stage.evenkeel("dev", &["rollback", "--yes"]);
    stage.until([Some("two-prod"), Some("two-staging"), Some("one-dev")]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn agent_yaml_is_read_again_while_the_agent_runs() {
    let Some(stage) = Stage::new().await else { return };
    let _cleanup = stage.stacks.clone().map(Cleanup);
    stage.commit("one");
    let agent = stage.start("dev");
    stage.until([None, None, Some("one-dev")]).await;
    stage.configure("dev", "role: dev, also: staging", &["dev", "staging"]);
    stage.until([None, Some("one-staging"), Some("one-dev")]).await;
    fs::write(stage.path("dev.yaml"), "follow: nothing\n").unwrap();
    stage.logs("dev", "agent.yaml is wrong, and all stays as it was").await;
    stage.commit("two");
    stage.until([None, Some("two-staging"), Some("two-dev")]).await;
    stage.configure("dev", "also: staging", &["staging"]);
    let hangup = Command::new("kill").args(["-HUP", &agent.0.id().to_string()]).status().unwrap();
    assert!(hangup.success());
    stage.logs("dev", "is no longer followed").await;
    stage.commit("three");
    stage.until([None, Some("three-staging"), Some("two-dev")]).await;
}
