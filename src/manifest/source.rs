//! The texts that were read, and places in them.
//!
//! Every node of a manifest carries a [`Span`], through merging and interpolation to the last semantic check, so that
//! any error can point at the very characters. A span is three numbers; the texts are kept once, in [`Sources`].

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

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
        self.all.push(Arc::new(Source { path, text }));
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
