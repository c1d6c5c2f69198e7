//! `observe`: what may be told of this host where pull requests are reviewed.

use super::args::{Global, ObserveArgs};
use super::failure::ExitStatus;
use super::output::Output;
use super::{keep, outcome, select};
use crate::manifest::MissingVariables;

pub(super) async fn observe(
    global: &Global,
    args: &ObserveArgs,
    output: Output,
) -> anyhow::Result<ExitStatus> {
    // Only the name of the stack is wanted of the manifests, so that no secret is needed.
    let quiet = Output { quiet: true, ..output };
    let resolved = select::resolved(global, MissingVariables::Outside, quiet).await?;
    let machine = select::machine_to_look(global).await?;
    let observation = machine.observation(&resolved.desired).await.map_err(outcome::not_planned)?;
    let form = observation.to_json();
    match &args.out {
        Some(path) => {
            keep::whole(path, &format!("{form:#}\n"))?;
            output.say(&format!("{}: {}", path.display(), observation.said()));
        }
        None => output.value(&form),
    }
    Ok(ExitStatus::Done)
}
