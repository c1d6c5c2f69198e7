//! Merging one Compose file over another, by the rules of the Compose Specification.
//!
//! Mappings merge by key, lists are appended, single values are replaced; `command`, `entrypoint` and the test of a
//! health check are replaced whole; volumes meet by their target. `!reset` removes and `!override` replaces.

use std::collections::{BTreeMap, BTreeSet};

use super::node::{Map, MergeTag, Node, Value};
use super::problem::{Problem, Problems};

/// How two values at a path are merged.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// Mappings by key, lists appended, single values replaced.
    ByKind,
    /// The later replaces the earlier.
    Replace,
    /// As `ByKind`, and a single value is a list of one; no text is twice in the list.
    Unique,
    /// Lists whose items meet by the path in the container.
    ByTarget,
    /// Lists of mappings that meet by their `subnet`.
    BySubnet,
    /// Options meet only where the drivers don't differ.
    Logging,
}

fn rule(path: &[&str]) -> Rule {
    match path {
        ["services", _, "command" | "entrypoint"] | ["services", _, "healthcheck", "test"] => Rule::Replace,
        ["services", _, "volumes" | "tmpfs"] => Rule::ByTarget,
        [
            "services",
            _,
            "dns" | "cap_add" | "cap_drop" | "security_opt" | "expose" | "profiles" | "extra_hosts" | "ports",
        ]
        | ["services", _, "networks", _, "aliases"] => Rule::Unique,
        ["services", _, "logging"] => Rule::Logging,
        ["networks", _, "ipam", "config"] => Rule::BySubnet,
        _ => Rule::ByKind,
    }
}

/// Merges `over` over `base`. Both are whole Compose files.
pub(crate) fn merge(problems: &mut Problems, base: &mut Node, over: Node) {
    merge_at(problems, base, over, &mut Vec::new());
}

/// Takes the tags out of a file that nothing comes before: `!reset` leaves nothing, `!override` means nothing.
pub(crate) fn settle(node: &mut Node) {
    node.tag = None;
    match &mut node.value {
        Value::Null | Value::Scalar(_) => {}
        Value::List(items) => {
            items.retain(|item| item.tag != Some(MergeTag::Reset));
            items.iter_mut().for_each(settle);
        }
        Value::Map(map) => {
            map.entries.retain(|entry| entry.value.tag != Some(MergeTag::Reset));
            map.entries.iter_mut().for_each(|entry| settle(&mut entry.value));
        }
    }
}

fn merge_at(problems: &mut Problems, base: &mut Node, over: Node, path: &mut Vec<String>) {
    let keys: Vec<&str> = path.iter().map(String::as_str).collect();
    let rule = rule(&keys);
    if rule == Rule::Replace || over.tag == Some(MergeTag::Override) {
        *base = over;
        settle(base);
        return;
    }
    let over = if rule == Rule::Unique || rule == Rule::ByTarget { listed(over) } else { over };
    if rule == Rule::Unique || rule == Rule::ByTarget {
        let single = std::mem::replace(&mut base.value, Value::Null);
        base.value = listed(Node { span: base.span, tag: None, value: single }).value;
    }
    let kinds = (base.kind(), over.kind());
    match (&mut base.value, over.value) {
        (Value::Map(_) | Value::List(_), Value::Null) => {}
        (Value::Map(map), Value::Map(over)) => {
            if rule == Rule::Logging && drivers_differ(map, &over) {
                *map = over;
            } else {
                merge_maps(problems, map, over, path);
            }
        }
        (Value::List(items), Value::List(over)) => append(items, over, rule),
        // Where a single value and a mapping may stand, as in `ulimits`, the later wins.
        (Value::Null | Value::Scalar(_), value) => {
            base.value = value;
            base.span = over.span;
            settle(base);
        }
        (Value::Map(_), value @ Value::Scalar(_)) if keys_are_ulimit(path) => {
            base.value = value;
            base.span = over.span;
        }
        (Value::Map(_), Value::List(_) | Value::Scalar(_))
        | (Value::List(_), Value::Map(_) | Value::Scalar(_)) => {
            let message = format!("{} can't be merged over {}", kinds.1, kinds.0);
            problems.add(
                Problem::error("merge", over.span, message)
                    .related(base.span, format!("{} here", kinds.0))
                    .hint("write the same form in both files, or `!override` to replace the earlier value"),
            );
        }
    }
}

fn keys_are_ulimit(path: &[String]) -> bool {
    path.len() == 4 && path[2] == "ulimits"
}

fn merge_maps(problems: &mut Problems, base: &mut Map, over: Map, path: &mut Vec<String>) {
    let removed: BTreeSet<String> = over
        .entries
        .iter()
        .filter(|entry| entry.value.tag == Some(MergeTag::Reset))
        .map(|entry| entry.key.text.clone())
        .collect();
    base.entries.retain(|entry| !removed.contains(&entry.key.text));
    let places: BTreeMap<String, usize> =
        base.entries.iter().enumerate().map(|(at, entry)| (entry.key.text.clone(), at)).collect();
    for mut entry in over.entries.into_iter().filter(|entry| !removed.contains(&entry.key.text)) {
        if let Some(known) = places.get(&entry.key.text).and_then(|at| base.entries.get_mut(*at)) {
            path.push(entry.key.text.clone());
            // What an override file replaces is found there: an error about it must point at the override.
            if matches!(entry.value.value, Value::Scalar(_)) || entry.value.tag.is_some() {
                known.key.span = entry.key.span;
            }
            merge_at(problems, &mut known.value, entry.value, path);
            path.pop();
        } else {
            settle(&mut entry.value);
            base.entries.push(entry);
        }
    }
}

fn append(items: &mut Vec<Node>, over: Vec<Node>, rule: Rule) {
    for mut item in over {
        if item.tag == Some(MergeTag::Reset) {
            continue;
        }
        settle(&mut item);
        let same =
            match rule {
                Rule::Unique => items.iter().position(|known| known.says_the_same(&item)),
                Rule::ByTarget => target(&item)
                    .and_then(|wanted| items.iter().position(|known| target(known) == Some(wanted))),
                Rule::BySubnet => subnet(&item)
                    .and_then(|wanted| items.iter().position(|known| subnet(known) == Some(wanted))),
                Rule::ByKind | Rule::Replace | Rule::Logging => None,
            };
        match same {
            Some(at) => items[at] = item,
            None => items.push(item),
        }
    }
}

fn listed(node: Node) -> Node {
    match node.value {
        Value::Scalar(_) => {
            let (span, tag) = (node.span, node.tag);
            Node { span, tag, value: Value::List(vec![Node { tag: None, ..node }]) }
        }
        Value::Null | Value::List(_) | Value::Map(_) => node,
    }
}

fn drivers_differ(base: &Map, over: &Map) -> bool {
    let driver = |map: &Map| map.get("driver").and_then(Node::as_scalar).map(|scalar| scalar.text.clone());
    match (driver(base), driver(over)) {
        (Some(base), Some(over)) => base != over,
        _ => false,
    }
}

/// The path in the container of a volume or tmpfs, in the long or the short form.
fn target(node: &Node) -> Option<&str> {
    match &node.value {
        Value::Map(map) => map.get("target").and_then(Node::as_scalar).map(|scalar| scalar.text.as_str()),
        Value::Scalar(scalar) => {
            let mut parts = scalar.text.split(':');
            let first = parts.next()?;
            Some(parts.next().filter(|second| second.starts_with('/')).unwrap_or(first))
        }
        Value::Null | Value::List(_) => None,
    }
}

fn subnet(node: &Node) -> Option<&str> {
    node.as_map()?.get("subnet")?.as_scalar().map(|scalar| scalar.text.as_str())
}
