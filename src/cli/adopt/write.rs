//! `adopt --write`: a Compose file from what runs. Nothing on the host is touched.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::Path;

use anyhow::{Context, anyhow};
use serde_json::json;

use super::super::args::{AdoptArgs, Global};
use super::super::failure::{ExitStatus, hinted};
use super::super::output::Output;
use super::super::words::count;
use super::super::{init, outcome, select};
use crate::manifest::{Written, written};
use crate::model::draft::Draft;
use crate::plan::adopt::Wish;

/// What stands for standard output.
const STANDARD_OUTPUT: &str = "-";

pub(super) async fn write(
    global: &Global,
    (args, file): (&AdoptArgs, &Path),
    wish: &Wish,
    output: Output,
) -> anyhow::Result<ExitStatus> {
    if !global.files.is_empty() {
        return Err(hinted(
            anyhow!("--write reads no manifests, and --file names some"),
            "name the new file with `--write FILE` alone",
        ));
    }
    let is_data = file == Path::new(STANDARD_OUTPUT);
    if !is_data && !args.force && file.try_exists().unwrap_or(true) {
        return Err(is_there(file));
    }
    let folder = std::path::absolute(if is_data { Path::new(".") } else { file })
        .with_context(|| format!("{} has no absolute path", file.display()))?;
    let folder = if is_data { Some(folder.as_path()) } else { folder.parent() };
    let named = global
        .project_name
        .as_deref()
        .map(str::parse)
        .transpose()
        .context("the stack can't be called that")?;
    let otherwise = init::project(folder.unwrap_or(Path::new("/")), None)?;
    let machine = select::machine_to_look(global).await?;
    let draft = machine.draft(wish, (named.as_ref(), &otherwise)).await.map_err(outcome::not_planned)?;
    let compose = written(&draft);
    if is_data && !output.json {
        output.data(&compose.text);
    } else if !is_data {
        put(file, &compose.text, args.force)?;
    }
    tell((file, wish), &draft, &compose, output);
    Ok(ExitStatus::Done)
}

fn put(file: &Path, text: &str, force: bool) -> anyhow::Result<()> {
    let failed = || format!("{} can't be written", file.display());
    if force {
        return fs::write(file, text).with_context(failed);
    }
    match OpenOptions::new().write(true).create_new(true).open(file) {
        Ok(mut open) => open.write_all(text.as_bytes()).with_context(failed),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Err(is_there(file)),
        Err(error) => Err(anyhow::Error::new(error).context(failed())),
    }
}

fn is_there(file: &Path) -> anyhow::Error {
    hinted(
        anyhow!("{} is there already", file.display()),
        "name another file, or write over it with `--force`",
    )
}

/// Says what was written, what is to be given from outside, and how it goes on.
fn tell((file, wish): (&Path, &Wish), draft: &Draft, compose: &Written, output: Output) {
    let is_data = file == Path::new(STANDARD_OUTPUT);
    if output.json {
        let variables: serde_json::Map<_, _> = compose
            .variables
            .iter()
            .map(|(name, variable)| (name.clone(), variable.found.clone().into()))
            .collect();
        output.value(&json!({
            "status": if is_data { "proposed" } else { "written" },
            "file": (!is_data).then(|| file.to_string_lossy()),
            "stack": draft.stack.as_str(),
            "services": draft.services.keys().map(ToString::to_string).collect::<Vec<_>>(),
            "variables": variables,
            "notes": compose.notes,
            "text": is_data.then_some(&compose.text),
        }));
    }
    if !is_data {
        let services = count(draft.services.len(), "service");
        output.say(&format!("wrote {} with {services} of the stack {}", file.display(), draft.stack));
    }
    for note in &compose.notes {
        output.say(&format!("note: {note}"));
    }
    if !compose.variables.is_empty() {
        output.say("values that look secret are not in the file; these variables stand for them:");
        for (name, variable) in &compose.variables {
            output.say(&format!("  {name}  {}", variable.found));
        }
        output.say(
            "give them in a `.env` beside the file, or in a repository with `variables: {NAME: {from: host}}` in \
             environment.yaml; `docker inspect` shows them",
        );
    }
    if !is_data {
        output.say(&format!("next:\n  {}", next(file, wish)));
    }
}

/// The command that takes over what was written down.
fn next(file: &Path, wish: &Wish) -> String {
    let named = match wish {
        Wish::Project(_) => Vec::new(),
        Wish::Containers(named) => named.iter().map(|one| format!(" {one}")).collect(),
    };
    format!("evenkeel -f {} adopt{}", file.display(), named.concat())
}
