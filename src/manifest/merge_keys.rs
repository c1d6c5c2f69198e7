//! Merge keys: `<<: *defaults` becomes the entries of what it names.
//!
//! A key that a mapping says itself wins over a merged one; of several merged mappings the earlier wins.

use super::load::Fatal;
use super::node::{Map, Value};
use super::problem::Problem;

/// Replaces the merge key of a mapping. What is in it has none any more.
pub(crate) fn expand(map: &mut Map) -> Result<(), Fatal> {
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
