//! When to look again. Pure: times and luck are handed in.

use std::time::Duration;

use tokio::time::Instant;

use super::trigger::Trigger;

/// The first pause after a failure, and the longest.
const PAUSE_FIRST: Duration = Duration::from_secs(1);
const PAUSE_MOST: Duration = Duration::from_secs(5 * 60);

/// How far an interval is spread to either side, so that many hosts don't ask at the same moment.
const SPREAD: f64 = 0.2;

/// The times at which something is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Due {
    /// The branch is looked at.
    pub(super) poll: Instant,
    /// Everything is looked at.
    pub(super) look: Instant,
    /// Something that failed is tried again.
    pub(super) retry: Option<Instant>,
    /// What is watched is looked at.
    pub(super) watch: Option<Instant>,
    /// A pause ends, or a window begins or ends.
    pub(super) window: Option<Instant>,
}

/// When the agent wakes by itself, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wakeup {
    /// When.
    pub(super) at: Instant,
    /// Why.
    pub(super) trigger: Trigger,
}

/// The first thing that is due. Of two at the same moment it is the one that looks at more.
pub(super) fn next_wakeup(due: &Due) -> Wakeup {
    let Due { poll, look, retry, watch, window } = *due;
    let mut next = Wakeup { at: look, trigger: Trigger::FullLook };
    let others = [
        retry.map(|at| (at, Trigger::Retry)),
        watch.map(|at| (at, Trigger::Watch)),
        window.map(|at| (at, Trigger::Window)),
        Some((poll, Trigger::Poll)),
    ];
    for (at, trigger) in others.into_iter().flatten() {
        if at < next.at {
            next = Wakeup { at, trigger };
        }
    }
    next
}

/// The pause after so many failures in a row: doubled each time, up to five minutes, and between half and all of that
/// by `luck` (from 0 to 1).
pub(super) fn pause_after(failures: u32, luck: f64) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    let whole = PAUSE_FIRST.saturating_mul(1 << doublings).min(PAUSE_MOST);
    whole.mul_f64(0.5 + luck.clamp(0.0, 1.0) / 2.0)
}

/// `interval`, a fifth shorter or longer by `luck` (from 0 to 1).
pub(super) fn spread(interval: Duration, luck: f64) -> Duration {
    interval.mul_f64(1.0 - SPREAD + 2.0 * SPREAD * luck.clamp(0.0, 1.0))
}

/// A number from 0 to 1. Where the system gives no random bytes it is always the same: only politeness needs it.
pub(super) fn luck() -> f64 {
    let mut bytes = [0; 4];
    match getrandom::fill(&mut bytes) {
        Ok(()) => f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX),
        Err(_) => 0.5,
    }
}

/// How often something has failed in a row, and when it may be tried again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Attempts {
    failures: u32,
    again_at: Option<Instant>,
    /// What failed; other content needn't wait.
    failed: Option<String>,
}

impl Attempts {
    /// Notes a failure of `what`. One before its time doesn't count: an event had caused a look in between.
    pub(super) fn failed(&mut self, what: Option<String>, now: Instant, luck: f64) {
        let same = self.failed == what;
        if same && self.again_at.is_some_and(|at| now < at) {
            return;
        }
        self.failures = if same { self.failures.saturating_add(1) } else { 1 };
        self.again_at = Some(now + pause_after(self.failures, luck));
        self.failed = what;
    }

    /// Notes that all is well.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }

    /// When to try again, if something failed.
    pub(super) fn again_at(&self) -> Option<Instant> {
        self.again_at
    }

    /// Whether it is too early to try `what` again.
    pub(super) fn forbids(&self, what: &str, now: Instant) -> bool {
        self.failed.as_deref() == Some(what) && self.again_at.is_some_and(|at| now < at)
    }

    /// Forgets the time that has come, so that it wakes nobody twice; how often it failed is remembered.
    pub(super) fn is_due(&mut self, now: Instant) {
        self.again_at = self.again_at.filter(|at| now < *at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_first_thing_due_wakes() {
        let now = Instant::now();
        let due = |poll, look, retry: Option<u32>| Due {
            poll: now + SECOND * poll,
            look: now + SECOND * look,
            retry: retry.map(|retry| now + SECOND * retry),
            watch: None,
            window: None,
        };
        let watched = Due { watch: Some(now + SECOND * 30), ..due(60, 300, None) };
        assert_eq!(next_wakeup(&watched), Wakeup { at: now + SECOND * 30, trigger: Trigger::Watch });
        let opens = Due { window: Some(now + SECOND * 20), ..watched };
        assert_eq!(next_wakeup(&opens), Wakeup { at: now + SECOND * 20, trigger: Trigger::Window });
        for (due, after, trigger) in [
            (due(60, 300, None), 60, Trigger::Poll),
            (due(60, 50, None), 50, Trigger::FullLook),
            (due(60, 60, None), 60, Trigger::FullLook),
            (due(60, 300, Some(2)), 2, Trigger::Retry),
            (due(60, 300, Some(60)), 60, Trigger::Retry),
            (due(60, 300, Some(200)), 60, Trigger::Poll),
        ] {
            assert_eq!(next_wakeup(&due), Wakeup { at: now + SECOND * after, trigger });
        }
    }

    #[test]
    fn pauses_double_up_to_five_minutes() {
        let pauses: Vec<u64> = (1..=11).map(|failures| pause_after(failures, 1.0).as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        assert_eq!(pause_after(u32::MAX, 1.0), PAUSE_MOST);
        assert_eq!(pause_after(3, 0.0), SECOND * 2);
    }

    #[test]
    fn an_interval_is_spread_by_a_fifth() {
        assert_eq!(spread(SECOND * 60, 0.0), SECOND * 48);
        assert_eq!(spread(SECOND * 60, 0.5), SECOND * 60);
        assert_eq!(spread(SECOND * 60, 1.0), SECOND * 72);
        assert!((0.0..=1.0).contains(&luck()));
    }

    #[test]
    fn only_what_failed_has_to_wait() {
        let now = Instant::now();
        let mut attempts = Attempts::default();
        attempts.failed(Some("a".to_owned()), now, 1.0);
        assert!(attempts.forbids("a", now) && !attempts.forbids("b", now));
        assert!(!attempts.forbids("a", now + SECOND));
        attempts.failed(Some("a".to_owned()), now, 1.0);
        assert_eq!(attempts.again_at(), Some(now + SECOND), "a failure before its time doesn't count");
        attempts.is_due(now + SECOND);
        assert_eq!(attempts.again_at(), None);
        attempts.failed(Some("a".to_owned()), now + SECOND, 1.0);
        assert_eq!(attempts.again_at(), Some(now + SECOND * 3));
        attempts.failed(Some("b".to_owned()), now, 1.0);
        assert_eq!(attempts.again_at(), Some(now + SECOND), "something else begins anew");
        attempts.forget();
        assert_eq!(attempts, Attempts::default());
    }
}
