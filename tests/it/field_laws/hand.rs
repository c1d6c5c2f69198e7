//! What somebody does to a container on the host.

use std::time::Duration;

use evenkeel::engine::{Engine, UpdateContainer};
use evenkeel::model::live::LiveContainer;
use evenkeel::model::name::{NetworkId, NetworkName};
use evenkeel::model::spec::Resources;

use super::row::Hand;
use super::stage::{Names, Rows};
use crate::docker::{Stage, running};

/// Changes every container whose row says how.
pub async fn change_all(rows: &Rows) {
    let containers = rows.stage.containers().await;
    for (service, row) in &rows.by_service {
        if let Some(hand) = row.by_hand {
            change((&rows.stage, &rows.names), running(&containers, service), hand).await;
        }
    }
}

/// Does to a container what `hand` says.
pub async fn change((stage, names): (&Stage, &Names), container: &LiveContainer, hand: Hand) {
    let engine = &stage.docker;
    let id = &container.id;
    match hand {
        Hand::Limit(limit) => {
            let mut resources = Resources::default();
            limit(&mut resources);
            engine.update_container(id, &UpdateContainer { restart: None, resources }).await.unwrap();
        }
        Hand::Restart(policy) => {
            let update = UpdateContainer { restart: Some(policy), resources: Resources::default() };
            engine.update_container(id, &update).await.unwrap();
        }
        Hand::Rename => {
            let name = format!("{}-by-hand-{}", stage.stack, container.instance.service);
            engine.rename_container(id, &name.parse().unwrap()).await.unwrap();
        }
        Hand::Leave(key) => engine.disconnect_network(&network(stage, key).await.1, id).await.unwrap(),
        Hand::Join(key, say) => {
            let (name, network) = network(stage, key).await;
            let mut attachment = container.spec.networks.get(&name).cloned().unwrap_or_default();
            if container.spec.networks.contains_key(&name) {
                engine.disconnect_network(&network, id).await.unwrap();
            }
            (attachment.first, attachment.mac) = (false, None);
            say(&mut attachment, format!("{}203", names.get("SUBNET")).parse().unwrap());
            engine.connect_network(&network, id, &attachment).await.unwrap();
        }
        Hand::Stop => engine.stop_container(id, Some(Duration::from_secs(1))).await.unwrap(),
        Hand::Remove => engine.discard_container(id).await.unwrap(),
    }
}

async fn network(stage: &Stage, key: &str) -> (NetworkName, NetworkId) {
    let name: NetworkName = format!("{}_{key}", stage.stack).parse().unwrap();
    let networks = stage.docker.list_networks().await.unwrap();
    let id = networks.into_iter().find(|network| network.spec.name == name).map(|network| network.id);
    (name, id.unwrap())
}
