//! Mail, in a conversation with a server.

use std::net::SocketAddr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use evenkeel::announce::{CommitNote, Event, Message};
use evenkeel::manifest::{Email, EmailTls, Notify, Receiver, Routing};
use jiff::Timestamp;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time;
use tokio_util::task::AbortOnDropHandle;

use super::fakes::{DEADLINE, Office, pace, secret};

/// A mail server that says of each mail what it was told to, and what was said to it.
struct Server {
    address: SocketAddr,
    heard: UnboundedReceiver<Vec<String>>,
    _talks: AbortOnDropHandle<()>,
}

impl Server {
    /// `answers` to whole mails; 250 from then on.
    async fn new(answers: &'static [&'static str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, heard) = unbounded_channel();
        let server = tokio::spawn(async move {
            for number in 0.. {
                let (stream, _) = listener.accept().await.unwrap();
                let answer = answers.get(number).copied().unwrap_or("250 taken");
                talk(stream, answer, &sender).await;
            }
        });
        Self { address, heard, _talks: AbortOnDropHandle::new(server) }
    }

    async fn heard(&mut self) -> Vec<String> {
        time::timeout(DEADLINE, self.heard.recv()).await.expect("no mail came").unwrap()
    }
}

async fn talk(stream: TcpStream, answer: &str, heard: &UnboundedSender<Vec<String>>) {
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read).lines();
    let mut said = Vec::new();
    write.write_all(b"220 mail.test ESMTP\r\n").await.unwrap();
    while let Ok(Some(line)) = lines.next_line().await {
        let reply = match line.split(' ').next().unwrap() {
            "EHLO" => "250-mail.test\r\n250 AUTH PLAIN LOGIN",
            "AUTH" => "235 welcome",
            "DATA" => "354 go on",
            "QUIT" => "221 bye",
            "." => answer,
            "MAIL" | "RCPT" => "250 fine",
            _ => {
                said.push(line);
                continue;
            }
        };
        if line == "." {
            let _ = heard.send(std::mem::take(&mut said));
        } else {
            said.push(line);
        }
        write.write_all(format!("{reply}\r\n").as_bytes()).await.unwrap();
    }
}

fn office(server: &Server) -> Office {
    let port = server.address.port();
    Office::new(|folder| {
        let email = Email {
            server: "127.0.0.1".to_owned(),
            port,
            tls: EmailTls::None,
            login: Some(("ek".to_owned(), secret(folder, "password", "hunter2\n"))),
            from: "ek@example.com".to_owned(),
            to: vec!["ops@example.com".to_owned(), "dev@example.com".to_owned()],
        };
        let receiver = Receiver::Email(email);
        vec![Notify { name: "mail".to_owned(), routing: Routing::default(), receiver, ca: None }]
    })
}

fn degraded() -> Message {
    let commit = CommitNote {
        id: "3f9c1e2a4b5d6f708192a3b4c5d6e7f801234567".to_owned(),
        author: "Ada".to_owned(),
        title: "Raise the limit → 3".to_owned(),
    };
    Message {
        environment: "prod".to_owned(),
        stack: Some("shop-prod".to_owned()),
        commit: Some(commit),
        cause: Some("web is exited (3)".to_owned()),
        ..Message::of(Event::Degraded, "web-1", Timestamp::now())
    }
}

#[tokio::test]
async fn a_mail_is_handed_over() {
    let mut server = Server::new(&[]).await;
    let mut office = office(&server);
    office.write("a", &degraded());
    office.open(pace());
    let said = server.heard().await;
    office.is_empty().await;
    let has = |wanted: &str| assert!(said.iter().any(|line| line == wanted), "no `{wanted}` in {said:#?}");
    has(&format!("AUTH PLAIN {}", STANDARD.encode("\0ek\0hunter2")));
    has("MAIL FROM:<ek@example.com>");
    has("RCPT TO:<ops@example.com>");
    has("RCPT TO:<dev@example.com>");
    has("From: ek@example.com");
    has("To: ops@example.com, dev@example.com");
    has("Subject: [critical] shop-prod on web-1: is not well");
    let end = said.iter().position(String::is_empty).unwrap();
    let body = STANDARD.decode(said[end + 1..].concat()).unwrap();
    let body = String::from_utf8(body).unwrap().replace("\r\n", "\n");
    insta::assert_snapshot!(body, @"
    shop-prod on web-1: is not well

    Cause: web is exited (3)
    Commit: 3f9c1e2 Raise the limit → 3 (Ada)
    Environment: prod
    ");
}

#[tokio::test]
async fn a_mail_server_may_ask_for_patience_or_refuse() {
    let mut server = Server::new(&["451 later", "250 taken", "554 spam"]).await;
    let mut office = office(&server);
    office.write("a", &degraded());
    office.open(pace());
    let first = server.heard().await;
    assert_eq!(server.heard().await, first, "the same mail, with the same id");
    office.is_empty().await;
    office.die();
    office.write("b", &degraded());
    office.open(pace());
    server.heard().await;
    office.is_empty().await;
    assert!(server.heard.try_recv().is_err(), "it was refused for good");
}

#[tokio::test]
async fn a_server_that_can_not_encrypt_gets_no_password() {
    let mut server = Server::new(&[]).await;
    let port = server.address.port();
    let mut office = Office::new(|folder| {
        let email = Email {
            server: "127.0.0.1".to_owned(),
            port,
            tls: EmailTls::Starttls,
            login: Some(("ek".to_owned(), secret(folder, "password", "hunter2"))),
            from: "ek@example.com".to_owned(),
            to: vec!["ops@example.com".to_owned()],
        };
        let receiver = Receiver::Email(email);
        vec![Notify { name: "mail".to_owned(), routing: Routing::default(), receiver, ca: None }]
    });
    office.write("a", &degraded());
    let ledger = Arc::clone(&office.ledger);
    office.open(pace());
    let tried = async {
        while ledger.next_post("mail", Timestamp::MAX).unwrap().is_none_or(|waiting| waiting.tries < 2) {
            time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    time::timeout(DEADLINE, tried).await.unwrap();
    assert!(server.heard.try_recv().is_err());
}
