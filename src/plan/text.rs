//! The plan for people: readable without colour, aligned, widest column last.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};

use super::Plan;
use super::change::Operation;
use super::lines::{Line, Mark, Scope, lines};

/// How the text is laid out.
#[derive(Debug, Clone, Copy)]
pub struct Layout {
    /// Whether marks and headings are coloured.
    pub colour: bool,
    /// Columns of the terminal; 0 where there is none to keep to. The id of the plan stands at the right edge of the
    /// first line.
    pub width: usize,
    /// Whether what stays as it is is listed too.
    pub full: bool,
}

/// The plan as text, with a line break at its end.
pub fn to_text(plan: &Plan, layout: Layout) -> String {
    let left = format!("Plan for {} at {}, {}", plan.stack, plan.revision, counts(plan));
    let right = format!("plan {}", plan.id);
    let gap = layout.width.saturating_sub(left.chars().count() + right.chars().count()).max(2);
    format!("{}{}{right}\n{}", paint(&left, Style::new().bold(), layout), " ".repeat(gap), body(plan, layout))
}

/// How much changes and how much doesn't.
pub(super) fn counts(plan: &Plan) -> String {
    let changed = match plan.changes.len() {
        0 => String::new(),
        changed => format!("{changed} to change, "),
    };
    let reported = match plan.reported.len() {
        0 => String::new(),
        reported => format!(", {reported} only reported"),
    };
    format!("{changed}{} unchanged{reported}", plan.unchanged.len())
}

/// Everything below the heading.
pub(super) fn body(plan: &Plan, layout: Layout) -> String {
    let mut text = String::new();
    if plan.is_empty() && plan.changes.is_empty() {
        text.push_str("nothing to do\n");
    }
    let width = Some(layout.width).filter(|width| *width > 0);
    for line in lines(plan, Scope { width, full: layout.full }) {
        write(&mut text, &line, layout);
    }
    text
}

fn write(text: &mut String, line: &Line, layout: Layout) {
    let Line { mark, text: words } = line;
    let dim = Style::new().dimmed();
    let _ = match mark {
        Mark::Group => writeln!(text, "{}", paint(words, Style::new().bold(), layout)),
        Mark::Change(operation) => {
            let symbol = paint(&operation.symbol().to_string(), colour(*operation), layout);
            writeln!(text, "  {symbol} {words}")
        }
        Mark::Field => writeln!(text, "    {words}"),
        Mark::Added => writeln!(text, "      {}", paint(words, of(AnsiColor::Green), layout)),
        Mark::Removed => writeln!(text, "      {}", paint(words, of(AnsiColor::Red), layout)),
        Mark::Context => writeln!(text, "      {}", paint(words, dim, layout)),
        Mark::Unchanged => writeln!(text, "  {}", paint(&format!("= {words}"), dim, layout)),
        Mark::Note => writeln!(text, "{words}"),
    };
}

fn colour(operation: Operation) -> Style {
    of(match operation {
        Operation::Create | Operation::Start => AnsiColor::Green,
        Operation::InPlace | Operation::Recreate | Operation::Replace(_) | Operation::Revive(_) => {
            AnsiColor::Yellow
        }
        Operation::Remove => AnsiColor::Red,
        Operation::Report => AnsiColor::Cyan,
    })
}

fn of(colour: AnsiColor) -> Style {
    Style::new().fg_color(Some(colour.into()))
}

pub(super) fn paint(text: &str, style: Style, layout: Layout) -> String {
    if layout.colour { format!("{style}{text}{style:#}") } else { text.to_owned() }
}
