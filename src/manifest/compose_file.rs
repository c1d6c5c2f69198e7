//! One Compose file, made ready to be merged: read, its shapes made one, its variables filled in.

use super::interpolate;
use super::keys;
use super::load;
use super::node::{Entry, Key, Map, Node, Value};
use super::overlay;
use super::problem::{Problem, Problems};
use super::read as node_read;
use super::shape;
use super::source::Span;
use super::variables::Variables;
use crate::model::tree::{FileTree, RepoPath};

/// The role of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// Below `manifests/`.
    Manifest,
    /// An override file of an environment.
    Override,
    /// Given by its name.
    File,
}

/// The sections that become part of the whole.
const SECTIONS: [&str; 3] = ["services", "networks", "volumes"];

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
    Foreign(Problem),
    /// Nothing that can be read. It was said why.
    Nothing,
}

/// Reads a file and checks its outline.
pub(crate) fn read(problems: &mut Problems, tree: &dyn FileTree, path: &RepoPath, part: Part) -> Found {
    let Some(mut root) = load_file(problems, tree, path) else {
        problems.incomplete();
        return Found::Nothing;
    };
    if matches!(root.value, Value::Null) {
        let problem = Problem::error("empty-file", path, "the file is empty");
        return Found::Foreign(problem.hint("remove it, or declare `services`"));
    }
    if let (Some(span), true) = (foreign(&root), part != Part::File) {
        let problem =
            Problem::error("not-compose", span, "this is not a Compose file, and no service mounts it");
        return Found::Foreign(
            problem.hint("every *.yaml and *.yml here is read as a Compose file; keep others elsewhere"),
        );
    }
    if outline(problems, &root, part).is_none() {
        problems.incomplete();
        return Found::Nothing;
    }
    shape::normalise(problems, &mut root);
    Found::Compose(root)
}

fn load_file(problems: &mut Problems, tree: &dyn FileTree, path: &RepoPath) -> Option<Node> {
    let bytes = match tree.read(path) {
        Ok(file) => file.bytes,
        Err(error) => {
            problems.add(Problem::error("unreadable", path, error.to_string()));
            return None;
        }
    };
    load::load(problems, path, bytes)
}

/// The first thing in a file that has nothing of a Compose file.
fn foreign(root: &Node) -> Option<Span> {
    let Some(map) = root.as_map() else { return Some(root.span) };
    let of_compose = |key: &str| {
        let said = keys::FILE.known.contains(&key) || keys::FILE.later.contains(&key);
        // Many other files have a version or a name.
        (said && !matches!(key, "version" | "name")) || key.starts_with("x-")
    };
    let first = map.entries.first().map_or(root.span, |entry| entry.key.span);
    (!map.entries.iter().any(|entry| of_compose(&entry.key.text))).then_some(first)
}

/// Checks that the top of the file is what a Compose file has there.
fn outline(problems: &mut Problems, root: &Node, part: Part) -> Option<()> {
    let map = node_read::map(problems, root)?;
    keys::check(problems, map, &keys::FILE);
    if let Some(version) = map.entry("version") {
        problems.add(
            Problem::warning("obsolete", version.key.span, "`version` is obsolete and means nothing")
                .hint("remove it"),
        );
    }
    if let (Some(name), true) = (map.entry("name"), part != Part::File) {
        problems.add(
            Problem::warning("unused-name", name.key.span, "`name` is not used in a repository")
                .hint("the stack is named by `stack` of environment.yaml, else <project>-<environment>"),
        );
    }
    let mut sound = true;
    for section in SECTIONS {
        let Some(node) = map.get(section) else { continue };
        let Some(children) = node_read::map(problems, node) else {
            sound = false;
            continue;
        };
        for child in &children.entries {
            let nothing = matches!(child.value.value, Value::Null) && child.value.tag.is_none();
            if section == "services" && nothing {
                let message = format!("the service `{}` says nothing", child.key.text);
                problems.add(Problem::error("no-image", child.key.span, message).hint("give it an `image`"));
            } else if child.value.as_map().is_none() && !matches!(child.value.value, Value::Null) {
                problems.add(node_read::wrong_type(&child.value, "a mapping"));
                sound = false;
            }
        }
    }
    sound.then_some(())
}

/// The file with its variables filled in, its `x-evenkeel` in its services, and nothing else but the sections.
pub(crate) fn filled(problems: &mut Problems, variables: &Variables<'_>, file: Node) -> Node {
    let mut root = empty();
    let (Value::Map(mut map), Some(target)) = (file.value, root.as_map_mut()) else { return root };
    let mut defaults = map.remove("x-evenkeel").map(|entry| entry.value);
    if let Some(defaults) = &mut defaults {
        interpolate::fill(problems, variables, defaults);
    }
    for mut section in map.entries {
        let Some(place) = target.entries.iter_mut().find(|entry| entry.key.text == section.key.text) else {
            continue;
        };
        interpolate::fill(problems, variables, &mut section.value);
        if section.key.text == "services"
            && let (Some(defaults), Some(services)) = (&defaults, section.value.as_map_mut())
        {
            for service in services.entries.iter_mut().filter_map(|entry| entry.value.as_map_mut()) {
                inherit(problems, service, defaults);
            }
        }
        if !matches!(section.value.value, Value::Null) {
            *place = section;
        }
    }
    root
}

/// Puts what the top of the file says under `x-evenkeel` below what the service says itself.
fn inherit(problems: &mut Problems, service: &mut Map, defaults: &Node) {
    if let Some(own) = service.get_mut("x-evenkeel") {
        let own_value = std::mem::replace(own, defaults.clone());
        overlay::merge(problems, own, own_value);
    } else {
        let key = Key { text: "x-evenkeel".to_owned(), span: defaults.span };
        service.entries.push(Entry { key, value: defaults.clone() });
    }
}
