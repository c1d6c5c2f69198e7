//! Law: create → inspect gives the specification back, field by field, with what image and daemon filled in.

use std::collections::BTreeMap;
use std::time::Duration;

use evenkeel::engine::Engine;
use evenkeel::model::label;
use evenkeel::model::live::LiveContainer;
use evenkeel::model::spec::{
    Attachment, ContainerPort, ContainerSpec, HealthTest, Healthcheck, HostPort, Logging, Mount, MountSource,
    Protocol, PublishedPort, RestartPolicy, Ulimit,
};
use evenkeel::model::text::Text;

use super::ground::{Ground, strings, words};
use crate::common::image::TestImage;
use crate::common::names::unique_port;

type Field = (&'static str, fn(&mut ContainerSpec));

/// One change for each field, some for its several shapes. Networks and named volumes need objects; they have laws
/// of their own below.
const FIELDS: [Field; 46] = [
    ("command", |spec| spec.command = Some(words(&["serve", "--say", "a b"]))),
    ("empty entrypoint", |spec| {
        spec.entrypoint = Some(Vec::new());
        spec.command = Some(words(&["/fixture", "serve"]));
    }),
    ("entrypoint drops the image's command", |spec| spec.entrypoint = Some(words(&["/fixture", "say"]))),
    ("environment", |spec| {
        spec.environment.insert("A".to_owned(), Text::sensitive("1=2"));
        spec.environment.insert("EMPTY".to_owned(), Text::plain(""));
    }),
    ("environment over the image's", |spec| {
        spec.environment.insert("IMAGE_SAYS".to_owned(), Text::plain("no"));
    }),
    ("labels", |spec| drop(spec.labels.insert("a.b".to_owned(), "c=d".to_owned()))),
    ("labels over the image's", |spec| drop(spec.labels.insert("image.label".to_owned(), String::new()))),
    ("port on every address", |spec| {
        spec.ports.insert(port(None, HostPort::One(unique_port())));
    }),
    ("port on one address", |spec| {
        spec.ports.insert(port(Some("127.0.0.1"), HostPort::One(unique_port())));
    }),
    ("port on an IPv6 address", |spec| {
        spec.ports.insert(port(Some("::1"), HostPort::One(8000)));
    }),
    ("any port", |spec| {
        spec.ports.insert(port(None, HostPort::Any));
    }),
    ("one port of a range", |spec| {
        spec.ports.insert(port(None, HostPort::OneOf(20_000, 20_009)));
    }),
    ("one container port on two of the host", |spec| {
        spec.ports.insert(port(None, HostPort::One(8001)));
        spec.ports.insert(port(None, HostPort::One(8002)));
    }),
    ("expose", |spec| {
        spec.expose.insert(ContainerPort { number: 53, protocol: Protocol::Udp });
    }),
    ("anonymous volume", |spec| mount(spec, "/anonymous", MountSource::Anonymous, false)),
    ("bind", |spec| mount(spec, "/bound", MountSource::Bind("/etc".to_owned()), false)),
    ("read-only bind", |spec| mount(spec, "/bound", MountSource::Bind("/etc/hostname".to_owned()), true)),
    ("tmpfs", |spec| {
        mount(spec, "/memory", MountSource::Tmpfs { size: Some(1 << 20), mode: Some(0o1770) }, false);
    }),
    ("bare tmpfs", |spec| mount(spec, "/memory", MountSource::Tmpfs { size: None, mode: None }, false)),
    ("shell health check", |spec| {
        spec.healthcheck = Some(check(HealthTest::Shell(Text::plain("exit 0 | true"))));
    }),
    ("exec health check", |spec| {
        spec.healthcheck = Some(Healthcheck {
            interval: Some(Duration::from_millis(1500)),
            timeout: Some(Duration::from_secs(2)),
            start_period: Some(Duration::from_secs(3)),
            retries: Some(4),
            ..check(HealthTest::Exec(words(&["/fixture", "probe"])))
        });
    }),
    ("disabled health check", |spec| spec.healthcheck = Some(check(HealthTest::Disabled))),
    ("user", |spec| spec.user = Some("1000:1000".to_owned())),
    ("working directory", |spec| spec.working_dir = Some("/elsewhere".to_owned())),
    ("hostname", |spec| spec.hostname = Some("host-name".to_owned())),
    ("restart always", |spec| spec.restart = RestartPolicy::Always),
    ("restart unless stopped", |spec| spec.restart = RestartPolicy::UnlessStopped),
    ("restart on failure", |spec| spec.restart = RestartPolicy::OnFailure(None)),
    ("restart on failure, at most", |spec| spec.restart = RestartPolicy::OnFailure(Some(5))),
    ("stop signal", |spec| spec.stop_signal = Some("SIGINT".to_owned())),
    ("stop grace", |spec| spec.stop_grace = Some(Duration::from_secs(75))),
    ("init", |spec| spec.init = Some(true)),
    ("no init", |spec| spec.init = Some(false)),
    ("read-only root", |spec| spec.read_only = true),
    ("terminal and input", |spec| (spec.tty, spec.stdin_open) = (true, true)),
    ("privileged", |spec| spec.privileged = true),
    ("capabilities", |spec| {
        spec.cap_add = strings(&["NET_ADMIN", "SYS_TIME"]);
        spec.cap_drop = strings(&["ALL"]);
    }),
    ("security options", |spec| {
        spec.security_opt = strings(&["no-new-privileges:true", "seccomp=unconfined"]);
    }),
    ("extra hosts", |spec| {
        spec.extra_hosts.insert(("db".to_owned(), "10.0.0.9".to_owned()));
        spec.extra_hosts.insert(("six".to_owned(), "2001:db8::1".to_owned()));
    }),
    ("name servers", |spec| spec.dns = vec!["9.9.9.9".to_owned(), "1.1.1.1".to_owned()]),
    ("sysctls", |spec| drop(spec.sysctls.insert("net.ipv4.ip_forward".to_owned(), "0".to_owned()))),
    ("limits of processes", |spec| {
        spec.ulimits.insert("nofile".to_owned(), Ulimit { soft: 1024, hard: 2048 });
        spec.ulimits.insert("core".to_owned(), Ulimit { soft: -1, hard: -1 });
    }),
    ("shared memory", |spec| spec.shm_size = Some(128 << 20)),
    ("logging", |spec| {
        let options = [("max-size".to_owned(), "10m".to_owned()), ("max-file".to_owned(), "3".to_owned())];
        spec.logging = Some(Logging { driver: "json-file".to_owned(), options: options.into() });
    }),
    ("memory", |spec| {
        spec.resources.memory = Some(256 << 20);
        spec.resources.memory_reservation = Some(64 << 20);
    }),
    ("processors and processes", |spec| {
        spec.resources.nano_cpus = Some(1_500_000_000);
        spec.resources.pids = Some(200);
    }),
];

fn port(host_ip: Option<&str>, host: HostPort) -> PublishedPort {
    let container = ContainerPort { number: 8080, protocol: Protocol::Tcp };
    PublishedPort { container, host_ip: host_ip.map(|ip| ip.parse().unwrap()), host }
}

fn mount(spec: &mut ContainerSpec, target: &str, source: MountSource, read_only: bool) {
    spec.mounts.insert(target.to_owned(), Mount { source, read_only });
}

fn check(test: HealthTest) -> Healthcheck {
    Healthcheck { test: Some(test), interval: None, timeout: None, start_period: None, retries: None }
}

pub async fn every_field_is_read_back_as_it_was_asked_for<E: Engine>(ground: &Ground<E>) {
    for (number, (field, change)) in FIELDS.iter().enumerate() {
        let mut spec = ground.rich_spec();
        change(&mut spec);
        compare(ground, &format!("field{number}"), field, spec).await;
    }
    let mut spec = ground.rich_spec();
    let volume = MountSource::Volume(ground.volume_name("data"));
    mount(&mut spec, "/data", volume.clone(), false);
    mount(&mut spec, "/data-again", volume, true);
    compare(ground, "volume", "named volume", spec).await;

    let mut all = ground.rich_spec();
    for (_, change) in FIELDS {
        change(&mut all);
    }
    compare(ground, "all", "all of them at once", all).await;
}

async fn compare<E: Engine>(ground: &Ground<E>, service: &str, field: &str, spec: ContainerSpec) {
    let created = ground.engine.create_container(&ground.request(service, spec.clone())).await;
    let id = created.unwrap_or_else(|error| panic!("{field}: {error}"));
    let live = ground.inspect(&id).await;
    let expected = filled_in(spec, &ground.rich, &live);
    pretty_eq(field, &expected, &live.spec);
}

/// Shows the lines that differ, and the texts that hide themselves.
fn pretty_eq(field: &str, expected: &ContainerSpec, found: &ContainerSpec) {
    let shown = |spec: &ContainerSpec| {
        let words =
            spec.command.iter().chain(&spec.entrypoint).flatten().map(Text::expose).collect::<Vec<_>>();
        format!("{spec:#?}\n{words:#?}\n")
    };
    let (expected_text, found_text) = (shown(expected), shown(found));
    let diff = similar::TextDiff::from_lines(&expected_text, &found_text);
    assert!(expected == found, "{field}: expected (-) and found (+) differ\n{}", diff.unified_diff());
}

/// What `spec` must look like when it is read back: image and daemon fill in what it leaves open, and nobody knows
/// any more which text is sensitive.
fn filled_in(mut spec: ContainerSpec, image: &TestImage, live: &LiveContainer) -> ContainerSpec {
    let image = &image.config;
    let texts = |words: &[String]| words.iter().map(Text::sensitive).collect::<Vec<_>>();
    if spec.entrypoint.is_none() {
        spec.entrypoint = Some(texts(&image.entrypoint));
        spec.command.get_or_insert_with(|| texts(&image.command));
    }
    for (key, value) in &image.environment {
        spec.environment.entry(key.clone()).or_insert_with(|| Text::sensitive(value));
    }
    for (name, value) in &image.labels {
        spec.labels.entry(name.clone()).or_insert_with(|| value.clone());
    }
    let exposed = ContainerPort { number: 8080, protocol: Protocol::Tcp };
    if !spec.ports.iter().any(|port| port.container == exposed) {
        spec.expose.insert(exposed);
    }
    let anonymous = Mount { source: MountSource::Anonymous, read_only: false };
    spec.mounts.insert("/cache".to_owned(), anonymous);
    spec.user = spec.user.or_else(|| image.user.clone());
    spec.working_dir = spec.working_dir.or_else(|| image.working_dir.clone());
    spec.hostname = spec.hostname.or_else(|| Some(live.id.short().to_owned()));
    spec.shm_size = spec.shm_size.or(Some(64 << 20));
    // The daemon's own configuration decides where the output goes.
    spec.logging = spec.logging.or_else(|| live.spec.logging.clone());
    // Docker adds this to every privileged container.
    let unlabelled = "label=disable".to_owned();
    if spec.privileged && live.spec.security_opt.contains(&unlabelled) {
        spec.security_opt.insert(unlabelled);
    }
    hide(&mut spec);
    spec
}

fn hide(spec: &mut ContainerSpec) {
    let hide = |text: &mut Text| *text = Text::sensitive(text.expose());
    spec.command.iter_mut().chain(&mut spec.entrypoint).flatten().for_each(hide);
    spec.environment.values_mut().for_each(hide);
    match spec.healthcheck.as_mut().and_then(|check| check.test.as_mut()) {
        Some(HealthTest::Exec(words)) => words.iter_mut().for_each(hide),
        Some(HealthTest::Shell(line)) => hide(line),
        Some(HealthTest::Disabled) | None => {}
    }
}

pub async fn what_is_not_declared_comes_from_image_and_daemon<E: Engine>(ground: &Ground<E>) {
    let (first, first_id) = ground.created_network("first").await;
    let (second, second_id) = ground.created_network("second").await;
    let mut spec = ground.rich_spec();
    let attachment = |alias: &str| Attachment { aliases: strings(&[alias, "web"]), ..Attachment::default() };
    spec.networks = BTreeMap::from([(first.clone(), attachment("a")), (second.clone(), attachment("b"))]);
    let mut request = ground.request("web", spec.clone());
    request.networks = BTreeMap::from([(first.clone(), first_id), (second.clone(), second_id)]);
    let id = ground.engine.create_container(&request).await.unwrap();
    let created = ground.inspect(&id).await;
    pretty_eq("created", &filled_in(spec.clone(), &ground.rich, &created), &created.spec);
    ground.engine.start_container(&id).await.unwrap();
    let live = ground.inspect(&id).await;
    pretty_eq("started", &filled_in(spec, &ground.rich, &live), &live.spec);
    assert_eq!(live.name, ground.container_name("web"));
    assert_eq!(live.instance.to_string(), "web-1");
    assert_eq!(live.deploy.as_str(), "d1");
    assert_eq!(live.addresses.keys().collect::<Vec<_>>(), [&first, &second]);
    let image = ground.engine.inspect_image(&ground.rich.reference.to_string()).await.unwrap().unwrap();
    assert_eq!(live.image, image.id);
    let listed = ground.engine.list_containers().await.unwrap();
    let listed = listed.into_iter().find(|listed| listed.id == id).unwrap();
    assert_eq!((listed.summary.name, listed.summary.stack), (live.name, Some(ground.stack.clone())));
    assert!(
        !live.spec.labels.contains_key(label::STACK),
        "labels of Evenkeel are no part of a specification"
    );
}
