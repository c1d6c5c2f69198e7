//! `rollback`: back to a revision that was deployed well before.
//!
//! A revision that was left by hand must not come back by itself: what it desired is quarantined, so that an agent
//! which follows the branch doesn't deploy it again.

use anyhow::anyhow;

use super::args::{Global, RollbackArgs};
use super::deploy::{Ended, Wish, agree};
use super::failure::{ExitStatus, Hint, hinted};
use super::history::went_well;
use super::operate::Order;
use super::output::Output;
use super::select::{self, Selection, explained, laid_out};
use super::{agents, confirm};
use crate::apply::Outcome;
use crate::apply::ledger::Ledger;
use crate::apply::ledger::history::DeployRecord;
use crate::manifest::{MissingVariables, Resolved};
use crate::model::desired::Revision;
use crate::model::name::StackName;
use crate::plan::DesiredDigest;
use crate::source::Repository;

/// Who rolls back, for the history.
const ACTOR: &str = "evenkeel rollback";

/// Deploys that are looked through for one to return to.
const DEPLOYS_LOOKED_AT: u32 = 1000;

pub(super) async fn rollback(
    global: &Global,
    args: &RollbackArgs,
    output: Output,
) -> anyhow::Result<ExitStatus> {
    if !global.files.is_empty() {
        return Err(hinted(
            anyhow!("files have no revisions to return to"),
            "change the file back and run `evenkeel -f FILE apply`",
        ));
    }
    if args.of.stack.is_some() || agents::is_asked(global) {
        return by_agent(global, args, output).await;
    }
    let machine = select::machine(global).await?;
    let present = present_stack(global, output).await;
    let target = match (&args.to, &present) {
        (Some(revision), _) => revision.clone(),
        (None, Ok(stack)) => target(machine.ledger(), stack)?,
        (None, Err(_)) => {
            return present.map(|_| ExitStatus::Failed).hint(
                "the present manifests are to tell which stack is meant; name a good revision with `--to REV`",
            );
        }
    };
    let resolved = at(global, &target).await?;
    let stack = resolved.desired.stack.clone();
    if let Ok(present) = present
        && present != stack
    {
        return Err(hinted(
            anyhow!("at {target} the stack was called `{stack}`, now it is `{present}`"),
            "two stacks can't return to each other: apply the one and remove the other",
        ));
    }
    let wish = Wish {
        machine: &machine,
        desired: &resolved.desired,
        yes: args.yes,
        reviewed: None,
        accepted: None,
        trigger: "rollback",
        actor: ACTOR,
        question: "Roll back by this plan?",
    };
    let agreed = match agree(wish, output).await? {
        Ok(agreed) => agreed,
        Err(ended) => return Ok(ended.tell(output)),
    };
    // Before the deploy and not after it: an agent that wakes up in between must not undo it.
    let left = machine.leave(&stack, &resolved.desired.revision, ACTOR)?;
    let ended = agreed.carry_out().await;
    let settled = left.map(|left| machine.settle(&stack, &left, there(&ended))).transpose()?.flatten();
    let status = ended?.tell(output);
    if let Some(revision) = settled {
        output.say(&format!(
            "{revision} is quarantined: an agent deploys again once its branch brings something else"
        ));
    }
    Ok(status)
}

/// Asks the agent to return a stack of which there are no manifests here: it has them.
async fn by_agent(global: &Global, args: &RollbackArgs, output: Output) -> anyhow::Result<ExitStatus> {
    let order = Order::open(global, &args.of, output).await?;
    let to = match &args.to {
        Some(to) => to.clone(),
        None => target(order.desk.ledger(), &order.stack)?,
    };
    let question = format!("Let the agent return {} to {to}?", order.stack);
    if !args.yes && !confirm::confirm(&question)? {
        return Ok(ExitStatus::Failed);
    }
    order.desk.send_back(&order.stack, &to, &order.actor)?;
    order
        .ring(&format!("{} is to return to {to}; `evenkeel history` says how it ends", order.stack), output)
        .await
}

/// The stack that the present manifests are about. The values of the host don't matter for that.
async fn present_stack(global: &Global, output: Output) -> anyhow::Result<StackName> {
    let silent = Output { quiet: true, ..output };
    let resolved = select::resolved(global, MissingVariables::Placeholder, silent).await?;
    Ok(resolved.desired.stack)
}

/// The latest revision that was deployed well and isn't the present one. What a rollback has left is passed over: the
/// second rollback in a row goes further back.
fn target(ledger: &Ledger, stack: &StackName) -> anyhow::Result<String> {
    let (stable, half_done) = (ledger.last_stable(stack)?, ledger.half_done(stack)?);
    let Some(left) = stable else {
        return Err(hinted(
            anyhow!("`{stack}` has not been deployed on this host"),
            "deploy it first: `evenkeel apply`",
        ));
    };
    let records = ledger.history(stack, DEPLOYS_LOOKED_AT)?;
    // From what is half done it goes back to what was done last; else further back than that.
    let is_meant =
        |record: &&DeployRecord| went_well(record) && (record.desired == left.desired) == half_done.is_some();
    for record in records.iter().filter(is_meant) {
        if ledger.quarantined(stack, &record.desired)?.is_some() {
            continue;
        }
        return match &record.revision {
            Revision::Commit(id) => Ok(id.clone()),
            Revision::WorkTree(_) => Err(unreachable_revision("a work tree with changes", record)),
            Revision::Files => Err(unreachable_revision("files outside of a repository", record)),
        };
    }
    Err(hinted(
        anyhow!(
            "there is nothing to return to: no other revision of `{stack}` was deployed well on this host"
        ),
        "see `evenkeel history`, or name a revision with `--to REV`",
    ))
}

fn unreachable_revision(made_from: &str, record: &DeployRecord) -> anyhow::Error {
    hinted(
        anyhow!(
            "the deploy before ({}) was made from {made_from}, which no longer exists as it was",
            record.id
        ),
        "name a revision with `--to REV`",
    )
}

/// The manifests at one revision of the repository.
pub(super) async fn at(global: &Global, target: &str) -> anyhow::Result<Resolved> {
    let (global, target) = (global.clone(), target.to_owned());
    tokio::task::spawn_blocking(move || {
        let repository = Repository::open(&global.repo).map_err(explained)?;
        let selection = Selection::at(&repository, &target)
            .hint("name a revision with `--to REV`; `evenkeel history` shows those that were deployed")?;
        let environment = selection.environment(&global)?;
        selection.resolve(environment, MissingVariables::Refuse).map_err(|report| laid_out(&report))
    })
    .await?
}

/// What runs now, if the way back was gone to its end.
fn there(ended: &anyhow::Result<Ended>) -> Option<&DesiredDigest> {
    match ended {
        Ok(Ended::Here(done)) => match done.outcome {
            Outcome::Unchanged | Outcome::Applied(_) => Some(&done.plan.desired),
            Outcome::Refused(_)
            | Outcome::Failed { .. }
            | Outcome::Interrupted(_)
            | Outcome::RolledBack { .. }
            | Outcome::Held { .. }
            | Outcome::RollbackFailed { .. } => None,
        },
        Ok(Ended::Declined | Ended::Stale(..) | Ended::CutOff) | Err(_) => None,
    }
}
