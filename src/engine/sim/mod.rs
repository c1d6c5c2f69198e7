//! An in-memory Docker: deterministic, and as strict as the real one where a reconciler could be wrong.
//!
//! It knows names that are taken, images that are there or in a pretended registry, ports in use, networks by id,
//! restart policies, health checks, grace periods and events. Its time is tokio's, so a paused clock makes hours pass
//! at once. It has no network: addresses are absent, and gates that ask over TCP or HTTP need another answerer.

mod answer;
mod call;
mod container;
mod daemon;
mod hand;
mod image;
mod life;
mod log;
mod ports;
#[cfg(test)]
mod tests;
mod work;
mod world;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::stream::{self, BoxStream, StreamExt};
use tokio::sync::broadcast::error::RecvError;
use tokio::time::Instant;

pub use self::call::{Call, Fault, Verb};
pub use self::daemon::Ending;
pub use self::image::{Behaviour, Reply, SimImage};
use self::world::World;
use super::clean::clean;
use super::{
    CreateContainer, Engine, EngineError, EngineEvent, ExecResult, ImportConfig, ListedContainer,
    PullProgress, UpdateContainer,
};
use crate::model::image::ImageRef;
use crate::model::label;
use crate::model::live::{
    DaemonDefaults, LiveContainer, LiveImage, LiveNetwork, LiveVolume, OtherContainer, Server,
};
use crate::model::name::{ContainerId, ContainerName, NetworkId, VolumeName};
use crate::model::platform::Platform;
use crate::model::spec::{Attachment, Namespace, NetworkSpec, VolumeSpec};
use crate::model::text::Text;

/// Most lines of the log of a container that are kept.
const LOG_LINES_MAX: usize = 1_000;

type Hook = Box<dyn FnMut(&Call) -> Fault + Send>;

/// A simulated host. A clone is another handle of the same host.
#[derive(Clone)]
pub struct Sim {
    world: Arc<Mutex<World>>,
    calls: Arc<Mutex<Vec<Call>>>,
    hook: Arc<Mutex<Option<Hook>>>,
}

impl Default for Sim {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Sim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Sim").field(&*self.world()).finish()
    }
}

impl Sim {
    /// A host with nothing on it.
    pub fn new() -> Self {
        Self {
            world: Arc::new(Mutex::new(World::new())),
            calls: Arc::default(),
            hook: Arc::new(Mutex::new(None)),
        }
    }

    /// The host as it is now. The guard must not be held across an await.
    fn world(&self) -> MutexGuard<'_, World> {
        // A test that panicked leaves a world that is whole: every change is made of plain assignments.
        let mut world = self.world.lock().unwrap_or_else(PoisonError::into_inner);
        world.settle(Instant::now());
        world
    }

    fn fault(&self, call: &Call) -> Fault {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).push(call.clone());
        let mut hook = self.hook.lock().unwrap_or_else(PoisonError::into_inner);
        hook.as_mut().map_or(Fault::None, |hook| hook(call))
    }

    fn shown(&self, id: &ContainerId) -> String {
        self.world().shown(id)
    }

    fn shown_network(&self, id: &NetworkId) -> String {
        let world = self.world();
        world.networks.get(id).map_or_else(|| id.to_string(), |network| network.spec.name.to_string())
    }

    /// Lets what a running container does by itself happen in time, and not only when somebody looks, so that its
    /// events come by themselves.
    fn attend(&self, id: &ContainerId) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let Some(generation) = self.world().containers.get(id).map(|container| container.generation) else {
            return;
        };
        let (world, id) = (Arc::downgrade(&self.world), id.clone());
        runtime.spawn(async move {
            loop {
                let Some(strong) = world.upgrade() else { return };
                let turn = {
                    let mut world = strong.lock().unwrap_or_else(PoisonError::into_inner);
                    let now = Instant::now();
                    world.settle(now);
                    // Nothing is noticed without the daemon; it attends to everything when it comes back.
                    let current = world
                        .containers
                        .get(&id)
                        .filter(|found| found.generation == generation && !world.daemon.is_down);
                    current.and_then(|container| container.next_turn(now))
                };
                drop(strong);
                let Some(turn) = turn else { return };
                tokio::time::sleep_until(turn).await;
            }
        });
    }
}

impl Engine for Sim {
    async fn server(&self) -> Result<Server, EngineError> {
        self.call(Verb::Server, String::new(), async |sim| {
            Ok(Server {
                id: "simulated".to_owned(),
                name: "a simulated Docker".to_owned(),
                api_version: sim.world().api_version.to_owned(),
                defaults: DaemonDefaults {
                    logging: Some("json-file".to_owned()),
                    runtime: Some("runc".to_owned()),
                    cgroup: Some(Namespace::Host),
                    counts_swap: true,
                },
            })
        })
        .await
    }

    async fn list_containers(&self) -> Result<Vec<ListedContainer>, EngineError> {
        self.call(Verb::ListContainers, String::new(), async |sim| {
            let listed = |container: &container::SimContainer| ListedContainer {
                id: container.id.clone(),
                runs: container.is_active(),
                summary: OtherContainer {
                    name: container.name.clone(),
                    stack: container.labels.get(label::STACK).and_then(|stack| stack.parse().ok()),
                    origin: label::compose_origin(&container.labels),
                    ports: container.ports.clone(),
                    binds: container.binds(),
                    networks: container.networks.keys().cloned().collect(),
                },
            };
            Ok(sim.world().containers.values().map(listed).collect())
        })
        .await
    }

    async fn inspect_container(&self, id: &ContainerId) -> Result<LiveContainer, EngineError> {
        let shown = self.shown(id);
        let inspected = self
            .call(Verb::InspectContainer, shown.clone(), async |sim| {
                let world = sim.world();
                world.container(id)?;
                Ok(world.inspect(id, Instant::now()))
            })
            .await?;
        let operation = format!("{} {shown}", Verb::InspectContainer);
        inspected.map_err(|message| EngineError::Unexpected { operation, message })
    }

    async fn list_networks(&self) -> Result<Vec<LiveNetwork>, EngineError> {
        let act = async |sim: &Self| Ok(sim.world().networks.values().cloned().collect());
        self.call(Verb::ListNetworks, String::new(), act).await
    }

    async fn list_volumes(&self) -> Result<Vec<LiveVolume>, EngineError> {
        let act = async |sim: &Self| Ok(sim.world().volumes.values().cloned().collect());
        self.call(Verb::ListVolumes, String::new(), act).await
    }

    async fn inspect_image(&self, image: &str) -> Result<Option<LiveImage>, EngineError> {
        self.call(Verb::InspectImage, image.to_owned(), async |sim| {
            Ok(sim.world().image(image).map(|image| image.defaults.clone()))
        })
        .await
    }

    async fn registry_digest(&self, image: &ImageRef) -> Result<String, EngineError> {
        let act = async |sim: &Self| sim.world().registry_digest(image);
        self.call(Verb::RegistryDigest, image.to_string(), act).await
    }

    async fn tag_image(&self, image: &ImageRef, name: &ImageRef) -> Result<(), EngineError> {
        let act = async |sim: &Self| sim.world().tag_image(image, name);
        self.call(Verb::TagImage, format!("{image} as {name}"), act).await
    }

    async fn pull_image(
        &self,
        image: &ImageRef,
        platform: Option<&Platform>,
        progress: &(dyn Fn(PullProgress) + Send + Sync),
    ) -> Result<(), EngineError> {
        self.call(Verb::PullImage, image.to_string(), async |sim| sim.pull(image, platform, progress).await)
            .await
    }

    async fn import_image(
        &self,
        image: &ImageRef,
        layer: Vec<u8>,
        config: &ImportConfig,
    ) -> Result<(), EngineError> {
        self.call(Verb::ImportImage, image.to_string(), async |sim| {
            let mut world = sim.world();
            world.check_disk()?;
            world.add_image(image.clone(), work::imported(&layer, config));
            Ok(())
        })
        .await
    }

    async fn remove_image(&self, image: &ImageRef) -> Result<(), EngineError> {
        let act = async |sim: &Self| sim.world().remove_image(image);
        self.call(Verb::RemoveImage, image.to_string(), act).await
    }

    async fn create_network(&self, spec: &NetworkSpec) -> Result<NetworkId, EngineError> {
        let act = async |sim: &Self| sim.world().create_network(spec);
        self.call(Verb::CreateNetwork, spec.name.to_string(), act).await
    }

    async fn remove_network(&self, id: &NetworkId) -> Result<(), EngineError> {
        let act = async |sim: &Self| sim.world().remove_network(id);
        self.call(Verb::RemoveNetwork, self.shown_network(id), act).await
    }

    async fn create_volume(&self, spec: &VolumeSpec) -> Result<(), EngineError> {
        let act = async |sim: &Self| sim.world().create_volume(spec);
        self.call(Verb::CreateVolume, spec.name.to_string(), act).await
    }

    async fn remove_volume(&self, name: &VolumeName) -> Result<(), EngineError> {
        let act = async |sim: &Self| sim.world().remove_volume(name);
        self.call(Verb::RemoveVolume, name.to_string(), act).await
    }

    async fn create_container(&self, request: &CreateContainer) -> Result<ContainerId, EngineError> {
        let act = async |sim: &Self| sim.world().create(request);
        self.call(Verb::CreateContainer, request.name.to_string(), act).await
    }

    async fn start_container(&self, id: &ContainerId) -> Result<(), EngineError> {
        self.call(Verb::StartContainer, self.shown(id), async |sim| {
            let begins = sim.world().start(id, Instant::now())?;
            if begins {
                sim.attend(id);
            }
            Ok(())
        })
        .await
    }

    async fn stop_container(&self, id: &ContainerId, grace: Option<Duration>) -> Result<(), EngineError> {
        let act = async |sim: &Self| sim.stop(id, grace).await;
        self.call(Verb::StopContainer, self.shown(id), act).await
    }

    async fn remove_container(&self, id: &ContainerId) -> Result<(), EngineError> {
        let act = async |sim: &Self| sim.world().remove(id);
        self.call(Verb::RemoveContainer, self.shown(id), act).await
    }

    async fn discard_container(&self, id: &ContainerId) -> Result<(), EngineError> {
        let act = async |sim: &Self| {
            let mut world = sim.world();
            // One that is gone already is no error.
            let _ = world.stopped(id, 137);
            world.remove(id)
        };
        self.call(Verb::DiscardContainer, self.shown(id), act).await
    }

    async fn rename_container(&self, id: &ContainerId, name: &ContainerName) -> Result<(), EngineError> {
        let act = async |sim: &Self| sim.world().rename(id, name);
        self.call(Verb::RenameContainer, self.shown(id), act).await
    }

    async fn update_container(&self, id: &ContainerId, update: &UpdateContainer) -> Result<(), EngineError> {
        let act = async |sim: &Self| sim.world().update(id, update);
        self.call(Verb::UpdateContainer, self.shown(id), act).await
    }

    async fn connect_network(
        &self,
        network: &NetworkId,
        container: &ContainerId,
        attachment: &Attachment,
    ) -> Result<(), EngineError> {
        let act = async |sim: &Self| sim.world().connect(network, container, attachment);
        self.call(Verb::ConnectNetwork, self.shown(container), act).await
    }

    async fn disconnect_network(
        &self,
        network: &NetworkId,
        container: &ContainerId,
    ) -> Result<(), EngineError> {
        let act = async |sim: &Self| sim.world().disconnect(network, container);
        self.call(Verb::DisconnectNetwork, self.shown(container), act).await
    }

    async fn exec(
        &self,
        id: &ContainerId,
        command: &[Text],
        within: Duration,
    ) -> Result<ExecResult, EngineError> {
        let act = async |sim: &Self| sim.run_in(id, command, within).await;
        self.call(Verb::Exec, self.shown(id), act).await
    }

    async fn logs(&self, id: &ContainerId, lines: u32) -> Result<Vec<String>, EngineError> {
        self.call(Verb::Logs, self.shown(id), async |sim| {
            let world = sim.world();
            let logs = &world.container(id)?.logs;
            let lines = usize::try_from(lines).unwrap_or(usize::MAX).min(LOG_LINES_MAX);
            Ok(logs.iter().skip(logs.len().saturating_sub(lines)).map(|line| clean(line)).collect())
        })
        .await
    }

    fn follow_log(&self, id: &ContainerId) -> BoxStream<'static, Result<String, EngineError>> {
        self.log_stream(id)
    }

    fn events(&self) -> BoxStream<'static, Result<EngineEvent, EngineError>> {
        let call = Call { verb: Verb::Events, object: String::new() };
        if self.fault(&call) != Fault::None || self.world().daemon.is_down {
            let message = "the connection broke (simulated)".to_owned();
            let error = EngineError::Unavailable { operation: call.to_string(), message };
            return stream::once(async { Err(error) }).boxed();
        }
        let receiver = self.world().events.subscribe();
        stream::unfold(receiver, |mut receiver| async {
            loop {
                match receiver.recv().await {
                    Ok(event) => return Some((Ok(event), receiver)),
                    // Events are hints: who was too slow goes on with those that are left.
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return None,
                }
            }
        })
        .boxed()
    }
}
