//! Which keys are honoured when a stack is deployed, and the keys of our own files.
//!
//! Which keys the Compose Specification has is said by the table of the language. What is in it and not here can be
//! rendered and is refused, never ignored, when it is to be deployed. Only `x-*`, which Compose itself reserves for
//! others, passes.

use super::node::{Entry, Map, Value};
use super::problem::{Problem, Problems, suggestion};

mod agent;

pub(crate) use agent::*;

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
        "image", "platform", "command", "entrypoint", "environment", "labels", "ports", "expose", "networks", "volumes", "tmpfs",
        "healthcheck", "user", "working_dir", "hostname", "restart", "stop_signal", "stop_grace_period", "init",
        "read_only", "tty", "stdin_open", "privileged", "cap_add", "cap_drop", "security_opt", "extra_hosts", "dns",
        "sysctls", "ulimits", "shm_size", "logging", "mem_limit", "mem_reservation", "cpus", "pids_limit", "deploy",
        "scale", "container_name", "depends_on", "profiles", "pull_policy", "env_file", "label_file",
        "build", "develop", "configs", "secrets", "links", "external_links", "mac_address", "domainname", "dns_search", "dns_opt", "devices", "device_cgroup_rules", "gpus", "group_add",
        "network_mode", "ipc", "pid", "uts", "userns_mode", "cgroup", "cgroup_parent", "oom_kill_disable",
        "oom_score_adj", "mem_swappiness", "memswap_limit", "cpu_shares", "cpu_period", "cpu_quota", "cpu_rt_runtime",
        "cpu_rt_period", "cpuset", "blkio_config", "runtime", "storage_opt", "annotations",
        // Whether `docker compose up` shows the output in the foreground, which nothing here does.
        "attach",
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
        "enable_ipv4",
        "enable_ipv6",
        "labels",
        "external",
        "name",
    ],
    later: &[],
};

/// `networks.*.ipam`
pub(crate) const IPAM: Keys =
    Keys { of: "the address management of a network", known: &["driver", "options", "config"], later: &[] };

/// `networks.*.ipam.config.*`
pub(crate) const POOL: Keys =
    Keys { of: "an address range", known: &["subnet", "gateway", "ip_range", "aux_addresses"], later: &[] };

/// `volumes.*`
pub(crate) const VOLUME: Keys =
    Keys { of: "a volume", known: &["driver", "driver_opts", "labels", "external", "name"], later: &[] };

/// `services.*.networks.*`
pub(crate) const ATTACHMENT: Keys = Keys {
    of: "a service's network",
    known: &[
        "aliases",
        "driver_opts",
        "gw_priority",
        "interface_name",
        "ipv4_address",
        "ipv6_address",
        "link_local_ips",
        "mac_address",
        "priority",
    ],
    later: &[],
};

/// `services.*.healthcheck`
pub(crate) const HEALTHCHECK: Keys = Keys {
    of: "a health check",
    known: &["test", "interval", "timeout", "start_period", "start_interval", "retries", "disable"],
    later: &[],
};

/// `services.*.depends_on.*`
pub(crate) const DEPENDENCY: Keys =
    Keys { of: "a dependency", known: &["condition", "required", "restart"], later: &[] };

/// `services.*.deploy`
pub(crate) const DEPLOY: Keys = Keys {
    of: "`deploy`",
    known: &["mode", "resources", "replicas", "restart_policy", "update_config", "rollback_config"],
    later: &[],
};

/// `services.*.deploy.restart_policy`
pub(crate) const RESTART: Keys =
    Keys { of: "`restart_policy`", known: &["condition", "max_attempts"], later: &[] };

/// `services.*.deploy.update_config`, `services.*.deploy.rollback_config`
pub(crate) const UPDATE_CONFIG: Keys = Keys {
    of: "the configuration of an update",
    known: &["parallelism", "delay", "failure_action", "monitor", "max_failure_ratio", "order"],
    later: &[],
};

/// `services.*.deploy.resources`
pub(crate) const DEPLOY_RESOURCES: Keys =
    Keys { of: "`deploy.resources`", known: &["limits", "reservations"], later: &[] };

/// `services.*.deploy.resources.limits`
pub(crate) const LIMITS: Keys = Keys { of: "limits", known: &["cpus", "memory", "pids"], later: &[] };

/// `services.*.deploy.resources.reservations`
pub(crate) const RESERVATIONS: Keys = Keys { of: "reservations", known: &["memory", "devices"], later: &[] };

/// `services.*.devices.*`
pub(crate) const DEVICE: Keys =
    Keys { of: "a device", known: &["source", "target", "permissions"], later: &[] };

/// `services.*.gpus.*`, and what `deploy` reserves of them
pub(crate) const DEVICE_REQUEST: Keys = Keys {
    of: "a request for devices",
    known: &["capabilities", "driver", "count", "device_ids", "options"],
    later: &[],
};

/// `services.*.blkio_config`
pub(crate) const BLKIO: Keys = Keys {
    of: "`blkio_config`",
    known: &[
        "weight",
        "weight_device",
        "device_read_bps",
        "device_read_iops",
        "device_write_bps",
        "device_write_iops",
    ],
    later: &[],
};

/// `services.*.blkio_config.weight_device.*`
pub(crate) const WEIGHT_DEVICE: Keys =
    Keys { of: "the weight of a device", known: &["path", "weight"], later: &[] };

/// `services.*.blkio_config.device_read_bps.*` and its like
pub(crate) const THROTTLE: Keys = Keys { of: "the limit of a device", known: &["path", "rate"], later: &[] };

/// `services.*.logging`
pub(crate) const LOGGING: Keys = Keys { of: "`logging`", known: &["driver", "options"], later: &[] };

/// `services.*.ulimits.*`
pub(crate) const ULIMIT: Keys = Keys { of: "a limit", known: &["soft", "hard"], later: &[] };

/// `services.*.ports.*` in the long form
pub(crate) const PORT: Keys = Keys {
    of: "a port",
    // The last two tell people what the port is for; Docker has no place for them.
    known: &["target", "published", "host_ip", "protocol", "mode", "name", "app_protocol"],
    later: &[],
};

/// `services.*.volumes.*` in the long form
pub(crate) const MOUNT: Keys = Keys {
    of: "a mount",
    known: &["type", "source", "target", "read_only", "consistency", "tmpfs", "bind", "volume", "image"],
    later: &[],
};

/// `services.*.volumes.*.bind`
pub(crate) const BIND: Keys = Keys {
    of: "a bind mount",
    known: &["create_host_path", "propagation", "recursive", "selinux"],
    later: &[],
};

/// `services.*.volumes.*.volume`
pub(crate) const VOLUME_MOUNT: Keys =
    Keys { of: "the mount of a volume", known: &["labels", "nocopy", "subpath"], later: &[] };

/// `services.*.volumes.*.image`
pub(crate) const IMAGE_MOUNT: Keys = Keys { of: "the mount of an image", known: &["subpath"], later: &[] };

/// `services.*.volumes.*.tmpfs`
pub(crate) const TMPFS: Keys = Keys { of: "a tmpfs", known: &["size", "mode"], later: &[] };

/// `x-evenkeel`
pub(crate) const EVENKEEL: Keys = Keys {
    of: "`x-evenkeel`",
    known: &["tier", "gate", "watch", "rollback", "drift", "moved_from"],
    later: &[],
};

/// `x-evenkeel.gate`
pub(crate) const GATE: Keys =
    Keys { of: "a gate", known: &["http", "tcp", "exec", "log", "stable_for", "deadline"], later: &[] };

/// `x-evenkeel.gate.http`
pub(crate) const HTTP_GATE: Keys = Keys {
    of: "an HTTP gate",
    known: &["url", "method", "headers", "status", "expect_headers", "json", "redirects", "within"],
    later: &[],
};

/// `x-evenkeel.gate.exec`
pub(crate) const EXEC_GATE: Keys =
    Keys { of: "the command of a gate", known: &["command", "within"], later: &[] };

/// `x-evenkeel.gate.log`
pub(crate) const LOG_GATE: Keys =
    Keys { of: "the log line of a gate", known: &["line", "regex"], later: &[] };

/// `evenkeel.yaml`
pub(crate) const PROJECT: Keys = Keys { of: "evenkeel.yaml", known: &["project", "tiers"], later: &[] };

/// `environment.yaml`
pub(crate) const ENVIRONMENT: Keys = Keys {
    of: "environment.yaml",
    known: &[
        "stack",
        "variables",
        "profiles",
        "tiers",
        "hosts",
        "drift",
        "rollback",
        "prune",
        "watch",
        "windows",
        "approval",
    ],
    later: &["secrets"],
};

/// `environment.yaml: windows.*`
pub(crate) const WINDOW: Keys =
    Keys { of: "a window", known: &["kind", "cron", "duration", "timezone", "reason"], later: &[] };

/// The path of every key that is ours.
pub(crate) fn own_paths() -> Vec<String> {
    // At the top of a file it says what holds for all services of the file.
    let mut paths = vec!["x-evenkeel".to_owned(), "services.*.x-evenkeel".to_owned()];
    for (prefix, keys) in [
        ("services.*.x-evenkeel.", &EVENKEEL),
        ("services.*.x-evenkeel.gate.", &GATE),
        ("services.*.x-evenkeel.gate.http.", &HTTP_GATE),
        ("services.*.x-evenkeel.gate.exec.", &EXEC_GATE),
        ("services.*.x-evenkeel.gate.log.", &LOG_GATE),
        ("evenkeel.yaml:", &PROJECT),
        ("environment.yaml:", &ENVIRONMENT),
        ("environment.yaml:windows.*.", &WINDOW),
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
            problems.add(not_supported(entry, keys.of));
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

/// The problem that a key of ours can't be honoured yet. `of` is what its mapping is: `x-evenkeel`.
pub(crate) fn not_supported(entry: &Entry, of: &str) -> Problem {
    let key = entry.key.text.as_str();
    Problem::error("not-supported", entry.key.span, format!("`{key}` of {of} is not supported yet"))
        .hint(instead(key))
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
        "secrets" => "take secrets from variables of the host: `variables: {NAME: {from: host}}`",
        "volumes_from" => {
            "it ties the service to one container of the other, which every deploy replaces: name the volumes under \
             `volumes` of both services"
        }
        "delay" | "window" => {
            "Docker chooses the pauses itself: 100 ms at first, then twice as long each time; remove it"
        }
        "cpu_count" | "cpu_percent" => "it is for containers of Windows; limit processors with `cpus`",
        "isolation" | "credential_spec" => "it is for containers of Windows; remove it",
        "use_api_socket" => {
            "it gives the container Docker's socket and the registry logins of whoever runs Compose; mount the socket: \
             `volumes: [\"/var/run/docker.sock:/var/run/docker.sock\"]`"
        }
        "provider" => {
            "a provider is a program of the host that Compose runs; run it outside, and remove the service"
        }
        "models" => {
            "models are run by Docker Desktop; run the model as a service, and give its address in `environment`"
        }
        "post_start" => {
            "do it in the image's entrypoint, or in a service of its own that waits for this one with `depends_on`"
        }
        "pre_stop" => "let the program do it when it gets its `stop_signal`, within `stop_grace_period`",
        _ => "it is refused rather than ignored; remove it",
    }
}
