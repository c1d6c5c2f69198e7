//! `validate`: everything that is wrong, in every environment at once.

use super::args::Global;
use super::failure::ExitStatus;
use super::output::Output;
use super::select::Selection;
use crate::manifest::MissingVariables;

pub(super) async fn validate(global: &Global, output: Output) -> anyhow::Result<ExitStatus> {
    let global = global.clone();
    tokio::task::spawn_blocking(move || check(&global, output)).await?
}

fn check(global: &Global, output: Output) -> anyhow::Result<ExitStatus> {
    let selection = Selection::open(global)?;
    let mut reports = Vec::new();
    let mut good = Vec::new();
    for environment in selection.environments(global)? {
        match selection.resolve(environment, MissingVariables::Placeholder) {
            Ok(resolved) => good.push(resolved),
            Err(report) => reports.push(report),
        }
    }
    for report in &reports {
        output.data(&report.render(output.colour));
    }
    for resolved in &good {
        for warning in &resolved.warnings {
            output.data(&warning.render(output.colour));
        }
        output.say(&format!(
            "{}: {} services, good",
            resolved.desired.stack,
            resolved.desired.services.len()
        ));
    }
    Ok(if reports.is_empty() { ExitStatus::Done } else { ExitStatus::Failed })
}
