//! A small forge: Git's own `http-backend` behind HTTP, with a password, and with TLS if asked for. It can misbehave.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, Response, StatusCode, Uri, header};
use axum::serve::Listener;
use base64::Engine;
use evenkeel::source::remote::Access;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::task::AbortOnDropHandle;

/// How the forge behaves.
#[derive(Debug, Clone, Default)]
pub enum Manner {
    /// As it should.
    #[default]
    Good,
    /// It sends to another address.
    Redirects(String),
    /// It ends the connection after so many bytes of objects.
    Cuts(usize),
    /// It sends objects piece by piece, with a moment between.
    Slow(Duration),
    /// It takes a request and never answers.
    Hangs,
    /// It answers with this.
    Says(StatusCode, &'static str, &'static str),
}

#[derive(Default)]
struct Inner {
    root: PathBuf,
    password: Mutex<Option<String>>,
    manner: Mutex<Manner>,
    requests: AtomicUsize,
    /// What was sent as a credential.
    heard: Mutex<Vec<String>>,
}

pub struct Forge {
    inner: Arc<Inner>,
    /// `http://127.0.0.1:1234`
    pub base: String,
    /// The authority of its certificate, in PEM.
    pub ca: Option<String>,
    _server: AbortOnDropHandle<()>,
}

impl Forge {
    /// Serves the repositories in a folder.
    pub async fn start(root: impl Into<PathBuf>) -> Self {
        let (listener, inner) = (TcpListener::bind("127.0.0.1:0").await.unwrap(), inner(root));
        let base = format!("http://{}", listener.local_addr().unwrap());
        let server = tokio::spawn(serve(listener, Arc::clone(&inner)));
        Self { inner, base, ca: None, _server: AbortOnDropHandle::new(server) }
    }

    /// The same with TLS, and a certificate for `127.0.0.1` of an authority of its own.
    pub async fn start_tls(root: impl Into<PathBuf>) -> Self {
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let own = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        let certificate = params.signed_by(&own, &ca).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(own.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("https://{}", listener.local_addr().unwrap());
        let (listener, inner) = (Tls(listener, TlsAcceptor::from(Arc::new(config))), inner(root));
        let server = tokio::spawn(serve(listener, Arc::clone(&inner)));
        Self { inner, base, ca: Some(ca.pem()), _server: AbortOnDropHandle::new(server) }
    }

    /// The address of the repository.
    pub fn shop(&self) -> String {
        format!("{}/shop.git", self.base)
    }

    /// Lets in only who knows this password.
    pub fn set_password(&self, password: &str) {
        *self.inner.password.lock().unwrap() = Some(password.to_owned());
    }

    pub fn behave(&self, manner: Manner) {
        *self.inner.manner.lock().unwrap() = manner;
    }

    /// How many requests came since the last time that this was asked.
    pub fn requests(&self) -> usize {
        self.inner.requests.swap(0, Ordering::Relaxed)
    }

    /// The same, which goes on counting.
    pub fn seen(&self) -> usize {
        self.inner.requests.load(Ordering::Relaxed)
    }

    /// The credentials that were sent.
    pub fn heard(&self) -> Vec<String> {
        self.inner.heard.lock().unwrap().clone()
    }
}

pub fn basic(password: &str) -> Access {
    Access::Basic { username: "git".to_owned(), password: password.to_owned() }
}

fn inner(root: impl Into<PathBuf>) -> Arc<Inner> {
    Arc::new(Inner { root: root.into(), ..Inner::default() })
}

async fn serve<L: Listener<Addr = std::net::SocketAddr>>(listener: L, inner: Arc<Inner>) {
    axum::serve(listener, Router::new().fallback(answer).with_state(inner)).await.unwrap();
}

async fn answer(
    State(inner): State<Arc<Inner>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    inner.requests.fetch_add(1, Ordering::Relaxed);
    let sent = headers.get(header::AUTHORIZATION).map(|sent| sent.to_str().unwrap().to_owned());
    inner.heard.lock().unwrap().extend(sent.clone());
    let manner = inner.manner.lock().unwrap().clone();
    match &manner {
        Manner::Redirects(to) => {
            let to = format!("{to}{}", uri.path_and_query().unwrap());
            return Response::builder().status(302).header(header::LOCATION, to).body(Body::empty()).unwrap();
        }
        Manner::Hangs => return std::future::pending().await,
        Manner::Says(status, kind, text) => {
            let answer = Response::builder().status(*status).header(header::CONTENT_TYPE, *kind);
            return answer.body(Body::from(*text)).unwrap();
        }
        Manner::Good | Manner::Cuts(_) | Manner::Slow(_) => {}
    }
    let wanted = inner.password.lock().unwrap().clone();
    let wanted = wanted.map(|password| {
        format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("git:{password}")))
    });
    if wanted.is_some() && wanted != sent {
        return Response::builder().status(401).body(Body::from("no")).unwrap();
    }
    let answer = backend(&inner, (&method, &uri, &headers), &body).await;
    match manner {
        Manner::Cuts(after) if method == Method::POST => cut(answer, after),
        Manner::Slow(moment) if method == Method::POST => slow(answer, moment),
        _ => answer,
    }
}

/// Asks `git http-backend`, as a web server does.
async fn backend(
    inner: &Inner,
    (method, uri, headers): (&Method, &Uri, &HeaderMap),
    body: &Bytes,
) -> Response<Body> {
    let kind = headers.get(header::CONTENT_TYPE).map_or("", |kind| kind.to_str().unwrap());
    let mut program = Command::new("git")
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", &inner.root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("REQUEST_METHOD", method.as_str())
        .env("PATH_INFO", uri.path())
        .env("QUERY_STRING", uri.query().unwrap_or_default())
        .env("CONTENT_TYPE", kind)
        .env("CONTENT_LENGTH", body.len().to_string())
        .env("REMOTE_ADDR", "127.0.0.1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut input = program.stdin.take().unwrap();
    let body = body.clone();
    // Whether it reads all is its business.
    let sent = tokio::spawn(async move { drop(input.write_all(&body).await) });
    let output = program.wait_with_output().await.unwrap().stdout;
    sent.await.unwrap();
    let end = output.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap();
    let mut answer = Response::builder();
    for line in std::str::from_utf8(&output[..end]).unwrap().lines() {
        let (name, value) = line.split_once(": ").unwrap();
        answer = match name {
            "Status" => answer.status(&value[..3]),
            _ => answer.header(name, value),
        };
    }
    answer.body(Body::from(output[end + 4..].to_vec())).unwrap()
}

/// The beginning of an answer; then the connection ends.
fn cut(answer: Response<Body>, after: usize) -> Response<Body> {
    let (parts, body) = answer.into_parts();
    let chunks = futures_util::stream::once(async move {
        let whole = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        Ok(whole.slice(..after.min(whole.len())))
    });
    let end = futures_util::stream::once(async { Err(std::io::Error::other("cut")) });
    Response::from_parts(parts, Body::from_stream(futures_util::StreamExt::chain(chunks, end)))
}

/// The answer in fifty pieces.
fn slow(answer: Response<Body>, moment: Duration) -> Response<Body> {
    let (parts, body) = answer.into_parts();
    let pieces = futures_util::stream::once(async move {
        let whole = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        let size = whole.len() / 50 + 1;
        let pieces: Vec<_> =
            (0..whole.len()).step_by(size).map(|at| whole.slice(at..(at + size).min(whole.len()))).collect();
        futures_util::stream::iter(pieces)
    });
    let pieces = futures_util::StreamExt::flatten(pieces);
    let pieces = futures_util::StreamExt::then(pieces, move |piece| async move {
        tokio::time::sleep(moment).await;
        Ok::<_, std::io::Error>(piece)
    });
    Response::from_parts(parts, Body::from_stream(pieces))
}

/// TLS in front of a listener.
struct Tls(TcpListener, TlsAcceptor);

impl Listener for Tls {
    type Io = TlsStream<TcpStream>;
    type Addr = std::net::SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let (stream, from) = self.0.accept().await.unwrap();
            // Who doesn't trust the certificate hangs up.
            if let Ok(stream) = self.1.accept(stream).await {
                return (stream, from);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.0.local_addr()
    }
}
