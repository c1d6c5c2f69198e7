//! Calls about networks.

use std::sync::PoisonError;

use bollard::models::NetworkDisconnectRequest;
use bollard::query_parameters::ListNetworksOptions;

use super::convert::objects;
use super::error::Asked;
use super::{Docker, deadline, readable, within};
use crate::engine::EngineError;
use crate::model::live::LiveNetwork;
use crate::model::name::{ContainerId, NetworkId, NetworkName};
use crate::model::spec::NetworkSpec;

impl Docker {
    /// Every network whose name is one that Evenkeel could write; others can't be anybody's that it knows.
    pub(super) async fn all_networks(&self) -> Result<Vec<LiveNetwork>, EngineError> {
        let operation = "list the networks".to_owned();
        let call = self.client.list_networks(None::<ListNetworksOptions>);
        let networks = within(operation, deadline::QUICK, Asked::Plain, call).await?;
        let networks: Vec<LiveNetwork> =
            networks.into_iter().filter_map(|network| objects::network(network).ok()).collect();
        let names = networks.iter().map(|network| (network.id.clone(), network.spec.name.clone()));
        *self.seen_networks.lock().unwrap_or_else(PoisonError::into_inner) = names.collect();
        Ok(networks)
    }

    /// The name of the network that `mode`, a container's network mode, is the id of. A stopped container of an older
    /// engine tells no ids of its networks, so that the mode alone says nothing.
    pub(super) async fn name_of_mode(&self, mode: Option<&str>) -> Result<Option<NetworkName>, EngineError> {
        const ID_DIGITS: usize = 64;
        let id = mode.filter(|mode| mode.len() == ID_DIGITS).and_then(|mode| mode.parse::<NetworkId>().ok());
        let Some(id) = id else { return Ok(None) };
        let seen = || self.seen_networks.lock().unwrap_or_else(PoisonError::into_inner).get(&id).cloned();
        if let Some(name) = seen() {
            return Ok(Some(name));
        }
        self.all_networks().await?;
        Ok(seen())
    }

    pub(super) async fn new_network(&self, spec: &NetworkSpec) -> Result<NetworkId, EngineError> {
        let operation = format!("create network {}", spec.name);
        let _names = self.network_names.lock().await;
        // Older engines make a second network of the same name without a word, and then start nothing on either.
        if !self.is_at_least_1_44() {
            let taken = self.all_networks().await?.into_iter().any(|network| network.spec.name == spec.name);
            if taken {
                let message = format!("network with name {} already exists", spec.name);
                return Err(EngineError::Conflict { operation, message });
            }
        }
        let call = self.client.create_network(objects::network_body(spec));
        let created = within(operation.clone(), deadline::HEAVY, Asked::Plain, call).await?;
        readable(&operation, created.id.parse().map_err(|error| format!("{error}")))
    }

    pub(super) async fn drop_network(&self, id: &NetworkId) -> Result<(), EngineError> {
        let operation = format!("remove network {id:.12}");
        let call = self.client.remove_network(id.as_str());
        match within(operation, deadline::HEAVY, Asked::NetworkRemoval, call).await {
            Ok(()) | Err(EngineError::NotFound { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn disconnect_from(
        &self,
        network: &NetworkId,
        container: &ContainerId,
    ) -> Result<(), EngineError> {
        let operation = format!("disconnect container {} from network {network:.12}", container.short());
        let request = NetworkDisconnectRequest { container: container.to_string(), force: Some(false) };
        let call = self.client.disconnect_network(network.as_str(), request);
        match within(operation, deadline::HEAVY, Asked::Plain, call).await {
            Err(
                EngineError::NotFound { message, .. }
                | EngineError::Rejected { message, .. }
                | EngineError::Unavailable { message, .. },
            ) if message.contains("is not connected to") => Ok(()),
            answer => answer,
        }
    }
}
