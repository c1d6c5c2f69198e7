//! What of a deploy is worth a line: one for each service when it is up, changed or stopped, and what failed.
//!
//! The steps of a deploy are many and each is soon done. What people wait for is a service, so its line comes when the
//! last step that it was waiting for has ended.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anstyle::{AnsiColor, Style};

use super::outcome::cause;
use super::words::{bytes, seconds};
use crate::apply::progress::Event;
use crate::engine::stand_in;
use crate::model::image::ImageRef;
use crate::plan::Plan;
use crate::plan::change::Operation;
use crate::plan::step::{Action, Phase, Step};

/// A deploy as it is told so far.
#[derive(Debug, Default)]
pub(super) struct Story {
    subjects: BTreeMap<String, Subject>,
    /// Columns of the longest name, so that what follows is aligned.
    width: usize,
    heading: Option<String>,
    told: BTreeSet<String>,
    took: BTreeMap<String, Duration>,
    pulled: BTreeMap<String, u64>,
    is_back: bool,
    /// Whether it was said that what was reached stays.
    is_held: bool,
    /// What is to be said once the plan of the way back is made.
    way_back: Option<&'static str>,
    /// Whether every step has a line.
    verbose: bool,
}

/// A service as the plan has it.
#[derive(Debug)]
struct Subject {
    tier: Option<String>,
    operation: Operation,
}

impl Story {
    pub(super) fn new(verbose: bool) -> Self {
        Self { verbose, ..Self::default() }
    }

    /// Begins the story of `plan`.
    pub(super) fn of_plan(plan: &Plan, verbose: bool) -> Self {
        let services = plan.changes.iter().filter(|change| change.service.is_some());
        let subject = |tier: Option<String>, operation| Subject { tier, operation };
        let subjects: BTreeMap<_, _> = services
            .map(|change| {
                let tier = change.tier.as_ref().map(ToString::to_string);
                (change.name.clone(), subject(tier, change.operation))
            })
            .collect();
        let images = plan.steps.iter().filter_map(|step| match &step.action {
            Action::PullImage { image, .. } => Some(image.name().to_string()),
            _ => None,
        });
        let names = subjects.keys().cloned().chain(images);
        let width = names.map(|name| name.chars().count()).max().unwrap_or(0);
        Self { subjects, width, verbose, ..Self::default() }
    }

    /// The lines that `event` is worth.
    pub(super) fn hear(&mut self, event: Event<'_>) -> Vec<String> {
        match event {
            Event::Pulling { image, progress } => {
                self.pulled.insert(image.name().to_string(), progress.total_bytes);
                Vec::new()
            }
            Event::StepDone { step, what, name, took, .. } => {
                let lines = self.done(step, name, took);
                if lines.is_empty() && self.verbose {
                    return vec![format!("  {} {what}, {}", dim("·"), seconds(took))];
                }
                lines
            }
            Event::StepFailed { step, name, failure, .. } => {
                let image = match &step.action {
                    Action::PullImage { image, .. } => Some(image.name().to_string()),
                    _ => None,
                };
                let about = name.map(str::to_owned).or(image).unwrap_or_else(|| failure.what.clone());
                let mut lines = self.heading_of(&about);
                lines.push(self.line(&paint("✗", AnsiColor::Red), &about, cause(failure)));
                lines
            }
            Event::Committed => vec!["committed".to_owned()],
            Event::RollingBack { failure } => {
                self.is_back = true;
                self.took.clear();
                // Whoever stopped it was told already.
                self.way_back = failure.map(|_| "going back to what ran before");
                Vec::new()
            }
            // It may be tried several times, and there may be nothing to do.
            Event::RollbackBegan { held: true, .. } => {
                self.is_back = true;
                let words = "a service is not to be rolled back: what was reached stays";
                let words = (!std::mem::replace(&mut self.is_held, true)).then_some(words);
                words.map(|words| paint(words, AnsiColor::Yellow)).into_iter().collect()
            }
            Event::RollbackBegan { steps, held: false } => {
                if !self.is_back {
                    self.is_back = true;
                    self.way_back = Some("an earlier deploy was cut off: going back to what ran before it");
                }
                let words = self.way_back.take_if(|_| steps > 0);
                words.map(|words| paint(words, AnsiColor::Yellow)).into_iter().collect()
            }
            Event::Began { .. } | Event::StepStarted { .. } | Event::Waiting { .. } => Vec::new(),
        }
    }

    fn done(&mut self, step: &Step, name: Option<&str>, took: Duration) -> Vec<String> {
        if let Action::PullImage { image, .. } = &step.action {
            return self.pull_done(image, took);
        }
        let Some(name) = name.filter(|_| step.turn.phase == Phase::Switch) else { return Vec::new() };
        let is_first = !self.took.contains_key(name);
        let total = {
            let total = self.took.entry(name.to_owned()).or_default();
            *total += took;
            *total
        };
        let after = seconds(total);
        let operation = self.subjects.get(name).map(|subject| subject.operation);
        let words = match (&step.action, self.is_back, operation) {
            (Action::Await { .. }, true, _) => format!("runs again after {after}"),
            // Nobody started it: a network of it was made anew.
            (Action::Await { .. }, false, _) if is_first => format!("still up after {after}"),
            (Action::Await { .. }, false, Some(Operation::Replace(_))) => {
                format!("replaced, up after {after}")
            }
            (Action::Await { .. }, false, Some(Operation::Revive(_))) => format!("revived, up after {after}"),
            (Action::Await { .. }, false, _) => format!("up after {after}"),
            (Action::Stop { .. }, false, Some(Operation::Remove)) => "stopped, no longer wanted".to_owned(),
            (
                Action::Update { .. } | Action::Connect { .. } | Action::Disconnect { .. },
                false,
                Some(Operation::InPlace),
            ) => "changed in place".to_owned(),
            _ => return Vec::new(),
        };
        if !self.told.insert(format!("{name} {}", self.is_back)) {
            return Vec::new();
        }
        let mut lines = self.heading_of(name);
        lines.push(self.line(&paint("✓", AnsiColor::Green), name, &words));
        lines
    }

    fn pull_done(&mut self, image: &ImageRef, took: Duration) -> Vec<String> {
        let name = image.name().to_string();
        let words = match self.pulled.get(&name) {
            _ if *image == stand_in::reference() => format!("made in {}", seconds(took)),
            Some(size) if *size > 0 => format!("pulled in {}, {}", seconds(took), bytes(*size)),
            _ => format!("pulled in {}", seconds(took)),
        };
        let mut lines = self.headed(Some("images".to_owned()));
        lines.push(self.line(&paint("✓", AnsiColor::Green), &name, &words));
        lines
    }

    /// The heading of the tier of `name`, where it is another than that of the line before.
    fn heading_of(&mut self, name: &str) -> Vec<String> {
        if self.is_back {
            return Vec::new();
        }
        let tier = self.subjects.get(name).and_then(|subject| subject.tier.clone());
        self.headed(tier)
    }

    fn headed(&mut self, heading: Option<String>) -> Vec<String> {
        if heading.is_none() || heading == self.heading {
            return Vec::new();
        }
        self.heading.clone_from(&heading);
        let bold = Style::new().bold();
        heading.into_iter().map(|heading| format!("{bold}{heading}{bold:#}")).collect()
    }

    fn line(&self, mark: &str, name: &str, words: &str) -> String {
        let gap = " ".repeat(self.width.saturating_sub(name.chars().count()));
        format!("  {mark} {name}{gap}   {words}")
    }
}

fn paint(text: &str, colour: AnsiColor) -> String {
    let style = Style::new().fg_color(Some(colour.into()));
    format!("{style}{text}{style:#}")
}

fn dim(text: &str) -> String {
    let style = Style::new().dimmed();
    format!("{style}{text}{style:#}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apply::StepFailure;
    use crate::engine::PullProgress;
    use crate::model::name::Instance;
    use crate::model::update::UpdateOrder;
    use crate::plan::step::{Target, Turn};

    /// A story of three services in two tiers.
    fn story() -> Story {
        let subject = |tier: &str, operation| Subject { tier: Some(tier.to_owned()), operation };
        let subjects = BTreeMap::from([
            ("db".to_owned(), subject("infrastructure", Operation::InPlace)),
            ("web".to_owned(), subject("apps", Operation::Replace(UpdateOrder::StopFirst))),
            ("old".to_owned(), Subject { tier: None, operation: Operation::Remove }),
        ]);
        Story { subjects, width: 3, ..Story::default() }
    }

    fn target() -> Target {
        Target::New(instance())
    }

    fn instance() -> Instance {
        Instance { service: "web".parse().unwrap(), number: 1 }
    }

    fn step(phase: Phase, action: Action) -> Step {
        Step { turn: Turn { phase, wave: 0 }, after: Vec::new(), action }
    }

    fn done(story: &mut Story, name: &str, action: Action, took_ms: u64) -> Vec<String> {
        let step = step(Phase::Switch, action);
        let took = Duration::from_millis(took_ms);
        plain(story.hear(Event::StepDone { at: 0, step: &step, what: "something", name: Some(name), took }))
    }

    fn plain(lines: impl IntoIterator<Item = String>) -> Vec<String> {
        lines.into_iter().map(|line| anstream::adapter::strip_str(&line).to_string()).collect()
    }

    fn awaits() -> Action {
        Action::Await { instance: instance(), target: target(), gate: crate::model::desired::Gate::default() }
    }

    fn stops() -> Action {
        Action::Stop { target: target(), grace: None }
    }

    #[test]
    fn a_service_has_one_line_under_the_heading_of_its_tier() {
        let mut story = story();
        let update = || Action::Update {
            target: target(),
            restart: None,
            resources: crate::model::spec::Resources::default(),
        };
        assert_eq!(done(&mut story, "db", update(), 5), ["infrastructure", "  ✓ db    changed in place"]);
        assert!(done(&mut story, "db", update(), 5).is_empty());
        assert!(done(&mut story, "web", stops(), 700).is_empty());
        assert!(done(&mut story, "web", Action::Start(target()), 300).is_empty());
        // The outage is what counts, from the stop of the old one on.
        assert_eq!(done(&mut story, "web", awaits(), 1_000), ["apps", "  ✓ web   replaced, up after 2.0 s"]);
        assert_eq!(done(&mut story, "old", stops(), 10), ["  ✓ old   stopped, no longer wanted"]);
        assert_eq!(plain(story.hear(Event::Committed)), ["committed"]);
    }

    #[test]
    fn the_way_back_is_told_once_and_only_where_there_is_one() {
        let failure = StepFailure {
            what: "wait for web".to_owned(),
            instance: Some(instance()),
            cause: "its process exited with 1".to_owned(),
            transient: false,
            log_tail: Vec::new(),
        };
        let mut story = story();
        let failed = step(Phase::Switch, awaits());
        let event = Event::StepFailed { at: 0, step: &failed, name: Some("web"), failure: &failure };
        assert_eq!(plain(story.hear(event)), ["apps", "  ✗ web   its process exited with 1"]);
        assert!(story.hear(Event::RollingBack { failure: Some(&failure) }).is_empty());
        assert!(story.hear(Event::RollbackBegan { steps: 0, held: false }).is_empty());
        assert_eq!(
            plain(story.hear(Event::RollbackBegan { steps: 3, held: false })),
            ["going back to what ran before"]
        );
        assert!(story.hear(Event::RollbackBegan { steps: 3, held: false }).is_empty());
        assert_eq!(done(&mut story, "web", awaits(), 200), ["  ✓ web   runs again after 200 ms"]);
    }

    #[test]
    fn what_is_held_is_told_once() {
        let mut story = Story::new(false);
        let told = plain(story.hear(Event::RollbackBegan { steps: 0, held: true }));
        assert_eq!(told, ["a service is not to be rolled back: what was reached stays"]);
        assert!(story.hear(Event::RollbackBegan { steps: 2, held: true }).is_empty());
    }

    #[test]
    fn a_recovery_says_what_it_is() {
        let mut story = Story::new(false);
        let told = plain(story.hear(Event::RollbackBegan { steps: 1, held: false }));
        assert_eq!(told, ["an earlier deploy was cut off: going back to what ran before it"]);
    }

    #[test]
    fn a_pull_says_how_much_it_was() {
        let mut story = story();
        let image: ImageRef = "nginx:1.27".parse().unwrap();
        let progress = PullProgress { done_bytes: 1, total_bytes: 41_300_000 };
        assert!(story.hear(Event::Pulling { image: &image, progress }).is_empty());
        let step = step(Phase::Images, Action::PullImage { image: image.clone(), platform: None });
        let took = Duration::from_secs(3);
        let told =
            story.hear(Event::StepDone { at: 0, step: &step, what: "pull nginx:1.27", name: None, took });
        assert_eq!(plain(told), ["images", "  ✓ nginx:1.27   pulled in 3.0 s, 41.3 MB"]);
    }

    #[test]
    fn every_other_step_has_a_line_only_where_more_is_wanted() {
        let lay = step(Phase::Commit, Action::Commit);
        let event =
            Event::StepDone { at: 0, step: &lay, what: "commit", name: None, took: Duration::from_millis(2) };
        assert!(story().hear(event).is_empty());
        assert_eq!(plain(Story { verbose: true, ..story() }.hear(event)), ["  · commit, 2 ms"]);
    }
}
