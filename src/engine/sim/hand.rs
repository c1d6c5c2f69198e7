//! What a test or a demonstration does to a simulated host without going through the engine's trait: set the scene,
//! act as a human on the host, look at what was called.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::PoisonError;
use std::time::Duration;

use tokio::time::Instant;

use super::call::{Call, Fault};
use super::container::{Phase, SimContainer};
use super::image::{Behaviour, SimImage, certain};
use super::{Sim, world::Refusal};
use crate::engine::CreateContainer;
use crate::model::image::ImageRef;
use crate::model::label;
use crate::model::live::LiveContainer;
use crate::model::name::{ContainerId, ContainerName, StackName};
use crate::model::spec::{ContainerSpec, PublishedPort};

impl Sim {
    /// Puts an image on the host. The reference means it from now on; containers of the old one keep theirs.
    pub fn add_image(&self, reference: &ImageRef, image: SimImage) {
        self.world().add_image(reference.clone(), image);
    }

    /// Lets the reference mean nothing any more on the host, as `docker rmi -f` does; the image stays.
    pub fn untag(&self, reference: &ImageRef) {
        self.world().references.remove(reference);
    }

    /// Puts an image into the pretended registry, from where a pull takes so long. The reference means it there from now
    /// on.
    pub fn publish(&self, reference: &ImageRef, image: SimImage, pull_takes: Duration) {
        self.world().publish(reference, image, pull_takes);
    }

    /// Lets the engine say that it has this version of the API: `1.48`.
    pub fn pretend_api(&self, version: &'static str) {
        self.world().api_version = version;
    }

    /// Gives every running container this address from now on, for an answerer that only pretends: nobody is there.
    pub fn pretend_address(&self, address: IpAddr) {
        self.world().address = Some(address);
    }

    /// Changes what an existing container does from now on. Nothing happens if it isn't there.
    pub fn change_behaviour(&self, name: &ContainerName, behaviour: Behaviour) {
        let mut world = self.world();
        if let Some(id) = world.names.get(name.as_str()).cloned()
            && let Some(container) = world.containers.get_mut(&id)
        {
            container.behaviour = behaviour;
            world.schedule(&id, Instant::now());
        }
    }

    /// Runs a container that isn't of any stack and holds `ports`.
    pub fn run_by_hand(&self, name: &ContainerName, ports: BTreeSet<PublishedPort>) {
        let mut world = self.world();
        let id: ContainerId = certain(&world.new_id());
        let mut spec = ContainerSpec::of_image(certain("by-hand"));
        spec.ports.clone_from(&ports);
        let request = CreateContainer {
            name: name.clone(),
            spec,
            labels: std::collections::BTreeMap::new(),
            networks: std::collections::BTreeMap::new(),
        };
        let mut container = SimContainer::new(id, &request, &SimImage::of("by-hand"));
        container.phase = Phase::Running { since: Instant::now() };
        container.ports = ports;
        world.insert(container);
    }

    /// Removes a container at once, running or not, as `docker rm -f` does. Returns whether it was there.
    pub fn remove_by_hand(&self, name: &ContainerName) -> bool {
        self.by_hand(name, |world, id| {
            world.stopped(id, 137)?;
            world.remove(id)
        })
    }

    /// Stops a container at once, as `docker stop` does. Returns whether it was there.
    pub fn stop_by_hand(&self, name: &ContainerName) -> bool {
        self.by_hand(name, |world, id| world.stopped(id, 0))
    }

    /// Lets the process of a container end with `code`, as a crash does; its restart policy applies when time goes
    /// on. Returns whether it was there.
    pub fn crash(&self, name: &ContainerName, code: i64) -> bool {
        let found = self.by_hand(name, |world, id| world.exit(id, code, Instant::now()));
        self.wake(name);
        found
    }

    /// Every container of `stack` as it is now, without any call.
    pub fn containers_of(&self, stack: &StackName) -> Vec<LiveContainer> {
        let world = self.world();
        let is_its = |container: &&SimContainer| {
            container.labels.get(label::STACK).is_some_and(|name| name == stack.as_str())
        };
        let now = Instant::now();
        world
            .containers
            .values()
            .filter(is_its)
            .filter_map(|container| world.inspect(&container.id, now).ok())
            .collect()
    }

    /// Every call so far, in order.
    pub fn calls(&self) -> Vec<Call> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Every call so far that may have changed anything, in order.
    pub fn writing_calls(&self) -> Vec<Call> {
        self.calls().into_iter().filter(|call| call.verb.writes()).collect()
    }

    /// Forgets the calls so far.
    pub fn forget_calls(&self) {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Asks `hook` before each call from now on what shall happen to it. It must not use this simulation's hooks
    /// itself.
    pub fn on_call(&self, hook: Box<dyn FnMut(&Call) -> Fault + Send>) {
        *self.hook.lock().unwrap_or_else(PoisonError::into_inner) = Some(hook);
    }

    /// Lets every call through again.
    pub fn without_faults(&self) {
        *self.hook.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    pub(super) fn by_hand(
        &self,
        name: &ContainerName,
        act: impl FnOnce(&mut super::world::World, &ContainerId) -> Result<(), Refusal>,
    ) -> bool {
        let mut world = self.world();
        match world.names.get(name.as_str()).cloned() {
            Some(id) => act(&mut world, &id).is_ok(),
            None => false,
        }
    }

    fn wake(&self, name: &ContainerName) {
        let found = self.world().names.get(name.as_str()).cloned();
        if let Some(id) = found {
            self.attend(&id);
        }
    }
}
