//! Any form → the long form, by the table.
//!
//! Every value is brought into one form and type: a duration is a text such as `1m30s`, a size a text of digits, a
//! number without quotes a number. What is wrong is noted where it stands, and left out, so that all of a file is
//! looked at. Tags stay where they are, for they say how files are merged.

use super::super::node::{Entry, Map, MergeTag, Node, Value};
use super::super::problem::{Problem, Problems, suggestion};
use super::super::read;
use super::super::source::Span;
use super::scalars::{self, Plain};
use super::types::{Attribute, List, Object, Pairs, Textual, Type};
use super::{short, table, typed, unique};

/// Brings a tree into the long form.
pub(crate) struct Reading<'p> {
    pub(crate) problems: &'p mut Problems,
    /// Whether variables were filled in. Else a text with a variable may stand where anything may.
    pub(crate) interpolated: bool,
}

impl Reading<'_> {
    /// Reads a value. Nothing when it can't be read, which was noted then.
    pub(crate) fn value(&mut self, mut node: Node, of: &Type) -> Option<Node> {
        if node.tag == Some(MergeTag::Reset) {
            return Some(Node { value: Value::Null, ..node });
        }
        if let Value::List(items) = &mut node.value {
            items.retain(|item| item.tag != Some(MergeTag::Reset));
        }
        // A file may say nothing where an earlier one says something: only in the whole it is wrong.
        let values = matches!(of, Type::Textual(Textual::All | Textual::NumberOrNull));
        if matches!(node.value, Value::Null) && !values {
            return Some(node);
        }
        if !self.interpolated && node.as_scalar().is_some_and(|scalar| scalar.text.contains('$')) {
            return Some(quoted(node));
        }
        match of {
            Type::Any => Some(anything(node)),
            Type::Text
            | Type::Path(_)
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
            | Type::Duration => {
                if !self.interpolated {
                    return Some(anything(node));
                }
                let scalar = typed::read(self.problems, &node, of)?;
                Some(Node { value: Value::Scalar(scalar), ..node })
            }
            Type::List(list) => self.list(node, list),
            Type::Map(item) => self.map(node, item),
            Type::Pairs(pairs) => self.pairs(node, *pairs),
            Type::Object(object) => self.object(node, object),
            Type::Short(form, long) => short::read(self, node, *form, long),
            Type::Maybe(of) => self.value(node, of),
        }
    }

    /// Notes a problem, and gives nothing.
    pub(crate) fn refuse<T>(&mut self, problem: Problem) -> Option<T> {
        self.problems.add(problem);
        None
    }

    /// What can't be read leaves its key with nothing, so that nothing more is said about it, nor about its absence.
    fn unreadable(&mut self, span: Span) -> Node {
        self.problems.spoil(span);
        Node { span, tag: None, value: Value::Null }
    }

    fn list(&mut self, node: Node, list: &List) -> Option<Node> {
        let Node { span, tag, value } = node;
        let items = match value {
            Value::List(items) => items,
            value @ Value::Scalar(_) if list.single => vec![Node { span, tag: None, value }],
            value => {
                let node = Node { span, tag, value };
                read::list(self.problems, &node);
                return None;
            }
        };
        let mut long = Vec::with_capacity(items.len());
        for item in items {
            if matches!(item.value, Value::Null) && item.tag.is_none() {
                self.problems.add(read::wrong_type(&item, "a value"));
                continue;
            }
            long.extend(self.value(item, &list.item));
        }
        let items = long;
        let items = unique::within(self.problems, items, list.unique);
        Some(Node { span, tag, value: Value::List(items) })
    }

    fn map(&mut self, node: Node, item: &Type) -> Option<Node> {
        read::map(self.problems, &node)?;
        Some(self.entries(node, |reading, entry| reading.value(entry, item)))
    }

    fn entries(&mut self, node: Node, mut read: impl FnMut(&mut Self, Node) -> Option<Node>) -> Node {
        let Node { span, tag, value } = node;
        let Value::Map(map) = value else { return Node { span, tag, value } };
        let entries = map.entries.into_iter().map(|entry| {
            let Entry { key, value } = entry;
            let span = value.span;
            let value = read(self, value).unwrap_or_else(|| self.unreadable(span));
            Entry { key, value }
        });
        let entries = entries.collect();
        Node { span, tag, value: Value::Map(Map { entries }) }
    }

    fn pairs(&mut self, node: Node, pairs: Pairs) -> Option<Node> {
        if let Some(empty) = node.as_map().and_then(|map| map.entry("")) {
            self.problems.add(Problem::error("bad-name", empty.key.span, "a name can't be empty"));
        }
        if !self.interpolated && matches!(node.value, Value::List(_)) {
            return Some(node);
        }
        if pairs == Pairs::Contexts {
            self.named(unique::items(&node));
        }
        if matches!(pairs, Pairs::Plain | Pairs::Hook) {
            unique::refused(self.problems, unique::items(&node));
        }
        let node = short::pairs(self, node)?;
        let kept = matches!(pairs, Pairs::Variable | Pairs::Hook | Pairs::Argument);
        Some(self.entries(node, |reading, value| {
            if kept && matches!(value.value, Value::Null) {
                return Some(value);
            }
            reading.value(value, &Type::Textual(Textual::All))
        }))
    }

    /// Notes the items that have no name before an equals sign.
    fn named(&mut self, items: &[Node]) {
        for item in
            items.iter().filter(|item| item.as_scalar().is_some_and(|scalar| !scalar.text.contains('=')))
        {
            let problem = Problem::error("wrong-type", item.span, "a name and a value are wanted here");
            self.problems.add(problem.hint("`name=value`"));
        }
    }

    /// A mapping with known keys. `external: {name: x}` says two things, and is brought apart here.
    fn object(&mut self, mut node: Node, object: &Object) -> Option<Node> {
        read::map(self.problems, &node)?;
        let Value::Map(map) = &mut node.value else { return None };
        short::external(self.problems, map);
        let mut entries = Vec::with_capacity(map.entries.len());
        for entry in std::mem::take(&mut map.entries) {
            let Entry { key, value } = entry;
            let span = value.span;
            let value = match object.attribute(&key.text) {
                Some(Attribute { holds, .. }) => {
                    Some(self.value(value, holds).unwrap_or_else(|| self.unreadable(span)))
                }
                None if is_extension(&key.text, object) => Some(anything(value)),
                None => {
                    self.unknown(&key.text, key.span, object);
                    None
                }
            };
            entries.extend(value.map(|value| Entry { key, value }));
        }
        map.entries = entries;
        Some(node)
    }

    fn unknown(&mut self, key: &str, span: Span, object: &Object) {
        let known = object.attributes.iter().map(|attribute| attribute.name);
        let own = [&table::FILE, &table::SERVICE].into_iter().find(|known| std::ptr::eq(*known, object));
        let own = own.map(|_| "x-evenkeel");
        let wanted = self.problems.wants_hints();
        let hint = wanted.then(|| suggestion(key, known.chain(own))).flatten().unwrap_or_else(|| {
            "remove it; a key of your own, for anchors or other tools, begins with `x-`".to_owned()
        });
        let message = format!("{} has no key `{key}`", object.of);
        let problem = if object.lax {
            Problem::warning("unknown-key", span, message + ", and it is passed over")
        } else {
            Problem::error("unknown-key", span, message)
        };
        self.problems.add(problem.hint(hint));
    }
}

/// Whether a key is one that is left to others. What is nearly ours is a slip of the finger.
fn is_extension(key: &str, object: &Object) -> bool {
    let ours = key == "x-evenkeel" || strsim::levenshtein(key, "x-evenkeel") > 2;
    object.extensible && key.starts_with("x-") && ours
}

/// The node with its text in quotes.
pub(crate) fn quoted(mut node: Node) -> Node {
    if let Value::Scalar(scalar) = &mut node.value {
        scalar.plain = false;
    }
    node
}

/// A value of no known meaning: numbers in the notation of JSON, all else as it is.
fn anything(mut node: Node) -> Node {
    match &mut node.value {
        Value::Null => {}
        Value::Scalar(scalar) => {
            if scalar.plain {
                let meaning = scalars::plain(&scalar.text);
                scalar.plain = matches!(meaning, Plain::Flag(_) | Plain::Whole(_))
                    || matches!(meaning, Plain::Decimal(number) if number.is_finite());
                if meaning == Plain::Date && scalar.text.len() == "2001-12-14".len() {
                    scalar.text.push_str("T00:00:00Z");
                } else if let Plain::Decimal(number) = meaning {
                    scalar.text =
                        if number.is_finite() { number.to_string() } else { scalars::shown(number) };
                } else {
                    scalar.text = typed::said(meaning, &scalar.text);
                }
            }
        }
        Value::List(items) => {
            for item in items {
                *item = anything(std::mem::replace(
                    item,
                    Node { span: item.span, tag: None, value: Value::Null },
                ));
            }
        }
        Value::Map(map) => {
            for entry in &mut map.entries {
                let empty = Node { span: entry.value.span, tag: None, value: Value::Null };
                entry.value = anything(std::mem::replace(&mut entry.value, empty));
            }
        }
    }
    node
}
