//! A message: what happened, to whom, and what to do about it. It holds no secret, and its texts are cleaned where they
//! come in; how they are written for a receiver is `render`'s business.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::agent::status::HoldKind;
use crate::manifest::Urgency;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// A commit is about to be deployed. Only for the status of commits.
    Deploying,
    /// A commit was deployed.
    Deployed,
    /// A commit wants what runs already. Only for the status of commits.
    Unchanged,
    /// A deploy was given up or stopped, and was undone. Only for the status of commits.
    Interrupted,
    /// A deploy failed before anything that ran was touched.
    Failed,
    /// A deploy failed, and what ran before runs again.
    RolledBack,
    /// A deploy failed, and so did the way back.
    RollbackFailed,
    /// A deploy failed, and what it had reached stays.
    HalfDone,
    /// What was deployed failed while it was watched.
    WatchFailed,
    /// What ran before a failed watch runs again.
    Returned,
    /// The newest commit is not deployed, and stands so.
    Held,
    /// The newest commit waits for somebody or for a time, as somebody has asked for.
    Waits,
    /// A service is not well.
    Degraded,
    /// What was told as bad is over.
    Recovered,
    /// The host was changed by somebody, and was put right.
    DriftRepaired,
    /// A field is set back again and again, and is left alone for a while.
    Contested,
    /// The repository can't be read for long.
    SourceUnreachable,
    /// The host can't be asked or changed for long.
    Stalled,
    /// What happened in a day.
    Digest,
}

impl Event {
    /// How urgent it is.
    pub fn urgency(self) -> Urgency {
        match self {
            Self::Deploying
            | Self::Deployed
            | Self::Unchanged
            | Self::Interrupted
            | Self::Returned
            | Self::Waits
            | Self::Recovered
            | Self::DriftRepaired
            | Self::Digest => Urgency::Info,
            Self::Failed
            | Self::RolledBack
            | Self::WatchFailed
            | Self::Held
            | Self::Contested
            | Self::SourceUnreachable
            | Self::Stalled => Urgency::Warning,
            Self::RollbackFailed | Self::HalfDone | Self::Degraded => Urgency::Critical,
        }
    }

    /// Whether people are told; else it only changes the status of a commit.
    pub fn is_for_people(self) -> bool {
        !matches!(self, Self::Deploying | Self::Unchanged | Self::Interrupted)
    }

    /// The event of a commit that is held for a reason of this kind.
    pub fn of_hold(kind: HoldKind) -> Self {
        match kind {
            HoldKind::Invalid
            | HoldKind::Rewritten
            | HoldKind::Unverified
            | HoldKind::Quarantined
            | HoldKind::Refused
            | HoldKind::HalfDone => Self::Held,
            HoldKind::Consent
            | HoldKind::Approval
            | HoldKind::Window
            | HoldKind::Paused
            | HoldKind::RolledBack => Self::Waits,
        }
    }

    /// What happened, after the name of the stack.
    fn words(self) -> &'static str {
        match self {
            Self::Deploying => "is being deployed",
            Self::Deployed => "deployed",
            Self::Unchanged => "has nothing to change",
            Self::Interrupted => "deploy stopped and undone",
            Self::Failed => "deploy failed, nothing changed",
            Self::RolledBack => "deploy failed and was rolled back",
            Self::RollbackFailed => "deploy failed, and so did the way back",
            Self::HalfDone => "deploy failed and is held half done",
            Self::WatchFailed => "failed during its watch, going back",
            Self::Returned => "is back at what ran before",
            Self::Held => "newest commit is held",
            Self::Waits => "newest commit waits",
            Self::Degraded => "is not well",
            Self::Recovered => "recovered",
            Self::DriftRepaired => "drift repaired",
            Self::Contested => "drifts again and again",
            Self::SourceUnreachable => "repository can't be read",
            Self::Stalled => "host can't be asked or changed",
            Self::Digest => "daily summary",
        }
    }
}

/// A commit, as people are shown it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitNote {
    /// Its id.
    pub id: String,
    /// Who wrote it; empty where that isn't known.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub author: String,
    /// The first line of its message; empty where that isn't known.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub title: String,
}

/// An image that takes the place of another one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageChange {
    /// The container, as a plan names it.
    pub service: String,
    /// What ran; absent for a new one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// What runs or was to run.
    pub after: String,
}

/// A message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// What happened.
    pub event: Event,
    /// How urgent it is.
    pub urgency: Urgency,
    /// When.
    pub at: Timestamp,
    /// On which host.
    pub host: String,
    /// The environment; empty where it is about a host as a whole.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub environment: String,
    /// The stack, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stack: Option<String>,
    /// The commit that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<CommitNote>,
    /// The deploy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deploy: Option<String>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// What changes, a line for each object.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<String>,
    /// The images that change.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<ImageChange>,
    /// How long it took, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub took_ms: Option<u64>,
    /// The last lines of the container that failed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub log: Vec<String>,
    /// The command to type next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

impl Message {
    /// A message of an event, without anything more.
    pub fn of(event: Event, host: &str, at: Timestamp) -> Self {
        Self {
            event,
            urgency: event.urgency(),
            at,
            host: host.to_owned(),
            environment: String::new(),
            stack: None,
            commit: None,
            deploy: None,
            cause: None,
            changes: Vec::new(),
            images: Vec::new(),
            took_ms: None,
            log: Vec::new(),
            next: None,
        }
    }

    /// What happened, on one line: `shop-prod on web-1: deployed 3f9c1e2`.
    pub fn title(&self) -> String {
        let what = match (&self.stack, self.environment.as_str()) {
            (Some(stack), _) => format!("{stack} on {}", self.host),
            (None, "") => self.host.clone(),
            (None, environment) => format!("{environment} on {}", self.host),
        };
        let commit = match (&self.commit, self.event) {
            (Some(commit), Event::Deploying | Event::Deployed | Event::Returned) => {
                format!(" {}", short(&commit.id))
            }
            _ => String::new(),
        };
        format!("{what}: {}{commit}", self.event.words())
    }

    /// Everything else that is known, each with its label. The texts are somebody else's.
    pub fn lines(&self) -> Vec<(&'static str, String)> {
        let mut lines = Vec::new();
        if let Some(cause) = &self.cause {
            lines.push(("Cause", cause.clone()));
        }
        if let Some(commit) = &self.commit {
            lines.push(("Commit", commit.to_string()));
        }
        lines.extend(self.images.iter().map(|image| ("Image", image.to_string())));
        lines.extend(self.changes.iter().map(|change| ("Change", change.clone())));
        if !self.environment.is_empty() {
            lines.push(("Environment", self.environment.clone()));
        }
        if let Some(took) = self.took_ms {
            lines.push(("Took", format!("{:?}", Duration::from_millis(took))));
        }
        if let Some(next) = &self.next {
            lines.push(("Next", next.clone()));
        }
        lines
    }
}

/// The first letters of a commit's id, as Git shows them.
pub(super) fn short(commit: &str) -> &str {
    commit.get(..7).unwrap_or(commit)
}

impl fmt::Display for CommitNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(short(&self.id))?;
        if !self.title.is_empty() {
            write!(f, " {}", self.title)?;
        }
        if !self.author.is_empty() {
            write!(f, " ({})", self.author)?;
        }
        Ok(())
    }
}

impl fmt::Display for ImageChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.service)?;
        if let Some(before) = &self.before {
            write!(f, "{before} → ")?;
        }
        f.write_str(&self.after)
    }
}
