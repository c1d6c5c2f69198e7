//! Services that say several rows of the table at once: which rows go together, and what the service says then.

use std::collections::{BTreeMap, BTreeSet};

use serde_yaml::{Mapping, Value};

use super::row::{NOTHING, Row};
use super::stage::{Moment, Names};

/// Fields that no service can have together, and why. Rows that say the same key are apart anyway.
const APART: [(&[&str], &[&str], &str); 13] = [
    (&["expose.53/udp"], &["ports.53/udp"], "what is published is exposed"),
    (&["container_name"], &["networks", "ports"], "it is an alias, too"),
    (
        &["network_mode"],
        &[
            "networks",
            "ports",
            "hostname",
            "domainname",
            "dns",
            "dns_search",
            "dns_opt",
            "extra_hosts",
            "expose",
            "healthcheck",
        ],
        "who uses another network has its name, its ports and its servers; the rows serve on another port",
    ),
    (&["uts"], &["hostname", "domainname"], "the host's name is the host's"),
    (&["volumes"], &["configs", "secrets"], "the rows have one target"),
    (
        &["deploy.resources.limits.memory"],
        &["memswap_limit", "oom_kill_disable"],
        "these rows say the memory, too",
    ),
    (&["deploy.resources.limits.cpus"], &["cpu_period", "cpu_quota"], "they are one limit in two forms"),
    (&["cpu_rt_period"], &["cpu_rt_runtime", "cpu_period"], "the kernel holds one to the other"),
    (&["cpu_rt_runtime"], &["cpu_period"], "the kernel holds one to the other"),
    (
        &["privileged"],
        &["cap_add", "cap_drop", "security_opt", "cgroup"],
        "it gives everything; the engine says so",
    ),
    (&["entrypoint"], &["command"], "the words of both rows together are none of the program"),
    (&["logging.driver"], &["logging.options"], "the option is of one driver"),
    // Whoever is on another network is not found by the network of the link.
    (
        &["networks.STACK_default.links"],
        &["networks.STACK_six", "networks.STACK_front", "networks.STACK_default.priority"],
        "links are of one network",
    ),
];

/// Rows of which a stack has one at most: two containers can't have the same address.
pub const ONCE: [&str; 4] = [
    "networks.STACK_default.ipv4_address",
    "networks.STACK_six.ipv6_address",
    "networks.STACK_default.mac_address",
    "networks.STACK_default.link_local_ips",
];

/// All moments of a row.
pub const MOMENTS: [Moment; 3] = [Moment::One, Moment::Two, Moment::Last];

/// What a row says at `moment`, with everything that stands for something else replaced. That a service is on the stack's
/// network is said, for another row may join it to a second one.
fn said(row: &Row, moment: Moment, fill: &dyn Fn(&str) -> String) -> Mapping {
    let parts = [row.with, row.at(moment)].map(str::trim);
    let text = parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ");
    let text = format!("{{{}}}", fill(&text));
    let mut said: Mapping = serde_yaml::from_str(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
    if let Some(networks) = said.get_mut("networks")
        && let Value::Sequence(names) = networks
    {
        *networks = names
            .iter()
            .map(|name| (name.clone(), Value::Mapping(Mapping::new())))
            .collect::<Mapping>()
            .into();
    }
    if row.on_network && !row.field.starts_with("network_mode") && !said.contains_key("networks") {
        said.insert("networks".into(), serde_yaml::from_str("{default: {}}").unwrap());
    }
    said
}

/// Every value by its path. Whether a service is on a network counts as one.
fn leaves(value: &Value, path: &str, into: &mut BTreeMap<String, String>) {
    match value {
        Value::Mapping(map) => {
            if path.starts_with("networks.") {
                into.insert(path.to_owned(), "joined".to_owned());
            }
            for (key, value) in map {
                let key = key.as_str().unwrap();
                leaves(value, &if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }, into);
            }
        }
        value => {
            into.insert(path.to_owned(), format!("{value:?}"));
        }
    }
}

/// What a row says in all of its moments: more than one value where it differs.
fn values(row: &Row) -> BTreeMap<String, BTreeSet<Option<String>>> {
    let fill = |text: &str| text.replace("CHECK", "test: [CMD, /fixture, probe]");
    let moments = MOMENTS.map(|moment| {
        let mut found = BTreeMap::new();
        leaves(&Value::Mapping(said(row, moment, &fill)), "", &mut found);
        found
    });
    let paths: BTreeSet<&String> = moments.iter().flat_map(BTreeMap::keys).collect();
    let at = |path: &String| moments.iter().map(|moment| moment.get(path).cloned()).collect();
    paths.into_iter().map(|path| (path.clone(), at(path))).collect()
}

fn names(row: &Row) -> BTreeSet<&'static str> {
    [row.field]
        .iter()
        .chain(row.to_two)
        .chain(row.to_last)
        .chain(row.by_hand_named)
        .copied()
        .filter(|name| *name != NOTHING[0])
        .collect()
}

/// Whether a service may say both.
pub fn go_together(a: &Row, b: &Row) -> bool {
    let is_in = |row: &Row, groups: &[&str]| {
        groups.iter().any(|group| {
            names(row).iter().any(|name| {
                name.strip_prefix(group).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            })
        })
    };
    let are_apart = |a: &Row, b: &Row| APART.iter().any(|(one, other, _)| is_in(a, one) && is_in(b, other));
    let (of_a, of_b) = (values(a), values(b));
    let says_the_same = of_a
        .iter()
        .all(|(path, values)| of_b.get(path).is_none_or(|other| values.len() == 1 && values == other));
    let is_below = |path: &String, other: &String| {
        path.strip_prefix(other.as_str()).is_some_and(|rest| rest.starts_with('.'))
    };
    let clash = of_a.keys().any(|a| {
        of_b.keys().any(|b| {
            let joined = |path: &String| path.starts_with("networks.") && path.matches('.').count() == 1;
            (is_below(a, b) && !joined(b)) || (is_below(b, a) && !joined(a))
        })
    });
    says_the_same && !clash && names(a).is_disjoint(&names(b)) && !are_apart(a, b) && !are_apart(b, a)
}

/// The first of `rows` that go together, in their order, `most` at most.
pub fn together(rows: impl IntoIterator<Item = &'static Row>, most: usize) -> Vec<&'static Row> {
    let mut taken: Vec<&'static Row> = Vec::new();
    for row in rows {
        if taken.len() < most && row.field != "state" && taken.iter().all(|other| go_together(row, other)) {
            taken.push(row);
        }
    }
    taken
}

/// The entry of a service that says all of `rows`, each at its moment.
pub fn entry(name: &str, rows: &[(&Row, Moment)], names: &Names) -> String {
    let mut all = Mapping::new();
    for (row, moment) in rows {
        merge(&mut all, said(row, *moment, &|text| names.fill(text)));
    }
    to_deploy(&mut all);
    let base = if rows.iter().any(|(row, _)| row.on_network) { "*base" } else { "*quiet" };
    let said = serde_json::to_string(&all).unwrap();
    let said = said.strip_prefix('{').and_then(|said| said.strip_suffix('}')).unwrap();
    let comma = if said.is_empty() { "" } else { ", " };
    format!("  {name}: {{<<: {base}{comma}{said}}}\n")
}

/// Says the limits that have two places all at one of them, as Compose wants it.
fn to_deploy(said: &mut Mapping) {
    if !said.contains_key("deploy") {
        return;
    }
    for (short, group, key) in [
        ("mem_limit", "limits", "memory"),
        ("cpus", "limits", "cpus"),
        ("pids_limit", "limits", "pids"),
        ("mem_reservation", "reservations", "memory"),
    ] {
        let Some(value) = said.remove(short) else { continue };
        let value = if short == "cpus" { Value::String(value.as_f64().unwrap().to_string()) } else { value };
        let text = format!("{{deploy: {{resources: {{{group}: {{{key}: x}}}}}}}}");
        let mut long: Mapping = serde_yaml::from_str(&text).unwrap();
        long["deploy"]["resources"][group][key] = value;
        merge(said, long);
    }
}

fn merge(into: &mut Mapping, from: Mapping) {
    for (key, value) in from {
        match (into.get_mut(&key), value) {
            (Some(Value::Mapping(known)), Value::Mapping(value)) => merge(known, value),
            (_, value) => {
                into.insert(key, value);
            }
        }
    }
}
