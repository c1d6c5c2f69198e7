//! `apply`: shows the plan, asks, and carries it out.

use tokio_util::sync::CancellationToken;

use super::args::{ApplyArgs, Global};
use super::deploy::{Ended, Wish, agree};
use super::failure::ExitStatus;
use super::output::Output;
use super::words::seconds;
use super::{saved, select};
use crate::apply::Outcome;
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
    let ended = match agree(wish, output).await? {
        Ok(agreed) => agreed.carry_out().await?,
        Err(ended) => ended,
    };
    let status = ended.tell(output);
    if let Ended::Here(done) = &ended
        && matches!(done.outcome, Outcome::Applied(_))
        && machine.ledger().open_watch(&done.plan.stack)?.is_some_and(|open| open.desired == done.plan.desired)
    {
        let longest = done.plan.watch.values().map(|(time, _)| *time).max().unwrap_or_default();
        output.say(&format!(
            "watched for {} by the agent; without `evenkeel run` nobody watches",
            seconds(longest)
        ));
    }
    Ok(status)
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
