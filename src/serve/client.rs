//! How the command line asks an agent of this host, by the socket in its state folder.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::body::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::UnixStream;
use tokio::time;
use tokio_util::task::AbortOnDropHandle;

use super::SOCKET;
use crate::model::name::StackName;

/// Time for an answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// The longest answer, in bytes.
const LONGEST: usize = 64 * 1024 * 1024;

/// Why an agent gives no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// There is none.
    #[error("no agent runs with the state folder {}", .0.display())]
    NoAgent(PathBuf),
    /// It may not be asked.
    #[error("the agent can't be asked: its socket {} is of another user", .0.display())]
    Forbidden(PathBuf),
    /// It doesn't answer.
    #[error("the agent doesn't answer at {}", .0.display())]
    Silent(PathBuf),
    /// The connection failed.
    #[error("the agent can't be asked at {}", path.display())]
    Broken {
        /// The socket.
        path: PathBuf,
        /// What is wrong.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It refuses.
    #[error("the agent refuses: {0}")]
    Refused(String),
}

/// Wakes the agent of a stack: it looks at once, also where something waits to be tried again.
///
/// # Errors
/// No agent runs there, or it doesn't follow the stack.
pub async fn ring(state: &Path, stack: &StackName) -> Result<(), ClientError> {
    ask(state, Method::POST, &format!("/v1/stacks/{stack}/sync")).await.map(drop)
}

/// What the agent knows of every stack: the values of `/v1/stacks`.
///
/// # Errors
/// No agent runs there, or it doesn't answer.
pub async fn state(state: &Path) -> Result<Vec<Value>, ClientError> {
    let mut answer = ask(state, Method::GET, "/v1/stacks").await?;
    match answer.get_mut("stacks").map(Value::take) {
        Some(Value::Array(stacks)) => Ok(stacks),
        Some(_) | None => Err(ClientError::Refused("it is of another release".to_owned())),
    }
}

async fn ask(state: &Path, method: Method, path: &str) -> Result<Value, ClientError> {
    let socket = state.join(SOCKET);
    let asked = time::timeout(PATIENCE, asked(&socket, method, path)).await;
    asked.unwrap_or_else(|_| Err(ClientError::Silent(socket.clone())))
}

async fn asked(socket: &Path, method: Method, path: &str) -> Result<Value, ClientError> {
    let stream = UnixStream::connect(socket).await.map_err(|source| match source.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            ClientError::NoAgent(socket.parent().unwrap_or(socket).to_owned())
        }
        io::ErrorKind::PermissionDenied => ClientError::Forbidden(socket.to_owned()),
        _ => broken(socket, source),
    })?;
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|source| broken(socket, source))?;
    let _connection = AbortOnDropHandle::new(tokio::spawn(connection));
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(HOST, "localhost")
        .header(CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::new()))
        .map_err(|source| broken(socket, source))?;
    let response = sender.send_request(request).await.map_err(|source| broken(socket, source))?;
    let status = response.status();
    let body = Limited::new(response.into_body(), LONGEST).collect().await;
    let bytes = body.map_err(|source| broken(socket, source))?.to_bytes();
    let answer: Value = serde_json::from_slice(&bytes).map_err(|source| broken(socket, source))?;
    if status.is_success() {
        return Ok(answer);
    }
    let said = |key: &str| answer.get(key).and_then(Value::as_str);
    let (title, detail) = (said("title").unwrap_or("it doesn't say why"), said("detail"));
    Err(ClientError::Refused(detail.map_or_else(|| title.to_owned(), |detail| format!("{title}: {detail}"))))
}

fn broken(socket: &Path, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> ClientError {
    ClientError::Broken { path: socket.to_owned(), source: source.into() }
}
