//! Why something isn't done, in the form that RFC 9457 gives to such answers: what, why, what to do. Never repeats what
//! a caller sent, for that may be a secret in the wrong place.

use axum::Json;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

/// Why something isn't done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Problem {
    /// The status of the answer.
    pub status: u16,
    /// A word that stays the same, for programs.
    #[schema(value_type = String)]
    pub code: &'static str,
    /// What is wrong.
    #[schema(value_type = String)]
    pub title: &'static str,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// What to do.
    #[schema(value_type = String)]
    pub hint: &'static str,
}

impl Problem {
    pub(super) fn new(
        status: StatusCode,
        code: &'static str,
        title: &'static str,
        hint: &'static str,
    ) -> Self {
        Self { status: status.as_u16(), code, title, detail: None, hint }
    }

    /// Adds why.
    pub(super) fn because(self, detail: impl Into<String>) -> Self {
        Self { detail: Some(detail.into()), ..self }
    }

    pub(super) fn unauthorized() -> Self {
        let hint = "send `Authorization: Bearer TOKEN` with a token of agent.yaml that has not expired";
        Self::new(StatusCode::UNAUTHORIZED, "no-token", "this needs a valid token", hint)
    }

    pub(super) fn forbidden() -> Self {
        let hint = "use a token with the role `operate`";
        Self::new(StatusCode::FORBIDDEN, "role", "this token may only look", hint)
    }

    pub(super) fn scoped() -> Self {
        let hint = "use a token without `stacks`";
        Self::new(
            StatusCode::FORBIDDEN,
            "scope",
            "this tells of every stack, and the token is for some",
            hint,
        )
    }

    pub(super) fn from_a_page() -> Self {
        let hint = "send it from a program, without the headers `Origin` and `Sec-Fetch-Site`";
        Self::new(StatusCode::FORBIDDEN, "from-a-page", "pages in browsers may change nothing", hint)
    }

    pub(super) fn no_such_route() -> Self {
        let hint = "`GET /v1/openapi.json` describes every address";
        Self::new(StatusCode::NOT_FOUND, "no-such-address", "there is nothing at this address", hint)
    }

    pub(super) fn no_such_method() -> Self {
        let hint = "`GET /v1/openapi.json` describes every address";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "no-such-method", "this address takes another method", hint)
    }

    pub(super) fn no_such_stack() -> Self {
        let hint = "`GET /v1/stacks` names the stacks that you may see";
        Self::new(StatusCode::NOT_FOUND, "no-such-stack", "no such stack is followed here", hint)
    }

    pub(super) fn bad_address() -> Self {
        let hint = "write the address as `GET /v1/openapi.json` has it, with nothing encoded or doubled";
        Self::new(StatusCode::BAD_REQUEST, "bad-address", "the address is not written plainly", hint)
    }

    pub(super) fn bad_query() -> Self {
        let hint = "leave it out; a token belongs into the header `Authorization: Bearer TOKEN`, and this one should be \
                    changed if it was one";
        let title = "this address takes no such parameter";
        Self::new(StatusCode::BAD_REQUEST, "bad-parameter", title, hint)
    }

    pub(super) fn bad_body(detail: impl Into<String>) -> Self {
        let hint = "`GET /v1/openapi.json` describes what is wanted";
        Self::new(StatusCode::BAD_REQUEST, "bad-body", "the body can't be read", hint).because(detail)
    }

    pub(super) fn too_large() -> Self {
        let hint = "send less";
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", "the body is longer than is taken here", hint)
    }

    pub(super) fn too_slow() -> Self {
        let hint = "send it at once";
        Self::new(StatusCode::REQUEST_TIMEOUT, "too-slow", "the body took too long", hint)
    }

    pub(super) fn too_often() -> Self {
        let hint = "wait a second";
        Self::new(StatusCode::TOO_MANY_REQUESTS, "too-often", "there are too many requests from there", hint)
    }

    pub(super) fn busy() -> Self {
        let hint = "wait a second";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", "too much of this is under way", hint)
    }

    pub(super) fn broken(detail: impl Into<String>) -> Self {
        let hint = "look at the log of the agent";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "broken", "the agent can't do this now", hint)
            .because(detail)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        const FORM: HeaderValue = HeaderValue::from_static("application/problem+json");
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let more: Option<(HeaderName, &'static str)> = match status {
            StatusCode::UNAUTHORIZED => Some((header::WWW_AUTHENTICATE, "Bearer")),
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                Some((header::RETRY_AFTER, "1"))
            }
            _ => None,
        };
        let mut response = (status, Json(self)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, FORM);
        if let Some((name, value)) = more {
            headers.insert(name, HeaderValue::from_static(value));
        }
        response
    }
}
