//! `plan`: what would change, field by field.

use super::args::{Global, PlanArgs};
use super::failure::ExitStatus;
use super::output::Output;
use super::{outcome, select};
use crate::plan::json::to_json;
use crate::plan::text::{Layout, to_text};

pub(super) async fn plan(global: &Global, args: &PlanArgs, output: Output) -> anyhow::Result<ExitStatus> {
    let resolved = select::desired(global, output).await?;
    let machine = select::machine_to_look(global).await?;
    let (plan, _) = machine.plan(&resolved.desired).await.map_err(outcome::not_planned)?;
    if output.json {
        output.value(&to_json(&plan));
    } else {
        output.data(&to_text(&plan, Layout { colour: output.colour, width: output.width }));
    }
    let changes = args.detailed_exitcode && !plan.is_empty();
    Ok(if changes { ExitStatus::Changes } else { ExitStatus::Done })
}
