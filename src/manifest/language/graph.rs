//! Dependencies: each leads to a service that is there, and none leads back.

use std::collections::{BTreeMap, BTreeSet};

use super::super::node::{Map, Node};
use super::super::problem::{Problem, Problems, nearest};
use super::super::source::Span;

/// A service's dependencies, by name, and where each is said.
pub(crate) type Edges<'n> = BTreeMap<&'n str, BTreeMap<&'n str, Span>>;

/// Checks the dependencies of the services that are active.
///
/// With `lenient`, what is optional need not be there: in a repository another environment may have it.
pub(crate) fn check(problems: &mut Problems, root: &Map, active: &BTreeSet<String>, lenient: bool) {
    let nothing = Map::default();
    let services = root.get("services").and_then(Node::as_map).unwrap_or(&nothing);
    let known: BTreeMap<&str, Span> =
        services.entries.iter().map(|entry| (entry.key.text.as_str(), entry.key.span)).collect();
    let mut edges = Edges::new();
    for entry in services.entries.iter().filter(|entry| active.contains(&entry.key.text)) {
        let from = entry.key.text.as_str();
        let depends_on = entry.value.as_map().and_then(|map| map.get("depends_on")).and_then(Node::as_map);
        for dependency in depends_on.into_iter().flat_map(|map| &map.entries) {
            let (to, span) = (dependency.key.text.as_str(), dependency.key.span);
            let optional =
                dependency.value.as_map().and_then(|map| map.get("required")).and_then(Node::as_scalar);
            let optional = optional.is_some_and(|scalar| scalar.text == "false");
            match known.get(to) {
                None if optional && lenient => {}
                None => missing(problems, (from, to), span, (&known, lenient)),
                Some(other) if !active.contains(to) => {
                    if !optional {
                        inactive(problems, (from, to), span, *other);
                    }
                }
                Some(_) => drop(edges.entry(from).or_default().insert(to, span)),
            }
        }
    }
    circles(problems, &edges);
}

/// Notes dependencies that lead back to where they began, each circle once.
pub(crate) fn circles(problems: &mut Problems, edges: &Edges<'_>) {
    let mut done = BTreeSet::new();
    for start in edges.keys() {
        walk(problems, edges, start, &mut done);
    }
}

fn missing(
    problems: &mut Problems,
    (from, to): (&str, &str),
    span: Span,
    (known, lenient): (&BTreeMap<&str, Span>, bool),
) {
    let similar = || nearest(to, known.keys().copied());
    let hint = match problems.wants_hints().then(similar).flatten() {
        Some(candidate) => format!("did you mean `{candidate}`?"),
        None if lenient => "declare the service, or say `required: false`".to_owned(),
        None => "declare the service, or remove the dependency".to_owned(),
    };
    let message = format!("`{from}` depends on `{to}`, which is not there");
    problems.add(Problem::error("missing-dependency", span, message).hint(hint));
}

fn inactive(problems: &mut Problems, (from, to): (&str, &str), span: Span, other: Span) {
    let message = format!("`{from}` depends on `{to}`, which is not active");
    problems.add(
        Problem::error("inactive-dependency", span, message)
            .related(other, "it belongs to profiles that are not active")
            .hint("activate one of its profiles, or say `required: false`"),
    );
}

/// Follows all dependencies of `start`, depth first, without recursion: a chain may be as long as a manifest.
fn walk<'n>(problems: &mut Problems, edges: &Edges<'n>, start: &'n str, done: &mut BTreeSet<&'n str>) {
    let next = |name: &str| -> Vec<&'n str> {
        edges.get(name).into_iter().flat_map(|found| found.keys().rev().copied()).collect()
    };
    if done.contains(start) {
        return;
    }
    let mut path: Vec<(&str, Vec<&str>)> = vec![(start, next(start))];
    let mut on_path: BTreeSet<&str> = BTreeSet::from([start]);
    while let Some((name, rest)) = path.last_mut() {
        let Some(other) = rest.pop() else {
            on_path.remove(*name);
            done.insert(name);
            path.pop();
            continue;
        };
        if on_path.contains(other) {
            let names: Vec<&str> = path.iter().map(|(name, _)| *name).collect();
            let from = names.iter().position(|name| *name == other).unwrap_or(0);
            cycle(problems, edges, &names[from..]);
        } else if !done.contains(other) {
            on_path.insert(other);
            path.push((other, next(other)));
        }
    }
}

fn cycle(problems: &mut Problems, edges: &Edges<'_>, names: &[&str]) {
    let (Some(first), Some(last)) = (names.first(), names.last()) else { return };
    let place = |from: &str, to: &str| edges.get(from).and_then(|found| found.get(to)).copied();
    let Some(back) = place(last, first) else { return };
    let shown: Vec<&str> = names.iter().chain([first]).copied().collect();
    let message = match names {
        [only] => format!("`{only}` depends on itself"),
        _ => format!("services depend on each other in a circle: {}", shown.join(" → ")),
    };
    let mut problem = Problem::error("cycle", back, message).hint("remove one of these dependencies");
    for pair in names.windows(2) {
        if let [from, to] = pair
            && let Some(span) = place(from, to)
        {
            problem = problem.related(span, format!("`{from}` depends on `{to}`"));
        }
    }
    if names.len() > 1 {
        problem = problem.label(format!("`{last}` depends on `{first}`"));
    }
    problems.add(problem);
}
