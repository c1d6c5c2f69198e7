//! Dependencies: none leads into a later tier, and none leads back.

use super::super::collect::Composed;
use super::super::language::graph::{Edges, circles};
use super::super::lower::{Lowered, LoweredService};
use super::super::problem::{Problem, Problems};
use super::active;
use crate::model::name::TierName;

/// Checks where dependencies lead.
pub(super) fn dependencies(problems: &mut Problems, composed: &Composed, lowered: &Lowered) {
    let rank = |tier: &TierName| composed.tiers.iter().position(|known| known == tier);
    for LoweredService { service, places, .. } in active(lowered) {
        for name in service.depends_on.keys() {
            let span = places.depends_on.get(name).copied().unwrap_or(places.name);
            // That it is there and active was seen when the files were put together.
            let Some(other) = lowered.services.get(name).filter(|other| other.active) else { continue };
            if rank(&other.service.tier) > rank(&service.tier) {
                let message = format!(
                    "`{}` of tier `{}` depends on `{name}` of tier `{}`, which is applied later",
                    service.name, service.tier, other.service.tier
                );
                problems.add(
                    Problem::error("later-tier", span, message)
                        .related(other.places.name, format!("tier `{}`", other.service.tier))
                        .hint("move one of them to another tier, or change the order of `tiers`"),
                );
            }
        }
    }
}

/// Finds dependencies that lead back to where they began, also among services that are not active: in another
/// environment they are.
pub(super) fn cycles(problems: &mut Problems, lowered: &Lowered) {
    let mut edges = Edges::new();
    for LoweredService { service, places, .. } in lowered.services.values() {
        let known = places.depends_on.iter().filter(|(name, _)| lowered.services.contains_key(*name));
        let found = known.map(|(name, span)| (name.as_str(), *span)).collect();
        edges.insert(service.name.as_str(), found);
    }
    circles(problems, &edges);
}
