//! The table is whole: every field that the normal form can have, and every key that is honoured, has a row or a reason
//! why it has none.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::Duration;

use evenkeel::model::name::NetworkName;
use evenkeel::model::policy::{FIELDS, OPEN_FIELDS, is_field};
use evenkeel::model::spec::{
    Attachment, BlockIo, ContainerPort, ContainerSpec, Device, DeviceRequest, Devices, HealthTest,
    Healthcheck, HostPort, INTERFACE_NAME, Logging, Mount, MountSource, Namespace, Namespaces, Protocol,
    PublishedPort, Resources, RestartPolicy, Runtime, Swap, Ulimit,
};
use evenkeel::model::text::Text;
use evenkeel::plan::fields::{DigestKey, Fields};
use evenkeel::plan::normal::{Host, of_spec};
use serde_yaml::Value;

use super::table;
use crate::common::docker::tell;

/// Fields without a row, and why.
const FIELDS_APART: [(&str, &str); 3] = [
    ("platform", "this host runs one platform; `docker::registry`"),
    (
        "deploy.resources.reservations.devices",
        "no container starts without such a device; `machine` of the contract has it",
    ),
    ("storage_opt", "needs a file system with quotas; the converter's tests have it"),
];

/// Honoured keys of services without a row, and why.
const KEYS_APART: [(&str, &str); 39] = [
    ("platform", "this host runs one platform; `docker::registry`"),
    ("attach", "of the foreground of Compose"),
    ("build", "of how an image is made"),
    ("develop", "of Compose's watch mode"),
    ("profiles", "whether there is a service"),
    ("extends", "taken into the service that says it; `tests/compose`"),
    ("env_file", "becomes `environment`; `tests/compose`"),
    ("env_file.*.path", "as `env_file`"),
    ("env_file.*.required", "as `env_file`"),
    ("env_file.*.format", "as `env_file`"),
    ("extends.service", "as `extends`"),
    ("extends.file", "as `extends`"),
    ("label_file", "becomes `labels`; `tests/compose`"),
    ("mac_address", "becomes that of the one network; `networks.*.mac_address`"),
    ("depends_on", "of the order, not of the container; `apply`"),
    ("depends_on.*.condition", "as `depends_on`"),
    ("depends_on.*.restart", "as `depends_on`"),
    ("depends_on.*.required", "as `depends_on`"),
    ("pull_policy", "when a registry is asked; `images`"),
    ("scale", "how many containers; `deploys`"),
    ("deploy.replicas", "as `scale`"),
    ("deploy.mode", "as `scale`"),
    ("deploy.update_config", "of how containers are replaced; `plans::strategies`, `apply::strategies`"),
    ("deploy.rollback_config", "as `deploy.update_config`"),
    ("x-evenkeel", "of how it is deployed, not of the container"),
    ("gpus", "`deploy.resources.reservations.devices`"),
    ("gpus.*.capabilities", "as `gpus`"),
    ("gpus.*.driver", "as `gpus`"),
    ("gpus.*.count", "as `gpus`"),
    ("gpus.*.device_ids", "as `gpus`"),
    ("gpus.*.options", "as `gpus`"),
    ("deploy.resources.reservations.devices", "no container starts without such a device"),
    ("deploy.resources.reservations.devices.*.capabilities", "as `devices`"),
    ("deploy.resources.reservations.devices.*.driver", "as `devices`"),
    ("deploy.resources.reservations.devices.*.count", "as `devices`"),
    ("deploy.resources.reservations.devices.*.device_ids", "as `devices`"),
    ("deploy.resources.reservations.devices.*.options", "as `devices`"),
    ("storage_opt", "needs a file system with quotas"),
    ("volumes.*.consistency", "has no effect on Linux, and a warning says so"),
];

fn rows_below(group: &str) -> bool {
    table::rows().any(|row| {
        row.field == group || row.field.strip_prefix(group).is_some_and(|rest| rest.starts_with('.'))
    })
}

fn is_apart(field: &str) -> bool {
    FIELDS_APART.iter().any(|(apart, _)| field == *apart || field.starts_with(&format!("{apart}.")))
}

#[test]
fn every_field_has_a_row() {
    let whole = whole();
    let missing: Vec<&str> = FIELDS
        .iter()
        .chain(&OPEN_FIELDS)
        .copied()
        .chain(whole.paths().map(evenkeel::plan::fields::FieldPath::as_str))
        .filter(|field| !rows_below(field) && !is_apart(field))
        .collect();
    assert_eq!(missing, [""; 0], "write a row for it in tests/it/field_laws/table.rs");
    for row in table::rows() {
        assert!(is_field(row.field), "no plan has a field `{}`", row.field);
    }
    let stale: Vec<_> = FIELDS_APART.iter().filter(|(field, _)| rows_below(field)).collect();
    assert!(stale.is_empty(), "has a row: {stale:?}");
    let fields: BTreeSet<_> = table::rows().map(|row| row.field).collect();
    let apart = FIELDS_APART.map(|(field, why)| format!("`{field}`: {why}")).join("; ");
    tell(&format!("{} fields in {} rows; apart: {apart}", fields.len(), table::rows().count()));
}

#[test]
fn every_honoured_key_is_written_in_a_row() {
    let honoured = honoured("services.*");
    let mut written = BTreeSet::new();
    for row in table::rows() {
        for text in [row.one, row.two, row.last] {
            let text = format!("{{{}}}", [row.with, text].join(", ").trim_matches([',', ' ']));
            let text = text.replace("CHECK", "test: [CMD, x]").replace(", }", "}");
            let value: Value = serde_yaml::from_str(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
            walk(&value, "", &mut written);
        }
    }
    let apart = BTreeMap::from(KEYS_APART);
    let is_apart = |key: &str| {
        apart.contains_key(key)
            || ["build.", "develop.", "x-evenkeel.", "deploy.update_config.", "deploy.rollback_config."]
                .iter()
                .any(|group| key.starts_with(group))
    };
    let missing: Vec<&String> =
        honoured.iter().filter(|key| !written.contains(*key) && !is_apart(key)).collect();
    assert!(missing.is_empty(), "no row writes: {missing:#?}");
    let stale: Vec<_> =
        apart.keys().filter(|key| written.contains(**key) || !honoured.contains(**key)).collect();
    assert!(stale.is_empty(), "is written in a row, or no honoured key: {stale:?}");
    tell(&format!(
        "{} of {} honoured keys of a service are written in rows",
        honoured.intersection(&written).count(),
        honoured.len()
    ));
}

/// The honoured keys below `object`, of the table that `attributes.rs` holds against the language and the manual.
pub fn honoured(object: &str) -> BTreeSet<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/attributes");
    let mut keys = BTreeSet::new();
    for file in fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).filter(|path| path.is_file()) {
        let groups: Vec<Value> = serde_yaml::from_str(&fs::read_to_string(file).unwrap()).unwrap();
        for group in &groups {
            let Some(below) = group["object"].as_str().unwrap().strip_prefix(object) else { continue };
            for (key, forms) in group["keys"].as_mapping().unwrap() {
                if forms["here"].as_str() == Some("honoured") {
                    let key = format!("{below}.{}", key.as_str().unwrap());
                    keys.insert(key.trim_start_matches('.').to_owned());
                }
            }
        }
    }
    keys
}

/// Notes the path of every key in `value`. Whether a mapping has keys or names is not known here, so both are noted.
pub fn walk(value: &Value, path: &str, found: &mut BTreeSet<String>) {
    let below = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    match value {
        Value::Mapping(map) => {
            for (key, value) in map {
                if let Some(key) = key.as_str() {
                    found.insert(below(key));
                    walk(value, &below(key), found);
                    walk(value, &below("*"), found);
                }
            }
        }
        Value::Sequence(items) => items.iter().for_each(|item| walk(item, &below("*"), found)),
        _ => {}
    }
}

/// The normal form of a container that declares everything. Every literal here is exhaustive: who adds a field to a
/// specification must come by.
#[expect(clippy::too_many_lines, reason = "a literal of every field, exhaustive on purpose")]
fn whole() -> Fields {
    let text = |text: &str| text.to_owned();
    let pair = |a: &str, b: &str| [(a.to_owned(), b.to_owned())].into();
    let set = |word: &str| [word.to_owned()].into();
    let words = || vec![Text::plain("a")];
    let disk = |rate: u64| [("DISK".to_owned(), rate)].into();
    let port = |number, protocol| ContainerPort { number, protocol };
    let spec = ContainerSpec {
        image: "a:1".parse().unwrap(),
        command: Some(words()),
        entrypoint: Some(words()),
        environment: [(text("A"), Text::plain("1"))].into(),
        labels: pair("a.b", "1"),
        ports: [PublishedPort { container: port(80, Protocol::Tcp), host_ip: None, host: HostPort::Any }]
            .into(),
        expose: [port(53, Protocol::Udp)].into(),
        networks: networks(),
        mounts: [(text("/x"), Mount::of(MountSource::Anonymous))].into(),
        healthcheck: Some(Healthcheck {
            test: Some(HealthTest::Disabled),
            interval: Some(Duration::from_secs(1)),
            timeout: Some(Duration::from_secs(1)),
            start_period: Some(Duration::from_secs(1)),
            start_interval: Some(Duration::from_secs(1)),
            retries: Some(1),
        }),
        user: Some(text("1")),
        working_dir: Some(text("/a")),
        hostname: Some(text("a")),
        domainname: Some(text("a")),
        restart: RestartPolicy::Always,
        stop_signal: Some(text("SIGINT")),
        stop_grace: Some(Duration::from_secs(1)),
        init: Some(true),
        read_only: true,
        tty: true,
        stdin_open: true,
        privileged: true,
        cap_add: set("ALL"),
        cap_drop: set("ALL"),
        security_opt: set("a"),
        extra_hosts: [(text("a"), text("10.0.0.1"))].into(),
        dns: vec![text("9.9.9.9")],
        dns_search: vec![text("a")],
        dns_options: set("a"),
        sysctls: pair("kernel.msgmax", "1"),
        ulimits: [(text("nofile"), Ulimit { soft: 1, hard: 1 })].into(),
        shm_size: Some(1),
        logging: Some(Logging { driver: text("local"), options: pair("max-file", "1") }),
        resources: resources(),
        block_io: BlockIo {
            weights: [(text("DISK"), 10)].into(),
            read_bps: disk(1),
            write_bps: disk(1),
            read_iops: disk(1),
            write_iops: disk(1),
        },
        namespaces: Namespaces {
            network: Some(Namespace::Host),
            ipc: Some(Namespace::Host),
            pid: Some(Namespace::Host),
            uts: Some(Namespace::Host),
            users: Some(Namespace::Host),
            cgroup: Some(Namespace::Host),
        },
        devices: Devices {
            paths: [(text("/dev/nothing"), Device { source: text("/dev/null"), permissions: text("rwm") })]
                .into(),
            rules: set("a 7:* rmw"),
            requests: vec![DeviceRequest::default()],
        },
        platform: Some("linux/amd64".parse().unwrap()),
        runtime: Runtime {
            name: Some(text("runc")),
            groups: set("1"),
            cgroup_parent: Some(text("/a")),
            oom_kill_disable: true,
            oom_score_adj: 1,
            swappiness: Some(1),
            storage: pair("size", "1G"),
            annotations: pair("a.b", "1"),
        },
    };
    of_spec(&spec, Host { key: &DigestKey::new([7; 32]), files: "/files" })
}

fn networks() -> BTreeMap<NetworkName, Attachment> {
    let options = [("com.example.a", "1"), (INTERFACE_NAME, "eth7")];
    let attachment = Attachment {
        first: true,
        aliases: ["a".to_owned()].into(),
        ipv4: "10.0.0.1".parse().ok(),
        ipv6: None,
        link_local: ["169.254.8.8".parse().unwrap()].into(),
        mac: "02:42:ac:11:00:97".parse().ok(),
        options: options.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        gateway_priority: 1,
        links: [("a".to_owned(), "b".to_owned())].into(),
    };
    let six = Attachment { ipv6: "fd00::1".parse().ok(), ..Attachment::default() };
    // Only where it lies is another one.
    let mut networks = BTreeMap::from([("STACK_default".parse().unwrap(), attachment)]);
    networks.insert("STACK_six".parse().unwrap(), six);
    networks
}

fn resources() -> Resources {
    Resources {
        memory: Some(1),
        memory_swap: Some(Swap::Unlimited),
        memory_reservation: Some(1),
        nano_cpus: Some(1),
        cpu_shares: Some(1),
        cpu_period: Some(1),
        cpu_quota: Some(1),
        cpu_rt_period: Some(1),
        cpu_rt_runtime: Some(1),
        cpuset: Some("0".to_owned()),
        block_io_weight: Some(10),
        pids: Some(1),
    }
}
