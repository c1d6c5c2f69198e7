//! What the runtime and the kernel are told about a container besides limits.

use super::super::node::{Map, Node};
use super::super::problem::{Problem, Problems};
use super::super::{read, units};
use super::{Context, process};
use crate::model::spec::ContainerSpec;

/// Reads these keys into `spec`.
pub(super) fn read(cx: &mut Context<'_>, map: &Map, spec: &mut ContainerSpec) {
    let word = |problems: &mut Problems, node: &Node| {
        read::text(problems, node).map(|scalar| scalar.text.clone()).filter(|text| !text.is_empty())
    };
    let out = &mut spec.runtime;
    out.name = cx.optional(map, "runtime", word);
    out.cgroup_parent = cx.optional(map, "cgroup_parent", word);
    out.oom_kill_disable = cx.optional(map, "oom_kill_disable", read::boolean).unwrap_or_default();
    let score = |problems: &mut Problems, node: &Node| read::integer(problems, node, "a whole number");
    out.oom_score_adj = cx.optional(map, "oom_score_adj", score).unwrap_or_default();
    out.swappiness = cx.optional(map, "mem_swappiness", swappiness);
    let groups = map.get("group_add").and_then(|node| read::list(cx.problems, node)).unwrap_or_default();
    for group in groups.iter().filter_map(|node| read::scalar(cx.problems, node, "a group")) {
        out.groups.insert(group.text.clone());
    }
    let texts = |problems: &mut Problems, key: &str| {
        map.get(key).map(|node| process::plain_map(problems, node)).unwrap_or_default()
    };
    out.storage = texts(cx.problems, "storage_opt");
    out.annotations = texts(cx.problems, "annotations");
    spec.domainname = cx.optional(map, "domainname", word);
    spec.dns_search = one_or_texts(cx.problems, map, "dns_search");
    spec.dns_options = one_or_texts(cx.problems, map, "dns_opt").into_iter().collect();
}

fn one_or_texts(problems: &mut Problems, map: &Map, key: &str) -> Vec<String> {
    let items = map.get(key).map(|node| read::one_or_list(problems, node)).unwrap_or_default();
    items.iter().filter_map(|item| read::text(problems, item).map(|scalar| scalar.text.clone())).collect()
}

/// Compose takes it as a size, and none at all for the host's own.
fn swappiness(problems: &mut Problems, node: &Node) -> Option<u64> {
    let found = read::scalar(problems, node, "a number")?;
    let read = units::size(&found.text).filter(|percent| *percent <= 100);
    if read.is_none() {
        let message = format!("a number from 0 to 100 is wanted here, and this is {}", found.shown());
        problems.add(Problem::error("bad-number", node.span, message));
    }
    read.filter(|percent| *percent > 0)
}
