//! A command line → words, as Compose splits it. Nothing is expanded.

use super::super::node::{Node, Value};
use super::super::problem::Problem;
use super::super::read as node_read;
use super::long::Reading;
use super::typed::text_of;

/// The list of words that a line stands for.
pub(crate) fn command(reading: &mut Reading<'_>, node: &Node) -> Option<Node> {
    let scalar = node_read::text(reading.problems, node)?;
    match split(&scalar.text) {
        Ok((words, rest)) => {
            if let Some(operator) = rest {
                let message = format!("this is no shell: `{operator}` and all that follows is cut off");
                reading.problems.add(
                    Problem::warning("cut-command", node.span, message)
                        .hint("write `[\"sh\", \"-c\", \"…\"]`, or quote it"),
                );
            }
            let word = |text: String| Node {
                span: node.span,
                tag: None,
                value: Value::Scalar(text_of(text, Some(scalar))),
            };
            Some(Node {
                value: Value::List(words.into_iter().map(word).collect()),
                span: node.span,
                tag: node.tag,
            })
        }
        Err(message) => {
            let problem = Problem::error("bad-command", node.span, message);
            reading.refuse(problem.hint("write the command as a list of words"))
        }
    }
}

/// What is open while a line is read.
#[derive(Default)]
struct Line {
    words: Vec<String>,
    word: String,
    /// Whether there is a word, which may be empty when it was quoted.
    any: bool,
    escaped: bool,
    single: bool,
    double: bool,
    back: bool,
    dollar: bool,
}

impl Line {
    fn push(&mut self, c: char) {
        self.word.push(c);
        self.any = true;
    }

    fn quoted(&self) -> bool {
        self.single || self.double || self.back || self.dollar
    }

    fn blank(&mut self, c: char) {
        if self.quoted() {
            self.word.push(c);
        } else if self.any {
            self.words.push(std::mem::take(&mut self.word));
            self.any = false;
        }
    }
}

/// Splits `line` at blanks; quotes and backslashes keep blanks. An operator of a shell ends it, and is told.
///
/// # Errors
/// When a quote isn't closed, a backslash stands at the end, or a parenthesis is where none can be.
fn split(line: &str) -> Result<(Vec<String>, Option<char>), &'static str> {
    let mut state = Line::default();
    let mut rest = None;
    for c in line.chars() {
        if state.escaped {
            state.push(c);
            state.escaped = false;
            continue;
        }
        match c {
            '\\' if state.single => state.word.push(c),
            '\\' => state.escaped = true,
            ' ' | '\t' | '\n' | '\r' => state.blank(c),
            '`' => {
                if !(state.single || state.double || state.dollar) {
                    state.back = !state.back;
                }
                state.push(c);
            }
            ')' => {
                if !(state.single || state.double || state.back) {
                    state.dollar = !state.dollar;
                }
                state.push(c);
            }
            '(' => {
                if !(state.single || state.double || state.back) {
                    if state.dollar || !state.word.ends_with('$') {
                        return Err("this is no shell: a parenthesis can't stand here");
                    }
                    state.dollar = true;
                    state.word.push(c);
                    continue;
                }
                state.push(c);
            }
            '"' if !state.single && !state.dollar => {
                state.any |= state.double;
                state.double = !state.double;
            }
            '\'' if !state.double && !state.dollar => {
                state.any |= state.single;
                state.single = !state.single;
            }
            ';' | '&' | '|' | '<' | '>' if !state.quoted() => {
                if c == '>' && state.word.starts_with(|c: char| c.is_ascii_digit()) {
                    state.any = false;
                }
                rest = Some(c);
                break;
            }
            c => state.push(c),
        }
    }
    if state.any {
        state.words.push(state.word);
    }
    if state.escaped {
        return Err("a backslash ends this command");
    }
    if state.single || state.double || state.back || state.dollar {
        return Err("a quote is not closed in this command");
    }
    Ok((state.words, rest))
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn a_line_is_split_as_compose_does() {
        for (line, words) in [
            ("redis-server --save ''", vec!["redis-server", "--save", ""]),
            ("sh -c \"echo 'a b'; exit\"", vec!["sh", "-c", "echo 'a b'; exit"]),
            ("a\\ b  c\n d", vec!["a b", "c", "d"]),
            ("x\"y\\\"z\"'w'", vec!["xy\"zw"]),
            ("echo $(date +%s)", vec!["echo", "$(date +%s)"]),
            ("", vec![]),
            ("a | b && c", vec!["a"]),
            ("a 2> b", vec!["a"]),
        ] {
            assert_eq!(split(line).unwrap().0, words, "{line}");
        }
        for line in ["'a", "\"a", "a\\", "\"a\\", "a (b)", "`a"] {
            assert!(split(line).is_err(), "{line}");
        }
    }
}
