//! Configs and secrets: what is in them, and which service is granted which of them.
//!
//! A file is read from the same tree as the manifest, like that of a relative mount. Only what a service that runs is
//! granted is read.

use std::collections::{BTreeMap, BTreeSet};

use super::super::collect::Composed;
use super::super::language::complete::cleaned;
use super::super::language::unique;
use super::super::node::{Entry, Map, Node, Taint};
use super::super::problem::{Problem, Problems};
use super::super::read;
use super::super::source::Span;
use super::Context;
use crate::model::grant::{FileAccess, Grant, GrantContent, GrantKind};
use crate::model::spec::{Mount, MountSource};
use crate::model::tree::{RepoPath, TreeError};

const KINDS: [GrantKind; 2] = [GrantKind::Config, GrantKind::Secret];

/// What is declared under a name; nothing where it can't be granted, which was said.
pub(super) type Declared = BTreeMap<(GrantKind, String), Option<Content>>;

/// What is in a config or secret.
#[derive(Debug, Clone)]
pub(super) enum Content {
    /// These bytes.
    Known {
        /// Where they come from, for people.
        origin: String,
        bytes: GrantContent,
    },
    /// Whatever is in this file of the host.
    OfHost(String),
}

/// Reads every config and secret that a service which runs is granted.
pub(super) fn declare(cx: &mut Context<'_>, composed: &Composed) {
    for kind in KINDS {
        let granted = granted(composed, kind);
        let section = composed.root.get(kind.section()).and_then(Node::as_map);
        for entry in section.into_iter().flat_map(|map| &map.entries) {
            let Some(map) = entry.value.as_map() else { continue };
            if let Some(path) = map.get("file").and_then(|node| in_tree(cx, &node.as_scalar()?.text)) {
                cx.granted.insert(path);
            }
            if granted.contains(&entry.key.text) {
                let content = content(cx, kind, entry, map);
                cx.declared.insert((kind, entry.key.text.clone()), content);
            }
        }
    }
}

fn granted(composed: &Composed, kind: GrantKind) -> BTreeSet<String> {
    let services = composed.root.get("services").and_then(Node::as_map);
    services
        .into_iter()
        .flat_map(|map| &map.entries)
        .filter(|entry| composed.active.contains(&entry.key.text))
        .filter_map(|entry| entry.value.as_map()?.get(kind.section()))
        .flat_map(unique::items)
        .filter_map(|item| Some(item.as_map()?.get("source")?.as_scalar()?.text.clone()))
        .collect()
}

fn content(cx: &mut Context<'_>, kind: GrantKind, entry: &Entry, map: &Map) -> Option<Content> {
    unmet(cx.problems, kind, map);
    if is_external(map) {
        return None;
    }
    let name = &entry.key.text;
    let origin = format!("{}.{name}", kind.section());
    let is_secret = kind == GrantKind::Secret;
    if let Some(node) = map.get("content") {
        let text = read::marked(cx.problems, node)?;
        let bytes = GrantContent::new(text.expose().as_bytes(), is_secret || text.is_sensitive());
        return Some(Content::Known { origin, bytes });
    }
    if let Some(node) = map.get("environment").filter(|node| !is_empty(node)) {
        return match cx.given.get(&node.span) {
            Some(Ok(held)) => {
                let sensitive = is_secret || held.taint == Taint::Sensitive;
                let bytes = GrantContent::new(held.text.as_bytes(), sensitive);
                Some(Content::Known { origin, bytes })
            }
            Some(Err(hint)) => {
                let message = format!("the variable of the {} `{name}` has no value", kind.word());
                let problem = Problem::error("missing-variable", node.span, message).hint(hint.clone());
                cx.note(problem);
                None
            }
            None => None,
        };
    }
    let Some(node) = map.get("file") else {
        // Where nothing is said at all, that was said when the files were read.
        if let Some(entry) = map.entry("environment") {
            let message = format!("the {} `{name}` has no content", kind.word());
            let problem = Problem::error("missing-key", entry.value.span, message);
            cx.note(problem.hint("name a variable, or use `file`"));
        }
        return None;
    };
    file(cx, kind, node)
}

fn is_external(map: &Map) -> bool {
    map.get("external").and_then(Node::as_scalar).is_some_and(|scalar| scalar.text == "true")
}

fn is_empty(node: &Node) -> bool {
    node.as_scalar().is_some_and(|scalar| scalar.text.is_empty())
}

/// Notes what only a cluster could do.
fn unmet(problems: &mut Problems, kind: GrantKind, map: &Map) {
    let word = kind.word();
    for entry in &map.entries {
        let (message, hint) = match entry.key.text.as_str() {
            "external" if is_external(map) => (
                format!("an external {word} lies in the store of a cluster, which this engine doesn't have"),
                "say what is in it, with `file` or `environment`",
            ),
            "template_driver" => (
                format!("the template of a {word} is filled in by a cluster only"),
                "use `content` with variables, in a config",
            ),
            "driver_opts" if map.entry("driver").is_some() => continue,
            "driver" | "driver_opts" => (
                format!("the driver of a {word} is a plugin of a cluster"),
                "say what is in it, with `file` or `environment`",
            ),
            "labels" => {
                let message = format!("these labels are nowhere: on this engine a {word} is only a file");
                problems.add(Problem::warning("unused", entry.key.span, message).hint("remove them"));
                continue;
            }
            _ => continue,
        };
        problems.add(Problem::error("not-honoured", entry.key.span, message).hint(hint));
    }
}

/// The path of a file in the tree, if it leads there. Where files are given by name, that is the host's own tree.
fn in_tree(cx: &Context<'_>, path: &str) -> Option<RepoPath> {
    let inside = match path.strip_prefix('/') {
        Some(rest) if !cx.strict => rest,
        Some(_) => return None,
        None => path,
    };
    RepoPath::root().join(inside).ok()
}

fn file(cx: &mut Context<'_>, kind: GrantKind, node: &Node) -> Option<Content> {
    let scalar = node.as_scalar()?;
    let word = kind.word();
    let is_home = cx.problems.sources.written(node.span).trim_start_matches(['\'', '"']).starts_with('~');
    if cx.strict && is_home {
        let message = format!("a {word} in a home folder can't be deployed: whose home would that be?");
        cx.note(Problem::error("bad-path", node.span, message).hint("write the absolute path"));
        return None;
    }
    if cx.strict && scalar.text.starts_with('/') {
        return Some(Content::OfHost(scalar.text.clone()));
    }
    let Some(path) = in_tree(cx, &scalar.text) else {
        let (where_to, hint) = if cx.strict {
            let hint = "a relative path is one of the repository, as seen from this file; for a file of the host write \
                        its absolute path";
            ("lies outside of the repository", hint)
        } else {
            ("leads above the root of the host", "name a file that is there")
        };
        let message = format!("the file of this {word} {where_to}");
        cx.note(Problem::error("outside", node.span, message).hint(hint));
        return None;
    };
    match cx.tree.read(&path) {
        Ok(file) if !cx.problems.charge_repeated(node.span, file.bytes.len()) => None,
        Ok(file) => {
            let origin = if cx.strict { path.to_string() } else { format!("/{path}") };
            let bytes = GrantContent::new(file.bytes, kind == GrantKind::Secret);
            Some(Content::Known { origin, bytes })
        }
        Err(error) => {
            cx.note(unreadable(word, node.span, &error));
            None
        }
    }
}

fn unreadable(word: &str, span: Span, error: &TreeError) -> Problem {
    let problem = Problem::error(
        "bad-content",
        span,
        format!("the file of this {word} can't be used: {}", error.reason()),
    );
    match error {
        TreeError::NotAFile { path: _, what: "a folder" } => {
            problem.hint(format!("a {word} is one file; mount a folder with `volumes`"))
        }
        TreeError::NotAFile { path: _, what: "a Git LFS pointer" } => {
            problem.hint("Git LFS keeps the content elsewhere: commit the file itself")
        }
        TreeError::NotAFile { path: _, what: "a symbolic link" } => {
            problem.hint("links are never followed: name the file itself")
        }
        _ => problem,
    }
}

/// The configs and secrets of a service: where each is mounted, what it is, and where that is written.
pub(super) fn read(cx: &mut Context<'_>, map: &Map) -> Vec<(String, Mount, Span)> {
    let mut found = Vec::new();
    for kind in KINDS {
        let items =
            map.get(kind.section()).and_then(|node| read::list(cx.problems, node)).unwrap_or_default();
        for item in items {
            if let Some(one) = item.as_map().and_then(|map| one(cx, kind, item.span, map)) {
                found.push(one);
            }
        }
    }
    found
}

fn one(cx: &mut Context<'_>, kind: GrantKind, span: Span, map: &Map) -> Option<(String, Mount, Span)> {
    let name = read::text(cx.problems, map.get("source")?)?.text.clone();
    let access = access(cx, map);
    let target = target(kind, &name, map);
    if target == "/" {
        let place = map.get("target").map_or(span, |node| node.span);
        cx.note(Problem::error("bad-path", place, "a file can't be mounted at the root of a container"));
        return None;
    }
    // What isn't declared, or belongs to a service that doesn't run, was left out.
    let source = match cx.declared.get(&(kind, name)).cloned().flatten()? {
        Content::Known { origin, bytes } => {
            MountSource::Grant(Grant { kind, origin, content: bytes, access: access? })
        }
        Content::OfHost(path) => {
            for entry in ["uid", "gid", "mode"].iter().filter_map(|key| map.entry(key)) {
                let message = format!("`{}` can't be given to a file of the host", entry.key.text);
                let hint = "change the file itself, or keep it in the repository";
                cx.note(Problem::error("not-honoured", entry.key.span, message).hint(hint));
            }
            MountSource::Bind(path)
        }
    };
    Some((target, Mount { read_only: true, ..Mount::of(source) }, span))
}

/// Where it is mounted. A relative target lies where one lies that has none.
fn target(kind: GrantKind, name: &str, map: &Map) -> String {
    let said = map.get("target").and_then(Node::as_scalar).map(|scalar| scalar.text.as_str());
    let target = said.filter(|target| !target.is_empty()).unwrap_or(name);
    let folder = match kind {
        GrantKind::Config => "",
        GrantKind::Secret => "/run/secrets",
    };
    if target.starts_with('/') { cleaned(target) } else { cleaned(&format!("{folder}/{target}")) }
}

fn access(cx: &mut Context<'_>, map: &Map) -> Option<FileAccess> {
    let mut owner = |key: &str| match map.get(key) {
        None => Some(None),
        Some(node) => {
            let text = &read::text(cx.problems, node)?.text;
            // The greatest number means nobody to the system.
            let id = text.parse::<u32>().ok().filter(|id| *id != u32::MAX);
            if id.is_none() {
                let message = format!("the `{key}` of a file must be a number");
                let hint = "names are known only in the container; `id NAME` there tells its number";
                cx.note(Problem::error("bad-owner", node.span, message).hint(hint));
            }
            id.map(Some)
        }
    };
    let (uid, gid) = (owner("uid"), owner("gid"));
    let mode = match map.get("mode") {
        None => Some(FileAccess::default().mode),
        Some(node) => {
            let text = node.as_scalar().map(|scalar| scalar.text.as_str()).unwrap_or_default();
            let mode = u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o777);
            if mode.is_none() {
                let message = "these are not the permissions of a file";
                cx.note(Problem::error("bad-mode", node.span, message).hint("at most `0777`, as in `0440`"));
            }
            mode
        }
    };
    Some(FileAccess { mode: mode?, uid: uid?, gid: gid? })
}
