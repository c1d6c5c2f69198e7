//! The manual's commands, run as they stand there.
//!
//! Every line of every `sh` block of README.md is run in a copy of this repository whose stacks have names and ports of
//! their own. What can't be run inside of a test is listed in [`ELSEWHERE`], with where it is run.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use evenkeel::engine::{Engine, ImportConfig, stand_in};
use tempfile::TempDir;

use crate::common::docker::{Borrowed, Cleanup, docker, host};
use crate::common::names::{unique_port, unique_stack};

const README: &str = include_str!("../../README.md");

/// The image that `evenkeel init` begins with.
const WEB: &str = "nginx:1.27-alpine";

/// Commands that other tests run.
const ELSEWHERE: [(&str, &str); 2] = [
    ("cargo run --release -- demo", "tests/it/demo.rs runs it, with and without Docker"),
    ("cargo test", "it is what runs this test"),
];

/// The commands of the blocks that are marked as `sh`, without comments, block by block.
fn blocks() -> Vec<Vec<String>> {
    let mut blocks = Vec::new();
    let mut lines = README.lines();
    while let Some(line) = lines.next() {
        if line.trim_end() == "```sh" {
            let block = lines.by_ref().take_while(|line| line.trim_end() != "```");
            let command = |line: &str| line.split(" #").next().unwrap_or("").trim().to_owned();
            blocks.push(block.map(command).filter(|line| !line.is_empty()).collect());
        }
    }
    blocks
}

/// A copy of the repository in which nothing collides with anything else on the host.
struct Sandbox {
    folder: TempDir,
    /// Removed when the test ends.
    stacks: Vec<Cleanup>,
}

impl Sandbox {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let source = Path::new(env!("CARGO_MANIFEST_DIR"));
        for name in ["evenkeel.yaml", "manifests", "environments"] {
            let copied =
                Command::new("cp").arg("-r").arg(source.join(name)).arg(folder.path()).status().unwrap();
            assert!(copied.success());
        }
        let dev = unique_stack();
        let mut text = fs::read_to_string(folder.path().join("environments/dev/environment.yaml")).unwrap();
        text = text.replace("variables:\n", &format!("stack: {dev}\nvariables:\n{}", ports()));
        fs::write(folder.path().join("environments/dev/environment.yaml"), text).unwrap();
        let files = unique_stack();
        let compose = format!("name: {files}\nservices:\n  web:\n    image: {}\n", stand_in::IMAGE);
        fs::write(folder.path().join("compose.yaml"), compose).unwrap();
        fs::create_dir(folder.path().join("bin")).unwrap();
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_evenkeel"), folder.path().join("bin/evenkeel"))
            .unwrap();
        let stacks = vec![Cleanup(dev), Cleanup(files)];
        Self { folder, stacks }
    }

    /// Gives the shop that was just laid out a stack and a port of its own in every environment.
    fn adapt_shop(&mut self, shop: &Path) {
        for environment in ["dev", "prod"] {
            let path = shop.join(format!("environments/{environment}/environment.yaml"));
            let stack = unique_stack();
            let text: Vec<String> = fs::read_to_string(&path)
                .unwrap()
                .lines()
                .map(|line| {
                    let is_port = line.trim_start().starts_with("WEB_PORT:");
                    if is_port { format!("  WEB_PORT: {}", unique_port()) } else { line.to_owned() }
                })
                .collect();
            fs::write(&path, format!("stack: {stack}\n{}\n", text.join("\n"))).unwrap();
            self.stacks.push(Cleanup(stack));
        }
    }

    fn shell(&self, cwd: &Path, line: &str) -> Command {
        let mut command = Command::new("sh");
        let path = format!("{}:{}", self.folder.path().join("bin").display(), std::env::var("PATH").unwrap());
        command
            .args(["-c", line])
            .current_dir(cwd)
            .env_clear()
            .env("PATH", path)
            .env("HOME", self.folder.path());
        command.env("EVENKEEL_STATE", self.folder.path().join("state")).stdin(Stdio::null());
        if let Some(host) = host() {
            command.env("DOCKER_HOST", host);
        }
        for name in ["GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME"] {
            command.env(name, "Reader");
        }
        for name in ["GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"] {
            command.env(name, "reader@example.invalid");
        }
        command
    }
}

/// A free port for every variable of the reference stack that names one, and a subnet.
fn ports() -> String {
    let names = [
        "POSTGRES",
        "REDIS",
        "ZOOKEEPER",
        "KAFKA",
        "NEUROS",
        "BIOMETRIC_PRODUCTION",
        "BIOMETRIC_BRIDGE",
        "PROMETHEUS",
        "GRAFANA",
        "NODE_EXPORTER",
        "REDIS_EXPORTER",
        "POSTGRES_EXPORTER",
    ];
    let ports: Vec<String> = names.iter().map(|name| format!("  {name}_PORT: {}\n", unique_port())).collect();
    format!("  AUREN_SUBNET: {}0/24\n{}", crate::common::names::unique_subnet(), ports.concat())
}

/// Puts the stand-in under the name that a new repository begins with, answering where that image would, until the
/// test ends.
async fn import_web(engine: &impl Engine) -> Option<Borrowed> {
    if engine.inspect_image(WEB).await.unwrap().is_some() {
        return None;
    }
    let config = ImportConfig {
        environment: BTreeMap::from([("STAND_IN_PORTS".to_owned(), "80".to_owned())]),
        user: None,
        ..stand_in::config()
    };
    engine.import_image(&WEB.parse().unwrap(), stand_in::layer().unwrap(), &config).await.unwrap();
    Some(Borrowed(WEB.to_owned()))
}

#[tokio::test]
async fn every_command_of_the_manual_does_what_it_says() {
    let Some(engine) = docker().await else { return };
    // Dropped after the sandbox, whose containers use it.
    let _image = import_web(&engine).await;
    let mut sandbox = Sandbox::new();
    for block in blocks() {
        let mut cwd: PathBuf = sandbox.folder.path().to_owned();
        for line in block {
            if ELSEWHERE.iter().any(|(command, _)| *command == line) {
                continue;
            }
            if let Some(folder) = line.strip_prefix("cd ") {
                cwd.push(folder);
                continue;
            }
            if line.contains(" run ") {
                follow(&sandbox, &line);
                continue;
            }
            let output = sandbox.shell(&cwd, &line).output().unwrap();
            let shown = format!(
                "{}{}",
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            );
            assert!(output.status.success(), "{line}\n{shown}");
            if line == "evenkeel init shop" {
                let shop = cwd.join("shop");
                sandbox.adapt_shop(&shop);
            }
        }
    }
}

/// Runs the agent on a bare clone of the shop until it has deployed, then asks it to end.
fn follow(sandbox: &Sandbox, line: &str) {
    let bare = sandbox.folder.path().join("srv/shop.git");
    let shop = sandbox.folder.path().join("shop");
    let clone = format!("git clone --quiet --bare . {}", bare.display());
    assert!(sandbox.shell(&shop, &clone).status().unwrap().success());
    let line = format!("exec {}", line.replace("/srv/shop.git", &bare.display().to_string()));
    let mut agent = sandbox.shell(&shop, &line).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(agent.stderr.take().unwrap()).lines().map_while(Result::ok);
    let deployed = lines.by_ref().find(|line| line.contains("deploy done"));
    assert!(deployed.is_some(), "the agent ended before it had deployed");
    let ended = Command::new("kill").args(["-TERM", &agent.id().to_string()]).status().unwrap();
    assert!(ended.success());
    for _ in lines {}
    assert!(agent.wait().unwrap().success());
}

#[test]
fn what_is_run_elsewhere_is_in_the_manual() {
    let commands: Vec<String> = blocks().concat();
    for (command, _) in ELSEWHERE {
        assert!(commands.iter().any(|line| line == command), "{command} is no longer in the manual");
    }
}
