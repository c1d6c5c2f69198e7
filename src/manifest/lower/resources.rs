//! Limits and the number of containers, each of which Compose lets people write in two places.

use super::super::keys;
use super::super::node::{Map, Node};
use super::super::problem::{Problem, Problems};
use super::super::read;
use super::super::source::Span;
use super::super::units;
use super::{Context, devices, scheduling};
use crate::model::spec::{ContainerSpec, Ulimit};

/// Most containers of one service.
const REPLICAS_MAX: u32 = 1_000;
/// What Docker takes as the least memory of a container.
const MEMORY_MIN: u64 = 6 << 20;

/// Reads limits into `spec`.
pub(super) fn read(cx: &mut Context<'_>, map: &Map, spec: &mut ContainerSpec) {
    let deploy = map.get("deploy").and_then(|node| read::honoured_map(cx.problems, node, &keys::DEPLOY));
    if let Some(node) = deploy.and_then(|deploy| deploy.get("mode")) {
        // The default mode may be named; the others are for clusters.
        read::word(cx.problems, node, &[("replicated", ())]);
    }
    let resources = deploy
        .and_then(|deploy| deploy.get("resources"))
        .and_then(|node| read::honoured_map(cx.problems, node, &keys::DEPLOY_RESOURCES));
    let part = |cx: &mut Context<'_>, key: &str, known: &keys::Keys| {
        resources
            .and_then(|resources| resources.get(key))
            .and_then(|node| read::honoured_map(cx.problems, node, known).cloned())
    };
    let limits = part(cx, "limits", &keys::LIMITS).unwrap_or_default();
    let reservations = part(cx, "reservations", &keys::RESERVATIONS).unwrap_or_default();
    let out = &mut spec.resources;
    out.memory = either(cx, [(map, "mem_limit"), (&limits, "memory")], memory);
    out.memory_reservation = either(cx, [(map, "mem_reservation"), (&reservations, "memory")], memory);
    out.nano_cpus = either(cx, [(map, "cpus"), (&limits, "cpus")], cpus);
    out.pids = either(cx, [(map, "pids_limit"), (&limits, "pids")], pids);
    if let (Some(limit), Some(kept), Some(node)) =
        (out.memory, out.memory_reservation, map.get("mem_reservation").or(reservations.get("memory")))
        && kept > limit
    {
        cx.note(Problem::error("bad-size", node.span, "more memory is reserved than the container may use"));
    }
    scheduling::read(cx, map, spec);
    devices::read(cx, map, &reservations, spec);
    spec.shm_size = cx.optional(map, "shm_size", read::size);
    if let Some(found) = map.get("ulimits").and_then(|node| read::map(cx.problems, node)) {
        for entry in &found.entries {
            if let Some(limit) = ulimit(cx.problems, &entry.value) {
                spec.ulimits.insert(entry.key.text.clone(), limit);
            }
        }
    }
}

/// How many containers run, and where that is said.
pub(super) fn replicas(cx: &mut Context<'_>, map: &Map) -> (u32, Option<Span>) {
    let nothing = Map::default();
    let deploy = map.get("deploy").and_then(Node::as_map).unwrap_or(&nothing);
    let place = map.get("scale").or(deploy.get("replicas")).map(|node| node.span);
    let number = either(cx, [(map, "scale"), (deploy, "replicas")], |problems, node| {
        let number: u32 = read::integer(problems, node, "a whole number")?;
        if number > REPLICAS_MAX {
            let message = format!("a service has at most {REPLICAS_MAX} containers");
            problems.add(Problem::error("too-many-replicas", node.span, message));
            return None;
        }
        Some(number)
    });
    (number.unwrap_or(1), place)
}

/// The value of the one of two keys that is there. Both may be, if they say the same.
fn either<T: Copy + PartialEq>(
    cx: &mut Context<'_>,
    places: [(&Map, &str); 2],
    read: impl Fn(&mut Problems, &Node) -> Option<T>,
) -> Option<T> {
    let [first, second] =
        places.map(|(map, key)| map.get(key).map(|node| (key, node.span, read(cx.problems, node))));
    match (first, second) {
        (Some((key, span, Some(one))), Some((other_key, other, Some(two)))) if one != two => {
            cx.note(
                Problem::error(
                    "said-twice",
                    span,
                    format!("`{key}` and `{other_key}` of `deploy` say different things"),
                )
                .related(other, "the other one")
                .hint("keep one of the two"),
            );
            None
        }
        (Some((_, _, value)), None) | (None, Some((_, _, value))) => value,
        (Some((_, _, one)), Some((_, _, two))) => one.or(two),
        (None, None) => None,
    }
}

fn memory(problems: &mut Problems, node: &Node) -> Option<u64> {
    let bytes = read::size(problems, node)?;
    if bytes != 0 && bytes < MEMORY_MIN {
        problems.add(
            Problem::error("bad-size", node.span, "Docker takes no memory limit below 6 MiB")
                .hint("a number without a unit is in bytes: `512m`, `4g`"),
        );
        return None;
    }
    // To Docker 0 means that there is no limit.
    Some(bytes).filter(|bytes| *bytes > 0)
}

fn cpus(problems: &mut Problems, node: &Node) -> Option<u64> {
    let found = read::scalar(problems, node, "a number of processors")?;
    let read = units::nano_cpus(&found.text);
    if read.is_none() {
        let message = format!("{} is not a number of processors", found.shown());
        problems.add(Problem::error("bad-number", node.span, message).hint("as in `0.5` or `2`"));
    }
    read.filter(|nanos| *nanos > 0)
}

fn pids(problems: &mut Problems, node: &Node) -> Option<u64> {
    let number: i64 = read::integer(problems, node, "a whole number")?;
    // Docker takes both 0 and -1 for no limit.
    u64::try_from(number).ok().filter(|number| *number > 0)
}

fn ulimit(problems: &mut Problems, node: &Node) -> Option<Ulimit> {
    if node.as_map().is_none() {
        let both = read::integer(problems, node, "a whole number, or `soft` and `hard`")?;
        return Some(Ulimit { soft: both, hard: both });
    }
    let map = read::honoured_map(problems, node, &keys::ULIMIT)?;
    let mut part = |key: &str| {
        if let Some(node) = map.get(key) {
            return read::integer(problems, node, "a whole number");
        }
        // That it isn't there was said when the files were read.
        None
    };
    let (soft, hard) = (part("soft"), part("hard"));
    Some(Ulimit { soft: soft?, hard: hard? })
}
