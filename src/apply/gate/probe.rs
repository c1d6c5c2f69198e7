//! Asks containers over the network: HTTP requests and connections for gates.
//!
//! What comes back is hostile: it is bounded in size and time, and no redirect is followed.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time;

use crate::model::desired::HttpGate;

/// Most bytes of an answer that are read.
pub const BODY_BYTES_MAX: usize = 64 << 10;

/// Asks containers over the network. Errors are words for people.
pub trait Prober: Send + Sync {
    /// Makes one GET request to `at` and reads the whole answer, `within` at most.
    fn http<'a>(
        &'a self,
        at: SocketAddr,
        path: &'a str,
        within: Duration,
    ) -> BoxFuture<'a, Result<HttpAnswer, String>>;

    /// Opens a connection to `at` and closes it, `within` at most.
    fn tcp(&self, at: SocketAddr, within: Duration) -> BoxFuture<'_, Result<(), String>>;
}

/// The answer to an HTTP request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpAnswer {
    /// Its status.
    pub status: u16,
    /// Its body, at most [`BODY_BYTES_MAX`].
    pub body: Vec<u8>,
}

/// Whether `answer` is what `gate` wants; else what is wrong with it.
///
/// A field of the JSON body is compared as text: a string by its characters, all else in its compact form.
pub fn check_answer(gate: &HttpGate, answer: &HttpAnswer) -> Result<(), String> {
    if answer.status != gate.status {
        return Err(format!("status {}, not {}", answer.status, gate.status));
    }
    if gate.json.is_empty() {
        return Ok(());
    }
    let fields: BTreeMap<String, serde_json::Value> =
        serde_json::from_slice(&answer.body).map_err(|_| "the body is no JSON object".to_owned())?;
    for (name, wanted) in &gate.json {
        let found = match fields.get(name) {
            None => return Err(format!("the body has no field `{name}`")),
            Some(serde_json::Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        };
        if found != *wanted {
            let found: String = found.chars().filter(|c| !c.is_control()).take(FIELD_CHARS_SHOWN).collect();
            return Err(format!("`{name}` is `{found}`, not `{wanted}`"));
        }
    }
    Ok(())
}

/// Most characters of an answer's field that an error repeats.
const FIELD_CHARS_SHOWN: usize = 80;

/// Asks over this host's network.
#[derive(Debug, Clone, Copy)]
pub struct NetworkProber;

impl Prober for NetworkProber {
    fn http<'a>(
        &'a self,
        at: SocketAddr,
        path: &'a str,
        within: Duration,
    ) -> BoxFuture<'a, Result<HttpAnswer, String>> {
        async move { time::timeout(within, get(at, path)).await.unwrap_or_else(|_| Err(too_slow(within))) }
            .boxed()
    }

    fn tcp(&self, at: SocketAddr, within: Duration) -> BoxFuture<'_, Result<(), String>> {
        async move {
            match time::timeout(within, TcpStream::connect(at)).await {
                Ok(Ok(_)) => Ok(()),
                Ok(Err(error)) => Err(error.to_string()),
                Err(_) => Err(too_slow(within)),
            }
        }
        .boxed()
    }
}

fn too_slow(within: Duration) -> String {
    format!("no answer within {} ms", within.as_millis())
}

async fn get(at: SocketAddr, path: &str) -> Result<HttpAnswer, String> {
    let stream = TcpStream::connect(at).await.map_err(words)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(words)?;
    let request = hyper::Request::builder()
        .uri(path)
        .header(hyper::header::HOST, at.to_string())
        .header(hyper::header::USER_AGENT, "evenkeel")
        .header(hyper::header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(words)?;
    let exchange = async {
        let response = sender.send_request(request).await.map_err(words)?;
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), BODY_BYTES_MAX).collect().await.map_err(words)?;
        Ok(HttpAnswer { status, body: body.to_bytes().to_vec() })
    };
    // Both in this task: when the caller gives up, the connection is closed with everything else.
    let mut exchange = std::pin::pin!(exchange);
    tokio::select! {
        biased;
        answer = &mut exchange => answer,
        ended = connection => {
            ended.map_err(words)?;
            // The connection may close as soon as the last byte has come.
            exchange.await
        }
    }
}

fn words(error: impl Display) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    fn gate(json: &[(&str, &str)]) -> HttpGate {
        let json = json.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        HttpGate { port: 80, path: "/".into(), status: 200, json, within: None }
    }

    fn answer(status: u16, body: &str) -> HttpAnswer {
        HttpAnswer { status, body: body.as_bytes().to_vec() }
    }

    #[test]
    fn fields_are_compared_as_text() {
        let gate = gate(&[("status", "healthy"), ("ready", "true"), ("shards", "[1,2]")]);
        let good = answer(200, r#"{"status": "healthy", "ready": true, "shards": [1, 2], "more": null}"#);
        assert_eq!(check_answer(&gate, &good), Ok(()));
        let bad = answer(200, r#"{"status": "starting"}"#);
        assert_eq!(check_answer(&gate, &bad), Err("the body has no field `ready`".into()));
        let bad = answer(200, r#"{"status": "starting", "ready": true, "shards": [1,2]}"#);
        assert_eq!(check_answer(&gate, &bad), Err("`status` is `starting`, not `healthy`".into()));
        assert_eq!(check_answer(&gate, &answer(200, "[]")), Err("the body is no JSON object".into()));
        assert_eq!(check_answer(&gate, &answer(503, "")), Err("status 503, not 200".into()));
    }

    /// Answers one request with `reply` and closes.
    async fn serve(reply: Vec<u8>) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 1024];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(&reply).await;
        });
        at
    }

    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn an_answer_is_read_whole() {
        let at = serve(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi".to_vec()).await;
        assert_eq!(NetworkProber.http(at, "/health?x=1", LONG).await, Ok(answer(200, "hi")));
        let at = serve(b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\n\r\n".to_vec()).await;
        assert_eq!(NetworkProber.http(at, "/", LONG).await.unwrap().status, 302);
    }

    #[tokio::test]
    async fn too_long_an_answer_is_refused() {
        let mut reply = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
        reply.extend(vec![b'x'; BODY_BYTES_MAX + 1]);
        assert!(NetworkProber.http(serve(reply).await, "/", LONG).await.is_err());
    }

    #[tokio::test]
    async fn a_silent_server_is_not_waited_for_for_ever() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let within = Duration::from_millis(20);
        assert_eq!(NetworkProber.http(at, "/", within).await, Err("no answer within 20 ms".into()));
        assert_eq!(NetworkProber.tcp(at, LONG).await, Ok(()));
        drop(listener);
        assert!(NetworkProber.tcp(at, LONG).await.is_err());
    }
}
