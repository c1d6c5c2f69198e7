//! What the YAML parser complains about, in words that say what to do.

use saphyr_parser::ScanError;

use super::load::DEPTH_MAX;
use super::problem::Problem;
use super::source::Span;

/// What is wrong, and what to do about it, by a part of what the parser says. The first that fits is taken.
const KNOWN: [(&str, &str, &str); 11] = [
    (
        "mapping values are not allowed",
        "a colon can't stand here",
        "indent the line as its neighbours, or quote the text that has the colon in it",
    ),
    (
        "did not find expected key",
        "a key is expected here, at the indentation of its neighbours",
        "look at the indentation of this line and the one before, and for a quote that is not closed",
    ),
    (
        "did not find expected '-'",
        "an item of the list is expected here, at the indentation of its neighbours",
        "look at the indentation of this line and the one before",
    ),
    ("simple key expect", "this line has no colon", "`key: value`, or quote a text of several lines"),
    (
        "block sequence entries are not allowed",
        "an item of a list can't begin here",
        "begin the list in a line of its own",
    ),
    (
        "found unexpected end of stream",
        "a quote is opened and never closed",
        "close it, or use the other kind of quote around the text",
    ),
    (
        "invalid indentation",
        "this line is not indented as what it belongs to",
        "look at the indentation of this line and the one before",
    ),
    (
        "unknown escape character",
        "this escape is not known",
        "write `\\\\` for a backslash, or use single quotes, which take everything as it is",
    ),
    (
        "expected ',' or",
        "a comma or a closing bracket is missing before this",
        "close the bracket, or separate the items by commas",
    ),
    ("misplaced bracket", "this bracket closes nothing", "remove it, or open it before"),
    ("trailing content after", "text follows the closing quote", "put all of the text inside of the quotes"),
];

/// The problem that the parser found at `span`.
pub(crate) fn problem(error: &ScanError, span: Span) -> Problem {
    let said = error.info();
    if said.contains("recursion limit") {
        return Problem::error(
            "too-deep",
            span,
            format!("the file is nested deeper than {DEPTH_MAX} levels"),
        );
    }
    if said.contains("unknown anchor") {
        return Problem::error("unknown-alias", span, "no anchor of this name stands before this alias")
            .hint("an anchor is `&name` before a value in the same file; quote a text that begins with `*`");
    }
    if said.contains("tab") && said.contains("indentation") {
        return tab(span);
    }
    let (message, hint) = KNOWN
        .iter()
        .find(|(part, _, _)| said.contains(part))
        .map_or((format!("this is not YAML: {said}"), None), |(_, message, hint)| {
            ((*message).to_owned(), Some(*hint))
        });
    let problem = Problem::error("yaml-syntax", span, message);
    match hint {
        Some(hint) => problem.hint(hint),
        None => problem.hint("look at the indentation, quotes and brackets of this line and the one before"),
    }
}

/// A tab in the indentation, at `span`.
pub(crate) fn tab(span: Span) -> Problem {
    Problem::error("yaml-syntax", span, "a tab stands in the indentation, which YAML forbids")
        .hint("indent with spaces")
}
