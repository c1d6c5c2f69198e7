//! Configs and secrets, from their laying down to their end.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use evenkeel::apply::Outcome;
use evenkeel::engine::sim::{Behaviour, SimImage};
use evenkeel::model::desired::Desired;
use evenkeel::model::grant::{FileAccess, Grant, GrantContent, GrantKind};
use evenkeel::model::live::LiveContainer;
use evenkeel::model::spec::{Mount, MountSource};
use evenkeel::plan::change::Cause;
use std::time::Duration;

use super::bench::{Bench, image_ref, stack_with};

const TARGET: &str = "/run/secrets/password";

/// The stack whose `app` is granted this text as a secret and as a config.
fn granted(image: &str, text: &str) -> Desired {
    let mut desired = stack_with(image);
    let app = desired.services.get_mut("app".parse().as_ref().unwrap()).unwrap();
    for (kind, target) in [(GrantKind::Secret, TARGET), (GrantKind::Config, "/app.conf")] {
        // In capitals, so that the one is not taken for the other.
        let text = if kind == GrantKind::Secret { text.to_owned() } else { text.to_uppercase() };
        let content = GrantContent::new(text.into_bytes(), kind == GrantKind::Secret);
        let origin = format!("{}.it", kind.section());
        let grant = Grant { kind, origin, content, access: FileAccess::default() };
        app.spec
            .mounts
            .insert(target.to_owned(), Mount { read_only: true, ..Mount::of(MountSource::Grant(grant)) });
    }
    desired
}

fn mounted(container: &LiveContainer, target: &str) -> String {
    let MountSource::Bind(path) = &container.spec.mounts[target].source else { panic!("{container:?}") };
    path.clone()
}

/// What is laid down of configs and secrets, as text.
fn laid_down(bench: &Bench) -> Vec<String> {
    let mut found = Vec::new();
    for section in ["configs", "secrets"] {
        let Ok(entries) = fs::read_dir(bench.files.root().join(section)) else { continue };
        for entry in entries {
            let text = fs::read_to_string(entry.unwrap().path().join("content")).unwrap();
            found.push(format!("{section}: {text}"));
        }
    }
    found.sort();
    found
}

#[tokio::test(start_paused = true)]
async fn a_secret_is_laid_down_for_its_container_only_and_told_nowhere() {
    let bench = Bench::with(&granted("app:1", "hunter22")).await;
    let path = mounted(&bench.container("app").await, TARGET);
    assert_eq!(fs::read_to_string(&path).unwrap(), "hunter22");
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let path = std::path::Path::new(&path);
    assert_eq!(mode(path), 0o444);
    assert_eq!(mode(path.parent().unwrap()), 0o700);
    assert_eq!(mode(path.parent().unwrap().parent().unwrap()), 0o700);
    bench.assert_at(&granted("app:1", "hunter22")).await;

    let changed = granted("app:1", "correct horse");
    let plan = bench.plan(&changed).await;
    let field = |path: &str| {
        plan.changes[0]
            .fields
            .iter()
            .find(|field| field.path.as_str() == path)
            .unwrap_or_else(|| panic!("{plan:#?}"))
    };
    let secret = field("secrets./run/secrets/password");
    assert_eq!((secret.cause, secret.diff.clone()), (Cause::Secret, None));
    assert_eq!(field("configs./app.conf").cause, Cause::Git);
    let shown = format!("{plan:?} {} {:?}", evenkeel::plan::json::to_json(&plan), bench.told.lines());
    for text in ["hunter22", "correct horse"] {
        assert!(!shown.contains(text), "{shown}");
    }
    // The digest in the path is of no use to somebody who guesses.
    let guess = evenkeel::plan::grants::plain_digest(&GrantContent::new(&b"hunter22"[..], false));
    assert!(!path.to_string_lossy().contains(&guess) && !shown.contains(&guess));
    assert!(path.to_string_lossy().contains(&bench.key().digest("hunter22")));
}

#[tokio::test(start_paused = true)]
async fn a_rollback_brings_the_old_content_back_and_leaves_nothing_of_the_new() {
    let bench = Bench::with(&granted("app:1", "old")).await;
    let before = bench.serving().await;
    let fails = Behaviour {
        exits: Some((Duration::ZERO, 3)),
        writes: vec!["my password is correct horse".to_owned()],
        ..Behaviour::default()
    };
    bench.host.add_image(&image_ref("app:2"), SimImage::of("app:2").that(fails));
    let outcome = bench.deploy(&granted("app:2", "correct horse")).await;
    let Outcome::RolledBack { failure, .. } = outcome else { panic!("{outcome:?}") };
    assert_eq!(failure.log_tail, ["my password is (sensitive)"]);
    assert_eq!(bench.serving().await, before);
    assert_eq!(laid_down(&bench), ["configs: OLD", "secrets: old"]);
    bench.assert_at(&granted("app:1", "old")).await;
}

#[tokio::test(start_paused = true)]
async fn what_a_kept_container_mounts_stays_and_goes_with_it() {
    let bench = Bench::with(&granted("app:1", "one")).await;
    let deploy = async |text: &str| {
        let outcome = bench.deploy(&granted("app:1", text)).await;
        assert!(matches!(outcome, Outcome::Applied(ref report) if report.warnings.is_empty()), "{outcome:?}");
    };
    deploy("two").await;
    assert_eq!(laid_down(&bench), ["configs: ONE", "configs: TWO", "secrets: one", "secrets: two"]);
    deploy("three").await;
    assert_eq!(laid_down(&bench), ["configs: THREE", "configs: TWO", "secrets: three", "secrets: two"]);
    // To go back is only a start, and what is used again isn't discarded.
    deploy("two").await;
    assert_eq!(laid_down(&bench), ["configs: THREE", "configs: TWO", "secrets: three", "secrets: two"]);
    let proxy = mounted(&bench.container("proxy").await, "/etc/proxy.conf");
    assert!(std::path::Path::new(&proxy).exists());
}

#[tokio::test(start_paused = true)]
async fn what_could_not_be_discarded_goes_with_the_next_deploy() {
    let bench = Bench::with(&granted("app:1", "one")).await;
    let deploy = async |text: &str| {
        let outcome = bench.deploy(&granted("app:1", text)).await;
        assert!(matches!(outcome, Outcome::Applied(ref report) if report.warnings.is_empty()), "{outcome:?}");
    };
    deploy("two").await;
    let other_stack = bench.files.hold().unwrap();
    deploy("three").await;
    assert!(laid_down(&bench).contains(&"secrets: one".to_owned()), "{:?}", laid_down(&bench));
    drop(other_stack);
    deploy("four").await;
    assert_eq!(laid_down(&bench), ["configs: FOUR", "configs: THREE", "secrets: four", "secrets: three"]);
}

#[tokio::test(start_paused = true)]
async fn what_another_stack_mounts_is_not_discarded() {
    let bench = Bench::with(&granted("app:1", "one")).await;
    let shared = mounted(&bench.container("app").await, "/app.conf");
    let mut foreign = evenkeel::model::spec::ContainerSpec::of_image(image_ref("app:1"));
    let source = MountSource::Bind(shared.clone());
    foreign.mounts.insert("/app.conf".to_owned(), Mount { read_only: true, ..Mount::of(source) });
    let request = evenkeel::engine::CreateContainer {
        name: "foreign".parse().unwrap(),
        spec: foreign,
        labels: [].into(),
        networks: [].into(),
    };
    evenkeel::engine::Engine::create_container(&bench.host, &request).await.unwrap();
    for text in ["two", "three"] {
        assert!(matches!(bench.deploy(&granted("app:1", text)).await, Outcome::Applied(_)));
    }
    assert!(std::path::Path::new(&shared).exists());
    assert_eq!(laid_down(&bench).iter().filter(|line| line.ends_with("ONE")).count(), 1);
}
