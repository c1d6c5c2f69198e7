//! Lists in which an item is known by something: a later one takes the place of an earlier one.

use std::collections::BTreeMap;

use super::super::node::{Map, Node, Scalar, Value};
use super::super::problem::{Problem, Problems};
use super::types::Unique;
use super::{complete, merge};

/// The items of one list. One that takes the place of another is said, for nobody means that in one file.
pub(crate) fn within(problems: &mut Problems, items: Vec<Node>, unique: Unique) -> Vec<Node> {
    if matches!(unique, Unique::Never | Unique::Subnet) {
        return items;
    }
    let mut known: Vec<Node> = Vec::with_capacity(items.len());
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    for item in items {
        let place = key(&item, unique).map(|key| *places.entry(key).or_insert(known.len()));
        let Some(first) = place.and_then(|at| known.get_mut(at)) else {
            known.push(item);
            continue;
        };
        if unique == Unique::Refused {
            problems.add(twice(first, &item));
            continue;
        }
        if !first.says_the_same(&item) {
            let message = match unique {
                Unique::Target => "two of these have the same path in the container, and this one counts",
                _ => "this takes the place of an earlier one",
            };
            problems.add(
                Problem::warning("duplicate-target", item.span, message)
                    .label("again here")
                    .related(first.span, "first here"),
            );
        }
        *first = item;
    }
    known
}

fn twice(first: &Node, item: &Node) -> Problem {
    Problem::error("duplicate-item", item.span, "this is in the list twice")
        .label("again here")
        .related(first.span, "first here")
}

/// Appends the items of a later file.
pub(crate) fn append(items: &mut Vec<Node>, over: Vec<Node>, unique: Unique) {
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    for (at, item) in items.iter().enumerate() {
        places.extend(key(item, unique).map(|key| (key, at)));
    }
    for item in over {
        let place = key(&item, unique).map(|key| *places.entry(key).or_insert(items.len()));
        match place.and_then(|at| items.get_mut(at)) {
            Some(known) if unique == Unique::Subnet => merge::over(known, item),
            Some(known) if unique != Unique::Refused => *known = item,
            Some(_) | None => items.push(item),
        }
    }
}

/// Notes the items that are in a list twice and may not be, once all files are merged.
pub(crate) fn refused(problems: &mut Problems, items: &[Node]) {
    let mut known: BTreeMap<String, &Node> = BTreeMap::new();
    for item in items {
        let Some(scalar) = item.as_scalar() else { continue };
        if let Some(first) = known.insert(strictly(scalar), item) {
            problems.add(twice(first, item));
        }
    }
}

/// A text, told from the number that it may look like.
fn strictly(scalar: &Scalar) -> String {
    let kind = if scalar.plain { "#" } else { "" };
    format!("{kind}{}", scalar.text)
}

/// What an item is known by.
fn key(item: &Node, unique: Unique) -> Option<String> {
    let own = item.as_scalar().map(|scalar| scalar.text.clone());
    let map = item.as_map();
    let said =
        |map: &Map, key: &str| map.get(key).and_then(Node::as_scalar).map(|scalar| scalar.text.clone());
    let of = |key: &str| map.and_then(|map| said(map, key));
    match unique {
        Unique::Never => None,
        Unique::Whole => own,
        Unique::Refused => item.as_scalar().map(strictly),
        // What follows an equals sign doesn't count, as with variables.
        Unique::Itself => own.map(|own| own.split_once('=').map_or(own.clone(), |(name, _)| name.to_owned())),
        Unique::Target => of("target").map(|target| complete::cleaned(&target)),
        Unique::Path => of("path"),
        Unique::Subnet => of("subnet"),
        Unique::Mounted(folder) => {
            of("target").or_else(|| of("source").map(|source| format!("{folder}/{source}")))
        }
        Unique::Port => {
            let target = of("target")?;
            let address = of("host_ip").unwrap_or_else(|| "0.0.0.0".to_owned());
            let published = of("published").unwrap_or_default();
            let number = map.and_then(|map| map.get("published")).and_then(Node::as_scalar);
            let form = if number.is_some_and(|scalar| scalar.plain) { "#" } else { "" };
            let protocol = of("protocol").unwrap_or_else(|| "tcp".to_owned());
            Some(format!("{address}:{form}{published}:{target}/{protocol}"))
        }
    }
}

/// Whether a value is a list.
pub(crate) fn items(node: &Node) -> &[Node] {
    match &node.value {
        Value::List(items) => items,
        Value::Null | Value::Scalar(_) | Value::Map(_) => &[],
    }
}
