//! What a tree takes in memory, so that it can be limited while it grows.

use super::node::{Key, Node, Value};

/// What each allocation costs beside what is in it.
const ALLOCATION: usize = 16;

/// What a node takes in memory without what is in it: a place in a list that is still growing, and its text.
pub(crate) fn own(node: &Node) -> usize {
    let text = node.as_scalar().map_or(0, |scalar| scalar.text.len() + ALLOCATION);
    2 * size_of::<Node>() + text
}

/// What a key takes.
pub(crate) fn key(key: &Key) -> usize {
    size_of::<Key>() + key.text.len() + ALLOCATION
}

/// What a node takes with all that is in it, as a copy of it would.
pub(crate) fn whole(node: &Node) -> usize {
    let below: usize = match &node.value {
        Value::Null | Value::Scalar(_) => 0,
        Value::List(items) => items.iter().map(whole).sum(),
        Value::Map(map) => map.entries.iter().map(|entry| key(&entry.key) + whole(&entry.value)).sum(),
    };
    own(node) + below
}

/// How deep the collections in a node are nested.
pub(crate) fn depth(node: &Node) -> usize {
    let below = match &node.value {
        Value::Null | Value::Scalar(_) => return 0,
        Value::List(items) => items.iter().map(depth).max(),
        Value::Map(map) => map.entries.iter().map(|entry| depth(&entry.value)).max(),
    };
    1 + below.unwrap_or(0)
}
