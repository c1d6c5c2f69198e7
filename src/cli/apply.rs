//! `apply`: shows the plan, asks, and carries it out.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::args::{ApplyArgs, Global};
use super::deploy::{Done, Ended, Wish, agree};
use super::failure::ExitStatus;
use super::output::Output;
use super::watch::Watching;
use super::words::seconds;
use super::{saved, select};
use crate::apply::Outcome;
use crate::apply::ledger::{Ledger, LedgerError};
use crate::plan::PlanId;

pub(super) async fn apply(global: &Global, args: &ApplyArgs, output: Output) -> anyhow::Result<ExitStatus> {
    let (kept, global) = match &args.plan {
        None => (None, global.clone()),
        Some(path) => {
            let kept = saved::open(path)?;
            let global = saved::selection(&kept, global)?;
            (Some(kept), global)
        }
    };
    let global = &global;
    let resolved = select::desired(global, output).await?;
    if let Some(kept) = &kept {
        saved::of_stack(kept, &resolved.desired.stack)?;
    }
    let machine = select::machine(global).await?;
    let wish = Wish {
        machine: &machine,
        desired: &resolved.desired,
        yes: args.yes,
        reviewed: kept.as_ref(),
        accepted: args.accept.clone().map(PlanId),
        trigger: "command",
        actor: "evenkeel apply",
        question: "Apply this plan?",
    };
    let agreed = match agree(wish, output).await? {
        Ok(agreed) => agreed,
        Err(ended) => return Ok(ended.tell(output)),
    };
    let ended = agreed.carry_out().await?;
    let Ended::Here(done) = &ended else { return Ok(ended.tell(output)) };
    release(machine.ledger(), done)?;
    let open = match done.outcome {
        Outcome::Applied(_) | Outcome::Unchanged => machine.ledger().open_watch(&done.plan.stack)?,
        _ => return Ok(ended.tell(output)),
    };
    // A repair leaves the watch of something else open; that is not what was asked for.
    let Some(open) = open.filter(|open| open.desired == done.plan.desired) else {
        let status = ended.tell(output);
        if args.watch {
            output.say("nothing is watched: no service that was started says `x-evenkeel.watch`");
        }
        return Ok(status);
    };
    if !args.watch {
        let status = ended.tell(output);
        let left = open.until().map(|until| until.duration_since(machine.now()));
        let left = left.and_then(|left| Duration::try_from(left).ok()).unwrap_or_default();
        output.say(&format!(
            "to be watched for {}: an agent that follows this stack does it; without one nobody does, but `apply --watch`",
            seconds(left)
        ));
        return Ok(status);
    }
    done.say(output);
    let watching = Watching {
        machine: &machine,
        global,
        desired: &resolved.desired,
        deploy: open.deploy,
        stop: agreed.stop(),
        output,
    };
    let watched = watching.until_it_ends().await?;
    if output.json {
        let mut form = done.to_json();
        form["watch"] = watched.to_json();
        output.value(&form);
    }
    Ok(watched.tell(output))
}

/// Takes what runs already out of quarantine: somebody wants it, whatever was said of it before.
fn release(ledger: &Ledger, Done { plan, outcome, .. }: &Done) -> Result<(), LedgerError> {
    if *outcome == Outcome::Unchanged && ledger.quarantined(&plan.stack, &plan.desired)?.is_some() {
        ledger.release_one(&plan.stack, &plan.desired)?;
    }
    Ok(())
}

/// A token that is cancelled by SIGINT or SIGTERM.
pub(super) fn stop_on_signal() -> CancellationToken {
    use tokio::signal::unix::{SignalKind, signal};
    let stop = CancellationToken::new();
    for kind in [SignalKind::interrupt(), SignalKind::terminate()] {
        let stop = stop.clone();
        tokio::spawn(async move {
            let Ok(mut signals) = signal(kind) else { return };
            signals.recv().await;
            stop.cancel();
        });
    }
    stop
}
