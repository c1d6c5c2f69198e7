//! The schemas of our own files and of `x-evenkeel`.

use serde_json::{Value as Json, json};

use super::{DIALECT, any_of, api, closed, formed, list_of};
use crate::manifest::keys::{self, Keys};
use crate::model::desired::Method;
use crate::model::policy::{ALL, FIELDS, OPEN_FIELDS, Treatment};

/// The names of stacks, tiers and projects.
const NAME: &str = "^[a-z0-9][a-z0-9_-]*$";
/// The names of variables.
const VARIABLE_NAME: &str = "^[A-Za-z_][A-Za-z0-9_]*$";
/// A path of this host, an address, or `user@host:path`.
const ADDRESS: &str = "^(/|https?://|ssh://|file:///|[^/@:]+@[^/:]+:)";
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

/// The schema of `agent.yaml`.
pub fn agent() -> Json {
    let follow =
        closed(keys::FOLLOW.of, keys::FOLLOW.known.iter().map(|key| (*key, property(key))).collect());
    let mut schema = file(&keys::AGENT);
    schema["type"] = "object".into();
    schema["required"] = json!(["follow"]);
    schema["properties"]["follow"] = list_of(&follow);
    schema["properties"]["follow"]["items"]["required"] = json!(["repository"]);
    schema["properties"]["api"] = api::api();
    schema["properties"]["webhooks"] = api::webhooks();
    schema
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
        "hosts" => {
            let host = json!({"type": "string"});
            said(list_of(&host), "Names and labels (`role=web`): a host that bears none of them refuses.")
        }
        "drift" => said(drift(), "What is done about differences that somebody made on a host."),
        "rollback" => said(rollback(), "What happens when a deploy fails."),
        "prune" => said(json!({"type": "boolean"}), "Whether what is in no manifest any more is removed."),
        "watch" => {
            let duration = json!({"type": "string", "pattern": DURATION});
            said(duration, "For so long after a deploy a failure still rolls back; `0s` is none.")
        }
        "windows" => said(windows(), "When something new may be deployed: freezes and maintenance windows."),
        "approval" => said(json!({"enum": ["none", "required"]}), "Whether somebody must approve each plan."),
        "host" => {
            said(json!({"type": "string"}), "What this host is called, for `hosts` of environment.yaml.")
        }
        "labels" => {
            let value = json!({"type": ["string", "number", "boolean"]});
            let labels = json!({"type": "object", "additionalProperties": value});
            said(labels, "What this host is besides, as in `role: web`.")
        }
        "docker" => {
            said(json!({"type": "string"}), "The address of Docker, as in unix:///var/run/docker.sock.")
        }
        "state" => said(formed("^/"), "The folder for the ledger and laid down files."),
        "repository" => said(formed(ADDRESS), "The repository: a path of this host, or an address."),
        "tag" => {
            said(json!({"type": "string"}), "Instead of a branch: the highest version among these tags.")
        }
        "credential" => said(json!({"type": "string"}), "With what the server is asked, by its name."),
        "environment" => {
            said(json!({"type": "string"}), "The environment, where the repository has several.")
        }
        "branch" => said(json!({"type": "string"}), "The branch, instead of the repository's HEAD."),
        "poll" => {
            let duration = json!({"type": "string", "pattern": DURATION});
            said(duration, "Time between two looks at the repository where no event told before.")
        }
        // What has no schema of its own yet is left to the reading, which refuses what it doesn't know.
        _ => Json::Bool(true),
    }
}

fn windows() -> Json {
    let text = json!({"type": "string"});
    let mut window = closed(
        keys::WINDOW.of,
        vec![
            ("kind", json!({"enum": ["freeze", "maintenance"]})),
            ("cron", text.clone()),
            ("duration", json!({"type": "string", "pattern": DURATION})),
            ("timezone", text.clone()),
            ("reason", text),
        ],
    );
    window["required"] = json!(["kind", "cron", "duration"]);
    list_of(&window)
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

/// What is done about drift, in all fields or in some.
fn drift() -> Json {
    let words: Vec<&str> = Treatment::WORDS.iter().map(|(word, _)| *word).collect();
    let treatment = any_of(vec![json!({"enum": words}), super::variable()]);
    let fields: serde_json::Map<_, _> = FIELDS
        .iter()
        .chain(&OPEN_FIELDS)
        .chain(&[ALL, "env"])
        .map(|field| ((*field).to_owned(), treatment.clone()))
        .collect();
    // What is below a field has many names, which the reading checks.
    let fields = json!({"type": "object", "properties": fields, "additionalProperties": treatment});
    any_of(vec![json!({"enum": words}), fields])
}

fn rollback() -> Json {
    json!({"enum": ["automatic", "hold"]})
}

/// `x-evenkeel`, at the top of a file or of a service.
pub(super) fn evenkeel() -> Json {
    let duration = || json!({"type": "string", "pattern": DURATION});
    closed(
        "`x-evenkeel`",
        vec![
            ("tier", json!({"type": "string"})),
            ("gate", gate()),
            ("watch", duration()),
            ("rollback", any_of(vec![rollback(), super::variable()])),
            ("drift", any_of(vec![drift(), super::variable()])),
            ("moved_from", json!({"type": "string"})),
        ],
    )
}

/// What must hold before a service counts as up.
fn gate() -> Json {
    let duration = || json!({"type": "string", "pattern": DURATION});
    let number = || json!({"type": ["integer", "string"]});
    let text = || json!({"type": "string"});
    let texts =
        || json!({"type": "object", "additionalProperties": {"type": ["string", "number", "boolean"]}});
    let words = || json!({"type": "array", "items": {"type": "string"}});
    let several = |one: Json| any_of(vec![one.clone(), json!({"type": "array", "items": one})]);
    let http = closed(
        keys::HTTP_GATE.of,
        vec![
            ("url", text()),
            ("method", any_of(vec![json!({"enum": Method::WORDS.map(|(word, _)| word)}), super::variable()])),
            ("headers", texts()),
            ("status", several(number())),
            ("expect_headers", texts()),
            ("json", texts()),
            ("redirects", number()),
            ("within", duration()),
        ],
    );
    let exec = closed(keys::EXEC_GATE.of, vec![("command", words()), ("within", duration())]);
    let log = closed(keys::LOG_GATE.of, vec![("line", text()), ("regex", text())]);
    closed(
        keys::GATE.of,
        vec![
            ("http", several(http)),
            ("tcp", several(number())),
            ("exec", any_of(vec![words(), several(any_of(vec![words(), exec]))])),
            ("log", several(any_of(vec![text(), log]))),
            ("stable_for", duration()),
            ("deadline", duration()),
        ],
    )
}
