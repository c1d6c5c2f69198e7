//! `apply`: shows the plan, asks, and carries it out.

use tokio_util::sync::CancellationToken;

use super::args::{ApplyArgs, Global};
use super::deploy::{Wish, agree};
use super::failure::ExitStatus;
use super::output::Output;
use super::select;
use crate::plan::PlanId;

pub(super) async fn apply(global: &Global, args: &ApplyArgs, output: Output) -> anyhow::Result<ExitStatus> {
    let resolved = select::desired(global, output).await?;
    let machine = select::machine(global).await?;
    let wish = Wish {
        machine: &machine,
        desired: &resolved.desired,
        yes: args.yes,
        accepted: args.accept.clone().map(PlanId),
        trigger: "command",
        actor: "evenkeel apply",
        question: "Apply this plan?",
    };
    let ended = match agree(wish, output).await? {
        Ok(agreed) => agreed.carry_out().await?,
        Err(ended) => ended,
    };
    Ok(ended.tell(output))
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
