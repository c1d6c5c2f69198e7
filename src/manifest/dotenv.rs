//! Files of variables: `.env` beside a Compose file and the `env_file` of a service, as Compose reads them.
//!
//! `NAME=value` or `NAME: value`, with an `export ` before it if one likes; a name alone takes the value from outside.
//! Values may be quoted over several lines; unless in single quotes they may have variables, which take what is known
//! outside first and what the file says above second. `format: raw` takes each line as it is.
//!
//! Where Compose makes a variable without a name of a slip (`A="x" y`, a stray `=`), which Docker then refuses, the
//! file is refused here. A message about such a file says where and what, and never repeats it: it may hold secrets.

mod escapes;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

use escapes::{escapes, unquoted_quotes};

use super::node::Taint;
use super::problem::{At, Problem, Problems};
use super::template::{self, FILLED_BYTES_MAX, Lookup, NESTING_MAX, What};
use crate::model::tree::RepoPath;

/// Largest file, in bytes.
pub(crate) const BYTES_MAX: usize = 1 << 20;
/// Most variables that one file may set, counting repetitions.
pub(crate) const VARIABLES_MAX: usize = 50_000;
/// Most bytes that one file may make with its variables filled in.
pub(crate) const EXPANDED_BYTES_MAX: usize = 4 << 20;

/// How a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// With quotes, comments and variables.
    Dotenv,
    /// Each line `NAME=value`, taken as it is.
    Raw,
}

/// A file of variables.
pub(crate) struct File<'a> {
    pub(crate) path: &'a RepoPath,
    pub(crate) bytes: &'a [u8],
    pub(crate) format: Format,
    /// What the characters of the file are.
    pub(crate) taint: Taint,
}

/// The value of a variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) text: String,
    pub(crate) taint: Taint,
}

/// Reads a file. `lookup` knows what is set outside; `known` what earlier files say, and it takes what this one says.
pub(crate) fn read(
    problems: &mut Problems,
    file: &File<'_>,
    lookup: &Lookup<'_, '_>,
    known: &mut BTreeMap<String, Held>,
) {
    if file.bytes.len() > BYTES_MAX {
        let message = format!("the file has {} bytes, the limit is {BYTES_MAX}", file.bytes.len());
        problems.add(Problem::error("too-large", file.path, message));
        return;
    }
    let text = match std::str::from_utf8(file.bytes) {
        Ok(text) => text.strip_prefix('\u{feff}').unwrap_or(text),
        Err(error) => {
            let before = String::from_utf8_lossy(&file.bytes[..error.valid_up_to()]);
            let at = point(file.path, &before, before.len());
            problems.add(
                Problem::error("not-utf8", at, "the file is not UTF-8 text")
                    .hint("save it with the encoding UTF-8"),
            );
            return;
        }
    };
    if let Some(nul) = text.find('\0') {
        let at = point(file.path, text, nul);
        problems.add(Problem::error("control-character", at, "the file has the control character U+0000"));
        return;
    }
    let mut reading = Reading { problems, file, text, lookup, known, set: 0, expanded: 0, place: (0, 1, 1) };
    match file.format {
        Format::Dotenv => reading.dotenv(),
        Format::Raw => reading.raw(),
    }
}

fn point(path: &RepoPath, text: &str, at: usize) -> At {
    let before = text.get(..at).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
    At::Point(path.clone(), line, before[line_start..].chars().count() + 1)
}

/// The reading of one file.
struct Reading<'a, 'l, 'v> {
    problems: &'a mut Problems,
    file: &'a File<'a>,
    text: &'a str,
    lookup: &'a Lookup<'l, 'v>,
    known: &'a mut BTreeMap<String, Held>,
    set: usize,
    expanded: usize,
    /// A place, its line and its column: both are counted on from there.
    place: (usize, usize, usize),
}

/// A value as it is written.
struct Written<'t> {
    text: Cow<'t, str>,
    /// Where it begins.
    at: usize,
    /// Whether it stands there as it is, so that places in it are places in the file.
    as_is: bool,
}

impl<'a> Reading<'a, '_, '_> {
    fn dotenv(&mut self) {
        let mut at = 0;
        while let Some(start) = self.statement(at) {
            match self.assignment(start) {
                Some(end) => at = end,
                None => return,
            }
        }
    }

    /// Where the next statement begins, after blanks and comments.
    fn statement(&self, mut at: usize) -> Option<usize> {
        loop {
            at += self.text[at..].find(|c: char| !c.is_whitespace())?;
            if !self.text[at..].starts_with('#') {
                return Some(at);
            }
            at += self.text[at..].find('\n')?;
        }
    }

    /// Reads the statement at `start` and gives where the next may begin; nothing when a limit ends the reading.
    fn assignment(&mut self, start: usize) -> Option<usize> {
        let name_start = self.after_export(start);
        let line_end = self.line_end(name_start);
        let rest = &self.text[name_start..];
        let wrong = |c: char| !c.is_alphanumeric() && !is_space(c) && !"_.-[]".contains(c);
        let end = name_start + rest.find(wrong).unwrap_or(rest.len());
        let name = self.text[name_start..end].trim_end();
        let next = self.text[end..].chars().next();
        if next == Some('\n') && name.is_empty() {
            // A line that says nothing but `export`.
            return Some(line_end);
        }
        if !matches!(next, None | Some('=' | ':' | '\n')) {
            let character = end..end + next.map_or(0, char::len_utf8);
            self.wrong(character.start, "a variable's name can't have this character");
            return Some(line_end);
        }
        if let Some(space) = name.find(char::is_whitespace) {
            self.wrong(name_start + space, "a variable's name can't have a space");
            return Some(line_end);
        }
        if name.is_empty() {
            self.wrong(name_start, "a variable's name is missing before this");
            return Some(line_end);
        }
        self.count(name_start)?;
        if !matches!(next, Some('=' | ':')) {
            if let Some((text, taint)) = (self.lookup)(name) {
                self.known.insert(name.to_owned(), Held { text: text.to_owned(), taint });
            }
            return Some(end);
        }
        let after = &self.text[end + 1..];
        let value_start = end + 1 + (after.len() - after.trim_start_matches(is_space).len());
        let quote = self.text[value_start..].chars().next().filter(|c| matches!(c, '"' | '\''));
        let (written, end) = match quote {
            // Where they are never closed, all of the file would be in them: there is no going on.
            Some(quote) => self.quoted(value_start, quote)?,
            None => self.unquoted(value_start),
        };
        let held = match quote {
            Some('\'') => Held { text: written.text.into_owned(), taint: self.file.taint },
            _ => self.expanded(&written)?,
        };
        if held.text.contains('\0') {
            self.wrong(value_start, "a variable's value can't have the character U+0000");
        }
        self.known.insert(name.to_owned(), held);
        Some(if quote.is_some() { self.after_quoted(end) } else { end })
    }

    fn after_export(&self, start: usize) -> usize {
        let rest = &self.text[start..];
        match rest.strip_prefix("export") {
            Some(after) if after.starts_with([' ', '\t', '\n', '\r', '\u{c}']) => {
                start + rest.len() - after.trim_start_matches(is_space).len()
            }
            _ => start,
        }
    }

    fn unquoted(&self, start: usize) -> (Written<'a>, usize) {
        let end = self.line_end(start);
        let line = &self.text[start..end];
        let text = line.find(" #").map_or(line, |comment| &line[..comment]).trim_end();
        (Written { text: Cow::Borrowed(text), at: start, as_is: true }, end)
    }

    /// The value between quotes, and where it ends. A backslash keeps the quote after it from closing.
    fn quoted(&mut self, start: usize, quote: char) -> Option<(Written<'a>, usize)> {
        let from = start + 1;
        let mut at = from;
        let end = loop {
            let Some(found) = self.text[at..].find(['\\', quote]) else {
                self.wrong(start, "this quote is never closed");
                return None;
            };
            at += found;
            if self.text[at..].starts_with(quote) {
                break at;
            }
            at += 1;
            at += self.text[at..].chars().next().map_or(0, char::len_utf8);
        };
        let inner = &self.text[from..end];
        if !inner.contains('\\') {
            return Some((Written { text: Cow::Borrowed(inner), at: from, as_is: true }, end + 1));
        }
        let inner = unquoted_quotes(inner, quote);
        let text = if quote == '"' { escapes(&inner) } else { inner };
        Some((Written { text: Cow::Owned(text), at: start, as_is: false }, end + 1))
    }

    /// Behind a closing quote only a comment, or a further statement, may follow in the same line.
    fn after_quoted(&mut self, end: usize) -> usize {
        let line_end = self.line_end(end);
        let rest = self.text[end..line_end].trim();
        if rest.is_empty() || rest.starts_with('#') || rest.contains(['=', ':']) {
            return end;
        }
        self.wrong(end, "text follows the closing quote");
        line_end
    }

    /// The value with its variables filled in; nothing when a limit ends the reading.
    fn expanded(&mut self, written: &Written<'_>) -> Option<Held> {
        let known = &*self.known;
        let lookup = |name: &str| {
            (self.lookup)(name).or_else(|| known.get(name).map(|held| (held.text.as_str(), held.taint)))
        };
        let filled = template::fill(&written.text, self.file.taint, &lookup);
        for note in &filled.notes {
            let at = if written.as_is { written.at + note.at.start } else { written.at };
            self.tell(at, &note.what);
        }
        self.expanded += filled.from_variables;
        if self.expanded > EXPANDED_BYTES_MAX {
            let message = format!("with its variables the file has more than {EXPANDED_BYTES_MAX} bytes");
            let at = self.point(written.at);
            self.problems.add(Problem::error("dotenv-budget", at, message));
            return None;
        }
        Some(Held { text: filled.text, taint: filled.taint })
    }

    fn tell(&mut self, at: usize, what: &What) {
        let at = self.point(at);
        self.problems.add(match what {
            What::Unset { name } => Problem::warning(
                "missing-variable",
                at,
                format!("the variable `{name}` has no value and is left empty"),
            )
            .hint("single quotes around the value keep a `$` as it is"),
            // The message of the variable is a part of the file.
            What::Required { name, empty, message: _ } => {
                let what = if *empty { "is empty" } else { "has no value" };
                Problem::error("missing-variable", at, format!("the variable `{name}` {what}"))
            }
            What::Invalid { message } => Problem::error("interpolation", at, *message)
                .hint("for a dollar sign itself write `$$`, or single quotes around the value"),
            What::TooDeep => {
                let message = format!("defaults of variables are nested deeper than {NESTING_MAX} levels");
                Problem::error("interpolation-depth", at, message)
            }
            What::TooLarge => {
                let message = format!("with its variables this value has more than {FILLED_BYTES_MAX} bytes");
                Problem::error("interpolation-size", at, message)
            }
        });
    }

    fn raw(&mut self) {
        let mut lines: Range<usize> = 0..0;
        while lines.start < self.text.len() {
            lines.end = self.line_end(lines.start);
            if self.raw_line(lines.clone()).is_none() {
                return;
            }
            lines.start = lines.end + 1;
        }
    }

    fn raw_line(&mut self, line: Range<usize>) -> Option<()> {
        let whole = &self.text[line.clone()];
        let text = whole.strip_suffix('\r').unwrap_or(whole).trim_start();
        if text.is_empty() || text.starts_with('#') {
            return Some(());
        }
        let start = line.start + (whole.len() - whole.trim_start().len());
        let (name, value) = text.split_once('=').map_or((text, None), |(name, value)| (name, Some(value)));
        if name.is_empty() {
            self.wrong(start, "a variable's name is missing before this");
        } else if let Some(space) = name.find([' ', '\t']) {
            self.wrong(start + space, "a variable's name can't have a space");
        } else {
            self.count(start)?;
            let held = match value {
                Some(value) => Some((value, self.file.taint)),
                None => (self.lookup)(name),
            };
            if let Some((text, taint)) = held {
                self.known.insert(name.to_owned(), Held { text: text.to_owned(), taint });
            }
        }
        Some(())
    }

    fn count(&mut self, at: usize) -> Option<()> {
        self.set += 1;
        if self.set <= VARIABLES_MAX {
            return Some(());
        }
        let at = self.point(at);
        let message = format!("the file sets more than {VARIABLES_MAX} variables");
        self.problems.add(Problem::error("too-many-variables", at, message));
        None
    }

    fn line_end(&self, at: usize) -> usize {
        self.text[at..].find('\n').map_or(self.text.len(), |end| at + end)
    }

    fn wrong(&mut self, at: usize, message: &'static str) {
        let at = self.point(at);
        self.problems.add(Problem::error("dotenv", at, message).hint("each line is `NAME=value`"));
    }

    /// The line and column of `at`. Places are asked for nearly in order, and the text is counted only once then.
    fn point(&mut self, at: usize) -> At {
        if at < self.place.0 {
            self.place = (0, 1, 1);
        }
        let (from, line, column) = self.place;
        let between = self.text.get(from..at).unwrap_or("");
        self.place = match between.rfind('\n') {
            Some(newline) => {
                let lines = between.bytes().filter(|byte| *byte == b'\n').count();
                (at, line + lines, between[newline + 1..].chars().count() + 1)
            }
            None => (at, line, column + between.chars().count()),
        };
        At::Point(self.file.path.clone(), self.place.1, self.place.2)
    }
}

/// Blanks that don't end a line.
fn is_space(c: char) -> bool {
    matches!(c, '\t' | '\u{b}' | '\u{c}' | '\r' | ' ' | '\u{85}' | '\u{a0}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outside(name: &str) -> Option<(&'static str, Taint)> {
        match name {
            "A" => Some(("a", Taint::Variable)),
            "HOST" => Some(("hunter2", Taint::Sensitive)),
            _ => None,
        }
    }

    fn read_as(format: Format, text: &str) -> (Problems, BTreeMap<String, Held>) {
        let (mut problems, mut known) = (Problems::default(), BTreeMap::new());
        let path = "e.env".parse().unwrap();
        let file = File { path: &path, bytes: text.as_bytes(), format, taint: Taint::Literal };
        read(&mut problems, &file, &outside, &mut known);
        (problems, known)
    }

    /// What a file says, as `NAME=value` with `|` between; or `refused`.
    fn said(format: Format, text: &str) -> String {
        let (problems, known) = read_as(format, text);
        if problems.has_errors() {
            return "refused".to_owned();
        }
        known.iter().map(|(name, held)| format!("{name}={}", held.text)).collect::<Vec<_>>().join("|")
    }

    /// Each was asked of Docker Compose 2.40.3.
    #[test]
    fn a_file_means_what_compose_makes_of_it() {
        for (text, expected) in [
            ("K=v", "K=v"),
            ("\u{feff}K=v\r\n\r\nL=w\r\n", "K=v|L=w"),
            ("# c\n  # d\n  K=v # e # f\n\n", "K=v"),
            ("K: v\nL:w\nM = x\nN=\nO= ", "K=v|L=w|M=x|N=|O="),
            ("export K=v\nexport\tL=w\nexportM=x\nexport=1\nexport", "K=v|L=w|export=1|exportM=x"),
            ("K=a#c\nL=#c\nM=a\t#c\nN=a=b\nO= #c", "K=a#c|L=#c|M=a\t#c|N=a=b|O=#c"),
            ("K=\"a b\" # c\nL='a b'#c\nM=\"\"\nN=' x '", "K=a b|L=a b|M=|N= x "),
            ("K=\"a\nb\"\nL='a\nb'\nM=c", "K=a\nb|L=a\nb|M=c"),
            ("K=\"v\" L=w", "K=v|L=w"),
            ("K=\"a\\\"b\"\nL='a\\'b'\nM='a\\nb'\nN='\\\\'", "K=a\"b|L=a'b|M=a\\nb|N=\\\\"),
            (r#"K="\a\b\f\n\r\t\v\c\q\x41""#, "K=\u{7}\u{8}\u{c}\n\r\t\u{b}\\c\\q\\x41"),
            (r#"K="\0101\0012\01\0777\0""#, "K=A\n\\1\\777\\"),
            (r#"K="\\\"b\\n""#, "K=\\\"b\\n"),
            ("K=a\\nb\nL=v\"w\"\nM=`a b`", "K=a\\nb|L=v\"w\"|M=`a b`"),
            ("K=$A\nL=${A}\nM=\"$A\"\nN='$A'\nO=${NO:-d}\nP=x$NO", "K=a|L=a|M=a|N=$A|O=d|P=x"),
            ("K=$$A\nL=\"\\$A\"\nM=\\$A\nN=$(id)\nO=$1", "K=$A|L=$A|M=\\a|N=$(id)|O=$1"),
            ("K=b\nL=$K\nM=$N\nN=c", "K=b|L=b|M=|N=c"),
            ("A=z\nL=$A", "A=z|L=a"),
            ("K=a\nK=b\nL=$K", "K=b|L=b"),
            ("A\nNO\nK=v", "A=a|K=v"),
            ("A", "A=a"),
            ("K-L=1\nK.L=2\nK[0]=3\n1K=4\n\u{e9}=5", "1K=4|K-L=1|K.L=2|K[0]=3|\u{e9}=5"),
            ("K={\"a\":1}\nL='{\"a\":1}'", "K={\"a\":1}|L={\"a\":1}"),
            ("K=v;L=w\nM=\u{a0}v\u{a0}", "K=v;L=w|M=v"),
            ("", ""),
        ] {
            assert_eq!(said(Format::Dotenv, text), expected, "{text}");
        }
    }

    #[test]
    fn raw_lines_are_taken_as_they_are() {
        for (text, expected) in [
            ("K=v\n L=\"w\"\n# c\nM= x #d \nN=$A", "K=v|L=\"w\"|M= x #d |N=$A"),
            ("\u{feff}K=v\r\nL=${\r\nM=a\\nb\nK/=v", "K=v|K/=v|L=${|M=a\\nb"),
            ("A\nNO\nK:v", "A=a"),
            ("K =v", "refused"),
            ("export K=v", "refused"),
            ("=v", "refused"),
            ("K\tL=v", "refused"),
        ] {
            assert_eq!(said(Format::Raw, text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_located_and_not_shown() {
        for (text, place) in [
            ("A=1\nhun ter2=x", "e.env:2:4"),
            ("A=1\nB=\"hunter2\nC=3", "e.env:2:3"),
            ("hunter2/=1", "e.env:1:8"),
            ("\"hunter2\"=1", "e.env:1:1"),
            ("K=hunter2${", "e.env:1:10"),
            ("K=\"hunter2 ${A B}\"", "e.env:1:12"),
            ("K=\"\\n${A B}hunter2\"", "e.env:1:3"),
            ("K=${NO:?hunter2}", "e.env:1:3"),
            ("K=\"a\" hunter2", "e.env:1:6"),
            ("=hunter2", "e.env:1:1"),
            ("K=\u{e9}hunter2\0", "e.env:1:11"),
            ("K=\"\\0000hunter2\"", "e.env:1:3"),
        ] {
            let report = read_as(Format::Dotenv, text).0.finish().unwrap_err().render(false);
            assert!(report.contains(&format!("{place}\n")), "{text}: {report}");
            assert!(!report.contains("hunter2"), "{report}");
        }
        let (problems, _) = read_as(Format::Dotenv, "a b=1\nc/=2\nD=3");
        assert_eq!(problems.finish().unwrap_err().diagnostics().len(), 2);
    }

    #[test]
    fn a_value_is_as_sensitive_as_what_went_into_it() {
        let (_, known) = read_as(Format::Dotenv, "K=v\nL=$A\nM=\"x$HOST\"\nHOST");
        let taints: Vec<_> = known.values().map(|held| held.taint).collect();
        assert_eq!(taints, [Taint::Sensitive, Taint::Literal, Taint::Variable, Taint::Sensitive]);
    }
}
