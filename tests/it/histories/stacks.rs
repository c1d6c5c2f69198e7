//! Random stacks: what a revision of a history wants, and the images that its services are made of.

use std::collections::BTreeMap;
use std::time::Duration;

use evenkeel::engine::sim::{Behaviour, Sim, SimImage};
use evenkeel::model::desired::{Condition, Dependency, Desired, Prune, Revision, Service};
use evenkeel::model::spec::{
    Attachment, ContainerPort, HealthTest, Healthcheck, HostPort, Mount, MountSource, NetworkSpec, Protocol,
    PublishedPort, RestartPolicy, VolumeSpec,
};
use evenkeel::model::text::Text;
use evenkeel::model::window::Admission;

use super::dice::Dice;
use crate::apply::bench::{image_ref, service, stack};

/// Images whose containers come up.
const GOOD: [&str; 4] = ["good:1", "good:2", "slow:1", "lazy:1"];
/// Images whose containers don't: they end at once, can't be started, never get healthy, or are nowhere.
const BAD: [&str; 4] = ["crash:1", "refuses:1", "sick:1", "nowhere:1"];
/// Most services of a stack.
const SERVICES_MAX: u64 = 5;
const NETWORKS: [&str; 2] = ["default", "back"];

/// Which images a revision may be made of.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Any.
    Open,
    /// Such that come up.
    Good,
}

/// How the containers of an image behave.
pub fn behaviour(image: &str) -> Behaviour {
    let well = Behaviour::default();
    match image {
        "slow:1" => Behaviour { healthy_after: Duration::from_secs(4), ..well },
        "lazy:1" => Behaviour { stop_takes: Duration::from_secs(3), ..well },
        "crash:1" => Behaviour { exits: Some((Duration::ZERO, 3)), ..well },
        "refuses:1" => Behaviour { start_error: Some("no such executable".to_owned()), ..well },
        "sick:1" => Behaviour { healthy_after: Duration::MAX, ..well },
        _ => well,
    }
}

/// Puts every image but one onto the host and into its registry.
pub fn furnish(sim: &Sim) {
    for name in GOOD.into_iter().chain(BAD).filter(|name| *name != "nowhere:1") {
        let image = SimImage::of(name).that(behaviour(name));
        sim.publish(&image_ref(name), image.clone(), Duration::from_secs(1));
        sim.add_image(&image_ref(name), image);
    }
}

/// Every image that may be there.
pub fn images() -> impl Iterator<Item = &'static str> {
    GOOD.into_iter().chain(BAD)
}

/// What the revision of this number wants. Revisions of one seed are alike, as those of one repository are.
pub fn revision(seed: u64, number: u64, fate: Fate) -> Desired {
    let mut ports = [Some(8000), Some(8001), None, None, None];
    let mut shuffle = Dice::of(seed, 1000 + number);
    if shuffle.in_hundred(50) {
        ports.swap(shuffle.place(5), shuffle.place(5));
        ports.swap(shuffle.place(5), shuffle.place(5));
    }
    let mut services: Vec<Service> = Vec::new();
    for at in 0..SERVICES_MAX {
        let mut change = Dice::of(seed, 100 * (number + 100) + at);
        let version = if change.in_hundred(40) { number } else { 0 };
        let mut dice = Dice::of(seed, 10 * version + at);
        if at > 0 && dice.in_hundred(25) {
            continue;
        }
        services.push(random_service(at, (&mut dice, fate), &services, ports[usize::try_from(at).unwrap()]));
    }
    let network = |key: &str| NetworkSpec::named(format!("{}_{key}", stack()).parse().unwrap());
    let networks = NETWORKS.map(|key| (key.parse().unwrap(), network(key)));
    let used = |spec: &NetworkSpec| services.iter().any(|one| one.spec.networks.contains_key(&spec.name));
    let volume = |at: u64| VolumeSpec {
        name: volume(at).parse().unwrap(),
        external: false,
        driver: None,
        options: BTreeMap::new(),
        labels: BTreeMap::new(),
    };
    let mounts = |spec: &VolumeSpec| {
        let source = MountSource::Volume(spec.name.clone());
        services.iter().any(|one| one.spec.mounts.values().any(|mount| mount.source == source))
    };
    Desired {
        stack: stack(),
        environment: None,
        revision: Revision::Commit(format!("{:040x}", number + 1)),
        tiers: ["infrastructure", "apps"].map(|tier| tier.parse().unwrap()).to_vec(),
        networks: networks.into_iter().filter(|(_, spec)| used(spec)).collect(),
        volumes: (0..SERVICES_MAX)
            .map(|at| (format!("data{at}").parse().unwrap(), volume(at)))
            .filter(|(_, spec)| mounts(spec))
            .collect(),
        services: services.into_iter().map(|service| (service.name.clone(), service)).collect(),
        contents: BTreeMap::new(),
        hosts: Vec::new(),
        prune: Prune::default(),
        admission: Admission::default(),
    }
}

fn volume(at: u64) -> String {
    format!("{}_data{at}", stack())
}

fn random_service(
    at: u64,
    (dice, fate): (&mut Dice, Fate),
    earlier: &[Service],
    port: Option<u16>,
) -> Service {
    let is_bad = dice.in_hundred(12);
    let (good, bad) = (dice.pick(&GOOD), dice.pick(&BAD));
    let image = if is_bad && fate == Fate::Open { bad } else { good };
    let tier = if at < 2 { "infrastructure" } else { "apps" };
    let mut service = service(&format!("s{at}"), tier, image);
    service.replicas = if port.is_none() && dice.in_hundred(25) { 2 } else { 1 };
    if service.replicas == 1 && dice.in_hundred(10) {
        service.container_name = Some(format!("own-{at}").parse().unwrap());
    }
    let spec = &mut service.spec;
    spec.restart = if dice.in_hundred(35) { RestartPolicy::Always } else { RestartPolicy::UnlessStopped };
    spec.ports.extend(port.map(|number| PublishedPort {
        container: ContainerPort { number: 80, protocol: Protocol::Tcp },
        host_ip: None,
        host: HostPort::One(number),
    }));
    if dice.in_hundred(50) {
        spec.healthcheck = Some(Healthcheck {
            test: Some(HealthTest::Exec(vec![Text::plain("check")])),
            interval: Some(Duration::from_secs(30)),
            retries: Some(3),
            ..Healthcheck::default()
        });
    }
    if dice.in_hundred(40) {
        let mode = dice.pick(&["calm", "wild"]);
        spec.environment.insert("MODE".to_owned(), mode.into());
    }
    spec.resources.memory = dice.pick(&[None, Some(1 << 28), Some(1 << 29)]);
    if dice.in_hundred(40) {
        let source = MountSource::Volume(volume(at).parse().unwrap());
        spec.mounts.insert("/data".to_owned(), Mount::of(source));
    }
    if dice.in_hundred(20) {
        spec.mounts.insert("/scratch".to_owned(), Mount::of(MountSource::Anonymous));
    }
    if dice.in_hundred(40) {
        let mut attachment = Attachment::default();
        if dice.in_hundred(60) {
            attachment.aliases.insert("alias".to_owned());
        }
        spec.networks.insert(format!("{}_back", stack()).parse().unwrap(), attachment);
    }
    for other in earlier {
        if dice.in_hundred(40) {
            let condition = dice.pick(&[Condition::Healthy, Condition::Healthy, Condition::Started]);
            let restart = dice.in_hundred(20);
            let dependency = Dependency { condition, required: true, restart };
            service.depends_on.insert(other.name.clone(), dependency);
        }
    }
    service
}
