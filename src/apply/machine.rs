//! One host as a deploy finds it: its engine, and the state that Evenkeel keeps there.
//!
//! [`Machine::plan`] and [`Machine::deploy`] are the two things that the command line and the agent do alike.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{PoisonError, RwLock};

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::clock::{Clock, HostClock};
use super::files::FileStore;
use super::gate::probe::{NetworkProber, Prober};
use super::ledger::new_deploy_id;
use super::ledger::{Ledger, LedgerError};
use super::progress::Progress;
use super::recover::{Recovered, recover};
use super::registry::{Answers, Registries};
use super::state::{Lock, StateDir, StateError};
use super::{Host, Outcome, Run, Tools, apply, off_the_loop};
use crate::engine::observe::observe;
use crate::engine::{Engine, EngineError};
use crate::model::desired::Desired;
use crate::model::live::Live;
use crate::model::name::StackName;
use crate::model::place::Identity;
use crate::plan::fields::DigestKey;
use crate::plan::fingerprint::{Fingerprint, Moved};
use crate::plan::observation::{Observation, Seen};
use crate::plan::refusal::Refused;
use crate::plan::saved::Saved;
use crate::plan::{Plan, PlanId, check, content, images, normal, place, plan};

pub mod adopt;
pub mod leave;
mod look;
pub mod stuck;
mod watch;

use look::Known;

/// A host: its engine and the state folder.
pub struct Machine<E> {
    engine: E,
    key: DigestKey,
    files: FileStore,
    ledger: Ledger,
    answers: Answers,
    /// Absent where the host was opened for looking only and no deploy has ever been made.
    state: Option<StateDir>,
    prober: Box<dyn Prober>,
    clock: Box<dyn Clock>,
    place: Host,
    /// Who the host is.
    identity: RwLock<Identity>,
}

/// Why a host can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The state folder.
    #[error(transparent)]
    State(#[from] StateError),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// Why there is no plan, or no deploy. Nothing was changed, except that a deploy which had been cut off may have been
/// brought to its end.
#[derive(Debug, thiserror::Error)]
pub enum DeployError {
    /// The engine couldn't be asked.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The state folder, or another process that holds the stack.
    #[error(transparent)]
    State(#[from] StateError),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// Something stands in the way.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The host or the manifests have changed since the plan was shown.
    #[error("the plan is stale: {expected} was shown, {found} is what would be done now")]
    Stale {
        /// The plan that somebody agreed to.
        expected: PlanId,
        /// The plan as it is now.
        found: PlanId,
    },
    /// So many services would be removed that somebody must agree first.
    #[error("plan {plan} removes {} of {of} services: {}", removed.len(), removed.join(", "))]
    NeedsConsent {
        /// The plan to agree to.
        plan: PlanId,
        /// The services.
        removed: Vec<String>,
        /// How many there are.
        of: usize,
    },
    /// A deploy of the stack is under way or was cut off. What is live is half of the one state and half of the other:
    /// no plan from there would ever be carried out.
    #[error("the deploy {deploy} of `{stack}` has not ended")]
    Unfinished {
        /// The deploy.
        deploy: String,
        /// The stack.
        stack: StackName,
    },
    /// An earlier deploy was cut off, and what it left can't be put right.
    #[error("deploy {deploy} was cut off, and what ran before it can't be started again: {what}")]
    NotRecovered {
        /// The deploy.
        deploy: String,
        /// What failed.
        what: String,
    },
    /// The checker found a mistake of ours.
    #[error("BUG: the plan breaks a rule and is not carried out: {}", .0.join("; "))]
    Bug(Vec<String>),
    /// The system gave no random bytes.
    #[error("the system gives no random bytes: {0}")]
    Random(String),
}

/// What is to be deployed, and how.
#[derive(Clone, Copy)]
pub struct Order<'a> {
    /// What is desired.
    pub desired: &'a Desired,
    /// The plan that somebody agreed to. Any other is refused as stale.
    pub expected: Option<&'a PlanId>,
    /// The plan whose many removals somebody agreed to.
    pub accepted: Option<&'a PlanId>,
    /// Whether registries are asked.
    pub registries: Registries,
    /// What woke it, for the history: `push`, `drift`, `command`.
    pub trigger: &'a str,
    /// Who asked for it, for the history.
    pub actor: &'a str,
    /// Is told what happens.
    pub progress: &'a dyn Progress,
    /// Stops it: it is undone, unless it has committed already.
    pub stop: &'a CancellationToken,
}

impl<E: Engine> Machine<E> {
    /// Opens the host of `engine` with the state folder at `state`, and makes that if it isn't there.
    pub fn open(engine: E, state: &Path, place: Host) -> Result<Self, OpenError> {
        let state = StateDir::open(state)?;
        let ledger = state.ledger()?;
        Ok(Self::new(engine, state, ledger, place))
    }

    /// Opens the host for looking only: where there is no state folder yet, none is made.
    pub fn open_to_look(engine: E, state: &Path, place: Host) -> Result<Self, OpenError> {
        if state.join("ledger.db").exists() {
            return Self::open(engine, state, place);
        }
        Ok(Self {
            engine,
            // Nothing was ever recorded under another key, so any will do.
            key: DigestKey::new(random().map_err(StateError::Random)?),
            files: FileStore::new(state.join("files")),
            ledger: Ledger::open_in_memory()?,
            answers: Answers::default(),
            state: None,
            prober: Box::new(NetworkProber),
            clock: Box::new(HostClock),
            place,
            identity: RwLock::default(),
        })
    }

    fn new(engine: E, state: StateDir, ledger: Ledger, place: Host) -> Self {
        Self {
            engine,
            key: state.key().clone(),
            files: state.files(),
            ledger,
            answers: Answers::default(),
            state: Some(state),
            prober: Box::new(NetworkProber),
            clock: Box::new(HostClock),
            place,
            identity: RwLock::default(),
        }
    }

    /// The same host, which is `identity`.
    #[must_use]
    pub fn with_identity(self, identity: Identity) -> Self {
        Self { identity: RwLock::new(identity), ..self }
    }

    /// The host is `identity` from now on.
    pub fn set_identity(&self, identity: Identity) {
        *self.identity.write().unwrap_or_else(PoisonError::into_inner) = identity;
    }

    /// The same host, whose containers are asked through `prober`.
    #[must_use]
    pub fn with_prober(self, prober: Box<dyn Prober>) -> Self {
        Self { prober, ..self }
    }

    /// The same host, with another clock.
    #[must_use]
    pub fn with_clock(self, clock: Box<dyn Clock>) -> Self {
        Self { clock, ..self }
    }

    /// The engine.
    pub fn engine(&self) -> &E {
        &self.engine
    }

    /// The ledger.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The files laid down.
    pub fn files(&self) -> &FileStore {
        &self.files
    }

    /// The time of day.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Refuses what is for other hosts.
    ///
    /// # Errors
    /// [`DeployError::Refused`]; nothing was looked at.
    pub fn admit(&self, desired: &Desired) -> Result<(), DeployError> {
        match place::check(desired, &self.identity.read().unwrap_or_else(PoisonError::into_inner)) {
            None => Ok(()),
            Some(refusal) => Err(Refused(vec![refusal]).into()),
        }
    }

    /// Plans for `desired`, with the observation that the plan was made from. Writes nothing.
    ///
    /// # Errors
    /// Everything that stands in the way; also [`DeployError::Unfinished`].
    pub async fn plan(&self, desired: &Desired, registries: Registries) -> Result<(Plan, Live), DeployError> {
        self.admit(desired)?;
        self.no_open_deploy(&desired.stack)?;
        let known = self.known(&desired.stack)?;
        self.plan_from(desired, &known, registries).await
    }

    async fn plan_from(
        &self,
        desired: &Desired,
        Known { last, adopted }: &Known,
        registries: Registries,
    ) -> Result<(Plan, Live), DeployError> {
        let mut live = self.look(desired, adopted).await?;
        let questions = images::questions(desired, &live);
        live.registry = self.answers.to(&self.engine, questions, &live, (registries, self.clock.now())).await;
        let files = self.files.root().to_string_lossy();
        let mut plan = plan(desired, &live, last, self.normal_host(&files))?;
        content::explain(&mut plan, |digest| {
            let known = desired.contents.get(digest).cloned().or_else(|| content::of_grants(desired, digest));
            // What can't be read any more is only not shown.
            known.or_else(|| self.files.read_back(digest).ok().flatten())
        });
        let violations = [check::check(&plan, &live), check::dependencies(&plan, desired)].concat();
        if violations.is_empty() { Ok((plan, live)) } else { Err(DeployError::Bug(violations)) }
    }

    /// The plan in the form in which it is kept in a file, with digests of all that it follows from. `live` is the
    /// observation that it was made from.
    pub fn saved(&self, desired: &Desired, plan: &Plan, live: &Live) -> Result<Saved, DeployError> {
        let fingerprint = self.fingerprint(desired, live)?;
        Ok(Saved::new(plan, desired.environment.as_ref(), (&live.server, fingerprint), &self.key))
    }

    /// What has moved since a plan was saved, or why it can't be this host's.
    pub fn moved(&self, saved: &Saved, desired: &Desired, live: &Live) -> Result<Vec<Moved>, DeployError> {
        Ok(saved.fingerprint().moved(&self.fingerprint(desired, live)?))
    }

    /// The host's own key for digests.
    pub fn key(&self) -> &DigestKey {
        &self.key
    }

    fn fingerprint(&self, desired: &Desired, live: &Live) -> Result<Fingerprint, DeployError> {
        let last = off_the_loop(|| self.ledger.last_applied(&desired.stack))?;
        let files = self.files.root().to_string_lossy();
        Ok(Fingerprint::of(desired, live, &last, normal::Host { key: &self.key, files: &files }))
    }

    /// Looks at the stack, and says what may be said of it elsewhere. Writes nothing.
    pub async fn observation(&self, desired: &Desired) -> Result<Observation, DeployError> {
        let stack = &desired.stack;
        let adopted = off_the_loop(|| self.ledger.adopted(stack))?;
        let live = observe(&self.engine, stack, &adopted, &BTreeSet::new()).await?;
        let (last, stable) = off_the_loop(|| {
            Ok::<_, LedgerError>((self.ledger.last_applied(stack)?, self.ledger.last_stable(stack)?))
        })?;
        let files = self.files.root().to_string_lossy();
        let host = normal::Host { key: &self.key, files: &files };
        let seen = Seen {
            stack,
            environment: desired.environment.as_ref(),
            revision: stable.map(|stable| stable.revision.to_string()),
            at: format!("{:.0}", self.now()),
        };
        Ok(Observation::of(seen, &live, &last, host))
    }

    /// Deploys what is desired: takes the stack's lock, ends what was cut off before, plans anew and carries the plan
    /// out.
    ///
    /// # Errors
    /// Everything that stands in the way before the first step. From then on the [`Outcome`] tells.
    pub async fn deploy(&self, order: Order<'_>) -> Result<(Plan, Outcome), DeployError> {
        self.admit(order.desired)?;
        let stack = &order.desired.stack;
        let _lock = self.lock(stack, order.actor)?;
        self.recover(stack, order.progress).await?;
        let (plan, live) = self.plan(order.desired, order.registries).await?;
        off_the_loop(|| self.ledger.forget_gone(stack, &live))?;
        if let Some(expected) = order.expected.filter(|expected| **expected != plan.id) {
            return Err(DeployError::Stale { expected: expected.clone(), found: plan.id });
        }
        if let Some(consent) = &plan.consent
            && order.accepted != Some(&plan.id)
        {
            let (removed, of) = (consent.removed.clone(), consent.of);
            return Err(DeployError::NeedsConsent { plan: plan.id, removed, of });
        }
        let deploy = new_deploy_id(self.now(), random().map_err(DeployError::Random)?);
        let run = Run {
            tools: self.tools(order.progress),
            plan: &plan,
            contents: &order.desired.contents,
            deploy: &deploy,
            trigger: order.trigger,
            actor: order.actor,
            host: self.place,
            stop: order.stop,
        };
        let outcome = apply(&self.engine, run).await;
        Ok((plan, outcome))
    }

    /// Ends a deploy of `stack` that was cut off, if there is one. Needs neither Git nor a registry.
    pub async fn recover_stack(
        &self,
        stack: &StackName,
        actor: &str,
        progress: &dyn Progress,
    ) -> Result<(), DeployError> {
        let _lock = self.lock(stack, actor)?;
        self.recover(stack, progress).await
    }

    async fn recover(&self, stack: &StackName, progress: &dyn Progress) -> Result<(), DeployError> {
        match recover(&self.engine, stack, self.tools(progress)).await? {
            None | Some(Recovered::Forward(_) | Recovered::Back(_) | Recovered::Held(_)) => Ok(()),
            Some(Recovered::BackFailed { deploy, failures }) => {
                let what = failures.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
                warn!(%deploy, what, "not recovered");
                Err(DeployError::NotRecovered { deploy: deploy.to_string(), what })
            }
        }
    }

    fn tools<'a>(&'a self, progress: &'a dyn Progress) -> Tools<'a> {
        Tools {
            ledger: &self.ledger,
            files: &self.files,
            prober: self.prober.as_ref(),
            progress,
            clock: self.clock.as_ref(),
        }
    }

    fn lock(&self, stack: &StackName, actor: &str) -> Result<Option<Lock>, StateError> {
        self.state.as_ref().map(|state| state.lock(stack, actor, self.now())).transpose()
    }
}

fn random<const N: usize>() -> Result<[u8; N], String> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| error.to_string())?;
    Ok(bytes)
}
