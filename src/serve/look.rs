//! What is known of stacks, as JSON.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, State};
use axum::http::StatusCode;
use axum::http::uri::Uri;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::caller::Caller;
use super::guard::{Asked, number};
use super::problem::Problem;
use super::site::Site;
use crate::agent::status::StackState;
use crate::apply::ledger::history::{ChangeLine, DeployRecord};
use crate::apply::ledger::orders::AuditEntry;
use crate::plan::json;

/// Deploys and entries that are given where nobody says how many, and at most.
const USUAL: u32 = 20;
const MOST: u32 = 500;
/// Entries of the audit log that are looked through for who sees only some of them.
const SEARCHED: u32 = 10_000;

/// The stacks.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Stacks {
    /// Those that the caller may see.
    stacks: Vec<StackState>,
}

/// The deploys of a stack.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct History {
    /// The stack.
    stack: String,
    /// The latest first.
    deploys: Vec<Deploy>,
}

/// A deploy.
#[derive(Debug, Serialize, ToSchema)]
pub struct Deploy {
    /// Its id.
    #[serde(rename = "deploy")]
    id: String,
    /// What was deployed, for people.
    revision: String,
    /// The commit, if it was one.
    commit: Option<String>,
    /// Digest of everything that was desired.
    desired: String,
    /// The plan that was carried out.
    plan: String,
    /// What woke it.
    trigger: String,
    /// Who asked for it.
    actor: String,
    /// When it began.
    #[schema(value_type = String, format = DateTime)]
    began: Timestamp,
    /// When it ended.
    #[schema(value_type = Option<String>, format = DateTime)]
    ended: Option<Timestamp>,
    /// How long it took, in milliseconds.
    took_ms: Option<u64>,
    /// What has become of it.
    #[schema(value_type = String)]
    outcome: &'static str,
    /// Why it failed, if it did.
    failure: Option<String>,
    /// What it changed.
    changes: Vec<Changed>,
}

/// A change of a deploy, in short.
#[derive(Debug, Serialize, ToSchema)]
struct Changed {
    /// `service`, `network` or `volume`.
    kind: String,
    /// Its name.
    name: String,
    /// What happened to it.
    operation: String,
    /// Why.
    why: String,
}

/// The audit log.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Audit {
    /// The latest first.
    entries: Vec<Entry>,
}

/// Something that somebody asked for.
#[derive(Debug, Serialize, ToSchema)]
struct Entry {
    /// When.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// Who.
    actor: String,
    /// On which stack; absent where it is about the agent.
    stack: Option<String>,
    /// What.
    what: String,
    /// Whether it was granted, or why not.
    answer: String,
}

/// What is known of every stack.
#[utoipa::path(
    get, path = "/v1/stacks", tag = "stacks", operation_id = "stacks",
    responses(
        (status = 200, description = "The stacks that you may see", body = Stacks),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn stacks(
    State(site): State<Arc<Site>>,
    Extension(caller): Extension<Caller>,
) -> Json<Stacks> {
    Json(Stacks { stacks: seen(&site, &caller) })
}

/// What is known of all that a caller may see. What has no name yet is for those who see all.
pub(super) fn seen(site: &Site, caller: &Caller) -> Vec<StackState> {
    let states = site.desk().stands().into_iter().map(|stand| stand.board.state());
    states
        .filter(|state| state.stack.as_deref().map_or(caller.sees_all(), |stack| caller.sees(stack)))
        .collect()
}

/// What is known of a stack.
#[utoipa::path(
    get, path = "/v1/stacks/{stack}", tag = "stacks", operation_id = "stack",
    params(("stack" = String, Path, description = "The stack")),
    responses(
        (status = 200, description = "Its state", body = StackState),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn stack(Extension(asked): Extension<Asked>) -> Json<StackState> {
    Json(asked.stand.board.state())
}

/// The plan that was made last for the newest commit.
#[utoipa::path(
    get, path = "/v1/stacks/{stack}/plan", tag = "stacks", operation_id = "plan",
    params(("stack" = String, Path, description = "The stack")),
    responses(
        (status = 200, description = "The plan, as `evenkeel plan --json` prints it", body = Object),
        (status = "4XX", description = "Refused, or no plan was made yet", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn plan(Extension(asked): Extension<Asked>) -> Result<Json<Value>, Problem> {
    let plan = asked.stand.board.plan().ok_or_else(|| {
        let hint = "ask for the stack itself: it says what the agent waits for";
        Problem::new(StatusCode::NOT_FOUND, "no-plan", "no plan was made yet for the newest commit", hint)
    })?;
    Ok(Json(json::to_json(&plan)))
}

/// What was deployed, when and how it ended.
#[utoipa::path(
    get, path = "/v1/stacks/{stack}/history", tag = "stacks", operation_id = "history",
    params(
        ("stack" = String, Path, description = "The stack"),
        ("most" = Option<u32>, Query, description = "At most so many, 1 to 500; else 20"),
    ),
    responses(
        (status = 200, description = "Its deploys", body = History),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn history(
    State(site): State<Arc<Site>>,
    Extension(Asked { stack, .. }): Extension<Asked>,
    uri: Uri,
) -> Result<Json<History>, Problem> {
    let most = number(&uri, "most", USUAL, MOST)?;
    let of = stack.clone();
    let records = site.at_desk(move |desk| desk.history(&of, most)).await?;
    let records = records.map_err(|error| Problem::broken(error.to_string()))?;
    Ok(Json(History { stack: stack.to_string(), deploys: records.into_iter().map(Deploy::from).collect() }))
}

impl From<DeployRecord> for Deploy {
    fn from(record: DeployRecord) -> Self {
        let took_ms = record.took_ms();
        let DeployRecord {
            id,
            revision,
            desired,
            plan,
            trigger,
            actor,
            began,
            ended,
            state,
            failure,
            changes,
        } = record;
        Self {
            id: id.to_string(),
            revision: revision.to_string(),
            commit: revision.commit().map(str::to_owned),
            desired: desired.0,
            plan: plan.0,
            trigger,
            actor,
            began,
            ended,
            took_ms,
            outcome: state.code(),
            failure,
            changes: changes.into_iter().map(Changed::from).collect(),
        }
    }
}

impl From<ChangeLine> for Changed {
    fn from(ChangeLine { kind, name, operation, why }: ChangeLine) -> Self {
        Self { kind, name, operation, why }
    }
}

/// Who asked for what, and whether it was granted.
#[utoipa::path(
    get, path = "/v1/audit", tag = "agent", operation_id = "audit",
    params(("most" = Option<u32>, Query, description = "At most so many, 1 to 500; else 20")),
    responses(
        (status = 200, description = "What was asked for on the stacks that you may see", body = Audit),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn audit(
    State(site): State<Arc<Site>>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
) -> Result<Json<Audit>, Problem> {
    let most = number(&uri, "most", USUAL, MOST)?;
    let searched = if caller.sees_all() { most } else { SEARCHED };
    let found = site.at_desk(move |desk| desk.ledger().audited(searched)).await?;
    let found = found.map_err(|error| Problem::broken(error.to_string()))?;
    let is_seen =
        |entry: &AuditEntry| entry.stack.as_deref().map_or(caller.sees_all(), |stack| caller.sees(stack));
    let entries = found.into_iter().filter(is_seen).take(most as usize).map(Entry::from).collect();
    Ok(Json(Audit { entries }))
}

impl From<AuditEntry> for Entry {
    fn from(AuditEntry { at, actor, stack, what, answer }: AuditEntry) -> Self {
        Self { at, actor, stack, what, answer }
    }
}
