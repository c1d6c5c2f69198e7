//! What each kind of receiver gets of the same message, whose texts are written by somebody who means no good.

use std::sync::Arc;

use evenkeel::announce::{CommitNote, Event, ImageChange, Message};
use evenkeel::apply::clock::Clock;
use evenkeel::manifest::{Chat, Forge, Notify, Receiver, Routing};
use jiff::Timestamp;

use super::fakes::{Fake, Got, Office, chat, pace, secret, webhook};

struct Then;

impl Clock for Then {
    fn now(&self) -> Timestamp {
        "2026-01-02T03:04:05Z".parse().unwrap()
    }
}

fn hostile() -> Message {
    let text = |text: &str| Some(text.to_owned());
    Message {
        environment: "prod".to_owned(),
        stack: text("shop-prod"),
        commit: Some(CommitNote {
            id: "3f9c1e2a4b5d6f708192a3b4c5d6e7f801234567".to_owned(),
            author: "<@U1> & `Eve`".to_owned(),
            title: "<!channel> @everyone [free](https://evil.example) ```".to_owned(),
        }),
        deploy: text("d-20260102"),
        cause: text("start shop-prod-web-1: it has ended with 3"),
        changes: vec!["replace, stop-first web: image (git)".to_owned()],
        images: vec![ImageChange {
            service: "web".to_owned(),
            before: text("shop/web:1"),
            after: "shop/web:2".to_owned(),
        }],
        took_ms: Some(12_345),
        log: vec!["no such table".to_owned(), "``` @here <https://evil.example|docs>".to_owned()],
        next: text("evenkeel why web"),
        ..Message::of(Event::RolledBack, "web-1", Then.now())
    }
}

/// What came, with the headers that say something.
fn shown(got: &Got) -> String {
    let boring = ["accept", "content-length", "content-type", "host", "user-agent"];
    let is_telling = |name: &str, value: &str| !boring.contains(&name) || name == "accept" && value != "*/*";
    let headers = got.headers.iter().filter(|(name, value)| is_telling(name, value));
    let headers: Vec<_> = headers.map(|(name, value)| format!("{name}: {value}\n")).collect();
    let body: serde_json::Value = serde_json::from_str(&got.body).unwrap();
    assert_eq!(got.header("content-type"), "application/json");
    assert!(got.header("user-agent").starts_with("evenkeel/"));
    format!("POST {}\n{}\n{}", got.path, headers.concat(), serde_json::to_string_pretty(&body).unwrap())
}

/// What a receiver gets of the hostile message.
async fn of(receiver: impl FnOnce(&std::path::Path, &Fake) -> Notify) -> String {
    let mut fake = Fake::new(Vec::new()).await;
    let mut office = Office::with_clock(|folder| vec![receiver(folder, &fake)], Arc::new(Then));
    office.write("a", &hostile());
    office.open(pace());
    let got = fake.got().await;
    office.is_empty().await;
    shown(&got)
}

#[tokio::test]
async fn chats() {
    for kind in [Chat::Slack, Chat::Discord, Chat::Mattermost, Chat::Teams] {
        let got = of(|folder, fake| chat(folder, kind, &fake.url("/services/T0/B0/x"))).await;
        insta::assert_snapshot!(format!("{kind:?}").to_lowercase(), got);
    }
}

#[tokio::test]
async fn a_topic_of_ntfy() {
    let got = of(|folder, fake| {
        let (url, token) = (fake.url("/ops"), Some(secret(folder, "token", "tk_1")));
        let receiver = Receiver::Ntfy { url: secret(folder, "url", &url), token };
        Notify { name: "ntfy".to_owned(), routing: Routing::default(), receiver, ca: None }
    });
    insta::assert_snapshot!("ntfy", got.await);
}

#[tokio::test]
async fn a_signed_message() {
    let got = of(|folder, fake| webhook(folder, "hook", &fake.url("/hook")));
    insta::assert_snapshot!("webhook", got.await);
}

#[tokio::test]
async fn statuses_of_commits() {
    for forge in [Forge::Github, Forge::Gitlab, Forge::Gitea] {
        let got = of(|folder, fake| {
            let (api, repository) = (fake.url("/api"), "acme/infra".to_owned());
            let token = secret(folder, "token", "t0ken");
            let receiver = Receiver::CommitStatus { forge, api, repository, token };
            Notify { name: "forge".to_owned(), routing: Routing::default(), receiver, ca: None }
        });
        insta::assert_snapshot!(format!("{forge:?}").to_lowercase(), got.await);
    }
}
