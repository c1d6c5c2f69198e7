//! What happens during a deploy, drawn as it happens.

use super::output::Output;
use crate::apply::progress::{Event, Progress};

/// Lines for steps, and bars for pulls and waits where there is a terminal.
pub(super) struct Bars {
    output: Output,
}

impl Bars {
    pub(super) fn new(output: Output) -> Self {
        Self { output }
    }

    pub(super) fn clear(&self) {}
}

impl Progress for Bars {
    fn event(&self, event: Event<'_>) {
        if let Event::StepDone { what, took, .. } = event {
            self.output.say(&format!("  {what} ({})", super::outcome::seconds(took)));
        }
    }
}
