//! The law of this folder on answers made from requests, without an engine, and on answers of odd shape.

use std::collections::BTreeMap;
use std::time::Duration;

use bollard::models::{
    ContainerConfig, ContainerCreateBody, ContainerInspectResponse, ContainerState, DeviceMapping,
    EndpointSettings, MountPoint, NetworkSettings,
};

use super::create::{self, Joining};
use super::inspect;
use crate::engine::{CreateContainer, UpdateContainer};
use crate::model::label;
use crate::model::live::Status;
use crate::model::name::{Instance, NetworkId, NetworkName};
use crate::model::spec::{
    Attachment, BlockIo, ContainerPort, ContainerSpec, Device, DeviceRequest, Devices, HealthTest,
    Healthcheck, HostPort, Logging, Mount, MountSource, Namespace, Namespaces, Peer, Protocol, PublishedPort,
    Resources, RestartPolicy, Runtime, Swap, Ulimit,
};
use crate::model::text::Text;

const ID: &str = "3b1f0c5e9a7d3b1f0c5e9a7d3b1f0c5e9a7d3b1f0c5e9a7d3b1f0c5e9a7d3b1f";

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

/// A container that declares something in every field.
fn everything() -> ContainerSpec {
    let texts = |words: &[&str]| words.iter().map(|word| Text::sensitive(*word)).collect::<Vec<_>>();
    let port = |number| ContainerPort { number, protocol: Protocol::Tcp };
    let mount = |source, read_only| Mount { read_only, ..Mount::of(source) };
    ContainerSpec {
        image: "ghcr.io/a/b:1".parse().unwrap(),
        // Said beside the body, as a parameter of the call.
        platform: None,
        command: Some(texts(&["serve", "a b"])),
        entrypoint: Some(Vec::new()),
        environment: [("A".to_owned(), Text::sensitive("x=y")), ("B".to_owned(), Text::sensitive(""))].into(),
        labels: map(&[("team", "web")]),
        ports: [
            PublishedPort { container: port(80), host_ip: None, host: HostPort::Any },
            PublishedPort { container: port(80), host_ip: "::1".parse().ok(), host: HostPort::One(8080) },
            PublishedPort { container: port(81), host_ip: None, host: HostPort::OneOf(8000, 8009) },
        ]
        .into(),
        expose: [ContainerPort { number: 53, protocol: Protocol::Udp }].into(),
        networks: networks(),
        mounts: [
            ("/data".to_owned(), mount(MountSource::Volume("data".parse().unwrap()), false)),
            ("/none".to_owned(), mount(MountSource::Anonymous, false)),
            ("/etc/x".to_owned(), mount(MountSource::Bind("/srv/x".to_owned()), true)),
            ("/tmp".to_owned(), mount(MountSource::Tmpfs { size: Some(1 << 20), mode: Some(0o1777) }, false)),
        ]
        .into(),
        healthcheck: Some(Healthcheck {
            test: Some(HealthTest::Shell(Text::sensitive("curl -f localhost | grep ok"))),
            interval: Some(Duration::from_millis(1500)),
            timeout: Some(Duration::from_secs(2)),
            start_period: Some(Duration::from_secs(3)),
            start_interval: Some(Duration::from_millis(500)),
            retries: Some(4),
        }),
        user: Some("1000:1000".to_owned()),
        working_dir: Some("/app".to_owned()),
        hostname: Some("web".to_owned()),
        domainname: Some("example.org".to_owned()),
        restart: RestartPolicy::OnFailure(Some(3)),
        stop_signal: Some("SIGINT".to_owned()),
        stop_grace: Some(Duration::from_secs(75)),
        init: Some(false),
        read_only: true,
        tty: true,
        stdin_open: true,
        privileged: true,
        cap_add: ["NET_ADMIN".to_owned()].into(),
        cap_drop: ["ALL".to_owned()].into(),
        security_opt: ["no-new-privileges:true".to_owned()].into(),
        extra_hosts: [("six".to_owned(), "2001:db8::1".to_owned())].into(),
        dns: vec!["9.9.9.9".to_owned(), "1.1.1.1".to_owned()],
        dns_search: vec!["b.example".to_owned(), "a.example".to_owned()],
        dns_options: ["ndots:2".to_owned()].into(),
        sysctls: map(&[("net.core.somaxconn", "1024")]),
        ulimits: [("core".to_owned(), Ulimit { soft: -1, hard: -1 })].into(),
        shm_size: Some(128 << 20),
        logging: Some(Logging { driver: "local".to_owned(), options: map(&[("max-size", "10m")]) }),
        resources: resources(),
        block_io: block_io(),
        namespaces: namespaces(),
        devices: devices(),
        runtime: runtime(),
    }
}

fn resources() -> Resources {
    Resources {
        memory: Some(4 << 30),
        memory_reservation: Some(1 << 30),
        memory_swap: Some(Swap::Unlimited),
        nano_cpus: Some(1_500_000_000),
        cpu_shares: Some(512),
        cpu_period: Some(50_000),
        cpu_quota: Some(25_000),
        cpu_rt_period: Some(1_000_000),
        cpu_rt_runtime: Some(900_000),
        cpuset: Some("0-1".to_owned()),
        block_io_weight: Some(300),
        pids: Some(200),
    }
}

fn block_io() -> BlockIo {
    BlockIo {
        weights: [("/dev/sda".to_owned(), 400)].into(),
        read_bps: [("/dev/sda".to_owned(), 1 << 20)].into(),
        write_bps: [("/dev/sda".to_owned(), 2 << 20)].into(),
        read_iops: [("/dev/sda".to_owned(), 100)].into(),
        write_iops: [("/dev/sda".to_owned(), 200)].into(),
    }
}

fn namespaces() -> Namespaces {
    Namespaces {
        network: None,
        ipc: Some(Namespace::Shareable),
        pid: Some(Namespace::Host),
        uts: Some(Namespace::Host),
        users: Some(Namespace::Host),
        cgroup: Some(Namespace::Private),
    }
}

fn runtime() -> Runtime {
    Runtime {
        name: Some("runsc".to_owned()),
        groups: ["audio".to_owned()].into(),
        cgroup_parent: Some("/batch".to_owned()),
        oom_kill_disable: true,
        oom_score_adj: -500,
        swappiness: Some(60),
        storage: map(&[("size", "20G")]),
        annotations: map(&[("org.example.hint", "x")]),
    }
}

fn devices() -> Devices {
    let device = Device { source: "/dev/null".to_owned(), permissions: "rw".to_owned() };
    let request = DeviceRequest {
        driver: Some("nvidia".to_owned()),
        count: 0,
        ids: ["0".to_owned(), "1".to_owned()].into(),
        capabilities: ["gpu".to_owned(), "compute".to_owned()].into(),
        options: map(&[("virtualization", "false")]),
    };
    Devices {
        paths: [("/dev/nothing".to_owned(), device)].into(),
        rules: ["c 1:3 mr".to_owned()].into(),
        requests: vec![request],
    }
}

/// Two networks, one joined with an alias and one with fixed addresses.
fn networks() -> BTreeMap<NetworkName, Attachment> {
    [
        (
            "a_net".parse().unwrap(),
            Attachment { aliases: ["web".to_owned()].into(), ..Attachment::default() },
        ),
        (
            "b_net".parse().unwrap(),
            Attachment {
                ipv4: "10.0.0.7".parse().ok(),
                ipv6: "fd00::7".parse().ok(),
                ..Attachment::default()
            },
        ),
    ]
    .into()
}

fn request(spec: ContainerSpec) -> CreateContainer {
    let instance = Instance { service: "web".parse().unwrap(), number: 2 };
    let id = |digit: &str| digit.repeat(64).parse::<NetworkId>().unwrap();
    CreateContainer {
        name: "s-web-2".parse().unwrap(),
        labels: label::of_container(&"s".parse().unwrap(), &instance, &"d7".parse().unwrap()),
        networks: [("a_net".parse().unwrap(), id("a")), ("b_net".parse().unwrap(), id("b"))].into(),
        spec,
    }
}

/// What an engine that fills nothing in would answer for a container made of `body`.
fn answer(body: ContainerCreateBody) -> ContainerInspectResponse {
    let networks = body.networking_config.clone().and_then(|config| config.endpoints_config);
    let host_config = body.host_config.clone();
    // The two have the same fields in the API.
    let config: ContainerConfig = serde_json::from_value(serde_json::to_value(body).unwrap()).unwrap();
    ContainerInspectResponse {
        id: Some(ID.to_owned()),
        name: Some("/s-web-2".to_owned()),
        image: Some(format!("sha256:{ID}")),
        config: Some(config),
        host_config,
        network_settings: Some(NetworkSettings { networks, ..NetworkSettings::default() }),
        state: Some(ContainerState::default()),
        ..ContainerInspectResponse::default()
    }
}

#[test]
fn what_is_created_is_read_back() {
    let spec = everything();
    let body = create::body(&request(spec.clone()), Joining::AllAtOnce).unwrap();
    let live = inspect::container(answer(body)).unwrap();
    assert_eq!(live.spec, spec);
    assert_eq!((live.instance.to_string().as_str(), live.deploy.as_str()), ("web-2", "d7"));
    assert_eq!(live.state.status, Status::Created);
}

#[test]
fn an_older_engine_gets_the_first_network_by_id_and_the_others_later() {
    let request = request(everything());
    let body = create::body(&request, Joining::FirstOnly).unwrap();
    let first = "a".repeat(64);
    assert_eq!(body.host_config.unwrap().network_mode.as_ref(), Some(&first));
    let endpoints = body.networking_config.unwrap().endpoints_config.unwrap();
    assert_eq!(endpoints.keys().collect::<Vec<_>>(), [&first]);
    let further = create::further_networks(&request).unwrap();
    assert_eq!(further.len(), 1);
    assert_eq!(further[0].0.as_str(), "b".repeat(64));
}

#[test]
fn what_cannot_be_said_to_docker_is_told() {
    let mut unknown = request(everything());
    unknown.networks.clear();
    assert_eq!(create::body(&unknown, Joining::AllAtOnce).unwrap_err(), "the network a_net has no id");
    let mut spec = everything();
    let source = MountSource::Repository(crate::model::spec::ContentDigest("12".to_owned()));
    spec.mounts.insert("/x".to_owned(), Mount { read_only: true, ..Mount::of(source) });
    assert!(create::body(&request(spec), Joining::AllAtOnce).unwrap_err().contains("/x"));
}

#[test]
fn a_container_without_networks_has_none() {
    let mut spec = everything();
    spec.networks.clear();
    let body = create::body(&request(spec), Joining::FirstOnly).unwrap();
    assert_eq!(body.networking_config, None);
    let mut answer = answer(body);
    assert_eq!(answer.host_config.as_ref().unwrap().network_mode.as_deref(), Some("none"));
    let none = [("none".to_owned(), EndpointSettings::default())].into();
    answer.network_settings = Some(NetworkSettings { networks: Some(none), ..NetworkSettings::default() });
    assert!(inspect::container(answer).unwrap().spec.networks.is_empty());
}

#[test]
fn what_docker_adds_by_itself_is_not_taken_for_declared() {
    let body = create::body(&request(everything()), Joining::AllAtOnce).unwrap();
    let mut answer = answer(body);
    let networks = answer.network_settings.as_mut().and_then(|settings| settings.networks.as_mut()).unwrap();
    networks.get_mut("a_net").unwrap().aliases.as_mut().unwrap().push(ID[..12].to_owned());
    let generated = MountPoint {
        typ: Some("volume".to_owned()),
        name: Some("c".repeat(64)),
        destination: Some("/none".to_owned()),
        rw: Some(true),
        ..MountPoint::default()
    };
    answer.mounts = Some(vec![generated]);
    assert_eq!(inspect::container(answer).unwrap().spec, everything());
}

#[test]
fn every_namespace_is_read_back() {
    let peer = Namespace::Of(Peer::Id(ID.parse().unwrap()));
    for namespace in [Namespace::None, Namespace::Host, Namespace::Bridge, peer.clone()] {
        let mut spec = everything();
        spec.networks.clear();
        spec.namespaces.network = Some(namespace.clone());
        spec.namespaces.ipc = Some(peer.clone());
        spec.namespaces.pid = Some(peer.clone());
        let body = create::body(&request(spec.clone()), Joining::FirstOnly).unwrap();
        let mut answer = answer(body);
        // Docker lists its own networks among those that are joined.
        let own = [(namespace.to_string(), EndpointSettings::default())].into();
        if !matches!(namespace, Namespace::Of(_)) {
            answer.network_settings =
                Some(NetworkSettings { networks: Some(own), ..NetworkSettings::default() });
        }
        assert_eq!(inspect::container(answer).unwrap().spec, spec, "{namespace}");
    }
    let mut spec = everything();
    spec.namespaces.pid = Some(Namespace::Of(Peer::Service("db".parse().unwrap())));
    let unresolved = create::body(&request(spec), Joining::AllAtOnce).unwrap_err();
    assert_eq!(unresolved, "`service:db` has no id");
}

#[test]
fn trap_35_what_the_kernel_does_not_know_is_no_mere_warning() {
    for warning in [
        "Your kernel does not support memory swappiness capabilities, or the cgroup is not mounted. Memory swappiness discarded.",
        "Your kernel does not support OomKillDisable. OomKillDisable discarded.",
        "Your kernel does not support Block I/O weight or the cgroup is not mounted. Weight discarded.",
    ] {
        assert!(create::is_refusal(warning), "{warning}");
    }
    for warning in [
        "Your kernel does not support swap limit capabilities or the cgroup is not mounted. Memory limited without swap.",
        "OOM killer is disabled for the container, but no memory limit is set, this can result in the system running out of resources.",
        "Published ports are discarded when using host network mode",
    ] {
        assert!(!create::is_refusal(warning), "{warning}");
    }
}

#[test]
fn trap_44_a_device_has_its_own_path_and_all_permissions_unless_said() {
    let body = create::body(&request(everything()), Joining::AllAtOnce).unwrap();
    let mut answer = answer(body);
    let mapping = DeviceMapping { path_on_host: Some("/dev/fuse".to_owned()), ..DeviceMapping::default() };
    answer.host_config.as_mut().unwrap().devices = Some(vec![mapping]);
    let devices = inspect::container(answer).unwrap().spec.devices.paths;
    let device = Device { source: "/dev/fuse".to_owned(), permissions: "rwm".to_owned() };
    assert_eq!(devices, [("/dev/fuse".to_owned(), device)].into());
}

#[test]
fn an_update_sets_memory_and_swap_together() {
    let update = |resources: Resources| create::update(&UpdateContainer { restart: None, resources });
    let memory = update(Resources { memory: Some(8 << 20), ..Resources::default() });
    assert_eq!((memory.memory, memory.memory_swap), (Some(8 << 20), Some(16 << 20)));
    let swap = Some(Swap::Unlimited);
    let both = update(Resources { memory: Some(8 << 20), memory_swap: swap, ..Resources::default() });
    assert_eq!(both.memory_swap, Some(-1));
    assert_eq!(update(Resources { pids: Some(3), ..Resources::default() }).memory_swap, None);
}

#[test]
fn capabilities_are_read_in_one_form() {
    let body = create::body(&request(everything()), Joining::AllAtOnce).unwrap();
    let mut answer = answer(body);
    answer.host_config.as_mut().unwrap().cap_add =
        Some(vec!["CAP_NET_ADMIN".to_owned(), "net_raw".to_owned()]);
    let caps = inspect::container(answer).unwrap().spec.cap_add;
    assert_eq!(caps, ["NET_ADMIN".to_owned(), "NET_RAW".to_owned()].into());
}

#[test]
fn no_answer_makes_it_panic() {
    assert!(inspect::container(ContainerInspectResponse::default()).is_err());
    let mut foreign = answer(create::body(&request(everything()), Joining::AllAtOnce).unwrap());
    let labels = |pairs: &[(&str, &str)]| {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    foreign.config.as_mut().unwrap().labels = Some(labels(&[("evenkeel.stack", "s")]));
    let error = inspect::container(foreign.clone()).unwrap_err();
    assert_eq!(error, "the container has no evenkeel.service");
    // One of nobody's is itself, and one of Compose's is who Compose says it is.
    let mut instance = |pairs: &[(&str, &str)]| {
        foreign.config.as_mut().unwrap().labels = Some(labels(pairs));
        inspect::container(foreign.clone()).unwrap().instance.to_string()
    };
    assert_eq!(instance(&[]), "s-web-2-1");
    let origin = ["project", "service", "container-number"].map(|name| format!("com.docker.compose.{name}"));
    assert_eq!(instance(&[(&origin[0], "s"), (&origin[1], "web"), (&origin[2], "2")]), "web-2");
}

#[test]
fn nothing_sensitive_is_shown_of_what_was_read() {
    let body = create::body(&request(everything()), Joining::AllAtOnce).unwrap();
    let shown = format!("{:?}", inspect::container(answer(body)).unwrap());
    assert!(!shown.contains("x=y") && !shown.contains("curl") && !shown.contains("a b"), "{shown}");
}

#[test]
fn parts_of_a_second_are_given_rather_than_taken() {
    assert_eq!(create::whole_seconds(Duration::from_millis(1500)), 2);
    assert_eq!(create::whole_seconds(Duration::from_secs(3)), 3);
    assert_eq!(create::whole_seconds(Duration::ZERO), 0);
}
