//! Which keys are honoured when a stack is deployed, and the keys of our own files.
//!
//! Which keys the Compose Specification has is said by the table of the language. What is in it and not here can be
//! rendered and is refused, never ignored, when it is to be deployed. Only `x-*`, which Compose itself reserves for
//! others, passes.

use super::node::{Map, Value};
use super::problem::{Problem, Problems, suggestion};

/// The keys of one kind of mapping.
pub(crate) struct Keys {
    /// What the mapping is, for messages: `a service`.
    pub(crate) of: &'static str,
    /// Honoured.
    pub(crate) known: &'static [&'static str],
    /// Planned in our own mappings, and refused so far.
    pub(crate) later: &'static [&'static str],
}

/// A service.
#[rustfmt::skip]
pub(crate) const SERVICE: Keys = Keys {
    of: "a service",
    known: &[
        "image", "command", "entrypoint", "environment", "labels", "ports", "expose", "networks", "volumes", "tmpfs",
        "healthcheck", "user", "working_dir", "hostname", "restart", "stop_signal", "stop_grace_period", "init",
        "read_only", "tty", "stdin_open", "privileged", "cap_add", "cap_drop", "security_opt", "extra_hosts", "dns",
        "sysctls", "ulimits", "shm_size", "logging", "mem_limit", "mem_reservation", "cpus", "pids_limit", "deploy",
        "scale", "container_name", "depends_on", "profiles", "env_file", "label_file", "build",
        "develop",
    ],
    later: &[],
};

/// `networks.*`
pub(crate) const NETWORK: Keys = Keys {
    of: "a network",
    known: &[
        "driver",
        "driver_opts",
        "ipam",
        "internal",
        "attachable",
        "enable_ipv6",
        "labels",
        "external",
        "name",
    ],
    later: &[],
};

/// `networks.*.ipam`
pub(crate) const IPAM: Keys =
    Keys { of: "the address management of a network", known: &["driver", "config"], later: &[] };

/// `networks.*.ipam.config.*`
pub(crate) const POOL: Keys =
    Keys { of: "an address range", known: &["subnet", "gateway", "ip_range"], later: &[] };

/// `volumes.*`
pub(crate) const VOLUME: Keys =
    Keys { of: "a volume", known: &["driver", "driver_opts", "labels", "external", "name"], later: &[] };

/// `services.*.networks.*`
pub(crate) const ATTACHMENT: Keys =
    Keys { of: "a service's network", known: &["aliases", "ipv4_address", "ipv6_address"], later: &[] };

/// `services.*.healthcheck`
pub(crate) const HEALTHCHECK: Keys = Keys {
    of: "a health check",
    known: &["test", "interval", "timeout", "start_period", "retries", "disable"],
    later: &[],
};

/// `services.*.depends_on.*`
pub(crate) const DEPENDENCY: Keys =
    Keys { of: "a dependency", known: &["condition", "required"], later: &[] };

/// `services.*.deploy`
pub(crate) const DEPLOY: Keys =
    Keys { of: "`deploy`", known: &["mode", "resources", "replicas"], later: &[] };

/// `services.*.deploy.resources`
pub(crate) const DEPLOY_RESOURCES: Keys =
    Keys { of: "`deploy.resources`", known: &["limits", "reservations"], later: &[] };

/// `services.*.deploy.resources.limits`
pub(crate) const LIMITS: Keys = Keys { of: "limits", known: &["cpus", "memory", "pids"], later: &[] };

/// `services.*.deploy.resources.reservations`
pub(crate) const RESERVATIONS: Keys = Keys { of: "reservations", known: &["memory"], later: &[] };

/// `services.*.logging`
pub(crate) const LOGGING: Keys = Keys { of: "`logging`", known: &["driver", "options"], later: &[] };

/// `services.*.ulimits.*`
pub(crate) const ULIMIT: Keys = Keys { of: "a limit", known: &["soft", "hard"], later: &[] };

/// `services.*.ports.*` in the long form
pub(crate) const PORT: Keys =
    Keys { of: "a port", known: &["target", "published", "host_ip", "protocol", "mode"], later: &[] };

/// `services.*.volumes.*` in the long form
pub(crate) const MOUNT: Keys = Keys {
    of: "a mount",
    known: &["type", "source", "target", "read_only", "tmpfs", "bind", "volume"],
    later: &[],
};

/// `services.*.volumes.*.bind`
pub(crate) const BIND: Keys = Keys { of: "a bind mount", known: &["create_host_path"], later: &[] };

/// `services.*.volumes.*.volume`
pub(crate) const VOLUME_MOUNT: Keys = Keys { of: "the mount of a volume", known: &[], later: &[] };

/// `services.*.volumes.*.tmpfs`
pub(crate) const TMPFS: Keys = Keys { of: "a tmpfs", known: &["size", "mode"], later: &[] };

/// `x-evenkeel`
pub(crate) const EVENKEEL: Keys = Keys {
    of: "`x-evenkeel`",
    known: &["tier", "gate"],
    later: &["watch", "rollback", "drift", "moved_from"],
};

/// `x-evenkeel.gate`
pub(crate) const GATE: Keys =
    Keys { of: "a gate", known: &["http", "tcp", "stable_for", "deadline"], later: &[] };

/// `x-evenkeel.gate.http`
pub(crate) const HTTP_GATE: Keys =
    Keys { of: "an HTTP gate", known: &["url", "status", "json", "within"], later: &[] };

/// `evenkeel.yaml`
pub(crate) const PROJECT: Keys = Keys { of: "evenkeel.yaml", known: &["project", "tiers"], later: &[] };

/// `environment.yaml`
pub(crate) const ENVIRONMENT: Keys = Keys {
    of: "environment.yaml",
    known: &["stack", "variables", "profiles", "tiers"],
    later: &["hosts", "secrets", "drift", "rollback", "prune", "watch"],
};

/// The path of every key that is ours.
pub(crate) fn own_paths() -> Vec<String> {
    // At the top of a file it says what holds for all services of the file.
    let mut paths = vec!["x-evenkeel".to_owned(), "services.*.x-evenkeel".to_owned()];
    for (prefix, keys) in [
        ("services.*.x-evenkeel.", &EVENKEEL),
        ("services.*.x-evenkeel.gate.", &GATE),
        ("services.*.x-evenkeel.gate.http.", &HTTP_GATE),
        ("evenkeel.yaml:", &PROJECT),
        ("environment.yaml:", &ENVIRONMENT),
    ] {
        paths.extend(keys.known.iter().chain(keys.later).map(|key| format!("{prefix}{key}")));
    }
    paths
}

/// Notes every key of one of our own mappings that isn't known.
pub(crate) fn check(problems: &mut Problems, map: &Map, keys: &Keys) {
    for entry in &map.entries {
        let key = entry.key.text.as_str();
        let span = entry.key.span;
        if keys.known.contains(&key) || (key.starts_with("x-") && strsim::levenshtein(key, "x-evenkeel") > 2)
        {
            continue;
        }
        if keys.later.contains(&key) {
            problems.add(
                Problem::error("not-supported", span, format!("`{key}` of {} is not supported yet", keys.of))
                    .hint(instead(key)),
            );
            continue;
        }
        if !problems.wants_hints() {
            problems.add(Problem::error("unknown-key", span, format!("{} has no key `{key}`", keys.of)));
            continue;
        }
        let candidates = keys.known.iter().chain(keys.later).copied();
        let hint = suggestion(key, candidates).unwrap_or_else(|| {
            "remove it; a key of your own, for anchors or other tools, begins with `x-`".to_owned()
        });
        problems
            .add(Problem::error("unknown-key", span, format!("{} has no key `{key}`", keys.of)).hint(hint));
    }
}

/// Notes every key of a mapping in the long form that can't be honoured.
pub(crate) fn honoured(problems: &mut Problems, map: &Map, keys: &Keys) {
    for entry in &map.entries {
        let key = entry.key.text.as_str();
        let nothing = matches!(entry.value.value, Value::Null);
        if nothing || keys.known.contains(&key) || key.starts_with("x-") {
            continue;
        }
        let message = format!("`{key}` of {} can be rendered, but not deployed yet", keys.of);
        problems.add(Problem::error("not-honoured", entry.key.span, message).hint(instead(key)));
    }
}

/// What to write instead of a key that can't be honoured.
fn instead(key: &str) -> &'static str {
    match key {
        "configs" | "secrets" => {
            "mount a file of the repository: `volumes: [\"./file:/path:ro\"]`; take secrets from variables"
        }
        "network_mode" => "declare a network and join it with `networks`",
        _ => "it is refused rather than ignored; remove it",
    }
}
