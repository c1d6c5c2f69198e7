//! `adopt --write` of containers that somebody made by hand, on real Docker.

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

fn texts(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn on(mode: &str) -> HostConfig {
    HostConfig { network_mode: Some(mode.to_owned()), ..HostConfig::default() }
}

impl ByHand {
    async fn new() -> Option<Self> {
        let stage = Stage::new().await?;
        let client = client().await.unwrap();
        let rich = TestImage::rich();
        rich.ensure(&stage.docker).await;
        Some(Self { stage, client })
    }

    fn label(&self) -> (String, String) {
        (label::COMPOSE_PROJECT.to_owned(), self.stage.stack.to_string())
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
            labels: Some([self.label()].into()),
            ipam: Some(Ipam { config: Some(vec![pool]), ..Ipam::default() }),
            ..NetworkCreateRequest::default()
        };
        self.client.create_network(request).await.unwrap();
        subnet
    }

    async fn run(&self, name: &str, mut body: ContainerCreateBody) -> String {
        body.labels.get_or_insert_default().extend([self.label()]);
        let options =
            CreateContainerOptions { name: Some(self.name(name)), ..CreateContainerOptions::default() };
        let id = self.client.create_container(Some(options), body).await.unwrap().id;
        self.client.start_container(&id, None::<StartContainerOptions>).await.unwrap();
        id
    }

    fn plain(&self) -> ContainerCreateBody {
        ContainerCreateBody { image: Some(self.stage.image.clone()), ..ContainerCreateBody::default() }
    }

    fn folder(&self) -> String {
        let folder = self.stage.path().join("bound");
        fs::create_dir_all(&folder).unwrap();
        folder.display().to_string()
    }

    /// What a service for users may be.
    async fn run_web(&self) -> String {
        let subnet = self.network("net").await;
        let (net, folder) = (self.name("net"), self.folder());
        let port =
            PortBinding { host_ip: Some("127.0.0.1".to_owned()), host_port: Some(unique_port().to_string()) };
        let address =
            EndpointIpamConfig { ipv4_address: Some(format!("{subnet}77")), ..EndpointIpamConfig::default() };
        let endpoint = EndpointSettings {
            aliases: Some(texts(&["shop"])),
            ipam_config: Some(address),
            ..EndpointSettings::default()
        };
        let secret = format!("DB_PASSWORD={SECRET}");
        let tmpfs = [("/run", "size=1m,exec"), ("/tmp", "")];
        let host = HostConfig {
            binds: Some(texts(&[&format!("{}:/data", self.name("data")), &format!("{folder}:/conf:ro")])),
            port_bindings: Some([("80/tcp".to_owned(), Some(vec![port]))].into()),
            restart_policy: Some(RestartPolicy {
                name: Some(RestartPolicyNameEnum::UNLESS_STOPPED),
                maximum_retry_count: None,
            }),
            memory: Some(64 << 20),
            nano_cpus: Some(500_000_000),
            tmpfs: Some(tmpfs.map(|(target, options)| (target.to_owned(), options.to_owned())).into()),
            ..on(&net)
        };
        let body = ContainerCreateBody {
            image: Some(TestImage::rich().reference.to_string()),
            env: Some(texts(&["IMAGE_SAYS=mine", &secret, "PRICE=5$", "EMPTY="])),
            exposed_ports: Some(texts(&["80/tcp", "9000/udp"])),
            healthcheck: Some(HealthConfig {
                test: Some(texts(&["CMD-SHELL", "exit 0"])),
                interval: Some(90_000_000_000),
                ..HealthConfig::default()
            }),
            host_config: Some(host),
            networking_config: Some(NetworkingConfig { endpoints_config: Some([(net, endpoint)].into()) }),
            ..ContainerCreateBody::default()
        };
        self.run("web", body).await
    }

    /// What only few people say.
    async fn run_odd(&self) -> String {
        let mount = |typ, source, target: &str| Mount {
            typ: Some(typ),
            source,
            target: Some(target.to_owned()),
            read_only: Some(typ == MountType::BIND),
            ..Mount::default()
        };
        let files = ResourcesUlimits { name: Some("nofile".to_owned()), soft: Some(100), hard: Some(200) };
        let host = HostConfig {
            mounts: Some(vec![
                mount(MountType::BIND, Some(self.folder()), "/long"),
                mount(MountType::VOLUME, None, "/anonymous"),
            ]),
            cap_add: Some(texts(&["CAP_NET_ADMIN"])),
            cap_drop: Some(texts(&["MKNOD"])),
            security_opt: Some(texts(&["no-new-privileges"])),
            init: Some(true),
            readonly_rootfs: Some(true),
            extra_hosts: Some(texts(&["db:10.0.0.9", "gate:host-gateway"])),
            dns: Some(texts(&["9.9.9.9"])),
            ulimits: Some(vec![files]),
            log_config: Some(HostConfigLogConfig {
                typ: Some("json-file".to_owned()),
                config: Some([("max-size".to_owned(), "1m".to_owned())].into()),
            }),
            shm_size: Some(32 << 20),
            pid_mode: Some("host".to_owned()),
            ..on("bridge")
        };
        let body = ContainerCreateBody {
            image: Some(TestImage::rich().reference.to_string()),
            entrypoint: Some(texts(&["/fixture"])),
            cmd: Some(texts(&["serve", "--say", &format!("$HOME {SECRET}")])),
            env: Some(texts(&[&format!("KEY={SECRET}"), &format!("URL=http://a:{SECRET}@b/c")])),
            user: Some("0".to_owned()),
            working_dir: Some("/x/".to_owned()),
            hostname: Some("inner".to_owned()),
            stop_signal: Some("SIGINT".to_owned()),
            stop_timeout: Some(1),
            tty: Some(true),
            host_config: Some(host),
            ..ContainerCreateBody::default()
        };
        self.run("odd", body).await
    }

    /// Every kind of thing that people say to `docker run`.
    async fn run_all(&self) -> Vec<String> {
        let (web, odd) = (self.run_web().await, self.run_odd().await);
        let side = ContainerCreateBody {
            cmd: Some(texts(&["serve", "--port", "81"])),
            host_config: Some(on(&format!("container:{web}"))),
            ..self.plain()
        };
        let side = self.run("side", side).await;
        let none = ContainerCreateBody { host_config: Some(on("none")), ..self.plain() };
        vec![web, odd, side, self.run("none", none).await]
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
    assert!(stderr.contains(" in environment.yaml; `docker inspect` shows them"), "{stderr}");
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

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_docker_removes_by_itself_is_written_down_and_not_adopted() {
    let Some(hand) = ByHand::new().await else { return };
    let host = HostConfig { auto_remove: Some(true), publish_all_ports: Some(true), ..on("bridge") };
    hand.run("web", ContainerCreateBody { host_config: Some(host), ..hand.plain() }).await;
    let web = hand.name("web");
    let ran = hand.evenkeel(&format!("adopt --write compose.yaml {web}"), &[]).ends_with(0);
    ran.says("was made with `--rm`").says("was made with `--publish-all`");
    let text = fs::read_to_string(hand.stage.path().join("compose.yaml")).unwrap();
    assert!(text.contains("# - ") && text.contains("--publish-all"), "{text}");
    hand.evenkeel(&format!("-f compose.yaml adopt --yes {web}"), &[])
        .ends_with(1)
        .says("no deploy could return to it")
        .says("stop it");
}
