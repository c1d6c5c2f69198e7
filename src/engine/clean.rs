//! Makes text of containers and of the engine safe to show: one cannot move a terminal's cursor with it.

/// `text` without control characters, terminal escape sequences and characters that reorder what is shown. A tab
/// becomes a space; line feeds are for the caller to split at before.
pub(crate) fn clean(text: &str) -> String {
    let mut cleaned = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' => skip_escape(&mut chars),
            '\t' => cleaned.push(' '),
            c if c.is_control() || is_reordering(c) => {}
            c => cleaned.push(c),
        }
    }
    cleaned
}

/// The last lines of `bytes`, at most `lines` of them, each cleaned. Empty lines at the end are no lines.
pub(super) fn last_lines(bytes: &[u8], lines: usize) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes);
    let cleaned: Vec<String> = text.trim_end().lines().map(clean).collect();
    let skipped = cleaned.len().saturating_sub(lines);
    cleaned.into_iter().skip(skipped).collect()
}

/// Bytes of which only the last so many are kept.
#[derive(Debug)]
pub(super) struct Tail {
    bytes: Vec<u8>,
    bytes_max: usize,
}

impl Tail {
    pub(super) fn of(bytes_max: usize) -> Self {
        Self { bytes: Vec::new(), bytes_max }
    }

    pub(super) fn push(&mut self, more: &[u8]) {
        self.bytes.extend_from_slice(more);
        // Cut only when twice full, so that a long output costs linear time.
        if self.bytes.len() > 2 * self.bytes_max {
            self.cut();
        }
    }

    pub(super) fn into_bytes(mut self) -> Vec<u8> {
        self.cut();
        self.bytes
    }

    fn cut(&mut self) {
        let excess = self.bytes.len().saturating_sub(self.bytes_max);
        self.bytes.drain(..excess);
    }
}

fn is_reordering(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Skips what follows an escape character: `[…letter` (colours, cursor) or `]…BEL` (titles, links).
fn skip_escape(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    match chars.peek() {
        Some('[') => {
            chars.next();
            while chars.next().is_some_and(|c| !('\u{40}'..='\u{7e}').contains(&c)) {}
        }
        Some(']') => while chars.next().is_some_and(|c| c != '\u{7}' && c != '\u{1b}') {},
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_moves_a_terminal_is_left() {
        assert_eq!(clean("\u{1b}[31mred\u{1b}[0m\ta\u{7}b\r\u{202e}c"), "red abc");
        assert_eq!(clean("\u{1b}]0;title\u{7}text"), "text");
        assert_eq!(clean("\u{1b}[31"), "");
    }

    #[test]
    fn the_last_lines_are_kept() {
        assert_eq!(last_lines(b"a\nb\r\nc\n\n", 2), ["b", "c"]);
        assert_eq!(last_lines(b"", 2), Vec::<String>::new());
    }

    #[test]
    fn a_tail_keeps_the_end() {
        let mut tail = Tail::of(4);
        for part in ["abc", "def", "ghijkl", "m"] {
            tail.push(part.as_bytes());
        }
        assert_eq!(tail.into_bytes(), b"jklm");
    }
}
