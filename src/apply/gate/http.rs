//! What an HTTP probe asks, and whether the answer is as wanted. Pure.
//!
//! What comes back is hostile: it is shown in part only, on one line, and no redirect leads away from the container.

use std::collections::BTreeMap;

use serde_json::Value;

use super::probe::{Body, HttpAnswer, HttpRequest};
use crate::engine::clean::clean;
use crate::model::desired::HttpProbe;
use crate::model::text::Text;

/// Most characters of an answer that an error repeats.
const CHARS_SHOWN: usize = 80;

/// What a probe asks first.
pub(super) fn request(probe: &HttpProbe) -> HttpRequest {
    let mut headers: BTreeMap<String, String> = [("user-agent".to_owned(), "evenkeel".to_owned())].into();
    let host = if probe.port == 80 { "localhost".to_owned() } else { format!("localhost:{}", probe.port) };
    headers.insert("host".to_owned(), host);
    let own = probe.headers.iter().map(|(name, value)| (name.clone(), value.expose().to_owned()));
    headers.extend(own);
    HttpRequest { method: probe.method, path: probe.path.expose().to_owned(), headers }
}

/// Where the answer to `request` leads, if it is a redirect.
///
/// # Errors
/// It leads to another host, or nowhere.
pub(super) fn redirect(request: &HttpRequest, answer: &HttpAnswer) -> Result<Option<String>, String> {
    if !matches!(answer.status, 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let Some(location) = answer.header("location").next() else { return Ok(None) };
    let location = location.split('#').next().unwrap_or_default();
    if !location.chars().all(|c| matches!(c, '!'..='~')) {
        return Err("redirected to no address".to_owned());
    }
    let elsewhere = |host: &str| Err(format!("redirected to another host, `{}`", shown(host)));
    let path = match (location.split_once("://"), location.strip_prefix("//")) {
        (Some((scheme, rest)), _) if scheme.bytes().all(|byte| byte.is_ascii_alphanumeric()) => {
            let (host, path) = split(rest);
            if scheme != "http" || !is_same(request, host) {
                return elsewhere(&format!("{scheme}://{host}"));
            }
            path.to_owned()
        }
        (_, Some(rest)) => {
            let (host, path) = split(rest);
            if !is_same(request, host) {
                return elsewhere(host);
            }
            path.to_owned()
        }
        _ if location.starts_with('/') => location.to_owned(),
        _ => relative(&request.path, location),
    };
    Ok(Some(if path.starts_with('/') { path } else { format!("/{path}") }))
}

fn split(rest: &str) -> (&str, &str) {
    rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()))
}

/// Whether `host` is who was asked.
fn is_same(request: &HttpRequest, host: &str) -> bool {
    let bare = |host: &str| host.strip_suffix(":80").unwrap_or(host).to_ascii_lowercase();
    request.headers.get("host").is_some_and(|asked| bare(asked) == bare(host))
}

fn relative(from: &str, location: &str) -> String {
    let path = from.split('?').next().unwrap_or_default();
    let folder = path.rfind('/').map_or("/", |at| &path[..=at]);
    if location.starts_with('?') { format!("{path}{location}") } else { format!("{folder}{location}") }
}

/// Whether `answer` is what `probe` wants; else what is wrong with it.
///
/// A field of the JSON body is compared as text: a string by its characters, all else in its compact form.
pub(super) fn check(probe: &HttpProbe, answer: &HttpAnswer) -> Result<(), String> {
    if !probe.status.iter().any(|status| status.has(answer.status)) {
        let wanted: Vec<String> = probe.status.iter().map(ToString::to_string).collect();
        return Err(format!("status {}, not {}", answer.status, wanted.join(" or ")));
    }
    for (name, wanted) in &probe.expect_headers {
        let found: Vec<&str> = answer.header(name).collect();
        match found.last() {
            None => return Err(format!("the answer has no header `{name}`")),
            Some(last) if !found.contains(&wanted.expose()) => {
                return Err(differs(&format!("the header `{name}`"), last, wanted));
            }
            Some(_) => {}
        }
    }
    if probe.json.is_empty() {
        return Ok(());
    }
    let Body::Whole(bytes) = &answer.body else { return Err("the body is too long to be read".to_owned()) };
    let body: Value = serde_json::from_slice(bytes).map_err(|_| "the body is no JSON".to_owned())?;
    for (name, wanted) in &probe.json {
        let found = match field(&body, name) {
            None => return Err(format!("the body has no field `{name}`")),
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        };
        if found != wanted.expose() {
            return Err(differs(&format!("`{name}`"), &found, wanted));
        }
    }
    Ok(())
}

/// A field by JSON pointer, or one at the top by its name.
fn field<'v>(body: &'v Value, name: &str) -> Option<&'v Value> {
    if name.starts_with('/') { body.pointer(name) } else { body.get(name) }
}

/// Who must not see what is wanted need not see what is there: it may be nearly the same.
fn differs(what: &str, found: &str, wanted: &Text) -> String {
    if wanted.is_sensitive() {
        return format!("{what} is not as wanted");
    }
    format!("{what} is `{}`, not `{wanted}`", shown(found))
}

fn shown(text: &str) -> String {
    clean(&text.replace(['\r', '\n'], " ")).chars().take(CHARS_SHOWN).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::desired::Method;

    fn probe(json: &[(&str, &str)]) -> HttpProbe {
        let mut probe = HttpProbe::get(8000, "/a/health?x=1");
        probe.json = json.iter().map(|(name, value)| ((*name).to_owned(), Text::plain(*value))).collect();
        probe
    }

    fn answer(status: u16, body: &str) -> HttpAnswer {
        HttpAnswer { status, headers: Vec::new(), body: Body::Whole(body.as_bytes().to_vec()) }
    }

    fn with_header(status: u16, name: &str, value: &str) -> HttpAnswer {
        HttpAnswer { headers: vec![(name.to_owned(), value.to_owned())], ..answer(status, "") }
    }

    #[test]
    fn fields_are_compared_as_text() {
        let probe = probe(&[("status", "healthy"), ("ready", "true"), ("/shards/1/id", "2")]);
        let good = r#"{"status": "healthy", "ready": true, "shards": [{"id": 1}, {"id": 2}], "more": null}"#;
        let judged = |status, body: &str| check(&probe, &answer(status, body));
        let says = |text: &str| Err(text.to_owned());
        assert_eq!(judged(200, good), Ok(()));
        assert_eq!(judged(200, r#"{"status": "healthy"}"#), says("the body has no field `/shards/1/id`"));
        let ill = good.replace("healthy", "un\\u001b[1mwell");
        assert_eq!(judged(200, &ill), says("`status` is `unwell`, not `healthy`"));
        assert_eq!(judged(200, "<html>"), says("the body is no JSON"));
        assert_eq!(judged(503, ""), says("status 503, not 200"));
        let long = HttpAnswer { body: Body::TooLong, ..answer(200, "") };
        assert_eq!(check(&probe, &long), says("the body is too long to be read"));
        assert_eq!(check(&HttpProbe::get(80, "/"), &long), Ok(()), "nobody asked for the body");
    }

    #[test]
    fn any_of_the_statuses_will_do() {
        let mut probe = probe(&[]);
        probe.status = vec!["2xx".parse().unwrap(), "401".parse().unwrap()];
        assert_eq!(check(&probe, &answer(204, "")), Ok(()));
        assert_eq!(check(&probe, &answer(401, "")), Ok(()));
        assert_eq!(check(&probe, &answer(302, "")), Err("status 302, not 2xx or 401".to_owned()));
    }

    #[test]
    fn headers_must_be_there_with_their_value() {
        let mut probe = probe(&[]);
        probe.expect_headers.insert("x-role".into(), "primary".into());
        assert_eq!(check(&probe, &with_header(200, "x-role", "primary")), Ok(()));
        let wrong = check(&probe, &with_header(200, "x-role", "replica"));
        assert_eq!(wrong, Err("the header `x-role` is `replica`, not `primary`".to_owned()));
        assert_eq!(check(&probe, &answer(200, "")), Err("the answer has no header `x-role`".to_owned()));
        let mut twice = with_header(200, "x-role", "replica");
        twice.headers.push(("x-role".into(), "primary".into()));
        assert_eq!(check(&probe, &twice), Ok(()));
        probe.expect_headers.insert("x-role".into(), Text::sensitive("hunter22"));
        let wrong = check(&probe, &with_header(200, "x-role", "hunter2"));
        assert_eq!(wrong, Err("the header `x-role` is not as wanted".to_owned()));
    }

    #[test]
    fn a_request_is_for_localhost_unless_it_says_otherwise() {
        let mut probe = probe(&[]);
        assert_eq!(request(&probe).headers["host"], "localhost:8000");
        probe.method = Method::Head;
        probe.headers.insert("host".into(), "shop.example".into());
        probe.headers.insert("authorization".into(), Text::sensitive("Bearer hunter22"));
        let made = request(&probe);
        assert_eq!((made.headers["host"].as_str(), made.method), ("shop.example", Method::Head));
        assert_eq!(made.headers["authorization"], "Bearer hunter22");
        assert!(!format!("{made:?}").contains("hunter"), "{made:?}");
    }

    #[test]
    fn a_redirect_stays_with_who_was_asked() {
        let asked = request(&probe(&[]));
        let to = |location: &str| redirect(&asked, &with_header(302, "location", location));
        let path = |path: &str| Ok(Some(path.to_owned()));
        for (location, wanted) in [
            ("/login", "/login"),
            ("http://localhost:8000/login#top", "/login"),
            ("http://LOCALHOST:8000", "/"),
            ("//localhost:8000/b", "/b"),
            ("b?y=2", "/a/b?y=2"),
            ("?y=2", "/a/health?y=2"),
        ] {
            assert_eq!(to(location), path(wanted), "{location}");
        }
        for location in [
            "https://localhost:8000/",
            "http://localhost/",
            "http://169.254.169.254/",
            "//other/",
            "ftp://localhost:8000/",
            "http://localhost:8000@other/",
        ] {
            assert!(to(location).unwrap_err().starts_with("redirected to another host"), "{location}");
        }
        assert!(to("/a b").is_err());
        assert_eq!(redirect(&asked, &with_header(200, "location", "/x")), Ok(None));
        assert_eq!(redirect(&asked, &answer(302, "")), Ok(None));
    }
}
