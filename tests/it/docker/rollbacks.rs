//! `rollback`, over the commits of a repository.

use std::fs;

use super::{Stage, running};

/// A configuration repository with Git, of one service.
pub struct Shop {
    pub stage: Stage,
    git: git2::Repository,
}

impl Shop {
    pub async fn new() -> Option<Self> {
        let stage = Stage::new().await?;
        fs::write(stage.path().join(".gitignore"), "state/\nsubnet\n").unwrap();
        for (path, text) in [
            ("evenkeel.yaml", "project: shop\ntiers: [apps]\n".to_owned()),
            ("environments/dev/environment.yaml", format!("stack: {}\n", stage.stack)),
        ] {
            let path = stage.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let git = git2::Repository::init(stage.path()).unwrap();
        Some(Self { stage, git })
    }

    /// Commits one version of the manifest. Returns the commit's short id.
    fn commit(&self, version: &str) -> String {
        self.commit_services(&format!(
            "\n  web:\n    image: IMAGE\n    restart: always\n    stop_grace_period: 1s\n    environment: {{V: {version}}}\n"
        ))
    }

    /// Commits these services, as [`Stage::compose`] writes them.
    pub fn commit_services(&self, services: &str) -> String {
        let folder = self.stage.path().join("manifests/apps");
        fs::create_dir_all(&folder).unwrap();
        self.stage.compose(services);
        let manifest = fs::read_to_string(self.stage.path().join("compose.yaml")).unwrap();
        let without_name: String = manifest.split_inclusive('\n').skip(1).collect();
        fs::remove_file(self.stage.path().join("compose.yaml")).unwrap();
        fs::write(folder.join("web.yaml"), without_name).unwrap();
        let mut index = self.git.index().unwrap();
        index.add_all(["*"], git2::IndexAddOption::DEFAULT, None).unwrap();
        index.write().unwrap();
        let tree = self.git.find_tree(index.write_tree().unwrap()).unwrap();
        let author = git2::Signature::now("Test", "test@example.org").unwrap();
        let parent = self.git.head().ok().and_then(|head| head.peel_to_commit().ok());
        let parents: Vec<&git2::Commit<'_>> = parent.iter().collect();
        let id = self.git.commit(Some("HEAD"), &author, &author, "change", &tree, &parents).unwrap();
        id.to_string()[..7].to_owned()
    }

    pub async fn web(&self) -> String {
        let containers = self.stage.containers().await;
        running(&containers, "web").id.to_string()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_revives_the_container_that_ran_before() {
    let Some(shop) = Shop::new().await else { return };
    let one = shop.commit("one");
    let run = |words: &str| shop.stage.run(&format!("--env dev {words}"));
    run("rollback --yes").ends_with(1).says("has not been deployed on this host");
    run("apply --yes").ends_with(0);
    let first = shop.web().await;
    run("rollback --yes").ends_with(1).says("there is nothing to return to");
    let two = shop.commit("two");
    run("apply --yes").ends_with(0).says("replaced, up after");
    let second = shop.web().await;
    assert_ne!(first, second);

    // Nobody can be asked, so nothing happens.
    run("rollback").ends_with(1).says("add `--yes`");
    assert_eq!(shop.web().await, second);
    let status = run("status --json").json();
    assert_eq!(
        status["quarantined"].as_array().unwrap().len(),
        0,
        "a rollback that wasn't made leaves no trace"
    );

    run("rollback --yes").ends_with(0).says("revived, up after").says(&format!("{two} is quarantined"));
    assert_eq!(shop.web().await, first, "the same container");
    let status = run("status --json").ends_with(0).json();
    assert_eq!(status["applied"]["revision"], one.as_str());
    assert_eq!(status["quarantined"][0]["revision"], two.as_str());
    // There and back again, by name.
    run("rollback --yes").ends_with(1).says("there is nothing to return to");
    run(&format!("rollback --yes --to {two}")).ends_with(0);
    assert_eq!(shop.web().await, second);
    let status = run("status --json").ends_with(0).json();
    let quarantined = status["quarantined"].as_array().unwrap();
    assert_eq!(quarantined.len(), 1, "what serves is in no quarantine: {quarantined:?}");
    assert_eq!(quarantined[0]["revision"], one.as_str());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_needs_a_commit_to_return_to() {
    let Some(shop) = Shop::new().await else { return };
    shop.commit("one");
    let run = |words: &str| shop.stage.run(&format!("--env dev {words}"));
    let manifest = shop.stage.path().join("manifests/apps/web.yaml");
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, text.replace("V: one", "V: by-hand")).unwrap();
    run("apply --yes").ends_with(0).says("+changes");
    shop.commit("two");
    run("apply --yes").ends_with(0);
    run("rollback --yes").ends_with(1).says("was made from a work tree with changes").says("--to REV");
    run("rollback --yes --to nowhere").ends_with(1).says("`nowhere` is not a branch, tag or commit");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_works_where_the_present_manifests_are_broken() {
    let Some(shop) = Shop::new().await else { return };
    let one = shop.commit("one");
    let run = |words: &str| shop.stage.run(&format!("--env dev {words}"));
    run("apply --yes").ends_with(0);
    let first = shop.web().await;
    shop.commit("two");
    run("apply --yes").ends_with(0);
    fs::write(shop.stage.path().join("manifests/apps/web.yaml"), "services: [\n").unwrap();
    let refused = run("rollback --yes").ends_with(1);
    assert!(refused.stderr.contains("yaml-syntax") && refused.stderr.contains("--to REV"), "{refused:?}");
    run(&format!("rollback --yes --to {one}")).ends_with(0);
    assert_eq!(shop.web().await, first);
}
