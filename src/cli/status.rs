//! `status`.

use super::args::Global;
use super::failure::ExitStatus;
use super::output::Output;

pub(super) async fn status(_: &Global, _: Output) -> anyhow::Result<ExitStatus> {
    anyhow::bail!("being built")
}
