//! What `notify` may say, and everything wrong with it.

use super::*;
use crate::manifest::agent_file;
use crate::model::tree::RepoPath;

fn read(notify: &str) -> Result<Vec<Notify>, String> {
    let path = RepoPath::root().join("agent.yaml").unwrap();
    let text = format!("follow: [{{repository: /a}}]\nnotify:\n- {notify}\n");
    agent_file(&path, text.into_bytes()).map(|file| file.notify).map_err(|report| {
        let lines = report.diagnostics().iter().map(|one| {
            let spot = one.place.spot.as_ref().map_or((0, 0), |spot| (spot.line, spot.column));
            format!("{}:{} {}: {}", spot.0, spot.1, one.code, one.message)
        });
        lines.collect::<Vec<_>>().join("\n")
    })
}

fn file(path: &str) -> Credential {
    Credential::File(path.to_owned())
}

#[test]
fn a_receiver_says_what_it_is_told() {
    let text = "{name: ops, kind: slack, url: {file: /s}, severity: warning, environments: [prod], stacks: shop-prod, \
                digest: '08:00', ca: /etc/ssl/forge.pem}";
    let [one] = &read(text).unwrap()[..] else { panic!() };
    assert_eq!((one.name.as_str(), one.ca.as_deref()), ("ops", Some("/etc/ssl/forge.pem")));
    assert_eq!(one.receiver, Receiver::Chat { chat: Chat::Slack, url: file("/s") });
    let routing = Routing {
        least: Urgency::Warning,
        environments: BTreeSet::from(["prod".parse().unwrap()]),
        stacks: BTreeSet::from(["shop-prod".parse().unwrap()]),
        digest: Some((8, 0)),
    };
    assert_eq!(one.routing, routing);
}

#[test]
fn every_kind_can_be_said() {
    let receiver = |text: &str| read(text).unwrap().remove(0).receiver;
    for (word, chat) in [("discord", Chat::Discord), ("mattermost", Chat::Mattermost), ("teams", Chat::Teams)]
    {
        let expected = Receiver::Chat { chat, url: file("/u") };
        assert_eq!(receiver(&format!("{{name: a, kind: {word}, url: {{file: /u}}}}")), expected);
    }
    let text = "{name: a, kind: ntfy, url: {file: /u}, token: {systemd: ntfy}}";
    let token = Some(Credential::Systemd("ntfy".to_owned()));
    assert_eq!(receiver(text), Receiver::Ntfy { url: file("/u"), token });
    let text = "{name: a, kind: webhook, url: {file: /u}, secret: {file: /s}}";
    assert_eq!(receiver(text), Receiver::Webhook { url: file("/u"), secret: file("/s") });
    let text = "{name: a, kind: email, server: mail.example.com, username: ek, password: {file: /p}, \
                from: ek@example.com, to: [ops@example.com, dev@example.com]}";
    let mail = Email {
        server: "mail.example.com".to_owned(),
        port: 587,
        tls: EmailTls::Starttls,
        login: Some(("ek".to_owned(), file("/p"))),
        from: "ek@example.com".to_owned(),
        to: vec!["ops@example.com".to_owned(), "dev@example.com".to_owned()],
    };
    assert_eq!(receiver(text), Receiver::Email(mail));
    let text = "{name: a, kind: email, tls: none, server: '[::1]:2525', from: a@b, to: c@d}";
    let Receiver::Email(Email { server, port, tls, login, .. }) = receiver(text) else { panic!() };
    assert_eq!((server.as_str(), port, tls, login), ("::1", 2525, EmailTls::None, None));
    for (text, expected, api) in [
        ("kind: github", Forge::Github, "https://api.github.com"),
        ("kind: gitlab", Forge::Gitlab, "https://gitlab.com/api/v4"),
        (
            "kind: gitea, api: 'https://git.example.com/api/v1/'",
            Forge::Gitea,
            "https://git.example.com/api/v1",
        ),
        ("kind: gitea, api: 'http://127.0.0.1:3000/api/v1'", Forge::Gitea, "http://127.0.0.1:3000/api/v1"),
    ] {
        let text = format!("{{name: a, {text}, repository: acme/infra, token: {{file: /t}}}}");
        let (api, repository, token) = (api.to_owned(), "acme/infra".to_owned(), file("/t"));
        assert_eq!(receiver(&text), Receiver::CommitStatus { forge: expected, api, repository, token });
    }
}

/// What is wrong, and what is told of it.
const WRONG: [(&str, &str); 15] = [
    ("{}", "3:3 missing-key: this receiver has no `name`\n3:3 missing-key: this receiver has no `kind`"),
    ("{name: a, kind: irc}", "3:19 unknown-value: `irc` is not one of the words known here"),
    ("{name: a, kind: slack}", "3:3 missing-key: this receiver has no `url`"),
    (
        "{name: a, kind: slack, url: 'https://hooks.slack.com/x'}",
        "3:31 inline-secret: a secret is not written into agent.yaml",
    ),
    (
        "{name: 'a b', kind: slack, url: {file: /u}}",
        "3:10 bad-name: the name of a receiver is of at most 63 letters, digits, `.`, `_` and `-`",
    ),
    (
        "{name: a, kind: slack, url: {file: /u}, to: x@y}",
        "3:43 unknown-key: a receiver of the kind `slack` has no `to`",
    ),
    (
        "{name: a, kind: slack, url: {file: /u}, colour: red}",
        "3:43 unknown-key: a receiver of notifications has no key `colour`",
    ),
    (
        "{name: a, kind: slack, url: {file: /u}, severity: bad, digest: '24:00', environments: [A/b]}",
        "3:53 unknown-value: `bad` is not one of the words known here\n\
         3:66 bad-time: a time of day is wanted here\n\
         3:90 bad-name: `A/b` is not a valid environment name",
    ),
    (
        "{name: a, kind: ntfy, url: {file: /u}}\n- {name: a, kind: teams, url: {file: /u}}",
        "4:3 duplicate-name: two receivers are called `a`",
    ),
    ("{name: a, kind: webhook, url: {file: /u}}", "3:3 missing-key: this receiver has no `secret`"),
    (
        "{name: a, kind: email, tls: none, server: mail.example.com, from: a@b, to: c@d}",
        "3:45 not-encrypted: mail is sent without encryption only to a server on this host",
    ),
    (
        "{name: a, kind: email, server: 'mail:x', from: a b@c, to: [d], username: u}",
        "3:34 bad-address: the name of a mail server is wanted here\n\
         3:50 bad-address: a mail address is wanted here\n\
         3:62 bad-address: a mail address is wanted here\n\
         3:3 missing-key: `username` and `password` are given together, or neither",
    ),
    (
        "{name: a, kind: gitea, repository: infra, token: {file: t}}",
        "3:3 missing-key: this receiver has no `api`\n\
         3:38 bad-name: a repository of a forge is wanted here\n\
         3:59 relative-path: an absolute path is wanted here",
    ),
    (
        "{name: a, kind: github, api: 'http://github.example.com', repository: a/../b, token: {file: /t}}",
        "3:32 bad-address: the address of an API is wanted here, by https, or by http on this host only\n\
         3:73 bad-name: a repository of a forge is wanted here",
    ),
    (
        "{name: a, kind: github, api: 'https://me:pw@github.example.com', repository: a/b, token: {file: /t}}",
        "3:32 bad-address: the address of an API is wanted here, by https, or by http on this host only",
    ),
];

#[test]
fn everything_wrong_is_told_where_it_stands() {
    let mut wrong = Vec::new();
    for (text, expected) in WRONG {
        let told = read(text).unwrap_err();
        // The order in which they are found is none of the reader's business.
        let sorted = |text: &str| {
            let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
            lines.sort();
            lines
        };
        let (told, expected) = (sorted(&told), sorted(expected));
        let is_so = |(told, expected): (&String, &String)| told.starts_with(expected.as_str());
        if told.len() != expected.len() || !told.iter().zip(&expected).all(is_so) {
            wrong.push(format!("{text}\n  {}", told.join("\n  ")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
