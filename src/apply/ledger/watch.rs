//! The watch that is open on a stack: which services are watched after a commit, until when, and where the stack
//! returns to when one of them fails.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use rusqlite::{OptionalExtension, Transaction, params};
use serde::{Deserialize, Serialize};

use super::history::{State, moment};
use super::writes::Write;
use super::{Ledger, LedgerError, record};
use crate::model::desired::{Expect, Revision};
use crate::model::name::{DeployId, Instance, NameError, StackName};
use crate::plan::{DesiredDigest, Plan};

/// Triggers of deploys that go back by intention: what they bring has proved itself, and is not watched.
pub const TRIGGER: &str = "watch";
const BACK: [&str; 2] = [TRIGGER, "rollback"];

/// The watch of a deploy that has committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenWatch {
    /// The deploy.
    pub deploy: DeployId,
    /// Digest of everything that it desired.
    pub desired: DesiredDigest,
    /// What was carried out before it, if anything was.
    pub before: Option<Revision>,
    /// Whether a service of it is not to be rolled back.
    pub holds: bool,
    /// What is watched.
    pub watched: BTreeMap<Instance, Watched>,
    /// Why it failed, if it has: the stack is on its way back.
    pub failed: Option<String>,
}

/// One container that is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watched {
    /// Until when.
    pub until: Timestamp,
    /// What its process is for.
    pub expect: Expect,
}

impl OpenWatch {
    /// When the last of it ends.
    pub fn until(&self) -> Option<Timestamp> {
        self.watched.values().map(|watched| watched.until).max()
    }

    /// The commit that the stack returns to when the watch fails.
    ///
    /// # Errors
    /// Why it can't return: in words that go on from `it stays, for`.
    pub fn way_back(&self) -> Result<&str, &'static str> {
        match &self.before {
            _ if self.holds => Err("a service of it is not to be rolled back"),
            None => Err("nothing ran before it"),
            Some(Revision::WorkTree(_) | Revision::Files) => {
                Err("what ran before was deployed from files, not from a commit")
            }
            Some(Revision::Commit(commit)) => Ok(commit),
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct WatchedRecord {
    service: String,
    number: u32,
    until: i64,
    completes: bool,
}

impl Ledger {
    /// The watch that is open on `stack`, if there is one.
    pub fn open_watch(&self, stack: &StackName) -> Result<Option<OpenWatch>, LedgerError> {
        type Row = (String, String, Option<String>, Option<String>, bool, String, Option<String>);
        let found: Option<Row> = self.read(|connection| {
            connection
                .query_row(
                    "SELECT deploy, desired, before_kind, before_commit, holds, watched, failed FROM watches
                     WHERE stack = ?1",
                    [stack.as_str()],
                    |row| {
                        let revision = (row.get(2)?, row.get(3)?);
                        Ok((
                            row.get(0)?,
                            row.get(1)?,
                            revision.0,
                            revision.1,
                            row.get(4)?,
                            row.get(5)?,
                            row.get(6)?,
                        ))
                    },
                )
                .optional()
        })?;
        let opened = |(deploy, desired, kind, commit, holds, watched, failed): Row| {
            let records: Vec<WatchedRecord> =
                serde_json::from_str(&watched).map_err(|error| error.to_string())?;
            Ok(OpenWatch {
                deploy: deploy.parse().map_err(|error: NameError| error.to_string())?,
                desired: DesiredDigest(desired),
                before: kind.map(|kind| record::to_revision(&kind, commit)).transpose()?,
                holds,
                watched: records.iter().map(to_watched).collect::<Result<_, _>>()?,
                failed,
            })
        };
        found
            .map(opened)
            .transpose()
            .map_err(|what: String| self.damaged(format!("watch of {stack}: {what}")))
    }

    /// Records that the watch of `stack` has failed: what it desired is quarantined, and the stack has to go back. Until
    /// a deploy has done that, this is remembered.
    pub fn fail_watch(&self, stack: &StackName, why: &str, now: Timestamp) -> Result<(), LedgerError> {
        self.write(Write::FailWatch, |transaction| {
            transaction.execute(
                "INSERT OR REPLACE INTO quarantine (stack, desired, since, why, deploy)
                 SELECT stack, desired, ?2, ?3, deploy FROM watches WHERE stack = ?1",
                params![stack.as_str(), now.as_millisecond(), why],
            )?;
            transaction
                .execute("UPDATE watches SET failed = ?2 WHERE stack = ?1", params![stack.as_str(), why])?;
            Ok(())
        })
    }

    /// Ends the watch of `stack`: its time has passed, or there is nowhere to return to.
    pub fn end_watch(&self, stack: &StackName) -> Result<(), LedgerError> {
        self.write(Write::EndWatch, |transaction| {
            transaction.execute("DELETE FROM watches WHERE stack = ?1", [stack.as_str()])?;
            Ok(())
        })
    }
}

fn to_watched(record: &WatchedRecord) -> Result<(Instance, Watched), String> {
    let service = record.service.parse().map_err(|error: NameError| error.to_string())?;
    let expect = if record.completes { Expect::Completed } else { Expect::Running };
    Ok((Instance { service, number: record.number }, Watched { until: moment(record.until)?, expect }))
}

/// What a commit means for the watch of its stack: a repair leaves it open, any other deploy ends it and may open its
/// own. Called before what is stable is replaced.
pub(super) fn of_commit(
    transaction: &Transaction<'_>,
    deploy: &DeployId,
    plan: &Plan,
    now: Timestamp,
) -> Result<(), rusqlite::Error> {
    let stack = plan.stack.as_str();
    let trigger: Option<String> = transaction
        .query_row("SELECT trigger FROM deploys WHERE id = ?1", [deploy.as_str()], |row| row.get(0))
        .optional()?;
    let trigger = trigger.unwrap_or_default();
    let before: Option<(String, Option<String>, String)> = transaction
        .query_row(
            "SELECT revision_kind, revision_commit, desired FROM stable WHERE stack = ?1",
            [stack],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )
        .optional()?;
    let is_same = before.as_ref().is_some_and(|(_, _, desired)| *desired == plan.desired.0);
    if is_same && trigger == "drift" {
        return Ok(());
    }
    if trigger == TRIGGER {
        transaction.execute(
            "UPDATE deploys SET state = ?2, failure = (SELECT failed FROM watches WHERE stack = ?1)
             WHERE id = (SELECT deploy FROM watches WHERE stack = ?1)",
            params![stack, State::RolledBackInWatch.code()],
        )?;
    }
    transaction.execute("DELETE FROM watches WHERE stack = ?1", [stack])?;
    if plan.watch.is_empty() || is_same || BACK.contains(&trigger.as_str()) {
        return Ok(());
    }
    let watched: Vec<WatchedRecord> = plan
        .watch
        .iter()
        .map(|(instance, (time, expect))| {
            let time = SignedDuration::try_from(*time).unwrap_or(SignedDuration::MAX);
            WatchedRecord {
                service: instance.service.to_string(),
                number: instance.number,
                until: now.checked_add(time).unwrap_or(Timestamp::MAX).as_millisecond(),
                completes: *expect == Expect::Completed,
            }
        })
        .collect();
    let (kind, commit, _) =
        before.map_or((None, None, None), |(kind, commit, desired)| (Some(kind), commit, Some(desired)));
    transaction.execute(
        "INSERT INTO watches (stack, deploy, desired, before_kind, before_commit, holds, watched)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![
            stack,
            deploy.as_str(),
            plan.desired.0,
            kind,
            commit,
            !plan.checkpoint.hold.is_empty(),
            record::to_json(&watched)?,
        ],
    )?;
    Ok(())
}
