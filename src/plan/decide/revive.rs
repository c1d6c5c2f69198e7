//! Which retired container serves again instead of a new one.

use super::super::change::{Cause, FieldChange};
use super::super::fields::{FieldPath, FieldValue, Fields};
use super::super::images::Images;
use super::super::normal::Host;
use super::super::{LastApplied, diff, normal, peers};
use super::Decision;
use crate::model::live::{Live, LiveContainer, Status};

impl<'a> Decision<'a> {
    /// A retired container of the instance that is just what is sought, its restart policy aside, which it lost when
    /// it was fenced. `current` comes with what it was made from, if that is on record.
    pub(super) fn revivable(
        &self,
        (current, applied): (&LiveContainer, Option<&Fields>),
        live: &'a Live,
        host: Host<'_>,
    ) -> Option<&'a LiveContainer> {
        let by_daemon = perhaps_filled_in(current, live, host);
        let was_declared = |path: &FieldPath| applied.is_some_and(|applied| applied.get(path).is_some());
        // Nothing is on record of a retired container, so that a value there that nobody declares any more may have been
        // declared once. It is the daemon's where the daemon gives the same to the one that serves.
        let is_nobodys = |parked: &LiveContainer| {
            perhaps_filled_in(parked, live, host).iter().all(|(path, value)| {
                self.fields.get(path).is_some() || (by_daemon.get(path) == Some(value) && !was_declared(path))
            })
        };
        live.containers
            .values()
            .filter(|parked| parked.instance == self.instance && parked.id != current.id)
            .filter(|parked| matches!(parked.state.status, Status::Exited { .. }))
            .filter(|parked| {
                let parked = peers::as_declared((parked, &self.name), &self.spec, &self.peers);
                let changes = diff::differences(self.sought(), &parked, None, live, host);
                changes.iter().all(|change| change.path.is_in("restart"))
                    && is_nobodys(&parked)
                    && Images::are_on_record(&parked)
            })
            .max_by(|a, b| a.state.started_at.cmp(&b.state.started_at))
    }
}

impl Decision<'_> {
    /// What a container has that nobody declares, where nothing is on record of it, though the ledger knows the stack: its
    /// service was in no manifest for a while, or a deploy had to leave it half done. What it was declared with then may be
    /// another thing than now. What the daemon has given to those that are on record is the daemon's; where there are none,
    /// the ledger may be an old one, and nothing is held against what runs.
    pub(super) fn unexplained(
        &self,
        container: &LiveContainer,
        last: &LastApplied,
        live: &Live,
        host: Host<'_>,
    ) -> Vec<FieldChange> {
        let on_record = last.current.values().filter(|(_, fields)| !fields.is_empty());
        let mut on_record =
            on_record.filter_map(|(id, fields)| Some((live.containers.get(id)?, fields))).peekable();
        if on_record.peek().is_none() {
            return Vec::new();
        }
        let by_daemon: Vec<(FieldPath, FieldValue)> = on_record
            .flat_map(|(other, fields)| {
                let filled_in = perhaps_filled_in(other, live, host);
                let undeclared = filled_in.iter().filter(|(path, _)| fields.get(path).is_none());
                undeclared.map(|(path, value)| (path.clone(), value.clone())).collect::<Vec<_>>()
            })
            .collect();
        let undeclared = perhaps_filled_in(container, live, host);
        let suspect = undeclared.iter().filter(|(path, value)| {
            self.fields.get(path).is_none() && !by_daemon.contains(&((*path).clone(), (*value).clone()))
        });
        let change = |(path, value): (&FieldPath, &FieldValue)| FieldChange {
            path: path.clone(),
            before: Some(diff::discreet(path, value, host.key)),
            after: None,
            cause: Cause::Git,
            diff: None,
        };
        suspect.map(change).collect()
    }
}

/// What the daemon may have filled in of a container, as far as its default isn't known.
fn perhaps_filled_in(container: &LiveContainer, live: &Live, host: Host<'_>) -> Fields {
    let known = normal::defaults(container, live.images.get(&container.image), host);
    let mut found = normal::of_live(&container.spec, host);
    let others: Vec<FieldPath> = found
        .iter()
        .filter(|(path, value)| {
            known.get(path) == Some(value) || !normal::DAEMON_FILLED.iter().any(|group| path.is_in(group))
        })
        .map(|(path, _)| path.clone())
        .collect();
    for path in &others {
        found.remove(path);
    }
    found
}
