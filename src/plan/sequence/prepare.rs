//! What is done while the old containers run: images, files and the new containers.

use std::collections::{BTreeMap, BTreeSet};

use super::super::decide::{Decision, Decisions};
use super::super::grants;
use super::super::step::{Action, NetworkRef, Phase, Target};
use super::take_over::unnamed;
use super::{Sequence, free_name};
use crate::model::image::ImageRef;
use crate::model::name::{ContainerName, Instance, NetworkName};
use crate::model::platform::Platform;
use crate::model::spec::MountSource;
use crate::model::update::UpdateOrder;

impl Sequence<'_> {
    /// Images, files and new containers: everything that can be done while the old ones run.
    pub(super) fn prepare(&mut self, decisions: &Decisions<'_>) {
        let new: Vec<&Decision<'_>> =
            decisions.wanted.iter().filter(|decision| decision.verdict.is_new()).collect();
        self.pull(&new);
        self.lay_down(&new);
        self.create(&new);
    }

    fn pull(&mut self, new: &[&Decision<'_>]) {
        let missing = new.iter().flat_map(|decision| decision.images.missing(&decision.spec, self.live));
        let mut pulls: BTreeMap<&ImageRef, Option<&Platform>> = BTreeMap::new();
        for (image, wanted) in missing {
            let platform = pulls.entry(image).or_default();
            *platform = platform.or(wanted);
        }
        for (image, platform) in pulls {
            let action = Action::PullImage { image: image.clone(), platform: platform.cloned() };
            self.add(Phase::Images, 0, Vec::new(), action);
        }
    }

    fn lay_down(&mut self, new: &[&Decision<'_>]) {
        let contents: BTreeSet<_> = new
            .iter()
            .flat_map(|decision| decision.spec.mounts.values())
            .filter_map(|mount| match &mount.source {
                MountSource::Repository(digest) => Some(digest),
                MountSource::Volume(_)
                | MountSource::Anonymous
                | MountSource::Bind(_)
                | MountSource::Grant(_)
                | MountSource::Image(_)
                | MountSource::Tmpfs { .. } => None,
            })
            .collect();
        for digest in contents {
            self.add(Phase::Objects, 0, Vec::new(), Action::LayDown(digest.clone()));
        }
        let granted: BTreeMap<_, _> =
            new.iter().flat_map(|decision| grants::of_spec(&decision.service.spec, self.host.key)).collect();
        for (place, grant) in granted {
            let action = Action::Grant { place, grant: grant.clone() };
            self.add(Phase::Objects, 0, Vec::new(), action);
        }
    }

    fn create(&mut self, new: &[&Decision<'_>]) {
        let mut taken: BTreeSet<ContainerName> =
            self.live.containers.values().map(|container| container.name.clone()).collect();
        let mut created: BTreeMap<&Instance, usize> = BTreeMap::new();
        for decision in peers_first(new) {
            let after = decision.peers.values().filter_map(|peer| match peer {
                Target::New(instance) => created.get(instance).copied(),
                Target::Existing(_) => None,
            });
            let after = after.collect();
            let name = free_name(&decision.name, "next", &taken);
            taken.insert(name.clone());
            // Who takes over gets its names when it is up.
            let spec = match self.order(decision) {
                UpdateOrder::StopFirst => decision.spec.clone(),
                UpdateOrder::StartFirst => unnamed(&decision.spec),
            };
            let networks =
                decision.spec.networks.keys().map(|name| (name.clone(), self.network(name))).collect();
            let at = self.add(
                Phase::Containers,
                0,
                after,
                Action::Create {
                    instance: decision.instance.clone(),
                    name,
                    spec: Box::new(decision.images.pin(spec)),
                    networks,
                    peers: decision.peers.clone(),
                },
            );
            created.insert(&decision.instance, at);
        }
    }

    pub(super) fn network(&self, name: &NetworkName) -> NetworkRef {
        let found = self.live.networks.values().find(|network| network.spec.name == *name);
        found.map_or(NetworkRef::New, |network| NetworkRef::Existing(network.id.clone()))
    }
}

/// The same, each after those that it shares something with. That they do so in no circle was seen before.
fn peers_first<'d, 'a>(new: &[&'d Decision<'a>]) -> Vec<&'d Decision<'a>> {
    let is_made = |made: &[&Decision<'_>], peer: &Target| match peer {
        Target::Existing(_) => true,
        Target::New(instance) => made.iter().any(|decision| decision.instance == *instance),
    };
    let (mut waiting, mut sorted): (Vec<&Decision<'_>>, Vec<&Decision<'_>>) =
        new.iter().partition(|decision| !decision.peers.is_empty());
    while !waiting.is_empty() {
        let (ready, later): (Vec<_>, Vec<_>) = waiting
            .into_iter()
            .partition(|decision| decision.peers.values().all(|peer| is_made(&sorted, peer)));
        if ready.is_empty() {
            sorted.extend(later);
            break;
        }
        sorted.extend(ready);
        waiting = later;
    }
    sorted
}
