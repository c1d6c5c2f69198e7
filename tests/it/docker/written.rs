//! `adopt --write` of containers that somebody made by hand, on real Docker.

use std::collections::HashMap;
use std::fs;

use bollard::models::{
    ContainerCreateBody, EndpointIpamConfig, EndpointSettings, HealthConfig, HostConfig, HostConfigLogConfig,
    Ipam, IpamConfig, Mount, MountType, NetworkCreateRequest, NetworkingConfig, PortBinding,
    ResourcesUlimits, RestartPolicy, RestartPolicyNameEnum,
};
use bollard::query_parameters::{CreateContainerOptions, StartContainerOptions};
use evenkeel::engine::Engine;
use evenkeel::model::label;
use serde_json::Value;

use super::{Ran, Stage};
use crate::common::docker::client;
use crate::common::image::TestImage;
use crate::common::names::{unique_port, unique_subnet};

/// A secret that nobody may ever see.
const SECRET: &str = "hunter2-$x";

/// Containers as `docker run` makes them. Their only label is for the cleanup.
struct ByHand {
    stage: Stage,
    client: bollard::Docker,
}

fn texts(words: &[&str]) -> Option<Vec<String>> {
    Some(words.iter().map(|word| (*word).to_owned()).collect())
}

impl ByHand {
    async fn new() -> Option<Self> {
        let stage = Stage::new().await?;
        let client = client().await.unwrap();
        let rich = TestImage::rich();
        rich.ensure(&stage.docker).await;
        Some(Self { stage, client })
    }

    fn label(&self) -> HashMap<String, String> {
        [(label::COMPOSE_PROJECT.to_owned(), self.stage.stack.to_string())].into()
    }

    fn name(&self, name: &str) -> String {
        format!("{}-{name}", self.stage.stack)
    }

    async fn network(&self, name: &str) -> String {
        let subnet = unique_subnet();
        let pool = IpamConfig { subnet: Some(format!("{subnet}0/24")), ..IpamConfig::default() };
        let request = NetworkCreateRequest {
            name: self.name(name),
            // Not as of the project: it is somebody's own, and removed by the name of its stack.
            labels: Some(self.label()),
            ipam: Some(Ipam { config: Some(vec![pool]), ..Ipam::default() }),
            ..NetworkCreateRequest::default()
        };
        self.client.create_network(request).await.unwrap();
        subnet
    }

    async fn run(&self, name: &str, mut body: ContainerCreateBody) -> String {
        body.labels.get_or_insert_default().extend(self.label());
        let options =
            CreateContainerOptions { name: Some(self.name(name)), ..CreateContainerOptions::default() };
        let id = self.client.create_container(Some(options), body).await.unwrap().id;
        self.client.start_container(&id, None::<StartContainerOptions>).await.unwrap();
        id
    }

    /// Every kind of thing that people say to `docker run`.
    async fn run_all(&self) -> Vec<String> {
        let Stage { image, .. } = &self.stage;
        let rich = TestImage::rich().reference.to_string();
        let port = unique_port().to_string();
        let subnet = self.network("net").await;
        let plain = || ContainerCreateBody { image: Some(image.clone()), ..ContainerCreateBody::default() };
        let host = |mode: &str| HostConfig { network_mode: Some(mode.to_owned()), ..HostConfig::default() };
        let folder = self.stage.path().join("bound");
        fs::create_dir_all(&folder).unwrap();
        let folder = folder.display();
        let web = self.run(
            "web",
            ContainerCreateBody {
                image: Some(rich.clone()),
                env: texts(&["IMAGE_SAYS=mine", &format!("DB_PASSWORD={SECRET}"), "PRICE=5$", "EMPTY="]),
                exposed_ports: Some(texts(&["80/tcp", "9000/udp"]).unwrap()),
                healthcheck: Some(HealthConfig {
                    test: texts(&["CMD-SHELL", "exit 0"]),
                    interval: Some(90_000_000_000),
                    ..HealthConfig::default()
                }),
                host_config: Some(HostConfig {
                    binds: texts(&[
                        &format!("{}:/data", self.name("data")),
                        &format!("{folder}:/conf:ro"),
                        "/anonymous",
                    ])
                    .map(|binds| binds.into_iter().filter(|bind| bind.contains(':')).collect()),
                    port_bindings: Some(
                        [(
                            "80/tcp".to_owned(),
                            Some(vec![PortBinding {
                                host_ip: Some("127.0.0.1".to_owned()),
                                host_port: Some(port),
                            }]),
                        )]
                        .into(),
                    ),
                    restart_policy: Some(RestartPolicy {
                        name: Some(RestartPolicyNameEnum::UNLESS_STOPPED),
                        maximum_retry_count: None,
                    }),
                    memory: Some(64 << 20),
                    nano_cpus: Some(500_000_000),
                    tmpfs: Some(
                        [("/run".to_owned(), "size=1m,exec".to_owned()), ("/tmp".to_owned(), String::new())]
                            .into(),
                    ),
                    ..host(&self.name("net"))
                }),
                networking_config: Some(NetworkingConfig {
                    endpoints_config: Some(
                        [(
                            self.name("net"),
                            EndpointSettings {
                                aliases: texts(&["shop"]),
                                ipam_config: Some(EndpointIpamConfig {
                                    ipv4_address: Some(format!("{subnet}77")),
                                    ..EndpointIpamConfig::default()
                                }),
                                ..EndpointSettings::default()
                            },
                        )]
                        .into(),
                    ),
                }),
                ..ContainerCreateBody::default()
            },
        );
        let web = web.await;
        let odd = self.run(
            "odd",
            ContainerCreateBody {
                image: Some(rich),
                entrypoint: texts(&["/fixture"]),
                cmd: texts(&["serve", "--say", &format!("$HOME {SECRET}")]),
                env: texts(&[&format!("KEY={SECRET}"), &format!("URL=http://a:{SECRET}@b/c")]),
                user: Some("0".to_owned()),
                working_dir: Some("/x/".to_owned()),
                hostname: Some("inner".to_owned()),
                stop_signal: Some("SIGINT".to_owned()),
                stop_timeout: Some(1),
                tty: Some(true),
                host_config: Some(HostConfig {
                    mounts: Some(vec![
                        Mount {
                            typ: Some(MountType::BIND),
                            source: Some(folder.to_string()),
                            target: Some("/long".to_owned()),
                            read_only: Some(true),
                            ..Mount::default()
                        },
                        Mount {
                            typ: Some(MountType::VOLUME),
                            target: Some("/anonymous".to_owned()),
                            ..Mount::default()
                        },
                    ]),
                    cap_add: texts(&["CAP_NET_ADMIN"]),
                    cap_drop: texts(&["MKNOD"]),
                    security_opt: texts(&["no-new-privileges"]),
                    init: Some(true),
                    readonly_rootfs: Some(true),
                    extra_hosts: texts(&["db:10.0.0.9", "gate:host-gateway"]),
                    dns: texts(&["9.9.9.9"]),
                    ulimits: Some(vec![ResourcesUlimits {
                        name: Some("nofile".to_owned()),
                        soft: Some(100),
                        hard: Some(200),
                    }]),
                    log_config: Some(HostConfigLogConfig {
                        typ: Some("json-file".to_owned()),
                        config: Some([("max-size".to_owned(), "1m".to_owned())].into()),
                    }),
                    shm_size: Some(32 << 20),
                    pid_mode: Some("host".to_owned()),
                    ..host("bridge")
                }),
                ..ContainerCreateBody::default()
            },
        );
        let odd = odd.await;
        let inside = HostConfig { ipc_mode: None, ..host(&format!("container:{web}")) };
        let side = ContainerCreateBody {
            cmd: texts(&["serve", "--port", "81"]),
            host_config: Some(inside),
            ..plain()
        };
        let side = self.run("side", side).await;
        let none = self.run("none", ContainerCreateBody { host_config: Some(host("none")), ..plain() }).await;
        vec![web, odd, side, none]
    }

    fn evenkeel(&self, words: &str, variables: &[(&str, &str)]) -> Ran {
        let mut command = self.stage.command(words);
        let ran = Ran::of(words, &command.envs(variables.iter().copied()).output().unwrap());
        assert!(!ran.stdout.contains(SECRET) && !ran.stderr.contains(SECRET), "{ran:?}");
        ran
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn containers_made_by_hand_are_written_down_and_adopted_without_a_restart() {
    let Some(hand) = ByHand::new().await else { return };
    let ids = hand.run_all().await;
    let started = async || {
        let mut started = Vec::new();
        for id in &ids {
            let container = hand.stage.docker.inspect_container(&id.parse().unwrap()).await.unwrap();
            started.push(container.state.started_at);
        }
        started
    };
    let before = started().await;
    let names: Vec<String> = ["web", "odd", "side", "none"].iter().map(|name| hand.name(name)).collect();
    let names = names.join(" ");
    // To look leaves nothing behind.
    let shown = hand.evenkeel(&format!("adopt --write - {names}"), &[]).ends_with(0);
    assert!(shown.stdout.contains("\nservices:\n"), "{}", shown.stdout);
    assert!(!hand.stage.path().join("compose.yaml").exists());
    let ran = hand.evenkeel(&format!("adopt --write compose.yaml {names}"), &[]).ends_with(0);
    let stderr = ran.stderr.clone();
    ran.says("  DB_PASSWORD  ").says("environment.DB_PASSWORD").says("next:").says("-f compose.yaml adopt");
    let text = fs::read_to_string(hand.stage.path().join("compose.yaml")).unwrap();
    assert!(!text.contains(SECRET) && text.contains("DB_PASSWORD: ${DB_PASSWORD:?}\n"), "{text}");
    hand.evenkeel(&format!("adopt --write compose.yaml {names}"), &[]).ends_with(1).says("is there already");
    assert!(!hand.stage.path().join("state").exists());
    // Without the variables nothing goes on; the same secret has one name.
    hand.evenkeel(&format!("-f compose.yaml adopt --yes {names}"), &[]).ends_with(1).says("DB_PASSWORD");
    let variables = [("DB_PASSWORD", SECRET), ("KEY", SECRET)];
    let adopted = hand.evenkeel(&format!("-f compose.yaml --json adopt --yes {names}"), &variables);
    let plan = &adopted.ends_with(0).json()["plan"]["changes"];
    assert_eq!(*plan, Value::Array(Vec::new()), "{plan:#}\n{text}\n{stderr}");
    hand.evenkeel("-f compose.yaml apply --yes", &variables).ends_with(0).says("nothing to do");
    assert_eq!(started().await, before);
}
