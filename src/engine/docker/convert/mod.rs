//! Translates between our nouns and the Docker API's, both ways, without asking anybody.
//!
//! Law: what [`create::body`] makes of a specification, [`inspect::container`] reads back as the same specification,
//! apart from what the image and the daemon filled in. Checked here on made-up answers and in the engine contract on
//! a real engine, field by field.

pub(super) mod create;
mod devices;
pub(super) mod health;
pub(super) mod inspect;
mod limits;
pub(super) mod list;
pub(super) mod mounts;
mod namespaces;
pub(super) mod networks;
pub(super) mod objects;
pub(super) mod ports;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod traps;

use std::collections::BTreeMap;
use std::time::Duration;

/// A part of an answer that makes no sense: which and why.
pub(super) type Unreadable = String;

/// A limit as the API wants it. None of ours comes near the greatest number that fits.
fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// A limit as the API gives it: zero and less mean that there is none.
fn limit(value: Option<i64>) -> Option<u64> {
    value.and_then(|value| u64::try_from(value).ok()).filter(|value| *value > 0)
}

/// A text as the API gives it: empty means that there is none.
fn filled(value: Option<String>) -> Option<String> {
    value.filter(|value| !value.is_empty())
}

fn nanoseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

fn sorted<K: Ord, V>(map: Option<impl IntoIterator<Item = (K, V)>>) -> BTreeMap<K, V> {
    map.into_iter().flatten().collect()
}

/// Splits `KEY=value`; Docker also knows a key alone.
fn key_and_value(entry: &str) -> (&str, &str) {
    entry.split_once('=').unwrap_or((entry, ""))
}
