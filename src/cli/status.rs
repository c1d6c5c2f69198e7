//! `status`: what runs, and whether it is what is wanted.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::args::Global;
use super::failure::ExitStatus;
use super::look::{Compared, Look, look};
use super::output::Output;
use super::words::{ago, count, moment, table};
use super::{agents, history, outcome, stuck};
use crate::agent::board::health;
use crate::agent::status::Health as OfStack;
use crate::apply::ledger::history::DeployRecord;
use crate::apply::ledger::memory::{Quarantined, Stable};
use crate::apply::ledger::orders::Pause;
use crate::apply::machine::Machine;
use crate::apply::machine::stuck::Stuck;
use crate::engine::docker::Docker;
use crate::model::desired::Desired;
use crate::model::live::{Health, Live, LiveContainer, Status};
use crate::model::name::{ContainerId, Instance};
use crate::model::window::Verdict;

/// Deploys that are looked through for what is quarantined.
const DEPLOYS_LOOKED_AT: u32 = 50;

pub(super) async fn status(global: &Global, output: Output) -> anyhow::Result<ExitStatus> {
    if agents::is_asked(global) {
        return agents::status(global, output).await;
    }
    let look = look(global, output).await?;
    let stuck = look.machine.stuck(&look.desired.stack).await.map_err(outcome::not_planned)?;
    let report = report(&look, stuck)?;
    if output.json {
        output.value(&report.to_json());
    } else {
        output.data(&report.to_text(look.machine.now()));
    }
    Ok(if report.stuck.is_some() { ExitStatus::RollbackFailed } else { ExitStatus::Done })
}

/// One container of the table, or one that is missing.
struct Row {
    tier: String,
    service: String,
    container: Option<String>,
    state: String,
    is_up: bool,
    image: String,
    since: Option<Timestamp>,
}

struct Report {
    stack: String,
    stable: Option<Stable>,
    last: Option<DeployRecord>,
    /// The deploy that left the stack half done.
    held: Option<DeployRecord>,
    /// The deploy that left it so because its way back has failed, and the ways out.
    stuck: Option<Stuck>,
    /// Until when the last deploy is watched.
    watched: Option<Timestamp>,
    health: (OfStack, Option<String>),
    paused: Option<Pause>,
    /// What the environment's windows say, where it has any.
    window: Option<Verdict>,
    quarantined: Vec<(DeployRecord, Quarantined)>,
    /// How many changes a plan would have and how many it only reports, or why there is none.
    sync: Result<(usize, usize), String>,
    rows: Vec<Row>,
    /// Stopped containers that a rollback could start again.
    kept: usize,
}

fn report(look: &Look, alarm: Option<Stuck>) -> anyhow::Result<Report> {
    let Look { machine, desired, compared, live } = look;
    let (stack, ledger) = (&desired.stack, machine.ledger());
    let records = ledger.history(stack, DEPLOYS_LOOKED_AT)?;
    let sync = match compared {
        Compared::Plan(plan) => Ok((plan.changes.len(), plan.reported.len())),
        Compared::Refused(_) => Err("the plan is refused".to_owned()),
        Compared::Not(why) => Err((*why).to_owned()),
    };
    let current = ledger.last_applied(stack)?.current;
    let serving: BTreeMap<&Instance, &ContainerId> =
        current.iter().map(|(instance, (container, _))| (instance, container)).collect();
    let (rows, kept) = rows(desired, live, &serving);
    let now = machine.now();
    Ok(Report {
        stack: stack.to_string(),
        stable: ledger.last_stable(stack)?,
        quarantined: quarantined(machine, desired, &records)?,
        last: records.into_iter().next(),
        held: ledger.held(stack)?,
        stuck: alarm,
        health: health(desired, live),
        paused: ledger.orders(stack)?.pause.filter(|pause| pause.until > now),
        window: (!desired.admission.windows.is_empty()).then(|| desired.admission.verdict(now)),
        watched: ledger.open_watch(stack)?.and_then(|open| open.until()),
        sync,
        rows,
        kept,
    })
}

/// What is quarantined, each with the latest deploy that tried it.
fn quarantined(
    machine: &Machine<Docker>,
    desired: &Desired,
    records: &[DeployRecord],
) -> anyhow::Result<Vec<(DeployRecord, Quarantined)>> {
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for record in records.iter().filter(|record| seen.insert(record.desired.clone())) {
        if let Some(entry) = machine.ledger().quarantined(&desired.stack, &record.desired)? {
            found.push((record.clone(), entry));
        }
    }
    Ok(found)
}

/// The containers that serve or run, by tier and service, and how many are only kept.
fn rows(desired: &Desired, live: &Live, serving: &BTreeMap<&Instance, &ContainerId>) -> (Vec<Row>, usize) {
    let mut rows: Vec<((usize, Instance), Row)> = Vec::new();
    let mut kept = 0;
    for container in live.containers.values() {
        let serves = serving.get(&container.instance) == Some(&&container.id);
        let idle = matches!(container.state.status, Status::Exited { .. } | Status::Created | Status::Dead);
        let is_wanted = desired.services.contains_key(&container.instance.service);
        if idle && !serves && (serving.contains_key(&container.instance) || !is_wanted) {
            kept += 1;
            continue;
        }
        rows.push((place(desired, &container.instance), row(desired, container, serves)));
    }
    let present: BTreeSet<Instance> = rows.iter().map(|((_, instance), _)| instance.clone()).collect();
    for service in desired.services.values() {
        for instance in service.instances().filter(|instance| !present.contains(instance)) {
            let row = Row {
                tier: service.tier.to_string(),
                service: service.name.to_string(),
                container: None,
                state: "missing".to_owned(),
                is_up: false,
                image: service.spec.image.to_string(),
                since: None,
            };
            rows.push((place(desired, &instance), row));
        }
    }
    rows.sort_by(|(a, _), (b, _)| a.cmp(b));
    (rows.into_iter().map(|(_, row)| row).collect(), kept)
}

fn place(desired: &Desired, instance: &Instance) -> (usize, Instance) {
    let service = desired.services.get(&instance.service);
    (service.map_or(usize::MAX, |service| desired.tier_rank(&service.tier)), instance.clone())
}

fn row(desired: &Desired, container: &LiveContainer, serves: bool) -> Row {
    let service = desired.services.get(&container.instance.service);
    let state = &container.state;
    let is_running = state.status == Status::Running;
    // Docker takes a whole interval for its first probe. What serves has passed its gate, which was faster.
    let health = state.health.filter(|health| is_running && !(serves && *health == Health::Starting));
    let words = health.map_or_else(|| state.status.to_string(), |health| health.to_string());
    let restarts = match state.restarts {
        0 => String::new(),
        1 => ", restarted once".to_owned(),
        times => format!(", restarted {times} times"),
    };
    Row {
        tier: service.map_or_else(|| "(in no manifest)".to_owned(), |service| service.tier.to_string()),
        service: container.instance.service.to_string(),
        container: Some(container.name.to_string()),
        state: format!("{words}{restarts}"),
        is_up: is_running && !matches!(health, Some(Health::Unhealthy | Health::Starting)),
        image: container.spec.image.name().to_string(),
        since: state.started_at.parse().ok().filter(|_| is_running),
    }
}

impl Report {
    fn to_text(&self, now: Timestamp) -> String {
        let up = self.rows.iter().filter(|row| row.is_up).count();
        let mut text = format!("{}   {} of {} up\n", self.stack, up, count(self.rows.len(), "container"));
        let mut line = |label: &str, words: String| {
            let _ = writeln!(text, "{label:<12}{words}");
        };
        match &self.stable {
            Some(stable) => {
                let (since, when) = (moment(stable.since), ago(stable.since, now));
                line("applied", format!("{} since {since}, {when}", stable.revision));
            }
            None => line("applied", "never deployed on this host".to_owned()),
        }
        if let Some(last) = &self.last {
            let why = last.failure.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
            let when = ago(last.began, now);
            line("last deploy", format!("{} {} {when}, by `{}`{why}", last.revision, last.state, last.actor));
        }
        if let (state, Some(why)) = &self.health {
            line("health", format!("{state}: {why}"));
        }
        if let Some(Pause { until, reason, by, since: _ }) = &self.paused {
            line("paused", format!("until {} by {by}: {reason}; `evenkeel resume` ends it", moment(*until)));
        }
        if let Some(window) = &self.window {
            line("window", window.to_string());
        }
        if let Some(held) = &self.held {
            let what = format!("{} is half done since {}", held.revision, moment(held.began));
            line("held", format!("{what}: push a fix, or go back: `evenkeel rollback`"));
        }
        if let Some(stuck) = &self.stuck {
            line("ALARM", stuck::headline(stuck));
            for way in stuck::ways_out(stuck) {
                line("", way);
            }
        }
        if let Some(until) = self.watched {
            let until = moment(until);
            line("watched", format!("until {until}: an agent or `apply --watch` goes back if it fails"));
        }
        match &self.sync {
            Ok((0, 0)) => line("manifests", "nothing to do".to_owned()),
            Ok((0, reported)) => {
                line("manifests", format!("nothing to do, {reported} only reported, see `evenkeel plan`"));
            }
            Ok((changes, _)) => line("manifests", format!("{changes} to change, see `evenkeel plan`")),
            Err(why) => line("manifests", format!("not compared: {why}")),
        }
        for (record, entry) in &self.quarantined {
            line("quarantined", format!("{} since {}: {}", record.revision, moment(entry.since), entry.why));
        }
        if self.kept > 0 {
            line("kept", format!("{} for a rollback", count(self.kept, "stopped container")));
        }
        text.push('\n');
        let cells = |row: &Row| {
            vec![
                row.tier.clone(),
                row.service.clone(),
                row.container.clone().unwrap_or_else(|| "-".to_owned()),
                row.state.clone(),
                row.since.map(|since| ago(since, now)).unwrap_or_default(),
                row.image.clone(),
            ]
        };
        let rows: Vec<Vec<String>> = self.rows.iter().map(cells).collect();
        text + &table(&["TIER", "SERVICE", "CONTAINER", "STATE", "STARTED", "IMAGE"], &rows)
    }

    fn to_json(&self) -> Value {
        let Self { stack, stable, last, held, stuck, watched, quarantined, sync, rows, kept, .. } = self;
        let Self { health: (health, unwell), paused, window, .. } = self;
        json!({
            "stack": stack,
            "applied": stable.as_ref().map(|Stable { revision, desired, since }| json!({
                "revision": revision.to_string(),
                "commit": revision.commit(),
                "desired": desired.0,
                "since": since.to_string(),
            })),
            "last_deploy": last.as_ref().map(history::to_json),
            "held": held.as_ref().map(history::to_json),
            "stuck": stuck.as_ref().map(stuck::to_json),
            "health": health,
            "health_reason": unwell,
            "paused": paused.as_ref().map(|pause| json!({
                "until": pause.until.to_string(),
                "reason": pause.reason,
                "by": pause.by,
                "since": pause.since.to_string(),
            })),
            "window": window.as_ref().map(ToString::to_string),
            "watched_until": watched.map(|until| until.to_string()),
            "changes": sync.as_ref().ok().map(|(changes, _)| changes),
            "reported": sync.as_ref().ok().map(|(_, reported)| reported),
            "not_compared": sync.as_ref().err(),
            "quarantined": quarantined.iter().map(|(record, entry)| json!({
                "revision": record.revision.to_string(),
                "commit": record.revision.commit(),
                "desired": entry.desired.0,
                "since": entry.since.to_string(),
                "why": entry.why,
            })).collect::<Vec<_>>(),
            "kept": kept,
            "containers": rows.iter().map(|row| json!({
                "tier": row.tier,
                "service": row.service,
                "container": row.container,
                "state": row.state,
                "up": row.is_up,
                "image": row.image,
                "started": row.since.map(|since| since.to_string()),
            })).collect::<Vec<_>>(),
        })
    }
}
