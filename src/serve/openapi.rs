//! The description of the API, made from the code that answers.

use axum::Json;
use serde_json::Value;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};

use super::{events, health, hooks, look, orders, page};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Evenkeel",
        description = "What the agent of a host knows, and what it may be asked for. Errors are `application/problem+json`.",
    ),
    paths(
        health::healthz, health::readyz, health::metrics, page::page, page::style, document,
        look::stacks, look::stack, look::plan, look::history, look::audit, events::events,
        orders::sync, orders::pause, orders::resume, orders::rollback, orders::approve, orders::release,
        hooks::hook,
    ),
    tags(
        (name = "stacks", description = "What is known of stacks: a token with the role `read`; on the agent's host, none"),
        (name = "orders", description = "What is to be done: a token with the role `operate`, or the agent's socket"),
        (name = "agent", description = "The agent itself"),
        (name = "webhooks", description = "Forges tell that there is something new: a signature"),
    ),
    security(("token" = [])),
    modifiers(&Bearer),
)]
struct Described;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, description: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("Made by `evenkeel token new`"))
            .build();
        let components = description.components.get_or_insert_default();
        components.add_security_scheme("token", SecurityScheme::Http(scheme));
    }
}

/// The `OpenAPI` description of every address, as JSON.
pub fn description() -> Value {
    serde_json::to_value(Described::openapi()).unwrap_or(Value::Null)
}

/// This description.
#[utoipa::path(
    get, path = "/v1/openapi.json", tag = "agent", operation_id = "openapi",
    responses((status = 200, description = "The description", body = Object)),
)]
pub(super) async fn document() -> Json<Value> {
    Json(description())
}
