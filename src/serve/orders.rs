//! What operators ask for. An order is handed to the desk, which records it and wakes the agent; the answer doesn't wait
//! for what comes of it.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, Request, State};
use axum::http::{StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use jiff::{SignedDuration, Timestamp};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::time;
use utoipa::ToSchema;

use super::caller::Caller;
use super::guard::Asked;
use super::limits::ORDER_BODY;
use super::problem::Problem;
use super::site::Site;
use crate::agent::desk::{Desk, OrderError};
use crate::model::name::StackName;
use crate::plan::PlanId;

/// The longest reason, in bytes.
const REASON: usize = 500;

/// An order without anything to say. The body may also be left out.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

/// How long a stack is to be left alone. One of `for` and `until`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PauseOrder {
    /// For how long: `90m`, `2h`, `1h 30m`.
    #[serde(rename = "for")]
    lasts: Option<String>,
    /// Until when.
    #[schema(value_type = Option<String>, format = DateTime)]
    until: Option<Timestamp>,
    /// Why, for whoever finds it.
    #[schema(max_length = 500)]
    reason: String,
}

/// Where a stack is to return to.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RollbackOrder {
    /// The commit: all of its digits, or the first of them.
    #[schema(pattern = "^[0-9a-f]{7,64}$")]
    to: String,
}

/// What is agreed to.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ApproveOrder {
    /// The plan, as `waiting_plan` of the stack names it.
    plan: String,
}

/// An order was taken.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Taken {
    /// The stack.
    stack: String,
    /// The order.
    #[schema(value_type = String)]
    order: &'static str,
    /// Who asked for it, as the audit log has it.
    actor: String,
}

type Answer = Result<(StatusCode, Json<Taken>), Problem>;

/// An order: what it is called, who gives it, and to whom.
struct Order {
    site: Arc<Site>,
    caller: Caller,
    asked: Asked,
    word: &'static str,
}

impl Order {
    /// Reads the body, hands the order over, and notes if that is refused. What was taken the desk notes itself.
    async fn give<B: DeserializeOwned + Send + 'static>(
        self,
        request: Request,
        hand_over: impl FnOnce(&Desk, &StackName, &str, B) -> Result<(), Problem> + Send + 'static,
    ) -> Answer {
        let Self { site, caller, asked: Asked { stack, .. }, word } = self;
        let given = match body::<B>(&site, request).await {
            Ok(said) => {
                let (stack, actor) = (stack.clone(), caller.to_string());
                site.at_desk(move |desk| hand_over(desk, &stack, &actor, said)).await.and_then(|given| given)
            }
            Err(problem) => Err(problem),
        };
        if let Err(problem) = given {
            site.note_refused(Some(&stack), &caller, word, &problem).await;
            return Err(problem);
        }
        let taken = Taken { stack: stack.to_string(), order: word, actor: caller.to_string() };
        Ok((StatusCode::ACCEPTED, Json(taken)))
    }
}

/// Reads the body of an order, strictly. Nothing of it is repeated where it is wrong.
async fn body<B: DeserializeOwned>(site: &Site, request: Request) -> Result<B, Problem> {
    const EMPTY: &[u8] = b"{}";
    let form = request.headers().get(header::CONTENT_TYPE).and_then(|form| form.to_str().ok());
    let is_json = form.is_some_and(|form| form.split(';').next() == Some("application/json"));
    let read = Limited::new(request.into_body(), ORDER_BODY).collect();
    let read = time::timeout(site.limits.body, read).await.map_err(|_| Problem::too_slow())?;
    let read = read.map_err(|error| {
        if error.is::<LengthLimitError>() {
            Problem::too_large()
        } else {
            Problem::bad_body("the connection was cut")
        }
    })?;
    let bytes = read.to_bytes();
    if !is_json && !bytes.is_empty() {
        return Err(Problem::bad_body("`Content-Type: application/json` is missing"));
    }
    let text = if bytes.is_empty() { EMPTY } else { bytes.trim_ascii() };
    if !text.starts_with(b"{") {
        // serde would take a list for an object, its values in the order of the fields.
        return Err(Problem::bad_body("an object is wanted"));
    }
    serde_json::from_slice(text).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        Problem::bad_body(match error.classify() {
            serde_json::error::Category::Data => {
                format!("it doesn't say what is wanted, at line {line}, column {column}")
            }
            serde_json::error::Category::Syntax
            | serde_json::error::Category::Eof
            | serde_json::error::Category::Io => format!("it is no JSON, at line {line}, column {column}"),
        })
    })
}

/// What is wrong with an order.
fn refused(error: &OrderError) -> Problem {
    let unfit =
        |hint| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "unfit", "this order can't be taken", hint);
    let problem = match error {
        OrderError::Past { .. } => unfit("name a moment to come"),
        OrderError::TooLong => unfit("pause for a shorter time, and again when it is over"),
        OrderError::NoReason => unfit("say why"),
        OrderError::NotWaiting { .. } => {
            let hint = "look at the plan that waits now, and approve that";
            Problem::new(StatusCode::CONFLICT, "not-waiting", "this plan doesn't wait for approval", hint)
        }
        OrderError::Ledger(_) => {
            let hint = "look at the disk of the agent's state folder, and ask again";
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "ledger", "the order can't be recorded", hint)
        }
    };
    problem.because(error.to_string())
}

fn unfit(title: &'static str, hint: &'static str) -> Problem {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "unfit", title, hint)
}

/// Looks at the repository and at the host now.
#[utoipa::path(
    post, path = "/v1/stacks/{stack}/sync", tag = "orders", operation_id = "sync", request_body = Nothing,
    params(("stack" = String, Path, description = "The stack")),
    responses(
        (status = 202, description = "The agent looks", body = Taken),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn sync(
    State(site): State<Arc<Site>>,
    Extension(caller): Extension<Caller>,
    Extension(asked): Extension<Asked>,
    request: Request,
) -> Answer {
    let order = Order { site, caller, asked, word: "sync" };
    order
        .give(request, |desk, stack, actor, Nothing {}| {
            desk.sync(stack, actor).map_err(|error| refused(&error))
        })
        .await
}

/// Changes nothing on the stack for a while.
#[utoipa::path(
    post, path = "/v1/stacks/{stack}/pause", tag = "orders", operation_id = "pause", request_body = PauseOrder,
    params(("stack" = String, Path, description = "The stack")),
    responses(
        (status = 202, description = "It is recorded", body = Taken),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn pause(
    State(site): State<Arc<Site>>,
    Extension(caller): Extension<Caller>,
    Extension(asked): Extension<Asked>,
    request: Request,
) -> Answer {
    let order = Order { site, caller, asked, word: "pause" };
    order
        .give(request, |desk, stack, actor, order: PauseOrder| {
            let until = until(&order, desk.now())?;
            desk.pause(stack, until, plain(&order.reason)?, actor).map_err(|error| refused(&error))
        })
        .await
}

fn until(order: &PauseOrder, now: Timestamp) -> Result<Timestamp, Problem> {
    let hint = "give one of `for`, as in `90m`, and `until`, as in `2027-01-01T08:00:00Z`";
    let wrong = || unfit("this doesn't say how long the pause is", hint);
    match (&order.lasts, order.until) {
        (None, Some(until)) => Ok(until),
        (Some(lasts), None) => {
            let lasts: SignedDuration = lasts.parse().map_err(|_| wrong())?;
            now.checked_add(lasts).map_err(|_| wrong())
        }
        (Some(_), Some(_)) | (None, None) => Err(wrong()),
    }
}

/// A reason that stands in logs, messages and on terminals as it is.
fn plain(reason: &str) -> Result<&str, Problem> {
    if reason.len() > REASON || reason.chars().any(char::is_control) {
        return Err(unfit(
            "this is no reason to be read by others",
            "one line of at most 500 bytes is wanted",
        ));
    }
    Ok(reason)
}

/// Ends a pause.
#[utoipa::path(
    post, path = "/v1/stacks/{stack}/resume", tag = "orders", operation_id = "resume", request_body = Nothing,
    params(("stack" = String, Path, description = "The stack")),
    responses(
        (status = 202, description = "It is recorded", body = Taken),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn resume(
    State(site): State<Arc<Site>>,
    Extension(caller): Extension<Caller>,
    Extension(asked): Extension<Asked>,
    request: Request,
) -> Answer {
    let order = Order { site, caller, asked, word: "resume" };
    order
        .give(request, |desk, stack, actor, Nothing {}| {
            desk.resume(stack, actor).map_err(|error| refused(&error))
        })
        .await
}

/// Returns the stack to an earlier commit, and holds it there until the branch brings something else.
#[utoipa::path(
    post, path = "/v1/stacks/{stack}/rollback", tag = "orders", operation_id = "rollback", request_body = RollbackOrder,
    params(("stack" = String, Path, description = "The stack")),
    responses(
        (status = 202, description = "It is recorded", body = Taken),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn rollback(
    State(site): State<Arc<Site>>,
    Extension(caller): Extension<Caller>,
    Extension(asked): Extension<Asked>,
    request: Request,
) -> Answer {
    let order = Order { site, caller, asked, word: "rollback" };
    order
        .give(request, |desk, stack, actor, RollbackOrder { to }| {
            if !is_commit(&to) {
                let hint = "7 to 64 digits of 0 to 9 and a to f are wanted";
                return Err(unfit("`to` is no commit", hint));
            }
            desk.send_back(stack, &to, actor).map_err(|error| refused(&error))
        })
        .await
}

fn is_commit(text: &str) -> bool {
    (7..=64).contains(&text.len()) && text.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f'))
}

/// Agrees to the plan that waits for that.
#[utoipa::path(
    post, path = "/v1/stacks/{stack}/approve", tag = "orders", operation_id = "approve", request_body = ApproveOrder,
    params(("stack" = String, Path, description = "The stack")),
    responses(
        (status = 202, description = "It is recorded", body = Taken),
        (status = 409, description = "Another plan waits, or none", body = Problem, content_type = "application/problem+json"),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn approve(
    State(site): State<Arc<Site>>,
    Extension(caller): Extension<Caller>,
    Extension(asked): Extension<Asked>,
    request: Request,
) -> Answer {
    let order = Order { site, caller, asked, word: "approve" };
    order
        .give(request, |desk, stack, actor, ApproveOrder { plan }| {
            // It is repeated where it doesn't wait.
            let is_id = (1..=64).contains(&plan.len()) && plan.chars().all(|c| c.is_ascii_alphanumeric());
            if !is_id {
                return Err(unfit("`plan` is no plan", "take `waiting_plan` of the stack"));
            }
            desk.approve(stack, &PlanId(plan), actor).map_err(|error| refused(&error))
        })
        .await
}

/// Lets what is quarantined be tried again, and the branch be followed again after a return.
#[utoipa::path(
    post, path = "/v1/stacks/{stack}/release", tag = "orders", operation_id = "release", request_body = Nothing,
    params(("stack" = String, Path, description = "The stack")),
    responses(
        (status = 202, description = "It is recorded", body = Taken),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn release(
    State(site): State<Arc<Site>>,
    Extension(caller): Extension<Caller>,
    Extension(asked): Extension<Asked>,
    request: Request,
) -> Answer {
    let order = Order { site, caller, asked, word: "release" };
    order
        .give(request, |desk, stack, actor, Nothing {}| {
            desk.release(stack, actor).map_err(|error| refused(&error))
        })
        .await
}
