//! Volumes, binds and tmpfs.
//!
//! A relative source is a file or folder of the repository: it is read from the same tree as the manifest and
//! mounted by its content, never from wherever a checkout happens to lie.

use std::collections::BTreeMap;

use super::super::keys;
use super::super::node::{Map, Node, Taint, Value};
use super::super::problem::{Problem, Problems, nearest};
use super::super::read;
use super::super::source::Span;
use super::super::{content, units};
use super::Context;
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
    for node in map.get("tmpfs").map(|node| read::one_or_list(cx.problems, node)).unwrap_or_default() {
        let found = tmpfs(cx.problems, node);
        add(cx, found, node.span);
    }
}

fn mount(cx: &mut Context<'_>, node: &Node) -> Option<(String, Mount)> {
    let map = read::honoured_map(cx.problems, node, &keys::MOUNT)?;
    let missing = |cx: &mut Context<'_>, key: &str| {
        cx.note(Problem::error("bad-mount", node.span, format!("the mount has no `{key}`")));
    };
    let Some(kind) = map.get("type") else {
        missing(cx, "type");
        return None;
    };
    let kind = read::word(cx.problems, kind, &[("volume", 'v'), ("bind", 'b'), ("tmpfs", 't')])?;
    let Some(target) = map.get("target") else {
        missing(cx, "target");
        return None;
    };
    let target = read::text(cx.problems, target)?.text.clone();
    let read_only = cx.optional(map, "read_only", read::boolean).unwrap_or_default();
    let source_node = map.get("source");
    let source = match source_node {
        Some(source) => Some((source, read::text(cx.problems, source)?.text.clone())),
        None => None,
    };
    for (key, own, known) in
        [("tmpfs", 't', &keys::TMPFS), ("bind", 'b', &keys::BIND), ("volume", 'v', &keys::VOLUME_MOUNT)]
    {
        let Some(options) = map.entry(key) else { continue };
        if kind != own {
            let message = format!("`{key}` is for mounts of that type");
            cx.note(Problem::error("bad-mount", options.key.span, message));
        } else if !matches!(options.value.value, Value::Null) {
            read::honoured_map(cx.problems, &options.value, known);
        }
    }
    let source = match (kind, source) {
        ('v', None) => MountSource::Anonymous,
        ('v', Some((node, name))) => volume(cx, node, &name)?,
        ('b', Some((node, path))) => bind(cx, node, &path)?,
        ('b', None) => {
            missing(cx, "source");
            return None;
        }
        (_, Some((node, _))) => {
            cx.note(Problem::error("bad-mount", node.span, "a tmpfs has no source"));
            return None;
        }
        (_, None) => tmpfs_options(cx, map),
    };
    Some((target, Mount { source, read_only }))
}

fn tmpfs_options(cx: &mut Context<'_>, map: &Map) -> MountSource {
    let options = map.get("tmpfs").and_then(Node::as_map);
    let size = options.and_then(|map| cx.optional(map, "size", read::size));
    let mode = options.and_then(|map| {
        cx.optional(map, "mode", |problems, node| {
            read::integer(problems, node, "permission bits such as `0o1777`")
        })
    });
    MountSource::Tmpfs { size, mode }
}

/// `tmpfs: /run:size=64m,mode=1777`
fn tmpfs(problems: &mut Problems, node: &Node) -> Option<(String, Mount)> {
    let found = read::text(problems, node)?;
    let (target, options) = found.text.split_once(':').unwrap_or((&found.text, ""));
    let (mut size, mut mode, mut read_only) = (None, None, false);
    for option in options.split(',').filter(|option| !option.is_empty()) {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        let known = match name {
            "size" => {
                size = units::size(value);
                size.is_some()
            }
            "mode" => {
                mode = u32::from_str_radix(value, 8).ok();
                mode.is_some()
            }
            "ro" | "rw" => {
                read_only = name == "ro";
                true
            }
            _ => false,
        };
        if !known {
            problems.add(
                Problem::error(
                    "bad-mount",
                    node.span,
                    "an option of this tmpfs is not known or not well-formed",
                )
                .hint("`/path:size=64m,mode=1777`"),
            );
            return None;
        }
    }
    Some((target.to_owned(), Mount { source: MountSource::Tmpfs { size, mode }, read_only }))
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
