//! Source files as the rules see them: without comments, literals and tests, every line where it was.

use std::fs;
use std::path::Path;

/// A source file of the package.
pub(super) struct Source {
    /// Its path from the package's root: `src/plan/mod.rs`.
    pub(super) path: String,
    pub(super) text: String,
    /// The text without comments and literals; every line is where it was.
    pub(super) whole: String,
    /// `whole` without what is compiled for tests only; every line is where it was.
    pub(super) code: String,
    /// The number of lines that are compiled for tests only, beside other code.
    pub(super) test_lines: usize,
}

impl Source {
    pub(super) fn new(path: &str, text: &str) -> Self {
        let whole = scrub(text);
        let (code, test_lines) = if is_test_file(path) { (blank(&whole), 0) } else { without_tests(&whole) };
        Self { path: path.to_owned(), text: text.to_owned(), whole, code, test_lines }
    }

    /// The folder or file below `src` that the file belongs to: `plan`; none outside of `src`.
    pub(super) fn layer(&self) -> Option<&str> {
        let rest = self.path.strip_prefix("src/")?;
        Some(rest.split_once('/').map_or_else(|| rest.trim_end_matches(".rs"), |(layer, _)| layer))
    }

    /// Where `word` is in the code.
    pub(super) fn places_of<'a>(&'a self, word: &'a str) -> impl Iterator<Item = String> + 'a {
        self.places(&self.code, word)
    }

    /// Where `word` is in the code or in its tests.
    pub(super) fn places_of_anywhere<'a>(&'a self, word: &'a str) -> impl Iterator<Item = String> + 'a {
        self.places(&self.whole, word)
    }

    fn places<'a>(&'a self, text: &'a str, word: &'a str) -> impl Iterator<Item = String> + 'a {
        let hits = text.lines().enumerate().filter(move |(_, line)| has_word(line, word));
        hits.map(move |(index, _)| format!("{}:{}", self.path, index + 1))
    }
}

fn is_test_file(path: &str) -> bool {
    path.starts_with("tests/") || path.ends_with("/tests.rs") || path.contains("/tests/")
}

fn blank(text: &str) -> String {
    text.chars().map(|c| if c == '\n' { c } else { ' ' }).collect()
}

/// The length of the comment or literal at the start of `rest`; 0 if there is none.
fn opaque_length(rest: &str, after_word: bool) -> usize {
    if rest.starts_with("//") {
        return rest.find('\n').unwrap_or(rest.len());
    }
    if rest.starts_with("/*") {
        return rest.find("*/").map_or(rest.len(), |at| at + 2);
    }
    let raw = rest.strip_prefix('b').unwrap_or(rest);
    if let Some(hashes) = raw.strip_prefix('r').filter(|_| !after_word) {
        let count = hashes.len() - hashes.trim_start_matches('#').len();
        if let Some(body) = hashes[count..].strip_prefix('"') {
            let end = format!("\"{}", "#".repeat(count));
            let start = rest.len() - body.len();
            return body.find(&end).map_or(rest.len(), |at| start + at + end.len());
        }
    }
    let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''));
    let Some(quote) = quote else { return 0 };
    if quote == '\'' && !rest.starts_with("'\\") && rest.chars().nth(2) != Some('\'') {
        // A lifetime.
        return 1;
    }
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// `text` with blanks in place of comments and literals.
fn scrub(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let after_word = out.ends_with(|c: char| c.is_alphanumeric() || c == '_');
        let length = opaque_length(rest, after_word);
        if length == 0 {
            out.push(next);
            rest = &rest[next.len_utf8()..];
        } else {
            out.push_str(&blank(&rest[..length]));
            rest = &rest[length..];
        }
    }
    out
}

/// The length of the item at the start of `code`: until its closing brace, or its semicolon.
fn item_length(code: &str) -> usize {
    let mut depth = 0_usize;
    for (at, c) in code.char_indices() {
        match c {
            ';' if depth == 0 => return at + 1,
            '{' => depth += 1,
            '}' if depth <= 1 => return at + 1,
            '}' => depth -= 1,
            _ => {}
        }
    }
    code.len()
}

/// `code`, already scrubbed, with blanks in place of what is compiled for tests only, and the lines of that.
fn without_tests(code: &str) -> (String, usize) {
    let mut out = String::with_capacity(code.len());
    let mut lines = 0;
    let mut rest = code;
    while let Some(at) = rest.find("#[cfg(test)]") {
        let (item, after) = rest[at..].split_at(item_length(&rest[at..]));
        out.push_str(&rest[..at]);
        out.push_str(&blank(item));
        lines += item.lines().count();
        rest = after;
    }
    (out + rest, lines)
}

/// Whether `line` has `word` with nothing of an identifier on either side.
fn has_word(line: &str, word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    let starts_open = !word.starts_with(part);
    let ends_open = !word.ends_with(part);
    line.match_indices(word).any(|(at, _)| {
        (starts_open || !line[..at].ends_with(part))
            && (ends_open || !line[at + word.len()..].starts_with(part))
    })
}

/// The names that directly follow `root::` in `code`, those in braces too, with their line.
pub(super) fn names_below(code: &str, root: &str) -> Vec<(usize, String)> {
    let identifier = |text: &str| -> String {
        text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
    };
    let mut found = Vec::new();
    for (at, _) in code.match_indices(&format!("{root}::")) {
        if code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_') {
            continue;
        }
        let line = code[..at].matches('\n').count() + 1;
        let rest = &code[at + root.len() + 2..];
        let Some(group) = rest.strip_prefix('{') else {
            found.push((line, identifier(rest)));
            continue;
        };
        let mut depth = 0_usize;
        let mut start = 0;
        for (at, c) in group.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth > 0 => depth -= 1,
                ',' | '}' if depth == 0 => {
                    found.push((line, identifier(&group[start..at])));
                    start = at + 1;
                    if c == '}' {
                        break;
                    }
                }
                _ => {}
            }
        }
    }
    found.retain(|(_, name)| !name.is_empty());
    found
}

fn read_below(folder: &Path, found: &mut Vec<Source>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read_below(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap().to_str().unwrap().to_owned();
            found.push(Source::new(&name, &fs::read_to_string(&path).unwrap()));
        }
    }
}

/// Every source file of the package.
pub(super) fn tree() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    if root.join("build.rs").is_file() {
        found.push(Source::new("build.rs", &fs::read_to_string(root.join("build.rs")).unwrap()));
    }
    for folder in ["src", "tests", "benches", "stand-in"] {
        if root.join(folder).is_dir() {
            read_below(&root.join(folder), &mut found);
        }
    }
    found
}

#[test]
fn comments_and_literals_are_no_code() {
    let text = "a // b\n/* c */ d(\"e \\\" f\", 'g', '\\'', r#\"h\"i\"#, br\"j\") &'k l";
    let words: Vec<_> = scrub(text).split(|c: char| !c.is_alphanumeric()).map(str::to_owned).collect();
    let words: Vec<_> = words.into_iter().filter(|word| !word.is_empty()).collect();
    assert_eq!(words, ["a", "d", "k", "l"]);
}

#[test]
fn tests_are_no_code() {
    let file =
        Source::new("src/a.rs", "a\n#[cfg(test)]\nmod tests {\n fn b() {}\n}\nc\n#[cfg(test)]\nuse d;\n");
    assert_eq!(file.code.split_whitespace().collect::<Vec<_>>(), ["a", "c"]);
    assert_eq!(file.code.lines().count(), file.text.lines().count());
}
