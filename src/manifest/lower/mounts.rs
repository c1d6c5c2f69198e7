//! Volumes, binds and tmpfs.
//!
//! A relative source is a file or folder of the repository: it is read from the same tree as the manifest and
//! mounted by its content, never from wherever a checkout happens to lie.

use std::collections::BTreeMap;

use super::super::content;
use super::super::keys;
use super::super::node::{Map, Node, Taint};
use super::super::problem::{Problem, Problems, nearest};
use super::super::read;
use super::super::source::Span;
use super::{Context, how};
use crate::model::name::VolumeKey;
use crate::model::spec::{ContainerSpec, Mount, MountSource};
use crate::model::tree::RepoPath;

/// What is wrong with a mount and what to do about it.
type Wrong = (&'static str, String, &'static str);

/// Reads `volumes` and `tmpfs` into `spec`.
pub(super) fn read(cx: &mut Context<'_>, map: &Map, spec: &mut ContainerSpec) {
    let mut places: BTreeMap<String, Span> = BTreeMap::new();
    let mut add = |cx: &mut Context<'_>, found: Option<(String, Mount)>, span: Span| {
        let Some((target, mount)) = found else { return };
        if !target.starts_with('/') {
            cx.note(
                Problem::error("bad-path", span, "the path in the container must be absolute")
                    .hint("`source:/path/in/the/container`"),
            );
            return;
        }
        let kept = target.trim_end_matches('/');
        let target = if kept.is_empty() { "/" } else { kept };
        if let Some(first) = places.insert(target.to_owned(), span) {
            let message = "two mounts have the same path in the container";
            cx.note(
                Problem::error("duplicate-target", span, message)
                    .label("again here")
                    .related(first, "first here"),
            );
            return;
        }
        spec.mounts.insert(target.to_owned(), mount);
    };
    for node in map.get("volumes").and_then(|node| read::list(cx.problems, node)).unwrap_or_default() {
        let found = mount(cx, node);
        add(cx, found, node.span);
    }
    for (target, mount, span) in super::grants::read(cx, map) {
        add(cx, Some((target, mount)), span);
    }
    for node in map.get("tmpfs").map(|node| read::one_or_list(cx.problems, node)).unwrap_or_default() {
        let found = tmpfs(cx.problems, node);
        add(cx, found, node.span);
    }
}

fn mount(cx: &mut Context<'_>, node: &Node) -> Option<(String, Mount)> {
    let map = read::honoured_map(cx.problems, node, &keys::MOUNT)?;
    let kind = kind(cx, node, map)?;
    let Some(target) = map.get("target") else {
        missing(cx, node, "target");
        return None;
    };
    let target = read::text(cx.problems, target)?.text.clone();
    if let Some(entry) = map.entry("consistency") {
        let message = "`consistency` has no effect on Linux";
        cx.note(Problem::warning("no-effect", entry.key.span, message).hint("remove it"));
    }
    let read_only = cx.optional(map, "read_only", read::boolean).unwrap_or_default();
    let source_node = map.get("source");
    let source = match source_node {
        Some(source) => Some((source, read::text(cx.problems, source)?.text.clone())),
        None => None,
    };
    let source = match (kind, source) {
        (Kind::Volume, None) => MountSource::Anonymous,
        (Kind::Volume, Some((node, name))) => volume(cx, node, &name)?,
        (Kind::Bind, Some((node, path))) => bind(cx, node, &path)?,
        (Kind::Image, Some((node, _))) => {
            MountSource::Image(read::parsed(cx.problems, node, "bad-image", "an image reference")?)
        }
        (Kind::Bind | Kind::Image, None) => {
            missing(cx, node, "source");
            return None;
        }
        (Kind::Tmpfs, Some((node, _))) => {
            cx.note(Problem::error("bad-mount", node.span, "a tmpfs has no source"));
            return None;
        }
        (Kind::Tmpfs, None) => tmpfs_options(cx, map),
    };
    let options = how::options(cx, map, &source);
    // An image is never written to.
    let read_only = read_only || matches!(source, MountSource::Image(_));
    Some((target, Mount { source, read_only, options }))
}

fn missing(cx: &mut Context<'_>, node: &Node, key: &str) {
    cx.note(Problem::error("bad-mount", node.span, format!("the mount has no `{key}`")));
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Volume,
    Bind,
    Tmpfs,
    Image,
}

/// The types of mounts; those without a kind are not Docker's on Linux.
const KINDS: [(&str, Option<Kind>); 6] = [
    ("volume", Some(Kind::Volume)),
    ("bind", Some(Kind::Bind)),
    ("tmpfs", Some(Kind::Tmpfs)),
    ("image", Some(Kind::Image)),
    ("cluster", None),
    ("npipe", None),
];

fn kind(cx: &mut Context<'_>, node: &Node, map: &Map) -> Option<Kind> {
    let Some(said) = map.get("type") else {
        missing(cx, node, "type");
        return None;
    };
    let found = read::word(cx.problems, said, &KINDS)?;
    if found.is_none() {
        let word = said.as_scalar().map(|scalar| scalar.text.as_str()).unwrap_or_default();
        let of = if word == "npipe" { "Windows" } else { "Swarm" };
        let message = format!("a mount of the type `{word}` is one of {of}");
        cx.note(
            Problem::error("not-honoured", said.span, message).hint("mount a volume or a path of the host"),
        );
    }
    found
}

fn tmpfs_options(cx: &mut Context<'_>, map: &Map) -> MountSource {
    let options = map.get("tmpfs").and_then(Node::as_map);
    let size = options.and_then(|map| cx.optional(map, "size", read::size));
    let mode = options.and_then(|map| {
        cx.optional(map, "mode", |problems, node| {
            read::integer(problems, node, "permission bits such as `0o1777`")
        })
    });
    MountSource::Tmpfs { size: size.filter(|size| *size > 0), mode }
}

/// `tmpfs: /run:size=64m,mode=1777`
fn tmpfs(problems: &mut Problems, node: &Node) -> Option<(String, Mount)> {
    let found = read::text(problems, node)?;
    let (target, options) = found.text.split_once(':').unwrap_or((&found.text, ""));
    let mount = Mount::tmpfs(options);
    if mount.is_err() {
        problems.add(
            Problem::error("bad-mount", node.span, "an option of this tmpfs is not known or not well-formed")
                .hint("`/path:size=64m,mode=1777,uid=1000`"),
        );
    }
    Some((target.to_owned(), mount.ok()?))
}

fn volume(cx: &mut Context<'_>, node: &Node, name: &str) -> Option<MountSource> {
    let key = name.parse::<VolumeKey>().ok();
    if let Some((spec, _)) = key.and_then(|key| cx.volumes.get(&key)) {
        return Some(MountSource::Volume(spec.name.clone()));
    }
    let hint = if name.contains('/') {
        "a path must begin with `./` or `/`".to_owned()
    } else {
        let known = cx.volumes.keys().map(VolumeKey::as_str);
        match nearest(name, known) {
            Some(candidate) => format!("did you mean `{candidate}`?"),
            None => "declare it under `volumes` at the top of the file".to_owned(),
        }
    };
    let literal = node.as_scalar().is_none_or(|scalar| scalar.taint == Taint::Literal);
    let message = if literal {
        format!("the volume `{name}` is not declared")
    } else {
        "this volume is not declared".to_owned()
    };
    cx.note(Problem::error("undeclared-volume", node.span, message).hint(hint));
    None
}

fn bind(cx: &mut Context<'_>, node: &Node, source: &str) -> Option<MountSource> {
    let written = cx.problems.sources.written(node.span);
    if written.trim_start_matches(['\'', '"']).starts_with('~') {
        let message = "a source in a home folder can't be deployed: whose home would that be?";
        cx.note(Problem::error("bad-path", node.span, message).hint("write the absolute path"));
        return None;
    }
    if !source.starts_with('.') {
        return Some(MountSource::Bind(source.to_owned()));
    }
    if !cx.strict {
        return on_host(cx, node, source);
    }
    match from_repository(cx, node, source) {
        Ok(source) => source,
        Err((code, message, hint)) => {
            cx.note(Problem::error(code, node.span, message).hint(hint));
            None
        }
    }
}

/// Files that are given by name lie in no repository: the tree is the host's own, from its root, and a relative source
/// is a path on the host, as with Compose.
fn on_host(cx: &mut Context<'_>, node: &Node, source: &str) -> Option<MountSource> {
    if let Ok(path) = RepoPath::root().join(source) {
        return Some(MountSource::Bind(format!("/{}", path.as_str())));
    }
    let message = "the source of this mount leads above the root of the host";
    cx.note(Problem::error("outside", node.span, message));
    None
}

fn from_repository(cx: &mut Context<'_>, node: &Node, source: &str) -> Result<Option<MountSource>, Wrong> {
    const RELATIVE: &str = "a relative source is a file or folder of the repository, as seen from this file; for one of the \
                            host write its absolute path";
    let path = RepoPath::root().join(source).map_err(|_| {
        ("outside", "the source of this mount lies outside of the repository".to_owned(), RELATIVE)
    })?;
    if let Some(known) = cx.read.get(&path) {
        return Ok(known.clone().map(MountSource::Repository));
    }
    let read = content::read(cx.tree, &path);
    cx.read.insert(path, read.as_ref().ok().map(|(digest, _)| digest.clone()));
    let literal = node.as_scalar().is_none_or(|scalar| scalar.taint == Taint::Literal);
    let (digest, content) = read.map_err(|message| {
        // The message names the path, which must not be told when a variable is in it.
        let message = if literal { message } else { "the source of this mount can't be read".to_owned() };
        ("bad-content", message, RELATIVE)
    })?;
    cx.contents.insert(digest.clone(), content);
    Ok(Some(MountSource::Repository(digest)))
}
