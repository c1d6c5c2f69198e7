//! A stack of real software: `PostgreSQL` and Redis with their data on volumes, and an application that ends unless both
//! answer. `tests/databases/make` makes their images.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use evenkeel::engine::{Engine, ImportConfig};
use evenkeel::model::image::ImageRef;
use evenkeel::model::live::{LiveContainer, Status};
use evenkeel::model::text::Text;
use sha2::{Digest, Sha256};

use super::{Begun, Ran, Stage, eventually, running};
use crate::common::docker::tell;
use crate::common::image::{ensure, packed};
use crate::common::names::unique_subnet;

const SHOP: &str = include_str!("../../programs/shop.rs");
const PASSWORD: &str = "canary-of-the-database-4711";

const DATABASES: &str = "
services:
  db:
    image: POSTGRES
    command: [SETTINGS]
    restart: unless-stopped
    # Clients that stay connected are not waited for.
    stop_signal: SIGINT
    stop_grace_period: 30s
    secrets: [{source: password, uid: '999', mode: 0400}]
    volumes: ['db:/var/lib/postgresql']
    healthcheck: {test: [CMD, pg_isready, -h, 127.0.0.1], interval: 5s, timeout: 3s, retries: 12}
  cache:
    image: REDIS
    command: [redis-server, --dir, /data, --appendonly, 'yes', --protected-mode, 'no']
    restart: unless-stopped
    volumes: ['cache:/data']
    healthcheck: {test: [CMD, redis-cli, -e, ping], interval: 5s, timeout: 3s, retries: 12}
volumes: {db: , cache: }
secrets: {password: {environment: DB_PASSWORD}}
";

const APPS: &str = "
services:
  shop:
    image: SHOP
    command: [WORDS]
    restart: unless-stopped
    stop_grace_period: 2s
    secrets: [password]
    depends_on: {db: {condition: service_healthy, restart: true}, cache: {condition: service_healthy}}
    x-evenkeel: {gate: {log: {regex: '^version .* orders'}}}
";

/// What is deployed instead of all that.
const PAGE: &str = "
services:
  page:
    image: IMAGE
    stop_grace_period: 1s
    environment: {V: WORDS}
";

/// A folder of manifests for all of it.
struct Shop {
    stage: Stage,
    images: [(&'static str, String); 3],
    subnet: String,
}

/// Where `tests/databases/make` leaves what it has made.
fn home() -> PathBuf {
    let given = std::env::var_os("EVENKEEL_DATABASES").map(PathBuf::from);
    let cache = || std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let user = || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache");
    given.unwrap_or_else(|| cache().unwrap_or_else(user).join("evenkeel/databases"))
}

/// A server that runs as the user of its image.
fn server(entrypoint: &[&str]) -> ImportConfig {
    ImportConfig {
        entrypoint: entrypoint.iter().map(|word| (*word).to_owned()).collect(),
        environment: [("PATH".to_owned(), "/usr/bin:/bin".to_owned())].into(),
        user: Some("999:999".to_owned()),
        ..ImportConfig::default()
    }
}

fn named(name: &str, digest: &str, config: &ImportConfig) -> ImageRef {
    let digest = hex::encode(Sha256::digest(format!("{digest}{config:?}")));
    format!("evenkeel-{name}:{}", &digest[..12]).parse().unwrap()
}

impl Shop {
    async fn new() -> Option<Self> {
        let stage = Stage::new().await?;
        let mut images = Vec::new();
        for (word, name, config) in
            [("POSTGRES", "postgres", server(&["/start"])), ("REDIS", "redis", server(&[]))]
        {
            let archive = home().join(format!("{name}.tar"));
            let Ok(digest) = fs::read_to_string(archive.with_extension("tar.sha256")) else {
                assert!(std::env::var_os("EVENKEEL_REQUIRE_DOCKER").is_none_or(|value| value != "1"));
                tell("passed by without the images of databases: `tests/databases/make` makes them");
                return None;
            };
            let image = named(name, &digest, &config);
            ensure(&stage.docker, &image, &config, || fs::read(&archive).unwrap()).await;
            images.push((word, image.to_string()));
        }
        let config = ImportConfig { entrypoint: vec!["/shop".to_owned()], ..ImportConfig::default() };
        let image = named("shop", SHOP, &config);
        ensure(&stage.docker, &image, &config, || packed("shop", SHOP)).await;
        images.push(("SHOP", image.to_string()));
        let subnet =
            format!("networks: {{default: {{ipam: {{config: [{{subnet: {}0/24}}]}}}}}}\n", unique_subnet());
        let shop = Self { images: images.try_into().unwrap(), subnet, stage };
        let environment =
            format!("stack: {}\nvariables: {{DB_PASSWORD: {{from: host}}}}\n", shop.stage.stack);
        shop.write("evenkeel.yaml", "project: shop\ntiers: [infrastructure, apps]\n");
        shop.write("environments/prod/environment.yaml", &environment);
        Some(shop)
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.stage.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let named = self.images.iter().fold(text.to_owned(), |text, (word, image)| text.replace(word, image));
        fs::write(path, named.replace("IMAGE", &self.stage.image)).unwrap();
    }

    /// Declares the databases, with these settings of `PostgreSQL`, and the application, with these words.
    fn declare(&self, settings: &str, words: &str) {
        self.write(
            "manifests/infrastructure/databases.yaml",
            &format!("{}{}", DATABASES.replace("SETTINGS", settings), self.subnet),
        );
        self.write("manifests/apps/shop.yaml", &APPS.replace("WORDS", words));
    }

    /// Declares a page and nothing else.
    fn declare_page(&self, version: &str) {
        fs::remove_dir_all(self.stage.path().join("manifests")).unwrap();
        self.write("manifests/apps/page.yaml", &format!("{}{}", PAGE.replace("WORDS", version), self.subnet));
    }

    fn command(&self, words: &str) -> Command {
        let mut command = self.stage.command(&format!("--env prod {words}"));
        command.env("DB_PASSWORD", PASSWORD);
        command
    }

    fn run(&self, words: &str) -> Ran {
        let ran = Ran::of(words, &self.command(words).output().unwrap());
        assert!(!ran.stdout.contains(PASSWORD) && !ran.stderr.contains(PASSWORD), "{ran:?}");
        ran
    }

    fn begin_apply(&self) -> Begun {
        let mut command = self.command("apply --yes");
        Begun(Some(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()))
    }

    async fn container(&self, service: &str) -> LiveContainer {
        running(&self.stage.containers().await, service).clone()
    }

    async fn asked(&self, service: &str, words: &[&str]) -> String {
        let container = self.container(service).await.id;
        let words: Vec<Text> = words.iter().map(|word| Text::plain(*word)).collect();
        let result = self.stage.docker.exec(&container, &words, Duration::from_secs(10)).await.unwrap();
        assert_eq!(result.code, Some(0), "{words:?}: {result:?}");
        result.output.trim().to_owned()
    }

    async fn sql(&self, text: &str) -> String {
        self.asked("db", &["psql", "-h", "/tmp", "-U", "postgres", "-Atc", text]).await
    }

    /// The orders that there are by now.
    async fn orders(&self) -> Orders {
        let all = self.sql("SELECT string_agg(id || made_by || amount, ' ' ORDER BY id) FROM orders").await;
        let starts = self.asked("cache", &["redis-cli", "get", "starts"]).await.parse().unwrap();
        Orders { all, starts }
    }

    /// Asserts that nothing of what there was is lost, and gives what there is.
    async fn still_has(&self, before: &Orders) -> Orders {
        let now = self.orders().await;
        assert!(now.all.starts_with(&before.all) && now.starts >= before.starts, "{before:?} → {now:?}");
        now
    }
}

/// What the application has written.
#[derive(Debug)]
struct Orders {
    all: String,
    starts: u32,
}

/// What makes a container the same one, running on.
fn same(container: &LiveContainer) -> (String, String) {
    (container.id.to_string(), container.state.started_at.clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stack_with_real_databases_keeps_its_data() {
    let Some(shop) = Shop::new().await else { return };
    comes_up_in_order(&shop).await;
    a_bad_version_returns(&shop).await;
    Box::pin(a_setting_replaces_the_database_alone(&shop)).await;
    a_crash_in_the_middle_is_put_right(&shop).await;
    what_is_removed_keeps_its_volumes(&shop).await;
}

async fn comes_up_in_order(shop: &Shop) {
    shop.declare("", "--version, '1'");
    let first = shop.run("apply --yes").ends_with(0).says("committed").stderr;
    let place = |text: &str| first.find(text).unwrap_or_else(|| panic!("no {text}: {first}"));
    assert!(place("✓ db ") < place("✓ shop ") && place("✓ cache ") < place("✓ shop "), "{first}");
    // It ends where one of them doesn't answer, and was started a single time.
    assert_eq!(shop.container("shop").await.state.restarts, 0);
    let orders = shop.orders().await;
    assert_eq!((orders.all.as_str(), orders.starts), ("1117", 1));

    let since = jiff::Timestamp::now();
    let ids = shop.stage.serving().await;
    shop.run("apply --yes").ends_with(0).says("nothing to do");
    assert_eq!(shop.stage.serving().await, ids);
    // What is asked inside of containers and what Docker's own checks do is no change of anything.
    let events = shop.stage.events(since).await;
    assert!(events.iter().all(|event| event.starts_with("exec_")), "{events:?}");
}

async fn a_bad_version_returns(shop: &Shop) {
    let before = shop.orders().await;
    let services = ["db", "cache", "shop"];
    let mut ran = Vec::new();
    for service in services {
        ran.push(shop.container(service).await);
    }
    shop.declare("", "--version, '2', --wants-column, colour");
    shop.run("apply --yes").ends_with(3).says("column \"colour\" does not exist").says("rolled back");
    for (service, before) in services.iter().zip(&ran) {
        let now = shop.container(service).await;
        assert_eq!(now.id, before.id);
        assert!(*service == "shop" || same(&now) == same(before), "{service} was disturbed");
    }
    shop.still_has(&before).await;
    assert_eq!(shop.sql("SELECT count(*) FROM orders WHERE made_by <> '1'").await, "0");
    shop.declare("", "--version, '1'");
    shop.run("plan --detailed-exitcode").ends_with(0);
}

async fn a_setting_replaces_the_database_alone(shop: &Shop) {
    let before = shop.orders().await;
    let [db, cache, app] =
        [shop.container("db").await, shop.container("cache").await, shop.container("shop").await];
    shop.declare("-c, max_connections=50", "--version, '1'");
    let plan = shop.run("plan --json").ends_with(0).json();
    let changed: Vec<&str> =
        plan["changes"].as_array().unwrap().iter().map(|change| change["name"].as_str().unwrap()).collect();
    assert_eq!(changed, ["db", "shop"], "{plan:#}");
    shop.run("apply --yes").ends_with(0);
    assert_ne!(shop.container("db").await.id, db.id);
    assert_eq!(same(&shop.container("cache").await), same(&cache));
    assert_ne!(
        same(&shop.container("shop").await),
        same(&app),
        "it declares to be restarted with the database"
    );
    assert_eq!(shop.sql("SHOW max_connections").await, "50");
    let now = shop.still_has(&before).await;
    assert!(now.all.len() > before.all.len(), "it goes on to write: {now:?}");
    shop.run("plan --detailed-exitcode").ends_with(0);
}

async fn a_crash_in_the_middle_is_put_right(shop: &Shop) {
    let before = shop.orders().await;
    let db = shop.container("db").await;
    // It never answers where it is asked, so the deploy is in its middle when it is killed.
    shop.declare("-c, max_connections=60, -c, port=5433", "--version, '1'");
    let deploy = shop.begin_apply();
    eventually("the new database runs", async || {
        let containers = shop.stage.containers().await;
        containers.iter().any(|container| {
            container.instance == db.instance
                && container.id != db.id
                && container.state.status == Status::Running
        })
    })
    .await;
    deploy.signal("KILL");
    assert_eq!(deploy.wait().status, None);
    shop.run("plan").ends_with(1).says("has not ended");
    // What it was before comes back first, and then there is nothing to do.
    shop.declare("-c, max_connections=50", "--version, '1'");
    shop.run("apply --yes").ends_with(0).says("an earlier deploy was cut off").says("nothing to do");
    assert_eq!(shop.container("db").await.id, db.id);
    let now = shop.still_has(&before).await;
    shop.declare("-c, max_connections=60", "--version, '1'");
    shop.run("apply --yes").ends_with(0);
    assert_eq!(shop.sql("SHOW max_connections").await, "60");
    shop.still_has(&now).await;
}

async fn what_is_removed_keeps_its_volumes(shop: &Shop) {
    let before = shop.orders().await;
    shop.declare_page("one");
    let plan = shop.run("plan --json").ends_with(0).json();
    shop.run(&format!("apply --accept {}", plan["id"].as_str().unwrap())).ends_with(0);
    // What was kept until now goes with the next deploy.
    shop.declare_page("two");
    shop.run("apply --yes").ends_with(0);
    let services: Vec<String> =
        shop.stage.containers().await.iter().map(|one| one.instance.service.to_string()).collect();
    assert_eq!(services, ["page", "page"]);
    let volumes = shop.stage.docker.list_volumes().await.unwrap();
    let own = volumes.iter().filter(|volume| volume.stack.as_ref() == Some(&shop.stage.stack));
    assert_eq!(own.count(), 2);
    fs::remove_dir_all(shop.stage.path().join("manifests")).unwrap();
    shop.declare("", "--version, '3'");
    shop.run("apply --yes").ends_with(0);
    let now = shop.still_has(&before).await;
    assert!(now.all.ends_with("317"), "{now:?}");
    holds_no_password(&shop.stage.path().join("state"));
}

/// Asserts that the password is nowhere below a folder but where secrets are laid down.
fn holds_no_password(folder: &Path) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            if !path.ends_with("files/secrets") {
                holds_no_password(&path);
            }
        } else {
            let content = fs::read(&path).unwrap();
            let is_there = content.windows(PASSWORD.len()).any(|part| part == PASSWORD.as_bytes());
            assert!(!is_there, "{}", path.display());
        }
    }
}
