//! `x-evenkeel.gate.http`: a request, and how it must be answered.

use std::collections::BTreeMap;

use super::super::super::keys;
use super::super::super::node::{Map, Node, Value};
use super::super::super::problem::{Problem, Problems};
use super::super::super::read;
use super::super::Context;
use super::time;
use crate::model::desired::{HttpProbe, Method, Statuses};
use crate::model::text::Text;

/// Most redirects that can be followed.
const REDIRECTS_MAX: u8 = 10;

/// Headers that belong to the connection, which is the agent's own.
const OF_THE_CONNECTION: [&str; 8] =
    ["connection", "content-length", "expect", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"];

/// Reads a request.
pub(super) fn read(cx: &mut Context<'_>, node: &Node) -> Option<HttpProbe> {
    let map = read::checked_map(cx.problems, node, &keys::HTTP_GATE)?;
    let Some(url_node) = map.get("url") else {
        cx.note(Problem::error("bad-gate", node.span, "an HTTP gate needs a `url`").hint(URL));
        return None;
    };
    let found = read::marked(cx.problems, url_node)?;
    let (port, path) = match url(found.expose()) {
        Ok(parts) => parts,
        Err((message, hint)) => {
            cx.note(Problem::error("bad-gate", url_node.span, message).hint(hint));
            return None;
        }
    };
    let method = cx.optional(map, "method", |problems, node| read::word(problems, node, &Method::WORDS));
    let method = method.unwrap_or_default();
    let json = fields(cx, map);
    if let (Method::Head, Some(entry)) = (method, map.entry("json").filter(|_| !json.is_empty())) {
        let message = "the answer to `HEAD` has no body, so it can't be asked for `json`";
        cx.note(Problem::error("bad-gate", entry.key.span, message).hint("use `method: GET`"));
    }
    Some(HttpProbe {
        port,
        path: Text::new(path, found.is_sensitive()),
        method,
        headers: headers(cx, map, "headers"),
        status: statuses(cx, map),
        expect_headers: headers(cx, map, "expect_headers"),
        json,
        redirects: cx.optional(map, "redirects", redirects).unwrap_or_default(),
        within: time(cx, map, "within"),
    })
}

const STATUS: &str = "a status is a number from 100 to 599, a range as in `200-204`, or a class as in `2xx`";

fn statuses(cx: &mut Context<'_>, map: &Map) -> Vec<Statuses> {
    let mut statuses = Vec::new();
    for node in super::several(map, "status") {
        let Some(found) = read::scalar(cx.problems, node, "an HTTP status") else { continue };
        match found.text.parse() {
            Ok(status) => statuses.push(status),
            Err(()) => cx.note(Problem::error("bad-gate", node.span, STATUS)),
        }
    }
    if statuses.is_empty() { vec![Statuses::OK] } else { statuses }
}

fn redirects(problems: &mut Problems, node: &Node) -> Option<u8> {
    let number: u8 = read::integer(problems, node, "a number of redirects")?;
    if number > REDIRECTS_MAX {
        let message = format!("at most {REDIRECTS_MAX} redirects are followed");
        problems.add(Problem::error("bad-gate", node.span, message));
        return None;
    }
    Some(number)
}

/// The fields that the body must have.
fn fields(cx: &mut Context<'_>, map: &Map) -> BTreeMap<String, Text> {
    let mut json = BTreeMap::new();
    let Some(fields) = map.get("json").and_then(|node| read::map(cx.problems, node)) else { return json };
    for entry in &fields.entries {
        if let Some(text) = read::textual(cx.problems, &entry.value) {
            json.insert(entry.key.text.clone(), text);
        }
    }
    json
}

/// Headers by their names in lower case.
fn headers(cx: &mut Context<'_>, map: &Map, key: &str) -> BTreeMap<String, Text> {
    let mut headers = BTreeMap::new();
    let Some(node) = map.get(key).filter(|node| !matches!(node.value, Value::Null)) else { return headers };
    let Some(found) = read::map(cx.problems, node) else { return headers };
    for entry in &found.entries {
        let name = entry.key.text.to_ascii_lowercase();
        let mut refuse = |span, message: String| cx.note(Problem::error("bad-header", span, message));
        if !is_token(&name) {
            refuse(entry.key.span, format!("`{}` is no name of a header", entry.key.text));
            continue;
        }
        if key == "headers" && OF_THE_CONNECTION.contains(&name.as_str()) {
            refuse(entry.key.span, format!("the header `{name}` is for the agent to send"));
            continue;
        }
        if headers.contains_key(&name) {
            refuse(entry.key.span, format!("the header `{name}` is there twice"));
            continue;
        }
        let Some(value) = read::textual(cx.problems, &entry.value) else { continue };
        if value.expose().chars().any(|c| !matches!(c, ' '..='~')) || value.expose() != value.expose().trim()
        {
            let message = "the value of a header is printable ASCII, with no space around it";
            cx.note(Problem::error("bad-header", entry.value.span, message));
            continue;
        }
        headers.insert(name, value);
    }
    headers
}

fn is_token(name: &str) -> bool {
    let is_of_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(is_of_token)
}

const URL: &str = "as in `http://localhost:8000/health`: the host is the container itself";

const NO_TLS: &str = "the way to the container never leaves the host, and its certificate is not made for `localhost`: ask a port \
     without TLS, `tcp`, or a client in the container by `exec`";

/// The port and the path of a URL of the container itself; else what is wrong with it, and a hint.
fn url(text: &str) -> Result<(u16, String), (&'static str, &'static str)> {
    if text.starts_with("https://") {
        return Err(("a gate does not speak TLS", NO_TLS));
    }
    let wrong = |message| (message, URL);
    let rest = text.strip_prefix("http://").ok_or(wrong("the URL of a gate begins with `http://`"))?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let (host, port) = authority.split_once(':').unwrap_or((authority, "80"));
    if host != "localhost" {
        return Err(wrong("the host of a gate's URL is `localhost`, the container itself"));
    }
    let port = port.parse().ok().filter(|port| *port > 0);
    let port = port.ok_or(wrong("the URL of a gate has no valid port"))?;
    if path.chars().any(|c| !matches!(c, '!'..='~') || matches!(c, '#' | '"' | '<' | '>' | '\\' | '^' | '`'))
    {
        return Err(wrong("the path of a gate's URL has a character that it can't have"));
    }
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    Ok((port, path))
}

#[cfg(test)]
mod tests {
    use super::*;

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
            "http://localhost/ä",
            "http://localhost/#a",
        ] {
            assert!(url(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_header_has_a_name_of_a_token() {
        assert!(is_token("x-api-key") && is_token("host"));
        for name in ["", "a b", "a:", "ä", "a\n"] {
            assert!(!is_token(name), "{name}");
        }
    }
}
