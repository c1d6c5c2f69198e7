//! Dependencies: each leads to a service that is there, none leads into a later tier, none leads back.

use std::collections::BTreeSet;

use super::super::collect::Composed;
use super::super::lower::{Lowered, LoweredService};
use super::super::problem::{Problem, Problems, nearest};
use super::active;
use crate::model::name::{ServiceName, TierName};

/// Checks where dependencies lead.
pub(super) fn dependencies(problems: &mut Problems, composed: &Composed, lowered: &Lowered) {
    let rank = |tier: &TierName| composed.tiers.iter().position(|known| known == tier);
    for LoweredService { service, places, .. } in active(lowered) {
        for (name, dependency) in &service.depends_on {
            let span = places.depends_on.get(name).copied().unwrap_or(places.name);
            let Some(other) = lowered.services.get(name) else {
                if dependency.required {
                    let known = lowered.services.keys().map(ServiceName::as_str);
                    let hint = match nearest(name.as_str(), known) {
                        Some(candidate) => format!("did you mean `{candidate}`?"),
                        None => "declare the service, or say `required: false`".to_owned(),
                    };
                    let message = format!("`{}` depends on `{name}`, which is not there", service.name);
                    problems.add(Problem::error("missing-dependency", span, message).hint(hint));
                }
                continue;
            };
            if !other.active {
                if dependency.required {
                    let message = format!("`{}` depends on `{name}`, which is not active", service.name);
                    problems.add(
                        Problem::error("inactive-dependency", span, message)
                            .related(other.places.name, "it belongs to profiles that are not active")
                            .hint("activate one of its profiles, or say `required: false`"),
                    );
                }
                continue;
            }
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

/// Finds dependencies that lead back to where they began, each circle once.
pub(super) fn cycles(problems: &mut Problems, lowered: &Lowered) {
    let mut done: BTreeSet<&ServiceName> = BTreeSet::new();
    for start in lowered.services.keys() {
        walk(problems, lowered, start, &mut done);
    }
}

/// Follows all dependencies of `start`, depth first, without recursion: a chain may be as long as a manifest.
fn walk<'l>(
    problems: &mut Problems,
    lowered: &'l Lowered,
    start: &'l ServiceName,
    done: &mut BTreeSet<&'l ServiceName>,
) {
    let next = |name: &ServiceName| -> Vec<&'l ServiceName> {
        let found = lowered.services.get(name);
        found.into_iter().flat_map(|lowered| lowered.service.depends_on.keys()).rev().collect()
    };
    if done.contains(start) {
        return;
    }
    let mut path: Vec<(&ServiceName, Vec<&ServiceName>)> = vec![(start, next(start))];
    let mut on_path: BTreeSet<&ServiceName> = BTreeSet::from([start]);
    while let Some((name, rest)) = path.last_mut() {
        let Some(other) = rest.pop() else {
            on_path.remove(*name);
            done.insert(name);
            path.pop();
            continue;
        };
        if on_path.contains(other) {
            let names: Vec<&ServiceName> = path.iter().map(|(name, _)| *name).collect();
            let from = names.iter().position(|name| *name == other).unwrap_or(0);
            cycle(problems, lowered, &names[from..]);
        } else if !done.contains(other) && lowered.services.contains_key(other) {
            on_path.insert(other);
            path.push((other, next(other)));
        }
    }
}

fn cycle(problems: &mut Problems, lowered: &Lowered, names: &[&ServiceName]) {
    let (Some(first), Some(last)) = (names.first(), names.last()) else { return };
    let place = |from: &ServiceName, to: &ServiceName| {
        lowered.services.get(from).and_then(|lowered| lowered.places.depends_on.get(to)).copied()
    };
    let Some(back) = place(last, first) else { return };
    let shown: Vec<&str> = names.iter().chain([first]).map(|name| name.as_str()).collect();
    let message = match names {
        [only] => format!("`{only}` depends on itself"),
        _ => format!("services depend on each other in a circle: {}", shown.join(" → ")),
    };
    let mut problem = Problem::error("cycle", back, message).hint("remove one of these dependencies");
    for pair in names.windows(2) {
        if let [from, to] = pair
            && let Some(span) = place(from, to)
        {
            problem = problem.related(span, format!("`{from}` depends on `{to}`"));
        }
    }
    if names.len() > 1 {
        problem = problem.label(format!("`{last}` depends on `{first}`"));
    }
    problems.add(problem);
}
