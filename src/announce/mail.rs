//! Mail by SMTP.

use lettre::message::header::{ContentTransferEncoding, ContentType};
use lettre::message::{Body, Mailbox};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls as Encryption, TlsParameters};
use lettre::{Address, AsyncSmtpTransport, AsyncTransport, Message as Mail, Tokio1Executor};

use super::guard::resolved;
use super::post::{Letter, NotTaken, To, certificates, chain};
use super::render::{plain, subject};
use crate::agent::credential::Secret;
use crate::manifest::{Email, EmailTls};

/// Sends a message as mail, to all who get it at once.
pub(super) async fn send(
    email: &Email,
    login: Option<(&str, Secret)>,
    letter: Letter<'_>,
    To { ca, timeout }: To<'_>,
) -> Result<(), NotTaken> {
    let mail = mail(email, letter)?;
    // It connects to just the address that was looked at, and asks for the certificate of the name.
    let found =
        resolved(&email.server, email.port).await.map_err(|error| NotTaken::for_now(error.to_string()))?;
    let here = email.tls != EmailTls::None || found.iter().all(|found| found.ip().is_loopback());
    let Some(address) = found.first().filter(|_| here) else {
        return Err(NotTaken::for_now(format!("{} is not a mail server on this host", email.server)));
    };
    let encryption = match email.tls {
        EmailTls::None => Encryption::None,
        EmailTls::Tls => Encryption::Wrapper(parameters(&email.server, ca).await?),
        EmailTls::Starttls => Encryption::Required(parameters(&email.server, ca).await?),
    };
    let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(address.ip().to_string())
        .port(email.port)
        .tls(encryption)
        .timeout(Some(timeout));
    if let Some((name, password)) = login {
        builder = builder.credentials(Credentials::new(name.to_owned(), password.expose().to_owned()));
    }
    let sending = builder.build();
    // The timeout of the transport is one for each line of the conversation.
    let sent = tokio::time::timeout(timeout * 3, sending.send(mail)).await;
    match sent {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) if error.is_permanent() => Err(NotTaken::for_good(chain(&error))),
        Ok(Err(error)) => Err(NotTaken::for_now(chain(&error))),
        Err(_) => Err(NotTaken::for_now("the mail server took too long")),
    }
}

async fn parameters(server: &str, ca: Option<&str>) -> Result<TlsParameters, NotTaken> {
    let mut builder =
        TlsParameters::builder(server.to_owned()).certificate_store(CertificateStore::WebpkiRoots);
    if let Some(ca) = ca {
        let added = Certificate::from_pem(&certificates(ca).await?);
        builder = builder.add_root_certificate(added.map_err(|error| NotTaken::for_now(chain(&error)))?);
    }
    builder.build_rustls().map_err(|error| NotTaken::for_now(chain(&error)))
}

fn mail(email: &Email, letter: Letter<'_>) -> Result<Mail, NotTaken> {
    let Letter { id, message, now: _ } = letter;
    let unfit = |error: &dyn std::error::Error| NotTaken::for_good(chain(error));
    let mailbox = |text: &str| {
        text.parse::<Address>().map(|address| Mailbox::new(None, address)).map_err(|error| unfit(&error))
    };
    let host = email.from.split_once('@').map_or("localhost", |(_, host)| host);
    let mut builder = Mail::builder()
        .from(mailbox(&email.from)?)
        .subject(subject(message))
        .date(std::time::SystemTime::from(message.at))
        // The same id makes the same mail of it, should it ever arrive twice.
        .message_id(Some(format!("<{id}@{host}>")))
        .header(ContentType::TEXT_PLAIN);
    for to in &email.to {
        builder = builder.to(mailbox(to)?);
    }
    let text = format!("{}\n\n{}", message.title(), plain(message));
    let body = Body::new_with_encoding(text, ContentTransferEncoding::Base64)
        .map_err(|_| NotTaken::for_good("the text of the mail can't be encoded"))?;
    builder.body(body).map_err(|error| unfit(&error))
}
