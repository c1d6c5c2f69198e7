//! The law of this folder on answers made from requests, without an engine, and on answers of odd shape.

use std::collections::BTreeMap;
use std::time::Duration;

use bollard::models::{
    ContainerConfig, ContainerCreateBody, ContainerInspectResponse, ContainerState, EndpointSettings,
    MountPoint, NetworkSettings,
};

use super::create::{self, Joining};
use super::inspect;
use crate::engine::CreateContainer;
use crate::model::label;
use crate::model::live::Status;
use crate::model::name::{Instance, NetworkId, NetworkName};
use crate::model::spec::{
    Attachment, ContainerPort, ContainerSpec, HealthTest, Healthcheck, HostPort, Logging, Mount, MountSource,
    Protocol, PublishedPort, Resources, RestartPolicy, Ulimit,
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
    let mount = |source, read_only| Mount { source, read_only };
    ContainerSpec {
        image: "ghcr.io/a/b:1".parse().unwrap(),
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
            retries: Some(4),
        }),
        user: Some("1000:1000".to_owned()),
        working_dir: Some("/app".to_owned()),
        hostname: Some("web".to_owned()),
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
        sysctls: map(&[("net.core.somaxconn", "1024")]),
        ulimits: [("core".to_owned(), Ulimit { soft: -1, hard: -1 })].into(),
        shm_size: Some(128 << 20),
        logging: Some(Logging { driver: "local".to_owned(), options: map(&[("max-size", "10m")]) }),
        resources: Resources {
            memory: Some(4 << 30),
            memory_reservation: Some(1 << 30),
            nano_cpus: Some(1_500_000_000),
            pids: Some(200),
        },
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
    spec.mounts.insert("/x".to_owned(), Mount { source, read_only: true });
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
    foreign.config.as_mut().unwrap().labels = None;
    let error = inspect::container(foreign).unwrap_err();
    assert_eq!(error, "the container has no evenkeel.service");
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
