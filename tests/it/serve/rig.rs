//! A server over two stacks that nobody deploys, and a client that sends just the bytes that it is told to.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use evenkeel::agent::board::Board;
use evenkeel::agent::desk::{Bell, Desk, Stand};
use evenkeel::agent::status::HoldKind;
use evenkeel::agent::{Audience, Comparison, Follow, Happening, Hold, Trigger};
use evenkeel::apply::clock::HostClock;
use evenkeel::apply::ledger::Ledger;
use evenkeel::apply::ledger::orders::AuditEntry;
use evenkeel::manifest::{Api, Credential, Role, Token, Webhook, WebhookKind};
use evenkeel::plan::{PlanId, plan};
use evenkeel::serve::{Limits, Rate, Server, Settings, hash_text};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::paper::{Paper, desired, host, key, service};

/// The plan that waits for approval on every stack.
pub const WAITING: &str = "abc123";

/// The secret of every webhook.
pub const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// No answer takes so long.
const PATIENCE: Duration = Duration::from_secs(20);

pub struct Door {
    pub desk: Arc<Desk>,
    pub server: Arc<Server>,
    pub folder: TempDir,
    pub api: Api,
    pub webhooks: Vec<Webhook>,
    stop: CancellationToken,
    task: Option<JoinHandle<()>>,
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// More than any test asks for.
pub fn generous() -> Limits {
    let often = Rate { burst: 1e6, per_second: 1e6 };
    Limits { requests: often, hooks: often, ..Limits::default() }
}

impl Door {
    pub fn open() -> Self {
        Self::with(generous())
    }

    /// A server with these limits, on the present runtime.
    pub fn with(limits: Limits) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let desk = Arc::new(Desk::new(Ledger::open_in_memory().unwrap(), Box::new(HostClock)));
        desk.follow(vec![stand("shop"), stand("blog")]);
        let metrics = Arc::new(|| "# EOF\n".to_owned());
        let server = Arc::new(Server::open(Arc::clone(&desk), folder.path(), metrics, limits).unwrap());
        let listen = Some("127.0.0.1:0".parse().unwrap());
        let api = Api { listen, tls: None, tokens: tokens() };
        let webhooks = webhooks(&secret(folder.path(), "hook", SECRET));
        let stop = CancellationToken::new();
        let mut door = Self { desk, server, folder, api, webhooks, stop: stop.clone(), task: None };
        door.configure().unwrap();
        let server = Arc::clone(&door.server);
        door.task = Some(tokio::spawn(async move { server.run(&stop).await }));
        door
    }

    pub fn configure(&self) -> Result<(), evenkeel::serve::ServeError> {
        let (api, interval) = (Some(&self.api), Duration::from_secs(60));
        self.server.configure(&Settings { api, webhooks: &self.webhooks, interval })
    }

    pub fn address(&self) -> SocketAddr {
        self.server.address().unwrap()
    }

    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("agent.sock")
    }

    pub async fn close(mut self) {
        self.stop.cancel();
        self.task.take().unwrap().await.unwrap();
    }

    pub fn stop(&self) {
        self.stop.cancel();
    }

    pub fn stand(&self, stack: &str) -> Stand {
        self.desk.stand(&stack.parse().unwrap()).unwrap()
    }

    pub fn audited(&self) -> Vec<AuditEntry> {
        self.desk.ledger().audited(10_000).unwrap()
    }

    pub async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address()).await.unwrap()
    }

    /// Sends these bytes by the network, and gives the first answer.
    pub async fn raw(&self, bytes: impl AsRef<[u8]>) -> Answer {
        asked(self.connect().await, bytes.as_ref()).await
    }

    /// Asks by the network with these further headers.
    pub async fn ask(&self, line: &str, headers: &[&str], body: &str) -> Answer {
        self.raw(request(line, headers, body)).await
    }

    /// Asks by the socket.
    pub async fn ask_by_socket(&self, line: &str, body: &str) -> Answer {
        let stream = UnixStream::connect(self.socket()).await.unwrap();
        asked(stream, request(line, &[], body).as_bytes()).await
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// A request of a program on this host that closes the connection after it.
pub fn request(line: &str, headers: &[&str], body: &str) -> String {
    let mut text = format!("{line} HTTP/1.1\r\nConnection: close\r\n");
    if !headers.iter().any(|header| header.starts_with("Host:")) {
        text.push_str("Host: localhost\r\n");
    }
    for header in headers {
        text.push_str(header);
        text.push_str("\r\n");
    }
    if line.starts_with("POST") {
        text.push_str("Content-Type: application/json\r\n");
        let _ = write!(text, "Content-Length: {}\r\n", body.len());
    }
    text + "\r\n" + body
}

/// Sends and reads until the answer is there, or the connection ends.
pub async fn asked(mut stream: impl AsyncRead + AsyncWrite + Unpin, bytes: &[u8]) -> Answer {
    // A server that has had enough answers and closes before it has read everything.
    let _ = stream.write_all(bytes).await;
    tokio::time::timeout(PATIENCE, answered(&mut stream)).await.expect("no answer")
}

/// Reads an answer. Of one without an end, only the head is read.
pub async fn answered(stream: &mut (impl AsyncRead + Unpin)) -> Answer {
    let mut bytes = Vec::new();
    let head = loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break at;
        }
        let mut piece = [0; 4096];
        let read = stream.read(&mut piece).await.unwrap_or(0);
        assert!(read > 0, "the connection ended after {:?}", String::from_utf8_lossy(&bytes));
        bytes.extend_from_slice(&piece[..read]);
    };
    let body = bytes.split_off(head + 4);
    let head = String::from_utf8(bytes).unwrap().to_ascii_lowercase();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
    let mut body = body;
    while body.len() < length.unwrap_or(0) {
        let mut piece = [0; 4096];
        let read = stream.read(&mut piece).await.unwrap_or(0);
        assert!(read > 0, "half an answer");
        body.extend_from_slice(&piece[..read]);
    }
    Answer { status, head, body: String::from_utf8(body).unwrap() }
}

fn tokens() -> Vec<Token> {
    let token = |name: &str, role, stacks: &[&str], expires: Option<&str>| Token {
        name: name.to_owned(),
        role,
        hash: hex::decode(hash_text(&format!("ek_{name}")).trim_start_matches("sha256:"))
            .unwrap()
            .try_into()
            .unwrap(),
        stacks: stacks.iter().map(|stack| stack.parse().unwrap()).collect(),
        expires: expires.map(|expires| expires.parse().unwrap()),
    };
    vec![
        token("read", Role::Read, &[], None),
        token("operate", Role::Operate, &[], Some("2999-01-01T00:00:00Z")),
        token("read-shop", Role::Read, &["shop"], None),
        token("operate-shop", Role::Operate, &["shop"], None),
        token("read-blog", Role::Read, &["blog"], None),
        token("operate-blog", Role::Operate, &["blog"], None),
        token("expired", Role::Operate, &[], Some("2020-01-01T00:00:00Z")),
    ]
}

/// The header of the token of this name.
pub fn bearer(name: &str) -> String {
    format!("Authorization: Bearer ek_{name}")
}

/// Lays a secret down.
pub fn secret(folder: &Path, name: &str, content: &str) -> Credential {
    let path = folder.join(name);
    fs::write(&path, content).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    Credential::File(path.to_str().unwrap().to_owned())
}

/// One of each kind, and one that is about one repository only.
fn webhooks(secret: &Credential) -> Vec<Webhook> {
    let hook = |name: &str, kind, repositories: &[&str]| Webhook {
        name: name.to_owned(),
        kind,
        secret: secret.clone(),
        repositories: repositories.iter().map(|&name| name.to_owned()).collect(),
        environments: Vec::new(),
    };
    vec![
        hook("forge", WebhookKind::Github, &[]),
        hook("lab", WebhookKind::Gitlab, &[]),
        hook("tea", WebhookKind::Gitea, &[]),
        hook("bucket", WebhookKind::Bitbucket, &[]),
        hook("own", WebhookKind::Generic, &[]),
        hook("of-shop", WebhookKind::Github, &["/srv/shop.git"]),
    ]
}

/// A stack that was compared once, and whose plan waits for approval.
fn stand(stack: &str) -> Stand {
    let follow = Follow {
        repository: std::path::PathBuf::from(format!("/srv/{stack}.git")).into(),
        branch: Some("main".to_owned()),
        environment: "prod".parse().unwrap(),
        host_variables: BTreeMap::new(),
        poll: Duration::from_secs(60),
        look: Duration::from_secs(300),
    };
    let board = Arc::new(Board::new(&follow, Box::new(HostClock)));
    let mut desired = desired(vec![service("web", "apps")]);
    desired.stack = stack.parse().unwrap();
    let paper = Paper::empty();
    let plan = plan(&desired, &paper.live, &paper.last, host(&key())).unwrap();
    let (trigger, is_newest, live) = (Trigger::Startup, true, &paper.live);
    board.happens(Happening::Woken(trigger));
    board.happens(Happening::Valid(&desired));
    board.happens(Happening::Compared(Comparison {
        trigger,
        desired: &desired,
        is_newest,
        live,
        plan: &plan,
    }));
    let hold = Hold {
        kind: HoldKind::Approval,
        why: "<b>somebody</b> must approve".to_owned(),
        plan: Some(PlanId(WAITING.to_owned())),
    };
    board.happens(Happening::Holds(&hold));
    board.happens(Happening::Rests);
    Stand { board, bell: Bell::default() }
}
