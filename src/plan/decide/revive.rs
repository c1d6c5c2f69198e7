//! Which retired container serves again instead of a new one.

use super::super::fields::{FieldPath, Fields};
use super::super::images::Images;
use super::super::normal::Host;
use super::super::{diff, normal, peers};
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
