//! Which keys there are: those that are honoured, and those of the Compose Specification that are not yet.
//!
//! A key in neither list is unknown and refused with a suggestion. No key is ignored in silence; only `x-*`, which
//! Compose itself reserves for others, passes.

use super::node::Map;
use super::problem::{Problem, Problems, suggestion};

/// The keys of one kind of mapping.
pub(crate) struct Keys {
    /// What the mapping is, for messages: `a service`.
    pub(crate) of: &'static str,
    /// Honoured.
    pub(crate) known: &'static [&'static str],
    /// In the Compose Specification or planned, and refused so far.
    pub(crate) later: &'static [&'static str],
}

/// The top of a Compose file.
pub(crate) const FILE: Keys = Keys {
    of: "a Compose file",
    known: &["name", "version", "services", "networks", "volumes", "x-evenkeel"],
    later: &["configs", "secrets", "include", "models"],
};

/// A service.
#[rustfmt::skip]
pub(crate) const SERVICE: Keys = Keys {
    of: "a service",
    known: &[
        "image", "command", "entrypoint", "environment", "labels", "ports", "expose", "networks", "volumes", "tmpfs",
        "healthcheck", "user", "working_dir", "hostname", "restart", "stop_signal", "stop_grace_period", "init",
        "read_only", "tty", "stdin_open", "privileged", "cap_add", "cap_drop", "security_opt", "extra_hosts", "dns",
        "sysctls", "ulimits", "shm_size", "logging", "mem_limit", "mem_reservation", "cpus", "pids_limit", "deploy",
        "scale", "container_name", "depends_on", "profiles", "x-evenkeel",
    ],
    later: &[
        "annotations", "attach", "blkio_config", "build", "cgroup", "cgroup_parent", "configs", "cpu_count",
        "cpu_percent", "cpu_period", "cpu_quota", "cpu_rt_period", "cpu_rt_runtime", "cpu_shares", "cpuset",
        "credential_spec", "develop", "device_cgroup_rules", "devices", "dns_opt", "dns_search", "domainname",
        "env_file", "extends", "external_links", "gpus", "group_add", "ipc", "isolation", "label_file", "links",
        "mac_address", "mem_swappiness", "memswap_limit", "models", "network_mode", "oom_kill_disable",
        "oom_score_adj", "pid", "platform", "post_start", "pre_stop", "provider", "pull_policy", "runtime", "secrets",
        "storage_opt", "use_api_socket", "userns_mode", "uts", "volumes_from",
    ],
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
    later: &["enable_ipv4"],
};

/// `networks.*.ipam`
pub(crate) const IPAM: Keys =
    Keys { of: "the address management of a network", known: &["driver", "config"], later: &["options"] };

/// `networks.*.ipam.config.*`
pub(crate) const POOL: Keys =
    Keys { of: "an address range", known: &["subnet", "gateway", "ip_range"], later: &["aux_addresses"] };

/// `volumes.*`
pub(crate) const VOLUME: Keys =
    Keys { of: "a volume", known: &["driver", "driver_opts", "labels", "external", "name"], later: &[] };

/// `services.*.networks.*`
pub(crate) const ATTACHMENT: Keys = Keys {
    of: "a service's network",
    known: &["aliases", "ipv4_address", "ipv6_address"],
    later: &["link_local_ips", "mac_address", "priority", "gw_priority", "driver_opts", "interface_name"],
};

/// `services.*.healthcheck`
pub(crate) const HEALTHCHECK: Keys = Keys {
    of: "a health check",
    known: &["test", "interval", "timeout", "start_period", "retries", "disable"],
    later: &["start_interval"],
};

/// `services.*.depends_on.*`
pub(crate) const DEPENDENCY: Keys =
    Keys { of: "a dependency", known: &["condition", "required"], later: &["restart"] };

/// `services.*.deploy`
pub(crate) const DEPLOY: Keys = Keys {
    of: "`deploy`",
    known: &["mode", "resources", "replicas"],
    later: &["labels", "placement", "restart_policy", "update_config", "rollback_config", "endpoint_mode"],
};

/// `services.*.deploy.resources`
pub(crate) const DEPLOY_RESOURCES: Keys =
    Keys { of: "`deploy.resources`", known: &["limits", "reservations"], later: &[] };

/// `services.*.deploy.resources.limits`
pub(crate) const LIMITS: Keys = Keys { of: "limits", known: &["cpus", "memory", "pids"], later: &[] };

/// `services.*.deploy.resources.reservations`
pub(crate) const RESERVATIONS: Keys =
    Keys { of: "reservations", known: &["memory"], later: &["cpus", "devices", "generic_resources"] };

/// `services.*.logging`
pub(crate) const LOGGING: Keys = Keys { of: "`logging`", known: &["driver", "options"], later: &[] };

/// `services.*.ulimits.*`
pub(crate) const ULIMIT: Keys = Keys { of: "a limit", known: &["soft", "hard"], later: &[] };

/// `services.*.ports.*` in the long form
pub(crate) const PORT: Keys = Keys {
    of: "a port",
    known: &["target", "published", "host_ip", "protocol", "mode"],
    later: &["name", "app_protocol"],
};

/// `services.*.volumes.*` in the long form
pub(crate) const MOUNT: Keys = Keys {
    of: "a mount",
    known: &["type", "source", "target", "read_only", "tmpfs", "bind", "volume"],
    later: &["consistency", "image"],
};

/// `services.*.volumes.*.bind`
pub(crate) const BIND: Keys = Keys {
    of: "a bind mount",
    known: &[],
    later: &["propagation", "create_host_path", "selinux", "recursive"],
};

/// `services.*.volumes.*.volume`
pub(crate) const VOLUME_MOUNT: Keys =
    Keys { of: "the mount of a volume", known: &[], later: &["nocopy", "subpath", "labels"] };

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

/// Notes every key of `map` that isn't honoured.
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

/// What to write instead of a key that isn't supported yet.
fn instead(key: &str) -> &'static str {
    match key {
        "build" => "build the image elsewhere, push it, and name it with `image`",
        "env_file" => "write its lines under `environment`; take secrets from variables: `${NAME:?}`",
        "extends" => "use an anchor and a merge key: `<<: *name`",
        "include" => "put the file below `manifests/`, or name it with a further `-f`",
        "configs" | "secrets" => {
            "mount a file of the repository: `volumes: [\"./file:/path:ro\"]`; take secrets from variables"
        }
        "network_mode" => "declare a network and join it with `networks`",
        _ => "it is refused rather than ignored; remove it",
    }
}
