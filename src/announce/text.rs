//! Texts of others in the languages of receivers: none of them can call everybody, draw a link, hide a part of itself or
//! leave its place.
//!
//! Commit titles, names of authors, errors of registries and log lines are written by whoever may push or run something.

/// `text` on one line of at most `most` characters, without any that move a cursor, turn the direction of writing or can't
/// be seen.
pub(super) fn clean(text: &str, most: usize) -> String {
    let visible: String = text
        .chars()
        .take(most.saturating_mul(4))
        .map(|c| if c.is_whitespace() { ' ' } else { c })
        .filter(|&c| !c.is_control() && !is_unseen(c))
        .collect();
    let line = visible.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    cut(&line, most)
}

/// The last `most_lines` of a log, each cut, and no more than `most` characters in all: the end says most.
pub(super) fn clean_log(lines: &[String], most_lines: usize, most: usize) -> Vec<String> {
    const LINE: usize = 300;
    let mut left = most;
    let mut kept: Vec<String> = Vec::new();
    for line in lines.iter().rev().take(most_lines) {
        let line = clean(line, LINE);
        let Some(rest) = left.checked_sub(line.chars().count() + 1) else { break };
        left = rest;
        kept.push(line);
    }
    kept.reverse();
    kept
}

/// The first `most` characters.
pub(super) fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

/// Marks of direction, joiners of no width, tags and the like: characters that change what others seem to say.
fn is_unseen(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}'
        | '\u{feff}' | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

/// For Slack: `<!channel>`, `<@U1>` and links are made by these three characters alone.
pub(super) fn slack(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Code in Slack.
pub(super) fn slack_code(text: &str) -> String {
    slack(&code(text))
}

/// Code in Markdown, on one line: neither mentions nor links nor marks mean anything in it. The one character that would
/// end it becomes another that looks alike.
pub(super) fn code(text: &str) -> String {
    format!("`{}`", text.replace('`', "ˋ"))
}

/// A block of code in Markdown.
pub(super) fn block(lines: &[String]) -> String {
    format!("```\n{}\n```", lines.join("\n").replace('`', "ˋ"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Texts that somebody writes into a commit, and how each looks for Slack, and in Markdown.
    const HOSTILE: [(&str, &str, &str); 9] = [
        ("<!channel> free money", "`&lt;!channel&gt; free money`", "`<!channel> free money`"),
        (
            "<https://evil.example|docs>",
            "`&lt;https://evil.example|docs&gt;`",
            "`<https://evil.example|docs>`",
        ),
        ("@everyone @here", "`@everyone @here`", "`@everyone @here`"),
        ("a `b` ``` c", "`a ˋbˋ ˋˋˋ c`", "`a ˋbˋ ˋˋˋ c`"),
        ("[ok](https://evil.example)", "`[ok](https://evil.example)`", "`[ok](https://evil.example)`"),
        ("abc\u{202e}fed\u{2066}\u{200b}", "`abcfed`", "`abcfed`"),
        ("one\r\ntwo\u{2028}three", "`one two three`", "`one two three`"),
        ("\u{1b}[31mred\u{7}", "`[31mred`", "`[31mred`"),
        ("a & b\u{e0041}", "`a &amp; b`", "`a & b`"),
    ];

    #[test]
    fn a_hostile_text_is_only_a_text() {
        for (text, in_slack, in_markdown) in HOSTILE {
            let cleaned = clean(text, 100);
            assert_eq!(slack_code(&cleaned), in_slack, "{text:?}");
            assert_eq!(code(&cleaned), in_markdown, "{text:?}");
            let fenced = block(&[cleaned]);
            assert_eq!(fenced.matches("```").count(), 2, "{fenced}");
        }
    }

    #[test]
    fn texts_are_cut() {
        assert_eq!(clean(&"x".repeat(1 << 20), 10), "xxxxxxxxx…");
        let log: Vec<_> = (0..50).map(|line| format!("line {line}")).collect();
        assert_eq!(clean_log(&log, 3, 1000), ["line 47", "line 48", "line 49"]);
        assert_eq!(clean_log(&log, 3, 20), ["line 48", "line 49"]);
        assert_eq!(clean_log(&["x".repeat(1000)], 3, 1000)[0].chars().count(), 300);
    }
}
