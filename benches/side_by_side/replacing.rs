//! What replacing, failing and repairing costs those who use a service.

use std::process::{Child, Command};
use std::time::{Duration, Instant, SystemTime};

use bollard::models::EventMessage;
use bollard::query_parameters::{EventsOptionsBuilder, RemoveContainerOptions, StopContainerOptionsBuilder};
use evenkeel::engine::stand_in;
use futures_util::StreamExt;

use crate::client::{Client, free_port, wait_for};
use crate::host::{Bare, Project};
use crate::{Bench, ROUNDS, median, report};

// Under load, a published port answers about a second later than its container runs, whoever starts that: engines before
// 28 listen on the port before the container has its interface, and the host then asks for its address once a second.

/// What a container was replaced with serves for so long before the client goes.
const AFTER: Duration = Duration::from_millis(300);

/// A service on `port`, with these variables.
fn on_port(port: u16, variables: &str) -> String {
    format!(
        "  web:\n    image: {}\n    init: true\n    environment: {{{variables}}}\n    ports: [\"{port}:9090\"]\n    \
         x-evenkeel: {{gate: {{stable_for: 20ms}}}}\n",
        stand_in::IMAGE
    )
}

pub fn slow_health(bench: &Bench) {
    let services = format!(
        "  web:\n    image: {}\n    init: true\n    environment: {{STAND_IN_DELAY_MS: \"1000\"}}\n    \
         healthcheck: {{test: [CMD, pg_isready], interval: 30s}}\n",
        stand_in::IMAGE
    );
    let ours = (0..ROUNDS).map(|_| {
        let project = bench.host.project();
        project.evenkeel(&project.file("health", &services), &["apply", "--yes"])
    });
    let ours = ours.collect();
    // Once is enough to wait for.
    let composed = bench.compose.iter().map(|compose| {
        let project = bench.host.project();
        project.compose_with(compose, &project.file("health", &services), &["--wait"])
    });
    report(
        "a health check every 30 s, of a service that needs 1 s: until it is ready (budget 1500 ms)",
        ours,
        vec![("compose up -d --wait", None, composed.collect())],
    );
}

pub fn outage(bench: &Bench) {
    let measured = |project: &Project<'_>, replace: &dyn Fn(&std::path::Path) -> Duration| {
        let port = free_port();
        replace(&project.file("one", &on_port(port, "VERSION: one")));
        wait_for(port);
        let client = Client::of(port);
        std::thread::sleep(AFTER);
        replace(&project.file("two", &on_port(port, "VERSION: two")));
        wait_for(port);
        std::thread::sleep(AFTER);
        client.end().outage()
    };
    let (mut ours, mut bare, mut composed) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let project = bench.host.project();
        ours.push(measured(&project, &|file| project.evenkeel(file, &["apply", "--yes"])));
        bare.push(bare_outage(&bench.host.project()));
        if let Some(compose) = &bench.compose {
            let project = bench.host.project();
            composed.push(measured(&project, &|file| project.compose(compose, file)));
        }
    }
    report(
        "a published port while its container is replaced: longest time without an answer",
        ours,
        vec![("stop and start by the API", None, bare), ("compose up -d", Some(0.5), composed)],
    );
}

/// The floor: the successor is there already, the old one stops, the new one starts.
fn bare_outage(project: &Project<'_>) -> Duration {
    let port = free_port();
    let docker = &project.host.docker;
    let of = || Bare { port: Some(port), ..Bare::default() };
    let (old, new) = project.host.runtime.block_on(async {
        project.bare_network().await;
        let old = project.bare_create("old", of()).await;
        docker.start_container(&old, None).await.unwrap();
        (old, project.bare_create("new", of()).await)
    });
    wait_for(port);
    let client = Client::of(port);
    std::thread::sleep(AFTER);
    project.host.runtime.block_on(async {
        let options = StopContainerOptionsBuilder::default().t(10).build();
        docker.stop_container(&old, Some(options)).await.unwrap();
        docker.start_container(&new, None).await.unwrap();
    });
    wait_for(port);
    std::thread::sleep(AFTER);
    client.end().outage()
}

pub fn rollback(bench: &Bench) {
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let (port, project) = (free_port(), bench.host.project());
        project.evenkeel(&project.file("good", &on_port(port, "VERSION: one")), &["apply", "--yes"]);
        wait_for(port);
        let since = SystemTime::now();
        let client = Client::of(port);
        let bad = project.file("bad", &on_port(port, "STAND_IN_FAIL: start"));
        let output = project.command(&bad, &["apply", "--yes"]).output().unwrap();
        assert_eq!(output.status.code(), Some(3), "{}", String::from_utf8_lossy(&output.stderr));
        wait_for(port);
        std::thread::sleep(AFTER);
        let answers = client.end();
        let failed = project.host.runtime.block_on(failed_at(&project, since));
        ours.push(answers.since(failed));
        bare.push(bare_start(&bench.host.project()));
    }
    report(
        "rollback: from the death of the new container until the old one answers",
        ours,
        vec![("start by the API, until it answers", Some(1.5), bare)],
    );
}

fn bare_start(project: &Project<'_>) -> Duration {
    let port = free_port();
    let id = project.host.runtime.block_on(async {
        project.bare_network().await;
        project.bare_create("web", Bare { port: Some(port), ..Bare::default() }).await
    });
    let client = Client::of(port);
    let start = SystemTime::now();
    project.host.runtime.block_on(project.host.docker.start_container(&id, None)).unwrap();
    wait_for(port);
    std::thread::sleep(AFTER);
    client.end().since(start)
}

/// When a container of the project ended with an error.
async fn failed_at(project: &Project<'_>, since: SystemTime) -> SystemTime {
    let events = events(project, since, "die").await;
    let code = |event: &EventMessage| event.actor.as_ref()?.attributes.as_ref()?.get("exitCode").cloned();
    let failed = events.iter().find(|event| code(event).is_some_and(|code| code == "1")).expect("a failure");
    moment(failed)
}

fn moment(event: &EventMessage) -> SystemTime {
    let nanos = u64::try_from(event.time_nano.unwrap()).unwrap();
    SystemTime::UNIX_EPOCH + Duration::from_nanos(nanos)
}

/// What has happened to the containers of the project.
async fn events(project: &Project<'_>, since: SystemTime, what: &str) -> Vec<EventMessage> {
    let seconds = |time: SystemTime| {
        let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap();
        format!("{}.{:09}", since.as_secs(), since.subsec_nanos())
    };
    let label = format!("com.docker.compose.project={}", project.name);
    let filters = [("label".to_owned(), vec![label]), ("event".to_owned(), vec![what.to_owned()])].into();
    let until = seconds(SystemTime::now());
    let options =
        EventsOptionsBuilder::default().since(&seconds(since)).until(&until).filters(&filters).build();
    project.host.docker.events(Some(options)).map(Result::unwrap).collect().await
}

pub fn drift(bench: &Bench) {
    let project = bench.host.project();
    let image = stand_in::IMAGE;
    let web = format!("  web:\n    image: {image}\n    x-evenkeel: {{gate: {{stable_for: 0s}}}}\n");
    let mut agent = agent(&project, &web);
    let docker = &project.host.docker;
    let mut ours = Vec::new();
    for _ in 0..ROUNDS {
        let old = one_running(&project);
        let options = RemoveContainerOptions { force: true, ..RemoveContainerOptions::default() };
        project.host.runtime.block_on(docker.remove_container(&old, Some(options))).unwrap();
        let start = Instant::now();
        one_running(&project);
        ours.push(start.elapsed());
    }
    agent.kill().unwrap();
    agent.wait().unwrap();
    drop(project);
    let bare = (0..ROUNDS).map(|_| {
        let project = bench.host.project();
        project.host.runtime.block_on(project.bare_network());
        let start = Instant::now();
        project.host.runtime.block_on(async {
            let id = project.bare_create("web", Bare::default()).await;
            bench.host.docker.start_container(&id, None).await.unwrap();
        });
        one_running(&project);
        start.elapsed()
    });
    let mut bare: Vec<Duration> = bare.collect();
    let over = median(&mut ours).zip(median(&mut bare)).map(|(ours, bare)| ours.saturating_sub(bare));
    report(
        "a container that was removed by hand, until it runs again",
        ours,
        vec![("create and start by the API", None, bare)],
    );
    println!("  over that: {:.1} ms (budget 300 ms)\n", over.unwrap_or_default().as_secs_f64() * 1e3);
}

/// The one container of the project, when it runs.
fn one_running(project: &Project<'_>) -> String {
    let start = Instant::now();
    loop {
        if let Some(id) = running(project).pop() {
            return id;
        }
        assert!(start.elapsed() < Duration::from_secs(60), "nothing runs");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// The containers of the project that run.
pub fn running(project: &Project<'_>) -> Vec<String> {
    project.host.runtime.block_on(project.containers(false))
}

/// An agent that follows a repository with these services.
pub fn agent(project: &Project<'_>, services: &str) -> Child {
    let repository = project.folder.join("repository");
    let write = |path: &str, text: String| {
        let path = repository.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write("evenkeel.yaml", "project: bench\ntiers: [apps]\n".to_owned());
    write("environments/dev/environment.yaml", format!("stack: {}\n", project.name));
    write("manifests/apps/web.yaml", format!("services:\n{services}"));
    let git = git2::Repository::init(&repository).unwrap();
    let mut index = git.index().unwrap();
    index.add_all(["*"], git2::IndexAddOption::DEFAULT, None).unwrap();
    let tree = git.find_tree(index.write_tree().unwrap()).unwrap();
    let author = git2::Signature::now("Ada", "ada@example.org").unwrap();
    git.commit(Some("refs/heads/main"), &author, &author, "one", &tree, &[]).unwrap();
    let log = std::fs::File::create(project.folder.join("log")).unwrap();
    let mut process = Command::new(env!("CARGO_BIN_EXE_evenkeel"));
    process.arg("--state").arg(project.folder.join("state")).arg("--repo").arg(&repository);
    process.args(["--env", "dev", "run", "--branch", "main"]).stderr(log);
    process.spawn().unwrap()
}
