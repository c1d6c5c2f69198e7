//! The names of all keys, for the manual and for the tests that hold it to the truth.

use super::super::keys::{self, Keys};
use super::super::project::{ENVIRONMENT_FILE, PROJECT_FILE};
use super::table;
use super::types::{List, Object, Type};

/// Our own keys of a service.
const EVENKEEL: &str = "x-evenkeel";

/// Every key of a Compose file and of our own files, outermost first: `services.*.ports.*.target`.
///
/// A `*` stands for an item of a list and for a key of the user's own.
pub(crate) fn all() -> Vec<String> {
    let mut paths = Vec::new();
    object(&mut paths, "", &table::FILE);
    paths.push(EVENKEEL.to_owned());
    let evenkeel = format!("services.*.{EVENKEEL}");
    paths.push(evenkeel.clone());
    for (prefix, keys) in [
        (format!("{evenkeel}."), &keys::EVENKEEL),
        (format!("{evenkeel}.gate."), &keys::GATE),
        (format!("{evenkeel}.gate.http."), &keys::HTTP_GATE),
        (format!("{PROJECT_FILE}:"), &keys::PROJECT),
        (format!("{ENVIRONMENT_FILE}:"), &keys::ENVIRONMENT),
    ] {
        own(&mut paths, &prefix, keys);
    }
    paths
}

fn own(paths: &mut Vec<String>, prefix: &str, keys: &Keys) {
    let names = keys.known.iter().chain(keys.later);
    paths.extend(names.map(|name| format!("{prefix}{name}")));
}

fn object(paths: &mut Vec<String>, prefix: &str, of: &Object) {
    for attribute in of.attributes {
        let path = format!("{prefix}{}", attribute.name);
        paths.push(path.clone());
        below(paths, &path, &attribute.holds);
    }
}

/// The keys of what stands at `path`.
fn below(paths: &mut Vec<String>, path: &str, holds: &Type) {
    match holds.long() {
        Type::Object(inner) => object(paths, &format!("{path}."), inner),
        Type::List(List { item, .. }) => below(paths, &format!("{path}.*"), item),
        Type::Map(item) => below(paths, &format!("{path}.*"), item),
        Type::Any
        | Type::Text
        | Type::Formed(_)
        | Type::Word(_)
        | Type::Textual(_)
        | Type::Flag
        | Type::Truth
        | Type::Whole(..)
        | Type::Cut
        | Type::Decimal
        | Type::Size(_)
        | Type::Duration
        | Type::Path(_)
        | Type::Pairs(_)
        | Type::Unquoted(_)
        | Type::Short(..)
        | Type::Maybe(_) => {}
    }
}
