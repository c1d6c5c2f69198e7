//! Connections to the daemon that are kept for the next call.
//!
//! The client library opens a new one for each call. To look at a hundred containers takes a hundred calls, and on a local
//! socket the connections would cost as much as the answers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bollard::BollardRequest;
use bollard::errors::Error as DockerError;
use futures_util::future::BoxFuture;
use http::{Method, Response};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use hyperlocal::UnixConnector;

use crate::engine::meter::Meter;

/// How long a connection waits for another call. A look at a host makes its calls one right after the other; between two
/// looks nothing is kept, so that no call meets a connection that the daemon has given up meanwhile.
const KEPT: Duration = Duration::from_secs(1);

/// What carries requests to the [`address`] of a socket, and tells `meter` how long that takes.
pub(super) fn of_kept_connections(
    meter: Arc<dyn Meter>,
) -> impl Fn(BollardRequest) -> BoxFuture<'static, Result<Response<Incoming>, DockerError>> + Send + Sync {
    let mut builder = Client::builder(TokioExecutor::new());
    builder.pool_timer(TokioTimer::new()).pool_idle_timeout(KEPT);
    let client = builder.build(UnixConnector);
    move |request: BollardRequest| {
        let (call, meter) = (call(request.method(), request.uri().path()), Arc::clone(&meter));
        let answer = client.request(request);
        Box::pin(async move {
            let began = Instant::now();
            let answer = answer.await;
            let failed = answer.as_ref().map_or(true, |answer| is_failure(answer.status().as_u16()));
            meter.called(call, began.elapsed(), failed);
            Ok(answer?)
        })
    }
}

/// Whether a status says that a call failed. That something is not there, or is so already, are answers.
fn is_failure(status: u16) -> bool {
    status >= 400 && status != 404
}

/// What a request asks for, as one of a few words.
fn call(method: &Method, path: &str) -> &'static str {
    let mut parts = path.split('/').filter(|part| !part.is_empty() && !part.starts_with("v1."));
    let (kind, last) = (parts.next().unwrap_or_default(), parts.next_back().unwrap_or_default());
    let is_inner = parts.next().is_some();
    match (kind, method, last) {
        ("containers", &Method::GET, "json") if !is_inner => "container_list",
        ("containers", &Method::GET, "json") => "container_inspect",
        ("containers", &Method::GET, "logs") => "container_logs",
        ("containers", &Method::POST, "create") => "container_create",
        ("containers", &Method::POST, "start") => "container_start",
        ("containers", &Method::POST, "stop") => "container_stop",
        ("containers", &Method::POST, "kill") => "container_kill",
        ("containers", &Method::POST, "rename") => "container_rename",
        ("containers", &Method::POST, "update") => "container_update",
        ("containers", &Method::POST, "exec") => "exec_create",
        ("containers", &Method::DELETE, _) => "container_remove",
        ("exec", &Method::POST, _) => "exec_start",
        ("exec", _, _) => "exec_inspect",
        ("networks", &Method::GET, "") => "network_list",
        ("networks", &Method::GET, _) => "network_inspect",
        ("networks", &Method::POST, "create") => "network_create",
        ("networks", &Method::POST, "connect") => "network_connect",
        ("networks", &Method::POST, "disconnect") => "network_disconnect",
        ("networks", &Method::DELETE, _) => "network_remove",
        ("volumes", &Method::GET, "") => "volume_list",
        ("volumes", &Method::GET, _) => "volume_inspect",
        ("volumes", &Method::POST, _) => "volume_create",
        ("volumes", &Method::DELETE, _) => "volume_remove",
        ("images", &Method::GET, "json") => "image_inspect",
        ("images", &Method::POST, "create") => "image_pull",
        ("images", &Method::POST, "tag") => "image_tag",
        ("images", &Method::DELETE, _) => "image_remove",
        ("distribution", _, _) => "registry_digest",
        ("info" | "version" | "_ping", _, _) => "server",
        ("events", _, _) => "events",
        _ => "other",
    }
}

/// The path of a socket in the place of a host's name.
pub(super) fn address(socket: &str) -> String {
    format!("unix://{}", hex::encode(socket))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_has_a_name_of_few() {
        for (method, path, expected) in [
            (Method::GET, "/v1.41/containers/json", "container_list"),
            (Method::GET, "/v1.41/containers/3f9c/json", "container_inspect"),
            (Method::GET, "/containers/json/json", "container_inspect"),
            (Method::POST, "/v1.51/containers/create", "container_create"),
            (Method::POST, "/v1.51/containers/a/start", "container_start"),
            (Method::DELETE, "/v1.51/containers/start", "container_remove"),
            (Method::POST, "/v1.51/exec/a/start", "exec_start"),
            (Method::GET, "/v1.51/networks", "network_list"),
            (Method::GET, "/v1.51/networks/a", "network_inspect"),
            (Method::GET, "/v1.51/images/registry.example.com/a/b:1/json", "image_inspect"),
            (Method::POST, "/v1.51/images/create", "image_pull"),
            (Method::GET, "/v1.51/distribution/a/json", "registry_digest"),
            (Method::GET, "/v1.51/info", "server"),
            (Method::GET, "/whatever", "other"),
        ] {
            assert_eq!(call(&method, path), expected, "{method} {path}");
        }
    }

    #[test]
    fn what_is_not_there_is_an_answer() {
        for (status, expected) in [(200, false), (304, false), (404, false), (409, true), (500, true)] {
            assert_eq!(is_failure(status), expected, "{status}");
        }
    }
}
