//! The plan for people: readable without colour, aligned, widest column last.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};

use super::Plan;
use super::change::{Change, FieldChange, Operation, Reason};
use super::fields::FieldValue;

/// How the text is laid out.
#[derive(Debug, Clone, Copy)]
pub struct Layout {
    /// Whether marks and headings are coloured.
    pub colour: bool,
    /// Columns of the terminal; the id of the plan stands at the right edge of the first line.
    pub width: usize,
}

/// The longest value that is shown whole, in characters.
const VALUE_CHARS: usize = 60;

/// The plan as text, with a line break at its end.
pub fn to_text(plan: &Plan, layout: Layout) -> String {
    let mut text = heading(plan, layout);
    if plan.is_empty() {
        text.push_str("nothing to do\n");
    }
    let rows: Vec<(Option<String>, Vec<Row>)> = groups(plan);
    let widths = Widths::of(rows.iter().flat_map(|(_, rows)| rows));
    for (group, rows) in &rows {
        let name = group.as_deref().unwrap_or("networks and volumes");
        let _ = writeln!(text, "{}", paint(name, Style::new().bold(), layout));
        for row in rows {
            row.write(&mut text, &widths, layout);
        }
    }
    for note in &plan.notes {
        let _ = writeln!(text, "note: {note}");
    }
    if let Some(consent) = &plan.consent {
        let _ = writeln!(
            text,
            "this removes {} of {} services: {}",
            consent.removed.len(),
            consent.of,
            consent.removed.join(", ")
        );
    }
    text
}

fn heading(plan: &Plan, layout: Layout) -> String {
    let counts = match plan.changes.len() {
        0 => format!("{} unchanged", plan.unchanged),
        changed => format!("{changed} to change, {} unchanged", plan.unchanged),
    };
    let left = format!("Plan for {} at {}, {counts}", plan.stack, plan.revision);
    let right = format!("plan {}", plan.id);
    let gap = layout.width.saturating_sub(left.chars().count() + right.chars().count()).max(2);
    format!("{}{}{right}\n", paint(&left, Style::new().bold(), layout), " ".repeat(gap))
}

/// The rows by tier, in the order of the tiers. What belongs to no tier comes first, removed services with no tier
/// come last.
fn groups(plan: &Plan) -> Vec<(Option<String>, Vec<Row>)> {
    let shared: Vec<Row> =
        plan.changes.iter().filter(|change| change.service.is_none()).flat_map(Row::of_change).collect();
    let mut groups = vec![(None, shared)];
    for tier in &plan.tiers {
        let rows =
            plan.changes.iter().filter(|change| change.tier.as_ref() == Some(tier)).flat_map(Row::of_change);
        groups.push((Some(tier.to_string()), rows.collect()));
    }
    let gone = plan.changes.iter().filter(|change| change.service.is_some() && change.tier.is_none());
    groups.push((Some("no longer wanted".to_owned()), gone.flat_map(Row::of_change).collect()));
    groups.retain(|(_, rows)| !rows.is_empty());
    groups
}

/// One line: the first of a change has its mark, name and cost, the others only a field.
struct Row {
    operation: Option<Operation>,
    name: String,
    words: String,
    path: String,
    value: String,
    cause: String,
    diff: String,
}

impl Row {
    fn of_change(change: &Change) -> Vec<Self> {
        let name = match change.service {
            Some(_) => change.name.clone(),
            None => format!("{} {}", change.kind, change.name),
        };
        let reason = match &change.reason {
            Reason::Differs | Reason::New => None,
            reason @ (Reason::Gone | Reason::NotRunning(_) | Reason::NotWanted) => Some(reason.to_string()),
        };
        let mut rows: Vec<Self> = change.fields.iter().map(Self::of_field).collect();
        if rows.is_empty() || reason.is_some() {
            let cause = change.reason.cause().map(|cause| cause.to_string()).unwrap_or_default();
            rows.insert(0, Self { value: reason.unwrap_or_default(), cause, ..Self::empty() });
        }
        if let Some(first) = rows.first_mut() {
            first.operation = Some(change.operation);
            first.name = name;
            change.operation.words().clone_into(&mut first.words);
        }
        rows
    }

    fn empty() -> Self {
        Self {
            operation: None,
            name: String::new(),
            words: String::new(),
            path: String::new(),
            value: String::new(),
            cause: String::new(),
            diff: String::new(),
        }
    }

    fn of_field(field: &FieldChange) -> Self {
        let value = match (&field.before, &field.after) {
            (None, Some(after)) => shown(after),
            (Some(before), None) => format!("{} → (none)", shown(before)),
            (Some(before), Some(after)) => format!("{} → {}", shown(before), shown(after)),
            (None, None) => String::new(),
        };
        let value = if field.before.is_none() && field.path.as_str() != "image" {
            format!("(none) → {value}")
        } else {
            value
        };
        Self {
            path: field.path.to_string(),
            value,
            cause: field.cause.to_string(),
            diff: field.diff.clone().unwrap_or_default(),
            ..Self::empty()
        }
    }

    fn write(&self, text: &mut String, widths: &Widths, layout: Layout) {
        let mark = self.operation.map_or(' ', Operation::symbol).to_string();
        let mark = paint(&mark, self.operation.map_or(Style::new(), colour), layout);
        let pad = |word: &str, width: usize| {
            format!("{word}{}", " ".repeat(width.saturating_sub(word.chars().count())))
        };
        let columns = [
            (&self.name, widths.name),
            (&self.words, widths.words),
            (&self.path, widths.path),
            (&self.value, widths.value),
        ];
        // A column that is empty in every row takes no room.
        let padded =
            columns.iter().filter(|(_, width)| *width > 0).map(|(word, width)| pad(word, *width) + "   ");
        let line = format!("  {mark} {}{}", padded.collect::<Vec<_>>().concat(), self.cause);
        let _ = writeln!(text, "{}", line.trim_end());
        for line in self.diff.lines() {
            let style = match line.chars().next() {
                Some('+') => Style::new().fg_color(Some(AnsiColor::Green.into())),
                Some('-') => Style::new().fg_color(Some(AnsiColor::Red.into())),
                _ => Style::new().dimmed(),
            };
            let _ = writeln!(text, "      {}", paint(&inert(line), style, layout));
        }
    }
}

#[derive(Default)]
struct Widths {
    name: usize,
    words: usize,
    path: usize,
    value: usize,
}

impl Widths {
    fn of<'a>(rows: impl Iterator<Item = &'a Row>) -> Self {
        let mut widths = Self::default();
        for row in rows {
            widths.name = widths.name.max(row.name.chars().count());
            widths.words = widths.words.max(row.words.chars().count());
            widths.path = widths.path.max(row.path.chars().count());
            widths.value = widths.value.max(row.value.chars().count());
        }
        widths
    }
}

/// The value in one line of bounded length, without characters that could fool a terminal.
fn shown(value: &FieldValue) -> String {
    let text = inert(&value.to_string());
    if text.chars().count() <= VALUE_CHARS {
        return text;
    }
    let start: String = text.chars().take(VALUE_CHARS - 1).collect();
    format!("{start}…")
}

/// The text without characters that could move a cursor or change colours.
fn inert(text: &str) -> String {
    text.chars().map(|c| if c.is_control() || is_directional(c) { '\u{fffd}' } else { c }).collect()
}

/// Whether the character changes the direction of text, with which a line can be made to look like another one.
fn is_directional(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn colour(operation: Operation) -> Style {
    let colour = match operation {
        Operation::Create | Operation::Start => AnsiColor::Green,
        Operation::InPlace | Operation::Replace | Operation::Revive => AnsiColor::Yellow,
        Operation::Remove => AnsiColor::Red,
    };
    Style::new().fg_color(Some(colour.into()))
}

fn paint(text: &str, style: Style, layout: Layout) -> String {
    if layout.colour { format!("{style}{text}{style:#}") } else { text.to_owned() }
}
