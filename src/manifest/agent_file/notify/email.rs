//! A receiver of mail: its server, who sends and who gets it.

use super::{Email, EmailTls, Entry, is_loopback};
use crate::manifest::agent_file::credential::credential;
use crate::manifest::agent_file::said;
use crate::manifest::node::Node;
use crate::manifest::problem::{Problem, Problems};
use crate::manifest::read;

/// Reads where mail goes.
pub(super) fn email(problems: &mut Problems, entry: &Entry<'_>) -> Option<Email> {
    const WORDS: [(&str, EmailTls); 3] =
        [("tls", EmailTls::Tls), ("starttls", EmailTls::Starttls), ("none", EmailTls::None)];
    let tls = match said(entry.map, "tls") {
        Some(node) => read::word(problems, node, &WORDS),
        None => Some(EmailTls::Starttls),
    };
    let server = entry.wanted(problems, "server").and_then(|node| server(problems, node, tls?));
    let from = entry.wanted(problems, "from").and_then(|node| mailbox(problems, node));
    let to: Option<Vec<_>> = entry.wanted(problems, "to").and_then(|node| {
        let nodes = read::one_or_list(problems, node);
        nodes.iter().map(|node| mailbox(problems, node)).collect()
    });
    let username = said(entry.map, "username").and_then(|node| read::text(problems, node));
    let login = match (username, said(entry.map, "password")) {
        (None, None) => None,
        (Some(name), Some(node)) => credential(problems, node).map(|found| (name.text.clone(), found)),
        (Some(_), None) | (None, Some(_)) => {
            let message = "`username` and `password` are given together, or neither";
            problems.add(Problem::error("missing-key", entry.node.span, message));
            None
        }
    };
    let (server, port) = server?;
    Some(Email { server, port, tls: tls?, login, from: from?, to: to? })
}

/// `mail.example.com`, `mail.example.com:587`
fn server(problems: &mut Problems, node: &Node, tls: EmailTls) -> Option<(String, u16)> {
    let found = read::text(problems, node)?;
    let (host, port) = match found.text.rsplit_once(':') {
        Some((host, port)) if !host.ends_with(':') => (host, port.parse().ok().filter(|port| *port > 0)),
        _ => {
            let usual = match tls {
                EmailTls::Tls => 465,
                EmailTls::Starttls => 587,
                EmailTls::None => 25,
            };
            (found.text.as_str(), Some(usual))
        }
    };
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let is_host = !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || ".-_:".contains(c));
    let Some(port) = port.filter(|_| is_host) else {
        let problem = Problem::error("bad-address", node.span, "the name of a mail server is wanted here");
        problems.add(problem.hint("as in `mail.example.com`, or `mail.example.com:587`"));
        return None;
    };
    if tls == EmailTls::None && !is_loopback(host) {
        let message = "mail is sent without encryption only to a server on this host";
        problems.add(Problem::error("not-encrypted", node.span, message).hint("say `tls: starttls`"));
        return None;
    }
    Some((host.to_owned(), port))
}

fn mailbox(problems: &mut Problems, node: &Node) -> Option<String> {
    let found = read::text(problems, node)?;
    let is_plain = |part: &str| {
        !part.is_empty() && part.chars().all(|c| c.is_ascii_graphic() && !"<>()[]\\,;:\"@".contains(c))
    };
    let is_mailbox = found.text.split_once('@').is_some_and(|(user, host)| is_plain(user) && is_plain(host));
    if is_mailbox {
        return Some(found.text.clone());
    }
    let problem = Problem::error("bad-address", node.span, "a mail address is wanted here");
    problems.add(problem.hint("as in `ops@example.com`"));
    None
}
