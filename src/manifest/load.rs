//! Bytes → node tree, with every limit enforced while reading.
//!
//! The parser's events are read one by one, so that a hostile file is refused before it costs anything: it can be
//! neither large, deep, nor grow by aliases. Duplicate keys, tags and several documents are refused here too, for
//! everything above relies on a plain tree. Never trusts a file's own claims about its size.

use std::collections::BTreeMap;

use saphyr_parser::{Event, Parser, ScalarStyle, Span as CharSpan, StrInput, Tag};

use super::node::{Entry, Key, Map, MergeTag, Node, Scalar, Taint, Value};
use super::problem::{Problem, Problems};
use super::source::{Offsets, Span};
use super::{merge_keys, syntax, tags, text, tokens, weight};
use crate::model::tree::RepoPath;

/// Largest file, in bytes.
pub(crate) const BYTES_MAX: usize = 1 << 20;
/// Deepest nesting.
pub(crate) const DEPTH_MAX: usize = 64;
/// Most memory that the tree of one file may take, its aliases written out, in bytes.
pub(crate) const TREE_BYTES_MAX: usize = 16 << 20;
/// Most tokens: the parser keeps all of them from an opening bracket to the closing one, a hundred bytes each.
pub(crate) const TOKENS_MAX: usize = 180_000;

/// Reads a file of one document. What is wrong with it is noted in `problems`.
pub(crate) fn load(problems: &mut Problems, path: &RepoPath, bytes: Vec<u8>) -> Option<Node> {
    let mut documents = load_all(problems, path, bytes)?;
    if let Some(second) = documents.get(1) {
        problems.add(
            Problem::error("several-documents", second.span, "a second YAML document begins here")
                .hint("put it into a file of its own"),
        );
        return None;
    }
    documents.pop()
}

/// Reads a file of one or several documents. An empty file is one that says nothing.
pub(crate) fn load_all(problems: &mut Problems, path: &RepoPath, bytes: Vec<u8>) -> Option<Vec<Node>> {
    let source = match text::read(path, bytes) {
        Ok(text) => problems.sources.add(path.clone(), text),
        Err(problem) => {
            problems.add(*problem);
            return None;
        }
    };
    let file = problems.sources.get(source)?.clone();
    let unwanted = text::unwanted_character(&file.text, source)
        .or_else(|| too_many_tokens(&file.text, path))
        .or_else(|| text::other_version(&file.text, source));
    match unwanted.map_or_else(|| read(&file.text, source), Err) {
        Ok((documents, notes)) => {
            for note in notes {
                problems.add(note);
            }
            Some(documents)
        }
        Err(problem) => {
            problems.add(*problem);
            None
        }
    }
}

fn too_many_tokens(text: &str, path: &RepoPath) -> Option<Fatal> {
    let message = format!("the file has more than {TOKENS_MAX} keys, values and brackets");
    let hint = "split it, or keep long texts in files of their own";
    (tokens::most(text) > TOKENS_MAX)
        .then(|| Box::new(Problem::error("too-many-values", path, message).hint(hint)))
}

/// Bytes of a source.
pub(crate) fn bytes_span(source: u32, start: usize, end: usize) -> Span {
    let number = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
    Span { source, start: number(start), end: number(end) }
}

/// A problem that ends the reading of a file. It is boxed because it is rare and large.
pub(crate) type Fatal = Box<Problem>;

fn fatal(code: &'static str, span: Span, message: impl Into<String>) -> Fatal {
    Box::new(Problem::error(code, span, message))
}

/// A collection that is still open.
struct Frame {
    span: Span,
    anchor: usize,
    tag: Option<MergeTag>,
    content: Content,
}

enum Content {
    List(Vec<Node>),
    /// With the keys that are there, the one whose value comes next, and whether there is a merge key.
    Map {
        map: Map,
        seen: BTreeMap<String, Span>,
        key: Option<Key>,
        merges: bool,
    },
}

/// The state of reading one file.
struct Reading<'t> {
    text: &'t str,
    source: u32,
    offsets: Offsets,
    frames: Vec<Frame>,
    anchors: BTreeMap<usize, Node>,
    /// What the tree takes so far, in bytes.
    size: usize,
    /// What is worth a look.
    notes: Vec<Problem>,
    root: Option<Node>,
}

fn read(text: &str, source: u32) -> Result<(Vec<Node>, Vec<Problem>), Fatal> {
    let mut reading = Reading {
        text,
        source,
        offsets: Offsets::of(text),
        frames: Vec::new(),
        anchors: BTreeMap::new(),
        size: 0,
        notes: Vec::new(),
        root: None,
    };
    let mut documents = Vec::new();
    let mut parser: Parser<'_, StrInput<'_>> = Parser::new_from_str(text);
    while let Some(event) = parser.next_event() {
        let (event, chars) = event.map_err(|error| reading.syntax(&error))?;
        let span = reading.span(chars);
        match event {
            Event::DocumentEnd => documents.extend(reading.root.take()),
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) => {}
            event => reading.event(event, span)?,
        }
    }
    if documents.is_empty() {
        documents.push(Node { span: bytes_span(source, 0, 0), tag: None, value: Value::Null });
    }
    Ok((documents, reading.notes))
}

impl Reading<'_> {
    fn span(&self, chars: CharSpan) -> Span {
        let start = self.offsets.byte(self.text, chars.start.index());
        bytes_span(self.source, start, self.offsets.byte(self.text, chars.end.index()).max(start))
    }

    fn syntax(&self, error: &saphyr_parser::ScanError) -> Fatal {
        let at = self.offsets.byte(self.text, error.marker().index());
        let line_start = self.text[..at].rfind('\n').map_or(0, |newline| newline + 1);
        let line = self.text[line_start..].lines().next().unwrap_or("");
        let indentation = line.len() - line.trim_start().len();
        if let Some(tab) = line[..indentation].find('\t') {
            let tab = line_start + tab;
            return Box::new(syntax::tab(bytes_span(self.source, tab, tab + 1)));
        }
        let rest = &self.text[at..];
        let word = rest.find(|c: char| c.is_whitespace() || ",]}".contains(c)).unwrap_or(rest.len());
        Box::new(syntax::problem(error, bytes_span(self.source, at, at + word)))
    }

    fn event(&mut self, event: Event<'_>, span: Span) -> Result<(), Fatal> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let text = tags::decoded(tag.as_deref(), text, span)?;
                let style = tags::style(tag.as_deref(), style);
                let tag = self.tag(tag.as_deref(), span)?;
                self.scalar((text, style), anchor, tag, span)
            }
            Event::Alias(anchor) => self.alias(anchor, span),
            Event::SequenceStart(anchor, tag) => {
                self.open(Content::List(Vec::new()), anchor, tag.as_deref(), span)
            }
            Event::MappingStart(anchor, tag) => {
                let content =
                    Content::Map { map: Map::default(), seen: BTreeMap::new(), key: None, merges: false };
                self.open(content, anchor, tag.as_deref(), span)
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(span),
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd => Ok(()),
        }
    }

    fn tag(&mut self, tag: Option<&Tag>, span: Span) -> Result<Option<MergeTag>, Fatal> {
        let (tag, note) = tags::read(tag, span)?;
        self.notes.extend(note);
        Ok(tag)
    }

    fn awaits_key(&self) -> bool {
        matches!(self.frames.last(), Some(Frame { content: Content::Map { key: None, .. }, .. }))
    }

    fn open(&mut self, content: Content, anchor: usize, tag: Option<&Tag>, span: Span) -> Result<(), Fatal> {
        if self.awaits_key() {
            return Err(fatal("complex-key", span, "a key must be a plain text, not a list or a mapping"));
        }
        if self.frames.len() >= DEPTH_MAX {
            let message = format!("the file is nested deeper than {DEPTH_MAX} levels");
            return Err(fatal("too-deep", span, message));
        }
        let tag = self.tag(tag, span)?;
        self.frames.push(Frame { span, anchor, tag, content });
        Ok(())
    }

    fn close(&mut self, end: Span) -> Result<(), Fatal> {
        let Some(Frame { span, anchor, tag, content }) = self.frames.pop() else { return Ok(()) };
        let (value, last) = match content {
            Content::List(items) => {
                let last = items.last().map(|item| item.span.end);
                (Value::List(items), last)
            }
            Content::Map { mut map, merges, .. } => {
                let last = map.entries.last().map(|entry| entry.value.span.end);
                if merges {
                    merge_keys::expand(&mut map)?;
                }
                (Value::Map(map), last)
            }
        };
        // The end of an indented collection is where the next thing begins: its last child ends it better.
        let flow = self.text[span.range().start..].starts_with(['[', '{']);
        let end = if flow { end.end } else { last.unwrap_or(span.end) };
        let span = Span { end: end.max(span.start), ..span };
        self.finished(Node { span, tag, value }, anchor)
    }

    fn scalar(
        &mut self,
        (text, style): (String, ScalarStyle),
        anchor: usize,
        tag: Option<MergeTag>,
        span: Span,
    ) -> Result<(), Fatal> {
        let plain = style == ScalarStyle::Plain;
        if self.awaits_key() {
            if plain && span.start == span.end {
                return Err(fatal("empty-key", span, "a key is missing before this colon"));
            }
            let meaning = if plain { tags::plain_meaning(&text) } else { "a text" };
            if meaning != "a text" {
                let message = format!("a key must be a text, and this is {meaning}");
                let hint = format!("put it into quotes: \"{text}\"");
                return Err(Box::new(Problem::error("wrong-type", span, message).hint(hint)));
            }
            return self.key(Key { text, span }, tag, plain);
        }
        let null = plain && matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL");
        let value =
            if null { Value::Null } else { Value::Scalar(Scalar { text, plain, taint: Taint::Literal }) };
        // Where nothing was written there is nothing to mark: its key says which value is meant.
        let span = match (&value, self.frames.last()) {
            (Value::Null, Some(Frame { content: Content::Map { key: Some(key), .. }, .. }))
                if span.start == span.end =>
            {
                key.span
            }
            _ => span,
        };
        self.finished(Node { span, tag, value }, anchor)
    }

    fn key(&mut self, key: Key, tag: Option<MergeTag>, plain: bool) -> Result<(), Fatal> {
        if tag.is_some() {
            return Err(fatal("tag", key.span, "a key can't have a tag"));
        }
        if let Some(Frame { content: Content::Map { seen, key: waiting, merges, .. }, .. }) =
            self.frames.last_mut()
        {
            // In quotes it is a key as any other.
            *merges |= plain && key.text == "<<";
            self.size += 2 * weight::key(&key);
            if let Some(first) = seen.insert(key.text.clone(), key.span) {
                let message = format!("the key `{}` is there twice", key.text);
                return Err(Box::new(
                    Problem::error("duplicate-key", key.span, message)
                        .label("again here")
                        .related(first, "first here")
                        .hint("remove one of the two, or join their values"),
                ));
            }
            *waiting = Some(key);
        }
        Ok(())
    }

    fn alias(&mut self, anchor: usize, span: Span) -> Result<(), Fatal> {
        if self.awaits_key() {
            return Err(fatal("complex-key", span, "an alias can't be a key"));
        }
        let Some(node) = self.anchors.get(&anchor) else {
            return Err(fatal("cyclic-alias", span, "the alias refers to the value that it stands in"));
        };
        if self.frames.len() + weight::depth(node) > DEPTH_MAX {
            let message = format!("with this alias the file is nested deeper than {DEPTH_MAX} levels");
            return Err(fatal("too-deep", span, message));
        }
        self.size = copied(self.size, node, span)?;
        let node = node.clone();
        self.placed(node);
        Ok(())
    }

    fn finished(&mut self, node: Node, anchor: usize) -> Result<(), Fatal> {
        if anchor != 0 {
            self.size = copied(self.size, &node, node.span)?;
            self.anchors.insert(anchor, node.clone());
        }
        self.size += weight::own(&node);
        if self.size > TREE_BYTES_MAX {
            let message = format!("the values of the file take more than {TREE_BYTES_MAX} bytes");
            return Err(fatal("too-many-values", node.span, message));
        }
        self.placed(node);
        Ok(())
    }

    fn placed(&mut self, node: Node) {
        match self.frames.last_mut().map(|frame| &mut frame.content) {
            None => self.root = Some(node),
            Some(Content::List(items)) => items.push(node),
            Some(Content::Map { map, key, .. }) => {
                if let Some(key) = key.take() {
                    map.entries.push(Entry { key, value: node });
                }
            }
        }
    }
}

/// `size` and that of a copy of `node`.
fn copied(size: usize, node: &Node, span: Span) -> Result<usize, Fatal> {
    let size = size + weight::whole(node);
    if size > TREE_BYTES_MAX {
        let message = format!("with its aliases written out the file takes more than {TREE_BYTES_MAX} bytes");
        return Err(fatal("alias-budget", span, message));
    }
    Ok(size)
}
