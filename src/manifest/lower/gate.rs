//! `x-evenkeel.gate`: what must hold before a service counts as up.

use std::collections::BTreeMap;

use super::super::keys;
use super::super::node::Node;
use super::super::problem::{Problem, Problems};
use super::super::read;
use super::Context;
use crate::model::desired::{Expect, Gate, HttpGate};

const PORT: &str = "a port from 1 to 65535";

/// Reads a gate.
pub(super) fn read(cx: &mut Context<'_>, node: &Node) -> Option<Gate> {
    let map = read::checked_map(cx.problems, node, &keys::GATE)?;
    Some(Gate {
        expect: Expect::Running,
        http: map.get("http").and_then(|node| http(cx, node)),
        tcp: cx.optional(map, "tcp", port),
        stable_for: cx.optional(map, "stable_for", read::duration),
        deadline: cx.optional(map, "deadline", read::duration),
    })
}

fn port(problems: &mut Problems, node: &Node) -> Option<u16> {
    let number: u16 = read::integer(problems, node, PORT)?;
    if number == 0 {
        problems.add(Problem::error("bad-port", node.span, format!("{PORT} is wanted here")));
        return None;
    }
    Some(number)
}

fn http(cx: &mut Context<'_>, node: &Node) -> Option<HttpGate> {
    let map = read::checked_map(cx.problems, node, &keys::HTTP_GATE)?;
    let Some(url_node) = map.get("url") else {
        cx.note(Problem::error("bad-gate", node.span, "an HTTP gate needs a `url`").hint(URL));
        return None;
    };
    let found = read::text(cx.problems, url_node)?;
    let (port, path) = match url(&found.text) {
        Ok(parts) => parts,
        Err(message) => {
            cx.note(Problem::error("bad-gate", url_node.span, message).hint(URL));
            return None;
        }
    };
    let status = match map.get("status") {
        Some(node) => {
            let status: u16 = read::integer(cx.problems, node, "an HTTP status")?;
            if !(100..600).contains(&status) {
                cx.note(Problem::error("bad-gate", node.span, "an HTTP status is a number from 100 to 599"));
                return None;
            }
            status
        }
        None => 200,
    };
    let mut json = BTreeMap::new();
    if let Some(fields) = map.get("json").and_then(|node| read::map(cx.problems, node)) {
        for entry in &fields.entries {
            if let Some(text) = read::textual(cx.problems, &entry.value) {
                json.insert(entry.key.text.clone(), text.expose().to_owned());
            }
        }
    }
    Some(HttpGate { port, path, status, json, within: cx.optional(map, "within", read::duration) })
}

const URL: &str = "as in `http://localhost:8000/health`: the host is the container itself";

/// The port and the path of a URL of the container itself.
fn url(text: &str) -> Result<(u16, String), &'static str> {
    let rest = text.strip_prefix("http://").ok_or("the URL of a gate begins with `http://`")?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let (host, port) = authority.split_once(':').unwrap_or((authority, "80"));
    if host != "localhost" {
        return Err("the host of a gate's URL is `localhost`, the container itself");
    }
    let port = port.parse().ok().filter(|port| *port > 0).ok_or("the URL of a gate has no valid port")?;
    if path.contains('#') || path.chars().any(|c| c.is_control() || c == ' ') {
        return Err("the path of a gate's URL has a character that it can't have");
    }
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    Ok((port, path))
}

#[cfg(test)]
mod tests {
    use super::url;

    #[test]
    fn a_url_is_one_of_the_container_itself() {
        assert_eq!(url("http://localhost:8000/health?x=1"), Ok((8000, "/health?x=1".to_owned())));
        assert_eq!(url("http://localhost"), Ok((80, "/".to_owned())));
        assert_eq!(url("http://localhost?x"), Ok((80, "/?x".to_owned())));
        for text in [
            "https://localhost/",
            "http://db/",
            "http://localhost:0/",
            "http://localhost:x/",
            "localhost",
            "http://localhost/a b",
        ] {
            assert!(url(text).is_err(), "{text}");
        }
    }
}
