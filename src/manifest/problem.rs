//! Collecting what is wrong, while going on.
//!
//! Nothing in this folder stops at the first mistake of a user: it notes a [`Problem`] and reads on, so that all
//! mistakes are told at once.

use std::collections::BTreeSet;

use super::diagnostic::{Diagnostic, Place, Related, Report, Severity};
use super::interpolate::VARIABLE_BYTES_MAX;
use super::source::{Sources, Span};
use crate::model::tree::RepoPath;

/// Where a problem is.
#[derive(Debug, Clone)]
pub(crate) enum At {
    /// At characters that were read.
    Span(Span),
    /// In a file as a whole.
    File(RepoPath),
    /// At a line and column of a file whose text is never shown, for it may hold secrets.
    Point(RepoPath, usize, usize),
}

impl From<Span> for At {
    fn from(span: Span) -> Self {
        Self::Span(span)
    }
}

impl From<&RepoPath> for At {
    fn from(path: &RepoPath) -> Self {
        Self::File(path.clone())
    }
}

/// Something wrong, before its place was looked up in the texts.
#[derive(Debug, Clone)]
#[must_use]
pub(crate) struct Problem {
    code: &'static str,
    severity: Severity,
    at: At,
    message: String,
    label: String,
    related: Vec<(Span, String)>,
    hint: Option<String>,
}

impl Problem {
    /// An error.
    pub(crate) fn error(code: &'static str, at: impl Into<At>, message: impl Into<String>) -> Self {
        Self {
            code,
            severity: Severity::Error,
            at: at.into(),
            message: message.into(),
            label: String::new(),
            related: Vec::new(),
            hint: None,
        }
    }

    /// A warning.
    pub(crate) fn warning(code: &'static str, at: impl Into<At>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, at, message) }
    }

    /// With a few words beside the mark.
    pub(crate) fn label(self, label: impl Into<String>) -> Self {
        Self { label: label.into(), ..self }
    }

    /// With another place.
    pub(crate) fn related(mut self, span: Span, label: impl Into<String>) -> Self {
        self.related.push((span, label.into()));
        self
    }

    /// With what to do.
    pub(crate) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

/// Most errors that are kept, and most warnings: nobody reads more.
const PROBLEMS_MAX: usize = 500;

/// Most bytes that may be read or copied again.
const REPEATED_BYTES_MAX: usize = 64 << 20;

/// Most problems that have hints which must be looked for.
const HINTS_MAX: usize = 100;

/// What is wrong with a value that comes from outside, whatever it is.
const WHATEVER_THE_VALUE: [&str; 1] = ["sensitive-label"];

/// What is said about the absence of a thing, which may stand in a file that could not be read.
const ABSENCES: [&str; 7] = [
    "missing-dependency",
    "undeclared-network",
    "undeclared-volume",
    "no-services",
    "unknown-profile",
    "no-image",
    "undeclared",
];

/// All that was read and all that was found in it.
#[derive(Debug, Default)]
pub(crate) struct Problems {
    /// The texts.
    pub(crate) sources: Sources,
    found: Vec<Diagnostic>,
    known: BTreeSet<String>,
    spoiled: BTreeSet<Span>,
    incomplete: bool,
    /// Whether it is of no matter that something can't be honoured, for it doesn't run.
    idle: bool,
    /// Errors and warnings, kept or not.
    counts: [usize; 2],
    /// Variables without a value for which something stands.
    outside: BTreeSet<String>,
    /// Bytes that variables have added.
    variable_bytes: usize,
    /// Bytes that were read or copied again.
    repeated_bytes: usize,
}

impl Problems {
    /// Notes a problem. One that was already noted isn't noted again: an alias repeats what its anchor says.
    pub(crate) fn add(&mut self, problem: Problem) {
        let Problem { code, severity, at, message, label, related, hint } = problem;
        let spoiled = matches!(&at, At::Span(span) if self.spoiled.contains(span))
            && !WHATEVER_THE_VALUE.contains(&code);
        if spoiled || (self.incomplete && ABSENCES.contains(&code)) || (self.idle && code == "not-honoured") {
            return;
        }
        let number = match severity {
            Severity::Error => 0,
            Severity::Warning => 1,
        };
        if self.counts[number] >= PROBLEMS_MAX {
            // Only the number is told, and a hostile file must not make it dear to find.
            self.counts[number] += 1;
            return;
        }
        let place = self.place(&at);
        if !self.known.insert(format!("{place} {code} {message}")) {
            return;
        }
        let related = related
            .into_iter()
            .map(|(span, label)| Related { place: self.place(&At::Span(span)), label })
            .collect();
        self.counts[number] += 1;
        self.found.push(Diagnostic { code, severity, message, place, label, related, hint });
    }

    /// Says that the value at `span` could not be made, so that nothing else is to be said about it.
    pub(crate) fn spoil(&mut self, span: Span) {
        self.spoiled.insert(span);
    }

    /// Whether the value at `span` could not be made.
    pub(crate) fn is_spoiled(&self, span: Span) -> bool {
        self.spoiled.contains(&span)
    }

    /// Says that something stands for the values of these variables, which come from outside of the repository.
    pub(crate) fn stands_in(&mut self, names: impl IntoIterator<Item = String>) {
        self.outside.extend(names);
    }

    /// The variables for whose values something stands, by name.
    pub(crate) fn outside(&self) -> impl Iterator<Item = &str> {
        self.outside.iter().map(String::as_str)
    }

    /// Says that a file could not be read, so that nothing is to be said about what is not there.
    pub(crate) fn incomplete(&mut self) {
        self.incomplete = true;
    }

    /// Counts bytes that variables add at `span`. False when they are too many, all files together; that is said once.
    pub(crate) fn charge_variables(&mut self, span: Span, bytes: usize) -> bool {
        let before = self.variable_bytes;
        self.variable_bytes = before.saturating_add(bytes);
        let enough = self.variable_bytes <= VARIABLE_BYTES_MAX;
        if !enough && before <= VARIABLE_BYTES_MAX {
            let message = format!("variables add more than {VARIABLE_BYTES_MAX} bytes to the files");
            self.add(Problem::error("variable-budget", span, message));
        }
        enough
    }

    /// Counts what is read or copied again and again: a file that is included, a service that others extend. False when
    /// it is too much, all of it together; that is said once.
    pub(crate) fn charge_repeated(&mut self, at: impl Into<At>, bytes: usize) -> bool {
        let before = self.repeated_bytes;
        self.repeated_bytes = before.saturating_add(bytes);
        let enough = self.repeated_bytes <= REPEATED_BYTES_MAX;
        if !enough && before <= REPEATED_BYTES_MAX {
            let message =
                format!("files and services are repeated until they take {REPEATED_BYTES_MAX} bytes");
            self.add(Problem::error("repetition-budget", at, message).hint(
                "`include`, `extends`, `env_file` and what is at the top of a file repeat what they name",
            ));
        }
        enough
    }

    /// Whether variables have added all that they may.
    pub(crate) fn variables_spent(&self) -> bool {
        self.variable_bytes > VARIABLE_BYTES_MAX
    }

    /// Whether hints are still wanted: after so many problems nobody reads them, and finding a good one costs time.
    pub(crate) fn wants_hints(&self) -> bool {
        self.counts.iter().sum::<usize>() < HINTS_MAX
    }

    /// Says whether what is looked at next doesn't run, so that it need not be honoured.
    pub(crate) fn idle(&mut self, idle: bool) {
        self.idle = idle;
    }

    /// Whether an error was found.
    pub(crate) fn has_errors(&self) -> bool {
        self.counts[0] > 0
    }

    /// All that was found, when there is an error, else the warnings.
    pub(crate) fn finish(mut self) -> Result<Vec<Diagnostic>, Report> {
        let failed = self.has_errors();
        for (count, severity) in self.counts.into_iter().zip([Severity::Error, Severity::Warning]) {
            if let Some(more @ 1..) = count.checked_sub(PROBLEMS_MAX) {
                self.found.push(Diagnostic {
                    code: "more",
                    severity,
                    message: format!("{more} more are not shown"),
                    place: Place::file(RepoPath::root()),
                    label: String::new(),
                    related: Vec::new(),
                    hint: None,
                });
            }
        }
        match Report::of(self.found) {
            Some(report) if failed => Err(report),
            Some(report) => Ok(report.diagnostics().to_vec()),
            None => Ok(Vec::new()),
        }
    }

    fn place(&self, at: &At) -> Place {
        match at {
            At::File(path) => Place::file(path.clone()),
            At::Point(path, line, column) => Place::point(path.clone(), (*line, *column)),
            At::Span(span) => match self.sources.get(span.source) {
                Some(source) => Place::bytes(source, span.range()),
                None => Place::file(RepoPath::root()),
            },
        }
    }
}

/// Longest word that is compared with others, in bytes, and most others that it is compared with: a longer word is no
/// slip of the finger, and the comparison must cost a stranger's file nothing.
const WORD_BYTES_MAX: usize = 64;
const COMPARED_MAX: usize = 500;

/// The member of `known` that `word` probably means.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > WORD_BYTES_MAX {
        return None;
    }
    let lower = word.to_lowercase();
    known
        .into_iter()
        .filter(|candidate| candidate.len() <= WORD_BYTES_MAX)
        .take(COMPARED_MAX)
        .map(|candidate| (likeness(&lower, &candidate.to_lowercase()), candidate))
        .filter(|(score, _)| *score >= 0.85)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

/// How like two words are, from 0 to 1. One slip of the finger is as good as any likeness of the whole.
fn likeness(one: &str, other: &str) -> f64 {
    let whole = strsim::jaro_winkler(one, other);
    if one.len() > 2 && strsim::damerau_levenshtein(one, other) == 1 { whole.max(0.95) } else { whole }
}

/// `did you mean …?`, or else `known: …` when there are few.
pub(crate) fn suggestion<'a>(word: &str, known: impl IntoIterator<Item = &'a str> + Clone) -> Option<String> {
    if let Some(candidate) = nearest(word, known.clone()) {
        return Some(format!("did you mean `{candidate}`?"));
    }
    let all: Vec<String> = known.into_iter().map(|candidate| format!("`{candidate}`")).collect();
    (1..=10).contains(&all.len()).then(|| format!("known here: {}", all.join(", ")))
}
