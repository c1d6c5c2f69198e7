//! `apply`: shows the plan, asks, and carries it out.

use tokio_util::sync::CancellationToken;

use super::args::{ApplyArgs, Global};
use super::confirm::confirm;
use super::failure::ExitStatus;
use super::output::Output;
use super::progress::Bars;
use super::{outcome, select};
use crate::apply::machine::Order;
use crate::plan::text::{Layout, to_text};

pub(super) async fn apply(global: &Global, args: &ApplyArgs, output: Output) -> anyhow::Result<ExitStatus> {
    let resolved = select::desired(global, output).await?;
    let machine = select::machine(global).await?;
    let stack = &resolved.desired.stack;
    let stop = stop_on_signal();
    let bars = Bars::new(output);
    machine.recover_stack(stack, "apply", &bars).await.map_err(outcome::not_planned)?;
    let (plan, _) = machine.plan(&resolved.desired).await.map_err(outcome::not_planned)?;
    output.say(&to_text(&plan, Layout { colour: output.colour, width: output.width }));
    let accepted = args.accept.clone().map(crate::plan::PlanId);
    if !plan.is_empty() && !args.yes && accepted.is_none() && !confirm("Apply this plan?")? {
        output.say("nothing changed");
        return Ok(ExitStatus::Failed);
    }
    let order = Order {
        desired: &resolved.desired,
        expected: Some(&plan.id),
        accepted: accepted.as_ref(),
        trigger: "command",
        actor: "evenkeel apply",
        progress: &bars,
        stop: &stop,
    };
    let (plan, outcome) = machine.deploy(order).await.map_err(outcome::not_planned)?;
    bars.clear();
    Ok(outcome::tell(&plan, &outcome, output))
}

/// A token that is cancelled by the first SIGINT or SIGTERM. The second one ends the process at once.
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
