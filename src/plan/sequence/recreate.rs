//! Networks that are made anew: everybody leaves, and joins again without a restart.

use std::time::Duration;

use super::super::addresses::is_fixed;
use super::super::decide::{Decisions, Verdict};
use super::super::shared::Recreated;
use super::super::step::{Action, NetworkRef, Phase, Target};
use super::Sequence;
use crate::model::desired::{ExecProbe, Expect, Gate, Ports, Probe};
use crate::model::live::{Health, LiveContainer, Status};
use crate::model::spec::{Attachment, ContainerSpec, HealthTest};
use crate::model::text::Text;

/// How long a container must run on after its network was made anew, ...
const STILL_FOR: Duration = Duration::from_secs(1);
/// ... and after what time without a good health check it has not come through.
const STILL_WITHIN: Duration = Duration::from_secs(60);

impl Sequence<'_> {
    /// Adds the steps for `networks`, after those of all containers: what they keep is completed here.
    pub(in super::super) fn recreate(&mut self, networks: &[Recreated<'_>], decisions: &Decisions<'_>) {
        for network in networks {
            let (name, old) = (&network.old.spec.name, &network.old.id);
            let live = self.live;
            let attached = live.containers.values().filter(|of| of.spec.networks.contains_key(name));
            let attached: Vec<&LiveContainer> = attached.collect();
            let mut left = Vec::new();
            for container in &attached {
                let wave = self.wave_of(container);
                self.keep_attached(&container.instance, container, wave);
                let action = Action::Disconnect {
                    container: Target::Existing(container.id.clone()),
                    name: name.clone(),
                    network: NetworkRef::Existing(old.clone()),
                };
                left.push(self.add(Phase::Objects, 0, Vec::new(), action));
            }
            let removed = self.add(Phase::Objects, 0, left, Action::RemoveNetwork(old.clone()));
            let made = self.add(Phase::Objects, 0, vec![removed], Action::CreateNetwork(network.new.clone()));
            let joins = attached.iter().filter_map(|container| {
                let attachment = attachment(container, network, decisions)?;
                Some((Target::Existing(container.id.clone()), attachment))
            });
            // Who has an address of its own comes first, so that it isn't given to somebody else.
            let (fixed, others): (Vec<_>, Vec<_>) = joins.partition(|(_, attachment)| is_fixed(attachment));
            let mut after = vec![made];
            for batch in [fixed, others] {
                let joined: Vec<usize> = batch
                    .into_iter()
                    .map(|(container, attachment)| {
                        let (name, network) = (name.clone(), NetworkRef::New);
                        let action = Action::Connect { container, name, network, attachment };
                        self.add(Phase::Objects, 0, after.clone(), action)
                    })
                    .collect();
                after.extend(joined);
            }
        }
        self.look_after(networks, decisions);
    }

    /// Looks whether who stays has come through it, before anything is decided. Who was not well before isn't asked.
    fn look_after(&mut self, networks: &[Recreated<'_>], decisions: &Decisions<'_>) {
        let is_on = |container: &LiveContainer| {
            networks.iter().any(|network| container.spec.networks.contains_key(&network.old.spec.name))
        };
        for decision in &decisions.wanted {
            let Some(current) = decision.current.filter(|current| is_on(current)) else { continue };
            let is_well =
                current.state.status == Status::Running && current.state.health != Some(Health::Unhealthy);
            if is_well && matches!(decision.verdict, Verdict::Keep | Verdict::Mend { .. }) {
                let action = Action::Await {
                    instance: decision.instance.clone(),
                    target: Target::Existing(current.id.clone()),
                    gate: still_up(&decision.spec),
                };
                self.add(Phase::Switch, self.wave_of(current), Vec::new(), action);
            }
        }
    }

    fn wave_of(&self, container: &LiveContainer) -> u16 {
        let service = self.desired.services.get(&container.instance.service);
        let rank = service.map(|service| self.desired.tier_rank(&service.tier) + 1);
        rank.and_then(|rank| u16::try_from(rank).ok()).unwrap_or_else(|| self.wave_after_tiers())
    }
}

/// What a container must show whose network was made anew: that it goes on running, and that the health check that it
/// declares, asked anew, is good. What Docker last heard of that is older than the new network.
fn still_up(spec: &ContainerSpec) -> Gate {
    let health = spec.healthcheck.as_ref();
    let command = match health.and_then(|health| health.test.as_ref()) {
        None | Some(HealthTest::Disabled) => None,
        Some(HealthTest::Exec(command)) => Some(command.clone()),
        Some(HealthTest::Shell(line)) => Some(vec![Text::plain("/bin/sh"), Text::plain("-c"), line.clone()]),
    };
    let within = health.and_then(|health| health.timeout).filter(|timeout| !timeout.is_zero());
    let probe = command.map(|command| Probe::Exec(ExecProbe { command, within }));
    Gate {
        expect: Expect::Running,
        probes: probe.into_iter().collect(),
        ports: Ports::AsBefore,
        stable_for: Some(STILL_FOR),
        deadline: Some(STILL_WITHIN),
    }
}

/// How a container joins the new network: as it is wanted to, if it stays; else as it was attached to the old one. Absent
/// where it doesn't join again.
fn attachment(
    container: &LiveContainer,
    network: &Recreated<'_>,
    decisions: &Decisions<'_>,
) -> Option<Attachment> {
    let name = &network.new.name;
    let stays = decisions.wanted.iter().find(|decision| {
        decision.current.is_some_and(|current| current.id == container.id)
            && matches!(decision.verdict, Verdict::Keep | Verdict::Mend { .. })
    });
    if let Some(decision) = stays {
        return decision.spec.networks.get(name).cloned();
    }
    let mut attachment = Attachment { mac: None, ..container.spec.networks.get(name)?.clone() };
    if network.old.spec.pools != network.new.pools {
        (attachment.ipv4, attachment.ipv6) = (None, None);
    }
    Some(attachment)
}
