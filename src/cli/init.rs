//! `init`.

use super::args::InitArgs;
use super::failure::ExitStatus;
use super::output::Output;

pub(super) fn init(_: &InitArgs, _: Output) -> anyhow::Result<ExitStatus> {
    anyhow::bail!("being built")
}
