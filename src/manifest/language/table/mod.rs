//! Every attribute of the Compose Specification, as data.
//!
//! The order of keys is the order in which they are printed. A key that is not here is unknown.

mod build;
mod deploy;
mod resources;
mod service;
mod storage;

pub(crate) use resources::{CONFIG, NETWORK, SECRET, VOLUME};
pub(crate) use service::SERVICE;

use super::types::{List, Object, Path, Short, Textual, Type, Unique, key};

/// Any whole number.
const WHOLE: Type = Type::Whole(i64::MIN, i64::MAX);
/// A whole number that counts something.
const COUNT: Type = Type::Whole(0, i64::MAX);
/// Any number, cut off to a whole one.
const CUT: Type = Type::Cut(i64::MIN);
/// A path.
const PATH: Type = Type::Path(Path::Plain);
/// A text or number by a key of the user's own.
const OPTIONS: Type = Type::Map(&Type::Textual(Textual::Number));
/// Texts of which none is there twice.
const DISTINCT: Type = Type::List(&List { item: Type::Text, unique: Unique::Itself, single: false });
/// Addresses, each told by all of it.
const ADDRESSES: Type = Type::List(&List { item: Type::Text, unique: Unique::Whole, single: false });
/// Texts of which none may be there twice.
const STRICT: Type = Type::List(&List { item: Type::Text, unique: Unique::Refused, single: false });
/// Texts.
const TEXTS: Type = Type::List(&List { item: Type::Text, unique: Unique::Never, single: false });
/// Texts, or a single one.
const ONE_OR_TEXTS: Type = Type::List(&List { item: Type::Text, unique: Unique::Refused, single: true });
/// The words of a command.
const COMMAND: Type = Type::Maybe(&Type::Short(Short::Command, &TEXTS));

/// The path of every attribute, with `*` for the keys of users and the items of lists: `services.*.ports.*.target`.
pub(crate) fn paths() -> Vec<String> {
    let mut paths = Vec::new();
    below("", &FILE, &mut paths);
    paths
}

fn below(path: &str, object: &Object, paths: &mut Vec<String>) {
    for attribute in object.attributes {
        let dot = if path.is_empty() { "" } else { "." };
        let own = format!("{path}{dot}{}", attribute.name);
        paths.push(own.clone());
        inside(&own, &attribute.holds, paths);
    }
}

fn inside(path: &str, of: &Type, paths: &mut Vec<String>) {
    match of.long() {
        Type::Object(object) => below(path, object, paths),
        Type::Map(item) => inside(&format!("{path}.*"), item, paths),
        Type::List(List { item, .. }) => inside(&format!("{path}.*"), item, paths),
        Type::Any
        | Type::Text
        | Type::Formed(_)
        | Type::Word(_)
        | Type::Textual(_)
        | Type::Flag
        | Type::Truth
        | Type::Whole(..)
        | Type::Cut(_)
        | Type::Decimal
        | Type::Unquoted(_)
        | Type::Size(_)
        | Type::Duration
        | Type::Path(_)
        | Type::Pairs(_)
        | Type::Short(..)
        | Type::Maybe(_) => {}
    }
}

/// A Compose file.
pub(crate) static FILE: Object = Object {
    of: "a Compose file",
    attributes: &[
        key("version", Type::Text).hidden(),
        key("name", Type::Text),
        key("include", INCLUDE).hidden(),
        key("services", Type::Map(&Type::Object(&SERVICE))).always(),
        key("networks", Type::Map(&Type::Maybe(&Type::Object(&NETWORK)))),
        key("volumes", Type::Map(&Type::Maybe(&Type::Object(&VOLUME)))),
        key("secrets", Type::Map(&Type::Object(&SECRET))),
        key("configs", Type::Map(&Type::Object(&CONFIG))),
        key("models", Type::Map(&Type::Object(&resources::MODEL))).hidden(),
    ],
    extensible: true,
    lax: false,
};

const INCLUDE: Type = Type::List(&List {
    item: Type::Short(Short::Include, &Type::Object(&INCLUDED)),
    unique: Unique::Never,
    single: false,
});

static INCLUDED: Object = Object {
    of: "an included file",
    attributes: &[
        key("path", ONE_OR_TEXTS),
        key("env_file", ONE_OR_TEXTS),
        key("project_directory", Type::Textual(Textual::Number)),
    ],
    extensible: false,
    lax: true,
};
