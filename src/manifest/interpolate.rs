//! Filling in the variables of a manifest.
//!
//! Only values are filled in, never keys. In a repository a variable without a value is an error, for an empty
//! password or image tag that nobody asked for is worse than no deploy; for single files it is a warning, as with
//! Compose. A text that a value from outside the repository went into is marked as sensitive, and no message holds
//! what a variable holds.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use super::node::{MergeTag, Node, Scalar, Taint, Value};
use super::problem::{Problem, Problems};
use super::source::Span;
use super::template::{self, FILLED_BYTES_MAX, Filled, NESTING_MAX, Note, What};
use super::variables::{Lookup, Variables, stand_in};

/// Most bytes that variables may add to all files together.
pub(crate) const VARIABLE_BYTES_MAX: usize = 8 << 20;

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
    if problems.variables_spent() {
        // It was said, and each further text could be as large as the last.
        problems.spoil(span);
        return;
    }
    let filled = match &variables.outside {
        None => {
            let (filled, used) = filled(variables, scalar, &BTreeMap::new());
            if !used.is_empty() {
                // What stands for a value may be no number, say, where the value is one.
                problems.spoil(span);
            }
            filled
        }
        Some(_) => filled_from_outside(problems, variables, scalar, span),
    };
    let mut whole = true;
    for note in &filled.notes {
        // It goes on after the first that is missing: all of them are told at once.
        whole &= tell(problems, variables, (&scalar.text, span), note);
    }
    if whole && problems.charge_variables(span, filled.from_variables) {
        scalar.text = filled.text;
        scalar.plain = false;
        scalar.taint = filled.taint;
    } else {
        problems.spoil(span);
    }
}

/// Fills in the variables, those of `absent` with what stands for them. Gives also whose values something stood for.
fn filled(
    variables: &Variables<'_>,
    scalar: &Scalar,
    absent: &BTreeMap<String, String>,
) -> (Filled, BTreeSet<String>) {
    let used = RefCell::new(BTreeSet::new());
    let lookup = |name: &str| {
        if variables.is_outside(name) || absent.contains_key(name) {
            used.borrow_mut().insert(name.to_owned());
        }
        match variables.lookup(name) {
            Lookup::Known { text, taint } => Some((text, taint)),
            Lookup::Unknown => absent.get(name).map(|text| (text.as_str(), Taint::Sensitive)),
        }
    };
    let filled = template::fill(&scalar.text, scalar.taint, &lookup);
    (filled, used.into_inner())
}

/// The same where something stands for every variable that must have a value and has none.
fn filled_from_outside(
    problems: &mut Problems,
    variables: &Variables<'_>,
    scalar: &Scalar,
    span: Span,
) -> Filled {
    let (mut text, mut used) = filled(variables, scalar, &BTreeMap::new());
    // What the first go reports as missing is known only after it: a default would have served as well.
    let absent = text.notes.iter().filter_map(|note| match &note.what {
        What::Unset { name } | What::Required { name, empty: false, message: _ } => {
            Some((name.clone(), stand_in(name)))
        }
        What::Required { .. } | What::Invalid { .. } | What::TooDeep | What::TooLarge => None,
    });
    let absent: BTreeMap<String, String> = absent.collect();
    if !absent.is_empty() {
        (text, used) = filled(variables, scalar, &absent);
    }
    if !used.is_empty() {
        // A number, say, can't be made of what stands for it: then it is left out, on both sides of a comparison.
        problems.spoil(span);
        problems.stands_in(used);
    }
    text
}

/// Notes what there is to say. True when the text is whole nevertheless.
fn tell(
    problems: &mut Problems,
    variables: &Variables<'_>,
    (template, span): (&str, Span),
    note: &Note,
) -> bool {
    let spot = spot(problems, span, template, note);
    match &note.what {
        What::Unset { name } => {
            let message = format!("the variable `{name}` has no value");
            let strict = variables.environment_file.is_some();
            let problem = if strict {
                Problem::error("missing-variable", spot, message)
            } else {
                Problem::warning("missing-variable", spot, message + " and is left empty")
            };
            problems.add(hinted(problems, variables, name, problem));
            !strict
        }
        What::Required { name, empty, message } => {
            let what = if *empty { "is empty" } else { "has no value" };
            // A message with variables of its own would have to be filled in, and could then show one.
            let why = Some(message).filter(|message| !message.is_empty() && !message.contains('$'));
            let why = why.map(|message| format!(": {message}")).unwrap_or_default();
            let message = format!("the variable `{name}` {what}{why}");
            let problem = Problem::error("missing-variable", spot, message);
            problems.add(hinted(problems, variables, name, problem));
            false
        }
        What::Invalid { message } => {
            problems.add(
                Problem::error("interpolation", spot, *message).hint("for a dollar sign itself write `$$`"),
            );
            false
        }
        What::TooDeep => {
            let message = format!("defaults of variables are nested deeper than {NESTING_MAX} levels");
            problems.add(Problem::error("interpolation-depth", spot, message));
            false
        }
        What::TooLarge => {
            let message = format!("with its variables this text has more than {FILLED_BYTES_MAX} bytes");
            problems.add(Problem::error("interpolation-size", spot, message));
            false
        }
    }
}

fn hinted(problems: &Problems, variables: &Variables<'_>, name: &str, problem: Problem) -> Problem {
    if problems.wants_hints() { problem.hint(variables.how_to_set(name)) } else { problem }
}

/// Where a part of a template was written, if it stands in the file as it is.
fn spot(problems: &Problems, span: Span, template: &str, note: &Note) -> Span {
    let written = problems.sources.written(span);
    if let Some(at) = written.find(template) {
        return span.part(at + note.at.start, note.at.len());
    }
    let part = template.get(note.at.clone()).unwrap_or("");
    let line = part.split('\n').next().unwrap_or("");
    written.find(line).filter(|_| !line.is_empty()).map_or(span, |at| span.part(at, line.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::variables::Declared;

    /// What becomes of `template`, and its taint; nothing when an error was noted.
    fn filled(template: &str, environment_file: Option<&str>) -> Option<(String, Taint)> {
        let host = BTreeMap::from([("HOST".to_owned(), "secret".to_owned())]);
        let of = |name: &str, value: &str| (name.to_owned(), Declared::Value(value.to_owned()));
        let variables = Variables {
            own: BTreeMap::new(),
            declared: BTreeMap::from([of("A", "a"), of("EMPTY", "")]),
            host: &host,
            dotenv: BTreeMap::new(),
            placeholder: None,
            outside: None,
            environment_file: environment_file.map(str::to_owned),
        };
        let mut problems = Problems::default();
        let source = problems.sources.add("x".parse().unwrap(), template.to_owned());
        let span = Span { source, start: 0, end: u32::try_from(template.len()).unwrap() };
        let mut scalar = Scalar { text: template.to_owned(), plain: true, taint: Taint::Literal };
        fill_scalar(&mut problems, &variables, &mut scalar, span);
        (!problems.has_errors()).then_some((scalar.text, scalar.taint))
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
            assert_eq!(filled(template, None).map(|(_, taint)| taint), Some(taint), "{template}");
        }
    }

    #[test]
    fn only_a_repository_insists_on_a_value() {
        assert_eq!(filled("x$NO", None).map(|(text, _)| text).as_deref(), Some("x"));
        assert_eq!(filled("x$NO", Some("environments/prod/environment.yaml")), None);
        assert_eq!(filled("${NO:?}", None), None);
    }
}
