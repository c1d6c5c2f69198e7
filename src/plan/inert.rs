//! Texts of strangers, made harmless for whoever looks at them.
//!
//! Whoever may open a pull request decides what names and values say. None of it may move a cursor, change colours, turn
//! the direction of writing or hide.

/// `text` with a mark in the place of every character that steers a terminal, or that can't be seen.
pub(super) fn inert(text: &str) -> String {
    text.chars().map(|c| if c.is_control() || is_unseen(c) { '\u{fffd}' } else { c }).collect()
}

/// As [`inert`], on one line of at most `most` characters.
pub(super) fn line(text: &str, most: usize) -> String {
    if text.chars().nth(most).is_none() {
        return inert(text);
    }
    let start: String = text.chars().take(most.saturating_sub(1)).collect();
    format!("{}…", inert(&start))
}

/// Marks of direction, characters of no width, line separators, tags and private variations: what lets a text look like
/// another one.
fn is_unseen(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180e}'
        | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_or_hides_is_marked_and_the_rest_stays() {
        assert_eq!(inert("a\u{1b}[2J\u{202e}b\u{200b}\u{7}c\n"), "a�[2J�b��c�");
        assert_eq!(inert("çøde ✓ → 日本"), "çøde ✓ → 日本");
        assert_eq!((line("abcdef", 6), line("abcdefg", 6)), ("abcdef".to_owned(), "abcde…".to_owned()));
    }
}
