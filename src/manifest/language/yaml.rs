//! A printed model → YAML that every reader takes in the same way.
//!
//! Readers disagree about what a text without quotes means: to Compose `0777` and `1_000` are numbers, to others `no` is
//! a truth value and `22:22` a number. A text that any of them would take for something else is quoted.

use serde_yaml::{Mapping, Value};

use super::scalars::{self, Plain};

/// The text of a value.
pub(crate) fn written(value: &Value) -> String {
    let mut out = String::new();
    match value {
        Value::Mapping(map) if !map.is_empty() => mapping(&mut out, map, 0),
        Value::Sequence(items) if !items.is_empty() => sequence(&mut out, items, 0),
        value => {
            out.push_str(scalar(value, 0).trim_start());
            out.push('\n');
        }
    }
    out
}

/// The entries of a mapping. The first stands where the text ends, the others in lines of their own.
fn mapping(out: &mut String, map: &Mapping, indent: usize) {
    for (at, (name, value)) in map.iter().enumerate() {
        if at > 0 {
            out.push_str(&" ".repeat(indent));
        }
        out.push_str(&key(name));
        out.push(':');
        match value {
            Value::Mapping(map) if !map.is_empty() => {
                out.push('\n');
                out.push_str(&" ".repeat(indent + 2));
                mapping(out, map, indent + 2);
            }
            Value::Sequence(items) if !items.is_empty() => {
                out.push('\n');
                out.push_str(&" ".repeat(indent));
                sequence(out, items, indent);
            }
            value => {
                out.push_str(&scalar(value, indent));
                out.push('\n');
            }
        }
    }
}

/// The items of a list, of which the first stands where the text ends.
fn sequence(out: &mut String, items: &[Value], indent: usize) {
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            out.push_str(&" ".repeat(indent));
        }
        out.push('-');
        match item {
            Value::Mapping(map) if !map.is_empty() => {
                out.push(' ');
                mapping(out, map, indent + 2);
            }
            Value::Sequence(items) if !items.is_empty() => {
                out.push(' ');
                sequence(out, items, indent + 2);
            }
            item => {
                out.push_str(&scalar(item, indent));
                out.push('\n');
            }
        }
    }
}

/// What can't be divided, with the blank before it; a text of several lines ends without a new line.
fn scalar(value: &Value, indent: usize) -> String {
    if let Value::String(text) = value {
        if is_plain(text) {
            return format!(" {text}");
        }
        if is_misread(text) {
            return format!(" '{text}'");
        }
        if has_breaks(text) {
            return format!(" {}", escaped(text));
        }
    }
    let entry = Mapping::from_iter([(Value::from("k"), value.clone())]);
    let entry = serde_yaml::to_string(&entry).unwrap_or_default();
    let text = entry.strip_prefix("k:").unwrap_or(&entry);
    let text = text.strip_suffix('\n').unwrap_or(text);
    let mut lines = text.split('\n');
    let mut out = lines.next().unwrap_or_default().to_owned();
    for line in lines {
        out.push('\n');
        if !line.is_empty() {
            out.push_str(&" ".repeat(indent));
            out.push_str(line);
        }
    }
    out
}

fn key(name: &Value) -> String {
    let text = name.as_str().unwrap_or_default();
    if is_plain(text) {
        return text.to_owned();
    }
    if is_misread(text) || text == "<<" {
        return format!("'{text}'");
    }
    if has_breaks(text) {
        return escaped(text);
    }
    let entry = Mapping::from_iter([(name.clone(), Value::Null)]);
    let entry = serde_yaml::to_string(&entry).unwrap_or_default();
    match entry.strip_suffix(": null\n") {
        Some(key) if !key.starts_with('?') && !key.contains('\n') => key.to_owned(),
        Some(_) | None => escaped(text),
    }
}

/// Whether there are characters in it that end a line in some versions of YAML only.
fn has_breaks(text: &str) -> bool {
    text.contains(['\u{85}', '\u{2028}', '\u{2029}', '\u{feff}'])
}

/// The text in double quotes: a text in JSON is one in YAML as well.
fn escaped(text: &str) -> String {
    let mut out = serde_json::Value::from(text).to_string();
    for c in ['\u{85}', '\u{2028}', '\u{2029}', '\u{feff}'] {
        if out.contains(c) {
            out = out.replace(c, &format!("\\u{:04x}", u32::from(c)));
        }
    }
    out
}

/// Whether all readers see a text in it, as in nearly all that there is.
fn is_plain(text: &str) -> bool {
    let first = text.bytes().next();
    first.is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'/')
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-./".contains(&byte))
        && !is_word(text)
}

/// Whether a reader would see something else than a text in it, if it had no quotes. Such a text has no quotes in it.
fn is_misread(text: &str) -> bool {
    let clock = |byte: u8| byte.is_ascii_digit() || b":._+-".contains(&byte);
    is_word(text)
        || scalars::plain(text) != Plain::Text
        || (text.contains(':') && text.bytes().all(clock) && text.bytes().any(|byte| byte.is_ascii_digit()))
}

/// Whether it is a word with a meaning in some version of YAML.
fn is_word(text: &str) -> bool {
    const WORDS: [&str; 9] = ["y", "n", "yes", "no", "on", "off", "true", "false", "null"];
    WORDS.iter().any(|word| text.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::load;
    use crate::manifest::problem::Problems;

    const TEXTS: [&str; 35] = [
        "a",
        "no",
        "On",
        "22:22",
        "1:30:00",
        "0777",
        "0o17",
        "1_000",
        "0b11",
        "2024-01-02",
        "1e3",
        ".5",
        "5",
        "",
        " ",
        "a: b",
        "- a",
        "# c",
        "a #b",
        "'",
        "\"",
        "a\nb",
        "a\nb\n",
        "\n",
        "  a\nb",
        "a\n\n b\n\n",
        "\t",
        "a\r\nb",
        "<<",
        "!x",
        "*x",
        "é ✓",
        "null",
        "[::1]:80",
        "<&>\u{2028}\u{2029}",
    ];

    #[test]
    fn what_is_written_is_read_as_the_same() {
        let items: Vec<Value> = TEXTS.map(Value::from).to_vec();
        let inner = |text: &str| Value::from(Mapping::from_iter([(Value::from(text), Value::from(text))]));
        let maps = items.iter().map(|text| inner(text.as_str().unwrap())).collect::<Vec<_>>();
        let nested = Value::from(vec![Value::from(items.clone()), Value::from(Vec::<Value>::new())]);
        let whole = [("a", Value::from(items)), ("b", Value::from(maps)), ("c", nested)];
        let whole = Value::from(Mapping::from_iter(whole.map(|(key, value)| (Value::from(key), value))));
        let text = written(&whole);
        let mut problems = Problems::default();
        let root = load::load(&mut problems, &"x".parse().unwrap(), text.clone().into_bytes()).expect(&text);
        let lists = root.as_map().unwrap();
        let items = super::super::unique::items(lists.get("a").unwrap());
        let maps = super::super::unique::items(lists.get("b").unwrap());
        assert_eq!((items.len(), maps.len()), (TEXTS.len(), TEXTS.len()), "{text}");
        for ((expected, item), map) in TEXTS.iter().zip(items).zip(maps) {
            let entry = &map.as_map().unwrap().entries[0];
            for found in [item, &entry.value] {
                let scalar = found.as_scalar().unwrap_or_else(|| panic!("{expected:?} is nothing in {text}"));
                assert_eq!((scalar.text.as_str(), scalar.kind()), (*expected, "a text"), "{text}");
            }
            assert_eq!(entry.key.text, *expected, "{text}");
        }
    }
}
