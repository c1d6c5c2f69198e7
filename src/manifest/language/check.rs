//! What must hold in one place, once all files are merged.

use super::super::node::{Entry, Map, MergeTag, Node, Value};
use super::super::problem::{Problem, Problems};
use super::super::source::Span;
use super::types::{Object, Type, Unique};
use super::unique;

/// Checks everything below `node`, which the key at `span` holds.
pub(crate) fn check(problems: &mut Problems, node: &Node, of: &Type, span: Span) {
    if matches!(node.value, Value::Null) && !matches!(of, Type::Maybe(_)) && node.span.source != u32::MAX {
        problems.add(super::super::read::wrong_type(node, wanted(of)));
        return;
    }
    match (of.long(), &node.value) {
        (Type::List(list), Value::List(items)) => {
            if list.unique == Unique::Refused {
                unique::refused(problems, items);
            }
            for item in items {
                check(problems, item, &list.item, item.span);
            }
        }
        (Type::Map(item), Value::Map(map)) => {
            for entry in &map.entries {
                check(problems, &entry.value, item, entry.key.span);
            }
        }
        (Type::Object(object), Value::Map(map)) => {
            needed(problems, map, object, span);
            for entry in &map.entries {
                if let Some(attribute) = object.attribute(&entry.key.text) {
                    check(problems, &entry.value, &attribute.holds, entry.key.span);
                }
            }
        }
        _ => {}
    }
}

/// What is wanted, with its article.
fn wanted(of: &Type) -> &'static str {
    match of.long() {
        Type::List(_) => "a list",
        Type::Map(_) | Type::Object(_) => "a mapping",
        Type::Pairs(_) => "a mapping or a list of `NAME=value`",
        Type::Flag | Type::Truth => "`true` or `false`",
        Type::Whole(..) | Type::Cut(_) | Type::Decimal | Type::Unquoted(_) => "a number",
        Type::Size(_) => "a size",
        Type::Duration => "a duration",
        Type::Path(_) => "a path",
        Type::Any | Type::Text | Type::Formed(_) | Type::Word(_) | Type::Textual(_) => "a text",
        Type::Short(..) | Type::Maybe(_) => "a value",
    }
}

fn needed(problems: &mut Problems, map: &Map, object: &Object, span: Span) {
    for attribute in object.attributes.iter().filter(|attribute| attribute.needed) {
        let there = map.entry(attribute.name);
        if there.is_none_or(|entry| entry.value.tag == Some(MergeTag::Reset)) {
            let message = format!("{} needs `{}`", object.of, attribute.name);
            problems.add(Problem::error("missing-key", span, message));
        }
    }
}

/// The names of services, networks and the like.
pub(crate) fn names(problems: &mut Problems, root: &Map) {
    let follows = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    for section in ["services", "volumes", "secrets", "configs"] {
        let map = root.get(section).and_then(Node::as_map);
        for Entry { key, value: _ } in map.into_iter().flat_map(|map| &map.entries) {
            if key.text.is_empty() || !key.text.chars().all(follows) {
                let what = section.trim_end_matches('s');
                let message = format!("`{}` can't be the name of a {what}", key.text);
                problems.add(
                    Problem::error("bad-name", key.span, message).hint("letters, digits, `.`, `_` and `-`"),
                );
            }
        }
    }
}

/// Where the content of secrets and configs comes from, and what is said about what is only used.
pub(crate) fn resources(problems: &mut Problems, root: &Map) {
    let entries =
        |section: &str| root.get(section).and_then(Node::as_map).into_iter().flat_map(|map| &map.entries);
    for entry in entries("secrets") {
        content(problems, entry, "secret", &["file", "environment"]);
    }
    for entry in entries("configs") {
        content(problems, entry, "config", &["file", "environment", "content"]);
    }
    for entry in entries("volumes") {
        external_only(problems, entry);
    }
}

fn is_external(map: &Map) -> bool {
    map.get("external").and_then(Node::as_scalar).is_some_and(|scalar| scalar.text == "true")
}

fn content(problems: &mut Problems, entry: &Entry, what: &str, keys: &[&str]) {
    let Some(map) = entry.value.as_map() else { return };
    let list = keys.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ");
    // An environment variable without a name is none.
    let nameless = map.get("environment").and_then(Node::as_scalar).filter(|scalar| scalar.text.is_empty());
    if what == "secret" && nameless.is_some() && map.get("file").is_none() && !is_external(map) {
        let message = format!("the secret `{}` has no content", entry.key.text);
        problems
            .add(Problem::error("missing-key", entry.key.span, message).hint(format!("say one of {list}")));
    }
    let said: Vec<&Entry> = keys.iter().filter_map(|key| map.entry(key)).collect();
    match said.as_slice() {
        // A config that is said not to be external may be nothing, as with Compose.
        [] if !(is_external(map) || what == "config" && map.get("external").is_some()) => {
            let message = format!("the {what} `{}` has no content", entry.key.text);
            problems.add(
                Problem::error("missing-key", entry.key.span, message)
                    .hint(format!("say one of {list}, or `external: true`")),
            );
        }
        [first, second, ..] => {
            let message = format!("a {what} has only one of {list}");
            problems.add(
                Problem::error("said-twice", second.key.span, message)
                    .related(first.key.span, "the other one")
                    .hint("keep one of the two"),
            );
        }
        _ => {}
    }
}

fn external_only(problems: &mut Problems, entry: &Entry) {
    let Some(map) = entry.value.as_map().filter(|map| is_external(map)) else { return };
    for other in &map.entries {
        let key = other.key.text.as_str();
        if !matches!(key, "external" | "name") && !key.starts_with("x-") {
            let message = format!("what is external is only used, so `{key}` can't be said about it");
            problems.add(
                Problem::error("external", other.key.span, message).hint("keep only `external` and `name`"),
            );
        }
    }
}
