//! What others send that is wrong, or means harm: each with its one answer.

use std::time::Duration;

use evenkeel::serve::Limits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;

use super::rig::{Answer, Door, answered, bearer, generous, request};

const SYNC: &str = "POST /v1/stacks/shop/sync";

#[tokio::test]
async fn a_token_in_the_address_is_refused_and_told_to_nobody() {
    let door = Door::open();
    for path in ["?token=ek_operate", "?access_token=ek_operate", "?ek_operate", "?a=b&token=ek_operate"] {
        let answer = door.ask(&format!("{SYNC}{path}"), &[], "{}").await;
        assert_eq!(answer.status, 400, "{path}");
        assert!(
            !answer.body.contains("ek_operate") && answer.body.contains("should be changed"),
            "{answer:?}"
        );
        assert_eq!(door.ask(&format!("GET /v1/stacks{path}"), &[], "").await.status, 400);
    }
    assert!(!format!("{:?}", door.audited()).contains("ek_"), "{:?}", door.audited());
}

#[tokio::test]
async fn who_may_only_look_is_refused_and_noted() {
    let door = Door::open();
    for (order, body) in [("sync", "{}"), ("rollback", "{\"to\": \"3f9c1e2\"}"), ("approve", "{}")] {
        let line = format!("POST /v1/stacks/shop/{order}");
        let answer = door.ask(&line, &[&bearer("read")], body).await;
        assert_eq!((answer.status, answer.json()["code"].as_str()), (403, Some("role")));
        let entry = door.audited().remove(0);
        assert_eq!((entry.actor.as_str(), entry.what.as_str()), ("token read", order));
        assert_eq!(entry.stack.as_deref(), Some("shop"));
        assert_eq!(entry.answer, "refused: this token may only look");
    }
}

#[tokio::test]
async fn a_flood_of_refused_requests_is_no_flood_of_notes() {
    let door = Door::open();
    for _ in 0..150 {
        assert_eq!(door.ask(SYNC, &[], "{}").await.status, 401);
    }
    let noted = door.audited().len();
    assert!((60..140).contains(&noted), "{noted}");
}

#[tokio::test]
async fn a_page_in_a_browser_can_change_nothing() {
    let door = Door::open();
    for headers in [
        &["Origin: https://evil.example.com", "Cookie: token=ek_operate"][..],
        &["Sec-Fetch-Site: cross-site", "Authorization: Bearer ek_operate"],
        &["Origin: null", "Authorization: Bearer ek_operate"],
    ] {
        let answer = door.ask(SYNC, headers, "{}").await;
        assert_eq!((answer.status, answer.json()["code"].as_str()), (403, Some("from-a-page")));
    }
    let page = door.ask("GET /", &[], "").await;
    let policy = "content-security-policy: default-src 'none'; style-src 'self'; base-uri 'none'; form-action \
                  'none'; frame-ancestors 'none'";
    for header in
        [policy, "x-content-type-options: nosniff", "x-frame-options: deny", "cache-control: no-store"]
    {
        assert!(page.head.contains(header), "{header}: {page:?}");
    }
    assert!(page.body.contains("&lt;b&gt;somebody&lt;/b&gt; must approve"), "{page:?}");
    // A name that was made to point here is not this host.
    assert_eq!(door.ask("GET /v1/stacks", &["Host: rebound.example.com"], "").await.status, 401);
}

#[tokio::test]
async fn there_is_one_way_to_write_an_address() {
    let door = Door::open();
    for path in [
        "/v1/../v1/stacks",
        "/v1/stacks/shop/../../audit",
        "/v1/stacks/%2e%2e/audit",
        "/v1/stacks/sh%6fp",
        "//v1/stacks",
        "/v1//stacks",
        "/v1/stacks;a=b",
        "/v1/stacks/shop%00",
        "http://elsewhere.example.com/v1/stacks",
    ] {
        let answer = door.ask(&format!("GET {path}"), &[&bearer("operate")], "").await;
        assert_eq!(answer.status, 400, "{path}: {answer:?}");
    }
    for path in ["/v1/stacks/", "/V1/stacks", "/v1", "/admin", "/v1/stacks/shop/delete", "/v1/stacks/SHOP"] {
        let answer = door.ask(&format!("GET {path}"), &[&bearer("operate")], "").await;
        assert_eq!(answer.status, 404, "{path}: {answer:?}");
    }
    for line in ["POST /v1/stacks", "DELETE /v1/stacks/shop", "GET /v1/stacks/shop/sync", "TRACE /healthz"] {
        assert_eq!(door.ask(line, &[&bearer("operate")], "").await.status, 405, "{line}");
    }
}

/// All that a connection gives back for these bytes, until it ends.
async fn everything(door: &Door, bytes: &str) -> String {
    let mut stream = door.connect().await;
    stream.write_all(bytes.as_bytes()).await.unwrap();
    let mut text = String::new();
    let _ = stream.read_to_string(&mut text).await;
    text
}

#[tokio::test]
async fn no_second_request_hides_in_the_first() {
    let door = Door::open();
    let hidden = "0\r\n\r\nGET /v1/stacks HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let length = format!("Content-Length: {}", hidden.len());
    let chunked = "Transfer-Encoding: chunked";
    for (first, second) in [(length.as_str(), chunked), (chunked, length.as_str())] {
        let head = format!(
            "POST /v1/stacks/shop/resume HTTP/1.1\r\nHost: localhost\r\n{}\r\n{first}\r\n{second}\r\n\r\n",
            bearer("operate")
        );
        let text = everything(&door, &(head + hidden)).await;
        assert_eq!(text.matches("HTTP/1.1 ").count(), 1, "{text}");
        assert!(!text.contains("repository"), "{text}");
    }
    for head in ["Content-Length: 3\r\nContent-Length: 4", "Content-Length: +3", "Transfer-Encoding: gzip"] {
        let text = everything(&door, &format!("POST /v1/x HTTP/1.1\r\nHost: a\r\n{head}\r\n\r\nabcd")).await;
        assert!(text.starts_with("HTTP/1.1 400") && text.matches("HTTP/1.1 ").count() == 1, "{head}: {text}");
    }
    let long = format!("GET / HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n", "x".repeat(20_000));
    assert!(everything(&door, &long).await.starts_with("HTTP/1.1 431"));
}

#[tokio::test]
async fn a_body_says_what_is_wanted_and_nothing_else() {
    let door = Door::open();
    let token = bearer("operate");
    let send = async |order: &str, body: &str| -> Answer {
        door.ask(&format!("POST /v1/stacks/shop/{order}"), &[&token], body).await
    };
    let deep = "[".repeat(100_000);
    for (order, body, status) in [
        ("sync", "", 202),
        ("sync", "{}", 202),
        ("sync", "{\"force\": true}", 400),
        ("sync", "[]", 400),
        ("sync", "{} {}", 400),
        ("sync", "{", 400),
        ("pause", deep.get(..60_000).unwrap(), 400),
        ("pause", &deep, 413),
        ("pause", "{\"reason\": \"x\"}", 422),
        ("pause", "{\"for\": \"1h\", \"until\": \"2999-01-01T00:00:00Z\", \"reason\": \"x\"}", 422),
        ("pause", "{\"for\": \"soon\", \"reason\": \"x\"}", 422),
        ("pause", "{\"for\": \"-1h\", \"reason\": \"x\"}", 422),
        ("pause", "{\"for\": \"800h\", \"reason\": \"x\"}", 422),
        ("pause", "{\"for\": \"99999999999h\", \"reason\": \"x\"}", 422),
        ("pause", "{\"for\": \"1h\", \"reason\": \" \"}", 422),
        ("pause", "{\"for\": \"1h\", \"reason\": \"a\\u001b[31mb\"}", 422),
        ("pause", "{\"for\": \"1h\"}", 400),
        ("pause", "{\"for\": 3600, \"reason\": \"x\"}", 400),
        ("pause", "{\"for\": \"1h\", \"for\": \"2h\", \"reason\": \"x\"}", 400),
        ("rollback", "{\"to\": \"--upload-pack=x\"}", 422),
        ("rollback", "{\"to\": \"HEAD\"}", 422),
        ("rollback", "{}", 400),
        ("approve", "{\"plan\": \"ffffff\"}", 409),
        ("approve", "{\"plan\": \"<b>\"}", 422),
    ] {
        let answer = send(order, body).await;
        let start: String = body.chars().take(60).collect();
        assert_eq!(answer.status, status, "{order} {start}: {answer:?}");
    }
    // Nothing is recorded for what was refused.
    assert_eq!(door.desk.ledger().orders(&"shop".parse().unwrap()).unwrap().pause, None);
    assert_eq!(send("pause", "{\"for\": \"2h\", \"reason\": \"a migration\"}").await.status, 202);
    let orders = door.desk.ledger().orders(&"shop".parse().unwrap()).unwrap();
    let pause = orders.pause.unwrap();
    assert_eq!((pause.by.as_str(), pause.reason.as_str()), ("token operate", "a migration"));
    let form =
        request(SYNC, &[&token], "a=b").replace("application/json", "application/x-www-form-urlencoded");
    assert_eq!(door.raw(form).await.status, 400);
}

#[tokio::test]
async fn thousands_that_say_nothing_shut_nobody_out() {
    const SEATS: usize = 16;
    let door = Door::with(Limits { connections: SEATS, ..generous() });
    let mut slow = Vec::new();
    for number in 0..SEATS * 20 {
        let mut stream = door.connect().await;
        let _ = stream.write_all(b"GET /v1/stacks HTTP/1.1\r\nX: ").await;
        slow.push(stream);
        if number % 50 == 49 {
            let asked = Instant::now();
            assert_eq!(door.ask("GET /v1/stacks", &[], "").await.status, 200);
            assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
        }
    }
    // Those that gave up their seat know.
    let mut text = String::new();
    let read = tokio::time::timeout(Duration::from_secs(10), slow[0].read_to_string(&mut text)).await;
    assert!(read.is_ok() && text.is_empty(), "{text}");
}

#[tokio::test]
async fn who_takes_too_long_is_not_waited_for() {
    let short = Duration::from_millis(200);
    let door = Door::with(Limits { head: short, body: short, ..generous() });
    let mut head = door.connect().await;
    head.write_all(b"GET /healthz HTTP/1.1\r\n").await.unwrap();
    let mut text = String::new();
    let ended = tokio::time::timeout(Duration::from_secs(10), head.read_to_string(&mut text)).await;
    assert!(ended.is_ok(), "a head without an end");
    let mut idle = door.connect().await;
    idle.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    assert_eq!(answered(&mut idle).await.status, 200);
    let ended = tokio::time::timeout(Duration::from_secs(10), idle.read_to_string(&mut text)).await;
    assert!(ended.is_ok(), "a connection that is kept and not used");
    let half = request(SYNC, &[&bearer("operate")], "{}").replace("Content-Length: 2", "Content-Length: 9");
    assert_eq!(door.raw(half).await.status, 408);
}

#[tokio::test]
async fn who_asks_too_often_waits_and_the_operator_does_not() {
    let door = Door::with(Limits::default());
    let mut statuses = Vec::new();
    for _ in 0..400 {
        statuses.push(door.ask("GET /healthz", &[], "").await.status);
    }
    let refused = statuses.iter().filter(|status| **status == 429).count();
    assert!(refused > 0 && statuses[..200].iter().all(|status| *status == 200), "{refused}");
    assert_eq!(door.ask_by_socket("GET /healthz", "").await.status, 200);
}
