//! The scenarios: what there is first, what is done then, and where it is to lead.

use std::collections::BTreeMap;
use std::time::Duration;

use evenkeel::apply::Outcome;
use evenkeel::apply::ledger::memory::Quarantined;
use evenkeel::apply::ledger::orders::{AuditEntry, Pause};
use evenkeel::apply::machine::{DeployError, Machine, Order};
use evenkeel::apply::registry::Registries;
use evenkeel::engine::sim::{Behaviour, Sim, SimImage, Verb};
use evenkeel::engine::{CreateContainer, Engine};
use evenkeel::model::desired::Desired;
use evenkeel::model::label;
use evenkeel::model::name::DeployId;
use evenkeel::model::spec::{ContainerSpec, Mount, MountSource, RestartPolicy};
use evenkeel::plan::DesiredDigest;
use evenkeel::plan::adopt::Wish;
use tokio_util::sync::CancellationToken;

use super::stacks::{
    base, batches, composed, granted, held, in_place, on_network, start_first, watched, with_task,
    without_proxy,
};
use crate::apply::bench::{Told, image_ref, stack};

/// A scenario.
pub struct Scenario {
    pub name: &'static str,
    /// What is done before, without any fault.
    pub first: Vec<Act>,
    /// Where the last one of these is cut off: right after the last call of this verb before its commit.
    pub cut: Option<Verb>,
    /// What is done then, and can go wrong.
    pub act: Act,
    /// What is deployed in the end.
    pub goal: Desired,
    /// Whether old and new containers may run at the same time.
    pub beside: bool,
    /// Whether what was reached may stay though it failed.
    pub holds: bool,
    /// Whether the way back makes something, for which there must be room on the disk: a network as it was.
    pub needs_room: bool,
    /// It has more points than this.
    pub points: usize,
}

/// Something that a controller does, or somebody on the host.
#[derive(Clone)]
pub enum Act {
    Deploy(Desired),
    /// What was cut off is ended.
    Recover,
    /// What Compose made is taken over.
    Adopt(Desired),
    /// A watch has failed, and this is what it returns to.
    Return(Desired),
    /// What command line and agent write besides.
    Records,
    /// Compose makes the containers of this.
    Compose(Desired),
    /// Somebody removes a container.
    Remove(&'static str),
    /// A container is removed half.
    HalfRemove(&'static str),
}

impl Act {
    /// Does it. The outcome is that of a deploy, where it is one.
    pub async fn run(&self, sim: &Sim, machine: &Machine<Sim>) -> Result<Option<Outcome>, DeployError> {
        match self {
            Self::Deploy(desired) => deploy(machine, desired, "push").await.map(Some),
            Self::Recover => {
                machine.recover_stack(&stack(), "test", &Told::default()).await?;
                Ok(None)
            }
            Self::Adopt(desired) => {
                let wish = Wish::Project(None);
                let proposal = machine.propose(desired, &wish, Registries::Leave).await?;
                machine.adopt(desired, (&wish, &proposal), "test").await?;
                Ok(None)
            }
            Self::Return(desired) => {
                machine.ledger().fail_watch(&stack(), "it fell over", machine.now())?;
                deploy(machine, desired, "watch").await.map(Some)
            }
            Self::Records => {
                records(machine)?;
                Ok(None)
            }
            Self::Compose(desired) => {
                compose(sim, desired).await;
                Ok(None)
            }
            Self::Remove(name) => {
                sim.remove_by_hand(&name.parse().unwrap());
                Ok(None)
            }
            Self::HalfRemove(name) => {
                sim.half_remove(&name.parse().unwrap());
                Ok(None)
            }
        }
    }
}

pub async fn deploy(
    machine: &Machine<Sim>,
    desired: &Desired,
    trigger: &str,
) -> Result<Outcome, DeployError> {
    let order = Order {
        desired,
        expected: None,
        accepted: None,
        registries: Registries::Leave,
        trigger,
        actor: "test",
        progress: &Told::default(),
        stop: &CancellationToken::new(),
    };
    Ok(machine.deploy(order).await?.1)
}

fn records(machine: &Machine<Sim>) -> Result<(), DeployError> {
    let (ledger, desired) = (machine.ledger(), DesiredDigest("0ddba11".to_owned()));
    let deploy: DeployId = "d0".parse().unwrap();
    let entry = Quarantined {
        desired: desired.clone(),
        since: machine.now(),
        why: "it fell over".to_owned(),
        deploy: deploy.clone(),
    };
    ledger.quarantine(&stack(), &entry)?;
    ledger.release_one(&stack(), &desired)?;
    ledger.quarantine(&stack(), &entry)?;
    ledger.release(&stack())?;
    ledger.end_watch(&stack())?;
    ledger.explain(&deploy, "given up for a newer commit")?;
    let (by, since) = ("somebody".to_owned(), machine.now());
    let pause = Pause { until: since, reason: "a test".to_owned(), by: by.clone(), since };
    ledger.pause(&stack(), &pause)?;
    ledger.resume(&stack())?;
    let (what, answer) = ("pause".to_owned(), "granted".to_owned());
    ledger.audit(&AuditEntry { at: since, actor: by, stack: None, what, answer })?;
    Ok(())
}

/// Makes and runs the containers of `desired` as Compose does.
async fn compose(sim: &Sim, desired: &Desired) {
    let mut networks = BTreeMap::new();
    for (key, spec) in &desired.networks {
        let mut spec = spec.clone();
        spec.labels = labels(&[("project", stack().as_str()), ("network", key.as_str())]);
        networks.insert(spec.name.clone(), sim.create_network(&spec).await.unwrap());
    }
    for (key, spec) in &desired.volumes {
        let mut spec = spec.clone();
        spec.labels = labels(&[("project", stack().as_str()), ("volume", key.as_str())]);
        sim.create_volume(&spec).await.unwrap();
    }
    for service in desired.services.values() {
        let mut spec = service.spec.clone();
        for attachment in spec.networks.values_mut() {
            let name = format!("{}-{}-1", stack(), service.name);
            attachment.aliases.extend([service.name.to_string(), name]);
        }
        let request = CreateContainer {
            name: format!("{}-{}-1", stack(), service.name).parse().unwrap(),
            networks: networks
                .clone()
                .into_iter()
                .filter(|(name, _)| spec.networks.contains_key(name))
                .collect(),
            spec,
            labels: labels(&[
                ("project", stack().as_str()),
                ("service", service.name.as_str()),
                ("container-number", "1"),
                ("oneoff", "False"),
            ]),
        };
        let id = sim.create_container(&request).await.unwrap();
        sim.start_container(&id).await.unwrap();
    }
}

fn labels(labels: &[(&str, &str)]) -> BTreeMap<String, String> {
    let full = |(name, value): &(&str, &str)| (format!("com.docker.compose.{name}"), (*value).to_owned());
    let all: BTreeMap<_, _> = labels.iter().map(full).collect();
    assert!(all.contains_key(label::COMPOSE_PROJECT));
    all
}

/// A host with the images of all scenarios, and a container of somebody else.
pub async fn furnished() -> Sim {
    let sim = Sim::new();
    let ends = Behaviour { exits: Some((Duration::from_secs(3), 0)), ..Behaviour::default() };
    let breaks = Behaviour { exits: Some((Duration::ZERO, 3)), ..Behaviour::default() };
    let lazy = Behaviour { stop_takes: Duration::from_secs(2), ..Behaviour::default() };
    let tells = Behaviour { writes: vec!["ready".to_owned()], ..Behaviour::default() };
    for (name, behaviour) in [
        ("db:1", lazy),
        ("app:1", Behaviour::default()),
        ("app:2", Behaviour::default()),
        ("app:3", Behaviour::default()),
        ("app:broken", breaks),
        ("proxy:1", tells),
        ("task:1", ends.clone()),
        ("task:2", ends),
    ] {
        sim.add_image(&image_ref(name), SimImage::of(name).that(behaviour));
    }
    sim.publish(&image_ref("far:1"), SimImage::of("far:1"), Duration::from_secs(1));
    let mut spec = ContainerSpec::of_image(image_ref("db:1"));
    spec.restart = RestartPolicy::Always;
    spec.mounts.insert("/data".to_owned(), Mount::of(MountSource::Volume("theirs".parse().unwrap())));
    let request = CreateContainer {
        name: "somebody-elses".parse().unwrap(),
        spec,
        labels: BTreeMap::new(),
        networks: BTreeMap::new(),
    };
    let id = sim.create_container(&request).await.unwrap();
    sim.start_container(&id).await.unwrap();
    sim.forget_calls();
    sim
}

fn scenario(name: &'static str, first: Vec<Act>, act: Act, goal: Desired, points: usize) -> Scenario {
    Scenario { name, first, cut: None, act, goal, beside: false, holds: false, needs_room: false, points }
}

/// A deploy of `to` where `from` is deployed.
fn change(name: &'static str, from: Desired, to: Desired, points: usize) -> Scenario {
    scenario(name, vec![Act::Deploy(from)], Act::Deploy(to.clone()), to, points)
}

/// The recovery of a deploy that was killed right after the last call of this verb.
fn recovery(name: &'static str, (from, to): (Desired, Desired), cut: Verb, points: usize) -> Scenario {
    let first = vec![Act::Deploy(from), Act::Deploy(to.clone())];
    Scenario { cut: Some(cut), ..scenario(name, first, Act::Recover, to, points) }
}

/// All of them.
pub fn all() -> Vec<Scenario> {
    [deploys(), recoveries(), further()].into_iter().flatten().collect()
}

/// Deploys of another kind of change each.
fn deploys() -> Vec<Scenario> {
    let deployed = |desired| Act::Deploy(desired);
    vec![
        scenario("first deploy", Vec::new(), deployed(base("far:1")), base("far:1"), 40),
        change("replace", base("app:1"), base("app:2"), 40),
        Scenario { beside: true, ..change("start-first", start_first("app:1"), start_first("app:2"), 40) },
        change("batches", batches("app:1"), batches("app:2"), 60),
        change("task", with_task("task:1", "app:1"), with_task("task:2", "app:1"), 40),
        Scenario {
            needs_room: true,
            ..change("network made anew", on_network("true", "app:1"), on_network("false", "app:2"), 40)
        },
        change("in place", base("app:1"), in_place("app:1"), 20),
        change("removal", base("app:1"), without_proxy("app:1"), 20),
        scenario(
            "clean-up",
            vec![deployed(base("app:1")), deployed(base("app:2"))],
            deployed(base("app:3")),
            base("app:3"),
            40,
        ),
        scenario(
            "grants",
            vec![deployed(granted("one")), deployed(granted("two"))],
            deployed(granted("three")),
            granted("three"),
            40,
        ),
    ]
}

/// Ways back, of deploys that fail and of such that were cut off.
fn recoveries() -> Vec<Scenario> {
    let beside = |scenario: Scenario| Scenario { beside: true, ..scenario };
    let deployed = |desired| Act::Deploy(desired);
    let network = (on_network("true", "app:1"), on_network("false", "app:2"));
    vec![
        scenario("rollback", vec![deployed(base("app:1"))], deployed(base("app:broken")), base("app:2"), 40),
        recovery("recovery", (base("app:1"), base("app:2")), Verb::StartContainer, 20),
        beside(recovery(
            "recovery, start-first",
            (start_first("app:1"), start_first("app:2")),
            Verb::ConnectNetwork,
            20,
        )),
        Scenario {
            needs_room: true,
            ..recovery("recovery, network made anew", network, Verb::RemoveNetwork, 20)
        },
        Scenario {
            holds: true,
            ..scenario("hold", vec![deployed(held("app:1"))], deployed(held("app:broken")), held("app:2"), 40)
        },
    ]
}

/// What was taken over, what is watched, what is only written down, and a host in disorder.
fn further() -> Vec<Scenario> {
    let deployed = |desired| Act::Deploy(desired);
    let adopted = |then| vec![Act::Compose(composed("app:1")), Act::Adopt(composed("app:1")), then];
    vec![
        scenario(
            "adoption",
            vec![Act::Compose(composed("app:1"))],
            Act::Adopt(composed("app:1")),
            composed("app:1"),
            10,
        ),
        scenario(
            "adopted and replaced",
            adopted(deployed(composed("app:2"))),
            deployed(composed("app:3")),
            composed("app:3"),
            30,
        ),
        scenario(
            "adopted and gone",
            adopted(Act::Remove("auren-dev-app-1")),
            deployed(composed("app:1")),
            composed("app:1"),
            20,
        ),
        change("another revision", watched("app:1", 1), watched("app:1", 2), 10),
        scenario(
            "watch",
            vec![deployed(watched("app:1", 1)), deployed(watched("app:2", 2))],
            Act::Return(watched("app:1", 1)),
            watched("app:1", 1),
            30,
        ),
        scenario("records", vec![deployed(base("app:1"))], Act::Records, base("app:1"), 4),
        scenario(
            "half removed",
            vec![deployed(base("app:1")), Act::HalfRemove("auren-dev-app-1")],
            deployed(base("app:2")),
            base("app:2"),
            30,
        ),
    ]
}
