//! Errors in words: what, its causes, and what to do.

use std::fmt;
use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};

/// How the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitStatus {
    /// Done, or nothing to do.
    Done,
    /// It failed and nothing was changed.
    Failed,
    /// The plan has changes; only with `--detailed-exitcode`.
    Changes,
    /// The deploy failed, and what ran before runs again.
    RolledBack,
    /// The deploy failed, and so did the way back.
    RollbackFailed,
    /// The deploy failed, and what it had reached stays, as a service of it wants.
    Held,
}

impl ExitStatus {
    /// The status of the process.
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Changes => 2,
            Self::RolledBack => 3,
            // Either is left half done, and somebody must look.
            Self::RollbackFailed | Self::Held => 4,
        }
    }
}

/// What to do about an error. It wraps the error as its cause and adds nothing to its text.
#[derive(Debug)]
struct Hinted {
    hint: String,
    cause: anyhow::Error,
}

impl fmt::Display for Hinted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.cause)
    }
}

impl std::error::Error for Hinted {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.cause.source()
    }
}

/// A text that was laid out already: several lines, printed as they are.
#[derive(Debug)]
pub struct LaidOut(pub String);

impl fmt::Display for LaidOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for LaidOut {}

/// Several errors as one, each with its own hints.
pub fn several(errors: impl IntoIterator<Item = anyhow::Error>) -> anyhow::Error {
    let texts: Vec<String> = errors.into_iter().map(|error| describe(&error)).collect();
    anyhow::Error::new(LaidOut(texts.join("\n")))
}

/// Adds what to do to an error.
pub fn hinted(error: impl Into<anyhow::Error>, hint: impl Into<String>) -> anyhow::Error {
    anyhow::Error::new(Hinted { hint: hint.into(), cause: error.into() })
}

/// Adds what to do to the error of a result.
pub trait Hint<T> {
    /// Adds `hint` to the error, if there is one.
    fn hint(self, hint: impl Into<String>) -> anyhow::Result<T>;
}

impl<T, E: Into<anyhow::Error>> Hint<T> for Result<T, E> {
    fn hint(self, hint: impl Into<String>) -> anyhow::Result<T> {
        self.map_err(|error| hinted(error, hint))
    }
}

/// The error as text: `error: what`, indented causes, `hint: what to do`.
pub fn describe(error: &anyhow::Error) -> String {
    if let Some(text) = laid_out(error) {
        return text;
    }
    let Told { what, causes, hints } = told(error);
    let mut text = format!("{} {what}", label("error:", AnsiColor::Red));
    for cause in causes {
        for (at, line) in cause.lines().enumerate() {
            let lead = if at == 0 { "cause: " } else { "       " };
            let _ = write!(text, "\n  {lead}{line}");
        }
    }
    for hint in hints {
        let _ = write!(text, "\n{} {hint}", label("hint:", AnsiColor::Cyan));
    }
    text
}

/// The parts of an error, for whoever lays them out otherwise.
pub(super) struct Told {
    /// What went wrong.
    pub(super) what: String,
    /// Why, each cause after what it caused.
    pub(super) causes: Vec<String>,
    /// What to do.
    pub(super) hints: Vec<String>,
}

/// Takes an error apart.
pub(super) fn told(error: &anyhow::Error) -> Told {
    let what = error.to_string();
    let (mut causes, mut hints): (Vec<String>, Vec<String>) = (Vec::new(), Vec::new());
    let mut shown = what.clone();
    for cause in error.chain() {
        if let Some(Hinted { hint, cause }) = cause.downcast_ref::<Hinted>() {
            hints.push(hint.clone());
            hints.extend(inner_hints(cause).into_iter().map(str::to_owned));
        }
        // A wrapper bears the text of what it wraps.
        if cause.to_string() != shown {
            shown = cause.to_string();
            causes.push(shown.clone());
        }
    }
    Told { what, causes, hints }
}

/// A text that was laid out already, with what was added to it since.
fn laid_out(error: &anyhow::Error) -> Option<String> {
    if let Some(LaidOut(text)) = error.downcast_ref() {
        return Some(text.trim_end().to_owned());
    }
    let Hinted { hint, cause } = error.downcast_ref()?;
    Some(format!("{}\n{} {hint}", laid_out(cause)?, label("hint:", AnsiColor::Cyan)))
}

fn inner_hints(error: &anyhow::Error) -> Vec<&str> {
    error.downcast_ref::<Hinted>().map_or_else(Vec::new, |Hinted { hint, cause }| {
        let mut hints = vec![hint.as_str()];
        hints.extend(inner_hints(cause));
        hints
    })
}

/// A word in bold colour. Streams without colour drop it.
pub(super) fn label(text: &str, colour: AnsiColor) -> String {
    let style = Style::new().bold().fg_color(Some(colour.into()));
    format!("{style}{text}{style:#}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    fn plain(error: &anyhow::Error) -> String {
        anstream::adapter::strip_str(&describe(error)).to_string()
    }

    #[test]
    fn an_error_says_what_why_and_what_to_do() {
        let cause = std::io::Error::other("permission denied");
        let error =
            Err::<(), _>(cause).hint("join the group `docker`").context("can't reach Docker").unwrap_err();
        assert_eq!(
            plain(&error),
            "error: can't reach Docker\n  cause: permission denied\nhint: join the group `docker`"
        );
    }

    #[test]
    fn what_was_laid_out_stays_as_it_is() {
        let error = hinted(anyhow::Error::new(LaidOut("error[x]: y\n\n1 error\n".to_owned())), "do this");
        assert_eq!(plain(&error), "error[x]: y\n\n1 error\nhint: do this");
    }

    #[test]
    fn a_hint_at_the_outside_is_shown_once() {
        let error = hinted(anyhow::anyhow!("no such environment"), "see `environments/`");
        assert_eq!(plain(&error), "error: no such environment\nhint: see `environments/`");
    }
}
