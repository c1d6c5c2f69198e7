//! Which files there are, and how they become one tree.
//!
//! However they were found, what comes out is completed and checked in the same way.

use std::collections::{BTreeMap, BTreeSet};

use super::language::environment::FromVariables;
use super::language::files::{FILE, Loading, Surroundings};
use super::language::places::Base;
use super::language::{check, complete, environment, graph, references};
use super::node::{Map, Node, Value};
use super::policy::EnvironmentPolicy;
use super::problem::{Problem, Problems};
use super::source::Span;
use super::variables::{Declared, stand_in};
use super::{Input, MissingVariables, Request, given_files, repository};
use crate::model::name::{EnvironmentName, StackName, TierName};
use crate::model::tree::RepoPath;

/// The tier of services where nothing says another.
const ONLY_TIER: &str = "services";
/// What stands for a value that only the host has.
const PLACEHOLDER: &str = "placeholder";

/// One tree of all files, and what goes with it.
#[derive(Debug)]
pub(crate) struct Composed {
    /// The whole in the long form, with nothing left unsaid.
    pub(crate) root: Map,
    /// What services say themselves where files of variables or labels say more, by name.
    pub(crate) unread: BTreeMap<String, Map>,
    /// The variables that configs and secrets are made from, by where they are named.
    pub(crate) given: FromVariables,
    /// The services that run.
    pub(crate) active: BTreeSet<String>,
    pub(crate) project: String,
    pub(crate) stack: StackName,
    pub(crate) environment: Option<EnvironmentName>,
    pub(crate) tiers: Vec<TierName>,
    /// The tier of a service by the folder of its file.
    pub(crate) folder_tiers: BTreeMap<String, TierName>,
    /// The tier of all others.
    pub(crate) default_tier: Option<TierName>,
    /// Active profiles, and where the repository says so.
    pub(crate) profiles: BTreeMap<String, Option<Span>>,
    /// What the environment says of all services.
    pub(crate) policy: EnvironmentPolicy,
    /// Files that are no Compose files, and what is wrong about that unless a service mounts them.
    pub(crate) foreign: Vec<(RepoPath, Problem)>,
    /// Where the reading began, for what is wrong with the whole.
    pub(crate) start: RepoPath,
}

/// Reads what is asked for.
pub(crate) fn collect(problems: &mut Problems, request: &Request<'_>, interpolate: bool) -> Option<Composed> {
    match &request.input {
        Input::Repository { environment } => {
            repository::repository(problems, request, environment, interpolate)
        }
        Input::Files(given) => given_files::files(problems, request, given, interpolate),
    }
}

/// What paths are relative to.
pub(crate) fn base(request: &Request<'_>, folder: String) -> Base {
    let home = request.host_variables.get("HOME").cloned().unwrap_or_else(|| "/".to_owned());
    Base { folder, home }
}

/// Completes and checks the merged tree.
pub(crate) fn finished(
    loading: &mut Loading<'_>,
    root: Node,
    around: &Surroundings<'_>,
    stack: &str,
    profiles: &BTreeMap<String, Option<Span>>,
) -> (Map, BTreeSet<String>, BTreeMap<String, Map>) {
    check::check(loading.problems, &root, &FILE, root.span);
    let mut root = into_map(root);
    complete::complete(&mut root, stack, &around.base);
    let active = complete::active(&root, &profiles.keys().cloned().collect());
    let problems = &mut *loading.problems;
    let mut unread = BTreeMap::new();
    for entry in complete::section(&mut root, "services").into_iter().flat_map(|map| &mut map.entries) {
        if let (true, Some(service)) = (active.contains(&entry.key.text), entry.value.as_map_mut()) {
            let files = ["env_file", "label_file"].iter().any(|key| service.get(key).is_some());
            if files {
                let own = ["environment", "labels"].iter().filter_map(|key| service.entry(key).cloned());
                unread.insert(entry.key.text.clone(), Map { entries: own.collect() });
            }
            environment::read_files(problems, loading.tree, service, &around.variables);
        }
    }
    check::names(problems, &root);
    check::resources(problems, &root);
    references::check(problems, &root, &active);
    graph::check(problems, &root, &active, around.variables.environment_file.is_some());
    (root, active, unread)
}

pub(crate) fn only_tier() -> Result<TierName, crate::model::name::NameError> {
    ONLY_TIER.parse()
}

pub(crate) fn placeholder(missing: MissingVariables) -> Option<&'static str> {
    match missing {
        MissingVariables::Refuse | MissingVariables::Outside => None,
        MissingVariables::Placeholder => Some(PLACEHOLDER),
    }
}

/// What stands for the values of the variables that only the host has.
pub(crate) fn outside(
    missing: MissingVariables,
    declared: &BTreeMap<String, Declared>,
) -> Option<BTreeMap<String, String>> {
    let from_host = declared.iter().filter(|(_, declared)| **declared == Declared::FromHost);
    (missing == MissingVariables::Outside)
        .then(|| from_host.map(|(name, _)| (name.clone(), stand_in(name))).collect())
}

pub(crate) fn into_map(root: Node) -> Map {
    match root.value {
        Value::Map(map) => map,
        Value::Null | Value::Scalar(_) | Value::List(_) => Map::default(),
    }
}
