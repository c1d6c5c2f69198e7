//! Listens to the engine and wakes the agent when something of its stack may have changed. An event only wakes: what
//! it says is forgotten at once.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use tokio::sync::{Notify, watch};
use tokio::time::{self, Instant};
use tracing::debug;

use super::schedule;
use crate::engine::{Engine, EngineEvent};
use crate::model::desired::Desired;
use crate::model::name::StackName;

/// Whose events matter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Interest {
    /// The stack.
    stack: Option<StackName>,
    /// Names of its networks and volumes: their events don't say whose they are.
    shared: BTreeSet<String>,
}

impl Interest {
    pub(super) fn of(desired: &Desired) -> Self {
        let networks = desired.networks.values().map(|network| network.name.to_string());
        let volumes = desired.volumes.values().map(|volume| volume.name.to_string());
        Self { stack: Some(desired.stack.clone()), shared: networks.chain(volumes).collect() }
    }

    /// How soon it is worth a look that `event` happened; absent if it can't mean that the stack is not as it should
    /// be.
    fn urgency(&self, event: &EngineEvent) -> Option<Urgency> {
        let EngineEvent { kind, action, object, stack } = event;
        match kind.as_str() {
            "container" if stack.is_some() && *stack == self.stack => urgency_for_container(action),
            // Whatever happens to one that containers join or mount.
            "network" | "volume" if self.shared.contains(object) => urgency_for_shared(action),
            _ => None,
        }
    }
}

/// How soon an event is worth a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Urgency {
    /// What has happened is complete.
    Now,
    /// More may follow: `docker rm -f` ends a container first, and removes it somewhat later. To start it in between
    /// would only be in the way.
    Soon,
}

/// Longest wait for what may follow.
const SOON: Duration = Duration::from_millis(500);

/// That one was created or started is what a deploy does; it can't make anything worse than the end of another one,
/// which is told as well.
fn urgency_for_container(action: &str) -> Option<Urgency> {
    match action {
        "destroy" | "rename" | "update" | "pause" | "health_status: unhealthy" => Some(Urgency::Now),
        "die" | "stop" | "oom" => Some(Urgency::Soon),
        _ => None,
    }
}

fn urgency_for_shared(action: &str) -> Option<Urgency> {
    match action {
        "destroy" | "remove" => Some(Urgency::Now),
        // A container that ends leaves its networks.
        "disconnect" => Some(Urgency::Soon),
        _ => None,
    }
}

/// Wakes `wake` for every event that may concern the stack, for ever. After a lost connection it wakes once more: what
/// happened in between was not heard.
pub(super) async fn listen<E: Engine>(engine: E, interest: watch::Receiver<Interest>, wake: Arc<Notify>) {
    let mut failures: u32 = 0;
    loop {
        let mut events = engine.events();
        if failures > 0 {
            wake.notify_one();
        }
        let mut due: Option<Instant> = None;
        let ended = loop {
            let then = due.unwrap_or_else(Instant::now);
            let event = tokio::select! {
                biased;
                // Cancel-safe: dropping a sleep forgets only a time that is kept outside of it.
                () = time::sleep_until(then), if due.is_some() => {
                    due = None;
                    wake.notify_one();
                    continue;
                }
                // Cancel-safe: `next` of a stream that stays takes nothing out of it before it is ready.
                event = events.next() => event,
            };
            match event {
                Some(Ok(event)) => {
                    failures = 0;
                    let urgency = interest.borrow().urgency(&event);
                    if let Some(urgency) = urgency {
                        debug!(
                            kind = event.kind,
                            action = event.action,
                            object = event.object,
                            ?urgency,
                            "heard"
                        );
                    }
                    match urgency {
                        None => {}
                        Some(Urgency::Soon) => due = due.or_else(|| Some(Instant::now() + SOON)),
                        Some(Urgency::Now) => {
                            due = None;
                            wake.notify_one();
                        }
                    }
                }
                Some(Err(error)) => break error.to_string(),
                None => break "the engine ended the stream of events".to_owned(),
            }
        };
        debug!(ended, "not listening to the engine");
        loop {
            failures = failures.saturating_add(1);
            time::sleep(schedule::pause_after(failures, schedule::luck())).await;
            if engine.server().await.is_ok() {
                break;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_harm_the_stack_is_heard_of() {
        let interest = Interest {
            stack: Some("auren-dev".parse().unwrap()),
            shared: BTreeSet::from(["auren-dev_auren-network".to_owned()]),
        };
        let event = |kind: &str, action: &str, object: &str, stack: Option<&str>| EngineEvent {
            kind: kind.to_owned(),
            action: action.to_owned(),
            object: object.to_owned(),
            stack: stack.map(|stack| stack.parse().unwrap()),
        };
        let (now, soon) = (Some(Urgency::Now), Some(Urgency::Soon));
        for (kind, action, object, stack, urgency) in [
            ("container", "die", "a", Some("auren-dev"), soon),
            ("container", "destroy", "a", Some("auren-dev"), now),
            ("container", "health_status: unhealthy", "a", Some("auren-dev"), now),
            ("container", "health_status: healthy", "a", Some("auren-dev"), None),
            ("container", "start", "a", Some("auren-dev"), None),
            ("container", "die", "a", Some("auren-prod"), None),
            ("container", "die", "a", None, None),
            ("network", "disconnect", "auren-dev_auren-network", None, soon),
            ("network", "destroy", "auren-dev_auren-network", None, now),
            ("network", "connect", "auren-dev_auren-network", None, None),
            ("network", "disconnect", "bridge", None, None),
            ("image", "delete", "auren-dev_auren-network", None, None),
        ] {
            let event = event(kind, action, object, stack);
            assert_eq!(interest.urgency(&event), urgency, "{event:?}");
            assert_eq!(Interest::default().urgency(&event), None, "nothing is known yet: {event:?}");
        }
    }
}
