//! `render`: the desired state as one Compose file.

use super::args::{Global, RenderArgs, RenderFormat};
use super::failure::ExitStatus;
use super::output::Output;
use super::select;
use crate::manifest::MissingVariables;

pub(super) async fn render(global: &Global, args: &RenderArgs, output: Output) -> anyhow::Result<ExitStatus> {
    // No value of the host is shown, so it may be missing as well.
    let resolved = select::resolved(global, MissingVariables::Placeholder, output).await?;
    let format = if output.json { RenderFormat::Json } else { args.format };
    match format {
        RenderFormat::Yaml => output.data(&resolved.to_yaml()),
        RenderFormat::Json => output.value(&resolved.to_json()),
    }
    Ok(ExitStatus::Done)
}
