//! The plan for machines. The names and meanings of its fields are stable within one `version`.

use serde::Serialize;

use super::Plan;
use super::change::{Change, FieldChange};

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
    changes: Vec<ChangeForm<'a>>,
    notes: &'a [String],
    needs_consent_to_remove: Option<&'a [String]>,
}

#[derive(Serialize)]
struct ChangeForm<'a> {
    tier: Option<&'a str>,
    kind: String,
    name: &'a str,
    operation: &'static str,
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

/// The plan as JSON. Sensitive values are shown as `(sensitive)`.
pub fn to_json(plan: &Plan) -> serde_json::Value {
    let form = PlanForm {
        version: VERSION,
        id: &plan.id.0,
        stack: plan.stack.as_str(),
        revision: plan.revision.to_string(),
        commit: plan.revision.commit(),
        changed: plan.changes.len(),
        unchanged: plan.unchanged,
        changes: plan.changes.iter().map(change).collect(),
        notes: &plan.notes,
        needs_consent_to_remove: plan.consent.as_ref().map(|consent| consent.removed.as_slice()),
    };
    serde_json::to_value(form).unwrap_or(serde_json::Value::Null)
}

fn change(change: &Change) -> ChangeForm<'_> {
    let Change { tier, kind, name, service: _, operation, reason, fields } = change;
    ChangeForm {
        tier: tier.as_ref().map(AsRef::as_ref),
        kind: kind.to_string(),
        name,
        operation: operation.code(),
        reason: reason.to_string(),
        cause: reason.cause().map(|cause| cause.to_string()),
        fields: fields.iter().map(field).collect(),
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
