//! Every call of the engine goes wrong once, in every way, and the controller is killed at every call: afterwards the
//! stack is at the new state or back at the old one, and the next deploy brings it to the new one.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use evenkeel::apply::Outcome;
use evenkeel::apply::recover::Recovered;
use evenkeel::engine::sim::{Fault, Sim};
use evenkeel::model::desired::Desired;
use evenkeel::model::name::ContainerId;
use evenkeel::model::update::{Batches, UpdateOrder};
use tokio::sync::Notify;

use super::bench::{Bench, of, stack, stack_with};

/// More calls than any deploy of these tests makes.
pub(super) const CALLS_MAX: usize = 500;

/// Lets the call number `at` (from 0) and, with `for_ever`, all after it suffer `fault`. The notification comes with
/// the first.
pub(super) fn strike(sim: &Sim, at: usize, (fault, for_ever): (Fault, bool)) -> Arc<Notify> {
    let struck = Arc::new(Notify::new());
    let notify = Arc::clone(&struck);
    let mut calls = 0;
    sim.on_call(Box::new(move |_| {
        let now = calls;
        calls += 1;
        if now == at {
            notify.notify_one();
        }
        if now == at || for_ever && now > at { fault } else { Fault::None }
    }));
    struck
}

/// A stack in which `app`, made of an image, is replaced in some way.
type Scenario = fn(&str) -> Desired;

const SCENARIOS: [Scenario; 3] = [stack_with, start_first, batches];

/// One starts beside the other.
fn start_first(image: &str) -> Desired {
    let mut desired = stack_with(image);
    for service in desired.services.values_mut() {
        service.update.order = UpdateOrder::StartFirst;
    }
    desired
}

/// Several take turns, on the way there and on the way back.
fn batches(image: &str) -> Desired {
    let mut desired = stack_with(image);
    let app = of(&mut desired, "app");
    app.replicas = 3;
    let second = Duration::from_secs(1);
    app.update.batches = Batches { parallelism: NonZeroU32::new(2), delay: second, monitor: second };
    app.way_back.batches = app.update.batches;
    desired
}

/// The containers that run and are found by the name of their service.
pub(super) async fn found(bench: &Bench) -> BTreeMap<String, BTreeSet<ContainerId>> {
    let mut found: BTreeMap<String, BTreeSet<ContainerId>> = BTreeMap::new();
    for (service, containers) in bench.running().await {
        let named = containers.into_iter().filter(|container| {
            container.spec.networks.values().any(|attachment| attachment.aliases.contains(&service))
        });
        found.entry(service.clone()).or_default().extend(named.map(|container| container.id));
    }
    found
}

/// Asserts that each service is found as often as it was, and that only `app` is so as other containers.
pub(super) async fn assert_whole(
    bench: &Bench,
    before: &BTreeMap<String, BTreeSet<ContainerId>>,
    context: &str,
) {
    let serving = found(bench).await;
    let count = |serving: &BTreeMap<String, BTreeSet<ContainerId>>| {
        serving.iter().map(|(service, all)| (service.clone(), all.len())).collect::<BTreeMap<_, _>>()
    };
    assert_eq!(count(&serving), count(before), "{context}");
    assert_eq!((&serving["db"], &serving["proxy"]), (&before["db"], &before["proxy"]), "{context}");
}

/// Asserts that the next deploys, without faults, come to an end and to rest at the new state.
async fn assert_converges(bench: &Bench, scenario: Scenario, context: &str) {
    let desired = scenario("app:2");
    let outcome = bench.deploy(&desired).await;
    assert!(matches!(outcome, Outcome::Applied(_) | Outcome::Unchanged), "{context}: {outcome:?}");
    let running = bench.running().await.into_iter().map(|(service, all)| (service, all.len()));
    let wanted =
        desired.services.values().map(|service| (service.name.to_string(), service.replicas as usize));
    assert_eq!(running.collect::<Vec<_>>(), wanted.collect::<Vec<_>>(), "{context}");
    assert!(bench.ledger.open_deploy(&stack()).unwrap().is_none(), "{context}");
    assert!(bench.plan(&desired).await.is_empty(), "{context}");
}

/// Strikes call after call until a deploy ends without being struck. Returns how many calls there were at least.
async fn sweep(fault: Fault, for_ever: bool, killed: bool) -> usize {
    let mut fewest = CALLS_MAX;
    for scenario in SCENARIOS {
        fewest = fewest.min(sweep_one(scenario, fault, for_ever, killed).await);
    }
    fewest
}

async fn sweep_one(scenario: Scenario, fault: Fault, for_ever: bool, killed: bool) -> usize {
    for at in 0..CALLS_MAX {
        let bench = Bench::with(&scenario("app:1")).await;
        let before = found(&bench).await;
        let desired = scenario("app:2");
        let plan = bench.plan(&desired).await;
        bench.host.forget_calls();
        let context = format!("{fault:?} at call {at}, for ever: {for_ever}, killed: {killed}");
        let struck = strike(&bench.host, at, (fault, for_ever));
        let outcome = if killed {
            tokio::select! {
                biased;
                () = struck.notified() => None,
                outcome = bench.carry_out(&plan, &desired) => Some(outcome),
            }
        } else {
            Some(bench.carry_out(&plan, &desired).await)
        };
        let calls = bench.host.calls();
        bench.host.without_faults();
        let context = format!("{context} ({:?}), ended with {outcome:?}", calls.get(at));
        let recovered = bench.recover().await;
        assert!(!matches!(recovered, Some(Recovered::BackFailed { .. })), "{context}: {recovered:?}");
        assert_whole(&bench, &before, &context).await;
        assert_converges(&bench, scenario, &context).await;
        if outcome.is_some() && calls.len() <= at {
            return at;
        }
    }
    panic!("a deploy makes more than {CALLS_MAX} calls");
}

#[tokio::test(start_paused = true)]
async fn the_controller_may_be_killed_before_any_call() {
    assert!(sweep(Fault::Hang, false, true).await > 10);
}

#[tokio::test(start_paused = true)]
async fn the_controller_may_be_killed_after_any_call() {
    assert!(sweep(Fault::DoneButReplyLost, false, true).await > 10);
}

#[tokio::test(start_paused = true)]
async fn any_call_may_fail() {
    assert!(sweep(Fault::Error, false, false).await > 10);
}

#[tokio::test(start_paused = true)]
async fn the_reply_to_any_call_may_be_lost() {
    assert!(sweep(Fault::DoneButReplyLost, false, false).await > 10);
}

#[tokio::test(start_paused = true)]
async fn any_call_may_hang() {
    assert!(sweep(Fault::Hang, false, false).await > 10);
}

#[tokio::test(start_paused = true)]
async fn the_engine_may_be_gone_from_any_call_on() {
    assert!(sweep(Fault::Error, true, false).await > 10);
}

/// Kills a first deploy at call after call. Returns how many calls there were.
async fn sweep_first(fault: Fault) -> usize {
    let desired = stack_with("app:1");
    for at in 0..CALLS_MAX {
        let bench = Bench::new();
        let plan = bench.plan(&desired).await;
        let struck = strike(&bench.host, at, (fault, false));
        let was_killed = tokio::select! {
            biased;
            () = struck.notified() => true,
            // The preflight may have refused before anybody saw the strike.
            outcome = bench.carry_out(&plan, &desired) => !matches!(outcome, Outcome::Applied(_)),
        };
        bench.host.without_faults();
        let recovered = bench.recover().await;
        let live = bench.live(&desired).await;
        match recovered {
            Some(Recovered::Back(_)) => {
                assert!(
                    live.containers.is_empty() && live.networks.is_empty(),
                    "{fault:?} at {at}: {live:#?}"
                );
            }
            None | Some(Recovered::Forward(_)) => {}
            Some(Recovered::Held(_) | Recovered::BackFailed { .. }) => {
                panic!("{fault:?} at {at}: {recovered:?}")
            }
        }
        let outcome = bench.deploy(&desired).await;
        assert!(matches!(outcome, Outcome::Applied(_) | Outcome::Unchanged), "{at}: {outcome:?}");
        bench.assert_at(&desired).await;
        if !was_killed {
            return at;
        }
    }
    panic!("a deploy makes more than {CALLS_MAX} calls");
}

#[tokio::test(start_paused = true)]
async fn a_first_deploy_may_be_killed_at_any_call() {
    for fault in [Fault::Hang, Fault::DoneButReplyLost] {
        assert!(sweep_first(fault).await > 20);
    }
}

#[tokio::test(start_paused = true)]
async fn a_recovery_may_be_killed_at_any_call_too() {
    // The call at which the new container has just been started: the worst moment.
    sweep_recovery(stack_with, |call| call.starts_with("start")).await;
    // The one at which the last old container has just lost its names.
    sweep_recovery(start_first, |call| call.starts_with("connect")).await;
    sweep_recovery(batches, |call| call.starts_with("start")).await;
}

/// Kills a deploy at the last call of the switch that `worst` says, and its recovery at call after call.
async fn sweep_recovery(scenario: Scenario, worst: impl Fn(&str) -> bool) {
    let desired = scenario("app:2");
    let strikes = {
        let bench = Bench::with(&scenario("app:1")).await;
        let plan = bench.plan(&desired).await;
        bench.host.forget_calls();
        let outcome = bench.carry_out(&plan, &desired).await;
        assert!(matches!(outcome, Outcome::Applied(_)), "{outcome:?}");
        let calls = bench.host.calls();
        // What comes after the commit begins with a change of restart policies.
        let committed = calls.iter().rposition(|call| call.to_string().starts_with("start")).unwrap();
        let switch = calls.iter().skip(committed).position(|call| call.to_string().starts_with("update"));
        let switch = &calls[..committed + switch.unwrap()];
        switch.iter().rposition(|call| worst(&call.to_string())).unwrap()
    };
    let mut at = 0;
    loop {
        let bench = Bench::with(&scenario("app:1")).await;
        let before = found(&bench).await;
        let plan = bench.plan(&desired).await;
        let struck = strike(&bench.host, strikes, (Fault::DoneButReplyLost, false));
        tokio::select! {
            biased;
            () = struck.notified() => {}
            outcome = bench.carry_out(&plan, &desired) => panic!("not killed: {outcome:?}"),
        }
        let struck = strike(&bench.host, at, (Fault::DoneButReplyLost, false));
        let was_killed = tokio::select! {
            biased;
            () = struck.notified() => true,
            _ = bench.recover() => false,
        };
        bench.host.without_faults();
        let recovered = bench.recover().await;
        assert!(matches!(recovered, None | Some(Recovered::Back(_))), "{at}: {recovered:?}");
        assert_whole(&bench, &before, &format!("recovery killed at call {at}")).await;
        assert_eq!(found(&bench).await, before);
        assert_converges(&bench, scenario, &format!("recovery killed at call {at}")).await;
        if !was_killed {
            break;
        }
        at += 1;
    }
    assert!(at > 5, "{at}");
}
