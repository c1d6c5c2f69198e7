//! Adoption in a configuration repository: written, committed, adopted, changed by a commit, and rolled back.

use std::fs;

use bollard::models::{
    ContainerCreateBody, EndpointSettings, HostConfig, Ipam, IpamConfig, NetworkCreateRequest,
    NetworkingConfig,
};
use bollard::query_parameters::{CreateContainerOptions, StartContainerOptions};
use serde_json::Value;

use super::{Ran, Stage};
use crate::common::docker::client;
use crate::common::names::unique_subnet;

/// A repository without manifests, on a host where somebody runs a Compose project of the stack's name.
struct Site {
    stage: Stage,
    git: git2::Repository,
    /// The container `web` as it was made.
    first: String,
}

/// A secret that only the host knows.
const SECRET: &str = "hunter2";

impl Site {
    async fn new() -> Option<Self> {
        let stage = Stage::new().await?;
        fs::write(stage.path().join(".gitignore"), "state/\n").unwrap();
        let environment = format!("stack: {}\nvariables:\n  API_TOKEN: {{from: host}}\n", stage.stack);
        for (path, text) in [
            ("evenkeel.yaml", "project: shop\ntiers: [apps]\n"),
            ("environments/prod/environment.yaml", &environment),
            ("manifests/apps/.keep", ""),
        ] {
            let path = stage.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let git = git2::Repository::init(stage.path()).unwrap();
        let first = Self::made(&stage).await;
        Some(Self { stage, git, first })
    }

    /// What Compose would have made.
    async fn made(stage: &Stage) -> String {
        let client = client().await.unwrap();
        let stack = &stage.stack;
        let labels = |more: &[(&'static str, &'static str)]| {
            let all = [("project", stack.to_string())].into_iter();
            let more = more.iter().map(|(name, value)| (*name, (*value).to_owned()));
            let all: Vec<_> = all.chain(more).collect();
            all.into_iter().map(|(name, value)| (format!("com.docker.compose.{name}"), value))
        };
        let pool = IpamConfig { subnet: Some(format!("{}0/24", unique_subnet())), ..IpamConfig::default() };
        let network = NetworkCreateRequest {
            name: format!("{stack}_default"),
            labels: Some(labels(&[("network", "default")]).collect()),
            ipam: Some(Ipam { config: Some(vec![pool]), ..Ipam::default() }),
            ..NetworkCreateRequest::default()
        };
        client.create_network(network).await.unwrap();
        let default = format!("{stack}_default");
        let endpoint =
            EndpointSettings { aliases: Some(vec!["web".to_owned()]), ..EndpointSettings::default() };
        let body = ContainerCreateBody {
            image: Some(stage.image.clone()),
            env: Some(vec!["V=one".to_owned(), format!("API_TOKEN={SECRET}")]),
            stop_timeout: Some(1),
            labels: Some(
                labels(&[("service", "web"), ("container-number", "1"), ("oneoff", "False")]).collect(),
            ),
            host_config: Some(HostConfig { network_mode: Some(default.clone()), ..HostConfig::default() }),
            networking_config: Some(NetworkingConfig {
                endpoints_config: Some([(default, endpoint)].into()),
            }),
            ..ContainerCreateBody::default()
        };
        let options = CreateContainerOptions {
            name: Some(format!("{stack}-web-1")),
            ..CreateContainerOptions::default()
        };
        let id = client.create_container(Some(options), body).await.unwrap().id;
        client.start_container(&id, None::<StartContainerOptions>).await.unwrap();
        id
    }

    fn commit(&self, message: &str) -> String {
        let mut index = self.git.index().unwrap();
        index.add_all(["*"], git2::IndexAddOption::DEFAULT, None).unwrap();
        index.write().unwrap();
        let tree = self.git.find_tree(index.write_tree().unwrap()).unwrap();
        let author = git2::Signature::now("Test", "test@example.org").unwrap();
        let parent = self.git.head().ok().and_then(|head| head.peel_to_commit().ok());
        let parents: Vec<&git2::Commit<'_>> = parent.iter().collect();
        let id = self.git.commit(Some("HEAD"), &author, &author, message, &tree, &parents).unwrap();
        id.to_string()[..7].to_owned()
    }

    fn run(&self, words: &str) -> Ran {
        let words = format!("--env prod {words}");
        let mut command = self.stage.command(&words);
        let ran = Ran::of(&words, &command.env("API_TOKEN", SECRET).output().unwrap());
        assert!(!ran.stdout.contains(SECRET) && !ran.stderr.contains(SECRET), "{ran:?}");
        ran
    }

    fn edit(&self, from: &str, to: &str) {
        let path = self.stage.path().join("manifests/apps/web.yaml");
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{text}");
        fs::write(path, text.replace(from, to)).unwrap();
    }

    /// The container that runs as `web`.
    async fn web(&self) -> String {
        let client = client().await.unwrap();
        let name = format!("{}-web-1", self.stage.stack);
        let container = client.inspect_container(&name, None).await.unwrap();
        assert_eq!(container.state.unwrap().running, Some(true));
        container.id.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_after_an_adoption_is_rolled_back_to_the_adopted_container() {
    let Some(site) = Site::new().await else { return };
    let stack = &site.stage.stack;
    site.run(&format!("adopt --write manifests/apps/web.yaml --compose-project {stack}")).ends_with(0);
    let one = site.commit("What runs");
    site.run("apply --yes").ends_with(1).says("evenkeel adopt");
    let seen = site.run("--json adopt --dry-run").ends_with(0).json();
    assert_eq!(seen["plan"]["changes"], Value::Array(Vec::new()), "{seen:#}");
    site.run("adopt --yes").ends_with(0).says("nothing was restarted");
    let status = site.run("--json status").ends_with(0).json();
    assert_eq!(status["applied"]["revision"], one.as_str(), "{status:#}");
    let history = site.run("--json history").ends_with(0).json();
    assert_eq!(history["deploys"][0]["trigger"], "adopt");
    site.run("rollback --yes").ends_with(1).says("there is nothing to return to");
    assert_eq!(site.web().await, site.first);

    site.edit("V: one", "V: two");
    site.commit("Change it");
    site.run("apply --yes").ends_with(0).says("replaced");
    assert_ne!(site.web().await, site.first);
    site.run("rollback --yes").ends_with(0).says("revived");
    assert_eq!(site.web().await, site.first, "the very container that was adopted");
    // A deploy that fails comes back to it as well.
    site.edit("V: two", "FIXTURE: --exit 3 --after 1");
    site.commit("Break it");
    site.run("apply --yes").ends_with(3).says("what ran before runs again");
    assert_eq!(site.web().await, site.first);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_adopted_with_differences_is_no_revision_to_return_to() {
    let Some(site) = Site::new().await else { return };
    let stack = &site.stage.stack;
    site.run(&format!("adopt --write manifests/apps/web.yaml --compose-project {stack}")).ends_with(0);
    site.edit("V: one", "V: two");
    let one = site.commit("Not quite what runs");
    site.run("adopt --yes").ends_with(0).says("`evenkeel apply` carries the plan out");
    site.run("rollback --yes").ends_with(1).says("has not been deployed on this host");
    site.run("apply --yes").ends_with(0).says("replaced");
    site.run("rollback --yes").ends_with(1).says("there is nothing to return to");
    // It is kept until the next deploy; a commit that says what it was revives it.
    site.edit("V: two", "V: one");
    site.commit("As it was");
    site.run("apply --yes").ends_with(0).says("revived");
    assert_eq!(site.web().await, site.first);
    site.run("rollback --yes").ends_with(0).says(&one);
}
