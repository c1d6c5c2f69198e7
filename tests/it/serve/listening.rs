//! Where the server listens: the socket, the network with and without TLS, and changes while it runs. And events.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::Duration;

use evenkeel::agent::{Audience, Happening};
use evenkeel::manifest::Tls;
use evenkeel::serve::{Limits, ServeError, Server, client};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncBufReadExt, Lines};
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsConnector;

use super::rig::{Door, answered, asked, bearer, generous, request, secret};

const PATIENCE: Duration = Duration::from_secs(10);

/// Somebody who listens to events.
struct Listener(Lines<BufReader<TcpStream>>);

impl Listener {
    async fn at(door: &Door) -> Self {
        let mut stream = door.connect().await;
        let request = request("GET /v1/stacks/shop/events", &[&bearer("read-shop")], "");
        stream.write_all(request.as_bytes()).await.unwrap();
        Self(BufReader::new(stream).lines())
    }

    /// The next state; none at the end of the stream.
    async fn next(&mut self) -> Option<serde_json::Value> {
        loop {
            let line = timeout(PATIENCE, self.0.next_line()).await.expect("nothing is told");
            let line = line.ok().flatten()?;
            if let Some(data) = line.strip_prefix("data: ") {
                return Some(serde_json::from_str(data).unwrap());
            }
        }
    }

    async fn until(&mut self, condition: impl Fn(&serde_json::Value) -> bool) {
        while !condition(&self.next().await.expect("the stream ended")) {}
    }
}

fn fails(door: &Door, why: &str) {
    door.stand("shop").board.happens(Happening::Fails { why, again: None });
}

#[tokio::test]
async fn a_listener_hears_the_state_now_and_every_change() {
    let door = Door::open();
    let mut listener = Listener::at(&door).await;
    assert_eq!(listener.next().await.unwrap()["operation"]["state"]["phase"], "idle");
    fails(&door, "Docker is away");
    let state = listener.next().await.unwrap();
    assert_eq!(state["operation"]["state"]["reason"], "Docker is away");
    assert_eq!(state["conditions"]["stalled"]["holds"], true);
    // Whoever was slow hears the newest.
    for number in 0..100 {
        fails(&door, &format!("failure {number}"));
    }
    listener.until(|state| state["operation"]["state"]["reason"] == "failure 99").await;
}

#[tokio::test]
async fn there_are_only_so_many_listeners() {
    let door = Door::with(Limits { listeners: 1, ..generous() });
    let mut first = Listener::at(&door).await;
    first.next().await.unwrap();
    let again = async || door.ask("GET /v1/stacks/shop/events", &[&bearer("read")], "").await.status;
    assert_eq!(again().await, 503);
    drop(first);
    let end = Instant::now() + PATIENCE;
    while again().await != 200 {
        // That its other end is gone shows when it is told something.
        fails(&door, &format!("{:?}", Instant::now()));
        assert!(Instant::now() < end, "the place stays taken");
        sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_listener_must_ask_again_when_the_rules_change_and_when_its_time_is_over() {
    let mut door = Door::open();
    let mut listener = Listener::at(&door).await;
    listener.next().await.unwrap();
    door.api.tokens.retain(|token| token.name != "read-shop");
    door.configure().unwrap();
    assert_eq!(listener.next().await, None);
    assert_eq!(door.ask("GET /v1/stacks", &[&bearer("read-shop")], "").await.status, 401);
    let door = Door::with(Limits { listening: Duration::from_millis(50), ..generous() });
    let mut listener = Listener::at(&door).await;
    listener.next().await.unwrap();
    assert_eq!(listener.next().await, None);
}

#[tokio::test]
async fn the_end_of_the_server_is_the_end_of_everything() {
    let door = Door::open();
    let mut listener = Listener::at(&door).await;
    listener.next().await.unwrap();
    let (address, socket, started) = (door.address(), door.socket(), Instant::now());
    door.stop();
    assert_eq!(listener.next().await, None);
    let server = Arc::clone(&door.server);
    door.close().await;
    assert!(started.elapsed() < Duration::from_secs(8), "{:?}", started.elapsed());
    assert!(!socket.exists());
    drop(server);
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn the_socket_is_the_owners_alone_and_of_one_agent() {
    let door = Door::open();
    let mode = fs::symlink_metadata(door.socket()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let open = || {
        let metrics = Arc::new(String::new);
        Server::open(Arc::clone(&door.desk), door.folder.path(), metrics, Limits::default())
    };
    assert!(matches!(open(), Err(ServeError::Taken(_))));
    // One that a killed agent has left behind is in nobody's way.
    let other = tempfile::tempdir().unwrap();
    drop(std::os::unix::net::UnixListener::bind(other.path().join("agent.sock")).unwrap());
    let metrics = Arc::new(String::new);
    assert!(Server::open(Arc::clone(&door.desk), other.path(), metrics, Limits::default()).is_ok());
}

#[tokio::test]
async fn the_command_line_asks_by_the_socket() {
    let door = Door::open();
    let stacks = client::state(door.folder.path()).await.unwrap();
    let names: Vec<&str> = stacks.iter().map(|state| state["stack"].as_str().unwrap()).collect();
    assert_eq!(names, ["shop", "blog"]);
    let bell = door.stand("shop").bell;
    client::ring(door.folder.path(), &"shop".parse().unwrap()).await.unwrap();
    timeout(PATIENCE, bell.order.notified()).await.expect("it didn't ring");
    let error = client::ring(door.folder.path(), &"other".parse().unwrap()).await.unwrap_err();
    assert_eq!(error.to_string(), "the agent refuses: no such stack is followed here");
    let nobody = tempfile::tempdir().unwrap();
    let error = client::state(nobody.path()).await.unwrap_err();
    assert_eq!(error.to_string(), format!("no agent runs with the state folder {}", nobody.path().display()));
}

#[tokio::test]
async fn the_network_can_be_left_and_entered_while_it_runs() {
    let mut door = Door::open();
    let (first, listen) = (door.address(), door.api.listen);
    // The same address is the same listener: nobody is cut off by a new token.
    door.configure().unwrap();
    assert_eq!(door.address(), first);
    door.api.listen = None;
    door.configure().unwrap();
    let end = Instant::now() + PATIENCE;
    while TcpStream::connect(first).await.is_ok() {
        assert!(Instant::now() < end, "it still listens");
        sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(door.ask_by_socket("GET /healthz", "").await.status, 200);
    door.api.listen = listen;
    door.configure().unwrap();
    assert_eq!(door.ask("GET /healthz", &[], "").await.status, 200);
    // What can't be done changes nothing.
    door.api.listen = Some("192.0.2.1:1".parse().unwrap());
    assert!(matches!(door.configure(), Err(ServeError::Plain(_))));
    door.api.listen = Some(door.address());
    let error = door.configure().unwrap_err();
    assert!(matches!(error, ServeError::Listen { .. }), "{error}");
    assert_eq!(door.ask("GET /healthz", &[], "").await.status, 200);
}

struct Secured {
    door: Door,
    config: Arc<ClientConfig>,
}

/// A server that is to be reached from everywhere, by TLS.
fn secured() -> Secured {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(vec!["agent.example.com".to_owned()]).unwrap();
    let mut door = Door::open();
    let certificate = door.folder.path().join("tls.pem");
    fs::write(&certificate, cert.pem()).unwrap();
    let key = secret(door.folder.path(), "tls.key", &signing_key.serialize_pem());
    door.api.listen = Some("0.0.0.0:0".parse().unwrap());
    door.api.tls = Some(Tls { certificate: certificate.to_str().unwrap().to_owned(), key });
    door.configure().unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(cert.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = Arc::new(config.with_root_certificates(roots).with_no_client_auth());
    Secured { door, config }
}

impl Secured {
    fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.door.address().port()))
    }

    async fn ask(&self, line: &str, headers: &[&str]) -> u16 {
        let stream = TcpStream::connect(self.address()).await.unwrap();
        let name = ServerName::try_from("agent.example.com").unwrap();
        let stream = TlsConnector::from(Arc::clone(&self.config)).connect(name, stream).await.unwrap();
        asked(stream, request(line, headers, "").as_bytes()).await.status
    }
}

#[tokio::test]
async fn beyond_this_host_there_is_tls_and_nothing_without_a_token_but_health() {
    let secured = secured();
    assert_eq!(secured.ask("GET /healthz", &[]).await, 200);
    // This test is on the same host and says so; the listener isn't for this host only.
    assert_eq!(secured.ask("GET /v1/stacks", &["Host: localhost"]).await, 401);
    assert_eq!(secured.ask("GET /v1/stacks", &[&bearer("read")]).await, 200);
    assert_eq!(secured.ask("POST /v1/stacks/shop/sync", &[&bearer("read")]).await, 403);
    // Who doesn't speak TLS gets nothing in the clear.
    let mut plain = TcpStream::connect(secured.address()).await.unwrap();
    plain.write_all(request("GET /healthz", &[], "").as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    let _ = timeout(PATIENCE, plain.read_to_end(&mut bytes)).await.expect("it waits");
    assert!(!String::from_utf8_lossy(&bytes).contains("HTTP"), "{bytes:?}");
}

#[tokio::test]
async fn a_new_certificate_counts_without_a_restart_and_a_wrong_one_never() {
    let mut secured = secured();
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(vec!["agent.example.com".to_owned()]).unwrap();
    let tls = secured.door.api.tls.clone().unwrap();
    // A certificate with the key of another.
    fs::write(&tls.certificate, cert.pem()).unwrap();
    assert!(matches!(secured.door.configure(), Err(ServeError::Tls { .. })));
    assert_eq!(secured.ask("GET /healthz", &[]).await, 200);
    for (file, content) in [("tls.key", "-----BEGIN PRIVATE KEY-----\nhunter2\n"), ("tls.key", "hunter2")] {
        secret(secured.door.folder.path(), file, content);
        let told = format!("{:?}", anyhow::Error::new(secured.door.configure().unwrap_err()));
        assert!(!told.contains("hunter2"), "{told}");
    }
    secret(secured.door.folder.path(), "tls.key", &signing_key.serialize_pem());
    secured.door.configure().unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(cert.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    secured.config = Arc::new(config.with_root_certificates(roots).with_no_client_auth());
    assert_eq!(secured.ask("GET /healthz", &[]).await, 200);
    fs::write(&tls.certificate, "no certificate").unwrap();
    assert!(secured.door.configure().is_err());
}

#[tokio::test]
async fn a_connection_is_used_for_several_requests() {
    let door = Door::open();
    let mut stream = door.connect().await;
    for _ in 0..3 {
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
        assert_eq!(answered(&mut stream).await.status, 200);
    }
}
