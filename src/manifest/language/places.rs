//! Relative paths, as seen from the root of the tree.
//!
//! A path in the canonical tree is either absolute, and then one of the host, or begins with a dot, and then it is
//! relative to the root of the tree that the manifests are in: `./data`, `../shared`, `.`. So it is still known what
//! is in the repository when it is asked whether a file may be read, and what only on the host.

use super::super::node::{Map, Node, Scalar, Value};
use super::types::{List, Object, Pairs, Path, Type};

/// What paths of a file are relative to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Base {
    /// The folder of the project: absolute, or relative to the root of the tree.
    pub(crate) folder: String,
    /// The home folder of the user, for `~`.
    pub(crate) home: String,
}

impl Base {
    /// A path of a file, as seen from the root.
    pub(crate) fn resolve(&self, path: &str) -> String {
        if let Some(rest) = path.strip_prefix('~') {
            return join(&self.home, rest.trim_start_matches('/'));
        }
        if is_absolute(path) {
            return path.to_owned();
        }
        join(&self.folder, path)
    }

    /// The same home with another folder.
    pub(crate) fn at(&self, folder: String) -> Self {
        Self { folder, home: self.home.clone() }
    }
}

/// Whether a path is one of the host, by the rules of any system.
pub(crate) fn is_absolute(path: &str) -> bool {
    let mut bytes = path.bytes();
    let drive = bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic())
        && bytes.next() == Some(b':')
        && matches!(bytes.next(), Some(b'/' | b'\\'));
    path.starts_with('/') || path.starts_with("\\\\") || drive
}

/// `path` below `folder`, without `.` and `..` where these can be worked out.
pub(crate) fn join(folder: &str, path: &str) -> String {
    let absolute = folder.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in folder.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => match parts.last() {
                Some(&"..") | None if absolute => {}
                Some(&"..") | None => parts.push(".."),
                Some(_) => drop(parts.pop()),
            },
            part => parts.push(part),
        }
    }
    let joined = parts.join("/");
    match (absolute, parts.first()) {
        (true, _) => format!("/{joined}"),
        (false, None) => ".".to_owned(),
        (false, Some(&"..")) => joined,
        (false, Some(_)) => format!("./{joined}"),
    }
}

/// The folder that holds a path.
pub(crate) fn parent(path: &str) -> String {
    join(path, "..")
}

/// A path as it is printed: below `root`, where the tree lies on the host.
pub(crate) fn printed(path: &str, root: &str) -> String {
    let relative = path == "." || path == ".." || path.starts_with("./") || path.starts_with("../");
    if relative { join(root, path) } else { path.to_owned() }
}

/// Resolves every path below `node`.
pub(crate) fn resolve(node: &mut Node, of: &Type, base: &Base) {
    match (of.long(), &mut node.value) {
        (Type::Path(Path::Plain | Path::Watched | Path::Read), Value::Scalar(scalar)) => put(scalar, base),
        (Type::Path(Path::Context), Value::Scalar(scalar)) => context(scalar, base),
        (Type::List(List { item, .. }), Value::List(items)) => {
            for node in items {
                resolve(node, item, base);
            }
        }
        (Type::Map(item), Value::Map(map)) => {
            map.entries.iter_mut().for_each(|entry| resolve(&mut entry.value, item, base));
        }
        (Type::Pairs(Pairs::Contexts), Value::Map(map)) => {
            for entry in &mut map.entries {
                if let Value::Scalar(scalar) = &mut entry.value.value {
                    context(scalar, base);
                }
            }
        }
        (Type::Object(object), Value::Map(map)) => resolve_object(map, object, base),
        _ => {}
    }
}

fn is(map: &Map, key: &str, value: &str) -> bool {
    map.get(key).and_then(Node::as_scalar).is_some_and(|scalar| scalar.text == value)
}

/// Whether a volume is in truth a folder of the host.
pub(crate) fn is_bound(map: &Map) -> bool {
    let options = map.get("driver_opts").and_then(Node::as_map);
    is(map, "driver", "local") && options.is_some_and(|map| is(map, "o", "bind"))
}

fn resolve_object(map: &mut Map, object: &Object, base: &Base) {
    let bound = is(map, "type", "bind");
    let local = is_bound(map);
    for entry in &mut map.entries {
        let Some(attribute) = object.attribute(&entry.key.text) else { continue };
        match (&attribute.holds, &mut entry.value.value) {
            (Type::Path(Path::Bound), Value::Scalar(scalar)) => {
                if bound {
                    put(scalar, base);
                }
            }
            (_, Value::Map(options)) if local && entry.key.text == "driver_opts" => {
                if let Some(Value::Scalar(scalar)) = options.get_mut("device").map(|node| &mut node.value) {
                    put(scalar, base);
                }
            }
            (holds, _) => resolve(&mut entry.value, holds, base),
        }
    }
}

fn put(scalar: &mut Scalar, base: &Base) {
    scalar.text = base.resolve(&scalar.text);
}

/// The source of a build, which may be somewhere on the net, or another service.
fn context(scalar: &mut Scalar, base: &Base) {
    const ELSEWHERE: [&str; 7] =
        ["https://", "http://", "git://", "ssh://", "github.com/", "git@", "service:"];
    let text = scalar.text.as_str();
    if !text.is_empty() && !text.contains("://") && !ELSEWHERE.iter().any(|prefix| text.starts_with(prefix)) {
        put(scalar, base);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_seen_from_the_root() {
        let base = Base { folder: "./apps".to_owned(), home: "/root".to_owned() };
        for (path, seen) in [
            ("./data", "./apps/data"),
            ("data/../x/", "./apps/x"),
            ("..", "."),
            ("../../shared", "../shared"),
            ("~/x", "/root/x"),
            ("~", "/root"),
            ("/h/../i", "/h/../i"),
            ("C:\\a", "C:\\a"),
        ] {
            assert_eq!(base.resolve(path), seen, "{path}");
        }
        assert_eq!(printed("./apps/data", "/srv/repo"), "/srv/repo/apps/data");
        assert_eq!(printed("../shared", "/srv/repo"), "/srv/shared");
        assert_eq!(printed("/abs", "/srv/repo"), "/abs");
        assert_eq!(printed(".", "/srv/repo"), "/srv/repo");
    }
}
