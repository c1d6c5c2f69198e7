//! What services refer to is there, and what they say does not contradict itself.

use std::collections::{BTreeMap, BTreeSet};

use super::super::node::{Entry, Map, Node, Taint, Value};
use super::super::problem::{Problem, Problems, nearest};
use super::super::source::Span;
use super::unique;

/// Checks the services that are active.
pub(crate) fn check(problems: &mut Problems, root: &Map, active: &BTreeSet<String>) {
    let services = root.get("services").and_then(Node::as_map);
    let mut names: BTreeMap<&str, Span> = BTreeMap::new();
    let keys = |section: &'static str| {
        let map = root.get(section).and_then(Node::as_map);
        let keys = map.into_iter().flat_map(|map| &map.entries).map(|entry| entry.key.text.as_str());
        (section, keys.collect())
    };
    let known: Known<'_> = ["networks", "volumes", "configs", "secrets", "models"].map(keys).into();
    for entry in services.into_iter().flat_map(|map| &map.entries) {
        if active.contains(&entry.key.text)
            && let Some(map) = entry.value.as_map()
        {
            service(problems, root, &known, (entry, map));
            contexts(problems, root, map);
            contradictions(problems, map);
            watches(problems, map);
            let name = map.get("container_name");
            if let Some((name, span)) =
                name.and_then(|node| Some((node.as_scalar()?.text.as_str(), node.span)))
                && let Some(first) = names.insert(name, span)
            {
                problems.add(
                    Problem::error("one-name", span, "two services have one container name")
                        .label("again here")
                        .related(first, "first here"),
                );
            }
        }
    }
}

fn said<'m>(map: &'m Map, key: &str) -> Option<&'m str> {
    map.get(key).and_then(Node::as_scalar).map(|scalar| scalar.text.as_str())
}

fn is_named_volume(mount: &Map) -> bool {
    said(mount, "type") == Some("volume") && said(mount, "source").is_some_and(|source| !source.is_empty())
}

/// What is there and says something.
fn filled<'m>(map: &'m Map, key: &str) -> Option<&'m Entry> {
    map.entry(key).filter(|entry| match &entry.value.value {
        Value::Null => false,
        Value::Scalar(_) => true,
        Value::List(items) => !items.is_empty(),
        Value::Map(map) => !map.entries.is_empty(),
    })
}

/// What each section declares.
type Known<'n> = BTreeMap<&'static str, BTreeSet<&'n str>>;

/// What is referred to, in the section that would declare it.
struct Reference<'n> {
    section: &'static str,
    what: &'static str,
    name: &'n str,
    span: Span,
    literal: bool,
}

fn service(problems: &mut Problems, root: &Map, known: &Known<'_>, (entry, map): (&Entry, &Map)) {
    // What can't be read leaves nothing at its key, and was complained about.
    let filled = |entry: &Entry| entry.value.as_scalar().is_none_or(|scalar| !scalar.text.is_empty());
    let anything = ["image", "build", "provider"].iter().any(|key| map.entry(key).is_some_and(filled));
    if !anything {
        let problem = Problem::error("no-image", entry.key.span, "the service has no `image`");
        problems.add(problem.hint("name one: `image: redis:7`"));
    }
    let mut found: Vec<Reference<'_>> = Vec::new();
    for (key, what) in [("networks", "network"), ("models", "model")] {
        let joined = map.get(key).and_then(Node::as_map);
        found.extend(joined.into_iter().flat_map(|map| &map.entries).map(|entry| Reference {
            section: key,
            what,
            name: &entry.key.text,
            span: entry.key.span,
            literal: true,
        }));
    }
    let listed = |list: &'_ str, key: &'static str, section: &'static str, what: &'static str| {
        let items = map.get(list).map(unique::items).unwrap_or_default();
        items
            .iter()
            .filter_map(Node::as_map)
            .filter(move |map| section != "volumes" || is_named_volume(map))
            .filter_map(move |map| {
                let node = map.get(key)?;
                let scalar = node.as_scalar()?;
                let literal = scalar.taint == Taint::Literal;
                Some(Reference { section, what, name: &scalar.text, span: node.span, literal })
            })
    };
    found.extend(listed("volumes", "source", "volumes", "volume"));
    found.extend(listed("configs", "source", "configs", "config"));
    found.extend(listed("secrets", "source", "secrets", "secret"));
    let build = map.get("build").and_then(Node::as_map).and_then(|build| build.get("secrets"));
    for item in build.map(unique::items).unwrap_or_default() {
        let Some(map) = item.as_map() else { continue };
        if map.entry("source").is_none() {
            let message = "a secret of a build needs its name as `source`";
            problems.add(Problem::error("missing-key", item.span, message));
        }
        let Some(node) = map.get("source") else { continue };
        let Some(scalar) = node.as_scalar() else { continue };
        let literal = scalar.taint == Taint::Literal;
        found.push(Reference {
            section: "secrets",
            what: "secret",
            name: &scalar.text,
            span: node.span,
            literal,
        });
    }
    for reference in found {
        declared(problems, root, known, &reference);
    }
}

/// A build that begins with what another service builds.
fn contexts(problems: &mut Problems, root: &Map, map: &Map) {
    let services = root.get("services").and_then(Node::as_map);
    let build = map.get("build").and_then(Node::as_map);
    let contexts = build.and_then(|map| map.get("additional_contexts")).and_then(Node::as_map);
    for Entry { key: _, value } in contexts.into_iter().flat_map(|map| &map.entries) {
        let Some(name) = value.as_scalar().and_then(|scalar| scalar.text.strip_prefix("service:")) else {
            continue;
        };
        let other = services.and_then(|map| map.get(name)).and_then(Node::as_map);
        let problem = match other {
            None => "there is no such service to build upon",
            Some(other) if other.get("build").is_none() => {
                "this service isn't built, so no build can begin with it"
            }
            Some(_) => continue,
        };
        problems.add(Problem::error("missing-service", value.span, problem));
    }
}

fn declared(problems: &mut Problems, root: &Map, known: &Known<'_>, reference: &Reference<'_>) {
    let Reference { section, what, name, span, literal } = reference;
    if known.get(section).is_some_and(|names| names.contains(name)) {
        return;
    }
    let names = root
        .get(section)
        .and_then(Node::as_map)
        .into_iter()
        .flat_map(|map| &map.entries)
        .map(|entry| entry.key.text.as_str());
    let similar = || nearest(name, names.filter(|name| *name != "default"));
    let hint = match problems.wants_hints().then(similar).flatten() {
        _ if *what == "volume" && name.contains('/') => "a path must begin with `./` or `/`".to_owned(),
        Some(candidate) => format!("did you mean `{candidate}`?"),
        None => format!("declare it under `{section}` at the top of the file"),
    };
    let (code, message) = match (*what, literal) {
        ("network", true) => ("undeclared-network", format!("the network `{name}` is not declared")),
        ("network", false) => ("undeclared-network", "this network is not declared".to_owned()),
        ("volume", true) => ("undeclared-volume", format!("the volume `{name}` is not declared")),
        ("volume", false) => ("undeclared-volume", "this volume is not declared".to_owned()),
        (what, true) => ("undeclared", format!("the {what} `{name}` is not declared")),
        (what, false) => ("undeclared", format!("this {what} is not declared")),
    };
    problems.add(Problem::error(code, *span, message).hint(hint));
}

/// Two keys that say one thing, and say it differently.
fn contradictions(problems: &mut Problems, map: &Map) {
    if let (Some(mode), Some(networks)) = (filled(map, "network_mode"), filled(map, "networks")) {
        problems.add(
            Problem::error("said-twice", mode.key.span, "`network_mode` and `networks` exclude each other")
                .related(networks.key.span, "the other one")
                .hint("keep one of the two"),
        );
    }
    // A limit that is not said counts as none, where any is.
    let none = super::short::plain_node("0", entry_span(map));
    let inside = |path: &[&str]| path.iter().try_fold(map, |map, key| map.get(key).and_then(Node::as_map));
    let limits = inside(&["deploy", "resources", "limits"]);
    let reservations = inside(&["deploy", "resources", "reservations"]);
    for (own, other_map, other) in [
        ("mem_limit", limits, "memory"),
        ("cpus", limits, "cpus"),
        ("pids_limit", limits, "pids"),
        ("mem_reservation", reservations, "memory"),
        ("scale", inside(&["deploy"]), "replicas"),
    ] {
        let (Some(one), Some(other_map)) = (map.get(own), other_map) else { continue };
        let two = other_map.get(other).unwrap_or(&none);
        let zero = one.as_scalar().is_some_and(|scalar| scalar.text == "0");
        if zero || one.says_the_same(two) || (own == "scale" && other_map.get(other).is_none()) {
            continue;
        }
        let said = other_map.get(other).is_some();
        let problem = |message: String| Problem::error("said-twice", one.span, message);
        problems.add(if said {
            problem(format!("`{own}` and `{other}` of `deploy` say different things"))
                .related(two.span, "the other one")
                .hint("keep one of the two")
        } else {
            problem(format!("`{own}` is said beside other limits of `deploy`, and `{other}` is not"))
                .hint(format!("say `{other}` beside the others"))
        });
    }
    let replicas = map.get("scale").or_else(|| inside(&["deploy"])?.get("replicas"));
    let several = replicas.and_then(Node::as_scalar).and_then(|scalar| scalar.text.parse::<u64>().ok());
    if let (Some(name), Some(node), Some(2..)) = (map.get("container_name"), replicas, several) {
        problems.add(
            Problem::error("one-name", name.span, "several containers can't have one `container_name`")
                .related(node.span, "several containers")
                .hint("remove `container_name`, or run a single container"),
        );
    }
    let build = inside(&["build"]);
    if let (Some(file), Some(inline)) = (
        build.and_then(|map| filled(map, "dockerfile")),
        build.and_then(|map| filled(map, "dockerfile_inline")),
    ) {
        problems.add(
            Problem::error(
                "said-twice",
                inline.key.span,
                "`dockerfile` and `dockerfile_inline` exclude each other",
            )
            .related(file.key.span, "the other one")
            .hint("keep one of the two"),
        );
    }
    requests(problems, reservations.and_then(|map| map.get("devices")));
    requests(problems, map.get("gpus"));
    bind_sources(problems, map);
    targets(problems, map);
    platforms(problems, map, build);
}

fn entry_span(map: &Map) -> Span {
    map.entries.first().map_or(super::model::NOWHERE, |entry| entry.key.span)
}

/// A path in the container that two mounts have.
fn targets(problems: &mut Problems, map: &Map) {
    let mut taken: BTreeMap<String, Span> = BTreeMap::new();
    let volumes = map.get("volumes").map(unique::items).unwrap_or_default();
    let volumes = volumes.iter().filter_map(|item| {
        let target = item.as_map()?.get("target")?;
        Some((target.as_scalar()?.text.clone(), item.span))
    });
    let tmpfs = map.get("tmpfs").map(unique::items).unwrap_or_default();
    let tmpfs = tmpfs.iter().filter_map(|item| {
        let text = &item.as_scalar()?.text;
        Some((text.split(':').next().unwrap_or_default().to_owned(), item.span))
    });
    for (target, span) in volumes.chain(tmpfs) {
        if let Some(first) = taken.insert(target, span) {
            problems.add(
                Problem::error("duplicate-target", span, "two mounts have the same path in the container")
                    .label("again here")
                    .related(first, "first here"),
            );
        }
    }
}

/// A platform that is run is one that is built.
fn platforms(problems: &mut Problems, map: &Map, build: Option<&Map>) {
    let (Some(platform), Some(known)) = (map.get("platform"), build.and_then(|build| build.get("platforms")))
    else {
        return;
    };
    let items = unique::items(known);
    if !items.is_empty() && !items.iter().any(|item| item.says_the_same(platform)) {
        problems.add(
            Problem::error("platform", platform.span, "this platform is not one of those that are built")
                .related(known.span, "these are built")
                .hint("add it to `build.platforms`"),
        );
    }
}

fn requests(problems: &mut Problems, list: Option<&Node>) {
    for item in list.map(unique::items).unwrap_or_default() {
        let Some(map) = item.as_map() else { continue };
        if let (Some(count), Some(ids)) = (filled(map, "count"), filled(map, "device_ids")) {
            problems.add(
                Problem::error("said-twice", count.key.span, "`count` and `device_ids` exclude each other")
                    .related(ids.key.span, "the other one")
                    .hint("keep one of the two"),
            );
        }
    }
}

fn bind_sources(problems: &mut Problems, map: &Map) {
    for (list, what) in [("configs", "config"), ("secrets", "secret")] {
        for item in map.get(list).map(unique::items).unwrap_or_default() {
            if item.as_map().is_some_and(|map| map.entry("source").is_none()) {
                let message = format!("a {what} of a service needs its name as `source`");
                problems.add(Problem::error("missing-key", item.span, message));
            }
        }
    }
    for item in map.get("volumes").map(unique::items).unwrap_or_default() {
        let Some(map) = item.as_map() else { continue };
        let empty = said(map, "source").is_none_or(str::is_empty);
        if empty && matches!(said(map, "type"), Some("bind" | "image")) {
            problems.add(Problem::error("bad-mount", item.span, "the mount has no `source`"));
        }
    }
}

fn watches(problems: &mut Problems, map: &Map) {
    let watch = map.get("develop").and_then(Node::as_map).and_then(|map| map.get("watch"));
    for item in watch.map(unique::items).unwrap_or_default() {
        let Some(map) = item.as_map() else { continue };
        let action = said(map, "action").unwrap_or_default();
        if !matches!(action, "" | "rebuild" | "restart") && said(map, "target").is_none() {
            problems.add(Problem::error(
                "missing-key",
                item.span,
                format!("a watch that does `{action}` needs a `target`"),
            ));
        }
    }
}
