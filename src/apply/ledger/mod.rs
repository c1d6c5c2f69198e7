//! The ledger: what was deployed, what is being deployed, and what must not be tried again.
//!
//! One database file for all stacks of a host. It is the only memory besides Docker itself, and it decides one thing
//! alone: whether a deploy that was cut off goes back (no commit on record) or forward (commit on record).
//!
//! # Guarantees
//! - [`Ledger::begin`], [`Ledger::abort`], [`Ledger::commit`] and [`Ledger::end`] are one transaction each and are on
//!   the disk when they return. What a deploy is going to do and what it returns to is on record before its first
//!   effect.
//! - The record of single steps survives the death of this process at any moment; after a loss of power its last
//!   lines may be missing. Recovery doesn't need them: it looks at the host.
//! - No record holds a sensitive value: fields have keyed digests in their place.
//! - A stack has at most one deploy that hasn't ended.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use crate::engine::effect;
use crate::model::name::DeployId;
use crate::plan::{Checkpoint, Plan};

pub mod adopted;
pub mod history;
pub mod memory;
pub mod orders;
pub mod outbox;
pub mod watch;
pub mod writes;
mod id;
mod record;
mod network_record;
mod schema;

pub use id::new_deploy_id;
use writes::{Hook, Write};

/// Longest wait for another process that writes at the moment.
const BUSY_WAIT: Duration = Duration::from_secs(5);

/// The ledger of one host.
#[derive(Debug)]
pub struct Ledger {
    connection: Mutex<Connection>,
    path: PathBuf,
    hook: Hook,
}

/// Why the ledger can't be read or written.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The database refused.
    #[error("the ledger {} can't be {doing}", path.display())]
    Storage {
        /// The file.
        path: PathBuf,
        /// `opened`, `read` or `written`.
        doing: &'static str,
        /// What it said.
        source: rusqlite::Error,
    },
    /// There is no room for it.
    #[error("the ledger {} can't be {doing}: its disk is full; make room there, and try again", path.display())]
    Full {
        /// The file.
        path: PathBuf,
        /// `opened`, `read` or `written`.
        doing: &'static str,
    },
    /// The file could not be made.
    #[error("the ledger {} can't be made", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is not a database, or a damaged one.
    #[error(
        "the ledger {} is damaged: {what}; restore it from a backup, or move it away and let the next deploy begin anew",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// A later release of Evenkeel wrote it.
    #[error(
        "the ledger {} was written by a later release of Evenkeel (format {found}, this one knows {known}); use that release",
        path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: i64,
        /// The latest format that this release knows.
        known: i64,
    },
    /// The stack has a deploy that hasn't ended.
    #[error("the deploy {0} of this stack has not ended; it must be recovered first")]
    Unfinished(DeployId),
}

/// What is recorded when a deploy begins.
#[derive(Debug, Clone, Copy)]
pub struct Beginning<'a> {
    /// Its id.
    pub deploy: &'a DeployId,
    /// What it is going to do.
    pub plan: &'a Plan,
    /// What woke it: `push`, `drift`, `command`.
    pub trigger: &'a str,
    /// Who asked for it.
    pub actor: &'a str,
}

/// Which plan of a deploy a step belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// The deploy itself.
    Forward,
    /// Its rollback.
    Back,
    /// What is still to be done after its commit.
    Onward,
}

impl Direction {
    fn code(self) -> &'static str {
        match self {
            Self::Forward => "forward",
            Self::Back => "back",
            // Sorted after the others, where steps are listed.
            Self::Onward => "after",
        }
    }
}

/// How a deploy ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// It was carried out.
    Done,
    /// It failed before anything that ran was touched.
    Failed,
    /// It was stopped from outside and undone.
    Interrupted,
    /// It failed, and what ran before runs again.
    RolledBack,
    /// It failed, and so did the way back.
    RollbackFailed,
    /// It failed or was cut off, and what it had reached stays.
    Held,
}

impl Ledger {
    /// Opens the ledger at `path` and makes it if it isn't there, readable by its owner only.
    pub fn open(path: &Path) -> Result<Self, LedgerError> {
        schema::make_private(path)?;
        let connection = Connection::open(path).map_err(|source| LedgerError::Storage {
            path: path.to_owned(),
            doing: "opened",
            source,
        })?;
        Self::set_up(connection, path)
    }

    /// A ledger in memory, for tests and for rehearsals on a simulated engine.
    pub fn open_in_memory() -> Result<Self, LedgerError> {
        let path = Path::new("(in memory)");
        let connection = Connection::open_in_memory().map_err(|source| LedgerError::Storage {
            path: path.to_owned(),
            doing: "opened",
            source,
        })?;
        Self::set_up(connection, path)
    }

    fn set_up(connection: Connection, path: &Path) -> Result<Self, LedgerError> {
        schema::prepare(&connection, path, BUSY_WAIT)?;
        Ok(Self { connection: Mutex::new(connection), path: path.to_owned(), hook: Hook::default() })
    }

    /// Records a deploy that is about to begin, with what it will return to if it fails.
    ///
    /// # Errors
    /// [`LedgerError::Unfinished`] if the stack has a deploy that hasn't ended.
    pub fn begin(&self, beginning: Beginning<'_>, now: Timestamp) -> Result<(), LedgerError> {
        let Beginning { deploy, plan, trigger, actor } = beginning;
        if let Some(unfinished) = self.open_deploy(&plan.stack)? {
            return Err(LedgerError::Unfinished(unfinished.deploy.id));
        }
        let (kind, commit) = record::of_revision(&plan.revision);
        self.write(Write::Begin, |transaction| {
            transaction.execute(
                "INSERT INTO deploys (id, stack, revision_kind, revision_commit, desired, plan, trigger, actor,
                     began, state, changes, checkpoint)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 'open', ?10, ?11)",
                params![
                    deploy.as_str(),
                    plan.stack.as_str(),
                    kind,
                    commit,
                    plan.desired.0,
                    plan.id.0,
                    trigger,
                    actor,
                    now.as_millisecond(),
                    record::to_json(&record::of_changes(&plan.changes))?,
                    record::to_json(&record::of_checkpoint(&plan.checkpoint))?,
                ],
            )?;
            schema::forget_the_oldest(transaction, plan.stack.as_str())
        })
    }

    /// Records that a step is about to be carried out. `at` is its place in its plan, `words` what it does.
    pub fn intend(
        &self,
        deploy: &DeployId,
        (direction, at): (Direction, usize),
        words: &str,
        now: Timestamp,
    ) -> Result<(), LedgerError> {
        self.note(Write::Intend, |connection| {
            connection
                .prepare_cached(
                    "INSERT OR REPLACE INTO steps (deploy, direction, at, words, began) VALUES (?1, ?2, ?3, ?4, ?5)",
                )?
                .execute(params![deploy.as_str(), direction.code(), place(at), words, now.as_millisecond()])
                .map(drop)
        })
    }

    /// Records that a step has ended: with `failure`, or well.
    pub fn done(
        &self,
        deploy: &DeployId,
        (direction, at): (Direction, usize),
        failure: Option<&str>,
        now: Timestamp,
    ) -> Result<(), LedgerError> {
        self.note(Write::Done, |connection| {
            connection
                .prepare_cached(
                    "UPDATE steps SET ended = ?4, failure = ?5 WHERE deploy = ?1 AND direction = ?2 AND at = ?3",
                )?
                .execute(params![
                    deploy.as_str(),
                    direction.code(),
                    place(at),
                    now.as_millisecond(),
                    failure
                ])
                .map(drop)
        })
    }

    /// Records that a deploy goes back, and why. With `quarantine`, what it desired is not to be tried again; what
    /// is applied already is never quarantined.
    pub fn abort(
        &self,
        deploy: &DeployId,
        failure: &str,
        quarantine: Quarantine,
        now: Timestamp,
    ) -> Result<(), LedgerError> {
        self.write(Write::Abort, |transaction| {
            transaction.execute(
                "UPDATE deploys SET state = 'rolling_back', failure = ?2 WHERE id = ?1",
                params![deploy.as_str(), failure],
            )?;
            match quarantine {
                Quarantine::No => {}
                Quarantine::Yes => {
                    transaction.execute(
                        "INSERT OR REPLACE INTO quarantine (stack, desired, since, why, deploy)
                         SELECT stack, desired, ?2, ?3, id FROM deploys WHERE id = ?1
                         AND NOT EXISTS (SELECT 1 FROM stable WHERE stable.stack = deploys.stack
                                         AND stable.desired = deploys.desired)",
                        params![deploy.as_str(), now.as_millisecond(), failure],
                    )?;
                }
            }
            Ok(())
        })
    }

    /// Records how a deploy ended. If it was a rollback by hand that did not come about, what serves was not left after
    /// all, and is in no quarantine for that.
    pub fn end(&self, deploy: &DeployId, ending: Ending, now: Timestamp) -> Result<(), LedgerError> {
        self.write(Write::End, |transaction| {
            transaction.execute(
                "UPDATE deploys SET state = ?2, ended = ?3 WHERE id = ?1",
                params![deploy.as_str(), history::State::from(ending).code(), now.as_millisecond()],
            )?;
            match ending {
                Ending::Failed | Ending::Interrupted | Ending::RolledBack => {
                    memory::stay(transaction, deploy)
                }
                Ending::Done | Ending::RollbackFailed | Ending::Held => Ok(()),
            }
        })
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        // A panic elsewhere can't leave the connection half changed: SQLite rolls its transaction back.
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One transaction that is on the disk when this returns.
    fn write(
        &self,
        what: Write,
        body: impl FnOnce(&Transaction<'_>) -> Result<(), rusqlite::Error>,
    ) -> Result<(), LedgerError> {
        let result = self.hook.around(what, || {
            let connection = self.lock();
            effect::begins();
            connection.pragma_update(None, "synchronous", "FULL")?;
            let transaction = Transaction::new_unchecked(&connection, TransactionBehavior::Immediate)?;
            body(&transaction)?;
            transaction.commit()
        });
        result.map_err(|source| self.failed("written", source))
    }

    /// One write that survives this process, though perhaps not a loss of power: the file isn't flushed for it.
    fn note(
        &self,
        what: Write,
        body: impl FnOnce(&Connection) -> Result<(), rusqlite::Error>,
    ) -> Result<(), LedgerError> {
        let result = self.hook.around(what, || {
            let connection = self.lock();
            connection.pragma_update(None, "synchronous", "NORMAL")?;
            body(&connection)
        });
        result.map_err(|source| self.failed("written", source))
    }

    fn read<T>(
        &self,
        body: impl FnOnce(&Connection) -> Result<T, rusqlite::Error>,
    ) -> Result<T, LedgerError> {
        body(&self.lock()).map_err(|source| self.failed("read", source))
    }

    fn failed(&self, doing: &'static str, source: rusqlite::Error) -> LedgerError {
        schema::classify(&self.path, doing, source)
    }

    fn damaged(&self, what: impl Into<String>) -> LedgerError {
        LedgerError::Damaged { path: self.path.clone(), what: what.into() }
    }

    /// What `deploy` returns to when it fails.
    pub(super) fn checkpoint(&self, deploy: &DeployId) -> Result<Checkpoint, LedgerError> {
        let json: Option<String> = self.read(|connection| {
            connection
                .query_row("SELECT checkpoint FROM deploys WHERE id = ?1", [deploy.as_str()], |row| {
                    row.get(0)
                })
                .optional()
        })?;
        let json = json.ok_or_else(|| self.damaged(format!("there is no deploy {deploy}")))?;
        record::to_checkpoint(&json).map_err(|what| self.damaged(format!("deploy {deploy}: {what}")))
    }
}

/// Whether what a failed deploy desired may be tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quarantine {
    /// Not before it changes or somebody says so.
    Yes,
    /// Yes: the failure had nothing to do with what was desired.
    No,
}

fn place(at: usize) -> i64 {
    i64::try_from(at).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
