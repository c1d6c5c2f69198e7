//! `rollback`.

use super::args::{Global, RollbackArgs};
use super::failure::ExitStatus;
use super::output::Output;

pub(super) async fn rollback(_: &Global, _: &RollbackArgs, _: Output) -> anyhow::Result<ExitStatus> {
    anyhow::bail!("being built")
}
