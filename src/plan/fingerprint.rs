//! Digests of everything that a plan follows from, so that what has moved since can be named field by field.
//!
//! Every value is in it as a digest under the host's key: nobody who reads a saved plan can guess one by trying.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use super::LastApplied;
use super::fields::{DigestKey, Fields};
use super::normal::{Host, of_live, of_spec};
use crate::model::desired::{Desired, Service};
use crate::model::live::Live;

/// The digests of one side: by what they are of, then by field.
type Side = BTreeMap<String, BTreeMap<String, String>>;

/// Hexadecimal digits of a digest.
const DIGITS: usize = 16;

/// Digests of what a plan follows from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fingerprint {
    /// What the manifests say.
    desired: Side,
    /// What Docker says, of the stack's own objects and of those that it uses.
    live: Side,
    /// What is on record as last applied.
    applied: String,
}

/// Something that isn't as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// `manifests`, `host` or `record`.
    pub side: &'static str,
    /// The service, container, network, volume or image.
    pub subject: String,
    /// What became of it.
    pub what: Movement,
}

/// What became of something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Movement {
    /// It wasn't there before.
    Appeared,
    /// It is no longer there.
    Gone,
    /// These fields have other values.
    Fields(Vec<String>),
}

impl fmt::Display for Moved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { side, subject, what } = self;
        write!(f, "{side}: {subject} ")?;
        match what {
            Movement::Appeared => f.write_str("is new"),
            Movement::Gone => f.write_str("is gone"),
            Movement::Fields(fields) => {
                let fields: Vec<String> = fields.iter().map(|field| format!("`{field}`")).collect();
                write!(f, "differs in {}", fields.join(", "))
            }
        }
    }
}

impl Fingerprint {
    /// Takes it. Objects of the host that the stack has nothing to do with are not in it.
    pub fn of(desired: &Desired, live: &Live, last: &LastApplied, host: Host<'_>) -> Self {
        let applied = short(host.key, &format!("{last:?}"));
        Self { desired: of_desired(desired, host), live: of_host(desired, live, host), applied }
    }

    /// What is otherwise in `now`.
    pub fn moved(&self, now: &Self) -> Vec<Moved> {
        let mut found = Vec::new();
        compare(&mut found, "manifests", (&self.desired, &now.desired));
        compare(&mut found, "host", (&self.live, &now.live));
        if found.is_empty() && self.applied != now.applied {
            let what = Movement::Fields(vec!["last applied".to_owned()]);
            found.push(Moved { side: "record", subject: "the ledger".to_owned(), what });
        }
        found
    }
}

fn compare(found: &mut Vec<Moved>, side: &'static str, (before, now): (&Side, &Side)) {
    let subjects: BTreeSet<&String> = before.keys().chain(now.keys()).collect();
    for subject in subjects {
        let what = match (before.get(subject), now.get(subject)) {
            (None, _) => Movement::Appeared,
            (_, None) => Movement::Gone,
            (Some(before), Some(now)) => {
                let fields: BTreeSet<&String> = before.keys().chain(now.keys()).collect();
                let moved = fields.into_iter().filter(|field| before.get(*field) != now.get(*field));
                let moved: Vec<String> = moved.cloned().collect();
                if moved.is_empty() {
                    continue;
                }
                Movement::Fields(moved)
            }
        };
        found.push(Moved { side, subject: subject.clone(), what });
    }
}

fn of_desired(desired: &Desired, host: Host<'_>) -> Side {
    let mut side = Side::new();
    for service in desired.services.values() {
        // Exhaustive on purpose: a new setting must be thought about here.
        let Service {
            name,
            tier,
            container_name,
            replicas,
            depends_on,
            gate,
            update,
            way_back,
            drift,
            rollback,
            watch,
            moved_from,
            pull,
            spec,
        } = service;
        let mut digests = digests(&of_spec(spec, host), host.key);
        for (field, value) in [
            ("tier", format!("{tier:?}")),
            ("container_name", format!("{container_name:?}")),
            ("deploy.replicas", replicas.to_string()),
            ("depends_on", format!("{depends_on:?}")),
            ("gate", format!("{gate:?}")),
            ("deploy.update_config", format!("{update:?}")),
            ("deploy.rollback_config", format!("{way_back:?}")),
            ("drift", format!("{drift:?}")),
            ("rollback", format!("{rollback:?}")),
            ("watch", format!("{watch:?}")),
            ("pull_policy", format!("{pull:?}")),
            ("moved_from", format!("{moved_from:?}")),
        ] {
            digests.insert(field.to_owned(), short(host.key, &value));
        }
        side.insert(format!("service {name}"), digests);
    }
    let whole = |value: &dyn fmt::Debug| BTreeMap::from([whole(host.key, value)]);
    side.extend(desired.networks.iter().map(|(key, spec)| (format!("network {key}"), whole(spec))));
    side.extend(desired.volumes.iter().map(|(key, spec)| (format!("volume {key}"), whole(spec))));
    side.insert("stack".to_owned(), whole(&(&desired.stack, &desired.tiers)));
    side
}

fn of_host(desired: &Desired, live: &Live, host: Host<'_>) -> Side {
    let mut side = Side::new();
    for container in live.containers.values() {
        let mut digests = digests(&of_live(&container.spec, host), host.key);
        for (field, value) in [
            ("id", container.id.to_string()),
            ("image id", container.image.to_string()),
            ("mounted images", format!("{:?}", container.mounted)),
            ("status", container.state.status.to_string()),
        ] {
            digests.insert(field.to_owned(), short(host.key, &value));
        }
        side.insert(format!("container {}", container.name), digests);
    }
    let whole = |value: &dyn fmt::Debug| BTreeMap::from([whole(host.key, value)]);
    let is_own = |stack: Option<&crate::model::name::StackName>| stack == Some(&desired.stack);
    for network in live.networks.values() {
        let used = desired.networks.values().any(|spec| spec.name == network.spec.name);
        if used || is_own(network.stack.as_ref()) {
            side.insert(format!("network {}", network.spec.name), whole(network));
        }
    }
    for (name, volume) in &live.volumes {
        let used = desired.volumes.values().any(|spec| spec.name == *name);
        if used || is_own(volume.stack.as_ref()) {
            side.insert(format!("volume {name}"), whole(volume));
        }
    }
    let images = live.references.iter();
    side.extend(images.map(|(reference, id)| (format!("image {reference}"), whole(id))));
    side
}

fn digests(fields: &Fields, key: &DigestKey) -> BTreeMap<String, String> {
    fields.iter().map(|(path, value)| (path.to_string(), short(key, &format!("{value:?}")))).collect()
}

fn whole(key: &DigestKey, value: &dyn fmt::Debug) -> (String, String) {
    ("all".to_owned(), short(key, &format!("{value:?}")))
}

fn short(key: &DigestKey, text: &str) -> String {
    let mut digest = key.digest(text);
    digest.truncate(DIGITS);
    digest
}
