//! A service that says what it was called before takes over what ran under that name.

use std::collections::BTreeMap;

use super::super::lower::Lowered;
use super::super::problem::{Problem, Problems};
use super::super::source::Span;
use super::active;
use crate::model::name::ServiceName;

/// A name can have been one other service's only, which is there no more.
pub(super) fn moves(problems: &mut Problems, lowered: &Lowered) {
    let mut first: BTreeMap<&ServiceName, Span> = BTreeMap::new();
    for service in active(lowered) {
        let (Some(old), Some(span)) = (&service.service.moved_from, service.places.moved_from) else {
            continue;
        };
        let name = &service.service.name;
        if old == name {
            let problem =
                Problem::error("moved-from", span, format!("`{name}` can't have moved from itself"));
            problems.add(problem.hint("say what the service was called before, or remove `moved_from`"));
        } else if let Some(still) = lowered.services.get(old) {
            let message = format!("`{name}` can't have moved from `{old}`, which is still declared");
            problems.add(
                Problem::error("moved-from", span, message)
                    .related(still.places.name, "declared here")
                    .hint(format!("remove the service `{old}`, or this `moved_from`")),
            );
        } else if let Some(other) = first.get(old) {
            let message = format!("two services can't both have moved from `{old}`");
            problems.add(
                Problem::error("moved-from", span, message)
                    .related(*other, "the other one")
                    .hint("only one of them takes over its containers"),
            );
        } else {
            first.insert(old, span);
        }
    }
}
