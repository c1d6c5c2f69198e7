//! What stacks were told to take over. Labels can't be added to what is there, so this is the only record of it: without
//! the ledger those objects are somebody else's again.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use rusqlite::{OptionalExtension, Transaction, params};

use super::history::State;
use super::memory::{insert_applied, replace_stable};
use super::writes::Write;
use super::{Ledger, LedgerError, record, schema};
use crate::model::adopted::Adopted;
use crate::model::live::Live;
use crate::model::name::{ContainerId, DeployId, Instance, StackName};
use crate::plan::Plan;
use crate::plan::fields::Fields;

/// What is written when a stack takes something over.
#[derive(Debug, Clone, Copy)]
pub struct TakeOver<'a> {
    /// The plan as it is from then on.
    pub plan: &'a Plan,
    /// What is taken over.
    pub adopted: &'a Adopted,
    /// What the containers count as made from.
    pub applied: &'a BTreeMap<Instance, (ContainerId, Fields)>,
    /// What it is called in the history.
    pub id: &'a DeployId,
    /// Who asked for it.
    pub actor: &'a str,
}

/// What the history says of the trigger.
const TRIGGER: &str = "adopt";

const CONTAINER: &str = "container";
const NETWORK: &str = "network";
const VOLUME: &str = "volume";

impl Ledger {
    /// What `stack` has taken over.
    pub fn adopted(&self, stack: &StackName) -> Result<Adopted, LedgerError> {
        type Row = (String, String, Option<String>, Option<u32>);
        let rows: Vec<Row> = self.read(|connection| {
            connection
                .prepare_cached("SELECT kind, object, service, number FROM adopted WHERE stack = ?1")?
                .query_map([stack.as_str()], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?
                .collect()
        })?;
        let mut adopted = Adopted::none();
        for (kind, object, service, number) in rows {
            let damaged = |what: String| self.damaged(format!("{kind} {object}: {what}"));
            let bad = |error: crate::model::name::NameError| damaged(error.to_string());
            match (kind.as_str(), service, number) {
                (CONTAINER, Some(service), Some(number)) => {
                    let instance = Instance { service: service.parse().map_err(bad)?, number };
                    adopted.containers.insert(object.parse().map_err(bad)?, instance);
                }
                (NETWORK, ..) => drop(adopted.networks.insert(object.parse().map_err(bad)?)),
                (VOLUME, ..) => drop(adopted.volumes.insert(object.parse().map_err(bad)?)),
                _ => return Err(damaged("it is not known what this is".to_owned())),
            }
        }
        Ok(adopted)
    }

    /// What of `adopted` another stack than `stack` has taken over: what it is, and which stack that is.
    pub fn adopted_elsewhere(
        &self,
        stack: &StackName,
        adopted: &Adopted,
    ) -> Result<Vec<(String, StackName)>, LedgerError> {
        let Adopted { containers, networks, volumes } = adopted;
        let all = (containers.keys().map(|id| (CONTAINER, id.as_str())))
            .chain(networks.iter().map(|id| (NETWORK, id.as_str())))
            .chain(volumes.iter().map(|name| (VOLUME, name.as_str())));
        let mut found = Vec::new();
        for (kind, object) in all {
            let owner: Option<String> = self.read(|connection| {
                connection
                    .prepare_cached(
                        "SELECT stack FROM adopted WHERE kind = ?1 AND object = ?2 AND stack <> ?3",
                    )?
                    .query_row(params![kind, object, stack.as_str()], |row| row.get(0))
                    .optional()
            })?;
            if let Some(owner) = owner {
                let owner =
                    owner.parse().map_err(|error| self.damaged(format!("{kind} {object}: {error}")))?;
                // An id is as long as nobody reads it.
                let shown = if kind == VOLUME { object } else { object.get(..12).unwrap_or(object) };
                found.push((format!("{kind} {shown}"), owner));
            }
        }
        Ok(found)
    }

    /// Records all of `taken` or nothing. Where nothing is left to do, its revision counts as the one that is carried
    /// out, and a later one can be rolled back to it.
    pub fn adopt(&self, taken: TakeOver<'_>, now: Timestamp) -> Result<(), LedgerError> {
        let TakeOver { plan, adopted, applied, .. } = taken;
        let Adopted { containers, networks, volumes } = adopted;
        let stack = plan.stack.as_str();
        self.write(Write::Adopt, |transaction| {
            let mut insert = transaction.prepare_cached(
                "INSERT INTO adopted (stack, kind, object, service, number, since)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                 ON CONFLICT (kind, object) DO UPDATE
                     SET service = excluded.service, number = excluded.number, since = excluded.since
                     WHERE stack = excluded.stack",
            )?;
            // Nothing is changed by a row that another stack got in the meantime: then all of it is undone.
            let mut insert = |row: &[&dyn rusqlite::ToSql]| match insert.execute(row)? {
                1 => Ok(()),
                changed => Err(rusqlite::Error::StatementChangedRows(changed)),
            };
            let since = now.as_millisecond();
            for (id, Instance { service, number }) in containers {
                insert(params![stack, CONTAINER, id.as_str(), service.as_str(), number, since])?;
            }
            let none = (None::<&str>, None::<u32>);
            for id in networks {
                insert(params![stack, NETWORK, id.as_str(), none.0, none.1, since])?;
            }
            for name in volumes {
                insert(params![stack, VOLUME, name.as_str(), none.0, none.1, since])?;
            }
            insert_applied(transaction, &plan.stack, applied)?;
            if plan.is_empty() {
                replace_stable(transaction, plan, now)?;
                remember(transaction, taken, now)?;
            }
            Ok(())
        })
    }

    /// Forgets what is no longer on the host, as `live` has it. Writes nothing where all of it is still there.
    pub fn forget_gone(&self, stack: &StackName, live: &Live) -> Result<(), LedgerError> {
        let Adopted { containers, networks, volumes } = self.adopted(stack)?;
        let gone: BTreeSet<(&str, String)> = containers
            .into_keys()
            .filter(|id| !live.containers.contains_key(id))
            .map(|id| (CONTAINER, id.to_string()))
            .chain(
                networks
                    .into_iter()
                    .filter(|id| !live.networks.contains_key(id))
                    .map(|id| (NETWORK, id.to_string())),
            )
            .chain(
                volumes
                    .into_iter()
                    .filter(|name| !live.volumes.contains_key(name))
                    .map(|name| (VOLUME, name.to_string())),
            )
            .collect();
        if gone.is_empty() {
            return Ok(());
        }
        self.write(Write::ForgetGone, |transaction| {
            for (kind, object) in &gone {
                transaction.execute(
                    "DELETE FROM adopted WHERE stack = ?1 AND kind = ?2 AND object = ?3",
                    params![stack.as_str(), kind, object],
                )?;
            }
            Ok(())
        })
    }

    /// Forgets a container that was taken over and then removed.
    pub fn forget_adopted(&self, stack: &StackName, container: &ContainerId) -> Result<(), LedgerError> {
        self.note(Write::ForgetAdopted, |connection| {
            connection
                .prepare_cached("DELETE FROM adopted WHERE stack = ?1 AND kind = ?2 AND object = ?3")?
                .execute(params![stack.as_str(), CONTAINER, container.as_str()])
                .map(drop)
        })
    }
}

/// Puts it into the history, as a deploy that changed nothing.
fn remember(
    transaction: &Transaction<'_>,
    TakeOver { plan, id, actor, .. }: TakeOver<'_>,
    now: Timestamp,
) -> Result<(), rusqlite::Error> {
    let (kind, commit) = record::of_revision(&plan.revision);
    transaction.execute(
        "INSERT INTO deploys (id, stack, revision_kind, revision_commit, desired, plan, trigger, actor,
             began, ended, state, changes, checkpoint)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?9, ?10, ?11, ?12)",
        params![
            id.as_str(),
            plan.stack.as_str(),
            kind,
            commit,
            plan.desired.0,
            plan.id.0,
            TRIGGER,
            actor,
            now.as_millisecond(),
            State::Done.code(),
            record::to_json(&record::of_changes(&plan.changes))?,
            record::to_json(&record::of_checkpoint(&plan.checkpoint))?,
        ],
    )?;
    schema::forget_the_oldest(transaction, plan.stack.as_str())
}
