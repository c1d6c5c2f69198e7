//! What a pull request would do, environment by environment: the value that text, JSON and Markdown are made of.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::Plan;
use super::change::Operation;
use super::inert::line;
use super::refusal::Refusal;
use super::text::{Layout, body, counts, paint};
use crate::model::update::UpdateOrder;

/// Version of the JSON form.
pub const VERSION: u32 = 1;

/// Longest note.
const NOTE_CHARS: usize = 400;

/// The plans of several environments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Review {
    /// The project, which the hidden mark of the Markdown form names.
    pub project: String,
    /// The revision that is compared with; absent where live Docker is.
    pub base: Option<String>,
    /// The revision that is looked at.
    pub head: String,
    /// One section for each environment.
    pub sections: Vec<Section>,
    /// What concerns all of them.
    pub notes: Vec<String>,
    /// What to run to see all of it, for where it is shortened.
    pub command: String,
}

/// One environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// The environment; the stack where there are only files.
    pub name: String,
    /// What would become of it.
    pub verdict: Verdict,
    /// What there is to know.
    pub notes: Vec<String>,
}

/// What would become of an environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// There is a plan, and what stands in the way of it.
    Planned(Box<Plan>, Vec<Refusal>),
    /// It can't be planned at all.
    Refused(Vec<Refusal>),
    /// The manifests are wrong: the diagnostics as text, and how many errors.
    Invalid(String, usize),
    /// The head has no such environment any more.
    Dropped,
}

/// How much a change may cost, the worst last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Risk {
    /// Nothing changes.
    None,
    /// Only new things, and changes of what goes on running.
    Low,
    /// So many containers are stopped and replaced.
    Outage(usize),
    /// So many services are removed.
    Removal(usize),
    /// It can't be deployed as it is.
    Blocked,
}

impl std::fmt::Display for Risk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let plural = |number: usize| if number == 1 { "" } else { "s" };
        match *self {
            Self::None => f.write_str("none"),
            Self::Low => f.write_str("low: nothing stops"),
            Self::Outage(number) => write!(f, "outage of {number} container{}", plural(number)),
            Self::Removal(number) => write!(f, "removes {number} object{}", plural(number)),
            Self::Blocked => f.write_str("can't be deployed"),
        }
    }
}

impl Section {
    /// The plan, where there is one.
    pub fn plan(&self) -> Option<&Plan> {
        match &self.verdict {
            Verdict::Planned(plan, _) => Some(plan),
            Verdict::Refused(_) | Verdict::Invalid(..) | Verdict::Dropped => None,
        }
    }

    /// What stands in the way.
    pub fn refusals(&self) -> &[Refusal] {
        match &self.verdict {
            Verdict::Planned(_, refusals) | Verdict::Refused(refusals) => refusals,
            Verdict::Invalid(..) | Verdict::Dropped => &[],
        }
    }

    /// How many containers, networks and volumes are made, replaced, changed in place or started, and removed.
    pub fn counts(&self) -> [usize; 4] {
        let mut counts = [0; 4];
        for change in self.plan().into_iter().flat_map(|plan| &plan.changes) {
            counts[match change.operation {
                Operation::Create => 0,
                Operation::Recreate | Operation::Replace(_) | Operation::Revive(_) => 1,
                Operation::InPlace | Operation::Start => 2,
                Operation::Remove => 3,
                Operation::Report => continue,
            }] += 1;
        }
        counts
    }

    /// How many containers stop before another one serves in their place.
    fn outages(&self) -> usize {
        let changes = self.plan().into_iter().flat_map(|plan| &plan.changes);
        changes.filter(|change| change.operation.order() == Some(UpdateOrder::StopFirst)).count()
    }

    /// How much it may cost.
    pub fn risk(&self) -> Risk {
        let blocked = matches!(self.verdict, Verdict::Refused(_) | Verdict::Invalid(..));
        match self.counts() {
            _ if blocked || !self.refusals().is_empty() => Risk::Blocked,
            [0, 0, 0, 0] => Risk::None,
            [_, 0, _, 0] => Risk::Low,
            [_, _, _, 0] => match self.outages() {
                0 => Risk::Low,
                outages => Risk::Outage(outages),
            },
            [_, _, _, removed] => Risk::Removal(removed),
        }
    }

    /// Whether there is anything to say of it.
    pub fn is_quiet(&self) -> bool {
        self.risk() == Risk::None && self.verdict != Verdict::Dropped
    }

    /// What it comes to, in a few words.
    pub(super) fn summary(&self) -> String {
        match &self.verdict {
            Verdict::Planned(plan, refusals) if refusals.is_empty() => counts(plan),
            Verdict::Planned(plan, _) => format!("{}, but it can't be deployed as it is", counts(plan)),
            Verdict::Refused(_) => "can't be deployed as it is".to_owned(),
            Verdict::Invalid(_, 1) => "not valid: 1 error".to_owned(),
            Verdict::Invalid(_, errors) => format!("not valid: {errors} errors"),
            Verdict::Dropped => "no longer there; what runs stays".to_owned(),
        }
    }
}

impl Review {
    /// Whether something is wrong with the head.
    pub fn is_blocked(&self) -> bool {
        self.sections.iter().any(|section| section.risk() == Risk::Blocked)
    }

    /// Whether anything would change.
    pub fn has_changes(&self) -> bool {
        self.sections.iter().any(|section| !section.is_quiet())
    }

    /// For people, on a terminal or not.
    pub fn to_text(&self, layout: Layout) -> String {
        let mut text = String::new();
        for note in &self.notes {
            let _ = writeln!(text, "note: {}\n", line(note, NOTE_CHARS));
        }
        let bold = anstyle::Style::new().bold();
        for section in &self.sections {
            let heading = match &self.base {
                Some(base) => format!("{}: {base} → {}, {}", section.name, self.head, section.summary()),
                None => format!("{} at {}, {}", section.name, self.head, section.summary()),
            };
            let _ = writeln!(text, "{}", paint(&line(&heading, NOTE_CHARS), bold, layout));
            match &section.verdict {
                Verdict::Planned(plan, _) if !plan.changes.is_empty() || layout.full => {
                    text.push_str(&body(plan, layout));
                }
                Verdict::Planned(plan, _) => {
                    for note in &plan.notes {
                        let _ = writeln!(text, "note: {}", line(note, NOTE_CHARS));
                    }
                }
                Verdict::Invalid(report, _) => {
                    for shown in report.lines() {
                        let _ = writeln!(text, "{}", line(shown, NOTE_CHARS));
                    }
                }
                Verdict::Refused(_) | Verdict::Dropped => {}
            }
            for words in section.said() {
                let _ = writeln!(text, "{words}");
            }
            text.push('\n');
        }
        text.truncate(text.trim_end().len());
        text + "\n"
    }

    /// For machines. The names and meanings of its fields are stable within one `version`.
    pub fn to_json(&self) -> Value {
        json!({
            "version": VERSION,
            "project": self.project,
            "base": self.base,
            "head": self.head,
            "blocked": self.is_blocked(),
            "changes": self.has_changes(),
            "environments": self.sections.iter().map(section_json).collect::<Vec<_>>(),
            "notes": self.notes,
        })
    }
}

impl Section {
    /// Obstacles and notes, a line each.
    pub(super) fn said(&self) -> Vec<String> {
        let refusals = self.refusals().iter().flat_map(|Refusal { what, hint }| {
            [format!("refused: {}", line(what, NOTE_CHARS)), format!("hint: {}", line(hint, NOTE_CHARS))]
        });
        refusals.chain(self.notes.iter().map(|note| format!("note: {}", line(note, NOTE_CHARS)))).collect()
    }
}

fn section_json(section: &Section) -> Value {
    let [new, replace, in_place, remove] = section.counts();
    let diagnostics = match &section.verdict {
        Verdict::Invalid(report, _) => Some(report),
        Verdict::Planned(..) | Verdict::Refused(_) | Verdict::Dropped => None,
    };
    let refusals =
        section.refusals().iter().map(|Refusal { what, hint }| json!({"what": what, "hint": hint}));
    json!({
        "environment": section.name,
        "summary": section.summary(),
        "new": new,
        "replace": replace,
        "in_place": in_place,
        "remove": remove,
        "risk": section.risk().to_string(),
        "dropped": section.verdict == Verdict::Dropped,
        "diagnostics": diagnostics,
        "refusals": refusals.collect::<Vec<_>>(),
        "notes": section.notes,
        "plan": section.plan().map(super::json::to_json),
    })
}
