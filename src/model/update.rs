//! How the containers of a service are replaced, and how they return: `deploy.update_config` and `rollback_config`.

use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

/// Which of two containers goes first when one takes the place of the other.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum UpdateOrder {
    /// The old one stops, then the new one starts: an outage of that length, and never two at once.
    #[default]
    StopFirst,
    /// The new one starts and passes its gate while the old one serves: no outage, and two at once for a while.
    StartFirst,
}

impl UpdateOrder {
    /// Every order by its word.
    pub const WORDS: [(&'static str, Self); 2] =
        [("stop-first", Self::StopFirst), ("start-first", Self::StartFirst)];
}

impl fmt::Display for UpdateOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::StopFirst => "stop-first",
            Self::StartFirst => "start-first",
        })
    }
}

/// `deploy.update_config`: how new containers take the place of old ones. What becomes of a deploy that fails is in
/// [`super::policy::Rollback`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UpdateConfig {
    /// Who goes first.
    pub order: UpdateOrder,
    /// How many at a time.
    pub batches: Batches,
}

/// `deploy.rollback_config`: how old containers return. They do so in the order in which they left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RollbackConfig {
    /// How many at a time.
    pub batches: Batches,
}

impl Default for RollbackConfig {
    /// All at once: the shortest outage is the best one.
    fn default() -> Self {
        Self { batches: Batches { parallelism: None, ..Batches::default() } }
    }
}

/// The containers of one service take turns in batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batches {
    /// How many at a time; absent: all of them.
    pub parallelism: Option<NonZeroU32>,
    /// The time between two batches.
    pub delay: Duration,
    /// How long a batch must go on well after it is up, before the next one begins.
    pub monitor: Duration,
}

impl Default for Batches {
    /// One after the other, so that the others serve meanwhile.
    fn default() -> Self {
        Self { parallelism: Some(NonZeroU32::MIN), delay: Duration::ZERO, monitor: Duration::ZERO }
    }
}
