//! A simulated host, a repository, and an agent that follows it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use evenkeel::agent::board::Board;
use evenkeel::agent::desk::{Bell, Desk, Stand};
use evenkeel::agent::origin::Origin;
use evenkeel::agent::{self, Audience, Audiences, Follow, Happening, Trigger};
use evenkeel::apply::clock::Clock;
use evenkeel::apply::ledger::Ledger;
use evenkeel::apply::ledger::writes::Fault;
use evenkeel::apply::machine::Machine;
use evenkeel::apply::progress::{Event, Progress};
use evenkeel::apply::{Host, Outcome};
use evenkeel::engine::Engine;
use evenkeel::engine::sim::{Behaviour, Sim, SimImage};
use evenkeel::model::live::Status;
use evenkeel::model::name::{ContainerId, StackName};
use git2::{Oid, Repository, RepositoryInitOptions, Signature};
use jiff::Timestamp;
use tempfile::TempDir;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// What the agent told.
#[derive(Debug)]
pub enum Heard {
    Woken(Trigger),
    Deploys,
    Ended { commit: String, outcome: Box<Outcome> },
    Holds(String),
    LeavesAlone(String),
    Rests,
}

struct Ear(UnboundedSender<Heard>);

impl Progress for Ear {
    fn event(&self, _: Event<'_>) {}
}

impl Audience for Ear {
    fn happens(&self, happening: Happening<'_>) {
        let heard = match happening {
            Happening::Woken(trigger) => Heard::Woken(trigger),
            Happening::Deploys(_) => Heard::Deploys,
            Happening::Ended(plan, outcome) => {
                let commit = plan.revision.commit().unwrap().to_owned();
                Heard::Ended { commit, outcome: Box::new(outcome.clone()) }
            }
            Happening::Holds(hold) => Heard::Holds(hold.why.clone()),
            Happening::LeavesAlone { service, field } => Heard::LeavesAlone(format!("{service}: {field}")),
            Happening::Rests => Heard::Rests,
            _ => return,
        };
        let _ = self.0.send(heard);
    }
}

/// The environment's stack.
pub fn stack() -> StackName {
    "shop-dev".parse().unwrap()
}

/// Two services, the first of this image.
pub fn manifest(web: &str) -> String {
    format!("services:\n  web: {{image: {web}}}\n  db: {{image: 'app:1'}}\n")
}

pub struct Scene {
    pub sim: Sim,
    pub folder: TempDir,
    pub clock: Simulated,
    /// Whether the disk of the state folder is full.
    pub is_full: Arc<AtomicBool>,
}

/// The time of day that goes by the simulated clock: a Thursday at eight.
#[derive(Clone, Copy)]
pub struct Simulated(Instant);

impl Clock for Simulated {
    fn now(&self) -> Timestamp {
        "2026-01-01T08:00:00Z".parse::<Timestamp>().unwrap() + self.0.elapsed()
    }
}

impl Scene {
    pub fn new() -> Self {
        let sim = Sim::new();
        for name in ["app:1", "app:2", "app:3"] {
            sim.add_image(&name.parse().unwrap(), SimImage::of(name));
        }
        let broken = Behaviour {
            exits: Some((Duration::from_millis(50), 3)),
            writes: vec!["no such table".to_owned()],
            ..Behaviour::default()
        };
        sim.add_image(&"app:broken".parse().unwrap(), SimImage::of("app:broken").that(broken));
        let scene = Self {
            sim,
            folder: tempfile::tempdir().unwrap(),
            clock: Simulated(Instant::now()),
            is_full: Arc::default(),
        };
        let mut options = RepositoryInitOptions::new();
        options.bare(true).initial_head("main").external_template(false);
        Repository::init_opts(scene.repository(), &options).unwrap();
        scene
    }

    pub fn repository(&self) -> PathBuf {
        self.folder.path().join("shop.git")
    }

    /// Commits the manifest on top of the branch. Returns the commit.
    pub fn commit(&self, manifest: &str) -> String {
        commit(&self.repository(), (manifest, "variables: {}\n"), None)
    }

    /// The same, with what the environment says.
    pub fn commit_in(&self, environment: &str, manifest: &str) -> String {
        commit(&self.repository(), (manifest, environment), None)
    }

    /// Makes the branch another one, whose newest commit has no parent but `parent`.
    pub fn rewrite(&self, manifest: &str, parent: &str) -> String {
        commit(&self.repository(), (manifest, "variables: {}\n"), Some(parent))
    }

    pub fn machine(&self) -> Machine<Sim> {
        let machine =
            Machine::open(self.sim.clone(), &self.folder.path().join("state"), Host::Other).unwrap();
        machine.with_clock(Box::new(self.clock))
    }

    /// What the agent follows.
    pub fn follow(&self) -> Follow {
        Follow {
            repository: self.repository().into(),
            branch: Some("main".to_owned()),
            environment: "dev".parse().unwrap(),
            host_variables: BTreeMap::new(),
            poll: Duration::from_secs(60),
            look: Duration::from_secs(300),
        }
    }

    /// Runs an agent beside `body`, and stops it at the end.
    pub async fn play(&self, body: impl AsyncFnOnce(&mut Watcher)) {
        Box::pin(self.play_before(Vec::new(), body)).await;
    }

    /// The same for commits from elsewhere, with so much time between two looks there.
    pub async fn play_from(
        &self,
        (repository, poll): (Origin, Duration),
        body: impl AsyncFnOnce(&mut Watcher),
    ) {
        let follow = Follow { repository, poll, ..self.follow() };
        Box::pin(self.play_with(&follow, Vec::new(), body)).await;
    }

    /// The same as [`Self::play`], while `further` audiences are told as well.
    pub async fn play_before(&self, further: Vec<Arc<dyn Audience>>, body: impl AsyncFnOnce(&mut Watcher)) {
        Box::pin(self.play_with(&self.follow(), further, body)).await;
    }

    async fn play_with(
        &self,
        follow: &Follow,
        further: Vec<Arc<dyn Audience>>,
        body: impl AsyncFnOnce(&mut Watcher),
    ) {
        let machine = self.machine();
        let is_full = Arc::clone(&self.is_full);
        let fault = move |_| if is_full.load(Ordering::Relaxed) { Fault::Full } else { Fault::None };
        machine.ledger().on_write(Box::new(fault));
        let (ear, heard) = unbounded_channel();
        let (stop, bell) = (CancellationToken::new(), Bell::default());
        let board = Arc::new(Board::new(follow, Box::new(self.clock)));
        // Whoever waits for something here finds it told to all the others.
        let (first, last): (Arc<dyn Audience>, Arc<dyn Audience>) =
            (Arc::clone(&board) as Arc<dyn Audience>, Arc::new(Ear(ear)));
        let audience = Audiences([vec![first], further, vec![last]].concat());
        let ledger = Ledger::open(&self.folder.path().join("state/ledger.db")).unwrap();
        let desk = Desk::new(ledger, Box::new(self.clock));
        desk.follow(vec![Stand { board: Arc::clone(&board), bell: bell.clone() }]);
        let (last_trigger, ring) = (Trigger::Startup, bell.clone());
        let mut watcher = Watcher { heard, stop: stop.clone(), desk, board, bell: ring, last_trigger };
        agent::recover(&machine, &audience).await;
        let agent = Box::pin(agent::run(&machine, follow, &audience, &bell, &stop));
        let body = async {
            body(&mut watcher).await;
            stop.cancel();
        };
        tokio::join!(agent, Box::pin(body));
    }

    /// The containers that run, by name, with their image.
    pub async fn running(&self) -> BTreeMap<String, (ContainerId, String)> {
        let mut running = BTreeMap::new();
        for listed in self.sim.list_containers().await.unwrap() {
            let container = self.sim.inspect_container(&listed.id).await.unwrap();
            if container.state.status == Status::Running {
                running.insert(container.name.to_string(), (container.id, container.spec.image.to_string()));
            }
        }
        running
    }
}

/// Files of the project `project` with this manifest.
pub fn tree(git: &Repository, project: &str, manifest: &str) -> Oid {
    tree_in(git, project, (manifest, "variables: {}\n"))
}

fn tree_in(git: &Repository, project: &str, (manifest, environment): (&str, &str)) -> Oid {
    let file = |text: &str| git.blob(text.as_bytes()).unwrap();
    let folder = |entries: &[(&str, Oid, i32)]| {
        let mut tree = git.treebuilder(None).unwrap();
        for (name, id, mode) in entries {
            tree.insert(name, *id, *mode).unwrap();
        }
        tree.write().unwrap()
    };
    let (blob, tree) = (0o100_644, 0o040_000);
    let apps = folder(&[("web.yaml", file(manifest), blob)]);
    let dev = folder(&[("environment.yaml", file(environment), blob)]);
    folder(&[
        ("evenkeel.yaml", file(&format!("project: {project}\ntiers: [apps]\n")), blob),
        ("manifests", folder(&[("apps", apps, tree)]), tree),
        ("environments", folder(&[("dev", dev, tree)]), tree),
    ])
}

fn commit(repository: &Path, files: (&str, &str), parent: Option<&str>) -> String {
    let git = Repository::open(repository).unwrap();
    let root = tree_in(&git, "shop", files);
    let head = || git.find_reference("refs/heads/main").ok().map(|head| head.target().unwrap());
    let parent = match parent {
        Some(parent) => Some(Oid::from_str(parent).unwrap()),
        None => head(),
    };
    let parent = parent.map(|parent| git.find_commit(parent).unwrap());
    let author = Signature::now("Ada", "ada@example.org").unwrap();
    let (tree, parents) = (git.find_tree(root).unwrap(), parent.as_ref());
    let id = git.commit(None, &author, &author, "change", &tree, parents.as_slice()).unwrap();
    git.reference("refs/heads/main", id, true, "test").unwrap();
    id.to_string()
}

/// Hears what the agent tells.
pub struct Watcher {
    heard: UnboundedReceiver<Heard>,
    pub stop: CancellationToken,
    pub desk: Desk,
    pub board: Arc<Board>,
    /// What wakes the agent from outside.
    pub bell: Bell,
    last_trigger: Trigger,
}

impl Watcher {
    pub async fn next(&mut self) -> Heard {
        let heard = self.heard.recv().await.unwrap();
        if let Heard::Woken(trigger) = heard {
            self.last_trigger = trigger;
        }
        heard
    }

    /// What woke the agent last.
    pub fn trigger(&self) -> Trigger {
        self.last_trigger
    }

    /// Waits until a deploy has ended, and says of which commit and how.
    pub async fn ended(&mut self) -> (String, Outcome) {
        loop {
            if let Heard::Ended { commit, outcome } = self.next().await {
                return (commit, *outcome);
            }
        }
    }

    /// Waits until `commit` was deployed.
    pub async fn deployed(&mut self, commit: &str) {
        let (deployed, outcome) = self.ended().await;
        assert!(matches!(outcome, Outcome::Applied(_)), "{outcome:?}");
        assert_eq!(deployed, commit);
        self.rests().await;
    }

    /// Waits until the newest commit is held, and says why.
    pub async fn held(&mut self) -> String {
        loop {
            match self.next().await {
                Heard::Holds(why) => return why,
                Heard::Deploys => panic!("deployed what should be held"),
                Heard::Woken(_) | Heard::Ended { .. } | Heard::LeavesAlone(_) | Heard::Rests => {}
            }
        }
    }

    /// Waits until the agent has nothing to do.
    pub async fn rests(&mut self) {
        while !matches!(self.next().await, Heard::Rests) {}
    }

    /// Waits for so many full looks, in which nothing may be deployed or told.
    pub async fn stays_calm(&mut self, looks: usize) {
        let mut full = 0;
        while full < looks {
            match self.next().await {
                Heard::Woken(Trigger::FullLook) => full += 1,
                Heard::Woken(_) | Heard::Rests => {}
                heard @ (Heard::Deploys | Heard::Ended { .. } | Heard::Holds(_) | Heard::LeavesAlone(_)) => {
                    panic!("not calm: {heard:?}")
                }
            }
        }
        self.rests().await;
    }
}

/// Counts the calls of a kind and fails the first ones.
pub fn fail_first(
    sim: &Sim,
    verb: evenkeel::engine::sim::Verb,
    most: usize,
) -> Arc<std::sync::atomic::AtomicUsize> {
    use std::sync::atomic::AtomicUsize;

    use evenkeel::engine::sim::Fault;
    let count = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&count);
    sim.on_call(Box::new(move |call| {
        let is_meant = call.verb == verb;
        if is_meant && counter.fetch_add(1, Ordering::Relaxed) < most { Fault::Error } else { Fault::None }
    }));
    count
}
