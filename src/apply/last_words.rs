//! What a container wrote last: the first thing that people want to see of one that failed.

use std::time::Duration;

use tokio::time;

use super::secrets::Secrets;
use crate::engine::Engine;
use crate::model::name::ContainerId;

/// Most lines.
const LINES: u32 = 20;

/// Longest wait for them: they are worth having, but not that a way back waits for them.
const WITHIN: Duration = Duration::from_secs(2);

/// The last lines of `container`, without what is sensitive. None where they can't be had.
pub(super) async fn last_words<E: Engine>(
    engine: &E,
    container: &ContainerId,
    secrets: &Secrets,
) -> Vec<String> {
    let lines = time::timeout(WITHIN, engine.logs(container, LINES)).await;
    let lines = lines.ok().and_then(Result::ok).unwrap_or_default();
    lines.iter().map(|line| secrets.strike(line)).collect()
}
