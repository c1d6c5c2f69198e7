//! The one tree that every YAML file is read into. Each node knows where it was written.
//!
//! Merge keys, interpolation and the merging of override files work on it; only then is it given types. A scalar
//! keeps its text as written: `1.10`, `0777` and `no` are judged by whoever knows what is wanted there.

use super::language::scalars::{self, Plain};
use super::source::Span;

/// A value and where it was written.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) span: Span,
    pub(crate) tag: Option<MergeTag>,
    pub(crate) value: Value,
}

/// What an override file asks for by a tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MergeTag {
    /// `!reset`: what earlier files say is removed.
    Reset,
    /// `!override`: what earlier files say is replaced instead of merged.
    Override,
}

/// A value.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    Null,
    Scalar(Scalar),
    List(Vec<Node>),
    Map(Map),
}

/// A text.
#[derive(Debug, Clone)]
pub(crate) struct Scalar {
    pub(crate) text: String,
    /// Written without quotes, so that YAML may see a number or a truth value in it.
    pub(crate) plain: bool,
    pub(crate) taint: Taint,
}

/// Where the characters of a text come from. A text has the highest of its parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Taint {
    /// From the file itself.
    Literal,
    /// From a variable that the repository holds in the clear.
    Variable,
    /// From outside of the repository.
    Sensitive,
}

/// Keys with their values, in the order of the file. No key is there twice.
#[derive(Debug, Clone, Default)]
pub(crate) struct Map {
    pub(crate) entries: Vec<Entry>,
}

/// A key and its value.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) key: Key,
    pub(crate) value: Node,
}

/// A key and where it was written.
#[derive(Debug, Clone)]
pub(crate) struct Key {
    pub(crate) text: String,
    pub(crate) span: Span,
}

impl Map {
    /// The entry of `key`.
    pub(crate) fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.key.text == key)
    }

    /// The value of `key`, unless it is null.
    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|entry| &entry.value).filter(|node| !matches!(node.value, Value::Null))
    }

    /// The value of `key`, to be changed.
    pub(crate) fn get_mut(&mut self, key: &str) -> Option<&mut Node> {
        self.entries.iter_mut().find(|entry| entry.key.text == key).map(|entry| &mut entry.value)
    }

    /// Takes the entry of `key` out.
    pub(crate) fn remove(&mut self, key: &str) -> Option<Entry> {
        let at = self.entries.iter().position(|entry| entry.key.text == key)?;
        Some(self.entries.remove(at))
    }
}

impl Node {
    /// A map, if it is one.
    pub(crate) fn as_map(&self) -> Option<&Map> {
        match &self.value {
            Value::Map(map) => Some(map),
            Value::Null | Value::Scalar(_) | Value::List(_) => None,
        }
    }

    /// A map to be changed, if it is one.
    pub(crate) fn as_map_mut(&mut self) -> Option<&mut Map> {
        match &mut self.value {
            Value::Map(map) => Some(map),
            Value::Null | Value::Scalar(_) | Value::List(_) => None,
        }
    }

    /// A text, if it is one.
    pub(crate) fn as_scalar(&self) -> Option<&Scalar> {
        match &self.value {
            Value::Scalar(scalar) => Some(scalar),
            Value::Null | Value::List(_) | Value::Map(_) => None,
        }
    }

    /// What it is, for a message, with its article.
    pub(crate) fn kind(&self) -> &'static str {
        match &self.value {
            Value::Null => "nothing",
            Value::Scalar(scalar) => scalar.kind(),
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
        }
    }

    /// Whether two nodes say the same, wherever they stand and in whatever order their keys are.
    pub(crate) fn says_the_same(&self, other: &Self) -> bool {
        match (&self.value, &other.value) {
            (Value::Null, Value::Null) => true,
            (Value::Scalar(a), Value::Scalar(b)) => a.text == b.text,
            (Value::List(a), Value::List(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.says_the_same(b))
            }
            (Value::Map(a), Value::Map(b)) if a.entries.len() == b.entries.len() => {
                let sorted = |map: &'_ Map| -> Vec<usize> {
                    let mut places: Vec<usize> = (0..map.entries.len()).collect();
                    places.sort_by_key(|at| &map.entries[*at].key.text);
                    places
                };
                sorted(a).into_iter().zip(sorted(b)).all(|(one, other)| {
                    let (one, other) = (&a.entries[one], &b.entries[other]);
                    one.key.text == other.key.text && one.value.says_the_same(&other.value)
                })
            }
            _ => false,
        }
    }
}

impl Scalar {
    /// What YAML sees in the text, with its article.
    pub(crate) fn kind(&self) -> &'static str {
        if !self.plain {
            return "a text";
        }
        match scalars::plain(&self.text) {
            Plain::Flag(_) => "a truth value",
            Plain::Whole(_) | Plain::Decimal(_) => "a number",
            Plain::Date => "a date",
            Plain::Text => "a text",
        }
    }

    /// The text for a message: in quotes, shortened, and never what a variable holds.
    pub(crate) fn shown(&self) -> String {
        if self.taint != Taint::Literal {
            return "what its variables give (not shown)".to_owned();
        }
        let text: String = self.text.chars().filter(|c| !c.is_control()).take(80).collect();
        format!("`{text}`")
    }
}
