//! Removes all that a demonstration made on the host, however it ended.

use anyhow::anyhow;
use futures_util::stream::{self, StreamExt};

use crate::engine::{Engine, EngineError, ListedContainer};
use crate::model::image::ImageRef;
use crate::model::name::StackName;

/// Most containers that are removed at the same time.
const AT_A_TIME: usize = 8;

/// How much was removed.
#[derive(Debug, Default)]
pub(super) struct Removed {
    pub(super) containers: usize,
    pub(super) networks: usize,
    pub(super) volumes: usize,
    pub(super) images: usize,
}

/// The containers of `stack`.
pub(super) async fn containers<E: Engine>(
    engine: &E,
    stack: &StackName,
) -> Result<Vec<ListedContainer>, EngineError> {
    let listed = engine.list_containers().await?;
    Ok(listed.into_iter().filter(|listed| listed.summary.stack.as_ref() == Some(stack)).collect())
}

/// Whether anything on the host belongs to `stack`, or bears a name that something of it would bear.
pub(super) async fn is_used<E: Engine>(engine: &E, stack: &StackName) -> Result<bool, EngineError> {
    let (containers, networks, volumes) =
        tokio::try_join!(engine.list_containers(), engine.list_networks(), engine.list_volumes())?;
    let containers = containers.iter().map(|listed| listed.summary.name.as_str());
    let networks = networks.iter().map(|network| network.spec.name.as_str());
    let volumes = volumes.iter().map(|volume| volume.spec.name.as_str());
    let mut names = containers.chain(networks).chain(volumes);
    Ok(names.any(|name| name.strip_prefix(stack.as_str()).is_some_and(|rest| rest.starts_with(['-', '_']))))
}

/// Removes everything of `stack`, and `images`. It goes on after a failure, and tells the first one.
pub(super) async fn clean<E: Engine>(
    engine: &E,
    stack: &StackName,
    images: &[ImageRef],
) -> anyhow::Result<Removed> {
    let mut removed = Removed::default();
    let mut failures: Vec<EngineError> = Vec::new();
    let mut count = |result: Result<(), EngineError>, counter: &mut usize| match result {
        Ok(()) => *counter += 1,
        Err(error) => failures.push(error),
    };
    let own = containers(engine, stack).await?;
    let gone: Vec<_> = stream::iter(own)
        .map(|listed| async move { engine.discard_container(&listed.id).await })
        .buffer_unordered(AT_A_TIME)
        .collect()
        .await;
    for result in gone {
        count(result, &mut removed.containers);
    }
    for network in engine.list_networks().await? {
        if network.stack.as_ref() == Some(stack) {
            count(engine.remove_network(&network.id).await, &mut removed.networks);
        }
    }
    for volume in engine.list_volumes().await? {
        if volume.stack.as_ref() == Some(stack) {
            count(engine.remove_volume(&volume.spec.name).await, &mut removed.volumes);
        }
    }
    for image in images {
        match engine.remove_image(image).await {
            // Somebody else has begun to use it.
            Err(EngineError::Conflict { .. }) => {}
            result => count(result, &mut removed.images),
        }
    }
    match failures.into_iter().next() {
        None => Ok(removed),
        Some(error) => Err(anyhow!(error).context(format!(
            "not all of the demo could be removed; look at `docker ps -a --filter label=evenkeel.stack={stack}`"
        ))),
    }
}
