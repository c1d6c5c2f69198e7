//! One entry of the list of containers.

use std::collections::BTreeMap;

use bollard::models::{ContainerSummary, ContainerSummaryStateEnum};

use super::{Unreadable, ports};
use crate::engine::ListedContainer;
use crate::model::label;
use crate::model::live::OtherContainer;
use crate::model::name::ContainerName;

/// Reads one entry. A container whose name isn't one that we could write is told by its short id instead.
pub(in crate::engine::docker) fn listed(summary: ContainerSummary) -> Result<ListedContainer, Unreadable> {
    let id: crate::model::name::ContainerId =
        summary.id.ok_or("a container has no id")?.parse().map_err(|error| format!("{error}"))?;
    // Old links add names of the form `/other/alias`.
    let name = summary
        .names
        .into_iter()
        .flatten()
        .find_map(|name| name.trim_start_matches('/').parse::<ContainerName>().ok());
    let name = match name {
        Some(name) => name,
        None => id.short().parse().map_err(|error| format!("{error}"))?,
    };
    let labels: BTreeMap<_, _> = super::sorted(summary.labels);
    let runs = matches!(
        summary.state,
        Some(
            ContainerSummaryStateEnum::RUNNING
                | ContainerSummaryStateEnum::PAUSED
                | ContainerSummaryStateEnum::RESTARTING
                | ContainerSummaryStateEnum::STOPPING
        )
    );
    let ports = summary.ports.filter(|_| runs).unwrap_or_default();
    let stack = labels.get(label::STACK).and_then(|stack| stack.parse().ok());
    let bound = |point: bollard::models::MountPoint| {
        point.source.filter(|_| point.typ.as_deref().is_none_or(|kind| kind == "bind"))
    };
    let binds = summary.mounts.into_iter().flatten().filter_map(bound).collect();
    let networks = summary.network_settings.and_then(|settings| settings.networks).unwrap_or_default();
    // A name that we could not write is that of no network of ours.
    let networks = networks.into_keys().filter_map(|name| name.parse().ok()).collect();
    let origin = label::compose_origin(&labels);
    Ok(ListedContainer {
        id,
        runs,
        summary: OtherContainer { name, stack, origin, ports: ports::held(ports), binds, networks },
    })
}
