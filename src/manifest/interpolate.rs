//! Filling in variables: `$VAR`, `${VAR}`, `${VAR:-default}`, `${VAR:?message}`, `${VAR:+replacement}` and `$$`.
//!
//! Only values are filled in, never keys. A variable without a value is an error, for an empty password or image
//! tag that nobody asked for is worse than no deploy. A text that a value from outside the repository went into is
//! marked as sensitive, and no message holds what a variable holds.

use super::node::{MergeTag, Node, Scalar, Taint, Value};
use super::problem::{Problem, Problems};
use super::source::Span;
use super::variables::{Lookup, Variables};

/// How deep a default may hold another variable.
const NESTING_MAX: usize = 16;

/// A piece of a template.
#[derive(Debug, PartialEq, Eq)]
enum Part<'t> {
    Text(&'t str),
    Variable { name: &'t str, form: Form<'t> },
}

/// What is wanted of a variable.
#[derive(Debug, PartialEq, Eq)]
enum Form<'t> {
    /// `$VAR`, `${VAR}`
    Value,
    /// `-`: a default when it is unset; with a colon also when it is empty.
    Default { empty_too: bool, text: &'t str },
    /// `?`: an error in that case.
    Required { empty_too: bool, message: &'t str },
    /// `+`: a replacement in the other case.
    Replacement { empty_too: bool, text: &'t str },
}

/// Fills in the variables in all values below `node`.
pub(crate) fn fill(problems: &mut Problems, variables: &Variables<'_>, node: &mut Node) {
    if node.tag == Some(MergeTag::Reset) {
        // Whatever stands there is not going to be anything.
        return;
    }
    let span = node.span;
    match &mut node.value {
        Value::Null => {}
        Value::Scalar(scalar) => fill_scalar(problems, variables, scalar, span),
        Value::List(items) => items.iter_mut().for_each(|item| fill(problems, variables, item)),
        Value::Map(map) => {
            for entry in &mut map.entries {
                fill(problems, variables, &mut entry.value);
            }
        }
    }
}

fn fill_scalar(problems: &mut Problems, variables: &Variables<'_>, scalar: &mut Scalar, span: Span) {
    if !scalar.text.contains('$') {
        return;
    }
    let mut filled = Filled { text: String::new(), taint: scalar.taint };
    let mut filling = Filling { problems, variables, span };
    if filling.fill(&scalar.text, &mut filled, 0) {
        *scalar = Scalar { text: filled.text, plain: false, taint: filled.taint };
    } else {
        problems.spoil(span);
    }
}

/// The text so far.
struct Filled {
    text: String,
    taint: Taint,
}

/// The filling of one scalar.
struct Filling<'a, 'v> {
    problems: &'a mut Problems,
    variables: &'a Variables<'v>,
    span: Span,
}

impl Filling<'_, '_> {
    /// Appends `template` with its variables filled in. False when a problem was noted.
    fn fill(&mut self, template: &str, filled: &mut Filled, depth: usize) -> bool {
        if depth > NESTING_MAX {
            let message = format!("defaults of variables are nested deeper than {NESTING_MAX} levels");
            self.problems.add(Problem::error("interpolation", self.span, message));
            return false;
        }
        let parts = match parse(template) {
            Ok(parts) => parts,
            Err(wrong) => {
                self.problems.add(
                    Problem::error("interpolation", self.spot(&template[wrong.at..]), wrong.message)
                        .hint("for a dollar sign itself write `$$`"),
                );
                return false;
            }
        };
        let mut whole = true;
        for part in &parts {
            // It goes on after the first that is missing: all of them are told at once.
            whole &= self.part(part, filled, depth);
        }
        whole
    }

    fn part(&mut self, part: &Part<'_>, filled: &mut Filled, depth: usize) -> bool {
        let (name, form) = match part {
            Part::Text(text) => {
                filled.text.push_str(text);
                return true;
            }
            Part::Variable { name, form } => (*name, form),
        };
        let known = match self.variables.lookup(name) {
            Lookup::Known { text, taint } => Some((text, taint)),
            Lookup::Unknown => None,
        };
        let has_value =
            |empty_too: &bool| known.as_ref().is_some_and(|(text, _)| !(*empty_too && text.is_empty()));
        match form {
            Form::Default { empty_too, text } if !has_value(empty_too) => self.fill(text, filled, depth + 1),
            Form::Required { empty_too, message } if !has_value(empty_too) => {
                self.missing(name, known.is_some(), Some(message))
            }
            Form::Replacement { empty_too, text } => {
                !has_value(empty_too) || self.fill(text, filled, depth + 1)
            }
            Form::Value | Form::Default { .. } | Form::Required { .. } => match known {
                Some((text, taint)) => {
                    filled.text.push_str(text);
                    filled.taint = filled.taint.max(taint);
                    true
                }
                None => self.missing(name, false, None),
            },
        }
    }

    fn missing(&mut self, name: &str, empty: bool, message: Option<&str>) -> bool {
        let what = if empty { "is empty" } else { "has no value" };
        // A message with variables of its own would have to be filled in, and could then show one.
        let why = message.filter(|message| !message.is_empty() && !message.contains('$'));
        let why = why.map(|message| format!(": {message}")).unwrap_or_default();
        let written = self.problems.sources.written(self.span);
        let span = [format!("${{{name}"), format!("${name}")]
            .iter()
            .find_map(|start| written.find(start.as_str()).map(|at| (at, start.len())))
            .map_or(self.span, |(at, length)| {
                let braced = written[at..].strip_prefix("${");
                let end = braced.and_then(closing).map(|end| "${".len() + end + "}".len());
                self.span.part(at, end.unwrap_or(length))
            });
        self.problems.add(
            Problem::error("missing-variable", span, format!("the variable `{name}` {what}{why}"))
                .hint(self.variables.how_to_set(name)),
        );
        false
    }

    /// The place of `rest` in the source, if it stands there as it is.
    fn spot(&self, rest: &str) -> Span {
        let written = self.problems.sources.written(self.span);
        let first: String = rest.chars().take_while(|c| *c != '\n').collect();
        written.rfind(&first).map_or(self.span, |at| self.span.part(at, first.len()))
    }
}

/// Why a template is none: where, and what.
#[derive(Debug, PartialEq, Eq)]
struct Wrong {
    at: usize,
    message: &'static str,
}

fn parse(template: &str) -> Result<Vec<Part<'_>>, Wrong> {
    let mut parts = Vec::new();
    let mut rest = template;
    while let Some(at) = rest.find('$') {
        if at > 0 {
            parts.push(Part::Text(&rest[..at]));
        }
        let here = template.len() - rest.len() + at;
        let wrong = |message| Wrong { at: here, message };
        let after = &rest[at + 1..];
        rest = if let Some(after) = after.strip_prefix('$') {
            parts.push(Part::Text("$"));
            after
        } else if let Some(inner) = after.strip_prefix('{') {
            let end = closing(inner).ok_or(wrong("this `${` has no `}`"))?;
            parts.push(braced(&inner[..end]).map_err(wrong)?);
            &inner[end + 1..]
        } else {
            let length = name_length(after);
            if length == 0 {
                return Err(wrong("a variable's name must follow this `$`"));
            }
            parts.push(Part::Variable { name: &after[..length], form: Form::Value });
            &after[length..]
        };
    }
    if !rest.is_empty() {
        parts.push(Part::Text(rest));
    }
    Ok(parts)
}

/// Where the brace closes that was opened before `inner`.
fn closing(inner: &str) -> Option<usize> {
    let mut open = 1_usize;
    let mut bytes = inner.bytes().enumerate().peekable();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'$' => match bytes.peek() {
                Some((_, b'{')) => {
                    open += 1;
                    bytes.next();
                }
                Some((_, b'$')) => {
                    bytes.next();
                }
                _ => {}
            },
            b'}' if open == 1 => return Some(at),
            b'}' => open -= 1,
            _ => {}
        }
    }
    None
}

fn braced(inner: &str) -> Result<Part<'_>, &'static str> {
    let length = name_length(inner);
    if length == 0 {
        return Err("a variable's name must follow this `${`");
    }
    let (name, rest) = inner.split_at(length);
    let (empty_too, operator) = rest.strip_prefix(':').map_or((false, rest), |operator| (true, operator));
    let form = match operator.chars().next() {
        None if !empty_too => Form::Value,
        Some('-') => Form::Default { empty_too, text: &operator[1..] },
        Some('?') => Form::Required { empty_too, message: &operator[1..] },
        Some('+') => Form::Replacement { empty_too, text: &operator[1..] },
        _ => return Err("after a variable's name only `:-`, `-`, `:?`, `?`, `:+`, `+` or `}` can follow"),
    };
    Ok(Part::Variable { name, form })
}

fn name_length(text: &str) -> usize {
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        return 0;
    }
    text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::manifest::variables::Declared;

    /// What becomes of `template`, and its taint; nothing when a problem was noted.
    fn filled(template: &str) -> Option<(String, Taint)> {
        let host = BTreeMap::from([("HOST".to_owned(), "secret".to_owned())]);
        let of = |name: &str, value: &str| (name.to_owned(), Declared::Value(value.to_owned()));
        let variables = Variables {
            own: BTreeMap::new(),
            declared: BTreeMap::from([of("A", "a"), of("EMPTY", ""), of("DOLLAR", "$A")]),
            host: &host,
            dotenv: BTreeMap::new(),
            placeholder: None,
            environment_file: None,
        };
        let mut problems = Problems::default();
        let source = problems.sources.add("x".parse().unwrap(), template.to_owned());
        let span = Span { source, start: 0, end: u32::try_from(template.len()).unwrap() };
        let mut scalar = Scalar { text: template.to_owned(), plain: true, taint: Taint::Literal };
        fill_scalar(&mut problems, &variables, &mut scalar, span);
        (!problems.has_errors()).then_some((scalar.text, scalar.taint))
    }

    #[test]
    fn every_form_means_what_compose_says() {
        for (template, text) in [
            ("$A", "a"),
            ("${A}b", "ab"),
            ("$A$A.$A_", "missing"),
            ("${NO:-d}", "d"),
            ("${NO-d}", "d"),
            ("${EMPTY:-d}", "d"),
            ("${EMPTY-d}", ""),
            ("${A:-d}", "a"),
            ("${A:?e}", "a"),
            ("${EMPTY?e}", ""),
            ("${EMPTY:?e}", "missing"),
            ("${NO?e}", "missing"),
            ("${A:+r}", "r"),
            ("${EMPTY:+r}", ""),
            ("${EMPTY+r}", "r"),
            ("${NO+r}", ""),
            ("${NO:-${NO2:-${A}}}", "a"),
            ("${NO:-}", ""),
            ("$$A $${A}", "$A ${A}"),
            ("${NO:-$$x}", "$x"),
            // A value is not looked at again.
            ("${DOLLAR}", "$A"),
            ("${A", "missing"),
            ("$1", "missing"),
            ("${A:x}", "missing"),
            ("$", "missing"),
        ] {
            let found = filled(template).map_or("missing".to_owned(), |(text, _)| text);
            assert_eq!(found, text, "{template}");
        }
    }

    #[test]
    fn one_sensitive_part_makes_the_whole_sensitive() {
        for (template, taint) in [
            ("plain $$", Taint::Literal),
            ("${NO:-default}", Taint::Literal),
            ("${A}", Taint::Variable),
            ("${A}${HOST}", Taint::Sensitive),
            ("${NO:-x${HOST}}", Taint::Sensitive),
            ("${HOST:+set}", Taint::Literal),
        ] {
            assert_eq!(filled(template).map(|(_, taint)| taint), Some(taint), "{template}");
        }
    }

    #[test]
    fn defaults_nest_only_so_deep() {
        let nested = |depth: usize| format!("{}x{}", "${NO:-".repeat(depth), "}".repeat(depth));
        assert_eq!(filled(&nested(16)).map(|(text, _)| text).as_deref(), Some("x"));
        assert_eq!(filled(&nested(17)), None);
        assert_eq!(filled(&"${A:-".repeat(100_000)), None);
    }
}
