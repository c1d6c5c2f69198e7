//! Law: create → inspect gives the specification back, field by field, with what image and daemon filled in.

use std::collections::BTreeMap;
use std::time::Duration;

use evenkeel::engine::{Engine, EngineError};
use evenkeel::model::label;
use evenkeel::model::live::LiveContainer;
use evenkeel::model::spec::{
    Attachment, ContainerPort, ContainerSpec, HealthTest, Healthcheck, HostPort, Logging, Mount,
    MountOptions, MountSource, Namespace, Propagation, Protocol, PublishedPort, Recursive, Relabel,
    RestartPolicy, Ulimit,
};
use evenkeel::model::text::Text;

use super::ground::{Ground, strings, words};
use crate::common::image::TestImage;
use crate::common::names::unique_port;

pub type Field = (&'static str, fn(&mut ContainerSpec));

/// One change for each field, some for its several shapes. Networks and named volumes need objects; they have laws
/// of their own below.
pub(crate) const FIELDS: [Field; 54] = [
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
    ("bind that makes its source", |spec| how(spec, "/made", bound(), |how| how.create_source = true)),
    ("relabelled bind", |spec| {
        how(spec, "/shared", bound(), |how| {
            (how.create_source, how.relabel) = (true, Some(Relabel::Shared));
            how.propagation = Some(Propagation::RSlave);
        });
    }),
    ("propagation", |spec| how(spec, "/slave", bound(), |how| how.propagation = Some(Propagation::Slave))),
    ("bind without what lies below", |spec| {
        how(spec, "/flat", bound(), |how| how.recursive = Some(Recursive::Disabled));
    }),
    ("volume that isn't filled", |spec| {
        how(spec, "/unfilled", MountSource::Anonymous, |how| how.no_copy = true);
    }),
    ("labelled anonymous volume", |spec| {
        how(spec, "/labelled", MountSource::Anonymous, |how| {
            how.labels.insert("a.b".to_owned(), "c=d".to_owned());
        });
    }),
    ("tmpfs with options of the kernel", |spec| {
        how(spec, "/owned", MountSource::Tmpfs { size: Some(1 << 20), mode: Some(0o700) }, |how| {
            how.kernel = strings(&["exec", "uid=1000", "gid=1000"]);
        });
    }),
    ("bare tmpfs with an option", |spec| {
        how(spec, "/run/x", MountSource::Tmpfs { size: None, mode: None }, |how| {
            how.kernel = strings(&["size=5%"]);
        });
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
    spec.mounts.insert(target.to_owned(), Mount { read_only, ..Mount::of(source) });
}

fn bound() -> MountSource {
    MountSource::Bind("/etc".to_owned())
}

fn how(spec: &mut ContainerSpec, target: &str, source: MountSource, say: impl FnOnce(&mut MountOptions)) {
    let mut mount = Mount::of(source);
    say(&mut mount.options);
    spec.mounts.insert(target.to_owned(), mount);
}

fn check(test: HealthTest) -> Healthcheck {
    Healthcheck { test: Some(test), ..Healthcheck::default() }
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
    mount(&mut spec, "/data-again", volume.clone(), true);
    how(&mut spec, "/data-shared", volume.clone(), |how| how.relabel = Some(Relabel::Shared));
    how(&mut spec, "/data-bare", volume, |how| how.no_copy = true);
    compare(ground, "volume", "named volume", spec).await;

    let mut all = ground.rich_spec();
    for (_, change) in FIELDS {
        change(&mut all);
    }
    compare(ground, "all", "all of them at once", all).await;
}

pub async fn compare<E: Engine>(ground: &Ground<E>, service: &str, field: &str, spec: ContainerSpec) {
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
    // An engine with the image store of containerd tells for what a container was built.
    spec.platform = spec.platform.or_else(|| live.spec.platform.clone());
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
    let anonymous = Mount::of(MountSource::Anonymous);
    spec.mounts.insert("/cache".to_owned(), anonymous);
    for (name, attachment) in &mut spec.networks {
        let Attachment { first, mac, .. } = live.spec.networks[name];
        (attachment.first, attachment.mac) = (first, attachment.mac.or(mac));
    }
    spec.user = spec.user.or_else(|| image.user.clone());
    spec.working_dir = spec.working_dir.or_else(|| image.working_dir.clone());
    // Trap 33: in the host's network it is the host's name.
    let in_hosts = spec.namespaces.network == Some(Namespace::Host);
    let named = if in_hosts { live.spec.hostname.clone() } else { Some(live.id.short().to_owned()) };
    spec.hostname = spec.hostname.or(named);
    spec.shm_size = spec.shm_size.or(Some(64 << 20));
    if spec.networks.is_empty() {
        spec.namespaces.network.get_or_insert(Namespace::None);
    }
    // The daemon's own configuration decides what isn't said, and the version of the kernel's control groups.
    spec.namespaces.ipc = spec.namespaces.ipc.or_else(|| live.spec.namespaces.ipc.clone());
    spec.namespaces.cgroup = spec.namespaces.cgroup.or_else(|| live.spec.namespaces.cgroup.clone());
    spec.runtime.name = spec.runtime.name.or_else(|| live.spec.runtime.name.clone());
    spec.resources.memory_swap = spec.resources.memory_swap.or(spec.resources.default_swap());
    // The daemon's own configuration decides where the output goes.
    spec.logging = spec.logging.or_else(|| live.spec.logging.clone());
    // Trap 28: Docker adds this to every container that is privileged or shares memory or processes with the host.
    let unlabelled = "label=disable".to_owned();
    let shares = [&spec.namespaces.ipc, &spec.namespaces.pid].contains(&&Some(Namespace::Host));
    if (spec.privileged || shares) && live.spec.security_opt.contains(&unlabelled) {
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

pub async fn trap_70_a_missing_source_is_made_only_where_it_may_be<E: Engine>(ground: &Ground<E>) {
    // The simulated engine knows no files.
    if ground.is_simulated() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    for (name, made) in [("plain", true), ("relabelled", true), ("not", false)] {
        let mut spec = ground.spec();
        how(&mut spec, "/x", MountSource::Bind(path(name)), |how| {
            how.create_source = made;
            how.relabel = (name == "relabelled").then_some(Relabel::Private);
        });
        let created = ground.engine.create_container(&ground.request(name, spec)).await;
        match (made, created) {
            (true, Ok(id)) => {
                ground.engine.start_container(&id).await.unwrap();
                assert!(folder.path().join(name).is_dir(), "{name}");
            }
            (false, Err(EngineError::Rejected { message, .. })) => {
                assert!(message.contains("does not exist"), "{message}");
            }
            (_, other) => panic!("{name}: {other:?}"),
        }
    }
}

pub async fn trap_29_an_option_of_the_client_is_refused_by_the_engine<E: Engine>(ground: &Ground<E>) {
    // The simulated engine knows no security modules.
    if ground.is_simulated() {
        return;
    }
    let mut spec = ground.spec();
    spec.security_opt = strings(&["systempaths=unconfined"]);
    let created = ground.engine.create_container(&ground.request("open", spec)).await;
    assert!(matches!(created, Err(EngineError::Rejected { .. })), "{created:?}");
}

pub async fn trap_74_parts_of_volumes_and_images_are_read_back<E: Engine>(ground: &Ground<E>) {
    let mut spec = ground.rich_spec();
    if ground.has_api((1, 45)).await {
        let volume = MountSource::Volume(ground.volume_name("data"));
        how(&mut spec, "/part", volume, |how| how.subpath = Some("a/b".to_owned()));
    }
    if ground.has_api((1, 44)).await {
        mount(&mut spec, "/strict", bound(), true);
        spec.mounts.get_mut("/strict").unwrap().options.recursive = Some(Recursive::Writable);
    }
    if ground.has_api((1, 48)).await {
        mount(&mut spec, "/image", MountSource::Image(ground.image.reference.clone()), true);
    }
    compare(ground, "parts", "parts", spec).await;
}
