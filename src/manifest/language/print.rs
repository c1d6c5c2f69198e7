//! The canonical tree as it is printed: in the order of the table, without what is empty, zero or false.

use serde_yaml::{Mapping, Number, Value as Out};

use super::super::node::{Map, Node, Scalar, Taint, Value};
use super::model::{Reveal, Show};
use super::places;
use super::scalars::{self, Plain};
use super::table;
use super::types::{Attribute, Object, Pairs, Path, Printed, Textual, Type};

/// What is printed for: the two differ in a few places, as with Compose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum For {
    Json,
    Yaml,
}

/// How a tree is printed.
pub(crate) struct Printing<'s> {
    pub(crate) show: &'s Show<'s>,
    pub(crate) format: For,
    /// Whether a `$` is printed as `$$`, so that it is none when it is read again.
    pub(crate) escaped: bool,
}

impl Printing<'_> {
    /// A whole file.
    pub(crate) fn file(&self, root: &Map) -> Out {
        let mut out = self.attributes(root, &table::FILE);
        self.extensions(root, &mut out);
        Out::Mapping(out)
    }

    /// A mapping with known keys.
    pub(crate) fn object(&self, map: &Map, object: &Object) -> Out {
        let mut out = self.attributes(map, object);
        if places::is_bound(map)
            && let Some(Out::Mapping(options)) = out.get_mut("driver_opts")
            && let Some(Out::String(device)) = options.get_mut("device")
        {
            *device = places::printed(device, self.show.folder);
        }
        if self.format == For::Yaml {
            self.extensions(map, &mut out);
        }
        Out::Mapping(out)
    }

    fn attributes(&self, map: &Map, object: &Object) -> Mapping {
        let mut out = Mapping::new();
        for attribute in object.attributes {
            let Attribute { name, holds, printed, merge: _, needed } = attribute;
            let value = match (printed, map.entry(name)) {
                (Printed::Never, _) | (Printed::Filled | Printed::Said, None) => continue,
                (Printed::Always, None) if !self.show.interpolated => continue,
                (Printed::Always, None) => match (self.format, holds.long()) {
                    (For::Yaml, _) => continue,
                    (For::Json, Type::Object(object)) => self.object(&Map::default(), object),
                    (For::Json, Type::Map(_)) => Out::Mapping(Mapping::new()),
                    (For::Json, Type::Cut(_) | Type::Unquoted(_)) => Out::Number(0.into()),
                    (For::Json, Type::Text) => Out::String(String::new()),
                    (For::Json, Type::Size(_)) => Out::String("0".to_owned()),
                    (For::Json, _) => Out::Null,
                },
                (_, Some(entry)) => self.value(&entry.value, holds),
            };
            let kept = match printed {
                Printed::Filled => is_filled(&value, holds),
                Printed::Said => !matches!(value, Out::Null),
                // What is needed is read again only where it is written, be it nothing.
                Printed::Always => *needed || self.format == For::Json || !matches!(value, Out::Null),
                Printed::Never => false,
            };
            if kept {
                out.insert(self.key(object, name).into(), value);
            }
        }
        out
    }

    /// The rates of devices have capitals in the JSON of Compose.
    fn key(&self, object: &Object, name: &str) -> String {
        let capital = self.format == For::Json && object.of.ends_with(" of a device");
        match name.chars().next().filter(|_| capital) {
            Some(first) => format!("{}{}", first.to_ascii_uppercase(), &name[first.len_utf8()..]),
            None => name.to_owned(),
        }
    }

    fn extensions(&self, map: &Map, out: &mut Mapping) {
        let mut entries: Vec<_> =
            map.entries.iter().filter(|entry| entry.key.text.starts_with("x-")).collect();
        entries.sort_by(|a, b| a.key.text.cmp(&b.key.text));
        for entry in entries {
            out.insert(self.text(&entry.key.text).into(), self.value(&entry.value, &Type::Any));
        }
    }

    fn value(&self, node: &Node, of: &Type) -> Out {
        match (of.long(), &node.value) {
            (_, Value::Null) => Out::Null,
            (of, Value::Scalar(scalar)) => self.scalar(scalar, of),
            (Type::List(list), Value::List(items)) => {
                items.iter().map(|item| self.value(item, &list.item)).collect()
            }
            (_, Value::List(items)) => items.iter().map(|item| self.value(item, &Type::Any)).collect(),
            (Type::Object(object), Value::Map(map)) => self.object(map, object),
            (Type::Map(item), Value::Map(map)) => self.map(map, item),
            (Type::Pairs(Pairs::Contexts), Value::Map(map)) => self.map(map, &Type::Path(Path::Context)),
            (_, Value::Map(map)) => self.map(map, &Type::Any),
        }
    }

    fn map(&self, map: &Map, item: &Type) -> Out {
        let mut entries: Vec<_> = map.entries.iter().collect();
        entries.sort_by(|a, b| a.key.text.cmp(&b.key.text));
        let mut out = Mapping::new();
        for entry in entries {
            out.insert(self.text(&entry.key.text).into(), self.value(&entry.value, item));
        }
        Out::Mapping(out)
    }

    fn scalar(&self, scalar: &Scalar, of: &Type) -> Out {
        if scalar.taint == Taint::Sensitive && self.show.reveal == Reveal::Hidden {
            return Out::String(HIDDEN.to_owned());
        }
        if !scalar.plain {
            // As a text this would be no size to any reader.
            if matches!(of, Type::Size(_)) && self.format == For::Yaml && scalar.text == "-1" {
                return Out::Number((-1).into());
            }
            let is_path = matches!(of, Type::Path(_));
            let text =
                if is_path { places::printed(&scalar.text, self.show.folder) } else { scalar.text.clone() };
            return Out::String(self.text(&text));
        }
        if matches!(of, Type::Textual(_)) && !matches!(of, Type::Textual(Textual::Count)) {
            return Out::String(self.text(&scalar.text));
        }
        match scalars::plain(&scalar.text) {
            // A limit of nothing is an empty one to Compose, which can't be read again.
            Plain::Whole(0) if matches!(of, Type::Object(_)) && self.format == For::Json => {
                Out::Mapping(Mapping::new())
            }
            Plain::Flag(flag) => Out::Bool(flag),
            Plain::Whole(number) => match (i64::try_from(number), u64::try_from(number)) {
                (Ok(number), _) => Out::Number(number.into()),
                (_, Ok(number)) => Out::Number(number.into()),
                _ => Out::String(self.text(&scalar.text)),
            },
            Plain::Decimal(number) => Out::Number(decimal(number)),
            Plain::Date | Plain::Text => Out::String(self.text(&scalar.text)),
        }
    }

    fn text(&self, text: &str) -> String {
        if self.escaped { text.replace('$', "$$") } else { text.to_owned() }
    }
}

/// What stands for a value from outside of the repository.
const HIDDEN: &str = "(sensitive)";

fn decimal(number: f64) -> Number {
    // A whole number is written as one.
    #[expect(clippy::cast_possible_truncation, reason = "it is a small whole number")]
    if number.fract().abs() < f64::MIN_POSITIVE && number.abs() < 1e15 {
        Number::from(number as i64)
    } else {
        Number::from(number)
    }
}

fn is_filled(value: &Out, of: &Type) -> bool {
    match value {
        Out::Null => false,
        Out::Bool(flag) => *flag,
        Out::Number(number) => number.as_f64() != Some(0.0),
        Out::String(text) => match of {
            Type::Size(_) => text != "0",
            Type::Duration => text != "0s",
            _ => !text.is_empty(),
        },
        Out::Sequence(items) => !items.is_empty(),
        Out::Mapping(map) => !map.is_empty(),
        Out::Tagged(_) => true,
    }
}
