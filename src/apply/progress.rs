//! What a deploy tells while it runs, for progress bars and logs.
//!
//! Events are for people. Nothing decides by them, and a receiver must not block: it is called from the loop that
//! carries out the steps.

use std::time::Duration;

use super::StepFailure;
use crate::engine::PullProgress;
use crate::model::image::ImageRef;
use crate::model::name::{DeployId, Instance};
use crate::plan::step::Step;

/// Is told what happens.
pub trait Progress: Send + Sync {
    /// Something happened.
    fn event(&self, event: Event<'_>);
}

/// What happens during a deploy.
#[derive(Debug, Clone, Copy)]
pub enum Event<'a> {
    /// The deploy is on record and its first step is about to begin.
    Began {
        /// The deploy.
        deploy: &'a DeployId,
        /// How many steps it has.
        steps: usize,
    },
    /// A step begins.
    StepStarted {
        /// Its place in the plan.
        at: usize,
        /// The step.
        step: &'a Step,
        /// What it does: `start auren-postgres`.
        what: &'a str,
    },
    /// An image is on its way.
    Pulling {
        /// The image.
        image: &'a ImageRef,
        /// How far it is.
        progress: PullProgress,
    },
    /// A gate hasn't passed yet. Comes again and again until it has.
    Waiting {
        /// Whose gate it is.
        instance: &'a Instance,
        /// The same, as a plan names it: the service, with its number where there are several.
        name: &'a str,
        /// What it waits for: `its health check`.
        for_what: &'a str,
        /// For how long it has waited.
        since: Duration,
    },
    /// A step has ended well.
    StepDone {
        /// Its place in the plan.
        at: usize,
        /// The step.
        step: &'a Step,
        /// What it did.
        what: &'a str,
        /// The container that it was about, as a plan names it: the service, with its number where there are several.
        /// Absent where it was about none.
        name: Option<&'a str>,
        /// How long it took.
        took: Duration,
    },
    /// A step has failed.
    StepFailed {
        /// Its place in the plan.
        at: usize,
        /// The step.
        step: &'a Step,
        /// The container that it was about, as in [`Event::StepDone`].
        name: Option<&'a str>,
        /// Why.
        failure: &'a StepFailure,
    },
    /// The deploy is committed: from now on it goes forward.
    Committed,
    /// The deploy goes back to what was there before. The steps from here on are those of the rollback, counted anew.
    RollingBack {
        /// Why; absent if it was stopped from outside.
        failure: Option<&'a StepFailure>,
    },
    /// The plan of the rollback is made.
    RollbackBegan {
        /// How many steps it has.
        steps: usize,
        /// Whether what the deploy has reached stays.
        held: bool,
    },
}

/// Tells nobody.
#[derive(Debug, Clone, Copy)]
pub struct Silent;

impl Progress for Silent {
    fn event(&self, _: Event<'_>) {}
}
