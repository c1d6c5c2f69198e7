//! Laws of networks, and of joining them.

use std::collections::BTreeMap;

use evenkeel::engine::{Engine, EngineError};
use evenkeel::model::name::NetworkId;
use evenkeel::model::spec::{AddressPool, Attachment};

use super::ground::{Ground, strings};
use crate::common::names::unique_subnet;

pub async fn a_network_is_read_back<E: Engine>(ground: &Ground<E>) {
    let subnet = unique_subnet();
    let mut spec = ground.network("net");
    spec.driver = Some("bridge".to_owned());
    spec.pools = vec![AddressPool {
        subnet: format!("{subnet}0/24"),
        gateway: Some(format!("{subnet}254")),
        ip_range: Some(format!("{subnet}128/25")),
    }];
    spec.internal = true;
    spec.attachable = true;
    spec.options = [("com.docker.network.bridge.enable_icc".to_owned(), "false".to_owned())].into();
    spec.labels.insert("mine".to_owned(), "a=b".to_owned());
    let id = ground.engine.create_network(&spec).await.unwrap();
    let networks = ground.engine.list_networks().await.unwrap();
    let found = networks.into_iter().find(|network| network.id == id).unwrap();
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
    let address = other.pools[0].subnet.replace(".0/24", ".77").parse().unwrap();
    let fixed = Attachment { aliases: strings(&["db"]), ipv4: Some(address), ipv6: None };
    for start in [false, true] {
        if start {
            ground.engine.start_container(&id).await.unwrap();
        }
        ground.engine.connect_network(&second_id, &id, &fixed).await.unwrap();
        let joined = BTreeMap::from([(first.clone(), plain.clone()), (second.clone(), fixed.clone())]);
        assert_eq!(ground.inspect(&id).await.spec.networks, joined, "started: {start}");
        if start {
            let again = ground.engine.connect_network(&second_id, &id, &fixed).await;
            assert!(matches!(again, Err(EngineError::Conflict { .. })), "{again:?}");
        }
        for _ in 0..2 {
            ground.engine.disconnect_network(&second_id, &id).await.unwrap();
        }
        let left = BTreeMap::from([(first.clone(), plain.clone())]);
        assert_eq!(ground.inspect(&id).await.spec.networks, left, "started: {start}");
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
