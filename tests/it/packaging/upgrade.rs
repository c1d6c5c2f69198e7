//! An upgrade of the agent on real Docker, as systemd does it: the old program is told to end, the new one begins. No
//! container notices. On the way it is looked at what the service manager is told.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use evenkeel::apply::Host;
use evenkeel::apply::ledger::history::State;
use evenkeel::apply::machine::Machine;
use evenkeel::engine::Engine;
use evenkeel::engine::docker::Docker;
use evenkeel::model::live::Status;
use evenkeel::model::name::StackName;
use git2::{IndexAddOption, Repository, RepositoryInitOptions, Signature};
use tempfile::TempDir;

use super::PROGRAM;
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
    /// What the service manager was told.
    heard: Arc<Mutex<Vec<String>>>,
}

/// A running agent; killed at the end, however the test ends.
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
        let folder = tempfile::tempdir().unwrap();
        let manager = UnixDatagram::bind(folder.path().join("notify")).unwrap();
        let heard = Arc::<Mutex<Vec<String>>>::default();
        let ear = Arc::clone(&heard);
        // Ends with the process of the test.
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(length) = manager.recv(&mut bytes) {
                ear.lock().unwrap().push(String::from_utf8_lossy(&bytes[..length]).into_owned());
            }
        });
        let mut options = RepositoryInitOptions::new();
        options.initial_head("main").external_template(false);
        Repository::init_opts(folder.path().join("shop"), &options).unwrap();
        let (stack, subnet) = (unique_stack(), unique_subnet());
        Some(Self { folder, docker, stack, image: image.reference.to_string(), subnet, heard })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Commits the manifests, in which `web` says this.
    fn commit(&self, web: &str) {
        let write = |path: &str, text: String| {
            let path = self.path("shop").join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let Self { stack, image, subnet, .. } = self;
        write("evenkeel.yaml", "project: shop\ntiers: [apps]\n".to_owned());
        write("environments/prod/environment.yaml", format!("stack: {stack}\n"));
        write(
            "manifests/apps/shop.yaml",
            format!(
                "services:\n  db:\n    image: {image}\n  web:\n    image: {image}\n    \
                 environment: {{FIXTURE: '--say {web}'}}\n\
                 networks:\n  default: {{ipam: {{config: [{{subnet: {subnet}0/24}}]}}}}\n"
            ),
        );
        let git = Repository::open(self.path("shop")).unwrap();
        let mut index = git.index().unwrap();
        index.add_all(["*"], IndexAddOption::DEFAULT, None).unwrap();
        index.write().unwrap();
        let tree = git.find_tree(index.write_tree().unwrap()).unwrap();
        let author = Signature::now("Ada", "ada@example.org").unwrap();
        let parent = git.head().ok().map(|head| head.peel_to_commit().unwrap());
        git.commit(Some("refs/heads/main"), &author, &author, web, &tree, parent.as_ref().as_slice())
            .unwrap();
    }

    fn start(&self, program: &str) -> Agent {
        let docker = host().map(|host| format!("docker: {host}\n")).unwrap_or_default();
        let (state, shop) = (self.path("state"), self.path("shop"));
        let text = format!(
            "{docker}state: {}\nfollow: [{{repository: {}, environment: prod}}]\n",
            state.display(),
            shop.display()
        );
        fs::write(self.path("agent.yaml"), text).unwrap();
        let log = File::options().create(true).append(true).open(self.path("log")).unwrap();
        let mut command = Command::new(program);
        command.args(["run", "--config"]).arg(self.path("agent.yaml"));
        command.env("NOTIFY_SOCKET", self.path("notify")).env("WATCHDOG_USEC", "200000");
        Agent(command.stderr(log).spawn().unwrap())
    }

    /// Waits until the service manager has been told this, since the last time.
    async fn until_told(&self, message: &str) {
        let waited = tokio::time::timeout(PATIENCE, async {
            while !self.heard.lock().unwrap().iter().any(|heard| heard.contains(message)) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        let log = || fs::read_to_string(self.path("log")).unwrap();
        assert!(waited.await.is_ok(), "nothing of {message}: {:?}\n{}", self.heard.lock().unwrap(), log());
        self.heard.lock().unwrap().clear();
    }

    /// Each running service with the id of its container, when that was started, and what `web` says.
    async fn running(&self) -> BTreeMap<String, (String, String, String)> {
        let mut found = BTreeMap::new();
        for listed in self.docker.list_containers().await.unwrap() {
            if listed.summary.stack.as_ref() != Some(&self.stack) {
                continue;
            }
            // It may have been removed since.
            let Ok(container) = self.docker.inspect_container(&listed.id).await else { continue };
            if container.state.status == Status::Running {
                let says = container.spec.environment.get("FIXTURE").map(|text| text.expose().to_owned());
                let what = (container.id.to_string(), container.state.started_at, says.unwrap_or_default());
                found.insert(container.instance.service.to_string(), what);
            }
        }
        found
    }

    /// How the deploys ended.
    fn history(&self) -> Vec<State> {
        let machine = Machine::open_to_look(self.docker.clone(), &self.path("state"), Host::This).unwrap();
        let history = machine.ledger().history(&self.stack, 9).unwrap();
        history.into_iter().map(|deploy| deploy.state).collect()
    }

    async fn until(&self, what: &str, holds: impl Fn(&BTreeMap<String, (String, String, String)>) -> bool) {
        let waited = tokio::time::timeout(PATIENCE, async {
            while !holds(&self.running().await) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        let log = || fs::read_to_string(self.path("log")).unwrap();
        assert!(waited.await.is_ok(), "{what} did not happen:\n{}", log());
    }
}

fn ended(mut agent: Agent) -> Option<i32> {
    let asked = Command::new("kill").args(["-TERM", &agent.0.id().to_string()]).status().unwrap();
    assert!(asked.success());
    agent.0.wait().unwrap().code()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_of_the_agent_restarts_no_container() {
    let Some(stage) = Stage::new().await else { return };
    let _cleanup = Cleanup(stage.stack.clone());
    stage.commit("one");
    let agent = stage.start(PROGRAM);
    stage.until_told("READY=1").await;
    stage.until_told("WATCHDOG=1").await;
    stage.until("the first deploy", |running| running.len() == 2).await;
    // One that is under way would be undone.
    stage.until("its end", |_| stage.history() == [State::Done]).await;
    let before = stage.running().await;
    assert_eq!(ended(agent), Some(0));
    stage.until_told("STOPPING=1").await;
    assert_eq!(stage.running().await, before, "the end of the agent is none of the containers' business");

    // The new program, at another place as it is another file.
    let upgraded = stage.path("evenkeel-new");
    fs::copy(PROGRAM, &upgraded).unwrap();
    let agent = stage.start(upgraded.to_str().unwrap());
    stage.until_told("READY=1").await;
    // A commit that changes another service proves that it has looked at everything.
    stage.commit("two");
    stage
        .until("the next deploy", |running| running.get("web").is_some_and(|web| web.2 == "--say two"))
        .await;
    let after = stage.running().await;
    assert_eq!(after["db"], before["db"]);
    assert_ne!(after["web"].0, before["web"].0);
    assert_eq!(ended(agent), Some(0));
}
