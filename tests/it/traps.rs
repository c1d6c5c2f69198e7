//! The 82 traps of comparing what is declared with what Docker says: `tests/data/traps.md` has them all, each with its
//! tests or with the reason why it can't occur. Here are those that are judged by the comparison alone.

mod listed;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use evenkeel::model::desired::Desired;
use evenkeel::model::live::LiveImage;
use evenkeel::model::spec::{
    Attachment, ContainerPort, ContainerSpec, HealthTest, Healthcheck, HostPort, Logging, Mount, MountSource,
    Namespace, NetworkSpec, Protocol, PublishedPort, Swap, Ulimit,
};
use evenkeel::model::text::Text;
use evenkeel::plan::{LastApplied, plan};

use crate::paper::{Paper, desired, host, key, service};

/// A stack of one service that runs, and the image that it was made from.
struct Scene {
    desired: Desired,
    paper: Paper,
}

impl Scene {
    /// Deploys what `declare` says on an image that says what `image` says; then Docker fills in what `fill` says.
    fn new(
        declare: impl FnOnce(&mut ContainerSpec),
        image: impl FnOnce(&mut LiveImage),
        fill: impl FnOnce(&mut ContainerSpec),
    ) -> Self {
        let mut web = service("web", "apps");
        declare(&mut web.spec);
        let desired = desired(vec![web]);
        let mut paper = Paper::empty();
        let first = plan(&desired, &paper.live, &paper.last, host(&key())).unwrap();
        paper.carry_out(&first, usize::MAX);
        image(paper.live.images.values_mut().next().unwrap());
        fill(&mut paper.container("web").spec);
        Self { desired, paper }
    }

    fn declare(&mut self, declare: impl FnOnce(&mut ContainerSpec)) {
        declare(&mut self.desired.services.values_mut().next().unwrap().spec);
    }

    /// The fields that a plan names, with their causes.
    fn named(&self) -> Vec<String> {
        self.named_by(&self.paper.last)
    }

    fn named_by(&self, last: &LastApplied) -> Vec<String> {
        let plan = plan(&self.desired, &self.paper.live, last, host(&key())).unwrap();
        let fields = plan.changes.iter().flat_map(|change| &change.fields);
        fields.map(|field| format!("{} {}", field.path, field.cause)).collect()
    }

    /// There is nothing to do, whether or not it is known what was applied.
    #[track_caller]
    fn is_quiet(&self) {
        assert_eq!(self.named(), [""; 0], "by the record");
        assert_eq!(self.named_by(&LastApplied::default()), [""; 0], "without a record");
    }
}

fn nothing<T>(_: &mut T) {}

fn set<const N: usize>(words: [&str; N]) -> BTreeSet<String> {
    words.map(str::to_owned).into()
}

fn pairs<const N: usize>(pairs: [(&str, &str); N]) -> BTreeMap<String, String> {
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

fn env(spec: &mut ContainerSpec, name: &str, value: &str) {
    spec.environment.insert(name.to_owned(), Text::plain(value));
}

#[test]
fn trap_01_variables_of_the_image_are_no_difference_unless_declared_otherwise() {
    let image = |image: &mut LiveImage| image.environment = pairs([("A", "image"), ("PATH", "/bin")]);
    let fill = |spec: &mut ContainerSpec| {
        env(spec, "PATH", "/bin");
        spec.environment.entry("A".to_owned()).or_insert(Text::plain("image"));
    };
    Scene::new(|spec| env(spec, "A", "mine"), image, fill).is_quiet();
    Scene::new(|spec| env(spec, "A", "image"), image, fill).is_quiet();
    Scene::new(nothing, image, fill).is_quiet();
    let by_hand = Scene::new(|spec| env(spec, "A", "mine"), image, |spec| env(spec, "A", "image"));
    assert_eq!(by_hand.named(), ["environment.A drift"]);
}

#[test]
fn trap_02_a_variable_that_is_no_longer_declared_is_seen_though_the_image_has_it_too() {
    let image = |image: &mut LiveImage| image.environment = pairs([("A", "image")]);
    let mut scene = Scene::new(|spec| env(spec, "A", "mine"), image, nothing);
    scene.declare(|spec| drop(spec.environment.remove("A")));
    assert_eq!(scene.named(), ["environment.A git"]);
    // The image says the same, so a new container would be no other.
    let mut scene = Scene::new(|spec| env(spec, "A", "image"), image, nothing);
    scene.declare(|spec| drop(spec.environment.remove("A")));
    scene.is_quiet();
}

#[test]
fn trap_05_entrypoint_and_command_of_the_image_count_where_none_is_declared() {
    let words = |word: &str| Some(vec![Text::plain(word)]);
    let image = |image: &mut LiveImage| {
        (image.entrypoint, image.command) = (vec!["/entry".to_owned()], vec!["serve".to_owned()]);
    };
    Scene::new(nothing, image, |spec| {
        (spec.entrypoint, spec.command) = (words("/entry"), words("serve"));
    })
    .is_quiet();
    // Who declares an entrypoint drops the command of the image.
    Scene::new(|spec| spec.entrypoint = words("/mine"), image, |spec| spec.command = Some(Vec::new()))
        .is_quiet();
    Scene::new(|spec| spec.command = words("mine"), image, |spec| spec.entrypoint = words("/entry"))
        .is_quiet();
    let changed = Scene::new(nothing, image, |spec| {
        (spec.entrypoint, spec.command) = (words("/entry"), words("other"));
    });
    assert_eq!(changed.named_by(&LastApplied::default()), ["command drift"]);
}

#[test]
fn trap_07_and_11_labels_user_folder_and_signal_of_the_image_are_no_difference() {
    let image = |image: &mut LiveImage| {
        image.labels = pairs([("org.opencontainers.image.version", "1")]);
        (image.user, image.working_dir) = ("app".to_owned(), "/app".to_owned());
        image.stop_signal = Some("SIGQUIT".to_owned());
    };
    let fill = |spec: &mut ContainerSpec| {
        spec.labels.extend(pairs([("org.opencontainers.image.version", "1")]));
        spec.user.get_or_insert("app".to_owned());
        spec.working_dir.get_or_insert("/app".to_owned());
        spec.stop_signal.get_or_insert("SIGQUIT".to_owned());
    };
    Scene::new(nothing, image, fill).is_quiet();
    Scene::new(|spec| spec.user = Some("root".to_owned()), image, fill).is_quiet();
}

#[test]
fn trap_08_ports_are_exposed_by_image_manifest_and_publishing() {
    let port = |number| ContainerPort { number, protocol: Protocol::Tcp };
    let published = PublishedPort { container: port(80), host_ip: None, host: HostPort::One(8080) };
    Scene::new(
        |spec| {
            spec.ports = [published].into();
            spec.expose = [port(81)].into();
        },
        |image| image.exposed_ports = set(["82/tcp"]),
        |spec| spec.expose.extend([port(80), port(82)]),
    )
    .is_quiet();
}

#[test]
fn trap_09_a_volume_of_the_image_counts_by_its_target() {
    let mount = |source| Mount::of(source);
    let image = |image: &mut LiveImage| image.volumes = set(["/data"]);
    let anonymous = |spec: &mut ContainerSpec| {
        spec.mounts.entry("/data".to_owned()).or_insert(mount(MountSource::Anonymous));
    };
    Scene::new(nothing, image, anonymous).is_quiet();
    let named = || mount(MountSource::Volume("data".parse().unwrap()));
    Scene::new(|spec| drop(spec.mounts.insert("/data".to_owned(), named())), image, anonymous).is_quiet();
}

#[test]
fn trap_10_a_health_check_is_filled_in_part_by_part() {
    let of_image = Healthcheck {
        test: Some(HealthTest::Shell(Text::plain("true"))),
        interval: Some(Duration::from_secs(5)),
        ..Healthcheck::default()
    };
    let filled = Healthcheck { retries: Some(7), ..of_image.clone() };
    let declared = Healthcheck { retries: Some(7), ..Healthcheck::default() };
    Scene::new(
        |spec| spec.healthcheck = Some(declared),
        |image| image.healthcheck = Some(of_image),
        |spec| spec.healthcheck = Some(filled),
    )
    .is_quiet();
}

#[test]
fn trap_15_defaults_are_those_of_the_image_that_the_container_was_made_from() {
    let mut scene = Scene::new(
        nothing,
        |image| image.environment = pairs([("VERSION", "1")]),
        |spec| env(spec, "VERSION", "1"),
    );
    let old = scene.paper.live.images.values().next().unwrap().clone();
    let id = format!("sha256:{}", "e".repeat(64)).parse().unwrap();
    let new = LiveImage { id, environment: pairs([("VERSION", "2")]), ..old };
    let reference = "web:1".parse().unwrap();
    scene.paper.live.references.insert(reference, new.id.clone());
    scene.paper.live.images.insert(new.id.clone(), new);
    assert_eq!(scene.named(), ["image image"], "the new image's variables are no differences of their own");
}

#[test]
fn trap_16_an_image_that_is_gone_makes_no_difference() {
    let fill = |spec: &mut ContainerSpec| {
        env(spec, "OF_IMAGE", "1");
        spec.command = Some(vec![Text::plain("of-image")]);
        spec.mounts.insert("/of-image".to_owned(), Mount::of(MountSource::Anonymous));
    };
    let mut scene = Scene::new(|spec| env(spec, "A", "1"), nothing, fill);
    scene.paper.live.images.clear();
    scene.is_quiet();
}

type Filled = (&'static str, fn(&mut ContainerSpec));

/// What the daemon fills in by its own configuration or the kernel's features.
#[test]
fn trap_18_to_33_what_the_daemon_fills_in_is_no_difference() {
    let fills: [Filled; 12] = [
        ("17: no swap to count", |spec| spec.resources.memory_swap = Some(Swap::Unlimited)),
        ("18: default-shm-size", |spec| spec.shm_size = Some(128 << 20)),
        ("19: default-ipc-mode", |spec| spec.namespaces.ipc = Some(Namespace::Private)),
        ("19: default-ipc-mode of old", |spec| spec.namespaces.ipc = Some(Namespace::Shareable)),
        ("20: default-cgroupns-mode", |spec| spec.namespaces.cgroup = Some(Namespace::Host)),
        ("26: log-driver and log-opts", |spec| {
            let options = pairs([("max-size", "10m")]);
            spec.logging = Some(Logging { driver: "json-file".to_owned(), options });
        }),
        ("27: default-ulimits", |spec| {
            spec.ulimits.insert("nofile".to_owned(), Ulimit { soft: 1024, hard: 4096 });
        }),
        ("28: label=disable", |spec| spec.security_opt = set(["label=disable"])),
        ("31: init", |spec| spec.init = Some(true)),
        ("32: default-runtime", |spec| spec.runtime.name = Some("crun".to_owned())),
        ("33: hostname", |spec| spec.hostname = Some("node".to_owned())),
        ("42: dns", |spec| spec.dns = vec!["10.0.0.2".to_owned()]),
    ];
    for (trap, fill) in fills {
        let scene = Scene::new(nothing, nothing, fill);
        assert_eq!(scene.named(), [""; 0], "{trap}");
        assert_eq!(scene.named_by(&LastApplied::default()), [""; 0], "{trap}, without a record");
    }
}

#[test]
fn trap_26_declared_options_of_logging_are_compared_beside_those_of_the_daemon() {
    let logging = |options| Some(Logging { driver: "json-file".to_owned(), options });
    let filled = logging(pairs([("max-file", "3"), ("max-size", "10m")]));
    let mut scene = Scene::new(
        |spec| spec.logging = logging(pairs([("max-file", "3")])),
        nothing,
        |spec| spec.logging = filled,
    );
    scene.is_quiet();
    scene.declare(|spec| spec.logging = logging(pairs([("max-file", "4")])));
    assert_eq!(scene.named(), ["logging.options.max-file git"]);
}

#[test]
fn trap_28_what_the_engine_adds_to_declared_options_is_no_difference() {
    let mut scene = Scene::new(
        |spec| {
            spec.namespaces.pid = Some(Namespace::Host);
            spec.security_opt = set(["no-new-privileges:true"]);
        },
        nothing,
        |spec| spec.security_opt.extend(set(["label=disable"])),
    );
    scene.is_quiet();
    scene.declare(|spec| spec.security_opt = set(["label=disable"]));
    assert_eq!(scene.named(), ["security_opt git"]);
}

#[test]
fn trap_48_the_name_of_a_container_is_its_alias_whoever_made_it() {
    let mut web = service("web", "apps");
    web.spec.networks.insert("net".parse().unwrap(), Attachment::default());
    let mut desired = desired(vec![web]);
    desired.networks.insert("net".parse().unwrap(), NetworkSpec::named("net".parse().unwrap()));
    let mut paper = Paper::empty();
    let first = plan(&desired, &paper.live, &paper.last, host(&key())).unwrap();
    paper.carry_out(&first, usize::MAX);
    let mut scene = Scene { desired, paper };
    let mut forget = |alias: &str| {
        let networks = &mut scene.paper.container("web").spec.networks;
        for attachment in networks.values_mut() {
            attachment.aliases.remove(alias);
        }
        scene.named()
    };
    assert_eq!(forget("auren-dev-web-1"), [""; 0]);
    assert_eq!(forget("web"), ["networks.net.aliases drift"]);
}

#[test]
fn trap_42_the_order_of_name_servers_counts_and_that_of_their_options_does_not() {
    let servers = |servers: [&str; 2]| servers.map(str::to_owned).to_vec();
    let mut scene = Scene::new(
        |spec| {
            spec.dns = servers(["10.0.0.1", "10.0.0.2"]);
            spec.dns_options = set(["rotate", "ndots:2"]);
        },
        nothing,
        nothing,
    );
    scene.declare(|spec| spec.dns_options = set(["ndots:2", "rotate"]));
    scene.is_quiet();
    scene.declare(|spec| spec.dns = servers(["10.0.0.2", "10.0.0.1"]));
    assert_eq!(scene.named(), ["dns git"]);
}

#[test]
fn trap_50_addresses_are_compared_and_not_their_texts() {
    let joined = |text: &str| Attachment { ipv6: text.parse().ok(), ..Attachment::default() };
    let network = || "auren-dev_net".parse().unwrap();
    let mut web = service("web", "apps");
    web.spec.networks.insert(network(), joined("fd00:0:0::a9"));
    let mut other = web.clone();
    other.spec.networks.insert(network(), joined("fd00:0000::00a9"));
    assert_eq!(web.spec, other.spec);
}

#[test]
fn trap_60_every_address_is_written_in_several_ways() {
    let published = |ip: &str| PublishedPort {
        container: ContainerPort { number: 80, protocol: Protocol::Tcp },
        host_ip: ip.parse().ok(),
        host: HostPort::One(8080),
    };
    let ports = |ips: &[&str]| ips.iter().map(|ip| published(ip)).collect::<BTreeSet<_>>();
    let declare = |ips| Scene::new(|spec| spec.ports = ports(ips), nothing, nothing);
    let every: [&[&str]; 3] = [&[""], &["0.0.0.0", "::"], &["", "0.0.0.0"]];
    for said in every {
        for found in every {
            let fill = |spec: &mut ContainerSpec| spec.ports = ports(found);
            Scene::new(|spec| spec.ports = ports(said), nothing, fill).is_quiet();
        }
        // Every address of one family is less than that.
        for other in ["0.0.0.0", "::"] {
            let mut scene = declare(said);
            scene.declare(|spec| spec.ports = ports(&[other]));
            assert_eq!(scene.named(), ["ports.80/tcp git"], "{said:?} {other}");
        }
    }
    let local = Scene::new(
        |spec| spec.ports = [published("127.0.0.1")].into(),
        nothing,
        |spec| spec.ports = [published("0.0.0.0")].into(),
    );
    assert_eq!(local.named(), ["ports.80/tcp drift"]);
}

#[test]
fn trap_62_a_port_that_docker_chooses_is_compared_as_it_was_asked_for() {
    let published = |host| PublishedPort {
        container: ContainerPort { number: 80, protocol: Protocol::Tcp },
        host_ip: None,
        host,
    };
    for host in [HostPort::Any, HostPort::OneOf(8000, 8009)] {
        let mut scene = Scene::new(|spec| spec.ports = [published(host)].into(), nothing, nothing);
        scene.is_quiet();
        scene.declare(|spec| spec.ports = [published(HostPort::One(8005))].into());
        assert_eq!(scene.named(), ["ports.80/tcp git"]);
    }
}

#[test]
fn trap_69_a_source_is_compared_as_the_path_that_it_is() {
    let bind = |path: &str| Mount::of(MountSource::Bind(path.to_owned()));
    Scene::new(
        |spec| drop(spec.mounts.insert("/x".to_owned(), bind("/srv//data/./"))),
        nothing,
        |spec| drop(spec.mounts.insert("/x".to_owned(), bind("/srv/data"))),
    )
    .is_quiet();
}
