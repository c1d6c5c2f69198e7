//! JSON Schemas of what people write: Compose files, `environment.yaml` and `evenkeel.yaml`.
//!
//! They are made of the tables that the reading itself walks, so an editor completes and accepts the same keys. A schema
//! can't know what stands in other files or in variables: what it accepts may still be refused, and nothing is ever
//! accepted because of it.

mod compose;
mod own;
mod api;

use serde_json::{Value as Json, json};

pub use compose::manifest;
pub use own::{agent, environment, project};

/// The dialect that the schemas are written in: the newest that every editor knows.
const DIALECT: &str = "http://json-schema.org/draft-07/schema#";

/// A text that has a variable in it, and may become anything.
fn variable() -> Json {
    json!({"type": "string", "pattern": "\\$"})
}

/// A text of this form, or one with a variable.
fn formed(pattern: &str) -> Json {
    json!({"type": "string", "pattern": pattern})
}

/// A list of such items, of which none is there twice.
fn list_of(items: &Json) -> Json {
    json!({"type": "array", "items": items, "uniqueItems": true})
}

/// A mapping with these keys and no others.
fn closed(title: &str, properties: Vec<(&str, Json)>) -> Json {
    let properties: serde_json::Map<_, _> =
        properties.into_iter().map(|(key, schema)| (key.to_owned(), schema)).collect();
    json!({"title": title, "type": "object", "properties": properties, "additionalProperties": false})
}

/// Any of these.
fn any_of(schemas: Vec<Json>) -> Json {
    Json::Object([("anyOf".to_owned(), Json::Array(schemas))].into_iter().collect())
}
