//! `why NAME`: why something is as it is, or isn't: its state, what it waits for, what changed it last, and what is in
//! the way of the next change.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use anyhow::bail;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::args::{Global, WhyArgs};
use super::failure::ExitStatus;
use super::look::{Compared, Look, look};
use super::output::Output;
use super::words::{ago, moment};
use super::{history, outcome, stuck};
use crate::apply::ledger::history::{ChangeLine, DeployRecord};
use crate::apply::machine::Machine;
use crate::engine::docker::Docker;
use crate::model::desired::{Condition, Desired, Service};
use crate::model::live::{Health, Live, LiveContainer, Status};
use crate::model::name::ServiceName;
use crate::plan::change::{Change, Kind};

/// Deploys that are looked through for the last change.
const DEPLOYS_LOOKED_AT: u32 = 200;

/// Lines that are shown of what a container said last.
const WORDS_MAX: usize = 5;

pub(super) async fn why(global: &Global, args: &WhyArgs, output: Output) -> anyhow::Result<ExitStatus> {
    let Look { machine, desired, compared, live } = look(global, output).await?;
    let object = Object::find(&args.name, &desired, &live)?;
    let now = machine.now();
    let mut findings = Vec::new();
    if let Object { kind: Kind::Service, .. } = object {
        states(&machine, &object, (&desired, &live), now, &mut findings).await;
    }
    records(&machine, &desired, &object, now, &mut findings)?;
    if let Some(stuck) = machine.stuck(&desired.stack).await.map_err(outcome::not_planned)? {
        let mut finding = Finding::new("alarm", stuck::headline(&stuck));
        finding.more = stuck::ways_out(&stuck);
        findings.push(finding);
    }
    findings.push(difference(&compared, &object));
    if output.json {
        let found = findings.iter().map(Finding::to_json).collect::<Vec<_>>();
        output.value(&json!({"stack": desired.stack.as_str(), "kind": object.kind.to_string(),
            "name": object.name, "findings": found}));
    } else {
        output.data(&to_text(&object, &desired, &findings));
    }
    Ok(ExitStatus::Done)
}

/// What is asked about.
struct Object {
    kind: Kind,
    /// Its name in the manifests.
    name: String,
}

impl Object {
    fn find(name: &str, desired: &Desired, live: &Live) -> anyhow::Result<Self> {
        let of = |kind: Kind, name: &str| Ok(Self { kind, name: name.to_owned() });
        let container = live
            .containers
            .values()
            .find(|container| container.name.as_str() == name || container.instance.service.as_str() == name);
        if desired.services.keys().any(|service| service.as_str() == name) {
            return of(Kind::Service, name);
        }
        if let Some(container) = container {
            return of(Kind::Service, container.instance.service.as_str());
        }
        let networks = desired.networks.iter().map(|(key, spec)| (key.as_str(), spec.name.as_str()));
        let volumes = desired.volumes.iter().map(|(key, spec)| (key.as_str(), spec.name.as_str()));
        let networks = networks.map(|names| (Kind::Network, names));
        let mut others = networks.chain(volumes.map(|names| (Kind::Volume, names)));
        if let Some((kind, (key, _))) = others.find(|(_, (key, full))| [*key, *full].contains(&name)) {
            return of(kind, key);
        }
        let services: Vec<&str> = desired.services.keys().map(ServiceName::as_str).collect();
        bail!(
            "{} has no service, container, network or volume `{name}`; its services: {}",
            desired.stack,
            services.join(", ")
        )
    }

    fn is(&self, kind: &str, name: &str) -> bool {
        // A container of several bears a number behind the name of its service.
        let is_numbered = || {
            let rest = name.strip_prefix(&self.name).and_then(|rest| rest.strip_prefix('-'));
            rest.is_some_and(|rest| rest.chars().all(|digit| digit.is_ascii_digit()))
        };
        kind == self.kind.to_string() && (name == self.name || (self.kind == Kind::Service && is_numbered()))
    }
}

/// One thing that explains something.
struct Finding {
    /// What it is about, in a word.
    about: &'static str,
    text: String,
    /// Lines that belong to it.
    more: Vec<String>,
}

impl Finding {
    fn new(about: &'static str, text: impl Into<String>) -> Self {
        Self { about, text: text.into(), more: Vec::new() }
    }

    fn to_json(&self) -> Value {
        let Self { about, text, more } = self;
        json!({"about": about, "text": text, "lines": more})
    }
}

/// What its containers do, and what those that don't run wait for.
async fn states(
    machine: &Machine<Docker>,
    object: &Object,
    (desired, live): (&Desired, &Live),
    now: Timestamp,
    findings: &mut Vec<Finding>,
) {
    let service = desired.services.values().find(|service| service.name.as_str() == object.name);
    let of_service = live.containers.values().filter(|of| of.instance.service.as_str() == object.name);
    let mut containers: Vec<&LiveContainer> = of_service.collect();
    containers.sort_by_key(|container| (container.state.status != Status::Running, container.name.clone()));
    if containers.is_empty() {
        findings.push(Finding::new("state", "it has no container on this host"));
    }
    for container in &containers {
        let mut finding = Finding::new("state", state(container, now));
        let ails = matches!(container.state.health, Some(Health::Unhealthy | Health::Starting));
        let is_kept = container.state.status != Status::Running
            && containers
                .iter()
                .any(|other| other.instance == container.instance && other.state.status == Status::Running);
        if is_kept {
            finding.text.push_str("; kept for a rollback");
        } else if container.state.status != Status::Running || ails {
            let mut words = machine.last_words(&desired.stack, live, &container.id).await;
            finding.more = words.split_off(words.len().saturating_sub(WORDS_MAX));
        }
        findings.push(finding);
    }
    let runs = containers.iter().any(|container| container.state.status == Status::Running);
    match service {
        None => findings.push(Finding::new("manifests", "it is in no manifest")),
        Some(service) if !runs => findings.extend(waits(service, desired, live)),
        Some(_) => {}
    }
}

fn state(container: &LiveContainer, now: Timestamp) -> String {
    let state = &container.state;
    let words = match state.health {
        Some(health) if state.status == Status::Running => health.to_string(),
        Some(_) | None => state.status.to_string(),
    };
    let since = state.started_at.parse().ok().filter(|_| state.status == Status::Running);
    let since = since.map(|since| format!(", started {}", ago(since, now))).unwrap_or_default();
    let restarts = match state.restarts {
        0 => String::new(),
        1 => ", restarted once by Docker".to_owned(),
        times => format!(", restarted {times} times by Docker"),
    };
    format!("{} ({}) is {words}{since}{restarts}", container.name, container.id.short())
}

/// What must be so before it is started, and isn't.
fn waits(service: &Service, desired: &Desired, live: &Live) -> Vec<Finding> {
    let mut found = Vec::new();
    for (name, dependency) in &service.depends_on {
        if !desired.services.contains_key(name) {
            continue;
        }
        let of_service = || live.containers.values().filter(|of| of.instance.service == *name);
        let holds = of_service().any(|container| match dependency.condition {
            Condition::Started => container.state.status == Status::Running,
            Condition::Healthy => {
                container.state.status == Status::Running
                    && matches!(container.state.health, None | Some(Health::Healthy))
            }
            Condition::Completed => matches!(container.state.status, Status::Exited { code: 0, .. }),
        });
        if !holds {
            let must = match dependency.condition {
                Condition::Started => "must run",
                Condition::Healthy => "must be healthy",
                Condition::Completed => "must have ended well",
            };
            let is = of_service().next().map_or_else(
                || "has no container".to_owned(),
                |other| match other.state.health {
                    Some(health) if other.state.status == Status::Running => format!("is {health}"),
                    Some(_) | None => format!("is {}", other.state.status),
                },
            );
            found.push(Finding::new("waits", format!("for `{name}`, which {must} first and {is}")));
        }
    }
    found
}

/// What is on record: the deploy that changed it last, one that is under way, and what is quarantined, held or watched.
fn records(
    machine: &Machine<Docker>,
    desired: &Desired,
    object: &Object,
    now: Timestamp,
    findings: &mut Vec<Finding>,
) -> anyhow::Result<()> {
    let (ledger, stack) = (machine.ledger(), &desired.stack);
    let deploys = ledger.history(stack, DEPLOYS_LOOKED_AT)?;
    let change_in = |record: &DeployRecord| {
        record.changes.iter().find(|change| object.is(&change.kind, &change.name)).cloned()
    };
    match deploys.iter().find_map(|record| Some((record, change_in(record)?))) {
        Some((record, change)) => findings.push(last_change(record, &change, now)),
        None => findings.push(Finding::new("changed", "by no deploy that is on record")),
    }
    if let Some(open) = deploys.iter().find(|record| record.ended.is_none()) {
        let text = format!("a deploy of {} is {} since {}", open.revision, open.state, moment(open.began));
        let mut finding = Finding::new("deploy", format!("{text}, by `{}`", open.actor));
        let at_work = ledger.steps(&open.id)?.into_iter().filter(|step| step.ended.is_none());
        finding.more =
            at_work.map(|step| format!("{}, begun {}", step.words, ago(step.began, now))).collect();
        findings.push(finding);
    }
    let mut seen = BTreeSet::new();
    for record in deploys.iter().filter(|record| seen.insert(&record.desired)) {
        if let Some(entry) = ledger.quarantined(stack, &record.desired)? {
            let what = format!("{} since {}: {}", record.revision, moment(entry.since), entry.why);
            findings.push(Finding::new("quarantined", what));
        }
    }
    if let Some(held) = ledger.held(stack)? {
        let what = format!("{} is half done since {}", held.revision, moment(held.began));
        let text = format!("{what}: push a fix, or go back: `evenkeel rollback`");
        findings.push(Finding::new("held", text));
    }
    if let Some(open) = ledger.open_watch(stack)?
        && let Some((_, watched)) =
            open.watched.iter().find(|(instance, _)| instance.service.as_str() == object.name)
    {
        let text = format!("until {}: the stack goes back if it fails", moment(watched.until));
        findings.push(Finding::new("watched", text));
    }
    Ok(())
}

fn last_change(record: &DeployRecord, change: &ChangeLine, now: Timestamp) -> Finding {
    let why = if change.why.is_empty() { String::new() } else { format!(" for {}", change.why) };
    let ChangeLine { operation, .. } = change;
    let text = format!("{} by deploy {}: {operation}{why}", ago(record.began, now), record.id);
    let about = if history::went_well(record) { "changed" } else { "tried" };
    let mut finding = Finding::new(about, text);
    finding.more.push(format!("{}: {}, by `{}`", record.revision, record.state, record.actor));
    finding.more.extend(record.failure.iter().flat_map(|failure| failure.lines().map(str::to_owned)));
    finding
}

/// What the next plan would do about it.
fn difference(compared: &Compared, object: &Object) -> Finding {
    let plan = match compared {
        Compared::Not(why) => return Finding::new("now", format!("not compared: {why}")),
        Compared::Refused(refused) => {
            let mut finding = Finding::new("now", "the plan is refused, so nothing is changed");
            finding.more =
                refused.0.iter().map(|refusal| format!("{} ({})", refusal.what, refusal.hint)).collect();
            return finding;
        }
        Compared::Plan(plan) => plan,
    };
    let is_about = |change: &&Change| object.is(&change.kind.to_string(), &change.name);
    let line = |change: &Change| format!("{}: {}", change.operation.words(), change.why());
    let changes: Vec<String> = plan.changes.iter().filter(is_about).map(line).collect();
    let reported: Vec<String> = plan.reported.iter().filter(is_about).map(line).collect();
    let text = match (changes.is_empty(), reported.is_empty()) {
        (true, true) => "as the manifests want it",
        (false, _) => {
            "not as the manifests want it: `evenkeel plan` shows the values, `evenkeel apply` puts it right"
        }
        (true, false) => "not as the manifests want it, and by policy left so",
    };
    let mut finding = Finding::new("now", text);
    finding.more = [changes, reported].concat();
    finding
}

fn to_text(object: &Object, desired: &Desired, findings: &[Finding]) -> String {
    let service = desired.services.values().find(|service| service.name.as_str() == object.name);
    let tier = service.filter(|_| object.kind == Kind::Service);
    let tier = tier.map(|service| format!(", tier {}", service.tier)).unwrap_or_default();
    let mut text = format!("{} {} of {}{tier}\n", object.kind, object.name, desired.stack);
    let mut last = "";
    for Finding { about, text: said, more } in findings {
        let label = if *about == last { "" } else { about };
        last = about;
        let _ = writeln!(text, "{label:<12}{said}");
        for line in more {
            let _ = writeln!(text, "{:<12}  {line}", "");
        }
    }
    text
}
