//! One shape for what Compose lets people write in several: `KEY=value` lists become mappings.
//!
//! It happens before variables are filled in, so that a name is never taken out of a variable's value, and before
//! files are merged, so that a list in one file and a mapping in another meet by their keys.

use std::collections::BTreeMap;

use super::node::{Entry, Key, Map, MergeTag, Node, Scalar, Taint, Value};
use super::problem::{Problem, Problems};
use super::source::Span;

/// What an item without `=` means.
#[derive(Clone, Copy)]
enum Alone {
    /// The value of the variable of that name.
    Variable,
    /// The empty text.
    Empty,
    /// Nothing: the item is a name and what follows is left to its default.
    Name,
    /// A service that must have been started.
    Dependency,
}

/// Reshapes a whole Compose file.
pub(crate) fn normalise(problems: &mut Problems, root: &mut Node) {
    let Some(root) = root.as_map_mut() else { return };
    for service in children(root, "services") {
        for (key, alone) in [
            ("environment", Alone::Variable),
            ("labels", Alone::Empty),
            ("sysctls", Alone::Empty),
            ("depends_on", Alone::Dependency),
            ("networks", Alone::Name),
        ] {
            if let Some(node) = service.get_mut(key) {
                to_map(problems, node, alone);
            }
        }
        if let Some(environment) = service.get_mut("environment").and_then(Node::as_map_mut) {
            environment.entries.iter_mut().for_each(variable_of_that_name);
        }
    }
    for section in ["networks", "volumes"] {
        for child in children(root, section) {
            if let Some(labels) = child.get_mut("labels") {
                to_map(problems, labels, Alone::Empty);
            }
        }
    }
}

/// The mappings below a section.
fn children<'m>(root: &'m mut Map, section: &str) -> impl Iterator<Item = &'m mut Map> {
    let entries = root.get_mut(section).and_then(Node::as_map_mut).map(|map| map.entries.iter_mut());
    entries.into_iter().flatten().filter_map(|entry| entry.value.as_map_mut())
}

/// `KEY:` without a value is `KEY: ${KEY}`.
fn variable_of_that_name(entry: &mut Entry) {
    if matches!(entry.value.value, Value::Null) && entry.value.tag != Some(MergeTag::Reset) {
        let text = format!("${{{}}}", entry.key.text);
        entry.value.value = Value::Scalar(Scalar { text, plain: false, taint: Taint::Literal });
    }
}

fn to_map(problems: &mut Problems, node: &mut Node, alone: Alone) {
    let Value::List(items) = &mut node.value else { return };
    let mut map = Map::default();
    let mut seen: BTreeMap<String, Span> = BTreeMap::new();
    for item in std::mem::take(items) {
        let Value::Scalar(scalar) = &item.value else {
            let message = format!("a text is wanted here, and this is {}", item.kind());
            problems.add(Problem::error("wrong-type", item.span, message).hint(hint(alone)));
            continue;
        };
        let (name, value) = match (alone, scalar.text.split_once('=')) {
            (Alone::Name | Alone::Dependency, _) | (_, None) => (scalar.text.as_str(), None),
            (Alone::Variable | Alone::Empty, Some((name, value))) => (name, Some(value)),
        };
        if name.contains('$') {
            problems.add(
                Problem::error("interpolation", item.span, "a variable can't be in a name, only in a value")
                    .hint(hint(alone)),
            );
            continue;
        }
        let (key_span, value_span) = spans(problems, item.span, &scalar.text, name.len());
        if let Some(first) = seen.insert(name.to_owned(), key_span) {
            let message = format!("`{name}` is there twice");
            problems.add(
                Problem::error("duplicate-key", key_span, message)
                    .label("again here")
                    .related(first, "first here"),
            );
            continue;
        }
        let of =
            |text: &str| Value::Scalar(Scalar { text: text.to_owned(), plain: false, taint: scalar.taint });
        let value = match (alone, value) {
            (_, Some(value)) => of(value),
            (Alone::Variable | Alone::Name, None) => Value::Null,
            (Alone::Empty, None) => of(""),
            // Written out, so that merged over another condition it wins, as with Compose.
            (Alone::Dependency, None) => {
                let key = Key { text: "condition".to_owned(), span: key_span };
                let value = Node { span: value_span, tag: None, value: of("service_started") };
                Value::Map(Map { entries: vec![Entry { key, value }] })
            }
        };
        let value = Node { span: value_span, tag: None, value };
        map.entries.push(Entry { key: Key { text: name.to_owned(), span: key_span }, value });
    }
    node.value = Value::Map(map);
}

fn hint(alone: Alone) -> &'static str {
    match alone {
        Alone::Variable | Alone::Empty => "write `- NAME=value`, or a mapping of `NAME: value`",
        Alone::Name | Alone::Dependency => "write `- name`",
    }
}

/// Where name and value of an item stand.
fn spans(problems: &Problems, item: Span, text: &str, name_length: usize) -> (Span, Span) {
    let Some(at) = problems.sources.written(item).find(text) else { return (item, item) };
    let name = item.part(at, name_length);
    if name_length >= text.len() {
        return (name, name);
    }
    (name, item.part(at + name_length + 1, text.len() - name_length - 1))
}
