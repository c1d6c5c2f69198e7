//! The texts that were read, and places in them.
//!
//! Every node of a manifest carries a [`Span`], through merging and interpolation to the last semantic check, so that
//! any error can point at the very characters. A span is three numbers; the texts are kept once, in [`Sources`].

use std::fmt;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use crate::model::tree::RepoPath;

/// Bytes of one source: the first and the one after the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Span {
    pub(crate) source: u32,
    pub(crate) start: u32,
    pub(crate) end: u32,
}

/// A text that was read.
#[derive(PartialEq, Eq)]
pub(crate) struct Source {
    pub(crate) path: RepoPath,
    pub(crate) text: String,
    /// Where each line begins, once somebody has asked.
    lines: OnceLock<Lines>,
}

/// The lines of a text, so that finding one doesn't mean to read all before it.
#[derive(PartialEq, Eq)]
struct Lines {
    starts: Vec<u32>,
    /// All characters are one byte long.
    ascii: bool,
}

impl Source {
    /// A text that was read from `path`.
    pub(crate) fn new(path: RepoPath, text: String) -> Self {
        Self { path, text, lines: OnceLock::new() }
    }

    /// The line and column of a byte, from 1.
    pub(crate) fn line_and_column(&self, at: usize) -> (usize, usize) {
        let lines = self.lines.get_or_init(|| {
            let ends = self.text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
            let after = ends.map(|(end, _)| u32::try_from(end + 1).unwrap_or(u32::MAX));
            Lines { starts: std::iter::once(0).chain(after).collect(), ascii: self.text.is_ascii() }
        });
        let line = lines.starts.partition_point(|start| *start as usize <= at);
        let start = lines.starts.get(line.saturating_sub(1)).map_or(0, |start| *start as usize);
        let before = self.text.get(start..at).unwrap_or("");
        (line, if lines.ascii { before.len() } else { before.chars().count() } + 1)
    }
}

/// Turns the characters that the YAML parser counts into bytes.
pub(crate) struct Offsets {
    /// Where each 64th character begins; absent where all characters are one byte long.
    marks: Option<Vec<u32>>,
}

/// How many characters lie between two marks of [`Offsets`].
const MARK_CHARS: usize = 64;

impl Offsets {
    /// Those of a text.
    pub(crate) fn of(text: &str) -> Self {
        let marks =
            || text.char_indices().step_by(MARK_CHARS).map(|(at, _)| u32::try_from(at).unwrap_or(u32::MAX));
        Self { marks: (!text.is_ascii()).then(|| marks().collect()) }
    }

    /// Where the character of that number begins in `text`.
    pub(crate) fn byte(&self, text: &str, character: usize) -> usize {
        let Some(marks) = &self.marks else { return character.min(text.len()) };
        let mark = marks.get(character / MARK_CHARS).map_or(text.len(), |mark| *mark as usize);
        let mut chars = text.get(mark..).unwrap_or("").char_indices();
        chars.nth(character % MARK_CHARS).map_or(text.len(), |(at, _)| mark + at)
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").field("path", &self.path).finish_non_exhaustive()
    }
}

/// All texts that were read, by the number that spans carry.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    all: Vec<Arc<Source>>,
}

impl Sources {
    /// Keeps `text` and gives its number.
    pub(crate) fn add(&mut self, path: RepoPath, text: String) -> u32 {
        self.all.push(Arc::new(Source::new(path, text)));
        u32::try_from(self.all.len() - 1).unwrap_or(u32::MAX)
    }

    /// The source of a span. Absent only for a span that is none of ours.
    pub(crate) fn get(&self, id: u32) -> Option<&Arc<Source>> {
        self.all.get(id as usize)
    }

    /// The characters as they were written.
    pub(crate) fn written(&self, span: Span) -> &str {
        self.get(span.source).and_then(|source| source.text.get(span.range())).unwrap_or("")
    }
}

impl Span {
    /// As a range of bytes.
    pub(crate) fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }

    /// The part of the span that begins `offset` bytes after its start and is `length` bytes long.
    pub(crate) fn part(self, offset: usize, length: usize) -> Self {
        let at =
            |bytes: usize| self.start.saturating_add(u32::try_from(bytes).unwrap_or(u32::MAX)).min(self.end);
        Self { source: self.source, start: at(offset), end: at(offset + length) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_in_characters() {
        for text in ["ab\ncd\n\nx", "\u{e9}b\n\u{20ac}\u{20ac}d\n\nx"] {
            let source = Source::new(RepoPath::root(), text.to_owned());
            for (at, _) in text.char_indices() {
                let before = &text[..at];
                let column = before.rsplit('\n').next().map_or(0, |line| line.chars().count()) + 1;
                assert_eq!(
                    source.line_and_column(at),
                    (before.matches('\n').count() + 1, column),
                    "{text} {at}"
                );
            }
        }
    }

    #[test]
    fn characters_become_bytes() {
        let text = "a\u{e9}\u{20ac}".repeat(100);
        let offsets = Offsets::of(&text);
        for (number, (at, _)) in text.char_indices().enumerate() {
            assert_eq!(offsets.byte(&text, number), at);
        }
        assert_eq!(offsets.byte(&text, 300), text.len());
        assert_eq!(offsets.byte(&text, 5_000), text.len());
        assert_eq!(Offsets::of("abc").byte("abc", 9), 3);
    }
}
