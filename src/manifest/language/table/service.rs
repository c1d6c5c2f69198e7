//! The attributes of a service.

use super::super::types::{Form, List, Object, Pairs, Path, Short, Size, Textual, Type, Unique, key};
use super::build::BUILD;
use super::deploy::{DEPLOY, GPU};
use super::storage::{BLKIO, DEVICES, MOUNTS, ULIMITS};
use super::{ADDRESSES, COMMAND, COUNT, CUT, DISTINCT, ONE_OR_TEXTS, OPTIONS, STRICT, TEXTS};

/// A service.
pub(crate) static SERVICE: Object = Object {
    of: "a service",
    attributes: &[
        key("profiles", DISTINCT),
        key("annotations", Type::Pairs(Pairs::Empty)),
        key("attach", Type::Flag).said(),
        key("build", Type::Short(Short::Build, &Type::Object(&BUILD))).said(),
        key("develop", Type::Maybe(&Type::Object(&DEVELOP))).said(),
        key("blkio_config", Type::Object(&BLKIO)).said(),
        key("cap_add", DISTINCT),
        key("cap_drop", DISTINCT),
        key("cgroup_parent", Type::Text),
        key("cgroup", Type::Word(&["host", "private"])),
        key("cpu_count", COUNT),
        key("cpu_percent", Type::Whole(0, 100)),
        key("cpu_period", CUT),
        key("cpu_quota", CUT),
        key("cpu_rt_period", CUT),
        key("cpu_rt_runtime", CUT),
        key("cpus", Type::Decimal),
        key("cpuset", Type::Text),
        key("cpu_shares", CUT),
        key("command", COMMAND).always().replaced(),
        key("configs", sources(&CONFIG_MOUNTS)),
        key("container_name", Type::Formed(Form::ContainerName)),
        key("credential_spec", Type::Object(&CREDENTIAL_SPEC)).said(),
        key("depends_on", Type::Short(Short::Dependencies, &Type::Map(&Type::Object(&DEPENDENCY)))),
        key("deploy", Type::Maybe(&Type::Object(&DEPLOY))).said(),
        key("device_cgroup_rules", STRICT),
        key("devices", DEVICES),
        key("dns", DISTINCT_OR_ONE),
        key("dns_opt", DISTINCT),
        key("dns_search", DISTINCT_OR_ONE),
        key("domainname", Type::Text),
        key("entrypoint", COMMAND).always().replaced(),
        key("provider", Type::Object(&PROVIDER)).said(),
        key("environment", Type::Pairs(Pairs::Variable)),
        key("env_file", Type::Short(Short::EnvFiles, &ENV_FILES)).hidden(),
        key("expose", EXPOSE),
        key("extends", Type::Short(Short::Extends, &Type::Object(&EXTENDS))).hidden(),
        key("external_links", STRICT),
        key("extra_hosts", Type::Short(Short::Hosts, &ADDRESSES)),
        key("group_add", GROUPS),
        key("gpus", Type::Short(Short::Gpus, &GPUS)),
        key("hostname", Type::Text),
        key("healthcheck", Type::Object(&HEALTHCHECK)).said(),
        key("image", Type::Text),
        key("init", Type::Flag).said(),
        key("ipc", Type::Text),
        key("isolation", Type::Text),
        key("labels", Type::Pairs(Pairs::Empty)),
        key("label_file", LABEL_FILES).hidden(),
        key("links", DISTINCT),
        key("logging", Type::Object(&LOGGING)).said().by_driver(),
        key("mem_limit", Type::Size(Size::Number)),
        key("mem_reservation", Type::Size(Size::Whole)),
        key("memswap_limit", Type::Size(Size::Number)),
        key("mem_swappiness", Type::Size(Size::Whole)),
        key("mac_address", Type::Text),
        key("models", Type::Short(Short::Names, &Type::Map(&Type::Maybe(&Type::Object(&MODEL_USE))))),
        key("network_mode", Type::Text),
        key("networks", Type::Short(Short::Names, &Type::Map(&Type::Maybe(&Type::Object(&ATTACHMENT))))),
        key("oom_kill_disable", Type::Flag),
        key("oom_score_adj", Type::Whole(-1000, 1000)),
        key("pid", Type::Maybe(&Type::Text)),
        key("pids_limit", CUT),
        key("platform", Type::Text),
        key("ports", Type::Short(Short::Ports, &PORTS)),
        key("privileged", Type::Flag),
        key("pull_policy", Type::Formed(Form::PullPolicy)),
        key("pull_refresh_after", Type::Text).hidden(),
        key("read_only", Type::Flag),
        key("restart", Type::Text),
        key("runtime", Type::Text),
        key("scale", COUNT).said(),
        key("secrets", sources(&SECRET_MOUNTS)),
        key("security_opt", STRICT),
        key("shm_size", Type::Size(Size::Number)),
        key("stdin_open", Type::Flag),
        key("stop_grace_period", Type::Duration).said(),
        key("stop_signal", Type::Text),
        key("storage_opt", Type::Map(&Type::Textual(Textual::NumberOrNull))),
        key("sysctls", Type::Pairs(Pairs::Empty)),
        key("tmpfs", DISTINCT_OR_ONE),
        key("tty", Type::Flag),
        key("ulimits", ULIMITS),
        key("use_api_socket", Type::Truth),
        key("user", Type::Text),
        key("userns_mode", Type::Text),
        key("uts", Type::Text),
        key("volumes", MOUNTS),
        key("volumes_from", STRICT),
        key("working_dir", Type::Text),
        key("post_start", HOOKS),
        key("pre_stop", HOOKS),
    ],
    extensible: true,
    lax: false,
};

const DISTINCT_OR_ONE: Type = Type::List(&List { item: Type::Text, unique: Unique::Itself, single: true });
const EXPOSE: Type =
    Type::List(&List { item: Type::Textual(Textual::Whole), unique: Unique::Itself, single: false });
const GROUPS: Type =
    Type::List(&List { item: Type::Textual(Textual::Whole), unique: Unique::Refused, single: false });
const GPUS: Type = Type::List(&List { item: Type::Object(&GPU), unique: Unique::Never, single: false });
const HOOKS: Type = Type::List(&List { item: Type::Object(&HOOK), unique: Unique::Never, single: false });
const ENV_FILES: Type =
    Type::List(&List { item: Type::Object(&ENV_FILE), unique: Unique::Path, single: false });
const LABEL_FILES: Type =
    Type::List(&List { item: Type::Path(Path::Read), unique: Unique::Never, single: true });
const PORTS: Type = Type::List(&List { item: Type::Object(&PORT), unique: Unique::Port, single: false });

/// The configs or secrets of a service, or of a build.
pub(super) const fn sources(list: &'static List) -> Type {
    Type::List(list)
}

/// A config or secret, in a service.
pub(super) const SOURCE: Type = Type::Short(Short::Source, &Type::Object(&SOURCE_OBJECT));
static CONFIG_MOUNTS: List = List { item: SOURCE, unique: Unique::Mounted(""), single: false };
static SECRET_MOUNTS: List = List { item: SOURCE, unique: Unique::Mounted("/run/secrets"), single: false };

static SOURCE_OBJECT: Object = Object {
    of: "a config or secret of a service",
    attributes: &[
        key("source", Type::Text),
        key("target", Type::Text),
        key("uid", Type::Text),
        key("gid", Type::Text),
        key("mode", Type::Textual(Textual::Mode)).said(),
    ],
    extensible: true,
    lax: false,
};

static CREDENTIAL_SPEC: Object = Object {
    of: "`credential_spec`",
    attributes: &[key("config", Type::Text), key("file", Type::Text), key("registry", Type::Text)],
    extensible: true,
    lax: false,
};

static DEPENDENCY: Object = Object {
    of: "a dependency",
    attributes: &[
        key(
            "condition",
            Type::Word(&["service_started", "service_healthy", "service_completed_successfully"]),
        )
        .needed(),
        key("restart", Type::Flag),
        key("required", Type::Truth).said(),
    ],
    extensible: true,
    lax: false,
};

static PROVIDER: Object = Object {
    of: "`provider`",
    attributes: &[
        key("type", Type::Text).needed(),
        key("options", Type::Map(&Type::Short(Short::One, &PROVIDER_VALUES))),
    ],
    extensible: true,
    lax: false,
};
const PROVIDER_VALUES: Type =
    Type::List(&List { item: Type::Textual(Textual::All), unique: Unique::Never, single: false });

static ENV_FILE: Object = Object {
    of: "an `env_file`",
    attributes: &[
        key("path", Type::Path(Path::Read)).needed(),
        key("required", Type::Flag),
        key("format", Type::Text),
    ],
    extensible: false,
    lax: false,
};

static EXTENDS: Object = Object {
    of: "`extends`",
    attributes: &[key("service", Type::Text).needed(), key("file", Type::Text)],
    extensible: false,
    lax: true,
};

static HEALTHCHECK: Object = Object {
    of: "a health check",
    attributes: &[
        key("test", Type::Short(Short::HealthTest, &TEXTS)).replaced(),
        key("timeout", Type::Duration).said(),
        key("interval", Type::Duration).said(),
        key("retries", Type::Cut(0)).said(),
        key("start_period", Type::Duration).said(),
        key("start_interval", Type::Duration).said(),
        key("disable", Type::Flag),
    ],
    extensible: true,
    lax: false,
};

static LOGGING: Object = Object {
    of: "`logging`",
    attributes: &[
        key("driver", Type::Text),
        key("options", Type::Map(&Type::Textual(Textual::NumberOrNull))),
    ],
    extensible: true,
    lax: false,
};

static MODEL_USE: Object = Object {
    of: "a model of a service",
    attributes: &[key("endpoint_var", Type::Text), key("model_var", Type::Text)],
    extensible: true,
    lax: false,
};

static ATTACHMENT: Object = Object {
    of: "a service's network",
    attributes: &[
        key("aliases", DISTINCT),
        key("driver_opts", OPTIONS),
        key("gw_priority", Type::Unquoted(&CUT)),
        key("interface_name", Type::Text),
        key("ipv4_address", Type::Text),
        key("ipv6_address", Type::Text),
        key("link_local_ips", DISTINCT),
        key("mac_address", Type::Text),
        key("priority", Type::Unquoted(&CUT)),
    ],
    extensible: true,
    lax: false,
};

static PORT: Object = Object {
    of: "a port",
    attributes: &[
        key("name", Type::Text),
        key("mode", Type::Text),
        key("host_ip", Type::Text),
        key("target", Type::Whole(0, 0xffff_ffff)),
        key("published", Type::Textual(Textual::Whole)),
        key("protocol", Type::Text),
        key("app_protocol", Type::Text),
    ],
    extensible: true,
    lax: false,
};

/// A command that is run in a container.
pub(super) static HOOK: Object = Object {
    of: "a hook",
    attributes: &[
        key("command", COMMAND).always().needed(),
        key("user", Type::Text),
        key("privileged", Type::Flag),
        key("working_dir", Type::Text),
        key("environment", Type::Pairs(Pairs::Hook)),
    ],
    extensible: true,
    lax: false,
};

/// `exec` of a watch: as a hook, and printed even where it is not said.
static EXEC: Object = Object {
    of: "`exec`",
    attributes: &[
        key("command", COMMAND).always().needed(),
        key("user", Type::Text),
        key("privileged", Type::Flag),
        key("working_dir", Type::Text),
        key("environment", Type::Pairs(Pairs::Hook)),
    ],
    extensible: true,
    lax: false,
};

static DEVELOP: Object =
    Object { of: "`develop`", attributes: &[key("watch", WATCHES)], extensible: true, lax: false };
const WATCHES: Type = Type::List(&List { item: Type::Object(&WATCH), unique: Unique::Never, single: false });

static WATCH: Object = Object {
    of: "a watch",
    attributes: &[
        key("path", Type::Path(Path::Watched)).needed(),
        key("action", Type::Word(&["rebuild", "sync", "restart", "sync+restart", "sync+exec"])).needed(),
        key("target", Type::Text),
        key("exec", Type::Object(&EXEC)).always(),
        key("include", ONE_OR_TEXTS),
        key("ignore", ONE_OR_TEXTS),
        key("initial_sync", Type::Truth),
    ],
    extensible: true,
    lax: false,
};
