//! `adopt --write` on the simulator: what is written, planned against the host that it was written from, leaves nothing
//! to do, and a host that is made from it is the same.

pub mod scene;

use std::collections::BTreeMap;

use evenkeel::engine::sim::SimImage;
use evenkeel::model::desired::Desired;
use evenkeel::model::image::ImageRef;
use evenkeel::plan::adopt::{Named, Wish};

use crate::field_laws::row::{Needs, Row};
use crate::field_laws::table;

use self::scene::{Maker, Scene, resolved};

fn shop(text: &str) -> Desired {
    resolved(&format!("name: shop\n{text}"), &BTreeMap::new()).unwrap()
}

fn project() -> Wish {
    Wish::Project(None)
}

fn named(names: &[&str]) -> Wish {
    let one = |name: &&str| {
        let (service, container) = match name.split_once('=') {
            Some((service, container)) => (Some(service.parse().unwrap()), container),
            None => (None, *name),
        };
        Named { container: container.to_owned(), service }
    };
    Wish::Containers(names.iter().map(one).collect())
}

/// Which value of each row the file says.
const MOMENTS: [fn(&Row) -> &'static str; 3] = [|row| row.one, |row| row.two, |row| row.last];

/// The rows of the table as one file. Configs and secrets are left out: from files Compose mounts them as it does
/// any other, and from elsewhere nobody can see them.
fn of_rows(rows: &[&Row], value: fn(&Row) -> &'static str) -> Desired {
    const WORDS: [(&str, &str); 18] = [
        ("STACK", "shop"),
        ("THIS", "rich:1"),
        ("OTHER", "plain:1"),
        ("SUBNET", "10.200.1."),
        ("FRONT", "10.200.2."),
        ("SIX4", "10.200.3."),
        ("SIX", "fd00:e4:1"),
        ("DISK", "/dev/vda"),
        ("FOLDER", "/srv/bound"),
        ("CHECK", "test: [CMD, /fixture, probe]"),
        ("PORT1", "21001"),
        ("PORT2", "21002"),
        ("PORT3", "21003"),
        ("PORT4", "21004"),
        ("PORT5", "21005"),
        ("PORT6", "21006"),
        ("PORT7", "21007"),
        ("PORT8", "21008"),
    ];
    let services = rows.iter().enumerate().map(|(number, row)| {
        let base = if row.on_network { "*base" } else { "*quiet" };
        let parts = [format!("<<: {base}"), row.with.to_owned(), value(row).to_owned()];
        let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        format!("  r{number:03}: {{{}}}\n", parts.join(", "))
    });
    let services: String = services.collect();
    let text = format!(
        "x-base: &base {{image: 'THIS'}}
x-quiet: &quiet {{<<: *base, network_mode: none}}
services:
  donor: {{<<: *base, volumes: ['data:/data', 'more:/more']}}
{services}networks:
  default: {{ipam: {{config: [{{subnet: SUBNET0/24, ip_range: SUBNET0/25}}]}}}}
  front: {{ipam: {{config: [{{subnet: FRONT0/24}}]}}}}
  six: {{enable_ipv6: true, ipam: {{config: [{{subnet: SIX40/24}}, {{subnet: 'SIX::/64'}}]}}}}
volumes: {{data: {{}}, more: {{}}}}
"
    );
    shop(&WORDS.iter().fold(text, |text, (word, value)| text.replace(word, value)))
}

/// Tries the law on every row, apart for those that the planner takes the simulator to be too old for.
async fn tried(maker: Maker) {
    let is_grant = |row: &&Row| row.field.starts_with("configs.") || row.field.starts_with("secrets.");
    let rows = table::rows().filter(|row| !is_grant(row));
    let (newer, all): (Vec<&Row>, Vec<&Row>) = rows.partition(|row| matches!(row.needs, Needs::Api(..)));
    assert!(all.len() > 80 && newer.len() > 5);
    for rows in [all, newer] {
        for value in MOMENTS {
            let scene = Scene::new();
            let desired = of_rows(&rows, value);
            scene.make(&desired, maker).await;
            let wish = match maker {
                Maker::Compose => project(),
                Maker::Hand => of_all(&desired),
            };
            let law = scene.law(&wish, maker).await;
            law.unwrap_or_else(|why| panic!("{why}"));
        }
    }
}

/// Each container by its name.
fn of_all(desired: &Desired) -> Wish {
    let names = desired.services.values().flat_map(|service| {
        let one = service.instances().next().unwrap();
        service.container_name(&desired.stack, &one)
    });
    let names: Vec<String> = names.map(|name| name.to_string()).collect();
    named(&names.iter().map(String::as_str).collect::<Vec<_>>())
}

#[tokio::test(start_paused = true)]
async fn every_field_is_written_so_that_nothing_is_left_to_do() {
    tried(Maker::Compose).await;
}

#[tokio::test(start_paused = true)]
async fn every_field_of_a_container_made_by_hand_is_written_too() {
    tried(Maker::Hand).await;
}

const SHOP: &str = "services:
  db:
    image: rich:1
    environment: {POSTGRES_PASSWORD: 'hunter2$$x', POSTGRES_DB: shop, PRICE: '5$$'}
    volumes: ['data:/data', '/srv/conf:/conf:ro']
    restart: unless-stopped
    mem_limit: 64m
  web:
    image: plain:1
    depends_on: {db: {condition: service_healthy, restart: true}}
    environment: {DATABASE_URL: 'postgres://shop:hunter2$$x@db/shop', CACHE: 'redis://:cachepass@cache', WORKERS: '2'}
    command: [serve, --api-key, abc123, '--token=xyz789', 'sh -c \"run hunter2$$x\"']
    ports: ['127.0.0.1:8080:80', '53:53/udp']
    labels: {team: a}
    networks: {default: {aliases: [shop]}, outside: {}}
    healthcheck: {test: [CMD-SHELL, 'exit 0'], interval: 5s}
    tmpfs: [/run]
volumes: {data: {labels: {team: a}}}
networks: {outside: {external: true, name: elsewhere}}
";

#[tokio::test(start_paused = true)]
async fn a_project_is_written_as_a_person_would() {
    let scene = Scene::new();
    scene.make(&shop(SHOP), Maker::Compose).await;
    let file = scene.law(&project(), Maker::Compose).await.unwrap();
    insta::assert_snapshot!(file.text);
    let variables: Vec<&str> = file.variables.keys().map(String::as_str).collect();
    assert_eq!(variables, ["CACHE", "POSTGRES_PASSWORD", "WEB_API_KEY", "WEB_TOKEN"]);
    for secret in ["hunter2", "cachepass", "abc123", "xyz789"] {
        assert!(!file.text.contains(secret), "{}", file.text);
        assert!(!format!("{:?}", file.variables).contains(secret));
    }
}

#[tokio::test(start_paused = true)]
async fn values_that_differ_get_names_that_differ() {
    let scene = Scene::new();
    let text = "services:
  a: {image: plain:1, environment: {TOKEN: one-token, same-key: shared-value}}
  b: {image: plain:1, environment: {TOKEN: two-token, same-key: shared-value, TOKEN_FILE: /run/token, USE_TOKEN: 'yes'}}
";
    scene.make(&shop(text), Maker::Compose).await;
    let file = scene.law(&project(), Maker::Compose).await.unwrap();
    let variables: Vec<&str> = file.variables.keys().map(String::as_str).collect();
    assert_eq!(variables, ["B_TOKEN", "TOKEN", "same_key"]);
}

#[tokio::test(start_paused = true)]
async fn what_the_file_cannot_say_is_said() {
    let scene = Scene::new();
    let text = "services:
  web: {image: plain:1, scale: 2, environment: {A: one}, ports: ['80'], labels: {api.token: abc}}
  job: {image: plain:1, depends_on: [web]}
";
    scene.make(&shop(text), Maker::Compose).await;
    let newer = SimImage::of("newer");
    scene.sim.add_image(&"plain:1".parse::<ImageRef>().unwrap(), newer);
    scene.sim.remove_by_hand(&"shop-web-1".parse().unwrap());
    scene.sim.remove_by_hand(&"shop-web-2".parse().unwrap());
    let file = scene.write(&project()).await.unwrap();
    let says = |what: &str| assert!(file.text.contains(what), "{}", file.text);
    says("# - job depends on `web`, which is not written down here\n");
    says("# - shop-job-1 runs an older image than `plain:1` means by now");
    assert!(file.notes.iter().all(|note| file.text.contains(note.as_str())));
}

#[tokio::test(start_paused = true)]
async fn what_is_not_clear_is_refused() {
    let scene = Scene::new();
    assert!(scene.write(&project()).await.unwrap_err().contains("no container here is of a Compose project"));
    scene.make(&shop("services: {web: {image: plain:1}}\n"), Maker::Compose).await;
    let other = resolved("name: other\nservices: {web: {image: plain:1}}\n", &BTreeMap::new());
    scene.make(&other.unwrap(), Maker::Compose).await;
    let refused = async |wish: Wish| scene.write(&wish).await.unwrap_err();
    assert!(refused(project()).await.contains("several Compose projects"));
    assert!(refused(Wish::Project(Some("third".to_owned()))).await.contains("project `third`"));
    assert!(refused(named(&["nobody"])).await.contains("no container `nobody`"));
    assert!(refused(named(&["shop-web-1", "other-web-1"])).await.contains("would both be web-1"));
    let renamed = scene.write(&named(&["second=other-web-1"])).await.unwrap();
    assert!(renamed.text.contains("finds other-web-1 as `second`"), "{}", renamed.text);
    let both = scene.write(&named(&["shop-web-1", "second=other-web-1"])).await.unwrap();
    assert!(
        both.text.contains("name: folder\n") && both.text.contains("container_name: other-web-1"),
        "{}",
        both.text
    );
    assert!(
        scene.write(&Wish::Project(Some("other".to_owned()))).await.unwrap().text.contains("name: other\n")
    );
}
