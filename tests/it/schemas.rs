//! The printed schemas accept what is good and refuse keys that nobody knows.
//!
//! The checker here knows the few words of JSON Schema that our schemas use, and fails on any other.

#![allow(clippy::unwrap_used, reason = "a test that can't go on fails")]

use std::fs;
use std::path::{Path, PathBuf};

use evenkeel::manifest::schema;
use serde::Deserialize;
use serde_json::{Value as Json, json};

/// What is wrong with `value`, the first thing only, and where.
fn complaint(root: &Json, schema: &Json, value: &Json, at: &str) -> Option<String> {
    let Some(words) = schema.as_object() else {
        return (schema == &Json::Bool(false)).then(|| format!("{at}: nothing may be here"));
    };
    words.iter().find_map(|(word, wanted)| match word.as_str() {
        "$schema" | "definitions" | "title" | "description" | "patternProperties" => None,
        "$ref" => {
            let pointer = wanted.as_str().unwrap().trim_start_matches('#');
            complaint(root, root.pointer(pointer).unwrap(), value, at)
        }
        "anyOf" => {
            let complaints: Vec<_> =
                wanted.as_array().unwrap().iter().map(|schema| complaint(root, schema, value, at)).collect();
            complaints.iter().all(Option::is_some).then(|| complaints.into_iter().flatten().last().unwrap())
        }
        "items" => {
            let items = value.as_array().map(Vec::as_slice).unwrap_or_default().iter().enumerate();
            items
                .into_iter()
                .find_map(|(index, item)| complaint(root, wanted, item, &format!("{at}/{index}")))
        }
        "required" => {
            let keys = wanted.as_array().unwrap().iter().map(|key| key.as_str().unwrap());
            let object = value.as_object()?;
            keys.into_iter().find(|key| !object.contains_key(*key)).map(|key| format!("{at}: no {key}"))
        }
        "properties" => keys_of(value).find_map(|(key, value)| {
            wanted.get(key).and_then(|schema| complaint(root, schema, value, &format!("{at}/{key}")))
        }),
        "additionalProperties" => keys_of(value).find_map(|(key, value)| {
            if words.get("properties").is_some_and(|known| known.get(key).is_some()) {
                return None;
            }
            let patterns = words.get("patternProperties").and_then(Json::as_object).into_iter().flatten();
            let schema = patterns.into_iter().find(|(pattern, _)| matches(pattern, key));
            let schema = schema.map_or(wanted, |(_, schema)| schema);
            complaint(root, schema, value, &format!("{at}/{key}"))
        }),
        word => of_itself(word, wanted, value).map(|wrong| format!("{at}: {wrong}")),
    })
}

/// What is wrong with a value whatever is in it.
fn of_itself(word: &str, wanted: &Json, value: &Json) -> Option<String> {
    match word {
        "type" => {
            let types = wanted.as_array().cloned().unwrap_or_else(|| vec![wanted.clone()]);
            let is = |name: &Json| match name.as_str().unwrap() {
                "object" => value.is_object(),
                "array" => value.is_array(),
                "string" => value.is_string(),
                "number" => value.is_number(),
                "integer" => value.is_i64() || value.is_u64(),
                "boolean" => value.is_boolean(),
                "null" => value.is_null(),
                other => panic!("the checker doesn't know the type {other}"),
            };
            (!types.iter().any(is)).then(|| format!("{value} is not {wanted}"))
        }
        "enum" => {
            (!wanted.as_array().unwrap().contains(value)).then(|| format!("{value} is not in {wanted}"))
        }
        "const" => (wanted != value).then(|| format!("{value} is not {wanted}")),
        "pattern" => value
            .as_str()
            .is_some_and(|text| !matches(wanted.as_str().unwrap(), text))
            .then(|| format!("{value} does not match {wanted}")),
        "minimum" => {
            value.as_i64().is_some_and(|n| n < wanted.as_i64().unwrap()).then(|| "too small".to_owned())
        }
        "maximum" => {
            value.as_i64().is_some_and(|n| n > wanted.as_i64().unwrap()).then(|| "too large".to_owned())
        }
        "uniqueItems" => {
            let items = value.as_array().map(Vec::as_slice).unwrap_or_default();
            let twice = items.iter().enumerate().any(|(index, item)| items[..index].contains(item));
            twice.then(|| "an item is there twice".to_owned())
        }
        other => panic!("the checker doesn't know the word {other}"),
    }
}

fn keys_of(value: &Json) -> impl Iterator<Item = (&String, &Json)> {
    value.as_object().into_iter().flatten()
}

/// Whether a text matches one of the patterns of our schemas.
fn matches(pattern: &str, text: &str) -> bool {
    let name =
        |first: fn(char) -> bool, rest: fn(char) -> bool| text.starts_with(first) && text.chars().all(rest);
    match pattern {
        "\\$" => text.contains('$'),
        "^x-" => text.starts_with("x-"),
        "^/" => text.starts_with('/'),
        "^[a-z0-9][a-z0-9_-]*$" => name(
            |c| c.is_ascii_lowercase() || c.is_ascii_digit(),
            |c| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-".contains(c),
        ),
        "^[A-Za-z_][A-Za-z0-9_]*$" => {
            name(|c| c.is_ascii_alphabetic() || c == '_', |c| c.is_ascii_alphanumeric() || c == '_')
        }
        "^([0-9]+(\\.[0-9]+)?(h|m|s|ms|us|ns))+$|\\$" => {
            text.contains('$')
                || text.starts_with(|c: char| c.is_ascii_digit()) && text.ends_with(['h', 'm', 's'])
        }
        "^[a-z0-9_-]{1,63}$" => {
            let is_known = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-".contains(c);
            (1..=63).contains(&text.len()) && text.chars().all(is_known)
        }
        "^sha256:[0-9a-f]{64}$" => {
            let is_digit = |c| matches!(c, '0'..='9' | 'a'..='f');
            text.strip_prefix("sha256:").is_some_and(|hex| hex.len() == 64 && hex.chars().all(is_digit))
        }
        "^(/|https?://|ssh://|file:///|[^/@:]+@[^/:]+:)" => {
            let short = text.split_once('@').and_then(|(user, rest)| Some((user, rest.split_once(':')?.0)));
            ["/", "https://", "http://", "ssh://", "file:///"].iter().any(|start| text.starts_with(start))
                || short.is_some_and(|(user, host)| {
                    !user.is_empty() && !user.contains(['/', ':']) && !host.is_empty() && !host.contains('/')
                })
        }
        other => panic!("the checker doesn't know the pattern {other}"),
    }
}

fn checked(schema: &Json, value: &Json) -> Option<String> {
    complaint(schema, schema, value, "")
}

/// The documents of a file as a YAML editor sees them: merge keys are written out; what has a tag may be anything.
fn read(path: &Path) -> Vec<Json> {
    let text = fs::read_to_string(path).unwrap();
    let documents = serde_yaml::Deserializer::from_str(&text);
    let document = |document| {
        let mut value = serde_yaml::Value::deserialize(document).unwrap();
        value.apply_merge().unwrap();
        without_tags(value)
    };
    documents.map(document).collect()
}

fn without_tags(value: serde_yaml::Value) -> Json {
    match value {
        serde_yaml::Value::Mapping(map) => {
            let entries = map.into_iter().filter(|(_, value)| !matches!(value, serde_yaml::Value::Tagged(_)));
            let key = |key| match key {
                serde_yaml::Value::String(text) => text,
                other => serde_yaml::to_string(&other).unwrap().trim().to_owned(),
            };
            entries
                .map(|(name, value)| (key(name), without_tags(value)))
                .collect::<serde_json::Map<_, _>>()
                .into()
        }
        serde_yaml::Value::Sequence(items) => items.into_iter().map(without_tags).collect(),
        serde_yaml::Value::Tagged(_) => Json::Null,
        other => serde_json::to_value(other).unwrap(),
    }
}

fn yaml_below(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            yaml_below(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml") {
            found.push(path);
        }
    }
}

/// The schema for a file, by where it is; none for what is no file of ours.
fn schema_for(path: &Path) -> Option<Json> {
    let text = path.to_str().unwrap();
    if text.ends_with("/evenkeel.yaml") {
        Some(schema::project())
    } else if text.ends_with("/environment.yaml") {
        Some(schema::environment())
    } else if text.ends_with("/resolved.yaml")
        || !read(path).iter().any(|document| document.get("services").is_some())
    {
        None
    } else {
        Some(schema::manifest())
    }
}

#[test]
fn what_is_good_is_accepted() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = vec![root.join("evenkeel.yaml")];
    for folder in ["tests/data/manifests/good", "manifests", "environments"] {
        yaml_below(&root.join(folder), &mut files);
    }
    let mut wrong = Vec::new();
    let mut looked_at = 0;
    for path in files {
        let Some(schema) = schema_for(&path) else { continue };
        looked_at += 1;
        for document in read(&path) {
            let complaint = checked(&schema, &document);
            wrong.extend(complaint.map(|complaint| format!("{}: {complaint}", path.display())));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(looked_at > 20, "only {looked_at} files");
}

#[test]
fn what_nobody_knows_is_refused() {
    let web = |key: &str, value: Json| json!({"services": {"web": {"image": "web", key: value}}});
    let manifest = schema::manifest();
    for (value, good) in [
        (web("ports", json!(["80:80", 443, {"target": 80, "published": "8080"}])), true),
        (web("environment", json!({"A": 1, "B": null})), true),
        (web("environment", json!(["A=1", "B"])), true),
        (web("depends_on", json!({"db": {"condition": "service_healthy"}})), true),
        (web("depends_on", json!(["db"])), true),
        (web("depends_on", json!({"db": {"condition": "healthy"}})), false),
        (web("privileged", json!("${P}")), true),
        (web("privileged", json!(["a"])), false),
        (web("x-mine", json!({"any": "thing"})), true),
        (web("imge", json!("x")), false),
        (web("volumes", json!(["./a:/b:ro", {"type": "bind", "source": ".", "target": "/b"}])), true),
        (web("volumes", json!([{"type": "bind", "targt": "/b"}])), false),
        (web("deploy", json!({"resources": {"limits": {"cpus": 0.5, "memory": "1g"}}})), true),
        (web("deploy", json!({"resources": {"limit": {}}})), false),
        (web("x-evenkeel", json!({"gate": {"tcp": 80, "deadline": "1m30s"}, "rollback": "hold"})), true),
        (web("x-evenkeel", json!({"drift": {"env.A": "ignore", "*": "report"}, "moved_from": "old"})), true),
        (web("x-evenkeel", json!({"drift": "never"})), false),
        (web("x-evenkeel", json!({"drift": {"state": "never"}})), false),
        (web("x-evenkeel", json!({"gates": {}})), false),
        (web("x-evenkeel", json!({"gate": {"deadline": "soon"}})), false),
        (json!({"service": {}}), false),
        (json!({"services": []}), false),
    ] {
        let found = checked(&manifest, &value);
        assert_eq!(found.is_none(), good, "{value}: {found:?}");
    }
    for (schema, value, good) in [
        (schema::project(), json!({"project": "shop", "tiers": ["a", "b"]}), true),
        (schema::project(), json!({"tiers": ["a"]}), false),
        (schema::project(), json!({"project": "shop", "tier": []}), false),
        (schema::project(), json!({"project": "No Name"}), false),
        (schema::environment(), Json::Null, true),
        (schema::environment(), json!({"variables": {"A": 1.5, "B": {"from": "host"}}}), true),
        (schema::environment(), json!({"variables": {"A": {"from": "vault"}}}), false),
        (schema::environment(), json!({"variables": {"A-B": 1}}), false),
        (
            schema::environment(),
            json!({"hosts": ["web1", "role=web"], "prune": false, "drift": "report"}),
            true,
        ),
        (schema::environment(), json!({"hosts": "web1"}), false),
        (schema::environment(), json!({"prune": "no"}), false),
        (schema::environment(), json!({"watch": "5m"}), true),
        (schema::environment(), json!({"watch": 5}), false),
        (schema::environment(), json!({"watch": "soon"}), false),
        (schema::environment(), json!({"hosts_": []}), false),
        (schema::agent(), json!({"follow": [{"repository": "/srv/infra.git"}]}), true),
        (
            schema::agent(),
            json!({
                "host": "web-1",
                "labels": {"role": "web"},
                "docker": "unix:///var/run/docker.sock",
                "state": "/var/lib/evenkeel",
                "follow": [{"repository": "/a", "environment": "prod", "branch": "main", "poll": "30s"}],
            }),
            true,
        ),
        (schema::agent(), Json::Null, false),
        (schema::agent(), json!({"follow": [{"branch": "main"}]}), false),
        (schema::agent(), json!({"follow": [{"repository": "infra.git"}]}), false),
        (schema::agent(), json!({"follow": [{"repository": "/a", "token": "x"}]}), false),
        (schema::agent(), json!({"follow": [{"repository": "git@git.example.com:infra.git"}]}), true),
    ] {
        let found = checked(&schema, &value);
        assert_eq!(found.is_none(), good, "{value}: {found:?}");
    }
}

#[test]
fn who_may_ask_an_agent_is_checked() {
    for (schema, value, good) in [
        (
            schema::agent(),
            json!({
                "follow": [{"repository": "/a"}],
                "api": {"listen": "127.0.0.1:7070", "tokens": [
                    {"name": "ci", "role": "operate", "hash": format!("sha256:{}", "0".repeat(64)), "stacks": ["shop"]},
                ]},
                "webhooks": [{"name": "forge", "kind": "github", "secret": {"file": "/etc/hook"}}],
            }),
            true,
        ),
        (
            schema::agent(),
            json!({"follow": [{"repository": "/a"}], "webhooks": [{"name": "a", "kind": "github", "secret": "x"}]}),
            false,
        ),
        (
            schema::agent(),
            json!({"follow": [{"repository": "/a"}], "api": {"tokens": [{"name": "a"}]}}),
            false,
        ),
    ] {
        let found = checked(&schema, &value);
        assert_eq!(found.is_none(), good, "{value}: {found:?}");
    }
}
