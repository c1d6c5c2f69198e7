//! What monitors ask: whether the agent lives, whether it has begun, and its figures. The first two are open to everybody
//! and so tell nothing else.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Extension, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::caller::Caller;
use super::problem::Problem;
use super::site::Site;
use crate::agent::status::{Operation, StackState, Statement, Sync};

/// A look may take so long, however short the interval is.
const PATIENCE: Duration = Duration::from_secs(30);

/// An answer that everything is as it should be.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Fine {
    /// `ok`
    #[schema(value_type = String)]
    status: &'static str,
}

const FINE: Json<Fine> = Json(Fine { status: "ok" });

/// Whether the agent of every stack has looked within twice its interval.
#[utoipa::path(
    get, path = "/healthz", tag = "agent", operation_id = "healthz", security(()),
    responses(
        (status = 200, description = "It has, or it is deploying", body = Fine),
        (status = 503, description = "One hasn't", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn healthz(State(site): State<Arc<Site>>) -> Result<Json<Fine>, Problem> {
    let (now, patience) = (site.desk().now(), (site.rules().interval * 2).max(PATIENCE));
    let stands = site.desk().stands();
    if stands.iter().all(|stand| is_alive(&stand.board.state(), now, patience)) {
        return Ok(FINE);
    }
    let hint = "restart the agent; nothing that runs is touched by that";
    Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "stuck", "the agent has not looked for too long", hint))
}

fn is_alive(state: &StackState, now: Timestamp, patience: Duration) -> bool {
    match state.operation.state {
        // These take as long as they take, and have deadlines of their own.
        Operation::Applying { .. } | Operation::RollingBack { .. } => true,
        Operation::Idle | Operation::Looking | Operation::Watching { .. } | Operation::Waiting { .. } => {
            let since = state.looked.unwrap_or(state.operation.since);
            now.duration_since(since).unsigned_abs() <= patience
        }
    }
}

/// Whether every stack has been compared with the host once.
#[utoipa::path(
    get, path = "/readyz", tag = "agent", operation_id = "readyz", security(()),
    responses(
        (status = 200, description = "It has", body = Fine),
        (status = 503, description = "Not yet", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn readyz(State(site): State<Arc<Site>>) -> Result<Json<Fine>, Problem> {
    let stands = site.desk().stands();
    let is_compared = |state: &StackState| {
        state.sync.state != Sync::Unknown || state.conditions.contains_key(&Statement::Healthy)
    };
    if !stands.is_empty() && stands.iter().all(|stand| is_compared(&stand.board.state())) {
        return Ok(FINE);
    }
    let hint = "wait, or ask for `/v1/stacks` what is missing";
    Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "not-ready", "not every stack was compared yet", hint))
}

/// The figures of the agent, for Prometheus.
#[utoipa::path(
    get, path = "/metrics", tag = "agent", operation_id = "metrics",
    responses(
        (status = 200, description = "OpenMetrics text", body = String, content_type = "application/openmetrics-text"),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn metrics(
    State(site): State<Arc<Site>>,
    Extension(caller): Extension<Caller>,
) -> Result<Response, Problem> {
    const FORM: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    if !caller.sees_all() {
        return Err(Problem::scoped());
    }
    Ok(([(header::CONTENT_TYPE, FORM)], (site.metrics)()).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::status::Axis;

    #[test]
    fn who_deploys_or_looked_lately_is_alive() {
        let at = |second: i64| Timestamp::from_second(second).unwrap();
        let state = |operation: Operation, looked| StackState {
            operation: Axis { state: operation, reason: None, since: at(0) },
            looked,
            ..StackState::default()
        };
        let applying = Operation::Applying { deploy: "d".to_owned(), done: 0, steps: 1, what: None };
        for (state, now, alive) in [
            (state(Operation::Idle, Some(at(100))), 160, true),
            (state(Operation::Idle, Some(at(100))), 161, false),
            (state(Operation::Looking, Some(at(100))), 161, false),
            (state(applying, Some(at(100))), 9999, true),
            // One that was never heard of has its time from the start on.
            (state(Operation::Idle, None), 60, true),
            (state(Operation::Idle, None), 61, false),
        ] {
            let patience = Duration::from_secs(60);
            assert_eq!(is_alive(&state, at(now), patience), alive, "{now} {state:?}");
        }
    }
}
