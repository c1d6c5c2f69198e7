//! What operators have asked for: a pause, a return to an earlier revision, the approval of a plan. And who asked for
//! what, for ever.
//!
//! An order is a record and not a message: it holds across restarts until it has expired, was taken back or carried out.

use jiff::Timestamp;
use rusqlite::{OptionalExtension, Transaction, params};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::history::moment;
use super::writes::Write;
use super::{Ledger, LedgerError, record};
use crate::model::name::StackName;
use crate::plan::{DesiredDigest, PlanId};

/// Entries of the audit log that are kept.
const AUDIT_MAX: u32 = 100_000;

/// A time without changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pause {
    /// Until when.
    pub until: Timestamp,
    /// Why.
    pub reason: String,
    /// Who asked.
    pub by: String,
    /// Since when.
    pub since: Timestamp,
}

/// A return to an earlier revision that holds until the branch brings something else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Return {
    /// The commit to return to.
    pub to: String,
    /// The content that is left; absent where nothing was deployed.
    pub left: Option<DesiredDigest>,
    /// Who asked.
    pub by: String,
    /// Since when.
    pub since: Timestamp,
}

/// Somebody has agreed to a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approval {
    /// The plan.
    pub plan: PlanId,
    /// Who agreed.
    pub by: String,
    /// Since when.
    pub since: Timestamp,
}

/// What operators have asked for on one stack.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Orders {
    /// A pause; also one that has expired.
    pub pause: Option<Pause>,
    /// A return to an earlier revision.
    pub back: Option<Return>,
    /// An approved plan.
    pub approval: Option<Approval>,
}

/// A change that somebody has asked for, as the audit log has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AuditEntry {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub actor: String,
    /// On which stack; absent where it is about the agent.
    pub stack: Option<String>,
    /// What was asked for: `pause until 2026-01-01T08:00:00Z: database migration`.
    pub what: String,
    /// Whether it was granted, or why not.
    pub answer: String,
}

/// The kinds of orders, as the table has them.
const PAUSE: &str = "pause";
const RETURN: &str = "return";
const APPROVAL: &str = "approval";
/// No order, but that an agent would take one.
const FOLLOWED: &str = "followed";

#[derive(Serialize, serde::Deserialize)]
struct PauseValue {
    until: i64,
    reason: String,
}

#[derive(Serialize, serde::Deserialize)]
struct ReturnValue {
    to: String,
    left: Option<String>,
}

impl Ledger {
    /// What operators have asked for on `stack`.
    pub fn orders(&self, stack: &StackName) -> Result<Orders, LedgerError> {
        let pause = self.order::<PauseValue>(stack, PAUSE)?.map(|(value, by, since)| {
            Ok::<_, String>(Pause { until: moment(value.until)?, reason: value.reason, by, since })
        });
        let back = self.order::<ReturnValue>(stack, RETURN)?.map(|(value, by, since)| Return {
            to: value.to,
            left: value.left.map(DesiredDigest),
            by,
            since,
        });
        let approval = self.order::<String>(stack, APPROVAL)?.map(|(plan, by, since)| Approval {
            plan: PlanId(plan),
            by,
            since,
        });
        Ok(Orders { pause: pause.transpose().map_err(|what| self.damaged(what))?, back, approval })
    }

    fn order<T: DeserializeOwned>(
        &self,
        stack: &StackName,
        kind: &str,
    ) -> Result<Option<(T, String, Timestamp)>, LedgerError> {
        let found: Option<(String, String, i64)> = self.read(|connection| {
            connection
                .prepare_cached("SELECT value, by, since FROM orders WHERE stack = ?1 AND kind = ?2")?
                .query_row([stack.as_str(), kind], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
                .optional()
        })?;
        found
            .map(|(value, by, since)| {
                let value = serde_json::from_str(&value).map_err(|error| error.to_string())?;
                Ok((value, by, moment(since)?))
            })
            .transpose()
            .map_err(|what: String| self.damaged(what))
    }

    /// Records that an agent follows `stack`, so that orders can be given before anything is deployed.
    pub fn note_followed(&self, stack: &StackName, by: &str, now: Timestamp) -> Result<(), LedgerError> {
        self.write(Write::Order, |transaction| put(transaction, (stack, FOLLOWED), &true, (by, now)))
    }

    /// Records a pause in place of the one before.
    pub fn pause(&self, stack: &StackName, pause: &Pause) -> Result<(), LedgerError> {
        let Pause { until, reason, by, since } = pause;
        let value = PauseValue { until: until.as_millisecond(), reason: reason.clone() };
        self.write(Write::Order, |transaction| put(transaction, (stack, PAUSE), &value, (by, *since)))
    }

    /// Ends a pause.
    pub fn resume(&self, stack: &StackName) -> Result<(), LedgerError> {
        self.drop_order(stack, PAUSE)
    }

    /// Records that the stack is to return to an earlier revision.
    pub fn send_back(&self, stack: &StackName, back: &Return) -> Result<(), LedgerError> {
        let Return { to, left, by, since } = back;
        let value = ReturnValue { to: to.clone(), left: left.as_ref().map(|left| left.0.clone()) };
        self.write(Write::Order, |transaction| put(transaction, (stack, RETURN), &value, (by, *since)))
    }

    /// Forgets that the stack was to return to an earlier revision.
    pub fn forget_return(&self, stack: &StackName) -> Result<(), LedgerError> {
        self.drop_order(stack, RETURN)
    }

    /// Records that somebody has agreed to a plan, in place of the one before.
    pub fn approve(&self, stack: &StackName, approval: &Approval) -> Result<(), LedgerError> {
        let Approval { plan, by, since } = approval;
        self.write(Write::Order, |transaction| put(transaction, (stack, APPROVAL), &plan.0, (by, *since)))
    }

    fn drop_order(&self, stack: &StackName, kind: &str) -> Result<(), LedgerError> {
        self.write(Write::DropOrder, |transaction| {
            transaction
                .execute("DELETE FROM orders WHERE stack = ?1 AND kind = ?2", [stack.as_str(), kind])
                .map(drop)
        })
    }

    /// Adds an entry to the audit log.
    pub fn audit(&self, entry: &AuditEntry) -> Result<(), LedgerError> {
        let AuditEntry { at, actor, stack, what, answer } = entry;
        self.write(Write::Audit, |transaction| {
            transaction.execute(
                "INSERT INTO audit (at, actor, stack, what, answer) VALUES (?1, ?2, ?3, ?4, ?5)",
                params![at.as_millisecond(), actor, stack, what, answer],
            )?;
            let oldest = "DELETE FROM audit WHERE seq <= (SELECT max(seq) FROM audit) - ?1";
            transaction.execute(oldest, [AUDIT_MAX]).map(drop)
        })
    }

    /// The latest `most` entries of the audit log, the latest first.
    pub fn audited(&self, most: u32) -> Result<Vec<AuditEntry>, LedgerError> {
        type Row = (i64, String, Option<String>, String, String);
        let rows: Vec<Row> = self.read(|connection| {
            connection
                .prepare_cached(
                    "SELECT at, actor, stack, what, answer FROM audit ORDER BY seq DESC LIMIT ?1",
                )?
                .query_map([most], |row| {
                    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
                })?
                .collect()
        })?;
        rows.into_iter()
            .map(|(at, actor, stack, what, answer)| {
                Ok(AuditEntry { at: moment(at)?, actor, stack, what, answer })
            })
            .collect::<Result<_, String>>()
            .map_err(|what| self.damaged(what))
    }
}

fn put<T: Serialize>(
    transaction: &Transaction<'_>,
    (stack, kind): (&StackName, &str),
    value: &T,
    (by, since): (&str, Timestamp),
) -> Result<(), rusqlite::Error> {
    transaction.execute(
        "INSERT OR REPLACE INTO orders (stack, kind, value, by, since) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![stack.as_str(), kind, record::to_json(value)?, by, since.as_millisecond()],
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_holds_until_it_is_taken_back() {
        let ledger = Ledger::open_in_memory().unwrap();
        let (stack, other): (StackName, StackName) = ("shop".parse().unwrap(), "blog".parse().unwrap());
        let since: Timestamp = "2026-01-01T08:00:00Z".parse().unwrap();
        let by = "ann".to_owned();
        assert_eq!(ledger.orders(&stack).unwrap(), Orders::default());
        let until = "2026-01-01T10:00:00Z".parse().unwrap();
        let pause = Pause { until, reason: "a \"test\"".to_owned(), by: by.clone(), since };
        let left = Some(DesiredDigest("d1".to_owned()));
        let back = Return { to: "c0ffee".to_owned(), left, by: by.clone(), since };
        let approval = Approval { plan: PlanId("p1".to_owned()), by, since };
        ledger.pause(&stack, &pause).unwrap();
        ledger.send_back(&stack, &back).unwrap();
        ledger.approve(&stack, &approval).unwrap();
        let all = Orders { pause: Some(pause), back: Some(back), approval: Some(approval) };
        assert_eq!(ledger.orders(&stack).unwrap(), all);
        assert_eq!(ledger.orders(&other).unwrap(), Orders::default(), "another stack has its own");
        ledger.resume(&stack).unwrap();
        ledger.forget_return(&stack).unwrap();
        let left = ledger.orders(&stack).unwrap();
        assert_eq!((left.pause, left.back), (None, None));
        assert!(left.approval.is_some());
    }

    #[test]
    fn who_asked_for_what_is_kept() {
        let ledger = Ledger::open_in_memory().unwrap();
        let at: Timestamp = "2026-01-01T08:00:00Z".parse().unwrap();
        let entry = |what: &str, stack: Option<&str>| AuditEntry {
            at,
            actor: "token `ci`".to_owned(),
            stack: stack.map(str::to_owned),
            what: what.to_owned(),
            answer: "granted".to_owned(),
        };
        ledger.audit(&entry("sync", Some("shop"))).unwrap();
        ledger.audit(&entry("reload", None)).unwrap();
        assert_eq!(ledger.audited(10).unwrap(), [entry("reload", None), entry("sync", Some("shop"))]);
        assert_eq!(ledger.audited(1).unwrap().len(), 1);
    }
}
