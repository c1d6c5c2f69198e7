//! Listens to the engine and wakes the agent when something of its stack may have changed. An event only wakes: what
//! it says is forgotten at once.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::StreamExt;
use tokio::sync::{Notify, watch};
use tokio::time;
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

    /// Whether `event` may mean that the stack is not as it should be.
    fn is_met_by(&self, event: &EngineEvent) -> bool {
        let EngineEvent { kind, action, object, stack } = event;
        match kind.as_str() {
            "container" => stack.is_some() && *stack == self.stack && is_harm_to_container(action),
            // Whatever happens to one that containers join or mount.
            "network" | "volume" => self.shared.contains(object) && is_harm_to_shared(action),
            _ => false,
        }
    }
}

/// That one was created or started is what a deploy does; it can't make anything worse than the end of another one,
/// which is told as well.
fn is_harm_to_container(action: &str) -> bool {
    matches!(
        action,
        "die" | "destroy" | "stop" | "oom" | "rename" | "update" | "pause" | "health_status: unhealthy"
    )
}

fn is_harm_to_shared(action: &str) -> bool {
    matches!(action, "destroy" | "remove" | "disconnect")
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
        let ended = loop {
            match events.next().await {
                Some(Ok(event)) => {
                    failures = 0;
                    if interest.borrow().is_met_by(&event) {
                        debug!(kind = event.kind, action = event.action, object = event.object, "heard");
                        wake.notify_one();
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
        for (kind, action, object, stack, heard) in [
            ("container", "die", "a", Some("auren-dev"), true),
            ("container", "destroy", "a", Some("auren-dev"), true),
            ("container", "health_status: unhealthy", "a", Some("auren-dev"), true),
            ("container", "health_status: healthy", "a", Some("auren-dev"), false),
            ("container", "start", "a", Some("auren-dev"), false),
            ("container", "die", "a", Some("auren-prod"), false),
            ("container", "die", "a", None, false),
            ("network", "disconnect", "auren-dev_auren-network", None, true),
            ("network", "destroy", "auren-dev_auren-network", None, true),
            ("network", "connect", "auren-dev_auren-network", None, false),
            ("network", "disconnect", "bridge", None, false),
            ("image", "delete", "auren-dev_auren-network", None, false),
        ] {
            let event = event(kind, action, object, stack);
            assert_eq!(interest.is_met_by(&event), heard, "{event:?}");
            assert!(!Interest::default().is_met_by(&event), "nothing is known yet: {event:?}");
        }
    }
}
