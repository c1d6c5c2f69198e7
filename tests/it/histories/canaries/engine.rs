//! The simulated engine, through which a canary may pass its calls.

use std::time::Duration;

use evenkeel::engine::sim::Sim;
use evenkeel::engine::{
    CreateContainer, Engine, EngineError, EngineEvent, ExecResult, ImportConfig, ListedContainer,
    PullProgress, UpdateContainer,
};
use evenkeel::model::image::ImageRef;
use evenkeel::model::live::{LiveContainer, LiveImage, LiveNetwork, LiveVolume, Server};
use evenkeel::model::name::{ContainerId, ContainerName, NetworkId, VolumeName};
use evenkeel::model::platform::Platform;
use evenkeel::model::spec::{Attachment, NetworkSpec, VolumeSpec};
use evenkeel::model::text::Text;
use futures_util::stream::BoxStream;

use super::{Canary, volumes};

/// A simulated engine, and the mistake that is made with it.
#[derive(Clone)]
pub struct Canaried {
    pub sim: Sim,
    pub canary: Option<Canary>,
}

impl Engine for Canaried {
    async fn server(&self) -> Result<Server, EngineError> {
        self.sim.server().await
    }

    async fn list_containers(&self) -> Result<Vec<ListedContainer>, EngineError> {
        self.sim.list_containers().await
    }

    async fn inspect_container(&self, id: &ContainerId) -> Result<LiveContainer, EngineError> {
        self.sim.inspect_container(id).await
    }

    async fn list_networks(&self) -> Result<Vec<LiveNetwork>, EngineError> {
        self.sim.list_networks().await
    }

    async fn list_volumes(&self) -> Result<Vec<LiveVolume>, EngineError> {
        self.sim.list_volumes().await
    }

    async fn inspect_image(&self, image: &str) -> Result<Option<LiveImage>, EngineError> {
        self.sim.inspect_image(image).await
    }

    async fn registry_digest(&self, image: &ImageRef) -> Result<String, EngineError> {
        self.sim.registry_digest(image).await
    }

    async fn tag_image(&self, image: &ImageRef, name: &ImageRef) -> Result<(), EngineError> {
        self.sim.tag_image(image, name).await
    }

    async fn pull_image(
        &self,
        image: &ImageRef,
        platform: Option<&Platform>,
        progress: &(dyn Fn(PullProgress) + Send + Sync),
    ) -> Result<(), EngineError> {
        self.sim.pull_image(image, platform, progress).await
    }

    async fn import_image(
        &self,
        image: &ImageRef,
        layer: Vec<u8>,
        config: &ImportConfig,
    ) -> Result<(), EngineError> {
        self.sim.import_image(image, layer, config).await
    }

    async fn remove_image(&self, image: &ImageRef) -> Result<(), EngineError> {
        self.sim.remove_image(image).await
    }

    async fn create_network(&self, spec: &NetworkSpec) -> Result<NetworkId, EngineError> {
        self.sim.create_network(spec).await
    }

    async fn remove_network(&self, id: &NetworkId) -> Result<(), EngineError> {
        self.sim.remove_network(id).await
    }

    async fn create_volume(&self, spec: &VolumeSpec) -> Result<(), EngineError> {
        self.sim.create_volume(spec).await
    }

    async fn remove_volume(&self, name: &VolumeName) -> Result<(), EngineError> {
        self.sim.remove_volume(name).await
    }

    async fn create_container(&self, request: &CreateContainer) -> Result<ContainerId, EngineError> {
        self.sim.create_container(request).await
    }

    async fn start_container(&self, id: &ContainerId) -> Result<(), EngineError> {
        self.sim.start_container(id).await
    }

    async fn stop_container(&self, id: &ContainerId, grace: Option<Duration>) -> Result<(), EngineError> {
        self.sim.stop_container(id, grace).await
    }

    async fn remove_container(&self, id: &ContainerId) -> Result<(), EngineError> {
        match self.canary {
            Some(Canary::DropsAnonymousVolumes) => self.sim.discard_container(id).await,
            Some(Canary::DropsVolumes) => {
                let volumes = self.sim.inspect_container(id).await.map(|live| volumes(&live.spec));
                self.sim.remove_container(id).await?;
                for volume in volumes.unwrap_or_default() {
                    // One that another container uses stays.
                    drop(self.sim.remove_volume(&volume).await);
                }
                Ok(())
            }
            _ => self.sim.remove_container(id).await,
        }
    }

    async fn discard_container(&self, id: &ContainerId) -> Result<(), EngineError> {
        self.sim.discard_container(id).await
    }

    async fn rename_container(&self, id: &ContainerId, name: &ContainerName) -> Result<(), EngineError> {
        self.sim.rename_container(id, name).await
    }

    async fn update_container(&self, id: &ContainerId, update: &UpdateContainer) -> Result<(), EngineError> {
        self.sim.update_container(id, update).await
    }

    async fn connect_network(
        &self,
        network: &NetworkId,
        container: &ContainerId,
        attachment: &Attachment,
    ) -> Result<(), EngineError> {
        self.sim.connect_network(network, container, attachment).await
    }

    async fn disconnect_network(
        &self,
        network: &NetworkId,
        container: &ContainerId,
    ) -> Result<(), EngineError> {
        self.sim.disconnect_network(network, container).await
    }

    async fn exec(
        &self,
        id: &ContainerId,
        command: &[Text],
        within: Duration,
    ) -> Result<ExecResult, EngineError> {
        self.sim.exec(id, command, within).await
    }

    async fn logs(&self, id: &ContainerId, lines: u32) -> Result<Vec<String>, EngineError> {
        self.sim.logs(id, lines).await
    }

    fn follow_log(&self, id: &ContainerId) -> BoxStream<'static, Result<String, EngineError>> {
        self.sim.follow_log(id)
    }

    fn events(&self) -> BoxStream<'static, Result<EngineEvent, EngineError>> {
        self.sim.events()
    }
}
