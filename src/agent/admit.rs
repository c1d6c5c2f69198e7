//! Whether something new may be deployed now: the environment's windows, and somebody's approval.
//!
//! Repairs and ways back are not asked about here: what is on record is kept up at any time.

use super::reconcile::Reconciler;
use super::status::HoldKind;
use super::{Happening, Hold};
use crate::engine::Engine;
use crate::model::desired::Desired;
use crate::model::window::{Approval, Verdict};
use crate::plan::{Plan, PlanId};

/// What is given for a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Admitted {
    /// It may be carried out.
    Freely,
    /// Somebody has agreed to this very plan.
    Approved(PlanId),
    /// It must wait.
    Not(Hold),
}

/// Why a plan is to be carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Occasion {
    /// It keeps up what is on record.
    Repair,
    /// It brings something new.
    News,
}

impl<E: Engine> Reconciler<'_, E> {
    /// Whether `plan` may be carried out now.
    pub(super) fn admit(&mut self, desired: &Desired, plan: &Plan, occasion: Occasion) -> Admitted {
        let approval = self.orders.approval.clone().filter(|approval| approval.plan == plan.id);
        if let Some(consent) = plan.consent.as_ref().filter(|_| approval.is_none()) {
            let why = format!(
                "plan {} removes {} of {} services; `evenkeel approve {}` agrees to it",
                plan.id,
                consent.removed.len(),
                consent.of,
                plan.id
            );
            return Admitted::Not(waiting(HoldKind::Consent, why, plan));
        }
        let admitted = approval.map_or(Admitted::Freely, |approval| Admitted::Approved(approval.plan));
        if occasion == Occasion::Repair {
            return admitted;
        }
        let verdict = desired.admission.verdict(self.machine.now());
        self.note_window(desired, &verdict);
        // Where nothing is to be done, only the record moves.
        if plan.is_empty() {
            return admitted;
        }
        if desired.admission.approval == Approval::Required && admitted == Admitted::Freely {
            let why = format!("plan {} waits for approval: `evenkeel approve {}`", plan.id, plan.id);
            return Admitted::Not(waiting(HoldKind::Approval, why, plan));
        }
        if let Verdict::Closed { .. } = verdict {
            return Admitted::Not(Hold::new(HoldKind::Window, verdict.to_string()));
        }
        admitted
    }

    /// Sees to it that the agent wakes when the windows say something else.
    fn note_window(&mut self, desired: &Desired, verdict: &Verdict) {
        if desired.admission.windows.is_empty() {
            return self.audience.happens(Happening::Window(None));
        }
        if let Some(until) = verdict.until() {
            self.wake_at(until);
        }
        self.audience.happens(Happening::Window(Some(verdict)));
    }
}

fn waiting(kind: HoldKind, why: String, plan: &Plan) -> Hold {
    Hold { plan: Some(plan.id.clone()), ..Hold::new(kind, why) }
}
