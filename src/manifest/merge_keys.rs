//! Merge keys: `<<: *defaults` becomes the entries of what it names.
//!
//! A key that a mapping says itself wins over a merged one; of several merged mappings the earlier wins.

use super::load::Fatal;
use super::node::{Map, Node, Value};
use super::problem::Problem;

/// Replaces every merge key below `node`.
pub(crate) fn expand(node: &mut Node) -> Result<(), Fatal> {
    match &mut node.value {
        Value::Null | Value::Scalar(_) => Ok(()),
        Value::List(items) => items.iter_mut().try_for_each(expand),
        Value::Map(map) => {
            map.entries.iter_mut().try_for_each(|entry| expand(&mut entry.value))?;
            merge(map)
        }
    }
}

fn merge(map: &mut Map) -> Result<(), Fatal> {
    let Some(merged) = map.remove("<<") else { return Ok(()) };
    let sources = match merged.value.value {
        Value::List(items) => items,
        Value::Null | Value::Scalar(_) | Value::Map(_) => vec![merged.value],
    };
    let mut known: std::collections::BTreeSet<String> =
        map.entries.iter().map(|entry| entry.key.text.clone()).collect();
    for source in sources {
        let kind = source.kind();
        let Value::Map(source_map) = source.value else {
            let message = format!("a merge key takes mappings, and this is {kind}");
            return Err(Box::new(
                Problem::error("merge-key", source.span, message)
                    .hint("`<<: *name` or `<<: [*name, *other]`, where the anchors are at mappings"),
            ));
        };
        for entry in source_map.entries {
            if known.insert(entry.key.text.clone()) {
                map.entries.push(entry);
            }
        }
    }
    Ok(())
}
