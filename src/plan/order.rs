//! The order of services within a tier.

use std::collections::{BTreeMap, BTreeSet};

use super::refusal::Refusal;
use crate::model::desired::Desired;
use crate::model::name::ServiceName;

/// The services in an order in which each comes after those that it depends on; where the graph leaves it open, by
/// tier and name.
///
/// # Errors
/// A cycle, with its path.
pub(super) fn services(desired: &Desired) -> Result<Vec<&ServiceName>, Refusal> {
    let mut waiting: BTreeMap<&ServiceName, BTreeSet<&ServiceName>> = desired
        .services
        .values()
        .map(|service| {
            let known = service.needs().filter(|name| desired.services.contains_key(*name));
            (&service.name, known.collect())
        })
        .collect();
    let mut dependents: BTreeMap<&ServiceName, Vec<&ServiceName>> = BTreeMap::new();
    for (name, needs) in &waiting {
        for need in needs {
            dependents.entry(need).or_default().push(name);
        }
    }
    let rank = |name: &ServiceName| {
        desired.services.get(name).map_or(usize::MAX, |service| desired.tier_rank(&service.tier))
    };
    let mut ready: BTreeSet<(usize, &ServiceName)> =
        waiting.iter().filter(|(_, needs)| needs.is_empty()).map(|(name, _)| (rank(name), *name)).collect();
    let mut order = Vec::with_capacity(waiting.len());
    while let Some((_, name)) = ready.pop_first() {
        order.push(name);
        waiting.remove(name);
        for dependent in dependents.get(name).into_iter().flatten().copied() {
            if let Some(needs) = waiting.get_mut(dependent) {
                needs.remove(name);
                if needs.is_empty() {
                    ready.insert((rank(dependent), dependent));
                }
            }
        }
    }
    if waiting.is_empty() { Ok(order) } else { Err(cycle(&waiting)) }
}

fn cycle(waiting: &BTreeMap<&ServiceName, BTreeSet<&ServiceName>>) -> Refusal {
    // Every service that still waits has a need that still waits, so that following one need after the other must
    // come back to a service seen before.
    let mut path: Vec<&ServiceName> = Vec::new();
    let mut at = waiting.keys().next().copied();
    while let Some(name) = at {
        if let Some(first) = path.iter().position(|seen| *seen == name) {
            path.drain(..first);
            path.push(name);
            break;
        }
        path.push(name);
        at = waiting
            .get(name)
            .and_then(|needs| needs.iter().find(|need| waiting.contains_key(*need)).copied());
    }
    let path: Vec<&str> = path.into_iter().map(ServiceName::as_str).collect();
    Refusal::new(
        format!("the services depend on each other in a circle: {}", path.join(" → ")),
        "remove one of these `depends_on`",
    )
}
