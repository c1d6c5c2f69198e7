//! Makes containers and networks, and knows its own again when the reply to their making was lost.

use std::collections::BTreeMap;

use super::step::{Site, StepError};
use crate::engine::{CreateContainer, Engine, EngineError};
use crate::model::label;
use crate::model::name::{ContainerId, ContainerName, ImageId, Instance, NetworkId, NetworkName};
use crate::model::spec::{
    Attachment, ContainerSpec, MountSource, Namespace, NetworkSpec, Peer, RestartPolicy,
};
use crate::plan::step::{NetworkRef, Target};

impl<E: Engine> Site<'_, E> {
    pub(super) async fn create_network(&self, spec: &NetworkSpec) -> Result<(), StepError> {
        let id = match self.try_again(|| self.engine.create_network(spec)).await {
            Ok(id) => id,
            Err(StepError::Engine(conflict @ EngineError::Conflict { .. })) => {
                let networks = self.try_again(|| self.engine.list_networks()).await?;
                // It was not there when the plan was made. With all our labels it is ours, and the reply was lost.
                let own = networks.into_iter().find(|network| {
                    network.spec.name == spec.name
                        && network.stack.as_ref() == Some(self.stack)
                        && network.spec.labels == spec.labels
                });
                own.ok_or(conflict)?.id
            }
            Err(error) => return Err(error),
        };
        self.made.add_network(&spec.name, id);
        Ok(())
    }

    pub(super) async fn create(
        &self,
        (instance, name): (&Instance, &ContainerName),
        spec: &ContainerSpec,
        networks: &BTreeMap<NetworkName, NetworkRef>,
        peers: &BTreeMap<Peer, Target>,
    ) -> Result<(), StepError> {
        let networks = networks
            .iter()
            .map(|(name, network)| Ok((name.clone(), self.network(name, network)?)))
            .collect::<Result<BTreeMap<_, _>, StepError>>()?;
        let mut labels = label::of_container(self.stack, instance, self.deploy);
        labels.extend(label::of_mounted(&self.mounted(spec).await?));
        let request =
            CreateContainer { name: name.clone(), spec: self.on_this_host(spec, peers)?, labels, networks };
        let id = match self.try_again(|| self.engine.create_container(&request)).await {
            Ok(id) => id,
            Err(StepError::Engine(conflict @ EngineError::Conflict { .. })) => {
                self.adopt(instance, &request).await?.ok_or(conflict)?
            }
            Err(error) => return Err(error),
        };
        self.made.add_container(instance, id);
        Ok(())
    }

    /// The images that `spec` mounts, by their targets. One that isn't there is missed by whoever creates the container.
    async fn mounted(&self, spec: &ContainerSpec) -> Result<BTreeMap<String, ImageId>, StepError> {
        let mut mounted = BTreeMap::new();
        for (target, image) in spec.mounted_images() {
            let found =
                self.try_again(|| async { self.engine.inspect_image(&image.to_string()).await }).await?;
            mounted.extend(found.map(|found| (target.clone(), found.id)));
        }
        Ok(mounted)
    }

    /// The specification as the engine takes it: without a restart policy until the end, with the files of the
    /// repository where they lie, and with the ids of the containers that it shares something with.
    fn on_this_host(
        &self,
        spec: &ContainerSpec,
        peers: &BTreeMap<Peer, Target>,
    ) -> Result<ContainerSpec, StepError> {
        let mut spec = spec.clone();
        spec.restart = RestartPolicy::No;
        for (_, namespace) in spec.namespaces.by_key_mut() {
            if let Some(Namespace::Of(peer)) = namespace
                && let Some(target) = peers.get(peer)
            {
                *peer = Peer::Id(self.resolve(target)?);
            }
        }
        for mount in spec.mounts.values_mut() {
            if let MountSource::Repository(digest) = &mount.source {
                let content =
                    self.contents.get(digest).ok_or_else(|| StepError::NoContent(digest.clone()))?;
                mount.source = MountSource::Bind(self.tools.files.host_path(digest, content));
            }
        }
        Ok(spec)
    }

    /// The container that an attempt of this deploy made, though its reply was lost; nothing if the name is another's.
    async fn adopt(
        &self,
        instance: &Instance,
        request: &CreateContainer,
    ) -> Result<Option<ContainerId>, StepError> {
        let listed = self.try_again(|| self.engine.list_containers()).await?;
        let holder = listed.into_iter().find(|listed| {
            listed.summary.name == request.name && listed.summary.stack.as_ref() == Some(self.stack)
        });
        let Some(holder) = holder else { return Ok(None) };
        let container = self.try_again(|| self.engine.inspect_container(&holder.id)).await?;
        if container.deploy != *self.deploy || container.instance != *instance {
            return Ok(None);
        }
        // The attempt may have been cut off between making it and attaching it.
        for (name, attachment) in &request.spec.networks {
            if let Some(network) =
                request.networks.get(name).filter(|_| !container.addresses.contains_key(name))
            {
                self.connect(&container.id, (name, network), attachment).await?;
            }
        }
        Ok(Some(container.id))
    }

    pub(super) async fn connect(
        &self,
        container: &ContainerId,
        (name, network): (&NetworkName, &NetworkId),
        attachment: &Attachment,
    ) -> Result<(), StepError> {
        let connected = self.try_again(|| self.engine.connect_network(network, container, attachment)).await;
        match connected {
            Err(StepError::Engine(
                refusal @ (EngineError::Conflict { .. } | EngineError::Rejected { .. }),
            )) => {
                // An attempt whose reply was lost may have done it.
                let live = self.try_again(|| self.engine.inspect_container(container)).await?;
                if live.addresses.contains_key(name) { Ok(()) } else { Err(refusal.into()) }
            }
            connected => connected,
        }
    }
}
