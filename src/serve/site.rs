//! What all requests share: what the agent knows, who may ask, and how much is taken. Requests only look at it and hand
//! orders over; nothing here can hold up the agent.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::caller::Caller;
use super::hooks::{Deliveries, Hook};
use super::limits::{Limits, Peers, Rate, Tap};
use super::problem::Problem;
use crate::agent::desk::Desk;
use crate::manifest::Token;
use crate::model::name::StackName;

/// Gives the metrics as `OpenMetrics` text. Must not block.
pub type Metrics = Arc<dyn Fn() -> String + Send + Sync>;

/// Refused requests that are audited: each costs a durable write, so that a flood of them must not be one of those.
const REFUSED: Rate = Rate { burst: 60.0, per_second: 1.0 };

/// Connections that may be read on for a moment after their answer.
const LINGERING: usize = 16;

/// What all requests share.
pub(super) struct Site {
    desk: Arc<Desk>,
    pub(super) state: PathBuf,
    pub(super) metrics: Metrics,
    pub(super) limits: Limits,
    rules: watch::Sender<Arc<Rules>>,
    pub(super) peers: Peers,
    pub(super) hook_peers: Peers,
    pub(super) bodies: Semaphore,
    pub(super) listeners: Arc<Semaphore>,
    /// Of connections that are closed while their other end still sends.
    pub(super) lingering: Semaphore,
    pub(super) deliveries: Deliveries,
    refused: Tap,
    /// Cancelled when the server ends: nobody is kept waiting then.
    pub(super) closing: CancellationToken,
}

/// Who may ask, as agent.yaml says it now.
#[derive(Default)]
pub(super) struct Rules {
    pub(super) tokens: Vec<Token>,
    pub(super) hooks: BTreeMap<String, Arc<Hook>>,
    pub(super) tls: Option<TlsAcceptor>,
    /// The longest time between two looks of an agent.
    pub(super) interval: Duration,
}

impl fmt::Debug for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Site").field("limits", &self.limits).finish_non_exhaustive()
    }
}

impl Site {
    pub(super) fn new(desk: Arc<Desk>, state: PathBuf, metrics: Metrics, limits: Limits) -> Self {
        Self {
            desk,
            state,
            metrics,
            limits,
            rules: watch::Sender::default(),
            peers: Peers::new(limits.requests),
            hook_peers: Peers::new(limits.hooks),
            bodies: Semaphore::new(limits.bodies),
            listeners: Arc::new(Semaphore::new(limits.listeners)),
            lingering: Semaphore::new(LINGERING),
            deliveries: Deliveries::default(),
            refused: Tap::new(REFUSED),
            closing: CancellationToken::new(),
        }
    }

    pub(super) fn desk(&self) -> &Desk {
        &self.desk
    }

    pub(super) fn rules(&self) -> Arc<Rules> {
        Arc::clone(&self.rules.borrow())
    }

    pub(super) fn set_rules(&self, rules: Rules) {
        self.rules.send_replace(Arc::new(rules));
    }

    /// Tells when the rules change.
    pub(super) fn watch_rules(&self) -> watch::Receiver<Arc<Rules>> {
        self.rules.subscribe()
    }

    /// Does something with the desk that waits for the disk.
    pub(super) async fn at_desk<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Desk) -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let desk = Arc::clone(&self.desk);
        let done = tokio::task::spawn_blocking(move || work(&desk)).await;
        done.map_err(|_| Problem::broken("it was interrupted"))
    }

    /// Notes in the audit log that somebody was refused. Of very many, only some are noted, with how many were not.
    pub(super) async fn note_refused(
        &self,
        stack: Option<&StackName>,
        caller: &Caller,
        what: &str,
        problem: &Problem,
    ) {
        let Some(missed) = self.refused.admit(Instant::now()) else { return };
        let more = if missed == 0 { String::new() } else { format!(" ({missed} more were not noted)") };
        let answer = format!("refused: {}{more}", problem.title);
        let (stack, actor, what) = (stack.cloned(), caller.to_string(), what.to_owned());
        let noted = self.at_desk(move |desk| desk.audit(stack.as_ref(), &actor, what, &answer)).await;
        if let Ok(Err(error)) = noted {
            warn!(%error, "a refused request can't be noted in the audit log");
        }
    }
}
