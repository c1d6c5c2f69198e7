//! Git over HTTP. TLS is rustls' with the authorities of Mozilla and those that the host says; nothing of the
//! environment counts, and nobody is sent to another server.

use std::error::Error;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::redirect::{Attempt, Policy};
use reqwest::{Client, NoProxy, Proxy, Response, StatusCode, Url};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use super::error::RemoteProblem;
use super::packet::{Packet, Packets, Source};
use super::{ADVERTISED_MAX, Access, Network};
use crate::model::address::RemoteAddress;
use crate::source::commit::clean;

/// The longest time until a connection stands.
const CONNECT: Duration = Duration::from_secs(15);
/// So often a server may send to another address of its own.
const REDIRECTS_MAX: usize = 3;
/// Forges serve Git's protocol to those who say that they are Git.
const AGENT: &str = concat!("git/2.0 (evenkeel ", env!("CARGO_PKG_VERSION"), ")");
/// What is behind the address of a repository where its references are told.
const REFERENCES: &str = "/info/refs";

/// A server that was asked for its references.
pub(super) struct Http {
    client: Client,
    /// The address of the repository, as the server has corrected it.
    base: Url,
    secret: Option<HeaderValue>,
}

impl Http {
    /// Asks for the references. They come as packets.
    pub(super) async fn open(
        address: &RemoteAddress,
        access: &Access,
        network: &Network,
    ) -> Result<(Self, Packets), RemoteProblem> {
        let client = client(address, network)?;
        let base =
            Url::parse(&address.to_string()).map_err(|_| RemoteProblem::Protocol("no address of HTTP"))?;
        let mut http = Self { client, base, secret: secret(address, access)? };
        let mut place = http.below(REFERENCES);
        place.set_query(Some("service=git-upload-pack"));
        let request = http.client.get(place).headers(http.headers());
        let response = request.send().await.map_err(|error| explained(&error))?;
        http.check(&response, "application/x-git-upload-pack-advertisement")?;
        if let Some(corrected) = response.url().path().strip_suffix(REFERENCES) {
            http.base.set_path(corrected);
        }
        let mut packets = Packets::new(Source::Http(response), ADVERTISED_MAX);
        match packets.next().await? {
            Packet::Line(line) if line.starts_with(b"# service=git-upload-pack") => {}
            _ => return Err(RemoteProblem::Protocol("it doesn't say which service it is")),
        }
        match packets.next().await? {
            Packet::Flush => Ok((http, packets)),
            _ => Err(RemoteProblem::Protocol("it doesn't say which service it is")),
        }
    }

    /// Sends what is wanted. The answer comes as packets.
    pub(super) async fn ask(&self, request: Vec<u8>, most: u64) -> Result<Packets, RemoteProblem> {
        let mut headers = self.headers();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-git-upload-pack-request"));
        headers.insert(ACCEPT, HeaderValue::from_static("application/x-git-upload-pack-result"));
        let request = self.client.post(self.below("/git-upload-pack")).headers(headers).body(request);
        let response = request.send().await.map_err(|error| explained(&error))?;
        self.check(&response, "application/x-git-upload-pack-result")?;
        Ok(Packets::new(Source::Http(response), most))
    }

    fn below(&self, path: &str) -> Url {
        let mut place = self.base.clone();
        place.set_path(&format!("{}{path}", self.base.path().trim_end_matches('/')));
        place
    }

    fn headers(&self) -> HeaderMap {
        let secret = self.secret.iter().map(|secret| (AUTHORIZATION, secret.clone()));
        secret.collect()
    }

    fn check(&self, response: &Response, wanted: &str) -> Result<(), RemoteProblem> {
        let status = response.status();
        if status.is_redirection() {
            let to = response.headers().get(reqwest::header::LOCATION).map(HeaderValue::as_bytes);
            return Err(RemoteProblem::Redirect(destination(to.unwrap_or_default())));
        }
        match status {
            StatusCode::OK => {}
            StatusCode::UNAUTHORIZED if self.secret.is_none() => return Err(RemoteProblem::CredentialWanted),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => return Err(RemoteProblem::Denied),
            StatusCode::NOT_FOUND | StatusCode::GONE => return Err(RemoteProblem::NotFound),
            status => return Err(RemoteProblem::Status(status.as_u16())),
        }
        if response.headers().get(CONTENT_TYPE).is_none_or(|found| found != wanted) {
            return Err(RemoteProblem::Protocol(
                "what it sends is of another type; is this a repository's address?",
            ));
        }
        Ok(())
    }
}

/// Where a server sends to, without anything that could be a secret.
fn destination(to: &[u8]) -> String {
    let text = String::from_utf8_lossy(to);
    match Url::parse(&text) {
        Ok(url) => {
            let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
            let place = format!("{}://{}{port}", url.scheme(), url.host_str().unwrap_or_default());
            clean(format!("{place}{}", url.path().trim_end_matches(REFERENCES)).as_bytes(), 200)
        }
        Err(_) => clean(text.split('?').next().unwrap_or_default().as_bytes(), 200),
    }
}

/// The header that says who asks, where that may be told to this server.
fn secret(address: &RemoteAddress, access: &Access) -> Result<Option<HeaderValue>, RemoteProblem> {
    use crate::model::address::Scheme;
    use base64::Engine;

    let Access::Basic { username, password } = access else { return Ok(None) };
    if address.scheme != Scheme::Https && !address.is_loopback() {
        return Err(RemoteProblem::Credential("no credential is sent over plain HTTP".to_owned()));
    }
    let encoded = base64::engine::general_purpose::STANDARD.encode(format!("{username}:{password}"));
    let mut header = HeaderValue::from_str(&format!("Basic {encoded}"))
        .map_err(|_| RemoteProblem::Credential("the credential has characters that none has".to_owned()))?;
    header.set_sensitive(true);
    Ok(Some(header))
}

fn client(address: &RemoteAddress, network: &Network) -> Result<Client, RemoteProblem> {
    let failed = |error: reqwest::Error| RemoteProblem::Unreachable(innermost(&error));
    let mut builder = Client::builder()
        .tls_backend_preconfigured(tls(network.ca.as_deref())?)
        .no_proxy()
        .http1_only()
        .referer(false)
        .connect_timeout(CONNECT)
        .user_agent(AGENT)
        .redirect(Policy::custom(stay));
    if let Some(proxy) = network.proxy.as_ref().filter(|_| !address.is_loopback()) {
        let here = NoProxy::from_string("localhost,127.0.0.0/8,::1");
        builder = builder.proxy(Proxy::all(proxy).map_err(failed)?.no_proxy(here));
    }
    builder.build().map_err(failed)
}

/// Follows only to the very same server.
fn stay(attempt: Attempt<'_>) -> reqwest::redirect::Action {
    let place =
        |url: &Url| (url.scheme().to_owned(), url.host_str().map(str::to_owned), url.port_or_known_default());
    let from = attempt.previous().first().map(place);
    let is_same = from.is_some_and(|from| from == place(attempt.url()));
    if is_same && attempt.previous().len() <= REDIRECTS_MAX { attempt.follow() } else { attempt.stop() }
}

fn tls(ca: Option<&Path>) -> Result<ClientConfig, RemoteProblem> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    if let Some(path) = ca {
        let bytes = fs::read(path).map_err(|error| RemoteProblem::io(path, &error))?;
        let unfit =
            |message: &str| RemoteProblem::File { path: path.to_owned(), message: message.to_owned() };
        let mut count = 0;
        for certificate in CertificateDer::pem_slice_iter(&bytes) {
            let certificate =
                certificate.map_err(|_| unfit("it holds something else than certificates in PEM"))?;
            roots.add(certificate).map_err(|_| unfit("a certificate in it is damaged"))?;
            count += 1;
        }
        if count == 0 {
            return Err(unfit("it holds no certificate in PEM"));
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| RemoteProblem::Unreachable(error.to_string()))?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

/// A failure of the connection in few words.
pub(super) fn explained(error: &reqwest::Error) -> RemoteProblem {
    let text = innermost(error);
    match text.strip_prefix("invalid peer certificate: ") {
        Some(why) => RemoteProblem::Certificate(why.to_owned()),
        None if error.is_timeout() => RemoteProblem::Unreachable("no answer in time".to_owned()),
        None => RemoteProblem::Unreachable(text),
    }
}

/// The cause that is behind all others; the ones before it say only that there was one.
fn innermost(error: &reqwest::Error) -> String {
    let mut cause: &dyn Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    clean(cause.to_string().as_bytes(), 200)
}
