//! `history`.

use super::args::{Global, HistoryArgs};
use super::failure::ExitStatus;
use super::output::Output;

pub(super) async fn history(_: &Global, _: &HistoryArgs, _: Output) -> anyhow::Result<ExitStatus> {
    anyhow::bail!("being built")
}
