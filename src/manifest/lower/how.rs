//! How something is mounted: the parts `bind`, `volume`, `image` and `tmpfs` of a mount.

use super::super::keys::{self, Keys};
use super::super::node::{Entry, Map, Node, Value};
use super::super::problem::{Problem, Problems};
use super::super::read;
use super::{Context, process};
use crate::model::spec::{MountOptions, MountSource, Propagation, Recursive, Relabel};

/// Reads how `source` is mounted.
pub(super) fn options(cx: &mut Context<'_>, map: &Map, source: &MountSource) -> MountOptions {
    let is_bind = matches!(source, MountSource::Bind(_) | MountSource::Repository(_));
    let is_volume = matches!(source, MountSource::Volume(_) | MountSource::Anonymous);
    let is_image = matches!(source, MountSource::Image(_));
    let is_tmpfs = matches!(source, MountSource::Tmpfs { .. });
    let mut options = MountOptions::default();
    if let Some(bind) = part(cx, map, "bind", (is_bind || is_volume, &keys::BIND)) {
        if is_bind {
            of_bind(cx, bind, &mut options);
        } else {
            of_bound_volume(cx, bind, source, &mut options);
        }
    }
    // What says nothing about the bind is mounted as in the short form.
    options.create_source |= is_bind && map.get("bind").is_none();
    if let Some(volume) = part(cx, map, "volume", (is_volume, &keys::VOLUME_MOUNT)) {
        of_volume(cx, volume, source, &mut options);
    }
    if let Some(image) = part(cx, map, "image", (is_image, &keys::IMAGE_MOUNT)) {
        options.subpath = cx.optional(image, "subpath", subpath);
    }
    part(cx, map, "tmpfs", (is_tmpfs, &keys::TMPFS));
    if matches!(source, MountSource::Repository(_)) {
        // It is laid down before it is mounted.
        options.create_source = false;
    }
    options
}

/// One of the parts, if it is there and belongs to this type of mount.
fn part<'n>(cx: &mut Context<'_>, map: &'n Map, key: &str, (fits, keys): (bool, &Keys)) -> Option<&'n Map> {
    let entry: &Entry = map.entry(key)?;
    if matches!(entry.value.value, Value::Null) {
        return None;
    }
    if fits {
        return read::honoured_map(cx.problems, &entry.value, keys);
    }
    let message = format!("`{key}` is for mounts of that type");
    cx.note(Problem::error("bad-mount", entry.key.span, message));
    None
}

fn of_bind(cx: &mut Context<'_>, bind: &Map, options: &mut MountOptions) {
    options.create_source = cx.optional(bind, "create_host_path", read::boolean).unwrap_or_default();
    options.propagation = cx.optional(bind, "propagation", propagation);
    options.recursive = cx.optional(bind, "recursive", recursive);
    options.relabel = cx.optional(bind, "selinux", relabel);
    let Some(at) = bind.entry("selinux").filter(|_| options.relabel.is_some()) else { return };
    if !options.create_source || options.recursive.is_some() {
        let message = "Docker relabels only a bind whose source it may make, and that has no `recursive`";
        cx.note(
            Problem::error("not-honoured", at.key.span, message)
                .hint("say `create_host_path: true` and leave `recursive` out"),
        );
    }
}

/// The short form puts `z` of a volume under `bind`.
fn of_bound_volume(cx: &mut Context<'_>, bind: &Map, source: &MountSource, options: &mut MountOptions) {
    for entry in &bind.entries {
        if entry.key.text == "selinux" && matches!(source, MountSource::Volume(_)) {
            options.relabel = relabel(cx.problems, &entry.value);
        } else if !entry.key.text.starts_with("x-") {
            let message = format!("`{}` is for mounts of paths of the host", entry.key.text);
            cx.note(Problem::error("bad-mount", entry.key.span, message).hint("remove it"));
        }
    }
}

fn of_volume(cx: &mut Context<'_>, volume: &Map, source: &MountSource, options: &mut MountOptions) {
    options.no_copy = cx.optional(volume, "nocopy", read::boolean).unwrap_or_default();
    options.subpath = cx.optional(volume, "subpath", subpath);
    if let Some(entry) = volume.entry("subpath").filter(|_| options.relabel.is_some()) {
        let message = "Docker can't relabel a part of a volume";
        cx.note(Problem::error("not-honoured", entry.key.span, message).hint("leave `z` or `subpath` out"));
    }
    let Some(entry) = volume.entry("labels") else { return };
    options.labels = process::labels(cx.problems, &entry.value);
    if matches!(source, MountSource::Volume(_)) && !options.labels.is_empty() {
        let message = "these labels are for a volume without a name";
        cx.note(
            Problem::error("bad-mount", entry.key.span, message)
                .hint("label a named one where it is declared, under `volumes` at the top"),
        );
    }
}

fn relabel(problems: &mut Problems, node: &Node) -> Option<Relabel> {
    read::word(problems, node, &[("z", Relabel::Shared), ("Z", Relabel::Private)])
}

/// Nothing stands for Docker's default.
fn propagation(problems: &mut Problems, node: &Node) -> Option<Propagation> {
    let words = [
        ("rprivate", None),
        ("private", Some(Propagation::Private)),
        ("rshared", Some(Propagation::RShared)),
        ("shared", Some(Propagation::Shared)),
        ("rslave", Some(Propagation::RSlave)),
        ("slave", Some(Propagation::Slave)),
    ];
    read::word(problems, node, &words).flatten()
}

fn recursive(problems: &mut Problems, node: &Node) -> Option<Recursive> {
    let words = [
        ("enabled", None),
        ("disabled", Some(Recursive::Disabled)),
        ("writable", Some(Recursive::Writable)),
        ("readonly", Some(Recursive::ReadOnly)),
    ];
    read::word(problems, node, &words).flatten()
}

fn subpath(problems: &mut Problems, node: &Node) -> Option<String> {
    let found = read::text(problems, node)?;
    if found.text.starts_with('/') || found.text.split('/').any(|part| part == "..") {
        let message = "a path in the volume or image is wanted here, without a leading slash and `..`";
        problems.add(Problem::error("bad-path", node.span, message));
        return None;
    }
    Some(found.text.clone()).filter(|path| !path.is_empty())
}
