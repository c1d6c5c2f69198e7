//! The plan as a comment of a pull request: a table first, the details folded below.
//!
//! Whoever opens a pull request decides over the content, so all of it stands in fences that nothing inside can close.
//! Outside of fences there are only our own words, numbers, and names of letters, digits, dots, dashes and underscores
//! in code marks: no mention, reference, link, image or markup can come of it. What is too long is left out item by
//! item, and said to be.

use std::fmt::Write as _;

use super::change::Operation;
use super::inert::line;
use super::lines::{Line, Mark, Scope, lines};
use super::review::{Review, Section, Verdict};

/// Most characters of a comment. Forges take 65,536 and more.
pub const CHARS_MAX: usize = 60_000;
/// Most characters of the table.
const TABLE_CHARS: usize = 15_000;
/// Room that is kept for what is said of what is left out.
const LEFT_OUT_CHARS: usize = 600;
/// Longest line.
const LINE_CHARS: usize = 400;
/// Columns that the details keep to where they can: what a comment shows without scrolling.
const WIDTH: usize = 120;

/// The line that begins a comment, by which it is found again.
pub fn marker(project: &str) -> String {
    format!("<!-- evenkeel:plan:{} -->", safe(project))
}

/// The review as Markdown.
///
/// # Guarantees
/// - At most [`CHARS_MAX`] characters; every fence and fold is closed.
/// - Nothing of the content is markup.
pub fn to_markdown(review: &Review) -> String {
    let mut text =
        format!("{}\n### Evenkeel plan for {}\n\n", marker(&review.project), code(&review.project));
    let _ = match &review.base {
        Some(base) => writeln!(text, "{} → {}\n", code(base), code(&review.head)),
        None => writeln!(text, "{} against what runs\n", code(&review.head)),
    };
    for note in review.notes.iter().take(5) {
        text.push_str(&fenced(&[line(note, LINE_CHARS)], ""));
        text.push('\n');
    }
    let mut sections: Vec<&Section> = review.sections.iter().filter(|section| !section.is_quiet()).collect();
    // The worst first; what is equally bad as it came.
    sections.sort_by_key(|section| std::cmp::Reverse(section.risk()));
    table(&mut text, &sections);
    quiet(&mut text, review);
    let mut left_out = 0;
    for (at, section) in sections.iter().enumerate() {
        let room = CHARS_MAX.saturating_sub(text.chars().count() + LEFT_OUT_CHARS) / (sections.len() - at);
        let (details, missing) = details(section, room, sections.len() == 1);
        text.push_str(&details);
        left_out += usize::from(missing);
    }
    if left_out > 0 {
        let command = line(&review.command, 200);
        let _ = write!(text, "\nShortened. All of it is shown by\n\n{}", fenced(&[command], ""));
    }
    text
}

fn table(text: &mut String, sections: &[&Section]) {
    if sections.is_empty() {
        text.push_str("**Nothing changes.**\n");
        return;
    }
    text.push_str("| environment | + new | ± replace | ~ in place | - remove | risk |\n");
    text.push_str("|---|---:|---:|---:|---:|---|\n");
    let start = text.chars().count();
    for (at, section) in sections.iter().enumerate() {
        let cell = |number: usize| if number == 0 { String::new() } else { number.to_string() };
        let [new, replace, in_place, remove] = section.counts().map(cell);
        let risk = match section.verdict {
            Verdict::Planned(..) | Verdict::Refused(_) => section.risk().to_string(),
            Verdict::Invalid(..) | Verdict::Dropped => section.summary(),
        };
        let row =
            format!("| {} | {new} | {replace} | {in_place} | {remove} | {risk} |\n", code(&section.name));
        if text.chars().count() - start + row.chars().count() > TABLE_CHARS {
            let _ = write!(text, "\nand {} more environments\n", sections.len() - at);
            return;
        }
        text.push_str(&row);
    }
}

/// Names what doesn't change, as far as there is room.
fn quiet(text: &mut String, review: &Review) {
    const NAMES_MAX: usize = 40;
    let names: Vec<String> = review
        .sections
        .iter()
        .filter(|section| section.is_quiet())
        .map(|section| code(&section.name))
        .collect();
    if names.is_empty() {
        return;
    }
    let more = names.len().saturating_sub(NAMES_MAX);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let shown: Vec<String> = names.into_iter().take(NAMES_MAX).collect();
    let _ = write!(text, "\nUnchanged: {}{more}\n", shown.join(", "));
}

/// The fold of one environment in at most `room` characters, and whether anything is missing from it. Nothing where not
/// even a little fits.
fn details(section: &Section, room: usize, open: bool) -> (String, bool) {
    // What surely doesn't fit isn't even made: there may be many environments.
    if room < LINE_CHARS {
        return (String::new(), true);
    }
    let (content, language) = content(section);
    if content.is_empty() {
        return (String::new(), false);
    }
    let summary = format!("<code>{}</code>: {}", safe(&section.name), section.summary());
    let head = format!("\n<details{}><summary>{summary}</summary>\n\n", if open { " open" } else { "" });
    let foot = "\n</details>\n";
    let fence = fence(content.iter().map(|(line, _)| line.as_str()));
    let frame = head.len() + foot.len() + 2 * (fence.len() + 1) + language.len() + LINE_CHARS;
    let Some(room) = room.checked_sub(frame) else { return (String::new(), true) };
    let (mut shown, missing) = fitting(&content, room);
    if missing > 0 {
        shown.push(format!("… {missing} more line{} not shown", if missing == 1 { " is" } else { "s are" }));
    }
    (format!("{head}{}{foot}", fenced(&shown, language)), missing > 0)
}

/// As many whole items as fit, and how many lines are left out. An item that is too long by itself is cut at a line.
fn fitting(content: &[(String, bool)], room: usize) -> (Vec<String>, usize) {
    let mut used = 0;
    let mut whole = 0;
    for (at, (line, begins)) in content.iter().enumerate() {
        if *begins {
            whole = at;
        }
        used += line.chars().count() + 1;
        if used > room {
            let kept = if whole == 0 { at } else { whole };
            let shown = content.iter().take(kept).map(|(line, _)| line.clone()).collect();
            return (shown, content.len() - kept);
        }
    }
    (content.iter().map(|(line, _)| line.clone()).collect(), 0)
}

/// The lines of the details, each with whether an item begins there, and the language of their fence.
fn content(section: &Section) -> (Vec<(String, bool)>, &'static str) {
    let mut content: Vec<(String, bool)> = Vec::new();
    let language = match &section.verdict {
        Verdict::Planned(plan, _) => {
            let shown = lines(plan, Scope { width: Some(WIDTH), full: false });
            content.extend(shown.iter().map(|line| (marked(line), begins(line.mark))));
            "diff"
        }
        Verdict::Invalid(report, _) => {
            // A diagnostic ends at an empty line.
            let mut begins = true;
            for text in report.trim_end().lines() {
                content.push((line(text, LINE_CHARS), begins));
                begins = text.is_empty();
            }
            ""
        }
        Verdict::Refused(_) | Verdict::Dropped => "",
    };
    // What stands in the way is not to be left out.
    let mut said: Vec<(String, bool)> =
        section.said().into_iter().take(20).map(|text| (line(&text, LINE_CHARS), true)).collect();
    said.append(&mut content);
    (said, language)
}

fn begins(mark: Mark) -> bool {
    match mark {
        Mark::Group | Mark::Change(_) | Mark::Note | Mark::Unchanged => true,
        Mark::Field | Mark::Added | Mark::Removed | Mark::Context => false,
    }
}

/// The line with what colours it in a fence for differences: green `+`, red `-`, orange `!`.
fn marked(line: &Line) -> String {
    let Line { mark, text } = line;
    let text = super::inert::line(text, LINE_CHARS);
    match mark {
        Mark::Change(operation) => {
            let symbol = operation.symbol();
            match operation {
                Operation::Create | Operation::Start => format!("+ {symbol} {text}"),
                Operation::InPlace | Operation::Recreate | Operation::Replace(_) | Operation::Revive(_) => {
                    format!("! {symbol} {text}")
                }
                Operation::Remove => format!("- {symbol} {text}"),
                Operation::Report => format!("  {symbol} {text}"),
            }
        }
        Mark::Field => format!("    {text}"),
        // The latter begin with their own `+` and `-`.
        Mark::Group | Mark::Note | Mark::Added | Mark::Removed => text,
        Mark::Context => format!(" {text}"),
        Mark::Unchanged => format!("  = {text}"),
    }
}

/// The lines in a fence that none of them can close.
fn fenced(lines: &[String], language: &str) -> String {
    let fence = fence(lines.iter().map(String::as_str));
    let body = lines.join("\n");
    format!("{fence}{language}\n{body}\n{fence}\n")
}

/// So many backticks that no line has as many in a row.
fn fence<'a>(lines: impl Iterator<Item = &'a str>) -> String {
    let longest = lines.flat_map(|line| line.split(|c| c != '`')).map(str::len).max().unwrap_or(0);
    "`".repeat(longest.max(2) + 1)
}

/// A name in code marks.
fn code(name: &str) -> String {
    format!("`{}`", safe(name))
}

/// A name without anything that could be markup. Names of ours have none; this doesn't rely on it.
fn safe(name: &str) -> String {
    let kept =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '+' | ' ' | '~' | '^' | '/');
    name.chars().take(130).map(|c| if kept(c) { c } else { '?' }).collect()
}
