//! Images from a real registry: tags that move, a registry that is down, and one that asks who we are.

use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use bollard::query_parameters::{PushImageOptions, RemoveImageOptions};
use evenkeel::engine::Engine;
use evenkeel::model::image::{ImageRef, short_digest};
use evenkeel::model::live::LiveContainer;
use evenkeel::model::spec::MountSource;
use futures_util::TryStreamExt;
use tempfile::TempDir;

use super::mounted::mounts_images;
use super::{Ran, Stage, eventually, running};
use crate::common::docker::{client, tell};
use crate::common::image::TestImage;
use crate::common::names::unique_port;

mod breaker;

const USER: &str = "ek";
/// In the alphabet of Base64 that daemons don't read, its encoding has other characters.
const PASSWORD: &str = "s3cret>>>???";
/// The same as `htpasswd -B` writes it.
const HTPASSWD: &str = "ek:$2y$04$CoxCeEwe09irvmCzKeiVZ.zb6BETkU7h80Qxhmm9RcgNTQmn64Hyi\n";

/// A registry on this machine, over HTTP, which daemons accept from loopback alone. Its images are gone from the host
/// with it.
struct Registry {
    port: u16,
    server: Child,
    folder: TempDir,
}

fn serve(folder: &Path) -> std::io::Result<Child> {
    let mut command = Command::new("docker-registry");
    command.arg("serve").arg(folder.join("config.yml")).stdout(Stdio::null()).stderr(Stdio::null()).spawn()
}

impl Registry {
    /// A registry for everybody, if the program is installed (`docker-registry` on Debian).
    async fn start() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let port = unique_port();
        let config = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: '127.0.0.1:{port}'}}\n",
            folder.path().join("images").display()
        );
        fs::write(folder.path().join("config.yml"), config).unwrap();
        let server = match serve(folder.path()) {
            Ok(server) => server,
            Err(error) => {
                assert!(
                    std::env::var_os("EVENKEEL_REQUIRE_DOCKER").is_none_or(|value| value != "1"),
                    "{error}"
                );
                tell(&format!("passed by without docker-registry: {error}"));
                return None;
            }
        };
        let registry = Self { port, server, folder };
        registry.answers().await;
        Some(registry)
    }

    async fn answers(&self) {
        let answers = || async { TcpStream::connect(("127.0.0.1", self.port)).is_ok() };
        eventually("the registry answers", answers).await;
    }

    /// Closes it for all who don't know the password.
    async fn close(&mut self) {
        self.stop();
        let [config, passwords] = ["config.yml", "htpasswd"].map(|name| self.folder.path().join(name));
        fs::write(&passwords, HTPASSWD).unwrap();
        let open = fs::read_to_string(&config).unwrap();
        let auth = format!("auth: {{htpasswd: {{realm: test, path: {}}}}}\n", passwords.display());
        fs::write(&config, open + &auth).unwrap();
        self.server = serve(self.folder.path()).unwrap();
        self.answers().await;
    }

    fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    fn image(&self) -> String {
        format!("{}/shop/app:1", self.host())
    }

    /// Lets the tag mean such an image there, and nothing on the host.
    async fn publish(&self, stage: &Stage, image: &TestImage) {
        // A tag of its own: what the real one means on the host is not this test's to change. And an image of its own:
        // what other tests name or forget is none of its names.
        let pushed = self.pushed();
        image.import_as(&pushed, &stage.docker).await;
        self.push(stage, &pushed).await;
    }

    fn pushed(&self) -> ImageRef {
        format!("{}/shop/app:pushed", self.host()).parse().unwrap()
    }

    /// Moves what is on the host under that name to the registry.
    async fn push(&self, stage: &Stage, pushed: &ImageRef) {
        let client = client().await.unwrap();
        let options = PushImageOptions { tag: Some("pushed".to_owned()), ..PushImageOptions::default() };
        let name = format!("{}/shop/app", self.host());
        client.push_image(&name, Some(options), None).try_collect::<Vec<_>>().await.unwrap();
        stage.docker.remove_image(pushed).await.unwrap();
        self.retag();
    }

    /// Points the tag at what was pushed last, in the registry's own storage: a push would need the tag on the host.
    fn retag(&self) {
        let tags = self.folder.path().join("images/docker/registry/v2/repositories/shop/app/_manifests/tags");
        let (from, to) = (tags.join("pushed/current"), tags.join("1/current"));
        fs::create_dir_all(&to).unwrap();
        fs::copy(from.join("link"), to.join("link")).unwrap();
    }

    fn stop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Takes what was pulled from the host again, once no container uses it.
async fn forget(stage: &Stage, registry: &Registry) {
    forget_from(stage, &registry.host()).await;
}

async fn forget_from(stage: &Stage, host: &str) {
    let client = client().await.unwrap();
    for container in stage.containers().await {
        stage.docker.discard_container(&container.id).await.unwrap();
    }
    let ours = format!("{host}/shop/app");
    let images = client.list_images(None::<bollard::query_parameters::ListImagesOptions>).await.unwrap();
    for name in images.into_iter().flat_map(|image| [image.repo_tags, image.repo_digests].concat()) {
        if name.starts_with(&ours) {
            let _ = client.remove_image(&name, None::<RemoveImageOptions>, None).await;
        }
    }
    let left = client.list_images(None::<bollard::query_parameters::ListImagesOptions>).await.unwrap();
    let names = left.into_iter().flat_map(|image| [image.repo_tags, image.repo_digests].concat());
    assert_eq!(names.filter(|name| name.starts_with(&ours)).collect::<Vec<_>>(), Vec::<String>::new());
}

fn service(policy: &str, image: &str) -> String {
    format!("\n  web:\n    image: {image}\n    {policy}\n    stop_grace_period: 1s\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tag_that_moves_is_seen_and_run_by_its_digest() {
    let Some(stage) = Stage::new().await else { return };
    let Some(mut registry) = Registry::start().await else { return };
    let image = registry.image();
    registry.publish(&stage, &TestImage::plain()).await;
    stage.compose(&service("pull_policy: always", &image));
    let plan = stage.run("-f compose.yaml plan").ends_with(0).stdout;
    assert!(plan.contains(&format!("pull: {image} (sha256:")), "{plan}");
    let shown = stage.run("-f compose.yaml plan --json").ends_with(0).json()["pulls"][0].clone();
    stage.apply().ends_with(0).says("pulled");
    let first = running(&stage.containers().await, "web").clone();
    assert_eq!(first.spec.image.digest(), shown["digest"].as_str());
    assert_eq!(first.spec.image.name().to_string(), image);
    let local = stage.docker.inspect_image(&image).await.unwrap().unwrap();
    assert_eq!(local.id, first.image, "people find it by its tag");
    stage.run("-f compose.yaml plan --detailed-exitcode").ends_with(0);

    registry.publish(&stage, &TestImage::rich()).await;
    stage.compose(&service("pull_policy: missing", &image));
    stage.run("-f compose.yaml plan --detailed-exitcode").ends_with(0);
    stage.compose(&service("pull_policy: always", &image));
    let since = jiff::Timestamp::now();
    let plan = stage.run("-f compose.yaml plan --detailed-exitcode").ends_with(2).stdout;
    let moved = plan.lines().find(|line| line.contains("± web")).unwrap();
    let pulled = plan.lines().find_map(|line| line.strip_prefix(&format!("pull: {image} ("))).unwrap();
    let runs = short_digest(first.spec.image.digest().unwrap());
    assert!(moved.contains(&format!("/shop/app:1 ({runs}) → ")) && moved.ends_with("image"), "{plan}");
    assert!(moved.contains(&format!(" ({}) ", pulled.split_once(')').unwrap().0)), "{plan}");
    assert_eq!(stage.events(since).await, Vec::<String>::new(), "a plan writes nothing");
    stage.apply().ends_with(0).says("replaced");
    let second = running(&stage.containers().await, "web").clone();
    assert_ne!((&first.image, first.spec.image.digest()), (&second.image, second.spec.image.digest()));
    stage.run("-f compose.yaml plan --detailed-exitcode").ends_with(0);

    // Without the registry, what ran before is started again.
    registry.stop();
    let plan = stage.run("-f compose.yaml plan --detailed-exitcode").ends_with(0).stdout;
    assert!(plan.contains("nothing to do") && plan.contains("could not be asked"), "{plan}");
    let pinned = first.spec.image.to_string();
    stage.compose(&service("pull_policy: missing", &pinned));
    stage.apply().ends_with(0).says("revived");
    assert_eq!(running(&stage.containers().await, "web").id, first.id);
    forget(&stage, &registry).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mounted_image_is_pulled_and_mounted_by_its_digest() {
    let Some(stage) = Stage::new().await else { return };
    if !mounts_images(&stage).await {
        return;
    }
    let Some(registry) = Registry::start().await else { return };
    registry.publish(&stage, &TestImage::plain()).await;
    let mount = format!("volumes: [{{type: image, source: '{}', target: /x}}]", registry.image());
    stage.compose(&service(&format!("{mount}\n    pull_policy: always"), &registry.image()));
    stage.apply().ends_with(0);
    stage.run("-f compose.yaml plan --detailed-exitcode").ends_with(0);
    let mounted = |web: &LiveContainer| match &web.spec.mounts["/x"].source {
        MountSource::Image(image) => image.digest().map(str::to_owned),
        source => panic!("{source:?}"),
    };
    let first = mounted(running(&stage.containers().await, "web"));
    assert!(first.is_some());
    registry.publish(&stage, &TestImage::telling()).await;
    let plan = stage.run("-f compose.yaml plan").ends_with(0).stdout;
    assert!(plan.contains("volumes./x"), "{plan}");
    stage.apply().ends_with(0).says("replaced");
    assert_ne!(mounted(running(&stage.containers().await, "web")), first);
    stage.run("-f compose.yaml plan --detailed-exitcode").ends_with(0);
    forget(&stage, &registry).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_moved_image_that_fails_leaves_what_ran() {
    let Some(stage) = Stage::new().await else { return };
    let Some(registry) = Registry::start().await else { return };
    registry.publish(&stage, &TestImage::plain()).await;
    stage.compose(&service("pull_policy: always", &registry.image()));
    stage.apply().ends_with(0);
    let image = registry.image();
    let local = async || stage.docker.inspect_image(&image).await.unwrap();
    let (before, tagged) = (stage.serving().await, local().await);
    registry.publish(&stage, &TestImage::failing()).await;
    stage.apply().ends_with(3);
    assert_eq!(stage.serving().await, before);
    assert_eq!(local().await, tagged, "the tag stays, too");
    forget(&stage, &registry).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_platform_is_honoured_and_one_that_is_not_there_stops_nothing() {
    let Some(stage) = Stage::new().await else { return };
    let Some(registry) = Registry::start().await else { return };
    registry.publish(&stage, &TestImage::plain()).await;
    let service = |platform: &str| service(&format!("platform: {platform}"), &registry.image());
    // As Rust calls it, which is another spelling than Docker's.
    stage.compose(&service(&format!("linux/{}", std::env::consts::ARCH)));
    stage.apply().ends_with(0);
    stage.run("-f compose.yaml plan --detailed-exitcode").ends_with(0);
    let before = stage.serving().await;
    stage.compose(&service("linux/s390x"));
    let plan = stage.run("-f compose.yaml plan --detailed-exitcode").ends_with(2).stdout;
    assert!(plan.contains("platform") && plan.contains("→ linux/s390x"), "{plan}");
    let since = jiff::Timestamp::now();
    stage.apply().ends_with(1).says("platform");
    let stopped = stage.events(since).await.into_iter().filter(|event| event.contains("die")).count();
    assert_eq!((stage.serving().await, stopped), (before, 0));
    forget(&stage, &registry).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn trap_16_an_image_that_is_gone_from_the_host_makes_no_difference() {
    let Some(stage) = Stage::new().await else { return };
    let Some(mut registry) = Registry::start().await else { return };
    registry.publish(&stage, &TestImage::rich()).await;
    let declared = "environment: {OWN: a}\n    labels: {own: b}";
    stage.compose(&service(declared, &registry.image()));
    stage.apply().ends_with(0);
    let web = running(&stage.containers().await, "web").clone();
    // The daemon keeps the image of a running container from `docker rmi -f`, but not that of a stopped one.
    stage.docker.stop_container(&web.id, Some(Duration::from_secs(1))).await.unwrap();
    let force = RemoveImageOptions { force: true, ..RemoveImageOptions::default() };
    client().await.unwrap().remove_image(web.image.as_str(), Some(force), None).await.unwrap();
    stage.docker.start_container(&web.id).await.unwrap();
    assert_eq!(stage.docker.inspect_image(web.image.as_str()).await.unwrap(), None);
    registry.stop();
    for policy in ["pull_policy: missing", "pull_policy: always", "pull_policy: never"] {
        stage.compose(&service(&format!("{declared}\n    {policy}"), &registry.image()));
        let plan = stage.run("-f compose.yaml plan --detailed-exitcode");
        plan.ends_with(0);
    }
    stage.compose(&service("environment: {OWN: other}", &registry.image()));
    let plan = stage.run("-f compose.yaml plan").ends_with(0).stdout;
    assert!(plan.contains("environment.OWN") && plan.contains("labels.own"), "{plan}");
    assert_eq!(plan.lines().filter(|line| line.ends_with("git")).count(), 2, "{plan}");
    forget(&stage, &registry).await;
}

/// Runs `apply` with this as Docker's configuration, and helpers from `bin`.
fn apply_as(stage: &Stage, config: &str, bin: &Path) -> Ran {
    fs::create_dir_all(stage.path().join("docker")).unwrap();
    fs::write(stage.path().join("docker/config.json"), config).unwrap();
    let mut command = stage.command("-f compose.yaml apply --yes");
    let ran = command.env("DOCKER_CONFIG", stage.path().join("docker")).env("PATH", bin).output().unwrap();
    let ran = Ran::of("apply", &ran);
    assert!(!ran.stdout.contains("s3cret") && !ran.stderr.contains("s3cret"), "{}", ran.stderr);
    ran
}

fn helper(bin: &Path, name: &str, script: &str) {
    fs::create_dir_all(bin).unwrap();
    let path = bin.join(format!("docker-credential-{name}"));
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_registry_is_opened_by_a_login_or_a_helper() {
    let Some(stage) = Stage::new().await else { return };
    let Some(mut registry) = Registry::start().await else { return };
    registry.publish(&stage, &TestImage::plain()).await;
    registry.close().await;
    stage.compose(&service("pull_policy: always", &registry.image()));
    let (host, bin) = (registry.host(), stage.path().join("bin"));
    apply_as(&stage, "{}", &bin).ends_with(1).says("or this host may not read it");

    let helpers = |name: &str| format!(r#"{{"credHelpers": {{"{host}": "{name}"}}}}"#);
    apply_as(&stage, &helpers("gone"), &bin).ends_with(1).says("`docker-credential-gone` can't be run");
    helper(&bin, "broken", &format!("echo {PASSWORD} >&2; echo {PASSWORD}; exit 1"));
    apply_as(&stage, &helpers("broken"), &bin).ends_with(1).says("`docker-credential-broken` failed");
    let answer =
        format!(r#"{{\"ServerURL\":\"$server\",\"Username\":\"{USER}\",\"Secret\":\"{PASSWORD}\"}}"#);
    let asked = r#"read server; [ "$1" = get ] || exit 1; [ "$server" = "#;
    helper(&bin, "good", &format!("{asked}{host} ] || exit 1\necho \"{answer}\""));
    apply_as(&stage, &helpers("good"), &bin).ends_with(0).says("up after");
    forget(&stage, &registry).await;
    // One that is asked for all registries, unless there is one of its own.
    let store = format!(r#"{{"credsStore": "good", "credHelpers": {{"{host}.example": "gone"}}}}"#);
    apply_as(&stage, &store, &bin).ends_with(0).says("up after");
    forget(&stage, &registry).await;

    let auth = base64::engine::general_purpose::STANDARD.encode(format!("{USER}:{PASSWORD}"));
    let login = format!(r#"{{"auths": {{"http://{host}/v2/": {{"auth": "{auth}"}}}}}}"#);
    apply_as(&stage, &login, &bin).ends_with(0).says("pulled");
    forget(&stage, &registry).await;
}
