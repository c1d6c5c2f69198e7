//! Who may what: every address × every kind of caller. An address that is in the code and not in this table fails.

use std::collections::BTreeSet;

use evenkeel::serve::ROUTES;
use hmac::{Hmac, Mac};
use sha2::Sha256;

use super::rig::{Door, SECRET, WAITING, bearer};

/// The callers, in the order of the columns below.
const CALLERS: [&str; 11] = [
    "stranger",
    "here",
    "wrong",
    "expired",
    "read",
    "operate",
    "read-shop",
    "operate-shop",
    "read-blog",
    "operate-blog",
    "socket",
];

#[rustfmt::skip]
const TABLE: [(&str, [u16; 11]); 19] = [
    //                                    stranger here wrong expired | all: read operate | shop: read operate | blog: read operate | socket
    ("GET /healthz",                       [200, 200, 200, 200,  200, 200,  200, 200,  200, 200,  200]),
    ("GET /readyz",                        [200, 200, 200, 200,  200, 200,  200, 200,  200, 200,  200]),
    ("GET /metrics",                       [401, 200, 401, 401,  200, 200,  403, 403,  403, 403,  200]),
    ("GET /",                              [401, 200, 401, 401,  200, 200,  200, 200,  200, 200,  200]),
    ("GET /style.css",                     [401, 200, 401, 401,  200, 200,  200, 200,  200, 200,  200]),
    ("GET /v1/openapi.json",               [401, 200, 401, 401,  200, 200,  200, 200,  200, 200,  200]),
    ("GET /v1/stacks",                     [401, 200, 401, 401,  200, 200,  200, 200,  200, 200,  200]),
    ("GET /v1/stacks/{stack}",             [401, 200, 401, 401,  200, 200,  200, 200,  404, 404,  200]),
    ("GET /v1/stacks/{stack}/plan",        [401, 200, 401, 401,  200, 200,  200, 200,  404, 404,  200]),
    ("GET /v1/stacks/{stack}/history",     [401, 200, 401, 401,  200, 200,  200, 200,  404, 404,  200]),
    ("GET /v1/stacks/{stack}/events",      [401, 200, 401, 401,  200, 200,  200, 200,  404, 404,  200]),
    ("POST /v1/stacks/{stack}/sync",       [401, 401, 401, 401,  403, 202,  403, 202,  403, 404,  202]),
    ("POST /v1/stacks/{stack}/pause",      [401, 401, 401, 401,  403, 202,  403, 202,  403, 404,  202]),
    ("POST /v1/stacks/{stack}/resume",     [401, 401, 401, 401,  403, 202,  403, 202,  403, 404,  202]),
    ("POST /v1/stacks/{stack}/rollback",   [401, 401, 401, 401,  403, 202,  403, 202,  403, 404,  202]),
    ("POST /v1/stacks/{stack}/approve",    [401, 401, 401, 401,  403, 202,  403, 202,  403, 404,  202]),
    ("POST /v1/stacks/{stack}/release",    [401, 401, 401, 401,  403, 202,  403, 202,  403, 404,  202]),
    ("GET /v1/audit",                      [401, 200, 401, 401,  200, 200,  200, 200,  200, 200,  200]),
    ("POST /hooks/{hook}",                 [202, 202, 202, 202,  202, 202,  202, 202,  202, 202,  202]),
];

fn body(line: &str) -> String {
    match line.rsplit('/').next().unwrap() {
        "pause" => "{\"for\": \"1h\", \"reason\": \"a test\"}".to_owned(),
        "rollback" => "{\"to\": \"3f9c1e2\"}".to_owned(),
        "approve" => format!("{{\"plan\": \"{WAITING}\"}}"),
        _ if line.starts_with("POST") => "{}".to_owned(),
        _ => String::new(),
    }
}

#[tokio::test]
async fn every_address_asks_who_it_is() {
    let lines: BTreeSet<String> =
        ROUTES.iter().map(|route| format!("{} {}", route.method, route.path)).collect();
    let known: BTreeSet<String> = TABLE.iter().map(|(line, _)| (*line).to_owned()).collect();
    assert_eq!(lines, known, "each address of the code has a line in the table");
    let door = Door::open();
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(b"{}");
    let signature = format!("X-Hub-Signature-256: sha256={}", hex::encode(mac.finalize().into_bytes()));
    let mut wrong = Vec::new();
    for (line, expected) in TABLE {
        let plain = line.replace("{stack}", "shop").replace("{hook}", "forge");
        for (caller, expected) in CALLERS.into_iter().zip(expected) {
            let mut headers = vec![match caller {
                "stranger" => "Host: agent.example.com".to_owned(),
                "here" => "Accept: */*".to_owned(),
                name => bearer(name),
            }];
            if line.contains("{hook}") {
                headers.push(signature.clone());
            }
            let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
            let answer = match caller {
                "socket" if !line.contains("{hook}") => door.ask_by_socket(&plain, &body(line)).await,
                _ => door.ask(&plain, &headers, &body(line)).await,
            };
            if answer.status != expected {
                wrong.push(format!("{line} by {caller}: {} and not {expected}", answer.status));
            }
            if answer.status >= 400 {
                assert!(answer.head.contains("application/problem+json"), "{answer:?}");
                assert!(answer.json()["hint"].is_string(), "{answer:?}");
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // Six orders, each granted three times and refused eight times; of those refused, as many as fit are noted.
    let audited = door.audited();
    let granted = audited.iter().filter(|entry| entry.answer == "granted");
    let actors: Vec<&str> = granted.map(|entry| entry.actor.as_str()).collect();
    assert_eq!(actors.len(), 18, "{actors:?}");
    for actor in ["token operate", "token operate-shop"] {
        assert_eq!(actors.iter().filter(|one| **one == actor).count(), 6, "{actor}");
    }
    assert!(actors.iter().any(|actor| actor.starts_with("uid ")), "{actors:?}");
    assert_eq!(audited.len() - 18, 48);
}

#[tokio::test]
async fn who_sees_some_stacks_sees_nothing_of_the_others() {
    let door = Door::open();
    door.ask("POST /v1/stacks/shop/sync", &[&bearer("operate")], "{}").await;
    door.ask("POST /v1/stacks/blog/sync", &[&bearer("operate")], "{}").await;
    for path in ["/v1/stacks", "/", "/v1/audit"] {
        let answer = door.ask(&format!("GET {path}"), &[&bearer("read-shop")], "").await;
        assert!(answer.body.contains("shop") && !answer.body.contains("blog"), "{path}: {answer:?}");
        let answer = door.ask(&format!("GET {path}"), &[&bearer("read")], "").await;
        assert!(answer.body.contains("shop") && answer.body.contains("blog"), "{path}: {answer:?}");
    }
    // What may not be seen answers to the byte like what isn't there.
    for rest in ["", "/plan", "/history", "/events"] {
        let [hidden, missing] = ["blog", "nothing"].map(|stack| format!("GET /v1/stacks/{stack}{rest}"));
        let token = bearer("read-shop");
        let (hidden, missing) =
            (door.ask(&hidden, &[&token], "").await, door.ask(&missing, &[&token], "").await);
        assert_eq!((hidden.status, &hidden.body), (404, &missing.body));
    }
}
