//! docs/install.md, word by word, on a clean Debian with systemd of its own (`tests/install/host`).
//!
//! It takes minutes and the network, so it runs only when it is asked for:
//!
//! ```sh
//! EVENKEEL_TEST_INSTALL=1 cargo test --test it packaging::install -- --nocapture
//! ```
//!
//! What is adapted: the name of the stack and its port, for Docker is that of this machine; and the image of the first
//! manifest is a stand-in, for there may be no registry.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use evenkeel::engine::{Engine, ImportConfig, stand_in};
use tempfile::TempDir;

use super::{build, root, succeeded};
use crate::common::docker::{Borrowed, Cleanup, docker, tell};
use crate::common::names::{unique_port, unique_stack};

/// The image that `evenkeel init` begins with.
const WEB: &str = "nginx:1.27-alpine";

/// What has not happened after so long doesn't happen.
const PATIENCE: Duration = Duration::from_secs(60);

/// The machine. It ends with the test.
struct Machine {
    place: TempDir,
}

impl Machine {
    fn start() -> Self {
        let machine = Self { place: tempfile::tempdir().unwrap() };
        succeeded(&machine.script("start", &[]));
        machine
    }

    fn script(&self, word: &str, arguments: &[&str]) -> Output {
        let mut command = Command::new(root().join("tests/install/host"));
        command.arg(word).arg(self.place.path()).args(arguments).output().unwrap()
    }

    /// Runs a block of the manual there.
    fn run(&self, block: &str) -> Output {
        self.script("run", &["bash", "-e", "-o", "pipefail", "-c", &format!("cd /root\n{block}")])
    }

    fn path(&self, path: &str) -> PathBuf {
        self.place.path().join("tree").join(path)
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.script("stop", &[]);
    }
}

/// The blocks that are to be run.
fn blocks() -> Vec<String> {
    let text = fs::read_to_string(root().join("docs/install.md")).unwrap();
    let mut blocks = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line == "```sh" {
            blocks.push(lines.by_ref().take_while(|line| *line != "```").collect::<Vec<_>>().join("\n"));
        }
    }
    blocks
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newcomer_installs_it_word_by_word() {
    if std::env::var_os("EVENKEEL_TEST_INSTALL").is_none() {
        tell("passed by: EVENKEEL_TEST_INSTALL=1 installs on a clean Debian");
        return;
    }
    let Some(engine) = docker().await else { return };
    let config = ImportConfig {
        environment: BTreeMap::from([("STAND_IN_PORTS".to_owned(), "80".to_owned())]),
        user: None,
        ..stand_in::config()
    };
    assert_eq!(engine.inspect_image(WEB).await.unwrap(), None, "the stand-in would take the place of {WEB}");
    engine.import_image(&WEB.parse().unwrap(), stand_in::layer().unwrap(), &config).await.unwrap();
    let _image = Borrowed(WEB.to_owned());
    let stack = unique_stack();
    let _cleanup = Cleanup(stack.clone());

    let made = succeeded(&build(super::PROGRAM.as_ref(), &["deb", "--fast"]));
    let package = made.lines().last().unwrap().trim().to_owned();
    let machine = Machine::start();
    let name = std::path::Path::new(&package).file_name().unwrap();
    fs::copy(&package, machine.path("root").join(name)).unwrap();
    for block in blocks() {
        let block = block.replace("evenkeel init /root/infra\n", &adapted(stack.as_str()));
        let output = machine.run(&block);
        let shown = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        tell(&format!("--- {block}\n{}{}", shown(&output.stdout), shown(&output.stderr)));
        assert!(output.status.success(), "{block}");
        if block.contains("enable --now evenkeel") {
            deployed(&machine);
        }
    }
    let left = succeeded(&machine.run("ls -d /var/lib/evenkeel; ! test -e /usr/bin/evenkeel"));
    assert_eq!(left.trim(), "/var/lib/evenkeel");
    let listed = engine.list_containers().await.unwrap();
    let runs = listed.iter().filter(|one| one.summary.stack.as_ref() == Some(&stack) && one.runs).count();
    assert_eq!(runs, 1, "what was deployed goes on running");
}

/// Lays the repository out with a stack and a port that nobody else on this machine has.
fn adapted(stack: &str) -> String {
    let port = unique_port();
    let file = "/root/infra/environments/prod/environment.yaml";
    format!(
        "evenkeel init /root/infra\nsed -i 's/WEB_PORT:.*/WEB_PORT: {port}/' {file}\necho 'stack: {stack}' >> {file}\n"
    )
}

/// Waits until the agent has deployed.
fn deployed(machine: &Machine) {
    let deadline = Instant::now() + PATIENCE;
    let log = || succeeded(&machine.run("journalctl --no-pager --output cat --unit evenkeel"));
    while !log().contains("deploy done") {
        assert!(Instant::now() < deadline, "{}", log());
        std::thread::sleep(Duration::from_millis(200));
    }
}
