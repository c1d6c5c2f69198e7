//! What is done about drift, how a failed deploy returns, which hosts a stack is for: read alike from `x-evenkeel` and
//! from environment.yaml.

use std::time::Duration;

use super::node::{Entry, Node, Value};
use super::problem::{Problem, Problems, nearest};
use super::read;
use super::source::Span;
use crate::model::desired::Prune;
use crate::model::place::HostSelector;
use crate::model::policy::{ALL, Drift, FIELDS, OPEN_FIELDS, Rollback, Treatment, is_field};
use crate::model::window::Admission;

/// What an environment says of all of its services.
#[derive(Debug, Default)]
pub(crate) struct EnvironmentPolicy {
    pub(crate) drift: Drift,
    pub(crate) rollback: Rollback,
    pub(crate) watch: Option<Duration>,
    pub(crate) hosts: Vec<HostSelector>,
    pub(crate) prune: Prune,
    pub(crate) admission: Admission,
}

/// Short and other names of fields, with what a plan calls them.
const SYNONYMS: [(&str, &str); 8] = [
    ("env", "environment"),
    ("mem_limit", "deploy.resources.limits.memory"),
    ("memory", "deploy.resources.limits.memory"),
    ("mem_reservation", "deploy.resources.reservations.memory"),
    ("cpus", "deploy.resources.limits.cpus"),
    ("pids_limit", "deploy.resources.limits.pids"),
    ("resources", "deploy.resources"),
    ("running", "state"),
];

/// What several fields have in common.
const GROUPS: [&str; 4] = ["deploy.resources", "deploy.resources.limits", "healthcheck", "logging"];

/// How drift is treated: one word for all fields, or a mapping of fields.
pub(crate) fn drift(problems: &mut Problems, node: &Node) -> Option<Drift> {
    let map = match &node.value {
        Value::Scalar(_) => return read::word(problems, node, &Treatment::WORDS).map(Drift::all),
        Value::Map(map) => map,
        Value::Null | Value::List(_) => {
            problems.add(read::wrong_type(node, "`repair`, `report`, `ignore` or a mapping of fields"));
            return None;
        }
    };
    let mut drift = Drift::default();
    let mut seen: Vec<(String, Span)> = Vec::new();
    for entry in &map.entries {
        let path = long(&entry.key.text);
        if path != ALL && (!is_field(&path) || path.ends_with(".*")) {
            problems.add(unknown(problems, entry));
            continue;
        }
        if let Some((_, first)) = seen.iter().find(|(known, _)| *known == path) {
            let message = format!("the field `{path}` is there twice");
            problems.add(
                Problem::error("duplicate-field", entry.key.span, message).related(*first, "first here"),
            );
            continue;
        }
        if let Some(treatment) = read::word(problems, &entry.value, &Treatment::WORDS) {
            drift.set(path.clone(), treatment);
        }
        seen.push((path, entry.key.span));
    }
    Some(drift)
}

/// The path of a field in full: `env.A` is short for `environment.A`.
fn long(path: &str) -> String {
    match path.strip_prefix("env") {
        Some(rest) if rest.is_empty() || rest.starts_with('.') => format!("environment{rest}"),
        Some(_) | None => path.to_owned(),
    }
}

fn unknown(problems: &Problems, entry: &Entry) -> Problem {
    let path = entry.key.text.as_str();
    let problem = Problem::error("unknown-field", entry.key.span, format!("a plan has no field `{path}`"));
    let usual =
        "fields are called as in a plan: `env.LOG_LEVEL`, `deploy.resources`, `state`; `\"*\"` is all others";
    if !problems.wants_hints() {
        return problem.hint(usual);
    }
    problem.hint(meant(path).map_or_else(|| usual.to_owned(), |meant| format!("did you mean `{meant}`?")))
}

/// The field that is probably meant.
fn meant(path: &str) -> Option<String> {
    let (first, rest) = path.split_once('.').map_or((path, ""), |(first, rest)| (first, rest));
    if matches!(rest, "*" | "") && is_field(&long(first)) {
        return Some(first.to_owned());
    }
    if let Some((_, field)) = SYNONYMS.iter().find(|(synonym, _)| *synonym == path) {
        return Some((*field).to_owned());
    }
    let open = OPEN_FIELDS.iter().copied().filter(|_| !rest.is_empty());
    if let Some(group) = nearest(first, open) {
        return Some(format!("{group}.{rest}"));
    }
    nearest(path, FIELDS.iter().chain(&OPEN_FIELDS).chain(&GROUPS).copied()).map(str::to_owned)
}

/// Reads `rollback`.
pub(crate) fn rollback(problems: &mut Problems, node: &Node) -> Option<Rollback> {
    read::word(problems, node, &Rollback::WORDS)
}

/// Reads `watch`. No time at all is as good as none, and takes back what is said elsewhere.
pub(crate) fn watch(problems: &mut Problems, node: &Node) -> Option<Duration> {
    read::duration(problems, node)
}

/// Reads `hosts`: names and labels, one of which a host must bear.
pub(crate) fn hosts(problems: &mut Problems, entry: &Entry) -> Vec<HostSelector> {
    let Some(items) = read::list(problems, &entry.value) else { return Vec::new() };
    if items.is_empty() {
        let problem = Problem::error("no-hosts", entry.key.span, "`hosts` names no host");
        problems.add(problem.hint("leave it out where every host may have this environment"));
    }
    let mut hosts: Vec<(HostSelector, Span)> = Vec::new();
    for item in items {
        let Some(host) = read::parsed::<HostSelector>(problems, item, "bad-host", "a host") else { continue };
        match hosts.iter().find(|(known, _)| *known == host) {
            Some((_, first)) => problems.add(
                Problem::error("duplicate-host", item.span, format!("the host `{host}` is there twice"))
                    .related(*first, "first here"),
            ),
            None => hosts.push((host, item.span)),
        }
    }
    hosts.into_iter().map(|(host, _)| host).collect()
}

/// Reads `prune`.
pub(crate) fn prune(problems: &mut Problems, node: &Node) -> Prune {
    match read::boolean(problems, node) {
        Some(true) | None => Prune::Remove,
        Some(false) => Prune::Report,
    }
}

#[cfg(test)]
mod tests {
    use super::{long, meant};

    #[test]
    fn a_field_that_is_no_field_is_corrected() {
        for (path, field) in [
            ("enviroment.A", Some("environment.A")),
            ("environment.", Some("environment")),
            ("env.*", Some("env")),
            ("mem_limit", Some("deploy.resources.limits.memory")),
            ("restrat", Some("restart")),
            ("deploy.resource", Some("deploy.resources")),
            ("colour", None),
        ] {
            assert_eq!(meant(path).as_deref(), field, "{path}");
        }
    }

    #[test]
    fn the_environment_has_a_short_name() {
        assert_eq!((long("env.A").as_str(), long("env").as_str()), ("environment.A", "environment"));
        assert_eq!(long("envy"), "envy");
    }
}
