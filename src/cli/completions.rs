//! `completions` and `man`: what the command line knows of itself, for shells and for `man`.

use std::fs;

use anyhow::Context;
use clap::CommandFactory;

use super::args::{Cli, CompletionsArgs, ManArgs};
use super::failure::ExitStatus;
use super::output::Output;

/// Prints the completions of a shell.
pub(super) fn completions(args: &CompletionsArgs, output: Output) -> anyhow::Result<ExitStatus> {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "evenkeel", &mut text);
    output.data(&String::from_utf8(text).context("the completions are no text")?);
    Ok(ExitStatus::Done)
}

/// Writes a page for the program and one for each command: `evenkeel.1`, `evenkeel-plan.1`.
pub(super) fn man(args: &ManArgs, output: Output) -> anyhow::Result<ExitStatus> {
    let folder = &args.out;
    let failed = || format!("man pages can't be written into {}", folder.display());
    fs::create_dir_all(folder).with_context(failed)?;
    clap_mangen::generate_to(Cli::command(), folder).with_context(failed)?;
    output.say(&format!("man pages are in {}", folder.display()));
    Ok(ExitStatus::Done)
}
