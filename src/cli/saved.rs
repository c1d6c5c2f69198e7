//! `apply FILE`: a plan that somebody has reviewed, and exactly that.

use std::path::Path;

use anyhow::{Context, anyhow};
use serde_json::{Value, json};

use super::args::Global;
use super::failure::{Hint, hinted};
use super::keep;
use crate::model::desired::Revision;
use crate::model::name::StackName;
use crate::plan::PlanId;
use crate::plan::fingerprint::{Moved, Movement};
use crate::plan::saved::{Saved, SavedError};

/// How many things that moved are named.
const MOVED_MAX: usize = 20;

/// Reads the file.
pub(super) fn open(path: &Path) -> anyhow::Result<Saved> {
    let text = keep::read(path).hint("make it with `evenkeel plan --out FILE`")?;
    let saved = Saved::read(&text).map_err(explained);
    saved.with_context(|| format!("{} can't be applied", path.display()))
}

/// Why a saved plan can't be applied, with what to do.
pub(super) fn explained(error: SavedError) -> anyhow::Error {
    let hint = match &error {
        SavedError::NotAPlan => {
            "a Compose file is named with `-f FILE`; a plan is kept with `evenkeel plan --out FILE`"
        }
        SavedError::Damaged(_) => "make it anew: `evenkeel plan --out FILE`",
        SavedError::Version { .. } => "make it anew with this program: `evenkeel plan --out FILE`",
        SavedError::OtherHost { .. } => {
            "apply it where it was made, with the same `--docker` and `--state`; or make one here: `evenkeel plan --out FILE`"
        }
    };
    hinted(error, hint)
}

/// The options with which the plan is made again: the environment and revision are those of the file.
pub(super) fn selection(saved: &Saved, global: &Global) -> anyhow::Result<Global> {
    let mut global = global.clone();
    if let Some(given) = &global.env
        && saved.environment() != Some(given)
    {
        return Err(hinted(
            anyhow!("the saved plan is for {}, and `--env` says `{given}`", place(saved)),
            "drop `--env`, or name the plan of that environment",
        ));
    }
    if global.rev.is_some() {
        return Err(hinted(anyhow!("the saved plan says which revision it is of"), "drop `--rev`"));
    }
    match (saved.revision(), global.files.is_empty()) {
        (Revision::Files, true) => {
            return Err(hinted(
                anyhow!("the saved plan was made from files"),
                "name the same files again: `evenkeel -f FILE apply PLAN`",
            ));
        }
        (Revision::Commit(_) | Revision::WorkTree(_), false) => {
            return Err(hinted(
                anyhow!("the saved plan was made from a repository"),
                "drop `-f`; the repository is named with `--repo PATH`",
            ));
        }
        (Revision::Commit(commit), true) => global.rev = Some(commit),
        (Revision::WorkTree(_), true) | (Revision::Files, false) => {}
    }
    global.env = saved.environment().map(str::to_owned);
    Ok(global)
}

fn place(saved: &Saved) -> String {
    match saved.environment() {
        Some(environment) => format!("the environment `{environment}`"),
        None => format!("the stack `{}`", saved.stack()),
    }
}

/// Refuses the plan of another stack.
pub(super) fn of_stack(saved: &Saved, stack: &StackName) -> anyhow::Result<()> {
    if saved.is_for(stack) {
        return Ok(());
    }
    Err(hinted(
        anyhow!("the saved plan is for the stack `{}`, and the manifests are of `{stack}`", saved.stack()),
        "name the repository or files that it was made from",
    ))
}

/// That something has moved since, and what.
pub(super) fn stale(expected: &PlanId, moved: &[Moved]) -> anyhow::Error {
    let mut lines: Vec<String> = moved.iter().take(MOVED_MAX).map(ToString::to_string).collect();
    if moved.len() > MOVED_MAX {
        lines.push(format!("and {} more", moved.len() - MOVED_MAX));
    }
    if lines.is_empty() {
        lines
            .push("nothing that is compared has moved: another version of Evenkeel made the plan".to_owned());
    }
    hinted(
        anyhow!(lines.join("\n")).context(format!("plan {expected} is stale, and nothing was changed")),
        "look at it again: `evenkeel plan --out FILE`",
    )
}

/// The same for machines.
pub(super) fn stale_json(expected: &PlanId, found: &PlanId, moved: &[Moved]) -> Value {
    let moved = moved.iter().map(|Moved { side, subject, what }| {
        let (what, fields) = match what {
            Movement::Appeared => ("appeared", &[][..]),
            Movement::Gone => ("gone", &[][..]),
            Movement::Fields(fields) => ("differs", fields.as_slice()),
        };
        json!({"side": side, "subject": subject, "what": what, "fields": fields})
    });
    json!({"status": "stale", "plan": expected.0, "now": found.0, "moved": moved.collect::<Vec<_>>()})
}
