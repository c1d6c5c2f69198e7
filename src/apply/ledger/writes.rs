//! The kinds of writes to the ledger, and what a test lets happen to them.
//!
//! Every write passes through one place, so that a test can let each fail, or end there what it tests.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use rusqlite::ffi;

use super::Ledger;

/// What is written: one for each method of [`Ledger`] that writes; orders have three for all of theirs, messages two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "each is the method of the ledger of the same name")]
pub enum Write {
    Begin,
    Intend,
    Done,
    Abort,
    Commit,
    Hold,
    End,
    Affirm,
    Adopt,
    ForgetGone,
    ForgetAdopted,
    ForgetRetired,
    FailWatch,
    EndWatch,
    Quarantine,
    ReleaseOne,
    Release,
    Explain,
    Order,
    DropOrder,
    Audit,
    Post,
    Deliver,
}

impl Write {
    /// Whether it is on the disk when the method returns. Another one survives the death of the process, but not surely
    /// a loss of power.
    pub fn is_durable(self) -> bool {
        match self {
            Self::Intend | Self::Done | Self::ForgetAdopted | Self::ForgetRetired => false,
            Self::Begin
            | Self::Abort
            | Self::Commit
            | Self::Hold
            | Self::End
            | Self::Affirm
            | Self::Adopt
            | Self::ForgetGone
            | Self::FailWatch
            | Self::EndWatch
            | Self::Quarantine
            | Self::ReleaseOne
            | Self::Release
            | Self::Explain
            | Self::Order
            | Self::DropOrder
            | Self::Audit
            | Self::Post
            | Self::Deliver => true,
        }
    }
}

/// What happens to a write.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Fault {
    /// It goes through.
    #[default]
    None,
    /// It has no effect: the disk is full.
    Full,
    /// It has no effect: somebody else writes for too long.
    Busy,
    /// It has its effect, and the system says that it may not have reached the disk.
    DoneButUnknown,
}

type Ask = Box<dyn FnMut(Write) -> Fault + Send>;

/// Is asked before each write, where a test has set it.
#[derive(Default)]
pub(super) struct Hook(Mutex<Option<Ask>>);

impl fmt::Debug for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hook")
    }
}

impl Hook {
    /// Writes, or lets happen to it what is asked for.
    pub(super) fn around(
        &self,
        what: Write,
        write: impl FnOnce() -> Result<(), rusqlite::Error>,
    ) -> Result<(), rusqlite::Error> {
        let fault = {
            let mut hook = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            hook.as_mut().map_or(Fault::None, |ask| ask(what))
        };
        let failed = |code| Err(rusqlite::Error::SqliteFailure(ffi::Error::new(code), None));
        match fault {
            Fault::None => write(),
            Fault::Full => failed(ffi::SQLITE_FULL),
            Fault::Busy => failed(ffi::SQLITE_BUSY),
            Fault::DoneButUnknown => write().and_then(|()| failed(ffi::SQLITE_IOERR_FSYNC)),
        }
    }
}

impl Ledger {
    /// For tests: asks `hook` before each write from now on what shall happen to it. It must not use this ledger.
    pub fn on_write(&self, hook: Box<dyn FnMut(Write) -> Fault + Send>) {
        *self.hook.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(hook);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::name::StackName;
    use crate::plan::DesiredDigest;

    #[test]
    fn a_write_fails_as_it_is_told_to() {
        let ledger = Ledger::open_in_memory().unwrap();
        let stack: StackName = "auren-dev".parse().unwrap();
        for (fault, words) in [
            (Fault::Full, "disk is full"),
            (Fault::Busy, "database is locked"),
            (Fault::DoneButUnknown, "disk I/O error"),
        ] {
            ledger.on_write(Box::new(move |what| if what == Write::Release { fault } else { Fault::None }));
            let error = ledger.release(&stack).unwrap_err();
            let told = crate::apply::words::chain(&error);
            assert!(told.contains(words), "{told}");
            ledger.release_one(&stack, &DesiredDigest("x".to_owned())).unwrap();
        }
    }
}
