//! What is shown of a commit.
//!
//! A commit's texts are written by whoever may push and end up in terminals, logs and web pages. They are cut and
//! cleaned here, once, so that nobody above has to think of it.

use jiff::Timestamp;

/// A commit, as people are shown it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// Its id, as 40 hexadecimal digits.
    pub id: String,
    /// The first paragraph of its message on one line; may be empty.
    pub summary: String,
    /// The name of its author; may be empty.
    pub author: String,
    /// When it was committed, as its committer's clock said.
    pub time: Timestamp,
}

const SUMMARY_CHARS: usize = 120;
const AUTHOR_CHARS: usize = 60;

impl Commit {
    pub(super) fn read(commit: &git2::Commit<'_>) -> Self {
        let seconds = commit.time().seconds();
        let edge = if seconds < 0 { Timestamp::MIN } else { Timestamp::MAX };
        Self {
            id: commit.id().to_string(),
            summary: clean(commit.summary_bytes().unwrap_or_default(), SUMMARY_CHARS),
            author: clean(commit.author().name_bytes(), AUTHOR_CHARS),
            time: Timestamp::from_second(seconds).unwrap_or(edge),
        }
    }
}

/// `bytes` as one line of at most `most` characters, without any that move the cursor, turn the direction of writing
/// or can't be seen.
pub(super) fn clean(bytes: &[u8], most: usize) -> String {
    // A character has at most four bytes, and few are dropped: what lies far behind the cut is not even decoded.
    let bytes = bytes.get(..most.saturating_mul(16)).unwrap_or(bytes);
    let text = String::from_utf8_lossy(bytes);
    let visible: String = text
        .chars()
        .map(|c| if c.is_whitespace() { ' ' } else { c })
        .filter(|&c| !c.is_control() && !is_unseen(c))
        .collect();
    let line = visible.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    if line.chars().count() <= most {
        return line;
    }
    line.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

/// Marks of direction, joiners of no width, and tags: format characters that change what others seem to say.
fn is_unseen(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_and_loses_what_deceives() {
        let cases: [(&[u8], &str); 6] = [
            (b"Raise the limit", "Raise the limit"),
            (b"two\nlines\tand  spaces ", "two lines and spaces"),
            (b"\x1b[2J\x1b]0;title\x07gone", "[2J]0;titlegone"),
            ("ab\u{202e}cd\u{2066}e\u{200b}\u{2028}f".as_bytes(), "abcde f"),
            (b"latin \xe9", "latin \u{fffd}"),
            (b"0123456789012345678901", "0123456789012345678…"),
        ];
        for (bytes, expected) in cases {
            assert_eq!(clean(bytes, 20), expected);
        }
    }

    #[test]
    fn a_huge_text_is_cut() {
        assert_eq!(clean(&vec![b'x'; 1 << 20], 10).chars().count(), 10);
    }
}
