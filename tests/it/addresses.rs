//! Fixed addresses that go from one container to another: nobody gets one before it is free, on the way there and back.

use std::net::Ipv4Addr;

use evenkeel::model::desired::{Desired, Service};
use evenkeel::model::spec::{Attachment, NetworkSpec};
use evenkeel::model::update::UpdateOrder;
use evenkeel::plan::change::Operation;
use evenkeel::plan::check::check;
use evenkeel::plan::step::Action;
use evenkeel::plan::{Plan, plan, rollback};

use crate::paper::{Order, Paper, desired, host, key, service};

const REPLACE: Operation = Operation::Replace(UpdateOrder::StopFirst);

const ONE: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 11);
const TWO: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 12);
const THREE: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 13);

/// A service in a tier, with its fixed address; a `version` other than 1 replaces it.
fn at(name: &str, tier: &str, address: Ipv4Addr, version: u8) -> Service {
    let mut service = service(name, tier);
    service.spec.image = format!("image:{version}").parse().unwrap();
    let attachment = Attachment { ipv4: Some(address), ..Attachment::default() };
    service.spec.networks.insert("net".parse().unwrap(), attachment);
    service
}

fn stack(services: Vec<Service>) -> Desired {
    let mut desired = desired(services);
    let network = NetworkSpec::named("net".parse().unwrap());
    desired.networks.insert("net".parse().unwrap(), network);
    desired
}

fn planned(paper: &Paper, desired: &Desired) -> Plan {
    let plan = plan(desired, &paper.live, &paper.last, host(&key())).unwrap();
    assert_eq!(check(&plan, &paper.live), [""; 0]);
    plan
}

/// Deploys both, in whatever order the steps allow, and goes back from every point between.
#[track_caller]
fn goes_there_and_back(before: Vec<Service>, after: Vec<Service>, operations: &[Operation]) {
    let (before, after) = (stack(before), stack(after));
    for order in [Order::Planned, Order::Backwards] {
        let mut old = Paper::empty();
        let first = planned(&old, &before);
        old.carry_out(&first, usize::MAX);
        let plan = planned(&old, &after);
        let found: Vec<_> = plan.changes.iter().map(|change| change.operation).collect();
        assert_eq!(found, operations);
        let mut paper = old.clone();
        paper.carry_out_in(order, &plan, usize::MAX);
        assert!(planned(&paper, &after).is_empty());
        let committed = plan.steps.iter().position(|step| step.action == Action::Commit).unwrap();
        for steps in 0..=committed {
            let mut half = old.clone();
            let open = half.carry_out_in(order, &plan, steps);
            let back = rollback::rollback(&open, &half.live, "/state/files");
            half.carry_out_in(order, &back, usize::MAX);
            assert_eq!(half.live.containers, old.live.containers, "after {steps} steps");
        }
    }
}

#[test]
fn two_services_swap_their_addresses() {
    use Operation::InPlace;
    for (tier, versions, operations) in [
        ("apps", (1, 1), [InPlace, InPlace]),
        ("apps", (2, 1), [REPLACE, InPlace]),
        ("apps", (1, 2), [InPlace, REPLACE]),
        ("apps", (2, 2), [REPLACE, REPLACE]),
    ] {
        let before = vec![at("a", tier, ONE, 1), at("b", tier, TWO, 1)];
        goes_there_and_back(
            before,
            vec![at("a", tier, TWO, versions.0), at("b", tier, ONE, versions.1)],
            &operations,
        );
        // In tiers, the first of which waits for nobody.
        let before = vec![at("a", "infrastructure", ONE, 1), at("b", tier, TWO, 1)];
        let after = vec![at("a", "infrastructure", TWO, versions.0), at("b", tier, ONE, versions.1)];
        goes_there_and_back(before, after, &operations);
    }
}

#[test]
fn addresses_go_round() {
    let before = vec![at("a", "apps", ONE, 1), at("b", "apps", TWO, 1), at("c", "apps", THREE, 1)];
    let after = vec![at("a", "apps", TWO, 1), at("b", "apps", THREE, 2), at("c", "apps", ONE, 1)];
    goes_there_and_back(before, after, &[Operation::InPlace, REPLACE, Operation::InPlace]);
}

#[test]
fn a_hardware_address_that_is_no_longer_said_goes_with_its_container() {
    let with = |mac: &str| {
        let mut service = at("a", "apps", ONE, 1);
        service.spec.networks.values_mut().next().unwrap().mac = mac.parse().ok();
        vec![service]
    };
    let mut newer = Paper::empty();
    "1.51".clone_into(&mut newer.live.server.api_version);
    let (before, after) = (stack(with("02:42:ac:11:00:99")), stack(with("")));
    let first = planned(&newer, &before);
    newer.carry_out(&first, usize::MAX);
    // While the container stayed, nothing was done about it, and each plan said the same again.
    let plan = planned(&newer, &after);
    assert_eq!(plan.changes[0].operation, REPLACE);
    newer.carry_out(&plan, usize::MAX);
    assert!(planned(&newer, &after).is_empty());
}

#[test]
fn a_new_service_gets_the_address_of_one_that_goes() {
    let before = vec![at("a", "apps", ONE, 1), at("keeps", "apps", THREE, 1)];
    let after = vec![at("b", "apps", ONE, 1), at("keeps", "apps", THREE, 1)];
    goes_there_and_back(before, after, &[Operation::Create, Operation::Remove]);
}
