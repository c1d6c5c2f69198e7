//! `render`.

use super::args::{Global, RenderArgs};
use super::failure::ExitStatus;
use super::output::Output;

pub(super) async fn render(_: &Global, _: &RenderArgs, _: Output) -> anyhow::Result<ExitStatus> {
    anyhow::bail!("being built")
}
