//! What a service shares with the host, with another service or with another container.

use super::super::node::{Map, Node, Scalar, Value};
use super::super::problem::{Problem, Problems};
use super::super::read;
use super::Context;
use crate::model::spec::{ContainerSpec, Namespace, Peer};

/// What can be said of one namespace.
struct Kind {
    key: &'static str,
    /// The words known for it.
    words: &'static [(&'static str, Namespace)],
    /// Whether it can be another container's.
    shared: bool,
    hint: &'static str,
}

/// In the order of [`crate::model::spec::Namespaces::by_key_mut`].
const KINDS: [Kind; 6] = [
    Kind {
        key: "network_mode",
        words: &[("none", Namespace::None), ("host", Namespace::Host), ("bridge", Namespace::Bridge)],
        shared: true,
        hint: "`none`, `host`, `bridge`, `service:NAME` or `container:NAME`; other networks are joined with `networks`",
    },
    Kind {
        key: "ipc",
        words: &[
            ("none", Namespace::None),
            ("private", Namespace::Private),
            ("shareable", Namespace::Shareable),
            ("host", Namespace::Host),
        ],
        shared: true,
        hint: "`private`, `shareable`, `host`, `none`, `service:NAME` or `container:NAME`",
    },
    Kind {
        key: "pid",
        words: &[("host", Namespace::Host)],
        shared: true,
        hint: "`host`, `service:NAME` or `container:NAME`; without it the container has its own",
    },
    Kind {
        key: "uts",
        words: &[("host", Namespace::Host)],
        shared: false,
        hint: "`host`; without it the container has its own",
    },
    Kind {
        key: "userns_mode",
        words: &[("host", Namespace::Host)],
        shared: false,
        hint: "`host`; without it the container has what the daemon is set to",
    },
    Kind {
        key: "cgroup",
        words: &[("host", Namespace::Host), ("private", Namespace::Private)],
        shared: false,
        hint: "`host` or `private`",
    },
];

/// Reads these keys into `spec`, and notes what Docker would refuse or leave out beside them.
pub(super) fn read(cx: &mut Context<'_>, map: &Map, spec: &mut ContainerSpec) {
    for (kind, (_, namespace)) in KINDS.iter().zip(spec.namespaces.by_key_mut()) {
        *namespace = map.get(kind.key).and_then(|node| one(cx.problems, node, kind));
    }
    let without: &[&str] = match &spec.namespaces.network {
        Some(Namespace::Host | Namespace::None) => &["ports"],
        Some(Namespace::Of(_)) => {
            &["ports", "expose", "hostname", "dns", "dns_search", "dns_opt", "extra_hosts"]
        }
        _ => &[],
    };
    exclude(cx.problems, map, "network_mode", without);
    if spec.namespaces.uts == Some(Namespace::Host) {
        exclude(cx.problems, map, "uts", &["hostname", "domainname"]);
    }
}

fn one(problems: &mut Problems, node: &Node, kind: &Kind) -> Option<Namespace> {
    let found = read::text(problems, node)?;
    let text = found.text.as_str();
    if let Some((_, namespace)) = kind.words.iter().find(|(word, _)| *word == text) {
        return Some(namespace.clone());
    }
    let peer = match text.split_once(':') {
        Some(("service", name)) => name.parse().ok().map(Peer::Service),
        Some(("container", name)) if !name.is_empty() => Some(Peer::Container(name.to_owned())),
        _ => None,
    };
    if let Some(peer) = peer.filter(|_| kind.shared) {
        return Some(Namespace::Of(peer));
    }
    let message = format!("{} is not what `{}` can be", found.shown(), kind.key);
    problems.add(Problem::error("unknown-value", node.span, message).hint(kind.hint));
    None
}

/// Notes each of `keys` that says something: with `with` it would be refused by Docker, or do nothing.
fn exclude(problems: &mut Problems, map: &Map, with: &str, keys: &[&str]) {
    let Some(cause) = map.entry(with) else { return };
    let says = |node: &Node| {
        let nothing = matches!(&node.value, Value::List(items) if items.is_empty());
        !nothing && !node.as_scalar().is_some_and(|scalar| scalar.text.is_empty())
    };
    for entry in keys.iter().filter_map(|key| map.entry(key)).filter(|entry| says(&entry.value)) {
        let key = &entry.key.text;
        let shown = cause.value.as_scalar().map(Scalar::shown).unwrap_or_default();
        problems.add(
            Problem::error(
                "contradiction",
                entry.key.span,
                format!("`{key}` does nothing with `{with}` {shown}"),
            )
            .related(cause.key.span, "because of this")
            .hint("keep one of the two"),
        );
    }
}
