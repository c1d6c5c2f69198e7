//! What is wrong with a manifest, where, and what to do about it.
//!
//! A diagnostic is a value that is whole by itself: it can be shown on a terminal, in CI or as JSON long after the
//! sources were dropped. It never holds the value of a variable: only what the files themselves say is shown.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use serde_json::{Value as Json, json};

use super::source::Source;
use crate::model::tree::RepoPath;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Nothing is resolved while one is there.
    Error,
    /// Worth a look.
    Warning,
}

/// Something wrong with a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// What kind of mistake it is, as a stable word: `unknown-key`.
    pub code: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong, in one line.
    pub message: String,
    /// Where.
    pub place: Place,
    /// What is at that place, in a few words beside the mark. Empty where the message says it all.
    pub label: String,
    /// Other places that have to do with it, each with what it is.
    pub related: Vec<Related>,
    /// What to do.
    pub hint: Option<String>,
}

/// A place in a file, or a file as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub path: RepoPath,
    /// Where in the file; absent when the file as a whole is meant.
    pub spot: Option<Spot>,
    /// The text, where it may be shown.
    source: Option<Arc<Source>>,
}

/// Characters of a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Spot {
    /// The line, from 1.
    pub line: usize,
    /// The character in the line, from 1.
    pub column: usize,
    /// The bytes, first and one after the last, of the text without a byte order mark and with `\n` as line end.
    pub bytes: (usize, usize),
}

/// Another place that has to do with a diagnostic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Related {
    /// Where.
    pub place: Place,
    /// What is there.
    pub label: String,
}

/// Everything that was found; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    diagnostics: Vec<Diagnostic>,
}

impl Place {
    /// A file as a whole.
    pub(crate) fn file(path: RepoPath) -> Self {
        Self { path, spot: None, source: None }
    }

    /// A line and column of a file whose text must not be shown.
    pub(crate) fn point(path: RepoPath, (line, column): (usize, usize)) -> Self {
        Self { path, spot: Some(Spot { line, column, bytes: (0, 0) }), source: None }
    }

    /// Bytes of a source.
    pub(crate) fn bytes(source: &Arc<Source>, range: Range<usize>) -> Self {
        let (line, column) = source.line_and_column(range.start);
        let spot = Spot { line, column, bytes: (range.start, range.end) };
        Self { path: source.path.clone(), spot: Some(spot), source: Some(Arc::clone(source)) }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.spot {
            Some(spot) => write!(f, "{}:{}:{}", self.path, spot.line, spot.column),
            None => write!(f, "{}", self.path),
        }
    }
}

impl Diagnostic {
    /// Gives the paths of files as seen from `folder`, as far as they lie below it.
    pub fn see_from(&mut self, folder: &RepoPath) {
        let places = self.related.iter_mut().map(|related| &mut related.place);
        for place in places.chain([&mut self.place]) {
            if let Some(path) = place.path.below(folder) {
                place.path = path;
            }
        }
    }

    /// Takes out the lines of files, for files whose text may hold secrets.
    fn conceal(&mut self) {
        let places = self.related.iter_mut().map(|related| &mut related.place);
        places.chain([&mut self.place]).for_each(|place| place.source = None);
    }

    /// The text for people, with a snippet of the file, without a line end after it.
    pub fn render(&self, colour: bool) -> String {
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let mut group = Group::with_title(level.primary_title(self.message.as_str()).id(self.code));
        let (here, elsewhere): (Vec<_>, Vec<_>) =
            self.related.iter().partition(|related| near(&related.place, &self.place));
        group = shown(group, &self.place, Some(&self.label), &here);
        for related in elsewhere {
            group = shown(group, &related.place, None, &[related]);
        }
        if let Some(hint) = &self.hint {
            group = group.element(Level::HELP.with_name("hint").message(hint.as_str()));
        }
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
        // Trailing blanks carry nothing and disturb whoever compares texts.
        let text = renderer.render(&[group]);
        text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
    }

    /// The same as a JSON object.
    pub fn to_json(&self) -> Json {
        let Self { code, severity, message, place, label, related, hint } = self;
        json!({
            "code": code,
            "severity": match severity { Severity::Error => "error", Severity::Warning => "warning" },
            "message": message,
            "place": place_json(place),
            "label": label,
            "related": related.iter().map(|Related { place, label }| json!({
                "place": place_json(place),
                "label": label,
            })).collect::<Vec<_>>(),
            "hint": hint,
        })
    }
}

impl Report {
    /// A report of `diagnostics`, in the order of files and lines; absent if there are none.
    pub(crate) fn of(mut diagnostics: Vec<Diagnostic>) -> Option<Self> {
        let spot = |diagnostic: &Diagnostic| {
            let bytes = diagnostic.place.spot.as_ref().map(|spot| (spot.line, spot.column));
            (diagnostic.severity, diagnostic.place.path.clone(), bytes)
        };
        diagnostics.sort_by_key(spot);
        (!diagnostics.is_empty()).then_some(Self { diagnostics })
    }

    /// A report of a mistake of this program itself.
    pub(crate) fn internal(message: &str) -> Self {
        let diagnostic = Diagnostic {
            code: "internal",
            severity: Severity::Error,
            message: message.to_owned(),
            place: Place::file(RepoPath::root()),
            label: String::new(),
            related: Vec::new(),
            hint: None,
        };
        Self { diagnostics: vec![diagnostic] }
    }

    /// Everything that was found, errors first, by file and line.
    pub fn diagnostics(&self) -> &[Diagnostic] {
        &self.diagnostics
    }

    /// The same report, with the paths of files as seen from `folder` as far as they lie below it.
    #[must_use]
    pub fn seen_from(mut self, folder: &RepoPath) -> Self {
        for diagnostic in &mut self.diagnostics {
            diagnostic.see_from(folder);
        }
        self
    }

    /// The same report without any line of a file.
    #[must_use]
    pub(crate) fn concealed(mut self) -> Self {
        self.diagnostics.iter_mut().for_each(Diagnostic::conceal);
        self
    }

    /// The text for people: every diagnostic with a snippet, an empty line between two, a count at the end.
    pub fn render(&self, colour: bool) -> String {
        let mut text = String::new();
        for diagnostic in &self.diagnostics {
            text.push_str(&diagnostic.render(colour));
            text.push_str("\n\n");
        }
        let errors =
            self.diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Error).count();
        let warnings = self.diagnostics.len() - errors;
        let count = |number: usize, word: &str| match number {
            0 => None,
            1 => Some(format!("1 {word}")),
            number => Some(format!("{number} {word}s")),
        };
        let counts: Vec<_> =
            [count(errors, "error"), count(warnings, "warning")].into_iter().flatten().collect();
        text.push_str(&counts.join(", "));
        text.push('\n');
        text
    }

    /// All diagnostics as a JSON array.
    pub fn to_json(&self) -> Json {
        self.diagnostics.iter().map(Diagnostic::to_json).collect()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.render(false).trim_end())
    }
}

impl std::error::Error for Report {}

fn place_json(place: &Place) -> Json {
    let spot = place.spot.as_ref();
    json!({
        "path": place.path.as_str(),
        "line": spot.map(|spot| spot.line),
        "column": spot.map(|spot| spot.column),
    })
}

/// Two places this many lines apart share one snippet; further apart, each has its own.
const SNIPPET_LINES: usize = 12;

/// Longest line that is shown: nobody finds a mark in a longer one, and a file of strangers may be a single line.
const LINE_BYTES_MAX: usize = 2_000;

fn near(one: &Place, other: &Place) -> bool {
    match (&one.spot, &other.spot) {
        (Some(a), Some(b)) => one.path == other.path && a.line.abs_diff(b.line) <= SNIPPET_LINES,
        _ => false,
    }
}

/// Adds the lines around `place` to `group`, with marks at it and at `others`, which are near.
fn shown<'a>(
    group: Group<'a>,
    place: &'a Place,
    label: Option<&'a str>,
    others: &[&'a Related],
) -> Group<'a> {
    let (Some(spot), Some(source)) = (&place.spot, &place.source) else {
        let origin = Origin::path(place.path.to_string());
        return match &place.spot {
            Some(spot) => group.element(origin.line(spot.line).char_column(spot.column)),
            None => group.element(origin),
        };
    };
    let spots: Vec<&Spot> =
        others.iter().filter_map(|other| other.place.spot.as_ref()).chain([spot]).collect();
    let first = spots.iter().map(|spot| spot.bytes.0).min().unwrap_or(0);
    let last = spots.iter().map(|spot| spot.bytes.0).max().unwrap_or(0);
    let text = source.text.as_str();
    let start = text[..first].rfind('\n').map_or(0, |at| at + 1);
    let end = text[last..].find('\n').map_or(text.len(), |at| last + at);
    if text[start..end].split('\n').any(|line| line.len() > LINE_BYTES_MAX) {
        return group.element(Origin::path(place.path.to_string()).line(spot.line).char_column(spot.column));
    }
    let line_start = spots.iter().map(|spot| spot.line).min().unwrap_or(1);
    // Only the first line of a long value is marked: a mark over half a file shows nothing.
    let marked = |spot: &Spot| {
        let from = spot.bytes.0;
        let line_end = text[from..].find(['\n', '\r']).map_or(text.len(), |at| from + at);
        let to = spot.bytes.1.min(line_end).max(from);
        from - start..to - start
    };
    let mut snippet = Snippet::source(&text[start..end]).path(place.path.to_string()).line_start(line_start);
    let primary = label.is_some();
    let kind = if primary { AnnotationKind::Primary } else { AnnotationKind::Context };
    if primary {
        let label = label.filter(|label| !label.is_empty());
        snippet = snippet.annotation(kind.span(marked(spot)).label(label));
    }
    for other in others {
        if let Some(spot) = &other.place.spot {
            snippet =
                snippet.annotation(AnnotationKind::Context.span(marked(spot)).label(other.label.as_str()));
        }
    }
    group.element(snippet)
}
