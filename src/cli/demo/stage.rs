//! What is heard from the agent during a demonstration, and how it is shown.

use std::time::Duration;

use anstyle::{AnsiColor, Style};
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::Instant;

use crate::agent::{Audience, Happening};
use crate::apply::progress::{Event, Progress};
use crate::apply::{Outcome, StepFailure};
use crate::cli::output::Output;
use crate::plan::Plan;
use crate::plan::text::{Layout, to_text};

/// What the agent told, kept for the one who tells the story.
#[derive(Debug)]
pub(super) enum Heard {
    /// It is about to carry out a plan.
    Deploys(Box<Plan>),
    /// A step was done: `wait for auren-redis`.
    Done { what: String, took: Duration },
    /// A step failed, and the deploy goes back.
    Fails(Option<StepFailure>),
    /// The deploy is committed.
    Committed,
    /// A deploy, or a look that found nothing to do, has ended.
    Ended(Box<(Plan, Outcome)>),
    /// It waits.
    Rests,
}

/// Passes on what the agent tells, with the time.
#[derive(Debug)]
pub(super) struct Ear(pub(super) UnboundedSender<(Instant, Heard)>);

impl Ear {
    fn pass(&self, heard: Heard) {
        // Nobody listens any more once the story is at its end.
        let _ = self.0.send((Instant::now(), heard));
    }
}

impl Progress for Ear {
    fn event(&self, event: Event<'_>) {
        match event {
            Event::StepDone { what, took, .. } => self.pass(Heard::Done { what: what.to_owned(), took }),
            Event::RollingBack { failure } => self.pass(Heard::Fails(failure.cloned())),
            Event::Committed => self.pass(Heard::Committed),
            Event::Began { .. }
            | Event::StepStarted { .. }
            | Event::Pulling { .. }
            | Event::Waiting { .. }
            | Event::StepFailed { .. }
            | Event::RollbackBegan { .. } => {}
        }
    }
}

impl Audience for Ear {
    fn happens(&self, happening: Happening<'_>) {
        match happening {
            Happening::Deploys(plan) => self.pass(Heard::Deploys(Box::new(plan.clone()))),
            Happening::Ended(plan, outcome) => {
                self.pass(Heard::Ended(Box::new((plan.clone(), outcome.clone()))));
            }
            Happening::Rests => self.pass(Heard::Rests),
            _ => {}
        }
    }
}

/// Shows the story on standard output.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stage {
    output: Output,
    chapter: usize,
    began: Instant,
}

/// Where the text of a line begins, after the time.
const MARGIN: usize = 12;

impl Stage {
    pub(super) fn new(output: Output) -> Self {
        Self { output, chapter: 0, began: Instant::now() }
    }

    /// A paragraph at the left.
    pub(super) fn say(&self, text: &str) {
        self.output.data(text);
    }

    /// Opens a chapter.
    pub(super) fn chapter(&mut self, title: &str, what: &str) {
        self.chapter += 1;
        let title = self.styled(&format!("{}  {title}", self.chapter), Style::new().bold());
        self.output.data(&format!("\n{title}\n   {}\n", self.dim(what)));
        self.reset();
    }

    /// From now on, times are counted from now.
    pub(super) fn reset(&mut self) {
        self.began = Instant::now();
    }

    /// A line with the time at which it happened.
    pub(super) fn at(&self, when: Instant, text: &str) {
        let time = elapsed(when.saturating_duration_since(self.began));
        self.output.data(&format!("{}  {text}", self.dim(&format!("{time:>width$}", width = MARGIN - 2))));
    }

    /// A line without a time, below one that has it.
    pub(super) fn below(&self, text: &str) {
        self.output.data(&format!("{:MARGIN$}{text}", ""));
    }

    /// A plan as `evenkeel plan` shows it.
    pub(super) fn plan(&self, plan: &Plan) {
        let width = self.output.width.saturating_sub(MARGIN);
        for line in to_text(plan, Layout { colour: self.output.colour, width, full: false }).lines() {
            self.below(line);
        }
    }

    pub(super) fn dim(&self, text: &str) -> String {
        self.styled(text, Style::new().dimmed())
    }

    pub(super) fn good(&self, text: &str) -> String {
        self.styled(text, Style::new().fg_color(Some(AnsiColor::Green.into())))
    }

    pub(super) fn bad(&self, text: &str) -> String {
        self.styled(text, Style::new().fg_color(Some(AnsiColor::Red.into())))
    }

    pub(super) fn bold(&self, text: &str) -> String {
        self.styled(text, Style::new().bold())
    }

    fn styled(&self, text: &str, style: Style) -> String {
        if self.output.colour { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }
}

/// A short time: milliseconds below a second, else seconds.
pub(super) fn elapsed(time: Duration) -> String {
    if time < Duration::from_secs(1) {
        format!("{} ms", time.as_millis())
    } else {
        format!("{:.2} s", time.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_short() {
        let texts = [0, 999, 1000, 12_345].map(|ms| elapsed(Duration::from_millis(ms)));
        assert_eq!(texts, ["0 ms", "999 ms", "1.00 s", "12.35 s"]);
    }
}
