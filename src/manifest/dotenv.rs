//! `.env`: lines of `NAME=value`, with comments and quotes.
//!
//! Values are taken as they are: nothing is filled in inside of them yet, and a value that asks for it is refused
//! rather than misread. A message about this file never repeats it.

use std::collections::BTreeMap;

use super::problem::{At, Problem, Problems};
use crate::model::tree::RepoPath;

/// Reads the variables of a `.env` file.
pub(crate) fn parse(problems: &mut Problems, path: &RepoPath, bytes: &[u8]) -> BTreeMap<String, String> {
    let mut variables = BTreeMap::new();
    let Ok(text) = std::str::from_utf8(bytes) else {
        problems.add(Problem::error("not-utf8", path, "the file is not UTF-8 text"));
        return variables;
    };
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    for (number, line) in text.lines().enumerate() {
        match assignment(line) {
            Ok(None) => {}
            Ok(Some((name, value))) => {
                variables.insert(name.to_owned(), value);
            }
            Err(message) => {
                let at = At::Line(path.clone(), number + 1);
                problems.add(Problem::error("dotenv", at, message).hint("each line is `NAME=value`"));
            }
        }
    }
    variables
}

fn assignment(line: &str) -> Result<Option<(&str, String)>, &'static str> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let line = line.strip_prefix("export ").unwrap_or(line);
    let (name, value) = line.split_once('=').ok_or("this line has no `=`")?;
    let name = name.trim();
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    if name.is_empty() || !name.chars().all(is_name) {
        return Err("what stands before `=` is not a variable's name");
    }
    value_of(value.trim()).map(|value| Some((name, value)))
}

fn value_of(value: &str) -> Result<String, &'static str> {
    let quoted = |quote: char| {
        let inner = value.strip_prefix(quote)?;
        let escapes = |before: &str| before.bytes().rev().take_while(|byte| *byte == b'\\').count();
        let mut ends = inner.match_indices(quote).map(|(at, _)| at);
        let end = ends.find(|at| quote == '\'' || escapes(&inner[..*at]).is_multiple_of(2));
        Some(end.map(|end| (&inner[..end], inner[end + 1..].trim())))
    };
    let after_is_comment = |after: &str| after.is_empty() || after.starts_with('#');
    if let Some(found) = quoted('\'') {
        let (inner, after) = found.ok_or("a quote is opened and not closed in this line")?;
        return if after_is_comment(after) {
            Ok(inner.to_owned())
        } else {
            Err("text follows the closing quote")
        };
    }
    let text = if let Some(found) = quoted('"') {
        let (inner, after) = found.ok_or("a quote is opened and not closed in this line")?;
        if !after_is_comment(after) {
            return Err("text follows the closing quote");
        }
        inner.replace("\\n", "\n").replace("\\\"", "\"").replace("\\\\", "\\")
    } else {
        value.split(" #").next().unwrap_or(value).trim_end().to_owned()
    };
    if text.contains('$') {
        return Err(
            "variables in the values of this file are not supported yet; single quotes keep a `$` as it is",
        );
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_compose_reads_them() {
        let text = b"# a comment\nA=1\nexport B = two words # not this\nC='x # $y'\r\nD=\"a\\nb\"\n\nE=\n";
        let mut problems = Problems::default();
        let read = parse(&mut problems, &".env".parse().unwrap(), text);
        let expected = [("A", "1"), ("B", "two words"), ("C", "x # $y"), ("D", "a\nb"), ("E", "")];
        assert!(!problems.has_errors());
        assert_eq!(read, expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
    }

    #[test]
    fn a_wrong_line_is_located_and_not_shown() {
        let mut problems = Problems::default();
        parse(&mut problems, &".env".parse().unwrap(), b"A=1\nhunter2\nB=\"hunter2\n");
        let report = problems.finish().unwrap_err().render(false);
        assert!(report.contains(".env:2") && report.contains(".env:3"), "{report}");
        assert!(!report.contains("hunter2"), "{report}");
    }
}
