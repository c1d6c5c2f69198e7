//! Everything on a simulated host, and the calls that concern networks, volumes and images.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use tokio::sync::broadcast;
use tokio::time::Instant;

use super::container::{Phase, SimContainer};
use super::daemon::Daemon;
use super::image::{SimImage, certain, digest_of};
use crate::engine::{EngineError, EngineEvent};
use crate::model::image::ImageRef;
use crate::model::label;
use crate::model::live::{LiveNetwork, LiveVolume};
use crate::model::name::{ContainerId, ContainerName, ImageId, NetworkId, VolumeName};
use crate::model::spec::{ContainerPort, NetworkSpec, Protocol, VolumeSpec};

/// Most events that wait for a slow listener.
pub(super) const EVENTS_MAX: usize = 1024;
/// The moment at which every simulation begins: 2026-01-01T00:00:00Z.
const EPOCH_SECONDS: i64 = 1_767_225_600;

#[derive(Debug, Clone)]
pub(super) struct World {
    pub(super) containers: BTreeMap<ContainerId, SimContainer>,
    /// The ids of the containers by their names.
    pub(super) names: BTreeMap<String, ContainerId>,
    /// When which container next does something by itself. One that was stopped since may still be here.
    pub(super) turns: BTreeSet<(Instant, ContainerId)>,
    pub(super) networks: BTreeMap<NetworkId, LiveNetwork>,
    pub(super) volumes: BTreeMap<VolumeName, LiveVolume>,
    pub(super) images: BTreeMap<ImageId, SimImage>,
    pub(super) references: BTreeMap<ImageRef, ImageId>,
    /// What the pretended registry has, by tag and by digest, and how long a pull of it takes.
    pub(super) registry: BTreeMap<ImageRef, (SimImage, Duration)>,
    /// The address of every running container, if they have one.
    pub(super) address: Option<IpAddr>,
    /// The version of the API that it says to have.
    pub(super) api_version: &'static str,
    pub(super) events: broadcast::Sender<EngineEvent>,
    pub(super) daemon: Daemon,
    /// Whether the disk of the daemon is full.
    pub(super) is_full: bool,
    began: Instant,
    made: u64,
}

/// What an operation on the world failed with; the call's words are added by who knows them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refusal {
    NotFound(String),
    Conflict(String),
    Rejected(String),
    /// The engine failed inside.
    Failed(String),
}

impl Refusal {
    pub(super) fn of(self, operation: String) -> EngineError {
        match self {
            Self::NotFound(message) => EngineError::NotFound { operation, message },
            Self::Conflict(message) => EngineError::Conflict { operation, message },
            Self::Rejected(message) => EngineError::Rejected { operation, message },
            Self::Failed(message) => EngineError::Unavailable { operation, message },
        }
    }
}

impl World {
    pub(super) fn new() -> Self {
        Self {
            containers: BTreeMap::new(),
            names: BTreeMap::new(),
            turns: BTreeSet::new(),
            networks: BTreeMap::new(),
            volumes: BTreeMap::new(),
            images: BTreeMap::new(),
            references: BTreeMap::new(),
            registry: BTreeMap::new(),
            address: None,
            api_version: "1.41",
            events: broadcast::Sender::new(EVENTS_MAX),
            daemon: Daemon::default(),
            is_full: false,
            began: Instant::now(),
            made: 0,
        }
    }

    /// The digits of a new id. They count up, spread so that short forms differ.
    pub(super) fn new_id(&mut self) -> String {
        self.made += 1;
        let spread = self.made.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        format!("{spread:016x}{:048x}", self.made)
    }

    pub(super) fn timestamp(&self, now: Instant) -> String {
        let since = now.saturating_duration_since(self.began);
        let second = EPOCH_SECONDS + i64::try_from(since.as_secs()).unwrap_or_default();
        let nanosecond = i32::try_from(since.subsec_nanos()).unwrap_or_default();
        jiff::Timestamp::new(second, nanosecond).map(|time| time.to_string()).unwrap_or_default()
    }

    /// Takes every moment out, and what only counts.
    pub(super) fn forget_moments(&mut self) {
        (self.made, self.daemon.ends) = (0, 0);
        self.turns.clear();
        let began = self.began;
        for container in self.containers.values_mut() {
            match &mut container.phase {
                Phase::Running { since: moment } | Phase::Restarting { until: moment } => *moment = began,
                Phase::Created | Phase::Exited { .. } | Phase::Dead => {}
            }
            if !container.started_at.is_empty() {
                "once".clone_into(&mut container.started_at);
            }
            (container.logs, container.logs_before) = (Vec::new(), 0);
            (container.generation, container.probed_since, container.told_health) = (0, None, None);
        }
    }

    pub(super) fn tell(&self, kind: &str, action: &str, object: &str) {
        let stack = self.by_name(object).filter(|_| kind == "container");
        let stack = stack.and_then(|container| container.labels.get(label::STACK)?.parse().ok());
        let event = EngineEvent {
            kind: kind.to_owned(),
            action: action.to_owned(),
            object: object.to_owned(),
            stack,
        };
        // Nobody listening is no error.
        let _ = self.events.send(event);
    }

    pub(super) fn by_name(&self, name: &str) -> Option<&SimContainer> {
        self.containers.get(self.names.get(name)?)
    }

    pub(super) fn insert(&mut self, container: SimContainer) {
        self.names.insert(container.name.to_string(), container.id.clone());
        self.containers.insert(container.id.clone(), container);
    }

    pub(super) fn container(&self, id: &ContainerId) -> Result<&SimContainer, Refusal> {
        self.containers.get(id).ok_or_else(|| no_such_container(id))
    }

    pub(super) fn container_mut(&mut self, id: &ContainerId) -> Result<&mut SimContainer, Refusal> {
        self.containers.get_mut(id).ok_or_else(|| no_such_container(id))
    }

    /// How a call shows the container: by name if it is there.
    pub(super) fn shown(&self, id: &ContainerId) -> String {
        self.containers.get(id).map_or_else(|| id.short().to_owned(), |container| container.name.to_string())
    }

    pub(super) fn check_name_is_free(&self, name: &ContainerName) -> Result<(), Refusal> {
        match self.by_name(name.as_str()) {
            None => Ok(()),
            Some(holder) => Err(Refusal::Conflict(format!(
                "Conflict. The container name \"/{name}\" is already in use by container \"{}\".",
                holder.id
            ))),
        }
    }

    pub(super) fn image(&self, image: &str) -> Option<&SimImage> {
        let by_reference = || self.references.get(&exact(&image.parse::<ImageRef>().ok()?));
        let by_id = image.parse::<ImageId>().ok();
        self.images.get(by_id.as_ref().or_else(by_reference)?)
    }

    pub(super) fn add_image(&mut self, reference: ImageRef, image: SimImage) {
        self.references.insert(reference, image.defaults.id.clone());
        self.images.insert(image.defaults.id.clone(), image);
    }

    /// Puts an image into the registry. What its tag meant before can still be had by its digest.
    pub(super) fn publish(&mut self, reference: &ImageRef, mut image: SimImage, pull_takes: Duration) {
        let pinned = exact(&reference.pinned(&digest_of(&image)));
        image.defaults.repo_digests.insert(pinned.clone());
        for name in [reference.clone(), pinned] {
            self.registry.insert(name, (image.clone(), pull_takes));
        }
    }

    pub(super) fn at_registry(&self, reference: &ImageRef) -> Result<(SimImage, Duration), Refusal> {
        let missing = || Refusal::NotFound(format!("manifest for {reference} not found: manifest unknown"));
        self.registry.get(&exact(reference)).cloned().ok_or_else(missing)
    }

    pub(super) fn registry_digest(&self, reference: &ImageRef) -> Result<String, Refusal> {
        self.at_registry(reference).map(|(image, _)| digest_of(&image))
    }

    /// An image that came from the registry is known by its digest, too.
    pub(super) fn pulled(&mut self, reference: &ImageRef, image: SimImage) {
        for name in image.defaults.repo_digests.clone() {
            self.references.insert(name, image.defaults.id.clone());
        }
        self.add_image(exact(reference), image);
    }

    pub(super) fn tag_image(&mut self, image: &ImageRef, name: &ImageRef) -> Result<(), Refusal> {
        self.check_disk()?;
        let missing = || Refusal::NotFound(format!("No such image: {image}"));
        let id = self.references.get(&exact(image)).cloned().ok_or_else(missing)?;
        self.references.insert(name.clone(), id);
        Ok(())
    }

    pub(super) fn remove_image(&mut self, reference: &ImageRef) -> Result<(), Refusal> {
        let Some(id) = self.references.get(reference) else { return Ok(()) };
        if self.containers.values().any(|container| container.image == *id) {
            return Err(Refusal::Conflict(format!("image {reference} is used by a container")));
        }
        let id = id.clone();
        self.references.remove(reference);
        if !self.references.values().any(|other| *other == id) {
            self.images.remove(&id);
        }
        Ok(())
    }

    pub(super) fn create_network(&mut self, spec: &NetworkSpec) -> Result<NetworkId, Refusal> {
        self.check_disk()?;
        if self.networks.values().any(|network| network.spec.name == spec.name) {
            return Err(Refusal::Conflict(format!("network with name {} already exists", spec.name)));
        }
        let taken = |network: &LiveNetwork| network.spec.pools.iter().any(|pool| spec.pools.contains(pool));
        if self.networks.values().any(taken) {
            let message = "Pool overlaps with other one on this address space";
            return Err(Refusal::Rejected(message.to_owned()));
        }
        let id: NetworkId = certain(&self.new_id());
        let mut spec = spec.clone();
        spec.external = false;
        spec.driver.get_or_insert_with(|| "bridge".to_owned());
        let stack = spec.labels.get(label::STACK).and_then(|stack| stack.parse().ok());
        self.tell("network", "create", spec.name.as_str());
        self.networks.insert(id.clone(), LiveNetwork { id: id.clone(), spec, stack });
        Ok(id)
    }

    pub(super) fn remove_network(&mut self, id: &NetworkId) -> Result<(), Refusal> {
        let Some(network) = self.networks.get(id) else { return Ok(()) };
        let name = network.spec.name.clone();
        let uses = |container: &&SimContainer| {
            container.is_active() && container.networks.values().any(|joined| joined == id)
        };
        if self.containers.values().any(|container| uses(&container)) {
            return Err(Refusal::Conflict(format!("network {name} has active endpoints")));
        }
        self.networks.remove(id);
        self.tell("network", "destroy", name.as_str());
        Ok(())
    }

    pub(super) fn create_volume(&mut self, spec: &VolumeSpec) -> Result<(), Refusal> {
        self.check_disk()?;
        let mut spec = spec.clone();
        spec.external = false;
        spec.driver.get_or_insert_with(|| "local".to_owned());
        match self.volumes.get(&spec.name) {
            Some(volume) if volume.spec == spec => Ok(()),
            Some(_) => {
                let message =
                    "a volume of that name exists, with another driver, other options or other labels";
                Err(Refusal::Conflict(message.to_owned()))
            }
            None => {
                let stack = spec.labels.get(label::STACK).and_then(|stack| stack.parse().ok());
                self.tell("volume", "create", spec.name.as_str());
                self.volumes.insert(spec.name.clone(), LiveVolume { spec, stack });
                Ok(())
            }
        }
    }

    pub(super) fn remove_volume(&mut self, name: &VolumeName) -> Result<(), Refusal> {
        let uses = |container: &SimContainer| container.volumes().contains(name);
        if self.containers.values().any(uses) {
            return Err(Refusal::Conflict(format!("remove {name}: volume is in use")));
        }
        if self.volumes.remove(name).is_some() {
            self.tell("volume", "destroy", name.as_str());
        }
        Ok(())
    }
}

impl SimContainer {
    /// The paths of the host that it mounts.
    pub(super) fn binds(&self) -> BTreeSet<String> {
        let path = |mount: &crate::model::spec::Mount| match &mount.source {
            crate::model::spec::MountSource::Bind(path) => Some(path.clone()),
            crate::model::spec::MountSource::Anonymous
            | crate::model::spec::MountSource::Volume(_)
            | crate::model::spec::MountSource::Repository(_)
            | crate::model::spec::MountSource::Grant(_)
            | crate::model::spec::MountSource::Image(_)
            | crate::model::spec::MountSource::Tmpfs { .. } => None,
        };
        self.spec.mounts.values().filter_map(path).collect()
    }

    /// The named volumes that it mounts.
    pub(super) fn volumes(&self) -> BTreeSet<VolumeName> {
        let name = |mount: &crate::model::spec::Mount| match &mount.source {
            crate::model::spec::MountSource::Volume(name) => Some(name.clone()),
            crate::model::spec::MountSource::Anonymous
            | crate::model::spec::MountSource::Bind(_)
            | crate::model::spec::MountSource::Image(_)
            | crate::model::spec::MountSource::Repository(_)
            | crate::model::spec::MountSource::Grant(_)
            | crate::model::spec::MountSource::Tmpfs { .. } => None,
        };
        self.spec.mounts.values().filter_map(name).collect()
    }
}

/// What a reference is looked up by: where it has a digest, its tag doesn't matter.
fn exact(reference: &ImageRef) -> ImageRef {
    let Some(digest) = reference.digest() else { return reference.clone() };
    certain(&format!("{}@{digest}", reference.repository()))
}

/// Reads `80/tcp` as an image exposes it.
pub(super) fn container_port(text: &str) -> Option<ContainerPort> {
    let (number, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol = match protocol {
        "tcp" => Protocol::Tcp,
        "udp" => Protocol::Udp,
        "sctp" => Protocol::Sctp,
        _ => return None,
    };
    Some(ContainerPort { number: number.parse().ok()?, protocol })
}

fn no_such_container(id: &ContainerId) -> Refusal {
    Refusal::NotFound(format!("No such container: {id}"))
}
