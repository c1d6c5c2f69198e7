//! In which scenario each call of the engine and each write of the ledger must occur. A new one has no entry here, and
//! that doesn't compile.

use evenkeel::apply::ledger::writes::Write;
use evenkeel::engine::sim::Verb;

/// Where something occurs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In this scenario at least.
    In(&'static str),
    /// In none, and why.
    Nowhere(&'static str),
}

use Place::{In, Nowhere};

const BY_HAND: &str = "only `demo` and tests call it, on what they made";

const MESSAGES: &str = "only who tells others, beside the deploy, and nothing is decided by it";

/// The place of a call, and the next kind of call.
pub fn of_call(verb: Verb) -> (Place, Option<Verb>) {
    match verb {
        Verb::Server => (In("first deploy"), Some(Verb::ListContainers)),
        Verb::ListContainers => (In("first deploy"), Some(Verb::InspectContainer)),
        Verb::InspectContainer => (In("recovery"), Some(Verb::ListNetworks)),
        Verb::ListNetworks => (In("first deploy"), Some(Verb::ListVolumes)),
        Verb::ListVolumes => (In("first deploy"), Some(Verb::InspectImage)),
        Verb::InspectImage => (In("first deploy"), Some(Verb::RegistryDigest)),
        Verb::RegistryDigest => (In("first deploy"), Some(Verb::TagImage)),
        Verb::TagImage => (In("first deploy"), Some(Verb::PullImage)),
        Verb::PullImage => (In("first deploy"), Some(Verb::ImportImage)),
        Verb::ImportImage => {
            (Nowhere("a pull of the built-in stand-in, which not every build has"), Some(Verb::RemoveImage))
        }
        Verb::RemoveImage => (Nowhere(BY_HAND), Some(Verb::CreateNetwork)),
        Verb::CreateNetwork => (In("network made anew"), Some(Verb::RemoveNetwork)),
        Verb::RemoveNetwork => (In("network made anew"), Some(Verb::CreateVolume)),
        Verb::CreateVolume => (In("first deploy"), Some(Verb::RemoveVolume)),
        Verb::RemoveVolume => (Nowhere(BY_HAND), Some(Verb::CreateContainer)),
        Verb::CreateContainer => (In("replace"), Some(Verb::StartContainer)),
        Verb::StartContainer => (In("recovery"), Some(Verb::StopContainer)),
        Verb::StopContainer => (In("recovery"), Some(Verb::RemoveContainer)),
        Verb::RemoveContainer => (In("clean-up"), Some(Verb::DiscardContainer)),
        Verb::DiscardContainer => (Nowhere(BY_HAND), Some(Verb::RenameContainer)),
        Verb::RenameContainer => (In("in place"), Some(Verb::UpdateContainer)),
        Verb::UpdateContainer => (In("recovery"), Some(Verb::ConnectNetwork)),
        Verb::ConnectNetwork => (In("recovery, start-first"), Some(Verb::DisconnectNetwork)),
        Verb::DisconnectNetwork => (In("network made anew"), Some(Verb::Exec)),
        Verb::Exec => (In("replace"), Some(Verb::Logs)),
        Verb::Logs => (In("rollback"), Some(Verb::FollowLog)),
        Verb::FollowLog => (In("first deploy"), Some(Verb::Events)),
        Verb::Events => (Nowhere("only the agent listens, and only as a hint to look again"), None),
    }
}

/// The place of a write, and the next kind of write.
pub fn of_write(write: Write) -> (Place, Option<Write>) {
    match write {
        Write::Begin => (In("first deploy"), Some(Write::Intend)),
        Write::Intend => (In("recovery"), Some(Write::Done)),
        Write::Done => (In("recovery"), Some(Write::Abort)),
        Write::Abort => (In("recovery"), Some(Write::Commit)),
        Write::Commit => (In("replace"), Some(Write::Hold)),
        Write::Hold => (In("hold"), Some(Write::End)),
        Write::End => (In("recovery"), Some(Write::Affirm)),
        Write::Affirm => (In("another revision"), Some(Write::Adopt)),
        Write::Adopt => (In("adoption"), Some(Write::ForgetGone)),
        Write::ForgetGone => (In("adopted and gone"), Some(Write::ForgetAdopted)),
        Write::ForgetAdopted => (In("adopted and replaced"), Some(Write::ForgetRetired)),
        Write::ForgetRetired => (In("clean-up"), Some(Write::FailWatch)),
        Write::FailWatch => (In("watch"), Some(Write::EndWatch)),
        Write::EndWatch => (In("records"), Some(Write::Quarantine)),
        Write::Quarantine => (In("records"), Some(Write::ReleaseOne)),
        Write::ReleaseOne => (In("records"), Some(Write::Release)),
        Write::Release => (In("records"), Some(Write::Explain)),
        Write::Explain => (In("records"), Some(Write::Order)),
        Write::Order => (In("records"), Some(Write::DropOrder)),
        Write::DropOrder => (In("records"), Some(Write::Audit)),
        Write::Audit => (In("records"), Some(Write::Post)),
        Write::Post => (Nowhere(MESSAGES), Some(Write::Deliver)),
        Write::Deliver => (Nowhere(MESSAGES), None),
    }
}
