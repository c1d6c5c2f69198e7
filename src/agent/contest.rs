//! Fields that somebody else sets again and again: repairing them for ever would be a war that nobody wins.
//!
//! Pure: the times are handed in. Whether a container is there and runs is never contested, for what should run is
//! always started again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::model::desired::Desired;
use crate::model::name::ServiceName;
use crate::model::policy::Treatment;
use crate::plan::Plan;
use crate::plan::change::Cause;

/// So many repairs of one field ...
const REPAIRS: usize = 3;
/// ... within so long a time mean that somebody else sets it.
const WITHIN: Duration = Duration::from_secs(10 * 60);
/// For so long it is left alone then.
const REST: Duration = Duration::from_secs(30 * 60);

/// A field of a service.
type Field = (ServiceName, String);

/// The repairs of late, and what is left alone because of them.
#[derive(Debug, Default)]
pub(super) struct Contests {
    repairs: BTreeMap<Field, Vec<Instant>>,
    /// Until when each is left alone.
    contested: BTreeMap<Field, Instant>,
}

impl Contests {
    /// Notes what a plan that was carried out has repaired. Returns the fields that are contested from now on.
    pub(super) fn repaired(&mut self, plan: &Plan, now: Instant) -> Vec<Field> {
        let drifted = plan.changes.iter().flat_map(|change| {
            let fields = change.fields.iter().filter(|field| field.cause == Cause::Drift);
            change.service.iter().flat_map(move |service| {
                fields.clone().map(move |field| (service.clone(), field.path.as_str().to_owned()))
            })
        });
        // Several containers of one service are repaired at once, and count as one.
        let drifted: BTreeSet<Field> = drifted.collect();
        self.repairs.retain(|_, times| {
            times.retain(|at| now.duration_since(*at) < WITHIN);
            !times.is_empty()
        });
        let mut found = Vec::new();
        for field in drifted {
            let times = self.repairs.entry(field.clone()).or_default();
            times.push(now);
            if times.len() >= REPAIRS {
                self.repairs.remove(&field);
                self.contested.insert(field.clone(), now + REST);
                found.push(field);
            }
        }
        found
    }

    /// `desired`, with what is contested at `now` only reported. What somebody has declared otherwise since is no drift,
    /// and is deployed all the same.
    pub(super) fn leave_alone(&mut self, desired: &Arc<Desired>, now: Instant) -> Arc<Desired> {
        self.contested.retain(|_, until| now < *until);
        if self.contested.is_empty() {
            return Arc::clone(desired);
        }
        let mut desired = Desired::clone(desired);
        for (service, path) in self.contested.keys() {
            if let Some(service) = desired.services.get_mut(service) {
                service.drift.set(path.clone(), Treatment::Report);
            }
        }
        Arc::new(desired)
    }
}
