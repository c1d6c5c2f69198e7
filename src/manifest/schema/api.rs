//! The schemas of `api` and `webhooks` of agent.yaml.

use serde_json::{Value as Json, json};

use super::{closed, formed, list_of};
use crate::manifest::WebhookKind;
use crate::manifest::keys;

/// `api`
pub(super) fn api() -> Json {
    let text = || json!({"type": "string"});
    let mut tls = closed(
        keys::TLS.of,
        vec![
            ("certificate", said(formed("^/"), "The certificate with those that it follows from, PEM.")),
            ("key", secret()),
        ],
    );
    tls["required"] = json!(["certificate", "key"]);
    let mut token = closed(
        keys::TOKEN.of,
        vec![
            ("name", said(name(), "What it is called in the audit log.")),
            ("role", said(json!({"enum": ["read", "operate"]}), "What it may do.")),
            ("hash", said(formed("^sha256:[0-9a-f]{64}$"), "As `evenkeel token new` prints it.")),
            ("stacks", said(list_of(&text()), "The stacks that it is for; without it, all.")),
            ("expires", said(text(), "When it ends, as in 2027-01-01T00:00:00Z.")),
        ],
    );
    token["required"] = json!(["name", "role", "hash"]);
    let api = closed(
        keys::API.of,
        vec![
            ("listen", said(text(), "An IP address and a port; beyond this host only with `tls`.")),
            ("tls", tls),
            ("tokens", list_of(&token)),
        ],
    );
    said(api, "Where the agent is to be asked over the network, and who may ask.")
}

/// `webhooks`
pub(super) fn webhooks() -> Json {
    let kinds: Vec<&str> = WebhookKind::ALL.iter().map(|(word, _)| *word).collect();
    let text = json!({"type": "string"});
    let mut webhook = closed(
        keys::WEBHOOK.of,
        vec![
            ("name", said(name(), "The last part of its address, /hooks/NAME.")),
            ("kind", said(json!({"enum": kinds}), "How it signs.")),
            ("secret", secret()),
            ("repositories", said(list_of(&text), "As `follow` names them; without it, all.")),
            ("environments", said(list_of(&text), "The environments that it is about; without it, all.")),
        ],
    );
    webhook["required"] = json!(["name", "kind", "secret"]);
    said(list_of(&webhook), "Who may tell that there is something new.")
}

fn said(mut schema: Json, description: &str) -> Json {
    schema["description"] = description.into();
    schema
}

fn name() -> Json {
    formed("^[a-z0-9_-]{1,63}$")
}

/// Where a secret is.
fn secret() -> Json {
    closed(keys::CREDENTIAL.of, vec![("file", formed("^/")), ("systemd", json!({"type": "string"}))])
}
