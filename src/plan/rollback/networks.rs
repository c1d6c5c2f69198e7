//! The way back of networks that the deploy made anew: they become again what they were.

use std::borrow::Cow;

use super::super::OpenDeploy;
use super::super::step::{Action, NetworkRef, Phase, Target};
use super::Back;
use crate::model::live::{Live, LiveNetwork};
use crate::model::spec::NetworkSpec;

impl Back {
    /// Makes every network again that is not as it was, before any container is touched. Returns the host as it is then:
    /// nobody is attached to those, and each joins as it was attached before.
    pub(super) fn remake_networks<'l>(&mut self, open: &OpenDeploy, live: &'l Live) -> Cow<'l, Live> {
        let mut left = Cow::Borrowed(live);
        for old in &open.checkpoint.recreated {
            let is_own = |network: &&LiveNetwork| {
                network.spec.name == old.name && network.stack.as_ref() == Some(&open.stack)
            };
            let found = live.networks.values().find(is_own);
            if found.is_some_and(|found| is_same(&found.spec, old)) {
                continue;
            }
            let mut after = Vec::new();
            if let Some(found) = found {
                let attached = live.containers.values().filter(|of| of.spec.networks.contains_key(&old.name));
                for container in attached {
                    let action = Action::Disconnect {
                        container: Target::Existing(container.id.clone()),
                        name: old.name.clone(),
                        network: NetworkRef::Existing(found.id.clone()),
                    };
                    after.push(self.add(Phase::Objects, 0, Vec::new(), action));
                }
                after = vec![self.add(Phase::Objects, 0, after, Action::RemoveNetwork(found.id.clone()))];
                left.to_mut().networks.remove(&found.id);
            }
            self.add(Phase::Objects, 0, after, Action::CreateNetwork(old.clone()));
            self.remade.insert(old.name.clone());
            for container in left.to_mut().containers.values_mut() {
                container.spec.networks.remove(&old.name);
            }
        }
        left
    }
}

/// Whether the network is what it was before. One that had been adopted has fewer labels than what takes its place.
fn is_same(found: &NetworkSpec, old: &NetworkSpec) -> bool {
    let has = |(name, value): (&String, &String)| old.labels.get(name) == Some(value);
    NetworkSpec { labels: old.labels.clone(), ..found.clone() } == *old && found.labels.iter().all(has)
}
