//! Makes messages of what the agent tells of one stack, and decides what is news.
//!
//! A fold, as the board is. What is bad opens a *topic* and what is good ends it; whether anybody was told in between is in
//! the outbox, so that a restart neither repeats nor forgets anything.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::SignedDuration;

use super::message::{CommitNote, Event, Message};
use super::outbox::{Mark, Outbox};
use super::text::{clean, clean_log};
use crate::agent::board::health;
use crate::agent::status::{Health, HoldKind};
use crate::agent::{Audience, Comparison, Happening, Hold};
use crate::apply::progress::{Event as Step, Progress};
use crate::plan::Plan;

/// A hold, or a service that is not well, for less than this is nobody's business.
const PASSING: SignedDuration = SignedDuration::from_secs(60);
/// A host that can't be asked for less than this will be back by itself.
const STALLED: SignedDuration = SignedDuration::from_mins(5);
/// So does a repository.
const SOURCE: SignedDuration = SignedDuration::from_mins(15);

/// The longest cause in a message.
const CAUSE: usize = 500;
/// Lines of a log in a message, and characters in all of them.
pub(super) const LOG: (usize, usize) = (20, 2000);
/// Commits whose texts are remembered.
const COMMITS: usize = 8;

/// What an announcer speaks of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// The environment.
    pub environment: String,
    /// Where its repository is, without any credential, and what of it is followed. With the environment it tells this
    /// stack from others of the host as long as its name isn't known.
    pub source: String,
}

/// Announces what happens to one stack.
#[derive(Debug)]
pub struct Announcer {
    pub(super) outbox: Arc<Outbox>,
    subject: Subject,
    known: Mutex<Known>,
}

/// What is known of the stack, from one happening to the next.
#[derive(Debug, Default)]
pub(super) struct Known {
    stack: Option<String>,
    newest: Option<String>,
    commits: VecDeque<CommitNote>,
    /// What was written last of each topic; none where it is known to be over.
    topics: BTreeMap<Topic, Option<String>>,
    /// Whether it is being returned from a deploy, since it failed while it was watched.
    pub(super) returning: bool,
    /// Whether it was looked for what has ended while nobody listened.
    caught_up: bool,
}

/// What may be bad, and over one day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Topic {
    /// The newest commit is not deployed.
    Hold,
    /// A deploy failed, and none has succeeded since.
    Deploy,
    /// A service is not well.
    Health,
    /// The repository can't be read.
    Source,
    /// The host can't be asked or changed.
    Host,
}

impl Topic {
    fn code(self) -> &'static str {
        match self {
            Self::Hold => "hold",
            Self::Deploy => "deploy",
            Self::Health => "health",
            Self::Source => "source",
            Self::Host => "host",
        }
    }

    /// What is said when it is over.
    fn over(self) -> &'static str {
        match self {
            Self::Hold => "the newest commit is no longer held",
            Self::Deploy => "the newest commit is deployed",
            Self::Health => "every service is well again",
            Self::Source => "the repository can be read again",
            Self::Host => "the host can be asked and changed again",
        }
    }
}

impl Announcer {
    /// An announcer for one stack.
    pub fn new(outbox: Arc<Outbox>, subject: Subject) -> Self {
        Self { outbox, subject, known: Mutex::default() }
    }

    /// A message of this stack.
    pub(super) fn message(&self, known: &Known, event: Event) -> Message {
        let (environment, stack) = (clean(&self.subject.environment, 63), known.stack.clone());
        Message {
            environment,
            stack,
            ..Message::of(event, &clean(self.outbox.host(), 63), self.outbox.now())
        }
    }

    /// The key of what happened to this stack.
    pub(super) fn key(&self, what: &str) -> String {
        format!("{} {} {what}", self.subject.environment, self.subject.source)
    }

    /// Tells of something bad, if it goes on for as long as `after`. It is over when [`Announcer::good`] says so.
    pub(super) fn bad(
        &self,
        known: &mut Known,
        (topic, what): (Topic, &str),
        message: &Message,
        (after, unless): (SignedDuration, Option<&str>),
    ) {
        if known.topics.get(&topic).is_some_and(|last| last.as_deref() == Some(what)) {
            return;
        }
        known.topics.insert(topic, Some(what.to_owned()));
        let (key, topic) = (self.key(what), self.key(topic.code()));
        let unless = unless.map(|start| self.key(start));
        let mark = Mark { key: &key, topic: Some(&topic), unless: unless.as_deref(), after };
        self.outbox.announce(message, mark);
    }

    /// Notes that nothing of a topic is bad. Who was told otherwise is told `message`, or else that it is over.
    pub(super) fn good(&self, known: &mut Known, topic: Topic, message: Option<(&Message, &str)>) {
        if known.topics.insert(topic, None) == Some(None) {
            return;
        }
        let over = || {
            let cause = Some(topic.over().to_owned());
            Message { cause, commit: known.newest_commit(), ..self.message(known, Event::Recovered) }
        };
        let now = self.outbox.now().as_millisecond();
        let (message, key) = match message {
            Some((message, key)) => (message.clone(), key.to_owned()),
            None => (over(), self.key(&format!("over {} {now}", topic.code()))),
        };
        self.outbox.is_over(&self.key(topic.code()), &message, &key);
    }

    fn hear(&self, known: &mut Known, happening: Happening<'_>) {
        match happening {
            Happening::Asked { result: Ok(()), .. } => self.good(known, Topic::Source, None),
            Happening::Asked { result: Err(why), .. } => {
                let next = Some("evenkeel doctor".to_owned());
                let cause = Some(clean(why, CAUSE));
                let message = Message { cause, next, ..self.message(known, Event::SourceUnreachable) };
                self.bad(known, (Topic::Source, "source"), &message, (SOURCE, None));
            }
            Happening::Commit(commit) => known.note(CommitNote {
                id: commit.id.clone(),
                author: clean(&commit.author, 60),
                title: clean(&commit.summary, 120),
            }),
            Happening::Valid(desired) => known.stack = Some(desired.stack.to_string()),
            Happening::Compared(comparison) => self.compared(known, &comparison),
            Happening::Deploys(plan) => {
                // A way back from a watch isn't told so.
                known.returning = false;
                self.deploys(known, plan);
            }
            Happening::Ended(plan, outcome) => self.ended(known, plan, outcome),
            Happening::Holds(hold) => self.holds(known, hold),
            Happening::Admits => self.good(known, Topic::Hold, None),
            Happening::Fails { why, again: _ } => {
                let (cause, next) = (Some(clean(why, CAUSE)), Some("evenkeel status".to_owned()));
                let commit = known.newest_commit();
                let message = Message { commit, cause, next, ..self.message(known, Event::Stalled) };
                self.bad(known, (Topic::Host, "stalled"), &message, (STALLED, None));
            }
            Happening::Recovers => self.good(known, Topic::Host, None),
            Happening::WatchFailed { deploy, commit, why, log_tail } => {
                known.returning = true;
                let message = Message {
                    cause: Some(clean(why, CAUSE)),
                    deploy: Some(deploy.to_string()),
                    commit: commit.map(|commit| known.commit(commit)),
                    log: clean_log(log_tail, LOG.0, LOG.1),
                    next: Some("evenkeel history".to_owned()),
                    ..self.message(known, Event::WatchFailed)
                };
                let what = format!("failed {} watch {deploy}", commit.unwrap_or_default());
                self.bad(known, (Topic::Deploy, &what), &message, (SignedDuration::ZERO, None));
            }
            Happening::LeavesAlone { service, field } => {
                let message = Message {
                    cause: Some(clean(
                        &format!("somebody sets `{field}` of {service} again and again"),
                        CAUSE,
                    )),
                    next: Some(format!("evenkeel why {service}")),
                    ..self.message(known, Event::Contested)
                };
                let day = self.outbox.now().as_second() / (24 * 60 * 60);
                self.outbox
                    .announce(&message, Mark::of(&self.key(&format!("contested {service} {field} {day}"))));
            }
            Happening::Rests => {
                if !known.caught_up && known.stack.is_some() {
                    known.caught_up = true;
                    self.catch_up(known);
                }
            }
            Happening::Woken(_)
            | Happening::WatchPassed(_)
            | Happening::Paused(_)
            | Happening::Window(_)
            | Happening::Quarantined(_) => {}
        }
    }

    fn compared(&self, known: &mut Known, comparison: &Comparison<'_>) {
        let Comparison { desired, live, plan, .. } = *comparison;
        known.stack = Some(desired.stack.to_string());
        if !plan.is_repair() {
            // What isn't there yet can't be well.
            return;
        }
        match health(desired, live) {
            (Health::Healthy, _) => self.good(known, Topic::Health, None),
            (Health::Degraded | Health::Missing, why) => {
                // It begins with the instance: the service and its number.
                let instance = why.as_deref().and_then(|why| why.split(' ').next()).unwrap_or_default();
                let service = instance.rsplit_once('-').map_or(instance, |(service, _)| service);
                let message = Message {
                    next: Some(format!("evenkeel why {service}").trim_end().to_owned()),
                    cause: why.as_deref().map(|why| clean(why, CAUSE)),
                    commit: plan.revision.commit().map(|commit| known.commit(commit)),
                    ..self.message(known, Event::Degraded)
                };
                self.bad(known, (Topic::Health, "degraded"), &message, (PASSING, None));
            }
            (Health::Progressing | Health::Unknown, _) => {}
        }
    }

    fn holds(&self, known: &mut Known, hold: &Hold) {
        let Hold { kind, why, plan } = hold;
        let commit = known.newest.clone().unwrap_or_default();
        let next = match (kind, plan) {
            (HoldKind::Consent, Some(plan)) => format!("evenkeel apply --accept {plan}"),
            (HoldKind::Approval, Some(plan)) => format!("evenkeel approve {plan}"),
            (HoldKind::Invalid, _) => "evenkeel validate".to_owned(),
            _ => "evenkeel status".to_owned(),
        };
        let message = Message {
            cause: Some(clean(why, CAUSE)),
            commit: known.newest_commit(),
            next: Some(next),
            ..self.message(known, Event::of_hold(*kind))
        };
        let what = format!("held {} {commit}", kind.code());
        // A commit that failed is held for that, and its failure was told.
        let unless = format!("failed {commit} ");
        self.bad(known, (Topic::Hold, &what), &message, (PASSING, Some(&unless)));
    }
}

impl Known {
    /// Notes which stack a plan is for: what was cut off is ended before any manifest was read.
    pub(super) fn see(&mut self, plan: &Plan) {
        self.stack = Some(plan.stack.to_string());
    }

    pub(super) fn stack(&self) -> Option<&str> {
        self.stack.as_deref()
    }

    fn note(&mut self, commit: CommitNote) {
        self.newest = Some(commit.id.clone());
        self.commits.retain(|known| known.id != commit.id);
        self.commits.push_front(commit);
        self.commits.truncate(COMMITS);
    }

    /// What is known of a commit.
    pub(super) fn commit(&self, id: &str) -> CommitNote {
        let known = self.commits.iter().find(|commit| commit.id == id).cloned();
        known.unwrap_or_else(|| CommitNote { id: id.to_owned(), author: String::new(), title: String::new() })
    }

    fn newest_commit(&self) -> Option<CommitNote> {
        self.newest.as_deref().map(|id| self.commit(id))
    }
}

impl Progress for Announcer {
    fn event(&self, _: Step<'_>) {}
}

impl Audience for Announcer {
    fn happens(&self, happening: Happening<'_>) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        self.hear(&mut known, happening);
    }
}
