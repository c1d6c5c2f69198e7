//! Short forms → long forms.

use std::collections::BTreeMap;

use super::super::node::{Entry, Key, Map, Node, Scalar, Value};
use super::super::problem::{Problem, Problems};
use super::super::read;
use super::super::source::Span;
use super::long::Reading;
use super::scalars::Plain;
use super::typed::{self, text_of};
use super::types::{Short, Type};
use super::{mounts, ports, unique, words};

/// Reads what may be written shorter than `long`.
pub(crate) fn read(reading: &mut Reading<'_>, node: Node, form: Short, long: &Type) -> Option<Node> {
    let is_scalar = matches!(node.value, Value::Scalar(_));
    let expanded = match form {
        Short::Command if is_scalar && !reading.interpolated => return Some(node),
        Short::Command if is_scalar => words::command(reading, &node)?,
        Short::HealthTest => health_test(reading, node)?,
        // One variable among ports leaves all of them as they are, as with Compose.
        Short::Ports if !reading.interpolated && unique::items(&node).iter().any(has_variable) => {
            return Some(node);
        }
        Short::Ports => ports::expand(reading, node)?,
        Short::Mount if is_scalar => mounts::expand(reading, &node)?,
        Short::Device if is_scalar => device(reading, &node)?,
        Short::Source if is_scalar => wrapped(node, "source"),
        Short::EnvFiles => env_files(node),
        Short::Build if is_scalar => wrapped(node, "context"),
        Short::Extends if is_scalar => wrapped(node, "service"),
        Short::Include if is_scalar => wrapped(node, "path"),
        Short::Dependencies => names(reading, node, Some("condition")),
        Short::Names => names(reading, node, None),
        Short::BuildUlimit if is_scalar => {
            const WHOLE: Type = Type::Whole(i64::MIN, i64::MAX);
            return reading.value(node, &Type::Unquoted(&WHOLE));
        }
        Short::Ulimit if is_scalar => return reading.value(node, &Type::Whole(i64::MIN, i64::MAX)),
        Short::Gpus if is_scalar => gpus(reading, node)?,
        Short::Hosts => hosts(reading, node)?,
        Short::Keys => keys(reading, node)?,
        Short::One if is_scalar => {
            let (span, tag) = (node.span, node.tag);
            Node { span, tag, value: Value::List(vec![Node { tag: None, ..node }]) }
        }
        Short::Command
        | Short::Mount
        | Short::Device
        | Short::Source
        | Short::Build
        | Short::Extends
        | Short::Include
        | Short::Ulimit
        | Short::BuildUlimit
        | Short::Gpus
        | Short::External
        | Short::One => node,
    };
    reading.value(expanded, long)
}

fn has_variable(node: &Node) -> bool {
    node.as_scalar().is_some_and(|scalar| scalar.text.contains('$'))
}

/// A text node.
pub(crate) fn text_node(text: &str, span: Span, from: Option<&Scalar>) -> Node {
    Node { span, tag: None, value: Value::Scalar(text_of(text.to_owned(), from)) }
}

/// An entry of a mapping that nobody wrote as one.
pub(crate) fn entry(key: &str, value: Node) -> Entry {
    Entry { key: Key { text: key.to_owned(), span: value.span }, value }
}

/// A mapping of entries.
pub(crate) fn map_node(span: Span, entries: Vec<Entry>) -> Node {
    Node { span, tag: None, value: Value::Map(Map { entries }) }
}

/// A number or truth value.
pub(crate) fn plain_node(text: &str, span: Span) -> Node {
    let taint = super::super::node::Taint::Literal;
    Node { span, tag: None, value: Value::Scalar(Scalar { text: text.to_owned(), plain: true, taint }) }
}

/// `value` → `{key: value}`
fn wrapped(node: Node, key: &str) -> Node {
    let (span, tag) = (node.span, node.tag);
    Node { tag, ..map_node(span, vec![entry(key, Node { tag: None, ..node })]) }
}

fn health_test(reading: &mut Reading<'_>, node: Node) -> Option<Node> {
    match &node.value {
        Value::Scalar(_) => {
            read::text(reading.problems, &node)?;
            let (span, tag) = (node.span, node.tag);
            let items = vec![text_node("CMD-SHELL", span, None), Node { tag: None, ..node }];
            Some(Node { span, tag, value: Value::List(items) })
        }
        Value::List(items) => {
            let first = items.first().and_then(Node::as_scalar).map(|scalar| scalar.text.as_str());
            if !matches!(first, None | Some("CMD" | "CMD-SHELL" | "NONE")) {
                let message = "a test as a list begins with `CMD`, `CMD-SHELL` or `NONE`";
                let at = items.first().map_or(node.span, |item| item.span);
                let hint = "`[\"CMD\", \"program\", \"argument\"]`, `[\"CMD-SHELL\", \"line\"]`, `[\"NONE\"]`, or a line for the shell";
                return reading.refuse(Problem::error("bad-healthcheck", at, message).hint(hint));
            }
            Some(node)
        }
        Value::Null | Value::Map(_) => Some(node),
    }
}

/// `/dev/a`, `/dev/a:/dev/b`, `/dev/a:/dev/b:rwm`
fn device(reading: &mut Reading<'_>, node: &Node) -> Option<Node> {
    let scalar = read::text(reading.problems, node)?.clone();
    let parts: Vec<&str> = scalar.text.split(':').collect();
    let (source, target, permissions) = match parts.as_slice() {
        [source] => (*source, *source, "rwm"),
        [source, target] => (*source, *target, "rwm"),
        [source, target, permissions] => (*source, *target, *permissions),
        _ => {
            let problem =
                Problem::error("bad-device", node.span, "this is not a device: it has too many colons");
            return reading.refuse(problem.hint("`/dev/host:/dev/container:rwm`"));
        }
    };
    let part = |key: &str, text: &str| entry(key, text_node(text, node.span, Some(&scalar)));
    let entries = vec![part("source", source), part("target", target), part("permissions", permissions)];
    Some(Node { tag: node.tag, ..map_node(node.span, entries) })
}

fn env_files(node: Node) -> Node {
    let (span, tag) = (node.span, node.tag);
    let items = match node.value {
        value @ Value::Scalar(_) => vec![Node { span, tag: None, value }],
        Value::List(items) => items,
        value @ (Value::Null | Value::Map(_)) => return Node { span, tag, value },
    };
    let long = |item: Node| if item.as_scalar().is_some() { wrapped(item, "path") } else { item };
    Node { span, tag, value: Value::List(items.into_iter().map(long).collect()) }
}

fn gpus(reading: &mut Reading<'_>, node: Node) -> Option<Node> {
    let scalar = read::text(reading.problems, &node)?;
    if scalar.text != "all" {
        let message = format!("{} is not what GPUs can be", scalar.shown());
        return reading.refuse(
            Problem::error("unknown-value", node.span, message).hint("`all`, or a list of requests"),
        );
    }
    let (span, tag) = (node.span, node.tag);
    let request = map_node(span, vec![entry("count", Node { tag: None, ..node })]);
    Some(Node { span, tag, value: Value::List(vec![request]) })
}

/// A list of names → a mapping of them, each to nothing or to what it means.
fn names(reading: &mut Reading<'_>, node: Node, condition: Option<&str>) -> Node {
    let Node { span, tag, value } = node;
    let Value::List(items) = value else { return Node { span, tag, value } };
    let mut entries: Vec<Entry> = Vec::new();
    let mut places: BTreeMap<String, Span> = BTreeMap::new();
    for item in items {
        let scalar = match read::text(reading.problems, &item) {
            Some(scalar) => scalar.text.clone(),
            None => continue,
        };
        if let Some(first) = places.insert(scalar.clone(), item.span) {
            let message = format!("`{scalar}` is there twice");
            reading.problems.add(
                Problem::error("duplicate-key", item.span, message)
                    .label("again here")
                    .related(first, "first here"),
            );
            continue;
        }
        let value = match condition {
            None => Node { span: item.span, tag: None, value: Value::Null },
            Some(key) => {
                let started = entry(key, text_node("service_started", item.span, None));
                map_node(item.span, vec![started, entry("required", plain_node("true", item.span))])
            }
        };
        entries.push(Entry { key: Key { text: scalar, span: item.span }, value });
    }
    Node { span, tag, value: Value::Map(Map { entries }) }
}

/// A list of `KEY=value` → a mapping. A later one of a name takes the place of an earlier one.
pub(crate) fn pairs(reading: &mut Reading<'_>, node: Node) -> Option<Node> {
    let Node { span, tag, value } = node;
    let items = match value {
        Value::List(items) => items,
        value @ Value::Map(_) => return Some(Node { span, tag, value }),
        value @ (Value::Null | Value::Scalar(_)) => {
            let problem = read::wrong_type(&Node { span, tag, value }, "a mapping or a list of `NAME=value`");
            return reading.refuse(problem);
        }
    };
    let mut entries: Vec<Entry> = Vec::new();
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    for item in items {
        let Value::Scalar(scalar) = &item.value else {
            reading.problems.add(
                read::wrong_type(&item, "a text").hint("write `- NAME=value`, or a mapping of `NAME: value`"),
            );
            continue;
        };
        if read::text(reading.problems, &item).is_none() {
            continue;
        }
        let (name, value) = match scalar.text.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (scalar.text.as_str(), None),
        };
        let (name_span, value_span) = spans(reading.problems, item.span, &scalar.text, name.len());
        let value = match value {
            Some(value) => text_node(value, value_span, Some(scalar)),
            None => Node { span: value_span, tag: None, value: Value::Null },
        };
        let entry = Entry { key: Key { text: name.to_owned(), span: name_span }, value };
        let place = *places.entry(name.to_owned()).or_insert(entries.len());
        let Some(first) = entries.get_mut(place) else {
            entries.push(entry);
            continue;
        };
        let message = format!("`{name}` is there twice, and this one counts");
        reading.problems.add(
            Problem::warning("duplicate-key", name_span, message)
                .label("again here")
                .related(first.key.span, "first here"),
        );
        *first = entry;
    }
    Some(Node { span, tag, value: Value::Map(Map { entries }) })
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

/// `name=address`, `name:address`, or a mapping of names to one or several addresses → a sorted list.
fn hosts(reading: &mut Reading<'_>, node: Node) -> Option<Node> {
    let Node { span, tag, value } = node;
    let mut found: Vec<Node> = Vec::new();
    let mut add = |name: &str, address: &str, item: &Node| {
        let address = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(address);
        found.push(text_node(&format!("{name}={address}"), item.span, item.as_scalar()));
    };
    let is_list = matches!(value, Value::List(_));
    match value {
        Value::List(items) => {
            for item in &items {
                let Some(scalar) = read::text(reading.problems, item) else { continue };
                let text = scalar.text.as_str();
                let Some((name, address)) = text.split_once('=').or_else(|| text.split_once(':')) else {
                    reading.problems.add(
                        Problem::error("bad-address", item.span, "a name and an IP address are wanted here")
                            .hint("`name=192.0.2.1`, or `name=host-gateway` for the host itself"),
                    );
                    continue;
                };
                add(name, address, item);
            }
        }
        Value::Map(map) => {
            for Entry { key, value } in &map.entries {
                for item in read::one_or_list(reading.problems, value) {
                    let Some(scalar) = read::text(reading.problems, item) else { continue };
                    add(&key.text, &scalar.text, item);
                }
            }
        }
        value @ (Value::Null | Value::Scalar(_)) => {
            return reading.refuse(read::wrong_type(&Node { span, tag, value }, "a mapping or a list"));
        }
    }
    let text = |node: &Node| node.as_scalar().map(|scalar| scalar.text.clone());
    // A later file may say it again, but nobody says the same twice in one.
    if is_list {
        unique::refused(reading.problems, &found);
    }
    found.sort_by_key(text);
    Some(Node { span, tag, value: Value::List(found) })
}

/// `ssh: [default, name=path]`, also as a mapping.
fn keys(reading: &mut Reading<'_>, node: Node) -> Option<Node> {
    let Node { span, tag, value } = node;
    match value {
        Value::Map(map) => {
            let mut items = Vec::new();
            for Entry { key, value } in map.entries {
                let text = match &value.value {
                    Value::Null => key.text,
                    Value::Scalar(scalar) => format!("{}={}", key.text, scalar.text),
                    Value::List(_) | Value::Map(_) => {
                        reading.problems.add(read::wrong_type(&value, "a path"));
                        continue;
                    }
                };
                items.push(text_node(&text, value.span, value.as_scalar()));
            }
            Some(Node { span, tag, value: Value::List(items) })
        }
        value @ Value::List(_) => {
            let node = Node { span, tag, value };
            unique::refused(reading.problems, unique::items(&node));
            for item in unique::items(&node) {
                let Some(scalar) = item.as_scalar().filter(|_| reading.interpolated) else { continue };
                let is_text = typed::meaning(scalar) == Plain::Text;
                if is_text && scalar.text != "default" && !scalar.text.contains('=') {
                    let problem =
                        Problem::error("wrong-type", item.span, "a name and a path are wanted here");
                    reading.problems.add(problem.hint("`name=path`, or `default` for the agent"));
                }
            }
            Some(node)
        }
        value @ (Value::Null | Value::Scalar(_)) => {
            reading.refuse(read::wrong_type(&Node { span, tag, value }, "a mapping or a list"))
        }
    }
}

/// `external: {name: x}` → `external: true`, `name: x`
pub(crate) fn external(problems: &mut Problems, map: &mut Map) {
    let Some(place) = map.entries.iter().position(|entry| entry.key.text == "external") else { return };
    let Some(node) = map.entries.get_mut(place).map(|entry| &mut entry.value) else { return };
    let Value::Map(inner) = &mut node.value else { return };
    let name = inner.remove("name");
    if let Some(other) = inner.entries.first() {
        let message = format!("`external` has no key `{}`", other.key.text);
        problems.add(Problem::error("unknown-key", other.key.span, message).hint("write `external: true`"));
    }
    node.value = plain_node("true", node.span).value;
    let span = node.span;
    problems.add(
        Problem::warning("obsolete", span, "`external.name` is obsolete")
            .hint("write `external: true` and `name`"),
    );
    let Some(name) = name else { return };
    match map.entry("name") {
        None => map.entries.push(name),
        Some(first) if first.value.says_the_same(&name.value) => {}
        Some(first) => problems.add(
            Problem::error("said-twice", name.value.span, "`name` and `external.name` say different things")
                .related(first.value.span, "the other one")
                .hint("keep `name`"),
        ),
    }
}
