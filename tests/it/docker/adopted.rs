//! `adopt` of what Docker Compose made: nothing restarts, nothing differs, and from then on it is as with our own.
//!
//! `EVENKEEL_TEST_COMPOSE` names the programs to test with, with colons between them; without it `docker compose` is
//! tried. Where there is none these tests pass by and say so.

use std::fs;
use std::path::Path;
use std::process::Command;

use evenkeel::engine::Engine;
use serde_json::Value;

use super::{Ran, Stage};
use crate::common::docker::tell;
use crate::common::image::TestImage;
use crate::common::names::{unique_port, unique_subnet};

/// The ways to start a Compose.
fn composes() -> Vec<Vec<String>> {
    let named = std::env::var("EVENKEEL_TEST_COMPOSE").unwrap_or_default();
    let mut found: Vec<Vec<String>> =
        named.split(':').filter(|path| !path.is_empty()).map(|path| vec![path.to_owned()]).collect();
    let plugin = || Command::new("docker").args(["compose", "version"]).output();
    if found.is_empty() && plugin().is_ok_and(|output| output.status.success()) {
        found.push(vec!["docker".to_owned(), "compose".to_owned()]);
    }
    if found.is_empty() {
        tell("passed by without Docker Compose: EVENKEEL_TEST_COMPOSE names one");
    }
    found
}

/// A project that Compose has brought up.
struct Project {
    stage: Stage,
    compose: Vec<String>,
}

/// What must not change: id and start of every container that Compose made.
type Lives = Vec<(String, String)>;

impl Project {
    /// Writes `text` as `compose.yaml` with what it mounts.
    async fn new(compose: &[String], text: &str) -> Option<Self> {
        let stage = Stage::new().await?;
        let rich = TestImage::rich();
        rich.ensure(&stage.docker).await;
        let port = || unique_port().to_string();
        let subnet = || unique_subnet().trim_end_matches('.').to_owned();
        let text = text
            .replace("STACK", stage.stack.as_str())
            .replace("IMAGE\n", &format!("{}\n", stage.image))
            .replace("IMAGE,", &format!("{},", stage.image))
            .replace("IMAGE}", &format!("{}}}", stage.image))
            .replace("RICH", &rich.reference.to_string())
            .replace("NET1", &subnet())
            .replace("NET2", &subnet())
            .replace("PORT1", &port())
            .replace("PORT2", &port());
        let path = stage.path();
        for (name, content) in [
            ("compose.yaml", text.as_str()),
            ("web.env", "IN=file\nOVER=file\n"),
            ("plain.conf", "a = b\n"),
            ("password", "hunter2\n"),
            ("folder/file", "x\n"),
            ("made/file", "x\n"),
        ] {
            let path = path.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        Some(Self { stage, compose: compose.to_vec() })
    }

    fn up(&self) {
        let mut words = self.compose.iter();
        let mut command = Command::new(words.next().unwrap());
        command
            .args(words)
            .args(["-p", self.stage.stack.as_str(), "up", "-d"])
            .current_dir(self.stage.path());
        command.env("GREETING", "hello").env("COMPOSE_PROFILES", "on");
        if let Some(host) = crate::common::docker::host() {
            command.env("DOCKER_HOST", host);
        }
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    fn run(&self, words: &str) -> Ran {
        let words = format!("-f compose.yaml -p {} {words}", self.stage.stack);
        let mut command = self.stage.command(&words);
        command.env("GREETING", "hello").env("COMPOSE_PROFILES", "on");
        Ran::of(&words, &command.output().unwrap())
    }

    /// The plan, as JSON.
    fn plan(&self) -> Value {
        self.run("plan --json").ends_with(0).json()
    }

    /// What is written from the containers leaves nothing to do, either.
    fn writes(&self) {
        let stack = &self.stage.stack;
        let words = format!("adopt --write written.yaml --force --json --compose-project {stack}");
        self.stage.run(&words).ends_with(0);
        let ran = self.stage.run("-f written.yaml adopt --dry-run --json");
        let text = fs::read_to_string(self.stage.path().join("written.yaml")).unwrap();
        assert_eq!(ran.status, Some(0), "{}\n{text}", ran.stderr);
        let plan = &ran.json()["plan"];
        assert_eq!(plan["changes"], Value::Array(Vec::new()), "{plan:#}\n{text}");
        tell(&text);
    }

    fn edit(&self, from: &str, to: &str) {
        let path = self.stage.path().join("compose.yaml");
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{text}");
        fs::write(path, text.replace(from, to)).unwrap();
    }

    /// Every container of the project, ours too.
    async fn lives(&self) -> Lives {
        let mut lives = Vec::new();
        for listed in self.stage.docker.list_containers().await.unwrap() {
            if listed.summary.origin.is_some_and(|origin| origin.project == self.stage.stack.as_str()) {
                let container = self.stage.docker.inspect_container(&listed.id).await.unwrap();
                lives.push((container.id.to_string(), container.state.started_at));
            }
        }
        lives.sort();
        assert!(!lives.is_empty());
        lives
    }
}

#[track_caller]
fn is_empty(plan: &Value) {
    assert_eq!(plan["changes"], Value::Array(Vec::new()), "{plan:#}");
}

/// The paths of the fields that a plan changes.
fn fields(plan: &Value) -> Vec<String> {
    let changes = plan["changes"].as_array().unwrap().iter();
    let fields = changes.flat_map(|change| change["fields"].as_array().unwrap());
    fields
        .map(|field| format!("{} {}", field["path"].as_str().unwrap(), field["cause"].as_str().unwrap()))
        .collect()
}

async fn a_whole_project(compose: &[String], text: &str) {
    let Some(project) = Project::new(compose, text).await else { return };
    outside(&project, text);
    project.up();
    let before = project.lives().await;
    let seen = project.run("adopt --dry-run --json").ends_with(0).says("nothing was adopted").json();
    is_empty(&seen["plan"]);
    project.writes();
    assert!(!project.stage.path().join("state").exists(), "a look leaves nothing behind");
    project.run("plan").ends_with(1).says("evenkeel adopt");
    project.run("adopt --yes").ends_with(0).says("nothing was restarted");
    is_empty(&project.plan());
    project.run("apply --yes").ends_with(0).says("nothing to do");
    project.run("adopt --yes").ends_with(0).says("nothing to adopt");
    assert_eq!(project.lives().await, before);
}

/// Makes the network and the volume that a project takes from elsewhere. The label is for the cleanup.
fn outside(project: &Project, text: &str) {
    if !text.contains("external: true") {
        return;
    }
    let stack = &project.stage.stack;
    let docker = |words: &str| {
        let mut command = Command::new("docker");
        if let Some(host) = crate::common::docker::host() {
            command.env("DOCKER_HOST", host);
        }
        assert!(command.args(words.split(' ')).output().unwrap().status.success(), "{words}");
    };
    let label = format!("--label com.docker.compose.project={stack}");
    docker(&format!("network create --subnet {}0/24 {label} {stack}-outside", unique_subnet()));
    docker(&format!("volume create {stack}-there"));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_project_that_compose_made_is_adopted_without_a_restart() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/adopt");
    for compose in composes() {
        let mut files: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        assert!(files.len() > 20);
        for file in files {
            tell(&format!("{compose:?} {}", file.display()));
            a_whole_project(&compose, &fs::read_to_string(&file).unwrap()).await;
        }
    }
}

const SHOP: &str = "services:
  db:
    image: IMAGE
    stop_grace_period: 1s
    restart: unless-stopped
    environment: {A: one}
    secrets: [password]
    volumes: ['data:/data']
  web: {image: IMAGE, stop_grace_period: 1s, mem_limit: 64m}
volumes: {data: {}}
secrets: {password: {file: ./password}}
networks: {default: {ipam: {config: [{subnet: NET1.0/24}]}}}
";

#[tokio::test(flavor = "multi_thread")]
async fn what_was_adopted_is_replaced_and_revived_like_our_own() {
    for compose in composes() {
        let Some(project) = Project::new(&compose, SHOP).await else { return };
        project.up();
        let before = project.lives().await;
        project.run("adopt --yes").ends_with(0);
        project.edit("A: one", "A: two");
        project.edit("64m", "96m");
        assert_eq!(fields(&project.plan()), ["environment.A git", "deploy.resources.limits.memory git"]);
        // A deploy that fails returns to the very containers.
        project.edit("A: two", "A: two, FIXTURE: --exit 3 --after 1");
        project.run("apply --yes").ends_with(3).says("what ran before runs again");
        let ids = |lives: &Lives| lives.iter().map(|(id, _)| id.clone()).collect::<Vec<_>>();
        assert!(ids(&before).iter().all(|id| ids(&before).contains(id)));
        project.edit(", FIXTURE: --exit 3 --after 1", "");
        project.run("apply --yes").ends_with(0).says("replaced");
        is_empty(&project.plan());
        let replaced = project.lives().await;
        let new: Vec<_> = ids(&replaced).into_iter().filter(|id| !ids(&before).contains(id)).collect();
        assert_eq!(new.len(), 1, "{replaced:?}");
        project.edit("A: two", "A: one");
        project.run("apply --yes").ends_with(0).says("revived");
        is_empty(&project.plan());
        // Somebody's hand is drift, as with our own.
        let web = project
            .stage
            .docker
            .list_containers()
            .await
            .unwrap()
            .into_iter()
            .find(|listed| listed.summary.name.as_str() == format!("{}-web-1", project.stage.stack));
        project.stage.docker.discard_container(&web.unwrap().id).await.unwrap();
        project.run("apply --yes").ends_with(0);
        is_empty(&project.plan());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_ledger_it_is_somebody_elses_again() {
    for compose in composes() {
        let Some(project) = Project::new(&compose, SHOP).await else { return };
        project.up();
        let before = project.lives().await;
        project.run("adopt --yes").ends_with(0);
        fs::remove_dir_all(project.stage.path().join("state")).unwrap();
        project.run("apply --yes").ends_with(1).says("which was not made by Evenkeel").says("evenkeel adopt");
        assert_eq!(project.lives().await, before);
        project.run("adopt --yes").ends_with(0);
        is_empty(&project.plan());
        assert_eq!(project.lives().await, before);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_differs_is_shown_as_a_change_and_touched_only_by_apply() {
    for compose in composes() {
        let Some(project) = Project::new(&compose, SHOP).await else { return };
        project.up();
        let before = project.lives().await;
        project.edit("A: one", "A: two, B: new");
        project.edit("file: ./password", "file: ./plain.conf");
        let seen = project.run("adopt --yes --json").ends_with(0).json();
        let expected = [
            "environment.A git",
            "environment.B git",
            "secrets./run/secrets/password git",
            "volumes./run/secrets/password git",
        ];
        assert_eq!(fields(&seen["plan"]), expected);
        assert_eq!(fields(&project.plan()), expected);
        assert_eq!(project.lives().await, before);
        assert!(!format!("{seen}").contains("a = b"));
        project.run("apply --yes").ends_with(0);
        is_empty(&project.plan());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_project_of_another_name_and_a_stranger_are_refused() {
    for compose in composes() {
        let Some(project) = Project::new(&compose, SHOP).await else { return };
        project.up();
        let stack = &project.stage.stack;
        let other = |words: &str| {
            let words = format!("-f compose.yaml -p {stack}-other {words}");
            project.stage.run(&words)
        };
        other(&format!("adopt --yes --compose-project {stack}"))
            .ends_with(1)
            .says(&format!("the Compose project is `{stack}`, and the stack is `{stack}-other`"))
            .says(&format!("`stack: {stack}`"));
        other("adopt --yes")
            .ends_with(1)
            .says("no container here is of the Compose project")
            .says(stack.as_str());
        project.run("adopt --yes web=nobody-here").ends_with(1).says("there is no container `nobody-here`");
        project.run(&format!("adopt --yes nothing={stack}-web-1")).ends_with(1).says("no service `nothing`");
        project.run(&format!("adopt --yes db={stack}-web-1")).ends_with(1).says("already has a container");
        project.run(&format!("adopt --yes {stack}-db-1 web={stack}-web-1")).ends_with(0).says("2 containers");
        // Its owner is on record, so no other stack gets it.
        other(&format!("adopt --yes web={stack}-db-1")).ends_with(1).says("has adopted it");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_of_another_name_keeps_running_and_is_renamed() {
    for compose in composes() {
        let text = SHOP.replace("restart: unless-stopped", "container_name: STACK-old");
        let Some(project) = Project::new(&compose, &text).await else { return };
        project.up();
        let before = project.lives().await;
        let stack = &project.stage.stack;
        project.edit(&format!("    container_name: {stack}-old\n"), "");
        project.run(&format!("adopt --yes db={stack}-old {stack}-web-1")).ends_with(0);
        let aliases = format!("networks.{stack}_default.aliases git");
        assert_eq!(fields(&project.plan()), [aliases, "container_name git".to_owned()]);
        project.run("apply --yes").ends_with(0).says("changed in place");
        is_empty(&project.plan());
        assert_eq!(project.lives().await, before);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_compose_copied_into_a_container_is_laid_down_by_the_first_apply() {
    for compose in composes() {
        let text = SHOP
            .replace(
                "secrets: {password: {file: ./password}}",
                "secrets: {password: {environment: GREETING}}",
            )
            .replace("secrets: [password]", "secrets: [password]\n    configs: [inline]")
            + "configs: {inline: {content: 'x = y'}}\n";
        let Some(project) = Project::new(&compose, &text).await else { return };
        project.up();
        let before = project.lives().await;
        let seen = project.run("adopt --yes --json").ends_with(0);
        let expected = ["configs./inline git", "secrets./run/secrets/password git"];
        assert_eq!(fields(&seen.json()["plan"]), expected);
        seen.says("mounts nothing at /inline").says("mounts nothing at /run/secrets/password");
        assert_eq!(project.lives().await, before);
        project.run("apply --yes").ends_with(0).says("replaced");
        is_empty(&project.plan());
    }
}
