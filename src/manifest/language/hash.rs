//! The digest of a service's settings, as Compose computes it for its label `config-hash`.
//!
//! It covers the JSON of the service without what does not make another container of it: how it is built, pulled,
//! scaled and ordered.

use std::fmt::Write;

use serde_yaml::{Mapping, Value};
use sha2::{Digest, Sha256};

use super::super::node::{Map, Node};
use super::print::Printing;
use super::types::Object;
use super::{places, unique};

/// Keys that don't count.
const LEFT_OUT: [&str; 5] = ["build", "pull_policy", "scale", "depends_on", "profiles"];

/// The digest, in hexadecimal.
///
/// `unread` is what the service says itself, where files say more: these count by their names.
pub(crate) fn of(printing: &Printing<'_>, service: &Map, object: &Object, unread: Option<&Map>) -> String {
    let mut service = service.clone();
    for key in ["environment", "labels"] {
        if let Some(own) = unread {
            service.remove(key);
            service.entries.extend(own.entry(key).cloned());
        }
    }
    service.entries.retain(|entry| !LEFT_OUT.contains(&entry.key.text.as_str()));
    if let Some(deploy) = service.get_mut("deploy").and_then(Node::as_map_mut) {
        deploy.remove("replicas");
    }
    let mut printed = match printing.object(&service, object) {
        Value::Mapping(map) => map,
        _ => Mapping::new(),
    };
    // Files that were read are no part of the model, and yet they count.
    let mut ordered = Mapping::new();
    for attribute in object.attributes {
        let files = service.get(attribute.name).map(unique::items).unwrap_or_default();
        let value = match attribute.name {
            "env_file" | "label_file" if !files.is_empty() => {
                Some(files.iter().map(|file| read_file(printing, file)).collect())
            }
            name => printed.remove(name),
        };
        ordered.extend(value.map(|value| (Value::from(attribute.name), value)));
    }
    let mut text = String::new();
    write(&mut text, &Value::Mapping(ordered));
    hex::encode(Sha256::digest(text.as_bytes()))
}

/// A file that was read: its path, and what is said about it unless it must be there.
fn read_file(printing: &Printing<'_>, file: &Node) -> Value {
    let path = |node: &Node| {
        let text = node.as_scalar().map_or("", |scalar| scalar.text.as_str());
        Value::from(places::printed(text, printing.show.folder))
    };
    let Some(map) = file.as_map() else { return path(file) };
    let said = |key: &str| map.get(key).and_then(Node::as_scalar).map(|scalar| scalar.text.as_str());
    let place = map.get("path").map_or(Value::Null, path);
    if said("required") != Some("false") {
        return place;
    }
    let mut out = Mapping::from_iter([(Value::from("path"), place), (Value::from("required"), false.into())]);
    out.extend(said("format").map(|format| (Value::from("format"), Value::from(format))));
    Value::Mapping(out)
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
