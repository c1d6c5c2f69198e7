//! The plan for machines. The names and meanings of its fields are stable within one `version`.

use serde::Serialize;

use super::change::{Change, FieldChange};
use super::{Plan, Pull, Unchanged};
use crate::model::name::ServiceName;

/// Version of the form.
pub const VERSION: u32 = 1;

#[derive(Serialize)]
struct PlanForm<'a> {
    version: u32,
    id: &'a str,
    stack: &'a str,
    revision: String,
    commit: Option<&'a str>,
    changed: usize,
    unchanged: usize,
    unchanged_objects: Vec<UnchangedForm<'a>>,
    changes: Vec<ChangeForm<'a>>,
    reported: Vec<ChangeForm<'a>>,
    ignored: usize,
    pulls: Vec<PullForm<'a>>,
    notes: &'a [String],
    needs_consent_to_remove: Option<&'a [String]>,
}

#[derive(Serialize)]
struct UnchangedForm<'a> {
    tier: Option<&'a str>,
    kind: String,
    name: &'a str,
}

#[derive(Serialize)]
struct ChangeForm<'a> {
    tier: Option<&'a str>,
    kind: String,
    name: &'a str,
    was: Option<&'a str>,
    operation: &'static str,
    order: Option<String>,
    not_start_first: Vec<String>,
    reason: String,
    cause: Option<String>,
    fields: Vec<FieldForm<'a>>,
}

#[derive(Serialize)]
struct FieldForm<'a> {
    path: &'a str,
    before: Option<String>,
    after: Option<String>,
    cause: String,
    diff: Option<&'a str>,
}

#[derive(Serialize)]
struct PullForm<'a> {
    image: String,
    digest: Option<&'a str>,
    services: Vec<&'a str>,
}

/// The plan as JSON. Sensitive values are shown as `(sensitive)`.
pub fn to_json(plan: &Plan) -> serde_json::Value {
    let form = PlanForm {
        version: VERSION,
        id: &plan.id.0,
        stack: plan.stack.as_str(),
        revision: plan.revision.to_string(),
        commit: plan.revision.commit(),
        changed: plan.changes.len(),
        unchanged: plan.unchanged.len(),
        unchanged_objects: plan.unchanged.iter().map(unchanged).collect(),
        changes: plan.changes.iter().map(change).collect(),
        reported: plan.reported.iter().map(change).collect(),
        ignored: plan.ignored,
        pulls: plan.pulls().into_iter().map(pull).collect(),
        notes: &plan.notes,
        needs_consent_to_remove: plan.consent.as_ref().map(|consent| consent.removed.as_slice()),
    };
    serde_json::to_value(form).unwrap_or(serde_json::Value::Null)
}

fn unchanged(unchanged: &Unchanged) -> UnchangedForm<'_> {
    let Unchanged { tier, kind, name } = unchanged;
    UnchangedForm { tier: tier.as_ref().map(AsRef::as_ref), kind: kind.to_string(), name }
}

fn change(change: &Change) -> ChangeForm<'_> {
    let Change { tier, kind, name, service: _, was, operation, reason, not_start_first, fields } = change;
    ChangeForm {
        tier: tier.as_ref().map(AsRef::as_ref),
        kind: kind.to_string(),
        name,
        was: was.as_ref().map(ServiceName::as_str),
        operation: operation.code(),
        order: operation.order().map(|order| order.to_string()),
        not_start_first: not_start_first.iter().map(ToString::to_string).collect(),
        reason: reason.to_string(),
        cause: reason.cause().map(|cause| cause.to_string()),
        fields: fields.iter().map(field).collect(),
    }
}

fn pull(pull: Pull<'_>) -> PullForm<'_> {
    let Pull { image, services } = pull;
    PullForm {
        image: image.name().to_string(),
        digest: image.digest(),
        services: services.into_iter().map(ServiceName::as_str).collect(),
    }
}

fn field(field: &FieldChange) -> FieldForm<'_> {
    let FieldChange { path, before, after, cause, diff } = field;
    FieldForm {
        path: path.as_str(),
        before: before.as_ref().map(ToString::to_string),
        after: after.as_ref().map(ToString::to_string),
        cause: cause.to_string(),
        diff: diff.as_deref(),
    }
}
