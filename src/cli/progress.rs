//! What happens during a deploy, drawn as it happens.
//!
//! On a terminal: a bar for every pull, a line for every gate that keeps people waiting, and one for what is being done.
//! They vanish when their time is over. The lines of [`Story`] stay, and are all that there is elsewhere.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::output::Output;
use super::story::Story;
use super::words::{bytes, seconds};
use crate::apply::progress::{Event, Progress};
use crate::engine::PullProgress;
use crate::model::image::ImageRef;
use crate::plan::Plan;
use crate::plan::step::Action;

/// Gates that pass sooner aren't drawn: nobody could read it.
const SHOWN_AFTER: Duration = Duration::from_millis(300);

/// How often a spinner turns.
const TICK: Duration = Duration::from_millis(120);

/// Tells people how a deploy goes.
pub(super) struct Bars {
    output: Output,
    state: Mutex<State>,
}

struct State {
    story: Story,
    drawing: Option<Drawing>,
}

impl Bars {
    pub(super) fn new(output: Output) -> Self {
        let drawing = output.live.then(Drawing::new);
        Self { output, state: Mutex::new(State { story: Story::new(output.verbose), drawing }) }
    }

    /// From here on it is `plan` that is carried out.
    pub(super) fn follow(&self, plan: &Plan) {
        self.lock().story = Story::of_plan(plan, self.output.verbose);
    }

    /// Takes away what is drawn.
    pub(super) fn clear(&self) {
        if let Some(drawing) = self.lock().drawing.take() {
            drawing.clear();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Progress for Bars {
    fn event(&self, event: Event<'_>) {
        let mut state = self.lock();
        let lines = state.story.hear(event);
        match &mut state.drawing {
            Some(drawing) => {
                drawing.hear(event);
                for line in lines {
                    drawing.print(&line);
                }
            }
            None => lines.iter().for_each(|line| self.output.say(line)),
        }
    }
}

impl Drop for Bars {
    fn drop(&mut self) {
        self.clear();
    }
}

/// What is drawn at the bottom of the terminal.
struct Drawing {
    all: MultiProgress,
    coloured: bool,
    /// What is being done at the moment. The last line.
    now: ProgressBar,
    running: BTreeMap<usize, String>,
    pulls: BTreeMap<String, ProgressBar>,
    waits: BTreeMap<String, ProgressBar>,
}

impl Drawing {
    fn new() -> Self {
        let all = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
        let now = ProgressBar::new_spinner().with_style(style("{spinner:.cyan} {msg}"));
        Self {
            now: all.add(now),
            all,
            coloured: Output::is_stderr_coloured(),
            running: BTreeMap::new(),
            pulls: BTreeMap::new(),
            waits: BTreeMap::new(),
        }
    }

    fn hear(&mut self, event: Event<'_>) {
        match event {
            Event::Began { .. } | Event::RollbackBegan { .. } | Event::RollingBack { .. } => {
                self.running.clear();
                self.drop_bars();
                self.now.enable_steady_tick(TICK);
            }
            Event::StepStarted { at, step, what } => {
                // Pulls and gates have lines of their own.
                if !matches!(step.action, Action::PullImage { .. } | Action::Await { .. }) {
                    self.running.insert(at, what.to_owned());
                }
            }
            Event::Pulling { image, progress } => self.pull(image, progress),
            Event::Waiting { name, for_what, since, .. } => {
                if since >= SHOWN_AFTER {
                    self.wait(name, &format!("waits for {for_what}, {}", seconds(since)));
                }
            }
            Event::StepDone { at, step, name, .. } => {
                self.running.remove(&at);
                match (&step.action, name) {
                    (Action::PullImage { image, .. }, _) => {
                        finish(self.pulls.remove(&image.name().to_string()));
                    }
                    (Action::Await { .. }, Some(name)) => finish(self.waits.remove(name)),
                    _ => {}
                }
            }
            Event::StepFailed { at, .. } => {
                self.running.remove(&at);
            }
            Event::Committed => {}
        }
        self.now.set_message(self.running.values().next().cloned().unwrap_or_default());
    }

    fn pull(&mut self, image: &ImageRef, progress: PullProgress) {
        let name = image.name().to_string();
        let add = || {
            let bar = ProgressBar::new(0).with_style(style("  {prefix}   {wide_bar:.cyan/blue} {msg}"));
            let bar = self.all.insert_before(&self.now, bar);
            bar.set_prefix(name.clone());
            bar
        };
        let bar = self.pulls.entry(name.clone()).or_insert_with(add);
        let PullProgress { done_bytes, total_bytes } = progress;
        bar.set_length(total_bytes);
        bar.set_position(done_bytes);
        bar.set_message(format!("{} of {}", bytes(done_bytes), bytes(total_bytes)));
    }

    fn wait(&mut self, name: &str, words: &str) {
        let add = || {
            let bar = ProgressBar::new_spinner().with_style(style("  {spinner:.cyan} {prefix}   {msg}"));
            let bar = self.all.insert_before(&self.now, bar);
            bar.set_prefix(name.to_owned());
            bar.enable_steady_tick(TICK);
            bar
        };
        self.waits.entry(name.to_owned()).or_insert_with(add).set_message(words.to_owned());
    }

    fn print(&self, line: &str) {
        let line =
            if self.coloured { line.to_owned() } else { anstream::adapter::strip_str(line).to_string() };
        // A terminal that is gone is no failure of the deploy.
        let _ = self.all.println(line);
    }

    fn drop_bars(&mut self) {
        let bars = std::mem::take(&mut self.pulls).into_values();
        bars.chain(std::mem::take(&mut self.waits).into_values()).for_each(|bar| finish(Some(bar)));
    }

    fn clear(mut self) {
        self.drop_bars();
        self.now.finish_and_clear();
    }
}

fn finish(bar: Option<ProgressBar>) {
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
}

/// A template of ours. The fallback is never seen: the templates above are all good.
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}
