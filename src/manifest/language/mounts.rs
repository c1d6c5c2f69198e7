//! Mounts in the short form: `[source:]target[:options]`.

use super::super::node::{Node, Scalar};
use super::super::problem::Problem;
use super::super::read as node_read;
use super::super::source::Span;
use super::long::Reading;
use super::short::{entry, map_node, plain_node, text_node};

/// The parts of a mount.
#[derive(Debug, Default, PartialEq, Eq)]
struct Parts {
    source: String,
    target: String,
    read_only: bool,
    no_copy: bool,
    selinux: Option<&'static str>,
    propagation: Option<&'static str>,
    /// Options that mean nothing.
    unknown: Vec<String>,
    /// Two characters or less, which is taken as it is.
    tiny: bool,
}

const PROPAGATIONS: [&str; 6] = ["rprivate", "private", "rshared", "shared", "rslave", "slave"];

/// The long form of a mount.
pub(crate) fn expand(reading: &mut Reading<'_>, node: &Node) -> Option<Node> {
    let scalar = node_read::text(reading.problems, node)?.clone();
    match parse(&scalar.text) {
        Ok(parts) => {
            for option in &parts.unknown {
                // These mean something on the desktops of other systems only, and nothing on a host.
                if matches!(option.as_str(), "cached" | "delegated" | "consistent") {
                    continue;
                }
                let message = "an option of this mount is not known, and ignored";
                reading.problems.add(
                    Problem::warning("unknown-option", node.span, message)
                        .hint("`ro`, `rw`, `z`, `Z`, `nocopy`, `rshared`, `rslave`, `rprivate`…"),
                );
            }
            if is_drive(&parts.source) || (parts.source.is_empty() && is_drive(&parts.target)) {
                let message = "Compose takes a single letter before a colon for a drive of Windows";
                reading.problems.add(
                    Problem::warning("drive-letter", node.span, message)
                        .hint("give the volume a name of two letters at least"),
                );
            }
            Some(Node { tag: node.tag, ..written(&parts, &scalar, node.span) })
        }
        Err(message) => reading.refuse(
            Problem::error("bad-mount", node.span, message)
                .hint("`[source:]target[:ro]`; use the long form for paths with colons"),
        ),
    }
}

fn written(parts: &Parts, scalar: &Scalar, span: Span) -> Node {
    let Parts { source, target, read_only, no_copy, selinux, propagation, unknown: _, tiny } = parts;
    let text = |key: &str, text: &str| entry(key, text_node(text, span, Some(scalar)));
    let word = |key: &str, word: &str| entry(key, text_node(word, span, None));
    let truth = |key: &str| entry(key, plain_node("true", span));
    let bound = is_path(source);
    let mut entries = vec![word("type", if bound { "bind" } else { "volume" })];
    if !source.is_empty() {
        entries.push(text("source", source));
    }
    entries.push(text("target", target));
    if *read_only {
        entries.push(truth("read_only"));
    }
    let mut bind = Vec::new();
    bind.extend(selinux.map(|option| word("selinux", option)));
    bind.extend(propagation.map(|option| word("propagation", option)));
    if bound {
        bind.push(truth("create_host_path"));
    }
    if !bind.is_empty() {
        entries.push(entry("bind", map_node(span, bind)));
    }
    if (!bound && !tiny) || *no_copy {
        let options = if *no_copy { vec![truth("nocopy")] } else { Vec::new() };
        entries.push(entry("volume", map_node(span, options)));
    }
    map_node(span, entries)
}

fn parse(text: &str) -> Result<Parts, &'static str> {
    let mut parts = Parts::default();
    match text.chars().count() {
        0 => return Err("the mount is empty"),
        1 | 2 => return Ok(Parts { target: text.to_owned(), tiny: true, ..parts }),
        _ => {}
    }
    let fields = fields(text);
    if fields.iter().any(String::is_empty) {
        return Err("a part of this mount is empty");
    }
    let (source, target, options) = match fields.as_slice() {
        [target] => ("", target.as_str(), ""),
        [source, target] => (source.as_str(), target.as_str(), ""),
        [source, target, options] => (source.as_str(), target.as_str(), options.as_str()),
        _ => return Err("this is not a mount: it has too many colons"),
    };
    (parts.source, parts.target) = (source.to_owned(), target.to_owned());
    for option in options.split(',').filter(|option| !option.is_empty()) {
        match option {
            "ro" => parts.read_only = true,
            "rw" => parts.read_only = false,
            "nocopy" => parts.no_copy = true,
            "z" => parts.selinux = Some("z"),
            "Z" => parts.selinux = Some("Z"),
            option => match PROPAGATIONS.iter().find(|known| **known == option) {
                Some(known) => parts.propagation = Some(known),
                None => parts.unknown.push(option.to_owned()),
            },
        }
    }
    Ok(parts)
}

/// The text at its colons, but for one after a single letter, which is a drive of Windows.
fn fields(text: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    for c in text.chars() {
        let Some(field) = fields.last_mut() else { break };
        let drive = field.chars().count() == 1 && field.chars().all(char::is_alphabetic);
        if c == ':' && !drive {
            fields.push(String::new());
        } else {
            field.push(c);
        }
    }
    fields
}

/// Whether a text begins as a path on Windows does, without being one.
fn is_drive(text: &str) -> bool {
    let mut chars = text.chars();
    let drive = chars.next().is_some_and(char::is_alphabetic) && chars.next() == Some(':');
    drive && chars.next() != Some('\\')
}

/// Whether the source of a mount is a path, not the name of a volume.
pub(crate) fn is_path(source: &str) -> bool {
    let mut chars = source.chars();
    let drive = chars.next().is_some_and(char::is_alphabetic) && chars.next() == Some(':');
    source.starts_with(['.', '/', '~']) || source.starts_with("\\\\") || drive
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_short_form_is_read() {
        let parts = parse("./a:/b:ro,z,rshared,nocopy,cached").unwrap();
        assert_eq!((parts.source.as_str(), parts.target.as_str()), ("./a", "/b"));
        assert!(parts.read_only && parts.no_copy && is_path(&parts.source));
        assert_eq!((parts.selinux, parts.propagation), (Some("z"), Some("rshared")));
        assert_eq!(parts.unknown, ["cached"]);
        assert_eq!(parse("/anonymous").unwrap().target, "/anonymous");
        assert!(parse("/a").unwrap().tiny);
        assert_eq!(parse("C:\\a:/b").unwrap().source, "C:\\a");
        for text in ["", "data:", ":/data", "./a:/b:ro:x", "./a::ro"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
