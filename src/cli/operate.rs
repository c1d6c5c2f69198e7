//! `sync`, `pause`, `resume`, `release`, `approve`: how an operator guides the agent of a host.
//!
//! Each is a record in the ledger of the host, which needs no agent; an agent that runs there is woken.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::anyhow;
use jiff::{SignedDuration, Span};

use super::args::{ApproveArgs, Global, OfStack, PauseArgs, ReleaseArgs, ResumeArgs, SyncArgs};
use super::failure::{ExitStatus, Hint, hinted};
use super::output::Output;
use super::select;
use crate::agent::desk::Desk;
use crate::apply::clock::HostClock;
use crate::apply::ledger::Ledger;
use crate::manifest::MissingVariables;
use crate::model::name::StackName;
use crate::plan::PlanId;
use crate::serve::client::{self, ClientError};

pub(super) async fn sync(global: &Global, args: &SyncArgs, output: Output) -> anyhow::Result<ExitStatus> {
    let order = Order::open(global, &args.of, output).await?;
    order.desk.sync(&order.stack, &order.actor)?;
    order.ring("the repository and the host are looked at now", output).await
}

pub(super) async fn pause(global: &Global, args: &PauseArgs, output: Output) -> anyhow::Result<ExitStatus> {
    let lasts = duration(&args.lasts)?;
    let order = Order::open(global, &args.of, output).await?;
    let until = order.desk.now().checked_add(lasts)?;
    order.desk.pause(&order.stack, until, &args.reason, &order.actor)?;
    order.ring(&format!("nothing is changed on {} until {until:.0}", order.stack), output).await
}

pub(super) async fn resume(global: &Global, args: &ResumeArgs, output: Output) -> anyhow::Result<ExitStatus> {
    let order = Order::open(global, &args.of, output).await?;
    let paused =
        order.desk.ledger().orders(&order.stack)?.pause.is_some_and(|pause| pause.until > order.desk.now());
    order.desk.resume(&order.stack, &order.actor)?;
    let words = if paused { "is no longer paused" } else { "was not paused" };
    order.ring(&format!("{} {words}", order.stack), output).await
}

pub(super) async fn release(
    global: &Global,
    args: &ReleaseArgs,
    output: Output,
) -> anyhow::Result<ExitStatus> {
    let order = Order::open(global, &args.of, output).await?;
    let released = order.desk.ledger().all_quarantined(&order.stack)?.len();
    order.desk.release(&order.stack, &order.actor)?;
    let words = match released {
        0 => "nothing was quarantined".to_owned(),
        1 => "what was quarantined may be tried again".to_owned(),
        many => format!("{many} that were quarantined may be tried again"),
    };
    order.ring(&format!("{}: {words}", order.stack), output).await
}

pub(super) async fn approve(
    global: &Global,
    args: &ApproveArgs,
    output: Output,
) -> anyhow::Result<ExitStatus> {
    let order = Order::open(global, &args.of, output).await?;
    let plan = PlanId(args.plan.clone());
    order.desk.approve(&order.stack, &plan, &order.actor)?;
    order
        .ring(
            &format!("plan {plan} of {} may be carried out, as long as it is still the same", order.stack),
            output,
        )
        .await
}

/// An order for one stack of this host.
pub(super) struct Order {
    pub(super) desk: Desk,
    pub(super) stack: StackName,
    pub(super) actor: String,
    state: PathBuf,
}

impl Order {
    pub(super) async fn open(global: &Global, of: &OfStack, output: Output) -> anyhow::Result<Self> {
        let Some(ledger) = select::ledger_to_look(global)? else {
            return Err(hinted(
                anyhow!("nothing was ever deployed on this host with this state folder"),
                "name the folder of the agent with `--state PATH`, or deploy first: `evenkeel apply`",
            ));
        };
        let stack = which(global, of, &ledger, output).await?;
        let desk = Desk::new(ledger, Box::new(HostClock));
        Ok(Self { desk, stack, actor: actor(), state: select::state_folder(global)? })
    }

    /// Tells what was done, and wakes the agent. One that can't be woken reads the order at its next look.
    pub(super) async fn ring(&self, done: &str, output: Output) -> anyhow::Result<ExitStatus> {
        output.say(done);
        match client::ring(&self.state, &self.stack).await {
            Ok(()) => {}
            Err(ClientError::NoAgent(_)) => {
                output
                    .say("no agent runs here at the moment: it holds for the next one, and for nothing else");
            }
            Err(error) => output.say(&format!("{error}: the agent sees it at its next look")),
        }
        Ok(ExitStatus::Done)
    }
}

/// The stack that is meant: the one that is named, the only one of this host, or that of the manifests.
pub(super) async fn which(
    global: &Global,
    of: &OfStack,
    ledger: &Ledger,
    output: Output,
) -> anyhow::Result<StackName> {
    let known = ledger.stacks()?;
    let names = || known.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    match (&of.stack, known.as_slice()) {
        (Some(name), _) => {
            let name: StackName = name.parse()?;
            if known.contains(&name) {
                return Ok(name);
            }
            let error = anyhow!("there is no stack `{name}` on this host");
            Err(hinted(error, format!("stacks here: {}", names())))
        }
        (None, [only]) => Ok(only.clone()),
        (None, _) => {
            let silent = Output { quiet: true, ..output };
            let resolved = select::resolved(global, MissingVariables::Placeholder, silent).await;
            Ok(resolved.hint(format!("say which with `--stack NAME`: {}", names()))?.desired.stack)
        }
    }
}

/// Who asks: the user of the host.
fn actor() -> String {
    let user = std::env::var("SUDO_USER").or_else(|_| std::env::var("USER"));
    user.unwrap_or_else(|_| "somebody on the host".to_owned())
}

/// A time as people write it: `2h`, `45m`, `1h30m`, `2 days`.
fn duration(text: &str) -> anyhow::Result<Duration> {
    let span: Span =
        text.parse().map_err(|_| anyhow!("`{text}` is not a duration")).hint("as in `2h`, `45m`, `3d`")?;
    let exact = SignedDuration::try_from(span)
        .or_else(|_| span.to_duration(jiff::SpanRelativeTo::days_are_24_hours()))
        .map_err(|_| anyhow!("`{text}` is not a duration"))
        .hint("as in `2h`, `45m`, `3d`")?;
    Ok(Duration::try_from(exact)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_read_as_people_write_it() {
        for (text, seconds) in [("2h", 7200), ("45m", 2700), ("1h30m", 5400), ("3d", 259_200)] {
            assert_eq!(duration(text).unwrap(), Duration::from_secs(seconds), "{text}");
        }
        for text in ["", "soon", "-2h", "2"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
