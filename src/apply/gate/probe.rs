//! Asks containers over the network: HTTP requests and connections for gates.
//!
//! What comes back is hostile: it is bounded in size and time, and no redirect is followed here.

use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time;

use crate::model::desired::Method;

/// Most bytes of an answer that are read.
pub const BODY_BYTES_MAX: usize = 64 << 10;

/// Asks containers over the network. Errors are words for people.
pub trait Prober: Send + Sync {
    /// Makes one request to `at` and reads the whole answer, `within` at most.
    fn http<'a>(
        &'a self,
        at: SocketAddr,
        request: &'a HttpRequest,
        within: Duration,
    ) -> BoxFuture<'a, Result<HttpAnswer, String>>;

    /// Opens a connection to `at` and closes it, `within` at most.
    fn tcp(&self, at: SocketAddr, within: Duration) -> BoxFuture<'_, Result<(), String>>;
}

/// An HTTP request. It may bear passwords, so `Debug` shows little of it.
#[derive(Clone, PartialEq, Eq)]
pub struct HttpRequest {
    /// Its method.
    pub method: Method,
    /// Path and query.
    pub path: String,
    /// Its headers by their names in lower case, `host` among them.
    pub headers: BTreeMap<String, String>,
}

impl fmt::Debug for HttpRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpRequest").field("method", &self.method).finish_non_exhaustive()
    }
}

/// The answer to an HTTP request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpAnswer {
    /// Its status.
    pub status: u16,
    /// Its headers, names in lower case; a value that is no text is left out.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: Body,
}

impl HttpAnswer {
    /// The values of a header, whose name is in lower case.
    pub fn header<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.headers.iter().filter(move |(found, _)| found == name).map(|(_, value)| value.as_str())
    }
}

/// The body of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// All of it.
    Whole(Vec<u8>),
    /// It has more than [`BODY_BYTES_MAX`].
    TooLong,
}

/// Asks over this host's network.
#[derive(Debug, Clone, Copy)]
pub struct NetworkProber;

impl Prober for NetworkProber {
    fn http<'a>(
        &'a self,
        at: SocketAddr,
        request: &'a HttpRequest,
        within: Duration,
    ) -> BoxFuture<'a, Result<HttpAnswer, String>> {
        let asked = async move {
            time::timeout(within, ask(at, request)).await.unwrap_or_else(|_| Err(too_slow(within)))
        };
        asked.boxed()
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

/// What is said where nothing came in time.
pub(super) fn too_slow(within: Duration) -> String {
    format!("no answer within {} ms", within.as_millis())
}

async fn ask(at: SocketAddr, wanted: &HttpRequest) -> Result<HttpAnswer, String> {
    let stream = TcpStream::connect(at).await.map_err(words)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(words)?;
    let mut request = hyper::Request::builder().method(wanted.method.word()).uri(wanted.path.as_str());
    for (name, value) in &wanted.headers {
        request = request.header(name.as_str(), value.as_str());
    }
    let request = request.header(hyper::header::CONNECTION, "close").body(Empty::<Bytes>::new());
    let request = request.map_err(words)?;
    let exchange = async {
        let response = sender.send_request(request).await.map_err(words)?;
        let status = response.status().as_u16();
        let text = |value: &hyper::header::HeaderValue| value.to_str().ok().map(str::to_owned);
        let headers = response.headers().iter();
        let headers =
            headers.filter_map(|(name, value)| Some((name.as_str().to_owned(), text(value)?))).collect();
        Ok(HttpAnswer { status, headers, body: body(response.into_body()).await? })
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

async fn body(incoming: Incoming) -> Result<Body, String> {
    match Limited::new(incoming, BODY_BYTES_MAX).collect().await {
        Ok(body) => Ok(Body::Whole(body.to_bytes().to_vec())),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => Ok(Body::TooLong),
        Err(error) => Err(words(error)),
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

    fn request(path: &str) -> HttpRequest {
        let headers = [("host", "localhost"), ("x-token", "abc")];
        HttpRequest {
            method: Method::Get,
            path: path.to_owned(),
            headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        }
    }

    /// Answers one request with `reply` and closes. The request as it came is sent to the other end.
    async fn serve(reply: Vec<u8>) -> (SocketAddr, tokio::sync::oneshot::Receiver<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let (tell, told) = tokio::sync::oneshot::channel();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 1024];
            let read = stream.read(&mut request).await.unwrap_or_default();
            let _ = tell.send(String::from_utf8_lossy(&request[..read]).into_owned());
            let _ = stream.write_all(&reply).await;
        });
        (at, told)
    }

    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn an_answer_is_read_whole() {
        let (at, told) = serve(b"HTTP/1.1 200 OK\r\nX-Role: a\r\ncontent-length: 2\r\n\r\nhi".to_vec()).await;
        let answer = NetworkProber.http(at, &request("/health?x=1"), LONG).await.unwrap();
        assert_eq!((answer.status, &answer.body), (200, &Body::Whole(b"hi".to_vec())));
        assert_eq!(answer.header("x-role").collect::<Vec<_>>(), ["a"]);
        let asked = told.await.unwrap().to_lowercase();
        assert!(asked.starts_with("get /health?x=1 http/1.1\r\n"), "{asked}");
        assert!(
            asked.contains("\r\nhost: localhost\r\n") && asked.contains("\r\nx-token: abc\r\n"),
            "{asked}"
        );
        let (at, _told) =
            serve(b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\n\r\n".to_vec()).await;
        assert_eq!(NetworkProber.http(at, &request("/"), LONG).await.unwrap().status, 302);
        let (at, _told) = serve(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n".to_vec()).await;
        let head = HttpRequest { method: Method::Head, ..request("/") };
        assert_eq!(NetworkProber.http(at, &head, LONG).await.unwrap().body, Body::Whole(Vec::new()));
    }

    #[tokio::test]
    async fn too_long_an_answer_is_not_read_to_its_end() {
        let mut reply = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
        reply.extend(vec![b'x'; BODY_BYTES_MAX + 1]);
        let (at, _told) = serve(reply).await;
        assert_eq!(NetworkProber.http(at, &request("/"), LONG).await.unwrap().body, Body::TooLong);
    }

    #[tokio::test]
    async fn a_silent_server_is_not_waited_for_for_ever() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let within = Duration::from_millis(20);
        let silence = NetworkProber.http(at, &request("/"), within).await;
        assert_eq!(silence, Err("no answer within 20 ms".into()));
        assert_eq!(NetworkProber.tcp(at, LONG).await, Ok(()));
        drop(listener);
        assert!(NetworkProber.tcp(at, LONG).await.is_err());
    }
}
