//! Carries out one step: an action becomes calls of the engine. A match without any policy.
//!
//! Every action may be carried out twice with the effect of once: replies get lost, and a call is then made again.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::files::{FilesError, Held};
use super::gate::GateFailure;
use super::last_words::last_words;
use super::ledger::memory::Settled;
use super::ledger::{Direction, LedgerError};
use super::progress::Event;
use super::secrets::Secrets;
use super::words::{self, Names};
use super::{StepFailure, Tools, off_the_loop, settled};
use crate::engine::{Engine, EngineError, UpdateContainer};
use crate::model::desired::RepositoryContent;
use crate::model::grant::Grant;
use crate::model::image::ImageRef;
use crate::model::name::{ContainerId, DeployId, Instance, NetworkId, NetworkName, StackName};
use crate::model::spec::{ContentDigest, Resources, RestartPolicy};
use crate::plan::Plan;
use crate::plan::grants::Place;
use crate::plan::step::{Action, NetworkRef, Target};

/// Where steps are carried out, and what they have made so far.
pub(super) struct Site<'a, E> {
    pub(super) engine: &'a E,
    pub(super) tools: Tools<'a>,
    pub(super) deploy: &'a DeployId,
    pub(super) stack: &'a StackName,
    pub(super) contents: &'a BTreeMap<ContentDigest, RepositoryContent>,
    pub(super) direction: Direction,
    pub(super) names: Names,
    pub(super) secrets: Secrets,
    pub(super) made: Made,
    /// Held from the laying down of files until containers mount them.
    pub(super) held: Mutex<Option<Held>>,
    /// Ends waits and pulls.
    pub(super) halt: CancellationToken,
    /// What a commit writes; absent on the way back, which has none.
    pub(super) plan: Option<&'a Plan>,
}

/// What the steps of a plan have made: the later ones refer to it.
#[derive(Debug, Default)]
pub(super) struct Made {
    containers: Mutex<BTreeMap<Instance, ContainerId>>,
    networks: Mutex<BTreeMap<NetworkName, NetworkId>>,
}

impl Made {
    pub(super) fn container(&self, instance: &Instance) -> Option<ContainerId> {
        self.containers.lock().unwrap_or_else(PoisonError::into_inner).get(instance).cloned()
    }

    fn network(&self, name: &NetworkName) -> Option<NetworkId> {
        self.networks.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    pub(super) fn add_container(&self, instance: &Instance, id: ContainerId) {
        self.containers.lock().unwrap_or_else(PoisonError::into_inner).insert(instance.clone(), id);
    }

    pub(super) fn add_network(&self, name: &NetworkName, id: NetworkId) {
        self.networks.lock().unwrap_or_else(PoisonError::into_inner).insert(name.clone(), id);
    }
}

/// Why a step did not succeed.
#[derive(Debug, thiserror::Error)]
pub(super) enum StepError {
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error(transparent)]
    Gate(#[from] GateFailure),
    #[error(transparent)]
    Files(#[from] FilesError),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error("the image `{}` is not in its registry, or this host may not read it", image.name())]
    NoImage { image: ImageRef, source: Box<EngineError> },
    #[error(
        "the image `{0}` can't be made: this Evenkeel was built without a static C library; name another image"
    )]
    NoStandIn(ImageRef),
    /// Whoever gave it is at fault, and not what is desired.
    #[error(
        "`{}` came, but not with the digest {}: the engine or a mirror of the registry gives something else",
        .0.name(),
        .0.digest().unwrap_or_default()
    )]
    OtherImage(ImageRef),
    #[error("the files of the repository with the digest {0} are not at hand")]
    NoContent(ContentDigest),
    /// The plan contradicts itself. The checker should have refused it.
    #[error("BUG: the plan {0}")]
    Plan(String),
    /// Somebody said to halt; no failure.
    #[error("halted")]
    Halted,
}

impl StepError {
    /// Whether the same step may succeed later though nothing that is desired changes.
    fn is_transient(&self) -> bool {
        match self {
            // Whoever forbids us the engine has nothing against what is desired.
            Self::Engine(error) => error.is_transient() || matches!(error, EngineError::Denied { .. }),
            // A full disk is no fault of what is desired.
            Self::Files(FilesError::Io { .. } | FilesError::Busy)
            | Self::Ledger(_)
            | Self::OtherImage(_)
            | Self::Halted => true,
            Self::Gate(_)
            | Self::Files(FilesError::Name(_))
            | Self::NoImage { .. }
            | Self::NoStandIn(_)
            | Self::NoContent(_)
            | Self::Plan(_) => false,
        }
    }
}

/// Pauses between the attempts of a call that may succeed later.
const PAUSES_FORWARD: [Duration; 2] = [Duration::from_millis(200), Duration::from_secs(1)];

/// The same on the way back, where giving up costs more.
const PAUSES_BACK: [Duration; 4] =
    [Duration::from_millis(200), Duration::from_secs(1), Duration::from_secs(3), Duration::from_secs(5)];

/// How often, and after which pauses, the lock on what is laid down is tried: others have it only for a moment.
const LOCK_ATTEMPTS: u32 = 50;
const LOCK_PAUSE: Duration = Duration::from_millis(100);

impl<E: Engine> Site<'_, E> {
    /// Carries out one action.
    pub(super) async fn perform(&self, action: &Action) -> Result<(), StepError> {
        let engine = self.engine;
        match action {
            Action::PullImage { image, platform } => self.pull(image, platform.as_ref()).await,
            Action::TagImage { image, name } => self.try_again(|| engine.tag_image(image, name)).await,
            Action::CreateNetwork(spec) => self.create_network(spec).await,
            Action::CreateVolume(spec) => self.try_again(|| engine.create_volume(spec)).await,
            Action::LayDown(digest) => self.lay_down(digest).await,
            Action::Grant { place, grant } => self.grant(place, grant).await,
            Action::Create { instance, name, spec, networks, peers } => {
                self.create((instance, name), spec, networks, peers).await
            }
            Action::Fence(container) => {
                self.update(container, Some(RestartPolicy::No), &Resources::default()).await
            }
            Action::Stop { target, grace } => {
                let id = self.resolve(target)?;
                self.try_again(|| engine.stop_container(&id, *grace)).await
            }
            Action::Start(target) => {
                // By now every new container is there, and mounts what is its.
                self.let_go();
                let id = self.resolve(target)?;
                self.try_again(|| engine.start_container(&id)).await
            }
            Action::Await { instance, target, gate } => self.wait_for(instance, target, gate).await,
            Action::Update { target, restart, resources } => {
                self.update(&self.resolve(target)?, *restart, resources).await
            }
            Action::Delay(time) => {
                self.delay(*time).await;
                Ok(())
            }
            Action::Disconnect { container, name, network } => {
                let (id, network) = (self.resolve(container)?, self.network(name, network)?);
                self.try_again(|| engine.disconnect_network(&network, &id)).await
            }
            Action::Connect { container, name, network, attachment } => {
                let (id, network) = (self.resolve(container)?, self.network(name, network)?);
                self.connect(&id, (name, &network), attachment).await
            }
            Action::Commit => self.commit(),
            Action::Release { target, restart } => {
                self.update(&self.resolve(target)?, Some(*restart), &Resources::default()).await
            }
            Action::Rename { target, name } => {
                let id = self.resolve(target)?;
                match self.try_again(|| engine.rename_container(&id, name)).await {
                    // Its old name was wanted for another one, and is free now.
                    Err(StepError::Engine(EngineError::NotFound { .. })) => Ok(()),
                    renamed => renamed,
                }
            }
            Action::Remove(container) => self.remove(container).await,
            Action::RemoveNetwork(network) => self.try_again(|| engine.remove_network(network)).await,
            Action::Discard(folders) => self.discard(folders).await,
        }
    }

    /// What went wrong, for people, with the last words of the container.
    pub(super) async fn failure(&self, action: &Action, error: &StepError) -> StepFailure {
        let target = words::target_of(action);
        let container = target.as_ref().and_then(|target| self.resolve(target).ok());
        let log_tail = match container {
            Some(container) => last_words(self.engine, &container, &self.secrets).await,
            None => Vec::new(),
        };
        StepFailure {
            what: self.names.words(action),
            instance: target.and_then(|target| self.names.instance(&target)),
            cause: self.secrets.strike(&words::chain(error)),
            transient: error.is_transient(),
            log_tail,
        }
    }

    pub(super) fn resolve(&self, target: &Target) -> Result<ContainerId, StepError> {
        match target {
            Target::Existing(container) => Ok(container.clone()),
            Target::New(instance) => self
                .made
                .container(instance)
                .ok_or_else(|| StepError::Plan(format!("uses {instance} before it creates it"))),
        }
    }

    pub(super) fn network(&self, name: &NetworkName, network: &NetworkRef) -> Result<NetworkId, StepError> {
        match network {
            NetworkRef::Existing(id) => Ok(id.clone()),
            NetworkRef::New => self
                .made
                .network(name)
                .ok_or_else(|| StepError::Plan(format!("uses the network {name} before it creates it"))),
        }
    }

    /// Makes a call, and makes it again while it may succeed later.
    pub(super) async fn try_again<T, F>(&self, call: impl Fn() -> F) -> Result<T, StepError>
    where
        F: Future<Output = Result<T, EngineError>>,
    {
        let pauses: &[Duration] = match self.direction {
            Direction::Forward => &PAUSES_FORWARD,
            Direction::Back | Direction::Onward => &PAUSES_BACK,
        };
        for pause in pauses {
            match call().await {
                Err(error) if error.is_transient() && !self.halt.is_cancelled() => {
                    debug!(%error, "trying again");
                    time::sleep(*pause).await;
                }
                result => return Ok(result?),
            }
        }
        Ok(call().await?)
    }

    async fn lay_down(&self, digest: &ContentDigest) -> Result<(), StepError> {
        let content = self.contents.get(digest).ok_or_else(|| StepError::NoContent(digest.clone()))?;
        self.hold().await?;
        Ok(off_the_loop(|| self.tools.files.lay_down(digest, content))?)
    }

    async fn grant(&self, place: &Place, grant: &Grant) -> Result<(), StepError> {
        self.hold().await?;
        Ok(off_the_loop(|| self.tools.files.grant(place, grant.content.expose()))?)
    }

    /// Keeps others from discarding what is laid down until a container mounts it.
    async fn hold(&self) -> Result<(), StepError> {
        for _ in 0..LOCK_ATTEMPTS {
            if self.held.lock().unwrap_or_else(PoisonError::into_inner).is_some() {
                return Ok(());
            }
            if let Some(held) = self.tools.files.hold()? {
                self.held.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(held);
                return Ok(());
            }
            time::sleep(LOCK_PAUSE).await;
        }
        Err(FilesError::Busy.into())
    }

    /// Lets others discard again.
    pub(super) fn let_go(&self) {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    async fn discard(&self, folders: &BTreeSet<String>) -> Result<(), StepError> {
        self.let_go();
        for _ in 0..LOCK_ATTEMPTS {
            if let Some(alone) = self.tools.files.alone()? {
                // Another stack may have come to use the same content since the plan was made.
                let listed = self.try_again(|| self.engine.list_containers()).await?;
                let binds = listed.into_iter().flat_map(|listed| listed.summary.binds).collect();
                off_the_loop(|| self.tools.files.discard(folders, &binds, &alone))?;
                return Ok(());
            }
            time::sleep(LOCK_PAUSE).await;
        }
        debug!("other stacks are being deployed; what nobody mounts stays");
        Ok(())
    }

    async fn update(
        &self,
        container: &ContainerId,
        restart: Option<RestartPolicy>,
        resources: &Resources,
    ) -> Result<(), StepError> {
        let update = UpdateContainer { restart, resources: resources.clone() };
        self.try_again(|| self.engine.update_container(container, &update)).await
    }

    /// Lets time pass, unless somebody says to halt: what comes next is then left out, or is in a hurry.
    async fn delay(&self, time: Duration) {
        tokio::select! {
            // Cancel-safe: a cancelled token stays cancelled.
            () = self.halt.cancelled() => {}
            () = time::sleep(time) => {}
        }
    }

    fn commit(&self) -> Result<(), StepError> {
        let Some(plan) = self.plan else {
            return Err(StepError::Plan("of a way back has a commit".to_owned()));
        };
        let current = settled(plan, |instance| self.made.container(instance));
        if current.len() != plan.outcome.len() {
            return Err(StepError::Plan("commits containers that it didn't create".to_owned()));
        }
        let Tools { ledger, clock, progress, .. } = self.tools;
        let settled = Settled { plan, current: &current };
        off_the_loop(|| ledger.commit(self.deploy, settled, clock.now())).or_else(|error| {
            // The write may have reached the disk although its end did not reach us: only the ledger knows.
            let unfinished = off_the_loop(|| ledger.open_deploy(self.stack));
            let is_committed = unfinished.is_ok_and(|open| open.is_some_and(|open| open.committed));
            if is_committed { Ok(()) } else { Err(error) }
        })?;
        progress.event(Event::Committed);
        Ok(())
    }

    async fn remove(&self, container: &ContainerId) -> Result<(), StepError> {
        self.try_again(|| self.engine.remove_container(container)).await?;
        self.tools.ledger.forget_adopted(self.stack, container)?;
        Ok(self.tools.ledger.forget_retired(self.stack, container)?)
    }
}
