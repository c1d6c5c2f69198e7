//! Receivers on loopback, and what is needed to send them something.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Response, StatusCode, Uri};
use evenkeel::announce::{Event, Message, Outbox, Pace, deliver};
use evenkeel::apply::clock::{Clock, HostClock};
use evenkeel::apply::ledger::Ledger;
use evenkeel::apply::ledger::outbox::Post;
use evenkeel::manifest::{Chat, Credential, Notify, Receiver, Routing};
use jiff::Timestamp;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::AbortHandle;
use tokio::time;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// Long enough for anything that must happen here.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// A request, as a receiver got it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Got {
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Got {
    pub fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map_or("", |(_, value)| value.as_str())
    }

    /// The event of a signed message.
    pub fn event(&self) -> String {
        let body: serde_json::Value = serde_json::from_str(&self.body).unwrap();
        body["type"].as_str().unwrap().to_owned()
    }
}

/// How a receiver answers.
#[derive(Debug, Clone)]
pub enum Answer {
    Status(u16),
    Redirect(String),
    /// Takes the message and never answers.
    Never,
    /// An answer without an end.
    Endless,
}

#[derive(Clone)]
struct Script {
    got: UnboundedSender<Got>,
    answers: Arc<Mutex<Vec<Answer>>>,
}

/// A receiver on loopback.
pub struct Fake {
    pub address: SocketAddr,
    got: UnboundedReceiver<Got>,
    _server: AbortOnDropHandle<()>,
}

impl Fake {
    /// One that gives these answers, one after the other, and 200 from then on.
    pub async fn new(answers: Vec<Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, got) = unbounded_channel();
        let script = Script { got: sender, answers: Arc::new(Mutex::new(answers)) };
        let router = Router::new().fallback(take).with_state(script);
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, got, _server: AbortOnDropHandle::new(server) }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The next request.
    pub async fn got(&mut self) -> Got {
        time::timeout(DEADLINE, self.got.recv()).await.expect("nothing came").unwrap()
    }

    /// Whether nothing more has come.
    pub fn got_nothing(&mut self) -> bool {
        self.got.try_recv().is_err()
    }
}

async fn take(State(script): State<Script>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response<Body> {
    let mut headers: Vec<_> =
        headers.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect();
    headers.sort();
    let body = String::from_utf8(body.to_vec()).unwrap();
    let _ = script.got.send(Got { path: uri.path().to_owned(), headers, body });
    let answer = {
        let mut answers = script.answers.lock().unwrap();
        if answers.is_empty() { Answer::Status(200) } else { answers.remove(0) }
    };
    let status = |status: u16| Response::builder().status(StatusCode::from_u16(status).unwrap());
    match answer {
        Answer::Status(code) => status(code).body(Body::empty()).unwrap(),
        Answer::Redirect(to) => status(307).header("location", to).body(Body::empty()).unwrap(),
        Answer::Never => std::future::pending().await,
        Answer::Endless => {
            let endless = futures_util::stream::repeat_with(|| Ok::<_, std::io::Error>(vec![b'x'; 1 << 14]));
            status(200).body(Body::from_stream(endless)).unwrap()
        }
    }
}

/// A secret in a file.
pub fn secret(folder: &Path, name: &str, content: &str) -> Credential {
    let path = folder.join(name);
    fs::write(&path, content).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    Credential::File(path.to_str().unwrap().to_owned())
}

/// A receiver of signed messages at `url`, of everything.
pub fn webhook(folder: &Path, name: &str, url: &str) -> Notify {
    let url = secret(folder, &format!("{name}.url"), url);
    let key = secret(folder, &format!("{name}.key"), "a key that nobody guesses");
    let receiver = Receiver::Webhook { url, secret: key };
    Notify { name: name.to_owned(), routing: Routing::default(), receiver, ca: None }
}

/// A channel of a chat at `url`.
pub fn chat(folder: &Path, chat: Chat, url: &str) -> Notify {
    let name = format!("{chat:?}").to_lowercase();
    let url = secret(folder, &name, url);
    Notify { name, routing: Routing::default(), receiver: Receiver::Chat { chat, url }, ca: None }
}

/// A pace for tests: tries follow each other at once.
pub fn pace() -> Pace {
    Pace {
        timeout: Duration::from_secs(5),
        first: Duration::from_millis(20),
        most: Duration::from_millis(100),
        give_up: Duration::from_secs(60),
        settle: Duration::ZERO,
    }
}

/// A ledger with an outbox for some receivers.
pub struct Office {
    pub ledger: Arc<Ledger>,
    pub outbox: Arc<Outbox>,
    _folder: TempDir,
    running: Vec<AbortHandle>,
}

impl Office {
    pub fn new(receivers: impl FnOnce(&Path) -> Vec<Notify>) -> Self {
        Self::with_clock(receivers, Arc::new(HostClock))
    }

    pub fn with_clock(receivers: impl FnOnce(&Path) -> Vec<Notify>, clock: Arc<dyn Clock>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(&folder.path().join("ledger.db")).unwrap();
        Self::over(ledger, folder, receivers, clock)
    }

    /// One over some ledger.
    pub fn over(
        ledger: Ledger,
        folder: TempDir,
        receivers: impl FnOnce(&Path) -> Vec<Notify>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let ledger = Arc::new(ledger);
        let receivers = receivers(folder.path());
        let outbox = Outbox::new(Arc::clone(&ledger), "web-1", receivers, clock);
        Self { ledger, outbox, _folder: folder, running: Vec::new() }
    }

    /// Writes a message into the outbox, for everybody.
    pub fn write(&self, key: &str, message: &Message) {
        let text = serde_json::to_string(message).unwrap();
        for one in self.outbox.receivers().iter() {
            let due = message.at;
            let post = Post { receiver: &one.name, key, topic: None, unless: None, message: &text, due };
            self.ledger.post(&[post], message.at).unwrap();
        }
    }

    /// Begins to send what is in the outbox.
    pub fn open(&mut self, pace: Pace) {
        let sending = tokio::spawn(deliver(Arc::clone(&self.outbox), pace, CancellationToken::new()));
        self.running.push(sending.abort_handle());
    }

    /// Ends the sending in the middle of whatever it does.
    pub fn die(&mut self) {
        self.running.drain(..).for_each(|sending| sending.abort());
    }

    /// Waits until everything was sent or dropped.
    pub async fn is_empty(&self) {
        let all_done = || {
            let receivers = self.outbox.receivers();
            let mut names = receivers.iter().map(|one| one.name.as_str());
            names.all(|name| self.ledger.next_post(name, Timestamp::MAX).unwrap().is_none())
        };
        let waiting = async {
            while !all_done() {
                time::sleep(Duration::from_millis(5)).await;
            }
        };
        time::timeout(DEADLINE, waiting).await.expect("something was never sent");
    }
}

impl Drop for Office {
    fn drop(&mut self) {
        self.die();
    }
}

/// A message of some event, now.
pub fn message(event: Event) -> Message {
    Message::of(event, "web-1", Timestamp::now())
}
