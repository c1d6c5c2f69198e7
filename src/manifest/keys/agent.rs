//! The keys of agent.yaml, section by section.

use super::Keys;

/// `agent.yaml`
pub(crate) const AGENT: Keys = Keys {
    of: "agent.yaml",
    known: &[
        "host",
        "labels",
        "docker",
        "state",
        "follow",
        "credentials",
        "git",
        "api",
        "webhooks",
        "notify",
    ],
    later: &[],
};

/// `agent.yaml: follow.*`
#[rustfmt::skip]
pub(crate) const FOLLOW: Keys = Keys {
    of: "what an agent follows",
    known: &["repository", "environment", "branch", "tag", "poll", "credential", "verify"],
    later: &[],
};

/// `agent.yaml: follow.*.verify`
pub(crate) const VERIFY: Keys =
    Keys { of: "who may sign", known: &["commits", "signers", "keyring"], later: &[] };

/// `agent.yaml: git`
#[rustfmt::skip]
pub(crate) const GIT: Keys = Keys {
    of: "how Git is used",
    known: &["schemes", "ca", "proxy", "timeout", "max_size", "max_objects"],
    later: &[],
};

/// `agent.yaml: credentials.*`
#[rustfmt::skip]
pub(crate) const GIT_CREDENTIAL: Keys = Keys {
    of: "a credential",
    known: &["username", "password", "token", "ssh_key", "ssh_agent", "known_hosts"],
    later: &[],
};

/// `agent.yaml: api`
pub(crate) const API: Keys = Keys { of: "`api`", known: &["listen", "tls", "tokens"], later: &[] };

/// `agent.yaml: api.tls`
pub(crate) const TLS: Keys = Keys { of: "`tls`", known: &["certificate", "key"], later: &[] };

/// `agent.yaml: api.tokens.*`
pub(crate) const TOKEN: Keys =
    Keys { of: "a token", known: &["name", "role", "hash", "stacks", "expires"], later: &[] };

/// `agent.yaml: webhooks.*`
pub(crate) const WEBHOOK: Keys =
    Keys { of: "a webhook", known: &["name", "kind", "secret", "repositories", "environments"], later: &[] };

/// Where a secret of agent.yaml is.
pub(crate) const CREDENTIAL: Keys = Keys { of: "where a secret is", known: &["file", "systemd"], later: &[] };

/// `agent.yaml: notify.*`, without the keys of its kind.
pub(crate) const NOTIFY: Keys = Keys {
    of: "a receiver of notifications",
    known: &[
        "name",
        "kind",
        "severity",
        "environments",
        "stacks",
        "digest",
        "ca",
        "url",
        "token",
        "secret",
        "server",
        "tls",
        "username",
        "password",
        "from",
        "to",
        "api",
        "repository",
    ],
    later: &[],
};
