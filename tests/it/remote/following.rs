//! The agent on a simulated host with a real clock, following real servers.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use evenkeel::agent::Trigger;
use evenkeel::agent::origin::{Origin, mirrors};
use evenkeel::apply::Outcome;
use evenkeel::manifest::{Followed, GitCredential, GitSettings, SshKey, Verify};
use evenkeel::model::name::ContainerName;
use git2::{Oid, Repository};
use ssh_key::private::PrivateKey;

use super::forge::Forge;
use super::sshd::Sshd;
use super::upstream::{allowed, commit, key};
use crate::agent::scene::{Heard, Scene, Watcher, manifest, stack, tree};

/// Never looked by itself within a test.
const NEVER: Duration = Duration::from_secs(3600);

fn web() -> ContainerName {
    "shop-dev-web-1".parse().unwrap()
}

fn followed(repository: &str) -> Followed {
    Followed {
        repository: repository.parse().unwrap(),
        environment: None,
        branch: None,
        tag: None,
        poll: None,
        credential: None,
        verify: None,
    }
}

/// What agent.yaml would say, for a scene whose repository is on a server.
fn origin(scene: &Scene, followed: &Followed, credential: Option<GitCredential>) -> Origin {
    let settings = GitSettings { timeout: Duration::from_secs(10), ..GitSettings::default() };
    let mirrors = mirrors(&settings, &scene.folder.path().join("state")).unwrap();
    let credentials: BTreeMap<_, _> =
        credential.map(|known| ("forge".to_owned(), known)).into_iter().collect();
    let credential = credentials.keys().next().cloned();
    Origin::of(&Followed { credential, ..followed.clone() }, &credentials, &mirrors)
}

/// Waits until something is deployed, and returns when that began.
async fn deploys(agent: &mut Watcher) -> Instant {
    while !matches!(agent.next().await, Heard::Deploys) {}
    Instant::now()
}

/// A push is deployed when a hint comes, and without one within the time between two looks.
async fn pushes_are_deployed(scene: &Scene, origin: impl Fn() -> Origin) {
    let first = scene.commit(&manifest("app:1"));
    let by_hint = async |agent: &mut Watcher| {
        agent.deployed(&first).await;
        let second = scene.commit(&manifest("app:2"));
        let rung = Instant::now();
        agent.bell.source.notify_one();
        let took = deploys(agent).await - rung;
        assert!(took < Duration::from_secs(3), "{took:?} from the hint to the deploy");
        agent.deployed(&second).await;
        assert_eq!(agent.trigger(), Trigger::SourceChanged);
    };
    scene.play_from((origin(), NEVER), by_hint).await;
    let by_itself = async |agent: &mut Watcher| {
        let third = scene.commit(&manifest("app:3"));
        let pushed = Instant::now();
        agent.deployed(&third).await;
        assert!(pushed.elapsed() < Duration::from_secs(20), "{:?}", pushed.elapsed());
    };
    scene.play_from((origin(), Duration::from_secs(1)), by_itself).await;
}

#[tokio::test]
async fn a_push_over_http_is_deployed() {
    let scene = Scene::new();
    let forge = Forge::start(scene.folder.path()).await;
    forge.set_password("hunter2");
    let token = scene.folder.path().join("token");
    fs::write(&token, "hunter2\n").unwrap();
    fs::set_permissions(&token, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let password = evenkeel::manifest::Credential::File(token.to_str().unwrap().to_owned());
    let credential = GitCredential::Basic { username: "git".to_owned(), password };
    pushes_are_deployed(&scene, || origin(&scene, &followed(&forge.shop()), Some(credential.clone()))).await;
}

#[tokio::test]
async fn a_push_over_ssh_is_deployed() {
    let scene = Scene::new();
    let Some(sshd) = Sshd::start(scene.folder.path()) else { return };
    let file = |name: &str| sshd.file(name).to_str().unwrap().to_owned();
    let credential =
        GitCredential::Ssh { key: SshKey::File(file("client")), known_hosts: file("known_hosts") };
    let address = sshd.address(&scene.repository());
    pushes_are_deployed(&scene, || origin(&scene, &followed(&address), Some(credential.clone()))).await;
}

#[tokio::test]
async fn without_the_server_what_runs_is_kept_up() {
    let scene = Scene::new();
    let first = scene.commit(&manifest("app:1"));
    let forge = Forge::start(scene.folder.path()).await;
    let from = origin(&scene, &followed(&forge.shop()), None);
    scene
        .play_from((from.clone(), Duration::from_secs(1)), async |agent| {
            agent.deployed(&first).await;
            forge.behave(super::forge::Manner::Hangs);
            agent.bell.source.notify_one();
            assert!(scene.sim.remove_by_hand(&web()));
            let gone = Instant::now();
            agent.deployed(&first).await;
            assert_eq!(agent.trigger(), Trigger::HostChanged);
            assert!(gone.elapsed() < Duration::from_secs(8), "the repair waited for the server");
        })
        .await;
    drop(forge);
    // A new agent knows from the mirror what to keep up, though the server is gone.
    scene
        .play_from((from, Duration::from_secs(1)), async |agent| {
            agent.rests().await;
            assert!(scene.sim.remove_by_hand(&web()));
            agent.deployed(&first).await;
        })
        .await;
}

#[tokio::test]
async fn a_branch_rewritten_on_the_server_is_held() {
    let scene = Scene::new();
    let first = scene.commit(&manifest("app:1"));
    let forge = Forge::start(scene.folder.path()).await;
    let from = || origin(&scene, &followed(&forge.shop()), None);
    let mut second = String::new();
    scene
        .play_from((from(), NEVER), async |agent| {
            agent.deployed(&first).await;
            second = scene.commit(&manifest("app:2"));
            agent.bell.source.notify_one();
            agent.deployed(&second).await;
            scene.rewrite(&manifest("app:3"), &first);
            agent.bell.source.notify_one();
            let why = agent.held().await;
            assert!(why.contains("did not come after") && why.contains(&second[..7]), "{why}");
            agent.rests().await;
        })
        .await;
    // A new agent reads what was deployed last from the mirror: no branch leads to it any more.
    scene
        .play_from((from(), NEVER), async |agent| {
            agent.held().await;
            agent.rests().await;
            assert!(scene.sim.remove_by_hand(&web()));
            agent.deployed(&second).await;
            assert_eq!(scene.running().await[web().as_str()].1, "app:2");
        })
        .await;
    // So it is where the mirror was lost, though nobody knows the old commit then.
    fs::remove_dir_all(scene.folder.path().join("state/repositories")).unwrap();
    scene
        .play_from((from(), NEVER), async |agent| {
            let why = agent.held().await;
            assert!(why.contains("did not come after"), "{why}");
            let third = scene.rewrite(&manifest("app:3"), &second);
            agent.bell.source.notify_one();
            agent.deployed(&third).await;
        })
        .await;
}

#[tokio::test]
async fn of_five_hundred_pushes_the_last_is_deployed() {
    let scene = Scene::new();
    let first = scene.commit(&manifest("app:1"));
    let forge = Forge::start(scene.folder.path()).await;
    let from = origin(&scene, &followed(&forge.shop()), None);
    scene
        .play_from((from, NEVER), async |agent| {
            agent.deployed(&first).await;
            let mut last = first.clone();
            for push in 0..500 {
                last = scene.commit(&manifest(if push % 2 == 0 { "app:2" } else { "app:3" }));
                agent.bell.source.notify_one();
                tokio::task::yield_now().await;
            }
            let mut deployed = 0;
            loop {
                let (commit, outcome) = agent.ended().await;
                deployed += 1;
                let is_done = matches!(outcome, Outcome::Applied(_) | Outcome::Unchanged);
                assert!(is_done || matches!(outcome, Outcome::Interrupted(_)), "{outcome:?}");
                if commit == last && is_done {
                    break;
                }
            }
            assert_eq!(scene.running().await[web().as_str()].1, "app:3");
            assert!(deployed < 100, "{deployed} deploys");
            assert!(forge.requests() < 600);
        })
        .await;
}

/// A local repository of which only signed commits may be deployed.
fn signed_origin(scene: &Scene, every_commit: bool) -> Origin {
    let signers = scene.folder.path().join("allowed_signers");
    if !signers.exists() {
        fs::write(&signers, allowed(1)).unwrap();
    }
    let signers = Some(signers.to_str().unwrap().to_owned());
    let verify = Some(Verify { every_commit, signers, keyring: None });
    origin(scene, &Followed { verify, ..followed(scene.repository().to_str().unwrap()) }, None)
}

fn push(repository: &Path, (project, manifest): (&str, &str), key: Option<&PrivateKey>) -> String {
    let git = Repository::open(repository).unwrap();
    let parent: Option<Oid> = git.refname_to_id("refs/heads/main").ok();
    commit(&git, "refs/heads/main", (tree(&git, project, manifest), parent), key)
}

#[tokio::test(start_paused = true)]
async fn an_unsigned_commit_is_held_and_drift_is_repaired() {
    let scene = Scene::new();
    let ada = key(1);
    let push = |project: &str, image: &str, key: Option<&PrivateKey>| {
        push(&scene.repository(), (project, &manifest(image)), key)
    };
    let minute = Duration::from_secs(60);
    let good = push("shop", "app:1", Some(&ada));
    scene
        .play_from((signed_origin(&scene, false), minute), async |agent| {
            agent.deployed(&good).await;
            let unsigned = push("other", "app:2", None);
            let why = agent.held().await;
            assert_eq!(why, format!("{} may not be deployed: it is not signed", &unsigned[..7]));
            agent.stays_calm(3).await;
            assert!(scene.sim.remove_by_hand(&web()));
            agent.deployed(&good).await;
        })
        .await;
    // A new agent finds its stack though the newest commit, which nobody may deploy, names another one.
    scene
        .play_from((signed_origin(&scene, false), minute), async |agent| {
            agent.held().await;
            agent.rests().await;
            assert!(scene.sim.remove_by_hand(&web()));
            agent.deployed(&good).await;
            assert!(scene.running().await.keys().all(|name| name.starts_with("shop-dev-")));
            let stranger = push("shop", "app:2", Some(&key(2)));
            let why = agent.held().await;
            assert!(why.contains(&stranger[..7]) && why.contains("not among the `signers`"), "{why}");
            agent.rests().await;
            // The host says by and by that this one may as well.
            fs::write(scene.folder.path().join("allowed_signers"), allowed(1) + &allowed(2)).unwrap();
            agent.deployed(&stranger).await;
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn an_unsigned_commit_between_two_signed_ones_is_held() {
    let scene = Scene::new();
    let ada = key(1);
    let push =
        |image: &str, key: Option<&PrivateKey>| push(&scene.repository(), ("shop", &manifest(image)), key);
    let minute = Duration::from_secs(60);
    let good = push("app:1", Some(&ada));
    scene
        .play_from((signed_origin(&scene, true), minute), async |agent| {
            agent.deployed(&good).await;
            let unsigned = push("app:2", None);
            agent.held().await;
            let signed = push("app:2", Some(&ada));
            let why = agent.held().await;
            assert_eq!(why, format!("{} may not be deployed: it is not signed", &unsigned[..7]));
            agent.stays_calm(2).await;
            assert!(scene.sim.remove_by_hand(&web()));
            agent.deployed(&good).await;
            assert_eq!(
                scene.machine().ledger().last_stable(&stack()).unwrap().unwrap().revision.commit(),
                Some(&*good)
            );
            assert_ne!(signed, good);
        })
        .await;
    // Where only the newest must be signed, it is deployed.
    scene
        .play_from((signed_origin(&scene, false), minute), async |agent| {
            let (commit, outcome) = agent.ended().await;
            assert!(commit != good && matches!(outcome, Outcome::Applied(_)), "{outcome:?}");
            assert_eq!(scene.running().await[web().as_str()].1, "app:2");
        })
        .await;
}
