//! Looks at a host for one stack: one list of everything, then the stack's own containers in full.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::stream::{self, StreamExt, TryStreamExt};

use super::{Engine, EngineError, ListedContainer};
use crate::model::adopted::Adopted;
use crate::model::image::ImageRef;
use crate::model::live::{Live, LiveContainer, LiveImage, LiveNetwork, Server, Status};
use crate::model::name::{ImageId, NetworkId, StackName};

/// Most questions to the engine at the same time. More than this gains nothing on a local socket.
const QUESTIONS_MAX: usize = 8;

/// Observes the host for `stack`. What it has `adopted` counts as its own, though it bears no label of it; what bears
/// that of another stack never does. `references` are the images whose local meaning the plan needs.
///
/// # Guarantees
/// - Only reads.
/// - A container that disappears between the list and its inspection is left out, as if it had never been listed.
pub async fn observe<E: Engine>(
    engine: &E,
    stack: &StackName,
    adopted: &Adopted,
    references: &BTreeSet<ImageRef>,
) -> Result<Live, EngineError> {
    // What a daemon says of itself takes it longest: it asks other programs for their versions. Nothing waits for that.
    let (server, live_of) = tokio::try_join!(engine.server(), objects(engine, stack, adopted, references))?;
    Ok(live_of(server))
}

/// Everything but what the daemon says of itself, which makes a [`Live`] of it.
async fn objects<E: Engine>(
    engine: &E,
    stack: &StackName,
    adopted: &Adopted,
    references: &BTreeSet<ImageRef>,
) -> Result<impl FnOnce(Server) -> Live + use<E>, EngineError> {
    let (listed, mut networks, mut volumes, asked) = tokio::try_join!(
        engine.list_containers(),
        engine.list_networks(),
        engine.list_volumes(),
        images_by_reference(engine, references),
    )?;
    let (own, others): (Vec<_>, Vec<_>) =
        listed.into_iter().partition(|ListedContainer { id, summary, .. }| match &summary.stack {
            Some(owner) => owner == stack,
            None => adopted.containers.contains_key(id),
        });
    for network in &mut networks {
        if network.stack.is_none() && adopted.networks.contains(&network.id) {
            network.stack = Some(stack.clone());
        }
    }
    for volume in &mut volumes {
        if volume.stack.is_none() && adopted.volumes.contains(&volume.spec.name) {
            volume.stack = Some(stack.clone());
        }
    }
    let mut containers: Vec<LiveContainer> = stream::iter(own)
        .map(|listed| async move { found(engine.inspect_container(&listed.id).await) })
        .buffered(QUESTIONS_MAX)
        .try_filter_map(|container| async move { Ok(container) })
        .try_collect()
        .await?;
    for container in &mut containers {
        if let Some(instance) = adopted.containers.get(&container.id) {
            container.instance = instance.clone();
        }
        leave_out_what_is_gone(container, &networks);
    }
    let references = asked.iter().map(|(reference, image)| (reference.clone(), image.id.clone())).collect();
    let mut images: BTreeMap<ImageId, LiveImage> =
        asked.into_iter().map(|(_, image)| (image.id.clone(), image)).collect();
    let unknown: BTreeSet<ImageId> = containers
        .iter()
        .flat_map(|container| std::iter::once(&container.image).chain(container.mounted.values()))
        .filter(|id| !images.contains_key(*id))
        .cloned()
        .collect();
    // Owned, here and below: the compiler can't see that a stream of futures over borrowed items may move between
    // threads.
    let used: Vec<Option<LiveImage>> = stream::iter(unknown)
        .map(|id| async move { engine.inspect_image(id.as_str()).await })
        .buffered(QUESTIONS_MAX)
        .try_collect()
        .await?;
    images.extend(used.into_iter().flatten().map(|image| (image.id.clone(), image)));
    for container in &mut containers {
        let image = images.get(&container.image);
        // Engines of before 28 tell of a container no more than its operating system.
        container.spec.platform = container.spec.platform.take().or_else(|| image?.platform.clone());
    }
    Ok(move |server| Live {
        server,
        containers: containers.into_iter().map(|container| (container.id.clone(), container)).collect(),
        others: others.into_iter().map(|listed| (listed.id, listed.summary)).collect(),
        networks: networks.into_iter().map(|network| (network.id.clone(), network)).collect(),
        volumes: volumes.into_iter().map(|volume| (volume.spec.name.clone(), volume)).collect(),
        images,
        references,
        registry: BTreeMap::new(),
    })
}

/// Takes the attachments to networks that are gone from the container. One that doesn't run keeps the id of its network,
/// and can't start by it, also where another network has the same name.
fn leave_out_what_is_gone(container: &mut LiveContainer, networks: &[LiveNetwork]) {
    if container.state.status != Status::Running {
        let LiveContainer { spec, endpoints, .. } = container;
        let is_there = |id: &NetworkId| networks.iter().any(|network| network.id == *id);
        spec.networks.retain(|name, _| endpoints.get(name).is_none_or(is_there));
    }
}

fn found<T>(answer: Result<T, EngineError>) -> Result<Option<T>, EngineError> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(EngineError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

async fn images_by_reference<E: Engine>(
    engine: &E,
    references: &BTreeSet<ImageRef>,
) -> Result<Vec<(ImageRef, LiveImage)>, EngineError> {
    stream::iter(references.iter().cloned())
        .map(|reference| async move {
            let image = engine.inspect_image(&reference.to_string()).await?;
            Ok(image.map(|image| (reference, image)))
        })
        .buffered(QUESTIONS_MAX)
        .try_filter_map(|found| async move { Ok(found) })
        .try_collect()
        .await
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::engine::CreateContainer;
    use crate::engine::sim::{Fault, Sim, SimImage, Verb};
    use crate::model::label;
    use crate::model::name::Instance;
    use crate::model::spec::ContainerSpec;

    fn stack(name: &str) -> StackName {
        name.parse().unwrap()
    }

    async fn host() -> Sim {
        let sim = Sim::new();
        sim.add_image(&"app:1".parse().unwrap(), SimImage::of("app"));
        for (owner, service) in [("mine", "a"), ("mine", "b"), ("theirs", "a")] {
            let instance = Instance { service: service.parse().unwrap(), number: 1 };
            let request = CreateContainer {
                name: format!("{owner}-{service}-1").parse().unwrap(),
                spec: ContainerSpec::of_image("app:1".parse().unwrap()),
                labels: label::of_container(&stack(owner), &instance, &"d1".parse().unwrap()),
                networks: BTreeMap::new(),
            };
            sim.create_container(&request).await.unwrap();
        }
        sim.forget_calls();
        sim
    }

    #[tokio::test]
    async fn the_own_containers_are_seen_in_full_and_the_others_from_outside() {
        let sim = host().await;
        let references = ["app:1", "app:2"].map(|text| text.parse().unwrap()).into();
        let live = observe(&sim, &stack("mine"), &Adopted::none(), &references).await.unwrap();
        let names = |names: Vec<String>| names.join(" ");
        let own = live.containers.values().map(|container| container.name.to_string());
        assert_eq!(names(own.collect()).split(' ').count(), 2);
        let others: Vec<_> = live.others.values().map(|other| other.name.to_string()).collect();
        assert_eq!(others, ["theirs-a-1"]);
        let known: Vec<_> = live.references.keys().map(ToString::to_string).collect();
        assert_eq!(known, ["app:1"]);
        assert_eq!(live.images.len(), 1);
        assert_eq!(sim.writing_calls(), []);
    }

    #[tokio::test]
    async fn the_image_of_a_container_is_looked_at_though_no_reference_means_it_any_more() {
        let sim = host().await;
        sim.add_image(&"app:1".parse().unwrap(), SimImage::of("app, newer"));
        let references = ["app:1".parse().unwrap()].into();
        let live = observe(&sim, &stack("mine"), &Adopted::none(), &references).await.unwrap();
        assert_eq!(live.images.len(), 2);
    }

    #[tokio::test]
    async fn a_container_that_goes_away_meanwhile_was_never_there() {
        let sim = host().await;
        let human = sim.clone();
        sim.on_call(Box::new(move |call| {
            if call.verb == Verb::InspectContainer {
                human.remove_by_hand(&"mine-b-1".parse().unwrap());
            }
            Fault::None
        }));
        let live = observe(&sim, &stack("mine"), &Adopted::none(), &BTreeSet::new()).await.unwrap();
        let own: Vec<_> = live.containers.values().map(|container| container.name.to_string()).collect();
        assert_eq!(own, ["mine-a-1"]);
    }
}
