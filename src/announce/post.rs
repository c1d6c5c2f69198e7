//! Sends a message to its receiver, once. Whoever calls decides what comes after a failure.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use reqwest::{Client, StatusCode, redirect, retry};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use super::guard::{Resolver, checked_url};
use super::mail;
use super::message::Message;
use super::render::{self, At, Sent};
use crate::agent::credential::{self, Secret};
use crate::manifest::{Credential, Notify, Receiver};

/// The most that is read of an answer.
const ANSWER_BYTES: usize = 64 * 1024;

/// Why a message was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NotTaken {
    /// Why. Never holds an address or another secret.
    pub(super) why: String,
    /// Whether it may be taken later.
    pub(super) again: bool,
}

impl NotTaken {
    pub(super) fn for_now(why: impl Into<String>) -> Self {
        Self { why: why.into(), again: true }
    }

    pub(super) fn for_good(why: impl Into<String>) -> Self {
        Self { why: why.into(), again: false }
    }
}

/// A client for one request: no redirects, no proxy of the environment, no address that is forbidden. One is made each time,
/// so that certificates that were changed count at once; between two messages there are hours.
async fn client(ca: Option<&str>, timeout: Duration) -> Result<Client, NotTaken> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    if let Some(ca) = ca {
        for certificate in CertificateDer::pem_slice_iter(&certificates(ca).await?) {
            let added = certificate
                .map_err(|error| error.to_string())
                .and_then(|certificate| roots.add(certificate).map_err(|error| error.to_string()));
            added.map_err(|error| NotTaken::for_now(format!("the certificates in {ca}: {error}")))?;
        }
    }
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| NotTaken::for_now(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Client::builder()
        .tls_backend_preconfigured(tls)
        .redirect(redirect::Policy::none())
        .retry(retry::never())
        .referer(false)
        .no_proxy()
        .dns_resolver(Resolver)
        .timeout(timeout)
        .connect_timeout(timeout)
        .pool_max_idle_per_host(0)
        .user_agent(concat!("evenkeel/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| NotTaken::for_now(chain(&error)))
}

/// The file with certificates that a receiver may prove itself by.
pub(super) async fn certificates(path: &str) -> Result<Vec<u8>, NotTaken> {
    let owned = path.to_owned();
    let read = tokio::task::spawn_blocking(move || std::fs::read(owned)).await;
    let read = read.map_err(|_| NotTaken::for_now("stopped"))?;
    read.map_err(|error| NotTaken::for_now(format!("the certificates in {path} can't be read: {error}")))
}

/// A message that is sent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Letter<'a> {
    /// The same each time that it is tried.
    pub(super) id: &'a str,
    /// The message.
    pub(super) message: &'a Message,
    /// The time of day.
    pub(super) now: Timestamp,
}

/// How a receiver is reached.
#[derive(Debug, Clone, Copy)]
pub(super) struct To<'a> {
    /// A file with certificates that it may prove itself by.
    pub(super) ca: Option<&'a str>,
    /// The longest time for one try.
    pub(super) timeout: Duration,
}

/// Sends a message. Secrets are read each time, so that a new one counts at once.
pub(super) async fn send(receiver: &Notify, letter: Letter<'_>, timeout: Duration) -> Result<(), NotTaken> {
    let Letter { id, message, now } = letter;
    let ca = receiver.ca.as_deref();
    let to = To { ca, timeout };
    match &receiver.receiver {
        Receiver::Chat { chat, url } => {
            let url = secret(url).await?;
            post(to, url.expose(), render::chat(*chat, message)).await
        }
        Receiver::Ntfy { url, token } => {
            let url = secret(url).await?;
            let token = match token {
                Some(token) => Some(secret(token).await?),
                None => None,
            };
            let url = url.expose().trim().trim_end_matches('/');
            let Some((server, topic)) = url.rsplit_once('/').filter(|(server, _)| !server.ends_with('/'))
            else {
                return Err(NotTaken::for_good("the address of a topic is `https://SERVER/TOPIC`"));
            };
            post(to, server, render::ntfy(topic, token.as_ref(), message)).await
        }
        Receiver::Webhook { url, secret: key } => {
            let (url, key) = (secret(url).await?, secret(key).await?);
            post(to, url.expose(), render::webhook(&key, id, now, message)).await
        }
        Receiver::CommitStatus { forge, api, repository, token } => {
            let token = secret(token).await?;
            let at = At { forge: *forge, api, repository, token: &token };
            match render::commit_status(at, message) {
                Some((url, sent)) => post(to, &url, sent).await,
                None => Ok(()),
            }
        }
        Receiver::Email(email) => {
            let password = match &email.login {
                Some((name, password)) => Some((name.as_str(), secret(password).await?)),
                None => None,
            };
            mail::send(email, password, letter, to).await
        }
    }
}

async fn secret(credential: &Credential) -> Result<Secret, NotTaken> {
    let credential = credential.clone();
    let read = tokio::task::spawn_blocking(move || credential::read(&credential)).await;
    // Somebody may put it right.
    let read = read.map_err(|_| NotTaken::for_now("stopped"))?;
    read.map_err(|error| NotTaken::for_now(error.to_string()))
}

async fn post(to: To<'_>, url: &str, sent: Sent) -> Result<(), NotTaken> {
    let url = checked_url(url).map_err(|refused| NotTaken::for_good(refused.to_string()))?;
    let mut request =
        client(to.ca, to.timeout).await?.post(url).header(CONTENT_TYPE, "application/json").body(sent.body);
    for (name, value) in &sent.headers {
        let value = HeaderValue::from_str(value.expose());
        let Ok(mut value) = value else {
            return Err(NotTaken::for_now("the secret can't be written into a header"));
        };
        value.set_sensitive(true);
        request = request.header(HeaderName::from_static(name), value);
    }
    // An error of the client says the address, which may be a secret.
    let failed = |error: reqwest::Error| NotTaken::for_now(chain(&error.without_url()));
    let mut answer = request.send().await.map_err(failed)?;
    let status = answer.status();
    let mut bytes = 0;
    while bytes < ANSWER_BYTES {
        match answer.chunk().await.map_err(failed) {
            Ok(Some(chunk)) => bytes += chunk.len(),
            // It has answered what it thinks of it.
            Ok(None) | Err(_) => break,
        }
    }
    judged(status)
}

/// What the status of an answer means. What it says besides may be anything and is not repeated.
fn judged(status: StatusCode) -> Result<(), NotTaken> {
    let why = || format!("answered {status}");
    match status.as_u16() {
        200..=299 => Ok(()),
        300..=399 => Err(NotTaken::for_good(format!("{}, a redirect, and none is followed", why()))),
        // A token or an address that somebody may put right, a flood, and what passes.
        401 | 403 | 404 | 408 | 425 | 429 | 500.. => Err(NotTaken::for_now(why())),
        _ => Err(NotTaken::for_good(why())),
    }
}

/// An error with its causes, on one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_says_whether_it_is_worth_another_try() {
        for (status, expected) in [
            (200, None),
            (204, None),
            (301, Some(false)),
            (400, Some(false)),
            (401, Some(true)),
            (413, Some(false)),
            (422, Some(false)),
            (429, Some(true)),
            (500, Some(true)),
            (503, Some(true)),
        ] {
            let judged = judged(StatusCode::from_u16(status).unwrap());
            assert_eq!(judged.err().map(|not| not.again), expected, "{status}");
        }
    }
}
