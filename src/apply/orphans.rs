//! Files that were laid down and that nobody mounts any more: a deploy was cut off, or could not discard them because
//! another stack was being deployed. The next deploy that comes to its end finds them.

use tracing::debug;

use super::files::FilesError;
use super::off_the_loop;
use super::step::{Site, StepError};
use super::words;
use crate::engine::Engine;

/// Deletes what no container of the host mounts, of whatever stack, running or not.
///
/// What a record names and no container mounts isn't kept for it: whoever creates a container lays its files down before.
/// If it can't be done now, the next deploy tries again, so that nothing fails because of it.
pub(super) async fn discard<E: Engine>(site: &Site<'_, E>) {
    match try_discard(site).await {
        Ok(0) => {}
        Ok(count) => debug!(count, "files that nobody mounts are gone"),
        Err(error) => debug!(error = words::chain(&error), "files that nobody mounts stay"),
    }
}

async fn try_discard<E: Engine>(site: &Site<'_, E>) -> Result<usize, StepError> {
    let files = site.tools.files;
    let (Some(alone), folders) = off_the_loop(|| Ok::<_, FilesError>((files.alone()?, files.folders()?)))?
    else {
        return Ok(0);
    };
    if folders.is_empty() {
        return Ok(0);
    }
    let listed = site.engine.list_containers().await?;
    let binds = listed.into_iter().flat_map(|listed| listed.summary.binds).collect();
    Ok(off_the_loop(|| files.discard(&folders, &binds, &alone))?)
}
