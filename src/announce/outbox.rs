//! Who gets which message, and the writing of it into the ledger. Whoever announces is back as soon as that is on the disk.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;
use tracing::warn;

use super::message::{Event, Message};
use super::render;
use crate::apply::clock::Clock;
use crate::apply::ledger::Ledger;
use crate::apply::ledger::outbox::Post;
use crate::apply::off_the_loop;
use crate::manifest::{Notify, Receiver};

/// The messages of one host, and their receivers.
pub struct Outbox {
    ledger: Arc<Ledger>,
    receivers: RwLock<Arc<[Notify]>>,
    clock: Arc<dyn Clock>,
    host: String,
    news: watch::Sender<()>,
}

impl fmt::Debug for Outbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbox").field("receivers", &self.receivers).finish_non_exhaustive()
    }
}

/// What makes a message the same as one that was told.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark<'a> {
    /// Whatever has this key was told already.
    pub(super) key: &'a str,
    /// The topic that it tells of, which will be over one day.
    pub(super) topic: Option<&'a str>,
    /// What tells it already begins so.
    pub(super) unless: Option<&'a str>,
    /// It is told only if the topic goes on for so long.
    pub(super) after: SignedDuration,
}

impl<'a> Mark<'a> {
    /// A message that is told at once.
    pub(super) fn of(key: &'a str) -> Self {
        Self { key, topic: None, unless: None, after: SignedDuration::ZERO }
    }
}

impl Outbox {
    /// The outbox of this host, for these receivers.
    pub fn new(ledger: Arc<Ledger>, host: &str, receivers: Vec<Notify>, clock: Arc<dyn Clock>) -> Arc<Self> {
        let receivers = RwLock::new(receivers.into());
        Arc::new(Self { ledger, receivers, clock, host: host.to_owned(), news: watch::Sender::new(()) })
    }

    /// Who gets messages.
    pub fn receivers(&self) -> Arc<[Notify]> {
        Arc::clone(&self.receivers.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Sets who gets messages from now on. What sends them must be started anew: [`deliver`](super::deliver()).
    pub fn set_receivers(&self, receivers: Vec<Notify>) {
        *self.receivers.write().unwrap_or_else(PoisonError::into_inner) = receivers.into();
    }

    pub(super) fn ledger(&self) -> &Arc<Ledger> {
        &self.ledger
    }

    pub(super) fn host(&self) -> &str {
        &self.host
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Is told when a message was written.
    pub(super) fn news(&self) -> watch::Receiver<()> {
        self.news.subscribe()
    }

    /// Writes a message for everybody who wants it.
    pub(super) fn announce(&self, message: &Message, mark: Mark<'_>) {
        self.announce_to(message, mark, |_| true);
    }

    /// Writes a message for those of whom `is_meant`, as far as they want it.
    pub(super) fn announce_to(&self, message: &Message, mark: Mark<'_>, is_meant: impl Fn(&Notify) -> bool) {
        let receivers = self.receivers();
        let wanted: Vec<&Notify> =
            receivers.iter().filter(|one| is_meant(one) && wants(one, message)).collect();
        let Some(text) = (!wanted.is_empty()).then(|| serde_json::to_string(message)) else { return };
        let written = text.map_err(|error| error.to_string()).and_then(|text| {
            let now = self.now();
            let due = now.checked_add(mark.after).unwrap_or(Timestamp::MAX);
            let Mark { key, topic, unless, after: _ } = mark;
            let posts: Vec<_> = wanted
                .iter()
                .map(|one| Post { receiver: &one.name, key, topic, unless, message: &text, due })
                .collect();
            off_the_loop(|| self.ledger.post(&posts, now)).map_err(|error| error.to_string())
        });
        match written {
            Ok(()) => self.news.send_replace(()),
            Err(error) => {
                warn!(error, event = ?message.event, "a message could not be written and is not sent");
            }
        }
    }

    /// Ends a topic. Whoever was told of it is told `message`, whatever its urgency; for others nothing happens.
    pub(super) fn is_over(&self, topic: &str, message: &Message, key: &str) {
        let Ok(text) = serde_json::to_string(message) else { return };
        let now = self.now();
        for Notify { name, receiver, .. } in self.receivers().iter() {
            let post = Post { receiver: name, key, topic: None, unless: None, message: &text, due: now };
            // The status of a commit has no end of its own: the next status takes its place.
            let recovery = takes(receiver, message).then_some(&post);
            match off_the_loop(|| self.ledger.topic_is_over((name, topic), recovery, now)) {
                Ok(true) => self.news.send_replace(()),
                Ok(false) => {}
                Err(error) => warn!(%error, topic, "it could not be written that this is over"),
            }
        }
    }
}

/// Whether a receiver can make anything of a message.
fn takes(receiver: &Receiver, message: &Message) -> bool {
    match receiver {
        Receiver::CommitStatus { .. } => {
            render::commit_state(message.event).is_some() && message.commit.is_some()
        }
        Receiver::Chat { .. } | Receiver::Ntfy { .. } | Receiver::Webhook { .. } | Receiver::Email(_) => {
            message.event.is_for_people()
        }
    }
}

/// Whether a receiver is to be told.
fn wants(one: &Notify, message: &Message) -> bool {
    let routing = &one.routing;
    let is_of = |wanted: &str, said: &str| wanted == said;
    let environment = routing.environments.is_empty()
        || message.environment.is_empty()
        || routing.environments.iter().any(|name| is_of(name.as_str(), &message.environment));
    let stack = routing.stacks.is_empty()
        || message
            .stack
            .as_deref()
            .is_none_or(|stack| routing.stacks.iter().any(|name| is_of(name.as_str(), stack)));
    // A status that stayed at `pending` would be a lie.
    let is_urgent = message.urgency >= routing.least
        || matches!(one.receiver, Receiver::CommitStatus { .. })
        || message.event == Event::Digest;
    takes(&one.receiver, message) && environment && stack && is_urgent
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{Chat, Credential, Forge, Routing, Urgency};

    fn notify(routing: Routing, is_forge: bool) -> Notify {
        let file = || Credential::File("/s".to_owned());
        let receiver = if is_forge {
            let (api, repository) = ("https://x".to_owned(), "a/b".to_owned());
            Receiver::CommitStatus { forge: Forge::Gitea, api, repository, token: file() }
        } else {
            Receiver::Chat { chat: Chat::Slack, url: file() }
        };
        Notify { name: "a".to_owned(), routing, receiver, ca: None }
    }

    fn message(event: Event, environment: &str, stack: &str) -> Message {
        let commit = Some(super::super::message::CommitNote {
            id: "c0ffee".to_owned(),
            author: String::new(),
            title: String::new(),
        });
        let (environment, stack) = (environment.to_owned(), Some(stack.to_owned()));
        Message { environment, stack, commit, ..Message::of(event, "web-1", Timestamp::UNIX_EPOCH) }
    }

    #[test]
    fn a_message_goes_to_whom_it_concerns() {
        let of = |text: &str| std::iter::once(text.parse().unwrap()).collect();
        let all = Routing::default();
        let urgent = Routing { least: Urgency::Critical, ..Routing::default() };
        let prod = Routing { environments: of("prod"), ..Routing::default() };
        let shop =
            Routing { stacks: std::iter::once("shop".parse().unwrap()).collect(), ..Routing::default() };
        let failed = message(Event::Failed, "dev", "blog");
        let degraded = message(Event::Degraded, "prod", "shop");
        for (routing, event, expected) in [
            (&all, &failed, true),
            (&urgent, &failed, false),
            (&urgent, &degraded, true),
            (&prod, &failed, false),
            (&prod, &degraded, true),
            (&shop, &failed, false),
            (&shop, &degraded, true),
        ] {
            assert_eq!(wants(&notify(routing.clone(), false), event), expected, "{routing:?} {event:?}");
        }
    }

    #[test]
    fn a_status_is_set_whatever_the_urgency_and_people_are_not_told_of_it() {
        let urgent = Routing { least: Urgency::Critical, ..Routing::default() };
        for (event, forge, people) in [
            (Event::Deploying, true, false),
            (Event::Deployed, true, true),
            (Event::Unchanged, true, false),
            (Event::Degraded, false, true),
            (Event::Recovered, false, true),
        ] {
            let message = message(event, "prod", "shop");
            assert_eq!(wants(&notify(urgent.clone(), true), &message), forge, "{event:?}");
            assert_eq!(wants(&notify(Routing::default(), false), &message), people, "{event:?}");
        }
    }
}
