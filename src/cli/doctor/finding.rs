//! What a check of the host came to, and how a list of that is shown.

use std::fmt::Write as _;

use anstyle::AnsiColor;
use serde_json::{Value as Json, json};

use crate::cli::failure::{Told, label, told};
use crate::cli::words;

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Verdict {
    /// As it should be.
    Ok,
    /// Couldn't be checked here, and needn't be.
    Skipped,
    /// It works, and may do harm some day.
    Warning,
    /// An agent here can't work, or isn't safe.
    Failed,
}

impl Verdict {
    const ALL: [Self; 4] = [Self::Failed, Self::Warning, Self::Ok, Self::Skipped];

    fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Skipped => "skipped",
            Self::Warning => "warning",
            Self::Failed => "failed",
        }
    }

    fn colour(self) -> AnsiColor {
        match self {
            Self::Ok => AnsiColor::Green,
            Self::Skipped => AnsiColor::BrightBlack,
            Self::Warning => AnsiColor::Yellow,
            Self::Failed => AnsiColor::Red,
        }
    }
}

/// What a check came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    /// What was checked, as a stable word: `state-disk`.
    pub(super) check: &'static str,
    pub(super) verdict: Verdict,
    /// What is so.
    pub(super) what: String,
    /// Why that matters, or what the system said.
    pub(super) why: Option<String>,
    /// What to do.
    pub(super) hint: Option<String>,
}

impl Finding {
    fn new(check: &'static str, verdict: Verdict, what: impl Into<String>) -> Self {
        Self { check, verdict, what: what.into(), why: None, hint: None }
    }

    pub(super) fn ok(check: &'static str, what: impl Into<String>) -> Self {
        Self::new(check, Verdict::Ok, what)
    }

    pub(super) fn skipped(check: &'static str, what: impl Into<String>) -> Self {
        Self::new(check, Verdict::Skipped, what)
    }

    pub(super) fn warning(check: &'static str, what: impl Into<String>) -> Self {
        Self::new(check, Verdict::Warning, what)
    }

    pub(super) fn failed(check: &'static str, what: impl Into<String>) -> Self {
        Self::new(check, Verdict::Failed, what)
    }

    /// With why that matters.
    pub(super) fn why(self, why: impl Into<String>) -> Self {
        Self { why: Some(why.into()), ..self }
    }

    /// With what to do.
    pub(super) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// A check that failed with an error.
    pub(super) fn of_error(check: &'static str, error: &anyhow::Error) -> Self {
        let Told { what, causes, hints } = told(error);
        let joined = |texts: Vec<String>| (!texts.is_empty()).then(|| texts.join("\n"));
        Self { why: joined(causes), hint: joined(hints), ..Self::failed(check, what) }
    }

    fn to_json(&self) -> Json {
        let Self { check, verdict, what, why, hint } = self;
        json!({"check": check, "verdict": verdict.word(), "what": what, "why": why, "hint": hint})
    }
}

/// The worst of all.
pub(super) fn verdict(findings: &[Finding]) -> Verdict {
    findings.iter().map(|finding| finding.verdict).max().unwrap_or(Verdict::Ok)
}

fn count(findings: &[Finding], verdict: Verdict) -> usize {
    findings.iter().filter(|finding| finding.verdict == verdict).count()
}

/// As JSON.
pub(super) fn to_json(findings: &[Finding]) -> Json {
    let counts: serde_json::Map<_, _> = Verdict::ALL
        .into_iter()
        .map(|verdict| (verdict.word().to_owned(), count(findings, verdict).into()))
        .collect();
    json!({
        "verdict": verdict(findings).word(),
        "counts": counts,
        "findings": findings.iter().map(Finding::to_json).collect::<Vec<_>>(),
    })
}

/// For people: a line for each, with why and what to do below it where something is wrong.
pub(super) fn to_text(findings: &[Finding], colour: bool) -> String {
    let widest = findings.iter().map(|finding| finding.check.len()).max().unwrap_or_default();
    let indent = " ".repeat(9 + widest + 2);
    let mut text = String::new();
    for finding in findings {
        let word = format!("{:<8}", finding.verdict.word());
        let word = if colour { label(&word, finding.verdict.colour()) } else { word };
        let _ = writeln!(text, "{word} {:<widest$}  {}", finding.check, below(&finding.what, &indent));
        for (lead, more) in [("why: ", &finding.why), ("do:  ", &finding.hint)] {
            if let Some(more) = more {
                let _ = writeln!(text, "{indent}{lead}{}", below(more, &format!("{indent}     ")));
            }
        }
    }
    let counts = Verdict::ALL.map(|verdict| (verdict, count(findings, verdict)));
    let counts =
        counts.into_iter().filter(|(_, number)| *number > 0).map(|(verdict, number)| match verdict {
            Verdict::Warning => words::count(number, "warning"),
            other => format!("{number} {}", other.word()),
        });
    text.push_str(&counts.collect::<Vec<_>>().join(", "));
    text.push('\n');
    text
}

/// A text of several lines, of which all but the first begin below the first.
fn below(text: &str, indent: &str) -> String {
    text.trim_end().replace('\n', &format!("\n{indent}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_says_why_and_what_to_do() {
        let findings = [
            Finding::ok("docker", "Docker 28"),
            Finding::warning("live-restore", "off").why("a\nb").hint("turn it on"),
            Finding::skipped("clock", "unknown"),
        ];
        assert_eq!(
            to_text(&findings, false),
            "ok       docker        Docker 28\n\
             warning  live-restore  off\n\
             \x20                      why: a\n\
             \x20                           b\n\
             \x20                      do:  turn it on\n\
             skipped  clock         unknown\n\
             1 warning, 1 ok, 1 skipped\n"
        );
        assert_eq!(verdict(&findings), Verdict::Warning);
        assert_eq!(to_json(&findings)["counts"], json!({"failed": 0, "warning": 1, "ok": 1, "skipped": 1}));
    }

    #[test]
    fn an_error_is_taken_apart() {
        let error = crate::cli::failure::hinted(anyhow::anyhow!("no").context("can't open"), "do this");
        let finding = Finding::of_error("x", &error);
        assert_eq!((finding.what.as_str(), finding.why.as_deref()), ("can't open", Some("no")));
        assert_eq!((finding.hint.as_deref(), finding.verdict), (Some("do this"), Verdict::Failed));
    }
}
