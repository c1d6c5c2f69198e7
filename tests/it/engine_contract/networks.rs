//! Laws of networks, and of joining them.

use std::collections::BTreeMap;

use evenkeel::engine::{CreateContainer, Engine, EngineError};
use evenkeel::model::name::{NetworkId, NetworkName};
use evenkeel::model::spec::{AddressPool, Attachment, ContainerSpec, INTERFACE_NAME};

use super::ground::{Ground, strings};
use crate::common::names::unique_subnet;

/// The networks of what was read, without what Docker decides where nobody does: the first network, and the hardware
/// addresses.
fn declared(spec: &ContainerSpec) -> BTreeMap<NetworkName, Attachment> {
    let without = |attachment: &Attachment| Attachment { first: false, mac: None, ..attachment.clone() };
    spec.networks.iter().map(|(name, attachment)| (name.clone(), without(attachment))).collect()
}

pub async fn a_network_is_read_back<E: Engine>(ground: &Ground<E>) {
    let subnet = unique_subnet();
    let mut spec = ground.network("net");
    spec.driver = Some("bridge".to_owned());
    spec.pools = vec![AddressPool {
        subnet: format!("{subnet}0/24").parse().unwrap(),
        gateway: format!("{subnet}254").parse().ok(),
        ip_range: format!("{subnet}128/25").parse().ok(),
        reserved: [("router".to_owned(), format!("{subnet}200").parse().unwrap())].into(),
    }];
    spec.internal = true;
    spec.attachable = true;
    spec.options = [("com.docker.network.bridge.enable_icc".to_owned(), "false".to_owned())].into();
    spec.labels.insert("mine".to_owned(), "a=b".to_owned());
    let id = ground.engine.create_network(&spec).await.unwrap();
    let networks = ground.engine.list_networks().await.unwrap();
    let found = networks.into_iter().find(|network| network.id == id).unwrap();
    // Older engines don't say it, and none of their networks is without.
    spec.ipv4 = found.spec.ipv4;
    assert_ne!(spec.ipv4, Some(false));
    assert_eq!(found.spec, spec);
    assert_eq!(found.stack, Some(ground.stack.clone()));
}

pub async fn a_network_name_is_taken_once<E: Engine>(ground: &Ground<E>) {
    let (_, id) = ground.created_network("net").await;
    let again = ground.engine.create_network(&ground.network("net")).await;
    assert!(matches!(again, Err(EngineError::Conflict { .. })), "{again:?}");
    for _ in 0..2 {
        ground.engine.remove_network(&id).await.unwrap();
    }
    ground.created_network("net").await;
}

pub async fn overlapping_addresses_are_refused<E: Engine>(ground: &Ground<E>) {
    let first = ground.network("first");
    ground.engine.create_network(&first).await.unwrap();
    let mut second = ground.network("second");
    second.pools = first.pools;
    let overlapping = ground.engine.create_network(&second).await;
    assert!(matches!(overlapping, Err(EngineError::Rejected { .. })), "{overlapping:?}");
}

pub async fn a_network_in_use_is_not_removed<E: Engine>(ground: &Ground<E>) {
    let request = ground.request_on_network("web", ground.spec()).await;
    let network = request.networks.values().next().unwrap().clone();
    let id = ground.engine.create_container(&request).await.unwrap();
    ground.engine.start_container(&id).await.unwrap();
    let removed = ground.engine.remove_network(&network).await;
    assert!(matches!(removed, Err(EngineError::Conflict { .. })), "{removed:?}");
    ground.engine.stop_container(&id, None).await.unwrap();
    ground.engine.remove_network(&network).await.unwrap();
}

pub async fn a_container_joins_and_leaves_networks<E: Engine>(ground: &Ground<E>) {
    let (first, first_id) = ground.created_network("first").await;
    let other = ground.network("second");
    let second = other.name.clone();
    let second_id = ground.engine.create_network(&other).await.unwrap();
    let mut spec = ground.spec();
    let plain = Attachment { aliases: strings(&["web", "web-1"]), ..Attachment::default() };
    spec.networks.insert(first.clone(), plain.clone());
    let mut request = ground.request("web", spec);
    request.networks.insert(first.clone(), first_id.clone());
    let id = ground.engine.create_container(&request).await.unwrap();
    let address = other.pools[0].subnet.to_string().replace(".0/24", ".77").parse().unwrap();
    let fixed = Attachment { aliases: strings(&["db"]), ipv4: Some(address), ..Attachment::default() };
    for start in [false, true] {
        if start {
            ground.engine.start_container(&id).await.unwrap();
        }
        ground.engine.connect_network(&second_id, &id, &fixed).await.unwrap();
        let joined = BTreeMap::from([(first.clone(), plain.clone()), (second.clone(), fixed.clone())]);
        assert_eq!(declared(&ground.inspect(&id).await.spec), joined, "started: {start}");
        if start {
            let again = ground.engine.connect_network(&second_id, &id, &fixed).await;
            assert!(matches!(again, Err(EngineError::Conflict { .. })), "{again:?}");
        }
        for _ in 0..2 {
            ground.engine.disconnect_network(&second_id, &id).await.unwrap();
        }
        let left = BTreeMap::from([(first.clone(), plain.clone())]);
        assert_eq!(declared(&ground.inspect(&id).await.spec), left, "started: {start}");
    }
}

pub async fn a_failed_creation_leaves_nothing<E: Engine>(ground: &Ground<E>) {
    let (first, first_id) = ground.created_network("first").await;
    let second = ground.network_name("second");
    let gone: NetworkId = "0123456789abcdef".repeat(4).parse().unwrap();
    let mut spec = ground.spec();
    spec.networks.insert(first.clone(), Attachment::default());
    spec.networks.insert(second.clone(), Attachment::default());
    let mut request = ground.request("web", spec);
    request.networks = BTreeMap::from([(first, first_id), (second, gone)]);
    let created = ground.engine.create_container(&request).await;
    // Newer engines notice it only when the container starts.
    match created {
        Ok(id) => {
            let started = ground.engine.start_container(&id).await;
            assert!(matches!(started, Err(EngineError::Rejected { .. })), "{started:?}");
        }
        Err(error) => {
            assert!(matches!(error, EngineError::NotFound { .. }), "{error:?}");
            let listed = ground.engine.list_containers().await.unwrap();
            assert!(listed.iter().all(|listed| listed.summary.name != request.name));
        }
    }
}

pub async fn a_network_that_is_gone_refuses_the_start<E: Engine>(ground: &Ground<E>) {
    let request = ground.request_on_network("web", ground.spec()).await;
    let network = request.networks.values().next().unwrap().clone();
    let id = ground.engine.create_container(&request).await.unwrap();
    ground.engine.start_container(&id).await.unwrap();
    ground.engine.stop_container(&id, None).await.unwrap();
    ground.engine.remove_network(&network).await.unwrap();
    // One of the same name is another network.
    ground.created_network("web").await;
    let started = ground.engine.start_container(&id).await;
    assert!(matches!(started, Err(EngineError::Rejected { .. })), "{started:?}");
}

/// Everything that an attachment can say on every engine.
fn whole(subnet: &str, name: &str) -> Attachment {
    Attachment {
        first: false,
        aliases: strings(&["web", name]),
        ipv4: subnet.replace(".0/24", ".77").parse().ok(),
        ipv6: None,
        link_local: ["169.254.8.8".parse().unwrap()].into(),
        mac: None,
        options: [("com.example.option".to_owned(), "a=b".to_owned())].into(),
        gateway_priority: 0,
        links: [("other".to_owned(), "db".to_owned()), ("other".to_owned(), "db-1".to_owned())].into(),
    }
}

pub async fn trap_55_an_attachment_is_whole_whether_created_or_joined_later<E: Engine>(ground: &Ground<E>) {
    let mut spec = ground.spec();
    let mut ids = BTreeMap::new();
    for key in ["a", "b", "c"] {
        let network = ground.network(key);
        ids.insert(network.name.clone(), ground.engine.create_network(&network).await.unwrap());
        spec.networks.insert(network.name, whole(&network.pools[0].subnet.to_string(), key));
    }
    // Not the first by name, which is what engines are given that take only one.
    let chosen = ground.network_name("b");
    spec.networks.get_mut(&chosen).unwrap().first = true;
    let request = CreateContainer { networks: ids.clone(), ..ground.request("web", spec.clone()) };
    let id = ground.engine.create_container(&request).await.unwrap();
    for started in [false, true] {
        if started {
            ground.engine.start_container(&id).await.unwrap();
        }
        let live = ground.inspect(&id).await.spec;
        assert_eq!(declared(&live), declared(&spec), "started: {started}");
        let first: Vec<_> = live.networks.iter().filter(|(_, found)| found.first).collect();
        assert_eq!(first.len(), 1, "{first:?}");
        assert_eq!(first[0].0, &chosen);
        for (name, network) in &ids {
            ground.engine.disconnect_network(network, &id).await.unwrap();
            ground.engine.connect_network(network, &id, &spec.networks[name]).await.unwrap();
        }
        let again = ground.inspect(&id).await.spec;
        assert_eq!(declared(&again), declared(&spec), "joined again, started: {started}");
        assert!(again.networks[&chosen].first, "the first stays the first");
    }
    // What was joined while it ran holds when it starts anew.
    ground.engine.stop_container(&id, None).await.unwrap();
    assert_eq!(declared(&ground.inspect(&id).await.spec), declared(&spec), "stopped");
    ground.engine.start_container(&id).await.unwrap();
    assert_eq!(declared(&ground.inspect(&id).await.spec), declared(&spec), "started anew");
}

pub async fn trap_51_a_hardware_address_is_read_back<E: Engine>(ground: &Ground<E>) {
    if !ground.has_api((1, 44)).await {
        return;
    }
    let mut request = ground.request_on_network("web", ground.spec()).await;
    let mac = "02:42:ac:11:00:99".parse().ok();
    request.spec.networks.values_mut().for_each(|attachment| attachment.mac = mac);
    let id = ground.engine.create_container(&request).await.unwrap();
    ground.engine.start_container(&id).await.unwrap();
    let live = ground.inspect(&id).await;
    assert!(live.spec.networks.values().all(|attachment| attachment.mac == mac), "{live:?}");
}

pub async fn trap_58_a_gateway_priority_is_read_back<E: Engine>(ground: &Ground<E>) {
    if !ground.has_api((1, 49)).await {
        return;
    }
    let mut request = ground.request_on_network("web", ground.spec()).await;
    for attachment in request.spec.networks.values_mut() {
        attachment.gateway_priority = 7;
        attachment.options.insert(INTERFACE_NAME.to_owned(), "mine0".to_owned());
    }
    let id = ground.engine.create_container(&request).await.unwrap();
    ground.engine.start_container(&id).await.unwrap();
    assert_eq!(declared(&ground.inspect(&id).await.spec), declared(&request.spec));
}
