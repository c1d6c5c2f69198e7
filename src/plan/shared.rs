//! Networks and volumes: what is missing, what is not ours, what can't be changed.

use super::change::{Change, FieldChange, Kind, Operation, Reason};
use super::fields::{FieldPath, FieldValue};
use super::refusal::Refusal;
use super::step::{Action, Phase, Step, Turn};
use crate::model::desired::Desired;
use crate::model::label;
use crate::model::live::{Live, LiveNetwork};
use crate::model::name::{NetworkKey, NetworkName, StackName, VolumeKey, VolumeName};
use crate::model::spec::{NetworkSpec, VolumeSpec};

/// What is to be done about networks and volumes before any container is touched.
#[derive(Debug, Default)]
pub(super) struct Shared {
    pub(super) changes: Vec<Change>,
    pub(super) steps: Vec<Step>,
    pub(super) refusals: Vec<Refusal>,
    pub(super) notes: Vec<String>,
    pub(super) unchanged: usize,
    /// Networks that the plan creates.
    pub(super) created: Vec<NetworkName>,
}

pub(super) fn decide(desired: &Desired, live: &Live) -> Shared {
    let mut shared = Shared::default();
    for (key, spec) in &desired.networks {
        network(&mut shared, key, spec, &desired.stack, live);
    }
    for (key, spec) in &desired.volumes {
        volume(&mut shared, key, spec, &desired.stack, live);
    }
    let wanted = |name: &VolumeName| desired.volumes.values().any(|spec| spec.name == *name);
    for (name, _) in live
        .volumes
        .iter()
        .filter(|(name, volume)| volume.stack.as_ref() == Some(&desired.stack) && !wanted(name))
    {
        shared.notes.push(format!("volume {name} is no longer in any manifest; it stays, with its data"));
    }
    shared
}

const OBJECTS: Turn = Turn { phase: Phase::Objects, wave: 0 };

fn network(shared: &mut Shared, key: &NetworkKey, spec: &NetworkSpec, stack: &StackName, live: &Live) {
    let found: Vec<&LiveNetwork> =
        live.networks.values().filter(|network| network.spec.name == spec.name).collect();
    match (found.as_slice(), spec.external) {
        ([_], true) => shared.unchanged += 1,
        ([], true) => shared.refusals.push(Refusal::new(
            format!("network `{key}` is external, but the host has no network `{}`", spec.name),
            format!("create it with `docker network create {}`, or drop `external`", spec.name),
        )),
        ([], false) => {
            let mut spec = spec.clone();
            spec.labels.extend(label::of_network(stack, key.as_str()));
            shared.created.push(spec.name.clone());
            shared.changes.push(created(Kind::Network, key.as_str()));
            shared.steps.push(Step { turn: OBJECTS, after: Vec::new(), action: Action::CreateNetwork(spec) });
        }
        ([network], false) if network.stack.as_ref() == Some(stack) => {
            let fields = network_differences(spec, &network.spec);
            if fields.is_empty() {
                shared.unchanged += 1;
            } else {
                shared.refusals.push(unchangeable("network", key.as_str(), &fields));
            }
        }
        ([network], false) => {
            shared.refusals.push(not_ours("network", spec.name.as_str(), network.stack.as_ref()));
        }
        (several, _) => shared.refusals.push(Refusal::new(
            format!("the host has {} networks named `{}`", several.len(), spec.name),
            "remove all but one by their ids: `docker network ls`, `docker network rm ID`",
        )),
    }
}

fn volume(shared: &mut Shared, key: &VolumeKey, spec: &VolumeSpec, stack: &StackName, live: &Live) {
    match (live.volumes.get(&spec.name), spec.external) {
        (Some(_), true) => shared.unchanged += 1,
        (None, true) => shared.refusals.push(Refusal::new(
            format!("volume `{key}` is external, but the host has no volume `{}`", spec.name),
            format!("create it with `docker volume create {}`, or drop `external`", spec.name),
        )),
        (None, false) => {
            let mut spec = spec.clone();
            spec.labels.extend(label::of_volume(stack, key.as_str()));
            shared.changes.push(created(Kind::Volume, key.as_str()));
            shared.steps.push(Step { turn: OBJECTS, after: Vec::new(), action: Action::CreateVolume(spec) });
        }
        (Some(volume), false) if volume.stack.as_ref() == Some(stack) => {
            let fields = volume_differences(spec, &volume.spec);
            if fields.is_empty() {
                shared.unchanged += 1;
            } else {
                shared.refusals.push(unchangeable("volume", key.as_str(), &fields));
            }
        }
        (Some(volume), false) => {
            shared.refusals.push(not_ours("volume", spec.name.as_str(), volume.stack.as_ref()));
        }
    }
}

fn created(kind: Kind, name: &str) -> Change {
    Change {
        tier: None,
        kind,
        name: name.to_owned(),
        service: None,
        operation: Operation::Create,
        reason: Reason::New,
        fields: Vec::new(),
    }
}

fn not_ours(kind: &str, name: &str, owner: Option<&StackName>) -> Refusal {
    let owner = owner.map_or_else(
        || "was not made by Evenkeel".to_owned(),
        |stack| format!("belongs to the stack `{stack}`"),
    );
    Refusal::new(
        format!("the host already has a {kind} `{name}`, which {owner}"),
        format!("give the {kind} another `name`, or say `external: true` to use it as it is"),
    )
}

fn unchangeable(kind: &str, key: &str, fields: &[FieldChange]) -> Refusal {
    let shown =
        |value: &Option<FieldValue>| value.as_ref().map_or_else(|| "(none)".to_owned(), ToString::to_string);
    let fields: Vec<String> = fields
        .iter()
        .map(|field| format!("{} {} → {}", field.path, shown(&field.before), shown(&field.after)))
        .collect();
    let hint = match kind {
        "volume" => {
            "Docker can't change a volume, and making it anew would lose its data: declare a new volume beside it and copy the data"
        }
        _ => "Docker can't change a network: declare a new one under another key and move the services to it",
    };
    Refusal::new(format!("{kind} `{key}` differs from what is live: {}", fields.join(", ")), hint)
}

/// Compares what is declared only: the daemon fills in the rest.
fn network_differences(desired: &NetworkSpec, live: &NetworkSpec) -> Vec<FieldChange> {
    let NetworkSpec { name: _, external: _, driver, options, pools, internal, attachable, ipv6, labels: _ } =
        desired;
    let mut found = Found::default();
    if let Some(driver) = driver {
        found.compare("driver", live.driver.as_ref(), Some(driver));
    }
    for (option, value) in options {
        found.compare(&format!("driver_opts.{option}"), live.options.get(option), Some(value));
    }
    for (at, pool) in pools.iter().enumerate() {
        let same = live.pools.iter().find(|live| live.subnet == pool.subnet);
        let other = live.pools.get(at).map(|live| &live.subnet);
        found.compare(
            &format!("ipam.{at}.subnet"),
            same.map(|live| &live.subnet).or(other),
            Some(&pool.subnet),
        );
        if let Some(same) = same {
            if pool.gateway.is_some() {
                found.compare(&format!("ipam.{at}.gateway"), same.gateway.as_ref(), pool.gateway.as_ref());
            }
            found.compare(&format!("ipam.{at}.ip_range"), same.ip_range.as_ref(), pool.ip_range.as_ref());
        }
    }
    for (name, before, after) in [
        ("internal", live.internal, *internal),
        ("attachable", live.attachable, *attachable),
        ("enable_ipv6", live.ipv6, *ipv6),
    ] {
        found.compare(name, Some(&before.to_string()), Some(&after.to_string()));
    }
    found.0
}

fn volume_differences(desired: &VolumeSpec, live: &VolumeSpec) -> Vec<FieldChange> {
    let VolumeSpec { name: _, external: _, driver, options, labels: _ } = desired;
    let mut found = Found::default();
    if let Some(driver) = driver {
        found.compare("driver", live.driver.as_ref(), Some(driver));
    }
    let names: std::collections::BTreeSet<&String> = options.keys().chain(live.options.keys()).collect();
    for name in names {
        found.compare(&format!("driver_opts.{name}"), live.options.get(name), options.get(name));
    }
    found.0
}

#[derive(Default)]
struct Found(Vec<FieldChange>);

impl Found {
    fn compare(&mut self, path: &str, before: Option<&String>, after: Option<&String>) {
        if before != after {
            self.0.push(FieldChange {
                path: FieldPath::new(path),
                before: before.map(FieldValue::word),
                after: after.map(FieldValue::word),
                cause: super::change::Cause::Git,
                diff: None,
            });
        }
    }
}
