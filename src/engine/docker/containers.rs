//! Calls about containers.

use std::time::Duration;

use bollard::models::{ContainerInspectResponse, NetworkConnectRequest};
use bollard::query_parameters::{
    CreateContainerOptions, InspectContainerOptions, ListContainersOptions, RemoveContainerOptions,
    RenameContainerOptions, StartContainerOptions, StopContainerOptions,
};

use super::convert::{create, inspect, list, networks};
use super::error::Asked;
use super::{Docker, deadline, readable, sayable, within};
use crate::engine::clean::clean;
use crate::engine::{CreateContainer, EngineError, ListedContainer, UpdateContainer};
use crate::model::live::LiveContainer;
use crate::model::name::{ContainerId, ContainerName, NetworkId};
use crate::model::spec::Attachment;

impl Docker {
    pub(super) async fn all_containers(&self) -> Result<Vec<ListedContainer>, EngineError> {
        let operation = "list the containers".to_owned();
        let options = ListContainersOptions { all: true, ..ListContainersOptions::default() };
        let call = self.client.list_containers(Some(options));
        let summaries = within(operation.clone(), deadline::QUICK, Asked::Plain, call).await?;
        summaries.into_iter().map(|summary| readable(&operation, list::listed(summary))).collect()
    }

    pub(super) async fn container(&self, id: &ContainerId) -> Result<LiveContainer, EngineError> {
        let mut answer = self.raw_container(id).await?;
        if let Some(host) = &mut answer.host_config
            && let Some(name) = self.name_of_mode(host.network_mode.as_deref()).await?
        {
            host.network_mode = Some(name.to_string());
        }
        readable(&format!("inspect container {}", id.short()), inspect::container(answer))
    }

    pub(super) async fn raw_container(
        &self,
        id: &ContainerId,
    ) -> Result<ContainerInspectResponse, EngineError> {
        let operation = format!("inspect container {}", id.short());
        let call = self.client.inspect_container(id.as_str(), None::<InspectContainerOptions>);
        within(operation, deadline::QUICK, Asked::Plain, call).await
    }

    pub(super) async fn new_container(&self, request: &CreateContainer) -> Result<ContainerId, EngineError> {
        let operation = format!("create container {}", request.name);
        let joining =
            if self.is_at_least_1_44() { create::Joining::AllAtOnce } else { create::Joining::FirstOnly };
        let body = sayable(&operation, create::body(request, joining))?;
        let further = match joining {
            create::Joining::AllAtOnce => Vec::new(),
            create::Joining::FirstOnly => sayable(&operation, create::further_networks(request))?,
        };
        let options = CreateContainerOptions {
            name: Some(request.name.to_string()),
            platform: request.spec.platform.as_ref().map(ToString::to_string).unwrap_or_default(),
        };
        let call = self.client.create_container(Some(options), body);
        let created = within(operation.clone(), deadline::HEAVY, Asked::Plain, call).await?;
        let id: ContainerId = readable(&operation, created.id.parse().map_err(|error| format!("{error}")))?;
        self.heed(&operation, &id, &created.warnings).await?;
        self.join(&id, further).await?;
        Ok(id)
    }

    /// A limit that the kernel doesn't know is dropped by the engine with a mere warning. Such a container is not what
    /// was asked for, and would differ for ever: it is removed again, and the warning is the error.
    async fn heed(&self, operation: &str, id: &ContainerId, warnings: &[String]) -> Result<(), EngineError> {
        let Some(warning) = warnings.iter().find(|warning| create::is_refusal(warning)) else {
            for warning in warnings {
                tracing::debug!(operation, warning = clean(warning), "Docker warned");
            }
            return Ok(());
        };
        if let Err(left) = self.drop_container(id, false).await {
            tracing::warn!(container = %id.short(), error = %left, "a half-made container is left");
        }
        Err(EngineError::Rejected { operation: operation.to_owned(), message: clean(warning) })
    }

    /// Joins the networks that the create call couldn't. When that fails the container, which never ran, is removed
    /// again: half attached it would be taken for the whole thing.
    async fn join(&self, id: &ContainerId, further: Vec<(NetworkId, Attachment)>) -> Result<(), EngineError> {
        for (network, attachment) in further {
            if let Err(error) = self.connect_to(&network, id, &attachment).await {
                if let Err(left) = self.drop_container(id, false).await {
                    tracing::warn!(container = %id.short(), error = %left, "a half-made container is left");
                }
                return Err(error);
            }
        }
        Ok(())
    }

    pub(super) async fn start(&self, id: &ContainerId) -> Result<(), EngineError> {
        let operation = format!("start container {}", id.short());
        let call = self.client.start_container(id.as_str(), None::<StartContainerOptions>);
        within(operation, deadline::HEAVY, Asked::Start, call).await
    }

    pub(super) async fn stop(&self, id: &ContainerId, grace: Option<Duration>) -> Result<(), EngineError> {
        let operation = format!("stop container {}", id.short());
        let own_grace = match grace {
            Some(grace) => grace,
            None => self.declared_grace(id).await?,
        };
        let seconds = grace.map(|grace| i32::try_from(create::whole_seconds(grace)).unwrap_or(i32::MAX));
        let options = StopContainerOptions { t: seconds, ..StopContainerOptions::default() };
        let call = self.client.stop_container(id.as_str(), Some(options));
        let limit = own_grace.saturating_add(deadline::STOP_MARGIN);
        within(operation, limit, Asked::Plain, call).await
    }

    /// How long the container itself asks for: the deadline of its stop must be later.
    async fn declared_grace(&self, id: &ContainerId) -> Result<Duration, EngineError> {
        let timeout = self.raw_container(id).await?.config.and_then(|config| config.stop_timeout);
        let seconds = timeout.and_then(|seconds| u64::try_from(seconds).ok());
        Ok(seconds.map_or(deadline::GRACE, Duration::from_secs))
    }

    pub(super) async fn drop_container(&self, id: &ContainerId, force: bool) -> Result<(), EngineError> {
        let operation = format!("remove container {}", id.short());
        let options = RemoveContainerOptions { v: false, force, link: false };
        let call = self.client.remove_container(id.as_str(), Some(options));
        match within(operation, deadline::HEAVY, Asked::Plain, call).await {
            Ok(()) | Err(EngineError::NotFound { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn rename(&self, id: &ContainerId, name: &ContainerName) -> Result<(), EngineError> {
        let operation = format!("rename container {} to {name}", id.short());
        let options = RenameContainerOptions { name: name.to_string() };
        let call = self.client.rename_container(id.as_str(), options);
        let error = match within(operation, deadline::QUICK, Asked::Plain, call).await {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        // Docker refuses to give a container the name that it has, with one code or another.
        if matches!(error, EngineError::Rejected { .. } | EngineError::Conflict { .. }) {
            let now = self.raw_container(id).await?.name.unwrap_or_default();
            if now.trim_start_matches('/') == name.as_str() {
                return Ok(());
            }
        }
        Err(error)
    }

    pub(super) async fn update(&self, id: &ContainerId, update: &UpdateContainer) -> Result<(), EngineError> {
        let operation = format!("update container {}", id.short());
        let call = self.client.update_container(id.as_str(), create::update(update));
        within(operation, deadline::QUICK, Asked::Plain, call).await
    }

    pub(super) async fn connect_to(
        &self,
        network: &NetworkId,
        container: &ContainerId,
        attachment: &Attachment,
    ) -> Result<(), EngineError> {
        let operation = format!("connect container {} to network {network:.12}", container.short());
        let endpoint_config = Some(networks::endpoint(attachment));
        let request = NetworkConnectRequest { container: container.to_string(), endpoint_config };
        let call = self.client.connect_network(network.as_str(), request);
        match within(operation, deadline::HEAVY, Asked::Plain, call).await {
            Err(EngineError::Rejected { operation, message })
                if message.contains("already exists in network") =>
            {
                Err(EngineError::Conflict { operation, message })
            }
            answer => answer,
        }
    }
}
