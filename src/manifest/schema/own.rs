//! The schemas of our own files and of `x-evenkeel`.

use serde_json::{Value as Json, json};

use super::{DIALECT, any_of, closed, formed, list_of};
use crate::manifest::keys::{self, Keys};

/// The names of stacks, tiers and projects.
const NAME: &str = "^[a-z0-9][a-z0-9_-]*$";
/// The names of variables.
const VARIABLE_NAME: &str = "^[A-Za-z_][A-Za-z0-9_]*$";
/// `30s`, `1m30s`
const DURATION: &str = "^([0-9]+(\\.[0-9]+)?(h|m|s|ms|us|ns))+$|\\$";

/// The schema of `evenkeel.yaml`.
pub fn project() -> Json {
    let mut schema = file(&keys::PROJECT);
    schema["required"] = json!(["project"]);
    schema
}

/// The schema of `environments/<name>/environment.yaml`.
pub fn environment() -> Json {
    file(&keys::ENVIRONMENT)
}

fn file(keys: &Keys) -> Json {
    let properties = keys.known.iter().map(|key| (*key, property(key))).collect();
    let mut schema = closed(keys.of, properties);
    schema["$schema"] = DIALECT.into();
    // An empty file is an empty mapping.
    schema["type"] = json!(["object", "null"]);
    schema
}

/// A key of one of our own files.
fn property(key: &str) -> Json {
    let said = |schema: Json, description: &str| {
        let mut schema = schema;
        schema["description"] = description.into();
        schema
    };
    match key {
        "project" => said(formed(NAME), "The project: the first half of the names of its stacks."),
        "stack" => said(formed(NAME), "The stack, when it isn't to be called <project>-<environment>."),
        "tiers" => said(list_of(&formed(NAME)), "The tiers, in the order in which they are applied."),
        "profiles" => said(list_of(&json!({"type": "string"})), "The profiles that are active."),
        "variables" => said(variables(), "The values of `${…}` in manifests and override files."),
        // What has no schema of its own yet is left to the reading, which refuses what it doesn't know.
        _ => Json::Bool(true),
    }
}

fn variables() -> Json {
    let value = json!({"type": ["string", "number", "boolean"]});
    let from_host = json!({
        "type": "object",
        "properties": {"from": {"const": "host", "description": "From the environment of the agent's process."}},
        "required": ["from"],
        "additionalProperties": false,
    });
    json!({
        "type": "object",
        "patternProperties": {VARIABLE_NAME: any_of(vec![value, from_host])},
        "additionalProperties": false,
    })
}

/// `x-evenkeel`, at the top of a file or of a service.
pub(super) fn evenkeel() -> Json {
    let duration = || json!({"type": "string", "pattern": DURATION});
    let number = || json!({"type": ["integer", "string"]});
    let http = closed(
        "an HTTP gate",
        vec![
            ("url", json!({"type": "string"})),
            ("status", number()),
            ("json", json!({"type": "object"})),
            ("within", duration()),
        ],
    );
    let gate = closed(
        "a gate",
        vec![("http", http), ("tcp", number()), ("stable_for", duration()), ("deadline", duration())],
    );
    let drift = json!(["repair", "report", "ignore"]);
    let drift = any_of(vec![
        json!({"enum": drift}),
        json!({"type": "object", "additionalProperties": {"enum": drift}}),
        super::variable(),
    ]);
    let rollback = any_of(vec![json!({"enum": ["automatic", "hold"]}), super::variable()]);
    closed(
        "`x-evenkeel`",
        vec![
            ("tier", json!({"type": "string"})),
            ("gate", gate),
            ("watch", duration()),
            ("rollback", rollback),
            ("drift", drift),
            ("moved_from", json!({"type": "string"})),
        ],
    )
}
