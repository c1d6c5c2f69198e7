//! The plan as lines: what the text form and the Markdown form are both made of.
//!
//! A line holds no character that could steer a terminal or hide, and never the value of anything sensitive.

use similar::TextDiff;

use super::change::{Change, FieldChange, Hindrance, Kind, Operation, Reason};
use super::fields::FieldValue;
use super::inert::{inert, line};
use super::{Plan, Pull, Unchanged};
use crate::model::image::short_digest;

/// What a line is, which decides over its mark and colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    /// The name of a tier.
    Group,
    /// The first line of a change.
    Change(Operation),
    /// A further field of the change above.
    Field,
    /// A line of a difference: one more.
    Added,
    /// One less.
    Removed,
    /// One around them.
    Context,
    /// Something that stays as it is.
    Unchanged,
    /// Something to know.
    Note,
}

/// One line, without its mark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) mark: Mark,
    pub(super) text: String,
}

/// What the lines are to show.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scope {
    /// Columns to keep to where that is possible; none means any.
    pub(super) width: Option<usize>,
    /// Whether what stays as it is is listed too.
    pub(super) full: bool,
}

/// The longest value that is shown whole where a line may have any length, in characters.
const VALUE_CHARS: usize = 60;
/// The least room for a value.
const VALUE_CHARS_MIN: usize = 24;
/// What stands between two values.
const ARROW: usize = 3;
/// Longest line of a difference.
const DIFF_CHARS: usize = 400;
/// Lines around a difference.
const CONTEXT_LINES: usize = 2;
/// Most lines of the difference of one value.
const DIFF_LINES: usize = 60;

/// Everything that changes, tier by tier, with what there is to know.
pub(super) fn lines(plan: &Plan, scope: Scope) -> Vec<Line> {
    let groups = groups(plan, scope.full);
    let mut widths = Widths::of(groups.iter().flat_map(|group| &group.changes), scope.width);
    let rows: Vec<Vec<Vec<Row>>> = groups
        .iter()
        .map(|group| group.changes.iter().map(|change| rows(change, widths.value)).collect())
        .collect();
    let values = rows.iter().flatten().flatten().map(|row| row.value.chars().count());
    widths.shown = values.max().unwrap_or(0);
    let mut lines = Vec::new();
    for (group, rows) in groups.iter().zip(rows) {
        lines.push(Line { mark: Mark::Group, text: group.name.clone() });
        for (change, rows) in group.changes.iter().zip(rows) {
            of_change(&mut lines, change, rows, &widths);
        }
        let unchanged = group.unchanged.iter();
        lines.extend(unchanged.map(|name| Line { mark: Mark::Unchanged, text: inert(name) }));
    }
    lines.extend(plan.pulls().iter().map(|pull| Line { mark: Mark::Note, text: pull_line(pull) }));
    for note in &plan.notes {
        lines.push(Line { mark: Mark::Note, text: format!("note: {}", line(note, DIFF_CHARS)) });
    }
    if let Some(consent) = &plan.consent {
        let names = consent.removed.join(", ");
        let text = format!("this removes {} of {} services: {names}", consent.removed.len(), consent.of);
        lines.push(Line { mark: Mark::Note, text: line(&text, DIFF_CHARS) });
    }
    lines
}

fn pull_line(pull: &Pull<'_>) -> String {
    let Pull { image, services } = pull;
    let digest = image.digest().map(|digest| format!(" ({})", short_digest(digest))).unwrap_or_default();
    let services: Vec<&str> = services.iter().map(|service| service.as_str()).collect();
    line(&format!("pull: {}{digest} for {}", image.name(), services.join(", ")), DIFF_CHARS)
}

/// What is shown together.
struct Group<'a> {
    name: String,
    changes: Vec<&'a Change>,
    unchanged: Vec<String>,
}

/// By tier, in the order of the tiers. What belongs to no tier comes first, removed services with no tier come last.
fn groups(plan: &Plan, full: bool) -> Vec<Group<'_>> {
    let changes = |wanted: &dyn Fn(&Change) -> bool| {
        plan.changes.iter().chain(&plan.reported).filter(|change| wanted(change)).collect()
    };
    let unchanged = |wanted: &dyn Fn(&Unchanged) -> bool| {
        let kept = plan.unchanged.iter().filter(|kept| full && wanted(kept));
        kept.map(|Unchanged { tier: _, kind, name }| titled(*kind, name)).collect()
    };
    let mut groups = vec![Group {
        name: "networks and volumes".to_owned(),
        changes: changes(&|change| change.service.is_none()),
        unchanged: unchanged(&|kept| kept.kind != Kind::Service),
    }];
    groups.extend(plan.tiers.iter().map(|tier| Group {
        name: tier.to_string(),
        changes: changes(&|change| change.tier.as_ref() == Some(tier)),
        unchanged: unchanged(&|kept| kept.tier.as_ref() == Some(tier)),
    }));
    groups.push(Group {
        name: "no longer wanted".to_owned(),
        changes: changes(&|change| change.service.is_some() && change.tier.is_none()),
        unchanged: Vec::new(),
    });
    groups.retain(|group| !(group.changes.is_empty() && group.unchanged.is_empty()));
    groups
}

fn titled(kind: Kind, name: &str) -> String {
    match kind {
        Kind::Service => name.to_owned(),
        Kind::Network | Kind::Volume => format!("{kind} {name}"),
    }
}

/// What changes, for people.
fn name(change: &Change) -> String {
    let title = titled(change.kind, &change.name);
    change.was.as_ref().map_or_else(|| title.clone(), |was| format!("{title} (was {was})"))
}

/// What is done about it.
fn words(change: &Change) -> &'static str {
    match (change.operation, &change.reason) {
        (Operation::Report, Reason::NotWanted) => "reported, not removed",
        (operation, _) => operation.words(),
    }
}

/// One row of the table, and the difference that belongs below it.
#[derive(Default)]
struct Row {
    path: String,
    value: String,
    cause: String,
    below: Vec<Line>,
}

fn of_change(lines: &mut Vec<Line>, change: &Change, rows: Vec<Row>, widths: &Widths) {
    let (name, words) = (name(change), words(change));
    for (at, row) in rows.into_iter().enumerate() {
        let (mark, name, words) = match at {
            0 => (Mark::Change(change.operation), inert(&name), words),
            _ => (Mark::Field, String::new(), ""),
        };
        let columns = [
            (name.as_str(), widths.name),
            (words, widths.words),
            (&row.path, widths.path),
            (&row.value, widths.shown),
        ];
        // A column that is empty in every row takes no room.
        let padded = columns.iter().filter(|(_, width)| *width > 0).map(|(word, width)| {
            let gap = width.saturating_sub(word.chars().count()) + 3;
            format!("{word}{}", " ".repeat(gap))
        });
        let text = padded.collect::<String>() + &row.cause;
        lines.push(Line { mark, text: text.trim_end().to_owned() });
        lines.extend(row.below);
    }
}

fn rows(change: &Change, room: usize) -> Vec<Row> {
    let reason = match &change.reason {
        Reason::Differs | Reason::New => None,
        reason @ (Reason::Gone | Reason::NotRunning(_) | Reason::NotWanted) => Some(reason.to_string()),
    };
    let mut rows: Vec<Row> = change.fields.iter().map(|field| row(field, room)).collect();
    if rows.is_empty() || reason.is_some() {
        let cause = change.reason.cause().map(|cause| cause.to_string()).unwrap_or_default();
        rows.insert(0, Row { value: reason.unwrap_or_default(), cause, ..Row::default() });
    }
    if let (Some(first), Some(text)) = (rows.first_mut(), not_start_first(change)) {
        first.below.push(Line { mark: Mark::Context, text });
    }
    rows
}

/// Why a wish for start-first isn't granted.
fn not_start_first(change: &Change) -> Option<String> {
    let asked = change.not_start_first.iter().filter(|hindrance| **hindrance != Hindrance::NotAsked);
    let reasons: Vec<String> = asked.map(ToString::to_string).collect();
    (!reasons.is_empty()).then(|| line(&format!("not start-first: {}", reasons.join("; ")), DIFF_CHARS))
}

fn row(field: &FieldChange, room: usize) -> Row {
    let FieldChange { path, before, after, cause, diff } = field;
    let (value, below) = match (before, after, diff) {
        (Some(before), Some(after), None) => match long(before, after, room) {
            Some(below) => (summary(&below), below),
            None => (pair(Some(before), Some(after), room), Vec::new()),
        },
        (None, Some(after), _) if path.as_str() == "image" => (shown(after, room), Vec::new()),
        (before, after, diff) => {
            let lines = diff.iter().flat_map(|text| text.lines()).map(diff_line).collect();
            (pair(before.as_ref(), after.as_ref(), room), lines)
        }
    };
    Row { path: inert(path.as_str()), value, cause: cause.to_string(), below }
}

fn pair(before: Option<&FieldValue>, after: Option<&FieldValue>, room: usize) -> String {
    let text = |value: Option<&FieldValue>| {
        value.map_or_else(|| "(none)".to_owned(), |value| inert(&value.to_string()))
    };
    let (before, after) = told_apart(text(before), text(after), room);
    let side = (room.saturating_sub(ARROW) / 2).max(VALUE_CHARS_MIN / 2);
    let one = |text: &str, room: usize| line(text, room.min(VALUE_CHARS));
    // A short side leaves its room to the other one.
    let spare = |text: &str| side.saturating_sub(one(text, side).chars().count());
    let (left, right) = (one(&before, side + spare(&after)), one(&after, side + spare(&before)));
    format!("{left} → {right}")
}

/// The two texts without what both begin with, where that would take the room of what tells them apart.
fn told_apart(before: String, after: String, room: usize) -> (String, String) {
    let length = |text: &str| text.chars().count();
    let both = length(&before) + length(&after) + ARROW;
    if both <= room && length(&before).max(length(&after)) <= VALUE_CHARS {
        return (before, after);
    }
    let same = before.char_indices().zip(after.chars()).take_while(|((_, old), new)| old == new);
    let Some(((from, _), _)) = same.filter(|((_, c), _)| matches!(c, ' ' | '/')).last() else {
        return (before, after);
    };
    let right = format!("…{}", &after[from..]);
    // What is left of the room shows the end of what both begin with, once.
    let fitting = room.saturating_sub(length(&right) + ARROW).min(VALUE_CHARS);
    let shown = fitting.saturating_sub(length(&before[from..]) + 1);
    let begin = before[..from].char_indices().rev().take(shown).last().map_or(from, |(at, _)| at);
    let left = if begin == 0 { before } else { format!("…{}", &before[begin..]) };
    (left, right)
}

/// The value in one line of bounded length.
fn shown(value: &FieldValue, room: usize) -> String {
    line(&value.to_string(), room.min(VALUE_CHARS))
}

/// How a list or a text of several lines changes, item by item, where one line can't show it.
fn long(before: &FieldValue, after: &FieldValue, room: usize) -> Option<Vec<Line>> {
    let (old, new): (Vec<String>, Vec<String>) = match (before, after) {
        (FieldValue::List(old), FieldValue::List(new)) => {
            let length = |value: &FieldValue| value.to_string().chars().count();
            let fits = |value: &FieldValue| length(value) <= VALUE_CHARS;
            if fits(before) && fits(after) && length(before) + length(after) + 3 <= room {
                return None;
            }
            let items = |list: &[FieldValue]| list.iter().map(ToString::to_string).collect();
            (items(old), items(new))
        }
        (FieldValue::Quoted(old), FieldValue::Quoted(new)) => {
            if !old.contains('\n') && !new.contains('\n') {
                return None;
            }
            let items = |text: &str| text.split('\n').map(str::to_owned).collect();
            (items(old), items(new))
        }
        _ => return None,
    };
    let [old, new] = [old, new].map(|items| items.iter().map(|item| inert(item) + "\n").collect::<String>());
    let diff = TextDiff::from_lines(&old, &new);
    let mut unified = diff.unified_diff();
    let text = unified.context_radius(CONTEXT_LINES).to_string();
    // Where a part begins is of no use to anybody here, only that something is left out before it.
    let parts = text.lines().skip(1).map(|line| if line.starts_with("@@") { " …" } else { line });
    let mut below: Vec<Line> = parts.clone().take(DIFF_LINES).map(diff_line).collect();
    let more = parts.count().saturating_sub(DIFF_LINES);
    if more > 0 {
        below.push(Line { mark: Mark::Context, text: format!("… {more} more lines") });
    }
    Some(below)
}

fn diff_line(text: &str) -> Line {
    let mark = match text.chars().next() {
        Some('+') => Mark::Added,
        Some('-') => Mark::Removed,
        _ => Mark::Context,
    };
    Line { mark, text: line(text, DIFF_CHARS) }
}

fn summary(below: &[Line]) -> String {
    let number = |mark| below.iter().filter(|line| line.mark == mark).count();
    match (number(Mark::Removed), number(Mark::Added)) {
        (0, added) => format!("+{added}"),
        (removed, 0) => format!("-{removed}"),
        (removed, added) => format!("-{removed} +{added}"),
    }
}

/// How wide the columns are.
#[derive(Default)]
struct Widths {
    name: usize,
    words: usize,
    path: usize,
    /// How wide a value may be.
    value: usize,
    /// How wide the widest one is.
    shown: usize,
}

/// The mark with its blanks, the gaps between the columns, the longest cause.
const AROUND: usize = 4 + 4 * 3 + 6;

impl Widths {
    fn of<'a>(changes: impl Iterator<Item = &'a &'a Change>, width: Option<usize>) -> Self {
        let mut widths = Self::default();
        for change in changes {
            widths.name = widths.name.max(name(change).chars().count());
            widths.words = widths.words.max(words(change).chars().count());
            let paths = change.fields.iter().map(|field| field.path.as_str().chars().count());
            widths.path = widths.path.max(paths.max().unwrap_or(0));
        }
        let taken = widths.name + widths.words + widths.path + AROUND;
        let room = width.map_or(2 * VALUE_CHARS + 3, |width| width.saturating_sub(taken));
        widths.value = room.clamp(VALUE_CHARS_MIN, 2 * VALUE_CHARS + 3);
        widths
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(before: &str, after: &str, room: usize) -> String {
        let word = |text: &str| FieldValue::Word(text.to_owned());
        pair(Some(&word(before)), Some(&word(after)), room)
    }

    #[test]
    fn what_tells_two_values_apart_is_shown_where_all_of_them_has_no_room() {
        let image = |digest: &str| format!("127.0.0.1:5000/shop/app:1 ({digest})");
        let (old, new) = (image("sha256:aaaaaaaaaaaa"), image("sha256:aabbbbbbbbbb"));
        let expected = "….1:5000/shop/app:1 (sha256:aaaaaaaaaaaa) → … (sha256:aabbbbbbbbbb)";
        assert_eq!(shown(&old, &new, 67), expected);
        assert_eq!(shown(&old, &new, 120), format!("{old} → {new}"));
        assert_eq!(shown(&old, &new, 49), "… (sha256:aaaaaaaaaaaa) → … (sha256:aabbbbbbbbbb)");
        assert_eq!(shown(&old, &new, 24), "… (sha256:a… → … (sha256:a…");
        assert_eq!(shown("/srv/a/long/way/one", "/srv/a/long/way/two", 24), "…/a/long/way/one → …/two");
        assert_eq!(shown("/srv/ä/ö/ü/ß/é/è/one", "/srv/ä/ö/ü/ß/é/è/two", 24), "…ä/ö/ü/ß/é/è/one → …/two");
    }

    #[test]
    fn values_that_begin_apart_are_cut_at_their_end() {
        assert_eq!(shown("abcdefghijklmnop", "qrstuvwxyzabcdef", 24), "abcdefghijk… → qrstuvwxyza…");
        assert_eq!(shown("one", "a value that is much longer than that", 24), "one → a value that is much…");
        assert_eq!(pair(None, Some(&FieldValue::Word("x".to_owned())), 24), "(none) → x");
    }
}
