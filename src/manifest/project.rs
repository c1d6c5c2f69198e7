//! `evenkeel.yaml` and `environment.yaml`: our own files, strictly typed.
//!
//! They pass the same scan as manifests, which bounds them and gives every key a place; `serde_yaml` then checks the
//! types. Texts are taken from the scan, for `serde_yaml` would read the variable `1.10` as 1.1.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::admission;
use super::diagnostic::Report;
use super::keys::{self, Keys};
use super::load;
use super::node::{Map, Node, Value};
use super::policy::{self, EnvironmentPolicy};
use super::problem::{Problem, Problems, suggestion};
use super::read;
use super::source::Span;
use super::variables::Declared;
use crate::model::name::{EnvironmentName, StackName, TierName};
use crate::model::tree::{EntryKind, FileTree, RepoPath, TreeError};

/// The file at the root of a configuration repository.
pub(crate) const PROJECT_FILE: &str = "evenkeel.yaml";
/// The folder of the environments.
pub(crate) const ENVIRONMENTS: &str = "environments";
/// The file of one environment.
pub(crate) const ENVIRONMENT_FILE: &str = "environment.yaml";

/// What `evenkeel.yaml` says.
#[derive(Debug)]
pub(crate) struct Project {
    pub(crate) name: String,
    pub(crate) tiers: Option<Tiers>,
}

/// Tiers in the order of application, and where that is said.
#[derive(Debug, Clone)]
pub(crate) struct Tiers {
    pub(crate) names: Vec<TierName>,
    pub(crate) span: Span,
}

/// What `environment.yaml` says.
#[derive(Debug)]
pub(crate) struct Environment {
    pub(crate) stack: Option<StackName>,
    pub(crate) variables: BTreeMap<String, Declared>,
    pub(crate) profiles: BTreeMap<String, Span>,
    pub(crate) tiers: Option<Tiers>,
    pub(crate) policy: EnvironmentPolicy,
}

/// The types of `evenkeel.yaml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProjectTypes {
    #[serde(rename = "project")]
    _project: String,
    #[serde(default, rename = "tiers")]
    _tiers: Option<Vec<String>>,
}

/// The types of `environment.yaml`. The values of variables are read from the scan.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EnvironmentTypes {
    #[serde(default, rename = "stack")]
    _stack: Option<String>,
    #[serde(default, rename = "variables")]
    _variables: Option<BTreeMap<String, serde_yaml::Value>>,
    #[serde(default, rename = "profiles")]
    _profiles: Option<Vec<String>>,
    #[serde(default, rename = "tiers")]
    _tiers: Option<Vec<String>>,
    #[serde(default, rename = "hosts")]
    _hosts: Option<Vec<String>>,
    #[serde(default, rename = "prune")]
    _prune: Option<bool>,
    // Read from the scan, which knows more forms of them.
    #[serde(default, rename = "drift")]
    _drift: Option<serde_yaml::Value>,
    #[serde(default, rename = "rollback")]
    _rollback: Option<serde_yaml::Value>,
    #[serde(default, rename = "watch")]
    _watch: Option<serde_yaml::Value>,
    #[serde(default, rename = "windows")]
    _windows: Option<serde_yaml::Value>,
    #[serde(default, rename = "approval")]
    _approval: Option<serde_yaml::Value>,
}

/// Reads `evenkeel.yaml`.
pub(crate) fn project(problems: &mut Problems, tree: &dyn FileTree) -> Option<Project> {
    let path = path(PROJECT_FILE);
    let bytes = match tree.read(&path) {
        Ok(file) => file.bytes,
        Err(TreeError::NotFound(_)) => {
            problems.add(
                Problem::error(
                    "no-project",
                    &path,
                    "this is not a configuration repository: it has no evenkeel.yaml",
                )
                .hint("`evenkeel init` lays one out; `-f compose.yaml` runs a single file without one"),
            );
            return None;
        }
        Err(error) => {
            problems.add(Problem::error("unreadable", &path, error.reason()));
            return None;
        }
    };
    let root = typed::<ProjectTypes>(problems, &path, bytes, &keys::PROJECT)?;
    let map = root.as_map()?;
    let Some(name) = map.get("project") else {
        let span = map.entry("project").map_or(root.span, |entry| entry.key.span);
        let problem = Problem::error("missing-value", span, "`project` has no value");
        problems.add(problem.hint("give the project a name: `project: shop`"));
        return None;
    };
    // The name is a part of the stack's name and has the same rules.
    let checked: StackName = read::parsed(problems, name, "bad-name", "a project name")?;
    Some(Project { name: checked.to_string(), tiers: tiers(problems, map) })
}

/// Reads `environments/<name>/environment.yaml`.
pub(crate) fn environment(
    problems: &mut Problems,
    tree: &dyn FileTree,
    name: &EnvironmentName,
) -> Option<Environment> {
    let file = environment_path(name);
    let bytes = match tree.read(&file) {
        Ok(file) => file.bytes,
        Err(TreeError::NotFound(_)) => {
            problems.add(no_environment(tree, name));
            return None;
        }
        Err(error) => {
            problems.add(Problem::error("unreadable", &file, error.reason()));
            return None;
        }
    };
    let root = typed::<EnvironmentTypes>(problems, &file, bytes, &keys::ENVIRONMENT)?;
    let map = root.as_map()?;
    let stack = map.get("stack").and_then(|node| read::parsed(problems, node, "bad-name", "a stack name"));
    let profiles = map.get("profiles").and_then(|node| read::list(problems, node)).unwrap_or_default();
    let profile = |node: &Node| read::text(problems, node).map(|scalar| (scalar.text.clone(), node.span));
    let profiles = profiles.iter().filter_map(profile).collect();
    let variables = map.get("variables").map(|node| variables(problems, node)).unwrap_or_default();
    let policy = environment_policy(problems, map);
    Some(Environment { stack, variables, profiles, tiers: tiers(problems, map), policy })
}

fn environment_policy(problems: &mut Problems, map: &Map) -> EnvironmentPolicy {
    let said = |key: &str| map.entry(key).filter(|entry| !matches!(entry.value.value, Value::Null));
    EnvironmentPolicy {
        drift: said("drift").and_then(|entry| policy::drift(problems, &entry.value)).unwrap_or_default(),
        rollback: said("rollback")
            .and_then(|entry| policy::rollback(problems, &entry.value))
            .unwrap_or_default(),
        watch: said("watch").and_then(|entry| policy::watch(problems, &entry.value)),
        hosts: said("hosts").map(|entry| policy::hosts(problems, entry)).unwrap_or_default(),
        prune: said("prune").map(|entry| policy::prune(problems, &entry.value)).unwrap_or_default(),
        admission: admission::admission(problems, map),
    }
}

/// Where the file of an environment is.
pub(crate) fn environment_path(name: &EnvironmentName) -> RepoPath {
    path(&format!("{ENVIRONMENTS}/{name}/{ENVIRONMENT_FILE}"))
}

/// The environments of a repository, by name.
pub(crate) fn environments(tree: &dyn FileTree) -> Result<Vec<EnvironmentName>, Report> {
    let folder = path(ENVIRONMENTS);
    let mut problems = Problems::default();
    let mut names = Vec::new();
    match tree.list(&folder) {
        Ok(entries) => {
            for entry in entries.iter().filter(|entry| entry.kind == EntryKind::Folder) {
                match entry.name.parse() {
                    Ok(name) => names.push(name),
                    Err(error) => problems.add(Problem::error("bad-name", &folder, format!("{error}"))),
                }
            }
        }
        Err(TreeError::NotFound(_)) => {}
        Err(error) => problems.add(Problem::error("unreadable", &folder, error.reason())),
    }
    if names.is_empty() && !problems.has_errors() {
        problems.add(
            Problem::error("no-environment", &folder, "the repository has no environments")
                .hint("`evenkeel init` lays them out: each is a folder with an environment.yaml"),
        );
    }
    problems.finish().map(|_| names)
}

fn no_environment(tree: &dyn FileTree, name: &EnvironmentName) -> Problem {
    let folder = path(&format!("{ENVIRONMENTS}/{name}"));
    if tree.list(&folder).is_ok() {
        return Problem::error(
            "no-environment",
            &folder,
            format!("the environment `{name}` has no environment.yaml"),
        )
        .hint("it may be empty but must be there");
    }
    let known = environments(tree).unwrap_or_default();
    let message = format!("there is no environment `{name}`");
    let problem = Problem::error("no-environment", &folder, message);
    match suggestion(name.as_str(), known.iter().map(EnvironmentName::as_str)) {
        Some(hint) => problem.hint(hint),
        None => {
            problem.hint(format!("it would be the folder {ENVIRONMENTS}/{name}, with an environment.yaml"))
        }
    }
}

fn path(text: &str) -> RepoPath {
    RepoPath::root().join(text).unwrap_or_default()
}

/// Scans one of our own files and checks its keys. An empty file is an empty mapping.
pub(super) fn scanned(problems: &mut Problems, path: &RepoPath, bytes: Vec<u8>, keys: &Keys) -> Option<Node> {
    let mut root = load::load(problems, path, bytes)?;
    if matches!(root.value, Value::Null) {
        root.value = Value::Map(Map::default());
    }
    read::checked_map(problems, &root, keys)?;
    Some(root)
}

/// Scans a file, checks its keys, then its types.
fn typed<T: DeserializeOwned>(
    problems: &mut Problems,
    path: &RepoPath,
    bytes: Vec<u8>,
    keys: &Keys,
) -> Option<Node> {
    let root = scanned(problems, path, bytes, keys)?;
    let map = root.as_map()?;
    let known = map.entries.iter().all(|entry| keys.known.contains(&entry.key.text.as_str()));
    let text = problems.sources.get(root.span.source)?.text.clone();
    // An empty document is null to serde_yaml, which a mapping without its required keys says better.
    let text = if map.entries.is_empty() { "{}".to_owned() } else { text };
    let decoded: Result<T, _> = serde_path_to_error::deserialize(serde_yaml::Deserializer::from_str(&text));
    match decoded {
        Ok(_) => Some(root),
        // What is wrong was noted, and the rest may still be looked at.
        Err(_) if !known => Some(root),
        Err(error) => {
            let node = located(&root, error.path());
            let problem = in_our_words(&error.inner().to_string(), node, keys.of);
            problems.add(problem);
            None
        }
    }
}

/// What `serde_yaml` says, without its path and place, which are shown better, and with YAML's names of things.
fn in_our_words(said: &str, node: &Node, file: &str) -> Problem {
    let said = said.split(" at line ").next().unwrap_or(said);
    if let Some((_, key)) = said.split_once("missing field ") {
        return Problem::error("missing-key", node.span, format!("{file} has no {key}"));
    }
    if said.contains("unknown field") {
        // The scan knows all keys but this one, which it has replaced by what it stands for.
        return Problem::error("merge-key", node.span, format!("{file} can't have a merge key at its top"))
            .hint("write the keys out");
    }
    if let Some((_, wanted)) = said.split_once(", expected ") {
        let wanted = wanted.replace("a sequence", "a list").replace("a map", "a mapping");
        return read::wrong_type(node, &wanted);
    }
    Problem::error("wrong-type", node.span, said)
}

/// The place of the value that an error is about, or of the nearest one around it.
fn located<'n>(root: &'n Node, path: &serde_path_to_error::Path) -> &'n Node {
    let mut node = root;
    for segment in path {
        let next = match (segment, &node.value) {
            (serde_path_to_error::Segment::Map { key }, Value::Map(map)) => {
                map.entry(key).map(|entry| &entry.value)
            }
            (serde_path_to_error::Segment::Seq { index }, Value::List(items)) => items.get(*index),
            _ => None,
        };
        match next {
            Some(next) => node = next,
            None => break,
        }
    }
    node
}

fn tiers(problems: &mut Problems, map: &Map) -> Option<Tiers> {
    let entry = map.entry("tiers")?;
    let mut names: Vec<(TierName, Span)> = Vec::new();
    for node in read::list(problems, &entry.value)? {
        let Some(name) = read::parsed::<TierName>(problems, node, "bad-name", "a tier name") else {
            continue;
        };
        match names.iter().find(|(known, _)| *known == name) {
            Some((_, first)) => problems.add(
                Problem::error("duplicate-tier", node.span, format!("the tier `{name}` is there twice"))
                    .related(*first, "first here"),
            ),
            None => names.push((name, node.span)),
        }
    }
    Some(Tiers { names: names.into_iter().map(|(name, _)| name).collect(), span: entry.key.span })
}

fn variables(problems: &mut Problems, node: &Node) -> BTreeMap<String, Declared> {
    let mut declared = BTreeMap::new();
    let Some(map) = read::map(problems, node) else { return declared };
    for entry in &map.entries {
        let name = entry.key.text.clone();
        let starts_well = !name.starts_with(|c: char| c.is_ascii_digit()) && !name.is_empty();
        if !starts_well || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            let message =
                "a variable's name has only letters, digits and `_`, and does not begin with a digit";
            problems.add(Problem::error("bad-name", entry.key.span, message));
            continue;
        }
        if let Some(variable) = variable(problems, &entry.value, entry.key.span) {
            declared.insert(name, variable);
        }
    }
    declared
}

fn variable(problems: &mut Problems, node: &Node, key: Span) -> Option<Declared> {
    match &node.value {
        Value::Scalar(scalar) => Some(Declared::Value(scalar.text.clone())),
        Value::Map(map) => {
            let from = map.get("from").and_then(Node::as_scalar);
            let from_host = from.is_some_and(|from| from.text == "host");
            if from_host && map.entries.len() == 1 {
                return Some(Declared::FromHost);
            }
            problems.add(
                Problem::error("variable", node.span, "a variable is a value or `{from: host}`")
                    .hint("`{from: host}` takes it from the environment of the process, as for a password"),
            );
            None
        }
        Value::Null => {
            problems.add(
                Problem::error("variable", key, "this variable has no value")
                    .hint("write `\"\"` for an empty one, or `{from: host}`"),
            );
            None
        }
        Value::List(_) => {
            problems.add(read::wrong_type(node, "a value"));
            None
        }
    }
}
