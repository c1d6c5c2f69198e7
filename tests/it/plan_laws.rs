//! Laws that every plan obeys, tried on random stacks, changes and drift.

use evenkeel::model::desired::Desired;
use evenkeel::model::live::Status;
use evenkeel::model::spec::{ContainerPort, HostPort, Protocol, PublishedPort, RestartPolicy};
use evenkeel::plan::check::check;
use evenkeel::plan::step::Action;
use evenkeel::plan::{Plan, plan, rollback};
use proptest::prelude::*;

use crate::paper::{Paper, desired, host, key, needs, service};

/// What may differ between two versions of one service.
#[derive(Clone, Debug)]
struct Variant {
    image: u8,
    mode: Option<u8>,
    memory: Option<u8>,
    port: Option<u16>,
    restart: bool,
    replicas: u32,
    needs: Vec<prop::sample::Index>,
}

fn variant() -> impl Strategy<Value = Variant> {
    let needs = prop::collection::vec(any::<prop::sample::Index>(), 0..3);
    (0..2_u8, prop::option::of(0..2_u8), prop::option::of(1..3_u8), any::<bool>(), 1..3_u32, needs).prop_map(
        |(image, mode, memory, restart, replicas, needs)| Variant {
            image,
            mode,
            memory,
            port: None,
            restart,
            replicas,
            needs,
        },
    )
}

/// A stack of up to five services, each of which may be absent and depends on earlier ones only. Host ports are
/// distinct, but which service has which is left to chance.
fn stack() -> impl Strategy<Value = Desired> {
    let services = prop::collection::vec(prop::option::weighted(0.8, variant()), 5);
    let ports = Just(vec![Some(8000), Some(8001), None, None, None]).prop_shuffle();
    (services, ports).prop_map(|(variants, ports)| {
        let mut services: Vec<evenkeel::model::desired::Service> = Vec::new();
        for (at, variant) in variants.into_iter().enumerate() {
            let Some(mut variant) = variant else { continue };
            variant.port = ports[at];
            let mut service = service(&format!("s{at}"), if at < 2 { "infrastructure" } else { "apps" });
            service.spec.image = format!("image:{}", variant.image).parse().unwrap();
            service
                .spec
                .environment
                .extend(variant.mode.map(|mode| ("MODE".to_owned(), mode.to_string().as_str().into())));
            service.spec.resources.memory = variant.memory.map(|memory| u64::from(memory) << 28);
            service.spec.restart = if variant.restart { RestartPolicy::Always } else { RestartPolicy::No };
            service.replicas = if variant.port.is_some() { 1 } else { variant.replicas };
            service.spec.ports.extend(variant.port.map(|number| PublishedPort {
                container: ContainerPort { number: 80, protocol: Protocol::Tcp },
                host_ip: None,
                host: HostPort::One(number),
            }));
            for need in variant.needs {
                if let Some(other) = (!services.is_empty()).then(|| need.get(&services).name.to_string()) {
                    needs(&mut service, &other);
                }
            }
            services.push(service);
        }
        if services.is_empty() {
            services.push(service("s0", "infrastructure"));
        }
        desired(services)
    })
}

fn planned(paper: &Paper, desired: &Desired) -> Plan {
    let plan = plan(desired, &paper.live, &paper.last, host(&key())).unwrap();
    assert_eq!(check(&plan, &paper.live), Vec::<String>::new());
    plan
}

/// Something that a person may do to one of the containers.
fn drift(paper: &mut Paper, kind: u8, which: prop::sample::Index) {
    let ids: Vec<_> = paper.live.containers.keys().cloned().collect();
    let container = paper.live.containers.get_mut(which.get(&ids)).unwrap();
    match kind {
        0 => container.state.status = Status::Exited { code: 0, out_of_memory: false },
        1 => container.spec.restart = RestartPolicy::OnFailure(Some(3)),
        2 => container.spec.resources.memory = Some(1 << 20),
        3 => container.name = format!("{}-moved", container.name).parse().unwrap(),
        _ => {
            paper.live.containers.remove(which.get(&ids));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_plan_that_was_carried_out_leaves_nothing_to_do(
        stacks in prop::collection::vec(stack(), 1..4),
        drifts in prop::collection::vec((0..5_u8, any::<prop::sample::Index>()), 0..3),
    ) {
        let mut paper = Paper::empty();
        for desired in &stacks {
            let plan = planned(&paper, desired);
            paper.carry_out(&plan, usize::MAX);
            prop_assert!(planned(&paper, desired).is_empty());
            for (kind, which) in &drifts {
                if !paper.live.containers.is_empty() {
                    drift(&mut paper, *kind, *which);
                }
            }
            let repair = planned(&paper, desired);
            paper.carry_out(&repair, usize::MAX);
            prop_assert!(planned(&paper, desired).is_empty(), "{:#?}", planned(&paper, desired).changes);
            let running = paper.live.containers.values().filter(|container| container.state.status == Status::Running);
            let wanted: u32 = desired.services.values().map(|service| service.replicas).sum();
            prop_assert_eq!(running.count(), wanted as usize);
        }
    }

    #[test]
    fn the_way_back_leads_to_where_it_began(before in stack(), after in stack(), steps in any::<prop::sample::Index>()) {
        let mut old = Paper::empty();
        let first = planned(&old, &before);
        old.carry_out(&first, usize::MAX);
        let plan = planned(&old, &after);
        if let Some(committed) = plan.steps.iter().position(|step| step.action == Action::Commit) {
            let mut paper = old.clone();
            let open = paper.carry_out(&plan, steps.index(committed + 1));
            let back = rollback::rollback(&open, &paper.live);
            paper.carry_out(&back, usize::MAX);
            prop_assert_eq!(&paper.live.containers, &old.live.containers);
            prop_assert_eq!(&paper.last, &old.last);
        }
    }

    #[test]
    fn a_plan_touches_only_what_differs(before in stack(), image in 2..4_u8, which in any::<prop::sample::Index>()) {
        let mut paper = Paper::empty();
        let first = planned(&paper, &before);
        paper.carry_out(&first, usize::MAX);
        let mut after = before.clone();
        let names: Vec<_> = after.services.keys().cloned().collect();
        let service = after.services.get_mut(which.get(&names)).unwrap();
        service.spec.image = format!("image:{image}").parse().unwrap();
        let plan = planned(&paper, &after);
        prop_assert!(plan.changes.iter().all(|change| change.service.as_ref() == Some(which.get(&names))));
        prop_assert_eq!(plan.changes.len() as u64, u64::from(after.services[which.get(&names)].replicas));
    }
}
