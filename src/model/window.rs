//! When an environment may be deployed to: freezes, maintenance windows, and whether somebody must approve each plan.
//!
//! Pure: the time is handed in. What is on record is repaired and rolled back at any time; windows are about what is new.

use std::fmt;
use std::time::Duration;

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// So many openings and closings are looked through at most for the next moment at which a deploy is allowed.
const TRANSITIONS_MAX: usize = 1000;

/// What must be given before something new is deployed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Admission {
    /// Times at which it is, or is not, allowed.
    pub windows: Vec<Window>,
    /// Whether somebody must approve each plan.
    pub approval: Approval,
}

/// Whether somebody must approve each plan.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Approval {
    /// Nobody needs to.
    #[default]
    None,
    /// A plan waits until somebody has.
    Required,
}

impl Approval {
    /// Every word.
    pub const WORDS: [(&'static str, Self); 2] = [("none", Self::None), ("required", Self::Required)];
}

/// What a window is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WindowKind {
    /// While it lasts nothing new is deployed. It wins over every maintenance window.
    Freeze,
    /// Where there is one, something new is deployed only while one lasts.
    Maintenance,
}

impl WindowKind {
    /// Every word.
    pub const WORDS: [(&'static str, Self); 2] =
        [("freeze", Self::Freeze), ("maintenance", Self::Maintenance)];
}

/// A time that comes again and again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// What it is.
    pub kind: WindowKind,
    /// When it begins.
    pub begins: Schedule,
    /// How long it lasts.
    pub duration: Duration,
    /// Why, for people.
    pub reason: Option<String>,
}

/// Moments by a cron expression of five fields, in a time zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    cron: Cron,
    zone: TimeZone,
}

/// Why a text is no schedule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadSchedule {
    /// It is no cron expression.
    #[error("`{text}` is no cron expression: {why}")]
    Cron {
        /// The text.
        text: String,
        /// Why.
        why: String,
    },
    /// It never comes.
    #[error("`{0}` never comes")]
    Never(String),
    /// There is no such time zone.
    #[error("there is no time zone `{0}`")]
    Zone(String),
}

impl Schedule {
    /// The schedule of a cron expression (minute, hour, day of month, month, day of week) in a zone of the IANA database.
    ///
    /// # Errors
    /// Also where it would never come, as on the 31st of February.
    pub fn new(cron: &str, zone: &str) -> Result<Self, BadSchedule> {
        let zone = TimeZone::get(zone).map_err(|_| BadSchedule::Zone(zone.to_owned()))?;
        let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let parsed = parser
            .parse(cron)
            .map_err(|error| BadSchedule::Cron { text: cron.to_owned(), why: error.to_string() })?;
        let schedule = Self { cron: parsed, zone };
        // Any moment does: what comes at all comes within the years that are looked through.
        match schedule.next(Timestamp::UNIX_EPOCH) {
            Some(_) => Ok(schedule),
            None => Err(BadSchedule::Never(cron.to_owned())),
        }
    }

    /// The cron expression.
    pub fn cron(&self) -> &str {
        self.cron.as_str()
    }

    /// The time zone's name.
    pub fn zone(&self) -> &str {
        self.zone.iana_name().unwrap_or("UTC")
    }

    /// The first moment after `now`.
    pub fn next(&self, now: Timestamp) -> Option<Timestamp> {
        let zoned = now.to_zoned(self.zone.clone());
        self.cron.find_next_occurrence(&zoned, false).ok().map(|next| next.timestamp())
    }

    /// The last moment up to `now`.
    fn last(&self, now: Timestamp) -> Option<Timestamp> {
        let zoned = now.to_zoned(self.zone.clone());
        self.cron.find_previous_occurrence(&zoned, true).ok().map(|last| last.timestamp())
    }
}

impl Window {
    /// When it ends, if it lasts at `now`.
    fn lasts_until(&self, now: Timestamp) -> Option<Timestamp> {
        let end = self.begins.last(now)?.checked_add(self.duration).ok()?;
        (end > now).then_some(end)
    }

    fn why(&self) -> String {
        self.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default()
    }
}

/// What windows say at a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Something new may be deployed.
    Open {
        /// Until when; absent for ever.
        until: Option<Timestamp>,
    },
    /// It must wait.
    Closed {
        /// Why.
        why: String,
        /// Until when; absent where no end is in sight.
        until: Option<Timestamp>,
    },
}

impl Verdict {
    /// When it is another one.
    pub fn until(&self) -> Option<Timestamp> {
        match self {
            Self::Open { until } | Self::Closed { until, .. } => *until,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open { until: None } => write!(f, "deploys are open"),
            Self::Open { until: Some(until) } => write!(f, "deploys are open until {until:.0}"),
            Self::Closed { why, until: None } => write!(f, "{why}, and no end is in sight"),
            Self::Closed { why, until: Some(until) } => write!(f, "{why}, until {until:.0}"),
        }
    }
}

impl Admission {
    /// What the windows say at `now`.
    pub fn verdict(&self, now: Timestamp) -> Verdict {
        match self.closed(now) {
            Some(why) => Verdict::Closed { why, until: self.opens(now) },
            None => Verdict::Open { until: self.closes(now) },
        }
    }

    fn of(&self, kind: WindowKind) -> impl Iterator<Item = &Window> {
        self.windows.iter().filter(move |window| window.kind == kind)
    }

    /// Why nothing new is deployed at `now`.
    fn closed(&self, now: Timestamp) -> Option<String> {
        if let Some(freeze) = self.of(WindowKind::Freeze).find(|freeze| freeze.lasts_until(now).is_some()) {
            return Some(format!("a freeze{}", freeze.why()));
        }
        let mut maintenance = self.of(WindowKind::Maintenance).peekable();
        let is_outside =
            maintenance.peek().is_some() && maintenance.all(|one| one.lasts_until(now).is_none());
        is_outside.then(|| "outside of the maintenance windows".to_owned())
    }

    /// The first moment after `now` at which something new may be deployed.
    fn opens(&self, now: Timestamp) -> Option<Timestamp> {
        let mut at = now;
        for _ in 0..TRANSITIONS_MAX {
            self.closed(at)?;
            let thaws = self.of(WindowKind::Freeze).filter_map(|freeze| freeze.lasts_until(at)).max();
            at = match thaws {
                Some(end) => end,
                None => self.of(WindowKind::Maintenance).filter_map(|one| one.begins.next(at)).min()?,
            };
            if self.closed(at).is_none() {
                return Some(at);
            }
        }
        None
    }

    /// The first moment after `now` at which nothing new may be deployed any more.
    fn closes(&self, now: Timestamp) -> Option<Timestamp> {
        let mut at = now;
        for _ in 0..TRANSITIONS_MAX {
            let freezes = self.of(WindowKind::Freeze).filter_map(|freeze| freeze.begins.next(at)).min();
            // Of windows that overlap, the last one to end counts.
            let ends = self.of(WindowKind::Maintenance).filter_map(|one| one.lasts_until(at)).max();
            at = freezes.into_iter().chain(ends).min()?;
            if self.closed(at).is_some() {
                return Some(at);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn window(kind: WindowKind, cron: &str, hours: u32, zone: &str) -> Window {
        Window { kind, begins: Schedule::new(cron, zone).unwrap(), duration: HOUR * hours, reason: None }
    }

    fn said(windows: Vec<Window>, now: &str) -> String {
        Admission { windows, approval: Approval::None }.verdict(at(now)).to_string()
    }

    #[test]
    fn without_windows_it_is_always_open() {
        assert_eq!(said(Vec::new(), "2026-01-01T08:00:00Z"), "deploys are open");
    }

    #[test]
    fn a_freeze_closes_while_it_lasts() {
        let weekend = || vec![window(WindowKind::Freeze, "0 17 * * FRI", 63, "Europe/Zurich")];
        for (now, expected) in [
            ("2026-11-20T15:59:59Z", "deploys are open until 2026-11-20T16:00:00Z"),
            ("2026-11-20T16:00:00Z", "a freeze, until 2026-11-23T07:00:00Z"),
            ("2026-11-22T12:00:00Z", "a freeze, until 2026-11-23T07:00:00Z"),
            ("2026-11-23T07:00:00Z", "deploys are open until 2026-11-27T16:00:00Z"),
            // In summer it begins an hour earlier in UTC.
            ("2026-07-03T15:00:00Z", "a freeze, until 2026-07-06T06:00:00Z"),
        ] {
            assert_eq!(said(weekend(), now), expected, "{now}");
        }
    }

    #[test]
    fn with_a_maintenance_window_it_is_open_only_then() {
        let nightly = || vec![window(WindowKind::Maintenance, "0 2 * * *", 2, "UTC")];
        for (now, expected) in [
            ("2026-01-01T01:00:00Z", "outside of the maintenance windows, until 2026-01-01T02:00:00Z"),
            ("2026-01-01T03:00:00Z", "deploys are open until 2026-01-01T04:00:00Z"),
            ("2026-01-01T04:00:00Z", "outside of the maintenance windows, until 2026-01-02T02:00:00Z"),
        ] {
            assert_eq!(said(nightly(), now), expected, "{now}");
        }
    }

    #[test]
    fn a_freeze_wins_over_maintenance() {
        let both = || {
            vec![
                window(WindowKind::Maintenance, "0 2 * * *", 2, "UTC"),
                window(WindowKind::Freeze, "0 0 24 12 *", 9 * 24, "UTC"),
            ]
        };
        for (now, expected) in [
            ("2026-12-23T02:30:00Z", "deploys are open until 2026-12-23T04:00:00Z"),
            ("2026-12-23T12:00:00Z", "outside of the maintenance windows, until 2027-01-02T02:00:00Z"),
            ("2026-12-25T02:30:00Z", "a freeze, until 2027-01-02T02:00:00Z"),
        ] {
            assert_eq!(said(both(), now), expected, "{now}");
        }
    }

    #[test]
    fn windows_that_follow_each_other_are_one() {
        let chained = vec![
            window(WindowKind::Maintenance, "0 2 * * *", 2, "UTC"),
            window(WindowKind::Maintenance, "0 4 * * *", 1, "UTC"),
        ];
        assert_eq!(said(chained, "2026-01-01T03:00:00Z"), "deploys are open until 2026-01-01T05:00:00Z");
        let always = vec![window(WindowKind::Freeze, "0 0 * * *", 25, "UTC")];
        assert_eq!(said(always, "2026-01-01T03:00:00Z"), "a freeze, and no end is in sight");
    }

    #[test]
    fn what_is_no_schedule_is_refused() {
        for (cron, zone, words) in [
            ("soon", "UTC", "`soon` is no cron expression"),
            ("0 0 0 * * *", "UTC", "is no cron expression"),
            ("* * 31 2 *", "UTC", "`* * 31 2 *` never comes"),
            ("0 2 * * *", "Mars/Olympus", "there is no time zone `Mars/Olympus`"),
        ] {
            let told = Schedule::new(cron, zone).unwrap_err().to_string();
            assert!(told.contains(words), "{told}");
        }
    }
}
