//! Webhooks: what rings, what doesn't, and what it costs.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use evenkeel::manifest::WebhookKind;
use evenkeel::serve::{HookError, ServeError};
use hmac::{Hmac, Mac};
use jiff::Timestamp;
use sha2::Sha256;
use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::task::AbortOnDropHandle;

use super::rig::{Door, SECRET, asked, request, secret};

/// A push that names other places than those that are followed.
const PUSH: &str =
    "{\"ref\": \"refs/heads/evil\", \"repository\": {\"clone_url\": \"https://evil.example.com/x.git\"}}";

pub fn tag(text: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(text.as_bytes());
    hex::encode(mac.finalize().into_bytes())
}

/// Counts how often a stack is told that there may be something new.
struct Ear {
    heard: Arc<AtomicUsize>,
    _task: AbortOnDropHandle<()>,
}

impl Ear {
    fn at(door: &Door, stack: &str) -> Self {
        let (heard, bell) = (Arc::new(AtomicUsize::new(0)), door.stand(stack).bell);
        let counted = Arc::clone(&heard);
        let task = tokio::spawn(async move {
            loop {
                bell.source.notified().await;
                counted.fetch_add(1, Ordering::Relaxed);
            }
        });
        Self { heard, _task: AbortOnDropHandle::new(task) }
    }

    async fn hears(&self, least: usize) {
        let end = Instant::now() + Duration::from_secs(10);
        while self.heard.load(Ordering::Relaxed) < least {
            assert!(Instant::now() < end, "nothing rang");
            sleep(Duration::from_millis(5)).await;
        }
    }

    fn count(&self) -> usize {
        self.heard.load(Ordering::Relaxed)
    }
}

#[tokio::test]
async fn every_forge_rings_with_its_own_proof() {
    let door = Door::open();
    let now = Timestamp::now().as_second();
    let (hex, script) = (tag(PUSH), tag(&format!("{now}.{PUSH}")));
    for (hook, headers) in [
        ("forge", vec![format!("X-Hub-Signature-256: sha256={hex}")]),
        ("lab", vec![format!("X-Gitlab-Token: {SECRET}")]),
        ("tea", vec![format!("X-Gitea-Signature: {hex}")]),
        ("tea", vec![format!("X-Hub-Signature-256: sha256={hex}")]),
        ("bucket", vec![format!("X-Hub-Signature: sha256={hex}")]),
        (
            "own",
            vec![format!("X-Evenkeel-Timestamp: {now}"), format!("X-Evenkeel-Signature: sha256={script}")],
        ),
    ] {
        let (ear, headers): (_, Vec<&str>) =
            (Ear::at(&door, "shop"), headers.iter().map(String::as_str).collect());
        let (asked, line) = (Instant::now(), format!("POST /hooks/{hook}"));
        let answer = door.ask(&line, &headers, PUSH).await;
        assert_eq!((answer.status, answer.body.as_str()), (202, ""), "{hook} {headers:?}: {answer:?}");
        assert!(asked.elapsed() < Duration::from_secs(2));
        ear.hears(1).await;
    }
    // It is told that there is something new, and nothing else is taken from who tells it.
    assert_eq!(door.stand("shop").board.state().repository, "/srv/shop.git");
    assert!(door.audited().is_empty());
}

#[tokio::test]
async fn gitlab_may_sign_instead() {
    let mut door = Door::open();
    let key = [7; 32];
    let hook = door.webhooks.iter_mut().find(|hook| hook.kind == WebhookKind::Gitlab).unwrap();
    hook.secret = secret(door.folder.path(), "signing", &format!("whsec_{}", STANDARD.encode(key)));
    door.configure().unwrap();
    let ear = Ear::at(&door, "shop");
    let now = Timestamp::now().as_second();
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
    mac.update(format!("msg_1.{now}.{PUSH}").as_bytes());
    let signature = format!("webhook-signature: v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
    let headers = [format!("webhook-timestamp: {now}"), "webhook-id: msg_1".to_owned(), signature];
    let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
    assert_eq!(door.ask("POST /hooks/lab", &headers, PUSH).await.status, 202);
    ear.hears(1).await;
    assert_eq!(door.ask("POST /hooks/lab", &headers, "other").await.status, 401);
    assert_eq!(door.ask("POST /hooks/lab", &[&format!("X-Gitlab-Token: {SECRET}")], PUSH).await.status, 401);
}

#[tokio::test]
async fn what_proves_nothing_rings_nothing_and_learns_nothing() {
    let door = Door::open();
    let ear = Ear::at(&door, "shop");
    let right = format!("X-Hub-Signature-256: sha256={}", tag(PUSH));
    let other = format!("X-Hub-Signature-256: sha256={}", tag("other"));
    let of_another_secret = right.replace(&right[28..40], "000000000000");
    let mut bodies = Vec::new();
    for (hook, headers) in [
        ("forge", vec![]),
        ("forge", vec![other.as_str()]),
        ("forge", vec![of_another_secret.as_str()]),
        ("forge", vec!["X-Hub-Signature: sha1=7d38cdd689735b008b3c702edd92eea23791c5f6"]),
        ("forge", vec!["X-Hub-Signature-256: sha1=7d38cdd689735b008b3c702edd92eea23791c5f6"]),
        ("forge", vec!["X-Hub-Signature-256: sha256="]),
        ("forge", vec!["X-Hub-Signature-256: "]),
        ("forge", vec!["X-Gitlab-Token: 0123456789abcdef0123456789abcdef"]),
        ("lab", vec!["X-Gitlab-Token: wrong"]),
        ("own", vec![right.as_str()]),
        ("nobody", vec![right.as_str()]),
    ] {
        let answer = door.ask(&format!("POST /hooks/{hook}"), &headers, PUSH).await;
        assert_eq!(answer.status, 401, "{hook} {headers:?}: {answer:?}");
        bodies.push(answer.body);
    }
    let upper = right.to_uppercase().replace("X-HUB-SIGNATURE-256: SHA256=", "X-Hub-Signature-256: sha256=");
    bodies.push(door.ask("POST /hooks/forge", &[&upper], PUSH).await.body);
    bodies.dedup();
    assert_eq!(bodies.len(), 1, "{bodies:?}");
    assert_eq!(ear.count(), 0);
}

#[tokio::test]
async fn a_hook_of_one_repository_rings_for_that_one() {
    let door = Door::open();
    let (shop, blog) = (Ear::at(&door, "shop"), Ear::at(&door, "blog"));
    let signature = format!("X-Hub-Signature-256: sha256={}", tag(PUSH));
    assert_eq!(door.ask("POST /hooks/of-shop", &[&signature], PUSH).await.status, 202);
    shop.hears(1).await;
    assert_eq!((shop.count(), blog.count()), (1, 0));
    assert_eq!(door.ask("POST /hooks/forge", &[&signature], PUSH).await.status, 202);
    blog.hears(1).await;
}

#[tokio::test]
async fn a_delivery_that_comes_again_rings_once() {
    let door = Door::open();
    let ear = Ear::at(&door, "shop");
    let signature = format!("X-Hub-Signature-256: sha256={}", tag(PUSH));
    let started = Instant::now();
    for _ in 0..300 {
        let headers = [signature.as_str(), "X-GitHub-Delivery: 1"];
        assert_eq!(door.ask("POST /hooks/forge", &headers, PUSH).await.status, 202);
    }
    ear.hears(1).await;
    // Deliveries that differ only in their id, which isn't signed, ring once a second.
    for number in 2..300 {
        let delivery = format!("X-GitHub-Delivery: {number}");
        assert_eq!(door.ask("POST /hooks/forge", &[&signature, &delivery], PUSH).await.status, 202);
    }
    let most = usize::try_from(started.elapsed().as_secs()).unwrap() + 1;
    assert!(ear.count() <= most, "{} and not {most} at most", ear.count());
    ear.hears(2).await;
}

#[tokio::test]
async fn a_body_is_read_up_to_a_mebibyte_and_never_understood() {
    let door = Door::open();
    let ear = Ear::at(&door, "shop");
    let deep = "[".repeat(100_000);
    for body in [deep.as_str(), "{\"repository\": 7}", "\u{0}", "", &"x".repeat(1 << 20)] {
        let signature = format!("X-Hub-Signature-256: sha256={}", tag(body));
        let answer = door.ask("POST /hooks/forge", &[&signature], body).await;
        assert_eq!(answer.status, 202, "{}: {answer:?}", body.len());
    }
    ear.hears(1).await;
    let signature = format!("X-Hub-Signature-256: sha256={}", tag("x"));
    let long = "x".repeat((1 << 20) + 1);
    assert_eq!(door.ask("POST /hooks/forge", &[&signature], &long).await.status, 413);
}

#[tokio::test]
async fn a_body_without_end_is_cut() {
    let door = Door::open();
    let head = format!(
        "POST /hooks/forge HTTP/1.1\r\nHost: localhost\r\nX-Hub-Signature-256: sha256={}\r\nTransfer-Encoding: \
         chunked\r\n\r\n",
        tag("x")
    );
    let (mut read, mut write) = door.connect().await.into_split();
    let sends = tokio::spawn(async move {
        write.write_all(head.as_bytes()).await.unwrap();
        let chunk =
            [format!("{:x}\r\n", 64 << 10).into_bytes(), vec![b'x'; 64 << 10], b"\r\n".to_vec()].concat();
        let mut sent = 0_u64;
        while write.write_all(&chunk).await.is_ok() {
            sent += 64;
        }
        sent
    });
    let answer = super::rig::answered(&mut read).await;
    assert_eq!(answer.status, 413, "{answer:?}");
    let sent = timeout(Duration::from_secs(10), sends).await.expect("it reads on").unwrap();
    assert!(sent < 32 << 10, "{sent} KiB were taken");
}

#[tokio::test]
async fn a_secret_that_is_none_is_refused_at_the_start() {
    let mut door = Door::open();
    for (content, words) in [("short", "is shorter than 32 bytes"), ("\n", "is empty")] {
        door.webhooks[0].secret = secret(door.folder.path(), "weak", content);
        let error = door.configure().unwrap_err();
        let told = format!("{:#}", anyhow::Error::new(error));
        assert!(told.contains("`forge`") && told.contains(words) && !told.contains("short\""), "{told}");
    }
    door.webhooks[0].secret = evenkeel::manifest::Credential::File("/nowhere/hook".to_owned());
    let error = door.configure().unwrap_err();
    assert!(matches!(error, ServeError::Hook(HookError::Credential { .. })), "{error}");
    // What was there before is still in use.
    let signature = format!("X-Hub-Signature-256: sha256={}", tag(PUSH));
    assert_eq!(door.ask("POST /hooks/forge", &[&signature], PUSH).await.status, 202);
}

#[tokio::test]
async fn only_so_many_bodies_are_read_at_once() {
    let limits = evenkeel::serve::Limits { bodies: 1, ..super::rig::generous() };
    let door = Door::with(limits);
    let signature = format!("X-Hub-Signature-256: sha256={}", tag(PUSH));
    let whole = request("POST /hooks/forge", &[&signature], PUSH);
    let (first, rest) = whole.split_at(whole.len() - 5);
    let mut slow = door.connect().await;
    slow.write_all(first.as_bytes()).await.unwrap();
    let end = Instant::now() + Duration::from_secs(10);
    loop {
        let answer = door.raw(&whole).await;
        if answer.status == 503 {
            assert!(answer.head.contains("retry-after: 1"), "{answer:?}");
            break;
        }
        assert!(Instant::now() < end, "{answer:?}");
    }
    assert_eq!(asked(slow, rest.as_bytes()).await.status, 202);
}
