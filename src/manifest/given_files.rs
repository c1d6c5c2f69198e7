//! Compose files that are given by their names, the later merged over the earlier, as Compose does with several `-f`.

use std::collections::BTreeMap;

use super::collect::{Composed, base, finished, only_tier, placeholder};
use super::compose_file;
use super::language::environment;
use super::language::files::{Loading, Surroundings, put};
use super::language::places;
use super::node::Node;
use super::problem::{Problem, Problems};
use super::variables::{Lookup, Variables};
use super::{Request, dotenv};
use crate::model::name::StackName;
use crate::model::tree::{RepoPath, TreeError};

/// Reads single files, the later merged over the earlier.
pub(crate) fn files(
    problems: &mut Problems,
    request: &Request<'_>,
    (files, default_project): (&[RepoPath], &str),
    interpolate: bool,
) -> Option<Composed> {
    let Some(first) = files.first() else {
        problems.add(Problem::error("no-files", &RepoPath::root(), "no Compose file is given"));
        return None;
    };
    let folder = first.parent();
    let variables = Variables {
        own: BTreeMap::new(),
        declared: BTreeMap::new(),
        host: request.host_variables,
        dotenv: dotenv_beside(problems, request, &folder),
        placeholder: placeholder(request.missing),
        environment_file: None,
    };
    let base = base(request, places::join(".", folder.as_str()));
    let mut around = Surroundings { base, variables, trail: Vec::new() };
    let mut loading = Loading { problems, tree: request.tree, interpolate };
    let read: Vec<(&RepoPath, Vec<Node>)> =
        files.iter().filter_map(|path| Some((path, loading.documents(path)?))).collect();
    let documents = || read.iter().flat_map(|(_, documents)| documents);
    let stack = stack_of(loading.problems, &around.variables, documents().collect(), default_project)?;
    around.variables.own.insert("COMPOSE_PROJECT_NAME".to_owned(), stack.to_string());
    let mut root: Option<Node> = None;
    for (path, documents) in read {
        for document in documents {
            if let Some(mut file) = loading.document(document, path, &around) {
                if let Some(map) = file.as_map_mut() {
                    compose_file::inherit(map);
                }
                put(&mut root, file);
            }
        }
    }
    let mut root = root?;
    environment::take_over(&mut root, &around.variables);
    let tier = only_tier().ok()?;
    let profiles = match around.variables.lookup("COMPOSE_PROFILES") {
        Lookup::Known { text, taint: _ } => {
            let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
            names.map(|name| (name.to_owned(), None)).collect()
        }
        Lookup::Unknown => BTreeMap::new(),
    };
    let (root, active) = finished(&mut loading, root, &around, stack.as_str(), &profiles);
    Some(Composed {
        root,
        active,
        project: stack.to_string(),
        stack,
        environment: None,
        tiers: vec![tier.clone()],
        folder_tiers: BTreeMap::new(),
        default_tier: Some(tier),
        profiles,
        foreign: Vec::new(),
        start: first.clone(),
    })
}

fn dotenv_beside(
    problems: &mut Problems,
    request: &Request<'_>,
    folder: &RepoPath,
) -> BTreeMap<String, String> {
    let Ok(path) = folder.join(".env") else { return BTreeMap::new() };
    match request.tree.read(&path) {
        Ok(file) => dotenv::beside(problems, &path, &file.bytes, request.host_variables),
        Err(TreeError::NotFound(_)) => BTreeMap::new(),
        Err(error) => {
            problems.add(Problem::error("unreadable", &path, error.to_string()));
            BTreeMap::new()
        }
    }
}

/// The stack's name, as with Compose: `COMPOSE_PROJECT_NAME`, else `name` of the last file that says one, else the
/// default; the latter two made fit.
fn stack_of(
    problems: &mut Problems,
    variables: &Variables<'_>,
    files: Vec<&Node>,
    default_project: &str,
) -> Option<StackName> {
    let set = match variables.lookup("COMPOSE_PROJECT_NAME") {
        Lookup::Known { text, taint: _ } if !text.is_empty() => Some(text.to_owned()),
        Lookup::Known { .. } | Lookup::Unknown => None,
    };
    let said = files.into_iter().rev().find_map(|file| file.as_map()?.get("name"));
    let said = said.and_then(|node| {
        let mut node = node.clone();
        super::interpolate::fill(problems, variables, &mut node);
        // What is no text is refused where the file is read.
        node.as_scalar().map(|scalar| fit(&scalar.text))
    });
    let parsed = set.or(said).unwrap_or_else(|| fit(default_project)).parse();
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
