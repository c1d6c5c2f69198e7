//! Merging one file over another, by the table.
//!
//! Both are in the long form, so mappings meet by key and the items of lists by what they are known by. `!reset`
//! removes and `!override` replaces what earlier files say.

use std::collections::BTreeMap;

use super::super::node::{Map, MergeTag, Node, Value};
use super::types::{Merge, Object, Type, Unique, key};
use super::unique;

/// Whether tags are kept: what extends another service still has to be merged over earlier files.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tags {
    Kept,
    Settled,
}

/// Merges `over` over `base`, which are both of type `of`.
pub(crate) fn merge(base: &mut Node, over: Node, of: &Type, tags: Tags) {
    merge_as(base, over, of, Merge::ByKind, tags);
}

/// Merges what is only known by its kind.
pub(crate) fn over(base: &mut Node, over: Node) {
    merge(base, over, &Type::Any, Tags::Settled);
}

/// Takes the tags out of a tree that nothing comes before: `!reset` leaves nothing, `!override` means nothing.
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

fn merge_as(base: &mut Node, mut over: Node, of: &Type, merge: Merge, tags: Tags) {
    let whole = merge == Merge::Replace || over.tag == Some(MergeTag::Override);
    let drivers = merge == Merge::ByDriver && drivers_differ(base, &over);
    if whole || drivers {
        if tags == Tags::Settled {
            settle(&mut over);
        }
        *base = over;
        return;
    }
    let of = of.long();
    match (&mut base.value, over.value) {
        (_, Value::Null) => {}
        (Value::Map(map), Value::Map(over)) => merge_maps(map, over, of, tags),
        (Value::List(items), Value::List(mut over)) => {
            let unique = match of {
                Type::List(list) => list.unique,
                _ => Unique::Never,
            };
            if tags == Tags::Settled {
                over.retain(|item| item.tag != Some(MergeTag::Reset));
                over.iter_mut().for_each(settle);
            }
            unique::append(items, over, unique);
        }
        (place, value) => {
            *place = value;
            base.span = over.span;
            if tags == Tags::Settled {
                settle(base);
            }
        }
    }
}

fn merge_maps(base: &mut Map, over: Map, of: &Type, tags: Tags) {
    let mut removed = Vec::new();
    // Of the keys that come, not of those that are there: a stack of thousands of files has thousands of services.
    let mut places: BTreeMap<String, Option<usize>> =
        over.entries.iter().map(|entry| (entry.key.text.clone(), None)).collect();
    for (at, entry) in base.entries.iter().enumerate() {
        if let Some(place) = places.get_mut(&entry.key.text) {
            *place = Some(at);
        }
    }
    for mut entry in over.entries {
        let name = entry.key.text.as_str();
        let place = places.get(name).copied().flatten();
        if entry.value.tag == Some(MergeTag::Reset) {
            match (place, tags) {
                (Some(at), Tags::Settled) => removed.push(at),
                (Some(at), Tags::Kept) => base.entries[at] = entry,
                (None, Tags::Kept) => base.entries.push(entry),
                (None, Tags::Settled) => {}
            }
            continue;
        }
        let Some(known) = place.and_then(|at| base.entries.get_mut(at)) else {
            if tags == Tags::Settled {
                settle(&mut entry.value);
            }
            base.entries.push(entry);
            continue;
        };
        // What a later file replaces is found there: an error about it must point at the later one.
        if matches!(entry.value.value, Value::Scalar(_)) || entry.value.tag.is_some() {
            known.key.span = entry.key.span;
        }
        let (of, merge) = inner(of, name);
        match (of, &entry.value.value) {
            // In a mapping of texts, nothing is a value: that of the variable of this name.
            (Type::Textual(_), Value::Null) => known.value = entry.value,
            _ => merge_as(&mut known.value, entry.value, of, merge, tags),
        }
    }
    removed.sort_unstable();
    for at in removed.into_iter().rev() {
        base.entries.remove(at);
    }
}

/// The type of what is at a key, and how it is merged.
fn inner<'t>(of: &'t Type, name: &str) -> (&'t Type, Merge) {
    const TEXT: Type = Type::Textual(super::types::Textual::All);
    match of {
        Type::Object(object) => of_object(object, name),
        Type::Map(item) => (item, Merge::ByKind),
        Type::Pairs(_) => (&TEXT, Merge::ByKind),
        _ => (&Type::Any, Merge::ByKind),
    }
}

/// What is below `x-evenkeel`.
pub(crate) static OWN: Type = Type::Object(&OWN_KEYS);

/// The keys below `x-evenkeel` that are not merged by their kind alone.
static OWN_KEYS: Object = Object {
    of: "`x-evenkeel`",
    attributes: &[key("gate", Type::Object(&GATE))],
    extensible: true,
    lax: false,
};

/// The command of a gate is one thing, as `command` is.
static GATE: Object =
    Object { of: "a gate", attributes: &[key("exec", Type::Any).replaced()], extensible: true, lax: false };

fn of_object(object: &Object, name: &str) -> (&'static Type, Merge) {
    match object.attribute(name) {
        Some(attribute) => (&attribute.holds, attribute.merge),
        None if name == "x-evenkeel" => (&OWN, Merge::ByKind),
        None => (&Type::Any, Merge::ByKind),
    }
}

fn drivers_differ(base: &Node, over: &Node) -> bool {
    let driver = |node: &Node| {
        let driver = node.as_map()?.get("driver")?.as_scalar()?;
        Some(driver.text.clone())
    };
    match (driver(base), driver(over)) {
        (Some(base), Some(over)) => base != over,
        _ => false,
    }
}
