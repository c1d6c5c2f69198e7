//! The summary of a day, for those who want one: what was deployed, what failed, and what is wrong now.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, Zoned};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::message::{Event, Message};
use super::outbox::{Mark, Outbox};
use super::text::clean;
use crate::agent::desk::Desk;
use crate::agent::status::{StackState, Sync};
use crate::apply::ledger::history::DeployRecord;
use crate::manifest::{Notify, Routing};

/// A summary that could not be sent in time, since the agent did not run, is sent within this, or not at all.
const LATE: SignedDuration = SignedDuration::from_hours(1);
/// The longest sleep: the host's clock may be set meanwhile.
const LONGEST: Duration = Duration::from_secs(10 * 60);
/// Deploys that are read of each stack.
const DEPLOYS: u32 = 1000;

/// Writes the summary of each day, for everybody at the time that it has said, until `stop` is cancelled.
pub async fn digests(outbox: Arc<Outbox>, desk: Arc<Desk>, stop: CancellationToken) {
    let zone = TimeZone::system();
    loop {
        let now = outbox.now().to_zoned(zone.clone());
        let mut pause = LONGEST;
        for one in outbox.receivers().iter() {
            let Some(time) = one.routing.digest else { continue };
            if let Some(day) = due(&now, time) {
                // It is written once: its key has the day.
                write(&outbox, &desk, one, day);
            }
            pause = pause.min(until(&now, time));
        }
        tokio::select! {
            // Cancel-safe: a cancelled token stays cancelled.
            () = stop.cancelled() => return,
            // Cancel-safe: it is computed again.
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// The day whose summary is due now.
fn due(now: &Zoned, time: (i8, i8)) -> Option<Date> {
    let at = moment(now.date(), time, now)?;
    let late = now.timestamp().duration_since(at);
    (late >= SignedDuration::ZERO && late < LATE).then(|| now.date())
}

/// How long it is until the next summary.
fn until(now: &Zoned, time: (i8, i8)) -> Duration {
    let days = [Some(now.date()), now.date().tomorrow().ok()];
    let moments = days.into_iter().flatten().filter_map(|day| moment(day, time, now));
    let next = moments.filter(|at| *at > now.timestamp()).min();
    next.map_or(LONGEST, |at| at.duration_since(now.timestamp()).unsigned_abs())
}

/// When the clock on the wall shows this time. On a day that hasn't it, when it is skipped.
fn moment(day: Date, (hour, minute): (i8, i8), now: &Zoned) -> Option<Timestamp> {
    let time = Time::new(hour, minute, 0, 0).ok()?;
    day.to_datetime(time).to_zoned(now.time_zone().clone()).ok().map(|zoned| zoned.timestamp())
}

fn write(outbox: &Outbox, desk: &Desk, one: &Notify, day: Date) {
    let now = outbox.now();
    let day_before = now.checked_sub(SignedDuration::from_hours(24)).unwrap_or(Timestamp::MIN);
    let mut lines = Vec::new();
    for stand in desk.stands() {
        let state = stand.board.state();
        if !is_wanted(&one.routing, &state) {
            continue;
        }
        let stack = state.stack.as_deref().and_then(|stack| stack.parse().ok());
        let history = stack.map(|stack| desk.ledger().history(&stack, DEPLOYS)).transpose();
        let history = history.unwrap_or_else(|error| {
            warn!(%error, "the summary of the day has no deploys");
            None
        });
        lines.push(line(&state, &history.unwrap_or_default(), day_before));
    }
    let cause = format!("the 24 hours until {}", now.to_zoned(TimeZone::system()).strftime("%F %R %Z"));
    let message = Message {
        cause: Some(cause),
        changes: lines,
        ..Message::of(Event::Digest, &clean(outbox.host(), 63), now)
    };
    let key = format!("digest {day}");
    outbox.announce_to(&message, Mark::of(&key), |other| other.name == one.name);
}

fn is_wanted(routing: &Routing, state: &StackState) -> bool {
    let environment = routing.environments.iter().any(|name| name.as_str() == state.environment);
    let stack = state.stack.as_deref();
    let is_stack = routing.stacks.iter().any(|name| Some(name.as_str()) == stack);
    (routing.environments.is_empty() || environment) && (routing.stacks.is_empty() || is_stack)
}

/// `shop-prod: in sync, healthy; 3 deployed, 1 rolled back`
fn line(state: &StackState, history: &[DeployRecord], since: Timestamp) -> String {
    let name = state.stack.as_deref().unwrap_or(&state.environment);
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for record in history.iter().filter(|record| record.began >= since) {
        *counts.entry(record.state.to_string()).or_default() += 1;
    }
    let mut parts: Vec<String> = counts.iter().map(|(state, count)| format!("{count} {state}")).collect();
    if parts.is_empty() {
        parts.push("no deploys".to_owned());
    }
    if let Some(held) = &state.revisions.held {
        parts.push(format!("held: {}", clean(&held.reason, 120)));
    }
    if let Some(reason) = state.sync.reason.as_deref().filter(|_| state.sync.state != Sync::InSync) {
        parts.push(clean(reason, 120));
    }
    format!("{name}: {}, {}; {}", state.sync.state, state.health.state, parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Zoned {
        text.parse().unwrap()
    }

    #[test]
    fn a_summary_is_due_once_a_day_and_not_long_after() {
        for (now, expected) in [
            ("2026-03-28T07:59:59+01:00[Europe/Berlin]", None),
            ("2026-03-28T08:00:00+01:00[Europe/Berlin]", Some("2026-03-28")),
            ("2026-03-28T08:59:00+01:00[Europe/Berlin]", Some("2026-03-28")),
            ("2026-03-28T09:00:00+01:00[Europe/Berlin]", None),
        ] {
            let found = due(&at(now), (8, 0)).map(|day| day.to_string());
            assert_eq!(found.as_deref(), expected, "{now}");
        }
    }

    #[test]
    fn the_clock_on_the_wall_counts() {
        // In the night to the 29th an hour is skipped.
        let evening = at("2026-03-28T20:00:00+01:00[Europe/Berlin]");
        assert_eq!(until(&evening, (8, 0)), Duration::from_secs(11 * 60 * 60));
        assert_eq!(until(&evening, (21, 30)), Duration::from_secs(90 * 60));
        let skipped = until(&at("2026-03-29T01:00:00+01:00[Europe/Berlin]"), (2, 30));
        assert!(skipped < Duration::from_secs(3 * 60 * 60), "{skipped:?}");
    }
}
