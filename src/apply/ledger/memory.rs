//! What the ledger remembers of a stack between deploys: the containers that serve and what they were made from, the
//! last revision that was carried out, the containers that are kept for a way back, and what must not be tried again.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::history::{State, moment};
use super::writes::Write;
use super::{Ending, Ledger, LedgerError, record, watch};
use crate::model::desired::Revision;
use crate::model::name::{ContainerId, DeployId, Instance, StackName};
use crate::plan::fields::{self, Fields};
use crate::plan::rollback::Held;
use crate::plan::{DesiredDigest, LastApplied, Plan};

/// What is written when a deploy commits.
#[derive(Debug, Clone, Copy)]
pub struct Settled<'a> {
    /// The plan that was carried out.
    pub plan: &'a Plan,
    /// The containers that serve from now on, with what they were made from.
    pub current: &'a BTreeMap<Instance, (ContainerId, Fields)>,
}

/// The last revision that was carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stable {
    /// The revision.
    pub revision: Revision,
    /// Digest of everything that it desired.
    pub desired: DesiredDigest,
    /// Since when.
    pub since: Timestamp,
}

/// Something desired that failed and is not tried again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quarantined {
    /// Digest of everything that was desired.
    pub desired: DesiredDigest,
    /// Since when.
    pub since: Timestamp,
    /// Why it failed.
    pub why: String,
    /// The deploy that failed.
    pub deploy: DeployId,
}

impl Ledger {
    /// The one decision of a deploy: from here on it goes forward. Records what serves now, and which of the
    /// containers that the plan replaced are kept. What it desired is no longer quarantined.
    pub fn commit(&self, deploy: &DeployId, settled: Settled<'_>, now: Timestamp) -> Result<(), LedgerError> {
        let Settled { plan, current } = settled;
        let serving: BTreeSet<&ContainerId> = current.values().map(|(container, _)| container).collect();
        self.write(Write::Commit, |transaction| {
            transaction
                .execute("UPDATE deploys SET state = 'committed' WHERE id = ?1", params![deploy.as_str()])?;
            watch::of_commit(transaction, deploy, plan, now)?;
            replace_applied(transaction, &plan.stack, current)?;
            replace_stable(transaction, plan, now)?;
            for kept in plan.checkpoint.containers.iter().filter(|kept| !serving.contains(&kept.container)) {
                transaction.execute(
                    "INSERT OR REPLACE INTO retired (stack, container, retired_by) VALUES (?1, ?2, ?3)",
                    params![plan.stack.as_str(), kept.container.as_str(), deploy.as_str()],
                )?;
            }
            for container in &serving {
                // One that was revived serves again.
                transaction.execute(
                    "DELETE FROM retired WHERE stack = ?1 AND container = ?2",
                    params![plan.stack.as_str(), container.as_str()],
                )?;
            }
            transaction.execute(
                "DELETE FROM quarantine WHERE stack = ?1 AND desired = ?2",
                params![plan.stack.as_str(), plan.desired.0],
            )?;
            Ok(())
        })
    }

    /// Records that a deploy of `stack` ended half done: from now on serves what it had reached, and what that replaced is
    /// kept. What the containers were made from is not on record: until the next commit nothing is told from drift.
    pub fn hold(
        &self,
        (stack, deploy): (&StackName, &DeployId),
        held: &Held,
        now: Timestamp,
    ) -> Result<(), LedgerError> {
        let Held { reached, retired } = held;
        self.write(Write::Hold, |transaction| {
            for container in retired {
                transaction.execute(
                    "DELETE FROM applied WHERE stack = ?1 AND container = ?2",
                    params![stack.as_str(), container.as_str()],
                )?;
                transaction.execute(
                    "INSERT OR REPLACE INTO retired (stack, container, retired_by) VALUES (?1, ?2, ?3)",
                    params![stack.as_str(), container.as_str(), deploy.as_str()],
                )?;
            }
            let unknown = |(instance, container): (&Instance, &ContainerId)| {
                (instance.clone(), (container.clone(), Fields::default()))
            };
            insert_applied(transaction, stack, &reached.iter().map(unknown).collect())?;
            for container in reached.values() {
                transaction.execute(
                    "DELETE FROM retired WHERE stack = ?1 AND container = ?2",
                    params![stack.as_str(), container.as_str()],
                )?;
            }
            transaction.execute(
                "UPDATE deploys SET state = ?2, ended = ?3 WHERE id = ?1",
                params![deploy.as_str(), State::from(Ending::Held).code(), now.as_millisecond()],
            )?;
            Ok(())
        })
    }

    /// Records that nothing had to be done for `plan`: its revision is the one that is carried out, and what it is
    /// made of is what was applied. Writes nothing where that is on record already.
    pub fn affirm(&self, settled: Settled<'_>, now: Timestamp) -> Result<(), LedgerError> {
        let Settled { plan, current } = settled;
        let known = self.last_stable(&plan.stack)?;
        let revision_is_known =
            known.is_some_and(|stable| stable.revision == plan.revision && stable.desired == plan.desired);
        // What a deploy left half done is over by this.
        let is_whole = self.held(&plan.stack)?.is_none() && self.stuck(&plan.stack)?.is_none();
        if revision_is_known && is_whole && self.last_applied(&plan.stack)?.current == *current {
            return Ok(());
        }
        self.write(Write::Affirm, |transaction| {
            replace_applied(transaction, &plan.stack, current)?;
            replace_stable(transaction, plan, now)
        })
    }

    /// The containers that serve and what they were made from, as of the last commit.
    ///
    /// What was recorded in another version of the normal form comes back without fields: the container is still
    /// known as the one that serves, and nothing is compared with fields that mean something else today.
    pub fn last_applied(&self, stack: &StackName) -> Result<LastApplied, LedgerError> {
        let rows = self.read(|connection| rows_of_applied(connection, stack))?;
        let mut last = LastApplied::default();
        for (service, number, container, normal_form, fields) in rows {
            let damaged = |what: String| self.damaged(format!("{service}-{number}: {what}"));
            let instance =
                Instance { service: service.parse().map_err(|error| damaged(format!("{error}")))?, number };
            let container = container.parse().map_err(|error| damaged(format!("{error}")))?;
            let fields: Fields = if normal_form == fields::VERSION {
                serde_json::from_str(&fields).map_err(|error| damaged(error.to_string()))?
            } else {
                Fields::default()
            };
            last.current.insert(instance, (container, fields));
        }
        if let Some(watch) = self.open_watch(stack)? {
            let retired = self.retired(stack)?.into_iter().filter(|(_, by)| *by == watch.deploy);
            last.kept = retired.map(|(container, _)| container).collect();
        }
        Ok(last)
    }

    /// The last revision that was carried out on `stack`; absent before the first one.
    pub fn last_stable(&self, stack: &StackName) -> Result<Option<Stable>, LedgerError> {
        let found: Option<(String, Option<String>, String, i64)> = self.read(|connection| {
            connection
                .query_row(
                    "SELECT revision_kind, revision_commit, desired, since FROM stable WHERE stack = ?1",
                    [stack.as_str()],
                    |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)),
                )
                .optional()
        })?;
        found
            .map(|(kind, commit, desired, since)| {
                let revision = record::to_revision(&kind, commit)?;
                Ok(Stable { revision, desired: DesiredDigest(desired), since: moment(since)? })
            })
            .transpose()
            .map_err(|what: String| self.damaged(what))
    }

    /// The containers that deploys replaced and that are kept for a way back.
    pub fn retired(&self, stack: &StackName) -> Result<BTreeMap<ContainerId, DeployId>, LedgerError> {
        let rows: Vec<(String, String)> = self.read(|connection| {
            connection
                .prepare_cached("SELECT container, retired_by FROM retired WHERE stack = ?1")?
                .query_map([stack.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))?
                .collect()
        })?;
        rows.into_iter()
            .map(|(container, deploy)| Ok((container.parse()?, deploy.parse()?)))
            .collect::<Result<_, crate::model::name::NameError>>()
            .map_err(|error| self.damaged(error.to_string()))
    }

    /// Forgets a retired container that was removed.
    pub fn forget_retired(&self, stack: &StackName, container: &ContainerId) -> Result<(), LedgerError> {
        self.note(Write::ForgetRetired, |connection| {
            connection
                .prepare_cached("DELETE FROM retired WHERE stack = ?1 AND container = ?2")?
                .execute(params![stack.as_str(), container.as_str()])
                .map(drop)
        })
    }

    /// Whether and why `desired` must not be tried on `stack`.
    pub fn quarantined(
        &self,
        stack: &StackName,
        desired: &DesiredDigest,
    ) -> Result<Option<Quarantined>, LedgerError> {
        let found: Option<(i64, String, String)> = self.read(|connection| {
            connection
                .query_row(
                    "SELECT since, why, deploy FROM quarantine WHERE stack = ?1 AND desired = ?2",
                    params![stack.as_str(), desired.0],
                    |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
                )
                .optional()
        })?;
        found
            .map(|(since, why, deploy)| {
                let deploy = deploy.parse().map_err(|error| format!("{error}"))?;
                Ok(Quarantined { desired: desired.clone(), since: moment(since)?, why, deploy })
            })
            .transpose()
            .map_err(|what: String| self.damaged(what))
    }

    /// Everything that must not be tried on `stack`, the latest first.
    pub fn all_quarantined(&self, stack: &StackName) -> Result<Vec<Quarantined>, LedgerError> {
        let rows: Vec<(String, i64, String, String)> = self.read(|connection| {
            connection
                .prepare_cached(
                    "SELECT desired, since, why, deploy FROM quarantine WHERE stack = ?1 ORDER BY since DESC, desired",
                )?
                .query_map([stack.as_str()], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?
                .collect()
        })?;
        rows.into_iter()
            .map(|(desired, since, why, deploy)| {
                let deploy = deploy.parse().map_err(|error| format!("{error}"))?;
                Ok(Quarantined { desired: DesiredDigest(desired), since: moment(since)?, why, deploy })
            })
            .collect::<Result<_, String>>()
            .map_err(|what| self.damaged(what))
    }

    /// Quarantines `desired` because of `deploy`, after it had committed: its watch failed.
    pub fn quarantine(&self, stack: &StackName, entry: &Quarantined) -> Result<(), LedgerError> {
        let Quarantined { desired, since, why, deploy } = entry;
        self.write(Write::Quarantine, |transaction| {
            transaction.execute(
                "INSERT OR REPLACE INTO quarantine (stack, desired, since, why, deploy) VALUES (?1, ?2, ?3, ?4, ?5)",
                params![stack.as_str(), desired.0, since.as_millisecond(), why, deploy.as_str()],
            )?;
            Ok(())
        })
    }

    /// Lets `desired` be tried again on `stack`.
    pub fn release_one(&self, stack: &StackName, desired: &DesiredDigest) -> Result<(), LedgerError> {
        self.write(Write::ReleaseOne, |transaction| {
            let sql = "DELETE FROM quarantine WHERE stack = ?1 AND desired = ?2";
            transaction.execute(sql, params![stack.as_str(), desired.0])?;
            Ok(())
        })
    }

    /// Lets everything that is quarantined on `stack` be tried again.
    pub fn release(&self, stack: &StackName) -> Result<(), LedgerError> {
        self.write(Write::Release, |transaction| {
            transaction.execute("DELETE FROM quarantine WHERE stack = ?1", [stack.as_str()])?;
            Ok(())
        })
    }
}

/// Takes what serves out of the quarantine, where `deploy` was a rollback by hand: that puts it there before it begins.
pub(super) fn stay(transaction: &Transaction<'_>, deploy: &DeployId) -> Result<(), rusqlite::Error> {
    transaction.execute(
        "DELETE FROM quarantine WHERE (stack, desired) IN
             (SELECT stable.stack, stable.desired FROM stable JOIN deploys ON deploys.stack = stable.stack
              WHERE deploys.id = ?1 AND deploys.trigger = 'rollback')",
        [deploy.as_str()],
    )?;
    Ok(())
}

type AppliedRow = (String, u32, String, u32, String);

fn rows_of_applied(connection: &Connection, stack: &StackName) -> Result<Vec<AppliedRow>, rusqlite::Error> {
    connection
        .prepare_cached(
            "SELECT service, number, container, normal_form, fields FROM applied WHERE stack = ?1",
        )?
        .query_map([stack.as_str()], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
        })?
        .collect()
}

fn replace_applied(
    transaction: &Transaction<'_>,
    stack: &StackName,
    current: &BTreeMap<Instance, (ContainerId, Fields)>,
) -> Result<(), rusqlite::Error> {
    transaction.execute("DELETE FROM applied WHERE stack = ?1", [stack.as_str()])?;
    insert_applied(transaction, stack, current)
}

/// Records what these containers were made from, beside what is known of others.
pub(super) fn insert_applied(
    transaction: &Transaction<'_>,
    stack: &StackName,
    current: &BTreeMap<Instance, (ContainerId, Fields)>,
) -> Result<(), rusqlite::Error> {
    let mut insert = transaction.prepare_cached(
        "INSERT OR REPLACE INTO applied (stack, service, number, container, normal_form, fields)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    for (instance, (container, fields)) in current {
        insert.execute(params![
            stack.as_str(),
            instance.service.as_str(),
            instance.number,
            container.as_str(),
            fields::VERSION,
            record::to_json(fields)?,
        ])?;
    }
    Ok(())
}

pub(super) fn replace_stable(
    transaction: &Transaction<'_>,
    plan: &Plan,
    now: Timestamp,
) -> Result<(), rusqlite::Error> {
    let (kind, commit) = record::of_revision(&plan.revision);
    transaction.execute(
        "INSERT OR REPLACE INTO stable (stack, revision_kind, revision_commit, desired, since)
         VALUES (?1, ?2, ?3, ?4, ?5)",
        params![plan.stack.as_str(), kind, commit, plan.desired.0, now.as_millisecond()],
    )?;
    Ok(())
}
