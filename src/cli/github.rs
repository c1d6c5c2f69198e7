//! Diagnostics as annotations of a GitHub workflow, which shows them at the lines of a pull request.

use crate::manifest::{Diagnostic, Severity};

/// The workflow command for `diagnostic`, a single line. `folder` is where its files lie, as seen from the top of the
/// checkout; `only_in` are the environments that it concerns, where those are not all.
pub(super) fn annotation(diagnostic: &Diagnostic, folder: &str, only_in: &[String]) -> String {
    let command = match diagnostic.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let path = diagnostic.place.path.to_string();
    let file = if folder.is_empty() { path } else { format!("{folder}/{path}") };
    let mut properties = vec![format!("file={}", property(&file))];
    if let Some(spot) = &diagnostic.place.spot {
        properties.push(format!("line={},col={}", spot.line, spot.column));
    }
    properties.push(format!("title={}", property(diagnostic.code)));
    let mut lines = vec![diagnostic.message.clone()];
    lines.extend(diagnostic.hint.iter().map(|hint| format!("hint: {hint}")));
    if !only_in.is_empty() {
        lines.push(format!("only in: {}", only_in.join(", ")));
    }
    format!("::{command} {}::{}", properties.join(","), message(&lines.join("\n")))
}

/// A text where a workflow command has its message. Whatever else it holds, it can't end the command or begin another.
fn message(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// A text where a workflow command has the value of a property.
fn property(text: &str) -> String {
    message(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_text_can_end_a_command() {
        assert_eq!(message("50%\r\n::error::x"), "50%25%0D%0A::error::x");
        assert_eq!(property("a,line=1::b%"), "a%2Cline=1%3A%3Ab%25");
    }
}
