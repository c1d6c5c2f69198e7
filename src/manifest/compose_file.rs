//! One file of a configuration repository: read, brought into the long form, and made ready to be joined.

use super::language::files::{Loading, Surroundings};
use super::language::{merge, table};
use super::node::{Entry, Key, Map, MergeTag, Node, Value};
use super::problem::{Problem, Problems};
use super::source::Span;
use super::weight;
use crate::model::policy::ALL;
use crate::model::tree::RepoPath;

/// The sections that become part of the whole.
const SECTIONS: [&str; 6] = ["services", "networks", "volumes", "configs", "secrets", "models"];

/// A file that declares nothing.
pub(crate) fn empty() -> Node {
    let span = Span { source: u32::MAX, start: 0, end: 0 };
    let section = |name: &&str| Entry {
        key: Key { text: (*name).to_owned(), span },
        value: Node { span, tag: None, value: Value::Map(Map::default()) },
    };
    let map = Map { entries: SECTIONS.iter().map(section).collect() };
    Node { span, tag: None, value: Value::Map(map) }
}

/// What a YAML file turned out to be.
pub(crate) enum Found {
    /// A Compose file.
    Compose(Node),
    /// Something else: this is to be said, unless a service mounts the file.
    Foreign(Box<Problem>),
    /// Nothing that can be read. It was said why.
    Nothing,
}

/// Reads a file of a repository.
pub(crate) fn read(loading: &mut Loading<'_>, path: &RepoPath, around: &Surroundings<'_>) -> Found {
    let Some(mut documents) = loading.stand(path) else { return Found::Nothing };
    if documents.iter().all(|document| matches!(document.value, Value::Null)) {
        let problem = Problem::error("empty-file", path, "the file is empty");
        return Found::Foreign(Box::new(problem.hint("remove it, or declare `services`")));
    }
    if documents.len() > 1 {
        if let Some(second) = documents.get(1) {
            loading.problems.add(
                Problem::error("several-documents", second.span, "a second YAML document begins here")
                    .hint("put it into a file of its own"),
            );
        }
        loading.problems.incomplete();
        return Found::Nothing;
    }
    let Some(root) = documents.pop() else { return Found::Nothing };
    if let Some(span) = foreign(&root) {
        let problem =
            Problem::error("not-compose", span, "this is not a Compose file, and no service mounts it");
        return Found::Foreign(Box::new(
            problem.hint("every *.yaml and *.yml here is read as a Compose file; keep others elsewhere"),
        ));
    }
    match loading.document(root, path, around) {
        Some(root) => Found::Compose(outlined(loading, root)),
        None => Found::Nothing,
    }
}

/// The first thing in a file that has nothing of a Compose file.
fn foreign(root: &Node) -> Option<Span> {
    let Some(map) = root.as_map() else { return Some(root.span) };
    let of_compose = |key: &str| {
        // Many other files have a version or a name.
        let said = table::FILE.attribute(key).is_some() && !matches!(key, "version" | "name");
        said || key.starts_with("x-")
    };
    let first = map.entries.first().map_or(root.span, |entry| entry.key.span);
    (!map.entries.iter().any(|entry| of_compose(&entry.key.text))).then_some(first)
}

/// The file with its `x-evenkeel` in its services, and nothing else but the sections.
fn outlined(loading: &mut Loading<'_>, file: Node) -> Node {
    let mut root = empty();
    let (Value::Map(mut map), Some(target)) = (file.value, root.as_map_mut()) else { return root };
    if let Some(name) = map.entry("name") {
        loading.problems.add(
            Problem::warning("unused-name", name.key.span, "`name` is not used in a repository")
                .hint("the stack is named by `stack` of environment.yaml, else <project>-<environment>"),
        );
    }
    inherit(loading.problems, &mut map);
    for section in map.entries {
        let place = target.entries.iter_mut().find(|entry| entry.key.text == section.key.text);
        if let (Some(place), Value::Map(_)) = (place, &section.value.value) {
            *place = section;
        }
    }
    root
}

/// Puts what the top of a file says under `x-evenkeel` below what its services say themselves.
pub(crate) fn inherit(problems: &mut Problems, file: &mut Map) {
    let Some(defaults) = file.get("x-evenkeel").cloned() else { return };
    let defaults = own_to_services(problems, defaults);
    let Some(services) = file.get_mut("services").and_then(Node::as_map_mut) else { return };
    let size = weight::whole(&defaults);
    for service in services.entries.iter_mut().filter_map(|entry| entry.value.as_map_mut()) {
        if !problems.charge_repeated(defaults.span, size) {
            return;
        }
        if let Some(own) = service.get_mut("x-evenkeel") {
            let mut own_value = std::mem::replace(own, defaults.clone());
            widen(&mut own_value, &defaults);
            merge::merge(own, own_value, &merge::OWN, merge::Tags::Settled);
        } else {
            let key = Key { text: "x-evenkeel".to_owned(), span: defaults.span };
            service.entries.push(Entry { key, value: defaults.clone() });
        }
    }
}

/// What the top of a file may say of all services: not where one of them came from.
fn own_to_services(problems: &mut Problems, mut defaults: Node) -> Node {
    if let Some(map) = defaults.as_map_mut()
        && let Some(entry) = map.entry("moved_from")
    {
        let message = "`moved_from` is said of a service, not of a file";
        problems.add(
            Problem::error("misplaced-key", entry.key.span, message)
                .hint("put it under `x-evenkeel` of the service that has a new name"),
        );
        map.remove("moved_from");
    }
    defaults
}

/// Where the file has one word for the drift of all fields, a service that names single fields leaves it for the rest; one
/// that speaks of all fields leaves nothing of what the file says.
fn widen(own: &mut Node, defaults: &Node) {
    let Some(said) = own.as_map_mut().and_then(|map| map.get_mut("drift")) else { return };
    let word = defaults.as_map().and_then(|map| map.get("drift")).filter(|node| node.as_scalar().is_some());
    let Some(fields) = said.as_map_mut() else { return };
    match (fields.entry(ALL).is_some(), word) {
        (true, _) => said.tag = Some(MergeTag::Override),
        (false, Some(word)) => {
            let key = Key { text: ALL.to_owned(), span: word.span };
            fields.entries.push(Entry { key, value: word.clone() });
        }
        (false, None) => {}
    }
}
