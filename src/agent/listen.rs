//! Listens to the engine and wakes the agent when something of its stack may have changed. An event only wakes: what
//! it says is forgotten at once.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use tokio::sync::{Notify, watch};
use tokio::time::{self, Instant};
use tracing::debug;

use super::schedule;
use crate::engine::{Engine, EngineError, EngineEvent};
use crate::model::desired::Desired;
use crate::model::name::StackName;

/// Whose events matter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Interest {
    /// The stack.
    stack: Option<StackName>,
    /// Names of its containers: what was adopted bears no label of the stack.
    containers: BTreeSet<String>,
    /// Names of its networks and volumes: their events don't say whose they are.
    shared: BTreeSet<String>,
}

impl Interest {
    pub(super) fn of(desired: &Desired) -> Self {
        let networks = desired.networks.values().map(|network| network.name.to_string());
        let volumes = desired.volumes.values().map(|volume| volume.name.to_string());
        let containers = desired.services.values().flat_map(|service| {
            let name = |instance| service.container_name(&desired.stack, &instance).ok();
            service.instances().filter_map(name).map(|name| name.to_string())
        });
        Self {
            stack: Some(desired.stack.clone()),
            containers: containers.collect(),
            shared: networks.chain(volumes).collect(),
        }
    }

    /// How soon it is worth a look that `event` happened; absent if it can't mean that the stack is not as it should
    /// be.
    fn urgency(&self, event: &EngineEvent) -> Option<Urgency> {
        let EngineEvent { kind, action, object, stack } = event;
        match kind.as_str() {
            "container" if stack.is_some() && *stack == self.stack => urgency_for_container(action),
            "container" if stack.is_none() && self.containers.contains(object) => {
                urgency_for_container(action)
            }
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

/// How long it is waited for what may follow, from the last event on, ...
const SOON: Duration = Duration::from_millis(250);
/// ... and from the first one on.
const SOON_MOST: Duration = Duration::from_secs(1);

/// When to look because of events after which more may follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Pending {
    first: Instant,
    due: Instant,
}

impl Pending {
    fn after(earlier: Option<Self>, now: Instant) -> Self {
        let first = earlier.map_or(now, |pending| pending.first);
        Self { first, due: (now + SOON).min(first + SOON_MOST) }
    }
}

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
        let events = engine.events();
        if failures > 0 {
            wake.notify_one();
        }
        let mut ear = Ear { interest: &interest, wake: &wake, pending: None, heard: false };
        let ended = ear.hear(events).await;
        if ear.heard {
            failures = 0;
        }
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

/// Listens to one connection.
struct Ear<'a> {
    interest: &'a watch::Receiver<Interest>,
    wake: &'a Notify,
    pending: Option<Pending>,
    /// Whether it has heard anything at all.
    heard: bool,
}

impl Ear<'_> {
    /// Listens until the connection ends. Returns why it did.
    async fn hear(&mut self, mut events: BoxStream<'static, Result<EngineEvent, EngineError>>) -> String {
        loop {
            let due = self.pending.map_or_else(Instant::now, |pending| pending.due);
            let event = tokio::select! {
                biased;
                // Cancel-safe: dropping a sleep forgets only a time that is kept outside of it.
                () = time::sleep_until(due), if self.pending.is_some() => {
                    self.look();
                    continue;
                }
                // Cancel-safe: nothing is taken out of the stream before it is ready, and the stream stays.
                event = events.next() => event,
            };
            match event {
                Some(Ok(event)) => self.take(&event),
                Some(Err(error)) => return error.to_string(),
                None => return "the engine ended the stream of events".to_owned(),
            }
        }
    }

    fn take(&mut self, event: &EngineEvent) {
        self.heard = true;
        let Some(urgency) = self.interest.borrow().urgency(event) else { return };
        let EngineEvent { kind, action, object, .. } = event;
        debug!(kind, action, object, ?urgency, "heard");
        match urgency {
            Urgency::Now => self.look(),
            Urgency::Soon => self.pending = Some(Pending::after(self.pending, Instant::now())),
        }
    }

    fn look(&mut self) {
        self.pending = None;
        self.wake.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_waited_for_what_may_follow_but_not_for_ever() {
        let now = Instant::now();
        let first = Pending::after(None, now);
        assert_eq!(first.due, now + SOON);
        let second = Pending::after(Some(first), now + SOON / 2);
        assert_eq!(second, Pending { first: now, due: now + SOON / 2 + SOON });
        assert_eq!(Pending::after(Some(second), now + SOON_MOST).due, now + SOON_MOST);
    }

    #[test]
    fn only_what_may_harm_the_stack_is_heard_of() {
        let interest = Interest {
            stack: Some("auren-dev".parse().unwrap()),
            containers: BTreeSet::from(["auren-dev-web-1".to_owned()]),
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
            ("container", "die", "auren-dev-web-1", None, soon),
            ("container", "die", "auren-dev-web-1", Some("other"), None),
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
