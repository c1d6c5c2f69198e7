//! What is told of a deploy: that it begins, and how it ended.

use std::collections::BTreeSet;

use jiff::SignedDuration;
use tracing::warn;

use super::announcer::{Announcer, Known, LOG, Topic};
use super::message::{Event, ImageChange, Message};
use super::outbox::Mark;
use super::text::{clean, clean_log};
use crate::apply::ledger::history::{DeployRecord, State};
use crate::apply::{Outcome, Report, StepFailure};
use crate::model::name::DeployId;
use crate::plan::change::Kind;
use crate::plan::fields::FieldValue;
use crate::plan::{DesiredDigest, Plan};

/// Changes and images that a message names.
const NAMED: usize = 10;
/// Deploys among which the last one of a commit is looked for.
const RECENT: u32 = 20;
/// The longest line of a change.
const LINE: usize = 200;

impl Announcer {
    pub(super) fn deploys(&self, known: &Known, plan: &Plan) {
        if plan.is_repair() {
            return;
        }
        let message = self.of_plan(known, Event::Deploying, plan);
        let commit = plan.revision.commit().unwrap_or_default();
        let key = self.key(&format!("deploying {commit} {}", plan.desired.0));
        self.outbox.announce(&message, Mark::of(&key));
    }

    pub(super) fn ended(&self, known: &mut Known, plan: &Plan, outcome: &Outcome) {
        known.see(plan);
        let returned = std::mem::take(&mut known.returning);
        if matches!(outcome, Outcome::Applied(_)) {
            // Every gate has passed, and nobody looks again so soon.
            self.good(known, Topic::Health, None);
        }
        match outcome {
            Outcome::Unchanged => {
                let message = self.of_plan(known, Event::Unchanged, plan);
                let key = self.key(&format!("unchanged {} {}", plan.revision, plan.desired.0));
                self.outbox.announce(&message, Mark::of(&key));
                self.good(known, Topic::Deploy, None);
            }
            Outcome::Applied(report) if returned => {
                let message = self.of_report(known, (Event::Returned, plan), report);
                self.outbox.announce(&message, Mark::of(&self.key(&format!("returned {}", report.deploy))));
            }
            Outcome::Applied(report) if plan.is_repair() => {
                let message = self.of_report(known, (Event::DriftRepaired, plan), report);
                // Something that is broken again and again is told once an hour.
                let hour = self.outbox.now().as_second() / (60 * 60);
                let key = self.key(&format!("repaired {} {hour}", message.changes.join("; ")));
                self.outbox.announce(&message, Mark::of(&key));
            }
            Outcome::Applied(report) => {
                let message = self.of_report(known, (Event::Deployed, plan), report);
                self.deployed(known, &message, &report.deploy);
            }
            Outcome::Interrupted(report) => {
                let message = self.of_report(known, (Event::Interrupted, plan), report);
                let key = self.key(&format!("interrupted {}", report.deploy));
                self.outbox.announce(&message, Mark::of(&key));
            }
            // Nothing was touched. It is tried again, and told if that goes on.
            Outcome::Refused(_) | Outcome::Failed { failure: StepFailure { transient: true, .. }, .. } => {}
            Outcome::Failed { failure, report } => self.failed(known, (Event::Failed, plan), failure, report),
            Outcome::RolledBack { failure, report } => {
                self.failed(known, (Event::RolledBack, plan), failure, report);
            }
            Outcome::Held { failure, report, .. } => {
                self.failed(known, (Event::HalfDone, plan), failure, report);
            }
            Outcome::RollbackFailed { failure, report, .. } => {
                self.failed(known, (Event::RollbackFailed, plan), failure, report);
            }
        }
    }

    /// Tells how the last deploy ended, if nobody was told: the agent may have died right after it, or it was cut off and
    /// ended by a recovery.
    pub(super) fn catch_up(&self, known: &mut Known) {
        let Some(stack) = known.stack().and_then(|stack| stack.parse().ok()) else { return };
        let history = match self.outbox.ledger().history(&stack, RECENT) {
            Ok(history) => history,
            Err(error) => return warn!(%error, "not known whether a deploy ended while nobody listened"),
        };
        let day_ago = self.outbox.now().checked_sub(SignedDuration::from_hours(24));
        let is_recent = |record: &DeployRecord| day_ago.is_ok_and(|ago| record.began >= ago);
        let last = history.into_iter().find(|record| record.trigger == "push");
        let Some(record) = last.filter(is_recent) else { return };
        let event = match record.state {
            State::Committed | State::Done => Event::Deployed,
            State::RolledBack => Event::RolledBack,
            State::RollbackFailed => Event::RollbackFailed,
            State::Held => Event::HalfDone,
            // Nothing was touched, and it is tried again.
            State::Failed
            | State::Open
            | State::RollingBack
            | State::Interrupted
            | State::RolledBackInWatch => return,
        };
        let commit = record.revision.commit().unwrap_or_default();
        let message = Message {
            commit: record.revision.commit().map(|commit| known.commit(commit)),
            deploy: Some(record.id.to_string()),
            cause: record.failure.as_deref().map(|failure| clean(failure, 500)),
            took_ms: record.took_ms(),
            next: (event != Event::Deployed).then(|| "evenkeel history".to_owned()),
            ..self.message(known, event)
        };
        if event == Event::Deployed {
            self.deployed(known, &message, &record.id);
        } else {
            let what = failed_key(commit, &record.desired, event);
            self.bad(known, (Topic::Deploy, &what), &message, (SignedDuration::ZERO, None));
        }
    }

    fn deployed(&self, known: &mut Known, message: &Message, deploy: &DeployId) {
        let key = self.key(&format!("deployed {deploy}"));
        // Whoever was told that a deploy failed is told of this one, whatever else it wants to know.
        self.good(known, Topic::Deploy, Some((message, &key)));
        self.outbox.announce(message, Mark::of(&key));
    }

    fn failed(
        &self,
        known: &mut Known,
        (event, plan): (Event, &Plan),
        failure: &StepFailure,
        report: &Report,
    ) {
        let why = failure.instance.as_ref().map(|instance| format!("evenkeel why {}", instance.service));
        let next = match event {
            Event::RollbackFailed | Event::HalfDone => "evenkeel status".to_owned(),
            _ => why.unwrap_or_else(|| "evenkeel history".to_owned()),
        };
        let message = Message {
            cause: Some(clean(&failure.to_string(), 500)),
            log: clean_log(&failure.log_tail, LOG.0, LOG.1),
            next: Some(next),
            ..self.of_report(known, (event, plan), report)
        };
        let commit = plan.revision.commit().unwrap_or_default();
        let what = failed_key(commit, &plan.desired, event);
        self.bad(known, (Topic::Deploy, &what), &message, (SignedDuration::ZERO, None));
    }

    fn of_report(&self, known: &Known, (event, plan): (Event, &Plan), report: &Report) -> Message {
        Message {
            deploy: Some(report.deploy.to_string()),
            took_ms: Some(u64::try_from(report.took.as_millis()).unwrap_or(u64::MAX)),
            ..self.of_plan(known, event, plan)
        }
    }

    fn of_plan(&self, known: &Known, event: Event, plan: &Plan) -> Message {
        Message {
            commit: plan.revision.commit().map(|commit| known.commit(commit)),
            changes: changes(plan),
            images: images(plan),
            ..self.message(known, event)
        }
    }
}

/// The same content fails in the same way; that both failed, the deploy and the way back, is more than one of them.
fn failed_key(commit: &str, desired: &DesiredDigest, event: Event) -> String {
    format!("failed {commit} {} {event:?}", desired.0)
}

/// What a plan changes, a line for each object, without any value.
fn changes(plan: &Plan) -> Vec<String> {
    let line = |change: &crate::plan::change::Change| {
        clean(&format!("{} {}: {}", change.operation.words(), change.name, change.why()), LINE)
    };
    let mut lines: Vec<String> = plan.changes.iter().take(NAMED).map(line).collect();
    let more = plan.changes.len().saturating_sub(NAMED);
    if more > 0 {
        lines.push(format!("and {more} more"));
    }
    lines
}

/// The images that a plan changes. They are in the repository for all who may read it, unless they are sensitive: then
/// no value is known here, and they are left out.
fn images(plan: &Plan) -> Vec<ImageChange> {
    let shown = |value: &FieldValue| match value {
        FieldValue::Word(text) | FieldValue::Quoted(text) => Some(clean(text, LINE)),
        FieldValue::List(_)
        | FieldValue::Bytes(_)
        | FieldValue::Time(_)
        | FieldValue::Switch(_)
        | FieldValue::Content { .. }
        | FieldValue::Sensitive(_) => None,
    };
    let services = plan.changes.iter().filter(|change| change.kind == Kind::Service);
    let all: BTreeSet<_> = services
        .flat_map(|change| {
            let fields = change.fields.iter().filter(|field| field.path.as_str() == "image");
            fields.filter_map(|field| {
                let before = field.before.as_ref().and_then(shown);
                Some((change.name.clone(), before, field.after.as_ref().and_then(shown)?))
            })
        })
        .collect();
    all.into_iter()
        .take(NAMED)
        .map(|(service, before, after)| ImageChange { service, before, after })
        .collect()
}
