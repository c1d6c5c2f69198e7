//! Where operators' orders are taken, be it from the API or from the command line, and where the stacks of this host can
//! be asked for.
//!
//! An order is written into the ledger and into the audit log, and then the agent is woken: it holds even where the agent
//! dies at that moment, and the command line needs no agent for it.

use std::sync::{Arc, PoisonError, RwLock};

use jiff::Timestamp;
use tokio::sync::Notify;

use super::board::Board;
use crate::apply::clock::Clock;
use crate::apply::ledger::history::DeployRecord;
use crate::apply::ledger::orders::{Approval, AuditEntry, Pause, Return};
use crate::apply::ledger::{Ledger, LedgerError};
use crate::model::name::StackName;
use crate::plan::PlanId;

/// What wakes the agent of one stack from outside.
#[derive(Debug, Clone, Default)]
pub struct Bell {
    /// The repository may have something new.
    pub source: Arc<Notify>,
    /// An operator has asked for something: what waits to be tried again is tried at once.
    pub order: Arc<Notify>,
}

/// A stack that is followed.
#[derive(Debug, Clone)]
pub struct Stand {
    /// What is known of it.
    pub board: Arc<Board>,
    /// What wakes its agent.
    pub bell: Bell,
}

/// Why an order is not taken.
#[derive(Debug, thiserror::Error)]
pub enum OrderError {
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A pause that has no future.
    #[error("a pause until {until:.0} is over already")]
    Past {
        /// Until when it was to be.
        until: Timestamp,
    },
    /// A pause that is too long: one that is forgotten must end by itself.
    #[error("a pause lasts {} days at most", LONGEST_PAUSE_DAYS)]
    TooLong,
    /// A pause without a reason.
    #[error("a pause needs a reason, for whoever finds it")]
    NoReason,
    /// Another plan waits for approval, or none.
    #[error("plan {plan} doesn't wait for approval{}", waiting.as_ref().map(|id| format!(", {id} does")).unwrap_or_default())]
    NotWaiting {
        /// The plan that was named.
        plan: PlanId,
        /// The one that waits.
        waiting: Option<String>,
    },
}

/// The longest pause, in days.
pub const LONGEST_PAUSE_DAYS: i64 = 30;

/// Takes orders.
pub struct Desk {
    ledger: Ledger,
    clock: Box<dyn Clock>,
    stands: RwLock<Vec<Stand>>,
}

impl Desk {
    /// A desk over the ledger of this host.
    pub fn new(ledger: Ledger, clock: Box<dyn Clock>) -> Self {
        Self { ledger, clock, stands: RwLock::default() }
    }

    /// Sets what is followed from now on.
    pub fn follow(&self, stands: Vec<Stand>) {
        *self.stands.write().unwrap_or_else(PoisonError::into_inner) = stands;
    }

    /// What is followed.
    pub fn stands(&self) -> Vec<Stand> {
        self.stands.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The stack of this name, if it is followed.
    pub fn stand(&self, stack: &StackName) -> Option<Stand> {
        self.stands().into_iter().find(|stand| stand.board.state().stack.as_deref() == Some(stack.as_str()))
    }

    /// The ledger.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The time of day.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The latest deploys of a stack, the latest first.
    pub fn history(&self, stack: &StackName, most: u32) -> Result<Vec<DeployRecord>, OrderError> {
        Ok(self.ledger.history(stack, most)?)
    }

    /// Looks at the repository and at the host now, also where something waits to be tried again.
    pub fn sync(&self, stack: &StackName, actor: &str) -> Result<(), OrderError> {
        self.taken(stack, actor, "sync".to_owned())
    }

    /// Changes nothing on a stack until `until`.
    pub fn pause(
        &self,
        stack: &StackName,
        until: Timestamp,
        reason: &str,
        actor: &str,
    ) -> Result<(), OrderError> {
        let now = self.now();
        if until <= now {
            return Err(OrderError::Past { until });
        }
        if until.duration_since(now).as_hours() > LONGEST_PAUSE_DAYS * 24 {
            return Err(OrderError::TooLong);
        }
        if reason.trim().is_empty() {
            return Err(OrderError::NoReason);
        }
        let pause = Pause { until, reason: reason.to_owned(), by: actor.to_owned(), since: now };
        self.ledger.pause(stack, &pause)?;
        self.taken(stack, actor, format!("pause until {until:.0}: {reason}"))
    }

    /// Ends a pause.
    pub fn resume(&self, stack: &StackName, actor: &str) -> Result<(), OrderError> {
        self.ledger.resume(stack)?;
        self.taken(stack, actor, "resume".to_owned())
    }

    /// Lets everything that is quarantined be tried again, and the branch be followed again after a return.
    pub fn release(&self, stack: &StackName, actor: &str) -> Result<(), OrderError> {
        self.ledger.release(stack)?;
        self.ledger.forget_return(stack)?;
        self.taken(stack, actor, "release".to_owned())
    }

    /// Returns a stack to an earlier commit, and holds it there until the branch brings something else.
    pub fn send_back(&self, stack: &StackName, to: &str, actor: &str) -> Result<(), OrderError> {
        let left = self.ledger.last_stable(stack)?.map(|stable| stable.desired);
        let back = Return { to: to.to_owned(), left, by: actor.to_owned(), since: self.now() };
        self.ledger.send_back(stack, &back)?;
        self.taken(stack, actor, format!("rollback to {to}"))
    }

    /// Agrees to a plan that waits for that.
    pub fn approve(&self, stack: &StackName, plan: &PlanId, actor: &str) -> Result<(), OrderError> {
        if let Some(stand) = self.stand(stack) {
            let waiting = stand.board.state().waiting_plan;
            if waiting.as_deref() != Some(plan.0.as_str()) {
                return Err(OrderError::NotWaiting { plan: plan.clone(), waiting });
            }
        }
        let approval = Approval { plan: plan.clone(), by: actor.to_owned(), since: self.now() };
        self.ledger.approve(stack, &approval)?;
        self.taken(stack, actor, format!("approve {plan}"))
    }

    /// Notes something that was asked for, in the audit log.
    pub fn audit(
        &self,
        stack: Option<&StackName>,
        actor: &str,
        what: String,
        answer: &str,
    ) -> Result<(), OrderError> {
        let (actor, answer) = (actor.to_owned(), answer.to_owned());
        let stack = stack.map(ToString::to_string);
        Ok(self.ledger.audit(&AuditEntry { at: self.now(), actor, stack, what, answer })?)
    }

    /// Notes an order that was taken, and wakes the agent.
    fn taken(&self, stack: &StackName, actor: &str, what: String) -> Result<(), OrderError> {
        self.audit(Some(stack), actor, what, "granted")?;
        if let Some(stand) = self.stand(stack) {
            stand.bell.order.notify_one();
        }
        Ok(())
    }
}
