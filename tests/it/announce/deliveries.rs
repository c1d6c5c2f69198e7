//! What is in the outbox reaches its receivers: once, in order, and whatever the others do.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use evenkeel::announce::Event;
use evenkeel::manifest::{Chat, Notify};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::Instant;

use super::fakes::{Answer, DEADLINE, Fake, Office, chat, message, pace, webhook};
use crate::common::docker;

#[tokio::test]
async fn a_message_that_is_not_taken_is_tried_again_and_the_next_ones_wait_for_it() {
    let mut fake = Fake::new(vec![Answer::Status(500), Answer::Status(429), Answer::Status(401)]).await;
    let mut office = Office::new(|folder| vec![webhook(folder, "ops", &fake.url("/hook"))]);
    office.write("a", &message(Event::Failed));
    office.write("b", &message(Event::Deployed));
    office.open(pace());
    let first = fake.got().await;
    for _ in 0..3 {
        let again = fake.got().await;
        assert_eq!(
            (again.event(), again.header("webhook-id")),
            ("failed".to_owned(), first.header("webhook-id"))
        );
    }
    assert_eq!(fake.got().await.event(), "deployed");
    office.is_empty().await;
    assert!(fake.got_nothing());
}

#[tokio::test]
async fn what_is_refused_for_good_is_dropped() {
    let mut fake = Fake::new(vec![Answer::Status(400)]).await;
    let mut office = Office::new(|folder| vec![webhook(folder, "ops", &fake.url("/hook"))]);
    office.write("a", &message(Event::Failed));
    office.write("b", &message(Event::Deployed));
    office.open(pace());
    assert_eq!(fake.got().await.event(), "failed");
    assert_eq!(fake.got().await.event(), "deployed");
    office.is_empty().await;
    assert!(fake.got_nothing());
}

#[tokio::test]
async fn a_receiver_that_is_dead_for_too_long_gets_no_old_news() {
    // Nobody listens there any more.
    let url = Fake::new(Vec::new()).await.url("/hook");
    let mut office = Office::new(|folder| vec![webhook(folder, "ops", &url)]);
    office.write("a", &message(Event::Failed));
    office.open(evenkeel::announce::Pace { give_up: Duration::from_millis(100), ..pace() });
    office.is_empty().await;
}

#[tokio::test]
async fn no_redirect_is_followed() {
    let mut elsewhere = Fake::new(Vec::new()).await;
    let mut fake = Fake::new(vec![Answer::Redirect(elsewhere.url("/stolen"))]).await;
    let mut office = Office::new(|folder| vec![webhook(folder, "ops", &fake.url("/hook"))]);
    office.write("a", &message(Event::Failed));
    office.open(pace());
    fake.got().await;
    office.is_empty().await;
    assert!(elsewhere.got_nothing() && fake.got_nothing());
}

#[tokio::test]
async fn an_answer_without_end_is_no_trouble() {
    let mut fake = Fake::new(vec![Answer::Endless]).await;
    let mut office = Office::new(|folder| vec![webhook(folder, "ops", &fake.url("/hook"))]);
    office.write("a", &message(Event::Failed));
    let began = Instant::now();
    office.open(pace());
    office.is_empty().await;
    assert!(began.elapsed() < pace().timeout, "{:?}", began.elapsed());
    fake.got().await;
    assert!(fake.got_nothing());
}

#[tokio::test]
async fn no_address_of_the_link_is_asked_and_none_in_the_clear() {
    for url in
        ["http://169.254.169.254/latest", "https://[fe80::1]/hook", "http://192.0.2.1/hook", "ftp://a/b"]
    {
        let mut office = Office::new(|folder| vec![chat(folder, Chat::Slack, url)]);
        office.write("a", &message(Event::Failed));
        let began = Instant::now();
        office.open(pace());
        // Dropped at once, and not after a try.
        office.is_empty().await;
        assert!(began.elapsed() < Duration::from_secs(2), "{url}: {:?}", began.elapsed());
    }
}

#[tokio::test]
async fn a_slow_and_a_dead_receiver_delay_nobody() {
    let slow = Fake::new(vec![Answer::Never; 100]).await;
    let dead = Fake::new(Vec::new()).await.url("/hook");
    let mut good = Fake::new(Vec::new()).await;
    let mut office = Office::new(|folder| {
        let slow = webhook(folder, "slow", &slow.url("/hook"));
        vec![slow, webhook(folder, "dead", &dead), webhook(folder, "good", &good.url("/hook"))]
    });
    let began = Instant::now();
    office.open(evenkeel::announce::Pace { timeout: Duration::from_secs(60), ..pace() });
    for number in 0..20 {
        office.write(&format!("{number}"), &message(Event::Deployed));
    }
    // The outbox was written to beside the announcer, which would have told: it is found out by a new start.
    office.die();
    office.open(evenkeel::announce::Pace { timeout: Duration::from_secs(60), ..pace() });
    for _ in 0..20 {
        good.got().await;
    }
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}

#[tokio::test]
async fn what_was_cut_off_is_sent_again_with_the_same_id_and_only_that() {
    let mut fake = Fake::new(vec![Answer::Status(200), Answer::Never]).await;
    let mut office = Office::new(|folder| vec![webhook(folder, "ops", &fake.url("/hook"))]);
    office.write("a", &message(Event::Failed));
    office.write("b", &message(Event::Deployed));
    office.open(pace());
    assert_eq!(fake.got().await.event(), "failed");
    let cut_off = fake.got().await;
    office.die();
    office.open(pace());
    let again = fake.got().await;
    assert_eq!(again.header("webhook-id"), cut_off.header("webhook-id"));
    assert_eq!(again.body, cut_off.body);
    office.is_empty().await;
    office.die();
    office.open(pace());
    office.write("a", &message(Event::Failed));
    office.is_empty().await;
    assert!(fake.got_nothing());
}

/// A server with a certificate of its own, which says of each connection whether it came to a request.
async fn encrypted(folder: &Path) -> Option<(SocketAddr, UnboundedReceiver<bool>)> {
    let script = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem \
        -subj /CN=ca -days 2 && openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key.pem -out csr \
        -subj /CN=x && echo subjectAltName=IP:127.0.0.1 > names && openssl x509 -req -in csr -CA ca.pem -CAkey ca.key \
        -CAcreateserial -days 2 -extfile names -out chain.pem";
    let made = std::process::Command::new("sh").args(["-c", script]).current_dir(folder).output().unwrap();
    if !made.status.success() {
        docker::tell("passed by without openssl");
        return None;
    }
    let chain =
        CertificateDer::pem_file_iter(folder.join("chain.pem")).unwrap().map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(folder.join("key.pem")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.unwrap().with_no_client_auth().with_single_cert(chain, key).unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, came) = unbounded_channel();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let Ok(mut stream) = acceptor.accept(stream).await else {
                let _ = sender.send(false);
                continue;
            };
            let mut head = vec![0; 4096];
            assert!(stream.read(&mut head).await.unwrap() > 0);
            let answer = b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n";
            stream.write_all(answer).await.unwrap();
            let _ = stream.shutdown().await;
            let _ = sender.send(true);
        }
    });
    Some((address, came))
}

#[tokio::test]
async fn a_server_of_ones_own_is_trusted_where_its_certificate_is() {
    for is_given in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let Some((address, mut came)) = encrypted(folder.path()).await else { return };
        let ca = is_given.then(|| folder.path().join("ca.pem").to_str().unwrap().to_owned());
        let url = format!("https://{address}/hook");
        let mut office = Office::new(|folder| vec![Notify { ca, ..webhook(folder, "ops", &url) }]);
        office.write("a", &message(Event::Failed));
        office.open(pace());
        assert_eq!(tokio::time::timeout(DEADLINE, came.recv()).await.unwrap(), Some(is_given));
        if is_given {
            office.is_empty().await;
        }
    }
}
