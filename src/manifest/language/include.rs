//! `include`: other Compose files, each a project of its own with its own folder and variables, put beside this one.

use std::collections::BTreeMap;

use super::super::dotenv::{self, Format, Held};
use super::super::node::{Entry, Key, Map, Node, Taint, Value};
use super::super::problem::Problem;
use super::super::source::Span;
use super::super::variables::{Lookup, Variables};
use super::files::{Loading, Surroundings};
use super::places;
use super::unique;
use crate::model::tree::{RepoPath, TreeError};

/// Most files that may include one another in a row.
const DEPTH_MAX: usize = 32;

/// Most files that may be included, one that is included twice counted twice.
const FILES_MAX: usize = 1_000;

/// What is put beside what the file itself declares.
const SECTIONS: [&str; 6] = ["services", "networks", "volumes", "configs", "secrets", "models"];

/// Puts what a document includes beside what it declares.
pub(crate) fn apply(loading: &mut Loading<'_>, root: &mut Node, path: &RepoPath, around: &Surroundings<'_>) {
    let Some(root) = root.as_map_mut() else { return };
    let Some(include) = root.remove("include") else { return };
    let mut trail = around.trail.clone();
    trail.push(path.clone());
    for entry in unique::items(&include.value) {
        let included = entry.as_map().and_then(|map| one(loading, map, entry.span, around, &trail));
        match included {
            Some(included) => join(loading, root, included, entry.span),
            None => loading.problems.incomplete(),
        }
    }
}

fn one(
    loading: &mut Loading<'_>,
    map: &Map,
    span: Span,
    around: &Surroundings<'_>,
    trail: &[RepoPath],
) -> Option<Node> {
    let paths = map.get("path").map(unique::items).unwrap_or_default();
    let mut files = Vec::new();
    let mut first = None;
    for node in paths {
        let resolved = around.base.resolve(&node.as_scalar()?.text);
        files.push(in_tree(loading, &resolved, node.span)?);
        first.get_or_insert((resolved, node.span));
    }
    let Some((first, first_span)) = first else {
        for node in map.get("env_file").map(unique::items).unwrap_or_default() {
            let resolved = around.base.resolve(&node.as_scalar()?.text);
            in_tree(loading, &resolved, node.span)?;
        }
        loading.problems.add(Problem::warning(
            "missing-key",
            span,
            "this includes nothing, for it has no `path`",
        ));
        return Some(Node { span, tag: None, value: Value::Null });
    };
    if let Some(from) = files.first().and_then(|file| trail.iter().position(|known| known == file)) {
        let names: Vec<String> = trail[from..].iter().map(ToString::to_string).collect();
        let message = match names.as_slice() {
            [only] => format!("{only} includes itself"),
            names => format!(
                "files include each other in a circle: {} → {}",
                names.join(" → "),
                names.first().map_or("", String::as_str)
            ),
        };
        loading
            .problems
            .add(Problem::error("cycle", first_span, message).hint("remove one of these `include`"));
        return None;
    }
    loading.included += files.len();
    if loading.included > FILES_MAX {
        let message = format!("more than {FILES_MAX} files are included");
        loading.problems.add(Problem::error("too-many-files", first_span, message));
        return None;
    }
    if trail.len() > DEPTH_MAX {
        let message = format!("files include one another more than {DEPTH_MAX} deep");
        loading.problems.add(Problem::error("too-deep", first_span, message));
        return None;
    }
    let folder = match map.get("project_directory").and_then(Node::as_scalar) {
        Some(scalar) if !scalar.text.is_empty() => {
            let folder = around.base.resolve(&scalar.text);
            let inside = RepoPath::root().join(&folder);
            // As with Compose, what is no folder stands for the one that it would be in.
            if inside.is_ok_and(|path| loading.tree.list(&path).is_err()) {
                places::parent(&folder)
            } else {
                folder
            }
        }
        Some(_) | None => places::parent(&first),
    };
    let variables = variables(loading, map, &folder, around)?;
    let around = Surroundings { base: around.base.at(folder), variables, trail: trail.to_vec() };
    let model = loading.model(&files, &around);
    Some(model.unwrap_or(Node { span, tag: None, value: Value::Null }))
}

fn in_tree(loading: &mut Loading<'_>, resolved: &str, span: Span) -> Option<RepoPath> {
    let problem = match RepoPath::root().join(resolved).map(|path| (loading.tree.read(&path), path)) {
        Ok((Ok(_), path)) => return Some(path),
        Ok((Err(error), _)) => Problem::error("unreadable", span, error.reason()),
        Err(_) => {
            let problem = Problem::error("outside", span, "this file lies outside of the repository");
            problem.hint("only files of the repository are read")
        }
    };
    loading.problems.add(problem);
    None
}

/// The variables of an included project: those of the project that includes it, and then those of its own files.
fn variables<'v>(
    loading: &mut Loading<'_>,
    map: &Map,
    folder: &str,
    around: &Surroundings<'v>,
) -> Option<Variables<'v>> {
    let mut variables = around.variables.clone();
    let mut files = Vec::new();
    if let Some(node) = map.get("env_file") {
        for node in unique::items(node) {
            let resolved = around.base.resolve(&node.as_scalar()?.text);
            files.push(in_tree(loading, &resolved, node.span)?);
        }
    } else {
        // Only where it is in the repository can there be one.
        let beside = RepoPath::root().join(&places::join(folder, ".env")).ok();
        let there = |path: &RepoPath| !matches!(loading.tree.read(path), Err(TreeError::NotFound(_)));
        files.extend(beside.filter(there));
    }
    let mut known = BTreeMap::<String, Held>::new();
    for path in files {
        let bytes = match loading.tree.read(&path) {
            Ok(file) => file.bytes,
            Err(error) => {
                loading.problems.add(Problem::error("unreadable", &path, error.reason()));
                return None;
            }
        };
        let file =
            dotenv::File { path: &path, bytes: &bytes, format: Format::Dotenv, taint: Taint::Sensitive };
        let lookup = |name: &str| match around.variables.lookup(name) {
            Lookup::Known { text, taint } => Some((text, taint)),
            Lookup::Unknown => None,
        };
        dotenv::read(loading.problems, &file, &lookup, &mut known);
    }
    for (name, held) in known {
        variables.dotenv.entry(name).or_insert(held.text);
    }
    Some(variables)
}

/// Adds what an included project declares. What both declare must be the same.
fn join(loading: &mut Loading<'_>, root: &mut Map, included: Node, span: Span) {
    let Value::Map(mut included) = included.value else { return };
    for section in SECTIONS {
        let Some(Entry { key: _, value: Node { value: Value::Map(from), .. } }) = included.remove(section)
        else {
            continue;
        };
        if root.entry(section).is_none() {
            let value = Node { span, tag: None, value: Value::Map(Map::default()) };
            root.entries.push(Entry { key: Key { text: section.to_owned(), span }, value });
        }
        let Some(to) = root.get_mut(section).and_then(Node::as_map_mut) else { continue };
        let places: BTreeMap<String, usize> =
            to.entries.iter().enumerate().map(|(at, entry)| (entry.key.text.clone(), at)).collect();
        for entry in from.entries {
            let Some(known) = places.get(&entry.key.text).and_then(|at| to.entries.get(*at)) else {
                to.entries.push(entry);
                continue;
            };
            if known.value.says_the_same(&entry.value) {
                continue;
            }
            let what = section.trim_end_matches('s');
            let message =
                format!("the {what} `{}` is also declared in a file that is included", entry.key.text);
            loading.problems.add(
                Problem::error("declared-twice", known.key.span, message)
                    .label("declared here")
                    .related(entry.key.span, "and here")
                    .hint("to change what an included file says, merge a file over it: `path: [its.yaml, changes.yaml]`"),
            );
        }
    }
}
