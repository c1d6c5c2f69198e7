//! Connections to the daemon that are kept for the next call.
//!
//! The client library opens a new one for each call. To look at a hundred containers takes a hundred calls, and on a local
//! socket the connections would cost as much as the answers.

use std::time::Duration;

use bollard::BollardRequest;
use bollard::errors::Error as DockerError;
use futures_util::future::BoxFuture;
use http::Response;
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use hyperlocal::UnixConnector;

/// How long a connection waits for another call. A look at a host makes its calls one right after the other; between two
/// looks nothing is kept, so that no call meets a connection that the daemon has given up meanwhile.
const KEPT: Duration = Duration::from_secs(1);

/// What carries requests to the [`address`] of a socket.
pub(super) fn of_kept_connections()
-> impl Fn(BollardRequest) -> BoxFuture<'static, Result<Response<Incoming>, DockerError>> + Send + Sync {
    let mut builder = Client::builder(TokioExecutor::new());
    builder.pool_timer(TokioTimer::new()).pool_idle_timeout(KEPT);
    let client = builder.build(UnixConnector);
    move |request: BollardRequest| {
        let answer = client.request(request);
        Box::pin(async move { Ok(answer.await?) })
    }
}

/// The path of a socket in the place of a host's name.
pub(super) fn address(socket: &str) -> String {
    format!("unix://{}", hex::encode(socket))
}
