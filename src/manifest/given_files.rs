//! Compose files that are given by their names, the later merged over the earlier, as Compose does with several `-f`.

use std::collections::BTreeMap;

use super::collect::{Composed, base, finished, only_tier, outside, placeholder};
use super::compose_file;
use super::dotenv::{self, File, Format, Held};
use super::language::environment;
use super::language::files::{Loading, Surroundings, put};
use super::language::places;
use super::node::{Node, Taint};
use super::policy::EnvironmentPolicy;
use super::problem::{Problem, Problems};
use super::source::Span;
use super::variables::{Lookup, Variables};
use super::{Given, Request};
use crate::model::name::StackName;
use crate::model::tree::{RepoPath, TreeError};

/// Reads single files, the later merged over the earlier.
pub(crate) fn files(
    problems: &mut Problems,
    request: &Request<'_>,
    given: &Given,
    interpolate: bool,
) -> Option<Composed> {
    let Given { files, project, default_project, folder, env_files, profiles } = given;
    let Some(first) = files.first() else {
        problems.add(Problem::error("no-files", &RepoPath::root(), "no Compose file is given"));
        return None;
    };
    let folder = folder.clone().unwrap_or_else(|| first.parent());
    let variables = Variables {
        own: BTreeMap::new(),
        declared: BTreeMap::new(),
        host: request.host_variables,
        dotenv: dotenv(problems, request, &folder, env_files),
        placeholder: placeholder(request.missing),
        outside: outside(request.missing, &BTreeMap::new()),
        environment_file: None,
    };
    let base = base(request, places::join(".", folder.as_str()));
    let mut around = Surroundings { base, variables, trail: Vec::new() };
    let mut loading = Loading {
        problems,
        tree: request.tree,
        interpolate,
        included: 0,
        given: environment::FromVariables::new(),
    };
    let read: Vec<(&RepoPath, Vec<Node>)> =
        files.iter().filter_map(|path| Some((path, loading.documents(path)?))).collect();
    let documents = || read.iter().flat_map(|(_, documents)| documents);
    let stack = stack_of(
        loading.problems,
        &around.variables,
        documents().collect(),
        (project.as_deref(), default_project),
    )?;
    around.variables.own.insert("COMPOSE_PROJECT_NAME".to_owned(), stack.to_string());
    let mut root: Option<Node> = None;
    for (path, documents) in read {
        for document in documents {
            if let Some(mut file) = loading.document(document, path, &around) {
                if let Some(map) = file.as_map_mut() {
                    compose_file::inherit(loading.problems, map);
                }
                put(&mut root, file);
            }
        }
    }
    let mut root = root?;
    environment::take_over(loading.problems, &mut root, &around.variables, &mut loading.given);
    let tier = only_tier().ok()?;
    let profiles = wanted_profiles(profiles, &around.variables);
    let (root, active, unread) = finished(&mut loading, root, &around, stack.as_str(), &profiles);
    Some(Composed {
        root,
        unread,
        given: loading.given,
        active,
        project: stack.to_string(),
        stack,
        environment: None,
        tiers: vec![tier.clone()],
        folder_tiers: BTreeMap::new(),
        default_tier: Some(tier),
        profiles,
        policy: EnvironmentPolicy::default(),
        foreign: Vec::new(),
        start: first.clone(),
    })
}

/// The profiles that are named, else those of `COMPOSE_PROFILES`.
fn wanted_profiles(given: &[String], variables: &Variables<'_>) -> BTreeMap<String, Option<Span>> {
    let mut profiles: BTreeMap<String, _> = given.iter().map(|name| (name.clone(), None)).collect();
    if let (true, Lookup::Known { text, taint: _ }) =
        (profiles.is_empty(), variables.lookup("COMPOSE_PROFILES"))
    {
        let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
        profiles.extend(names.map(|name| (name.to_owned(), None)));
    }
    profiles
}

/// The variables of the files that are named, or of `.env` in the folder, which need not be there.
fn dotenv(
    problems: &mut Problems,
    request: &Request<'_>,
    folder: &RepoPath,
    env_files: &[RepoPath],
) -> BTreeMap<String, String> {
    let beside = folder.join(".env").ok().filter(|_| env_files.is_empty());
    let mut known = BTreeMap::new();
    for path in env_files.iter().chain(&beside) {
        let bytes = match request.tree.read(path) {
            Ok(file) => file.bytes,
            Err(TreeError::NotFound(_)) if env_files.is_empty() => continue,
            Err(error) => {
                problems.add(Problem::error("unreadable", path, error.reason()));
                continue;
            }
        };
        let file = File { path, bytes: &bytes, format: Format::Dotenv, taint: Taint::Sensitive };
        let host =
            |name: &str| request.host_variables.get(name).map(|text| (text.as_str(), Taint::Sensitive));
        dotenv::read(problems, &file, &host, &mut known);
    }
    known.into_iter().map(|(name, Held { text, taint: _ })| (name, text)).collect()
}

/// The stack's name, as with Compose: `COMPOSE_PROJECT_NAME`, else `name` of the last file that says one, else the
/// default; the latter two made fit.
fn stack_of(
    problems: &mut Problems,
    variables: &Variables<'_>,
    files: Vec<&Node>,
    (given, default_project): (Option<&str>, &str),
) -> Option<StackName> {
    let set = match variables.lookup("COMPOSE_PROJECT_NAME") {
        Lookup::Known { text, taint: _ } if !text.is_empty() => Some(text.to_owned()),
        Lookup::Known { .. } | Lookup::Unknown => None,
    };
    let filled = |node: &&Node| node.as_scalar().is_none_or(|scalar| !scalar.text.is_empty());
    let said = files.into_iter().rev().find_map(|file| file.as_map()?.get("name").filter(filled));
    let said = said.and_then(|node| {
        let mut node = node.clone();
        super::interpolate::fill(problems, variables, &mut node);
        // What is no text is refused where the file is read.
        node.as_scalar().map(|scalar| fit(&scalar.text))
    });
    let parsed = given.map(str::to_owned).or(set).or(said).unwrap_or_else(|| fit(default_project)).parse();
    if let Err(error) = &parsed {
        problems.add(
            Problem::error("bad-name", &RepoPath::root(), format!("the project has no usable name: {error}"))
                .hint("give `name` at the top of the file"),
        );
    }
    parsed.ok()
}

fn fit(name: &str) -> String {
    let kept = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-');
    let name: String = name.to_lowercase().chars().filter(|c| kept(*c)).collect();
    name.trim_start_matches(['_', '-']).to_owned()
}
