//! What can wake the agent. It says why a look is made, for people and for what to look at; never what is found.

use std::fmt;

/// What woke the agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trigger {
    /// It has just been started.
    Startup,
    /// Something in the repository may have changed.
    SourceChanged,
    /// Something on the host may have changed.
    HostChanged,
    /// An operator has asked for something.
    Order,
    /// It is time to look at the branch, in case a change wasn't heard of.
    Poll,
    /// It is time to look at everything, in case an event was lost.
    FullLook,
    /// Something failed that may succeed now.
    Retry,
    /// What was deployed is being watched.
    Watch,
    /// A pause has ended, or a window of the environment begins or ends.
    Window,
}

impl Trigger {
    /// Whether the host must be looked at even if the branch says what it said before.
    pub(super) fn asks_host(self) -> bool {
        match self {
            Self::Startup
            | Self::HostChanged
            | Self::Order
            | Self::FullLook
            | Self::Retry
            | Self::Watch
            | Self::Window => true,
            Self::SourceChanged | Self::Poll => false,
        }
    }
}

impl fmt::Display for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Startup => "startup",
            Self::SourceChanged => "the repository changed",
            Self::HostChanged => "the host changed",
            Self::Order => "an operator's order",
            Self::Poll => "time to look at the branch",
            Self::FullLook => "time to look at everything",
            Self::Retry => "trying again",
            Self::Window => "a pause or a window",
            Self::Watch => "a deploy is being watched",
        })
    }
}
