//! Networks and volumes: what is missing, what is not ours, what can't be changed.

use super::Unchanged;
use super::change::{Change, FieldChange, Kind, Operation, Reason};
use super::fields::FieldValue;
use super::refusal::Refusal;
use super::step::{Action, Phase, Step, Turn};
use crate::model::desired::Desired;
use crate::model::label;
use crate::model::live::{Live, LiveNetwork};
use crate::model::name::{NetworkKey, NetworkName, StackName, VolumeKey, VolumeName};
use crate::model::spec::{NetworkSpec, VolumeSpec};

mod differences;

pub(super) use differences::declared;
use differences::{network_differences, volume_differences};

/// What is to be done about networks and volumes before any container is touched.
#[derive(Debug, Default)]
pub(super) struct Shared<'a> {
    pub(super) changes: Vec<Change>,
    pub(super) steps: Vec<Step>,
    pub(super) refusals: Vec<Refusal>,
    pub(super) notes: Vec<String>,
    pub(super) unchanged: Vec<Unchanged>,
    /// Networks that the plan creates where there is none.
    pub(super) created: Vec<NetworkName>,
    /// Networks that the plan makes anew.
    pub(super) recreated: Vec<Recreated<'a>>,
}

/// A network that can't be changed while it is there.
#[derive(Debug)]
pub(super) struct Recreated<'a> {
    /// Its key in the manifests.
    pub(super) key: &'a NetworkKey,
    /// What is live.
    pub(super) old: &'a LiveNetwork,
    /// What takes its place, with all labels.
    pub(super) new: NetworkSpec,
    /// What differs.
    pub(super) fields: Vec<FieldChange>,
}

pub(super) fn decide<'a>(desired: &'a Desired, live: &'a Live) -> Shared<'a> {
    let mut shared = Shared::default();
    for (key, spec) in &desired.networks {
        network(&mut shared, (key, spec), &desired.stack, live);
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

fn network<'a>(
    shared: &mut Shared<'a>,
    (key, spec): (&'a NetworkKey, &NetworkSpec),
    stack: &StackName,
    live: &'a Live,
) {
    let labeled = || {
        let mut spec = spec.clone();
        spec.labels.extend(label::of_network(stack, key.as_str()));
        spec.labels.extend(label::of_declared(declared(&spec)));
        spec
    };
    let found: Vec<&LiveNetwork> =
        live.networks.values().filter(|network| network.spec.name == spec.name).collect();
    match (found.as_slice(), spec.external) {
        ([_], true) => shared.unchanged.push(unchanged(Kind::Network, key.as_str())),
        ([], true) => shared.refusals.push(Refusal::new(
            format!("network `{key}` is external, but the host has no network `{}`", spec.name),
            format!("create it with `docker network create {}`, or drop `external`", spec.name),
        )),
        ([], false) => {
            let spec = labeled();
            shared.created.push(spec.name.clone());
            shared.changes.push(created(Kind::Network, key.as_str()));
            shared.steps.push(Step { turn: OBJECTS, after: Vec::new(), action: Action::CreateNetwork(spec) });
        }
        ([network], false) if network.stack.as_ref() == Some(stack) => {
            let fields = network_differences(spec, &network.spec);
            if fields.is_empty() {
                shared.unchanged.push(unchanged(Kind::Network, key.as_str()));
            } else {
                let operation = Operation::Recreate;
                let change = created(Kind::Network, key.as_str());
                shared.recreated.push(Recreated {
                    key,
                    old: network,
                    new: labeled(),
                    fields: fields.clone(),
                });
                shared.changes.push(Change { operation, reason: Reason::Differs, fields, ..change });
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

fn volume(shared: &mut Shared<'_>, key: &VolumeKey, spec: &VolumeSpec, stack: &StackName, live: &Live) {
    match (live.volumes.get(&spec.name), spec.external) {
        (Some(_), true) => shared.unchanged.push(unchanged(Kind::Volume, key.as_str())),
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
                shared.unchanged.push(unchanged(Kind::Volume, key.as_str()));
            } else {
                let hint = "Docker can't change a volume, and making it anew would lose its data: declare a new volume beside it and copy the data";
                shared.refusals.push(unchangeable((Kind::Volume, key.as_str()), &fields, hint));
            }
        }
        (Some(volume), false) => {
            shared.refusals.push(not_ours("volume", spec.name.as_str(), volume.stack.as_ref()));
        }
    }
}

fn unchanged(kind: Kind, name: &str) -> Unchanged {
    Unchanged { tier: None, kind, name: name.to_owned() }
}

fn created(kind: Kind, name: &str) -> Change {
    Change {
        tier: None,
        kind,
        name: name.to_owned(),
        service: None,
        was: None,
        operation: Operation::Create,
        reason: Reason::New,
        not_start_first: Vec::new(),
        fields: Vec::new(),
    }
}

fn not_ours(kind: &str, name: &str, owner: Option<&StackName>) -> Refusal {
    let belongs = owner.map_or_else(
        || "was not made by Evenkeel".to_owned(),
        |stack| format!("belongs to the stack `{stack}`"),
    );
    let adopt = match owner {
        None => "take it over with the containers that use it, with `evenkeel adopt`; or ",
        Some(_) => "",
    };
    Refusal::new(
        format!("the host already has a {kind} `{name}`, which {belongs}"),
        format!("{adopt}give the {kind} another `name`, or say `external: true` to use it as it is"),
    )
}

pub(super) fn unchangeable(
    (kind, key): (Kind, &str),
    fields: &[FieldChange],
    hint: impl Into<String>,
) -> Refusal {
    let shown =
        |value: &Option<FieldValue>| value.as_ref().map_or_else(|| "(none)".to_owned(), ToString::to_string);
    let fields: Vec<String> = fields
        .iter()
        .map(|field| format!("{} {} → {}", field.path, shown(&field.before), shown(&field.after)))
        .collect();
    Refusal::new(format!("{kind} `{key}` differs from what is live: {}", fields.join(", ")), hint)
}
