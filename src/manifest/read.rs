//! Nodes → typed values. Each function notes what is wrong with a node and gives nothing then.
//!
//! What a text may be follows Compose: where a text is wanted, a number or a truth value without quotes is refused,
//! since YAML would have changed it (`1.10` is 1.1); where Compose takes either, the text is what Compose makes of
//! it. A value that a variable went into is never repeated in a message.

use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

use super::keys::{self, Keys};
use super::language::scalars::{self, Plain};
use super::language::typed;
use super::node::{Map, Node, Scalar, Taint, Value};
use super::problem::{Problem, Problems, suggestion};
use super::units;
use crate::model::text::Text;

/// The problem that `node` is not `wanted`, which has its article: `a list`.
pub(crate) fn wrong_type(node: &Node, wanted: &str) -> Problem {
    Problem::error("wrong-type", node.span, format!("{wanted} is wanted here, and this is {}", node.kind()))
}

/// A scalar of any kind.
pub(crate) fn scalar<'n>(problems: &mut Problems, node: &'n Node, wanted: &str) -> Option<&'n Scalar> {
    let found = node.as_scalar();
    if found.is_none() {
        problems.add(wrong_type(node, wanted));
    }
    found
}

/// A text; numbers and truth values must be quoted.
pub(crate) fn text<'n>(problems: &mut Problems, node: &'n Node) -> Option<&'n Scalar> {
    let found = scalar(problems, node, "a text")?;
    if found.kind() != "a text" {
        problems.add(wrong_type(node, "a text").hint(format!("put it into quotes: \"{}\"", found.text)));
        return None;
    }
    Some(found)
}

/// A text that stays marked when it is sensitive.
pub(crate) fn marked(problems: &mut Problems, node: &Node) -> Option<Text> {
    text(problems, node).map(marked_text)
}

/// The text of a scalar, marked when it is sensitive.
pub(crate) fn marked_text(scalar: &Scalar) -> Text {
    Text::new(scalar.text.clone(), scalar.taint == Taint::Sensitive)
}

/// A text, or what Compose makes a text of: a number, a truth value.
pub(crate) fn textual(problems: &mut Problems, node: &Node) -> Option<Text> {
    let found = scalar(problems, node, "a text")?;
    let read = match if found.plain { scalars::plain(&found.text) } else { Plain::Text } {
        Plain::Text => found.text.clone(),
        meaning => typed::said(meaning, &found.text),
    };
    if read != found.text {
        problems.add(
            Problem::warning("number-as-text", node.span, format!("YAML reads this as {read}"))
                .hint(format!("put it into quotes to keep it as it is: \"{}\"", found.text)),
        );
    }
    Some(Text::new(read, found.taint == Taint::Sensitive))
}

/// A truth value, also as the text that a variable makes of it.
pub(crate) fn boolean(problems: &mut Problems, node: &Node) -> Option<bool> {
    let found = scalar(problems, node, "`true` or `false`")?;
    match found.text.to_ascii_lowercase().as_str() {
        "true" | "1" | "t" | "y" | "yes" | "on" => Some(true),
        "false" | "0" | "f" | "n" | "no" | "off" => Some(false),
        _ => {
            let message = format!("`true` or `false` is wanted here, and this is {}", found.shown());
            problems.add(Problem::error("wrong-type", node.span, message));
            None
        }
    }
}

/// A whole number.
pub(crate) fn integer<T: TryFrom<i64>>(problems: &mut Problems, node: &Node, wanted: &str) -> Option<T> {
    let found = scalar(problems, node, wanted)?;
    let number = scalars::whole(&found.text)
        .and_then(|number| i64::try_from(number).ok())
        .and_then(|number| T::try_from(number).ok());
    if number.is_none() {
        let message = format!("{wanted} is wanted here, and this is {}", found.shown());
        problems.add(Problem::error("wrong-type", node.span, message));
    }
    number
}

/// A duration.
pub(crate) fn duration(problems: &mut Problems, node: &Node) -> Option<Duration> {
    let found = scalar(problems, node, "a duration")?;
    let read = units::duration(&found.text);
    if read.is_none() {
        problems.add(
            Problem::error("bad-duration", node.span, format!("{} is not a duration", found.shown()))
                .hint("a number with a unit, as in `30s`, `500ms`, `1m30s`, `1.5h`"),
        );
    }
    read
}

/// A size in bytes.
pub(crate) fn size(problems: &mut Problems, node: &Node) -> Option<u64> {
    let found = scalar(problems, node, "a size")?;
    let read = units::size(&found.text);
    if read.is_none() {
        problems.add(
            Problem::error("bad-size", node.span, format!("{} is not a size", found.shown()))
                .hint("bytes, or a number with a unit: `512m`, `4g`, `4GiB`"),
        );
    }
    read
}

/// A value that checks itself.
pub(crate) fn parsed<T>(problems: &mut Problems, node: &Node, code: &'static str, what: &str) -> Option<T>
where
    T: FromStr,
    T::Err: Display,
{
    let found = text(problems, node)?;
    from_scalar(problems, node, found, (code, what))
}

/// A value that checks itself, of a scalar that was read already. `(code, what)`: `("bad-image", "an image")`.
pub(crate) fn from_scalar<T>(
    problems: &mut Problems,
    node: &Node,
    found: &Scalar,
    (code, what): (&'static str, &str),
) -> Option<T>
where
    T: FromStr,
    T::Err: Display,
{
    match found.text.parse() {
        Ok(value) => Some(value),
        Err(error) => {
            // The error of the type repeats the text, which must not happen to a variable's value.
            let message = match found.taint {
                Taint::Literal => {
                    let said = error.to_string();
                    // Those of the standard library don't say what it is that they are about.
                    if said.contains('`') { said } else { format!("{} is not {what}", found.shown()) }
                }
                Taint::Variable | Taint::Sensitive => {
                    format!("with its variables filled in, this is not {what}")
                }
            };
            problems.add(Problem::error(code, node.span, message));
            None
        }
    }
}

/// A list.
pub(crate) fn list<'n>(problems: &mut Problems, node: &'n Node) -> Option<&'n [Node]> {
    if let Value::List(items) = &node.value {
        return Some(items);
    }
    let problem = wrong_type(node, "a list");
    problems.add(match node.value {
        Value::Scalar(_) => problem.hint("write `[…]` around it"),
        Value::Null | Value::List(_) | Value::Map(_) => problem,
    });
    None
}

/// A list, or a single text that stands for a list of one.
pub(crate) fn one_or_list<'n>(problems: &mut Problems, node: &'n Node) -> &'n [Node] {
    match &node.value {
        Value::List(items) => items,
        Value::Scalar(_) => std::slice::from_ref(node),
        Value::Null | Value::Map(_) => {
            problems.add(wrong_type(node, "a list"));
            &[]
        }
    }
}

/// A mapping.
pub(crate) fn map<'n>(problems: &mut Problems, node: &'n Node) -> Option<&'n Map> {
    let found = node.as_map();
    if found.is_none() {
        problems.add(wrong_type(node, "a mapping"));
    }
    found
}

/// A mapping whose keys are checked.
pub(crate) fn checked_map<'n>(problems: &mut Problems, node: &'n Node, keys: &Keys) -> Option<&'n Map> {
    let found = map(problems, node)?;
    keys::check(problems, found, keys);
    Some(found)
}

/// A mapping in the long form whose keys must be such as can be honoured.
pub(crate) fn honoured_map<'n>(problems: &mut Problems, node: &'n Node, keys: &Keys) -> Option<&'n Map> {
    let found = map(problems, node)?;
    keys::honoured(problems, found, keys);
    Some(found)
}

/// One of a few words.
pub(crate) fn word<T: Copy>(problems: &mut Problems, node: &Node, words: &[(&str, T)]) -> Option<T> {
    let found = text(problems, node)?;
    let value = words.iter().find(|(word, _)| *word == found.text).map(|(_, value)| *value);
    if value.is_none() {
        let known = words.iter().map(|(word, _)| *word);
        let hint = suggestion(&found.text, known).unwrap_or_default();
        problems.add(
            Problem::error(
                "unknown-value",
                node.span,
                format!("{} is not one of the words known here", found.shown()),
            )
            .hint(hint),
        );
    }
    value
}
