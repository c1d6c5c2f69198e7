//! What was deployed and how it ended, and the deploy that hasn't ended yet.

use std::fmt;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::{Deserialize, Serialize};

use super::writes::Write;
use super::{Ending, Ledger, LedgerError, record};
use crate::model::desired::Revision;
use crate::model::name::{DeployId, StackName};
use crate::plan::{DesiredDigest, OpenDeploy, PlanId};

/// What has become of a deploy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It was begun and hasn't committed.
    Open,
    /// It failed and is on the way back.
    RollingBack,
    /// It is committed; names and policies get their final form.
    Committed,
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
    /// It was carried out and failed while it was watched; what ran before runs again.
    RolledBackInWatch,
}

const STATES: [State; 10] = [
    State::Open,
    State::RollingBack,
    State::Committed,
    State::Done,
    State::Failed,
    State::Interrupted,
    State::RolledBack,
    State::RollbackFailed,
    State::Held,
    State::RolledBackInWatch,
];

impl State {
    /// The word in the ledger and in JSON.
    pub fn code(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::RollingBack => "rolling_back",
            Self::Committed => "committed",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
            Self::RolledBack => "rolled_back",
            Self::RollbackFailed => "rollback_failed",
            Self::Held => "held",
            Self::RolledBackInWatch => "rolled_back_in_watch",
        }
    }

    fn of_code(code: &str) -> Option<Self> {
        STATES.into_iter().find(|state| state.code() == code)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Open => "under way",
            Self::RollingBack => "rolling back",
            Self::Committed | Self::Done => "deployed",
            Self::Failed => "failed, nothing changed",
            Self::Interrupted => "interrupted, undone",
            Self::RolledBack => "rolled back",
            Self::RollbackFailed => "rollback failed",
            Self::Held => "held half done",
            Self::RolledBackInWatch => "rolled back during its watch",
        })
    }
}

impl From<Ending> for State {
    fn from(ending: Ending) -> Self {
        match ending {
            Ending::Done => Self::Done,
            Ending::Failed => Self::Failed,
            Ending::Interrupted => Self::Interrupted,
            Ending::RolledBack => Self::RolledBack,
            Ending::RollbackFailed => Self::RollbackFailed,
            Ending::Held => Self::Held,
        }
    }
}

/// One deploy of the past, or the present one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeployRecord {
    /// Its id.
    pub id: DeployId,
    /// What was deployed.
    pub revision: Revision,
    /// Digest of everything that was desired.
    pub desired: DesiredDigest,
    /// The plan that was carried out.
    pub plan: PlanId,
    /// What woke it.
    pub trigger: String,
    /// Who asked for it.
    pub actor: String,
    /// When it began.
    pub began: Timestamp,
    /// When it ended; absent while it hasn't.
    pub ended: Option<Timestamp>,
    /// What has become of it.
    pub state: State,
    /// Why it failed, if it did.
    pub failure: Option<String>,
    /// What it changed, in the order of the plan.
    pub changes: Vec<ChangeLine>,
}

impl DeployRecord {
    /// How long it took, in milliseconds; absent while it is under way, and where a clock was set back.
    pub fn took_ms(&self) -> Option<u64> {
        self.ended?.duration_since(self.began).as_millis().try_into().ok()
    }
}

/// One change of a deploy, in short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeLine {
    /// `service`, `network` or `volume`.
    pub kind: String,
    /// The object's name for people.
    pub name: String,
    /// What happened to it, by [`crate::plan::change::Operation::code`].
    pub operation: String,
    /// Why, without any value: `image (git), restart (drift)`. Empty in records of earlier releases.
    #[serde(default)]
    pub why: String,
}

/// A deploy that was begun and hasn't ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfinished {
    /// The deploy.
    pub deploy: OpenDeploy,
    /// Whether it is committed: then it only goes forward, else only back.
    pub committed: bool,
    /// Why it goes back, if it had failed already.
    pub failure: Option<String>,
}

/// One step on record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepRecord {
    /// Whether it belongs to the rollback.
    pub of_rollback: bool,
    /// What it does.
    pub words: String,
    /// When it was begun.
    pub began: Timestamp,
    /// When it ended; absent if it was cut off.
    pub ended: Option<Timestamp>,
    /// Why it failed, if it did.
    pub failure: Option<String>,
}

const COLUMNS: &str = "id, revision_kind, revision_commit, desired, plan, trigger, actor, began, ended, state, failure, changes";

struct RawDeploy {
    id: String,
    revision_kind: String,
    revision_commit: Option<String>,
    record: (String, String, String, String),
    began: i64,
    ended: Option<i64>,
    state: String,
    failure: Option<String>,
    changes: String,
}

fn raw(row: &Row<'_>) -> Result<RawDeploy, rusqlite::Error> {
    Ok(RawDeploy {
        id: row.get(0)?,
        revision_kind: row.get(1)?,
        revision_commit: row.get(2)?,
        record: (row.get(3)?, row.get(4)?, row.get(5)?, row.get(6)?),
        began: row.get(7)?,
        ended: row.get(8)?,
        state: row.get(9)?,
        failure: row.get(10)?,
        changes: row.get(11)?,
    })
}

fn cooked(raw: RawDeploy) -> Result<DeployRecord, String> {
    let (desired, plan, trigger, actor) = raw.record;
    Ok(DeployRecord {
        id: raw.id.parse().map_err(|error: crate::model::name::NameError| error.to_string())?,
        revision: record::to_revision(&raw.revision_kind, raw.revision_commit)?,
        desired: DesiredDigest(desired),
        plan: PlanId(plan),
        trigger,
        actor,
        began: moment(raw.began)?,
        ended: raw.ended.map(moment).transpose()?,
        state: State::of_code(&raw.state)
            .ok_or_else(|| format!("`{}` is no state of a deploy", raw.state))?,
        failure: raw.failure,
        changes: serde_json::from_str(&raw.changes).map_err(|error| error.to_string())?,
    })
}

pub(super) fn moment(milliseconds: i64) -> Result<Timestamp, String> {
    Timestamp::from_millisecond(milliseconds).map_err(|error| error.to_string())
}

impl Ledger {
    /// The deploy of `stack` that was begun and hasn't ended, if there is one.
    pub fn open_deploy(&self, stack: &StackName) -> Result<Option<Unfinished>, LedgerError> {
        let found: Option<(String, String, Option<String>)> = self.read(|connection| {
            connection
                .query_row(
                    "SELECT id, state, failure FROM deploys
                     WHERE stack = ?1 AND state IN ('open', 'rolling_back', 'committed') ORDER BY seq DESC LIMIT 1",
                    [stack.as_str()],
                    |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
                )
                .optional()
        })?;
        let Some((id, state, failure)) = found else { return Ok(None) };
        let id: DeployId =
            id.parse().map_err(|error: crate::model::name::NameError| self.damaged(error.to_string()))?;
        let committed = match State::of_code(&state) {
            Some(State::Committed) => true,
            Some(State::Open | State::RollingBack) => false,
            Some(
                State::Done
                | State::Failed
                | State::Interrupted
                | State::RolledBack
                | State::RollbackFailed
                | State::Held
                | State::RolledBackInWatch,
            )
            | None => return Err(self.damaged(format!("deploy {id} is in the state `{state}`"))),
        };
        let checkpoint = self.checkpoint(&id)?;
        Ok(Some(Unfinished {
            deploy: OpenDeploy { id, stack: stack.clone(), checkpoint },
            committed,
            failure,
        }))
    }

    /// The stacks that have a deploy which was begun and hasn't ended.
    pub fn unfinished_stacks(&self) -> Result<Vec<StackName>, LedgerError> {
        let names: Vec<String> = self.read(|connection| {
            connection
                .prepare_cached(
                    "SELECT DISTINCT stack FROM deploys WHERE state IN ('open', 'rolling_back', 'committed') ORDER BY stack",
                )?
                .query_map([], |row| row.get(0))?
                .collect()
        })?;
        let stacks: Result<_, crate::model::name::NameError> =
            names.iter().map(|name| name.parse()).collect();
        stacks.map_err(|error| self.damaged(error.to_string()))
    }

    /// The deploys of `stack`, the latest first, at most so many.
    pub fn history(&self, stack: &StackName, most: u32) -> Result<Vec<DeployRecord>, LedgerError> {
        let sql = format!("SELECT {COLUMNS} FROM deploys WHERE stack = ?1 ORDER BY seq DESC LIMIT ?2");
        let rows = self.read(|connection| {
            connection
                .prepare_cached(&sql)?
                .query_map(params![stack.as_str(), most], raw)?
                .collect::<Result<Vec<_>, _>>()
        })?;
        rows.into_iter().map(|row| cooked(row).map_err(|what| self.damaged(what))).collect()
    }

    /// The deploy that left `stack` half done because a service of it is not to be rolled back, as long as nothing was
    /// carried out since.
    pub fn held(&self, stack: &StackName) -> Result<Option<DeployRecord>, LedgerError> {
        self.left_by(stack, State::Held)
    }

    /// The deploy that left `stack` half done because its way back has failed, as long as nothing was carried out since.
    pub fn stuck(&self, stack: &StackName) -> Result<Option<DeployRecord>, LedgerError> {
        self.left_by(stack, State::RollbackFailed)
    }

    /// The stacks that are followed, or were ever deployed or adopted on this host, by name.
    pub fn stacks(&self) -> Result<Vec<StackName>, LedgerError> {
        let rows: Vec<String> = self.read(|connection| {
            connection
                .prepare_cached(
                    "SELECT stack FROM stable UNION SELECT stack FROM deploys UNION SELECT stack FROM adopted
                     UNION SELECT stack FROM orders ORDER BY 1",
                )?
                .query_map([], |row| row.get(0))?
                .collect()
        })?;
        rows.into_iter()
            .map(|name| name.parse())
            .collect::<Result<_, crate::model::name::NameError>>()
            .map_err(|error| self.damaged(error.to_string()))
    }

    /// The deploy that left `stack` half done, held or because its way back has failed.
    pub fn half_done(&self, stack: &StackName) -> Result<Option<DeployRecord>, LedgerError> {
        Ok(self.held(stack)?.or(self.stuck(stack)?))
    }

    /// The deploy that left `stack` half done, if that is how it ended.
    fn left_by(&self, stack: &StackName, ending: State) -> Result<Option<DeployRecord>, LedgerError> {
        // What failed in between left things as they were.
        let sql = format!(
            "SELECT {COLUMNS} FROM deploys
             WHERE stack = ?1 AND state IN ('held', 'rollback_failed', 'done', 'committed') ORDER BY seq DESC LIMIT 1"
        );
        let row = self.read(|connection| {
            connection.prepare_cached(&sql)?.query_row([stack.as_str()], raw).optional()
        })?;
        let latest = row.map(|row| cooked(row).map_err(|what| self.damaged(what))).transpose()?;
        let Some(left) = latest.filter(|record| record.state == ending) else { return Ok(None) };
        // A look may have found that all is as desired after all, without a deploy.
        let stable = self.last_stable(stack)?;
        let is_over = stable.is_some_and(|stable| left.ended.is_some_and(|ended| ended < stable.since));
        Ok(Some(left).filter(|_| !is_over))
    }

    /// Says of a deploy that has ended why it did, in other words than those on record.
    pub fn explain(&self, deploy: &DeployId, why: &str) -> Result<(), LedgerError> {
        self.write(Write::Explain, |transaction| {
            transaction
                .execute("UPDATE deploys SET failure = ?2 WHERE id = ?1", params![deploy.as_str(), why])?;
            Ok(())
        })
    }

    /// The steps of a deploy in the order in which they were begun. Those of old deploys are forgotten.
    pub fn steps(&self, deploy: &DeployId) -> Result<Vec<StepRecord>, LedgerError> {
        let rows = self.read(|connection| rows_of_steps(connection, deploy))?;
        rows.into_iter()
            .map(|(direction, words, began, ended, failure)| {
                let times = moment(began).and_then(|began| Ok((began, ended.map(moment).transpose()?)));
                let (began, ended) = times.map_err(|what| self.damaged(what))?;
                Ok(StepRecord { of_rollback: direction == "back", words, began, ended, failure })
            })
            .collect()
    }
}

type StepRow = (String, String, i64, Option<i64>, Option<String>);

fn rows_of_steps(connection: &Connection, deploy: &DeployId) -> Result<Vec<StepRow>, rusqlite::Error> {
    connection
        .prepare_cached(
            "SELECT direction, words, began, ended, failure FROM steps WHERE deploy = ?1
             ORDER BY direction DESC, began, at",
        )?
        .query_map([deploy.as_str()], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
        })?
        .collect()
}
