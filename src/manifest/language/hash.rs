//! The digest of a service's settings, as Compose computes it for its label `config-hash`.
//!
//! It covers the JSON of the service without what does not make another container of it: how it is built, pulled,
//! scaled and ordered.

use std::fmt::Write;

use serde_yaml::Value;
use sha2::{Digest, Sha256};

use super::super::node::Map;
use super::print::Printing;
use super::types::Object;

/// Keys that don't count.
const LEFT_OUT: [&str; 5] = ["build", "pull_policy", "scale", "depends_on", "profiles"];

/// The digest, in hexadecimal.
pub(crate) fn of(printing: &Printing<'_>, service: &Map, object: &Object) -> String {
    let mut service = service.clone();
    service.entries.retain(|entry| !LEFT_OUT.contains(&entry.key.text.as_str()));
    if let Some(deploy) = service.get_mut("deploy").and_then(super::super::node::Node::as_map_mut) {
        deploy.remove("replicas");
    }
    let mut text = String::new();
    write(&mut text, &printing.object(&service, object));
    hex::encode(Sha256::digest(text.as_bytes()))
}

/// Compact JSON in the order of the keys, with the escapes of Go.
fn write(out: &mut String, value: &Value) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(flag) => out.push_str(if *flag { "true" } else { "false" }),
        Value::Number(number) => out.push_str(&number.to_string()),
        Value::String(text) => string(out, text),
        Value::Sequence(items) => {
            for (at, item) in items.iter().enumerate() {
                out.push(if at == 0 { '[' } else { ',' });
                write(out, item);
            }
            out.push_str(if items.is_empty() { "[]" } else { "]" });
        }
        Value::Mapping(map) => {
            for (at, (key, item)) in map.iter().enumerate() {
                out.push(if at == 0 { '{' } else { ',' });
                write(out, key);
                out.push(':');
                write(out, item);
            }
            out.push_str(if map.is_empty() { "{}" } else { "}" });
        }
        Value::Tagged(tagged) => write(out, &tagged.value),
    }
}

fn string(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..='\u{1f}' => {
                // Writing to a text can't fail.
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}
