//! What people do on the host, without asking the controller.

use evenkeel::engine::sim::Sim;
use evenkeel::engine::{Engine, UpdateContainer};
use evenkeel::model::name::ContainerName;
use evenkeel::model::spec::{Resources, RestartPolicy};
use futures_util::FutureExt;

use super::acts::Hand;
use super::scene::is_up;
use super::stacks;
use crate::apply::bench::{image_ref, stack};

/// Does it at once.
pub fn act(sim: &Sim, hand: Hand) {
    let containers = sim.containers_of(&stack());
    let which = |at: usize| (!containers.is_empty()).then(|| &containers[at % containers.len()]);
    match hand {
        Hand::Remove(at) => drop(which(at).map(|one| sim.remove_by_hand(&one.name))),
        Hand::Stop(at) => drop(which(at).map(|one| sim.stop_by_hand(&one.name))),
        Hand::Crash(at) => {
            let _ = which(at).filter(|one| is_up(one)).map(|one| sim.crash(&one.name, 1));
        }
        Hand::Rename(at) => {
            let name = |one: &ContainerName| format!("{one}-moved").parse().unwrap();
            drop(which(at).map(|one| sim.rename_container(&one.id, &name(&one.name)).now_or_never()));
        }
        Hand::Fence(at) => {
            let update = UpdateContainer { restart: Some(RestartPolicy::No), ..UpdateContainer::default() };
            drop(which(at).map(|one| sim.update_container(&one.id, &update).now_or_never()));
        }
        Hand::Limit(at) => {
            let resources = Resources { memory: Some(1 << 24), ..Resources::default() };
            let update = UpdateContainer { resources, ..UpdateContainer::default() };
            drop(which(at).map(|one| sim.update_container(&one.id, &update).now_or_never()));
        }
        Hand::Disconnect(at) => {
            let joined = which(at).and_then(|one| Some((one, one.endpoints.values().next()?)));
            drop(joined.map(|(one, network)| sim.disconnect_network(network, &one.id).now_or_never()));
        }
        Hand::PruneContainers => {
            for one in containers.iter().filter(|one| !is_up(one)) {
                sim.remove_by_hand(&one.name);
            }
        }
        Hand::Untag(at) => {
            let images: Vec<_> = stacks::images().collect();
            sim.untag(&image_ref(images[at % images.len()]));
        }
        Hand::RestartDaemon => sim.restart_daemon(),
    }
}
