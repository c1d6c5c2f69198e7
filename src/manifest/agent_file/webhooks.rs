//! `webhooks` of agent.yaml: who may tell the agent that there is something new. Where something is new, and what, is
//! never taken from who tells it.

use super::api::{Names, required};
use super::credential::{Credential, credential};
use super::said;
use crate::manifest::keys;
use crate::manifest::node::{Map, Node};
use crate::manifest::problem::{Problem, Problems};
use crate::manifest::read;
use crate::model::name::EnvironmentName;

/// Somebody who may tell that there is something new.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// The last part of its address, `/hooks/NAME`.
    pub name: String,
    /// How it signs.
    pub kind: WebhookKind,
    /// What it signs with.
    pub secret: Credential,
    /// The followed repositories that it is about, as `follow` names them; empty for all.
    pub repositories: Vec<String>,
    /// The followed environments that it is about; empty for all.
    pub environments: Vec<EnvironmentName>,
}

/// How a sender signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum WebhookKind {
    /// GitHub: `X-Hub-Signature-256`.
    Github,
    /// GitLab: `X-Gitlab-Token`, or `webhook-signature` where the secret begins with `whsec_`.
    Gitlab,
    /// Gitea and Forgejo: `X-Gitea-Signature` or `X-Hub-Signature-256`.
    Gitea,
    /// Bitbucket: `X-Hub-Signature` with SHA-256.
    Bitbucket,
    /// Scripts: `X-Evenkeel-Signature` and `X-Evenkeel-Timestamp`.
    Generic,
}

impl WebhookKind {
    /// Every kind, with its word in agent.yaml.
    pub const ALL: [(&str, Self); 6] = [
        ("github", Self::Github),
        ("gitlab", Self::Gitlab),
        ("gitea", Self::Gitea),
        ("forgejo", Self::Gitea),
        ("bitbucket", Self::Bitbucket),
        ("generic", Self::Generic),
    ];
}

/// Reads `webhooks`.
pub(super) fn webhooks(problems: &mut Problems, node: &Node) -> Vec<Webhook> {
    let mut names = Names::default();
    let items = read::list(problems, node).unwrap_or_default();
    let found: Vec<_> = items.iter().map(|item| webhook(problems, item, &mut names)).collect();
    found.into_iter().flatten().collect()
}

fn webhook(problems: &mut Problems, node: &Node, names: &mut Names) -> Option<Webhook> {
    let map = read::checked_map(problems, node, &keys::WEBHOOK)?;
    let name = required(problems, (map, node), "name").and_then(|node| names.read(problems, node));
    let kind = required(problems, (map, node), "kind")
        .and_then(|node| read::word(problems, node, &WebhookKind::ALL));
    let secret = required(problems, (map, node), "secret").and_then(|node| credential(problems, node));
    let mut repositories = Vec::new();
    for node in some(problems, map, "repositories") {
        repositories.extend(read::text(problems, node).map(|found| found.text.clone()));
    }
    let mut environments = Vec::new();
    for node in some(problems, map, "environments") {
        environments.extend(read::parsed(problems, node, "bad-name", "an environment"));
    }
    Some(Webhook { name: name?, kind: kind?, secret: secret?, repositories, environments })
}

/// The items of a list that must not be empty where it is there: that may mean none or all.
fn some<'n>(problems: &mut Problems, map: &'n Map, key: &str) -> &'n [Node] {
    let Some(node) = said(map, key) else { return &[] };
    let items = read::list(problems, node);
    if items.is_some_and(<[Node]>::is_empty) {
        let problem = Problem::error("missing-value", node.span, format!("`{key}` is empty"));
        problems.add(problem.hint(format!("name some, or leave `{key}` out for all of them")));
    }
    items.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{read, section};
    use super::*;

    #[test]
    fn everything_may_be_said() {
        let text = "webhooks:\n- {name: forge, kind: forgejo, secret: {file: /etc/hook}}\n\
                    - name: own\n  kind: generic\n  secret: {systemd: hook}\n  \
                    repositories: [/srv/infra.git]\n  environments: [prod, dev]\n";
        let [forge, own] = read(&section(text)).unwrap().webhooks.try_into().unwrap();
        assert_eq!((forge.name.as_str(), forge.kind), ("forge", WebhookKind::Gitea));
        assert_eq!(forge.secret, Credential::File("/etc/hook".to_owned()));
        assert_eq!(own.repositories, ["/srv/infra.git"]);
        assert_eq!(own.environments, ["prod", "dev"].map(|name| name.parse().unwrap()));
        assert!(read(&section("")).unwrap().webhooks.is_empty());
    }

    #[test]
    fn everything_wrong_is_told_where_it_stands() {
        let hook = |said: &str| format!("webhooks: [{{name: a, kind: github, {said}}}]");
        for (text, expected) in [
            (hook("secret: hunter2"), "1:44 inline-secret: a secret is not written into agent.yaml"),
            (hook("secret: ''"), "1:44 inline-secret: a secret is not written into agent.yaml"),
            (
                hook("x: y"),
                "1:12 missing-key: `secret` is missing here\n1:36 unknown-key: a webhook has no key `x`",
            ),
            (hook("secret: {file: /a}, repositories: []"), "1:70 missing-value: `repositories` is empty"),
            (
                hook("secret: {file: /a}, environments: prod"),
                "1:70 wrong-type: a list is wanted here, and this is a text",
            ),
            (
                "webhooks: [{name: a, kind: gogs, secret: {file: /a}}]".to_owned(),
                "1:28 unknown-value: `gogs` is not one of the words known here",
            ),
            (
                "webhooks: [{name: a/b, kind: github, secret: {file: /a}}]".to_owned(),
                "1:19 bad-name: a name here is of 1 to 63 lower-case letters, digits, `-` and `_`",
            ),
            (
                "webhooks: {name: a}".to_owned(),
                "1:11 wrong-type: a list is wanted here, and this is a mapping",
            ),
        ] {
            assert_eq!(read(&section(&text)).unwrap_err(), expected, "{text}");
        }
    }
}
