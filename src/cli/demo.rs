//! `demo`.

use super::args::{DemoArgs, Global};
use super::failure::ExitStatus;
use super::output::Output;

pub(super) async fn demo(_: &Global, _: &DemoArgs, _: Output) -> anyhow::Result<ExitStatus> {
    anyhow::bail!("being built")
}
