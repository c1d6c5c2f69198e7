//! The environment and labels of services: values that are taken over from outside, and files of them.

use std::collections::{BTreeMap, BTreeSet};

use super::super::dotenv::{self, Format, Held};
use super::super::node::{Entry, Key, Map, Node, Scalar, Taint, Value};
use super::super::problem::{Problem, Problems, nearest};
use super::super::source::Span;
use super::super::variables::{Lookup, Variables, stand_in};
use super::unique;
use crate::model::tree::{FileTree, RepoPath, TreeError};

/// Gives `NAME` without a value that of the variable of that name, where there is one, and notes in `given` what
/// configs and secrets are made from.
pub(crate) fn take_over(
    problems: &mut Problems,
    root: &mut Node,
    variables: &Variables<'_>,
    given: &mut FromVariables,
) {
    give(problems, root, variables, given);
    let services = root.as_map_mut().and_then(|map| map.get_mut("services")).and_then(Node::as_map_mut);
    for service in
        services.into_iter().flat_map(|map| &mut map.entries).filter_map(|entry| entry.value.as_map_mut())
    {
        if let Some(environment) = service.get_mut("environment").and_then(Node::as_map_mut) {
            fill(problems, environment, variables);
        }
        let build = service.get_mut("build").and_then(Node::as_map_mut);
        if let Some(args) = build.and_then(|build| build.get_mut("args")).and_then(Node::as_map_mut) {
            fill(problems, args, variables);
        }
    }
}

fn fill(problems: &mut Problems, map: &mut Map, variables: &Variables<'_>) {
    for entry in &mut map.entries {
        if matches!(entry.value.value, Value::Null)
            && entry.value.tag.is_none()
            && let Some(Held { text, taint }) = value(problems, variables, &entry.key.text)
        {
            entry.value.value = Value::Scalar(Scalar { text, plain: false, taint });
        }
    }
}

/// The value of a variable that is only named, or what stands for it where nobody here knows it.
fn value(problems: &mut Problems, variables: &Variables<'_>, name: &str) -> Option<Held> {
    let lookup = variables.lookup(name);
    let is_unknown = lookup == Lookup::Unknown && variables.outside.is_some();
    if is_unknown || variables.is_outside(name) {
        problems.stands_in([name.to_owned()]);
    }
    match lookup {
        Lookup::Known { text, taint } => Some(Held { text: text.to_owned(), taint }),
        Lookup::Unknown => is_unknown.then(|| Held { text: stand_in(name), taint: Taint::Sensitive }),
    }
}

/// The variables that configs and secrets are made from, by where they are named; for one without a value, how to give
/// it one.
pub(crate) type FromVariables = BTreeMap<Span, Result<Held, String>>;

/// Notes the variables of which configs and secrets are made, as their own project has them.
fn give(problems: &mut Problems, root: &Node, variables: &Variables<'_>, given: &mut FromVariables) {
    let sections =
        ["configs", "secrets"].into_iter().filter_map(|section| root.as_map()?.get(section)?.as_map());
    for node in
        sections.flat_map(|map| &map.entries).filter_map(|entry| entry.value.as_map()?.get("environment"))
    {
        let Some(scalar) = node.as_scalar() else { continue };
        // What an included project has said is not said again by the one around it.
        given.entry(node.span).or_insert_with(|| {
            value(problems, variables, &scalar.text).ok_or_else(|| variables.how_to_give(&scalar.text, ""))
        });
    }
}

/// Reads `env_file` and `label_file` of a service into its `environment` and `labels`, which win over them.
pub(crate) fn read_files(
    problems: &mut Problems,
    tree: &dyn FileTree,
    service: &mut Map,
    variables: &Variables<'_>,
) {
    let files: Vec<Node> =
        service.get("env_file").map(|node| unique::items(node).to_vec()).unwrap_or_default();
    if !files.is_empty() {
        let own = service.get("environment").and_then(Node::as_map).cloned().unwrap_or_default();
        let held = environment(problems, tree, &files, &own, variables);
        put_below(service, "environment", &held, files.first());
    }
    let files: Vec<Node> =
        service.get("label_file").map(|node| unique::items(node).to_vec()).unwrap_or_default();
    if !files.is_empty() {
        let mut held: BTreeMap<String, Held> = BTreeMap::new();
        for node in &files {
            let Some((path, bytes)) = opened(problems, tree, node, true) else { continue };
            // What earlier files say counts as said outside.
            let earlier = std::mem::take(&mut held);
            let lookup = |name: &str| {
                let known = || earlier.get(name).map(|held| (held.text.as_str(), held.taint));
                outside(variables, name).or_else(known)
            };
            // Docker shows labels to everybody, so what is in this file is no secret.
            let file =
                dotenv::File { path: &path, bytes: &bytes, format: Format::Dotenv, taint: Taint::Variable };
            dotenv::read(problems, &file, &lookup, &mut held);
            for (name, known) in earlier {
                held.entry(name).or_insert(known);
            }
        }
        put_below(service, "labels", &held, files.first());
    }
}

fn environment(
    problems: &mut Problems,
    tree: &dyn FileTree,
    files: &[Node],
    own: &Map,
    variables: &Variables<'_>,
) -> BTreeMap<String, Held> {
    let mut held = BTreeMap::new();
    for node in files {
        let Some(map) = node.as_map() else { continue };
        let Some(path) = map.get("path") else { continue };
        let said = |key: &str| map.get(key).and_then(Node::as_scalar).map(|scalar| scalar.text.as_str());
        let required = said("required") != Some("false");
        let Some((path, bytes)) = opened(problems, tree, path, required) else { continue };
        let format = match said("format") {
            None | Some("") => Format::Dotenv,
            Some("raw") => Format::Raw,
            Some(other) => {
                let span = map.get("format").map_or(node.span, |node| node.span);
                let problem =
                    Problem::error("unknown-value", span, "this format of an `env_file` is not known");
                let hint = match nearest(other, ["raw"]) {
                    Some(word) => format!("did you mean `{word}`?"),
                    None => "only `raw` is, and the usual one, which has no name".to_owned(),
                };
                problems.add(problem.hint(hint));
                continue;
            }
        };
        let lookup = |name: &str| {
            let set =
                || own.get(name).and_then(Node::as_scalar).map(|scalar| (scalar.text.as_str(), scalar.taint));
            outside(variables, name).or_else(set)
        };
        // Such files are where people keep what others shall not see, even in a repository.
        let file = dotenv::File { path: &path, bytes: &bytes, format, taint: Taint::Sensitive };
        dotenv::read(problems, &file, &lookup, &mut held);
    }
    held
}

fn outside<'v>(variables: &'v Variables<'_>, name: &str) -> Option<(&'v str, Taint)> {
    match variables.lookup(name) {
        Lookup::Known { text, taint } => Some((text, taint)),
        Lookup::Unknown => None,
    }
}

/// The bytes of a file of the repository. Nothing when it isn't there and needn't be, or can't be read.
fn opened(
    problems: &mut Problems,
    tree: &dyn FileTree,
    node: &Node,
    required: bool,
) -> Option<(RepoPath, Vec<u8>)> {
    let scalar = node.as_scalar()?;
    let Ok(path) = RepoPath::root().join(&scalar.text) else {
        if required {
            let message = "this file lies outside of the repository";
            problems.add(
                Problem::error("outside", node.span, message).hint("only files of the repository are read"),
            );
        }
        return None;
    };
    match tree.read(&path) {
        // Each service that names the file reads it anew.
        Ok(file) if !problems.charge_repeated(node.span, file.bytes.len()) => None,
        Ok(file) => Some((path, file.bytes)),
        Err(TreeError::NotFound(_)) if !required => None,
        Err(error) => {
            let literal = scalar.taint == Taint::Literal;
            let message = if literal { error.reason() } else { "this file can't be read".to_owned() };
            let problem = Problem::error("unreadable", node.span, message);
            problems.add(problem.hint("a file that need not be there is `{path: …, required: false}`"));
            None
        }
    }
}

/// Adds what files say to a mapping of the service, which wins.
fn put_below(service: &mut Map, key: &str, held: &BTreeMap<String, Held>, at: Option<&Node>) {
    let Some(span) = at.map(|node| node.span) else { return };
    if service.entry(key).is_none() {
        let value = Node { span, tag: None, value: Value::Map(Map::default()) };
        service.entries.push(Entry { key: Key { text: key.to_owned(), span }, value });
    }
    let Some(map) = service.get_mut(key).and_then(Node::as_map_mut) else { return };
    let known: BTreeSet<String> = map.entries.iter().map(|entry| entry.key.text.clone()).collect();
    for (name, Held { text, taint }) in held {
        if !known.contains(name) {
            let value = Value::Scalar(Scalar { text: text.clone(), plain: false, taint: *taint });
            let value = Node { span, tag: None, value };
            map.entries.push(Entry { key: Key { text: name.clone(), span }, value });
        }
    }
}
