//! Mounts and networks as manifests say them: what was deployed leaves nothing to do, and what can change while a
//! container runs does so.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use evenkeel::engine::Engine;
use evenkeel::model::label;
use evenkeel::model::live::LiveContainer;
use evenkeel::model::spec::{AddressPool, NetworkSpec};

use super::{Stage, running};
use crate::common::names::unique_subnet;

/// A stack of two networks. `web` and `top` are put where they belong.
fn write(stage: &Stage, web: &str, top: &str) {
    let Stage { stack, image, .. } = stage;
    let subnets = stage.path().join("subnets");
    let known = fs::read_to_string(&subnets).unwrap_or_else(|_| [unique_subnet(), unique_subnet()].join(" "));
    fs::write(&subnets, &known).unwrap();
    let (back, front) = known.split_once(' ').unwrap();
    let text = format!(
        "name: {stack}
services:
  db: {{image: '{image}', stop_grace_period: 1s, networks: [back]}}
  web:
    image: '{image}'
    stop_grace_period: 1s
{web}
networks:
  back:
    labels: {{team: a}}
    ipam:
      options: {{foo: bar}}
      config: [{{subnet: {back}0/24, gateway: {back}1, ip_range: {back}128/25, aux_addresses: {{router: {back}200}}}}]
  front: {{internal: true, ipam: {{config: [{{subnet: {front}0/24}}]}}}}
  unused: {{driver: nonsense}}
{top}"
    );
    fs::write(stage.path().join("compose.yaml"), text).unwrap();
}

/// What must stay the same when nothing restarts.
fn life(container: &LiveContainer) -> (String, String) {
    (container.id.to_string(), container.state.started_at.clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_mount_and_attachment_leaves_nothing_to_do() {
    let Some(stage) = Stage::new().await else { return };
    let folder = stage.path().display().to_string();
    let web = format!(
        "    links: ['db:store']
    external_links: [elsewhere]
    networks:
      back: {{aliases: [inner], link_local_ips: [169.254.8.8], driver_opts: {{com.example.a: 5}}, priority: 1}}
      front: {{}}
    tmpfs: ['/owned:uid=1000,exec,size=1m,mode=1777', /plain-memory]
    volumes:
      - {folder}/made:/made
      - {folder}/labelled:/labelled:ro,Z
      - data:/data:z
      - data:/bare:nocopy
      - {{type: bind, source: {folder}, target: /there, read_only: true, bind: {{recursive: disabled}}}}
      - {{type: bind, source: {folder}, target: /private, bind: {{propagation: private}}}}
      - {{type: volume, target: /anonymous, volume: {{labels: {{a: b}}}}}}
      - {{type: tmpfs, target: /memory, tmpfs: {{size: 1m, mode: 0o700}}}}"
    );
    write(&stage, &web, "volumes: {data: {labels: {team: a}, driver_opts: {type: tmpfs, device: tmpfs}}}\n");
    stage.apply().ends_with(0);
    stage.apply().ends_with(0).says("nothing to do");
    stage.run("-f compose.yaml plan --detailed-exitcode").ends_with(0);
    assert!(stage.path().join("made").is_dir(), "Docker makes the source of a short bind");
    let networks = stage.docker.list_networks().await.unwrap();
    let unused = format!("{}_unused", stage.stack);
    assert!(networks.iter().all(|network| network.spec.name.as_str() != unused));
    // Docker and the kernel took it too.
    let containers = stage.containers().await;
    let first = &running(&containers, "web").spec.networks[&format!("{}_back", stage.stack).parse().unwrap()];
    assert!(first.first, "{first:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn trap_55_networks_aliases_and_names_change_while_a_container_runs() {
    let Some(stage) = Stage::new().await else { return };
    write(&stage, "    networks: [back]\n", "");
    stage.apply().ends_with(0);
    let before = life(running(&stage.containers().await, "web"));
    let name = |suffix: &str| format!("{}-{suffix}", stage.stack);
    let steps = [
        // Another network, and more on the one that it has.
        "    networks: {back: {aliases: [inner], link_local_ips: [169.254.8.8]}, front: {aliases: [outer]}}\n".to_owned(),
        "    networks: {back: {aliases: [inner]}, front: {aliases: [other]}}\n".to_owned(),
        format!("    container_name: {}\n    networks: {{back: {{aliases: [inner]}}}}\n", name("renamed")),
        "    networks: [back]\n".to_owned(),
    ];
    for web in steps {
        write(&stage, &web, "");
        let plan = stage.run("-f compose.yaml plan").ends_with(0).stdout;
        assert!(plan.contains("in place") && !plan.contains("drift") && !plan.contains("replace"), "{plan}");
        stage.apply().ends_with(0).says("changed in place");
        let containers = stage.containers().await;
        assert_eq!(life(running(&containers, "web")), before, "{web}");
        stage.apply().ends_with(0).says("nothing to do");
    }
    // It holds when the container starts anew.
    let id = running(&stage.containers().await, "web").id.clone();
    stage.docker.stop_container(&id, None).await.unwrap();
    stage.docker.start_container(&id).await.unwrap();
    stage.apply().ends_with(0).says("nothing to do");
    // The first network is a part of the container itself.
    write(&stage, "    networks: [front]\n", "");
    let plan = stage.run("-f compose.yaml plan").ends_with(0).stdout;
    assert!(plan.contains("replace"), "{plan}");
    stage.apply().ends_with(0);
    stage.apply().ends_with(0).says("nothing to do");
}

#[tokio::test(flavor = "multi_thread")]
async fn joined_networks_and_a_new_name_go_back_with_a_failed_deploy() {
    let Some(stage) = Stage::new().await else { return };
    write(&stage, "    networks: [back]\n", "");
    stage.apply().ends_with(0);
    let containers = stage.containers().await;
    let before = running(&containers, "web").clone();
    let name = format!("{}-renamed", stage.stack);
    let web =
        format!("    container_name: {name}\n    networks: {{back: {{aliases: [inner]}}, front: {{}}}}\n");
    write(&stage, &web, "");
    let path = stage.path().join("compose.yaml");
    let text = fs::read_to_string(&path).unwrap();
    let broken =
        text.replace("stop_grace_period: 1s, networks: [back]", "networks: [back], command: [exit, '3']");
    assert_ne!(text, broken);
    fs::write(&path, broken).unwrap();
    stage.apply().ends_with(3);
    let containers = stage.containers().await;
    let after = running(&containers, "web");
    assert_eq!((life(after), &after.name), (life(&before), &before.name));
    assert_eq!(
        after.spec.networks.keys().collect::<Vec<_>>(),
        before.spec.networks.keys().collect::<Vec<_>>()
    );
    let aliases = |container: &LiveContainer| {
        container.spec.networks.values().map(|joined| joined.aliases.clone()).collect::<Vec<_>>()
    };
    assert_eq!(aliases(after), aliases(&before));
    write(&stage, "    networks: [back]\n", "");
    stage.apply().ends_with(0).says("nothing to do");
}

#[tokio::test(flavor = "multi_thread")]
async fn trap_53_a_network_that_was_made_anew_is_joined_again() {
    let Some(stage) = Stage::new().await else { return };
    let name = format!("{}_elsewhere", stage.stack);
    let pool = AddressPool {
        subnet: format!("{}0/24", unique_subnet()).parse().unwrap(),
        gateway: None,
        ip_range: None,
        reserved: BTreeMap::new(),
    };
    // With the label, so that it is cleaned up; it is no network of a manifest.
    let labels = label::of_network(&stage.stack, "elsewhere");
    let network = NetworkSpec { pools: vec![pool], labels, ..NetworkSpec::named(name.parse().unwrap()) };
    let first = stage.docker.create_network(&network).await.unwrap();
    let Stage { stack, image, .. } = &stage;
    let text = format!(
        "name: {stack}\nservices:\n  web: {{image: '{image}', networks: {{out: {{aliases: [inner]}}}}}}\n\
         networks:\n  out: {{external: true, name: {name}}}\n"
    );
    fs::write(stage.path().join("compose.yaml"), text).unwrap();
    stage.apply().ends_with(0);
    let web = running(&stage.containers().await, "web").id.clone();
    stage.docker.stop_container(&web, Some(Duration::from_secs(1))).await.unwrap();
    stage.docker.remove_network(&first).await.unwrap();
    let second = stage.docker.create_network(&network).await.unwrap();
    assert_ne!(first, second);
    let plan = stage.run("-f compose.yaml plan").ends_with(0).stdout;
    assert!(plan.contains(&format!("networks.{name}")), "{plan}");
    stage.apply().ends_with(0);
    let containers = stage.containers().await;
    assert_eq!(running(&containers, "web").endpoints[&network.name], second);
    stage.apply().ends_with(0).says("nothing to do");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_services_swap_their_addresses() {
    let Some(stage) = Stage::new().await else { return };
    let subnet = unique_subnet();
    let write = |a: u8, b: u8, more: &str| {
        let Stage { stack, image, .. } = &stage;
        let text = format!(
            "name: {stack}
x-base: &base {{image: '{image}', stop_grace_period: 1s, x-evenkeel: {{gate: {{stable_for: 0s}}}}}}
services:
  a: {{<<: *base, networks: {{net: {{ipv4_address: {subnet}{a}}}}}}}
  b: {{<<: *base, networks: {{net: {{ipv4_address: {subnet}{b}}}}}}}
  {more}
networks: {{net: {{ipam: {{config: [{{subnet: {subnet}0/24}}]}}}}}}
"
        );
        fs::write(stage.path().join("compose.yaml"), text).unwrap();
    };
    let addresses = async || {
        let containers = stage.containers().await;
        ["a", "b"].map(|name| {
            let container = running(&containers, name);
            let address = container.addresses.values().next().copied().flatten().unwrap().to_string();
            (address, life(container))
        })
    };
    let at = |[(a, _), (b, _)]: &[(String, (String, String)); 2]| [a.clone(), b.clone()];
    write(11, 12, "");
    stage.apply().ends_with(0);
    let first = addresses().await;
    assert_eq!(at(&first), [format!("{subnet}11"), format!("{subnet}12")]);
    // A deploy that fails afterwards gives them back.
    write(12, 11, "bad: {<<: *base, x-evenkeel: {}, command: [exit, '1'], depends_on: [a, b]}");
    stage.apply().ends_with(3).says("what ran before runs again");
    assert_eq!(addresses().await, first, "with the same addresses, and none was restarted");
    write(12, 11, "");
    stage.apply().ends_with(0);
    let second = addresses().await;
    assert_eq!(at(&second), [format!("{subnet}12"), format!("{subnet}11")]);
    assert_eq!((&first[0].1, &first[1].1), (&second[0].1, &second[1].1), "none was restarted");
    stage.apply().ends_with(0).says("nothing to do");
}
