//! One entry of the list of containers.

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
    let labels = summary.labels.unwrap_or_default();
    let holds_ports = matches!(
        summary.state,
        Some(
            ContainerSummaryStateEnum::RUNNING
                | ContainerSummaryStateEnum::PAUSED
                | ContainerSummaryStateEnum::RESTARTING
                | ContainerSummaryStateEnum::STOPPING
        )
    );
    let ports = summary.ports.filter(|_| holds_ports).unwrap_or_default();
    let stack = labels.get(label::STACK).and_then(|stack| stack.parse().ok());
    Ok(ListedContainer { id, summary: OtherContainer { name, stack, ports: ports::held(ports) } })
}
