//! `plan`: what would change, field by field, on this host or from one revision to another.

use super::args::{Global, PlanArgs, PlanFormat};
use super::failure::ExitStatus;
use super::output::Output;
use super::{keep, outcome, review, select};
use crate::apply::machine::DeployError;
use crate::apply::registry::Registries;
use crate::manifest::Resolved;
use crate::plan::json::to_json;
use crate::plan::markdown::to_markdown;
use crate::plan::refusal::Refused;
use crate::plan::review::{Review, Section, Verdict};
use crate::plan::text::{Layout, to_text};

pub(super) async fn plan(global: &Global, args: &PlanArgs, output: Output) -> anyhow::Result<ExitStatus> {
    let format = if output.json { PlanFormat::Json } else { args.format };
    if let Some(against) = args.against.clone() {
        let (global, live) = (global.clone(), args.live.clone());
        let review = tokio::task::spawn_blocking(move || review::review(&global, &against, &live)).await??;
        return Ok(tell(&review, args, format, output));
    }
    let resolved = select::desired(global, output).await?;
    let desired = &resolved.desired;
    // Without a key that stays, nobody could tell later whether a saved plan is of this host.
    let machine = match &args.out {
        Some(_) => select::machine(global).await?,
        None => select::machine_to_look(global).await?,
    };
    let (plan, live) = match machine.plan(desired, Registries::Ask).await {
        Err(DeployError::Refused(Refused(refusals))) if format == PlanFormat::Markdown => {
            let review = on_host(&resolved, Verdict::Refused(refusals));
            return Ok(tell(&review, args, format, output));
        }
        planned => planned.map_err(outcome::not_planned)?,
    };
    if let Some(path) = &args.out {
        let saved = machine.saved(desired, &plan, &live).map_err(outcome::not_planned)?;
        keep::whole(path, &saved.to_text())?;
        output.say(&format!(
            "kept plan {} in {path}: apply it with `evenkeel apply {path}`",
            plan.id,
            path = path.display()
        ));
    }
    let has_changes = !plan.is_empty();
    match format {
        PlanFormat::Json => output.value(&to_json(&plan)),
        PlanFormat::Text => output.data(&to_text(&plan, layout(args, output))),
        PlanFormat::Markdown => {
            let review = on_host(&resolved, Verdict::Planned(Box::new(plan), Vec::new()));
            return Ok(tell(&review, args, format, output));
        }
    }
    let changes = args.detailed_exitcode && has_changes;
    Ok(if changes { ExitStatus::Changes } else { ExitStatus::Done })
}

fn layout(args: &PlanArgs, output: Output) -> Layout {
    Layout { colour: output.colour, width: output.width, full: args.full }
}

/// Prints a review. What can't be deployed is a failure: a check that only looks at the status should see it.
fn tell(review: &Review, args: &PlanArgs, format: PlanFormat, output: Output) -> ExitStatus {
    match format {
        PlanFormat::Json => output.value(&review.to_json()),
        PlanFormat::Text => output.data(&review.to_text(layout(args, output))),
        PlanFormat::Markdown => output.data(&to_markdown(review)),
    }
    if review.is_blocked() {
        ExitStatus::Failed
    } else if args.detailed_exitcode && review.has_changes() {
        ExitStatus::Changes
    } else {
        ExitStatus::Done
    }
}

/// What there is to say of this host as a review of one section.
fn on_host(resolved: &Resolved, verdict: Verdict) -> Review {
    let desired = &resolved.desired;
    let name = desired.environment.as_ref().map_or_else(|| desired.stack.to_string(), ToString::to_string);
    let env = desired.environment.as_ref().map(|name| format!(" --env {name}")).unwrap_or_default();
    Review {
        project: resolved.settings.project.clone(),
        base: None,
        head: desired.revision.to_string(),
        sections: vec![Section { name, verdict, notes: Vec::new() }],
        notes: Vec::new(),
        command: format!("evenkeel{env} plan"),
    }
}
