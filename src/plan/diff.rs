//! Compares three states of one container: what is desired, what is live, what was last applied.

use std::collections::BTreeSet;

use super::change::{Cause, FieldChange};
use super::fields::{DigestKey, FieldPath, FieldValue, Fields};
use super::normal::{self, Host};
use crate::model::live::{Live, LiveContainer};
use crate::model::name::ImageId;
use crate::model::spec::{ContainerSpec, Resources};

/// The fields that differ between `spec` and `container`, sorted by path.
///
/// # Guarantees
/// - Last-applied ≠ desired is a change from Git; last-applied = desired ≠ live is drift.
/// - A key that was declared before and no longer is counts as changed, if its value is still live.
/// - What image or daemon filled in is never a difference.
pub(super) fn differences(
    spec: &ContainerSpec,
    container: &LiveContainer,
    applied: Option<&Fields>,
    live: &Live,
    host: Host<'_>,
) -> Vec<FieldChange> {
    let desired = normal::of_spec(spec, host);
    let image = live.images.get(&container.image);
    let mut seen = normal::of_live(&container.spec, host);
    let mut filled_in = normal::defaults(container, image, host);
    let hidden =
        sensitive_paths(&desired).chain(applied.into_iter().flat_map(sensitive_paths)).cloned().collect();
    seen.hide(&hidden, host.key);
    filled_in.hide(&hidden, host.key);
    let sides = Sides {
        desired: &desired,
        seen: &seen,
        filled_in: &filled_in,
        applied,
        image_known: image.is_some(),
        key: host.key,
    };
    let paths: BTreeSet<&FieldPath> = desired.paths().chain(seen.paths()).collect();
    let mut changes: Vec<FieldChange> = paths.into_iter().filter_map(|path| sides.difference(path)).collect();
    if let Some(moved) = moved_image(spec, container, live)
        && !changes.iter().any(|change| change.path.as_str() == "image")
    {
        changes.push(moved);
        changes.sort_by(|a, b| a.path.cmp(&b.path));
    }
    changes
}

struct Sides<'a> {
    desired: &'a Fields,
    seen: &'a Fields,
    filled_in: &'a Fields,
    applied: Option<&'a Fields>,
    image_known: bool,
    key: &'a DigestKey,
}

impl Sides<'_> {
    fn difference(&self, path: &FieldPath) -> Option<FieldChange> {
        let (before, after) = (self.seen.get(path), self.desired.get(path));
        if before == after {
            return None;
        }
        let last = self.applied.and_then(|applied| applied.get(path));
        if after.is_none() && (before == self.filled_in.get(path) || self.is_nobodys(path, last.is_some())) {
            return None;
        }
        let cause = match (self.applied, last, after) {
            (Some(_), Some(FieldValue::Sensitive(_)), Some(FieldValue::Sensitive(_))) if last != after => {
                Cause::Secret
            }
            (Some(_), ..) if last != after => Cause::Git,
            _ => Cause::Drift,
        };
        // A value that was never declared may be a secret that somebody set by hand.
        let shown = |value: &FieldValue| {
            let undeclared = after.is_none() && last.is_none() && path.is_in("environment");
            if undeclared { value.clone().hidden(self.key) } else { value.clone() }
        };
        Some(FieldChange {
            path: path.clone(),
            before: before.map(shown),
            after: after.cloned(),
            cause,
            diff: None,
        })
    }

    /// Whether a live value that is not declared needs no explanation.
    fn is_nobodys(&self, path: &FieldPath, was_declared: bool) -> bool {
        if was_declared {
            return false;
        }
        match self.applied {
            // We made this container and did not declare it. Only what Docker lets people change afterwards can be
            // somebody's work; the rest is the daemon's.
            Some(_) => !is_changeable(path),
            None => !self.image_known || normal::DAEMON_FILLED.iter().any(|group| path.is_in(group)),
        }
    }
}

fn sensitive_paths(fields: &Fields) -> impl Iterator<Item = &FieldPath> {
    fn is_sensitive(value: &FieldValue) -> bool {
        match value {
            FieldValue::Sensitive(_) => true,
            FieldValue::List(items) => items.iter().any(is_sensitive),
            FieldValue::Word(_)
            | FieldValue::Quoted(_)
            | FieldValue::Bytes(_)
            | FieldValue::Time(_)
            | FieldValue::Switch(_)
            | FieldValue::Content { .. } => false,
        }
    }
    fields.iter().filter(|(_, value)| is_sensitive(value)).map(|(path, _)| path)
}

/// Whether Docker lets people change the field of an existing container.
fn is_changeable(path: &FieldPath) -> bool {
    path.is_in("restart") || path.is_in("deploy.resources") || path.is_in("networks")
}

/// Whether the change can be made, and unmade, while the container runs.
///
/// Docker can set a limit in place but not clear one, so a limit that is new or goes away means a replacement.
/// Networks are put right in place when the host was changed; a change of the manifest may concern the names under
/// which others find the container and goes through a replacement, with its gate.
pub(super) fn is_in_place(change: &FieldChange) -> bool {
    if change.path.is_in("restart") {
        return true;
    }
    if change.path.is_in("deploy.resources") {
        return change.before.is_some() && change.after.is_some();
    }
    change.path.is_in("networks") && change.cause == Cause::Drift
}

fn moved_image(spec: &ContainerSpec, container: &LiveContainer, live: &Live) -> Option<FieldChange> {
    let now = live.references.get(&spec.image)?;
    let shown = |id: &ImageId| FieldValue::Word(format!("{} ({})", spec.image, id.short()));
    (*now != container.image).then(|| FieldChange {
        path: FieldPath::new("image"),
        before: Some(shown(&container.image)),
        after: Some(shown(now)),
        cause: Cause::Image,
        diff: None,
    })
}

/// The limits that differ, as wanted.
pub(super) fn changed_limits(wanted: &Resources, live: &Resources) -> Resources {
    fn changed<T: Copy + PartialEq>(wanted: Option<T>, live: Option<T>) -> Option<T> {
        wanted.filter(|_| wanted != live)
    }
    Resources {
        memory: changed(wanted.memory, live.memory),
        memory_reservation: changed(wanted.memory_reservation, live.memory_reservation),
        nano_cpus: changed(wanted.nano_cpus, live.nano_cpus),
        pids: changed(wanted.pids, live.pids),
    }
}
