//! What every request passes before anything is done for it. Whatever isn't let through here is refused.

use std::sync::Arc;

use axum::extract::{Extension, RawPathParams, Request, State};
use axum::http::uri::Uri;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::time::Instant;

use super::caller::{Caller, Origin, identify};
use super::problem::Problem;
use super::routes::{Access, Route};
use super::site::Site;
use crate::agent::desk::Stand;
use crate::model::name::StackName;

/// The stack that is asked for, which the caller may see.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) stack: StackName,
    pub(super) stand: Stand,
}

/// The headers of every answer. A browser may do nothing with one but show it.
const COVER: [(HeaderName, &str); 5] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
];

/// Adds to every answer what browsers need to know.
pub(super) async fn covered(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    for (name, value) in COVER {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// The first check, for every request whatever it asks.
pub(super) async fn front(
    State(site): State<Arc<Site>>,
    Extension(origin): Extension<Origin>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    if let Origin::Network { peer, .. } = origin
        && !site.peers.admit(peer, Instant::now())
    {
        return Err(Problem::too_often());
    }
    if !is_plain(request.uri()) {
        return Err(Problem::bad_address());
    }
    Ok(next.run(request).await)
}

/// Whether there is one way only to read an address: nothing encoded, doubled or climbing, and no other host in it.
fn is_plain(uri: &Uri) -> bool {
    let path = uri.path();
    let is_known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '-' | '_' | '.');
    uri.authority().is_none()
        && path.starts_with('/')
        && path.chars().all(is_known)
        && !path.contains("//")
        && path.split('/').all(|part| part != "." && part != "..")
}

/// Lets through who may ask for what this address gives.
pub(super) async fn admit(
    State((site, route)): State<(Arc<Site>, &'static Route)>,
    Extension(origin): Extension<Origin>,
    parameters: RawPathParams,
    mut request: Request,
    next: Next,
) -> Response {
    let stack = parameters.iter().find(|(name, _)| *name == "stack").map(|(_, value)| value.to_owned());
    let (caller, found) = judge(&site, origin, route, stack.as_deref(), &request);
    match found {
        Ok(asked) => {
            request.extensions_mut().insert(caller);
            if let Some(asked) = asked {
                request.extensions_mut().insert(asked);
            }
            next.run(request).await
        }
        Err(problem) => {
            if route.access == Access::Operate {
                let stack = stack.and_then(|stack| stack.parse().ok());
                site.note_refused(stack.as_ref(), &caller, order_of(route), &problem).await;
            }
            problem.into_response()
        }
    }
}

/// The word of an order: the last part of its path.
pub(super) fn order_of(route: &Route) -> &'static str {
    route.path.rsplit('/').next().unwrap_or_default()
}

/// Who asks, and whether they may. The order of the checks is such that no answer tells more than the one before.
fn judge(
    site: &Site,
    origin: Origin,
    route: &Route,
    stack: Option<&str>,
    request: &Request,
) -> (Caller, Result<Option<Asked>, Problem>) {
    let refused = |problem| (Caller::Nobody, Err(problem));
    if !takes(route, request.uri().query()) {
        return refused(Problem::bad_query());
    }
    match route.access {
        Access::Open | Access::Signed => return (Caller::Nobody, Ok(None)),
        Access::Operate if is_from_a_page(request.headers()) => return refused(Problem::from_a_page()),
        Access::Read | Access::Operate => {}
    }
    let caller = match identify(origin, request.headers(), &site.rules().tokens, site.desk().now()) {
        Ok(caller) => caller,
        Err(problem) => return refused(problem),
    };
    let may = if route.access == Access::Operate { caller.may_operate() } else { caller.may_read() };
    if !may {
        let problem = match caller {
            Caller::Nobody | Caller::Local => Problem::unauthorized(),
            Caller::Token { .. } | Caller::User(_) => Problem::forbidden(),
        };
        return (caller, Err(problem));
    }
    let asked = stack.map(|stack| asked(site, &caller, stack)).transpose();
    (caller, asked)
}

/// The stack of this name, if there is one that the caller may see.
fn asked(site: &Site, caller: &Caller, stack: &str) -> Result<Asked, Problem> {
    let stack: StackName = stack.parse().map_err(|_| Problem::no_such_stack())?;
    let stand = site.desk().stand(&stack).filter(|_| caller.sees(stack.as_str()));
    stand.map(|stand| Asked { stack, stand }).ok_or_else(Problem::no_such_stack)
}

/// Whether an address takes these parameters, each once and plainly written.
fn takes(route: &Route, query: Option<&str>) -> bool {
    let Some(query) = query else { return true };
    let mut left = route.parameters.to_vec();
    query.split('&').all(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let known = left.iter().position(|known| *known == name);
        known.map(|at| left.swap_remove(at)).is_some() && value.chars().all(|c| c.is_ascii_alphanumeric())
    })
}

/// The value of a parameter that is a number up to `most`; `default` where it isn't given.
pub(super) fn number(uri: &Uri, name: &str, default: u32, most: u32) -> Result<u32, Problem> {
    let pairs = uri.query().into_iter().flat_map(|query| query.split('&'));
    let mut values = pairs.filter_map(|pair| pair.split_once('=')).filter(|(key, _)| *key == name);
    let Some((_, value)) = values.next() else { return Ok(default) };
    let number = value.parse().ok().filter(|number| (1..=most).contains(number));
    number.ok_or_else(|| Problem::bad_query().because(format!("a number from 1 to {most} is wanted")))
}

/// Whether a browser sends this for a page. No page has anything to change here, whatever it knows.
fn is_from_a_page(headers: &HeaderMap) -> bool {
    headers.contains_key(header::ORIGIN) || headers.contains_key("sec-fetch-site")
}

#[cfg(test)]
mod tests {
    use super::super::routes::ROUTES;
    use super::*;

    #[test]
    fn an_address_is_read_in_one_way_or_not_at_all() {
        for plain in ["/", "/v1/stacks/shop-prod/plan", "/v1/openapi.json", "/v1/stacks?most=1"] {
            assert!(is_plain(&plain.parse().unwrap()), "{plain}");
        }
        for wrong in [
            "//v1/stacks",
            "/v1//stacks",
            "/v1/stacks/../audit",
            "/v1/./stacks",
            "/v1/stacks/%2e%2e/audit",
            "/v1/stacks/shop%2dprod",
            "/v1/stacks;x",
            "/v1/stacks/..",
            "http://elsewhere/v1/stacks",
            "*",
        ] {
            assert!(!is_plain(&wrong.parse().unwrap()), "{wrong}");
        }
    }

    #[test]
    fn parameters_are_known_and_there_once() {
        let of = |path: &str| ROUTES.iter().find(|route| route.path == path).unwrap();
        let (history, list) = (of("/v1/stacks/{stack}/history"), of("/v1/stacks"));
        assert!(takes(history, None) && takes(history, Some("most=5")) && takes(list, None));
        for wrong in ["most=5&most=6", "token=ek_x", "most=5&access_token=x", "", "&", "most=%35", "most=-1"]
        {
            assert!(!takes(history, Some(wrong)), "{wrong}");
        }
        assert!(!takes(list, Some("most=5")));
        let found = |query: &str| number(&format!("/?{query}").parse().unwrap(), "most", 20, 500);
        assert_eq!((found("most=5"), found("")), (Ok(5), Ok(20)));
        assert!(found("most=0").is_err() && found("most=501").is_err() && found("most=x").is_err());
    }
}
