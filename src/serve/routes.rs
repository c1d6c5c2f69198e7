//! Every address, who may ask there, and who answers: one table. The router is made of it, the guard goes by it, and the
//! tests walk it, so that no address can be there without its rule.

use std::sync::Arc;

use axum::Router;
use axum::handler::Handler;
use axum::http::Method;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{MethodFilter, MethodRouter, get, on};

use super::problem::Problem;
use super::site::Site;
use super::{events, guard, health, hooks, look, openapi, orders, page};

/// Who may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Access {
    /// Everybody.
    Open,
    /// Whoever signs the message.
    Signed,
    /// Who may look; on this host, everybody.
    Read,
    /// Who may ask for changes.
    Operate,
}

/// An address.
#[derive(Debug)]
pub struct Route {
    /// The method; `HEAD` goes with `GET`.
    pub method: Method,
    /// The path, with its variable parts in braces.
    pub path: &'static str,
    /// Who may ask.
    pub access: Access,
    /// The parameters that it takes.
    pub(super) parameters: &'static [&'static str],
    answer: fn() -> MethodRouter<Arc<Site>>,
}

const fn read(path: &'static str, answer: fn() -> MethodRouter<Arc<Site>>) -> Route {
    Route { method: Method::GET, path, access: Access::Read, parameters: &[], answer }
}

const fn open(path: &'static str, answer: fn() -> MethodRouter<Arc<Site>>) -> Route {
    Route { method: Method::GET, path, access: Access::Open, parameters: &[], answer }
}

/// One that takes how many are wanted at most.
const fn list(path: &'static str, answer: fn() -> MethodRouter<Arc<Site>>) -> Route {
    Route { method: Method::GET, path, access: Access::Read, parameters: &["most"], answer }
}

const fn order(path: &'static str, answer: fn() -> MethodRouter<Arc<Site>>) -> Route {
    Route { method: Method::POST, path, access: Access::Operate, parameters: &[], answer }
}

const fn signed(path: &'static str, answer: fn() -> MethodRouter<Arc<Site>>) -> Route {
    Route { method: Method::POST, path, access: Access::Signed, parameters: &[], answer }
}

/// Every address.
pub static ROUTES: [Route; 19] = [
    open("/healthz", || get(health::healthz)),
    open("/readyz", || get(health::readyz)),
    read("/metrics", || get(health::metrics)),
    read("/", || get(page::page)),
    read("/style.css", || get(page::style)),
    read("/v1/openapi.json", || get(openapi::document)),
    read("/v1/stacks", || get(look::stacks)),
    read("/v1/stacks/{stack}", || get(look::stack)),
    read("/v1/stacks/{stack}/plan", || get(look::plan)),
    list("/v1/stacks/{stack}/history", || get(look::history)),
    read("/v1/stacks/{stack}/events", || get(events::events)),
    order("/v1/stacks/{stack}/sync", || post(orders::sync)),
    order("/v1/stacks/{stack}/pause", || post(orders::pause)),
    order("/v1/stacks/{stack}/resume", || post(orders::resume)),
    order("/v1/stacks/{stack}/rollback", || post(orders::rollback)),
    order("/v1/stacks/{stack}/approve", || post(orders::approve)),
    order("/v1/stacks/{stack}/release", || post(orders::release)),
    list("/v1/audit", || get(look::audit)),
    signed("/hooks/{hook}", || post(hooks::hook)),
];

fn post<H: Handler<T, Arc<Site>>, T: 'static>(handler: H) -> MethodRouter<Arc<Site>> {
    on(MethodFilter::POST, handler)
}

/// The router over all of them.
pub(super) fn router(site: &Arc<Site>) -> Router {
    let mut router = Router::new();
    for route in &ROUTES {
        let admit = from_fn_with_state((Arc::clone(site), route), guard::admit);
        let guarded = (route.answer)().route_layer(admit);
        router = router.route(route.path, guarded);
    }
    router
        .fallback(async || Problem::no_such_route())
        .method_not_allowed_fallback(async || Problem::no_such_method())
        .layer(from_fn_with_state(Arc::clone(site), guard::front))
        .layer(from_fn(guard::covered))
        .with_state(Arc::clone(site))
}
