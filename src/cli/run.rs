//! `run`.

use super::args::{Global, RunArgs};
use super::failure::ExitStatus;
use super::output::Output;

pub(super) async fn run(_: &Global, _: &RunArgs, _: Output) -> anyhow::Result<ExitStatus> {
    anyhow::bail!("being built")
}
